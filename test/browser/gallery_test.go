package browser

import (
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"

	"sallyport/test/harness"
)

// Every page and dialog, on a phone and on a desk, in the light and in the dark. `make screenshots` keeps the pictures.
//
// ux, "The look"
func TestEveryPageInEveryLook(t *testing.T) {
	t.Parallel()
	t.Run("one person", func(t *testing.T) {
		t.Parallel()
		s := harness.Start(t, harness.Options{Env: append(outbox, byMail, "SALLYPORT_POLICY_RECOVERY=email",
			"SALLYPORT_POLICY_FACTORS=passkey,totp,sms,email,backupcode")})
		b := open(t, s.URL, desk, "")
		b.picturesOfTheWayIn(s)
		app := b.picturesOfSettings(s)
		b = open(t, s.URL, desk, "") // without the passkey, which would answer by itself
		b.picturesOfSecondSteps(app)
		b.picturesOfMessages(s)
	})
	t.Run("who looks after others", func(t *testing.T) {
		t.Parallel()
		s := harness.Start(t, harness.Options{Env: append(outbox, "SALLYPORT_POLICY_FACTORS=passkey,totp,sms,email,backupcode", "SALLYPORT_PASSKEYS_OFFER=false")})
		add(t, s)
		open(t, s.URL, desk, "").picturesOfAdministration(s)
	})
	t.Run("who must", func(t *testing.T) {
		t.Parallel()
		s := harness.Start(t, harness.Options{Env: append(outbox, "SALLYPORT_POLICY_MFA=required")})
		add(t, s)
		b := open(t, s.URL, desk, "")
		b.visit("/account/security")
		b.signIn(password)
		b.title("Set up a second step")
		b.picture("enrol")
		b.follow("Authenticator app")
		b.title("Add authenticator")
		b.picture("enrol-authenticator")
		b.visit("/signin/enrol")
		b.follow("Passkey")
		b.picture("enrol-passkey")
	})
}

// picture shows what is there in every look.
func (b *tab) picture(name string) {
	b.Helper()
	for _, l := range []look{looks[0], phone, looks[3], desk} { // which it was before
		b.look = l
		call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1})
		call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.theme}}})
		b.inspect(name)
	}
}

func (b *tab) picturesOfTheWayIn(s *harness.Server) {
	b.visit(s.SetupLink[len(s.URL):])
	b.picture("setup")
	b.fill("Name", "Maya Lindqvist")
	b.fill("Email", email)
	b.fill("Password", password)
	b.follow("Create owner")
	b.title("Sign in to Sallyport")
	b.picture("signin")
	b.signIn("not the right one")
	b.see("Email or password is not right.")
	b.picture("signin-wrong")
	b.follow("Forgot password?")
	b.picture("forgot")
	b.fill("Email", email)
	b.follow("Send link")
	b.picture("forgot-sent")
	b.visit("/signin/mailed")
	b.picture("mailed-ask")
	b.fill("Email", email)
	b.follow("Send code")
	b.see("Resend possible in")
	b.picture("mailed")
	b.visit("/not-me/done")
	b.picture("not-me-done")
	b.visit("/account/security")
	b.signIn(password)
	b.title("Sign in faster next time")
	b.picture("passkey-offer")
	b.follow("Not now")
}

func (b *tab) picturesOfSettings(s *harness.Server) *app {
	b.title("Security")
	b.picture("security-empty")
	b.addPhone()
	b.follow("Profile")
	b.picture("profile")
	b.follow("Security")
	b.tick("Enable 2 Factor Login", true)
	b.tick("SMS", true)
	b.follow("Save")
	b.see("Resend possible in")
	b.picture("code-confirm")
	b.fill("6-digit code", harness.Mailed(b.T, s, number))
	b.follow("Confirm")
	b.title("Security")
	b.switchOn2(s)
	b.press("Add authenticator")
	b.title("Add authenticator")
	b.picture("authenticator-add")
	app := b.finishAuthenticator("Pixel 9", "Add authenticator")
	b.plug(synced)
	b.press("Add passkey")
	b.title("Your passkey works")
	b.picture("passkey-name")
	b.fill("Name of this passkey", "MacBook Pro")
	b.follow("Save")
	b.title("Security")
	b.follow("Generate codes")
	b.title("Your backup codes")
	b.picture("backup-codes")
	b.tick("I have saved these codes", true)
	b.follow("Done")
	b.title("Security")
	b.press("Rename Pixel 9")
	b.title("Rename “Pixel 9”")
	b.picture("rename")
	b.press("Cancel")
	b.closed()
	b.press("Remove Pixel 9")
	b.title("Remove “Pixel 9”?")
	b.picture("remove")
	b.press("Keep it")
	b.closed()
	b.press("Disable MFA")
	b.title("Disable MFA?")
	b.picture("disable")
	b.press("Keep it on")
	b.closed()
	b.follow("Change password")
	b.picture("password")
	return app
}

