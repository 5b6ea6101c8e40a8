package onetime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor/factortest"
	"sallyport/internal/notify"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/user"
	"sallyport/internal/web"
)

// giving is codes where one to the address of the account may stand in.
func giving(t *testing.T, d *db.DB, clock func() time.Time, factors ...auth.Kind) *Codes {
	t.Helper()
	c := made(t, d, clock)
	c.Roster = roster.New(policy.Rules{MFA: policy.Optional, Factors: factors, Given: []auth.Kind{Email}, LastFactor: policy.Refuse, StepUp: 10 * time.Minute}, factortest.Alone{}, clock)
	c.Roster.Add(nil, c.sms, c.email)
	return c
}

func eachPair(t *testing.T, test func(t *testing.T, d *db.DB, clock *factortest.Clock, ann, bob auth.User)) {
	t.Helper()
	dbtest.Each(t, append([]fs.FS{user.Schema}, schemas...), func(t *testing.T, d *db.DB) {
		clock := factortest.NewClock()
		test(t, d, clock, factortest.Person(t, d, "ann", clock.Now()), factortest.Person(t, d, "bob", clock.Now()))
	})
}

func (c *Codes) proved(t *testing.T, u auth.UserID, kind auth.Kind, to string) {
	t.Helper()
	if err := c.DB.Tx(t.Context(), func(tx auth.Tx) error {
		_, err := c.keep(t.Context(), tx, u, kind, to, c.Clock())
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// L1, C4: what stands in, for whom, and where it goes.
func TestTheAddressStandsIn(t *testing.T) {
	inOtherFactors := []auth.Kind{"totp"}
	for name, c := range map[string]struct {
		factors []auth.Kind
		world   func(t *testing.T, c *Codes, ann, bob auth.User)
		want    string // name and standing of each enrolment by email
	}{
		"for who proved nothing":                 {inOtherFactors, nil, "address a•••@example.com spare"},
		"also where codes by mail are a factor":  {[]auth.Kind{Email}, nil, "address a•••@example.com spare"},
		"also beside a phone":                    {[]auth.Kind{Email, SMS}, func(t *testing.T, c *Codes, ann, _ auth.User) { c.proved(t, ann.ID, SMS, "+46701740605") }, "address a•••@example.com spare"},
		"not beside one that was proved":         {[]auth.Kind{Email}, func(t *testing.T, c *Codes, ann, _ auth.User) { c.proved(t, ann.ID, Email, "p@example.org") }, "contact p•••@example.org "},
		"for one that was proved and counts not": {inOtherFactors, func(t *testing.T, c *Codes, ann, _ auth.User) { c.proved(t, ann.ID, Email, "p@example.org") }, "contact p•••@example.org  address p•••@example.org spare"},
		"not where somebody else reads it":       {inOtherFactors, func(t *testing.T, c *Codes, _, bob auth.User) { c.proved(t, bob.ID, Email, "ann@example.com") }, ""},
		"nor as their contact": {inOtherFactors, func(t *testing.T, c *Codes, _, bob auth.User) {
			err := c.DB.Tx(t.Context(), func(tx auth.Tx) error {
				return c.Users.SetContact(t.Context(), tx, bob.ID, "ANN@example.com", "", "")
			})
			if err != nil {
				t.Fatal(err)
			}
		}, ""},
		"not where there is no mail": {inOtherFactors, func(_ *testing.T, c *Codes, _, _ auth.User) { delete(c.Outbox.Carriers, notify.Email) }, ""},
		"not where it is not given": {inOtherFactors, func(t *testing.T, c *Codes, _, _ auth.User) {
			c.Roster = roster.New(policy.Rules{Factors: inOtherFactors}, factortest.Alone{}, c.Clock)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			eachPair(t, func(t *testing.T, d *db.DB, clock *factortest.Clock, ann, bob auth.User) {
				codes := giving(t, d, clock.Now, c.factors...)
				if c.world != nil {
					c.world(t, codes, ann, bob)
				}
				got := ""
				some, err := codes.email.Enrolments(t.Context(), d, ann.ID)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range some {
					id := "contact"
					if e.ID == address {
						id = "address"
					}
					if given := id == "address"; e.Given != given || !e.Weak || given && !e.Last || e.State != auth.Usable {
						t.Errorf("%+v", e)
					}
					if got != "" {
						got += " "
					}
					got += fmt.Sprintf("%s %s %s", id, e.Name, e.Standing)
				}
				if got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
				if some, err := codes.sms.Enrolments(t.Context(), d, ann.ID); err != nil || len(some) > 1 {
					t.Error(some, err)
				}
			})
		})
	}
}

func TestNobodyHasAnAddress(t *testing.T) {
	eachPair(t, func(t *testing.T, d *db.DB, clock *factortest.Clock, _, _ auth.User) {
		for _, id := range []auth.UserID{"", "nobody"} {
			if some, err := giving(t, d, clock.Now).email.Enrolments(t.Context(), d, id); err != nil || len(some) > 0 {
				t.Error(some, err)
			}
		}
	})
}

// L1, U2, R5: a code to the address is worth a sign-in, given and weak; none goes there for anything else.
func TestACodeToTheAddressServesASignInAlone(t *testing.T) {
	for _, factors := range [][]auth.Kind{{"totp"}, {Email}} {
		eachPair(t, func(t *testing.T, d *db.DB, clock *factortest.Clock, ann, bob auth.User) {
			c := giving(t, d, clock.Now, factors...)
			send := func(in web.Thread) error {
				return d.Tx(t.Context(), func(tx auth.Tx) error { return c.email.Send(t.Context(), tx, in) })
			}
			ctx := factortest.Within(t.Context(), ann)
			in := threadOf(ctx)
			in.User, in.Until = ann, clock.Now().Add(time.Hour)
			stepUp := in
			stepUp.Purpose = web.ToStepUp
			if err := send(stepUp); !errors.Is(err, auth.ErrNotFound) {
				t.Error("for a step-up: ", err)
			}
			if err := send(in); err != nil {
				t.Fatal(err)
			}
			if s, err := c.email.Sent(ctx, in); err != nil || len(s.To) != 1 || s.To[0] != "a•••@example.com" || s.State != "waiting" {
				t.Error(s, err)
			}
			letters, err := c.Outbox.Kept(t.Context(), 10)
			if err != nil || len(letters) != 1 || letters[0].To != "ann@example.com" {
				t.Fatal(letters, err)
			}
			m := inMessage.FindStringSubmatch(letters[0].Mail.Text)
			if _, err := c.email.Verify(ctx, auth.Attempt{User: bob}, auth.Secret(m[1])); !errors.Is(err, auth.ErrWrong) {
				t.Error("counted as somebody else's: ", err)
			}
			claim, err := c.email.Verify(ctx, auth.Attempt{User: ann}, auth.Secret(m[1]))
			if err != nil {
				t.Fatal(err)
			}
			prove := func(before func(context.Context, auth.Tx) error) (p auth.Proof, err error) {
				err = d.Tx(ctx, func(tx auth.Tx) error {
					if err := before(ctx, tx); err != nil {
						return err
					}
					p, err = claim(ctx, tx)
					return err
				})
				return p, err
			}
			shared := func(ctx context.Context, tx auth.Tx) error {
				return c.Users.SetContact(ctx, tx, bob.ID, "ann@example.com", "", "")
			}
			if _, err := prove(shared); !errors.Is(err, auth.ErrWrong) {
				t.Error("shared meanwhile: ", err)
			}
			moved := func(ctx context.Context, tx auth.Tx) error {
				_, err := c.keep(ctx, tx, ann.ID, Email, "new@example.org", clock.Now())
				return err
			}
			if _, err := prove(moved); !errors.Is(err, auth.ErrWrong) {
				t.Error("the address is another meanwhile: ", err)
			}
			p, err := prove(func(context.Context, auth.Tx) error { return nil })
			if want := (auth.Proof{Kind: Email, Enrolment: "address", AMR: "otp", Level: auth.OneFactor, Weak: true, Given: true, At: clock.Now()}); err != nil || p != want {
				t.Errorf("%+v, %v", p, err)
			}
			if _, err := prove(func(context.Context, auth.Tx) error { return nil }); !errors.Is(err, auth.ErrWrong) {
				t.Error("twice: ", err)
			}
		})
	}
}
