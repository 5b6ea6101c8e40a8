package browser

import (
	"path"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"sallyport/test/harness"
)

const (
	number = "+46701740605" // a number for fiction
	byMail = "SALLYPORT_CODES_SIGN_IN=true"
)

// outbox are the settings of dev, for the commands beside it too.
var outbox = slices.Clip([]string{"SALLYPORT_MAIL_HOST=outbox", "SALLYPORT_SMS_PROVIDER=outbox", "SALLYPORT_SMS_COUNTRIES=SE", "SALLYPORT_POLICY_FACTORS=passkey,totp,sms,email"})

// Codes by email and SMS, from the tick to the sign-in, with step-up by a code to the phone.
//
// C1, C2, C3, C5, C6, C7, S3, S5, U1, U2, ux 6, ux 8, ux 15
func TestCodesByEmailAndSMS(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			onSQLite(t, func(t *testing.T, address string) {
				s, b := begin(t, harness.Options{Database: address, Env: append(outbox, byMail)}, l, "codes-"+path.Base(t.Name()))
				b.inspect("off")
				b.addPhone()
				b.switchOn(s, "Email", "m•••@example.com", email)
				b.see("MFA is on")
				b.inspect("email-on")
				b.switchOn(s, "SMS", "•••• 0605", number)
				b.inspect("sms-on")
				b.signOut()
				b.second(s)
				b.stepUpByPhone(s)
			})
		})
	}
}

// addPhone is the work phone that SMS need, in the profile; to change it is a dangerous act.
func (b *tab) addPhone() {
	b.Helper()
	b.follow("Profile")
	b.title("Profile")
	b.fill("Work phone", "+46 70 174 06 05")
	b.press("Save contact")
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.follow("Continue")
	b.title("Profile")
	b.inspect("contact")
	b.follow("Security")
	b.title("Security")
}

// switchOn ticks the box, picks a channel and proves its destination.
func (b *tab) switchOn(s *harness.Server, channel, masked, to string) {
	b.Helper()
	b.tick("Enable 2 Factor Login", true)
	b.tick(channel, true)
	b.follow("Save")
	b.see(masked, "Only the newest code works.", "Resend possible in")
	b.inspect("confirm-" + channel)
	label := map[string]string{"Email": "8-character code", "SMS": "6-digit code"}[channel]
	b.fill(label, map[string]string{"Email": "0000-0000", "SMS": "000000"}[channel])
	b.follow("Confirm")
	b.see("This code is not right.")
	b.inspect("confirm-wrong-" + channel)
	b.fill(label, harness.Mailed(b.T, s, to))
	b.follow("Confirm")
	b.title("Security")
	b.see("Verified")
}

// second is a sign-in with the preferred channel, and then with the other one.
func (b *tab) second(s *harness.Server) {
	b.Helper()
	b.visit("/account/security")
	b.signIn(password)
	b.title("Check your phone")
	b.see("•••• 0605", "It works until", "Resend possible in")
	b.inspect("second-sms")
	b.press("Try another way")
	b.follow("Email")
	b.title("Check your email")
	b.inspect("second-email-unsent")
	b.follow("Send code")
	b.see("m•••@example.com")
	b.inspect("second-email")
	b.fill("8-character code", harness.Mailed(b.T, s, email))
	b.leave(func() { b.keys(kb.Enter) })
	b.title("Security")
}

// stepUpByPhone: the mailed code did not count, so the phone is asked for (security R7).
func (b *tab) stepUpByPhone(s *harness.Server) {
	b.Helper()
	b.press("Add authenticator")
	b.title("Confirm it’s you")
	b.lacks("Continue with Passkey")
	b.see("We send a code to •••• 0605")
	b.inspect("stepup-unsent")
	b.press("Send code")
	b.see("We sent a code to •••• 0605")
	b.inspect("stepup-sent")
	b.fill("6-digit code", harness.Mailed(b.T, s, number))
	b.follow("Continue")
	b.title("Add authenticator")
}

