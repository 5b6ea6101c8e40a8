package app_test

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"sallyport/internal/factor/softkey"
)

// key is an authenticator in the browsers of a world.
func (w *world) key() *softkey.Key { return softkey.New(w.config.URL) }

// object sends JSON as it is.
func (b *browser) object(method, path string, fields map[string]any) answer {
	body, _ := json.Marshal(fields) // made of what is JSON
	return b.send(method, "/api/v1"+path, "application/json", string(body))
}

// options asks for what a key answers at a path.
func (b *browser) options(path string, fields map[string]any) answer {
	if fields == nil {
		fields = map[string]any{}
	}
	return b.object("POST", path+"/options", fields)
}

// answerTo is what a key makes of options.
func answerTo(t tester, k *softkey.Key, options answer, lies ...softkey.Lie) json.RawMessage {
	t.Helper()
	act := k.Get
	if _, create := options.fields["pubKeyCredParams"]; create {
		act = k.Create
	}
	credential, err := act([]byte(options.body), lies...)
	if err != nil {
		t.Fatalf("%v: %v", err, options)
	}
	return credential
}

// withoutList is options that any passkey may answer.
func withoutList(t tester, options string) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(options), &fields); err != nil {
		t.Fatalf("%v", err)
	}
	delete(fields, "allowCredentials")
	body, _ := json.Marshal(fields) // it has just been JSON
	return string(body)
}

// reply sends what a key made.
func (b *browser) reply(path string, credential json.RawMessage, fields map[string]any) answer {
	sent := map[string]any{"credential": credential}
	maps.Copy(sent, fields)
	return b.object("POST", path, sent)
}

// ceremony asks for options at a path and sends what a key makes of them there, with more fields.
func (b *browser) ceremony(t tester, k *softkey.Key, path string, fields map[string]any, lies ...softkey.Lie) answer {
	t.Helper()
	begin := map[string]any{}
	if anew, ok := fields["anew"]; ok { // the one that both ends want
		begin["anew"] = anew
	}
	asked := b.options(path, begin)
	if asked.status != 200 {
		return asked
	}
	return b.reply(path, answerTo(t, k, asked, lies...), fields)
}

// addPasskey makes one in Settings. The session must be fresh.
func (b *browser) addPasskey(t tester, k *softkey.Key) (id string) {
	t.Helper()
	a := b.ceremony(t, k, "/account/passkeys", nil)
	if a.status != 200 || a.field("id") == "" {
		t.Fatalf("%v", a)
	}
	return a.field("id")
}

// withKey is ann, signed in with her password, with a passkey that she added in this session.
func withKey(t tester, w *world) (*browser, *softkey.Key) {
	t.Helper()
	return person(t, w, annsLogin)
}

func person(t tester, w *world, login string) (*browser, *softkey.Key) {
	t.Helper()
	w.add(t, login, annsPassword)
	b, k := w.browser(), w.key()
	b.signIn(t, login, annsPassword, "signed_in")
	b.stepUp(t, "password", "password", annsPassword)
	b.addPasskey(t, k)
	return b, k
}

// refused fails unless an answer is a wrong one, with a message, and begins nothing.
func (b *browser) refused(t tester, what, message string, a answer) {
	t.Helper()
	if a.status != 422 || a.problem() != "wrong" || a.field("message") != message || b.has(sessionCookie) {
		t.Errorf("%s: want 422 %s: %v, cookies %v", what, message, a, b.jar)
	}
}

const (
	wrong      = "passkey.wrong"
	unknown    = "passkey.unknown"
	late       = "passkey.late"
	elsewhere  = "passkey.elsewhere"
	unverified = "passkey.unverified"
)

// S4, P1, P7, U2
func TestAPasskeySignsInWithoutANameAndIsASecondStep(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, k := withKey(t, w)
		other := w.browser()
		if a := other.ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Error(a)
		}
		if a := other.session(); a.fields["level"] != 2.0 {
			t.Error(a)
		}
		if a := other.ceremony(t, k, "/stepup/passkey", nil); a.status != 200 {
			t.Error(a)
		}
		third := w.browser()
		third.signIn(t, annsLogin, annsPassword, "second_factor")
		if a := third.ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Error(a)
		}
	})
}

// P7: presence is one factor, so it is enough beside the password and nowhere else.
func TestAPasskeyThatWasMerelyTouchedIsOneFactor(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, k := withKey(t, w)
		k.UV = false
		alone := w.browser()
		alone.refused(t, "without a name", unverified, alone.ceremony(t, k, "/signin/passkey", nil))
		named := w.browser()
		options := named.options("/signin/passkey", map[string]any{"login": annsLogin})
		named.refused(t, "with a name", unverified, named.reply("/signin/passkey", answerTo(t, k, options), nil))
		second := w.browser()
		second.signIn(t, annsLogin, annsPassword, "second_factor")
		second.refused(t, "anew", unverified, second.ceremony(t, k, "/signin/passkey", map[string]any{"anew": true}))
		if a := second.ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Error("after the password: ", a)
		}
		if a := second.session(); a.fields["level"] != 2.0 {
			t.Error(a)
		}
		for name, who := range map[string]*browser{"with two factors": second, "with one": b} {
			if a := who.ceremony(t, k, "/stepup/passkey", nil); a.status != 422 || a.field("message") != unverified {
				t.Errorf("step-up %s: %v", name, a)
			}
		}
		if a := second.api("GET", "/account/password"); a.problem() != "step-up" {
			t.Error("it stepped up all the same: ", a)
		}
	})
}

