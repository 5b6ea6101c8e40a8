package app_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
)

const code = "/admin/messages/en/code-signin"

// admin is an administrator who has just proved that it is them.
func (w *world) admin(t *testing.T) (auth.User, *browser) {
	t.Helper()
	u := w.add(t, "root@example.com", annsPassword)
	if err := w.DB.Tx(visitless, func(tx auth.Tx) error {
		return errors.Join(w.Users.SetRole(visitless, tx, u.ID, auth.Admin), w.Users.SetContact(visitless, tx, u.ID, "root@example.com", annPhone, ""))
	}); err != nil {
		t.Fatal(err)
	}
	b := w.browser()
	b.signIn(t, "root@example.com", annsPassword, "signed_in")
	b.stepUp(t, "password", "password", annsPassword)
	return u, b
}

// typed are the texts of a message as its page shows them, with some changed, as names and values.
func (b *browser) typed(t *testing.T, path string, change ...string) (pairs []string) {
	t.Helper()
	fields := map[string]string{}
	shown, _ := b.api("GET", path).fields["texts"].([]any)
	for _, one := range shown {
		text := one.(map[string]any)
		fields[text["key"].(string)] = text["words"].(string)
	}
	if len(fields) == 0 {
		t.Fatal("no texts at ", path)
	}
	for i := 0; i < len(change); i += 2 {
		fields[change[i]] = change[i+1]
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		pairs = append(pairs, key, fields[key])
	}
	return pairs
}

// A6: an administrator changes what a message says, on both faces, and takes it back.
func TestATextIsEditedAndTakenBack(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, b := w.admin(t)
		for face, send := range map[string]func(string, string, ...string) answer{"api": b.api, "page": b.form} {
			if a := send("POST", code, b.typed(t, code, "subject", "{code} by "+face)...); a.status != 204 && a.location != code {
				t.Fatal(face, a)
			}
			shown := b.api("GET", code)
			if preview, _ := shown.fields["preview"].(map[string]any); preview["subject"] != "K7MQ-3XTP by "+face || shown.field("edited_at") == "" {
				t.Error(face, shown)
			}
			if list := b.api("GET", "/admin/messages?language=en"); !strings.Contains(list.body, "K7MQ-3XTP by "+face) {
				t.Error(face, list)
			}
			if list := b.api("GET", "/admin/messages?language=de"); strings.Contains(list.body, "by "+face) || strings.Contains(list.body, "edited_at") {
				t.Error("another language changed")
			}
			for range 2 { // the second finds nothing to take back
				if a := send("DELETE", code); a.status != 204 && a.location != code {
					t.Fatal(face, a)
				}
			}
			if shown := b.api("GET", code); shown.field("edited_at") != "" || strings.Contains(shown.body, "by "+face) {
				t.Error(face, shown)
			}
		}
		all := w.events(t, "", auth.TextChanged)
		back := 0
		for _, detail := range all {
			if detail["back"] == "original" {
				back++
			}
			if detail["name"] != "code-signin" || detail["language"] != "en" {
				t.Error(detail)
			}
			if len(detail) > 3 || strings.Contains(strings.Join(slices.Collect(maps.Values(detail)), " "), "by ") {
				t.Error("the record has the text: ", detail)
			}
		}
		if len(all) != 4 || back != 2 {
			t.Error(all)
		}
	}, coded)
}

