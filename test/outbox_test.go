package test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/db"
	"sallyport/internal/notify/mail/mailtest"
	"sallyport/test/harness"
)

// through is the settings of a server whose mail goes through a real mail server, by TLS.
func through(box *mailtest.Box) []string {
	return []string{"SALLYPORT_MAIL_HOST=" + box.Addr, "SALLYPORT_MAIL_FROM=Example <no-reply@example.com>", "SSL_CERT_FILE=" + box.CAFile,
		"SALLYPORT_POLICY_FACTORS=passkey,totp,email"}
}

// C1, C2, C9
func TestCodesReachPeopleThroughARealMailServer(t *testing.T) {
	t.Parallel()
	box := mailtest.Postfix(t)
	s := open(t, onSQLite(t), through(box)...)
	harness.AddUser(t, s.Server, anna, password)
	c := s.as(anna)
	expect(t, "step-up", c.Call("POST", "/stepup/password", m{"password": password}), "200")
	expect(t, "switch on", c.Call("POST", "/account/codes", m{"on": true, "channel": "email"}), "200")
	expect(t, "proof", c.Call("POST", "/account/email/code", m{"code": codeIn(t, arrives(t, box, anna, "confirms your address"))}), "200")
	c = s.begun(anna)
	got := arrives(t, box, anna, "is your Sallyport code")
	if got.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Error(got.Header)
	}
	expect(t, "second step", c.Call("POST", "/signin/email", m{"code": codeIn(t, got)}), "200")
	expect(t, "session", c.Call("GET", "/session", nil), "200")

	before := s.number(`SELECT COUNT(*) FROM outbox`)
	if out, code := s.Run("", "messages", "test", "bob@example.com", "--language", "de"); code != 0 || !strings.Contains(out, "took the message") {
		t.Error(code, out)
	}
	if got := arrives(t, box, "bob@example.com", "Test"); !strings.Contains(got.HTML, `lang="de"`) {
		t.Error(got.HTML)
	}
	if out, code := s.Run("", "messages", "test", "unknown@example.com"); code != 1 || !strings.Contains(out, "refused it for good") || strings.Contains(out, "unknown@") {
		t.Error(code, out)
	}
	if after := s.number(`SELECT COUNT(*) FROM outbox`); after != before {
		t.Error("a test went through the outbox")
	}
}

// arrives waits for a mail to somebody whose subject has some words.
func arrives(t *testing.T, box *mailtest.Box, to, words string) (found mailtest.Received) {
	t.Helper()
	within(t, 10*time.Second, words, func() bool {
		all := box.Mails(t, 0)
		at := slices.IndexFunc(all, func(r mailtest.Received) bool { return r.To == to && strings.Contains(r.Subject(), words) })
		if at >= 0 {
			found = all[at]
		}
		return at >= 0
	})
	return found
}

// codeIn is the code that stands alone on its line.
func codeIn(t *testing.T, got mailtest.Received) string {
	t.Helper()
	for line := range strings.Lines(got.Text) {
		if line = strings.TrimSpace(line); len(line) == 9 && line[4] == '-' {
			return line
		}
	}
	t.Fatal("there is no code in ", got.Text)
	return ""
}

