package mail

import (
	"bytes"
	"fmt"
	netmail "net/mail"
	"strings"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"sallyport/internal/auth"
)

// A letter is a mail as it goes over the wire.
type letter struct {
	to  string
	raw []byte
}

// compose writes the mail: headers that a relay can sign, then text and HTML as alternatives, seven bits throughout
// but for an address that has more.
func (s *Server) compose(m Mail) (letter, error) {
	if err := check(m); err != nil {
		return letter{}, err
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP))
	msg.FromMailAddress(s.from)
	msg.ToMailAddress(&netmail.Address{Name: oneLine(m.ToName), Address: m.To})
	if s.replyTo != nil {
		msg.SetAddrHeaderFromMailAddress(gomail.HeaderReplyTo, s.replyTo)
	}
	msg.Subject(oneLine(m.Subject))
	msg.SetDateWithValue(m.At)
	msg.SetMessageIDWithValue(m.ID + "@" + s.domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no answer by a machine
	msg.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All")
	msg.SetBodyString(gomail.TypeTextPlain, strings.ToValidUTF8(m.Text, "\uFFFD"))
	msg.AddAlternativeString(gomail.TypeTextHTML, strings.ToValidUTF8(m.HTML, "\uFFFD"))
	var raw bytes.Buffer
	if _, err := msg.WriteTo(&raw); err != nil {
		return letter{}, fmt.Errorf("composing: %w", err)
	}
	for line := range bytes.SplitSeq(raw.Bytes(), []byte("\r\n")) {
		if len(line) > 998 { // RFC 5322 section 2.1.1; only a header that cannot be folded comes to that
			return letter{}, refuse("subject or name", "is longer than a line can be")
		}
	}
	return letter{m.To, raw.Bytes()}, nil
}

// check refuses what could be read as more than it is.
func check(m Mail) error {
	for _, field := range []struct{ name, value string }{{"id", m.ID}, {"recipient", m.To}, {"name", m.ToName}, {"subject", m.Subject}} {
		if strings.ContainsAny(field.value, "\r\n\x00") {
			return refuse(field.name, "has a line break or NUL in it")
		}
	}
	if len(m.ID) > 128 || !atoms.MatchString(m.ID) {
		return refuse("id", "is no dot-atom")
	}
	if a, err := netmail.ParseAddress(m.To); err != nil || a.Address != m.To || !bare(m.To) {
		return refuse("recipient", "is not one bare address")
	}
	return nil
}

// bare takes an address without its quotes and brackets. Refused are those that need them, invisible characters, a
// server by its number, and what is longer than a path (RFC 5321 section 4.5.3.1.3).
func bare(address string) bool {
	return len(address) <= 254 && strings.Count(address, "@") == 1 && !strings.ContainsAny(address, `"<>()[],;:\`) &&
		!strings.ContainsFunc(address, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) })
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

// oneLine is text for a header. Anything that a reader may take for the end of a line becomes a space, and what looks
// encoded is meant literally.
func oneLine(s string) string {
	words := strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	return strings.ReplaceAll(strings.Join(words, " "), "=?", "= ?")
}

func refuse(field, why string) error { return fmt.Errorf("the %s %s: %w", field, why, auth.ErrRefused) }
