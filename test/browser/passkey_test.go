package browser

import (
	"path"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"sallyport/test/harness"
)

// Maya and her passkeys, from the first one to the last one, which stays.
//
// P1, P2, P3, P4, P5, P6, P10, S4, S7, U1, U3, F1, F2
func TestThePasskeyJourney(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			harness.EachDatabase(t, func(t *testing.T, address string) {
				s, b, laptop := withLaptop(t, harness.Options{Database: address}, l, "passkey-"+path.Base(t.Name()))
				b.addTheFirst(laptop)
				b.useTheFirst(laptop)
				b.changeNames(laptop)
				b.addABackup(laptop)
				b.removeTheFirst(s, laptop)
				b.keepTheLastPasskey()
			})
		})
	}
}

// withLaptop is begin at a computer that keeps passkeys.
func withLaptop(t *testing.T, o harness.Options, l look, label string) (*harness.Server, *tab, *authenticator) {
	t.Helper()
	s, b := begin(t, o, l, label)
	b.passwordManager()
	return s, b, b.plug(synced)
}

// addPasskey goes from the Security page through step-up by password, and back to it.
func (b *tab) addPasskey(name string) {
	b.Helper()
	b.press("Add passkey")
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.press("Continue")
	b.namePasskey(name)
}

// namePasskey is the dialog after a passkey was made, and its way back to the Security page.
func (b *tab) namePasskey(name string) {
	b.Helper()
	b.title("Your passkey works")
	b.fill("Name of this passkey", name)
	b.follow("Save")
	b.title("Security")
}

// signOut leaves for the sign-in page, where the browser has a list of passkeys ready.
func (b *tab) signOut() {
	b.Helper()
	b.follow("Sign out")
	b.title("Sign in to " + b.site)
}

func (b *tab) lacks(name string) {
	b.Helper()
	if eval[bool](b, `return !!pressable(a)`, name) {
		b.shoot("failed")
		b.Errorf("%q can be pressed", name)
	}
}

// addTheFirst asks for a proof in a dialog on the same page, then for the device, then for a name.
func (b *tab) addTheFirst(laptop *authenticator) {
	b.Helper()
	b.see("MFA is off", "No passkey yet")
	b.inspect("none")
	b.press("Add passkey")
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.press("Continue")
	b.title("Your passkey works")
	laptop.wait("added")
	if at := b.at(); at != "/account/security" {
		b.Errorf("the name is asked for at %s, not on the same page", at)
	}
	if name := eval[string](b, `return labelled('Name of this passkey').value`); !strings.Contains(name, "Chrom") { // P2: nothing better is known of it
		b.Errorf("the name begins as %q", name)
	}
	b.inspect("name")
	b.fill("Name of this passkey", "MacBook")
	b.follow("Save")
	b.title("Security")
	b.see("MFA is on", "your passkey, or your password and a second step", "MacBook", "Synced", "Added today", "Not used yet",
		"Add a second one as a backup")
	b.inspect("first")
}

// useTheFirst signs in with the device alone: no name, no password (S4).
func (b *tab) useTheFirst(laptop *authenticator) {
	b.Helper()
	b.signOut()
	if kind := eval[string](b, `return labelled('Email').autocomplete`); kind != "username webauthn" {
		b.Errorf("autocomplete is %q", kind)
	}
	b.inspect("signin")
	b.follow("Continue with Passkey")
	laptop.wait("asserted")
	b.title("Profile") // no offer: nothing is stronger
	b.follow("Security")
	b.see("MacBook", "Last used today")
}

// changeNames renames the passkey for us, and the person for whoever keeps it (P10).
func (b *tab) changeNames(laptop *authenticator) {
	b.Helper()
	b.press("Rename MacBook")
	b.title("Rename “MacBook”")
	b.inspect("rename")
	b.fill("Name of this passkey", "Work laptop")
	b.follow("Save")
	b.title("Security")
	b.see("Renamed to “Work laptop”")
	b.follow("Profile")
	b.fill("Name", "Maya L.")
	b.follow("Save")
	for h := laptop.wait("updated"); h.display != "Maya L." || h.name != email; { // it may hear of each page
		h = laptop.wait("updated")
	}
	b.follow("Security")
}

