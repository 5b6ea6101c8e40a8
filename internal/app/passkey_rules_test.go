package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
)

func useOnly(c *config.Config)      { c.Passkeys.Use = "use only" }
func passkeysOff(c *config.Config)  { c.Passkeys.Use = "disabled" }
func addAtSignIn(c *config.Config)  { c.Passkeys.AddAt = "signin" }
func alsoPassword(c *config.Config) { c.Passkeys.AlsoPassword = true }
func (a answer) kinds() (kinds string) {
	return listed(a.fields["kinds"]) + listed(a.fields["factors"])
}

// listed is the kinds in a list of them or of factors.
func listed(list any) string {
	some, _ := list.([]any)
	var kinds []string
	for _, one := range some {
		if f, ok := one.(map[string]any); ok {
			one = f["kind"]
		}
		kinds = append(kinds, fmt.Sprint(one))
	}
	slices.Sort(kinds)
	return strings.Join(slices.Compact(kinds), " ")
}

// again is the server started anew with other rules.
func (w *world) again(t *testing.T, set ...func(*config.Config)) {
	t.Helper()
	for _, f := range set {
		f(&w.config)
	}
	w.restart(t)
}

// P8: with "use only" what there is works and can be removed.
func TestWithUseOnlyPasskeysSignInAndCanBeRemoved(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, k := withKey(t, w)
		b.enrol(t, "/account")
		w.again(t, useOnly)
		alone, second := w.browser(), w.browser()
		if a := alone.ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Error(a)
		}
		if a := second.signIn(t, annsLogin, annsPassword, "second_factor"); a.kinds() != "passkey totp" {
			t.Error(a)
		}
		if a := second.ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Error(a)
		}
		if a := alone.ceremony(t, k, "/stepup/passkey", nil); a.status != 200 {
			t.Error(a)
		}
		page := alone.form("GET", "/account/security")
		if !strings.Contains(page.body, "Use an authenticator app instead") || strings.Contains(page.body, "Add passkey") {
			t.Error(page.body)
		}
		id := alone.api("GET", "/account/passkeys").fields["passkeys"].([]any)[0].(map[string]any)["id"].(string)
		if a := alone.api("DELETE", "/account/passkeys/"+id); a.status != 204 {
			t.Error(a)
		}
	})
}

// P8: none can be added, at none of the three places, not even by who began before.
func TestWithUseOnlyNoPasskeyIsAdded(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, "offered@example.com", annsPassword)
		w.add(t, "enrolling@example.com", annsPassword)
		settings, offered := w.fresh(t, annsLogin), w.offered(t, "offered@example.com")
		w.again(t, required)
		enrolling := w.browser()
		enrolling.signIn(t, "enrolling@example.com", annsPassword, "enrolment")
		places := map[string]*browser{"/account/passkeys": settings, offer: offered, "/signin/enrol/passkey": enrolling}
		begun := map[string]answer{}
		for at, who := range places {
			if begun[at] = who.options(at, nil); begun[at].status != 200 {
				t.Fatal(at, begun[at])
			}
		}
		w.again(t, useOnly)
		for at, who := range places {
			made := answerTo(t, w.key(), begun[at])
			for _, a := range []answer{who.options(at, nil), who.reply(at, made, nil)} {
				if a.status != 409 || a.problem() != "passkeys-closed" {
					t.Errorf("%s: %v", at, a)
				}
			}
			if a := who.form("POST", at, "credential", string(made)); a.status != 409 {
				t.Errorf("%s on a page: %v", at, a)
			}
		}
		for login := range map[string]bool{annsLogin: true, "offered@example.com": true, "enrolling@example.com": true} {
			if rows := w.events(t, idOf(t, w, login), auth.FactorAdded); len(rows) > 0 {
				t.Error(login, rows)
			}
		}
		if enrolling.has(sessionCookie) {
			t.Error("and it signed in")
		}
	})
}

// P8, W4: where none can be added, nobody is sent to add one, and rules that would leave nobody a way in are refused.
func TestWithUseOnlyNobodyIsSentToAddAPasskey(t *testing.T) {
	w := inSQLite(t, required, useOnly)
	w.add(t, annsLogin, annsPassword)
	b := w.browser()
	if a := b.signIn(t, annsLogin, annsPassword, "enrolment"); a.kinds() != "totp" {
		t.Error("the sign-in asks for ", a.kinds())
	}
	if a := b.api("GET", "/signin/enrol"); a.kinds() != "totp" {
		t.Error("there is a choice of ", a.kinds())
	}
	if a := b.form("GET", "/signin/enrol"); strings.Contains(a.body, `/signin/enrol/passkey`) {
		t.Error("the page leads there")
	}
	w.config.Policy.Factors = []string{"passkey"}
	if err := w.start(t); err == nil {
		t.Error("everybody must have a passkey, and nobody can add one: it starts")
	}
}

