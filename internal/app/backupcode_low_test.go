package app_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
)

// B4: at three and fewer it is said after the sign-in, on a page that leads on, and by mail; before that it is not.
func TestWhoHasFewCodesLeftIsTold(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, codes := w.withSheet(t, annsLogin)
		for i, code := range codes {
			left := 9 - i
			w.wait(time.Minute)
			b := w.browser()
			if a := b.api("POST", "/signin", "login", annsLogin, "password", string(annsPassword), "return_to", "/account/security?a=b&c"); a.status != 200 {
				t.Fatal(a)
			}
			a := b.api("POST", "/signin/backupcode", "code", code)
			letters := 0
			for _, n := range w.notices(t, annsLogin) {
				if n.text == "notice-codes-low" {
					letters++
				}
			}
			if want := max(0, 4-left); letters != want {
				t.Errorf("%d left: %d letters", left, letters)
			}
			if left > 3 {
				if a.leads() != "/account/security?a=b&c" {
					t.Errorf("%d left: %v", left, a)
				}
				continue
			}
			if a.field("next") != "/account/backupcode/low?return_to=%2Faccount%2Fsecurity%3Fa%3Db%26c" {
				t.Fatalf("%d left: %v", left, a)
			}
			page := b.form("GET", a.field("next"))
			says := map[int]string{3: "Only 3 backup codes are left", 2: "Only 2 backup codes are left", 1: "Only 1 backup code is left", 0: "No backup codes are left"}[left]
			if page.status != 200 || !strings.Contains(page.body, "<h1>"+says+"</h1>") || !strings.Contains(page.body, `href="/account/security?a=b&amp;c"`) ||
				!strings.Contains(page.body, `href="/account/security#backup"`) {
				t.Errorf("%d left: %v", left, page)
			}
			card := b.form("GET", "/account/security").body
			if !strings.Contains(card, fmt.Sprintf(`<span class="badge warn">%d of 10</span>`, left)) || !strings.Contains(card, fmt.Sprintf("Backup codes left: %d", left)) {
				t.Errorf("%d left: the card does not say so", left)
			}
			n := w.notice(t, annsLogin, "notice-codes-low")
			if !strings.Contains(strings.ReplaceAll(n.Mail.Text, "\n", " "), fmt.Sprintf("Codes left: %d.", left)) || strings.Contains(n.Mail.Text+n.Mail.HTML, code) {
				t.Error(n.Mail.Text)
			}
			if a := w.browser().form("GET", "/not-me?token="+n.token()); a.status != 200 || !strings.Contains(a.body, "One of the last backup codes") {
				t.Error(a)
			}
		}
		if rows := w.events(t, idOf(t, w, annsLogin), auth.BackupCodesLow); len(rows) != 4 || rows[0]["left"] != "0" || rows[3]["left"] != "3" {
			t.Error(rows)
		}
		if a := w.browser().signIn(t, annsLogin, annsPassword, "second_factor"); a.kinds() != "totp" {
			t.Error("an empty sheet is offered: ", a)
		}
	}, told)
}

// S7: the page leads nowhere but where a sign-in may lead, and is for nobody who is not signed in.
func TestThePageOfFewCodesLeadsNowhereElse(t *testing.T) {
	w := inSQLite(t)
	b, _ := w.withSheet(t, annsLogin)
	for _, to := range []string{"//evil.example", "https://evil.example/", `/\evil.example`, "javascript:alert(1)", "data:text/html,x", "/\t/evil.example"} {
		path := sheetPath + "/low?return_to=" + url.QueryEscape(to)
		if a := b.form("GET", path); a.status != 200 || strings.Contains(a.body, "evil") || strings.Contains(a.body, "alert") || !strings.Contains(a.body, `href="/account"`) {
			t.Errorf("%q: %v", to, a)
		}
		if a := b.api("GET", path); a.field("return_to") != "/account" {
			t.Errorf("%q: %v", to, a)
		}
		if a := w.browser().form("GET", path); a.status != 303 || !strings.HasPrefix(a.location, "/signin?") {
			t.Errorf("%q: %v", to, a)
		}
	}
}
