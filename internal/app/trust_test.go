package app_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/visit"
)

const (
	landing     = "/signin/done"
	trusted     = "/account/trusted"
	trustCookie = visit.TrustCookie
	trustLife   = 30 * 24 * time.Hour
)

func trustDays(n int) func(*config.Config) { return func(c *config.Config) { c.Policy.TrustDays = n } }

// arrive signs in with password and code, up to the page where that ends.
func (b *browser) arrive(t tester, login, key string) answer {
	t.Helper()
	b.w.wait(time.Minute) // a code works once
	b.signIn(t, login, annsPassword, "second_factor")
	a := b.api("POST", "/signin/totp", "code", codeAt(key, b.w.now()))
	if a.field("state") != "signed_in" {
		t.Fatalf("%v", a)
	}
	return a
}

// trusts ticks the box on that page.
func (b *browser) trusts() answer { return b.object("POST", landing, map[string]any{"trust": true}) }

// asks says whether a sign-in with the password asks for a second step.
func (b *browser) asks(t tester, login string) bool {
	t.Helper()
	a := b.api("POST", "/signin", "login", login, "password", string(annsPassword))
	if state := a.field("state"); state != "signed_in" && state != "second_factor" {
		t.Fatalf("%v", a)
	}
	return a.field("state") == "second_factor"
}

// withPhoneApp is somebody with an authenticator.
func (w *world) withPhoneApp(t tester, login string) (u auth.User, key string) {
	t.Helper()
	b := w.fresh(t, login)
	_, key = b.enrol(t, "/account")
	return w.find(t, login), key
}

// trusting is a browser that somebody with an authenticator is signed in with and trusts.
func (w *world) trusting(t tester, login string) (b *browser, key string) {
	t.Helper()
	_, key = w.withPhoneApp(t, login)
	b = w.browser()
	b.arrive(t, login, key)
	if a := b.trusts(); a.status != 200 || !b.has(trustCookie) {
		t.Fatalf("%v", a)
	}
	return b, key
}

// R1, R2: on both faces, and what the session is worth.
func TestATrustedBrowserSkipsTheSecondStep(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, key := w.withPhoneApp(t, annsLogin)
		b := w.browser()
		if a := b.arrive(t, annsLogin, key); a.field("next") != landing+"?return_to=%2Faccount" {
			t.Fatal(a)
		}
		if a := b.api("GET", landing); a.fields["offered"] != true || a.fields["days"] != 30.0 || b.has(trustCookie) {
			t.Error(a)
		}
		page := b.form("GET", landing+"?return_to=%2Faccount%2Fsecurity")
		for _, want := range []string{"You’re signed in", "Welcome back, Somebody", "your account", "Trust this browser for 30 days", `name="trust" value="true"`, "31 Mar 2026", "/account/security"} {
			if !strings.Contains(page.body, want) {
				t.Errorf("no %q: %v", want, page)
			}
		}
		if strings.Contains(page.body, "checked") {
			t.Error("the box is ticked")
		}
		a := b.form("POST", landing, "trust", "true", "return_to", "/account/security")
		if a.status != 303 || a.location != "/account/security" {
			t.Fatal(a)
		}
		if c := a.header.Get("Set-Cookie"); !strings.Contains(c, "Max-Age=2592000") || !strings.Contains(c, "HttpOnly; Secure; SameSite=Lax") {
			t.Error(c)
		}
		for face, send := range b.faces() {
			if a := b.api("DELETE", "/session"); a.status != 204 {
				t.Fatal(a)
			}
			before := b.jar[trustCookie]
			a := send("POST", "/signin", "login", annsLogin, "password", string(annsPassword))
			if a.leads() != "/account" || b.has(pendingCookie) || b.jar[trustCookie] == before || a.location == landing {
				t.Errorf("%s: %v, %v", face, a, b.jar)
			}
			if a := b.session(); a.fields["level"] != 1.0 || fmt.Sprint(a.fields["amr"]) != "[pwd]" {
				t.Errorf("%s: %v", face, a)
			}
			if a := b.api("POST", "/account/totp"); a.problem() != "step-up" || !strings.Contains(a.body, `"totp"`) || strings.Contains(a.body, `"password"`) {
				t.Errorf("%s: a dangerous act: %v", face, a)
			}
			if a := b.api("GET", landing); a.fields["offered"] != false {
				t.Errorf("%s: it is offered again: %v", face, a)
			}
		}
		began := map[string]int{}
		for _, e := range w.events(t, u.ID, auth.SessionStarted) {
			began[strings.TrimSpace(e["factors"]+" "+e["trusted"])]++
		}
		if began["password yes"] != 2 || began["password totp"] != 1 || began["password"] != 1 {
			t.Error(began)
		}
		if rows := w.events(t, u.ID, auth.BrowserTrusted); len(rows) != 1 {
			t.Error(rows)
		}
		if a := b.form("GET", "/account/security"); !strings.Contains(a.body, "Signed in with password on a trusted browser") || !strings.Contains(a.body, "Trusted browsers") {
			t.Error(a)
		}
		if !w.browser().asks(t, annsLogin) {
			t.Error("another browser is not asked")
		}
	})
}

