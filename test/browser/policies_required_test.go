package browser

import (
	"path/filepath"
	"testing"
	"time"

	"sallyport/test/harness"
)

// passkey-or-2fa.toml: a passkey comes first, and its loss is not the end.
//
// W2, W4, W5, S3, S4, S7, P7, L1, L3, C6, U1, U2, F1, F2
func TestThePolicyOfAPasskeyOr2FA(t *testing.T) {
	t.Parallel()
	d := deploy(t, "passkey-or-2fa")
	home := d.visitor(desk, email, "policy-passkey-or-2fa")
	home.passwordManager()
	home.plug(synced)
	home.signIn(password)
	home.mustEnrol()
	home.follow("Passkey")
	home.title("Add a passkey")
	home.follow("Add and sign in")
	home.atOnce("Security") // S7; trust_days = 0
	home.see("MFA is on", "Synced")
	home.press("Rename " + home.onlyPasskey())
	home.fill("Name of this passkey", "MacBook")
	home.follow("Save")
	home.lacks("Disable MFA")
	home.signOut()
	home.follow("Continue with Passkey")
	home.atOnce("Profile")

	b := d.visitor(phone, email, "policy-lost-passkey") // the laptop was stolen
	b.signIn(password)
	b.title("Confirm with your passkey")
	b.press("Try another way")
	b.follow("Email")
	b.see("We send a code to m•••@example.com when you ask for it.")
	b.follow("Send code")
	b.fill("8-character code", d.mailed())
	b.follow("Continue")
	b.atOnce("Security")
	b.see("You said that your second step is lost. From " + time.Now().UTC().Add(3*24*time.Hour).Format("2 Jan 2006"))
	d.post.Says(t, email, "second step was reported lost")
	b.press("Add passkey")
	b.title("Confirm it’s you")
	b.see("You said that this is lost.")
	if eval[bool](b, `return !!labelled('Password')`) {
		t.Error("the password is enough at once")
	}
	b.press("Cancel")
	b.closed()

	b.passwordManager()
	daysPass(t, filepath.Join(d.Data, "sallyport.db"))
	b.visit("/account/security")
	b.see("You can now change your second step: remove what you lost, add a new one.")
	b.plug(synced)
	b.addPasskey("iPhone")
	b.press("Remove MacBook")
	b.title("Remove “MacBook”?")
	b.see("Your next sign-in asks for iPhone.")
	b.follow("Remove")
	b.title("Security")
	b.silent("You can now change your second step")
	b.signOut()
	b.follow("Continue with Passkey")
	b.atOnce("Profile")

	home.visit("/account/security")
	home.title("Sign in to Example") // whoever has the laptop is out, and stays out
	home.press("Continue with Passkey")
	home.see("This passkey is not known here")
}

// mustEnrol: a passkey is recommended, there is another way, and there is none around it.
func (b *tab) mustEnrol() {
	b.Helper()
	b.title("Set up a second step")
	b.see("Example asks for this")
	if ways := eval[[]string](b, `return all('.choice').map(words)`); len(ways) != 2 ||
		!eval[bool](b, `const [first, second] = all('.choice').map(words); return first.startsWith('Passkey Recommended') && second.startsWith('Authenticator app') && !second.includes('Recommended')`) {
		b.Errorf("the choices are %q", ways)
	}
	for _, path := range []string{"/account", "/account/security", "/account/passkeys/offer"} {
		b.visit(path)
		b.title("Sign in to Example")
	}
	b.visit("/signin/enrol")
}

// onlyPasskey is the name that a new passkey was given.
func (b *tab) onlyPasskey() string {
	b.Helper()
	return eval[string](b, `return words(document.querySelector('section[aria-labelledby=passkeys] .row a')).replace('Rename ', '')`)
}

// passkey-or-2fa.toml: an authenticator instead will do, and a passkey is offered once. P9, W4, W5, S3
func TestThePolicyOfAPasskeyOr2FAByAuthenticator(t *testing.T) {
	t.Parallel()
	const other = "erik@example.com"
	d := deploy(t, "passkey-or-2fa")
	harness.AddUser(t, d.Server, other, password)
	b := d.visitor(phone, other, "policy-2fa")
	b.signIn(password)
	b.title("Set up a second step")
	b.follow("Authenticator app")
	app := b.finishAuthenticator("Pixel 9", "Add and sign in")
	b.notNow()
	b.atOnce("Security")
	b.see("MFA is on", "Pixel 9")
	b.press("Remove Pixel 9")
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.press("Continue")
	b.see("A second step is required here, so the last one cannot be removed. Add another first.")
	b.again("Enter the code from your app")
	b.fill("6-digit code", app.code())
	b.follow("Continue")
	b.atOnce("Profile") // trust_days = 0, and no second offer
}
