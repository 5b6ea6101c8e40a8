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
	"sallyport/internal/recovery"
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
func (w *world) resets(t tester, u auth.User) (left recovery.Issued) {
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

// A3: after a reset the password alone neither gets in nor sets anything up.
func TestAfterAResetThePasswordAloneOpensNothing(t *testing.T) {
	for name, change := range worldsOfReset {
		t.Run(name, func(t *testing.T) {
			inWorlds(t, func(t *testing.T, w *world) {
				u, _ := w.withApp(t, annsLogin)
				old := w.browser()
				left := w.resets(t, u)
				if left.Pass.Code == "" || left.To != "" || !left.Pass.Until.Equal(w.now().Add(72*time.Hour)) {
					t.Fatalf("%+v", left)
				}
				thief := w.browser()
				if a := thief.signIn(t, annsLogin, password, "second_factor"); a.kinds() != "accesspass" || a.field("next") != "/signin/accesspass" {
					t.Error(a)
				}
				for face, send := range thief.faces() {
					for _, path := range []string{"/signin/enrol/totp", "/signin/enrol/passkey/options"} {
						if a := send("POST", path); a.status < 400 && a.location != "/signin" {
							t.Errorf("%s %s: %v", face, path, a)
						}
					}
					if a := thief.second(face, badPass); a.status != 422 {
						t.Errorf("%s: %v", face, a)
					}
				}
				w.wait(72*time.Hour - time.Minute)
				b := w.browser()
				b.signIn(t, annsLogin, password, "second_factor")
				if a := b.second("api", string(left.Pass.Code)); a.field("state") != "enrolment" || a.in() {
					t.Fatal(a)
				}
				b.enrol(t, "/signin/enrol")
				if a := b.session(); a.status != 200 {
					t.Error(a)
				}
				if a := old.session(); a.status != 401 {
					t.Error(a)
				}
				if n := w.count(t, "access_passes"); n != 0 {
					t.Error("it is there still")
				}
				w.browser().signIn(t, annsLogin, password, "second_factor")
			}, change)
		})
	}
}

var worldsOfReset = map[string]func(*config.Config){"optional": func(*config.Config) {}, "required": required}

// A3: once its time is over the account stays shut, until an administrator helps: with a pass, or by another reset.
func TestALapsedResetKeepsTheAccountShut(t *testing.T) {
	for name, change := range worldsOfReset {
		t.Run(name, func(t *testing.T) {
			inWorlds(t, func(t *testing.T, w *world) {
				u, _ := w.withApp(t, annsLogin)
				shut := func() {
					t.Helper()
					for face, send := range w.browser().faces() {
						a := send("POST", "/signin", "login", annsLogin, "password", password)
						if a.status != 409 || a.in() || face == "api" && a.problem() != "factor-blocked" || !strings.Contains(a.body, "Ask those who run this site for help.") ||
							strings.Contains(a.body, "somebody else") {
							t.Errorf("%s: %v", face, a)
						}
					}
				}
				opens := func(pass string) {
					t.Helper()
					b := w.browser()
					b.signIn(t, annsLogin, password, "second_factor")
					if a := b.second("api", pass); a.status != 200 {
						t.Error(a)
					}
				}
				left := w.resets(t, u)
				b := w.browser()
				b.signIn(t, annsLogin, password, "second_factor")
				w.wait(72 * time.Hour)
				if a := b.second("api", string(left.Pass.Code)); a.status != 401 && a.status != 422 {
					t.Error(a)
				}
				shut()
				pass := w.given(t, u)
				w.wait(time.Hour)
				shut()
				pass = w.given(t, u)
				opens(pass)
				left = w.resets(t, u)
				w.wait(72 * time.Hour)
				shut()
				opens(string(w.resets(t, u).Pass.Code))
			}, change)
		})
	}
}

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

// A3: who was asked for the password alone goes on so after a reset.
func TestAResetAsksNoMoreThanBefore(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*config.Config)
		off    bool
	}{"MFA is off here": {mfaOff, false}, "they disabled it": {func(*config.Config) {}, true}} {
		t.Run(name, func(t *testing.T) {
			w := inSQLite(t, c.change)
			u, _ := w.withApp(t, annsLogin)
			if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.SwitchMFA(visitless, tx, u.ID, c.off) }); err != nil {
				t.Fatal(err)
			}
			if left := w.resets(t, u); left != (recovery.Issued{}) || w.count(t, "access_passes") != 0 {
				t.Errorf("%+v", left)
			}
			w.browser().signIn(t, annsLogin, password, "signed_in")
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

// A3: where there is mail the pass goes out as a link, which nobody else sees, and which leads to the sign-in.
func TestAResetIsFollowedByALink(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		for _, face := range []string{"page", "api"} {
			u, _ := w.withApp(t, face+annsLogin)
			w.contact(t, u, "elsewhere@example.com", "") // which they did not prove to read
			left := w.resets(t, u)
			if left.Pass.Code != "" || left.To != face[:1]+"•••@example.com" {
				t.Fatalf("%+v", left)
			}
			path, pass, to := w.link(t)
			if to != u.Login {
				t.Error("it went to", to)
			}
			w.notice(t, "elsewhere@example.com", "notice-mfa-reset")
			b := w.browser()
			for range 2 { // whoever scans mails follows it
				if page := b.form("GET", path); page.status != 200 || !strings.Contains(page.body, "<h1>Your second step was reset</h1>") || strings.Contains(page.body, u.Login) || len(page.cookies) > 0 {
					t.Fatal(page)
				}
			}
			a := b.faces()[face]("POST", "/pass", "token", pass)
			if a.cookies[visit.PassCookie] != pass || a.status >= 400 || face == "page" && (a.status != 303 || a.location != "/signin") {
				t.Fatal(a)
			}
			b.signIn(t, u.Login, password, "second_factor")
			if page := b.form("GET", "/signin/accesspass"); page.status != 200 || !strings.Contains(page.body, `value="`+pass+`"`) {
				t.Error(page)
			}
			if page := b.form("POST", "/signin/accesspass", "code", badPass); page.status != 422 || strings.Contains(page.body, pass) {
				t.Error(page)
			}
			b.second(face, pass)
			b.enrol(t, "/signin/enrol")
			if a := b.session(); a.status != 200 || b.has(visit.PassCookie) {
				t.Error(a)
			}
			for _, token := range []string{pass, badPass, "", "x", strings.Repeat("x", 64)} {
				for face, send := range w.browser().faces() {
					a := send("POST", "/pass", "token", token)
					if a.status != 404 || !strings.Contains(a.body, "This link does not work, or not any more.") || len(a.cookies) > 0 {
						t.Errorf("%s %q: %v", face, token, a)
					}
				}
				if a := w.browser().form("GET", "/pass?token="+token); a.status != 404 || !strings.Contains(a.body, "ask those who run this site") {
					t.Error(a)
				}
			}
		}
	}, told)
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

