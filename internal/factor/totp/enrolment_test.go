package totp

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor/factortest"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

var schemas = []fs.FS{user.Schema, throttle.Schema, audit.Schema, Schema}

// A phone has our factor on a database, and a clock.
type phone struct {
	*TOTP
	users *user.Store
	clock *factortest.Clock
}

func newTOTP(t *testing.T, d *db.DB, clock func() time.Time) *TOTP {
	t.Helper()
	ros := roster.New(policy.Rules{MFA: policy.Optional, Factors: []auth.Kind{Kind}, LastFactor: policy.Refuse, StepUp: 10 * time.Minute}, factortest.Alone{}, clock)
	codes := New(Parts{DB: d, Keys: factortest.Keys(t), Trail: audit.New(d, make([]byte, 32), clock), Throttle: throttle.New(d, clock),
		Roster: ros, Revoker: factortest.Epochs(d), Issuer: "Sallyport", Clock: clock})
	ros.Add(nil, codes)
	return codes
}

func each(t *testing.T, test func(t *testing.T, p *phone)) {
	t.Helper()
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		p := &phone{users: user.NewStore(d), clock: factortest.NewClock()}
		p.TOTP = newTOTP(t, d, p.clock.Now)
		factortest.Person(t, d, "ann", p.clock.Now())
		factortest.Person(t, d, "bob", p.clock.Now())
		test(t, p)
	})
}

// as is a visit of somebody in one of their sessions.
func (p *phone) as(t *testing.T, name, session string) context.Context {
	t.Helper()
	u, err := p.users.Get(t.Context(), p.DB, auth.UserID("id-"+name))
	if err != nil {
		t.Fatal(err)
	}
	return visit.With(t.Context(), &visit.Visit{Session: auth.Session{ID: auth.SessionID(session), User: u,
		Proofs: []auth.Proof{{Kind: "password", AMR: "pwd", Level: auth.OneFactor, At: p.clock.Now()}}}})
}

