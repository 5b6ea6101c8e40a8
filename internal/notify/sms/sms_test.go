package sms

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
)

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// good are settings that each provider opens with.
var good = map[string]Config{
	"twilio":  {Provider: "twilio", Account: "AC" + strings.Repeat("0a", 16), Secret: "twilio-token-kept", From: "+15005550006"},
	"vonage":  {Provider: "vonage", Account: "abcd1234", Secret: "vonage-secret-kept", From: "Sallyport"},
	"sns":     {Provider: "sns", Account: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", From: "Sallyport", Region: "eu-north-1"},
	"webhook": {Provider: "webhook", Secret: "0123456789abcdef0123456789abcdef", URL: "https://sms.example.com/in"},
	"smpp":    {Provider: "smpp", Account: "sally", Secret: "secret08", From: "Sallyport", URL: "smpp://127.0.0.1:2775"},
}

func at(provider, url string) Config {
	c := good[provider]
	c.URL = url
	return c
}

func opened(t *testing.T, c Config) Provider {
	t.Helper()
	p, err := Open(c, noon)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func hello() Message {
	return Message{ID: "m-0001", To: "+46701234567", Text: "Your code is 123456\n\n@login.example.com #123456"}
}

// refused and later are the two ways to fail. Neither may tell what only the person and the provider know.
func refused(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, auth.ErrRefused) {
		t.Errorf("not refused for good: %v", err)
	}
	discreet(t, err)
}

func later(t *testing.T, err error) {
	t.Helper()
	if err == nil || errors.Is(err, auth.ErrRefused) {
		t.Errorf("not for another try: %v", err)
	}
	discreet(t, err)
}

func discreet(t *testing.T, err error) {
	t.Helper()
	said := fmt.Sprintf("%v %+v %#v", err, err, err)
	private := []string{"46701234567", "1500555", "123456", "path-secret", "echoed"}
	for _, c := range good {
		private = append(private, string(c.Secret))
	}
	for _, secret := range private {
		if strings.Contains(said, secret) {
			t.Errorf("the error says %q: %s", secret, said)
		}
	}
}

func TestASettingThatIsMissingIsNamedWithItsRemedy(t *testing.T) {
	empty := map[string]func(*Config){
		"account": func(c *Config) { c.Account = "" }, "secret": func(c *Config) { c.Secret = "" }, "from": func(c *Config) { c.From = "" },
		"region": func(c *Config) { c.Region = "" }, "url": func(c *Config) { c.URL = "" },
	}
	for provider, needed := range map[string]string{
		"twilio": "account secret from", "vonage": "account secret from", "sns": "account secret region", "webhook": "url secret", "smpp": "url account secret from",
	} {
		if _, err := Open(good[provider], noon); err != nil {
			t.Errorf("%s with all of them: %v", provider, err)
		}
		for setting := range maps.Keys(empty) {
			c := good[provider]
			empty[setting](&c)
			_, err := Open(c, noon)
			if !strings.Contains(needed, setting) {
				if err != nil {
					t.Errorf("%s without %s: %v", provider, setting, err)
				}
				continue
			}
			if want := "sms." + setting + " is empty: set it to "; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s without %s: %v", provider, setting, err)
			}
		}
	}
	_, err := Open(Config{Provider: "twilio", Secret: "x", From: "y"}, noon)
	if err == nil || err.Error() != "sms.account is empty: set it to the Account SID of Twilio" {
		t.Error(err)
	}
}

