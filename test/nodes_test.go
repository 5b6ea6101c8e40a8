package test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/db/dbtest"
	"sallyport/test/harness"
)

// twoNodes share one PostgreSQL and the same keys.
func twoNodes(t *testing.T) (a, b site) {
	t.Helper()
	address := onPostgres(t)
	keys := "SALLYPORT_KEYS=" + filepath.Join(t.TempDir(), "keys")
	return open(t, address, keys), open(t, address, keys)
}

// soon is how quickly an end must be known everywhere.
const soon = time.Second

// S6, T5
func TestASignInBegunOnOneNodeEndsOnTheOther(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	_, secret := a.person(anna)
	begun := a.begun(anna)
	there, here := begun.On(b.URL), begun.Clone()
	code := m{"code": harness.Code(t, secret, time.Now())}
	expect(t, "on the other", there.Call("POST", "/signin/totp", code), "200")
	expect(t, "and again on the first", here.Call("POST", "/signin/totp", code), "401 expired")
	expect(t, "the same code in another sign-in", a.begun(anna).Call("POST", "/signin/totp", code), "422 wrong")
	expect(t, "session on the first", there.On(a.URL).Call("GET", "/session", nil), "200")
	// T5 across nodes, at the same instant.
	for range rounds {
		a.forgetFailures()
		a.forgetSteps()
		var all []*harness.Client
		for range 5 {
			all = append(all, a.begun(anna), a.begun(anna).On(b.URL))
		}
		code := m{"code": harness.Code(t, secret, time.Now())}
		if n := tally(atOnce(10, func(i int) harness.Answer { return warm(all)[i].Call("POST", "/signin/totp", code) })); n["200"] != 1 {
			t.Error(n)
		}
	}
	// An enrolment begun on one is confirmed on the other: they have the same keys.
	c := there.On(a.URL)
	a.forgetSteps()
	expect(t, "step-up", c.Call("POST", "/stepup/totp", m{"code": harness.Code(t, secret, time.Now())}), "200")
	_, waiting := c.API("POST", "/account/totp", nil)
	expect(t, "confirmation", c.On(b.URL).Call("POST", "/account/totp/"+waiting["id"].(string),
		m{"code": harness.Code(t, waiting["secret"].(string), time.Now()), "name": "second"}), "200")
}

// S8. A session that ended on one node is dead on the other within a second, by whichever way it ended.
func TestASessionThatEndedIsDeadEverywhere(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	harness.AddUser(t, a.Server, anna, password)
	var slowest time.Duration
	for name, end := range map[string]func(c *harness.Client) harness.Answer{
		"signed out": func(c *harness.Client) harness.Answer { return c.Clone().Call("DELETE", "/session", nil) },
		"ended": func(c *harness.Client) harness.Answer {
			return a.as(anna).Call("DELETE", "/account/sessions/"+idOf(c), nil)
		},
		"all others": func(c *harness.Client) harness.Answer { return a.as(anna).Call("DELETE", "/account/sessions", nil) },
		"step-up": func(c *harness.Client) harness.Answer {
			return c.Clone().Call("POST", "/stepup/password", m{"password": password})
		},
		"new sign-in": func(c *harness.Client) harness.Answer {
			return c.Clone().Call("POST", "/signin", m{"login": anna, "password": password})
		},
	} {
		for range 5 {
			c := a.as(anna)
			there := c.On(b.URL)
			for range 3 { // now both nodes remember it
				expect(t, "here", c.Call("GET", "/session", nil), "200")
				expect(t, "there", there.Call("GET", "/session", nil), "200")
			}
			if ended := end(c); ended.Status >= 300 {
				t.Fatal(name, ended)
			}
			expect(t, name+", at once on its node", c.Call("GET", "/session", nil), "401 not-signed-in")
			slowest = max(slowest, within(t, soon, name, func() bool { return there.Call("GET", "/session", nil).Status == 401 }))
		}
	}
	t.Log("slowest on the other node:", slowest)
}

func idOf(c *harness.Client) string {
	_, list := c.API("GET", "/account/sessions", nil)
	for _, one := range list["sessions"].([]any) {
		if one := one.(m); one["current"] == true {
			return one["id"].(string)
		}
	}
	return ""
}

