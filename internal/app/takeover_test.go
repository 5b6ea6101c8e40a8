package app_test

import (
	"encoding/base64"
	"testing"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/factor/softkey"
)

// U2, R7, P9: the password alone is no way to a new passkey for somebody who has more, though it is switched off. Whoever
// stole it would add one of their own and take what is stronger away.
func TestAnOfferIsNoWayAroundStepUp(t *testing.T) {
	for name, change := range map[string]func(*config.Config){"their own choice": nil, "off for all": mfaOff} {
		t.Run(name, func(t *testing.T) {
			w := inSQLite(t)
			w.add(t, annsLogin, annsPassword)
			b := w.browser()
			b.signIn(t, annsLogin, annsPassword, "signed_in")
			b.stepUp(t, "password", "password", annsPassword)
			b.enrol(t, "/account")
			if change == nil {
				if a := b.api("POST", "/account/mfa/disable", "password", string(annsPassword)); a.status != 204 {
					t.Fatal(a)
				}
			} else {
				change(&w.config)
				w.restart(t)
			}
			w.wait(time.Hour)
			eve := w.capable()
			if a := eve.signIn(t, annsLogin, annsPassword, "signed_in"); isOffer(a) {
				t.Error("an offer: ", a)
			}
			if a := eve.ceremony(t, w.key(), offer, nil); a.status != 403 {
				t.Error("taken up: ", a)
			}
		})
	}
	// And not for somebody who sets something up while the offer is open.
	w := inSQLite(t)
	w.add(t, annsLogin, annsPassword)
	open := w.offered(t, annsLogin)
	open.stepUp(t, "password", "password", annsPassword)
	open.enrol(t, "/account")
	if a := open.ceremony(t, w.key(), offer, nil); a.status != 403 {
		t.Error("open still: ", a)
	}
}

// S10: what is said of an id that stands for a name tells nobody whether that name has a passkey.
func TestAnIdThatWeMadeUpIsAnsweredLikeARealOne(t *testing.T) {
	w := inSQLite(t)
	withKey(t, w)
	w.add(t, "bare@example.com", annsPassword)
	for _, login := range []string{annsLogin, "bare@example.com", "nobody@example.com"} {
		b := w.browser()
		asked := b.options("/signin/passkey", map[string]any{"login": login})
		id, _ := asked.fields["allowCredentials"].([]any)[0].(map[string]any)["id"].(string)
		raw, err := base64.RawURLEncoding.DecodeString(id)
		if err != nil {
			t.Fatal(err)
		}
		eve := w.key()
		const anything = `{"challenge":"AAAA","rp":{"id":"localhost"},"user":{"id":"AAAA"},"pubKeyCredParams":[{"type":"public-key","alg":-7}]}`
		if _, err := eve.Create([]byte(anything), func(s *softkey.Said) { s.CredentialID = raw }); err != nil {
			t.Fatal(err)
		}
		if a := b.reply("/signin/passkey", answerTo(t, eve, asked), nil); a.status != 422 || a.field("message") != "passkey.wrong" {
			t.Errorf("%s: %v", login, a)
		}
	}
}

// P4, P10: a passkey that the browser made by itself neither asks for anything nor keeps what is set up later from asking;
// and it counts once its person turns MFA on.
func TestASilentPasskeyKeepsNothingElseQuiet(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		silent := func(login string) *browser {
			w.add(t, login, annsPassword)
			b, k := w.offered(t, login), w.key()
			options := b.options(offer, map[string]any{"conditional": true})
			if a := b.reply(offer, answerTo(t, k, options, func(s *softkey.Said) { s.Flags &^= softkey.UP | softkey.UV }), nil); a.status != 200 {
				t.Fatal(a)
			}
			w.browser().signIn(t, login, annsPassword, "signed_in")
			if a := b.ceremony(t, k, "/stepup/passkey", nil); a.status != 200 {
				t.Fatal(a)
			}
			return b
		}
		silent("app@example.com").enrol(t, "/account")
		w.browser().signIn(t, "app@example.com", annsPassword, "second_factor")
		if a := silent("key@example.com").ceremony(t, w.key(), "/account/passkeys", nil); a.status != 200 {
			t.Fatal(a)
		}
		w.browser().signIn(t, "key@example.com", annsPassword, "second_factor")
		if a := silent("on@example.com").api("POST", "/account/mfa/enable"); a.status != 204 {
			t.Fatal(a)
		}
		w.browser().signIn(t, "on@example.com", annsPassword, "second_factor")
	})
}
