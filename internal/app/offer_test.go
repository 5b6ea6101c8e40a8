package app_test

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
)

const offer = "/account/passkeys/offer"

func keepsMFA(c *config.Config) { c.Passkeys.TurnsMFAOn = false }

// capable is a browser that can make passkeys.
func (w *world) capable() *browser {
	b := w.browser()
	b.jar["passkeys"] = "yes"
	return b
}

// offered is a browser that somebody has just signed in with, and that was led to the offer.
func (w *world) offered(t tester, login string) *browser {
	t.Helper()
	b := w.capable()
	if a := b.signIn(t, login, annsPassword, "signed_in"); !isOffer(a) {
		t.Fatalf("no offer: %v", a)
	}
	return b
}

func isOffer(a answer) bool { return strings.HasPrefix(a.field("next"), offer+"?") }

// P9
func TestWhoSignsInWithSomethingWeakerIsOfferedAPasskey(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		if a := w.browser().signIn(t, annsLogin, annsPassword, "signed_in"); a.field("next") != "/account" {
			t.Error("a browser that cannot make them: ", a)
		}
		b := w.offered(t, annsLogin)
		if a := b.api("GET", offer); a.status != 200 || a.fields["turns_mfa_on"] != true {
			t.Error(a)
		}
		if a := b.form("GET", offer); a.status != 200 || !strings.Contains(a.body, "Add a passkey") ||
			!strings.Contains(a.body, "Not now") || !strings.Contains(a.body, "Don’t ask again") {
			t.Error(a)
		}
		k := w.key()
		if a := b.ceremony(t, k, offer, nil); a.status != 200 || a.field("next") != "/account" {
			t.Fatal(a)
		}
		w.wait(31 * 24 * time.Hour)
		alone, second := w.capable(), w.capable()
		if a := alone.ceremony(t, k, "/signin/passkey", nil); a.field("next") != "/account" {
			t.Error("after a passkey: ", a)
		}
		second.signIn(t, annsLogin, annsPassword, "second_factor")
		if a := second.ceremony(t, k, "/signin/passkey", nil); a.leads() != "/account" {
			t.Error("after the password and a passkey: ", a)
		}
	})
}

// P9: an authenticator is something weaker, and a way in that was just set up counts as a sign-in.
func TestWhoSignsInWithACodeIsOfferedAPasskey(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		for login, kind := range map[string]string{"app@example.com": "totp", "key@example.com": "passkey"} {
			w.add(t, login, annsPassword)
			b := w.capable()
			b.signIn(t, login, annsPassword, "enrolment")
			var done answer
			if kind == "passkey" {
				done = b.ceremony(t, w.key(), "/signin/enrol/passkey", nil)
			} else {
				begun := b.api("POST", "/signin/enrol/totp")
				done = b.api("POST", "/signin/enrol/totp/"+begun.field("id"), "code", codeAt(begun.field("secret"), w.now()))
			}
			if done.field("state") != "signed_in" || isOffer(done) != (kind == "totp") {
				t.Errorf("%s: %v", kind, done)
			}
		}
	}, required)
}

// P9: an instance without offers never makes one.
func TestNoOfferIsMadeWhereTheRulesHaveNone(t *testing.T) {
	for name, set := range map[string]func(*config.Config){
		"no offers":     func(c *config.Config) { c.Passkeys.Offer = false },
		"use only":      func(c *config.Config) { c.Passkeys.Use = "use only" },
		"disabled":      func(c *config.Config) { c.Passkeys.Use = "disabled" },
		"none accepted": func(c *config.Config) { c.Policy.Factors = []string{"totp"} },
	} {
		w := inSQLite(t, set)
		w.add(t, annsLogin, annsPassword)
		b := w.capable()
		if a := b.signIn(t, annsLogin, annsPassword, "signed_in"); a.field("next") != "/account" {
			t.Errorf("%s: %v", name, a)
		}
		if a := b.api("GET", offer); a.status != 403 {
			t.Errorf("%s: %v", name, a)
		}
	}
}

