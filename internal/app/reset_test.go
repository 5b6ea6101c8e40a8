package app_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
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
