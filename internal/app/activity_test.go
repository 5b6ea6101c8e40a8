package app_test

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/auth"
)

// ux 11: what happened stands on a page of its own, all of it, and nobody else's.
func TestAllActivityIsListedPageByPage(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		bob := w.add(t, "bob@example.com", "a password of bob's own")
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		for i := range 40 {
			if a := b.api("POST", "/account", "name", fmt.Sprint("Ann ", i)); a.status >= 300 {
				t.Fatal(a)
			}
		}
		other := w.browser()
		other.signIn(t, bob.Login, "a password of bob's own", "signed_in")

		seen := map[string]bool{}
		pages := 0
		for older := ""; pages == 0 || older != ""; pages++ {
			a := b.api("GET", "/account/activity?before="+older)
			events, _ := a.fields["events"].([]any)
			if a.status != 200 || len(events) == 0 || len(events) > 30 {
				t.Fatal(a)
			}
			for _, e := range events {
				seen[e.(map[string]any)["id"].(string)] = true
			}
			older = a.field("older")
		}
		if len(seen) != 41 || pages != 2 {
			t.Errorf("%d events on %d pages", len(seen), pages)
		}
		for id := range seen {
			if a := other.api("GET", "/account/activity?before="+id); a.status != 200 || strings.Contains(a.body, `"id"`) {
				t.Error("bob pages by ann's event: ", a)
			}
			break
		}
		if a := b.form("GET", "/account/activity"); a.status != 200 || !strings.Contains(a.body, "Changed your name") || !strings.Contains(a.body, "?before=") {
			t.Error(a)
		}
		if a := w.browser().api("GET", "/account/activity"); a.status != 401 {
			t.Error(a)
		}
	})
}

// ux 11, P5: who would be locked out by one lost device is told; who cannot switch MFA off is not offered to.
func TestTheSecurityPageSaysWhatTheStateOfMFAMeans(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		ann := w.add(t, annsLogin, annsPassword)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		const advice, disable = "Add another below", "Disable MFA"
		page := func() string { return b.form("GET", "/account/security").body }
		if p := page(); strings.Contains(p, advice) || strings.Contains(p, disable) {
			t.Error("with nothing set up: ", p)
		}
		b.stepUp(t, "password", "password", annsPassword)
		b.enrol(t, "/account")
		if p := page(); !strings.Contains(p, advice) || !strings.Contains(p, disable) {
			t.Error("with one authenticator: ", p)
		}
		err := w.DB.Tx(t.Context(), func(tx auth.Tx) error { return w.Users.SetMethod(t.Context(), tx, ann.ID, auth.MustHaveOne) })
		if err != nil {
			t.Fatal(err)
		}
		if p := page(); strings.Contains(p, disable) { // W1
			t.Error("for who was assigned a second step: ", p)
		}
		b.enrol(t, "/account")
		if p := page(); strings.Contains(p, advice) {
			t.Error("with two: ", p)
		}
	})
}