// What cannot be sent is refused at its field, on both faces, before anything is stored.
func TestATextThatCannotBeSentIsRefusedAtItsField(t *testing.T) {
	w := inSQLite(t, coded)
	_, b := w.admin(t)
	for name, c := range map[string]struct{ path, field, words, why string }{
		"an unknown tag":      {code, "lead", "{cod}", "has {cod}, which this text cannot fill"},
		"a header":            {code, "subject", "a\r\nBcc: eve@example.net", "must be one line"},
		"a line of an SMS":    {code, "sms", "{code}\n@evil.example #123456", "must be one line"},
		"a site that is told": {"/admin/messages/en/password-link", "lead", "Go on: https://evil.example/x?u={link}", "only those of this site may stand here"},
		"a code in a link":    {code, "sms", "https://evil.example/{code}", "only those of this site may stand here"},
		"a code in a word":    {code, "sms", "Code#{code}", "has {code} as part of a word"},
		"no code":             {code, "sms", "Hello", "lacks {code}"},
		"no subject":          {code, "subject", "", "is missing"},
		"a stray brace":       {code, "note", "{", "brace"},
		"a button nowhere":    {code, "act", "Press", "has no place"},
		"an SMS of a mail":    {"/admin/messages/en/notice-password", "sms", "Hello", "has no place"},
		"strangers read it":   {"/admin/messages/en/notice-email", "lead", "{agent.email}", "would learn where codes are sent"},
		"a number in a mail":  {code, "note", "{agent.workphone}", "learns where codes by SMS are sent"},
		"an address in a SMS": {code, "sms", "{code} {agent.email}", "learns where codes by email are sent"},
	} {
		typed := b.typed(t, c.path, c.field, c.words)
		for _, path := range []string{c.path, c.path + "/preview"} {
			a := b.api("POST", path, typed...)
			if path != c.path && strings.Contains(c.why, "codes by") { // the preview shows it, with the flag
				if a.status != 200 || !strings.Contains(a.body, c.why) {
					t.Errorf("%s: the preview says %v", name, a)
				}
				continue
			}
			if a.status != 422 || !strings.Contains(a.body, `"field":"`+c.field+`"`) || !strings.Contains(a.body, c.why) {
				t.Errorf("%s: %s says %v", name, path, a)
			}
			page := b.form("POST", path, typed...)
			if page.status != 422 || !strings.Contains(page.body, `id="t-`+c.field+`-e"`) && c.why != "has no place" {
				t.Errorf("%s: the page %s says %v", name, path, page)
			}
		}
	}
	if a := b.api("GET", "/admin/messages"); strings.Contains(a.body, "edited_at") {
		t.Error("something was stored")
	}
	if n := len(w.events(t, "", auth.TextChanged)); n != 0 {
		t.Error(n, "events")
	}
	for _, path := range []string{"/admin/messages/en/nothing", "/admin/messages/en/words", "/admin/messages/tlh/code-signin", "/admin/messages/EN/code-signin", "/admin/messages/test/nothing"} {
		if a := b.api("GET", path); a.status != 404 {
			t.Error(path, a)
		}
		if a := b.api("POST", path, b.typed(t, code)...); a.status != 404 && a.status != 405 {
			t.Error(path, a)
		}
		if a := b.api("DELETE", path); a.status != 404 && a.status != 405 {
			t.Error(path, a)
		}
	}
	if a := b.api("GET", "/admin/messages?language=tlh"); a.status != 422 {
		t.Error(a)
	}
}

// A6: a text that tells by one channel where codes go by the other is saved by somebody who says so, and flagged from then on.
func TestATextThatGivesAwayTheOtherChannelIsFlagged(t *testing.T) {
	w := inSQLite(t, coded)
	_, b := w.admin(t)
	typed := append(b.typed(t, code, "note", "Or we call {agent.workphone}."), "reveal", "on")
	if a := b.form("POST", code, typed...); a.status != 303 {
		t.Fatal(a)
	}
	list := b.api("GET", "/admin/messages?language=en")
	if list.fields["flagged"] != 1.0 || strings.Count(list.body, "learns where codes by SMS are sent") != 1 {
		t.Error(list)
	}
	if page := b.form("GET", code); !strings.Contains(page.body, "It gives away where codes are sent.") {
		t.Error("the page of the message does not say so")
	}
	if all := w.events(t, "", auth.TextChanged); len(all) != 1 || all[0]["reveals"] != "note" {
		t.Error(all)
	}
}

// A preview is of what was typed, and stores nothing.
func TestAPreviewStoresNothing(t *testing.T) {
	w := inSQLite(t, coded)
	_, b := w.admin(t)
	typed := b.typed(t, code, "subject", "Only looking {code}", "lead", "<script>alert(1)</script>", "sms", "{code} looked at")
	page := b.form("POST", code+"/preview", typed...)
	if page.status != 200 || !strings.Contains(page.body, "Only looking K7MQ-3XTP") || !strings.Contains(page.body, "012345 looked at") || strings.Contains(page.body, "<script>alert") {
		t.Error(page)
	}
	if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self'") || !strings.Contains(policy, "style-src 'self' 'unsafe-inline'") {
		t.Error(policy)
	}
	if policy := b.form("GET", "/admin/messages").header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") {
		t.Error(policy)
	}
	if a := b.form("GET", code+"/preview"); a.status != 303 || a.location != code { // whoever reloads it
		t.Error(a)
	}
	if a := b.api("GET", "/admin/messages"); strings.Contains(a.body, "edited_at") || strings.Contains(a.body, "Only looking") {
		t.Error("it was stored")
	}
}

