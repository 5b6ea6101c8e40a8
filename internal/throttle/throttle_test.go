package throttle

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// A gate is a throttle with a clock.
type gate struct {
	*Throttle
	clock time.Time
}

func (g *gate) now() time.Time       { return g.clock }
func (g *gate) wait(d time.Duration) { g.clock = g.clock.Add(d) }

func on(d *db.DB) *gate {
	g := &gate{clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	g.Throttle = New(d, g.now)
	return g
}

func each(t *testing.T, test func(t *testing.T, g *gate)) {
	t.Helper()
	dbtest.Each(t, []fs.FS{Schema}, func(t *testing.T, d *db.DB) { test(t, on(d)) })
}

var ann = auth.User{ID: "ann"}

// take is one guess: how long to wait, 0 if it passed, -1 if it is locked.
func (g *gate) take(t *testing.T, keys ...Key) time.Duration {
	t.Helper()
	_, err := g.Take(t.Context(), ann, keys...)
	var wait auth.ThrottledError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wait):
		if wait.After <= 0 {
			t.Error("come back in ", wait.After)
		}
		return wait.After
	case errors.Is(err, auth.ErrLocked):
		return -1
	}
	t.Fatal(err)
	return 0
}

// pass takes guesses that must pass, waiting as long as each refusal says.
func (g *gate) pass(t *testing.T, n int, k Key) {
	t.Helper()
	for i := range n {
		for tries := 0; ; tries++ {
			wait := g.take(t, k)
			if wait == 0 {
				break
			}
			if wait < 0 || tries > 0 {
				t.Fatalf("guess %d of %d: %v", i+1, n, wait)
			}
			g.wait(wait)
		}
	}
}

func (g *gate) succeed(t *testing.T, a auth.Attempt) {
	t.Helper()
	if err := g.DB().Tx(t.Context(), func(tx auth.Tx) error { return g.Succeeded(t.Context(), tx, a) }); err != nil {
		t.Fatal(err)
	}
}

func (g *gate) DB() *db.DB { return g.db }

func (g *gate) taken(t *testing.T, keys ...Key) auth.Attempt {
	t.Helper()
	a, err := g.Take(t.Context(), ann, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (g *gate) failures(t *testing.T, k Key) (n int64) {
	t.Helper()
	err := g.db.QueryRowContext(t.Context(), `SELECT COALESCE(MAX(failures), 0) FROM throttle WHERE subject = $1`, k.subject).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A guess that the address refuses is looked at by nobody, so it must not lock out the account it was for, nor leave a
// row for every name a flood thinks of.
func TestAGuessRefusedByItsAddressIsNotCountedAgainstTheAccount(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		address, victim := FirstByAddress.For("192.0.2.1"), FirstByAccount.For("victim")
		g.pass(t, 30, address)
		for range 50 {
			if wait := g.take(t, victim, address); wait == 0 {
				t.Fatal("the address is not throttled")
			}
		}
		if n := g.failures(t, victim); n != 0 {
			t.Error(n, "counted against the account")
		}
		if wait := g.take(t, victim); wait != 0 {
			t.Error("the account waits ", wait)
		}
	})
}

// A sign-in that used up its guesses says so, and the account is not charged for more.
func TestAStepThatIsOverCostsTheAccountNothing(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		step, account := CodeByStep.For("pending"), CodeByAccount.For("ann")
		for range 5 {
			g.taken(t, account, step)
		}
		for range 5 {
			if _, err := g.Take(t.Context(), ann, account, step); !errors.Is(err, auth.ErrExpired) {
				t.Fatal(err)
			}
		}
		if n := g.failures(t, account); n != 5 {
			t.Error(n, "counted against the account, want 5")
		}
	})
}

