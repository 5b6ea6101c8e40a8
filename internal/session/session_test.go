package session

import (
	"context"
	"errors"
	"io/fs"
	"net/http/httptest"
	"sallyport/internal/factor/factortest"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/secret"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/workgroup"
)

var schemas = []fs.FS{user.Schema, workgroup.Schema, audit.Schema, Schema}

// A node has our sessions on a database, and a clock.
type node struct {
	*Store
	mu    sync.Mutex
	clock time.Time
}

func (n *node) now() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.clock
}

func (n *node) wait(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clock = n.clock.Add(d)
}

func nodeOn(d *db.DB) *node {
	n := &node{clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	n.Store = New(Config{Idle: time.Hour, Absolute: 24 * time.Hour}, d, user.NewStore(d), roster.New(policy.Rules{}, factortest.Alone{}, n.now), audit.New(d, make([]byte, 32), n.now), n.now)
	return n
}

// listen makes a node trust its memory, as in a server that runs.
func (n *node) listen(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { n.db.Listen(ctx) })
	t.Cleanup(func() { stop(); done.Wait() })
	for !n.db.Hears() {
		time.Sleep(time.Millisecond)
	}
}

func addPeople(t *testing.T, n *node) {
	t.Helper()
	for _, name := range []string{"ann", "bob"} {
		u, err := user.New(auth.UserID("id-"+name), name+"@example.com", strings.ToUpper(name[:1])+name[1:], auth.Member, n.now())
		if err != nil {
			t.Fatal(err)
		}
		if err := n.db.Tx(t.Context(), func(tx auth.Tx) error { return n.users.Add(t.Context(), tx, u) }); err != nil {
			t.Fatal(err)
		}
	}
}

// each runs a test on a node that trusts its memory and on one that is deaf and reads the database: a session must
// look the same on both.
func each(t *testing.T, test func(t *testing.T, n *node)) {
	t.Helper()
	dbtest.EachAddress(t, schemas, func(t *testing.T, address string) {
		for name, hears := range map[string]bool{"from memory": true, "from the database": false} {
			t.Run(name, func(t *testing.T) {
				n := nodeOn(dbtest.Open(t, address))
				n.sql(t, `DELETE FROM users`) // of the run before, with all they had
				addPeople(t, n)
				if hears {
					n.listen(t)
				}
				test(t, n)
			})
		}
	})
}