func (p *phone) begun(t *testing.T, ctx context.Context) Waiting {
	t.Helper()
	w, err := p.start(ctx, web.None{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// code is what an app shows for a secret, some steps from now.
func (p *phone) code(t *testing.T, secret string, off int64) auth.Secret {
	t.Helper()
	return auth.Secret(at(unbase32(t, secret), p.clock.Now().Unix()/period+off, 6))
}

func unbase32(t *testing.T, secret string) []byte {
	t.Helper()
	b, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (p *phone) confirmed(ctx context.Context, id auth.EnrolmentID, code auth.Secret, name string) error {
	_, err := p.finish(ctx, Confirmation{ID: id, Code: code, Name: name}, func(ctx context.Context, tx auth.Tx, _ auth.Proof) (web.Onward, error) {
		return web.Onward{}, p.Revoker.RevokeOthers(ctx, tx, visit.Of(ctx).Person().ID, visit.Of(ctx).Session.ID)
	})
	return err
}

// enrolled is an authenticator that was confirmed just now.
func (p *phone) enrolled(t *testing.T, name string) Waiting {
	t.Helper()
	ctx := p.as(t, name, "s")
	w := p.begun(t, ctx)
	if err := p.confirmed(ctx, w.ID, p.code(t, w.Secret, 0), ""); err != nil {
		t.Fatal(err)
	}
	return w
}

func (p *phone) renamed(t *testing.T, name string, id auth.EnrolmentID) error {
	return p.DB.Tx(t.Context(), func(tx auth.Tx) error { return p.Rename(t.Context(), tx, auth.UserID("id-"+name), id, "x") })
}

func (p *phone) removed(t *testing.T, name string, id auth.EnrolmentID) error {
	return p.DB.Tx(t.Context(), func(tx auth.Tx) error { return p.Remove(t.Context(), tx, auth.UserID("id-"+name), id) })
}

func (p *phone) verify(t *testing.T, name string, code auth.Secret) error {
	t.Helper()
	claim, err := p.Verify(t.Context(), auth.Attempt{User: auth.User{ID: auth.UserID("id-" + name)}}, code)
	if err != nil {
		return err
	}
	return p.DB.Tx(t.Context(), func(tx auth.Tx) error {
		_, err := claim(t.Context(), tx)
		return err
	})
}

func TestTheAuthenticatorKeepsTheContractOfAFactor(t *testing.T) {
	factortest.Run(t, factortest.Subject{
		Schemas: []fs.FS{throttle.Schema, audit.Schema, Schema},
		New:     func(t *testing.T, d *db.DB, clock func() time.Time) auth.Factor { return newTOTP(t, d, clock) },
		Enrol: func(t *testing.T, f auth.Factor, u auth.User) func() auth.Secret {
			codes := f.(*TOTP)
			p := &phone{TOTP: codes, users: user.NewStore(codes.DB), clock: factortest.ClockAt(codes.Clock())}
			w := p.enrolled(t, strings.TrimPrefix(string(u.ID), "id-"))
			return func() auth.Secret { return auth.Secret(at(unbase32(t, w.Secret), codes.Clock().Unix()/period, 6)) }
		},
		Next:  period * time.Second,
		Wrong: []auth.Secret{"12345", "1234567", "１２３４５６", "٠١٢٣٤٥", "12345\x00", "abcdef", "+12345", "------", "12 34 5"},
		Proof: auth.Proof{Kind: Kind, AMR: "otp", Level: auth.OneFactor},
	})
}

// T5: over all pages, calls and nodes; on one authenticator a step says nothing of another.
func TestAStepCountsOnce(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		w := p.enrolled(t, "ann")
		for _, off := range []int64{-2, -1, 0, 2, 3} {
			if err := p.verify(t, "ann", p.code(t, w.Secret, off)); !errors.Is(err, auth.ErrWrong) {
				t.Errorf("step %+d after enrolment: %v", off, err)
			}
		}
		next := p.code(t, w.Secret, 1)
		if err := p.verify(t, "ann", next); err != nil {
			t.Error("step +1: ", err)
		}
		if err := p.verify(t, "ann", next); !errors.Is(err, auth.ErrWrong) {
			t.Error("step +1 again: ", err)
		}
		p.clock.Wait(period * time.Second) // now it is step 0
		if err := p.verify(t, "ann", next); !errors.Is(err, auth.ErrWrong) {
			t.Error("in its own time, after it was used early: ", err)
		}
		p.clock.Wait(2 * period * time.Second)
		if err := p.verify(t, "ann", p.code(t, w.Secret, -1)); err != nil {
			t.Error("one step late: ", err)
		}
		if err := p.verify(t, "ann", p.code(t, w.Secret, 0)); err != nil {
			t.Error("the step after it: ", err)
		}
		if err := p.verify(t, "ann", p.code(t, w.Secret, -1)); !errors.Is(err, auth.ErrWrong) {
			t.Error("the step before the last used: ", err)
		}
	})
}

func TestOneAuthenticatorBurnsNoStepOfAnother(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		one := p.enrolled(t, "ann")
		p.clock.Wait(5 * period * time.Second)
		two := p.enrolled(t, "ann")
		for name, w := range map[string]Waiting{"the older": one, "the newer": two} {
			p.clock.Wait(period * time.Second)
			code := p.code(t, w.Secret, 0)
			if err := p.verify(t, "ann", code); err != nil {
				t.Error(name, err)
			}
			if err := p.verify(t, "ann", code); !errors.Is(err, auth.ErrWrong) {
				t.Error(name, "again", err)
			}
		}
		if one.Secret == two.Secret {
			t.Error("both have one secret")
		}
	})
}

