package app_test

import (
	"bytes"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/notify"
	"sallyport/internal/visit"
)

// told keeps every mail.
func told(c *config.Config) { c.Mail.Host = config.Outbox }

const newPassword = "another horse battery"

// A noticed message has the name of its text.
type noticed struct {
	text string
	notify.Letter
}

var notMe = regexp.MustCompile(`http://localhost:8080/not-me\?token=([\w-]{43})`)

// token is what its link has, or "".
func (n noticed) token() string {
	m := notMe.FindStringSubmatch(n.Mail.Text)
	if m == nil {
		return ""
	}
	return m[1]
}

// notices are the security notices so far to an address, the newest first.
func (w *world) notices(t tester, to string) (some []noticed) {
	t.Helper()
	letters, err := w.Outbox.Kept(visitless, 10_000)
	if err != nil {
		t.Fatalf("%v", err)
	}
	rows, err := w.DB.QueryContext(visitless, `SELECT message FROM outbox WHERE user_id <> '' ORDER BY added_at DESC, id DESC`)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer rows.Close()
	for i := 0; rows.Next(); i++ {
		one := noticed{Letter: letters[i]}
		if err := rows.Scan(&one.text); err != nil {
			t.Fatalf("%v", err)
		}
		if strings.HasPrefix(one.text, "notice-") && one.To == to {
			some = append(some, one)
		}
	}
	return some
}

// notice is the newest to an address with a text; there must be one.
func (w *world) notice(t tester, to, text string) noticed {
	t.Helper()
	all := w.notices(t, to)
	for _, n := range all {
		if n.text == text {
			return n
		}
	}
	t.Fatalf("no %s to %s among %d notices", text, to, len(all))
	return noticed{}
}

func (w *world) count(t tester, table string) (n int) {
	t.Helper()
	if err := w.DB.QueryRowContext(visitless, `SELECT COUNT(*) FROM `+table).Scan(&n); err != nil {
		t.Fatalf("%v", err)
	}
	return n
}

// answered is “This wasn't me” in a browser of nobody: where it leads.
func (w *world) answered(t tester, token string) string {
	t.Helper()
	a := w.browser().api("POST", "/not-me", "token", token)
	if a.status != 200 || a.field("next") == "" {
		t.Fatalf("%v", a)
	}
	return a.field("next")
}

// faces are a way to send on each face.
func (b *browser) faces() map[string]func(string, string, ...string) answer {
	return map[string]func(string, string, ...string) answer{"api": b.api, "page": b.form}
}

// F4: every change that a person makes is told once, where they are reached, with a link that knows what it was.
func TestEveryChangeIsToldWithALinkThatWorks(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		seen := 0
		step := func(want, kind string, a answer) noticed {
			t.Helper()
			if a.status/100 != 2 {
				t.Fatalf("%s: %v", want, a)
			}
			all := w.notices(t, annsLogin)
			if len(all) != seen+1 || all[0].text != want {
				t.Fatalf("%s: %d notices after %d, the newest %v", want, len(all), seen, all)
			}
			seen++
			if got := w.browser().api("GET", "/not-me?token="+all[0].token()); got.status != 200 || got.field("kind") != kind {
				t.Errorf("%s: its link: %v", want, got)
			}
			w.wait(time.Second)
			return all[0]
		}
		app := b.hold(t, "/account/totp")
		step("notice-factor-added", "factor.added", answer{status: 200})
		b.hold(t, "/account/passkeys")
		step("notice-factor-added", "factor.added", answer{status: 200})
		n := step("notice-factor-renamed", "factor.renamed", b.api("POST", app+"/name", "name", "Work"))
		if !strings.Contains(n.Mail.Text, "Phone is now called Work") {
			t.Error(n.Mail.Text)
		}
		step("notice-factor-removed", "factor.removed", b.api("DELETE", app))
		step("notice-mfa-off", "mfa.disabled", b.api("POST", "/account/mfa/disable", "password", string(annsPassword)))
		step("notice-mfa-on", "mfa.enabled", b.api("POST", "/account/mfa/enable"))
		step("notice-password", "password.changed", b.api("POST", "/account/password", "current", string(annsPassword), "password", newPassword))
		n = step("notice-phone", "contact.changed", b.api("POST", "/account/contact", "email", annsLogin, "phone", annPhone))
		if strings.Contains(n.Mail.Text+n.Mail.HTML, annPhone) || !strings.Contains(n.Mail.Text, "•••• 0605") {
			t.Error(n.Mail.Text)
		}
		n = step("notice-email", "contact.changed", b.api("POST", "/account/contact", "email", "ann@example.org", "phone", annPhone))
		if !strings.Contains(n.Mail.Text, "a•••@example.com") || strings.Contains(n.Mail.Text, "ann@example.org") {
			t.Error(n.Mail.Text)
		}
		if all := w.notices(t, "ann@example.org"); len(all) != 1 || all[0].text != "notice-email" || strings.Contains(all[0].Mail.Text, annsLogin) {
			t.Error(all)
		}
	}, told)
}