func (n *node) person(t *testing.T, name string) auth.User {
	t.Helper()
	u, err := n.users.Get(t.Context(), n.db, auth.UserID("id-"+name))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (n *node) password() auth.Proof {
	return auth.Proof{Kind: "password", AMR: "pwd", Level: auth.OneFactor, At: n.now()}
}

// start begins a session in a browser that holds former already.
func (n *node) start(t *testing.T, name string, former auth.Secret) auth.Secret {
	t.Helper()
	return n.startWith(t, name, former, n.password())
}

func (n *node) startWith(t *testing.T, name string, former auth.Secret, proofs ...auth.Proof) auth.Secret {
	t.Helper()
	ctx := visit.With(t.Context(), &visit.Visit{Former: former, Origin: auth.Origin{Browser: "Firefox"}})
	u := n.person(t, name)
	return n.issued(t, func(tx auth.Tx) (visit.Cookies, error) {
		_, cookies, err := n.Start(ctx, tx, u, proofs, false)
		return cookies, err
	})
}

// issued is the session cookie that a transaction hands out.
func (n *node) issued(t *testing.T, f func(auth.Tx) (visit.Cookies, error)) (token auth.Secret) {
	t.Helper()
	var cookies visit.Cookies
	err := n.db.Tx(t.Context(), func(tx auth.Tx) (err error) {
		cookies, err = f(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cookies {
		if c.Name == visit.SessionCookie {
			token = auth.Secret(c.Value)
		}
	}
	return token
}

// visit is what the guard finds behind a cookie.
func (n *node) visit(token auth.Secret) (*visit.Visit, error) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", "a=b; "+visit.SessionCookie+"="+string(token))
	v := &visit.Visit{}
	return v, n.Keep(r, v)
}

func (n *node) visited(t *testing.T, token auth.Secret) *visit.Visit {
	t.Helper()
	v, err := n.visit(token)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (n *node) isOver(t *testing.T, what string, token auth.Secret) {
	t.Helper()
	v, err := n.visit(token)
	if !errors.Is(err, auth.ErrNotSignedIn) || v.Session.ID != "" || v.Token != "" || v.Answer != nil {
		t.Errorf("%s: %+v, %v", what, v.Session, err)
	}
}

func (n *node) lives(t *testing.T, what string, token auth.Secret) {
	t.Helper()
	if _, err := n.visit(token); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func (n *node) sql(t *testing.T, statement string, args ...any) {
	t.Helper()
	err := n.db.Tx(t.Context(), func(tx auth.Tx) error {
		_, err := tx.ExecContext(t.Context(), statement, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (n *node) revoke(t *testing.T, u auth.UserID, keep auth.SessionID) error {
	t.Helper()
	return n.db.Tx(t.Context(), func(tx auth.Tx) error { return n.RevokeOthers(t.Context(), tx, u, keep) })
}

func TestASessionIsWhatItWasStartedWith(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		token := n.start(t, "ann", "")
		for range 2 { // read, then remembered
			s := n.visited(t, token).Session
			if s.User.ID != "id-ann" || s.ID == "" || len(s.Proofs) != 1 || s.Proofs[0].Kind != "password" || !s.Proofs[0].At.Equal(n.now()) ||
				!s.Started.Equal(n.now()) || !s.Expires.Equal(n.now().Add(24*time.Hour)) || !s.FreshUntil.IsZero() {
				t.Errorf("%+v", s)
			}
		}
	})
}

// R1: only a token that was issued opens a session, as it was issued.
func TestNothingButItsTokenOpensASession(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		token := n.start(t, "ann", "")
		var hash []byte
		if err := n.db.QueryRowContext(t.Context(), `SELECT token_hash FROM sessions`).Scan(&hash); err != nil {
			t.Fatal(err)
		}
		id := n.visited(t, token).Session.ID
		for name, tried := range map[string]auth.Secret{
			"nothing": "", "its id": auth.Secret(id), "its hash": auth.Secret(hash), "its hash in hexadecimal": auth.Secret(text(digest(hash))),
			"cut": token[:len(token)-1], "longer": token + "A", "in capitals": auth.Secret(strings.ToUpper(string(token))), "quoted": `"` + token + `"`,
			"another": secret.NewToken(), "a megabyte": auth.Secret(strings.Repeat("A", 1<<20)), "not UTF-8": "\xff\xfe", "twice": token + token,
		} {
			n.isOver(t, name, tried)
		}
		n.lives(t, "itself", token)
		if strings.Contains(string(hash), string(token)) {
			t.Error("the token stands in the database")
		}
	})
}

// security.md, "Sessions and browsers": idle 1 h, absolute 24 h.
func TestASessionEndsWhenIdle(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		token := n.start(t, "ann", "")
		n.lives(t, "at once", token)
		n.wait(time.Hour - time.Microsecond)
		n.lives(t, "just before", token)
		other := n.start(t, "ann", "")
		n.wait(time.Hour)
		n.isOver(t, "one that was never used", other)
		n.wait(time.Hour)
		n.isOver(t, "one that was used once", token)
	})
}

// A short idle time ends a session that is still in memory.
func TestASessionEndsWhenIdleForLessThanMemoryLasts(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		n.Idle = reload / 2
		token := n.start(t, "ann", "")
		n.lives(t, "at once", token)
		n.wait(n.Idle - time.Microsecond)
		n.lives(t, "just before", token)
		n.wait(n.Idle)
		n.isOver(t, "after it", token)
	})
}

func TestASessionEndsAfterADayWhateverHappens(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		token := n.start(t, "ann", "")
		for range 24*2 - 1 {
			n.wait(30 * time.Minute)
			n.sql(t, `UPDATE sessions SET last_seen_at = $1`, n.now().UnixMicro())
			n.lives(t, n.now().String(), token)
		}
		n.wait(30*time.Minute - time.Microsecond)
		n.lives(t, "just before", token)
		n.wait(time.Microsecond)
		n.isOver(t, "after a day", token)
		n.sql(t, `UPDATE sessions SET last_seen_at = $1`, n.now().Add(time.Hour).UnixMicro())
		n.isOver(t, "used again", token)
	})
}

