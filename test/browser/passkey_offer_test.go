package browser

import (
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"

	"sallyport/test/harness"
)

// arriving is a server that knows Maya, and a browser that has not been there yet, on the way to her Security page.
func arriving(t *testing.T, l look, label string, env ...string) (*harness.Server, *tab) {
	t.Helper()
	s := harness.Start(t, harness.Options{Env: env})
	add(t, s)
	b := open(t, s.URL, l, label)
	b.visit("/account/security")
	b.title("Sign in to Sallyport")
	return s, b
}

// Whoever signed in with something weaker is offered a passkey, and goes on to where they were going. P9, P4, S7
func TestAPasskeyIsOffered(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			_, b := arriving(t, l, "offer")
			b.signIn(password)
			b.title("Sign in faster next time")
			b.see("it asks for a second step too") // where passkeys turn MFA on
			b.inspect("offer")
			laptop := b.plug(synced)
			b.follow("Add a passkey")
			laptop.wait("added")
			b.title("Security") // S7
			b.see("MFA is on", "Synced", "Not used yet")
			b.inspect("taken")
		})
	}
}

// Not now is for a while, and Don't ask again for good: another sign-in is not asked. P9
func TestAnOfferIsMadeOnce(t *testing.T) {
	t.Parallel()
	for _, no := range []string{"Not now", "Don’t ask again"} {
		_, b := arriving(t, phone, "offer-once")
		b.signIn(password)
		b.title("Sign in faster next time")
		b.plug(synced.untouched())
		b.press("Add a passkey") // and then thinks better of it
		b.follow(no)
		b.title("Security") // S7
		b.see("No passkey yet", "MFA is off")
		b.signOut()
		b.visit("/account/security")
		b.signIn(password)
		b.title("Security")
		b.visit("/account/passkeys/offer") // from the history
		b.see("You may not do that.")
	}
}

// A browser that may make one without asking does, and the person goes on. That alone turns nothing on. P10, P4
func TestABrowserMakesAPasskeyByItself(t *testing.T) {
	t.Parallel()
	_, b := arriving(t, desk, "upgrade")
	laptop := b.plug(synced)
	yes := true
	laptop.lie(webauthn.SetResponseOverrideBitsParams{IsBadUP: &yes, IsBadUV: &yes}) // nobody touches anything
	b.passwordManager()
	b.signIn(password)
	b.title("Security") // S7
	laptop.wait("added")
	b.see("Synced", "Not used yet", "MFA is off", "your password alone opens this account")
	b.inspect("made")
	laptop.lie(webauthn.SetResponseOverrideBitsParams{})
	b.signOut()
	b.follow("Continue with Passkey")
	b.title("Profile")
}

// One that fails by itself is not spoken of: nobody asked for it. Whoever asks is told. P10, ux 1, ux 4
func TestAPasskeyThatIsNotMadeByItselfIsNotSpokenOf(t *testing.T) {
	t.Parallel()
	_, b := arriving(t, phone, "upgrade-fails", "SALLYPORT_PASSKEYS_DENIED_AAGUIDS="+virtual)
	laptop := b.plug(synced)
	b.passwordManager()
	b.signIn(password)
	b.title("Sign in faster next time")
	laptop.wait("added")
	b.until("the server to have refused it", `return !document.querySelector('[data-asking]')`)
	if said := eval[int](b, `return document.querySelectorAll('.error').length`); said != 0 {
		t.Error("a problem is told that nobody asked for")
	}
	laptop.unplug()
	b.plug(synced)
	b.press("Add a passkey")
	b.see("This kind of passkey or security key is not accepted here.")
	b.inspect("not-accepted")
	b.follow("Not now")
	b.title("Security")
	b.see("No passkey yet")
}

// Whoever presses the button while their browser is at it makes no second one. P10, ux 5
func TestAPasskeyThatIsBeingMadeIsNotMadeTwice(t *testing.T) {
	t.Parallel()
	_, b := arriving(t, phone, "upgrade-twice")
	laptop := b.plug(synced)
	b.passwordManager()
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `{
		const send = fetch;
		window.fetch = (to, o) => to.endsWith('/offer') ? new Promise((resolve) => { window.release = () => resolve(send(to, o)); }) : send(to, o);
	}`})
	b.signIn(password)
	b.title("Sign in faster next time")
	b.until("the new passkey on its way", `return 'release' in window`)
	b.press("Add a passkey")
	eval[bool](b, `return fetch('/account').then(() => true)`)
	b.leave(func() { eval[bool](b, `release(); return true`) })
	b.title("Security")
	if all := laptop.credentials(); len(all) != 1 {
		t.Errorf("%d were made", len(all))
	}
}

// virtual is the model that Chromium says a virtual authenticator is.
const virtual = "01020304-0506-0708-0102-030405060708"

