package browser

import (
	"strings"
	"testing"

	"sallyport/test/harness"
)

// An administrator finds people, and does something to many of them at once; one of them feels it in another browser.
//
// A1, A2, A5, ux 21, ux 22
func TestAnAdministratorLooksAfterMany(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			s, b := begin(t, harness.Options{Env: outbox}, l, "users")
			one := b.peopled(s)
			b.finds()
			b.pages()
			b.textsThree()
			b.signsOut(one)
		})
	}
}

// peopled adds sixty people, of whom one is signed in elsewhere.
func (b *tab) peopled(s *harness.Server) *tab {
	b.Helper()
	if out, code := s.Run(password+"\n", "user", "add", "--email", "nils@example.com", "--name", "Nils Nord", "--password-stdin"); code != 0 {
		b.Fatal(out)
	}
	one := open(b.T, s.URL, desk, "users-nils")
	one.login = "nils@example.com"
	one.visit("/account/security")
	one.signIn(password)
	one.notNow()
	one.title("Security")
	failed := eval[string](b, `
		const add = (fields) => fetch('/api/v1/admin/users', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({...fields, password: 'none'})});
		return (async () => {
			await fetch('/api/v1/stepup/password', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({password: a})});
			for (let i = 1; i <= 57; i++) {
				const n = String(i).padStart(2, '0');
				const answer = await add({name: 'Person ' + n, email: 'p' + n + '@example.com', ...(i < 3 && {phone: '+467017406' + n})});
				if (!answer.ok) return answer.text();
			}
			return (await add({name: 'Ines Marchetti-Papadopoulos', email: 'ines.with.a.very.long.address@subsidiary.example.com', role: 'support'})).ok ? '' : 'Ines';
		})();`, password)
	if failed != "" {
		b.Fatal(failed)
	}
	b.until("the list to follow", `return fetch('/api/v1/admin/users').then((a) => a.json()).then((l) => l.all === 60)`)
	return one
}

// finds is search, filters and order, all of it in the address.
func (b *tab) finds() {
	b.Helper()
	b.visit("/admin/users")
	b.title("Users")
	b.see("60 people", "1–50 of 60", "Ines Marchetti-Papadopoulos", "No MFA")
	b.inspect("list")
	b.seek("person 1")
	b.see("1–10 of 10", "Person 19")
	b.follow("Email")
	b.follow("Email ↑")
	if first := b.first(); first != "Person 19" || eval[string](b, `return document.querySelector('th[aria-sort]').getAttribute('aria-sort')`) != "descending" || !strings.Contains(eval[string](b, `return location.search`), "q=person+1") {
		b.Errorf("by email, the other way round, %s is first", first)
	}
	b.follow("Admins 2")
	b.see("Nobody matches", "No one called “person 1” is an administrator.")
	b.inspect("nobody")
	b.follow("Clear search and filters")
	b.follow("Admins 2")
	b.see("Maya Lindqvist", "Ines", "1–2 of 2")
	csv := eval[string](b, `return fetch(pressable('Export CSV').href).then((a) => a.text())`)
	if lines := strings.Split(strings.TrimSpace(csv), "\r\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], "ID,Name,Email") {
		b.Errorf("the file says %q", csv)
	}
	b.follow("All")
}

func (b *tab) seek(words string) {
	b.Helper()
	b.until("the search", `const e = document.querySelector('input[name=q]'); e.focus(); e.select(); return true`)
	b.keys(words)
	b.follow("Search")
}

func (b *tab) first() string {
	b.Helper()
	return eval[string](b, `return words(document.querySelector('tbody .cover'))`)
}

// pages goes to the end and back.
func (b *tab) pages() {
	b.Helper()
	b.follow("Next")
	b.see("51–60 of 60", "Person 57")
	b.follow("Previous")
	b.see("1–50 of 60")
	if first := b.first(); first != "Ines Marchetti-Papadopoulos" {
		b.Errorf("%s is first", first)
	}
}

// mark presses the boxes beside some people.
func (b *tab) mark(names ...string) {
	b.Helper()
	for _, name := range names {
		eval[bool](b, `document.querySelector('[aria-label="Choose ' + a + '"]').click(); return true`, name)
	}
}

// does chooses an act.
func (b *tab) does(act string) {
	b.Helper()
	eval[bool](b, `const e = document.getElementById('act'); e.value = a; return e.value === a`, act)
	b.follow("Preview")
}

// textsThree gives three people a code by SMS, of whom one has no number; nothing happens before it is confirmed.
func (b *tab) textsThree() {
	b.Helper()
	b.seek("person 0")
	b.mark("Person 01", "Person 02", "Person 03")
	b.does("mfa:sms")
	b.title("Set MFA to SMS")
	b.see("For 3 people. Nothing has been changed yet.", "2 people would change", "1 person would not", "A phone number is needed", "Person 03")
	b.inspect("preview")
	b.follow("Set MFA to SMS for 2 people")
	b.see("Done for 2 of 3 people.", "Not done")
	b.inspect("done")
	b.follow("Back to users")
	b.title("Users")
}

// signsOut ends the sessions of all who match, and one of them is asked to sign in again.
func (b *tab) signsOut(one *tab) {
	b.Helper()
	b.visit("/admin/users?status=active")
	b.seek("example.com nils")
	if eval[bool](b, `return !!document.querySelector('[name=ids]')`) {
		b.mark("Nils Nord")
		b.does("sign-out")
	}
	b.title("Sign out everywhere")
	b.follow("Sign out everywhere for 1 person")
	b.see("Done for 1 of 1 person.")
	one.visit("/account/security")
	one.title("Sign in to Sallyport")
}

// The same without JavaScript: the proof is a page, after which the act goes on (U1).
func TestAnAdministratorLooksAfterManyWithoutJavaScript(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Env: []string{"SALLYPORT_PASSKEYS_OFFER=false"}})
	add(t, s)
	for _, name := range []string{"nils", "nina"} {
		if out, code := s.Run(password+"\n", "user", "add", "--email", name+"@example.com", "--name", name, "--password-stdin"); code != 0 {
			t.Fatal(out)
		}
	}
	b := open(t, s.URL, phone, "users-noscript").withoutScript()
	b.visit("/admin/users?q=ni&sort=-name")
	b.signIn(password)
	b.title("Users")
	b.see("3 people", "1–2 of 2")
	if first := b.first(); first != "nina" {
		t.Errorf("%s is first", first)
	}
	if eval[bool](b, `return !!document.querySelector('[data-all]') && shown(document.querySelector('[data-all]'))`) {
		t.Error("a box stands there that does nothing")
	}
	b.inspect("list")
	b.mark("nina")
	b.does("disable")
	b.title("Disable")
	b.see("1 person would change")
	b.follow("Disable for 1 person")
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.follow("Continue")
	b.see("Done for 1 of 1 person.")
	b.follow("Back to users")
	b.see("Disabled")
}