// R1: nothing else than a sign-in by two steps can make a browser a trusted one, whatever is sent.
func TestABrowserIsTrustedOnlyRightAfterASecondStep(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, key := w.withPhoneApp(t, annsLogin)
		_, k := person(t, w, "key@example.com")
		w.add(t, "plain@example.com", annsPassword)
		refused := func(what string, b *browser, status int) {
			t.Helper()
			if a := b.trusts(); a.status != status || b.has(trustCookie) {
				t.Errorf("%s: %v, %v", what, a, b.jar)
			}
			if a := b.form("POST", landing, "trust", "true"); a.status == 200 || a.location == "/account" || b.has(trustCookie) {
				t.Errorf("%s: %v, %v", what, a, b.jar)
			}
		}
		refused("nobody", w.browser(), 401)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		refused("half signed in", b, 401)
		if a := b.api("GET", landing); a.status != 401 {
			t.Error(a)
		}
		b = w.browser()
		if a := b.signIn(t, "plain@example.com", annsPassword, "signed_in"); a.field("next") != "/account" {
			t.Error(a)
		}
		refused("by the password alone", b, 403)
		b = w.browser()
		if a := b.ceremony(t, k, "/signin/passkey", nil); a.field("next") != "/account" {
			t.Error("a passkey is no second step: ", a)
		}
		refused("by a passkey alone", b, 403)
		if a := b.form("GET", landing); a.status != 200 || strings.Contains(a.body, `name="trust"`) {
			t.Error(a)
		}

		b, _ = w.trusting(t, "later@example.com")
		if a := b.api("DELETE", trusted); a.status != 204 {
			t.Fatal(a)
		}
		refused("once more in the same session", b.without(trustCookie), 403)

		b = w.browser()
		b.arrive(t, annsLogin, key)
		other := w.browser()
		other.jar[sessionCookie] = b.jar[sessionCookie][1:] + "A"
		refused("with another session's cookie", other, 401)
		if a := b.object("POST", landing, map[string]any{"trust": false}); a.status != 200 || a.field("next") != "/account" || b.has(trustCookie) {
			t.Error(a)
		}
		refused("after Continue without the tick", b, 403)

		b = w.browser()
		b.arrive(t, annsLogin, key)
		w.wait(10 * time.Minute)
		if a := b.api("GET", landing); a.fields["offered"] != false {
			t.Error(a)
		}
		refused("after ten minutes", b, 403)
		if a := b.form("POST", landing); a.status != 303 || a.location != "/account" {
			t.Error("Continue: ", a)
		}
		if n := w.count(t, "trusted_browsers"); n != 0 {
			t.Error(n, " are trusted")
		}
	})
}

// without drops a cookie.
func (b *browser) without(cookie string) *browser {
	delete(b.jar, cookie)
	return b
}

// R1: a step-up is no sign-in, and a change since the sign-in ends the offer.
func TestAStepUpOffersNoTrust(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, key := w.trusting(t, annsLogin)
		if b.asks(t, annsLogin) {
			t.Fatal("it is asked")
		}
		w.wait(time.Minute)
		b.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now())))
		if a := b.trusts(); a.status != 403 {
			t.Error(a)
		}
		c := w.browser()
		c.arrive(t, annsLogin, key)
		w.wait(time.Minute)
		c.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now())))
		if a := c.api("POST", "/account/contact", "email", annsLogin, "phone", annPhone); a.status != 204 {
			t.Fatal(a)
		}
		if a := c.trusts(); a.status != 403 || c.has(trustCookie) {
			t.Error("after a change: ", a)
		}
	})
}

