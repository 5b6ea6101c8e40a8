package mail

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/notify/mail/mailtest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// letterTo is a mail with nothing special about it.
func letterTo(to string) Mail {
	return Mail{ID: "0195-a1", To: to, Subject: "Your password was changed", Text: "Hello.\n", HTML: "<p>Hello.</p>\n", At: noon}
}

// opened are settings that Open accepts.
func opened(t *testing.T, c Config) *Server {
	t.Helper()
	if c.From == "" {
		c.From = "Sallyport <no-reply@example.com>"
	}
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestPostfix(t *testing.T) {
	box := mailtest.Postfix(t)
	starttls := opened(t, Config{Host: box.Addr, RootCAs: box.RootCAs, ReplyTo: "Help <help@example.com>"})

	t.Run("AMailArrivesAsItWasWritten", func(t *testing.T) {
		m := Mail{
			ID: "0195-b2", To: "ann@example.org", ToName: "Änn “the boss” <root@example.net>, Bob", Subject: "Schlüssel hinzugefügt: 🔑 " + strings.Repeat("für dich ", 20),
			Text: ".\n..\n.hidden\nFrom here\n" + strings.Repeat("ü", 3000) + "\nend \t\n",
			HTML: "<p>" + strings.Repeat("x", 5000) + " & “ü”</p>\n.\n", At: noon,
		}
		if err := starttls.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		got := box.Mails(t, 1)[0]
		if got.Text != m.Text || got.HTML != m.HTML || got.Subject() != strings.TrimSpace(m.Subject) || got.To != m.To {
			t.Errorf("%q\n%s", got.Subject(), got.Raw)
		}
		to, err := got.Header.AddressList("To")
		if err != nil || len(to) != 1 || to[0].Address != m.To || to[0].Name != m.ToName {
			t.Error(to, err)
		}
		for name, want := range map[string]string{
			"Return-Path": "<no-reply@example.com>", "From": `"Sallyport" <no-reply@example.com>`, "Reply-To": `"Help" <help@example.com>`,
			"Message-Id": "<0195-b2@example.com>", "Date": "Sun, 01 Mar 2026 12:00:00 +0000", "Mime-Version": "1.0",
			"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All",
		} {
			if values := got.Header[name]; len(values) != 1 || values[0] != want {
				t.Errorf("%s: %q", name, values)
			}
		}
		if !strings.Contains(strings.Join(got.Header["Received"], " "), "with ESMTPS") {
			t.Error("not encrypted: ", got.Header["Received"])
		}
		for _, name := range []string{"Bcc", "Cc", "User-Agent", "X-Mailer"} {
			if got.Header[name] != nil {
				t.Error(name, got.Header[name])
			}
		}
	})
	t.Run("ImplicitTLSAndNone", func(t *testing.T) {
		before := len(box.Mails(t, 0))
		for _, c := range []Config{{Host: box.TLSAddr, TLS: "tls", RootCAs: box.RootCAs}, {Host: box.Plain, TLS: "none"}} {
			if err := opened(t, c).Send(t.Context(), letterTo("bea@example.org")); err != nil {
				t.Error(c.TLS, err)
			}
		}
		box.Mails(t, before+2)
	})
	t.Run("AnAddressBeyondASCII", func(t *testing.T) {
		before := len(box.Mails(t, 0))
		if err := starttls.Send(t.Context(), letterTo("jürgen@bücher.example")); err != nil {
			t.Fatal(err)
		}
		if got := box.Mails(t, before+1)[before]; got.To != "jürgen@bücher.example" {
			t.Error(got.To)
		}
	})
	t.Run("AnUnknownRecipientIsRefusedAndABusyOneIsNot", func(t *testing.T) {
		before := len(box.Mails(t, 0))
		err := starttls.Send(t.Context(), letterTo("unknown@example.org"))
		if !errors.Is(err, auth.ErrRefused) || strings.Contains(err.Error(), "unknown@") || strings.Contains(err.Error(), "example.org") {
			t.Error(err)
		}
		err = starttls.Send(t.Context(), letterTo("later@example.org"))
		if err == nil || errors.Is(err, auth.ErrRefused) || !strings.Contains(err.Error(), "450") {
			t.Error(err)
		}
		if err := starttls.Send(t.Context(), letterTo("ann@example.org")); err != nil {
			t.Error("and then: ", err)
		}
		box.Mails(t, before+1)
	})
	t.Run("AStrangersCertificateIsRefused", func(t *testing.T) {
		before := len(box.Mails(t, 0))
		for _, c := range []Config{{Host: box.Addr}, {Host: box.TLSAddr, TLS: "tls"}, {Host: strings.Replace(box.Addr, "127.0.0.1", "localhost", 1), RootCAs: box.RootCAs}} {
			err := opened(t, c).Send(t.Context(), letterTo("ann@example.org"))
			if err == nil || errors.Is(err, auth.ErrRefused) || !strings.Contains(err.Error(), "certificate") {
				t.Error(c.Host, err)
			}
		}
		if now := len(box.Mails(t, before)); now != before {
			t.Error(now-before, "mails arrived")
		}
	})
	t.Run("ManyAtOnce", func(t *testing.T) {
		before := len(box.Mails(t, 0))
		failed := make(chan error)
		for i := range 20 {
			go func() {
				failed <- starttls.Send(context.Background(), letterTo(fmt.Sprintf("p%d@example.org", i)))
			}()
		}
		for range 20 {
			if err := <-failed; err != nil {
				t.Error(err)
			}
		}
		seen := map[string]int{}
		for _, m := range box.Mails(t, before+20)[before:] {
			seen[m.To]++
		}
		if len(seen) != 20 {
			t.Error(seen)
		}
	})
}
