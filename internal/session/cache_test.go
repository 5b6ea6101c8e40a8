package session

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/secret"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

func entryOf(u auth.UserID) *entry {
	return &entry{session: auth.Session{ID: "s", User: auth.User{ID: u}}}
}

func key(first, n byte) digest { return digest{first, n} }

// What was read before something was forgotten may be just that.
func TestWhatWasForgottenDuringALoadIsNotPutBack(t *testing.T) {
	for name, forget := range map[string]func(*cache){
		"the session":     func(c *cache) { c.forget(text(key(1, 1))) },
		"another session": func(c *cache) { c.forget(text(key(9, 9))) },
		"the person":      func(c *cache) { c.forgetUser("ann") },
		"everything":      func(c *cache) { c.forgetAll() },
	} {
		c := newCache()
		before := c.age()
		forget(c)
		c.put(key(1, 1), entryOf("ann"), before)
		if c.get(key(1, 1)) != nil {
			t.Errorf("%s was forgotten, and is put back", name)
		}
		c.put(key(1, 1), entryOf("ann"), c.age())
		if c.get(key(1, 1)) == nil {
			t.Errorf("after %s was forgotten nothing is remembered any more", name)
		}
	}
}

func TestForgettingTakesWhatIsMeant(t *testing.T) {
	c := newCache()
	fill := func() {
		for n := range byte(100) {
			c.put(key(n, n), entryOf([]auth.UserID{"ann", "bob"}[n%2]), c.age())
		}
	}
	left := func() (ann, bob int) {
		for n := range byte(100) {
			if e := c.get(key(n, n)); e != nil && e.session.User.ID == "ann" {
				ann++
			} else if e != nil {
				bob++
			}
		}
		return ann, bob
	}
	fill()
	c.forget(text(key(2, 2)))
	for _, broken := range []string{"", "zz", "00", text(key(4, 4)) + "00", text(key(4, 4))[:62]} {
		c.forget(broken)
	}
	if ann, bob := left(); ann != 49 || bob != 50 {
		t.Error("one session: ", ann, bob)
	}
	c.forgetUser("ann")
	c.forgetUser("nobody")
	if ann, bob := left(); ann != 0 || bob != 50 {
		t.Error("one person: ", ann, bob)
	}
	c.forgetAll()
	if ann, bob := left(); ann+bob != 0 || len(c.byUser) != 0 {
		t.Error("everything: ", ann, bob, len(c.byUser))
	}
}

func TestTheMemoryOfANodeIsBounded(t *testing.T) {
	c := newCache()
	const more = perShard + 500
	for n := range more {
		c.put(digest{0, byte(n >> 8), byte(n)}, entryOf(auth.UserID(rune('a'+n%26))), c.age())
	}
	if n := len(c.shards[0].live); n > perShard {
		t.Error(n, "sessions in one shard")
	}
	listed := 0
	for _, of := range c.byUser {
		listed += len(of)
	}
	if listed != len(c.shards[0].live) {
		t.Errorf("%d listed by person, %d remembered", listed, len(c.shards[0].live))
	}
	if c.get(digest{0, byte((more - 1) >> 8), byte((more - 1) & 0xff)}) == nil {
		t.Error("the newest is not among them")
	}
	for u := range c.byUser {
		c.forgetUser(u)
	}
	if n := len(c.shards[0].live); n != 0 {
		t.Error(n, "are left of nobody")
	}
}

// hearing is a node that serves from memory, on both databases.
func hearing(t *testing.T, test func(t *testing.T, n *node)) {
	t.Helper()
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		n := nodeOn(d)
		addPeople(t, n)
		n.listen(t)
		test(t, n)
	})
}