// P8: with "disabled" they are not on the page, and no second step.
func TestWherePasskeysAreDisabledNobodyUsesOne(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		both, k := withKey(t, w)
		_, key := both.enrol(t, "/account")
		session := w.browser()
		session.ceremony(t, k, "/signin/passkey", nil)
		options := w.browser().options("/signin/passkey", nil)
		w.wait(time.Minute)
		w.again(t, passkeysOff)
		b := w.browser()
		if a := b.api("GET", "/signin"); a.kinds() != "password" {
			t.Error(a)
		}
		if a := b.form("GET", "/signin"); strings.Contains(a.body, "Continue with Passkey") {
			t.Error("it is on the page")
		}
		for _, a := range []answer{b.options("/signin/passkey", nil), b.reply("/signin/passkey", answerTo(t, k, options), nil)} {
			if a.status != 404 {
				t.Error(a)
			}
		}
		if a := b.signIn(t, annsLogin, annsPassword, "second_factor"); a.kinds() != "totp" || a.field("next") != "/signin/totp" {
			t.Error(a)
		}
		if a := b.api("GET", "/signin/passkey"); a.status != 404 {
			t.Error("a second step: ", a)
		}
		if a := b.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.field("state") != "signed_in" {
			t.Error(a)
		}
		if a := session.api("GET", "/stepup"); strings.Contains(listed(a.fields["accepts"]), "passkey") {
			t.Error("a step-up: ", a)
		}
		if a := session.options("/stepup/passkey", nil); a.status == 200 {
			t.Error("a step-up: ", a)
		}
		if a := session.reply("/stepup/passkey", answerTo(t, k, options), nil); a.status != 403 {
			t.Error("a step-up: ", a)
		}
		for at, a := range map[string]answer{"settings": both.options("/account/passkeys", nil), "offer": both.options(offer, nil)} {
			if a.status != 409 && a.status != 403 {
				t.Error(at, a)
			}
		}
		id := both.api("GET", "/account/passkeys").fields["passkeys"].([]any)[0].(map[string]any)["id"].(string)
		w.wait(time.Minute)
		both.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now())))
		if a := both.api("DELETE", "/account/passkeys/"+id); a.status != 204 {
			t.Error("it cannot be removed: ", a)
		}
	})
}

// P8: what was their second step is no reason to ask for none.
func TestWhereItsOnlyPasskeyIsDisabledThePasswordAloneDoesNotSignIn(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		withKey(t, w)
		for name, set := range map[string]func(*config.Config){
			"disabled":          passkeysOff,
			"it counts no more": func(c *config.Config) { c.Policy.Factors = []string{"totp"} },
			"required":          func(c *config.Config) { passkeysOff(c); required(c) },
			"within grace":      func(c *config.Config) { passkeysOff(c); required(c); c.Policy.GraceDays = 7 },
		} {
			w.config.Policy, w.config.Passkeys = config.Default().Policy, config.Default().Passkeys
			w.again(t, set)
			b := w.browser()
			a := b.api("POST", "/signin", "login", annsLogin, "password", string(annsPassword))
			if a.field("state") != "enrolment" || a.kinds() != "totp" || b.has(sessionCookie) {
				t.Errorf("%s: %v", name, a)
			}
		}
		// They set up what counts here, and go on.
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "enrolment")
		b.enrol(t, "/signin/enrol")
		if a := b.session(); a.status != 200 {
			t.Error(a)
		}
	})
}

