package test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sallyport/test/harness"
)

// While the database is away nobody signs in and nothing is half done; when it is back everything goes on by itself.
func TestADatabaseThatGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	address := onPostgres(t)
	way := newProxy(t, address)
	s := with(t, harness.Options{Database: way.address, Env: cheap}, address)
	in, secret := s.person(anna)
	for _, outage := range []struct {
		name  string
		begin func()
		most  time.Duration // until the answer
	}{
		{"refuses connections", way.cut, 3 * time.Second},
		{"does not answer", way.sleep, 12 * time.Second},
	} {
		t.Run(outage.name, func(t *testing.T) {
			s.forgetSteps()
			waits := s.begun(anna)
			sessions := s.sessions()
			outage.begin()
			type call struct {
				what string
				do   func() harness.Answer
			}
			code := harness.Code(t, secret, time.Now())
			calls := []call{
				{"sign-in", func() harness.Answer {
					return s.client().Call("POST", "/signin", m{"login": anna, "password": password})
				}},
				{"unknown name", func() harness.Answer {
					return s.client().Call("POST", "/signin", m{"login": "nobody@example.com", "password": password})
				}},
				{"second step", func() harness.Answer { return waits.Clone().Call("POST", "/signin/totp", m{"code": code}) }},
				{"sign-out", func() harness.Answer { return in.Clone().Call("DELETE", "/session", nil) }},
				{"list", func() harness.Answer { return in.Clone().Call("GET", "/account/totp", nil) }},
				{"readyz", func() harness.Answer {
					within(t, outage.most, "readyz", func() bool { return !s.Ready() }) // it remembers a write for a moment
					return s.client().Send("GET", "/readyz", nil, nil)
				}},
			}
			// The node may answer from memory until it notices that it is deaf.
			within(t, outage.most, "session check", func() bool { return in.Clone().Call("GET", "/session", nil).Status != 200 })
			calls = append(calls, call{"session", func() harness.Answer { return in.Clone().Call("GET", "/session", nil) }},
				call{"unknown session", func() harness.Answer {
					return s.client().SetCookie(harness.SessionCookie, "none").Call("GET", "/session", nil)
				}})
			atOnce(len(calls), func(i int) int {
				start := time.Now()
				a := calls[i].do()
				expect(t, calls[i].what, a, "503 busy")
				if took := time.Since(start); took > outage.most {
					t.Error(calls[i].what, "took", took)
				}
				if a.Status == 503 && a.Header.Get("Content-Type") != "application/problem+json" {
					t.Error(calls[i].what, a.Header)
				}
				return 0
			})
			page := s.client().Page("GET", "/account", nil)
			if page.Status != 303 { // nobody is signed in there, whatever the database says
				t.Error("page:", page.Status)
			}
			expect(t, "page of the person", in.Clone().Page("GET", "/account", nil), "503")
			expect(t, "healthz", s.client().Send("GET", "/healthz", nil, nil), "200")
			if n := s.sessions(); n != sessions {
				t.Error(n-sessions, "sessions began meanwhile")
			}
			way.heal()
			within(t, 10*time.Second, "recovery", s.Ready)
			within(t, 5*time.Second, "session", func() bool { return in.Call("GET", "/session", nil).Status == 200 })
			s.forgetFailures()
			expect(t, "sign-in", s.client().Call("POST", "/signin", m{"login": anna, "password": password}), "200")
			expect(t, "second step", waits.Call("POST", "/signin/totp", m{"code": harness.Code(t, secret, time.Now())}), "200", "422 wrong", "401 expired")
		})
	}
}

// A file that takes no more writes, as on a full or read-only disk: the kernel refuses every byte beyond the limit.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	address := onSQLite(t)
	// The signal that comes with the refusal would end the process; a full disk sends none.
	s := with(t, harness.Options{Database: address, Env: cheap, Under: []string{"env", "--block-signal=XFSZ"}}, address)
	limit := func(to string) {
		t.Helper()
		if out, err := exec.Command("prlimit", "--pid", fmt.Sprint(s.PID()), "--fsize="+to+":").CombinedOutput(); err != nil {
			t.Fatalf("prlimit: %s", out)
		}
	}
	in, secret := s.person(anna)
	waits := s.begun(anna)
	for range 2 {
		sessions, events := s.sessions(), s.number(`SELECT COUNT(*) FROM events`)
		limit("1")
		for range 3 {
			a := s.client().Call("POST", "/signin", m{"login": anna, "password": password})
			expect(t, "sign-in", a, "503 busy")
			if a.Header.Get("Retry-After") == "" || a.Header.Get("Set-Cookie") != "" {
				t.Error(a.Header)
			}
		}
		expect(t, "page", s.client().Page("POST", "/signin", map[string][]string{"login": {anna}, "password": {password}}), "503")
		expect(t, "second step", waits.Clone().Call("POST", "/signin/totp", m{"code": harness.Code(t, secret, time.Now())}), "503 busy")
		expect(t, "sign-out", in.Clone().Call("DELETE", "/session", nil), "503 busy")
		within(t, time.Second, "readyz", func() bool { return !s.Ready() }) // it remembers a write for a moment
		expect(t, "what only reads", in.Clone().Call("GET", "/session", nil), "200")
		if s.sessions() != sessions || s.number(`SELECT COUNT(*) FROM events`) != events {
			t.Error("something was written")
		}
		limit("unlimited")
		within(t, 5*time.Second, "recovery", s.Ready)
		expect(t, "sign-in", s.client().Call("POST", "/signin", m{"login": anna, "password": password}), "200")
		expect(t, "session", in.Call("GET", "/session", nil), "200")
	}
	expect(t, "second step", waits.Call("POST", "/signin/totp", m{"code": harness.Code(t, secret, time.Now())}), "200")
	if out, code := s.Run("", "audit", "verify"); code != 0 {
		t.Error(out)
	}
	var sound string
	if err := s.db.QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&sound); err != nil || sound != "ok" {
		t.Error(err, sound)
	}
}

// A disk that is really full, where this machine lets us make one.
func TestAFullFileSystem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("the file size limit has to do: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	s := harness.Start(t, harness.Options{Data: dir, Env: cheap})
	harness.AddUser(t, s, anna, password)
	in := harness.NewClient(t, s.URL)
	harness.SignIn(t, in, anna, password)
	filler := filepath.Join(dir, "filler")
	for range 2 {
		exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=4k").Run() // ends with "no space left"
		n := map[string]int{}
		for range 200 { // until what the database had in reserve is used up
			n[kindOf(harness.NewClient(t, s.URL).Call("POST", "/signin", m{"login": anna, "password": password}))]++
		}
		noFault(t, n)
		if n["503 busy"] == 0 {
			t.Error("the disk did not fill:", n)
		}
		expect(t, "session", in.Call("GET", "/session", nil), "200")
		exec.Command("rm", filler).Run()
		within(t, 5*time.Second, "recovery", s.Ready)
		harness.SignIn(t, harness.NewClient(t, s.URL), anna, password)
	}
	if out, code := s.Run("", "audit", "verify"); code != 0 {
		t.Error(out)
	}
}