// The same, with the whole of a load around an end: read, ended elsewhere, remembered.
func TestASessionThatEndedDuringALoadStaysEnded(t *testing.T) {
	hearing(t, func(t *testing.T, n *node) {
		for name, end := range map[string]func(digest, auth.Session) error{
			"signed out": func(k digest, _ auth.Session) error {
				return n.db.Tx(t.Context(), func(tx auth.Tx) error { return n.remove(t.Context(), tx, k) })
			},
			"ended from a list": func(_ digest, s auth.Session) error {
				return n.db.Tx(t.Context(), func(tx auth.Tx) error { return n.removeOne(t.Context(), tx, s.User.ID, s.ID) })
			},
			"ended with all others": func(_ digest, s auth.Session) error {
				return n.db.Tx(t.Context(), func(tx auth.Tx) error { return n.removeOthers(t.Context(), tx, s.User.ID, "another") })
			},
			"revoked": func(_ digest, s auth.Session) error { return n.revoke(t, s.User.ID, "") },
		} {
			token := n.start(t, "ann", "")
			k := secret.Digest(token)
			before := n.cache.age()
			e, err := n.load(t.Context(), k, n.now())
			if err != nil {
				t.Fatal(err)
			}
			if err := end(k, e.session); err != nil {
				t.Fatal(err)
			}
			n.cache.put(k, e, before)
			n.isOver(t, name, token)
		}
	})
}

func TestNoCheckSeesASessionAfterItsEndWasAnswered(t *testing.T) {
	hearing(t, func(t *testing.T, n *node) {
		for range 5 {
			token := n.start(t, "ann", "")
			var (
				all   sync.WaitGroup
				ended atomic.Bool
				stop  atomic.Bool
			)
			for range 4 {
				all.Go(func() {
					for !stop.Load() {
						was := ended.Load()
						if _, err := n.visit(token); err == nil && was {
							t.Error("it answers after its end")
							return
						}
					}
				})
			}
			k := secret.Digest(token)
			if err := n.db.Tx(t.Context(), func(tx auth.Tx) error { return n.remove(t.Context(), tx, k) }); err != nil {
				t.Error(err)
			}
			ended.Store(true)
			for range 100 {
				n.isOver(t, "after its end", token)
			}
			stop.Store(true)
			all.Wait()
		}
	})
}

// Memory is asked as long as it can be trusted, and only then. The database is changed behind the node's back here.
func TestADeafNodeReadsTheDatabaseEachTime(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		n := nodeOn(d)
		addPeople(t, n)
		token := n.start(t, "ann", "")
		for _, name := range []string{"One", "Two", "Three"} {
			n.sql(t, `UPDATE users SET name = $1 WHERE id = 'id-ann'`, name)
			if got := n.visited(t, token).Session.User.Name; got != name {
				t.Errorf("%s, want %s", got, name)
			}
		}
		k := secret.Digest(token)
		e, err := n.load(t.Context(), k, n.now())
		if err != nil {
			t.Fatal(err)
		}
		n.cache.put(k, e, n.cache.age()) // of the time before it went deaf
		n.sql(t, `DELETE FROM sessions`)
		n.isOver(t, "deleted behind its back", token)
		n.cache.forgetAll()
		if n.cache.get(secret.Digest(token)) != nil {
			t.Error("it remembers what it will not hear the end of")
		}
	})
}

func TestAHearingNodeAnswersFromMemoryForTenMinutes(t *testing.T) {
	hearing(t, func(t *testing.T, n *node) {
		token := n.start(t, "ann", "")
		n.visited(t, token)
		n.sql(t, `UPDATE users SET name = 'Changed' WHERE id = 'id-ann'`)
		n.wait(reload - time.Microsecond)
		if got := n.visited(t, token).Session.User.Name; got != "Ann" {
			t.Error("it read the database: ", got)
		}
		n.wait(time.Microsecond)
		if got := n.visited(t, token).Session.User.Name; got != "Changed" {
			t.Error("it did not look again: ", got)
		}
	})
}

