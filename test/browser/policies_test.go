package browser

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sallyport/test/harness"
)

// A deployment is one of examples/policies, served as the file says. Its environment names what is of this machine alone:
// the address, the folder, and the mail server and SMS provider that stand in for the real ones.
type deployment struct {
	*harness.Server
	t     *testing.T
	post  *harness.Relay
	texts *harness.Twilio
	env   []string
	file  string
}

// deploy serves an example with Maya among its people. Changes are what the comments in the file tell to make: pairs of an
// expression and what stands in its place.
func deploy(t *testing.T, example string, changes ...string) *deployment {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "policies", example+".toml"))
	if err != nil {
		t.Fatal(err)
	}
	d := &deployment{t: t, post: harness.StartRelay(t), texts: harness.StartTwilio(t), file: string(text)}
	d.change(changes...)
	d.env = append([]string{"SALLYPORT_MAIL_HOST=" + d.post.Addr, "SALLYPORT_MAIL_TLS=none"}, d.texts.Env()...)
	d.serve(t.TempDir())
	add(t, d.Server)
	return d
}

func (d *deployment) change(pairs ...string) {
	d.t.Helper()
	for ; len(pairs) > 1; pairs = pairs[2:] {
		old := regexp.MustCompile(pairs[0])
		if len(old.FindAllString(d.file, -1)) != 1 {
			d.t.Fatalf("%q does not stand once in the file", pairs[0])
		}
		d.file = old.ReplaceAllString(d.file, pairs[1])
	}
}

func (d *deployment) serve(data string) {
	d.t.Helper()
	d.Server = harness.Start(d.t, harness.Options{Command: "serve", Config: d.file, Env: d.env, Data: data})
	if out := d.run("check"); !strings.Contains(out, "are fine") {
		d.t.Error(out)
	}
}

// run is an administrator at the command line.
func (d *deployment) run(args ...string) string {
	d.t.Helper()
	out, code := d.Run("", args...)
	if code != 0 {
		d.t.Fatal(args, ": ", out)
	}
	return out
}

// refused is run for what must not succeed, and the reason it must give.
func (d *deployment) refused(why string, args ...string) {
	d.t.Helper()
	if out, code := d.Run("", args...); code == 0 || !strings.Contains(out, why) {
		d.t.Errorf("%v: %d %s", args, code, out)
	}
}

// visitor is somebody at a browser that has not been here, on the way to their Security page.
func (d *deployment) visitor(l look, login, label string) *tab {
	d.t.Helper()
	b := open(d.t, d.URL, l, label)
	b.site, b.login = "Example", login
	b.visit("/account/security")
	b.title("Sign in to Example")
	return b
}

// atOnce is title where no page must come between: none with an offer to trust the browser.
func (b *tab) atOnce(heading string) {
	b.Helper()
	b.until("the heading "+heading+" and nothing else", `const h = front().querySelector('h1'); return !!h && words(h) === a`, heading)
}

// optional-passkey.toml: the password alone, until a passkey is added.
//
// P1, P2, P4, P7, S1, S2, S3, S4, R1, R2, R4, F2, F3, U1, U2, ux 11, ux 15
func TestThePolicyOfOptionalPasskeys(t *testing.T) {
	t.Parallel()
	d := deploy(t, "optional-passkey")
	b := d.visitor(desk, email, "policy-optional-passkey")
	b.signIn(password)
	b.notNow()
	b.title("Security") // S1, S7
	b.see("MFA is off", "No passkey yet")
	for _, other := range []string{"Authenticator app", "Backup codes", "Enable 2 Factor Login"} { // they count for nothing here
		b.silent(other)
	}
	b.passwordManager()
	laptop := b.plug(synced)
	b.addTheFirstByPassword(laptop)
	d.post.Says(t, email, "Passkey added")

	b.signOut()
	b.signIn(password)
	b.title("Confirm with your passkey")
	b.follow("Continue with Passkey")
	b.title("Profile")
	b.signOut()
	b.follow("Continue with Passkey")
	b.atOnce("Profile") // S4: by itself, and there is no step that trust could skip

	b.signOut()
	b.signIn(password)
	b.title("Confirm with your passkey") // nothing was ticked before
	b.follow("Continue with Passkey")
	b.title(arrived)
	b.tick("Trust this browser for 30 days", true)
	b.follow("Continue")
	b.title("Profile")
	b.signOut()
	b.signIn(password)
	b.atOnce("Profile") // R2
	b.follow("Security")
	b.see("Signed in with password on a trusted browser")
	b.lastPasskeyStays()
	b.offAndOn()
}

// addTheFirstByPassword: a fresh proof, and then the password once more (also_password).
func (b *tab) addTheFirstByPassword(laptop *authenticator) {
	b.Helper()
	b.press("Add passkey")
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.press("Continue")
	b.title("Add passkey")
	b.see("Enter your password once more.")
	b.fill("Password", "not this one")
	b.press("Add passkey")
	b.see("This password is not right.")
	if len(laptop.credentials()) != 0 {
		b.Error("a passkey was made before the password was right")
	}
	b.fill("Password", password)
	b.press("Add passkey")
	b.namePasskey("MacBook")
	b.see("MFA is on", "your passkey, or your password and a second step", "MacBook")
}