// addABackup is a security key that asks for nothing, after the same laptop once more.
func (b *tab) addABackup(laptop *authenticator) {
	b.Helper()
	b.press("Add passkey")
	b.title("Confirm it’s you") // this session is new
	b.press("Continue with Passkey")
	b.see("This device already has a passkey for your account.")
	if all := laptop.credentials(); len(all) != 1 {
		b.Errorf("the laptop holds %d passkeys", len(all))
	}
	b.until("the focus on the button", `return words(document.activeElement) === 'Add passkey'`)
	b.inspect("known")
	laptop.touch(false)
	b.plug(roaming.withoutResidentKey())
	b.press("Add passkey") // proved a moment ago
	b.namePasskey("Blue key")
	b.see("Work laptop", "Synced", "Blue key", "This device only", "Not used yet")
	if eval[bool](b, `return document.body.innerText.includes('Add a second one')`) {
		b.Error("a second one is advised where there is one")
	}
	b.inspect("two")
}

// removeTheFirst ends the other sessions, keeps this one, and tells the laptop (F1, P10).
func (b *tab) removeTheFirst(s *harness.Server, laptop *authenticator) {
	b.Helper()
	other := harness.NewClient(b.T, s.URL)
	harness.SignIn(b.T, other, email, password)
	b.press("Remove Work laptop")
	b.title("Remove “Work laptop”?")
	b.see("Your next sign-in asks for Blue key.", "Also remove it from your password manager", "You stay signed in here")
	b.inspect("remove")
	b.press("Keep it")
	b.closed()
	b.until("the focus back", `return words(document.activeElement) === 'Remove Work laptop'`)
	b.press("Remove Work laptop")
	b.follow("Remove")
	b.title("Security")
	b.see("Removed “Work laptop”", "MFA is on", "Blue key", "This one")
	b.lacks("Remove Work laptop")
	laptop.wait("deleted")
	if a := other.Call("POST", "/signin/passkey/options", map[string]any{}); a.Status != 401 {
		b.Errorf("a sign-in that was under way goes on: %d %s", a.Status, a.Body)
	}
}

func (b *tab) keepTheLastPasskey() {
	b.Helper()
	b.press("Remove Blue key")
	b.title("Security")
	b.see("This is your last second step. Disable MFA first, or add another.", "MFA is on", "Blue key")
	b.inspect("last")
}

// The password comes first and any passkey after it will do, one that was only touched too; or another way. S2, S3, P6, P7
func TestAPasskeyIsASecondStep(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			_, b, laptop := withLaptop(t, harness.Options{}, l, "second")
			app := b.addAuthenticator("Pixel 9")
			b.title("Security")
			b.press("Add passkey") // proved a moment ago
			b.namePasskey("MacBook")
			b.signOut()
			b.signIn(password)
			b.title("Confirm with your passkey") // the strongest
			b.see(email, "Your device asks for")
			b.inspect("passkey")
			b.press("Try another way")
			b.inspect("ways")
			b.follow("Authenticator app")
			b.title("Enter the code from your app")
			b.press("Try another way")
			b.follow("Passkey")
			b.title("Confirm with your passkey")
			b.follow("Continue with Passkey")
			b.title("Profile")
			laptop.wait("asserted")

			laptop.touch(false)
			b.plug(roaming.withoutResidentKey())
			b.follow("Security")
			b.press("Add passkey")
			b.title("Confirm it’s you")
			b.fill("6-digit code", app.code())
			b.leave(func() { b.keys(kb.Enter); b.namePasskeyIn("Blue key") })
			b.title("Security")
			b.signOut()
			b.signIn(password)
			b.title("Confirm with your passkey")
			b.follow("Continue with Passkey") // presence is enough
			b.title("Profile")
			b.follow("Security")
			if used := eval[int](b, `return document.body.innerText.split('Last used today').length - 1`); used != 3 { // the app too
				t.Errorf("%d of three are known to have been used", used)
			}
		})
	}
}