// A session in use is not idle, and that must not depend on whether this node hears the others. (S8, and the promise
// that "a node whose listener is down reads the database instead".)
func TestASessionInUseIsNotIdle(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		token := n.start(t, "ann", "")
		for range 6 {
			n.wait(30 * time.Minute)
			n.lives(t, n.now().String(), token)
			n.flush(t.Context())
		}
	})
}

// R4
func TestANewEpochEndsAllSessionsButTheKeeper(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		mine, other, third, bobs := n.start(t, "ann", ""), n.start(t, "ann", ""), n.start(t, "ann", ""), n.start(t, "bob", "")
		for _, token := range []auth.Secret{mine, other, third, bobs} {
			n.lives(t, "before", token)
		}
		keep := n.visited(t, mine).Session
		if err := n.revoke(t, "id-ann", keep.ID); err != nil {
			t.Fatal(err)
		}
		n.isOver(t, "another", other)
		n.isOver(t, "a third", third)
		n.lives(t, "of somebody else", bobs)
		after := n.visited(t, mine).Session
		if after.ID != keep.ID || after.User.Epoch != keep.User.Epoch+1 || !after.Expires.Equal(keep.Expires) || len(after.Proofs) != 1 {
			t.Errorf("before %+v\nafter %+v", keep, after)
		}
		if err := n.revoke(t, "id-ann", n.visited(t, bobs).Session.ID); err == nil {
			n.isOver(t, "with a session of somebody else to keep", mine)
		}
		n.lives(t, "of somebody else", bobs)
	})
}

// R4: whoever bumps the epoch need not know of sessions. A sign-in that was read in the old one starts none that lives.
func TestAnEpochThatMovedOnIsEnough(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		token, bobs := n.start(t, "ann", ""), n.start(t, "bob", "")
		void := n.visited(t, token).Session
		bump := func() error {
			return n.db.Tx(t.Context(), func(tx auth.Tx) error { _, err := n.users.Bump(t.Context(), tx, "id-ann"); return err })
		}
		if err := bump(); err != nil {
			t.Fatal(err)
		}
		n.isOver(t, "one of the epoch before", token)
		n.lives(t, "of somebody else", bobs)
		late := n.issued(t, func(tx auth.Tx) (visit.Cookies, error) {
			_, cookies, err := n.Start(visit.With(t.Context(), &visit.Visit{}), tx, void.User, void.Proofs, false)
			return cookies, err
		})
		n.isOver(t, "one that was started with what was read before", late)
		if err := n.revoke(t, "id-ann", void.ID); !errors.Is(err, auth.ErrNotSignedIn) {
			t.Error("an act of it: ", err)
		}
		n.isOver(t, "after its act", token)
	})
}

func TestRevokingAllLeavesNone(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		one, two, bobs := n.start(t, "ann", ""), n.start(t, "ann", ""), n.start(t, "bob", "")
		n.lives(t, "before", one)
		if err := n.revoke(t, "id-ann", ""); err != nil {
			t.Fatal(err)
		}
		n.isOver(t, "one", one)
		n.isOver(t, "the other", two)
		n.lives(t, "of somebody else", bobs)
	})
}

