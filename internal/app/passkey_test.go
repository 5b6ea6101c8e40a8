package app_test

import (
	"encoding/json"
	"testing"

	"sallyport/internal/factor/softkey"
)

// object sends JSON as it is.
func (b *browser) object(method, path string, fields map[string]any) answer {
	body, _ := json.Marshal(fields) // made of what is JSON
	return b.send(method, "/api/v1"+path, "application/json", string(body))
}

// ceremony asks for options at a path and sends what a key makes of them there.
func (b *browser) ceremony(t tester, k *softkey.Key, path string, fields map[string]any, lies ...softkey.Lie) answer {
	t.Helper()
	if fields == nil {
		fields = map[string]any{}
	}
	asked := b.object("POST", path+"/options", fields)
	if asked.status != 200 {
		return asked
	}
	act := k.Get
	if _, create := asked.fields["pubKeyCredParams"]; create {
		act = k.Create
	}
	credential, err := act([]byte(asked.body), lies...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	sent := map[string]any{"credential": json.RawMessage(credential)}
	for name, v := range fields {
		sent[name] = v
	}
	return b.object("POST", path, sent)
}

// S4, P1, P7, U2
func TestAPasskeySignsInWithoutANameAndIsASecondStep(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		b.stepUp(t, "password", "password", annsPassword)
		k := softkey.New("http://localhost:8080")
		if a := b.ceremony(t, k, "/account/passkeys", nil); a.status != 200 || a.field("name") == "" {
			t.Fatal(a)
		}
		other := w.browser()
		if a := other.ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
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
