// Package test tries the whole server as everybody else does: by its command line, its pages and its JSON face, on
// both databases. Two nodes are two processes, a crash is kill -9, and a lost database is a cut connection.
package test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// cheap makes hashing cost nothing, for tests that are not about it.
var cheap = []string{"SALLYPORT_PASSWORD_MEMORY_KIB=64", "SALLYPORT_PASSWORD_ITERATIONS=1"}

// behind lets tests come from many addresses.
const behind = "SALLYPORT_TRUSTED_PROXIES=127.0.0.1"

const (
	anna     = "anna@example.com"
	berta    = "berta@example.com"
	password = "seven quiet otters"
)

// A site is a server together with its database, which tests look into and turn back in time.
type site struct {
	*harness.Server
	address string
	db      *db.DB
	t       *testing.T
}

func open(t *testing.T, address string, env ...string) site {
	t.Helper()
	return with(t, harness.Options{Database: address, Env: append(slices.Clone(cheap), env...)}, address)
}

// with is open for a server of any kind.
func with(t *testing.T, o harness.Options, address string) site {
	t.Helper()
	return site{harness.Start(t, o), address, dbtest.Open(t, address), t}
}

// onSQLite is a database for a test that one engine is enough for.
func onSQLite(t *testing.T) string { t.Helper(); return dbtest.SQLite(t, app.Schemas) }

func (s site) client() *harness.Client { return harness.NewClient(s.t, s.URL) }

// as is somebody signed in with their password alone.
func (s site) as(email string) *harness.Client {
	s.t.Helper()
	c := s.client()
	if got := harness.SignIn(s.t, c, email, password)["state"]; got != "signed_in" {
		s.t.Error("state ", got)
	}
	return c
}

// begun is a sign-in that waits for its second step.
func (s site) begun(email string) *harness.Client {
	s.t.Helper()
	c := s.client()
	if got := harness.SignIn(s.t, c, email, password)["state"]; got != "second_factor" {
		s.t.Error("state ", got)
	}
	return c
}

// person adds somebody with an authenticator, signed in and fresh.
func (s site) person(email string) (c *harness.Client, secret string) {
	s.t.Helper()
	harness.AddUser(s.t, s.Server, email, password)
	c = s.as(email)
	return c, harness.Enrol(s.t, c, password)
}

// number is what a query counts.
func (s site) number(query string, args ...any) (n int) {
	s.t.Helper()
	if err := s.db.QueryRowContext(s.t.Context(), query, args...).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// do changes the database behind the server's back.
func (s site) do(statement string, args ...any) {
	s.t.Helper()
	err := s.db.Tx(s.t.Context(), func(tx auth.Tx) error {
		_, err := tx.ExecContext(s.t.Context(), statement, args...)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// forgetFailures is a day without any.
func (s site) forgetFailures() { s.t.Helper(); s.do(`DELETE FROM throttle`) }

// forgetSteps makes every code good again, as that of an authenticator never used.
func (s site) forgetSteps() { s.t.Helper(); s.do(`UPDATE totp SET last_step = 0 WHERE confirmed`) }

// at once runs f for each number below n, all let go at the same instant.
func atOnce[T any](n int, f func(i int) T) []T {
	var (
		ready, all sync.WaitGroup
		start      = make(chan struct{})
		results    = make([]T, n)
	)
	ready.Add(n)
	for i := range n {
		all.Go(func() {
			ready.Done()
			<-start
			results[i] = f(i)
		})
	}
	ready.Wait()
	close(start)
	all.Wait()
	return results
}

// warm opens the connection before the race, so that all requests arrive together.
func warm(clients []*harness.Client) []*harness.Client {
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() { c.Send("GET", "/healthz", nil, nil) })
	}
	all.Wait()
	return clients
}

func clones(c *harness.Client, n int) []*harness.Client {
	all := make([]*harness.Client, n)
	for i := range all {
		all[i] = c.Clone()
	}
	return warm(all)
}

// tally counts what was answered, by status and kind of problem: "200", "422 wrong".
func tally(answers []harness.Answer) map[string]int {
	n := map[string]int{}
	for _, a := range answers {
		n[kindOf(a)]++
	}
	return n
}

func kindOf(a harness.Answer) string {
	text := fmt.Sprint(a.Status)
	if _, rest, ok := strings.Cut(a.Body, "/problems/"); ok {
		text += " " + rest[:strings.IndexByte(rest, '"')]
	}
	if strings.Contains(a.Body, "signin.used-up") {
		text += " used up"
	}
	return text
}

// noFault fails on any answer that is our fault, or none.
func noFault(t *testing.T, n map[string]int) {
	t.Helper()
	for kind := range n {
		if kind == "0" || kind[0] == '5' && kind != "503 busy" {
			t.Error(n)
		}
	}
}

// within polls until ok, and says how long it took.
func within(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	for start := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		good, took := ok(), time.Since(start)
		if took > limit {
			t.Errorf("%s: not within %v (%v)", what, limit, took)
		}
		if good || took > limit {
			return took
		}
	}
}

func expect(t *testing.T, what string, a harness.Answer, want ...string) {
	t.Helper()
	if got := kindOf(a); !slices.Contains(want, got) {
		t.Errorf("%s: %s, want %s\n%s", what, got, want, cmp.Or(a.Body, a.Location))
	}
}

// others are n different codes, none of them right now or soon.
func others(t *testing.T, secret string, n int) (codes []string) {
	t.Helper()
	var right []string
	for step := range 5 {
		right = append(right, harness.Code(t, secret, time.Now().Add(time.Duration(step-2)*30*time.Second)))
	}
	for i := 0; len(codes) < n; i++ {
		if code := fmt.Sprintf("%06d", 314159+i); !slices.Contains(right, code) {
			codes = append(codes, code)
		}
	}
	return codes
}

type m = map[string]any
