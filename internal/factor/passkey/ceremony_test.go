package passkey

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/factor/softkey"
	"sallyport/internal/visit"
)

// R5: a challenge is bound to person, purpose, transaction and browser. What is right in one ceremony is wrong in any other.
func TestAnAnswerBelongsToItsCeremony(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		k := d.registered(t, d.ann)
		nobody := func() *visit.Visit { return &visit.Visit{Sent: []string{"theme=dark"}} }
		for name, c := range map[string]struct{ asked, answered *visit.Visit }{
			"another sign-in":                                  {pending("p", d.ann), pending("q", d.ann)},
			"another session":                                  {session("s", d.ann), session("t", d.ann)},
			"a sign-in, in a session":                          {pending("p", d.ann), session("s", d.ann)},
			"a session, in a sign-in":                          {session("s", d.ann), pending("p", d.ann)},
			"no name, in a sign-in":                            {from("one"), pending("p", d.ann)},
			"no name, in a sign-in of the same browser":        {from("one"), &visit.Visit{Sent: from("one").Sent, Pending: pending("p", d.ann).Pending}},
			"no name, in a session of the same browser":        {from("one"), &visit.Visit{Sent: from("one").Sent, Session: session("s", d.ann).Session}},
			"a sign-in, where it ended":                        {pending("p", d.ann), from("one")},
			"a session, where it ended":                        {session("s", d.ann), from("one")},
			"another browser":                                  {from("one"), from("two")},
			"no browser":                                       {from("one"), nobody()},
			"an empty name of a browser":                       {from("one"), from("")},
			"another cookie of that name":                      {from("one"), &visit.Visit{Sent: []string{"passkey=one"}}},
			"a browser that took the name of a sign-in":        {pending("p", d.ann), from("p of id-ann")},
			"a browser that took the name of a session":        {session("s", d.ann), from("s of id-ann")},
			"somebody else in a session of the same name":      {session("s", d.bob), &visit.Visit{Session: auth.Session{ID: session("s", d.bob).Session.ID, User: d.ann}}},
			"somebody else in a sign-in of the same name":      {pending("p", d.bob), &visit.Visit{Pending: auth.Pending{ID: pending("p", d.bob).Pending.ID, User: d.ann}}},
			"somebody who was asked and has no passkey at all": {session("s", auth.User{ID: "id-ann\x00"}), session("s", d.ann)},
		} {
			t.Run(name, func(t *testing.T) {
				asked, answered := visit.With(t.Context(), c.asked), visit.With(t.Context(), c.answered)
				challenge, _ := d.ask(asked, ceremony{asserting, c.asked.Person().ID})
				options := []byte(`{"rpId":"example.com","challenge":"` + b64(challenge) + `"}`)
				said, before := answer(t, k, options), d.kept(t)
				_, err := d.prove(answered, said)
				refused(t, err, unasked)
				if after := d.kept(t); after != before {
					t.Errorf("it was %s and is %s", before, after)
				}
				if c.asked.Person().ID == d.bob.ID || c.asked.Person().ID == "id-ann\x00" {
					return
				}
				if _, err := d.prove(asked, said); err != nil { // it was not used up by whoever took it elsewhere
					t.Error("where it was asked: ", err)
				}
			})
		}
	})
}

// R5: what was asked for one purpose answers no other. An authenticator signs what it is given, so an answer to a
// challenge of another purpose can be had.
func TestAnAnswerServesItsPurpose(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		k := d.registered(t, d.ann)
		other := func(ctx context.Context, to purpose) softkey.Lie {
			challenge, _ := d.ask(ctx, ceremony{to, d.ann.ID})
			return client(func(c *softkey.ClientData) { c.Challenge = b64(challenge) })
		}
		for _, w := range []way{second, stepUp} {
			ctx := w.as(t, d.ann)
			for _, to := range []purpose{creating, upgrading, "", "asserting"} {
				_, err := d.prove(ctx, answer(t, k, d.asked(t, ctx), other(ctx, to)))
				refused(t, err, unasked)
			}
			d.wrongly(t, w, creating, softkey.New(here), unasked, other(ctx, asserting))
			d.wrongly(t, w, upgrading, softkey.New(here), unasked, other(ctx, asserting))
			k = d.registered(t, d.ann)
		}
		for name, v := range map[string]*visit.Visit{"another session": session("t", d.ann), "a sign-in": pending("p", d.ann), "bob": session("s", d.bob)} {
			said := d.creation(t, visit.With(t.Context(), v), creating, softkey.New(here))
			if _, err := d.register(stepUp.as(t, d.ann), said); err == nil {
				t.Error("a passkey asked for by ", name)
			} else {
				refused(t, err, unasked)
			}
		}
	})
}