// R2: a token is worth one sign-in, and of two at once one wins.
func TestATokenIsWorthOneSignIn(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, _ := w.trusting(t, annsLogin)
		thief := w.browser()
		thief.jar[trustCookie] = b.jar[trustCookie]
		if b.asks(t, annsLogin) || !thief.asks(t, annsLogin) || b.asks(t, annsLogin) {
			t.Error("a copy is worth something, or the next is not")
		}
		var requests []func() answer
		for range 4 {
			twin := &browser{w: w, jar: map[string]string{trustCookie: b.jar[trustCookie]}, address: b.address}
			requests = append(requests, func() answer {
				a := twin.api("POST", "/signin", "login", annsLogin, "password", string(annsPassword))
				if next := a.cookies[trustCookie]; next != "" {
					b.jar[trustCookie] = next
				}
				return a
			})
		}
		states := map[string]int{}
		for _, a := range atOnce(requests...) {
			states[a.field("state")]++
		}
		if states["signed_in"] != 1 || states["second_factor"] != 3 {
			t.Error(states)
		}
		if b.asks(t, annsLogin) {
			t.Error("the one that won has no token")
		}
		for _, junk := range []string{"", "x", strings.Repeat("A", 43), strings.Repeat("A", 4000)} {
			c := w.browser()
			c.jar[trustCookie] = junk
			if !c.asks(t, annsLogin) {
				t.Errorf("%.50q is worth something", junk)
			}
		}
	})
}

// R2: a wrong password spends nothing and opens nothing.
func TestATrustedBrowserNeedsThePasswordStill(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, _ := w.trusting(t, annsLogin)
		before := b.jar[trustCookie]
		for _, login := range []string{annsLogin, "nobody@example.com"} {
			if a := b.api("POST", "/signin", "login", login, "password", "something else"); a.status != 422 || len(a.cookies) > 0 || b.jar[trustCookie] != before {
				t.Error(a)
			}
		}
		if b.asks(t, annsLogin) {
			t.Error("it is spent")
		}
	})
}

// R2: two people may share a browser, and it is theirs apart.
func TestTwoPeopleTrustOneBrowser(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		const bob = "bob@example.com"
		b, _ := w.trusting(t, annsLogin)
		_, bobs := w.withPhoneApp(t, bob)
		if !b.asks(t, bob) {
			t.Fatal("somebody else's trust is his")
		}
		b.arrive(t, bob, bobs)
		if b.asks(t, annsLogin) {
			t.Fatal("he took hers away by signing in")
		}
		b.arrive(t, bob, bobs)
		if a := b.trusts(); a.status != 200 {
			t.Fatal(a)
		}
		for _, login := range []string{annsLogin, bob, bob, annsLogin, bob} {
			if b.asks(t, login) {
				t.Errorf("%s is asked", login)
			}
		}
		b.signIn(t, bob, annsPassword, "signed_in")
		if a := b.api("GET", trusted); strings.Count(a.body, `"id"`) != 1 || !strings.Contains(a.body, `"current":true`) {
			t.Error(a)
		}
		if a := b.api("DELETE", trusted); a.status != 204 {
			t.Error(a)
		}
		if !b.asks(t, bob) || b.asks(t, annsLogin) {
			t.Error("he removes hers with his")
		}
	})
}

// R2: nodes share what they know of browsers.
func TestABrowserIsTrustedOnEveryNode(t *testing.T) {
	dbtest.EachAddress(t, app.Schemas, func(t *testing.T, address string) {
		here := worldOn(t, address)
		there := worldOn(t, address, func(c *config.Config) { c.Data = here.config.Data })
		b, _ := here.trusting(t, annsLogin)
		there.wait(here.now().Sub(there.now()))
		first := b.clone()
		b.w = there
		if b.asks(t, annsLogin) {
			t.Error("it is asked there")
		}
		if b.w = here; b.asks(t, annsLogin) {
			t.Error("it is asked here with the token from there")
		}
		if !first.asks(t, annsLogin) {
			t.Error("the token is spent there and works here")
		}
		if a := b.api("DELETE", trusted); a.status != 204 {
			t.Fatal(a)
		}
		if b.w = there; !b.asks(t, annsLogin) {
			t.Error("removed here, and trusted there")
		}
	})
}

