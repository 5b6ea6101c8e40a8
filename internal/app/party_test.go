package app_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
)

// A passkey works for the relying party it was made for, and for no other.

func atExample(c *config.Config) {
	c.URL, c.Passkeys.RPID = "https://login.example.com", "example.com"
}

// moved is the same server for another relying party.
func moved(c *config.Config) { c.Passkeys.RPID = "login.example.com" }

// Nobody is locked out by a setting: who would be is counted.
func TestAPartyThatWouldLockPeopleOutDoesNotStart(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		for n := range 3 {
			person(t, w, fmt.Sprintf("ann%d@example.com", n))
		}
		b, _ := person(t, w, "app@example.com")
		b.enrol(t, "/account")
		w.add(t, "nothing@example.com", annsPassword)
		before := w.App
		moved(&w.config)
		err := w.start(t)
		if err == nil || !strings.Contains(err.Error(), "3 people") || !strings.Contains(err.Error(), `"example.com"`) {
			t.Fatalf("%v", err)
		}
		w.App = before
		for n := range 3 { // with another factor, whatever became of the passkey, nobody is locked out
			u := idOf(t, w, fmt.Sprintf("ann%d@example.com", n))
			if n == 0 {
				w.resetMFA(t, u)
				continue
			}
			c := w.browser()
			c.signIn(t, fmt.Sprintf("ann%d@example.com", n), annsPassword, "second_factor")
			if err := w.start(t); err == nil || !strings.Contains(err.Error(), []string{"3 people have", "2 people have", "1 person has"}[n]) {
				t.Errorf("%d left: %v", 3-n, err)
			}
			w.resetMFA(t, u)
		}
		if err := w.start(t); err != nil {
			t.Error("nobody left: ", err)
		}
	}, atExample)
}

// What counts no more here is no way in, either.
func TestAPartyIsNotMovedForWhoHasOnlyWhatDoesNotCount(t *testing.T) {
	w := inSQLite(t, atExample)
	b, _ := withKey(t, w)
	b.enrol(t, "/account")
	moved(&w.config)
	w.config.Policy.Factors = []string{"passkey"}
	if err := w.start(t); err == nil || !strings.Contains(err.Error(), "1 person has") {
		t.Errorf("%v", err)
	}
}

// P8: where passkeys are not used at all, it does not matter for whom they were made.
func TestWherePasskeysAreDisabledAnyPartyStarts(t *testing.T) {
	w := inSQLite(t, atExample)
	withKey(t, w)
	moved(&w.config)
	passkeysOff(&w.config)
	if err := w.start(t); err != nil {
		t.Error(err)
	}
	w.config.URL, w.config.Passkeys.RPID = "http://127.0.0.1:8080", ""
	if err := w.start(t); err != nil {
		t.Error(err)
	}
}

// P3, F1: with an authenticator besides, the passkey is void: shown as such, not offered, and removable.
func TestAPasskeyOfAnotherPartyIsVoid(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, k := withKey(t, w)
		_, key := b.enrol(t, "/account")
		w.wait(time.Minute)
		earlier := w.browser()
		old := earlier.options("/signin/passkey", nil)
		w.again(t, moved)
		if a := b.options("/stepup/passkey", nil); a.status != 404 {
			t.Error("a step-up: ", a)
		}
		second := w.browser()
		if a := second.signIn(t, annsLogin, annsPassword, "second_factor"); a.kinds() != "totp" {
			t.Error("a second step: ", a)
		}
		for _, a := range []answer{second.options("/signin/passkey", nil), second.api("GET", "/signin/passkey")} {
			if a.status != 404 {
				t.Error("a second step: ", a)
			}
		}
		named := w.browser().options("/signin/passkey", map[string]any{"login": annsLogin})
		nobodys := w.browser().options("/signin/passkey", map[string]any{"login": "nobody@example.com"})
		if shape(named) != shape(nobodys) || named.fields["rpId"] != "login.example.com" {
			t.Error(named)
		}
		// Even whoever gets the old key to answer is told that it is not known.
		earlier.refused(t, "the old one", unknown, earlier.reply("/signin/passkey", answerTo(t, k, old), nil))
		second.api("POST", "/signin/totp", "code", codeAt(key, w.now()))
		list := second.api("GET", "/account/passkeys")
		one := list.fields["passkeys"].([]any)[0].(map[string]any)
		if one["works"] != false || len(list.fields["accepted"].([]any)) > 0 {
			t.Error(list)
		}
		if a := second.form("GET", "/account/security"); !strings.Contains(a.body, "No longer works here") {
			t.Error("the page does not say so")
		}
		w.wait(time.Minute)
		second.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now())))
		// It excludes nothing: the same device may make a new one.
		if a := second.ceremony(t, k, "/account/passkeys", nil); a.status != 200 {
			t.Error("the same device makes a new one: ", a)
		}
		if a := w.browser().ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Error("the new one: ", a)
		}
		if a := second.api("DELETE", "/account/passkeys/"+one["id"].(string)); a.status != 204 {
			t.Error("it cannot be removed: ", a)
		}
	}, atExample)
}