// R5: ann was asked and bob answers, with the key in his hand.
func TestTheKeyOfAnotherIsForeign(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		keys := map[auth.UserID]*softkey.Key{d.ann.ID: d.registered(t, d.ann), d.bob.ID: d.registered(t, d.bob)}
		for _, pair := range [][2]auth.User{{d.ann, d.bob}, {d.bob, d.ann}} {
			asked, answers := pair[0], pair[1]
			for _, w := range []way{second, stepUp} {
				challenge, err := softkey.Challenge(d.asked(t, w.as(t, asked)))
				if err != nil {
					t.Fatal(err)
				}
				options := []byte(`{"rpId":"example.com","challenge":"` + b64(challenge) + `"}`) // without a list of credentials
				said, before := answer(t, keys[answers.ID], options), d.kept(t)
				_, err = d.prove(w.as(t, asked), said)
				refused(t, err, foreign)
				_, err = d.prove(w.as(t, answers), said)
				refused(t, err, unasked)
				if after := d.kept(t); after != before {
					t.Errorf("it was %s and is %s", before, after)
				}
				d.honest(t, w.as(t, asked), keys[asked.ID])
			}
		}
	})
}

// R2: a challenge is answered once, rightly or wrongly.
func TestAChallengeIsAnsweredOnce(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		k := d.registered(t, d.ann)
		broken := func(s *softkey.Said) { s.Signature = flip(-1) }
		for _, w := range ways {
			ctx := w.as(t, d.ann)
			for name, c := range map[string]struct {
				first, then []softkey.Lie
				why         refusal
			}{
				"right after right":              {nil, nil, answered},
				"right after wrong":              {[]softkey.Lie{broken}, nil, answered},
				"right after another credential": {[]softkey.Lie{func(s *softkey.Said) { s.CredentialID = random(32) }}, nil, answered},
				"right after another origin":     {[]softkey.Lie{origin("https://evil.example")}, nil, answered},
				"wrong after right":              {nil, []softkey.Lie{broken}, invalid},
				"wrong after wrong":              {[]softkey.Lie{broken}, []softkey.Lie{broken}, invalid},
			} {
				t.Run(w.name+", "+name, func(t *testing.T) {
					options := d.asked(t, ctx)
					one, two := answer(t, k, options, c.first...), answer(t, k, options, c.then...)
					if _, err := d.prove(ctx, one); (err == nil) != (c.first == nil) {
						t.Error("the first: ", err)
					}
					before := d.kept(t)
					_, err := d.prove(ctx, two)
					refused(t, err, c.why)
					if after := d.kept(t); after != before {
						t.Errorf("it was %s and is %s", before, after)
					}
					d.honest(t, ctx, k)
				})
			}
		}
	})
}

// R2: on the way to a new passkey as well.
func TestANewPasskeyIsAnsweredOnce(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		for _, w := range []way{second, stepUp} {
			ctx := w.as(t, d.ann)
			options, err := d.options(ctx, creating)
			if err != nil {
				t.Fatal(err)
			}
			for i, k := range []*softkey.Key{softkey.New(here), softkey.New(here)} {
				said, err := k.Create(options.JSON)
				if err != nil {
					t.Fatal(err)
				}
				before := d.kept(t)
				d.clock.Wait(time.Second) // rows are in the order of time
				if _, err = d.register(ctx, said); i == 0 && err != nil {
					t.Fatal(err)
				}
				if i == 1 {
					refused(t, err, answered)
					if after := d.kept(t); after != before {
						t.Errorf("it was %s and is %s", before, after)
					}
				}
			}
		}
		if rows, why := d.failures(t); rows != 2 || why != answered.Why() {
			t.Error(rows, why)
		}
	})
}

// A challenge holds for five minutes, whether one signs in or adds a passkey.
func TestAChallengeEndsAfterFiveMinutes(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		k := d.registered(t, d.ann)
		for _, w := range ways {
			for wait, late := range map[time.Duration]bool{5*time.Minute - time.Nanosecond: false, 5 * time.Minute: true, 24 * time.Hour: true} {
				ctx := w.as(t, d.ann)
				d.clock.Wait(d.clock.Now().Truncate(time.Minute).Add(time.Minute).Sub(d.clock.Now())) // challenges end at whole seconds
				options := d.asked(t, ctx)
				d.clock.Wait(wait)
				_, err := d.prove(ctx, answer(t, k, options))
				d.judge(t, w.name, wait, late, err)
				if w.name == nameless.name {
					continue
				}
				d.clock.Wait(d.clock.Now().Truncate(time.Minute).Add(time.Minute).Sub(d.clock.Now()))
				said := d.creation(t, ctx, creating, softkey.New(here))
				d.clock.Wait(wait)
				_, err = d.register(ctx, said)
				d.judge(t, w.name, wait, late, err)
			}
		}
	})
}

func (d *door) judge(t *testing.T, name string, waited time.Duration, isLate bool, err error) {
	t.Helper()
	if isLate {
		refused(t, err, late)
	} else if err != nil {
		t.Errorf("%s, after %v: %v", name, waited, err)
	}
}