// P7, W2: a verified passkey is two factors, so a policy that wants two is satisfied by it alone.
func TestAVerifiedPasskeyAloneSignsInWhereTwoFactorsAreRequired(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		b, k := w.browser(), w.key()
		b.signIn(t, annsLogin, annsPassword, "enrolment")
		if a := b.ceremony(t, k, "/signin/enrol/passkey", nil); a.field("state") != "signed_in" {
			t.Fatal(a)
		}
		alone := w.browser()
		if a := alone.ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Error(a)
		}
		if a := alone.session(); a.fields["level"] != 2.0 {
			t.Error(a)
		}
		k.UV = false
		touched := w.browser()
		touched.refused(t, "a touched one", unverified, touched.ceremony(t, k, "/signin/passkey", nil))
	}, required)
}

// W4, P7: a security key that cannot verify anybody is enough on the way in, beside the password.
func TestATouchedPasskeyIsEnrolledOnTheWayIn(t *testing.T) {
	w := inSQLite(t, required)
	w.add(t, annsLogin, annsPassword)
	b, k := w.browser(), w.key()
	k.UV = false
	b.signIn(t, annsLogin, annsPassword, "enrolment")
	if a := b.ceremony(t, k, "/signin/enrol/passkey", nil); a.field("state") != "signed_in" {
		t.Fatal(a)
	}
	if a := b.session(); a.fields["level"] != 2.0 {
		t.Error(a)
	}
}

// mfa is what the Security page says of it.
func (b *browser) mfa() string { return b.api("GET", "/account/security").field("mfa") }

// P4
func TestTheFirstPasskeyTurnsMFAOn(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		for name, withApp := range map[string]bool{"nothing@example.com": false, "app@example.com": true} {
			u := w.add(t, name, annsPassword)
			b := w.browser()
			b.signIn(t, name, annsPassword, "signed_in")
			b.stepUp(t, "password", "password", annsPassword)
			if withApp {
				b.enrol(t, "/account")
			}
			if a := b.api("POST", "/account/mfa/disable", "password", string(annsPassword)); a.status != 204 {
				t.Fatal(a)
			}
			w.browser().signIn(t, name, annsPassword, "signed_in")
			b.addPasskey(t, w.key())
			if b.mfa() != "on" || len(w.events(t, u.ID, "mfa.enabled")) != 1 {
				t.Errorf("%s: MFA is %s", name, b.mfa())
			}
			w.browser().signIn(t, name, annsPassword, "second_factor")
		}
	})
}

// P4: somebody who switches MFA off and has a passkey decided against it.
func TestAnotherPasskeyLeavesMFAAsItIs(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, _ := withKey(t, w)
		if a := b.api("POST", "/account/mfa/disable", "password", string(annsPassword)); a.status != 204 {
			t.Fatal(a)
		}
		b.addPasskey(t, w.key())
		if b.mfa() != "inactive" {
			t.Error(b.mfa())
		}
		w.browser().signIn(t, annsLogin, annsPassword, "signed_in")
	})
}

// P4: where policy says so, a passkey alone asks nobody for more after the password, and changes nothing for anybody else.
func TestAPasskeyNeedNotTurnMFAOn(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		for login, c := range map[string]struct {
			app, off bool
			mfa      string
			next     string
		}{
			"nothing@example.com":     {false, false, "inactive", "signed_in"},
			"nothing-off@example.com": {false, true, "inactive", "signed_in"},
			"app@example.com":         {true, false, "on", "second_factor"},
			"app-off@example.com":     {true, true, "inactive", "signed_in"},
		} {
			u := w.add(t, login, annsPassword)
			b := w.browser()
			b.signIn(t, login, annsPassword, "signed_in")
			b.stepUp(t, "password", "password", annsPassword)
			if c.app {
				b.enrol(t, "/account")
			}
			if c.off {
				b.api("POST", "/account/mfa/disable", "password", string(annsPassword))
			}
			b.addPasskey(t, w.key())
			if b.mfa() != c.mfa || len(w.events(t, u.ID, "mfa.enabled")) > 0 {
				t.Errorf("%s: MFA is %s", login, b.mfa())
			}
			w.browser().signIn(t, login, annsPassword, c.next)
		}
	}, keepsMFA)
}

// P4, P10: what a browser made by itself asks for nothing that its person did not choose.
func TestAPasskeyThatTheBrowserMadeByItselfNeverTurnsMFAOn(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		b := w.offered(t, annsLogin)
		options := b.options(offer, map[string]any{"conditional": true})
		made := answerTo(t, w.key(), options, func(s *softkey.Said) { s.Flags &^= softkey.UP | softkey.UV })
		if a := b.reply(offer, made, nil); a.status != 200 {
			t.Fatal(a)
		}
		if b.mfa() != "inactive" {
			t.Error(b.mfa())
		}
		w.wait(time.Minute)
		w.browser().signIn(t, annsLogin, annsPassword, "signed_in")
	})
}
