// Package sms hands one text message to one provider: Twilio, Vonage, Amazon SNS, a webhook of the operator's own, or
// an SMS centre by SMPP.
//
// It promises: Send returns nil only if the provider acknowledged the whole message, and auth.ErrRefused only if no
// further try can change its mind; what an operator can mend (a wrong password, an empty account) is worth another try.
// No error holds a secret, a number, a text or what the provider wrote about them. Send asks once: waiting and repeating
// are its caller's. A message whose acknowledgement got lost is sent twice, as nobody can know; only the webhook can
// tell by the ID.
//
// It refuses: a message that is none, more than ten segments, an unencrypted address that is not on this machine (but
// for smpp://), redirects, and answers above 64 KiB.
package sms

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/internal/auth"
)

// A Message is one text for one number.
type Message struct {
	ID   string // stays the same however often it is tried; up to 100 printable ASCII characters, no space
	To   string // E.164: "+46701234567"
	Text string // UTF-8; what GSM 03.38 cannot write is sent as UCS-2
}

// A Provider takes messages. nil: it acknowledged this one. auth.ErrRefused: it never will. Anything else: try later.
type Provider interface {
	Send(ctx context.Context, m Message) error
}

// A Config is what the operator says about the provider, under sms in the settings.
//
//	           account         secret             from                          region  token
//	twilio     Account SID     Auth Token         number, name or MG...         -       -
//	vonage     API key         signature secret   number or name                -       -
//	sns        access key id   secret access key  number or name; may be empty  yes     of temporary credentials
//	webhook    -               shared secret      -                             -       -
//	smpp       system_id       password           number, short code or name    -       -
//
// Vonage must be told in its dashboard that requests are signed with SHA-256 HMAC.
type Config struct {
	Provider string      // "twilio", "vonage", "sns", "webhook" or "smpp"
	URL      string      // where it is; needed for webhook (https://) and smpp (smpp:// or smpps://), else to use a regional address
	Account  string      // who we are there
	Secret   auth.Secret // how we prove it
	From     string      // what phones show as the sender
	Region   string      // of AWS: "eu-north-1"
	Token    auth.Secret // session token of AWS
}

// Open prepares a provider without calling it. Its error says which setting is wrong and how to mend it.
// Signatures carry the time of the clock.
func Open(c Config, clock func() time.Time) (Provider, error) {
	open, known := map[string]func(Config, func() time.Time) (Provider, error){
		"twilio": openTwilio, "vonage": openVonage, "sns": openSNS, "webhook": openWebhook, "smpp": openSMPP,
	}[c.Provider]
	if !known {
		return nil, fmt.Errorf("sms.provider is %q: set it to twilio, vonage, sns, webhook or smpp", c.Provider)
	}
	p, err := open(c, clock)
	if err != nil {
		return nil, err
	}
	return checked{p}, nil
}

// checked stands before every provider, so that none has to ask what a number or an ID may contain.
type checked struct{ provider Provider }

// most is ten segments: more is no message but a bill. Twilio and SNS stop at 1600 characters too.
const most = 10

var (
	e164      = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	plainID   = regexp.MustCompile(`^[!-~]{1,100}$`)
	shortCode = regexp.MustCompile(`^[0-9]{3,8}$`)
	aName     = regexp.MustCompile(`^[A-Za-z0-9 ._-]{1,11}$`)
	letter    = regexp.MustCompile(`[A-Za-z]`)
	printable = regexp.MustCompile(`^[ -~]*$`)
)

func (c checked) Send(ctx context.Context, m Message) error {
	why := ""
	switch {
	case !plainID.MatchString(m.ID):
		why = "the ID is not 1 to 100 printable ASCII characters"
	case !e164.MatchString(m.To):
		why = "the number is not E.164"
	case m.Text == "" || !utf8.ValidString(m.Text):
		why = "the text is empty or not UTF-8"
	case Segments(m.Text) > most:
		why = fmt.Sprintf("the text has more than %d segments", most)
	default:
		return c.provider.Send(ctx, m)
	}
	return fmt.Errorf("%s: %w", why, auth.ErrRefused)
}

// A setting is one that must be there, and what it has to be.
type setting struct{ name, value, what string }

// need finds the first setting that is empty or that a header or PDU could not hold.
func need(settings ...setting) error {
	for _, s := range settings {
		switch {
		case s.value == "":
			return fmt.Errorf("sms.%s is empty: set it to %s", s.name, s.what)
		case !printable.MatchString(s.value):
			return fmt.Errorf("sms.%s has characters beyond printable ASCII: set it to %s", s.name, s.what)
		}
	}
	return nil
}

func isName(from string) bool { return aName.MatchString(from) && letter.MatchString(from) }

// sender says what is wrong with a sender, or nil.
func sender(from string) error {
	if e164.MatchString(from) || shortCode.MatchString(from) || isName(from) {
		return nil
	}
	return fmt.Errorf("sms.from is %q: set it to a number (+4670...), a short code of 3 to 8 digits, or a name of up to 11 letters", from)
}

// digits is how Vonage and SMPP write a number: without the plus.
func digits(number string) string { return strings.TrimPrefix(number, "+") }
