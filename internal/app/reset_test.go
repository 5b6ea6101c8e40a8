package app_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/factor/accesspass"
	"sallyport/internal/visit"
)

// A3: whoever was reset sets up the next second step before anything else, and one who gives up on the way leaves the
// account as shut as it was.
func TestAResetEndsWithANewSecondStep(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, _ := w.withApp(t, annsLogin)
		w.resets(t, u)
		_, pass, _ := w.link(t)
		ann := w.browser()
		ann.signIn(t, annsLogin, password, "second_factor")
		if a := ann.second("api", pass); a.field("state") != "enrolment" || a.in() {
			t.Fatal(a)
		}
		thief := w.browser() // knows the password
		if a := thief.api("POST", "/signin", "login", annsLogin, "password", password); a.field("state") != "second_factor" {
			t.Error("while she sets it up: ", a)
		}
		if a := thief.second("api", pass); a.status != 422 { // and has read her mail
			t.Error("the same pass at the same time: ", a)
		}
		w.wait(11 * time.Minute)
		if a := w.browser().api("POST", "/signin", "login", annsLogin, "password", password); a.field("state") != "second_factor" {
			t.Error("after she gave up: ", a)
		}
		again := w.browser()
		again.signIn(t, annsLogin, password, "second_factor")
		if a := again.second("api", pass); a.field("state") != "enrolment" {
			t.Fatal(a)
		}
		if a := again.api("GET", "/account/security"); a.status != 401 { // W4
			t.Error(a)
		}
		again.enrol(t, "/signin/enrol")
		if a := again.session(); a.status != 200 {
			t.Error(a)
		}
		if a := w.browser().api("POST", "/signin", "login", annsLogin, "password", password); a.field("state") != "second_factor" || a.problem() != "" {
			t.Error("with the new one: ", a)
		}
		void := w.browser()
		void.signIn(t, annsLogin, password, "second_factor")
		if a := void.second("api", pass); a.status != 422 {
			t.Error("the pass, once it has served: ", a)
		}
	}, told)
}

// L2, A3: a mailbox is one factor. A password and a pass that came out of it open nothing, in whatever order.
func TestAMailboxAloneDoesNotComeBackAfterAReset(t *testing.T) {
	for _, order := range []string{"forgotten first", "reset first"} {
		t.Run(order, func(t *testing.T) {
			inWorlds(t, func(t *testing.T, w *world) {
				u, _ := w.withApp(t, annsLogin)
				if order == "forgotten first" {
					w.renews(t, annsLogin, annsLogin, newPassword)
					w.resets(t, u)
				} else {
					w.resets(t, u)
					w.renews(t, annsLogin, annsLogin, newPassword)
				}
				if _, _, to := w.link(t); to != annsLogin {
					t.Fatal(to)
				}
				b := w.browser()
				if a := b.api("POST", "/signin", "login", annsLogin, "password", newPassword); a.status != 409 || a.problem() != "factor-blocked" {
					t.Error(a)
				}
			}, told)
		})
	}
}

// W4: whom nothing but the password was asked of is asked for nothing more after a reset.
func TestAResetOfNothingLeavesNothing(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u := w.add(t, annsLogin, password)
		if left := w.resets(t, u); left.Pass.Code != "" || left.To != "" {
			t.Error(left)
		}
		w.browser().signIn(t, annsLogin, password, "signed_in")
	})
}

// A3, W4: a pass that lapsed keeps the account shut, also where nothing can be set up any more.
func TestALapsedResetStaysShut(t *testing.T) {
	w := inSQLite(t)
	u, _ := w.withApp(t, annsLogin)
	w.resets(t, u)
	w.config.Policy.Factors, w.config.Passkeys.Use = []string{"passkey"}, "use only"
	w.restart(t)
	w.wait(73 * time.Hour)
	if a := w.browser().api("POST", "/signin", "login", annsLogin, "password", password); a.status != 409 {
		t.Error(a)
	}
}

// A3: what a link left in a browser is shown to nobody but the person it is for.
func TestTheLinkOfAResetFillsInNobodyElsesPass(t *testing.T) {
	w := inSQLite(t, told)
	ann, _ := w.withApp(t, annsLogin)
	bob, _ := w.withApp(t, "bob@example.com")
	w.resets(t, ann)
	_, pass, _ := w.link(t)
	b := w.browser()
	b.form("POST", "/pass", "token", pass)
	w.given(t, bob)
	b.signIn(t, "bob@example.com", password, "second_factor")
	if p := b.form("GET", "/signin/accesspass"); p.status != 200 || strings.Contains(p.body, pass) {
		t.Error("Bob reads Ann's pass: ", p)
	}
	b.signIn(t, annsLogin, password, "second_factor")
	if p := b.form("GET", "/signin/accesspass"); !strings.Contains(p.body, pass) {
		t.Error("Ann does not: ", p)
	}
}

// L2, C5: a password that was chosen by a link sets nothing up alone, though the code that it would need is withheld.
func TestAPasswordByMailSetsNothingUp(t *testing.T) {
	for name, chosen := range map[string]auth.Secret{"as before": password, "by mail": newPassword} {
		t.Run(name, func(t *testing.T) {
			w := inSQLite(t, coded)
			_, ann := w.withCodes(t, annsLogin, "", "email")
			ann.enrol(t, "/account")
			w.wait(2 * time.Hour)
			w.config.Policy.Factors = []string{"passkey", "email"} // authenticator apps count no more
			w.restart(t)
			if chosen == newPassword {
				w.renews(t, annsLogin, annsLogin, newPassword)
			}
			w.browser().signIn(t, annsLogin, chosen, "second_factor")
		})
	}
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
			if left := w.resets(t, u); left != (accesspass.Issued{}) || w.count(t, "access_passes") != 0 {
				t.Errorf("%+v", left)
			}
			w.browser().signIn(t, annsLogin, password, "signed_in")
		})
	}
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

// A3, W4: a pass that an administrator gave while the one before was under way does not stay behind and bind for ever.
func TestAPassThatWasReplacedUnderWayBindsNoLonger(t *testing.T) {
	w := inSQLite(t, coded)
	u, _ := w.withCodes(t, annsLogin, "", "email")
	w.resets(t, u)
	_, pass, _ := w.link(t)
	b := w.browser()
	b.signIn(t, annsLogin, password, "second_factor")
	if a := b.second("api", pass); a.field("state") != "enrolment" {
		t.Fatal(a)
	}
	w.given(t, u)
	w.wait(2 * time.Minute)
	b.api("POST", "/signin/enrol/email")
	if a := b.api("POST", "/signin/enrol/email/code", "code", w.code(t, u.Login)); a.field("state") != "signed_in" {
		t.Fatal(a)
	}
	if n := w.count(t, "access_passes"); n != 0 {
		t.Error(n, " passes are left")
	}
	b.stepUp(t, "password", "password", password)
}

// W4: whoever can set up nothing is let in after a reset, where no second step is required.
func TestAResetIsNoDeadEndForWhoCanSetUpNothing(t *testing.T) {
	w := inSQLite(t, coded, func(c *config.Config) { c.Policy.Factors = []string{"sms"} })
	u, _ := w.withCodes(t, annsLogin, annPhone, "sms")
	w.contact(t, u, "", "")
	w.resets(t, w.find(t, annsLogin))
	_, pass, _ := w.link(t)
	b := w.browser()
	b.signIn(t, annsLogin, password, "second_factor")
	if a := b.second("api", pass); a.field("state") != "signed_in" {
		t.Error(a)
	}
}
