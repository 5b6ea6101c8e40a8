package browser

import (
	"strings"
	"testing"

	"sallyport/test/harness"
)

// saveOptions looks at what they do, saves, and proves who it is if that is asked for.
func (b *tab) saveOptions(says ...string) {
	b.Helper()
	b.follow("See what this does")
	b.see(says...)
	b.leave(func() { b.press(eval[string](b, `return words(all("button.primary")[0])`)) })
	if b.focused("Password") {
		b.fill("Password", password)
		b.follow("Continue")
	}
	b.see("As it is, of")
}

func (b *tab) focused(label string) bool { return eval[bool](b, `return !!labelled(a)`, label) }

// An administrator makes a workgroup, sees what its options do before they are saved, and its people feel them: at their
// next sign-in, at once, with a grace period, and not any more. W1, W2, W3, R5, ux 10
func TestAWorkgroupIsAskedForMore(t *testing.T) {
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{Env: []string{"SALLYPORT_PASSKEYS_OFFER=false"}})
			add(t, s)
			const other = "tom@example.com"
			harness.AddUser(t, s, other, password)
			admin := open(t, s.URL, l, "workgroup-admin")
			admin.visit("/admin/workgroups")
			admin.signIn(password)
			admin.title("Workgroups")
			admin.see("No workgroup yet.")
			admin.inspect("workgroups-none")
			admin.press("New workgroup")
			admin.title("New workgroup")
			admin.inspect("workgroup-new")
			admin.fill("Name", "Field sales")
			admin.follow("Add workgroup")
			admin.title("Confirm it’s you")
			admin.fill("Password", password)
			admin.follow("Continue")
			admin.title("Field sales")
			admin.see("0 people", "As it is, of 0 people")
			admin.inspect("workgroup-empty")
			run := func(args ...string) {
				t.Helper()
				if out, code := s.Run("", args...); code != 0 {
					t.Fatal(out)
				}
			}
			run("workgroup", "join", other, "Field sales")

			tom := open(t, s.URL, l, "workgroup-person")
			tom.login = other
			tom.visit("/account/security")
			tom.signIn(password)
			tom.title("Security")

			admin.visit(admin.at())
			admin.see("As it is, of 1 person", "signs in with the password alone")
			admin.tick("Enable 2 Factor Login", true)
			admin.saveOptions("If you save this, of 1 person", "enrols at the next sign-in", "Some Body", "Enrols after the password", "Save for 1 person")
			admin.inspect("workgroup-required")
			tom.visit("/account/security")
			tom.title("Security") // the session goes on
			tom.see("A second step is required here")

			admin.tick("At once", true)
			admin.choose("Grace period", "7 days")
			admin.follow("See what this does")
			admin.see("by ", "at the latest")
			admin.inspect("workgroup-preview")
			admin.follow("Discard")
			admin.tick("At once", true)
			admin.saveOptions("enrols at the next sign-in")
			tom.until("at the sign-in", `if (location.pathname !== '/signin') location = '/account/security'; return location.pathname === '/signin'`)
			tom.signIn(password)
			tom.title("Set up a second step")
			tom.see("Your workgroup Field sales asks for this")
			tom.inspect("enrol-workgroup")
			tom.follow("Sign out")

			admin.tick("Enable 2 Factor Login", false)
			admin.saveOptions("signs in with the password alone")
			tom.visit("/account/security")
			tom.signIn(password)  // what was refused is over for good
			tom.title("Security") // their own setting is back
			tom.signOut()

			admin.tick("Enable 2 Factor Login", true)
			admin.tick("From their next sign-in", true)
			admin.choose("Grace period", "7 days")
			admin.choose("Trusted browsers", "Not allowed")
			admin.choose("Passkeys", "Use only")
			admin.saveOptions("enrols at the next sign-in, by")
			tom.visit("/account/security")
			tom.signIn(password)
			tom.see("Set up a second step by")
			tom.see("Your workgroup Field sales asks for this", "Not now")
			tom.inspect("due")
			tom.follow("Not now")
			tom.title("Security")
			tom.see("set one up by", "New passkeys cannot be added here")
			tom.press("Add authenticator")
			tom.title("Confirm it’s you")
			tom.fill("Password", password)
			tom.follow("Continue")
			app := tom.finishAuthenticator("Pixel 9", "Add authenticator")
			tom.title("Security")
			tom.signOut()
			tom.visit("/account/security")
			tom.signIn(password)
			tom.fill("6-digit code", app.code())
			tom.follow("Continue") // no browser may be trusted, so nothing is offered
			tom.title("Security")
			admin.choose("Passkeys", "Disabled")
			admin.choose("Accepted factors", "My own choice")
			admin.press("My own choice of factors")
			admin.tick("Passkey", true)
			admin.follow("See what this does")
			admin.see("accept at least one")
			admin.inspect("workgroup-wrong")
			admin.tick("Authenticator app", true)
			admin.tick("Passkey", false)
			admin.saveOptions("is ready", "an accepted factor")

			admin.follow("Workgroups")
			admin.see("Field sales", "100 %")
			admin.inspect("workgroups")
			admin.visit("/admin/policy")
			admin.title("Policy")
			admin.see("What the configuration allows")
			admin.inspect("policy")
			admin.tick("Enable 2 Factor Login", true)
			admin.saveOptions("of 2 people", "Maya Lindqvist", "Enrols after the password")
			if out, code := s.Run("", "workgroup", "list"); code != 0 || !strings.Contains(out, "Field sales") {
				t.Error(out)
			}
		})
	}
}