// P9: once, and then not for 30 days from the sign-in or from Not now.
func TestAnOfferIsMadeOnceInThirtyDays(t *testing.T) {
	const month = 30 * 24 * time.Hour
	inWorlds(t, func(t *testing.T, w *world) {
		asks := func(login string) bool { return isOffer(w.capable().signIn(t, login, annsPassword, "signed_in")) }
		for _, login := range []string{"silent@example.com", "later@example.com", "never@example.com", "slow@example.com"} {
			w.add(t, login, annsPassword)
		}
		w.offered(t, "silent@example.com")
		later, never, slow := w.offered(t, "later@example.com"), w.offered(t, "never@example.com"), w.offered(t, "slow@example.com")
		w.wait(time.Minute)
		if a := later.form("POST", offer+"/later", "return_to", "/account/security"); a.status != 303 || a.location != "/account/security" {
			t.Error("Not now: ", a)
		}
		if a := never.form("POST", offer+"/later", "never", "true"); a.status != 303 || a.location != "/account" {
			t.Error("Don't ask again: ", a)
		}
		if a := later.api("GET", offer); a.status != 403 {
			t.Error("declined, and still open: ", a)
		}
		w.wait(20 * time.Minute) // the offer is over, but what somebody does not want holds
		if a := slow.form("POST", offer+"/later", "never", "true"); a.status != 303 {
			t.Error(a)
		}
		w.wait(month - 21*time.Minute - time.Microsecond)
		for _, login := range []string{"silent@example.com", "later@example.com", "never@example.com"} {
			if asks(login) {
				t.Error(login, " is asked again too soon")
			}
		}
		w.wait(time.Microsecond)
		if !asks("silent@example.com") || asks("later@example.com") {
			t.Error("30 days after the offer")
		}
		w.wait(time.Minute)
		if !asks("later@example.com") {
			t.Error("30 days after Not now")
		}
		w.wait(50 * 365 * 24 * time.Hour)
		if asks("never@example.com") || asks("slow@example.com") {
			t.Error("50 years after Don't ask again")
		}
	})
}

// P9: nobody else's click declines an offer.
func TestOnlyTheSessionThatBeganDeclinesAnOffer(t *testing.T) {
	w := inSQLite(t)
	w.add(t, annsLogin, annsPassword)
	w.add(t, "eve@example.com", annsPassword)
	b, second, eve := w.offered(t, annsLogin), w.browser(), w.browser()
	second.signIn(t, annsLogin, annsPassword, "signed_in")
	eve.signIn(t, "eve@example.com", annsPassword, "signed_in")
	for _, who := range []*browser{second, eve} {
		who.object("POST", offer+"/later", map[string]any{"never": true})
	}
	if a := b.api("GET", offer); a.status != 200 {
		t.Error(a)
	}
}

// P9: the sign-in stands for the step-up, so nothing but the session that it began may take the offer up.
func TestAnOfferBelongsToTheSessionThatBegan(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		w.add(t, "eve@example.com", annsPassword)
		earlier, later, eve, nobody := w.browser(), w.capable(), w.browser(), w.browser()
		earlier.signIn(t, annsLogin, annsPassword, "signed_in")
		b := w.offered(t, annsLogin)
		later.signIn(t, annsLogin, annsPassword, "signed_in")
		eve.signIn(t, "eve@example.com", annsPassword, "signed_in")
		options := b.options(offer, nil)
		made := answerTo(t, w.key(), options)
		for name, who := range map[string]*browser{"an earlier session": earlier, "a later one": later, "somebody else": eve} {
			for _, a := range []answer{who.api("GET", offer), who.options(offer, nil), who.reply(offer, made, nil),
				who.form("GET", offer), who.form("POST", offer, "credential", string(made))} {
				if a.status != 403 {
					t.Errorf("%s: %v", name, a)
				}
			}
		}
		for _, a := range []answer{nobody.api("GET", offer), nobody.options(offer, nil), nobody.reply(offer, made, nil)} {
			if a.status != 401 {
				t.Error("nobody: ", a)
			}
		}
		if a := nobody.form("GET", offer); !strings.HasPrefix(a.location, "/signin?return_to=") {
			t.Error("nobody: ", a)
		}
		if a := b.reply(offer, made, nil); a.status != 200 {
			t.Error("the session that began: ", a)
		}
		for name, who := range map[string]*browser{"an earlier session": earlier, "a later one": later} {
			if a := who.session(); a.status != 401 {
				t.Errorf("%s lives on: %v", name, a)
			}
		}
	})
}

// P9
func TestAnOfferEndsAfterTenMinutes(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		b, k := w.offered(t, annsLogin), w.key()
		w.wait(9 * time.Minute)
		options := b.options(offer, nil)
		w.wait(time.Minute - time.Microsecond)
		if a := b.api("GET", offer); a.status != 200 {
			t.Error("just before: ", a)
		}
		w.wait(time.Microsecond)
		for _, a := range []answer{b.api("GET", offer), b.options(offer, nil), b.reply(offer, answerTo(t, k, options), nil)} {
			if a.status != 403 {
				t.Error(a)
			}
		}
		if a := b.api("GET", "/account/passkeys"); len(a.fields["passkeys"].([]any)) != 0 {
			t.Error(a)
		}
	})
}