// security.md, "Throttling"
func TestEachRulePassesItsLimitAndNoMore(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		for name, c := range map[string]struct {
			rule  Rule
			limit int
			wait  time.Duration
		}{
			"wrong passwords of an account":        {FirstByAccount, 10, 30 * time.Second},
			"wrong passwords of who is inside":     {FirstInside, 10, 30 * time.Second},
			"wrong passwords of an address":        {FirstByAddress, 30, 30 * time.Second},
			"wrong codes of an account":            {CodeByAccount, 10, 30 * time.Second},
			"wrong codes while one is being added": {SetupByAccount, 30, 30 * time.Second},
		} {
			k := c.rule.For("x")
			for i := range c.limit {
				if wait := g.take(t, k); wait != 0 {
					t.Errorf("%s: number %d waits %v", name, i+1, wait)
				}
			}
			for range 3 {
				if wait := g.take(t, k); wait != c.wait {
					t.Errorf("%s: after %d: %v, want %v", name, c.limit, wait, c.wait)
				}
			}
			if wait := g.take(t, c.rule.For("y")); wait != 0 {
				t.Errorf("%s: somebody else waits %v", name, wait)
			}
		}
	})
}

func TestOneSubjectOfTwoRulesIsTwoCounters(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		g.pass(t, 10, FirstByAccount.For("ann"))
		if wait := g.take(t, CodeByAccount.For("ann")); wait != 0 {
			t.Error("wrong passwords stop codes: ", wait)
		}
		if wait := g.take(t, FirstInside.For("ann")); wait != 0 {
			t.Error("wrong passwords at the door stop who is inside: ", wait)
		}
	})
}

func TestAWindowIsOverAfterFifteenMinutes(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		k := FirstByAccount.For("ann")
		g.pass(t, 9, k)
		g.wait(15*time.Minute - time.Microsecond)
		g.pass(t, 1, k) // the tenth within it
		if wait := g.take(t, k); wait != 30*time.Second {
			t.Error(wait)
		}
		other := FirstByAccount.For("bob")
		g.pass(t, 9, other)
		g.wait(15 * time.Minute)
		for i := range 10 {
			if wait := g.take(t, other); wait != 0 {
				t.Errorf("number %d of a new window waits %v", i+1, wait)
			}
		}
	})
}

// 30 s, doubling, up to an hour; a window that ends meanwhile forgives nothing.
func TestTheWaitDoublesUpToAnHour(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		for _, rule := range []Rule{FirstByAccount, FirstInside, CodeByAccount} {
			k := rule.For("ann")
			g.pass(t, 10, k)
			for _, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute,
				16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour, time.Hour, time.Hour, time.Hour, time.Hour, time.Hour} {
				if wait := g.take(t, k); wait != want {
					t.Errorf("%s: %v, want %v", rule.name, wait, want)
				}
				g.wait(want - time.Microsecond)
				if wait := g.take(t, k); wait != time.Microsecond {
					t.Errorf("%s: just before its end: %v", rule.name, wait)
				}
				g.wait(time.Microsecond)
				if wait := g.take(t, k); wait != 0 { // one guess, and it counts
					t.Errorf("%s: at its end: %v", rule.name, wait)
				}
			}
		}
	})
}

func TestADayOfQuietForgetsTheWaits(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		k := FirstByAccount.For("ann")
		g.pass(t, 14, k)
		g.wait(quiet - time.Microsecond)
		g.pass(t, 1, k) // still over the limit: the next one waits, longer than the one before
		if wait := g.take(t, k); wait < 4*time.Minute {
			t.Error("just before a day is over: ", wait)
		}
		g.wait(quiet)
		for i := range 10 {
			if wait := g.take(t, k); wait != 0 {
				t.Errorf("number %d after a day waits %v", i+1, wait)
			}
		}
		if wait := g.take(t, k); wait != 30*time.Second {
			t.Error("the first wait after a day is ", wait)
		}
	})
}

// A right guess gives back what it took, and what others took beside it stays.
func TestSuccessGivesBackOnlyItsOwn(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		k, other := CodeByAccount.For("ann"), CodeByAccount.For("bob")
		g.pass(t, 7, other)
		g.pass(t, 6, k)
		a := g.taken(t, k)
		g.pass(t, 2, k) // in parallel
		g.succeed(t, a)
		if n := g.failures(t, k); n != 8 {
			t.Error(n, "failures, want 8")
		}
		if n := g.failures(t, other); n != 7 {
			t.Error(n, "failures of somebody else, want 7")
		}
		g.pass(t, 2, k)
		if wait := g.take(t, k); wait != 30*time.Second {
			t.Error(wait)
		}
	})
}

