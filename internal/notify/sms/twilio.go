package sms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"sallyport/internal/auth"
)

// twilio creates a Message resource. Source: https://www.twilio.com/docs/messaging/api/message-resource
type twilio struct {
	url      *url.URL
	account  string
	token    auth.Secret
	fromName string // of the form's field: From, or MessagingServiceSid
	from     string
}

var (
	accountSID = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)
	messageSID = regexp.MustCompile(`^(SM|MM)[0-9a-fA-F]{32}$`)
	serviceSID = regexp.MustCompile(`^MG[0-9a-fA-F]{32}$`)
)

// never are the error codes that are about this number or text. Source: https://www.twilio.com/docs/api/errors
var never = map[int]bool{
	21211: true, // the number is invalid
	21401: true,
	21407: true, // its type takes no SMS
	21408: true, // its country is not allowed
	21602: true, // the text is missing
	21604: true, // the number is missing
	21610: true, // it sent STOP
	21612: true, // no route leads to it
	21614: true, // not a mobile number
	21617: true, // the text is too long
	21635: true, // a landline
}

func openTwilio(c Config, _ func() time.Time) (Provider, error) {
	err := need(
		setting{"account", c.Account, "the Account SID of Twilio"},
		setting{"secret", string(c.Secret), "the Auth Token of Twilio"},
		setting{"from", c.From, "a number or name of your Twilio account, or the SID of a Messaging Service (MG...)"},
	)
	if err != nil {
		return nil, err
	}
	if !accountSID.MatchString(c.Account) {
		return nil, errors.New("sms.account is not AC and 32 hexadecimal digits: set it to the Account SID of Twilio")
	}
	t := &twilio{account: c.Account, token: c.Secret, fromName: "From", from: c.From}
	if serviceSID.MatchString(c.From) {
		t.fromName = "MessagingServiceSid"
	} else if err := sender(c.From); err != nil {
		return nil, err
	}
	base, err := endpoint(c.URL, "https://api.twilio.com")
	if err != nil {
		return nil, err
	}
	t.url = base.JoinPath("2010-04-01", "Accounts", c.Account, "Messages.json")
	return t, nil
}

func (t *twilio) Send(ctx context.Context, m Message) error {
	r, err := form(ctx, t.url, url.Values{"To": {m.To}, t.fromName: {t.from}, "Body": {m.Text}})
	if err != nil {
		return fmt.Errorf("twilio: %w", err)
	}
	r.SetBasicAuth(t.account, string(t.token))
	status, body, err := exchange(r)
	if err != nil {
		return fmt.Errorf("twilio: %w", err)
	}
	var said struct {
		SID  string // of the message
		Code int    // of the error; the words beside it repeat the number
	}
	err = json.Unmarshal(body, &said)
	switch {
	case err == nil && status == http.StatusCreated && messageSID.MatchString(said.SID):
		return nil
	case err == nil && status == http.StatusBadRequest && never[said.Code]:
		return fmt.Errorf("twilio answered %d, code %d: %w", status, said.Code, auth.ErrRefused)
	}
	return fmt.Errorf("twilio answered %d, code %d", status, said.Code)
}
