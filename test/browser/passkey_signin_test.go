package browser

import (
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp/kb"

	"sallyport/internal/auth"
	"sallyport/internal/db/dbtest"
	"sallyport/test/harness"
)

// The browser offers passkeys below the name. It is asked again when somebody tried the button, and leads where the
// person was going. S4, S7, ux 1
func TestAPasskeyIsPickedBelowTheName(t *testing.T) {
	t.Parallel()
	_, b, laptop := withLaptop(t, harness.Options{}, phone, "autofill")
	b.addPasskey("MacBook")
	b.signOut()
	b.visit("/account/security")
	b.title("Sign in to Sallyport")
	b.leave(b.pick)
	b.title("Security") // S7

	b.signOut()
	laptop.verify(false)
	b.until("a list of passkeys", `return 'pickPasskey' in window`)
	b.press("Continue with Passkey") // there is one request at a time: this one ends the other
	b.see("Nothing was used")
	laptop.verify(true)
	b.leave(b.pick) // there again
	b.title("Profile")

	b.signOut()
	b.until("a list of passkeys", `return 'pickPasskey' in window`)
	b.follow("Continue with Passkey")
	b.title("Profile")
}

// What goes wrong is told apart, calmly, and the page can still be used. ux 4
func TestEachRefusalOfADeviceHasItsWords(t *testing.T) {
	t.Parallel()
	_, b, laptop := withLaptop(t, harness.Options{}, phone, "refusals")
	b.addPasskey("MacBook")
	b.signOut()
	b.visit("/account/security")
	b.title("Sign in to Sallyport")
	const stand = `const get = navigator.credentials.get.bind(navigator.credentials);
		navigator.credentials.get = (o) => window.refusal && !o.mediation ? Promise.reject(new DOMException('no', window.refusal)) : get(o);
		return true`
	eval[bool](b, stand)
	for name, words := range map[string]string{
		"NotAllowedError":   "Nothing was used: it was cancelled, or took too long.",
		"AbortError":        "Nothing was used: it was cancelled, or took too long.",
		"TimeoutError":      "Nothing was used: it was cancelled, or took too long.",
		"ConstraintError":   "Your device cannot check that it is you. Set up its screen lock or PIN, or use another way.",
		"SecurityError":     "Passkeys of this site cannot be used at this address.",
		"NotSupportedError": "This browser cannot use passkeys. Use another way, or another browser.",
		"UnknownError":      "Your device could not do that. Try again, or use another way.",
	} {
		eval[bool](b, `window.refusal = a; return true`, name)
		b.press("Continue with Passkey")
		b.see(words)
	}
	b.inspect("refused")
	eval[bool](b, `window.refusal = ''; return true`)

	yes := true
	for words, lie := range map[string]webauthn.SetResponseOverrideBitsParams{
		"Your device did not check that it is you.": {IsBadUV: &yes},
		"That did not work.":                        {IsBogusSignature: &yes},
	} {
		laptop.lie(lie)
		b.press("Continue with Passkey")
		b.see(words)
		if at := b.focusNow(); at != "Continue with Passkey" {
			t.Errorf("the focus is on %q after a refusal", at)
		}
		laptop.lie(webauthn.SetResponseOverrideBitsParams{})
	}
	b.inspect("wrong")
	b.follow("Continue with Passkey")
	b.title("Security")
}

// A device that nobody touches keeps nobody from another way. S4
func TestAnUntouchedDeviceDoesNotHoldThePage(t *testing.T) {
	t.Parallel()
	_, b, laptop := withLaptop(t, harness.Options{}, desk, "untouched")
	app := b.addAuthenticator("Pixel 9")
	b.title("Security")
	b.press("Add passkey")
	b.namePasskey("MacBook")
	b.signOut()
	laptop.touch(false)
	b.press("Continue with Passkey")
	b.press("Continue with Passkey") // impatient
	b.signIn(password)
	b.title("Confirm with your passkey")
	b.press("Continue with Passkey")
	b.press("Try another way")
	b.follow("Authenticator app")
	b.fill("6-digit code", app.code())
	b.follow("Continue")
	b.title("Profile")
}

