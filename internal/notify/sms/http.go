package sms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	patience = 10 * time.Second // for one message, from the connection to the last byte of the answer
	longest  = 64 << 10         // bytes of an answer's head, and of its body
)

// client follows no redirect: a signed message is for one address.
var client = &http.Client{
	Timeout:       patience,
	Transport:     transport(),
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes = longest
	return t
}

// endpoint is the address of an HTTP provider, or usual if none is set. It never repeats what is set, which may hold a secret.
func endpoint(set, usual string) (*url.URL, error) {
	if set == "" {
		set = usual
	}
	u, err := url.Parse(set)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return nil, errors.New("sms.url is not an address without user name and #: set it to https://host/path")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, errors.New("sms.url would send codes unencrypted: set it to an address that begins with https://")
	}
	return u, nil
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// form is a POST of an HTML form, which is what three of the providers speak.
func form(ctx context.Context, to *url.URL, fields url.Values) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r, nil
}

// exchange sends a request and reads the answer. If only the answer's body is at fault, the status stands beside the error.
func exchange(r *http.Request) (status int, body []byte, err error) {
	r.Header.Set("User-Agent", "Sallyport")
	res, err := client.Do(r)
	if err != nil {
		var around *url.Error
		if errors.As(err, &around) {
			err = around.Err // without the address, which may hold a secret
		}
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(io.LimitReader(res.Body, longest+1))
	switch {
	case err != nil:
		return res.StatusCode, nil, fmt.Errorf("the answer %d broke off: %w", res.StatusCode, err)
	case len(body) > longest:
		return res.StatusCode, nil, fmt.Errorf("the answer %d is longer than %d bytes", res.StatusCode, longest)
	}
	return res.StatusCode, body, nil
}