// S5, S10: the sign-in page offers a mailed code in the group of other ways, and it leads where the person was going.
func TestEmailMeACode(t *testing.T) {
	t.Parallel()
	for _, script := range []bool{true, false} {
		t.Run(map[bool]string{true: "script", false: "no script"}[script], func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{Env: append(outbox, byMail, "SALLYPORT_PASSKEYS_OFFER=false")})
			add(t, s)
			b := open(t, s.URL, phone, "mailed")
			if !script {
				b = b.withoutScript()
			}
			b.visit("/account/security")
			b.title("Sign in to Sallyport")
			if !eval[bool](b, `return document.querySelector('[role=group][aria-label="Other ways to sign in"]').innerText.includes('Email me a code')`) {
				t.Error("it is not among the other ways")
			}
			b.follow("Email me a code")
			b.title("Email me a code")
			b.inspect("mailed-ask")
			b.fill("Email", email)
			b.follow("Send code")
			b.title("Check your email")
			b.inspect("mailed")
			b.fill("8-character code", "0000-0000")
			b.follow("Continue")
			b.see("This code is not right.")
			b.inspect("mailed-wrong")
			b.fill("8-character code", harness.Mailed(t, s, email))
			b.follow("Continue")
			b.title("Security")
		})
	}
}

// Everything works without JavaScript, the held act of a step-up by SMS too. ux "The look"
func TestCodesWithoutScript(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Env: append(outbox, "SALLYPORT_PASSKEYS_OFFER=false")})
	add(t, s)
	if out, code := s.Run("", "user", "contact", email, "--phone", number); code != 0 {
		t.Fatal(out)
	}
	b := open(t, s.URL, phone, "codes-noscript").withoutScript()
	b.visit("/account/security")
	b.signIn(password)
	b.title("Security")
	b.tick("Enable 2 Factor Login", true)
	b.tick("SMS", true)
	b.follow("Save")
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.follow("Continue")
	b.fill("6-digit code", harness.Mailed(t, s, number))
	b.follow("Confirm")
	b.title("Security")
	b.signOut()
	b.visit("/account/security")
	b.signIn(password)
	b.fill("6-digit code", harness.Mailed(t, s, number))
	b.follow("Continue")
	b.title("Security")
	b.follow("Add authenticator")
	b.title("Confirm it’s you")
	b.follow("Send code")
	b.see("We sent a code to •••• 0605")
	b.inspect("stepup")
	b.fill("6-digit code", harness.Mailed(t, s, number))
	b.leave(func() { b.keys(kb.Enter) })
	b.title("Add authenticator") // the act that waited
}

// A code that cannot be delivered says so on the page that waits, by itself, and the other ways stand there. C9, A2
func TestAFailedDeliveryIsTold(t *testing.T) {
	t.Parallel()
	relay := harness.StartRelay(t)
	s := harness.Start(t, harness.Options{Env: append(relay.Env(), "SALLYPORT_PASSKEYS_OFFER=false", "SALLYPORT_POLICY_FACTORS=totp,email")})
	add(t, s)
	if out, code := s.Run("", "user", "mfa", email, "email"); code != 0 {
		t.Fatal(out)
	}
	b := open(t, s.URL, desk, "undelivered")
	b.visit("/account/security")
	b.signIn(password)
	b.title("Set up a second step")
	b.lacks("Authenticator app") // an administrator chose
	b.follow("Email")
	b.title("Confirm your email")
	b.inspect("enrol")
	for relay.Code() == "" {
		time.Sleep(10 * time.Millisecond)
	}
	b.fill("8-character code", relay.Code())
	b.follow("Confirm")
	b.title("Security")
	b.signOut()
	relay.Refuse()
	b.visit("/account/security")
	b.signIn(password)
	b.title("Check your email")
	b.see("The code could not be delivered.", "Send another one, or use another way.")
	b.inspect("failed")
}

// tick sets the box or radio whose label begins so.
func (b *tab) tick(label string, on bool) {
	b.Helper()
	b.until("the box "+label, `return all('label.check').some((e) => words(e).startsWith(a))`, label)
	eval[bool](b, `const i = all('label.check').find((e) => words(e).startsWith(a)).querySelector('input'); if (i.checked !== b) i.click(); return true`, label, on)
}
