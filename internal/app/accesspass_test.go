package app_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/factor/accesspass"
	"sallyport/internal/throttle"
	"sallyport/internal/visit"
)

// gives is what an administrator does for somebody locked out.
func (w *world) gives(t tester, u auth.User, life time.Duration) (code string, err error) {
	t.Helper()
	err = w.DB.Tx(visitless, func(tx auth.Tx) error {
		p, err := w.Recovery.GivePass(visitless, tx, u, "lost phone", life)
		code = string(p.Code)
		return err
	})
	return code, err
}

func (w *world) given(t tester, u auth.User) string {
	t.Helper()
	code, err := w.gives(t, u, time.Hour)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return code
}

// resets is the whole reset, with what it leaves.
func (w *world) resets(t tester, u auth.User) (left accesspass.Issued) {
	t.Helper()
	err := w.DB.Tx(visitless, func(tx auth.Tx) (err error) {
		left, err = w.Recovery.ResetMFA(visitless, tx, u, "lost phone")
		return err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return left
}

// withApp is a person with an authenticator and its secret.
func (w *world) withApp(t tester, login string) (u auth.User, key string) {
	t.Helper()
	u = w.add(t, login, password)
	b := w.browser()
	if a := b.api("POST", "/signin", "login", login, "password", password); a.field("state") == "enrolment" {
		_, key = b.enrol(t, "/signin/enrol")
		return u, key
	}
	b.stepUp(t, "password", "password", password)
	_, key = b.enrol(t, "/account")
	w.wait(time.Minute)
	return u, key
}

// second sends a pass as second step.
func (b *browser) second(face, pass string) answer {
	return b.faces()[face]("POST", "/signin/accesspass", "code", pass)
}

// in is true of an answer that began a session.
func (a answer) in() bool { return a.cookies[sessionCookie] != "" }

const badPass = "7KQM-3XTP-04VZ-H9WD"

// A4, L1: beside the password, once, for this person, and for nothing else than to get in.
func TestAPassStandsInForASecondStep(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, key := w.withApp(t, annsLogin)
		other, _ := w.withApp(t, "bob@example.com")
		for _, face := range []string{"page", "api"} {
			pass, bobs := w.given(t, u), w.given(t, other)
			b := w.browser()
			a := b.signIn(t, annsLogin, password, "second_factor")
			if a.field("next") != "/signin/totp" || a.kinds() != "accesspass totp" {
				t.Errorf("%v", a)
			}
			if page := b.form("GET", "/signin/totp"); !strings.Contains(page.body, `href="/signin/accesspass"`) || !strings.Contains(page.body, "From an administrator") {
				t.Error(page)
			}
			if page := b.form("GET", "/signin/accesspass"); page.status != 200 || !strings.Contains(page.body, "<h1>Enter your access pass</h1>") || strings.Contains(page.body, "value=") {
				t.Error(page)
			}
			for why, wrong := range map[string]string{"no pass": badPass, "of somebody else": bobs} {
				if a := b.second(face, wrong); a.status != 422 || a.in() {
					t.Errorf("%s: %v", why, a)
				}
			}
			if a := b.second(face, strings.ToLower(strings.ReplaceAll(pass, "-", " "))); !a.in() {
				t.Fatalf("%v", a)
			}
			again := w.browser()
			again.signIn(t, annsLogin, password, "second_factor")
			if a := again.second(face, pass); a.status != 422 || a.in() {
				t.Errorf("twice: %v", a)
			}
			// It proves too little for what step-up protects.
			if a := b.api("POST", "/account/totp"); a.status != 403 || a.problem() != "step-up" || listed(a.fields["accepts"]) != "totp" {
				t.Errorf("%v", a)
			}
			next := w.given(t, u)
			for _, what := range []string{"accesspass", "password"} {
				field := map[string]string{"accesspass": "code", "password": "password"}[what]
				response := map[string]string{"accesspass": next, "password": password}[what]
				if a := b.api("POST", "/stepup/"+what, field, response); a.status != 403 && a.status != 404 {
					t.Errorf("%s steps up: %v", what, a)
				}
			}
			w.wait(time.Minute)
			b.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now())))
			if a := b.session(); a.status != 200 {
				t.Error(a)
			}
		}
		if rows := w.events(t, u.ID, auth.PassGiven); fmt.Sprint(rows[0]) != "map[minutes:60 reason:lost phone]" || len(rows) != 4 {
			t.Error(rows)
		}
		rows := w.events(t, u.ID, auth.SessionStarted)
		if !strings.Contains(fmt.Sprint(rows), "password accesspass") {
			t.Error(rows)
		}
		_, session := w.browser(), w.count(t, "access_passes")
		if session != 2 {
			t.Error(session, "passes are left of the two that nobody used")
		}
	})
}