// F2: one that is void is not the last factor, and does not stand for it.
func TestAVoidPasskeyDoesNotStandForTheLastFactor(t *testing.T) {
	w := inSQLite(t, atExample)
	b, _ := withKey(t, w)
	app := b.hold(t, "/account/totp")
	w.again(t, moved)
	if a := b.api("DELETE", app); a.status != 409 || a.problem() != "last-factor" {
		t.Error(a)
	}
}

// P10
func TestWhatBrowsersAskOfASiteAboutPasskeys(t *testing.T) {
	document := func(w *world, name string) (answer, map[string]any) {
		a := w.browser().send("GET", "/.well-known/"+name, "", "")
		return a, a.fields
	}
	const endpoints, related = "passkey-endpoints", "webauthn"
	w := inSQLite(t)
	a, fields := document(w, endpoints)
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" ||
		fields["enroll"] != "http://localhost:8080/account/passkeys/new" || fields["manage"] != "http://localhost:8080/account/security" {
		t.Error(a)
	}
	if a, _ := document(w, related); a.status != 404 {
		t.Error("without related origins: ", a)
	}
	for name, set := range map[string]func(*config.Config){"use only": useOnly, "at sign-in": addAtSignIn} {
		closed := inSQLite(t, set)
		if a, fields := document(closed, endpoints); a.status != 200 || fields["enroll"] != fields["manage"] {
			t.Errorf("%s: %v", name, a)
		}
	}
	off := inSQLite(t, passkeysOff)
	for _, name := range []string{endpoints, related} {
		if a, _ := document(off, name); a.status != 404 {
			t.Errorf("%s, where there are none: %v", name, a)
		}
	}
	wide := inSQLite(t, atExample, func(c *config.Config) { c.Passkeys.RelatedOrigins = []string{"https://login.example.org"} })
	a, fields = document(wide, related)
	origins, _ := json.Marshal(fields["origins"])
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" || string(origins) != `["https://login.example.com","https://login.example.org"]` {
		t.Error(a)
	}
}

// P10: a passkey works at a related origin, and at no other.
func TestAPasskeyWorksAtRelatedOrigins(t *testing.T) {
	w := inSQLite(t, atExample, func(c *config.Config) { c.Passkeys.RelatedOrigins = []string{"https://login.example.org"} })
	_, k := withKey(t, w)
	for origin, message := range map[string]string{
		"https://login.example.org": "", "https://login.example.com": "", "https://example.com": elsewhere, "https://www.example.org": elsewhere,
		"http://login.example.org": elsewhere, "https://login.example.org:8443": elsewhere, "https://LOGIN.example.org": elsewhere,
	} {
		b := w.browser()
		k.Origin = origin
		a := b.ceremony(t, k, "/signin/passkey", nil)
		if message == "" && a.field("state") != "signed_in" {
			t.Errorf("%s: %v", origin, a)
		} else if message != "" {
			b.refused(t, origin, message, a)
		}
	}
}