func TestSuccessNeverCountsBelowNothing(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		k := FirstByAccount.For("ann")
		a := g.taken(t, k)
		for range 5 {
			g.succeed(t, a)
		}
		g.succeed(t, auth.Attempt{Keys: []string{"first:nobody"}}) // swept meanwhile
		if n := g.failures(t, k); n != 0 {
			t.Error(n)
		}
		for i := range 10 {
			if wait := g.take(t, k); wait != 0 {
				t.Errorf("number %d: %v", i+1, wait)
			}
		}
		if g.take(t, k) == 0 {
			t.Error("eleven pass")
		}
	})
}

// Success is part of the transaction it rewards.
func TestSuccessThatIsRolledBackGivesNothingBack(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		k := FirstByAccount.For("ann")
		a := g.taken(t, k)
		g.db.Tx(t.Context(), func(tx auth.Tx) error {
			return errors.Join(g.Succeeded(t.Context(), tx, a), errors.New("oops"))
		})
		if n := g.failures(t, k); n != 1 {
			t.Error(n)
		}
	})
}

// Whoever comes in after a wait waits no more, and may err again; guessing does not become free by it.
func TestSuccessAfterAWaitEndsTheWaiting(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		k := FirstByAccount.For("ann")
		g.pass(t, 12, k)
		g.wait(g.take(t, k))
		g.succeed(t, g.taken(t, k))
		if wait := g.take(t, k); wait != 0 {
			t.Error("right after it: ", wait)
		}
		passed := 1
		for ; passed < 20 && g.take(t, k) == 0; passed++ {
		}
		if passed > 5 {
			t.Errorf("%d guesses pass after it", passed)
		}
	})
}

// "100 failures in a row turn code factors off until recovery."
func TestAHundredWrongCodesInARowLock(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		k := CodeByAccount.For("ann")
		g.pass(t, 100, k)
		g.wait(time.Hour)
		if wait := g.take(t, k); wait != -1 {
			t.Error("number 101: ", wait)
		}
		g.wait(365 * 24 * time.Hour)
		if err := g.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if wait := g.take(t, k); wait != -1 {
			t.Error("after a year and a sweep: ", wait)
		}
		if wait := g.take(t, k, CodeByStep.For("p")); wait != -1 {
			t.Error("together with another counter: ", wait)
		}
		if wait := g.take(t, CodeByAccount.For("bob")); wait != 0 {
			t.Error("somebody else: ", wait)
		}
		forget := func(u auth.UserID, after error) {
			g.db.Tx(t.Context(), func(tx auth.Tx) error { return errors.Join(g.Forget(t.Context(), tx, u), after) })
		}
		forget("bob", nil)
		forget("ann", errors.New("oops"))
		if wait := g.take(t, k); wait != -1 {
			t.Error("after somebody else was recovered: ", wait)
		}
		forget("ann", nil)
		if wait := g.take(t, k); wait != 0 {
			t.Error("after recovery: ", wait)
		}
	})
}

func TestARightCodeEndsTheRow(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		k := CodeByAccount.For("ann")
		for range 2 {
			g.pass(t, 98, k)
			g.wait(time.Hour)
			g.succeed(t, g.taken(t, k))
		}
		if wait := g.take(t, k); wait != 0 {
			t.Error(wait)
		}
	})
}

// A quiet time ends waits, not the row: otherwise ten guesses a day would never lock.
func TestADayOfQuietDoesNotEndTheRow(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		k := CodeByAccount.For("ann")
		for range 10 {
			for range 10 {
				if wait := g.take(t, k); wait != 0 {
					t.Fatal(wait)
				}
			}
			g.wait(25 * time.Hour)
			if err := g.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if wait := g.take(t, k); wait != -1 {
			t.Error("number 101: ", wait)
		}
	})
}

func TestOnlyCodesAreEverLocked(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		for _, rule := range []Rule{FirstByAccount, FirstInside, SetupByAccount} {
			g.pass(t, 120, rule.For("ann"))
		}
	})
}

