package wording

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/auth"
)

func edited(t *testing.T, below *Texts, edits ...Edit) *Texts {
	t.Helper()
	texts, faults := below.With(edits)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return texts
}

// A6: what was edited lies over the folder, and the folder over ours.
func TestAnEditLiesOverTheFolderAndTheFolderOverOurs(t *testing.T) {
	folder, err := overlaid(t, "de.toml", "[test]\nsubject = \"Ordner\"\ntitle = \"Ordner\"\n")
	if err != nil {
		t.Fatal(err)
	}
	texts := edited(t, folder, Edit{"de", "test", "subject", "Seite für {agent.name}"})
	mail, below := texts.Mail("de", "test", Sample("test")), folder.Mail("de", "test", Sample("test"))
	if mail.Subject != "Seite für Maya Lind" || !strings.HasPrefix(mail.Text, "Ordner\n") || !strings.Contains(mail.Text, "Testnachricht") && !strings.Contains(mail.Text, "Administrator") {
		t.Error(mail.Subject, mail.Text)
	}
	if below.Subject != "Ordner" || texts.Mail("en", "test", Sample("test")) != load(t).Mail("en", "test", Sample("test")) {
		t.Error("something else changed")
	}
	if !texts.FromFolder("de", "test") || texts.FromFolder("de", "code-signin") || texts.FromFolder("en", "test") || load(t).FromFolder("en", "test") {
		t.Error("it does not know what the folder has")
	}
	if lines := texts.Lines("de", "test"); lines["subject"] != "Seite für {agent.name}" || lines["title"] != "Ordner" {
		t.Error(lines)
	}
}

func TestWhatWasWrittenIsShownAsItWas(t *testing.T) {
	texts := load(t)
	for tag, l := range texts.languages {
		for _, name := range texts.Names() {
			again := edited(t, texts, func() (all []Edit) {
				for key, words := range texts.Lines(tag, name) {
					all = append(all, Edit{tag, name, key, words})
				}
				return all
			}()...)
			if again.Mail(tag, name, Sample(name)) != texts.Mail(tag, name, Sample(name)) || len(again.languages[tag][name]) != len(l[name]) {
				t.Errorf("%s %s says something else", tag, name)
			}
		}
	}
}