func TestARevocationThatIsRolledBackEndsNothing(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		token := n.start(t, "ann", "")
		oops := errors.New("oops")
		err := n.db.Tx(t.Context(), func(tx auth.Tx) error {
			return errors.Join(n.RevokeOthers(t.Context(), tx, "id-ann", ""), oops)
		})
		if !errors.Is(err, oops) {
			t.Error(err)
		}
		n.lives(t, "after it", token)
	})
}

// R1, R4: between the guard and the transaction another session may have ended this one, say by a change of password.
// What it was about to do must not happen then: whoever was thrown out would still remove the factor of who did it.
func TestAnActOfASessionThatEndedMeanwhileIsRefused(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		owner, intruder := n.start(t, "ann", ""), n.start(t, "ann", "")
		passed := n.visited(t, intruder).Session // the guard let it in
		if err := n.revoke(t, "id-ann", n.visited(t, owner).Session.ID); err != nil {
			t.Fatal(err)
		}
		if err := n.revoke(t, "id-ann", passed.ID); !errors.Is(err, auth.ErrNotSignedIn) {
			t.Error("the act of the session that is over: ", err)
		}
		n.isOver(t, "the session that was ended", intruder)
		n.lives(t, "the session that ended it", owner)
	})
}

func TestADisabledPersonHasNoSession(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		token, bobs := n.start(t, "ann", ""), n.start(t, "bob", "")
		n.lives(t, "before", token)
		if err := n.db.Tx(t.Context(), func(tx auth.Tx) error { return n.users.Disable(t.Context(), tx, "id-ann") }); err != nil {
			t.Fatal(err)
		}
		n.isOver(t, "after", token)
		n.isOver(t, "a new one", n.start(t, "ann", ""))
		n.lives(t, "of somebody else", bobs)
	})
}

// "New id at every change of level."
func TestAStepUpReplacesTheToken(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		token := n.start(t, "ann", "")
		before := n.visited(t, token)
		n.wait(time.Minute)
		code := auth.Proof{Kind: "totp", AMR: "otp", Level: auth.OneFactor, At: n.now()}
		until := n.now().Add(10 * time.Minute)
		raise := func(tx auth.Tx) (visit.Cookies, error) {
			return n.Raise(visit.With(t.Context(), before), tx, code, until)
		}
		raised := n.issued(t, raise)
		n.isOver(t, "the old token", token)
		after := n.visited(t, raised).Session
		if raised == token || after.ID != before.Session.ID || len(after.Proofs) != 2 || after.Proofs[1].Kind != "totp" || !after.FreshUntil.Equal(until) ||
			!after.Expires.Equal(before.Session.Expires) || len(before.Session.Proofs) != 1 {
			t.Errorf("before %+v\nafter %+v", before.Session, after)
		}
		err := n.db.Tx(t.Context(), func(tx auth.Tx) error { _, err := raise(tx); return err })
		if !errors.Is(err, auth.ErrNotSignedIn) {
			t.Error("raised twice with one token: ", err)
		}
		n.lives(t, "the new token", raised)
	})
}

// R2
func TestOfTwoStepUpsAtOnceOneReplacesTheToken(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		v := n.visited(t, n.start(t, "ann", ""))
		var (
			all  sync.WaitGroup
			mu   sync.Mutex
			good int
		)
		for range 10 {
			all.Go(func() {
				err := n.db.Tx(t.Context(), func(tx auth.Tx) error {
					_, err := n.Raise(visit.With(t.Context(), v), tx, n.password(), n.now())
					return err
				})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					good++
				} else if !errors.Is(err, auth.ErrNotSignedIn) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if good != 1 {
			t.Error(good, "tokens")
		}
	})
}

func TestASignInEndsTheSessionThatTheBrowserHad(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		former, elsewhere := n.start(t, "ann", ""), n.start(t, "ann", "")
		n.lives(t, "before", former)
		fresh := n.start(t, "bob", former)
		n.isOver(t, "the one before", former)
		n.lives(t, "elsewhere", elsewhere)
		n.lives(t, "the new one", fresh)
	})
}

