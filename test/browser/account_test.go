package browser

import (
	"strings"
	"testing"

	"sallyport/test/harness"
)

// U3, T4, F1: a proof lasts, several authenticators stand side by side, and one of two can go.
func TestOneOfTwoAuthenticatorsCanGo(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			_, b := begin(t, harness.Options{}, l, "two")
			b.addAuthenticator("Pixel 9")
			b.follow("Add authenticator") // no dialog: proved a moment ago
			tablet := b.finishAuthenticator("Tablet", "Add authenticator")
			b.see("Pixel 9", "Tablet")
			b.inspect("security-two")
			b.press("Remove Pixel 9")
			b.title("Remove “Pixel 9”?")
			b.see("Your next sign-in asks for Tablet.", "You stay signed in here")
			b.inspect("remove")
			b.press("Keep it")
			b.closed()
			b.press("Remove Pixel 9")
			b.follow("Remove")
			b.title("Security")
			b.see("Removed “Pixel 9”", "MFA is on")
			if eval[bool](b, `return !!pressable('Remove Pixel 9')`) {
				t.Error("it is still in the list")
			}
			b.follow("Sign out")
			b.signIn(password)
			b.see("Tablet")
			b.fill("6-digit code", tablet.code())
			b.follow("Continue")
			b.title("Profile")
		})
	}
}

// S8: another browser stands in the list, and ends when it is told to.
func TestAnotherSessionIsSeenAndEnded(t *testing.T) {
	t.Parallel()
	s, b := begin(t, harness.Options{}, desk, "sessions")
	other := open(t, s.URL, phone, "sessions")
	other.visit("/account")
	other.signIn(password)
	other.title("Profile")
	b.visit("/account/security")
	b.see("This one", "Last seen")
	if first := eval[string](b, `return words(document.querySelector('section[aria-labelledby=sessions] li'))`); !strings.Contains(first, "This one") {
		t.Errorf("the list begins with %q, not with the session at hand", first)
	}
	b.inspect("two-sessions")
	b.follow("Sign out everywhere else")
	b.title("Security")
	b.see("Signed out everywhere else")
	other.visit("/account")
	other.title("Sign in to Sallyport")
}

// A new name is shown at once; an empty one is refused by the browser.
func TestTheNameCanBeChanged(t *testing.T) {
	t.Parallel()
	_, b := begin(t, harness.Options{}, desk, "name")
	b.follow("Profile")
	b.fill("Name", "Maya L.")
	b.follow("Save")
	b.title("Profile")
	b.see("Maya L.")
	b.inspect("profile")
}

// The small helps that need JavaScript: a password is shown, the key is copied.
func TestAPasswordCanBeShownAndTheKeyCopied(t *testing.T) {
	t.Parallel()
	_, b := begin(t, harness.Options{}, phone, "helps")
	b.press("Add authenticator")
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.press("Show")
	b.until("the password", `return labelled('Password').type === 'text' && pressable('Hide').getAttribute('aria-pressed') === 'true'`)
	b.inspect("shown")
	b.press("Hide")
	b.until("dots", `return labelled('Password').type === 'password'`)
	b.follow("Continue")
	b.title("Add authenticator")
	b.press("Copy key")
	b.see("Copied")
	b.inspect("copied")
}