// T3
func TestUntilItIsConfirmedAnAuthenticatorDoesNotExist(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		ctx := p.as(t, "ann", "s")
		w := p.begun(t, ctx)
		some, err := p.Enrolments(t.Context(), p.DB, "id-ann")
		if err != nil || len(some) != 0 {
			t.Error(some, err)
		}
		if err := p.verify(t, "ann", p.code(t, w.Secret, 0)); !errors.Is(err, auth.ErrWrong) {
			t.Error("its code signs in: ", err)
		}
		if list, err := p.list(ctx, web.None{}); err != nil || len(list.Authenticators) != 0 {
			t.Error(list, err)
		}
		for name, do := range map[string]func() error{
			"renamed": func() error { return p.renamed(t, "ann", w.ID) },
			"removed": func() error { return p.removed(t, "ann", w.ID) },
		} {
			if err := do(); !errors.Is(err, auth.ErrNotFound) {
				t.Error(name, err)
			}
		}
	})
}

// T3
func TestOnlyTheCurrentCodeConfirms(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		ctx := p.as(t, "ann", "s")
		w := p.begun(t, ctx)
		for _, off := range []int64{-3, -2, 2, 3, 100} {
			if err := p.confirmed(ctx, w.ID, p.code(t, w.Secret, off), ""); !errors.Is(err, auth.ErrWrong) {
				t.Errorf("step %+d: %v", off, err)
			}
		}
		for _, code := range []auth.Secret{"", "12345", "1234567", "１２３４５６"} {
			if err := p.confirmed(ctx, w.ID, code, ""); !errors.As(err, new(auth.InvalidError)) {
				t.Errorf("%q: %v", string(code), err)
			}
		}
		code := p.code(t, w.Secret, 0)
		if err := p.confirmed(ctx, w.ID, code, " Pixel "); err != nil {
			t.Fatal(err)
		}
		if err := p.confirmed(ctx, w.ID, code, ""); !errors.Is(err, auth.ErrNotFound) {
			t.Error("confirmed twice: ", err)
		}
		list, err := p.list(ctx, web.None{})
		if err != nil || len(list.Authenticators) != 1 || list.Authenticators[0].Name != "Pixel" || !list.Authenticators[0].Added.Equal(p.clock.Now()) {
			t.Error(list, err)
		}
	})
}

// T3, R2
func TestOfManyConfirmationsAtOnceOneCounts(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		ctx := p.as(t, "ann", "s")
		w := p.begun(t, ctx)
		code := p.code(t, w.Secret, 0)
		var (
			all  sync.WaitGroup
			mu   sync.Mutex
			good int
		)
		for range 20 {
			all.Go(func() {
				err := p.confirmed(ctx, w.ID, code, "")
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					good++
				case !errors.Is(err, auth.ErrWrong) && !errors.Is(err, auth.ErrNotFound):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if good != 1 {
			t.Error(good, "confirmations")
		}
	})
}

// T1: whoever reloads the page or comes back to it goes on with the secret their app has scanned already.
func TestWhoStartsAgainSeesTheSameSecret(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		ctx := p.as(t, "ann", "s")
		one := p.begun(t, ctx)
		p.clock.Wait(59 * time.Minute)
		two := p.begun(t, ctx)
		three, err := p.resume(ctx, Which{one.ID})
		if err != nil || one != two || two != three {
			t.Errorf("%v, %v, %v: %v", one.ID, two.ID, three.ID, err)
		}
		if bobs := p.begun(t, p.as(t, "bob", "s")); bobs.ID == one.ID || bobs.Secret == one.Secret {
			t.Error("somebody else has the same")
		}
	})
}

func TestManyStartsAtOnceMakeOneSecret(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		ctx := p.as(t, "ann", "s")
		var (
			all  sync.WaitGroup
			mu   sync.Mutex
			seen = map[string]bool{}
		)
		for range 20 {
			all.Go(func() {
				w, err := p.start(ctx, web.None{})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				seen[w.Secret] = true
			})
		}
		all.Wait()
		if len(seen) != 1 {
			t.Error(len(seen), "secrets")
		}
	})
}

