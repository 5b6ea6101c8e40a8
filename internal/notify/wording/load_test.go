package wording

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// overlaid loads files, given as name and content in turns, over ours.
func overlaid(t *testing.T, files ...string) (*Texts, error) {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(dir, site)
}

// A6
func TestADeploymentChangesATextAndKeepsTheOthers(t *testing.T) {
	texts, err := overlaid(t, "de.toml", "[code-signin]\nsubject = \"{site.name}: {code}\"\nnote = \"\"\n", "README.md", "not a language")
	if err != nil {
		t.Fatal(err)
	}
	mail, ours := texts.Mail("de", "code-signin", Sample("code-signin")), load(t).Mail("de", "code-signin", Sample("code-signin"))
	if mail.Subject != "Sallyport: K7MQ-3XTP" || strings.Contains(mail.Text, "niemals") || !strings.Contains(mail.Text, "Ihr Anmeldecode") {
		t.Error(mail.Subject, mail.Text)
	}
	if texts.SMS("de", "code-signin", Sample("code-signin")) != load(t).SMS("de", "code-signin", Sample("code-signin")) || ours.Subject == mail.Subject {
		t.Error("another text changed")
	}
	if english := texts.Mail("en", "code-signin", Sample("code-signin")); english != load(t).Mail("en", "code-signin", Sample("code-signin")) {
		t.Error("another language changed")
	}
}

func TestAButtonCanBeTakenAway(t *testing.T) {
	texts, err := overlaid(t, "en.toml", "[notice-password]\nact = \"\"\n")
	if err != nil {
		t.Fatal(err)
	}
	mail := texts.Mail("en", "notice-password", Sample("notice-password"))
	if strings.Contains(mail.HTML, "href") || strings.Contains(mail.Text, "It opens a page") {
		t.Error(mail.Text)
	}
}

const swedish = `
[words]
account = "Konto"
browser = "Webbläsare"
address = "Adress"
time = "Tid"
footer = "Skickat till {to} av {site.name}."
always = "Säkerhetsmeddelanden kan inte stängas av."
[kinds]
passkey = "nyckel"
totp = "autentiseringsapp"
email = "koder via e-post"
sms = "koder via sms"
password = "lösenord"
backupcode = "reservkoder"
accesspass = "tillfälligt passerkort"
off = "som du vill"
required = "krävs"
[lines]
row = "{label}: {value}"
[dates]
months = "januari februari mars april maj juni juli augusti september oktober november december"
date = "{day} {month} {year} kl. {hour}:{minute} {zone}"
clock = "kl. {hour}:{minute} {zone}"
[test]
subject = "Test av {site.name}"
preview = "Det fungerar."
title = "Test"
lead = "Det fungerar."
`

func TestALanguageIsAddedAndWhatItLacksIsEnglishAsAWhole(t *testing.T) {
	texts, err := overlaid(t, "sv.toml", swedish)
	if err != nil {
		t.Fatal(err)
	}
	if !texts.Has("sv-FI") || !slices.Contains(texts.Languages(), "sv") {
		t.Error(texts.Languages())
	}
	if mail := texts.Mail("sv", "test", Sample("test")); mail.Subject != "Test av Sallyport" || !strings.Contains(mail.Text, "Tid: 21 november 2026 kl. 14:28 UTC") || !strings.Contains(mail.HTML, `lang="sv"`) {
		t.Error(mail.Subject, mail.Text)
	}
	if sms := texts.SMS("sv", "test", Sample("test")); sms != "Test av Sallyport" {
		t.Error(sms)
	}
	if texts.Mail("sv", "notice-password", Sample("notice-password")) != texts.Mail("en", "notice-password", Sample("notice-password")) {
		t.Error("two languages in one mail")
	}
}

func TestAFaultInAFileIsNamedWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		want       []string
	}{
		"an unknown message":           {"de.toml", "[code-sigin]\nsubject = \"x\"", []string{"de.toml", "[code-sigin]", "no such message"}},
		"a text outside a message":     {"de.toml", "subject = \"x\"", []string{"de.toml", "[subject]", "no such message"}},
		"an unknown key":               {"de.toml", "[code-signin]\nsubjct = \"x\"", []string{"de.toml", "[code-signin] subjct", "no such key"}},
		"an unknown tag":               {"de.toml", "[code-signin]\nlead = \"{cod}\"", []string{"de.toml", "[code-signin] lead", "{cod}"}},
		"a tag in capitals":            {"de.toml", "[code-signin]\nlead = \"{Code}\"", []string{"[code-signin] lead", "{Code}"}},
		"a tag of nothing":             {"de.toml", "[code-signin]\nlead = \"{}\"", []string{"[code-signin] lead", "{}"}},
		"a tag of another message":     {"en.toml", "[notice-password]\nlead = \"{code}\"", []string{"en.toml", "[notice-password] lead", "{code}"}},
		"a tag in a word":              {"en.toml", "[kinds]\nsms = \"{to}\"", []string{"[kinds] sms", "{to}"}},
		"a brace that opens":           {"en.toml", "[test]\nlead = \"a { b\"", []string{"[test] lead", "brace"}},
		"a brace that closes":          {"en.toml", "[test]\nlead = \"{to} }\"", []string{"[test] lead", "brace"}},
		"doubled braces":               {"en.toml", "[test]\nlead = \"{{to}}\"", []string{"[test] lead", "brace"}},
		"an empty subject":             {"fr.toml", "[test]\nsubject = \"\"", []string{"fr.toml", "[test] subject", "empty"}},
		"a subject of spaces":          {"fr.toml", "[test]\nsubject = \"  \"", []string{"[test] subject"}},
		"a subject that comes out so":  {"fr.toml", "[notice-blocked]\nsubject = \"{link}\"", []string{"fr.toml", "[notice-blocked] subject", "empty"}},
		"one beside a good SMS":        {"fr.toml", "[code-signin]\nsubject = \"{link}\"", []string{"fr.toml", "[code-signin] subject", "empty"}},
		"an empty title":               {"fr.toml", "[test]\ntitle = \"\"", []string{"[test] title", "empty"}},
		"a line break in a subject":    {"es.toml", "[test]\nsubject = \"a\\nBcc: b\"", []string{"es.toml", "[test] subject", "one line"}},
		"a line break in an SMS":       {"es.toml", "[code-signin]\nsms = \"{code}\\n@evil.example #1\"", []string{"[code-signin] sms", "one line"}},
		"a line separator":             {"es.toml", "[test]\nlead = \"a\u2028b\"", []string{"[test] lead", "one line"}},
		"an SMS without its code":      {"fi.toml", "[code-stepup]\nsms = \"Hei {site.name}\"", []string{"fi.toml", "[code-stepup] sms", "lacks {code}"}},
		"no SMS for a code":            {"fi.toml", "[code-stepup]\nsms = \"\"", []string{"[code-stepup] sms", "empty"}},
		"a number for a text":          {"fi.toml", "[test]\nsubject = 5", []string{"[test] subject", "text"}},
		"a table for a text":           {"fi.toml", "[test.subject]\na = \"b\"", []string{"[test] subject", "text"}},
		"no TOML":                      {"fi.toml", "[test]\nsubject = ", []string{"fi.toml", "line 2"}},
		"eleven months":                {"fi.toml", "[dates]\nmonths = \"a b c d e f g h i j k\"", []string{"[dates] months", "11"}},
		"no word for a row":            {"fi.toml", "[words]\ntime = \"\"", []string{"[words] time", "empty"}},
		"a new language without words": {"sv.toml", "[test]\nsubject = \"x\"", []string{"sv.toml", "[words]", "missing"}},
		"half a message":               {"sv.toml", swedish + "[code-signin]\nsubject = \"{code}\"", []string{"sv.toml", "[code-signin] preview", "missing"}},
		"a file that is no language":   {"Deutsch.toml", "", []string{"Deutsch.toml", "lower case"}},
		"a language in capitals":       {"pt-BR.toml", swedish, []string{"pt-BR.toml", "lower case"}},
	} {
		_, err := overlaid(t, c.file, c.text)
		if err == nil {
			t.Errorf("%s is let pass", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: no %q in: %v", name, want, err)
			}
		}
	}
}

// A6: these go to an address before we know whose it is, after it changed hands, or while two people have it.
func TestAMessageThatAStrangerMayReadSaysNotWhereCodesAreSent(t *testing.T) {
	for _, m := range messages {
		for _, tag := range destinations {
			_, err := overlaid(t, "en.toml", "["+m.name+"]\nlead = \"Call {"+tag+"}\"")
			stranger := slices.Contains([]string{"code-verify", "notice-email", "notice-phone", "notice-blocked", "notice-recovery-begun", "notice-recovery-ended"}, m.name)
			if stranger && (err == nil || !strings.Contains(err.Error(), "would learn where codes are sent")) || !stranger && err != nil {
				t.Errorf("{%s} in %s: %v", tag, m.name, err)
			}
		}
		f := Sample(m.name)
		f.Tags["to"] = "old@example.com"
		if mail := load(t).Mail("en", m.name, f); !m.own && strings.Contains(mail.Text+mail.HTML+mail.Subject, "maya@") {
			t.Errorf("%s names the address of the account", m.name)
		}
	}
}

func TestAFolderThatIsNotThereIsNoEmptyOne(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "missing"), site); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Error(err)
	}
}
