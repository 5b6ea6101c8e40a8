package browser

import (
	"slices"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"sallyport/test/harness"
)

// WCAG 2.1.1 and 2.4.7: whatever can be pressed with the mouse is reached by Tab, and the focus is seen.
func TestTabReachesEverything(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{})
			b := open(t, s.URL, l, "keyboard")
			b.createOwner(s)
			b.walk("the sign-in page")
			b.signIn(password)
			b.title("Sign in faster next time")
			b.walk("the offer of a passkey")
			b.notNow()
			b.title("Profile")
			b.walk("the profile")
			b.visit("/account/security")
			b.walk("the empty Security page")
			b.press("Add authenticator")
			b.title("Confirm it’s you")
			b.walk("the step-up dialog")
			b.fill("Password", password)
			b.follow("Continue")
			b.title("Add authenticator")
			b.walk("the page that adds an authenticator")
			app := b.finishAuthenticator("Pixel 9", "Add authenticator")
			b.title("Security")
			b.walk("the Security page")
			b.press("Rename Pixel 9")
			b.title("Rename “Pixel 9”")
			b.walk("the dialog that renames")
			b.press("Cancel")
			b.closed()
			b.press("Disable MFA")
			b.title("Disable MFA?")
			b.walk("the dialog that disables MFA")
			b.press("Keep it on")
			b.visit("/account/password")
			b.walk("the page that changes the password")
			b.follow("Sign out")
			b.signIn(password)
			b.title("Enter the code from your app")
			b.walk("the second step")
			b.fill("6-digit code", app.code())
			b.follow("Continue")
			b.title("Profile")
		})
	}
}

// walk presses Tab until it has been round, and claims that nothing was left out.
func (b *tab) walk(where string) {
	b.Helper()
	const stops = `const stops = [...front().querySelectorAll('a[href], button, input:not([type=hidden]), select, summary')]
		.filter((e) => (shown(e) || e.matches('.sr')) && !e.disabled && !e.closest('[inert]') && (e.type !== 'radio' || e.checked)); ` // a group is one stop
	want := eval[[]string](b, stops+`
		document.activeElement.blur();
		getSelection().removeAllRanges();
		return stops.map((e, i) => { e.dataset.stop = i; return e.outerHTML.slice(0, 120); })`)
	seen := map[string]bool{}
	for range len(want) + 3 { // it may begin in the middle, and pass the browser's own buttons on the way round
		b.keys(kb.Tab)
		at := eval[[]string](b, `
			const e = document.activeElement;
			if (!e || e.dataset.stop === undefined) return ['', ''];
			const s = getComputedStyle(e), seen = e.matches(':focus-visible') && s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 && shown(e);
			return [e.dataset.stop, seen ? 'seen' : ''];`)
		if at[0] != "" && at[1] == "" {
			b.Errorf("%s: the focus is not seen on %s", where, eval[string](b, `return document.activeElement.outerHTML.slice(0, 120)`))
		}
		seen[at[0]] = true
	}
	for i, stop := range want {
		if !seen[eval[string](b, `return String(a)`, i)] {
			b.Errorf("%s: Tab does not reach %s", where, stop)
		}
	}
}

// Nobody needs a mouse: Tab, letters and Enter lead from the sign-in page into an enrolment.
func TestTheKeyboardAloneIsEnough(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	add(t, s)
	b := open(t, s.URL, desk, "keys")
	b.visit("/account/security")
	b.title("Sign in to Sallyport")
	if at := b.focus(); at != "Email" {
		t.Errorf("the sign-in page opens with the focus on %q", at)
	}
	b.keys(email + kb.Tab + password)
	b.leave(func() { b.keys(kb.Enter) })
	b.title("Sign in faster next time")
	b.tabTo("Not now")
	b.leave(func() { b.keys(kb.Enter) })
	b.title("Security")
	b.tabTo("Add authenticator")
	b.keys(kb.Enter)
	b.title("Confirm it’s you")
	b.keys(password)
	b.leave(func() { b.keys(kb.Enter) })
	b.title("Add authenticator")
	app := b.scan()
	b.tabTo("6-digit code")
	b.keys(app.code() + kb.Tab + "Pixel 9")
	b.leave(func() { b.keys(kb.Enter) })
	b.title("Security")
	b.see("MFA is on", "Pixel 9")
}

// tabTo goes on to what has this name.
func (b *tab) tabTo(name string) {
	b.Helper()
	var passed []string
	for range 40 {
		b.keys(kb.Tab)
		at := b.focus()
		if at == name {
			return
		}
		passed = append(passed, at)
	}
	b.shoot("failed")
	b.Fatalf("Tab never came to %q, but to %q", name, passed)
}

// A dialog takes the focus and keeps it; leaving gives it back to what opened it and changes nothing (U1).
func TestADialogTakesTheFocusAndGivesItBack(t *testing.T) {
	t.Parallel()
	_, b := begin(t, harness.Options{}, desk, "dialog")
	leaving := map[string]func(){
		"Escape":  func() { b.keys(kb.Escape) },
		"Cancel":  func() { b.tabTo("Cancel"); b.keys(kb.Enter) },
		"a click": func() { b.press("Cancel") },
	}
	for _, how := range []string{"Escape", "Cancel", "a click"} {
		b.tabTo("Add authenticator")
		b.keys(kb.Enter)
		b.title("Confirm it’s you")
		if at := b.focus(); at != "Password" {
			t.Errorf("the dialog opens with the focus on %q", at)
		}
		inside := []string{"", "Password", "Show", "Cancel", "Continue"} // "" is the browser itself
		for range 8 {
			b.keys(kb.Tab)
			if at := b.focus(); !slices.Contains(inside, at) {
				t.Errorf("the focus left the dialog for %q", at)
			}
		}
		leaving[how]()
		b.closed()
		b.until("the focus back on its opener, after "+how, `return words(document.activeElement) === 'Add authenticator'`)
		b.see("MFA is off", "No authenticator yet")
	}
	b.inspect("after-cancel")
}

// The same for a link that opens a dialog behind a proof, and for one without.
func TestALinkedDialogGivesTheFocusBack(t *testing.T) {
	t.Parallel()
	_, b := begin(t, harness.Options{}, phone, "dialog")
	b.addAuthenticator("Pixel 9")
	b.title("Security")
	for opener, title := range map[string]string{"Rename Pixel 9": "Rename “Pixel 9”", "Disable MFA": "Disable MFA?"} {
		b.tabTo(opener)
		b.keys(kb.Enter)
		b.title(title)
		b.keys(kb.Escape)
		b.closed()
		b.until("the focus back on "+opener, `return words(document.activeElement) === a`, opener)
	}
	b.see("MFA is on", "Pixel 9")
}