// lastPasskeyStays while MFA is on. Trust is no proof for a change (R2).
func (b *tab) lastPasskeyStays() {
	b.Helper()
	b.press("Remove MacBook")
	b.title("Confirm it’s you")
	if eval[bool](b, `return !!labelled('Password')`) { // U2
		b.Error("the password is enough for a change")
	}
	b.press("Continue with Passkey")
	b.see("This is your last second step. Disable MFA first, or add another.", "MFA is on", "MacBook")
}

func (b *tab) offAndOn() {
	b.Helper()
	b.press("Disable MFA")
	b.title("Disable MFA?")
	b.fill("Password", password)
	b.follow("Disable MFA")
	b.title("Security")
	b.see("MFA is off", "What you have set up stays, inactive", "MacBook", "None yet. After a sign-in with a second step") // R4
	b.signOut()
	b.signIn(password)
	b.atOnce("Profile")
	b.follow("Security")
	b.follow("Turn MFA on")
	b.see("MFA is on", "MacBook")
	b.signOut()
	b.signIn(password)
	b.title("Confirm with your passkey")
}

// every-factor.toml: several of each, any of them will do, and all of them may go.
//
// P5, P6, P7, T1, T4, B1, B2, B3, U1, U3, S3, F1, F2, ux 7, ux 16
func TestThePolicyOfEveryFactor(t *testing.T) {
	t.Parallel()
	d := deploy(t, "every-factor")
	b := d.visitor(phone, email, "policy-every-factor")
	b.signIn(password)
	b.notNow()
	b.title("Security")
	pixel := b.addAuthenticator("Pixel 9")
	b.follow("Add authenticator") // U3: no second question within ten minutes, here and for the rest
	tablet := b.finishAuthenticator("Tablet", "Add authenticator")
	b.passwordManager()
	laptop := b.plug(synced)
	b.press("Add passkey")
	b.namePasskey("MacBook")
	laptop.touch(false)
	key := b.plug(roaming.withoutResidentKey())
	b.press("Add passkey")
	b.namePasskey("Blue key")
	b.follow("Generate codes")
	codes := b.sheet()
	b.tick("I have saved these codes", true)
	b.follow("Done")
	b.title("Security")
	b.see("Pixel 9", "Tablet", "MacBook", "Blue key", "10 of 10", "MFA is on")

	b.again("Confirm with your passkey")
	b.follow("Continue with Passkey")
	key.wait("asserted")
	b.title("Profile")
	key.touch(false)
	laptop.touch(true)
	b.again("Confirm with your passkey")
	b.follow("Continue with Passkey")
	laptop.wait("asserted")
	b.title("Profile")
	b.byAnother("Authenticator app", "6-digit code", pixel.code())
	b.byAnother("Authenticator app", "6-digit code", tablet.code())
	b.byAnother("Backup code", "Backup code", codes[0])
	b.follow("Security")
	b.see("9 of 10")
	b.removeAll()
	d.post.Says(t, email, "Passkey removed")
}

// again signs in anew, up to the second step.
func (b *tab) again(asks string) {
	b.Helper()
	b.signOut()
	b.signIn(password)
	b.title(asks)
}

// byAnother signs in anew, by what stands under Try another way.
func (b *tab) byAnother(way, label, response string) {
	b.Helper()
	b.again("Confirm with your passkey")
	b.press("Try another way")
	b.follow(way)
	b.fill(label, response)
	b.follow("Continue")
	b.title("Profile")
}

// removeAll asks for one proof, and warns of the last.
func (b *tab) removeAll() {
	b.Helper()
	b.press("Remove Pixel 9")
	b.title("Confirm it’s you")
	b.press("Continue with Passkey")
	for _, name := range []string{"Pixel 9", "Tablet", "MacBook", "Blue key"} {
		b.title("Remove “" + name + "”?")
		if name == "Blue key" {
			b.see("Your next sign-in is not protected: it asks for your password alone.")
			b.inspect("last")
		}
		b.follow("Remove")
		b.title("Security")
		next := map[string]string{"Pixel 9": "Tablet", "Tablet": "MacBook", "MacBook": "Blue key"}[name]
		if next != "" {
			b.see("MFA is on")
			b.press("Remove " + next)
		}
	}
	b.see("MFA is off", "No passkey yet", "No authenticator yet", "Set up a passkey or an authenticator first.") // B1
	b.signOut()
	b.signIn(password)
	b.atOnce("Profile")
}

// every-factor.toml with passkeys.use as its comment says: those there are work, and none is added. P8
func TestThePolicyOfEveryFactorWithoutNewPasskeys(t *testing.T) {
	t.Parallel()
	d := deploy(t, "every-factor")
	b := d.visitor(desk, email, "policy-use-only")
	b.signIn(password)
	b.notNow()
	b.title("Security")
	b.passwordManager()
	laptop := b.plug(synced)
	b.addPasskey("MacBook")
	d.Stop()
	d.change(`use = "enabled" # or "use only"`, `use = "use only"`)
	d.serve(d.Data)
	b.mu.Lock()
	b.origin = d.URL
	b.mu.Unlock()
	b.visit("/account/security")
	b.signOut()
	b.visit("/account/security")
	b.follow("Continue with Passkey")
	laptop.wait("asserted")
	b.title("Security")
	b.see("New passkeys cannot be added here. Use an authenticator app instead.", "MacBook")
	b.lacks("Add passkey")
	b.press("Add authenticator")
	b.title("Confirm it’s you")
	b.follow("Continue with Passkey")
	b.finishAuthenticator("Pixel 9", "Add authenticator")
	b.see("Pixel 9", "MacBook")
}
