package sms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sallyport/internal/auth"
)

// webhook posts the message to a service of the operator's own:
//
//	POST <sms.url>
//	Content-Type: application/json
//	Idempotency-Key: <id>
//	Sallyport-Timestamp: <seconds since 1970, decimal>
//	Sallyport-Signature: v1=<64 hexadecimal digits>
//
//	{"id":"<id>","to":"+46701234567","text":"...","at":"2026-03-01T12:00:00Z"}
//
// The signature is HMAC-SHA256, keyed with the bytes of sms.secret, over the timestamp as it stands in the header, a
// full stop, and the bytes of the body as they came, before any JSON is parsed. Whoever receives it computes the same,
// compares both in constant time, drops what is more than five minutes old, and sends one text per Idempotency-Key
// however often it comes: at and the signature differ from try to try, the id does not.
//
// Any 2xx says that the message is taken, and its body is not read for more. 4xx says that it never will be, but for
// 408, 425 and 429; everything else is tried again, so a service that cannot check a signature just now answers 503.
type webhook struct {
	url    *url.URL
	secret auth.Secret
	clock  func() time.Time
}

func openWebhook(c Config, clock func() time.Time) (Provider, error) {
	const secret = "32 or more random characters, the same as your service knows"
	err := need(
		setting{"url", c.URL, "the address of your service, https://..."},
		setting{"secret", string(c.Secret), secret},
	)
	if err != nil {
		return nil, err
	}
	if len(c.Secret) < 32 {
		return nil, errors.New("sms.secret is too short: set it to " + secret)
	}
	u, err := endpoint(c.URL, "")
	if err != nil {
		return nil, err
	}
	return &webhook{u, c.Secret, clock}, nil
}

func (w *webhook) Send(ctx context.Context, m Message) error {
	now := w.clock().UTC()
	body, err := json.Marshal(struct {
		ID   string    `json:"id"`
		To   string    `json:"to"`
		Text string    `json:"text"`
		At   time.Time `json:"at"`
	}{m.ID, m.To, m.Text, now.Truncate(time.Second)})
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	at := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", m.ID)
	r.Header.Set("Sallyport-Timestamp", at)
	r.Header.Set("Sallyport-Signature", fmt.Sprintf("v1=%x", hmacSHA256([]byte(w.secret), at+"."+string(body))))
	status, _, err := exchange(r)
	switch {
	case status/100 == 2: // even if its body broke off
		return nil
	case err != nil:
		return fmt.Errorf("webhook: %w", err)
	}
	passes := status == http.StatusRequestTimeout || status == http.StatusTooEarly || status == http.StatusTooManyRequests
	if status/100 == 4 && !passes {
		return fmt.Errorf("webhook answered %d: %w", status, auth.ErrRefused)
	}
	return fmt.Errorf("webhook answered %d", status)
}