// A passkey that was removed here says so, and whoever keeps it is told. F2, P10, ux 4, ux 16
func TestARemovedPasskeySaysSo(t *testing.T) {
	t.Parallel()
	_, b, laptop := withLaptop(t, harness.Options{Env: []string{"SALLYPORT_POLICY_LAST_FACTOR=warn"}}, phone, "unknown")
	b.addPasskey("MacBook")
	kept := laptop.credentials()[0]
	b.press("Remove MacBook")
	b.title("Remove “MacBook”?")
	b.see("Your next sign-in is not protected: it asks for your password alone.")
	b.inspect("remove-last")
	b.follow("Remove")
	b.title("Security")
	b.see("MFA is off", "No passkey yet")
	laptop.wait("deleted")
	laptop.receive(kept) // a copy that was offline
	b.signOut()
	b.press("Continue with Passkey")
	b.see("This passkey is not known here any more.")
	b.inspect("unknown")
	laptop.wait("deleted")

	laptop.receive(kept)
	b.visit("/signin")
	b.pick()
	b.see("This passkey is not known here any more.")
	laptop.wait("deleted")
	b.until("a list of passkeys again", `return 'pickPasskey' in window`)
	b.signIn(password)
	b.title("Profile")
}

// Somebody else's passkey finishes no sign-in; the sixth try is a new one. S3, S6
func TestSomebodyElsesPasskeyIsNoSecondStep(t *testing.T) {
	t.Parallel()
	s, b, laptop := withLaptop(t, harness.Options{}, phone, "foreign")
	b.addPasskey("MacBook")
	maya := laptop.credentials()[0]
	b.signOut()
	harness.AddUser(t, s, "ann@example.com", password)
	b.fill("Email", "ann@example.com")
	b.fill("Password", password)
	b.follow("Sign in")
	b.title("Profile") // the browser took up the offer by itself
	laptop.wait("added")
	laptop.remove(maya.CredentialID)
	b.signOut()
	b.visit("/account/security")
	b.signIn(password)
	b.title("Confirm with your passkey")
	b.press("Continue with Passkey")
	b.see("Nothing was used") // it has none of those that would do
	anyOfThem := call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `{
		const get = navigator.credentials.get.bind(navigator.credentials);
		navigator.credentials.get = (o) => { delete o.publicKey.allowCredentials; return get(o); };
	}`})
	b.visit("/signin/passkey")
	for _, left := range []string{"4 tries left.", "3 tries left.", "2 tries left.", "1 try left."} {
		b.follow("Continue with Passkey")
		b.see("That did not work.", left)
	}
	b.inspect("foreign")
	b.follow("Continue with Passkey")
	b.title("Sign in to Sallyport")
	b.see("Too many wrong tries. Please sign in again.")
	b.inspect("used-up")
	call(b, page.RemoveScriptToEvaluateOnNewDocument, page.RemoveScriptToEvaluateOnNewDocumentParams{Identifier: anyOfThem.Identifier})
	laptop.receive(maya)
	b.signIn(password)
	b.title("Confirm with your passkey")
	b.follow("Continue with Passkey")
	b.title("Security") // S7
}

// S6: a sign-in that took too long says so at a passkey too, and still knows where it was going.
func TestAnExpiredSecondStepStartsOver(t *testing.T) {
	t.Parallel()
	address := filepath.Join(t.TempDir(), "sallyport.db")
	_, b, _ := withLaptop(t, harness.Options{Database: address}, phone, "expired-passkey")
	b.addPasskey("MacBook")
	b.signOut()
	b.visit("/account/security")
	b.signIn(password)
	b.title("Confirm with your passkey")
	b.must(dbtest.Open(t, address).Tx(t.Context(), func(tx auth.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE signins SET expires_at = 1`)
		return err
	}))
	b.follow("Continue with Passkey")
	b.title("Sign in to Sallyport")
	b.see("Your sign-in took too long. Please start again.")
	b.follow("Continue with Passkey")
	b.title("Security") // S7
}

// Some people double-click, and hold Enter down: one request, one sign-in. ux 5
func TestAPasskeyIsAskedForOnce(t *testing.T) {
	t.Parallel()
	_, b, laptop := withLaptop(t, harness.Options{}, desk, "once")
	b.addPasskey("MacBook")
	b.signOut()
	b.leave(func() { b.twice("Continue with Passkey") })
	b.title("Profile")
	laptop.wait("asserted")
	b.visit("/account/security")
	b.press("Add authenticator")
	b.title("Confirm it’s you")
	b.tabTo("Continue with Passkey")
	b.leave(func() { b.keys(kb.Enter + kb.Enter) })
	b.title("Add authenticator")
	laptop.wait("asserted")
	if h, twice := laptop.next("asserted"); twice {
		t.Errorf("asked again: %v", h)
	}
}