// F4: a new browser is told once to whom it is new, at any finished sign-in, and its answer makes it new again.
func TestANewBrowserIsTold(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		w.add(t, "bob@example.com", annsPassword)
		told := func(why, to string, want int) {
			t.Helper()
			if n := len(w.notices(t, to)); n != want {
				t.Errorf("%s: %d notices, want %d", why, n, want)
			}
			w.wait(time.Minute)
		}
		first, second := w.browser(), w.browser()
		for range 2 {
			first.signIn(t, annsLogin, annsPassword, "signed_in")
			told("the first", annsLogin, 0)
		}
		if !first.has(visit.BrowserCookie) {
			t.Fatal("no cookie: ", first.jar)
		}
		for range 2 {
			second.signIn(t, annsLogin, annsPassword, "signed_in")
			told("a new one", annsLogin, 1)
		}
		bobs := w.browser()
		bobs.signIn(t, "bob@example.com", annsPassword, "signed_in")
		told("of somebody else", "bob@example.com", 0)
		bobs.signIn(t, annsLogin, annsPassword, "signed_in")
		told("with the cookie of somebody else", annsLogin, 2)
		// A wrong password and a sign-in that is not finished tell nothing.
		w.browser().api("POST", "/signin", "login", annsLogin, "password", "wrong horse battery")
		told("a wrong password", annsLogin, 2)
		first.stepUp(t, "password", "password", annsPassword)
		_, key := first.enrol(t, "/account")
		told("a factor", annsLogin, 3)
		third := w.browser()
		third.signIn(t, annsLogin, annsPassword, "second_factor")
		if told("the first step", annsLogin, 3); third.has(visit.BrowserCookie) {
			t.Error("known before it signed in")
		}
		w.wait(time.Minute)
		if a := third.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.status != 200 {
			t.Fatal(a)
		}
		told("the second step", annsLogin, 4)
		n := w.notice(t, annsLogin, "notice-browser")
		if a := w.browser().api("GET", "/not-me?token="+n.token()); a.field("kind") != "session.started" || a.fields["recovers"] != true {
			t.Error(a)
		}
		w.answered(t, n.token())
		w.wait(time.Hour)
		before := len(w.notices(t, annsLogin))
		third.signIn(t, annsLogin, annsPassword, "second_factor")
		third.api("POST", "/signin/totp", "code", codeAt(key, w.now()))
		told("the same, after the answer", annsLogin, before+1)
	}, told)
}

// F4: five wrong second factors of an account are told, also if they were in several sign-ins, once an hour.
func TestWrongSecondFactorsAreTold(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		_, key := b.enrol(t, "/account")
		wrong := wrongCode(w.now(), key)
		told := func(why string, want int) {
			t.Helper()
			n := 0
			for _, one := range w.notices(t, annsLogin) {
				if one.text == "notice-failures" {
					n++
				}
			}
			if n != want {
				t.Errorf("%s: %d, want %d", why, n, want)
			}
		}
		for range 6 {
			w.browser().api("POST", "/signin", "login", annsLogin, "password", "wrong horse battery")
		}
		told("wrong passwords", 0)
		w.wait(time.Hour)
		guess := func(times int) {
			t.Helper()
			thief := w.browser()
			thief.signIn(t, annsLogin, annsPassword, "second_factor")
			for range times {
				if a := thief.api("POST", "/signin/totp", "code", wrong); a.status/100 != 4 {
					t.Fatal(a)
				}
			}
		}
		guess(2)
		guess(2)
		told("four", 0)
		guess(1)
		told("five", 1)
		guess(3)
		told("eight", 1)
		if a := w.browser().api("GET", "/not-me?token="+w.notice(t, annsLogin, "notice-failures").token()); a.status != 200 {
			t.Error(a)
		}
		w.wait(time.Hour + time.Minute)
		guess(1)
		told("one, later", 1)
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		if a := b.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.status != 200 {
			t.Fatal(a)
		}
		for range 5 {
			if a := b.api("POST", "/stepup/totp", "code", wrong); a.status != 422 {
				t.Fatal(a)
			}
		}
		told("at a step-up", 2)
	}, told)
}

// C4, F4: who may no longer get codes hears of it, and so does who looks after the instance; nobody hears whose doing it was.
func TestASharedAddressIsTold(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		owner := w.add(t, "owner@example.com", annsPassword)
		if err := w.DB.Tx(visitless, func(tx auth.Tx) error {
			_, err := tx.ExecContext(visitless, `UPDATE users SET role = 'owner' WHERE id = $1`, owner.ID)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		w.withCodes(t, annsLogin, "", "email")
		w.contact(t, w.add(t, "bob@example.com", annsPassword), annsLogin, "")
		for to, text := range map[string]string{annsLogin: "notice-blocked", "owner@example.com": "notice-blocked-admin"} {
			if n := w.notice(t, to, text); strings.Contains(n.Mail.Text, "bob") || n.token() != "" {
				t.Error(n.Mail.Text)
			}
		}
	}, told, coded)
}