func TestOneThatWaitedForAnHourIsForgotten(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		ctx := p.as(t, "ann", "s")
		old := p.begun(t, ctx)
		p.clock.Wait(time.Hour + time.Microsecond)
		fresh := p.begun(t, ctx)
		if fresh.ID == old.ID || fresh.Secret == old.Secret {
			t.Error("the same after an hour")
		}
		if _, err := p.resume(ctx, Which{old.ID}); !errors.Is(err, auth.ErrNotFound) {
			t.Error("the old one is shown: ", err)
		}
		if err := p.confirmed(ctx, old.ID, p.code(t, old.Secret, 0), ""); !errors.Is(err, auth.ErrNotFound) {
			t.Error("the old one is confirmed: ", err)
		}
	})
}

// An hour is an hour whether or not somebody starts anew meanwhile.
func TestOneThatWaitedForAnHourIsNeitherShownNorConfirmed(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		ctx := p.as(t, "ann", "s")
		old := p.begun(t, ctx)
		p.clock.Wait(24 * time.Hour)
		if _, err := p.resume(ctx, Which{old.ID}); !errors.Is(err, auth.ErrNotFound) {
			t.Error("shown: ", err)
		}
		if err := p.confirmed(ctx, old.ID, p.code(t, old.Secret, 0), ""); !errors.Is(err, auth.ErrNotFound) {
			t.Error("confirmed: ", err)
		}
	})
}

// R4: every artefact carries the security epoch. A secret that somebody saw before the password changed, or before all
// sessions were ended, must not become the authenticator of whoever sets one up after it.
func TestAWaitingSecretDoesNotOutliveAChangeOfCredentials(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		intruder := p.begun(t, p.as(t, "ann", "theirs"))
		err := p.DB.Tx(t.Context(), func(tx auth.Tx) error {
			return p.Revoker.RevokeOthers(t.Context(), tx, "id-ann", "mine") // as a change of password does
		})
		if err != nil {
			t.Fatal(err)
		}
		mine := p.begun(t, p.as(t, "ann", "mine"))
		if mine.Secret == intruder.Secret {
			t.Error("the owner is given the secret that the intruder has seen")
		}
	})
}

// R5: an artefact is bound to the transaction it was made in. Two browsers that know the password, on the way in
// (W4) or not, must not set up one secret between them.
func TestAWaitingSecretIsShownOnlyWhereItWasBegun(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		intruder := p.begun(t, p.as(t, "ann", "theirs"))
		if mine := p.begun(t, p.as(t, "ann", "mine")); mine.Secret == intruder.Secret {
			t.Error("another session is given the secret that this one has seen")
		}
	})
}

// T3
func TestAConfirmedSecretIsNeverShownAgain(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		w := p.enrolled(t, "ann")
		ctx := p.as(t, "ann", "s")
		if again, err := p.resume(ctx, Which{w.ID}); !errors.Is(err, auth.ErrNotFound) || again.Secret != "" {
			t.Error(again, err)
		}
		if next := p.begun(t, ctx); next.Secret == w.Secret || next.ID == w.ID {
			t.Error("a new start shows it")
		}
		list, err := p.list(ctx, web.None{})
		some, err2 := p.Enrolments(ctx, p.DB, "id-ann")
		if said := fmt.Sprintf("%+v %+v %v %v", list, some, err, err2); strings.Contains(said, w.Secret) {
			t.Error(said)
		}
	})
}

// R1: what is not theirs is not there, whichever way they ask.
func TestAnIdOfSomebodyElseIsNotFound(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		done := p.enrolled(t, "ann")
		waiting := p.begun(t, p.as(t, "ann", "s"))
		ctx := p.as(t, "bob", "s")
		for name, do := range map[string]func() error{
			"resume": func() error { _, err := p.resume(ctx, Which{waiting.ID}); return err },
			"confirm": func() error {
				return p.confirmed(ctx, waiting.ID, p.code(t, waiting.Secret, 0), "")
			},
			"rename":      func() error { return p.renamed(t, "bob", done.ID) },
			"remove":      func() error { return p.removed(t, "bob", done.ID) },
			"an empty id": func() error { return p.removed(t, "ann", "") },
		} {
			if err := do(); !errors.Is(err, auth.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		list, err := p.list(p.as(t, "ann", "s"), web.None{})
		if err != nil || len(list.Authenticators) != 1 || list.Authenticators[0].Name != "Authenticator" {
			t.Error(list, err)
		}
	})
}

