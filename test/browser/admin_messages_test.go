package browser

import (
	"strings"
	"testing"
	"time"

	"sallyport/test/harness"
)

// An administrator edits a mail by clicking, and somebody in another browser gets the new text. Then the original again, a
// text that is refused, one that is flagged, and the test buttons.
//
// A6, ux 24
func TestMessageTemplates(t *testing.T) {
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			s, b := beginAdmin(t, l, "messages")
			b.visit("/admin/messages")
			b.title("Message templates")
			b.see("code-first", "Codes", "Notices", "K7MQ-3XTP is your Sallyport code")
			b.inspect("list")
			b.follow("code-first")
			b.title("code-first")
			b.see("{agent.email}", "It fits one SMS.", "@localhost #012345")
			b.inspect("one")
			b.editCode(s)
			b.refusedTexts()
			b.flagged()
			b.testButtons(s)
		})
	}
}

// beginAdmin is a server with an administrator and a member, and the administrator signed in.
func beginAdmin(t *testing.T, l look, label string) (*harness.Server, *tab) {
	t.Helper()
	s := harness.Start(t, harness.Options{Env: append(outbox, byMail)})
	for role, login := range map[string]string{"admin": "root@example.com", "member": email} {
		out, code := s.Run(password+"\n", "user", "add", "--email", login, "--name", "Maya Lindqvist", "--role", role, "--password-stdin")
		if code != 0 {
			t.Fatal(out)
		}
	}
	if out, code := s.Run("", "user", "contact", "root@example.com", "--phone", number); code != 0 {
		t.Fatal(out)
	}
	b := open(t, s.URL, l, label)
	b.login = "root@example.com"
	b.visit("/account/security")
	b.signIn(password)
	b.notNow()
	b.title("Security")
	return s, b
}

// editCode previews, saves and takes back the text of a code, with a look at what somebody else gets.
func (b *tab) editCode(s *harness.Server) {
	b.Helper()
	b.fill("Subject", "Welcome to the island: {code}")
	b.fill("Text of the SMS", "Island code {code}")
	b.follow("Preview")
	b.see("Nothing is saved yet.", "Welcome to the island: K7MQ-3XTP", "Island code 012345")
	if styled := eval[string](b, `const d = document.querySelector('iframe'); return d.srcdoc.includes('Welcome to the island') ? '' : 'no mail in the frame'`); styled != "" {
		b.Error(styled)
	}
	b.inspect("preview")
	if got := mailTo(b, s); !strings.HasSuffix(got, "is your Sallyport code") {
		b.Errorf("a preview was sent: %q", got)
	}
	b.press("Save")
	b.title("Confirm it’s you")
	b.inspect("stepup")
	b.fill("Password", password)
	b.follow("Continue")
	b.title("code-first")
	b.see("Edited today", "Of what is sent now.")
	b.inspect("saved")
	if got := mailTo(b, s); !strings.HasPrefix(got, "Welcome to the island: ") {
		b.Errorf("the other browser got %q", got)
	}
	b.follow("Message templates")
	b.see("Edited", "Welcome to the island: K7MQ-3XTP")
	b.inspect("list-edited")
	b.follow("code-first")
	b.follow("Back to the original")
	b.title("code-first")
	b.see("As it came with Sallyport.", "K7MQ-3XTP is your Sallyport code")
	if got := mailTo(b, s); !strings.HasSuffix(got, "is your Sallyport code") {
		b.Errorf("the other browser got %q", got)
	}
}

// mailTo is the subject of the code that somebody in another browser asks for.
func mailTo(b *tab, s *harness.Server) (subject string) {
	b.Helper()
	before := len(harness.Messages(b.T, s))
	other := open(b.T, s.URL, desk, "messages-other")
	other.visit("/signin/mailed")
	other.fill("Email", email)
	other.follow("Send code")
	other.see("Resend possible in")
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if all := harness.Messages(b.T, s); len(all) > before {
			return all[0].Subject
		}
	}
	b.Fatal("no code came")
	return ""
}

// refusedTexts types what cannot be sent: the reason stands at the field, and what was typed stays.
func (b *tab) refusedTexts() {
	b.Helper()
	b.fill("Text of the SMS", "No code in here")
	b.follow("Save")
	b.see("This lacks {code}.")
	if got := eval[string](b, `return labelled('Text of the SMS').value`); got != "No code in here" {
		b.Errorf("the field has %q", got)
	}
	b.inspect("refused")
	b.fill("Text of the SMS", "{code} for {agent.fax}")
	b.follow("Preview")
	b.see("This has {agent.fax}, which this text cannot fill.")
}

// flagged is A6: a text that would say by SMS where codes by mail go.
func (b *tab) flagged() {
	b.Helper()
	b.fill("Text of the SMS", "{code} for {agent.email}")
	b.follow("Save")
	b.see("learns where codes by email are sent", "or tick below that it is meant so")
	b.inspect("flag-refused")
	b.tick("Save it although it gives away where codes are sent", true)
	b.follow("Save")
	b.see("It gives away where codes are sent.")
	b.inspect("flagged")
	b.follow("Message templates")
	b.see("One message needs a look.", "Flagged")
	b.inspect("list-flagged")
}

// testButtons sends a test by each channel, to the administrator alone.
func (b *tab) testButtons(s *harness.Server) {
	b.Helper()
	for button, to := range map[string]string{"Send a test mail": "root@example.com", "Send a test SMS": number} {
		b.follow(button)
		b.see("The other side took it.")
		b.inspect(strings.ReplaceAll(button, " ", "-"))
		if sent := harness.Messages(b.T, s)[0]; sent.To != to || !strings.Contains(sent.Text, "nothing to do") {
			b.Errorf("%+v", sent)
		}
		b.follow("Message templates")
	}
}

// Without JavaScript a message is looked at and saved as well.
//
// A6, U1
func TestMessageTemplatesWithoutJavaScript(t *testing.T) {
	_, b := beginAdmin(t, desk, "messages-plain")
	b.withoutScript()
	b.visit("/admin/messages/en/test")
	b.fill("Title", "By hand")
	b.follow("Preview")
	b.see("Nothing is saved yet.")
	b.follow("Save")
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.follow("Continue")
	b.title("test")
	b.see("Edited")
	b.inspect("saved")
	b.follow("Message templates")
	b.follow("Send a test mail")
	b.see("Test mail")
	b.inspect("tried")
}
