package passkey

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor/factortest"
	"sallyport/internal/factor/softkey"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

const here = "https://login.example.com"

var schemas = []fs.FS{user.Schema, throttle.Schema, audit.Schema, Schema}

// A door has our factor on a database, two people, and a clock.
type door struct {
	*Passkey
	ann, bob auth.User
	clock    *factortest.Clock
}

var party = Party{ID: "example.com", Name: "Sallyport", Origin: here}

func parts(t *testing.T, d *db.DB, clock func() time.Time) Parts {
	t.Helper()
	rules := policy.Rules{MFA: policy.Optional, Factors: []auth.Kind{Kind}, LastFactor: policy.Refuse, StepUp: 10 * time.Minute}
	return Parts{DB: d, Keys: factortest.Keys(t), Users: user.NewStore(d), Trail: audit.New(d, make([]byte, 32), clock), Throttle: throttle.New(d, clock),
		Roster: roster.New(rules, factortest.Alone{}, clock), Revoker: factortest.Epochs(d), Party: party, Rules: Rules{Use: Enabled}, Clock: clock}
}

func made(t *testing.T, p Parts) *Passkey {
	t.Helper()
	k, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	p.Roster.Add(nil, k)
	return k
}

func each(t *testing.T, test func(t *testing.T, d *door)) {
	t.Helper()
	dbtest.Each(t, schemas, func(t *testing.T, data *db.DB) { test(t, opened(t, data, func(*Parts) {})) })
}

// opened is a door whose parts were changed.
func opened(t *testing.T, data *db.DB, change func(*Parts)) *door {
	t.Helper()
	d := &door{clock: factortest.NewClock()}
	p := parts(t, data, d.clock.Now)
	change(&p)
	d.Passkey = made(t, p)
	d.ann, d.bob = factortest.Person(t, data, "ann", d.clock.Now()), factortest.Person(t, data, "bob", d.clock.Now())
	return d
}

// A way is what a passkey is asked for in.
type way struct {
	name string
	of   func(u auth.User) *visit.Visit
}

var (
	nameless = way{"a sign-in without a name", func(auth.User) *visit.Visit { return from("one browser") }}
	second   = way{"a second step", func(u auth.User) *visit.Visit { return pending("p", u) }}
	stepUp   = way{"a step-up", func(u auth.User) *visit.Visit { return session("s", u) }}
	ways     = []way{nameless, second, stepUp}
)

// from is a visit of nobody yet, from a browser that began to sign in.
func from(browser string) *visit.Visit {
	return &visit.Visit{Sent: []string{browserCookie + "=" + browser}}
}

func pending(id string, u auth.User) *visit.Visit {
	return &visit.Visit{Pending: auth.Pending{ID: id + " of " + string(u.ID), User: u}}
}

func session(id string, u auth.User) *visit.Visit {
	return &visit.Visit{Session: auth.Session{ID: auth.SessionID(id + " of " + string(u.ID)), User: u}}
}

func (w way) as(t *testing.T, u auth.User) context.Context { return visit.With(t.Context(), w.of(u)) }