// T4
func TestANameStandsOnOneLine(t *testing.T) {
	for typed, want := range map[string]string{
		"Pixel 9": "Pixel 9", "  Pixel  ": "Pixel", "": "Authenticator", "   ": "Authenticator", "手机": "手机", "📱": "📱", "<b>x</b>": "<b>x</b>",
		"a\nb": "", "a\rb": "", "a\tb": "", "a\x00b": "", "\x1b[31mred": "", "a\x7fb": "", "a\u0085b": "", "a\u009bb": "",
	} {
		got, err := cleanName(typed)
		if want != "" && (err != nil || got != want) {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
		var invalid auth.InvalidError
		if want == "" && (!errors.As(err, &invalid) || invalid.Field != "name") {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
}

// T4: line and paragraph separator are no control characters, yet text breaks the line there.
func TestALineSeparatorInANameIsRefused(t *testing.T) {
	for _, typed := range []string{"a\u2028b", "a\u2029b"} {
		if got, err := cleanName(typed); err == nil {
			t.Errorf("%q: %q", typed, got)
		}
	}
}

// A sealed secret opens in its own row alone: whoever can write to the database cannot give a person the authenticator
// of another.
func TestASealedSecretMovedToAnotherRowDoesNotOpen(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		anns, bobs := p.enrolled(t, "ann"), p.enrolled(t, "bob")
		p.clock.Wait(period * time.Second)
		err := p.DB.Tx(t.Context(), func(tx auth.Tx) error {
			_, err := tx.ExecContext(t.Context(), `UPDATE totp SET secret = (SELECT o.secret FROM totp o WHERE o.id = $2) WHERE id = $1`, anns.ID, bobs.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, code := range map[string]auth.Secret{"their own code": p.code(t, anns.Secret, 0), "the code of the other": p.code(t, bobs.Secret, 0)} {
			claim, err := p.Verify(t.Context(), auth.Attempt{User: auth.User{ID: "id-ann"}}, code)
			if claim != nil || err == nil || errors.Is(err, auth.ErrWrong) {
				t.Errorf("%s: a claim %v, error %v", name, claim != nil, err)
			}
			if said := fmt.Sprintf("%+v", err); strings.Contains(said, string(code)) || strings.Contains(said, bobs.Secret) {
				t.Error(said)
			}
		}
		if err := p.verify(t, "bob", p.code(t, bobs.Secret, 0)); err != nil {
			t.Error("the row that was not touched: ", err)
		}
	})
}

// The database holds nothing that makes a code.
func TestTheSecretStandsNowhereInTheDatabase(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		w := p.enrolled(t, "ann")
		plain := string(unbase32(t, w.Secret))
		var stored []byte
		if err := p.DB.QueryRowContext(t.Context(), `SELECT secret FROM totp WHERE id = $1`, w.ID).Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if s := string(stored); strings.Contains(s, plain) || strings.Contains(s, w.Secret) {
			t.Error("it stands there in the clear")
		}
	})
}

// Wrong codes while one is set up are counted, though they open nothing, and a right one gives back its own.
func TestWrongCodesDuringEnrolmentAreCounted(t *testing.T) {
	each(t, func(t *testing.T, p *phone) {
		ctx := p.as(t, "ann", "s")
		w := p.begun(t, ctx)
		var err error
		for range 30 {
			if err = p.confirmed(ctx, w.ID, p.code(t, w.Secret, 5), ""); !errors.Is(err, auth.ErrWrong) {
				t.Fatal(err)
			}
		}
		if err = p.confirmed(ctx, w.ID, p.code(t, w.Secret, 0), ""); !errors.As(err, new(auth.ThrottledError)) {
			t.Error("after 30 wrong ones: ", err)
		}
		p.clock.Wait(time.Minute)
		if err = p.confirmed(ctx, w.ID, p.code(t, w.Secret, 0), ""); err != nil {
			t.Error("after the wait: ", err)
		}
	})
}
