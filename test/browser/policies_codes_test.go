package browser

import (
	"net/url"
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

// administrator is somebody at another browser who looks after people, on the page of all users.
func (d *deployment) administrator(label string) *tab {
	d.t.Helper()
	const boss = "bea@example.com"
	if out, code := d.Run(password+"\n", "user", "add", "--email", boss, "--name", "Bea Boss", "--role", "owner", "--password-stdin"); code != 0 {
		d.t.Fatal(out)
	}
	b := d.visitor(desk, boss, label)
	b.signIn(password)
	b.atOnce("Security")
	b.follow("Administration")
	b.title("Users")
	return b
}

// open goes to the page of a person, once the list knows them.
func (b *tab) open(name string) {
	b.Helper()
	b.until("the list to follow", `return fetch('/api/v1/admin/users?q=' + encodeURIComponent(a)).then((r) => r.json()).then((l) => l.people.length > 0)`, name)
	b.visit("/admin/users?q=" + url.QueryEscape(name))
	b.follow(name)
	b.title(name)
}

// sets chooses a second step for whoever's page it is. A fresh proof was given a moment ago.
func (b *tab) sets(method string) {
	b.Helper()
	b.choose("MFA", method)
	b.follow("Save changes")
	b.see("MFA set by an administrator")
}

// mailed-code.toml where an administrator takes a channel away from a workgroup, and gives it back. C1, W1, W3
func TestThePolicyOfMailedCodesForAWorkgroup(t *testing.T) {
	t.Parallel()
	d := deploy(t, "mailed-code")
	d.run("user", "contact", email, "--phone", number)
	admin := d.administrator("policy-mailed-code-admin")
	admin.follow("Workgroups")
	admin.press("New workgroup")
	admin.fill("Name", "Field sales")
	admin.follow("Add workgroup")
	admin.title("Confirm it’s you")
	admin.fill("Password", password)
	admin.follow("Continue")
	admin.title("Field sales")
	group := admin.at()
	admin.open("Maya Lindqvist")
	admin.choose("Workgroup", "Field sales")
	admin.follow("Save changes")
	admin.see("Moved to another workgroup")
	admin.visit(group)
	admin.choose("Codes by email and SMS", "Email only")
	admin.saveOptions("signs in with the password alone")

	b := d.visitor(desk, email, "policy-mailed-code-workgroup")
	b.signIn(password)
	b.atOnce("Security")
	b.see("Enable 2 Factor Login")
	b.silent("•••• 0605") // theirs is email alone
	admin.choose("Codes by email and SMS", "Both")
	admin.saveOptions("signs in with the password alone")
	b.visit("/account/security")
	b.see("•••• 0605")
}

// assigned-code.toml: an administrator decides, and gives the decision back.
//
// A2, C1, C4, C5, W1, W4, R1, F2, F3
func TestThePolicyOfAssignedCodes(t *testing.T) {
	t.Parallel()
	const other = "erik@example.com"
	d := deploy(t, "assigned-code")
	harness.AddUser(t, d.Server, other, password)
	d.run("user", "contact", other, "--phone", "+46 70 174 06 05")
	admin := d.administrator("policy-assigned-code-admin")
	admin.open("Maya Lindqvist")
	admin.choose("MFA", "SMS")
	admin.press("Save changes")
	admin.title("Confirm it’s you")
	admin.fill("Password", password)
	admin.follow("Continue")
	admin.see("This is needed: MFA is set to SMS.")
	admin.fill("Work phone", number)
	admin.choose("MFA", "SMS")
	admin.follow("Save changes")
	admin.see("This is somebody else’s too") // C4
	b := d.visitor(desk, email, "policy-assigned-code")
	b.signIn(password)
	b.atOnce("Security") // nothing came of it
	b.see("MFA is off")
	b.signOut()

	d.run("user", "contact", other, "--phone", "+46 70 174 06 06")
	admin.open("Maya Lindqvist")
	admin.fill("Work phone", number)
	admin.sets("SMS")
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

	admin.sets("Off")
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