// switchOn2 proves the address beside the number.
func (b *tab) switchOn2(s *harness.Server) {
	b.Helper()
	b.tick("Email", true)
	b.follow("Save")
	b.fill("8-character code", harness.Mailed(b.T, s, email))
	b.follow("Confirm")
	b.title("Security")
}

func (b *tab) picturesOfSecondSteps(app *app) {
	b.visit("/account/security")
	b.signIn(password)
	b.title("Confirm with your passkey")
	b.picture("second-passkey")
	for _, way := range []struct{ kind, name string }{{"totp", "second-code"}, {"sms", "second-sms"}, {"email", "second-email"}, {"backupcode", "second-backup"}} {
		b.visit("/signin/" + way.kind)
		b.picture(way.name)
	}
	b.visit("/signin/totp")
	b.press("Try another way")
	b.picture("second-ways")
	b.fill("6-digit code", app.wrongCode())
	b.follow("Continue")
	b.see("This code is not right.")
	b.picture("second-wrong")
	b.fill("6-digit code", app.code())
	b.follow("Continue")
	b.title(arrived)
	b.picture("signed-in")
	b.tick("Trust this browser", true)
	b.follow("Continue")
	b.title("Security")
	b.picture("security")
	b.press("Add authenticator")
	b.title("Confirm it’s you")
	b.picture("stepup")
	b.press("Cancel")
	b.closed()
	b.visit("/account/activity")
	b.picture("activity")
	b.visit("/account/backupcode/low")
	b.picture("backup-low")
	b.visit("/account/recovery")
	b.picture("lost")
}

func (b *tab) picturesOfMessages(s *harness.Server) {
	b.visit("/dev/outbox")
	b.picture("outbox")
	b.visit(told(b.T, s, "notice-factor-added"))
	b.picture("not-me")
	b.follow("This wasn’t me")
	b.title("Choose a new password")
	b.picture("new-password")
	if out, code := s.Run("", "user", "reset-mfa", email, "--reason", "lost phone"); code != 0 {
		b.Fatal(out)
	}
	for _, m := range harness.Messages(b.T, s) {
		if link := resetLink.FindStringSubmatch(m.Text); link != nil {
			b.visit(link[1])
			b.picture("reset")
			return
		}
	}
	b.Error("no link came after the reset")
}

func (b *tab) picturesOfAdministration(s *harness.Server) {
	for i, name := range []string{"Samuel Okafor", "Aiko Brandt", "Piet de Graaf", "Hanna Dvořák"} {
		first, _, _ := strings.Cut(strings.ToLower(name), " ")
		login := first + "@example.com"
		for _, args := range [][]string{{"add", "--email", login, "--name", name, "--password-stdin"}, {"contact", login, "--phone", "+46 70 174 06 1" + strconv.Itoa(i)}} {
			if out, code := s.Run(password+"\n", append([]string{"user"}, args...)...); code != 0 {
				b.Fatal(out)
			}
		}
	}
	for _, args := range [][]string{
		{"workgroup", "add", "Field sales"}, {"workgroup", "add", "Support desk"},
		{"workgroup", "join", "samuel@example.com", "Field sales"}, {"workgroup", "join", "aiko@example.com", "Field sales"}, {"workgroup", "join", "hanna@example.com", "Field sales"},
		{"user", "role", "hanna@example.com", "workgroup admin"}, {"user", "role", "piet@example.com", "support"}, {"user", "mfa", "aiko@example.com", "sms"},
		{"user", "disable", "piet@example.com"},
	} {
		if out, code := s.Run("", args...); code != 0 {
			b.Fatal(args, out)
		}
	}
	b.visit("/account/security")
	b.signIn("not " + password)
	b.signIn(password)
	b.title("Security")
	b.addAuthenticator("Pixel 9")
	b.follow("Administration")
	b.until("the list to follow", `return fetch('/api/v1/admin/users').then((a) => a.json()).then((l) => l.all === 5)`)
	b.visit("/admin/users")
	b.picture("admin-users")
	b.visit("/admin/users?q=magnus&mfa=none")
	b.picture("admin-users-none")
	b.press("New user")
	b.picture("admin-new-user")
	b.visit("/admin/users")
	b.follow("Aiko Brandt")
	b.picture("admin-user")
	b.follow("Workgroups")
	b.picture("admin-workgroups")
	b.follow("Field sales")
	b.tick("Enable 2 Factor Login", true)
	b.choose("Grace period", "7 days")
	b.follow("See what this does")
	b.see("If you save this, of 3 people")
	b.picture("admin-workgroup")
	b.follow("Policy")
	b.picture("admin-policy")
	b.follow("Events")
	b.picture("admin-events")
	b.visit("/admin")
	b.picture("admin-overview")
	b.follow("Message templates")
	b.picture("admin-messages")
}
