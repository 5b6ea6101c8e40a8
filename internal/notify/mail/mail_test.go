package mail

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"testing"
	"unicode/utf8"

	gosmtp "github.com/emersion/go-smtp"

	"sallyport/internal/auth"
	"sallyport/internal/notify/mail/mailtest"
)

// composed is what goes over the wire.
func composed(t *testing.T, m Mail) (mailtest.Received, error) {
	t.Helper()
	l, err := opened(t, Config{Host: "relay.test:587"}).compose(m)
	if err != nil {
		return mailtest.Received{}, err
	}
	if l.to != m.To {
		t.Error("the envelope says ", l.to)
	}
	return mailtest.Parse(t, l.raw), nil
}

func TestNoFieldWithALineBreakIsSent(t *testing.T) {
	for _, evil := range []string{"\r\nBcc: eve@example.net", "\nBcc: eve@example.net", "\rBcc: eve@example.net", "\r\n\r\n<b>hello</b>", "\x00", "\r\n.\r\nMAIL FROM:<eve@example.net>"} {
		for field, change := range map[string]func(m *Mail){
			"id": func(m *Mail) { m.ID += evil }, "recipient": func(m *Mail) { m.To += evil },
			"name": func(m *Mail) { m.ToName += evil }, "subject": func(m *Mail) { m.Subject = evil + m.Subject },
		} {
			m := letterTo("ann@example.org")
			change(&m)
			if _, err := composed(t, m); !errors.Is(err, auth.ErrRefused) || !strings.Contains(err.Error(), field) || strings.Contains(err.Error(), "eve@") || strings.Contains(err.Error(), "hello") {
				t.Errorf("%s %q: %v", field, evil, err)
			}
		}
	}
}

// Line ends that are none to SMTP may be some to whoever reads the mail after it.
func TestNoOtherCharacterEndsAHeader(t *testing.T) {
	for _, end := range []string{"\u2028", "\u2029", "\u0085", "\v", "\f", "\x1c", "\x1e", "\t", "\xc2", "\xe5\x98\x8a", "\xe5\x98\x8d"} {
		m := letterTo("ann@example.org")
		m.Subject, m.ToName = "one"+end+"Bcc: eve@example.net", "Ann"+end+"Bcc: eve@example.net"
		got, err := composed(t, m)
		if err != nil {
			t.Errorf("%q: %v", end, err)
			continue
		}
		to, err := got.Header.AddressList("To")
		if err != nil || len(to) != 1 || to[0].Address != "ann@example.org" || got.Header["Bcc"] != nil || len(got.Header) != 9 {
			t.Errorf("%q: %v %v", end, err, got.Header)
		}
		if end != "\xe5\x98\x8a" && end != "\xe5\x98\x8d" && strings.Contains(got.Subject()+to[0].Name, end) {
			t.Errorf("%q survived", end)
		}
	}
}

func TestOnlyOneBareAddressIsARecipient(t *testing.T) {
	long := strings.Repeat("a", 250) + "@example.org"
	for _, to := range []string{
		"", "ann", "@example.org", "ann@", "ann@example.org,eve@example.net", "ann@example.org eve@example.net", "ann@example.org;eve@example.net",
		"<ann@example.org>", "Ann <ann@example.org>", "ann@example.org (Ann)", `"ann"@example.org`, `"a b"@example.org`, `"a>b"@example.org`, " ann@example.org", "ann@example.org ",
		"ann@example.org>", "ann@[127.0.0.1]", "ann@[IPv6:::1]", "ann@bob@example.org", "@a.example,@b.example:ann@example.org", "all: ann@example.org;", "ann@example.org SMTPUTF8",
		"ann\u2028@example.org", "ann\u00a0@example.org", "ann\u0085@example.org", "ann\u200b@example.org", "ann\u202e@example.org", "ann\xff@example.org", "ann\t@example.org", "=?utf-8?q?ann?=", long,
	} {
		m := letterTo(to)
		if _, err := composed(t, m); !errors.Is(err, auth.ErrRefused) || len(to) > 3 && strings.Contains(err.Error(), to) {
			t.Errorf("%q: %v", to, err)
		}
	}
	for _, to := range []string{"ann@example.org", "a.n+n=o'neil@mail.example.org", "jürgen@bücher.example", "ann@localhost", "ann!x%y@example.org"} {
		if _, err := composed(t, letterTo(to)); err != nil {
			t.Errorf("%q: %v", to, err)
		}
	}
}