// What an administrator does on the command line holds on the running server within a second.
func TestTheCommandLineEndsSessionsOnARunningServer(t *testing.T) {
	t.Parallel()
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		for _, command := range [][]string{{"user", "disable", anna}, {"user", "reset-mfa", berta, "--reason", "lost phone"}} {
			email := command[2]
			c, _ := s.person(email)
			waits := s.begun(email)
			for heard := time.Now(); time.Since(heard) < 300*time.Millisecond; { // longer than a node takes to hear itself
				expect(t, "before", c.Call("GET", "/session", nil), "200")
			}
			if out, code := s.Run("", command...); code != 0 {
				t.Fatal(out)
			}
			took := within(t, soon, command[1], func() bool { return c.Call("GET", "/session", nil).Status == 401 })
			t.Log(command[1], "took", took)
			expect(t, "page", c.Page("GET", "/account", nil), "303")
			expect(t, "pending sign-in", waits.Call("GET", "/signin/totp", nil), "401 expired")
		}
		expect(t, "disabled", s.client().Call("POST", "/signin", m{"login": anna, "password": password}), "422 wrong")
		// A3: by the pass alone that the reset left
		if a := harness.SignIn(t, s.client(), berta, password); a["next"] != "/signin/accesspass" {
			t.Error("reset:", a)
		}
	})
}

// A node that cannot hear reads the database.
func TestADeafNodeStillRefusesWhatEndedElsewhere(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	harness.AddUser(t, a.Server, anna, password)
	stop, stopped := make(chan struct{}), make(chan struct{})
	var cut atomic.Int64
	go func() { // its ear is cut as often as it grows
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			var n int
			err := a.db.QueryRowContext(t.Context(), `SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE datname = current_database() AND application_name = 'sallyport listener'`).Scan(&n)
			if err != nil {
				t.Error(err)
			}
			cut.Add(int64(n))
		}
	}()
	for start := time.Now(); cut.Load() < 8 && time.Since(start) < 10*time.Second; {
		c := a.as(anna)
		there := c.On(b.URL)
		expect(t, "alive", there.Call("GET", "/session", nil), "200")
		expect(t, "end", c.Clone().Call("DELETE", "/session", nil), "200", "204")
		within(t, soon, "dead", func() bool { return there.Call("GET", "/session", nil).Status == 401 })
	}
	close(stop)
	<-stopped
	if cut.Load() < 8 {
		t.Error(cut.Load(), "connections cut")
	}
}

// A connection that dies without a word looks like silence.
func TestANodeNoticesThatItsEarFellAsleep(t *testing.T) {
	t.Parallel()
	address := onPostgres(t)
	keys := "SALLYPORT_KEYS=" + filepath.Join(t.TempDir(), "keys")
	way := newProxy(t, address)
	a, b := open(t, address, keys), open(t, way.address, keys)
	harness.AddUser(t, a.Server, anna, password)
	for range 3 {
		c := a.as(anna)
		there := c.On(b.URL)
		within(t, 5*time.Second, "hearing", func() bool { return way.listening() })
		for range 3 {
			expect(t, "alive", there.Call("GET", "/session", nil), "200")
		}
		way.mute()
		expect(t, "end", c.Clone().Call("DELETE", "/session", nil), "200", "204")
		took := within(t, soon, "dead", func() bool { return there.Call("GET", "/session", nil).Status == 401 })
		t.Log("took", took)
		way.heal()
	}
}

// Nodes that start together on an empty database all come up, and it has one schema.
func TestNodesStartTogetherOnAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	address := onPostgres(t)
	empty, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	if _, err := empty.Exec(`DROP SCHEMA public CASCADE; CREATE SCHEMA public`); err != nil {
		t.Fatal(err)
	}
	keys := []string{"SALLYPORT_KEYS=" + filepath.Join(t.TempDir(), "keys")}
	if out, code := harness.Command(t, keys, "", "keys", "rotate"); code != 0 {
		t.Fatal(out)
	}
	options := harness.Options{Database: address, Env: keys, Command: "serve"}
	nodes := atOnce(4, func(int) *harness.Server {
		s, err := harness.TryStart(t, options)
		if err != nil {
			t.Error(err)
		}
		return s
	})
	if t.Failed() {
		return
	}
	harness.AddUser(t, nodes[0], anna, password)
	for _, n := range nodes {
		harness.SignIn(t, harness.NewClient(t, n.URL), anna, password)
	}
}

// The same on a file, by commands of an impatient script.
func TestCommandsStartTogetherOnAnEmptyFolder(t *testing.T) {
	t.Parallel()
	for range 3 {
		env := append(slices.Clone(cheap), "SALLYPORT_DATA="+t.TempDir())
		if out, code := harness.Command(t, env, "", "keys", "rotate"); code != 0 {
			t.Fatal(out)
		}
		atOnce(4, func(i int) int {
			out, code := harness.Command(t, env, password, "user", "add", "--email", fmt.Sprintf("person%d@example.com", i), "--name", "N", "--password-stdin")
			if code != 0 {
				t.Error(out)
			}
			return code
		})
	}
}

func onPostgres(t *testing.T) string { t.Helper(); return dbtest.Postgres(t, app.Schemas) }
