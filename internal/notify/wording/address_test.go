package wording

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/auth"
)

// Programs that look for harmful links open what looks like one: no edited text has an address of another site, nor a
// code or a link within one. A6
func TestAnEditCarriesNothingToAnotherSite(t *testing.T) {
	texts := load(t)
	for _, c := range []struct{ message, key, words string }{
		{"password-link", "lead", "Go on: https://evil.example/x?u={link}"},
		{"code-signin", "sms", "Enter it here: https://evil.example/{code}"},
		{"code-signin", "sms", "evil.example/{code}"},
		{"code-signin", "sms", "{code} for evil.example/ {code}"},
		{"code-signin", "sms", "{code} for EVIL.Example"},
		{"code-signin", "sms", "HTTPS://EVIL.EXAMPLE/{code}"},
		{"code-signin", "sms", "hTTps://evil/ {code}"},
		{"code-signin", "sms", "{code} ｅｖｉｌ．ｅｘａｍｐｌｅ"},
		{"code-signin", "sms", "{code} https：／／evil"},
		{"code-signin", "sms", "{code} evil。example"},
		{"code-signin", "sms", "{code} evil․example"},
		{"code-signin", "sms", "{code} evil\u200b.\u200bexample"},
		{"code-signin", "sms", "{code} e\u00advil.exa\u2060mple"},
		{"code-signin", "sms", "{code} w\u200dww.evil"},
		{"code-signin", "sms", "{code} öl.example"},
		{"code-signin", "sms", "{code} зло.рф"},
		{"code-signin", "sms", "{code} evil.xn--p1ai"},
		{"code-signin", "sms", "{code} www.evil"},
		{"code-signin", "sms", "{code} (evil.example)"},
		{"code-signin", "sms", "{code} see:evil.example,"},
		{"code-signin", "sms", "{code} eve@evil.example"},
		{"code-signin", "sms", "{code} mailto:eve"},
		{"code-signin", "sms", "{code} 203.0.113.7/x"},
		{"code-signin", "sms", "{code} //evil"},
		{"code-signin", "sms", "{site.support}？/{code}"},
		{"code-signin", "note", "https://id.example.com.evil.example"},
		{"code-signin", "note", "id.example.com:99/x"},
		{"code-signin", "sms", `{code} https:\\evil`},
		{"code-signin", "sms", "{code} @evil.example #{code}"},
		{"code-signin", "sms", "@evil #{code}"},
		{"code-signin", "sms", "x{code}"},
		{"code-signin", "sms", "{code}{code}"},
		{"code-signin", "sms", "{code}\u200bx"},
		{"code-signin", "sms", "{site.host}/{code}"},
		{"code-signin", "sms", "{site.support}?{code}"},
		{"code-signin", "sms", "https://{site.host}/?{code}"},
		{"code-signin", "sms", "{code} {site.host}.evil.example"},
		{"code-signin", "sms", "{code} https://{site.host}@evil.example"},
		{"code-signin", "sms", "{code} https://{site.host}:x@evil"},
		{"code-signin", "sms", "{code} evil.{agent.name}"},
		{"code-signin", "sms", "{code} evil.e{browser}xample"},
		{"code-signin", "sms", "{code} https:{browser}//evil"},
		{"code-signin", "sms", "{code} https://{agent.name}"},
		{"code-signin", "sms", "{code} evil.example/{site.host}"},
		{"code-signin", "subject", "{code} evil.example"},
		{"code-signin", "note", "evil.example"},
		{"notice-password", "lead", "({link})"},
		{"notice-password", "lead", "{link}."},
		{"notice-password", "lead", "{link}/x"},
		{"notice-password", "lead", "x{link}"},
		{"notice-password", "act", "evil.example"},
	} {
		err := texts.Check("en", c.message, map[string]string{c.key: c.words})
		if wrong := (auth.InvalidError{}); !errors.As(err, &wrong) || wrong.Field != c.key || !strings.Contains(wrong.Why, "address") && !strings.Contains(wrong.Why, "as part of a word") {
			t.Errorf("%q: %v", c.words, err)
		}
		got, faults := texts.With([]Edit{{"en", c.message, c.key, c.words}}) // stored before there was this rule
		if len(faults) != 1 || got.Mail("en", c.message, Sample(c.message)) != texts.Mail("en", c.message, Sample(c.message)) {
			t.Errorf("%q is used: %v", c.words, faults)
		}
	}
}

func TestAnOrdinaryEditPasses(t *testing.T) {
	texts := load(t)
	for _, c := range []struct{ message, key, words string }{
		{"code-signin", "sms", "{code}"},
		{"code-signin", "sms", "Ihr Code: {code}. Nie weitergeben!"},
		{"code-signin", "sms", "Votre code\u00a0: «\u00a0{code}\u00a0», valable {minutes} min."},
		{"code-signin", "sms", "“{code}” is your code ({minutes} min.) for {site.name}"},
		{"code-signin", "sms", "验证码：{code}，请勿转发。"},
		{"code-signin", "sms", "您好。欢迎。{site.name} {code}"},
		{"code-signin", "note", "Z.B. per Mail und/oder SMS, d.h. um 14.30 Uhr am 24.12.2026; e.g. 9 a.m."},
		{"code-signin", "note", "Only at {site.host}."},
		{"code-signin", "note", "Only at https://{site.host}/account/security, nowhere else (see {site.host}/help)."},
		{"code-signin", "note", "Only at https://id.example.com/help."},
		{"code-signin", "note", "Help: {site.support}"},
		{"code-signin", "note", "{browser}/{address}: {agent.name}’s data: all."},
		{"notice-password", "lead", "Not you? Open {link} now."},
		{"notice-password", "lead", "{link}"},
	} {
		if err := texts.Check("en", c.message, map[string]string{c.key: c.words}); err != nil {
			t.Errorf("%q: %v", c.words, err)
		}
	}
	for language := range texts.languages {
		for _, name := range texts.Names() {
			if some := texts.Carries(language, name); len(some) > 0 {
				t.Error("ours: ", some)
			}
		}
	}
}

// The folder is the deployment's own: what it says is sent, and shown; and other texts of the message can be edited.
func TestWhatTheFolderCarriesIsShown(t *testing.T) {
	folder, err := overlaid(t, "de.toml", "[test]\nlead = \"Mehr auf https://intranet.example.net/\"\n")
	if err != nil {
		t.Fatal(err)
	}
	if some := folder.Carries("de", "test"); len(some) != 1 || some[0].Key != "lead" || !strings.Contains(some[0].Why, "intranet.example.net") {
		t.Error(some)
	}
	lines := folder.Lines("de", "test")
	lines["subject"] = "Probe"
	if err := folder.Check("de", "test", lines); err != nil {
		t.Error(err)
	}
	lines["lead"] += "x"
	if err := folder.Check("de", "test", lines); err == nil {
		t.Error("it can be edited to something else")
	}
	if !slices.Contains(folder.Languages(), "de") {
		t.Error(folder.Languages())
	}
}
