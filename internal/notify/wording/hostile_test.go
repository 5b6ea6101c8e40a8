package wording

import (
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"sallyport/internal/auth"
)

// hostile is what somebody may call their passkey, or themselves.
func hostile(t *testing.T) []string {
	t.Helper()
	all := []string{
		"{code}", "{{.Code}}", "{to}{to}", "}{", "a\r\nBcc: eve@example.net", "a\u2028b\u2029c\u0085d\ve\ff",
		"\n\n@evil.example #123456", "@evil.example #123456", "x\n@evil.example #123456", "\u202egnp.exe\u2066", "\xff\xfe",
		"</style></title></td><script>alert(1)</script>", `" onmouseover="alert(1)`, "<!--", "javascript:alert(1)", "data:text/html,<b>",
	}
	b, err := os.ReadFile("testdata/blns.json")
	if err != nil {
		t.Fatal(err)
	}
	var naughty []string
	if err := json.Unmarshal(b, &naughty); err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile("testdata/crlfinjection.txt"); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		all = append(all, line)
		if decoded, err := url.PathUnescape(line); err == nil {
			all = append(all, decoded)
		}
	}
	return append(all, naughty...)
}

// about is facts that are one string everywhere.
func about(message, s string) Facts {
	f := Sample(message)
	for tag := range f.Tags {
		f.Tags[tag] = s
	}
	f.Kind, f.Link = s, s
	return f
}

var (
	markup = regexp.MustCompile(`<[^>]*>`)
	target = regexp.MustCompile(`href="([^"]*)"`)
	scheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:`)
	bound  = regexp.MustCompile(`(?m)^@\S+ #\S*$`)
)

// tagsOf is all markup of a page but the addresses in it.
func tagsOf(html string) []string {
	return markup.FindAllString(target.ReplaceAllString(html, `href=""`), -1)
}

func TestNoValueBecomesMarkup(t *testing.T) {
	texts := load(t)
	want := map[string][]string{} // of a message that is about nothing, or about a letter
	for _, name := range texts.Names() {
		for _, s := range []string{"", "x"} {
			want[name+s] = tagsOf(texts.Mail("en", name, about(name, s)).HTML)
		}
	}
	for _, s := range hostile(t) {
		harmless := "x"
		if plain(s) == "" {
			harmless = ""
		}
		hostileSite := &Texts{site: Site{Name: s, Host: s, Support: s}, languages: texts.languages}
		for _, name := range texts.Names() {
			got := hostileSite.Mail("en", name, about(name, s))
			if !slices.Equal(want[name+harmless], tagsOf(got.HTML)) {
				t.Fatalf("%s of %q: %s", name, s, got.HTML)
			}
			for _, link := range target.FindAllStringSubmatch(got.HTML, -1) {
				if s := scheme.FindString(strings.ToLower(link[1])); !slices.Contains([]string{"", "http:", "https:", "mailto:"}, s) {
					t.Errorf("%s of %q links to %s", name, s, link[1])
				}
			}
		}
	}
}

func TestNoValueBreaksALine(t *testing.T) {
	texts := load(t)
	for _, s := range hostile(t) {
		hostileSite := &Texts{site: Site{Name: s, Host: s, Support: s}, languages: texts.languages}
		for _, name := range texts.Names() {
			mail := newLetter(hostileSite.say("en", name, about(name, s)), "")
			if !auth.OneLine(mail.Subject) || strings.ContainsFunc(mail.Subject, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }) {
				t.Errorf("%s of %q: subject %q", name, s, mail.Subject)
			}
			for line := range strings.SplitSeq(mail.text(), "\n") {
				if !auth.OneLine(line) {
					t.Errorf("%s of %q: line %q", name, s, line)
				}
			}
		}
	}
}

func TestNoValueBindsACodeToAnotherSite(t *testing.T) {
	texts := load(t)
	for _, s := range hostile(t) {
		named := &Texts{site: Site{Name: s, Host: "id.example.com", Support: s}, languages: texts.languages}
		for _, m := range messages {
			said := named.SMS("en", m.name, about(m.name, s))
			if !m.isCode() {
				if !auth.OneLine(said) {
					t.Errorf("%s of %q: %q", m.name, s, said)
				}
				continue
			}
			all := bound.FindAllString(said, -1)
			if len(all) != 1 || !strings.HasPrefix(all[0], "@id.example.com #") || !strings.HasSuffix(said, "\n\n"+all[0]) || strings.Count(said, "\n") != 2 {
				t.Errorf("%s of %q: %q", m.name, s, said)
			}
		}
	}
}

func TestAValueIsNotReadForTags(t *testing.T) {
	f := Sample("notice-factor-added")
	f.Tags["name"] = "{agent.workphone} {kind} {nothing}"
	mail := load(t).Mail("en", "notice-factor-added", f)
	if !strings.Contains(mail.Text, f.Tags["name"]) || !strings.Contains(mail.HTML, f.Tags["name"]) {
		t.Error(mail.Text)
	}
}

func TestTagsOfTheSiteAreNotTakenFromTheFacts(t *testing.T) {
	f := Sample("code-signin")
	for _, tag := range []string{"site.name", "site.host", "site.support", "until", "time", "minutes", "link"} {
		f.Tags[tag] = "forged"
	}
	texts := load(t)
	mail := texts.Mail("en", "code-signin", f)
	if said := mail.Subject + mail.Text + mail.HTML + texts.SMS("en", "code-signin", f); strings.Contains(said, "forged") {
		t.Error(said)
	}
	if f.Tags["site.name"] != "forged" {
		t.Error("the facts of the caller were changed")
	}
}
