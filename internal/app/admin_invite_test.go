package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
)

// A2, A3: an invitation works once, for seven days; nobody takes it back by asking for a new password in somebody's name.
func TestAnInvitationLeadsToAPassword(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, b := w.staff(t, "admin@example.com", auth.Admin, "")
		a := b.api("POST", "/admin/users", "name", "Nora New", "email", "nora@example.com", "password", "invitation")
		if a.status != 200 || a.field("link") != "" || a.field("sent_to") != "n•••@example.com" {
			t.Fatal(a)
		}
		link := w.links(t, "nora@example.com")[0]
		w.wait(time.Hour)
		w.browser().api("POST", "/forgot", "login", "nora@example.com")
		w.wait(6 * 24 * time.Hour)
		nora := w.browser()
		if p := nora.form("GET", link); p.status != 200 || !strings.Contains(p.body, "Welcome to Sallyport") {
			t.Fatal(p)
		}
		if a := nora.api("POST", link, "password", newPassword); a.status != 204 {
			t.Fatal(a)
		}
		if slices.ContainsFunc(w.notices(t, "nora@example.com"), func(n noticed) bool { return n.text == "notice-password" }) {
			t.Error("she is told that a password was changed which she never had")
		}
		if a := nora.api("POST", link, "password", "a third horse battery"); a.status != 404 {
			t.Error("again: ", a)
		}
		nora.signIn(t, "nora@example.com", newPassword, "signed_in")
		b = w.again2(t, b, "admin@example.com")
		if a := b.api("POST", "/admin/users/"+string(w.find(t, "nora@example.com").ID)+"/invitation"); a.problem() != "signed-in-before" {
			t.Error("once she is in: ", a)
		}
		b.api("POST", "/admin/users", "name", "Late", "email", "late@example.com")
		late := w.links(t, "late@example.com")[0]
		w.wait(7*24*time.Hour + time.Second)
		if a := w.browser().api("POST", late, "password", newPassword); a.status != 404 {
			t.Error("too late: ", a)
		}
		b = w.again2(t, b, "admin@example.com")
		at := "/admin/users/" + string(w.find(t, "late@example.com").ID)
		b.api("POST", at+"/invitation")
		second := w.links(t, "late@example.com")[0]
		b.api("POST", at+"/invitation")
		if a := w.browser().api("POST", second, "password", newPassword); a.status != 404 {
			t.Error("of two the older: ", a)
		}
		newest := w.links(t, "late@example.com")[0]
		b.api("POST", at+"/disable")
		if a := w.browser().api("POST", newest, "password", newPassword); a.status != 404 {
			t.Error("disabled: ", a)
		}
	}, told)
}

// again2 is a new session of somebody whose old one is over.
func (w *world) again2(t tester, _ *browser, login string) *browser {
	t.Helper()
	b := w.browser()
	b.signIn(t, login, annsPassword, "signed_in")
	b.stepUp(t, "password", "password", annsPassword)
	return b
}

// A3: where no mail is sent, the link is the answer to the request that made it, and stands nowhere else.
func TestWithoutMailAnInvitationIsHandedOver(t *testing.T) {
	w := inSQLite(t)
	_, b := w.staff(t, "admin@example.com", auth.Admin, "")
	a := b.api("POST", "/admin/users", "name", "Nora New", "email", "nora@example.com")
	link := strings.TrimPrefix(a.field("link"), w.config.URL)
	if a.status != 200 || !strings.HasPrefix(link, "/forgot/") {
		t.Fatal(a)
	}
	nora := w.browser()
	if a := nora.api("POST", link, "password", newPassword); a.status != 204 {
		t.Fatal(a)
	}
	nora.signIn(t, "nora@example.com", newPassword, "signed_in")
	if a := b.api("POST", "/admin/users", "name", "Keyed", "email", "keyed@example.com", "password", "none"); a.status != 200 || a.field("link") != "" {
		t.Error(a)
	}
}