// ux 24, C8, C10: a test goes to whoever asks for it and nowhere else, so often, and its page says how it fares.
func TestATestMessageGoesToWhoAsksForIt(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, b := w.admin(t)
		for channel, to := range map[string]string{"email": "root@example.com", "sms": annPhone} {
			a := b.api("POST", "/admin/messages/test", "channel", channel)
			kept, err := w.Outbox.Kept(visitless, 1)
			if a.status != 200 || err != nil || len(kept) != 1 || kept[0].ID != a.field("id") || kept[0].To != to {
				t.Fatal(a, kept, err)
			}
			told := b.api("GET", "/admin/messages/test/"+a.field("id"))
			if sent, _ := told.fields["sent"].(map[string]any); told.field("channel") != channel || sent["state"] != "waiting" {
				t.Error(told)
			}
			w.add(t, "eve-"+channel+"@example.com", annsPassword)
			eve := w.browser()
			eve.signIn(t, "eve-"+channel+"@example.com", annsPassword, "signed_in")
			if a := eve.api("GET", "/admin/messages/test/"+a.field("id")); a.status < 403 {
				t.Error("somebody else is told: ", a)
			}
			w.wait(time.Second)
		}
		if a := b.api("POST", "/admin/messages/test", "channel", "email", "to", "eve@example.net"); a.status != 422 {
			t.Error("a destination is taken from the request: ", a)
		}
		for _, channel := range []string{"", "fax", "EMAIL"} {
			if a := b.api("POST", "/admin/messages/test", "channel", channel); a.status != 422 {
				t.Error(channel, a)
			}
		}
		refused := 0
		for range 12 {
			if b.api("POST", "/admin/messages/test", "channel", "email").status == 429 {
				refused++
			}
		}
		if refused != 4 { // of ten an hour, two went before
			t.Errorf("%d of 12 were refused", refused)
		}
		if all := w.events(t, u.ID, auth.MessageTested); len(all) != 10 || all[len(all)-1]["channel"] == "" {
			t.Error(all)
		}
	}, coded)
}

func TestATestHasToHaveSomewhereToGo(t *testing.T) {
	w := inSQLite(t, coded)
	u, b := w.admin(t)
	for phone, want := range map[string]string{"": "contact-missing", "+4915123456789": "country", "+4687901234": "country"} {
		if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.SetContact(visitless, tx, u.ID, u.Email, phone, "") }); err != nil {
			t.Fatal(err)
		}
		if a := b.api("POST", "/admin/messages/test", "channel", "sms"); a.problem() != want {
			t.Errorf("%q: %v", phone, a)
		}
	}
	silent := inSQLite(t, func(c *config.Config) { c.Mail.Host = "" })
	_, b = silent.admin(t)
	if a := b.api("POST", "/admin/messages/test", "channel", "email"); a.status != 422 {
		t.Error(a)
	}
}

// A5, A6: no role below an administrator's opens any of it, on either face.
func TestMessageTemplatesAreForAdministrators(t *testing.T) {
	w := inSQLite(t, coded)
	_, b := w.admin(t)
	typed := b.typed(t, code, "subject", "By somebody else {code}")
	for _, role := range []auth.Role{auth.Member, auth.Support, auth.WorkgroupAdmin} {
		login := strings.ReplaceAll(string(role), " ", "") + "@example.com"
		u := w.add(t, login, annsPassword)
		if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.SetRole(visitless, tx, u.ID, role) }); err != nil {
			t.Fatal(err)
		}
		other := w.browser()
		other.signIn(t, login, annsPassword, "signed_in")
		other.stepUp(t, "password", "password", annsPassword)
		for _, send := range []func(string, string, ...string) answer{other.api, other.form} {
			for _, a := range []answer{send("GET", "/admin/messages"), send("GET", code), send("POST", code, typed...), send("POST", code+"/preview", typed...),
				send("DELETE", code), send("POST", "/admin/messages/test", "channel", "email"), send("GET", "/admin/messages/test/x")} {
				if a.status != 403 && a.status != 404 {
					t.Error(role, a)
				}
			}
		}
	}
	if list := b.api("GET", "/admin/messages"); strings.Contains(list.body, "By somebody else") {
		t.Error("somebody else changed a text")
	}
	if kept, err := w.Outbox.Kept(visitless, 1); err != nil || len(kept) > 0 {
		t.Error(kept, err)
	}
}