// A4: neither alone, nor in place of the password, nor after its time.
func TestAPassAloneOpensNothing(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, _ := w.withApp(t, annsLogin)
		pass := w.given(t, u)
		for _, face := range []string{"page", "api"} {
			b := w.browser()
			if a := b.second(face, pass); a.in() || a.status < 300 || a.status == 303 && !strings.HasPrefix(a.location, "/signin") {
				t.Errorf("without a sign-in: %v", a)
			}
			if a := b.faces()[face]("POST", "/signin", "login", annsLogin, "password", pass); a.status != 422 {
				t.Errorf("as password: %v", a)
			}
			if a := b.faces()[face]("POST", "/pass", "token", pass); a.status != 404 || b.has(visit.PassCookie) {
				t.Errorf("as a link: %v", a)
			}
		}
		w.wait(time.Hour)
		b := w.browser()
		if a := b.signIn(t, annsLogin, password, "second_factor"); a.kinds() != "totp" {
			t.Error(a)
		}
		if a := b.second("api", pass); a.status != 422 {
			t.Errorf("over: %v", a)
		}
		if a := b.form("GET", "/signin/accesspass"); a.status != 404 {
			t.Error(a)
		}
	})
}

var worldsOfReset = map[string]func(*config.Config){"optional": func(*config.Config) {}, "required": required}

// A4, L3: a pass changes nothing about an account that is locked against changes.
func TestAPassUnlocksNoFrozenAccount(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, key := w.withApp(t, annsLogin)
		if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.Freeze(visitless, tx, u.ID, w.now().Add(24*time.Hour)) }); err != nil {
			t.Fatal(err)
		}
		pass := w.given(t, u)
		b := w.browser()
		b.signIn(t, annsLogin, password, "second_factor")
		if a := b.second("api", pass); !a.in() {
			t.Fatal(a)
		}
		for _, stepped := range []bool{false, true} {
			if stepped {
				b.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now())))
			}
			for face, send := range b.faces() {
				for _, path := range []string{"/account/totp", "/account/password", "/account/contact", "/account/mfa/disable"} {
					if a := send("POST", path, "current", password, "password", newPassword, "email", annsLogin); a.status != 409 || !strings.Contains(a.body, "can be changed until") {
						t.Errorf("%s %s: %v", face, path, a)
					}
				}
			}
		}
	})
}

// L1: whoever used up all guesses at codes gets in by a pass.
func TestAPassWorksAfterAHundredWrongCodes(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, key := w.withApp(t, annsLogin)
		for range 100 {
			w.wait(2 * time.Hour)
			if _, err := w.Throttle.Take(visitless, u, throttle.CodeByAccount.For(string(u.ID))); err != nil {
				t.Fatal(err)
			}
		}
		w.wait(2 * time.Hour)
		b := w.browser()
		b.signIn(t, annsLogin, password, "second_factor")
		if a := b.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.problem() != "locked" {
			t.Fatal(a)
		}
		pass := w.given(t, u)
		if a := b.second("api", pass); !a.in() {
			t.Error(a)
		}
	})
}

