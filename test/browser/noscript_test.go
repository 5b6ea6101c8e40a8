package browser

import (
	"testing"

	"github.com/chromedp/chromedp/kb"

	"sallyport/test/harness"
)

// The journey once more with JavaScript off: dialogs are pages, and an act goes on after its proof (U1).
//
// S1, S2, S3, S8, T1, T3, T4, U1, U3, F2, F3
func TestTheFirstJourneyWithoutJavaScript(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{})
			b := open(t, s.URL, l, "noscript").withoutScript()
			b.createOwner(s)
			b.inspect("signin")
			if eval[bool](b, `return !!pressable('Show')`) {
				t.Error("a button stands there that does nothing")
			}
			b.signIn(password)
			app := b.enrolOnPages()
			b.turnOffOnPages(app)
		})
	}
}

// enrolOnPages is enrol where every dialog is a page.
func (b *tab) enrolOnPages() *app {
	b.Helper()
	b.title("Profile")
	b.follow("Security")
	b.follow("Add authenticator")
	b.title("Confirm it’s you")
	b.inspect("stepup")
	b.fill("Password", "not this one")
	b.follow("Continue")
	b.see("This password is not right.")
	b.inspect("stepup-wrong")
	b.fill("Password", password)
	b.follow("Continue")
	b.title("Add authenticator") // the act went on
	b.inspect("authenticator-add")
	app := b.finishAuthenticator("Pixel 9", "Add authenticator")
	b.title("Security")
	b.see("MFA is on", "Pixel 9", "UTC")
	b.inspect("security-on")
	b.follow("Rename Pixel 9")
	b.title("Rename “Pixel 9”")
	b.inspect("rename")
	b.fill("Name of this authenticator", "Work phone")
	b.follow("Save")
	b.see("Renamed to “Work phone”")
	return app
}

// turnOffOnPages is turnOffAndOn, in a session of both factors.
func (b *tab) turnOffOnPages(app *app) {
	b.Helper()
	b.follow("Sign out")
	b.signIn(password)
	b.title("Enter the code from your app")
	b.inspect("second")
	b.fill("6-digit code", app.code())
	b.follow("Continue")
	b.title("Profile")
	b.follow("Security")
	b.see("This one")
	b.follow("Disable MFA")
	b.title("Confirm it’s you")
	b.inspect("stepup-both")
	b.follow("Cancel")
	b.title("Security") // where she came from
	b.see("MFA is on")
	b.follow("Disable MFA")
	b.fill("6-digit code", app.code())
	b.leave(func() { b.keys(kb.Enter) })
	b.title("Disable MFA?")
	b.inspect("disable")
	b.fill("Password", password)
	b.follow("Disable MFA")
	b.see("MFA is off", "Work phone")
	b.follow("Turn MFA on")
	b.see("MFA is on")
	b.follow("Sign out")
	b.title("Sign in to Sallyport")
}