// kill -9 in the middle of sign-ins that are sent codes. What was acknowledged is sent; what is sent twice says so. C9
func TestAKilledServerLosesNoMail(t *testing.T) {
	t.Parallel()
	harness.EachDatabase(t, func(t *testing.T, address string) {
		t.Parallel()
		box := mailtest.Postfix(t)
		s := open(t, address, append(through(box), behind)...)
		const people, crashes = 24, 3
		for i := range people {
			harness.AddUser(t, s.Server, fmt.Sprintf("p%d@example.com", i), password)
		}
		s.do(`INSERT INTO contacts (id, user_id, kind, destination, destination_key, preferred, added_at, last_used_at)
			SELECT id, id, 'email', email, email, TRUE, added_at, added_at FROM users WHERE email <> ''`)
		if n := s.number(`SELECT COUNT(*) FROM contacts`); n != people {
			t.Fatal(n, " contacts")
		}

		var acknowledged [people]atomic.Int64
		total, killed := atomic.Int64{}, 0
		for range crashes {
			before := total.Load()
			load := make(chan struct{})
			go func() {
				defer close(load)
				atOnce(8, func(worker int) int {
					for i := range 9 { // three each, or ten in an hour would be too many
						who := worker*3 + i%3
						c := s.client().From(fmt.Sprintf("10.0.%d.%d", worker, total.Load()%250))
						switch status, answer := c.API("POST", "/signin", m{"login": fmt.Sprintf("p%d@example.com", who), "password": password}); {
						case status == 0: // it is gone
							return 0
						case status == 200 && answer["state"] == "second_factor":
							acknowledged[who].Add(1)
							total.Add(1)
						default:
							t.Error(status, answer)
						}
					}
					return 0
				})
			}()
			within(t, 20*time.Second, "load", func() bool { return total.Load() > before+30 })
			s.Kill()
			<-load
			killed += s.number(`SELECT COUNT(*) FROM outbox WHERE state = 'sending'`)
			s.do(`UPDATE outbox SET due_at = 1 WHERE state = 'sending'`) // 40 seconds later
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
		}
		within(t, 60*time.Second, "an empty outbox", func() bool { return s.number(`SELECT COUNT(*) FROM outbox WHERE due_at > 0`) == 0 })

		rows, err := s.db.QueryContext(t.Context(), `SELECT id FROM outbox WHERE state = 'delivered' AND message = 'code-signin'`)
		sent, err := db.Collect(rows, err, func(r *sql.Rows) (id string, err error) { return id, r.Scan(&id) })
		if err != nil {
			t.Fatal(err)
		}
		if all := s.number(`SELECT COUNT(*) FROM outbox WHERE message = 'code-signin'`); all != len(sent) {
			t.Errorf("%d messages, %d delivered", all, len(sent))
		}
		arrived := map[string][]mailtest.Received{}
		within(t, 20*time.Second, "all mails", func() bool {
			clear(arrived)
			for _, got := range box.Mails(t, len(sent)) {
				if id := got.Header.Get("Message-ID"); strings.Contains(got.Subject(), "is your Sallyport code") {
					arrived[id] = append(arrived[id], got)
				}
			}
			return len(arrived) >= len(sent)
		})
		var of [people]int64
		twice := 0
		for id, copies := range arrived {
			if row := strings.TrimSuffix(strings.TrimPrefix(id, "<"), "@example.com>"); !slices.Contains(sent, row) {
				t.Errorf("%s is no message of ours", id)
			}
			for _, c := range copies[1:] {
				twice++
				if c.To != copies[0].To || c.Text != copies[0].Text || c.Subject() != copies[0].Subject() {
					t.Errorf("%s came again, and is another:\n%s\n%s", id, copies[0].Raw, c.Raw)
				}
			}
			var who int
			if _, err := fmt.Sscanf(copies[0].To, "p%d@", &who); err != nil {
				t.Error(copies[0].To, err)
				continue
			}
			of[who]++
		}
		for i := range people {
			if of[i] < acknowledged[i].Load() {
				t.Errorf("p%d signed in %d times and was sent %d codes", i, acknowledged[i].Load(), of[i])
			}
		}
		t.Logf("%d sign-ins acknowledged, %d messages arrived, %d were on their way at a kill, %d came twice", total.Load(), len(arrived), killed, twice)
	})
}

// The viewer is for machines to develop on, and does not exist elsewhere.
func TestServeHasNoViewer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		command string
		status  string
	}{{"dev", "200"}, {"serve", "404"}} {
		relay := harness.StartRelay(t)
		o := harness.Options{Command: test.command}
		if test.command == "serve" {
			o.Env = relay.Env()
		}
		s := harness.Start(t, o)
		for _, path := range []string{"/dev/outbox", "/dev/outbox.json", "/dev/outbox/viewer.css"} {
			a := harness.NewClient(t, s.URL).Send("GET", path, nil, nil)
			if kindOf(a)[:3] != test.status {
				t.Errorf("%s: %s answered %v", test.command, path, a)
			}
		}
		if n := strings.Count(s.Log(), "\n"); test.command == "dev" && (n > 12 || !strings.Contains(s.Log(), "  Outbox       "+s.URL+"/dev/outbox\n")) {
			t.Error(n, "lines:", s.Log())
		}
	}
}
