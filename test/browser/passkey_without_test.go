package browser

import (
	"testing"

	"github.com/chromedp/cdproto/page"

	"sallyport/test/harness"
)

// withoutWebAuthn is an old browser, or one where it was switched off.
func (b *tab) withoutWebAuthn() *tab {
	b.Helper()
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `delete window.PublicKeyCredential`})
	return b
}

// Where passkeys cannot work none is offered, and the second step names another way. S3, S9, P10, ux 4
func TestNothingIsOfferedThatCannotWork(t *testing.T) {
	t.Parallel()
	without := map[string]struct {
		turn  func(*tab) *tab
		words string
	}{
		"script":   {(*tab).withoutScript, "Passkeys need JavaScript in this browser."},
		"webauthn": {(*tab).withoutWebAuthn, "This browser cannot use passkeys. Use another way, or another browser."},
	}
	for name, w := range without {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{})
			add(t, s)
			b := w.turn(open(t, s.URL, phone, "without-"+name))
			b.visit("/account/security")
			b.title("Sign in to Sallyport")
			b.lacks("Continue with Passkey")
			if told := eval[bool](b, `return document.body.innerText.includes('cannot use passkeys') || all('.or').length > 0`); told {
				t.Error("the sign-in page speaks of what it cannot offer")
			}
			b.inspect("signin")
			b.signIn(password)
			b.title("Security") // no offer
			b.lacks("Add passkey")
			b.inspect("security")
			var app *app
			if b.script {
				app = b.addAuthenticator("Pixel 9")
			} else {
				b.follow("Add authenticator")
				b.fill("Password", password)
				b.follow("Continue")
				app = b.finishAuthenticator("Pixel 9", "Add authenticator")
			}
			b.title("Security")
			b.signOut()

			home := open(t, s.URL, desk, "without-"+name+"-home")
			home.passwordManager()
			home.plug(synced)
			home.visit("/account/security")
			home.signIn(password)
			home.fill("6-digit code", app.code())
			home.follow("Continue") // the browser takes up the offer by itself
			home.title("Security")
			home.see("Synced", "MFA is on")

			b.signIn(password)
			b.title("Confirm with your passkey")
			b.see(w.words)
			b.inspect("second")
			b.lacks("Continue with Passkey")
			b.press("Try another way")
			b.follow("Authenticator app")
			b.fill("6-digit code", app.code())
			b.follow("Continue")
			b.title("Profile")
			b.visit("/account/security")
			if b.script {
				b.press("Disable MFA")
				b.title("Confirm it’s you") // a dialog on the same page
				b.see(w.words)
				b.lacks("Continue with Passkey")
				b.inspect("dialog")
				b.press("Cancel")
				b.closed()
			}
			b.visit("/account/mfa/disable")
			b.title("Confirm it’s you")
			b.lacks("Continue with Passkey")
			b.see(w.words, "6-digit code")
			b.inspect("stepup")
			b.fill("6-digit code", app.code())
			b.follow("Continue with Authenticator app")
			b.title("Disable MFA?")
		})
	}
}

// P1: nor the link that asks for the password first.
func TestNoLinkLeadsToWhatCannotWork(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Env: []string{"SALLYPORT_PASSKEYS_ALSO_PASSWORD=true"}})
	add(t, s)
	b := open(t, s.URL, phone, "without-link").withoutWebAuthn()
	b.visit("/account/security")
	b.signIn(password)
	b.title("Security")
	b.lacks("Add passkey")
	b.visit("/account/passkeys/new") // all the same
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.follow("Continue")
	b.title("Add passkey")
	b.see("This browser cannot use passkeys.")
	b.lacks("Add passkey")
	b.inspect("page")
}
