package recovery

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor/accesspass"
	"sallyport/internal/factor/factortest"
	"sallyport/internal/factor/onetime"
	"sallyport/internal/notify"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/session"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

// A lostStub is a factor of which everybody has the same.
type lostStub struct {
	kind auth.Kind
	has  []auth.Enrolment
}

func (s lostStub) Kind() auth.Kind { return s.kind }
func (s lostStub) Enrolments(context.Context, auth.Reader, auth.UserID) ([]auth.Enrolment, error) {
	return s.has, nil
}
func (lostStub) Verify(context.Context, auth.Attempt, auth.Secret) (auth.Claim, error) {
	return nil, auth.ErrWrong
}

var (
	byWord    = auth.Proof{Kind: "password", Enrolment: "password", Level: auth.OneFactor}
	byCode    = auth.Proof{Kind: "totp", Enrolment: "phone", Level: auth.OneFactor}
	byKey     = auth.Proof{Kind: "passkey", Enrolment: "laptop", Level: auth.MultiFactor}
	byOwn     = auth.Proof{Kind: onetime.Email, Enrolment: "inbox", Level: auth.OneFactor, Weak: true}
	byAddress = auth.Proof{Kind: onetime.Email, Enrolment: "address", Level: auth.OneFactor, Weak: true, Given: true}
	byPass    = auth.Proof{Kind: accesspass.Kind, Enrolment: "pass", Level: auth.OneFactor, Given: true}
)

// eachLost is a Recovery with somebody who has an authenticator, or nothing, on both databases.
func eachLost(t *testing.T, has bool, test func(*testing.T, *Recovery, *factortest.Clock, auth.User)) {
	t.Helper()
	eachTold(t, has, map[notify.Channel]notify.Carrier{notify.Email: notify.Nowhere{}}, test)
}

// eachTold is the same where messages go by some carriers.
func eachTold(t *testing.T, has bool, carriers map[notify.Channel]notify.Carrier, test func(*testing.T, *Recovery, *factortest.Clock, auth.User)) {
	t.Helper()
	dbtest.Each(t, []fs.FS{user.Schema, throttle.Schema, audit.Schema, notify.Schema, onetime.Schema, session.Schema}, func(t *testing.T, d *db.DB) {
		clock := factortest.NewClock()
		rules := policy.Rules{MFA: policy.Optional, Factors: []auth.Kind{"totp", "passkey"}, Given: []auth.Kind{accesspass.Kind, onetime.Email},
			LastFactor: policy.Refuse, StepUp: 10 * time.Minute, Recovery: 72 * time.Hour}
		ros := roster.New(rules, factortest.Alone{}, clock.Now)
		second := lostStub{kind: "totp"}
		if has {
			second.has = []auth.Enrolment{{ID: "phone", Kind: "totp", Name: "Phone"}}
		}
		ros.Add(lostStub{"password", []auth.Enrolment{{ID: "password", Kind: "password"}}}, second)
		users, trail := user.NewStore(d), audit.New(d, make([]byte, 32), clock.Now)
		outbox := notify.New(notify.Parts{DB: d, Clock: clock.Now, Log: slog.New(slog.DiscardHandler), Carriers: carriers, Metrics: prometheus.NewRegistry()})
		r := New(Parts{DB: d, Users: users, Roster: ros, Outbox: outbox, Contacts: onetime.New(onetime.Parts{DB: d, Users: users, Outbox: outbox, Clock: clock.Now}),
			Throttle: throttle.New(d, clock.Now), Trail: trail, Revoker: factortest.Epochs(d),
			Sessions: session.New(session.Config{}, d, users, ros, trail, clock.Now), Clock: clock.Now})
		trail.Watch(r)
		test(t, r, clock, factortest.Person(t, d, "ann", clock.Now()))
	})
}