// S8: people see and end their own sessions and nobody else's.
func TestPeopleEndTheirOwnSessionsOnly(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		mine, other, bobs := n.start(t, "ann", ""), n.start(t, "ann", ""), n.start(t, "bob", "")
		ctx := visit.With(t.Context(), n.visited(t, mine))
		theirs := n.visited(t, bobs).Session.ID
		for _, id := range []auth.SessionID{theirs, "", "nothing", "%"} {
			if _, err := n.endOne(ctx, Which{id}); !errors.Is(err, auth.ErrNotFound) {
				t.Errorf("%q: %v", id, err)
			}
		}
		list, err := n.mine(ctx, struct{}{})
		if err != nil || len(list.Sessions) != 2 {
			t.Fatal(list, err)
		}
		current := 0
		for _, s := range list.Sessions {
			if s.Current {
				current++
			}
			if s.ID == theirs || s.Browser != "Firefox" || !s.Started.Equal(n.now()) {
				t.Errorf("%+v", s)
			}
		}
		if current != 1 {
			t.Error(current, "of them are this one")
		}
		if _, err := n.endOne(ctx, Which{n.visited(t, other).Session.ID}); err != nil {
			t.Error(err)
		}
		n.isOver(t, "the other", other)
		other = n.start(t, "ann", "")
		n.lives(t, "another", other)
		if _, err := n.endOthers(ctx, struct{}{}); err != nil {
			t.Error(err)
		}
		n.isOver(t, "another, after all others were ended", other)
		n.lives(t, "this one", mine)
		n.lives(t, "of somebody else", bobs)
		if _, err := n.end(ctx, struct{}{}); err != nil {
			t.Error(err)
		}
		n.isOver(t, "this one, signed out", mine)
		n.lives(t, "of somebody else", bobs)
	})
}

// What ended is not listed, and a sweep takes it away, and nothing else.
func TestASweepTakesWhatIsOver(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		n.start(t, "ann", "")
		n.wait(3 * time.Hour)
		token := n.start(t, "ann", "")
		list, err := n.mine(visit.With(t.Context(), n.visited(t, token)), struct{}{})
		if err != nil || len(list.Sessions) != 1 {
			t.Error(list, err)
		}
		if err := n.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		var rows int
		if err := n.db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM sessions`).Scan(&rows); err != nil || rows != 1 {
			t.Error(rows, err)
		}
		n.lives(t, "after the sweep", token)
	})
}

// R6
func TestWithoutADatabaseNobodyNewIsSignedIn(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		token := n.start(t, "ann", "") // never asked for, so nobody remembers it
		n.db.Close()
		v, err := n.visit(token)
		if err == nil || errors.Is(err, auth.ErrNotSignedIn) || v.Session.ID != "" {
			t.Error(err)
		}
	})
}

// R6: proofs that cannot be read are no proofs.
func TestASessionWhoseProofsAreBrokenOpensNothing(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		for _, proofs := range []string{"", "{}", "[", `"pwd"`, `[{"level":"2"}]`} {
			token := n.start(t, "ann", "")
			n.sql(t, `UPDATE sessions SET proofs = $1`, proofs)
			if v, err := n.visit(token); err == nil || v.Session.ID != "" {
				t.Errorf("%s: %+v", proofs, v.Session)
			}
		}
	})
}

// A browser may call itself anything.
func TestALongOrBrokenBrowserNameIsCut(t *testing.T) {
	for _, agent := range []string{"", "Firefox", strings.Repeat("x", 1000), strings.Repeat("é", 1000), "\xff\xfe", "x" + strings.Repeat("é", 200)} {
		got := auth.Origin{Browser: agent}.Agent()
		if len(got) > 3*256 || strings.ToValidUTF8(got, "") != got || len(agent) < 100 && strings.ToValidUTF8(agent, "") == agent && got != agent {
			t.Errorf("%.20q became %.20q", agent, got)
		}
	}
}
