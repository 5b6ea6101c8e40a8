package test

import (
	"fmt"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/test/harness"
)

// A guess is counted before it is checked, and a crash in between does not give it back. R3
func TestACountSurvivesTheCrashBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	harness.EachDatabase(t, func(t *testing.T, address string) {
		t.Parallel()
		slow := []string{"SALLYPORT_PASSWORD_MEMORY_KIB=65536", "SALLYPORT_PASSWORD_ITERATIONS=25"} // more than a second
		s := with(t, harness.Options{Database: address, Env: slow}, address)
		harness.AddUser(t, s.Server, anna, password)
		failures := func(of string) int {
			return s.number(`SELECT COALESCE(MAX(failures), 0) FROM throttle WHERE subject LIKE $1`, of)
		}
		for i := range 10 {
			answer := make(chan harness.Answer, 1)
			c := s.client()
			go func() {
				answer <- c.Call("POST", "/signin", m{"login": anna, "password": "wrong password"})
			}()
			within(t, 5*time.Second, "the count", func() bool { return failures("first:%") == i+1 })
			s.Kill()
			if a := <-answer; a.Status != 0 {
				t.Fatal("answered before the crash: ", a)
			}
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			if got := failures("first:%"); got != i+1 {
				t.Fatalf("%d counted after crash %d", got, i+1)
			}
		}
		a := s.client().Call("POST", "/signin", m{"login": anna, "password": password})
		expect(t, "the eleventh, and right", a, "429 throttled")
		if a.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		if got := failures("address:%"); got != 11 {
			t.Error(got, "counted for the address")
		}
	})
}

// The same at the second step: a lock stands in for a slow check. R3
func TestACountOfCodesSurvivesTheCrashBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	s := open(t, onPostgres(t))
	_, secret := s.person(anna)
	c := s.begun(anna)
	for i := range 5 {
		unlock, done := make(chan struct{}), make(chan error, 1)
		locked := make(chan struct{})
		go func() {
			done <- s.db.Tx(t.Context(), func(tx auth.Tx) error {
				_, err := tx.ExecContext(t.Context(), `LOCK TABLE totp IN ACCESS EXCLUSIVE MODE`)
				close(locked)
				<-unlock
				return err
			})
		}()
		<-locked
		answer := make(chan harness.Answer, 1)
		go func() { answer <- c.Clone().Call("POST", "/signin/totp", m{"code": other(t, secret)}) }()
		within(t, 5*time.Second, "the count", func() bool {
			return s.number(`SELECT COALESCE(MAX(failures), 0) FROM throttle WHERE subject LIKE 'step:%'`) == i+1
		})
		s.Kill()
		close(unlock)
		if a := <-answer; a.Status != 0 {
			t.Fatal("answered before the crash: ", a)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "the sixth, and right", c.Call("POST", "/signin/totp", m{"code": harness.Code(t, secret, time.Now())}), "429 throttled", "401 expired")
	expect(t, "the seventh, in another sign-in", s.begun(anna).Call("POST", "/signin/totp", m{"code": harness.Code(t, secret, time.Now())}), "200")
}

// One node dies under load. What it answered is true on the other: the session works and the record has its row.
func TestAKilledNodeLosesNothingItAcknowledged(t *testing.T) {
	t.Parallel()
	a, b := twoNodes(t)
	people := []string{"one@example.com", "two@example.com", "three@example.com", "four@example.com"}
	for _, email := range people {
		harness.AddUser(t, a.Server, email, password)
	}
	acknowledged := make(chan *harness.Client, 10000)
	load := make(chan struct{})
	go func() {
		defer close(load)
		atOnce(8, func(i int) int {
			for range 500 {
				c := a.client()
				switch status, _ := c.API("POST", "/signin", m{"login": people[i/2], "password": password}); status {
				case 200:
					acknowledged <- c
				case 0: // it is gone
					return 0
				}
			}
			return 0
		})
	}()
	within(t, time.Minute, "load", func() bool { return len(acknowledged) > 150 })
	a.Kill()
	<-load
	close(acknowledged)
	n := 0
	for c := range acknowledged {
		n++
		expect(t, "acknowledged session", c.On(b.URL).Call("GET", "/session", nil), "200")
	}
	sessions, rows := b.sessions(), b.number(`SELECT COUNT(*) FROM events WHERE kind = 'session.started'`)
	t.Logf("%d acknowledged, %d sessions, %d rows in the record", n, sessions, rows)
	if sessions < n || rows != sessions {
		t.Error("something was lost")
	}
	if out, code := b.Run("", "audit", "verify"); code != 0 {
		t.Error(out)
	}
	if err := a.Restart(); err != nil {
		t.Error(err)
	}
	expect(t, "sign-in on the node that is back", a.client().Call("POST", "/signin", m{"login": people[0], "password": password}), "200")
}

// The same for one process on a file: kill -9 in the middle of sign-ins.
func TestAKilledServerLosesNothingItAcknowledged(t *testing.T) {
	t.Parallel()
	s := open(t, onSQLite(t))
	for i := range 6 { // one person has no more than a hundred sessions
		harness.AddUser(t, s.Server, fmt.Sprintf("p%d@example.com", i), password)
	}
	for range 3 {
		acknowledged := make(chan *harness.Client, 10000)
		load := make(chan struct{})
		go func() {
			defer close(load)
			atOnce(6, func(i int) int {
				for range 500 {
					c := s.client()
					switch status, _ := c.API("POST", "/signin", m{"login": fmt.Sprintf("p%d@example.com", i), "password": password}); status {
					case 200:
						acknowledged <- c
					case 0:
						return 0
					}
				}
				return 0
			})
		}()
		within(t, time.Minute, "load", func() bool { return len(acknowledged) > 50 })
		s.Kill()
		<-load
		close(acknowledged)
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		for c := range acknowledged {
			expect(t, "acknowledged session", c.Call("GET", "/session", nil), "200")
		}
		if rows := s.number(`SELECT COUNT(*) FROM events WHERE kind = 'session.started'`); rows != s.sessions() {
			t.Error(rows, "rows in the record,", s.sessions(), "sessions")
		}
	}
	if out, code := s.Run("", "audit", "verify"); code != 0 {
		t.Error(out)
	}
}

// Clients of a killed server keep what they had. S6
func TestAPendingSignInSurvivesARestart(t *testing.T) {
	t.Parallel()
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		_, secret := s.person(anna)
		for _, end := range []func(){s.Stop, s.Kill} {
			c := s.begun(anna)
			end()
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			s.forgetSteps()
			expect(t, "second step", c.Call("POST", "/signin/totp", m{"code": harness.Code(t, secret, time.Now())}), "200")
			end()
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			expect(t, "session", c.Call("GET", "/session", nil), "200")
		}
	})
}
