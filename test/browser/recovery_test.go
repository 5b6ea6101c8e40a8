package browser

import (
	"path"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/test/harness"
)

// recovering lets a code to the address of the account stand in for a second step that is lost.
var recovering = []string{"SALLYPORT_MAIL_HOST=outbox", "SALLYPORT_POLICY_RECOVERY=email", "SALLYPORT_PASSKEYS_OFFER=false"}

// daysPass is what a wait looks like once it is over.
func daysPass(t *testing.T, address string) {
	t.Helper()
	d, err := db.Open(t.Context(), address, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = d.Tx(t.Context(), func(tx auth.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE users SET recovers_at = $1 WHERE recovers_at > $1`, db.Micros(time.Now().Add(-time.Second)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A phone with the authenticator is gone. Its owner comes in by a code to her address, waits, and sets up another one: with
// and without script.
//
// L1, L3, C6, S3, U1, U2, F4
func TestALostSecondStepIsReplaced(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		look
		script bool
	}{{desk, true}, {phone, false}} {
		t.Run(map[bool]string{true: "script", false: "no script"}[c.script], func(t *testing.T) {
			t.Parallel()
			onSQLite(t, func(t *testing.T, address string) {
				s := harness.Start(t, harness.Options{Database: address, Env: recovering})
				add(t, s)
				b := open(t, s.URL, c.look, "recovery-"+path.Base(t.Name()))
				if !c.script {
					b = b.withoutScript()
				}
				b.visit("/account/security")
				b.signIn(password)
				b.askedFor("Add authenticator", "Password", password)
				b.finishAuthenticator("Old phone", "Add authenticator")
				b.see("MFA is on")
				b.comeByAddress(s)
				b.isToldToWait()
				daysPass(t, address)
				b.visit("/account/security")
				b.see("You can now change your second step: remove what you lost, add a new one.")
				b.inspect("ripe")
				b.visit("/account/recovery")
				b.title("You can change your second step")
				b.inspect("page-ripe")
				b.follow("Back")
				b.askedFor("Add authenticator", "Password", password)
				app := b.finishAuthenticator("New phone", "Add authenticator")
				b.title("Security")
				b.press("Remove Old phone") // within the ten minutes nothing is asked again
				b.title("Remove “Old phone”?")
				b.follow("Remove")
				b.title("Security")
				b.silent("You can now change your second step")
				b.see("New phone", "MFA is on")
				b.follow("Sign out")
				b.visit("/account/security")
				b.signIn(password)
				b.title("Enter the code from your app")
				b.fill("6-digit code", app.code())
				b.follow("Continue")
				b.title("Security")
				told(t, s, "notice-recovery-begun")
			})
		})
	}
}

// askedFor presses what asks for a fresh proof first.
func (b *tab) askedFor(button, label, response string) {
	b.Helper()
	b.title("Security")
	if b.script {
		b.press(button)
	} else {
		b.follow(button)
	}
	b.title("Confirm it’s you")
	b.fill(label, response)
	b.follow("Continue")
}

// comeByAddress signs in without the authenticator: the code stands under the other ways, last, and is sent when asked for.
func (b *tab) comeByAddress(s *harness.Server) {
	b.Helper()
	b.follow("Sign out")
	b.visit("/account/security")
	b.signIn(password)
	b.title("Enter the code from your app")
	b.press("Try another way")
	b.inspect("other-ways")
	b.follow("Email")
	b.title("Check your email")
	b.see("We send a code to m•••@example.com when you ask for it.")
	b.follow("Send code")
	b.see("We sent a code to m•••@example.com")
	b.fill("8-character code", harness.Mailed(b.T, s, email))
	b.follow("Continue")
	b.title("Security")
}

// isToldToWait: the Security page, the step-up and a page of its own say from when on.
func (b *tab) isToldToWait() {
	b.Helper()
	until := time.Now().UTC().Add(3 * 24 * time.Hour).Format("2 Jan 2006")
	b.see("You said that your second step is lost. From "+until, "Second step reported lost")
	b.inspect("waits")
	if b.script {
		b.press("Add authenticator")
	} else {
		b.follow("Add authenticator")
	}
	b.title("Confirm it’s you")
	b.see("You said that this is lost. From "+until, "6-digit code")
	b.lacks("I no longer have any of these")
	b.inspect("stepup")
	b.follow("How that works")
	b.title("Your second step counts as lost")
	b.see(until, "m•••@example.com")
	b.inspect("page-waits")
	b.follow("Back")
	b.title("Security")
}

// Who gets codes by mail says by hand that the rest is lost, and takes it back; in a session by the password alone it is
// said how to come in first.
//
// L3
func TestALossIsSaidOnAPage(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Env: append(outbox, "SALLYPORT_PASSKEYS_OFFER=false")})
	add(t, s)
	b := open(t, s.URL, phone, "recovery-by-hand")
	b.visit("/account/security")
	b.signIn(password)
	b.addAuthenticator("Old phone")
	b.title("Security")
	b.switchOn(s, "Email", "m•••@example.com", email)
	b.visit("/account/recovery")
	b.title("Lost your second step?")
	b.see("First sign in with your password and a code by email")
	b.inspect("page-refused")
	b.follow("Back")
	b.comeByAddress(s)
	b.press("Add authenticator")
	b.title("Confirm it’s you")
	b.inspect("stepup-link")
	b.follow("I no longer have any of these")
	b.title("Lost your second step?")
	b.see("We tell you at once, at every place where we reach you: m•••@example.com")
	b.inspect("page")
	b.follow("My second step is lost")
	b.title("Security")
	b.see("You said that your second step is lost.")
	b.follow("Cancel the report of a lost second step")
	b.title("Security")
	b.see("Second step no longer counts as lost")
	b.silent("You said that your second step is lost.")
}

// silent claims that the page does not say some words.
func (b *tab) silent(words string) {
	b.Helper()
	if eval[bool](b, `return document.body.innerText.includes(a)`, words) {
		b.shoot("failed")
		b.Errorf("it says %q", words)
	}
}