func (b *tab) namePasskeyIn(name string) {
	b.Helper()
	b.title("Your passkey works")
	b.fill("Name of this passkey", name)
	b.press("Save")
}

// A proof by passkey in the dialog, and the act that waits for it goes on; leaving changes nothing. U1, U2, ux 15
func TestAPasskeyIsAFreshProof(t *testing.T) {
	t.Parallel()
	_, b, laptop := withLaptop(t, harness.Options{}, desk, "proof")
	b.addPasskey("MacBook")
	b.signOut()
	b.visit("/account/security")
	b.follow("Continue with Passkey")
	b.title("Security") // S7

	b.press("Add authenticator")
	b.title("Confirm it’s you")
	b.see("Password") // U2: this session proved two factors
	b.inspect("dialog")
	b.press("Cancel")
	b.closed()
	b.until("the focus back", `return words(document.activeElement) === 'Add authenticator'`)
	b.see("No authenticator yet")

	laptop.verify(false)
	b.press("Add authenticator")
	b.title("Confirm it’s you")
	b.press("Continue with Passkey")
	b.see("Nothing was used")
	b.inspect("dialog-refused")
	laptop.verify(true)
	b.follow("Continue with Passkey")
	b.title("Add authenticator")

	b.signOut()
	b.visit("/account/security")
	b.follow("Continue with Passkey")
	b.press("Remove MacBook") // a link, to a dialog behind the proof
	b.title("Confirm it’s you")
	b.press("Continue with Passkey")
	b.see("This is your last second step.")

	b.signOut()
	b.visit("/account/security")
	b.follow("Continue with Passkey")
	b.visit("/account/passkeys/new") // a password manager may lead here: /.well-known/passkey-endpoints
	b.title("Confirm it’s you")
	b.inspect("page")
	b.follow("Continue with Passkey")
	b.title("Add passkey")
	b.inspect("add-page")
	laptop.touch(false)
	b.plug(synced.over("hybrid"))
	b.follow("Add passkey")
	b.title("Your passkey works")
	b.inspect("name-page")
	b.fill("Name of this passkey", "iPhone")
	b.follow("Save")
	b.title("Security")
	b.see("MacBook", "iPhone")
}

// Nobody needs a mouse for a passkey.
func TestThePasskeyByKeyboardAlone(t *testing.T) {
	t.Parallel()
	_, b, _ := withLaptop(t, harness.Options{}, desk, "keys-passkey")
	b.tabTo("Add passkey")
	b.keys(kb.Enter)
	b.title("Confirm it’s you")
	b.keys(password + kb.Enter)
	b.title("Your passkey works")
	if at := b.focus(); at != "Name of this passkey" {
		t.Errorf("the dialog opens with the focus on %q", at)
	}
	b.walk("the dialog that names a passkey")
	b.fill("Name of this passkey", "MacBook")
	b.leave(func() { b.keys(kb.Enter) })
	b.title("Security")
	b.see("MacBook")
	b.walk("the Security page with a passkey")
	b.tabTo("Sign out")
	b.leave(func() { b.keys(kb.Enter) })
	b.title("Sign in to Sallyport")
	b.tabTo("Continue with Passkey")
	b.leave(func() { b.keys(kb.Enter) })
	b.title("Profile")
	b.visit("/account/security")
	b.tabTo("Remove MacBook")
	b.keys(kb.Enter)
	b.title("Confirm it’s you")
	b.walk("the step-up dialog with a passkey")
	b.tabTo("Continue with Passkey")
	b.keys(kb.Enter)
	b.see("This is your last second step.")
}
