package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Client is one browser or app. It keeps its own cookies: Go's jar does not send Secure ones over http, as browsers do
// to localhost. Its methods may be called from any goroutine.
type Client struct {
	t    testing.TB
	URL  string
	Head http.Header // goes along with every request
	via  string
	way  *http.Transport // not an http.Client: that one reads Location, and fails on some that browsers take

	mu      sync.Mutex
	cookies map[string]string
}

// An Answer is a response as it came. Status 0: there was none, and Body says why.
type Answer struct {
	Status   int
	Location string
	Header   http.Header
	Body     string
}

// patience is how long a client waits for an answer.
const patience = 30 * time.Second

// NewClient has no cookies yet.
func NewClient(t testing.TB, url string) *Client {
	c := &Client{t: t, URL: url, Head: http.Header{}, cookies: map[string]string{}}
	c.way = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if c.via != "" {
			address = c.via
		}
		return new(net.Dialer).DialContext(ctx, network, strings.Replace(address, "localhost", "127.0.0.1", 1))
	}}
	t.Cleanup(c.way.CloseIdleConnections)
	return c
}

// Via connects to an address whatever the URL says, as through a load balancer.
func (c *Client) Via(address string) *Client {
	c.via = address
	return c
}

// Clone is another client with the same cookies, on connections of its own.
func (c *Client) Clone() *Client { return c.On(c.URL) }

// On is Clone at another node.
func (c *Client) On(url string) *Client {
	other := NewClient(c.t, url).Via(c.via)
	other.Head = c.Head.Clone()
	c.mu.Lock()
	defer c.mu.Unlock()
	other.cookies = maps.Clone(c.cookies)
	return other
}

// From is the address a trusted proxy says the client has.
func (c *Client) From(address string) *Client {
	c.Head.Set("X-Forwarded-For", address)
	return c
}

// Cookie is the value of one, or "".
func (c *Client) Cookie(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cookies[name]
}

// SetCookie sets one; "" removes it.
func (c *Client) SetCookie(name, value string) *Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cookies[name] = value
	if value == "" {
		delete(c.cookies, name)
	}
	return c
}

// API calls the JSON face; path is what comes after /api/v1. A body that is no string or []byte is sent as JSON.
func (c *Client) API(method, path string, body any) (status int, answer map[string]any) {
	a := c.Call(method, path, body)
	if err := json.Unmarshal([]byte(a.Body), &answer); err != nil {
		answer = map[string]any{"body": a.Body}
	}
	return a.Status, answer
}

// Call is API with the whole answer.
func (c *Client) Call(method, path string, body any) Answer {
	head := http.Header{}
	var sent []byte
	switch b := body.(type) {
	case nil:
	case []byte:
		sent = b
	case string:
		sent = []byte(b)
	default:
		var err error
		if sent, err = json.Marshal(body); err != nil {
			c.t.Error(err)
		}
	}
	if body != nil {
		head.Set("Content-Type", "application/json")
	}
	return c.Send(method, "/api/v1"+path, head, sent)
}

// Page asks for a page, or sends a form if there is one.
func (c *Client) Page(method, path string, form url.Values) Answer {
	head := http.Header{"Sec-Fetch-Site": {"same-origin"}}
	if form != nil {
		head.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return c.Send(method, path, head, []byte(form.Encode()))
}

// Send is any request. A header "Host" becomes the Host; a "Cookie" stands in place of those the client keeps.
func (c *Client) Send(method, path string, head http.Header, body []byte) Answer {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return Answer{Body: err.Error()}
	}
	maps.Copy(r.Header, c.Head)
	maps.Copy(r.Header, head)
	if host := head.Get("Host"); host != "" {
		r.Host = host
	}
	c.mu.Lock()
	for name, value := range c.cookies {
		if head.Get("Cookie") == "" {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
	}
	c.mu.Unlock()
	resp, err := c.way.RoundTrip(r)
	if err != nil {
		return Answer{Body: err.Error()}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{Body: err.Error()}
	}
	c.mu.Lock()
	for _, cookie := range resp.Cookies() {
		c.cookies[cookie.Name] = cookie.Value
		if cookie.MaxAge < 0 {
			delete(c.cookies, cookie.Name)
		}
	}
	c.mu.Unlock()
	return Answer{resp.StatusCode, resp.Header.Get("Location"), resp.Header, string(b)}
}