func TestSettingsThatCannotBeRightAreNotOpened(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"twilio: not an Account SID":         func(c *Config) { c.Account = "SK123" },
		"twilio: a path in the account":      func(c *Config) { c.Account = "AC/../../x" },
		"twilio: a newline in the sender":    func(c *Config) { c.From = "Sally\r\nX: y" },
		"twilio: a sender that is too long":  func(c *Config) { c.From = "Sallyport Inc" },
		"twilio: unencrypted":                func(c *Config) { c.URL = "http://api.twilio.example" },
		"twilio: not an address":             func(c *Config) { c.URL = "api.twilio.com" },
		"twilio: a password in the address":  func(c *Config) { c.URL = "https://a:path-secret@api.twilio.com" },
		"vonage: a NUL in the secret":        func(c *Config) { c.Secret = "a\x00b" },
		"vonage: a sender without letters":   func(c *Config) { c.From = "..." },
		"vonage: unencrypted":                func(c *Config) { c.URL = "http://10.0.0.1" },
		"sns: not a region":                  func(c *Config) { c.Region = "evil.example/?" },
		"sns: a region and a newline":        func(c *Config) { c.Region = "eu-north-1\n" },
		"sns: a space in the sender":         func(c *Config) { c.From = "Sally port" },
		"sns: a newline in the token":        func(c *Config) { c.Token = "a\r\nHost: b" },
		"sns: another scheme":                func(c *Config) { c.URL = "ftp://sns.example" },
		"webhook: a short secret":            func(c *Config) { c.Secret = "path-secret" },
		"webhook: unencrypted":               func(c *Config) { c.URL = "http://sms.example.com/path-secret" },
		"webhook: nearly this machine":       func(c *Config) { c.URL = "http://localhost.example.com/" },
		"webhook: no host":                   func(c *Config) { c.URL = "https:///path-secret" },
		"smpp: a long system_id":             func(c *Config) { c.Account = strings.Repeat("a", 16) },
		"smpp: a long password":              func(c *Config) { c.Secret = "123456789" },
		"smpp: a NUL in the system_id":       func(c *Config) { c.Account = "sally\x00root" },
		"smpp: a NUL in the sender":          func(c *Config) { c.From = "Sally\x00\x01" },
		"smpp: a web address":                func(c *Config) { c.URL = "https://smsc.example" },
		"smpp: a password in the address":    func(c *Config) { c.URL = "smpp://sally:path-secret@smsc.example" },
		"smpp: a path":                       func(c *Config) { c.URL = "smpp://smsc.example/path-secret" },
		"twilio: another provider's name":    func(c *Config) { c.Provider = "Twilio" },
		"webhook: no provider":               func(c *Config) { c.Provider = "" },
		"vonage: a sender beyond ASCII":      func(c *Config) { c.From = "Sälly" },
		"webhook: a secret beyond ASCII":     func(c *Config) { c.Secret += "é" },
		"twilio: nearly a Messaging Service": func(c *Config) { c.From = "MG0a0b0c0d0e0f" },
	} {
		provider, _, _ := strings.Cut(what, ":")
		c := good[provider]
		change(&c)
		_, err := Open(c, noon)
		if err == nil || !strings.HasPrefix(err.Error(), "sms.") || !strings.Contains(err.Error(), "set it to") && !strings.Contains(err.Error(), "room for") {
			t.Errorf("%s: %v", what, err)
		}
		discreet(t, err)
	}
}

// A sink counts what reaches a provider.
type sink struct{ messages int }

func (s *sink) Send(context.Context, Message) error { s.messages++; return nil }

func TestWhatIsNoMessageReachesNoProvider(t *testing.T) {
	for what, change := range map[string]func(*Message){
		"no ID":                    func(m *Message) { m.ID = "" },
		"a header in the ID":       func(m *Message) { m.ID = "a\r\nX-Evil: 1" },
		"a space in the ID":        func(m *Message) { m.ID = "a b" },
		"an ID that is too long":   func(m *Message) { m.ID = strings.Repeat("a", 101) },
		"no number":                func(m *Message) { m.To = "" },
		"no plus":                  func(m *Message) { m.To = "46701234567" },
		"a national number":        func(m *Message) { m.To = "+0701234567" },
		"two numbers":              func(m *Message) { m.To = "+46701234567,+46701234568" },
		"a number and a newline":   func(m *Message) { m.To = "+46701234567\n" },
		"a NUL in the number":      func(m *Message) { m.To = "+46701234567\x00\x01\x01" },
		"a field in the number":    func(m *Message) { m.To = "+46701234567&From=x" },
		"digits of other scripts":  func(m *Message) { m.To = "+٤٦٧٠١٢٣٤٥٦٧" },
		"a number of 16 digits":    func(m *Message) { m.To = "+1234567890123456" },
		"no text":                  func(m *Message) { m.Text = "" },
		"text that is not UTF-8":   func(m *Message) { m.Text = "caf\xe9" },
		"half a surrogate":         func(m *Message) { m.Text = "\xed\xa0\x80" },
		"eleven segments":          func(m *Message) { m.Text = strings.Repeat("a", 1531) },
		"eleven segments of UCS-2": func(m *Message) { m.Text = strings.Repeat("ж", 671) },
	} {
		m, s := hello(), &sink{}
		change(&m)
		refused(t, checked{s}.Send(t.Context(), m))
		if s.messages != 0 {
			t.Errorf("%s: it was handed on", what)
		}
	}
	s := &sink{}
	for _, text := range []string{"a", strings.Repeat("a", 1530), strings.Repeat("ж", 670), "line\r\nline\x00\x1b\x07"} {
		m := hello()
		m.Text = text
		if err := (checked{s}).Send(t.Context(), m); err != nil {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if s.messages != 4 {
		t.Error(s.messages, "of 4 were handed on")
	}
}
