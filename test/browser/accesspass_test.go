package browser

import (
	"regexp"
	"testing"

	"sallyport/test/harness"
)

var (
	printedPass = regexp.MustCompile(`(?m)^ {4}([0-9A-Z]{4}(?:-[0-9A-Z]{4}){3})$`)
	resetLink   = regexp.MustCompile(`http\S+(/pass\?token=\S+)`)
)

// A4, L1: somebody whose phone is gone gets a pass from an administrator, and signs in with password and pass.
func TestSomebodyLockedOutComesInByAPass(t *testing.T) {
	t.Parallel()
	for _, script := range []bool{true, false} {
		t.Run(map[bool]string{true: "script", false: "no script"}[script], func(t *testing.T) {
			t.Parallel()
			s, home := begin(t, harness.Options{Env: outbox}, desk, "pass-home")
			home.addAuthenticator("Pixel 9")
			out, code := s.Run("", "user", "access-pass", email, "--reason", "lost phone, seen in person")
			printed := printedPass.FindStringSubmatch(out)
			if code != 0 || printed == nil {
				t.Fatal(out)
			}
			b := open(t, s.URL, phone, "pass")
			if !script {
				b = b.withoutScript()
			}
			b.visit("/account/security")
			b.signIn(password)
			b.title("Enter the code from your app")
			b.press("Try another way")
			b.see("Access pass", "From an administrator")
			b.follow("Access pass")
			b.title("Enter your access pass")
			b.inspect("ask")
			b.fill("Access pass", "7KQM-3XTP-04VZ-H9WD")
			b.follow("Continue")
			b.see("This access pass is not right, or it does not work any more.")
			b.inspect("wrong")
			b.fill("Access pass", printed[1])
			b.follow("Continue")
			b.title("Security") // S7
			b.see("An administrator gave you an access pass", "Signed in with password and access pass")
			if b.script {
				b.press("Add authenticator")
				b.title("Confirm it’s you")
				b.see("6-digit code") // the pass proved too little for that
			}
		})
	}
}

// A3: after a reset the person comes back by a link in a mail, and sets up a new authenticator.
func TestAResetIsFollowedByALinkBack(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{Env: append(outbox, "SALLYPORT_POLICY_MFA=required", "SALLYPORT_PASSKEYS_OFFER=false")})
			add(t, s)
			old := open(t, s.URL, desk, "reset-old")
			old.visit("/account/security")
			old.signIn(password)
			old.follow("Authenticator app")
			old.finishAuthenticator("Pixel 9", "Add and sign in")
			old.title("Security")
			if out, code := s.Run("", "user", "reset-mfa", email, "--reason", "lost phone"); code != 0 {
				t.Fatal(out)
			}
			link := ""
			for _, m := range harness.Messages(t, s) {
				if found := resetLink.FindStringSubmatch(m.Text); m.Message == "reset-link" && found != nil && m.To == email {
					link = found[1]
				}
			}
			if link == "" {
				t.Fatal("no link was mailed")
			}
			b := open(t, s.URL, l, "reset")
			b.visit("/signin")
			b.signIn(password)
			b.title("Enter your access pass") // the password alone opens nothing
			b.inspect("without")
			b.follow("Not you?")
			b.visit(link)
			b.title("Your second step was reset")
			b.see("Sign in with your password, then set up a new second step.")
			b.inspect("link")
			b.follow("Sign in")
			b.signIn(password)
			b.title("Enter your access pass")
			b.inspect("filled")
			b.follow("Continue") // it is filled in
			b.title("Set up a second step")
			b.follow("Authenticator app")
			b.finishAuthenticator("Pixel 10", "Add and sign in")
			b.visit("/account/security")
			b.title("Security")
			b.see("MFA is on", "Pixel 10", "MFA was reset for you")
			b.visit(link)
			b.see("This link does not work, or not any more.")
			b.mu.Lock()
			b.complaints = nil // the console notes the 404
			b.mu.Unlock()
			b.inspect("used")
			old.visit("/account/security")
			old.title("Sign in to Sallyport")
		})
	}
}
