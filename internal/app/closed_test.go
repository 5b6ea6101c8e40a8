package app_test

import (
	"strings"
	"testing"

	"sallyport/internal/auth"
	"sallyport/internal/config"
)

func passkeysAlone(c *config.Config) { c.Policy.Factors = []string{"passkey"} }

// W2, W4: an authenticator that counts for nothing would turn MFA on, and the next sign-in would ask for a factor that its
// person may not be able to have. None is added, not even by who began before; what there is stays to be removed.
func TestWhereNoAuthenticatorCountsNoneIsAdded(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		with := w.fresh(t, "bob@example.com")
		id, _ := with.enrol(t, "/account")
		b := w.fresh(t, annsLogin)
		begun := b.api("POST", "/account/totp")
		if begun.status != 200 {
			t.Fatal(begun)
		}
		w.again(t, passkeysAlone)
		for what, a := range map[string]answer{
			"another":             b.api("POST", "/account/totp"),
			"another, on a page":  b.form("POST", "/account/totp"),
			"one that was begun":  b.api("POST", "/account/totp/"+begun.field("id"), "code", codeAt(begun.field("secret"), w.now())),
			"beside one's others": with.api("POST", "/account/totp"),
		} {
			if a.status != 409 || !strings.Contains(a.body, "Authenticator apps are not used here.") {
				t.Errorf("%s: %v", what, a)
			}
		}
		if rows := w.events(t, idOf(t, w, annsLogin), auth.FactorAdded); len(rows) > 0 || b.mfa() != "off" {
			t.Error(rows, b.mfa())
		}
		if page := b.form("GET", "/account/security"); strings.Contains(page.body, "Authenticator app") {
			t.Error("the page speaks of them")
		}
		if page := with.form("GET", "/account/security"); !strings.Contains(page.body, "are not used here") || strings.Contains(page.body, "Add authenticator") || !strings.Contains(page.body, id+"/remove") {
			t.Error(page)
		}
	})
}
