package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/test/harness"
)

// Texts can be looked at and tried where there is neither database nor key ring. A6
func TestMessagesAreSeenFromTheCommandLineAlone(t *testing.T) {
	t.Parallel()
	nowhere, texts := filepath.Join(t.TempDir(), "nothing here"), t.TempDir()
	write := func(language, words string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(texts, language+".toml"), []byte(words), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("en", "[code-signin]\nsubject = \"Your code for {site.name}: {code}\"\n")
	env := []string{"SALLYPORT_DATA=" + nowhere, "SALLYPORT_MESSAGES_TEXTS=" + texts}
	mail := append(env, "SALLYPORT_MAIL_HOST=127.0.0.1:1", "SALLYPORT_MAIL_TLS=none", "SALLYPORT_MAIL_FROM=no-reply@example.com")
	sms := append(env, "SALLYPORT_SMS_PROVIDER=webhook", "SALLYPORT_SMS_URL=http://127.0.0.1:1", "SALLYPORT_SMS_COUNTRIES=SE",
		"SALLYPORT_SMS_SECRET=0123456789abcdef0123456789abcdef")
	for _, test := range []struct {
		env  []string
		args string
		code int
		says string
	}{
		{env, "list", 0, "\nLanguages: de, en, es, fi, fr\n"},
		{env, "list", 0, "code-signin            Your code for Sallyport: K7MQ-3XTP\n"},
		{env, "preview code-signin --format subject", 0, "Your code for Sallyport: K7MQ-3XTP\n"},
		{env, "preview code-signin --format subject --language de", 0, "K7MQ-3XTP ist Ihr Code für Sallyport\n"},
		{env, "preview code-signin --language de-AT", 0, "\nK7MQ-3XTP\n"},
		{env, "preview code-signin --format html", 0, "<!doctype html>"},
		{env, "preview code-signin --format sms", 0, "\n\n@localhost #"},
		{env, "preview code-signin --format sms --language tlh", 1, `--language is "tlh": use one of de, en, es, fi, fr, or put tlh.toml into the folder messages.texts`},
		{env, "preview nothing", 1, `there is no message "nothing": use one of code-signin,`},
		{env, "preview code-signin --format pdf", 2, "--format"},
		{env, "test ann@example.com", 1, "mail.host is empty"},
		{env, "test +46701740605", 1, "sms.provider is empty"},
		{env, "test ann", 1, `"ann" is no email address and no phone number`},
		{append(env, "SALLYPORT_MAIL_HOST=outbox"), "test ann@example.com", 1, "mail.host is outbox"},
		{append(env, "SALLYPORT_MAIL_HOST=relay"), "test ann@example.com", 1, "mail.host is \"relay\": set it to host:port"},
		{mail, "test ann@", 1, "email must be an email address"},
		{mail, "test ann@example.com", 1, "127.0.0.1:1 did not take it"},
		{mail, "test ann@example.com", 1, "connection refused"},
		{sms, "test +46701740605", 1, "webhook did not take it"},
		{sms, "test +358401234567", 1, "the number is of FI, which sms.countries lacks"},
		{append(env, "SALLYPORT_MESSAGES_TEXTS="+nowhere), "list", 1, "messages.texts: "},
		{append(env, "SALLYPORT_MESSAGES_LANGUAGE=tlh"), "list", 1, `messages.language is "tlh"`},
	} {
		out, code := harness.Command(t, test.env, "", append([]string{"messages"}, strings.Fields(test.args)...)...)
		if code != test.code || !strings.Contains(out, test.says) {
			t.Errorf("%s: exit %d, want %d: %s, want %q", test.args, code, test.code, out, test.says)
		}
	}
	if _, err := os.Stat(nowhere); err == nil {
		t.Error("a folder was made")
	}

	// check finds a broken text before anybody is sent it.
	write("de", "[code-signin]\nsubject = \"{code} für {site.nam}\"\n")
	data := t.TempDir()
	env = []string{"SALLYPORT_DATA=" + data, "SALLYPORT_MESSAGES_TEXTS=" + texts}
	if out, code := harness.Command(t, env, "", "keys", "rotate"); code != 0 {
		t.Fatal(out)
	}
	for _, command := range []string{"check", "serve", "messages list"} {
		out, code := harness.Command(t, env, "", strings.Fields(command)...)
		if code != 1 || !strings.Contains(out, "de.toml: [code-signin] subject: has {site.nam}, which this text cannot fill") {
			t.Errorf("%s: %d %s", command, code, out)
		}
	}
}

// A6: the command line shows what is sent, with what was edited over the folder, and without a table for it what the
// folder has.
func TestTheCommandLineKnowsOfEditedTexts(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		texts := t.TempDir()
		if err := os.WriteFile(filepath.Join(texts, "en.toml"), []byte("[test]\nsubject = \"Folder\"\ntitle = \"Folder\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s := harness.Start(t, harness.Options{Database: address, Env: []string{"SALLYPORT_MESSAGES_TEXTS=" + texts}})
		out, code := s.Run(password+"\n", "user", "add", "--email", anna, "--name", "Anna", "--role", "admin", "--password-stdin")
		if code != 0 {
			t.Fatal(out)
		}
		c := harness.NewClient(t, s.URL)
		if a := harness.SignIn(t, c, anna, password); a["state"] != "signed_in" {
			t.Fatal(a)
		}
		expect(t, "a fresh proof", c.Call("POST", "/stepup/password", m{"password": password}), "200")
		expect(t, "a text is edited", c.Call("POST", "/admin/messages/en/test", m{"subject": "Page", "preview": "p", "title": "Folder",
			"lead": "For {agent.email}", "sms": "{agent.email}", "reveal": true}), "204")
		preview := func(format string) string {
			out, code := s.Run("", "messages", "preview", "test", "--format", format)
			if code != 0 {
				t.Error(out)
			}
			return out
		}
		if out := preview("subject"); out != "Page\n" {
			t.Error(out)
		}
		if out := preview("text"); !strings.HasPrefix(out, "Folder\n\nFor maya@example.com\n") {
			t.Error(out)
		}
		if out, _ := s.Run("", "messages", "list"); !strings.Contains(out, `Flagged: sms of test in "en" says the email address in an SMS`) {
			t.Error(out)
		}
		expect(t, "back to the original", c.Call("DELETE", "/admin/messages/en/test", nil), "204")
		if out := preview("subject"); out != "Folder\n" {
			t.Error(out)
		}
	})
}
