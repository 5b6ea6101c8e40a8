package sms

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/auth"
)

// vonage speaks the SMS API with signed requests: the secret itself never leaves.
// Source: https://developer.vonage.com/en/messaging/sms/overview
type vonage struct {
	url    *url.URL
	key    string
	secret auth.Secret
	from   string
	clock  func() time.Time
}

func openVonage(c Config, clock func() time.Time) (Provider, error) {
	err := need(
		setting{"account", c.Account, "the API key of Vonage"},
		setting{"secret", string(c.Secret), "the signature secret of Vonage (not the API secret), for SHA-256 HMAC"},
		setting{"from", c.From, "a number of your Vonage account, or a name"},
	)
	if err != nil {
		return nil, err
	}
	if err := sender(c.From); err != nil {
		return nil, err
	}
	base, err := endpoint(c.URL, "https://rest.nexmo.com")
	if err != nil {
		return nil, err
	}
	return &vonage{base.JoinPath("sms", "json"), c.Account, c.Secret, digits(c.From), clock}, nil
}

func (v *vonage) Send(ctx context.Context, m Message) error {
	fields := url.Values{
		"api_key": {v.key}, "from": {v.from}, "to": {digits(m.To)}, "text": {m.Text}, "client-ref": {m.ID},
		"type": {"text"}, "timestamp": {strconv.FormatInt(v.clock().Unix(), 10)},
	}
	if !isGSM(m.Text) {
		fields.Set("type", "unicode")
	}
	fields.Set("sig", vonageSignature(fields, v.secret))
	r, err := form(ctx, v.url, fields)
	if err != nil {
		return fmt.Errorf("vonage: %w", err)
	}
	status, body, err := exchange(r)
	if err != nil {
		return fmt.Errorf("vonage: %w", err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("vonage answered %d", status)
	}
	return vonageVerdict(body)
}

// vonageSignature is over all fields in alphabetical order, each as &name=value, where a value's & and = are _.
// Source: https://developer.vonage.com/en/getting-started/concepts/signing-messages
func vonageSignature(fields url.Values, secret auth.Secret) string {
	mac := hmac.New(sha256.New, []byte(secret))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		io.WriteString(mac, "&"+name+"="+strings.NewReplacer("&", "_", "=", "_").Replace(fields.Get(name)))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// vonageVerdict reads the status of every part: one that fails is a message that failed.
// Source: https://developer.vonage.com/en/api-errors/sms
func vonageVerdict(body []byte) error {
	var said struct {
		Count    string `json:"message-count"`
		Messages []struct{ Status string }
	}
	if json.Unmarshal(body, &said) != nil || len(said.Messages) == 0 || said.Count != strconv.Itoa(len(said.Messages)) {
		return fmt.Errorf("vonage: the answer is not what the SMS API says")
	}
	var failed error
	for _, part := range said.Messages {
		switch part.Status {
		case "0":
		case "2", "3", "6", "7", "12", "22", "33": // parameters, unknown prefix, barred, too long, no such network, deactivated
			return fmt.Errorf("vonage answered status %s: %w", part.Status, auth.ErrRefused)
		default: // above all throttled (1), internal (5), and what the operator can mend: credentials (4, 14), credit (9), sender (15)
			code, err := strconv.Atoi(part.Status)
			if err != nil {
				code = -1
			}
			failed = fmt.Errorf("vonage answered status %d", code)
		}
	}
	return failed
}
