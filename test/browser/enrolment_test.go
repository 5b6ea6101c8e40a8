package browser

import (
	"testing"

	"sallyport/test/harness"
)

// W4: whoever must have a second step and has none is led through it after the password, and can do nothing else.
func TestForcedEnrolmentCannotBeWalkedAround(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{Env: []string{"SALLYPORT_POLICY_MFA=required"}})
			add(t, s)
			b := open(t, s.URL, l, "required")
			b.visit("/account/security")
			b.signIn(password)
			b.title("Set up a second step")
			b.see("Sallyport asks for this", email)
			b.inspect("enrol")
			for _, path := range []string{"/account", "/account/security", "/account/password", "/stepup"} {
				b.visit(path)
				b.title("Sign in to Sallyport")
			}
			b.visit("/signin/enrol")
			b.follow("Authenticator app")
			b.title("Add authenticator")
			b.inspect("enrol-authenticator")
			b.visit("/account")
			b.title("Sign in to Sallyport") // not by half either

			b.visit("/account/security")
			b.signIn(password)
			b.follow("Authenticator app")
			app := b.scan()
			b.fill("6-digit code", app.wrongCode())
			b.follow("Add and sign in")
			b.see("This code is not right.")
			b.inspect("enrol-wrong")
			b.finishAuthenticator("Pixel 9", "Add and sign in")
			b.notNow()
			b.title("Security") // S7
			b.see("MFA is on", "Pixel 9")
			b.inspect("security-required")
			if eval[bool](b, `return !!pressable('Disable MFA')`) { // F2, F3
				t.Error("what is required can be disabled")
			}
		})
	}
}

// Enrolment can be left: signing out is possible (ux 10), and the next sign-in asks again.
func TestForcedEnrolmentCanBeLeft(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Env: []string{"SALLYPORT_POLICY_MFA=required"}})
	add(t, s)
	b := open(t, s.URL, phone, "required")
	b.visit("/signin")
	b.signIn(password)
	b.title("Set up a second step")
	b.follow("Sign out")
	b.signIn(password)
	b.title("Set up a second step")
}