// A4: a pass is refused where it would do nothing, and leaves nothing then.
func TestNoPassIsGivenForNothing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*config.Config)
		make   func(t *testing.T, w *world) auth.User
		life   time.Duration
		code   string
	}{
		"a password alone":  {nil, func(t *testing.T, w *world) auth.User { return w.add(t, annsLogin, password) }, time.Hour, "pass-useless"},
		"nothing set up":    {required, func(t *testing.T, w *world) auth.User { return w.add(t, annsLogin, password) }, time.Hour, "pass-useless"},
		"MFA off here":      {mfaOff, func(t *testing.T, w *world) auth.User { u, _ := w.withApp(t, annsLogin); return u }, time.Hour, "pass-useless"},
		"too short":         {nil, func(t *testing.T, w *world) auth.User { u, _ := w.withApp(t, annsLogin); return u }, 5*time.Minute - 1, "minutes"},
		"too long":          {nil, func(t *testing.T, w *world) auth.User { u, _ := w.withApp(t, annsLogin); return u }, 24*time.Hour + 1, "minutes"},
		"negative":          {nil, func(t *testing.T, w *world) auth.User { u, _ := w.withApp(t, annsLogin); return u }, -time.Hour, "minutes"},
		"disabled":          {nil, func(t *testing.T, w *world) auth.User { u, _ := w.withApp(t, annsLogin); w.disable(t, u.ID); return u }, time.Hour, "person-disabled"},
		"the shortest, but": {nil, func(t *testing.T, w *world) auth.User { u, _ := w.withApp(t, annsLogin); return u }, 5 * time.Minute, ""},
		"the longest, but":  {nil, func(t *testing.T, w *world) auth.User { u, _ := w.withApp(t, annsLogin); return u }, 24 * time.Hour, ""},
	} {
		t.Run(name, func(t *testing.T) {
			change := c.change
			if change == nil {
				change = func(*config.Config) {}
			}
			w := inSQLite(t, change)
			u := c.make(t, w)
			_, err := w.gives(t, u, c.life)
			var conflict auth.ConflictError
			var invalid auth.InvalidError
			if errors.As(err, &conflict); errors.As(err, &invalid) {
				conflict.Code = invalid.Field
			}
			if conflict.Code != c.code || (err == nil) != (c.code == "") {
				t.Error(err)
			}
			if n := w.count(t, "access_passes") + len(w.events(t, u.ID, auth.PassGiven)); err != nil && n != 0 {
				t.Error("it left something")
			}
		})
	}
}

var resetLink = regexp.MustCompile(`http://localhost:8080(/pass\?token=([0-9A-Z-]{19}))\s`)

// link is path and pass of the newest mail of a reset, and whom it went to.
func (w *world) link(t tester) (path, pass, to string) {
	t.Helper()
	all, err := w.Outbox.Kept(visitless, 100)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, l := range all {
		if m := resetLink.FindStringSubmatch(l.Mail.Text); m != nil {
			return m[1], m[2], l.To
		}
	}
	t.Fatalf("no link among %d mails", len(all))
	return "", "", ""
}

// What a browser brings along is filled in only if it is a pass at all, and never as markup.
func TestOnlyAPassIsFilledIn(t *testing.T) {
	w := inSQLite(t)
	u, _ := w.withApp(t, annsLogin)
	w.given(t, u)
	b := w.browser()
	b.signIn(t, annsLogin, password, "second_factor")
	for _, brought := range []string{`"><script>`, "x", "7KQM-3XTP-04VZ-H9WU", "%22", strings.Repeat("0", 4000)} {
		b.jar[visit.PassCookie] = brought
		if page := b.form("GET", "/signin/accesspass"); page.status != 200 || strings.Contains(page.body, "value=") || strings.Contains(page.body, "<script>") {
			t.Errorf("%.20q: %v", brought, page)
		}
	}
}

// F4, R4: “This wasn't me” voids a pass that an intruder talked an administrator into, and leaves the account shut.
func TestThisWasntMeVoidsAPass(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, _ := w.withApp(t, annsLogin)
		pass := w.given(t, u)
		n := w.notice(t, annsLogin, "notice-pass")
		if strings.Contains(n.Mail.Text+n.Mail.HTML, pass) {
			t.Error("the notice holds the pass")
		}
		if page := w.browser().form("GET", "/not-me?token="+n.token()); !strings.Contains(page.body, "gave out an access pass") {
			t.Error(page)
		}
		w.answered(t, n.token())
		b := w.browser()
		if a := b.signIn(t, annsLogin, password, "second_factor"); a.kinds() != "totp" {
			t.Error(a)
		}
		if a := b.second("api", pass); a.in() || a.status != 422 {
			t.Error(a)
		}
		w.resets(t, u)
		path, _, _ := w.link(t)
		w.answered(t, w.notice(t, annsLogin, "notice-mfa-reset").token())
		if a := w.browser().api("POST", "/signin", "login", annsLogin, "password", password); a.problem() != "factor-blocked" {
			t.Error(a)
		}
		if a := w.browser().form("GET", path); a.status != 404 {
			t.Error(a)
		}
	}, told)
}