// Two nodes: an end is heard everywhere in under a second, and so is every change of a person.
func TestAnEndIsHeardOnEveryNode(t *testing.T) {
	dbtest.EachAddress(t, schemas, func(t *testing.T, address string) {
		here, there := nodeOn(dbtest.Open(t, address)), nodeOn(dbtest.Open(t, address))
		addPeople(t, here)
		here.listen(t)
		there.listen(t)
		for name, end := range map[string]func(auth.Secret, auth.Session) error{
			"signed out": func(token auth.Secret, _ auth.Session) error {
				return here.db.Tx(t.Context(), func(tx auth.Tx) error { return here.remove(t.Context(), tx, secret.Digest(token)) })
			},
			"revoked": func(_ auth.Secret, s auth.Session) error { return here.revoke(t, s.User.ID, "") },
			"disabled": func(_ auth.Secret, s auth.Session) error {
				return here.db.Tx(t.Context(), func(tx auth.Tx) error { return here.users.Disable(t.Context(), tx, s.User.ID) })
			},
		} {
			who := map[bool]string{true: "bob", false: "ann"}[name == "disabled"]
			token := here.start(t, who, "")
			there.lives(t, name+": before", token)
			if err := end(token, there.visited(t, token).Session); err != nil {
				t.Fatal(err)
			}
			here.isOver(t, name+" here", token)
			start := time.Now()
			for {
				if _, err := there.visit(token); errors.Is(err, auth.ErrNotSignedIn) {
					break
				}
				if time.Since(start) > 5*time.Second { // a second is what we promise; a busy machine is not what we test
					t.Errorf("%s: it lives on there", name)
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
	})
}

func (n *node) storedSeen(t *testing.T) time.Time {
	t.Helper()
	var seen time.Time
	if err := n.db.QueryRowContext(t.Context(), `SELECT last_seen_at FROM sessions`).Scan(db.Stamp(&seen)); err != nil {
		t.Fatal(err)
	}
	return seen
}

// S8: "last seen", behind by a minute at most.
func TestTheLastUseIsWrittenDown(t *testing.T) {
	hearing(t, func(t *testing.T, n *node) {
		token := n.start(t, "ann", "")
		started := n.now()
		n.visited(t, token)
		n.wait(lag - time.Second)
		n.visited(t, token)
		n.flush(t.Context())
		if !n.storedSeen(t).Equal(started) {
			t.Error("written within a minute: every check would be a write")
		}
		n.wait(time.Second) // what is noted is a second behind at most
		n.visited(t, token)
		used := n.now()
		n.wait(time.Second)
		n.flush(t.Context())
		if got := n.storedSeen(t); !got.Equal(used) {
			t.Errorf("seen %v, used %v", got, used)
		}
		n.sql(t, `UPDATE sessions SET last_seen_at = $1`, used.Add(time.Hour).UnixMicro()) // another node saw it later
		n.wait(10 * time.Minute)
		n.visited(t, token)
		n.flush(t.Context())
		if got := n.storedSeen(t); !got.Equal(used.Add(time.Hour)) {
			t.Error("it went back in time: ", got)
		}
	})
}

func TestMoreUsesThanOneTransactionHoldsAreAllWritten(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		n := nodeOn(d)
		addPeople(t, n)
		n.listen(t)
		const many = 600
		u := n.person(t, "ann")
		var keys []digest
		err := n.db.Tx(t.Context(), func(tx auth.Tx) error {
			keys = nil
			for range many {
				k := secret.Digest(secret.NewToken())
				keys = append(keys, k)
				s := auth.Session{ID: auth.SessionID(secret.NewID()), User: u, Proofs: []auth.Proof{n.password()}, Started: n.now(), Expires: n.now().Add(time.Hour)}
				if err := n.insert(t.Context(), tx, k, s, auth.Origin{}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		n.wait(2 * time.Minute)
		for _, k := range keys {
			if _, err := n.find(t.Context(), k); err != nil {
				t.Fatal(err)
			}
		}
		n.flush(t.Context())
		var behind int
		if err := n.db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM sessions WHERE last_seen_at < $1`, n.now().UnixMicro()).Scan(&behind); err != nil || behind != 0 {
			t.Error(behind, "are behind", err)
		}
		n.db.Close()
		n.wait(2 * time.Minute)
		for _, k := range keys[:5] {
			n.find(t.Context(), k)
		}
		n.flush(t.Context()) // must not hang without a database
	})
}

// GET /session has a short way that answers from memory and a long one through the mux. What they say is the same.
func TestTheShortWayAnswersWhatTheLongOneDoes(t *testing.T) {
	hearing(t, func(t *testing.T, n *node) {
		token := n.start(t, "ann", "")
		v := n.visited(t, token)
		code := auth.Proof{Kind: "totp", AMR: "otp", Level: auth.OneFactor, At: n.now().Add(time.Second)}
		raised := n.issued(t, func(tx auth.Tx) (visit.Cookies, error) { return n.Raise(visit.With(t.Context(), v), tx, code, n.now()) })
		n.sql(t, `UPDATE users SET name = $1 WHERE id = 'id-bob'`, "<b>\"Ünïcode\" \u2028 & 😀</b>")
		short, long := n.site(t, n.Keep), n.site(t, func(r *http.Request, v *visit.Visit) error {
			err := n.Keep(r, v)
			v.Answer = nil // the guard has nothing ready, so the handler runs
			return err
		})
		for name, c := range map[string]struct {
			token auth.Secret
			want  int
		}{
			"one factor": {n.start(t, "ann", ""), 200}, "two factors": {raised, 200}, "any name": {n.start(t, "bob", ""), 200},
			"ended": {token, 401}, "none": {"", 401},
		} {
			a, b := ask(short, c.token), ask(long, c.token)
			if a.Code != c.want || b.Code != c.want {
				t.Errorf("%s: %d and %d, want %d", name, a.Code, b.Code, c.want)
			}
			for _, h := range []string{"Content-Type", "Cache-Control", "X-Content-Type-Options"} {
				if a.Header().Get(h) != b.Header().Get(h) || a.Header().Get(h) == "" {
					t.Errorf("%s: %s is %q and %q", name, h, a.Header().Get(h), b.Header().Get(h))
				}
			}
			if c.want == 200 && a.Body.String() != b.Body.String() {
				t.Errorf("%s:\nshort %s\nlong  %s", name, a.Body, b.Body)
			}
			if c.want == 200 && !json.Valid(a.Body.Bytes()) {
				t.Errorf("%s: %s", name, a.Body)
			}
			if a.Header().Get("X-Request-Id") != "" && c.want == 200 {
				t.Errorf("%s did not go the short way", name)
			}
			if b.Header().Get("X-Request-Id") == "" {
				t.Errorf("%s did not go the long way", name)
			}
		}
	})
}

// site is the shell around our routes, with somebody else at the guard.
func (n *node) site(t *testing.T, keep visit.Keeper) *web.Site {
	t.Helper()
	files := fstest.MapFS{"page.html": {Data: []byte(`{{define "title"}}x{{end}}{{define "main"}}x{{end}}`)}}
	nothing := func(_ context.Context, _ web.None) (web.None, error) { return web.None{}, nil }
	pages := []web.Route{
		web.On(visit.Public, "GET /signin", nothing, web.About{Page: web.Gate(files, "page.html")}),
		web.On(visit.Public, "GET /stepup", nothing, web.About{Page: web.Gate(files, "page.html")}),
		web.On(visit.Public, "GET /account/security", nothing, web.About{Page: web.Gate(files, "page.html")}),
	}
	s, err := web.New(web.Config{
		URL:    &url.URL{Scheme: "http", Host: "localhost:8080"},
		SignIn: "/signin", StepUp: "/stepup", Home: "/account",
		Guards: map[visit.Guard]visit.Keeper{
			visit.Public:   func(*http.Request, *visit.Visit) error { return nil },
			visit.SignedIn: keep,
		},
		Served: new(atomic.Int64), Clock: n.now, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	}, pages, n.Routes())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ask(s *web.Site, token auth.Secret) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "http://localhost:8080/api/v1/session", nil)
	r.AddCookie(&http.Cookie{Name: visit.SessionCookie, Value: string(token)})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}