// R3
func TestTrustedBrowsersAreListedAndRemoved(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, key := w.trusting(t, annsLogin)
		added := w.now()
		eve, _ := w.trusting(t, "eve@example.com")
		w.wait(48 * time.Hour)
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		eve.signIn(t, "eve@example.com", annsPassword, "signed_in")
		used := w.now()
		other := w.browser()
		other.arrive(t, annsLogin, key)
		if a := other.trusts(); a.status != 200 {
			t.Fatal(a)
		}
		a := b.api("GET", trusted)
		list := a.fields["browsers"].([]any)
		if len(list) != 2 || list[0].(map[string]any)["current"] != false || list[1].(map[string]any)["current"] != true || strings.Contains(a.body, b.jar[trustCookie]) {
			t.Fatal(a)
		}
		mine := list[1].(map[string]any)
		for field, want := range map[string]time.Time{"added_at": added, "last_used_at": used, "ends_at": added.Add(trustLife)} {
			if got := mine[field]; got != want.Format(time.RFC3339) {
				t.Errorf("%s is %v, want %v", field, got, want)
			}
		}
		id := mine["id"].(string)
		nobody := w.browser()
		for face, send := range eve.faces() {
			if a := send("DELETE", trusted+"/"+id); a.status != 404 {
				t.Errorf("somebody else, %s: %v", face, a)
			}
		}
		for face, send := range nobody.faces() {
			if a := send("DELETE", trusted+"/"+id); a.status != 401 && !strings.HasPrefix(a.location, "/signin?") {
				t.Errorf("nobody, %s: %v", face, a)
			}
		}
		if b.asks(t, annsLogin) {
			t.Error("somebody else removed it")
		}
		if a := b.form("DELETE", trusted+"/"+id); a.status != 303 || a.location != "/account/security" {
			t.Error(a)
		}
		if a := b.api("DELETE", trusted+"/"+id); a.status != 404 {
			t.Error("twice: ", a)
		}
		if other.asks(t, annsLogin) || !b.asks(t, annsLogin) {
			t.Error("another was removed")
		}
		if a := other.form("DELETE", trusted); a.status != 303 {
			t.Error(a)
		}
		if rows := w.events(t, idOf(t, w, annsLogin), auth.BrowserForgotten); len(rows) != 2 {
			t.Error(rows)
		}
		if a := other.form("GET", "/account/security"); !strings.Contains(a.body, "None yet.") || !strings.Contains(a.body, "Removed all trusted browsers") {
			t.Error(a)
		}
		if !other.asks(t, annsLogin) || eve.asks(t, "eve@example.com") {
			t.Error("all of somebody are all of somebody")
		}
	})
}

// S7
func TestTheEndOfASignInLeadsOnAndNowhereElse(t *testing.T) {
	w := inSQLite(t, func(c *config.Config) { c.ReturnTo = []string{"https://app.example.com"} })
	_, key := w.withPhoneApp(t, annsLogin)
	for to, want := range map[string]string{
		"": "/account", "/account/security?a=1": "/account/security?a=1", "https://app.example.com/x?y": "https://app.example.com/x?y",
		"//evil.example": "/account", `/\evil.example`: "/account", "https://evil.example": "/account", "javascript:alert(1)": "/account",
	} {
		b := w.browser()
		b.arrive(t, annsLogin, key)
		if a := b.api("GET", landing+"?return_to="+url.QueryEscape(to)); a.field("return_to") != want {
			t.Errorf("%q: the page leads to %v", to, a)
		}
		if a := b.form("POST", landing, "return_to", to); a.location != want {
			t.Errorf("%q: Continue leads to %v", to, a)
		}
	}
	b := w.browser()
	b.arrive(t, annsLogin, key)
	if a := b.form("GET", landing+"?return_to=https%3A%2F%2Fapp.example.com%2Fx"); !strings.Contains(a.body, "Next stop: <b>app.example.com</b>") {
		t.Error(a)
	}
}

// Strangers who use up the guesses at an account do not shut its owner out of a browser that they trust. That one has as
// many guesses of its own.
func TestATrustedBrowserHasGuessesOfItsOwn(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, _ := w.trusting(t, annsLogin)
		eve, _ := w.trusting(t, "eve@example.com")
		stranger := w.browser()
		guess := func(who *browser, password auth.Secret) int {
			who.address = w.browser().address // or the address is shut first
			return who.api("POST", "/signin", "login", annsLogin, "password", string(password)).status
		}
		for range 10 {
			if status := guess(stranger, "something else"); status != 422 {
				t.Fatal(status)
			}
		}
		if status := guess(stranger, annsPassword); status != 429 {
			t.Fatal(status)
		}
		if status := guess(eve, annsPassword); status != 429 {
			t.Error("somebody else's trust is a way around: ", status)
		}
		forged := w.browser()
		forged.jar[trustCookie] = strings.Repeat("A", 43)
		if status := guess(forged, annsPassword); status != 429 {
			t.Error("any cookie is a way around: ", status)
		}
		if status := guess(b, annsPassword); status != 200 {
			t.Fatal("its owner is shut out: ", status)
		}
		if status := guess(stranger, annsPassword); status != 429 {
			t.Error("her sign-in opens it to strangers: ", status)
		}
		before := b.jar[trustCookie]
		for n := range 10 {
			if status := guess(b, "something else"); status != 422 {
				t.Fatal(n, status)
			}
		}
		if status := guess(b, annsPassword); status != 429 || b.jar[trustCookie] != before {
			t.Error("its own guesses have no end: ", status)
		}
		w.wait(31 * time.Second)
		if status := guess(b, annsPassword); status != 200 {
			t.Error(status)
		}
	})
}
