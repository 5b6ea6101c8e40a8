package browser

import (
	"testing"

	"sallyport/test/harness"
)

// The same passkeys in another browser: one that makes none by itself and tells nobody of removals.
//
// P1, P3, P4, P9, S3, S4, S7, U1, F1
func TestPasskeysInFirefox(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Env: []string{"SALLYPORT_POLICY_LAST_FACTOR=warn"}})
	add(t, s)
	harness.AddUser(t, s, "ann@example.com", password)
	f := openFox(t, s.URL, "firefox-passkey")
	f.visit("/account/security")
	f.signIn("ann@example.com")
	f.takeUpTheOffer()
	f.press("Sign out")

	laptop := f.addAuthenticator(platform)
	f.visit("/account/security")
	f.signIn(email)
	f.title("Sign in faster next time")
	f.press("Not now")
	f.title("Security") // S7
	f.addPasskey()
	f.signInWithIt()
	f.removeIt(laptop)
	for _, said := range f.complaints() {
		t.Errorf("the console says: %s", said)
	}
}

func (f *fox) signIn(login string) {
	f.Helper()
	f.title("Sign in to Sallyport")
	f.fill("Email", login)
	f.fill("Password", password)
	f.press("Sign in")
}

// takeUpTheOffer is with an authenticator of its own: of two passkeys that fit Firefox would have one chosen.
func (f *fox) takeUpTheOffer() {
	f.Helper()
	f.title("Sign in faster next time")
	tablet := f.addAuthenticator(platform)
	if ask[bool](f, `return PublicKeyCredential.getClientCapabilities().then((c) => Boolean(c.conditionalCreate))`) {
		f.Error("Firefox makes passkeys by itself now: see that it does")
	}
	if ask[int](f, `return document.querySelectorAll('.error').length`) != 0 {
		f.Error("a problem is told that nobody asked for")
	}
	f.press("Add a passkey")
	f.title("Security")
	f.see("MFA is on")
	f.see("This device only")
	f.call("WebAuthn:RemoveVirtualAuthenticator", object{"authenticatorId": tablet})
}

func (f *fox) addPasskey() {
	f.Helper()
	f.press("Add passkey")
	f.title("Confirm it’s you")
	f.fill("Password", password)
	f.press("Continue")
	f.title("Your passkey works")
	f.fill("Name of this passkey", "Thinkpad")
	f.press("Save")
	f.title("Security")
	f.see("MFA is on")
	f.see("Thinkpad")
	f.see("Not used yet")
	f.press("Add passkey") // the same once more
	f.see("This device already has a passkey for your account.")
}

// signInWithIt is by the button, by the list below the name, and after the password.
func (f *fox) signInWithIt() {
	f.Helper()
	f.press("Sign out")
	f.title("Sign in to Sallyport")
	f.press("Continue with Passkey")
	f.title("Profile")

	f.press("Sign out")
	f.visit("/account/security")
	f.title("Sign in to Sallyport")
	f.pick("Email")
	f.title("Security") // S7
	f.see("Last used today")

	f.press("Sign out")
	f.signIn(email)
	f.title("Confirm with your passkey")
	f.press("Continue with Passkey")
	f.title("Profile")
}

// removeIt is after a proof by the passkey that is to go.
func (f *fox) removeIt(laptop string) {
	f.Helper()
	f.visit("/account/security")
	f.press("Remove Thinkpad")
	f.title("Confirm it’s you")
	f.verify(laptop, false)
	f.press("Continue with Passkey")
	f.see("Nothing was used")
	f.verify(laptop, true)
	f.press("Continue with Passkey")
	f.title("Remove “Thinkpad”?")
	f.press("Remove")
	f.title("Security")
	f.see("Removed “Thinkpad”")
	f.see("No passkey yet")
	f.see("This one")
	f.press("Sign out")
	f.title("Sign in to Sallyport")
	f.press("Continue with Passkey")
	f.see("This passkey is not known here any more.")
}

// complaints are the errors of our pages, in the browser's console since it was started. That the server turned somebody
// down is none.
func (f *fox) complaints() []string {
	f.Helper()
	f.call("Marionette:SetContext", object{"value": "chrome"})
	defer f.call("Marionette:SetContext", object{"value": "content"})
	return ask[[]string](f, `return Services.console.getMessageArray()
		.filter((m) => m instanceof Ci.nsIScriptError && !(m.flags & m.warningFlag) && m.sourceName.startsWith(a)).map((m) => m.toString())`, f.origin)
}
