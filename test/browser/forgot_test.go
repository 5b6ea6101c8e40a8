package browser

import (
	"regexp"
	"testing"

	"sallyport/test/harness"
)

var toPassword = regexp.MustCompile(`http\S+(/forgot/[\w-]{43})`)

// Somebody forgot their password: from the sign-in page to a mail, to a new password, and in; with and without script.
//
// L2, S9, S10, ux 3, ux 17
func TestForgotPassword(t *testing.T) {
	t.Parallel()
	for _, script := range []bool{true, false} {
		for _, l := range []look{map[bool]look{true: phone, false: desk}[script]} {
			t.Run(map[bool]string{true: "script ", false: "no script "}[script]+l.String(), func(t *testing.T) {
				t.Parallel()
				const renewed = "nobody else knows this one"
				s := harness.Start(t, harness.Options{Env: append(outbox, "SALLYPORT_PASSKEYS_OFFER=false")})
				add(t, s)
				b := open(t, s.URL, l, "forgot")
				if !script {
					b = b.withoutScript()
				}
				b.visit("/account")
				b.title("Sign in to Sallyport")
				b.inspect("signin")
				if !eval[bool](b, `
					const a = [...document.querySelectorAll('a')].find(a => a.innerText === 'Forgot password?').getBoundingClientRect();
					const l = document.querySelector('label[for=password]').getBoundingClientRect();
					return Math.abs(a.bottom - l.bottom) < 4 && a.left > l.right`) {
					t.Error("the link does not stand beside the label")
				}
				b.follow("Forgot password?")
				b.title("Forgot your password?")
				b.inspect("ask")
				b.fill("Email", "nobody@example.com")
				b.follow("Send link")
				b.title("Check your email for a link")
				b.see("If an account has this name, a link is on its way. It works for 30 minutes.")
				b.follow("ask again")
				b.fill("Email", email)
				b.follow("Send link")
				b.title("Check your email for a link")
				b.inspect("sent")

				link := ""
				for _, m := range harness.Messages(t, s) {
					if at := toPassword.FindStringSubmatch(m.Text); at != nil && m.Message == "password-link" {
						link = at[1]
					}
				}
				b.visit(link)
				b.title("Choose a new password")
				b.see("you are signed out everywhere", "At least 12 characters", "Your second step stays as it is.")
				b.inspect("password")
				if script {
					b.press("Show")
					if eval[string](b, `return document.getElementById('password').type`) != "text" {
						t.Error("Show does not show it")
					}
				}
				for weak, why := range map[string]string{"password1234": "This is one that many people use", email: "This is little more than a name"} {
					b.fill("New password", weak)
					b.follow("Save and sign in")
					b.see(why)
				}
				b.inspect("password-wrong")
				b.fill("New password", renewed)
				b.follow("Save and sign in")
				b.signIn(password)
				b.see("Email or password is not right.")
				b.signIn(renewed)
				b.title("Profile")
				told(t, s, "notice-password")

				b.visit(link)
				b.see("This link was used already, or it is too old.")
				b.mu.Lock()
				b.complaints = nil // the console notes the 404
				b.mu.Unlock()
				b.inspect("used")
			})
		}
	}
}
