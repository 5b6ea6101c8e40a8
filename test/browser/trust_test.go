package browser

import (
	"testing"

	"sallyport/test/harness"
)

// Maya trusts her browser, signs in with the password alone, and takes it back. R1, R2, R3
func TestATrustedBrowser(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone, desk} {
		for name, with := range map[string]func(*tab) *tab{
			"with JavaScript":    func(b *tab) *tab { return b },
			"without JavaScript": (*tab).withoutScript,
		} {
			if (l == phone) == (name == "with JavaScript") { // one look each
				continue
			}
			t.Run(l.String()+" "+name, func(t *testing.T) {
				t.Parallel()
				b, app := withoutOffers(t, l, "trust", with)
				b.see("Trusted browsers", "None yet.")
				b.inspect("trust-none")
				b.signOut()
				b.comeBack(app)
				b.see("Welcome back, Maya.", "Next stop: your account", "Trust this browser for 30 days", "Only tick this on a device that nobody else uses.")
				if eval[bool](b, `return document.querySelector('[name=trust]').checked`) {
					t.Error("the box is ticked")
				}
				b.inspect("signed-in")
				b.tick("Trust this browser", true)
				b.follow("Continue")
				b.title("Security") // S7
				b.see("No second step is asked here.", "This one", "Trusted a browser: Headless Chrome")
				b.inspect("trusted")

				b.signOut()
				b.visit("/account/security")
				b.signIn(password)
				b.title("Security")
				b.see("Signed in with password on a trusted browser")

				b.follow("Remove Headless Chrome on Linux")
				b.title("Security")
				b.see("None yet.", "Removed a trusted browser")
				b.signOut()
				b.comeBack(app)
				b.follow("Continue") // without the tick
				b.title("Security")
				b.see("None yet.")
			})
		}
	}
}

// withoutOffers is Maya with an authenticator on her Security page, in a browser that is offered no passkey.
func withoutOffers(t *testing.T, l look, label string, with func(*tab) *tab) (*tab, *app) {
	t.Helper()
	s := harness.Start(t, harness.Options{Env: []string{"SALLYPORT_PASSKEYS_OFFER=false"}})
	add(t, s)
	b := with(open(t, s.URL, l, label))
	b.visit("/account/security")
	b.signIn(password)
	b.title("Security")
	if b.script {
		b.press("Add authenticator")
	} else {
		b.follow("Add authenticator")
	}
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.follow("Continue")
	app := b.finishAuthenticator("Pixel 9", "Add authenticator")
	b.title("Security")
	return b, app
}

// comeBack signs in by password and code, up to the page where that ends.
func (b *tab) comeBack(app *app) {
	b.Helper()
	b.visit("/account/security")
	b.signIn(password)
	b.title("Enter the code from your app")
	b.fill("6-digit code", app.code())
	b.follow("Continue")
	b.title(arrived)
}