func (r *Recovery) now(t *testing.T, u auth.UserID) auth.User {
	t.Helper()
	now, err := r.Users.Get(t.Context(), r.DB, u)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func (r *Recovery) arrives(t *testing.T, u auth.User, proofs ...auth.Proof) {
	t.Helper()
	err := r.DB.Tx(t.Context(), func(tx auth.Tx) error {
		_, err := r.Arrived(t.Context(), tx, auth.Session{ID: "s", User: u, Proofs: proofs})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// inSession is a request in a session.
func inSession(t *testing.T, u auth.User, proofs ...auth.Proof) context.Context {
	return visit.With(t.Context(), &visit.Visit{Session: auth.Session{ID: "s", User: u, Proofs: proofs}})
}

func (r *Recovery) set(t *testing.T, change func(auth.Tx) error) {
	t.Helper()
	if err := r.DB.Tx(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

// L3: which sign-ins begin a wait, and which end one.
func TestASignInBeginsAWaitOrEndsIt(t *testing.T) {
	for name, c := range map[string]struct {
		has          bool
		proofs       []auth.Proof
		begins, ends bool
	}{
		"by a code to the address":                   {true, []auth.Proof{byWord, byAddress}, true, false},
		"by an access pass":                          {true, []auth.Proof{byWord, byPass}, true, false},
		"by both":                                    {true, []auth.Proof{byWord, byPass, byAddress}, true, false},
		"by a code by mail of their own":             {true, []auth.Proof{byWord, byOwn}, false, false},
		"by the password, in a trusted browser":      {true, []auth.Proof{byWord}, false, false},
		"by a mailed code alone":                     {true, []auth.Proof{byOwn}, false, false},
		"by the authenticator":                       {true, []auth.Proof{byWord, byCode}, false, true},
		"by a passkey alone":                         {true, []auth.Proof{byKey}, false, true},
		"by a mailed code and the authenticator":     {true, []auth.Proof{byOwn, byCode}, false, true},
		"by a code to the address, and it":           {true, []auth.Proof{byAddress, byCode}, false, false},
		"by what is enrolled nowhere":                {true, []auth.Proof{byWord, {Kind: "totp", Level: auth.OneFactor}}, false, false},
		"by what was set up after a pass on the way": {true, []auth.Proof{byWord, byPass, byCode}, false, false},
		"by a pass, who has nothing":                 {false, []auth.Proof{byWord, byPass}, false, false},
		"by an address, who has nothing":             {false, []auth.Proof{byWord, byAddress}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			eachLost(t, c.has, func(t *testing.T, r *Recovery, clock *factortest.Clock, u auth.User) {
				r.arrives(t, u, c.proofs...)
				until := clock.Now().Add(72 * time.Hour)
				if got := r.now(t, u.ID).Recovers; c.begins != got.Equal(until) || !c.begins != got.IsZero() {
					t.Errorf("begun: %v", got)
				}
				clock.Wait(time.Hour)
				r.set(t, func(tx auth.Tx) error { return r.Users.Recover(t.Context(), tx, u.ID, until) })
				r.arrives(t, r.now(t, u.ID), c.proofs...)
				if got := r.now(t, u.ID).Recovers; c.ends != got.IsZero() || !c.ends && !got.Equal(until) {
					t.Errorf("under way, it moved: %v", got)
				}
			})
		})
	}
}

// L3: a step-up by anything but the password ends it.
func TestAStepUpEndsAWaitUnlessByThePassword(t *testing.T) {
	eachLost(t, true, func(t *testing.T, r *Recovery, clock *factortest.Clock, u auth.User) {
		for kind, ends := range map[string]bool{"password": false, "totp": true, "passkey": true, "sms": true} {
			until := clock.Now().Add(time.Hour)
			r.set(t, func(tx auth.Tx) error { return r.Users.Recover(t.Context(), tx, u.ID, until) })
			r.set(t, func(tx auth.Tx) error {
				return r.Trail.Record(t.Context(), tx, auth.Event{Kind: auth.StepUpDone, User: u.ID, Detail: map[string]string{"factor": kind}})
			})
			if got := r.now(t, u.ID).Recovers; got.IsZero() != ends {
				t.Error(kind, got)
			}
		}
	})
}

// R4: whoever's session ended while the request was on its way begins nothing, and neither does who is disabled or frozen.
func TestWhatIsOverBeginsNothing(t *testing.T) {
	eachLost(t, true, func(t *testing.T, r *Recovery, clock *factortest.Clock, u auth.User) {
		ctx := inSession(t, u, byWord, byOwn)
		var frozen auth.ConflictError
		r.set(t, func(tx auth.Tx) error { return r.Users.Freeze(t.Context(), tx, u.ID, clock.Now().Add(time.Hour)) })
		if _, err := r.beginWait(ctx, web.None{}); !errors.As(err, &frozen) || frozen.Code != "frozen" {
			t.Error("frozen: ", err)
		}
		r.arrives(t, u, byWord, byAddress)
		clock.Wait(time.Hour)
		for _, proofs := range [][]auth.Proof{{byWord}, {byOwn}, {byOwn, byAddress}, {byAddress}, nil} {
			if _, err := r.beginWait(inSession(t, u, proofs...), web.None{}); err == nil {
				t.Error("begun by ", proofs)
			}
		}
		r.set(t, func(tx auth.Tx) error { _, err := r.Users.Bump(t.Context(), tx, u.ID); return err })
		if _, err := r.beginWait(ctx, web.None{}); !errors.Is(err, auth.ErrNotSignedIn) {
			t.Error("a session of another epoch: ", err)
		}
		if !r.now(t, u.ID).Recovers.IsZero() {
			t.Fatal("it began")
		}
		if _, err := r.beginWait(inSession(t, r.now(t, u.ID), byWord, byOwn), web.None{}); err != nil {
			t.Error(err)
		}
		r.set(t, func(tx auth.Tx) error { return r.Users.Recover(t.Context(), tx, u.ID, time.Time{}) })
		r.set(t, func(tx auth.Tx) error { return r.Users.Disable(t.Context(), tx, u.ID) })
		if _, err := r.beginWait(inSession(t, r.now(t, u.ID), byWord, byOwn), web.None{}); !errors.Is(err, auth.ErrNotSignedIn) {
			t.Error("disabled: ", err)
		}
	})
}

// Who cancels what is not under way leaves no row.
func TestWhatIsNotUnderWayIsNotEnded(t *testing.T) {
	eachLost(t, true, func(t *testing.T, r *Recovery, clock *factortest.Clock, u auth.User) {
		end := func() {
			t.Helper()
			if _, err := r.cancelWait(inSession(t, u, byWord), web.None{}); err != nil {
				t.Fatal(err)
			}
		}
		end()
		r.arrives(t, u, byWord, byAddress)
		clock.Wait(10*24*time.Hour - time.Microsecond)
		end()
		r.arrives(t, u, byWord, byAddress)
		clock.Wait(10 * 24 * time.Hour)
		end()
		all, err := r.Trail.Recent(t.Context(), u.ID, 10)
		if err != nil {
			t.Fatal(err)
		}
		ended := 0
		for _, e := range all {
			if e.Kind == auth.RecoveryEnded {
				ended++
			}
		}
		if ended != 1 || len(all) != 3 {
			t.Errorf("%d ended, %d rows", ended, len(all))
		}
	})
}

// L3: a wait that nobody is told of is none, whether it would begin by itself or by hand.
func TestNothingBeginsWhereNobodyIsReached(t *testing.T) {
	eachTold(t, true, nil, func(t *testing.T, r *Recovery, clock *factortest.Clock, u auth.User) {
		r.arrives(t, u, byWord, byPass)
		ctx, no := inSession(t, u, byWord, byPass), auth.ConflictError{}
		if _, err := r.beginWait(ctx, web.None{}); !errors.As(err, &no) || no.Code != "unreached" {
			t.Error(err)
		}
		if said, err := r.lost(ctx, web.None{}); err != nil || said.Why != no.Why || said.Begun {
			t.Errorf("%+v, %v", said, err)
		}
		if all, err := r.Trail.Recent(t.Context(), u.ID, 10); err != nil || len(all) > 0 || !r.now(t, u.ID).Recovers.IsZero() {
			t.Error("it began: ", all, err)
		}
	})
}