// P9: for two at the same instant too.
func TestAnOfferIsTakenUpOnce(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		b := w.offered(t, annsLogin)
		var requests []func() answer
		for range 4 {
			made := answerTo(t, w.key(), b.options(offer, nil))
			twin := &browser{w: w, jar: map[string]string{sessionCookie: b.jar[sessionCookie]}, address: b.address}
			requests = append(requests, func() answer { return twin.reply(offer, made, nil) })
		}
		spare := answerTo(t, w.key(), b.options(offer, nil))
		added := 0
		for _, a := range atOnce(requests...) {
			if a.status == 200 {
				added++
			} else if a.status != 403 {
				t.Error(a)
			}
		}
		if added != 1 {
			t.Errorf("%d were added", added)
		}
		if a := b.reply(offer, spare, nil); a.status != 403 {
			t.Error("once more: ", a)
		}
		if a := b.api("GET", "/account/passkeys"); len(a.fields["passkeys"].([]any)) != 1 {
			t.Error(a)
		}
	})
}

// atOnce sends requests at the same instant.
func atOnce(requests ...func() answer) []answer {
	answers := make([]answer, len(requests))
	var ready, done sync.WaitGroup
	ready.Add(len(requests))
	for i, send := range requests {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			answers[i] = send()
		})
	}
	done.Wait()
	return answers
}

// P9, S7
func TestAnOfferLeadsOnAndNowhereElse(t *testing.T) {
	w := inSQLite(t, func(c *config.Config) { c.ReturnTo = []string{"https://app.example.com"} })
	for to, want := range map[string]string{
		"": "/account", "/account/security?a=1": "/account/security?a=1", "https://app.example.com/x?y": "https://app.example.com/x?y",
		"//evil.example": "/account", `/\evil.example`: "/account", "https://evil.example": "/account", "javascript:alert(1)": "/account",
		"https://app.example.com.evil.example": "/account",
	} {
		w.wait(31 * 24 * time.Hour)
		login := "ann" + url.QueryEscape(to) + "@example.com"
		if _, err := w.Users.Find(visitless, login); err != nil {
			w.add(t, login, annsPassword)
		}
		b := w.capable()
		a := b.api("POST", "/signin", "login", login, "password", string(annsPassword), "return_to", to)
		if next, err := url.Parse(a.field("next")); err != nil || next.Path != offer || next.Query().Get("return_to") != want {
			t.Errorf("%q: the sign-in leads to %q", to, a.field("next"))
		}
		// Whoever sends somebody to the offer by a link of their own leads nowhere either.
		if a := b.api("GET", offer+"?return_to="+url.QueryEscape(to)); a.field("return_to") != want {
			t.Errorf("%q: the page leads to %v", to, a)
		}
		if a := b.ceremony(t, w.key(), offer, map[string]any{"return_to": to}); a.field("next") != want {
			t.Errorf("%q: adding leads to %v", to, a)
		}
		if a := b.object("POST", offer+"/later", map[string]any{"return_to": to}); a.field("next") != want {
			t.Errorf("%q: declining leads to %v", to, a)
		}
		if a := b.form("POST", offer+"/later", "return_to", to); a.location != want {
			t.Errorf("%q: declining leads to %v", to, a)
		}
	}
}

// P9: what a page shows does not depend on the face, and on a page the browser is led there.
func TestAPageLeadsToTheOffer(t *testing.T) {
	w := inSQLite(t)
	w.add(t, annsLogin, annsPassword)
	b := w.capable()
	a := b.form("POST", "/signin", "login", annsLogin, "password", string(annsPassword), "return_to", "/account/security")
	if a.status != 303 || a.location != offer+"?return_to=%2Faccount%2Fsecurity" {
		t.Fatal(a)
	}
	if a := b.form("GET", a.location); a.status != 200 || !strings.Contains(a.body, `value="/account/security"`) {
		t.Error(a)
	}
	made := answerTo(t, w.key(), b.options(offer, nil))
	if a := b.form("POST", offer, "credential", string(made), "return_to", "/account/security"); a.status != 303 || a.location != "/account/security" {
		t.Error(a)
	}
	if rows := w.events(t, idOf(t, w, annsLogin), auth.FactorAdded); len(rows) != 1 {
		t.Error(rows)
	}
}

func idOf(t tester, w *world, login string) auth.UserID {
	t.Helper()
	u, err := w.Users.Find(visitless, login)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return u.ID
}