// P9, P8: turned off, there is no offer; where passkeys are added at sign-in only, the card says so.
func TestWhatIsNotOffered(t *testing.T) {
	t.Parallel()
	t.Run("offer", func(t *testing.T) {
		t.Parallel()
		_, b := arriving(t, phone, "offer-off", "SALLYPORT_PASSKEYS_OFFER=false")
		b.signIn(password)
		b.title("Security")
	})
	t.Run("add_at", func(t *testing.T) {
		t.Parallel()
		_, b := arriving(t, phone, "offer-only", "SALLYPORT_PASSKEYS_ADD_AT=signin")
		b.signIn(password)
		b.notNow()
		b.title("Security")
		b.see("You are asked whether to add a passkey when you sign in.")
		b.lacks("Add passkey")
		b.inspect("at-signin")
		b.visit("/account/passkeys/new")
		b.title("Confirm it’s you")
		b.fill("Password", password)
		b.follow("Continue")
		b.see("Passkeys cannot be added here.")
		b.inspect("closed")
	})
}

// W4, W5, S7: who must have a second step may make it a passkey on the way in.
func TestAPasskeyAtForcedEnrolment(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			_, b := arriving(t, l, "required-passkey", "SALLYPORT_POLICY_MFA=required")
			b.signIn(password)
			b.title("Set up a second step")
			b.inspect("enrol")
			b.follow("Passkey")
			b.title("Add a passkey")
			b.inspect("passkey")
			b.follow("Back")
			b.title("Set up a second step")
			b.follow("Passkey")
			key := b.plug(roaming.withoutResidentKey()) // with the password it is enough (P7)
			b.follow("Add and sign in")
			key.wait("added")
			b.title("Security") // and no offer
			b.see("MFA is on", "This device only")
			b.lacks("Disable MFA") // F3
			b.signOut()
			b.signIn(password)
			b.title("Confirm with your passkey")
			b.follow("Continue with Passkey")
			b.title("Profile")
		})
	}
}

// P1: policy may ask for the current password besides the proof.
func TestAddingMayAskForThePasswordToo(t *testing.T) {
	t.Parallel()
	_, b, laptop := withLaptop(t, harness.Options{Env: []string{"SALLYPORT_PASSKEYS_ALSO_PASSWORD=true"}}, phone, "also")
	b.press("Add passkey")
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.press("Continue")
	b.title("Add passkey")
	b.inspect("password")
	b.press("Add passkey") // the browser says that a password is missing
	b.fill("Password", "not this one")
	b.press("Add passkey")
	b.see("This password is not right.")
	b.inspect("wrong")
	if len(laptop.credentials()) != 0 {
		t.Error("a passkey was made before the password was right")
	}
	b.press("Cancel")
	b.closed()
	b.until("the focus back", `return words(document.activeElement) === 'Add passkey'`)
	b.press("Add passkey")
	b.title("Add passkey")
	b.fill("Password", password)
	b.press("Add passkey")
	b.title("Your passkey works")
	b.inspect("name")
	b.fill("Name of this passkey", "MacBook")
	b.follow("Save")
	b.title("Security")
	b.see("MFA is on", "MacBook")

	b.visit("/account/passkeys/new")
	b.title("Add passkey")
	b.inspect("page")
	laptop.touch(false)
	b.plug(synced.over("hybrid"))
	b.fill("Password", password)
	b.leave(func() { b.press("Add passkey") })
	b.namePasskey("iPhone")
	b.see("MacBook", "iPhone")
}

// P8: "use only" keeps what exists, "disabled" leaves nothing but the way out.
func TestPasskeysMayBeTakenOutOfUse(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s, b, laptop := withLaptop(t, harness.Options{Data: data}, phone, "use")
	app := b.addAuthenticator("Pixel 9")
	b.title("Security")
	b.press("Add passkey")
	b.namePasskey("MacBook")
	again := func(use string) {
		t.Helper()
		s.Stop()
		s = harness.Start(t, harness.Options{Data: data, Env: []string{"SALLYPORT_PASSKEYS_USE=" + use}})
		b.mu.Lock()
		b.origin = s.URL
		b.mu.Unlock()
		b.visit("/account/security")
		b.signOut()
		b.visit("/account/security")
	}
	again("use only")
	b.follow("Continue with Passkey")
	laptop.wait("asserted")
	b.title("Security")
	b.see("New passkeys cannot be added here. Use an authenticator app instead.", "MacBook")
	b.lacks("Add passkey")
	b.inspect("use-only")

	again("disabled")
	b.title("Sign in to Sallyport")
	b.lacks("Continue with Passkey")
	b.inspect("signin-disabled")
	b.signIn(password)
	b.title("Enter the code from your app")
	b.fill("6-digit code", app.code())
	b.follow("Continue")
	b.title("Security")
	b.see("Passkeys are not used here.", "MacBook")
	b.lacks("Add passkey")
	b.inspect("disabled")
	b.press("Remove MacBook")
	b.title("Confirm it’s you")
	b.lacks("Continue with Passkey")
	b.fill("Password", password)
	b.press("Continue")
	b.title("Remove “MacBook”?")
	b.see("Your next sign-in asks for Pixel 9.")
	b.follow("Remove")
	b.title("Security")
	b.see("Removed “MacBook”")
	b.lacks("Remove MacBook")
}
