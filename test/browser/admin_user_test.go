package browser

import (
	"regexp"
	"testing"

	"sallyport/test/harness"
)

const nora = "nora@example.com"

var invitation = regexp.MustCompile(`http\S+(/forgot/[\w-]+)`)

// invited is the path of the newest invitation to somebody.
func invited(t *testing.T, s *harness.Server, to string) string {
	t.Helper()
	for _, m := range harness.Messages(t, s) {
		if link := invitation.FindStringSubmatch(m.Text); m.Message == "invitation" && m.To == to && link != nil {
			return link[1]
		}
	}
	t.Fatal("no invitation to ", to)
	return ""
}

// choose picks an entry of a select.
func (b *tab) choose(label, entry string) {
	b.Helper()
	b.until(label+": "+entry, `
		const s = labelled(a), o = s && [...s.options].find((o) => o.text.startsWith(b));
		if (!o) return false;
		s.value = o.value;
		s.dispatchEvent(new Event('change', {bubbles: true}));
		return true`, label, entry)
}

// An administrator adds somebody with codes by SMS, who takes up the invitation in a browser of their own; resets them, gives
// them a pass, changes their role, keeps them out and deletes them.
//
// A2, A3, A4, A5, W1, C5, ux 22
func TestAnAdministratorLooksAfterAPerson(t *testing.T) {
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{Env: append(outbox, "SALLYPORT_PASSKEYS_OFFER=false")})
			add(t, s)
			b := open(t, s.URL, l, "admin-user")
			b.visit("/admin/users/new")
			b.signIn(password)
			b.addNora(s)
			n := open(t, s.URL, desk, "admin-user-nora-"+l.String())
			n.login = nora
			n.acceptInvitation(s)
			at := b.lookAfter()
			b.resetNora(at)
			n.comesBack(s)
			b.endNora(at)
		})
	}
}

func (b *tab) addNora(s *harness.Server) {
	b.Helper()
	b.title("New user")
	b.inspect("new")
	b.fill("Name", "Nora Berg")
	b.fill("Email", nora)
	b.choose("MFA", "SMS")
	b.press("Add user")
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.follow("Continue")
	b.see("This is needed: MFA is set to SMS.")
	b.inspect("needed")
	b.fill("Work phone", "+46 70 174 06 05")
	b.follow("Add user")
	b.title("Invitation sent")
	b.see("n•••@example.com")
	b.inspect("invited")
	b.follow("Done")
	b.title("Nora Berg")
	b.see("Never signed in", "They have no password that works here.")
	b.inspect("never")
}

func (b *tab) acceptInvitation(s *harness.Server) {
	b.Helper()
	b.visit(invited(b.T, s, nora))
	b.title("Welcome to Sallyport")
	b.inspect("welcome")
	b.fill("Password", password)
	b.follow("Save and sign in")
	b.visit("/account/security")
	b.signIn(password)
	b.byText(s)
	b.visit("/account/security")
	b.title("Security")
	b.see("MFA is on")
}

// byText sets up the phone that an administrator chose.
func (b *tab) byText(s *harness.Server) {
	b.Helper()
	b.title("Set up a second step")
	b.follow("Text message")
	b.see("•••• 0605")
	b.fill("6-digit code", harness.Mailed(b.T, s, number))
	b.follow("Confirm")
}

func (b *tab) lookAfter() (at string) {
	b.Helper()
	b.visit(b.at())
	b.title("Nora Berg")
	b.see("Active", "•••• 0605", "set by an administrator on this person", "A second step: Text message •••• 0605.", "User invited", "by Maya Lindqvist")
	b.inspect("active")
	at = b.at()
	b.choose("Role", "Support")
	b.follow("Save changes")
	b.title("Nora Berg")
	b.see("Role changed", "from member to support")
	b.inspect("support")
	b.press("Temporary access pass")
	b.title("Access pass for Nora Berg")
	b.inspect("pass-ask")
	b.fill("Reason", "phone left at home")
	b.follow("Give a pass")
	b.title("Temporary access pass")
	b.see("You see it only now.")
	b.inspect("pass")
	return at
}

func (b *tab) resetNora(at string) {
	b.Helper()
	b.follow("Done")
	b.title("Nora Berg")
	b.press("Reset MFA")
	b.title("Reset MFA of Nora Berg?")
	b.inspect("reset-ask")
	b.fill("Reason", "phone lost")
	b.follow("Reset MFA")
	b.title("MFA was reset")
	b.see("A link was mailed to n•••@example.com.")
	b.inspect("reset")
	b.visit(at)
	b.title("Nora Berg")
	b.see("Not signed in anywhere.", "MFA reset")
}

// comesBack is Nora with a pass that was given to her after the reset.
func (b *tab) comesBack(s *harness.Server) {
	b.Helper()
	out, code := s.Run("", "user", "access-pass", nora, "--reason", "mailbox full")
	printed := printedPass.FindStringSubmatch(out)
	if code != 0 || printed == nil {
		b.Fatal(out)
	}
	b.visit("/account/security")
	b.signIn(password)
	b.title("Enter your access pass")
	b.fill("Access pass", printed[1])
	b.follow("Continue")
	b.byText(s)
	b.visit("/account/security")
	b.title("Security")
}

func (b *tab) endNora(at string) {
	b.Helper()
	b.visit(at)
	b.press("Disable")
	b.title("Disable Nora Berg?")
	b.inspect("disable-ask")
	b.follow("Disable")
	b.title("Nora Berg")
	b.see("Disabled", "Nothing lets them in: they are disabled.")
	b.inspect("disabled")
	b.follow("Enable")
	b.title("Nora Berg")
	b.see("Active")
	b.press("Delete user")
	b.title("Delete Nora Berg?")
	b.inspect("delete-ask")
	b.fill("Type nora@example.com to confirm", "maya@example.com")
	b.follow("Delete")
	b.see("This is not the email that this person signs in with.")
	b.fill("Type nora@example.com to confirm", nora)
	b.leave(func() { b.press("Delete") })
	b.mu.Lock()
	b.complaints = nil // the console notes what was refused, and the page of somebody who is no more
	b.mu.Unlock()
	b.visit(at)
	b.see("There is nothing here")
	b.mu.Lock()
	b.complaints = nil
	b.mu.Unlock()
}