// asked is the options of an assertion.
func (d *door) asked(t *testing.T, ctx context.Context) []byte {
	t.Helper()
	c, err := d.Challenge(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	return c.JSON
}

// answer is what a key says to options.
func answer(t *testing.T, k *softkey.Key, options []byte, lies ...softkey.Lie) []byte {
	t.Helper()
	said, err := k.Get(options, lies...)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// claim is the first half of prove: whom the response comes from, and whether it is right. It is what signin.opened,
// signin.second and stepup.prove do.
func (d *door) claim(ctx context.Context, response []byte) (auth.Claim, error) {
	who, found := visit.Of(ctx).Person(), ctx
	if who.ID == "" {
		known, owner, err := d.Find(ctx, auth.Secret(response))
		switch {
		case err == nil:
			found, who = known, owner
		case !errors.Is(err, auth.ErrNotFound):
			return nil, err
		}
	}
	take := func(context.Context) (auth.Attempt, error) { return auth.Attempt{User: who, Left: 3}, nil }
	_, claim, err := roster.Attempt(found, d, auth.Secret(response), take)
	if err != nil && claim != nil {
		return nil, fmt.Errorf("a claim, beside: %v", err)
	}
	return claim, err
}

func (d *door) spend(ctx context.Context, claim auth.Claim) (proof auth.Proof, err error) {
	err = d.DB.Tx(ctx, func(tx auth.Tx) (err error) {
		proof, err = claim(ctx, tx)
		return err
	})
	return proof, err
}

// prove is the whole way of a response, from the request to the proof.
func (d *door) prove(ctx context.Context, response []byte) (auth.Proof, error) {
	claim, err := d.claim(ctx, response)
	if err != nil {
		return auth.Proof{}, err
	}
	return d.spend(ctx, claim)
}

// honest fails unless the truth is accepted.
func (d *door) honest(t *testing.T, ctx context.Context, k *softkey.Key) auth.Proof {
	t.Helper()
	proof, err := d.prove(ctx, answer(t, k, d.asked(t, ctx)))
	if err != nil || proof.Kind != Kind || proof.Enrolment == "" || !proof.At.Equal(d.clock.Now()) {
		t.Fatalf("the truth: %+v, %v", proof, err)
	}
	return proof
}

// creation is what a key says to fresh options for a new passkey.
func (d *door) creation(t *testing.T, ctx context.Context, to purpose, k *softkey.Key, lies ...softkey.Lie) []byte {
	t.Helper()
	c, err := d.options(ctx, to)
	if err != nil {
		t.Fatal(err)
	}
	said, err := k.Create(c.JSON, lies...)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// register adds a passkey, and says what it proved.
func (d *door) register(ctx context.Context, response []byte) (proof auth.Proof, err error) {
	_, err = d.add(ctx, Addition{Response: auth.Secret(response)}, func(auth.Tx) error { return nil },
		func(_ context.Context, _ auth.Tx, p auth.Proof) (web.Onward, error) {
			proof = p
			return web.Onward{}, nil
		})
	return proof, err
}

// registered is a key with which somebody registered, changed before by whoever asks.
func (d *door) registered(t *testing.T, u auth.User, change ...func(*softkey.Key)) *softkey.Key {
	t.Helper()
	k := softkey.New(here)
	for _, c := range change {
		c(k)
	}
	if _, err := d.register(stepUp.as(t, u), d.creation(t, stepUp.as(t, u), creating, k)); err != nil {
		t.Fatal(err)
	}
	return k
}

// kept is all that stands in the table of passkeys.
func (d *door) kept(t *testing.T) (rows string) {
	t.Helper()
	for _, u := range []auth.User{d.ann, d.bob} {
		all, err := d.all(t.Context(), d.DB, u.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range all {
			sum := sha256.Sum256(fmt.Appendf(nil, "%+v", k)) // every column
			rows += fmt.Sprintf("\n%s %s, %d uses, last %v, %x", k.owner.ID, k.id, k.count, k.used, sum[:8])
		}
	}
	return rows
}

// refused fails unless err is the refusal, and therefore auth.ErrWrong and nothing else.
func refused(t *testing.T, err error, why refusal) {
	t.Helper()
	var invalid auth.InvalidError
	var r refusal
	switch {
	case !errors.Is(err, auth.ErrWrong), errors.As(err, &invalid):
		t.Errorf("%v, want ErrWrong", err)
	case !errors.As(err, &r) || r != why:
		t.Errorf("refused as %q, want %q", r, why)
	}
}

func TestThePasskeyKeepsTheContractOfAFactor(t *testing.T) {
	factortest.Run(t, factortest.Subject{
		Schemas: []fs.FS{throttle.Schema, audit.Schema, Schema},
		New:     func(t *testing.T, d *db.DB, clock func() time.Time) auth.Factor { return made(t, parts(t, d, clock)) },
		Enrol: func(t *testing.T, f auth.Factor, u auth.User) func() auth.Secret {
			d := &door{Passkey: f.(*Passkey)}
			k, ctx := d.registered(t, u), factortest.Within(t.Context(), u)
			return func() auth.Secret { return auth.Secret(answer(t, k, d.asked(t, ctx))) }
		},
		Next: time.Second,
		Wrong: []auth.Secret{"{}", "null", "[]", "\"\"", "0", "true", `{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{}}`,
			`{"id":"","rawId":"","type":"public-key","response":null}`},
		Proof: auth.Proof{Kind: Kind, AMR: "swk", Level: auth.MultiFactor},
	})
}

// P7: a passkey that verified its user is two factors, one that was merely touched is one, when it is made and when it
// is used. RFC 8176: a key that can be copied is "swk", one that cannot is "hwk".
func TestWhatAUseProves(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		for name, c := range map[string]struct {
			key  func(*softkey.Key)
			want auth.Proof
		}{
			"synced, verified":      {func(*softkey.Key) {}, auth.Proof{AMR: "swk", Level: auth.MultiFactor}},
			"may sync, does not":    {func(k *softkey.Key) { k.BS = false }, auth.Proof{AMR: "swk", Level: auth.MultiFactor}},
			"synced, touched":       {func(k *softkey.Key) { k.UV = false }, auth.Proof{AMR: "swk", Level: auth.OneFactor}},
			"on a device, verified": {func(k *softkey.Key) { k.BE, k.BS = false, false }, auth.Proof{AMR: "hwk", Level: auth.MultiFactor}},
			"on a device, touched":  {func(k *softkey.Key) { k.BE, k.BS, k.UV = false, false, false }, auth.Proof{AMR: "hwk", Level: auth.OneFactor}},
		} {
			t.Run(name, func(t *testing.T) {
				k := softkey.New(here)
				c.key(k)
				made, err := d.register(second.as(t, d.ann), d.creation(t, second.as(t, d.ann), creating, k))
				if err != nil || made.AMR != c.want.AMR || made.Level != c.want.Level {
					t.Errorf("made: %+v, %v", made, err)
				}
				used := d.honest(t, second.as(t, d.ann), k)
				if used.AMR != c.want.AMR || used.Level != c.want.Level || used.Enrolment != made.Enrolment {
					t.Errorf("used: %+v, made: %+v", used, made)
				}
				for _, w := range []way{nameless, stepUp} {
					if c.want.Level == auth.OneFactor {
						_, err := d.prove(w.as(t, d.ann), answer(t, k, d.asked(t, w.as(t, d.ann))))
						refused(t, err, unverified)
					} else if p := d.honest(t, w.as(t, d.ann), k); p.Level != auth.MultiFactor {
						t.Errorf("%s: %+v", w.name, p)
					}
				}
			})
		}
	})
}

// P3: what the list on the Security page says of a passkey is as its last use was.
func TestAUseIsWrittenDown(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		k := d.registered(t, d.ann, func(k *softkey.Key) { k.BS, k.Counting = false, true })
		for _, synced := range []bool{true, false} {
			d.clock.Wait(time.Hour)
			k.BS = synced
			d.honest(t, second.as(t, d.ann), k)
			all, err := d.all(t.Context(), d.DB, d.ann.ID)
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			if got := all[0]; got.backedUp != synced || !got.eligible || !got.used.Equal(d.clock.Now()) || got.count == 0 {
				t.Errorf("synced %v: %+v", synced, got)
			}
		}
	})
}