// "A right password never resets" the second factor's counter.
func TestARightPasswordLeavesTheCodesAlone(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		code := CodeByAccount.For("ann")
		g.pass(t, 9, code)
		for range 20 {
			g.succeed(t, g.taken(t, FirstByAccount.For("ann"), FirstByAddress.ForAddress(netip.MustParseAddr("192.0.2.1"))))
		}
		if n := g.failures(t, code); n != 9 {
			t.Error(n)
		}
		g.pass(t, 1, code)
		if wait := g.take(t, code); wait != 30*time.Second {
			t.Error(wait)
		}
	})
}

// R3: a guess is refused if one of its counters refuses; the others have counted it.
func TestARefusedGuessIsCountedByTheOthers(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		account, address := FirstByAccount.For("ann"), FirstByAddress.ForAddress(netip.MustParseAddr("192.0.2.1"))
		g.pass(t, 10, account)
		for range 5 {
			if wait := g.take(t, account, address); wait != 30*time.Second {
				t.Error(wait)
			}
			if wait := g.take(t, address, account); wait != 30*time.Second {
				t.Error("in another order: ", wait)
			}
		}
		if n := g.failures(t, address); n != 10 {
			t.Error(n, "counted, want 10")
		}
		if n := g.failures(t, account); n != 10 {
			t.Error(n, "counted while refused, want 10")
		}
	})
}

func TestTheLongestWaitIsSaid(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		short, long := FirstByAccount.For("a"), FirstByAccount.For("b")
		g.pass(t, 14, long)
		g.pass(t, 10, short)
		want := max(g.take(t, short), g.take(t, long))
		for _, keys := range [][]Key{{short, long}, {long, short}} {
			if wait := g.take(t, keys...); wait != want {
				t.Errorf("%v, want %v", wait, want)
			}
		}
	})
}

func TestTheGuessesLeftInASignInAreCountedDown(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		for want := 4; want >= 0; want-- {
			a := g.taken(t, CodeByAccount.For("ann"), CodeByStep.For("pending"))
			if a.Left != want || a.User.ID != "ann" || len(a.Keys) != 1 { // the step ends with a right guess and is not given back
				t.Errorf("%+v, want %d left", a, want)
			}
		}
	})
}

func TestOneCustomerIsOneAddress(t *testing.T) {
	for name, c := range map[string]struct {
		one, other string
		same       bool
	}{
		"the same":                        {"192.0.2.1", "192.0.2.1", true},
		"neighbours of IPv4":              {"192.0.2.1", "192.0.2.2", false},
		"IPv4 written as IPv6":            {"192.0.2.1", "::ffff:192.0.2.1", true},
		"IPv4 in hexadecimal":             {"192.0.2.1", "::ffff:c000:201", true},
		"two IPv4 written as IPv6":        {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		"within a /64":                    {"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
		"a zone changes nothing":          {"fe80::1%eth0", "fe80::2%eth1", true},
		"neighbouring /64":                {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		"IPv6 loopback and IPv4 loopback": {"::1", "127.0.0.1", false},
	} {
		one, other := FirstByAddress.ForAddress(netip.MustParseAddr(c.one)), FirstByAddress.ForAddress(netip.MustParseAddr(c.other))
		if (one == other) != c.same {
			t.Errorf("%s: %s and %s", name, one.subject, other.subject)
		}
	}
	if k := FirstByAddress.ForAddress(netip.Addr{}); k.subject == "" || k == FirstByAddress.ForAddress(netip.MustParseAddr("0.0.0.0")) {
		t.Errorf("no address at all is %q", k.subject)
	}
}

// No name can be chosen so that it counts as somebody else, or under another rule.
func TestNoSubjectMeetsAnother(t *testing.T) {
	rules := []Rule{FirstByAccount, FirstInside, FirstByAddress, CodeByAccount, CodeByStep, SetupByAccount}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		r, s := rapid.IntRange(0, 5).Draw(t, "r"), rapid.IntRange(0, 5).Draw(t, "s")
		if (rules[r].For(a).subject == rules[s].For(b).subject) != (a == b && r == s) {
			t.Fatalf("%q and %q", rules[r].For(a).subject, rules[s].For(b).subject)
		}
	})
}

// R3: of any number of parallel guesses, on all nodes together, no more than the limit pass.
func TestParallelGuessesOnTwoNodesPassExactlyTheLimit(t *testing.T) {
	dbtest.EachAddress(t, []fs.FS{Schema}, func(t *testing.T, address string) {
		nodes := []*gate{on(dbtest.Open(t, address)), on(dbtest.Open(t, address))}
		for _, c := range []struct {
			rule  Rule
			limit int64
		}{{CodeByAccount, 10}, {CodeByStep, 5}, {FirstByAddress, 30}} {
			var (
				all    sync.WaitGroup
				passed atomic.Int64
				start  = make(chan struct{})
			)
			for i := range 100 {
				all.Go(func() {
					<-start
					keys := []Key{c.rule.For("x"), SetupByAccount.For(c.rule.name)}
					if i%4 < 2 { // two orders, so that they would deadlock
						keys[0], keys[1] = keys[1], keys[0]
					}
					_, err := nodes[i%2].Take(context.WithoutCancel(t.Context()), ann, keys...)
					switch {
					case err == nil:
						passed.Add(1)
					case !errors.As(err, new(auth.ThrottledError)) && !(c.rule.perStep && errors.Is(err, auth.ErrExpired)):
						t.Error(err)
					}
				})
			}
			close(start)
			all.Wait()
			if n := passed.Load(); n != c.limit {
				t.Errorf("%s: %d passed, want %d", c.rule.name, n, c.limit)
			}
		}
	})
}

// R3: a request that went away before the count gets no check, and one that went away after it gets nothing back.
func TestARequestThatWentAwayPassesNothing(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if _, err := g.Take(ctx, ann, CodeByAccount.For("ann")); err == nil {
			t.Error("it passed")
		}
	})
}