// What is swept is too old to be answered.
func TestSweepingGivesNoAnswerBack(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		k, ctx := d.registered(t, d.ann), second.as(t, d.ann)
		said := answer(t, k, d.asked(t, ctx))
		if _, err := d.prove(ctx, said); err != nil {
			t.Fatal(err)
		}
		for _, wait := range []time.Duration{0, 4 * time.Minute, 59 * time.Second, time.Second, time.Hour} {
			d.clock.Wait(wait)
			if err := d.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := d.prove(ctx, said); !errors.Is(err, auth.ErrWrong) {
				t.Errorf("after %v more: %v", wait, err)
			}
		}
		var left int
		if err := d.DB.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM passkey_answers`).Scan(&left); err != nil || left > 0 {
			t.Error(left, "are left", err)
		}
	})
}

func counting(k *softkey.Key) { k.Counting = true }

// Web Authentication Level 3, section 6.1.1: whoever copied a key is found by its counter.
func TestACounterGrows(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		k := d.registered(t, d.ann, counting)
		for range 3 {
			d.honest(t, second.as(t, d.ann), k)
		}
		for _, w := range ways {
			ctx := w.as(t, d.ann)
			d.honest(t, ctx, k)
			before := d.kept(t)
			for name, lie := range map[string]func(uint32) uint32{
				"the same": func(n uint32) uint32 { return n - 1 }, // an answer that is refused counts in the key all the same
				"back":     func(n uint32) uint32 { return n - 3 },
				"zero":     func(uint32) uint32 { return 0 },
			} {
				twin := k.Clone()
				_, err := d.claim(ctx, answer(t, twin, d.asked(t, ctx), func(s *softkey.Said) { s.Counter = lie(s.Counter) }))
				if refused(t, err, cloned); t.Failed() {
					t.Fatal(name)
				}
			}
			if after := d.kept(t); after != before {
				t.Errorf("it was %s and is %s", before, after)
			}
			d.honest(t, ctx, k)
		}
		first := d.registered(t, d.bob) // it begins to count after it was made
		first.Counting = true
		d.honest(t, second.as(t, d.bob), first)
		first.Counting = false
		for range 2 { // zero means that it does not count, but the same number twice does not
			_, err := d.prove(second.as(t, d.bob), answer(t, first, d.asked(t, second.as(t, d.bob))))
			refused(t, err, cloned)
		}
	})
}

func TestTheCloneOfAKeyIsFoundOut(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		for _, w := range ways {
			ctx := w.as(t, d.ann)
			k := d.registered(t, d.ann, counting)
			twin := k.Clone()
			d.honest(t, ctx, k)
			before := d.kept(t)
			_, err := d.prove(ctx, answer(t, twin, d.asked(t, ctx)))
			refused(t, err, cloned)
			if after := d.kept(t); after != before {
				t.Errorf("it was %s and is %s", before, after)
			}
			d.honest(t, ctx, k)
		}
	})
}

// R2: both were verified before either counted.
func TestOfTwoClonesAtOnceOnePasses(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		for _, w := range ways {
			ctx, k := w.as(t, d.ann), d.registered(t, d.ann, counting)
			for range 10 {
				twin := k.Clone()
				var (
					all    sync.WaitGroup
					start  = make(chan struct{})
					mu     sync.Mutex
					proofs int
				)
				for _, one := range []*softkey.Key{k, twin} {
					claim, err := d.claim(ctx, answer(t, one, d.asked(t, ctx)))
					if err != nil {
						t.Fatal(err)
					}
					all.Go(func() {
						<-start
						_, err := d.spend(ctx, claim)
						mu.Lock()
						defer mu.Unlock()
						if err == nil {
							proofs++
						} else {
							refused(t, err, cloned)
						}
					})
				}
				close(start)
				if all.Wait(); proofs != 1 {
					t.Errorf("%s: %d proofs of a key and its clone", w.name, proofs)
				}
			}
		}
	})
}

// Whoever begins without a name is known by a cookie until they have one, always the same.
func TestABrowserIsNamedOnce(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		fresh := visit.With(t.Context(), &visit.Visit{})
		one, err := d.Challenge(fresh, "")
		if err != nil || len(one.Cookies) != 1 {
			t.Fatal(one, err)
		}
		if c := one.Cookies[0]; c.Name != browserCookie || len(c.Value) < 32 || !c.HttpOnly || !c.Secure {
			t.Errorf("%+v", c)
		}
		if other, err := d.Challenge(fresh, ""); err != nil || len(other.Cookies) != 1 || other.Cookies[0].Value == one.Cookies[0].Value {
			t.Error("two browsers have one name", err)
		}
		for _, w := range ways { // it has a name, or a sign-in, or a session
			d.registered(t, d.ann)
			if again, err := d.Challenge(w.as(t, d.ann), ""); err != nil || len(again.Cookies) != 0 {
				t.Errorf("%s: %v, %v", w.name, again.Cookies, err)
			}
		}
	})
}