// A passkey is for one relying party. Where the site has moved to another it is void, and proves nothing even if its key
// would sign for the new one.
func TestAPasskeyOfAnotherPartyIsVoid(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		k := d.registered(t, d.ann)
		moved := d.Parts
		moved.Party.ID = "login.example.com"
		now := &door{Passkey: made(t, moved), ann: d.ann, bob: d.bob, clock: d.clock}
		for _, w := range ways {
			ctx := w.as(t, d.ann)
			challenge, _ := now.ask(ctx, ceremony{asserting, visit.Of(ctx).Person().ID})
			options := []byte(`{"rpId":"example.com","challenge":"` + b64(challenge) + `"}`)
			for _, lies := range [][]softkey.Lie{nil, {rpid("login.example.com")}} {
				_, err := now.prove(ctx, answer(t, k, options, lies...))
				refused(t, err, unknown)
			}
			if _, err := now.Challenge(ctx, ""); (err == nil) != (w.name == nameless.name) {
				t.Errorf("%s: %v", w.name, err)
			}
		}
		some, err := now.Enrolments(t.Context(), now.DB, d.ann.ID)
		if err != nil || len(some) != 1 || some[0].State != auth.Void {
			t.Error(some, err)
		}
		some, err = d.Enrolments(t.Context(), d.DB, d.ann.ID)
		if err != nil || len(some) != 1 || some[0].State != auth.Usable {
			t.Error(some, err)
		}
		d.honest(t, second.as(t, d.ann), k)
	})
}