// R6: no database, no guess.
func TestWithoutADatabaseNothingPasses(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		a := g.taken(t, CodeByAccount.For("ann"))
		g.db.Close()
		_, err := g.Take(t.Context(), ann, CodeByAccount.For("ann"))
		if err == nil || errors.As(err, new(auth.ThrottledError)) || errors.Is(err, auth.ErrLocked) {
			t.Error(err)
		}
		err = g.db.Tx(t.Context(), func(tx auth.Tx) error { return g.Succeeded(t.Context(), tx, a) })
		if err == nil {
			t.Error("given back")
		}
	})
}

func TestASweepRemovesWhatSaysNothing(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		old, waiting, code, solved := FirstByAccount.For("old"), FirstByAccount.For("waiting"), CodeByAccount.For("code"), CodeByAccount.For("solved")
		g.pass(t, 3, old)
		g.pass(t, 3, code)
		g.succeed(t, g.taken(t, solved))
		g.wait(quiet - time.Minute)
		g.pass(t, 12, waiting)
		g.wait(2 * time.Minute)
		if err := g.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		for k, stays := range map[Key]bool{old: false, waiting: true, code: true, solved: false} {
			var there bool
			if err := g.db.QueryRowContext(t.Context(), `SELECT EXISTS (SELECT 1 FROM throttle WHERE subject = $1)`, k.subject).Scan(&there); err != nil {
				t.Fatal(err)
			}
			if there != stays {
				t.Errorf("%s: there %v, want %v", k.subject, there, stays)
			}
		}
	})
}

// An address of one's own must not wash away what one guessed at others from it: 30 in 15 minutes is all there are.
func TestAnAccountOfOnesOwnDoesNotRaiseTheLimitOfAnAddress(t *testing.T) {
	each(t, func(t *testing.T, g *gate) {
		address := FirstByAddress.ForAddress(netip.MustParseAddr("192.0.2.1"))
		guesses := 0
		for end := g.clock.Add(15 * time.Minute); g.clock.Before(end) && guesses < 200; {
			if wait := g.take(t, address); wait != 0 {
				g.wait(wait)
				g.succeed(t, g.taken(t, address)) // signs in with an account of one's own
				continue
			}
			guesses++ // at somebody else
		}
		// Without an account of one's own: 30, then after 30 s, 1, 2, 4 and 8 minutes one each.
		if guesses > 35 {
			t.Errorf("%d guesses in 15 minutes", guesses)
		}
	})
}
