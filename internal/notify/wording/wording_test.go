package wording

import (
	"html/template"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var site = Site{Name: "Sallyport", Host: "id.example.com:8443", Support: "mailto:help@example.com"}

func load(t *testing.T) *Texts {
	t.Helper()
	texts, err := Load("", site)
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// each runs over every message in every language.
func each(t *testing.T, test func(t *testing.T, texts *Texts, language string, m message)) {
	texts := load(t)
	for _, language := range texts.Languages() {
		for _, m := range messages {
			t.Run(language+"/"+m.name, func(t *testing.T) { test(t, texts, language, m) })
		}
	}
}

func TestEveryLanguageSaysEverything(t *testing.T) {
	texts := load(t)
	if got := texts.Languages(); !slices.Equal(got, []string{"de", "en", "es", "fi", "fr"}) {
		t.Fatal(got)
	}
	for _, tag := range texts.Languages() {
		for name, lines := range texts.languages["en"] {
			for key, english := range lines {
				if other := texts.languages[tag][name][key]; !slices.Equal(tags(english), tags(other)) {
					t.Errorf("%s [%s] %s: tags %v, in English %v", tag, name, key, tags(other), tags(english))
				}
			}
			if len(texts.languages[tag][name]) != len(lines) {
				t.Errorf("%s [%s] has %d texts, English %d", tag, name, len(texts.languages[tag][name]), len(lines))
			}
		}
	}
	for _, m := range messages {
		if texts.languages["en"][m.name] == nil {
			t.Error("no English for", m.name)
		}
	}
}

func tags(one text) (some []string) {
	for _, p := range one {
		if p.tag != "" {
			some = append(some, p.tag)
		}
	}
	slices.Sort(some)
	return slices.Compact(some)
}

func TestNothingIsLeftUnfilled(t *testing.T) {
	each(t, func(t *testing.T, texts *Texts, language string, m message) {
		mail := texts.Mail(language, m.name, Sample(m.name))
		body := mail.HTML[strings.Index(mail.HTML, "</style>"):]
		for _, said := range []string{mail.Subject, mail.Text, body, texts.SMS(language, m.name, Sample(m.name))} {
			for _, wrong := range []string{"{", "}", "<no value>", "Zgotmpl", "  .", " ,", "mailto:"} {
				if strings.Contains(said, wrong) {
					t.Errorf("%q in %s", wrong, said)
				}
			}
			if strings.TrimSpace(said) == "" {
				t.Error("nothing is said")
			}
		}
		if !strings.Contains(mail.HTML, `<html lang="`+language+`">`) {
			t.Error("the page does not say its language")
		}
	})
}

// ux.md 19
func TestANoticeSaysWhenFromWhereAndWhatToDo(t *testing.T) {
	each(t, func(t *testing.T, texts *Texts, language string, m message) {
		always := texts.languages[language]["words"]["always"].fill(nil)
		if m.isNotice() != strings.Contains(texts.Mail(language, m.name, Sample(m.name)).HTML, template.HTMLEscapeString(always)) {
			t.Error("the foot of a notice says that it cannot be switched off, and no other does")
		}
		if !m.isNotice() {
			return
		}
		f := Sample(m.name)
		f.Link = "https://id.example.com/not-me/5f1c"
		mail := texts.Mail(language, m.name, f)
		for _, fact := range []string{"UTC", "2026", "Chrome on macOS", "203.0.113.24", f.Tags[m.account], "maya@example.com"} {
			if !strings.Contains(mail.Text, fact) || !strings.Contains(mail.HTML, fact) {
				t.Errorf("no %q in\n%s", fact, mail.Text)
			}
		}
		if acts := texts.languages[language][m.name]["act"] != nil; acts != strings.Contains(mail.Text, "\n"+f.Link+"\n") || acts != strings.Contains(mail.HTML, `href="`+f.Link+`"`) {
			t.Error("a link without its button, or the other way round")
		}
	})
}

func TestWhatIsNotKnownIsLeftOut(t *testing.T) {
	each(t, func(t *testing.T, texts *Texts, language string, m message) {
		f := Sample(m.name)
		f.Link = ""
		delete(f.Tags, "browser")
		delete(f.Tags, "address")
		mail := texts.Mail(language, m.name, f)
		l := texts.languages[language]
		for _, row := range []string{"browser", "address"} {
			if label := l["words"][row].fill(nil) + ": "; strings.Contains(mail.Text, "\n"+label) {
				t.Errorf("a row %q of nothing", label)
			}
		}
		if strings.Contains(mail.HTML, "href") {
			t.Error("a button without a link")
		}
		if after := l[m.name]["after"].fill(map[string]string{"site.host": site.Host}); after != "" && strings.Contains(mail.HTML, after) {
			t.Error("a sentence about a button that is not there")
		}
	})
}

func TestTheCodeStandsAlone(t *testing.T) {
	each(t, func(t *testing.T, texts *Texts, language string, m message) {
		mail := texts.Mail(language, m.name, Sample(m.name))
		inText := slices.Contains(strings.Split(mail.Text, "\n"), "K7MQ-3XTP")
		inHTML := strings.Contains(mail.HTML, `>K7MQ-3XTP</td>`)
		if inText != m.isCode() || inHTML != m.isCode() {
			t.Errorf("alone in the text: %v, in the HTML: %v", inText, inHTML)
		}
		if !m.isCode() && strings.Contains(mail.Subject+mail.Text+mail.HTML+texts.SMS(language, m.name, Sample(m.name)), "K7MQ") {
			t.Error("it has a code and is not about one")
		}
	})
}

// C7
func TestTheLastLineOfASMSBindsTheCodeToTheSite(t *testing.T) {
	each(t, func(t *testing.T, texts *Texts, language string, m message) {
		lines := strings.Split(texts.SMS(language, m.name, Sample(m.name)), "\n")
		if !m.isCode() {
			if len(lines) != 1 || strings.Contains(lines[0], "#") {
				t.Error(lines)
			}
			return
		}
		if len(lines) != 3 || lines[1] != "" || lines[2] != "@id.example.com #K7MQ-3XTP" || !strings.Contains(lines[0], "K7MQ-3XTP") {
			t.Errorf("%q", lines)
		}
	})
}

func TestASpaceInACodeDoesNotEndIt(t *testing.T) {
	f := Sample("code-signin")
	f.Tags["code"] = "482 913"
	if said := load(t).SMS("en", "code-signin", f); !strings.HasSuffix(said, "#482913") || !strings.HasPrefix(said, "482 913 ") {
		t.Error(said)
	}
}

// One segment of the GSM alphabet (3GPP TS 23.038 section 6.2.1); a letter beyond it leaves room for 70 characters.
func TestACodeFitsOneSMS(t *testing.T) {
	const alphabet = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	each(t, func(t *testing.T, texts *Texts, language string, m message) {
		if !m.isCode() {
			return
		}
		said := (&Texts{site: Site{Name: "Example Accounts", Host: "accounts.example.com"}, languages: texts.languages}).SMS(language, m.name, Sample(m.name))
		if n := utf8.RuneCountInString(said); n > 160 {
			t.Errorf("%d characters: %s", n, said)
		}
		for _, r := range said {
			if !strings.ContainsRune(alphabet, r) {
				t.Errorf("%q is not in the alphabet: %s", r, said)
			}
		}
	})
}

var (
	remote    = regexp.MustCompile(`(?i)<img|<link|<script|<iframe|\ssrc=|url\(|@import|@font-face|\sbackground=`)
	reference = regexp.MustCompile(`(?i)https?://[^"<\s]*`)
)

// ux.md 19
func TestAMailFetchesNothing(t *testing.T) {
	each(t, func(t *testing.T, texts *Texts, language string, m message) {
		f := Sample(m.name)
		html := texts.Mail(language, m.name, f).HTML
		if found := remote.FindString(html); found != "" {
			t.Error(found)
		}
		for _, found := range reference.FindAllString(html, -1) {
			if found != f.Link {
				t.Error(found)
			}
		}
	})
}

func TestTheTextIsWrapped(t *testing.T) {
	each(t, func(t *testing.T, texts *Texts, language string, m message) {
		for line := range strings.SplitSeq(texts.Mail(language, m.name, Sample(m.name)).Text, "\n") {
			if utf8.RuneCountInString(line) > 72 || line != strings.TrimSpace(line) {
				t.Errorf("%q", line)
			}
		}
	})
	long := "https://" + strings.Repeat("x", 100)
	if got := wrap("a " + long + " b\u00a0: c"); got != "a\n"+long+"\nb\u00a0: c" {
		t.Errorf("%q", got)
	}
}

func TestTimesAreThoseOfTheSiteAndOfTheLanguage(t *testing.T) {
	texts := load(t)
	abroad := &Texts{site: Site{Name: "S", Host: "h", Zone: time.FixedZone("", -3*3600)}, languages: texts.languages}
	for _, c := range []struct {
		texts          *Texts
		language, want string
	}{
		{texts, "en", "21 November 2026, 14:28 UTC"},
		{texts, "de", "21. November 2026, 14:28 UTC"},
		{texts, "fr", "21 novembre 2026 à 14:28 UTC"},
		{texts, "es", "21 de noviembre de 2026, 14:28 UTC"},
		{texts, "fi", "21. marraskuuta 2026 klo 14.28 UTC"},
		{abroad, "en", "21 November 2026, 11:28 UTC-03"},
	} {
		if said := c.texts.Mail(c.language, "notice-password", Sample("notice-password")).Text; !strings.Contains(said, c.want) {
			t.Errorf("no %q in\n%s", c.want, said)
		}
	}
	if said := texts.Mail("en", "code-signin", Sample("code-signin")).Text; !strings.Contains(strings.ReplaceAll(said, "\n", " "), "for 10 minutes, until 14:38 UTC.") {
		t.Error(said)
	}
	if said := texts.Mail("en", "notice-recovery", Sample("notice-recovery")).Text; !strings.Contains(strings.ReplaceAll(said, "\n", " "), "until 24 November 2026, 14:28 UTC.") {
		t.Error(said)
	}
}

func TestAFactorWithoutANameGoesByItsKind(t *testing.T) {
	f := Sample("notice-factor-added")
	f.Kind, f.Tags["name"] = "backupcode", ""
	mail := load(t).Mail("en", "notice-factor-added", f)
	if mail.Subject != "Backup codes added to your Sallyport account" || !strings.Contains(mail.Text, "\nBackup codes can now be used") {
		t.Error(mail.Subject, mail.Text)
	}
	f.Kind = "of tomorrow"
	if mail := load(t).Mail("de", "notice-factor-added", f); mail.Subject != "Of tomorrow zu Ihrem Sallyport-Konto hinzugefügt" {
		t.Error(mail.Subject)
	}
}

func TestANameIsNotChangedAtTheStartOfASentence(t *testing.T) {
	f := Sample("notice-factor-added")
	f.Tags["name"] = "iPhone"
	if mail := load(t).Mail("en", "notice-factor-added", f); !strings.Contains(mail.Text, "\niPhone can") || !strings.Contains(mail.HTML, ">iPhone</b> can") {
		t.Error(mail.Text)
	}
}

func TestTheFirstNumberReplacesNone(t *testing.T) {
	f := Sample("notice-phone")
	delete(f.Tags, "old")
	if mail := load(t).Mail("en", "notice-phone", f); !strings.Contains(mail.Text, "Before: –. Now: •••• 9876.") {
		t.Error(mail.Text)
	}
}

func TestALanguageIsMatchedLoosely(t *testing.T) {
	texts := load(t)
	for asked, want := range map[string]string{
		"de": "de", "de-AT": "de", "DE_ch": "de", "fr-CA-x-private": "fr",
		"": "en", "sv": "en", "den": "en", "-de": "en", "en-GB": "en", "../de": "en", "d": "en",
	} {
		html := texts.Mail(asked, "test", Sample("test")).HTML
		if !strings.Contains(html, `<html lang="`+want+`">`) {
			t.Errorf("%q is not answered in %s", asked, want)
		}
		if has := want != "en" || asked == "en-GB"; texts.Has(asked) != has {
			t.Errorf("Has(%q) is %v", asked, !has)
		}
	}
}

func TestAMessageThatDoesNotExistIsAMistakeOfTheProgram(t *testing.T) {
	texts := load(t)
	for _, name := range []string{"", "words", "kinds", "code-Signin"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q says something", name)
				}
			}()
			texts.Mail("en", name, Facts{})
		}()
	}
}