// C5, A3: the address that somebody proved for codes was one of the factors that a reset removes; it may be a thief's.
func TestTheLinkGoesToTheLogin(t *testing.T) {
	w := inSQLite(t, coded)
	u, b := w.withCodes(t, annsLogin, "", "email")
	w.contact(t, u, "proved@example.com", "")
	w.wait(5 * time.Minute)
	b.prove(t, "email", "proved@example.com")
	w.resets(t, u)
	if _, _, to := w.link(t); to != annsLogin {
		t.Error("it went to", to)
	}
}

// S5, A3: nor does a mailed code open an account after a reset without the password.
func TestAfterAResetAMailedCodeNeedsThePassword(t *testing.T) {
	w := inSQLite(t, coded, byMail)
	u, _ := w.withApp(t, annsLogin)
	w.resets(t, u)
	_, pass, _ := w.link(t)
	b := w.browser()
	b.api("POST", "/signin/mailed", "login", annsLogin)
	if a := b.api("POST", "/signin/mailed/code", "code", w.code(t, annsLogin)); a.field("state") != "second_factor" || a.kinds() != "password" {
		t.Fatal(a)
	}
	for _, face := range []string{"page", "api"} {
		if a := b.second(face, pass); a.in() || a.status != 422 {
			t.Errorf("a mailbox opens it: %v", a)
		}
	}
	if a := b.api("POST", "/signin/password", "password", password); a.kinds() != "accesspass" || a.in() {
		t.Error(a)
	}
	if a := b.second("api", pass); a.field("state") != "enrolment" {
		t.Error(a)
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