// P1: the current password besides the step-up, counted like any other guess at it.
func TestAddingAPasskeyAsksForThePasswordWherePolicyDoes(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		const at = "/account/passkeys"
		if a := b.api("GET", at+"/new"); a.fields["also_password"] != true {
			t.Error(a)
		}
		if a := b.form("GET", at+"/new"); !strings.Contains(a.body, `type="password"`) {
			t.Error(a)
		}
		for _, none := range []map[string]any{nil, {"password": ""}} {
			if a := b.options(at, none); a.status != 422 || a.problem() != "invalid" || !strings.Contains(a.body, `"password"`) {
				t.Error("none: ", a)
			}
		}
		given := map[string]any{"password": string(annsPassword)}
		for n := range 2 { // the right one ends what the wrong ones before it caused
			for range 9 {
				if a := b.options(at, map[string]any{"password": "wrong horse battery"}); a.status != 422 || a.field("message") != "password.wrong" {
					t.Fatal("a wrong one: ", a)
				}
			}
			for range 2 {
				if a := b.options(at, given); a.status != 200 {
					t.Fatal("round ", n, a)
				}
			}
			w.wait(16 * time.Minute)
			b.stepUp(t, "password", "password", annsPassword)
		}
		options := b.options(at, given)
		if a := b.reply(at, answerTo(t, w.key(), options), nil); a.status != 200 {
			t.Fatal("the right one: ", a)
		}
		u := idOf(t, w, annsLogin)
		if rows := w.events(t, u, auth.FactorFailed); len(rows) != 18 || rows[0]["factor"] != "password" {
			t.Error(rows)
		}
		w.wait(16 * time.Minute)
		b = w.fresh(t, "bob@example.com")
		for range 10 {
			b.options(at, map[string]any{"password": "wrong horse battery"})
		}
		if a := b.options(at, given); a.status != 429 {
			t.Error("the right one after ten wrong ones: ", a)
		}
		if a := b.api("POST", "/stepup/password", "password", string(annsPassword)); a.status != 429 {
			t.Error("guesses there are not counted as those at a step-up: ", a)
		}
	}, alsoPassword)
}

// P1: nobody is asked for it where policy does not.
func TestAddingAPasskeyAsksForNoPasswordElsewhere(t *testing.T) {
	w := inSQLite(t)
	b := w.fresh(t, annsLogin)
	if a := b.api("GET", "/account/passkeys/new"); a.fields["also_password"] != false {
		t.Error(a)
	}
	if a := b.options("/account/passkeys", nil); a.status != 200 {
		t.Error(a)
	}
}

// U1
func TestAddingAPasskeyAsksForAStepUp(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		stale := w.browser()
		stale.signIn(t, annsLogin, annsPassword, "signed_in")
		options := b.options("/account/passkeys", nil)
		made := answerTo(t, w.key(), options)
		for _, a := range []answer{stale.options("/account/passkeys", nil), stale.reply("/account/passkeys", made, nil)} {
			if a.status != 403 || a.problem() != "step-up" {
				t.Error(a)
			}
		}
		stale.stepUp(t, "password", "password", annsPassword)
		if a := stale.reply("/account/passkeys", made, nil); a.status != 422 || a.field("message") != wrong {
			t.Error("what another session asked for: ", a)
		}
		w.wait(10 * time.Minute)
		if a := b.reply("/account/passkeys", made, nil); a.problem() != "step-up" {
			t.Error("after the window: ", a)
		}
	})
}

// P9: policy can make the sign-in the only place.
func TestPasskeysCanBeAddedAtTheSignInAlone(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		b := w.offered(t, annsLogin)
		b.stepUp(t, "password", "password", annsPassword)
		spare := answerTo(t, w.key(), b.options(offer, nil))
		if a := b.ceremony(t, w.key(), offer, nil); a.status != 200 {
			t.Error("the offer is closed: ", a)
		}
		settings := w.fresh(t, "bob@example.com")
		if a := settings.form("GET", "/account/security"); strings.Contains(a.body, "Add passkey") || !strings.Contains(a.body, "You are asked whether to add a passkey when you sign in") {
			t.Error(a.body)
		}
		for _, a := range []answer{settings.api("GET", "/account/passkeys/new"), settings.options("/account/passkeys", nil)} {
			if a.status != 409 || a.problem() != "passkeys-closed" {
				t.Error(a)
			}
		}
		// What was asked for at the offer is no way into Settings.
		if a := b.reply("/account/passkeys", spare, nil); a.status != 409 || a.problem() != "passkeys-closed" {
			t.Error("a second one, by way of Settings: ", a)
		}
	}, addAtSignIn, keepsMFA)
}

// P8: rules under which the passwords of people with passkeys would be enough are refused.
func TestPasskeysAreNotDisabledWhereNothingElseCounts(t *testing.T) {
	w := inSQLite(t, passkeysOff)
	w.config.Policy.Factors = []string{"passkey"}
	if err := w.start(t); err == nil || !strings.Contains(err.Error(), "policy.factors") {
		t.Errorf("%v", err)
	}
	w.config.Policy.MFA = "off"
	if err := w.start(t); err != nil {
		t.Error(err)
	}
}