// Where there is no mail, a sign-in sets no cookie and leaves no row.
func TestWithoutMailNoBrowserIsRemembered(t *testing.T) {
	w := inSQLite(t)
	b := w.fresh(t, annsLogin)
	b.hold(t, "/account/totp")
	if b.has(visit.BrowserCookie) || w.count(t, "known_browsers")+w.count(t, "notice_links")+w.count(t, "outbox") > 0 {
		t.Error(b.jar)
	}
}

// What opens something, and where people are reached, stands neither in the record nor in the log.
func TestNoLinkIsOnRecordOrInTheLog(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		var log bytes.Buffer
		a, err := app.New(t.Context(), w.config, w.now, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		w.App = a
		b := w.fresh(t, annsLogin)
		_, key := b.enrol(t, "/account")
		b.api("POST", "/account/contact", "email", "ann@example.org", "phone", annPhone)
		b.api("POST", "/account/contact", "email", annsLogin, "phone", annPhone)
		var secrets []string
		for _, to := range []string{annsLogin, "ann@example.org"} {
			for _, n := range w.notices(t, to) {
				secrets = append(secrets, n.token())
			}
		}
		if len(secrets) != 6 { // a factor, a phone, two addresses twice
			t.Fatal(len(secrets), "links")
		}
		added := w.notice(t, annsLogin, "notice-factor-added").token()
		for _, send := range w.browser().faces() {
			send("GET", "/not-me?token="+added)
		}
		w.wait(15 * 24 * time.Hour)
		thief := w.browser()
		thief.signIn(t, annsLogin, annsPassword, "second_factor")
		thief.api("POST", "/signin/totp", "code", codeAt(key, w.now()))
		n := w.notice(t, annsLogin, "notice-browser")
		next := w.answered(t, n.token())
		for _, send := range w.browser().faces() {
			send("GET", next)
			send("POST", next, "password", newPassword)
			send("POST", next, "password", newPassword)
		}
		secrets = append(secrets, n.token(), strings.TrimPrefix(next, "/forgot/"), thief.jar[visit.BrowserCookie],
			annsLogin, "ann@example.org", annPhone, newPassword)
		rows, err := w.DB.QueryContext(visitless, `SELECT kind || ' ' || detail || ' ' || browser FROM events`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		said := log.String()
		for rows.Next() {
			var row string
			if err := rows.Scan(&row); err != nil {
				t.Fatal(err)
			}
			said += row + "\n"
		}
		if !strings.Contains(said, "/not-me") || !strings.Contains(said, "account.frozen") {
			t.Error("nothing was looked at")
		}
		for _, s := range secrets {
			if s == "" || strings.Contains(said, s) {
				t.Errorf("%q stands there", s)
			}
		}
	}, told)
}

// F4: a mail scanner follows links. It does nothing by that.
func TestLookingAtANoticesLinkChangesNothing(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		app := b.hold(t, "/account/totp")
		token := w.notice(t, annsLogin, "notice-factor-added").token()
		for range 3 {
			for _, method := range []string{"GET", "HEAD"} {
				for _, path := range []string{"/not-me", "/api/v1/not-me"} {
					if a := w.browser().send(method, path+"?token="+token, "", ""); a.status != 200 {
						t.Error(method, path, a)
					}
				}
			}
		}
		page := w.browser().form("GET", "/not-me?token="+token)
		for _, words := range []string{`<form class="stack" method="post" action="/not-me">`, "This wasn’t me", "taken back", "new password", "3 days"} {
			if !strings.Contains(page.body, words) {
				t.Errorf("no %q in %s", words, page.body)
			}
		}
		if strings.Contains(page.body, annsLogin) {
			t.Error("it says whose account it is")
		}
		if a := b.api("GET", app+"/name"); a.status != 200 || len(w.events(t, idOf(t, w, annsLogin), auth.AccountFrozen)) > 0 {
			t.Error("it changed something: ", a)
		}
		w.answered(t, token)
	}, told)
}

// C4, F4: an address comes back even if somebody was given it meanwhile; then it takes no codes.
func TestAnAddressComesBackThoughSomebodyHasItNow(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		thief := w.fresh(t, annsLogin)
		w.contact(t, w.find(t, annsLogin), "private@example.com", "")
		w.wait(time.Minute) // the newest notice is that of the thief's change
		if a := thief.api("POST", "/account/contact", "email", "thief@example.com"); a.status != 204 {
			t.Fatal(a)
		}
		w.add(t, "private@example.com", annsPassword)
		w.answered(t, w.notice(t, "private@example.com", "notice-email").token())
		if now := w.find(t, annsLogin); now.Email != "private@example.com" || thief.session().status != 401 {
			t.Error(now.Email)
		}
	}, told, coded)
}
