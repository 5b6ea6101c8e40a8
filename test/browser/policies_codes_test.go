package browser

import (
	"testing"

	"github.com/chromedp/chromedp/kb"

	"sallyport/test/harness"
)

// mailed-code.toml: whoever ticks the box is sent a code at every sign-in.
//
// C1, C2, C3, C5, C6, R1, R5, S3, U2, F2
func TestThePolicyOfMailedCodes(t *testing.T) {
	t.Parallel()
	d := deploy(t, "mailed-code")
	b := d.visitor(phone, email, "policy-mailed-code")
	b.signIn(password)
	b.atOnce("Security") // and no offer of anything
	b.see("MFA is off", "Enable 2 Factor Login")
	b.lacks("Add passkey")
	b.lacks("Add authenticator")
	b.addPhone()
	b.ticks("Email", "8-character code", d.mailed)
	b.see("MFA is on", "m•••@example.com")
	b.ticks("SMS", "6-digit code", d.texted)
	b.see("Work phone •••• 0605")

	for range 2 { // the second time as the first: nothing is skipped here
		b.again("Check your phone")
		b.fill("6-digit code", d.texted())
		b.follow("Continue")
		b.atOnce("Profile") // trust_days = 0
	}
	b.again("Check your phone")
	b.press("Try another way")
	b.follow("Email")
	b.follow("Send code")
	b.fill("8-character code", d.mailed())
	b.follow("Continue")
	b.atOnce("Profile")

	b.follow("Security")
	b.tick("Enable 2 Factor Login", false)
	b.press("Save")
	b.title("Confirm it’s you")
	b.press("Send code") // security R7: the phone, not the address
	b.see("We sent a code to •••• 0605")
	d.texted() // of the sign-in that went on by mail
	b.fill("6-digit code", d.texted())
	b.follow("Continue")
	b.title("Security")
	b.see("MFA is off")
	b.signOut()
	b.signIn(password)
	b.atOnce("Profile")
}

// ticks sets the box, picks a channel and proves where it leads. A fresh proof was given a moment ago.
func (b *tab) ticks(channel, label string, code func() string) {
	b.Helper()
	b.tick("Enable 2 Factor Login", true)
	b.tick(channel, true)
	b.follow("Save")
	b.fill(label, code())
	b.follow("Confirm")
	b.title("Security")
	b.see("Verified")
}

// mailed and texted are what came to Maya.
func (d *deployment) mailed() string { d.t.Helper(); return d.post.Take(d.t, email) }
func (d *deployment) texted() string { d.t.Helper(); return d.texts.Take(d.t, number) }

// mailed-code.toml without a phone channel, as its comment says. C1
func TestThePolicyOfMailedCodesWithoutAPhone(t *testing.T) {
	t.Parallel()
	d := deploy(t, "mailed-code", `"sms", "email"`, `"email"`, `(?s)\n\[sms\].*`, "")
	b := d.visitor(desk, email, "policy-email-only")
	b.signIn(password)
	b.atOnce("Security")
	if ways := eval[int](b, `return document.querySelectorAll('[name=channel]').length`); ways != 1 {
		t.Errorf("there are %d channels", ways)
	}
	b.inspect("email-only")
	b.tick("Enable 2 Factor Login", true)
	b.tick("Email", true)
	b.press("Save")
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.follow("Continue")
	b.fill("8-character code", d.mailed())
	b.follow("Confirm")
	b.see("Verified", "MFA is on")
	b.again("Check your email")
	b.lacks("Try another way")
	b.fill("8-character code", d.mailed())
	b.leave(func() { b.keys(kb.Enter) })
	b.atOnce("Profile")
}

// assigned-code.toml: an administrator decides, and gives the decision back.
//
// A2, C1, C4, C5, W1, W4, R1, F2, F3
func TestThePolicyOfAssignedCodes(t *testing.T) {
	t.Parallel()
	const other = "erik@example.com"
	d := deploy(t, "assigned-code")
	harness.AddUser(t, d.Server, other, password)
	d.refused("has no work phone", "user", "mfa", email, "sms")
	d.run("user", "contact", other, "--phone", "+46 70 174 06 05")
	d.run("user", "contact", email, "--phone", number)
	d.refused("somebody else has the same work phone", "user", "mfa", email, "sms")
	b := d.visitor(desk, email, "policy-assigned-code")
	b.signIn(password)
	b.atOnce("Security") // nothing came of it
	b.see("MFA is off")
	b.signOut()

	d.run("user", "contact", other, "--phone", "+46 70 174 06 06")
	d.run("user", "mfa", email, "sms")
	b.visit("/account/security")
	b.signIn(password)
	b.title("Set up a second step")
	b.lacks("Email") // an administrator chose
	b.follow("Text message")
	b.fill("6-digit code", d.texted())
	b.follow("Confirm")
	b.title("Security")
	b.see("MFA is on", "Work phone •••• 0605")
	b.lacks("Disable MFA")
	b.again("Check your phone")
	b.fill("6-digit code", d.texted())
	b.follow("Continue")
	b.title(arrived) // trust_days = 30
	b.see("Trust this browser for 30 days")
	b.follow("Continue")
	b.title("Profile")
	b.follow("Security")
	b.tick("Enable 2 Factor Login", false)
	b.press("Save")
	b.title("Confirm it’s you")
	b.press("Send code")
	b.see("We sent a code to •••• 0605")
	b.fill("6-digit code", d.texted())
	b.keys(kb.Enter)
	b.see("A second step is required here", "MFA is on")

	d.run("user", "mfa", email, "off")
	b.again("Check your phone") // it is on, but theirs now
	b.fill("6-digit code", d.texted())
	b.follow("Continue")
	b.title("Profile")
	b.follow("Security")
	b.press("Disable MFA")
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.press("Continue")
	b.title("Disable MFA?")
	b.fill("Password", password)
	b.follow("Disable MFA")
	b.title("Security")
	b.see("MFA is off")
	b.signOut()
	b.signIn(password)
	b.atOnce("Profile")
}