func TestOnlyADotAtomIsAnID(t *testing.T) {
	for _, id := range []string{"", "a b", "a@b", "a>b", ".a", "a.", "a..b", "<a", "a\"b", "ä", "a\u2028b", strings.Repeat("a", 129)} {
		m := letterTo("ann@example.org")
		m.ID = id
		if _, err := composed(t, m); !errors.Is(err, auth.ErrRefused) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestAnotherTryHasTheSameMessageID(t *testing.T) {
	m := letterTo("ann@example.org")
	m.ID = strings.Repeat("0195.", 20) + "a=b_c-d+e"
	for range 2 {
		got, err := composed(t, m)
		if id := strings.TrimSpace(got.Header.Get("Message-Id")); err != nil || id != "<"+m.ID+"@example.com>" {
			t.Error(id, err)
		}
	}
}

func TestNoLineIsLongerThanSMTPAllows(t *testing.T) {
	for name, long := range map[string]string{"words": strings.Repeat("word ", 1000), "one word": strings.Repeat("w", 3000), "quotes": strings.Repeat(`"`, 600), "spaces": strings.Repeat(" ", 3000) + "x", "umlauts": strings.Repeat("ü", 3000), "emoji": strings.Repeat("🔑", 900)} {
		for field, change := range map[string]func(m *Mail){
			"name": func(m *Mail) { m.ToName = long }, "subject": func(m *Mail) { m.Subject = long },
			"text": func(m *Mail) { m.Text = long }, "html": func(m *Mail) { m.HTML = long },
		} {
			m := letterTo("ann@example.org")
			change(&m)
			got, err := composed(t, m)
			if err != nil {
				unfoldable := (field == "subject" || field == "name") && (name == "one word" || name == "quotes")
				if !unfoldable || !errors.Is(err, auth.ErrRefused) || strings.Contains(err.Error(), long[:20]) {
					t.Error(name, field, err)
				}
				continue
			}
			for line := range strings.SplitSeq(string(got.Raw), "\r\n") {
				if len(line) > 998 || strings.ContainsAny(line, "\r\n") || line != "" && strings.TrimSpace(line) == "" {
					t.Errorf("%s as %s: %d bytes: %.50q", name, field, len(line), line)
				}
			}
			to, err := got.Header.AddressList("To")
			if err != nil || len(to) != 1 || field == "name" && to[0].Name != strings.TrimSpace(long) || field == "subject" && got.Subject() != strings.TrimSpace(long) {
				t.Errorf("%s as %s came back as %v, %q: %v", name, field, to, got.Subject(), err)
			}
		}
	}
}

func TestHeadersAreASCIIAndMeanWhatWasWritten(t *testing.T) {
	for _, words := range []string{"Ünïcödé", "日本語の件名はこのくらいの長さになることがあります、そして続きます", "Ann, \"Bob\" (x) <y@example.net>; z:", "a\\b", "🔑🔒", "שלום עולם"} {
		m := letterTo("ann@example.org")
		m.Subject, m.ToName = words, words
		got, err := composed(t, m)
		if err != nil {
			t.Error(err)
			continue
		}
		to, err := got.Header.AddressList("To")
		if err != nil || len(to) != 1 || to[0].Name != words || to[0].Address != "ann@example.org" || got.Subject() != words {
			t.Errorf("%q came back as %v, %q: %v", words, to, got.Subject(), err)
		}
		if !ascii(string(got.Raw)) {
			t.Errorf("%q went out as more than seven bits", words)
		}
	}
}

// What looks like an encoded word would be decoded by whoever reads it, and mean something else.
func TestEncodedWordsAreMeantLiterally(t *testing.T) {
	m := letterTo("ann@example.org")
	m.Subject = "=?utf-8?q?=0D=0ABcc:_eve@example.net?="
	m.ToName = m.Subject
	got, err := composed(t, m)
	if err != nil {
		t.Fatal(err)
	}
	to, err := got.Header.AddressList("To")
	if err != nil || !strings.Contains(got.Subject(), "?utf-8?q?=0D") || !strings.Contains(to[0].Name, "?utf-8?q?=0D") {
		t.Errorf("%q %v %v", got.Subject(), to, err)
	}
}

func TestBrokenUTF8IsMended(t *testing.T) {
	m := letterTo("ann@example.org")
	m.Subject, m.ToName, m.Text, m.HTML = "a\xffb", "a\xffb", "a\xffb", "a\xffb"
	got, err := composed(t, m)
	if err != nil {
		t.Fatal(err)
	}
	to, err := mail.ParseAddress(got.Header.Get("To"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{got.Subject(), to.Name, got.Text, got.HTML} {
		if s != "a\uFFFDb" || !utf8.ValidString(s) {
			t.Errorf("%q", s)
		}
	}
}

func TestAnAddressBeyondASCIINeedsAServerThatTakesIt(t *testing.T) {
	for _, offered := range []bool{false, true} {
		s := serve(t, &server{}, func(inner *gosmtp.Server) { inner.EnableSMTPUTF8 = offered })
		c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs})
		err := c.Send(t.Context(), letterTo("jürgen@bücher.example"))
		if offered && err != nil || !offered && (!errors.Is(err, auth.ErrRefused) || !strings.Contains(err.Error(), "SMTPUTF8") || strings.Contains(err.Error(), "bücher")) {
			t.Error(offered, err)
		}
		if err := c.Send(t.Context(), letterTo("ann@example.org")); err != nil {
			t.Error(err)
		}
		want := "[false]"
		if offered {
			want = "[true false]" // nobody else's mail depends on it
		}
		if asked := fmt.Sprint(s.utf8); asked != want {
			t.Error("SMTPUTF8 was asked for: ", asked)
		}
	}
}

func TestOpenNamesTheSettingThatIsWrong(t *testing.T) {
	good := Config{Host: "smtp.example.com:587", From: "Sallyport <no-reply@example.com>"}
	if _, err := Open(good); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		setting string
		change  func(c *Config)
	}{
		{"mail.host", func(c *Config) { c.Host = "" }},
		{"mail.host", func(c *Config) { c.Host = "smtp.example.com" }},
		{"mail.host", func(c *Config) { c.Host = ":587" }},
		{"mail.host", func(c *Config) { c.Host = "smtp.example.com:smtp" }},
		{"mail.host", func(c *Config) { c.Host = "smtp.example.com:0" }},
		{"mail.host", func(c *Config) { c.Host = "smtp.example.com:65536" }},
		{"mail.tls", func(c *Config) { c.TLS = "off" }},
		{"mail.tls", func(c *Config) { c.TLS = "none" }},
		{"mail.tls", func(c *Config) { c.TLS, c.Host = "none", "10.0.0.1:25" }},
		{"mail.tls", func(c *Config) { c.TLS, c.Host = "none", "localhost.example.com:25" }},
		{"mail.user", func(c *Config) { c.User = "ann" }},
		{"mail.user", func(c *Config) { c.Password = "hunter2" }},
		{"mail.from", func(c *Config) { c.From = "" }},
		{"mail.from", func(c *Config) { c.From = "Sallyport" }},
		{"mail.from", func(c *Config) { c.From = "a@example.com, b@example.com" }},
		{"mail.from", func(c *Config) { c.From = "Sallyport <no-reply@[127.0.0.1]>" }},
		{"mail.from", func(c *Config) { c.From = "Sallyport <no-reply@bücher.example>" }},
		{"mail.from", func(c *Config) { c.From = "Sallyport\r\nBcc: eve@example.net <no-reply@example.com>" }},
		{"mail.reply_to", func(c *Config) { c.ReplyTo = "help" }},
		{"mail.hello", func(c *Config) { c.Hello = "a b" }},
		{"mail.hello", func(c *Config) { c.Hello = "a\r\nMAIL FROM:<eve@example.net>" }},
	} {
		c := good
		tt.change(&c)
		_, err := Open(c)
		if err == nil || !strings.HasPrefix(err.Error(), tt.setting) || strings.Contains(err.Error(), "hunter2") || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, host := range []string{"localhost:25", "127.0.0.1:25", "[::1]:25"} {
		if _, err := Open(Config{Host: host, TLS: "none", From: "a@example.com"}); err != nil {
			t.Error(host, err)
		}
	}
}