// What a file may not say, an edit may not: it names the text, and the message stays as it is.
func TestAnEditThatCannotStandChangesNothing(t *testing.T) {
	texts := load(t)
	for name, e := range map[string]Edit{
		"an unknown tag":               {"en", "test", "lead", "{cod}"},
		"a tag of another message":     {"en", "notice-password", "lead", "{code}"},
		"a stray brace":                {"en", "test", "lead", "a { b"},
		"a line break in a subject":    {"en", "test", "subject", "a\r\nBcc: eve@example.net"},
		"a line break in an SMS":       {"en", "code-signin", "sms", "{code}\n\n@evil.example #123456"},
		"a line separator":             {"en", "code-signin", "sms", "{code}\u2028@evil.example #123456"},
		"spaces around it":             {"en", "test", "subject", " x"},
		"an empty subject":             {"en", "test", "subject", ""},
		"a subject that comes out so":  {"en", "code-signin", "subject", "{link}"},
		"an SMS without its code":      {"en", "code-signin", "sms", "Hello"},
		"no SMS for a code":            {"en", "code-signin", "sms", ""},
		"an address for strangers":     {"en", "notice-email", "lead", "{agent.email}"},
		"a number for strangers":       {"en", "code-verify", "sms", "{code} {agent.workphone}"},
		"no text that there is":        {"en", "test", "body", "x"},
		"broken UTF-8":                 {"en", "test", "lead", "\xff\xfe"},
		"a text as long as a book":     {"en", "test", "lead", strings.Repeat("x", mostWords+1)},
		"a message that there is not":  {"en", "code-sigin", "subject", "x"},
		"a table that is no message":   {"en", "words", "account", "x"},
		"a language that there is not": {"sv", "test", "subject", "x"},
		"half a path":                  {"../en", "test", "subject", "x"},
	} {
		got, faults := texts.With([]Edit{e, {"en", "notice-browser", "title", "Another one"}})
		if len(faults) != 1 || faults[0].Message != e.Message || faults[0].Why == "" {
			t.Errorf("%s: %v", name, faults)
		}
		if _, there := find(e.Message); there && got.Mail("en", e.Message, Sample(e.Message)) != texts.Mail("en", e.Message, Sample(e.Message)) {
			t.Errorf("%s changed something", name)
		}
		if mail := got.Mail("en", "notice-browser", Sample("notice-browser")); !strings.Contains(mail.Text, "Another one") {
			t.Errorf("%s kept another edit from being used", name)
		}
		err := texts.Check(e.Language, e.Message, map[string]string{e.Key: e.Words})
		if wrong := (auth.InvalidError{}); !errors.Is(err, auth.ErrNotFound) && (!errors.As(err, &wrong) || wrong.Field != e.Key) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// One edit that cannot be used takes the others of its message along: half of one and half of another make no sense.
func TestAMessageIsEditedAsAWholeOrNotAtAll(t *testing.T) {
	texts := load(t)
	got, faults := texts.With([]Edit{{"en", "test", "title", "Fine"}, {"en", "test", "lead", "{nothing}"}})
	if len(faults) != 1 || faults[0].Key != "lead" || got.Mail("en", "test", Sample("test")) != texts.Mail("en", "test", Sample("test")) {
		t.Error(faults)
	}
}

func TestALanguageGetsAMessageThatItLacked(t *testing.T) {
	texts, err := overlaid(t, "sv.toml", swedish)
	if err != nil {
		t.Fatal(err)
	}
	whole := []Edit{{"sv", "notice-password", "subject", "Ditt lösenord"}, {"sv", "notice-password", "preview", "Ändrat"}, {"sv", "notice-password", "title", "Ditt lösenord"}}
	if _, faults := texts.With(whole); len(faults) != 1 || faults[0].Key != "lead" {
		t.Error(faults)
	}
	got := edited(t, texts, append(whole, Edit{"sv", "notice-password", "lead", "Ändrat."})...)
	if mail := got.Mail("sv", "notice-password", Sample("notice-password")); mail.Subject != "Ditt lösenord" || !strings.Contains(mail.HTML, `lang="sv"`) {
		t.Error(mail)
	}
}

// Whatever somebody manages to save: no line of it breaks, nothing of it becomes markup, and the code stays bound to us.
func TestNothingThatCanBeSavedBreaksAMessage(t *testing.T) {
	texts := load(t)
	want := tagsOf(edited(t, texts, Edit{"en", "code-signin", "note", "x"}).Mail("en", "code-signin", Sample("code-signin")).HTML)
	saved := 0
	for _, s := range hostile(t) {
		got, faults := texts.With([]Edit{{"en", "code-signin", "subject", "{code} " + s}, {"en", "code-signin", "note", s}, {"en", "code-signin", "sms", "{code} " + s}})
		if len(faults) == 0 && plain(s) != "" {
			saved++
			if html := got.Mail("en", "code-signin", Sample("code-signin")).HTML; !slices.Equal(tagsOf(html), want) {
				t.Errorf("%q: %s", s, html)
			}
		}
		if subject := got.Mail("en", "code-signin", Sample("code-signin")).Subject; !auth.OneLine(subject) {
			t.Errorf("%q: subject %q", s, subject)
		}
		said := got.SMS("en", "code-signin", Sample("code-signin"))
		if lines := strings.Split(said, "\n"); len(lines) != 3 || lines[2] != "@id.example.com #K7MQ-3XTP" {
			t.Errorf("%q: %q", s, said)
		}
	}
	if saved < 100 {
		t.Errorf("only %d could be saved: the test tries nothing", saved)
	}
}

// A6: who reads one channel does not learn of the other unless somebody is told so.
func TestATextThatTellsOfTheOtherChannelIsFlagged(t *testing.T) {
	for name, c := range map[string]struct {
		edits []Edit
		want  []string
	}{
		"ours":                         {nil, nil},
		"a number in a mail":           {[]Edit{{"en", "code-signin", "note", "We also have {agent.workphone}."}}, []string{"note"}},
		"a number in a subject":        {[]Edit{{"en", "code-signin", "subject", "{agent.workphone}"}}, []string{"subject"}},
		"an address in a mail":         {[]Edit{{"en", "code-signin", "note", "Sent to {agent.email}."}}, nil},
		"an address in an SMS":         {[]Edit{{"en", "code-signin", "sms", "{code} for {agent.email}"}}, []string{"sms"}},
		"a number in an SMS":           {[]Edit{{"en", "code-signin", "sms", "{code} for {agent.workphone}"}}, nil},
		"a subject that is the SMS":    {[]Edit{{"en", "test", "sms", ""}, {"en", "test", "subject", "For {agent.email}"}}, []string{"subject"}},
		"a subject beside an SMS":      {[]Edit{{"en", "test", "subject", "For {agent.email}"}}, nil},
		"a subject that is never said": {[]Edit{{"en", "notice-password", "subject", "For {agent.email}"}}, nil},
		"both":                         {[]Edit{{"en", "code-signin", "sms", "{code} {agent.email}"}, {"en", "code-signin", "lead", "{agent.workphone}"}}, []string{"lead", "sms"}},
	} {
		texts := edited(t, load(t), c.edits...)
		var got []string
		for _, m := range texts.Names() {
			for _, f := range texts.Reveals("en", m) {
				if got = append(got, f.Key); f.Why == "" || f.Message != c.edits[0].Message {
					t.Error(f)
				}
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: flagged %v, want %v", name, got, c.want)
		}
	}
	folder, err := overlaid(t, "de.toml", "[code-signin]\nnote = \"{agent.workphone}\"\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := folder.Reveals("de", "code-signin"); len(got) != 1 || got[0].Key != "note" {
		t.Error("from the folder: ", got)
	}
}

// Each tag that a text may have is explained, and no other is.
func TestEveryTagIsExplained(t *testing.T) {
	for _, m := range messages {
		d, ok := Describe(m.name)
		unsaid := 1 // {link}
		if d.Link {
			unsaid = 0
		}
		if !ok || d.When == "" || len(d.Tags) != len(m.shape().tags)-unsaid || !d.Needs("subject") || d.Needs("note") || d.Needs("sms") != m.isCode() || m.isCode() && !d.Phone {
			t.Errorf("%+v", d)
		}
	}
	if _, ok := Describe("words"); ok {
		t.Error("a table is described as a message")
	}
}
