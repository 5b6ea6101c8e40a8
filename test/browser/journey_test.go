package browser

import (
	"path"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"sallyport/test/harness"
)

// The first journey, from the link that dev prints to a changed password.
//
// S1, S2, S3, S7, S8, S9, T1, T2, T3, T4, U1, U2, U3, F1, F2, F3
func TestTheFirstJourney(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			harness.EachDatabase(t, func(t *testing.T, address string) {
				s := harness.Start(t, harness.Options{Database: address})
				b := open(t, s.URL, l, "journey-"+path.Base(t.Name()))
				b.arrive(s)
				phone := b.enrol()
				b.returnWith(phone)
				b.keepTheLastOne()
				b.turnOffAndOn()
				b.changePassword()
			})
		})
	}
}

// arrive creates the owner, who signs in with a password alone (S1).
func (b *tab) arrive(s *harness.Server) {
	b.Helper()
	b.createOwner(s)
	b.inspect("signin")
	b.signIn(password)
	b.notNow()
	b.title("Profile") // S7: no wish, so the account page
	b.see(email, "owner")
	b.inspect("profile")
	b.follow("Security")
	b.title("Security")
	b.see("MFA is off", "No passkey yet", "No authenticator yet")
	b.inspect("security-empty")
}

// enrol adds an authenticator, after a proof that is asked for in a dialog on the same page (U1, T1 to T4).
func (b *tab) enrol() *app {
	b.Helper()
	b.press("Add authenticator")
	b.title("Confirm it’s you")
	b.inspect("stepup")
	b.fill("Password", "not this one")
	b.press("Continue")
	b.see("This password is not right.")
	b.inspect("stepup-wrong")
	if at := b.at(); at != "/account/security" {
		b.Errorf("the proof was asked for at %s, not on the same page", at)
	}
	b.fill("Password", password)
	b.follow("Continue")
	b.title("Add authenticator")
	b.inspect("authenticator-add")
	phone := b.scan()
	b.fill("Name of this authenticator", "Pixel 9")
	b.fill("6-digit code", phone.wrongCode())
	b.follow("Add authenticator")
	b.see("This code is not right.") // T3
	b.until("the focus on what is wrong", `return document.activeElement === labelled('6-digit code')`)
	b.inspect("authenticator-wrong")
	if again := b.scan(); again.secret != phone.secret {
		b.Error("a wrong code changed the secret, so the app that scanned it is useless")
	}
	b.fill("6-digit code", phone.code())
	b.follow("Add authenticator")
	b.title("Security")
	b.see("MFA is on", "Pixel 9")
	b.inspect("security-on")

	b.press("Rename Pixel 9")
	b.title("Rename “Pixel 9”")
	b.inspect("rename")
	b.fill("Name of this authenticator", "Work phone")
	b.follow("Save")
	b.title("Security")
	b.see("Work phone")
	if !eval[bool](b, `return !!pressable('Remove Work phone') && !pressable('Remove Pixel 9')`) {
		b.Error("the list does not show the new name")
	}
	return phone
}

// returnWith signs in with password and code (S2, S3) and finds the session listed (S8).
func (b *tab) returnWith(phone *app) {
	b.Helper()
	b.follow("Sign out")
	b.signIn(password)
	b.title("Enter the code from your app")
	b.see("Work phone", email)
	b.inspect("second")
	code := phone.code()
	b.fill("6-digit code", code[:3]+" "+code[3:])
	b.follow("Continue")
	b.title("Profile")
	b.follow("Security")
	b.see("This one", "Active now")
	b.inspect("security-returned")
}

// keepTheLastOne is F2: the last authenticator stays while MFA is on, and the page says what to do instead.
func (b *tab) keepTheLastOne() {
	b.Helper()
	b.press("Remove Work phone")
	b.title("Confirm it’s you")
	b.see("6-digit code", "Password") // U2: this session proved both
	b.inspect("stepup-both")
	b.fill("Password", password)
	b.leave(func() { b.keys(kb.Enter) })
	b.title("Security")
	b.see("This is your last second step. Disable MFA first, or add another.", "MFA is on", "Work phone")
	b.inspect("last-factor")
}

// turnOffAndOn is F3: off keeps what is set up, and on brings it back.
func (b *tab) turnOffAndOn() {
	b.Helper()
	b.press("Disable MFA") // U3: proved a moment ago, so not asked again
	b.title("Disable MFA?")
	b.inspect("disable")
	b.fill("Password", password)
	b.follow("Disable MFA")
	b.title("Security")
	b.see("MFA is off", "Work phone")
	b.inspect("security-inactive")
	b.follow("Turn MFA on")
	b.see("MFA is on")
}

func (b *tab) changePassword() {
	b.Helper()
	b.follow("Change password")
	b.title("Change password")
	b.inspect("password")
	b.fill("Current password", "not this one")
	b.fill("New password", "a blue bo")
	b.see("3 more characters") // ux 17
	b.fill("New password", password+", and back")
	b.see("Long enough.")
	b.follow("Change password")
	b.see("This is not your current password.")
	b.until("the focus on what is wrong", `return document.activeElement === labelled('Current password')`)
	b.inspect("password-wrong")
	b.fill("Current password", password)
	b.fill("New password", password+", and back")
	b.follow("Change password")
	b.title("Security")
	b.see("Changed the password")
	b.inspect("security-end")
	b.follow("Sign out")
	b.title("Sign in to Sallyport")
}
