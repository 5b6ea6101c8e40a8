package browser

import (
	"regexp"
	"strings"
	"testing"

	"sallyport/test/harness"
)

var notMe = regexp.MustCompile(`http\S+(/not-me\?token=\S+)`)

// told is the path behind “This wasn't me” in the newest notice of a kind.
func told(t *testing.T, s *harness.Server, message string) string {
	t.Helper()
	for _, m := range harness.Messages(t, s) {
		if link := notMe.FindStringSubmatch(m.Text); m.Message == message && link != nil {
			return link[1]
		}
	}
	t.Fatal("no notice ", message)
	return ""
}

// Somebody else has the password and adds an authenticator of theirs. The owner hears of it by mail, says that it was not
// her, and has her account back: with and without script.
//
// F4, L3, S8, ux 19
func TestThisWasntMe(t *testing.T) {
	t.Parallel()
	for _, script := range []bool{true, false} {
		t.Run(map[bool]string{true: "script", false: "no script"}[script], func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{Env: append(outbox, "SALLYPORT_PASSKEYS_OFFER=false")})
			add(t, s)
			thief := open(t, s.URL, desk, "thief")
			thief.visit("/account/security")
			thief.signIn(password)
			thief.addAuthenticator("Not Maya’s")
			thief.title("Security")

			b := open(t, s.URL, phone, "notme")
			if !script {
				b = b.withoutScript()
			}
			link := told(t, s, "notice-factor-added")
			b.visit(link)
			b.title("Tell us it wasn’t you")
			b.see("A way to sign in was added to your account.", "The change is taken back.", "You choose a new password at once.")
			b.inspect("ask")
			thief.visit("/account/security") // looking changed nothing
			thief.title("Security")
			b.follow("This wasn’t me")
			b.title("Choose a new password")
			b.inspect("password")
			thief.visit("/account/security")
			thief.title("Sign in to Sallyport")

			b.fill("New password", "short")
			b.follow("Save and sign in")
			b.see("This is shorter than 12 characters")
			b.inspect("password-wrong")
			b.fill("New password", "nobody else knows this one")
			b.follow("Save and sign in")
			b.signIn("nobody else knows this one")
			b.title("Profile") // the authenticator is gone
			b.visit("/account/security")
			b.see("Said “This wasn’t me”", "No authenticator yet")
			if b.script {
				b.press("Add authenticator")
				b.title("Confirm it’s you")
				b.fill("Password", "nobody else knows this one")
				b.follow("Continue")
			} else {
				b.follow("Add authenticator")
			}
			b.see("Nothing that secures this account can be changed until")
			b.inspect("frozen")

			b.visit(link)
			b.see("This link was used already, or it is too old.")
			b.mu.Lock()
			b.complaints = nil // the console notes the 404
			b.mu.Unlock()
			b.inspect("used")
		})
	}
}

// A sign-in with a browser that was never here is told, with what it was and where from; one that was here is not. F4
func TestANewBrowserIsTold(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Env: append(outbox, "SALLYPORT_PASSKEYS_OFFER=false")})
	add(t, s)
	count := func() (n int) {
		for _, m := range harness.Messages(t, s) {
			if m.Message == "notice-browser" {
				n++
				for _, text := range []string{"Chrome on Linux", "127.0.0.1", "UTC", "This wasn't me"} {
					if !strings.Contains(m.Text, text) {
						t.Errorf("it lacks %q:\n%s", text, m.Text)
					}
				}
			}
		}
		return n
	}
	home, other := open(t, s.URL, desk, "home"), open(t, s.URL, phone, "other")
	for _, step := range []struct {
		b    *tab
		want int
	}{{home, 0}, {other, 1}, {home, 1}, {other, 1}} {
		step.b.visit("/account")
		step.b.signIn(password)
		step.b.title("Profile")
		step.b.follow("Sign out")
		if n := count(); n != step.want {
			t.Errorf("%d notices, want %d", n, step.want)
		}
	}
}
