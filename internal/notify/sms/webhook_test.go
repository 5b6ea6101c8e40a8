package sms

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A delivery is what a webhook was sent.
type delivery struct {
	key  string
	body map[string]string
}

// aWebhook verifies as the docstring of webhook says.
func aWebhook(t *testing.T, secret string, taken *[]delivery) string {
	return served(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		at := r.Header.Get("Sallyport-Timestamp")
		mac := hmac.New(sha256.New, []byte(secret))
		io.WriteString(mac, at+".")
		mac.Write(body)
		sent, _ := strconv.ParseInt(at, 10, 64)
		said, _ := hex.DecodeString(strings.TrimPrefix(r.Header.Get("Sallyport-Signature"), "v1="))
		got := delivery{key: r.Header.Get("Idempotency-Key")}
		switch {
		case !hmac.Equal(said, mac.Sum(nil)) || noon().Sub(time.Unix(sent, 0)).Abs() > 5*time.Minute:
			w.WriteHeader(503)
		case r.Method != http.MethodPost || r.URL.RequestURI() != "/in?tenant=5" || r.Header.Get("Content-Type") != "application/json",
			json.Unmarshal(body, &got.body) != nil || len(got.body) != 4:
			w.WriteHeader(400)
		default:
			*taken = append(*taken, got)
			w.WriteHeader(204)
		}
	})
}

func TestAWebhookCanVerifyWhatItIsSent(t *testing.T) {
	var taken []delivery
	p := opened(t, at("webhook", aWebhook(t, string(good["webhook"].Secret), &taken)+"/in?tenant=5"))
	for range 2 { // a second try has the same key
		if err := p.Send(t.Context(), hello()); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range taken {
		if d.key != "m-0001" || d.body["id"] != d.key || d.body["to"] != hello().To || d.body["text"] != hello().Text || d.body["at"] != "2026-03-01T12:00:00Z" {
			t.Error(d)
		}
	}
	if len(taken) != 2 {
		t.Error(len(taken), "deliveries")
	}
}

func TestAWebhookWithAnotherSecretTakesNothing(t *testing.T) {
	var taken []delivery
	later(t, opened(t, at("webhook", aWebhook(t, strings.Repeat("x", 32), &taken)+"/in?tenant=5")).Send(t.Context(), hello()))
	if len(taken) != 0 {
		t.Error(taken)
	}
}

// The known answer: computed with `printf '1772366400.{"id":...}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef`.
func TestTheSignatureIsOverTimestampAndBody(t *testing.T) {
	var got, body string
	url := served(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, body = r.Header.Get("Sallyport-Signature"), string(b)
	})
	if err := opened(t, at("webhook", url)).Send(t.Context(), Message{ID: "m-0001", To: "+46701234567", Text: "Code 1"}); err != nil {
		t.Fatal(err)
	}
	if want := `{"id":"m-0001","to":"+46701234567","text":"Code 1","at":"2026-03-01T12:00:00Z"}`; body != want {
		t.Errorf("%s", body)
	}
	if want := "v1=d8dd53b6a3be3d05651b5f5d85c01f3d608bc3f9a7c30d3e2c638246f4a9c64d"; got != want {
		t.Errorf("%s", got)
	}
}

func TestAWebhookSpeaksByItsStatus(t *testing.T) {
	for status, judge := range map[int]func(*testing.T, error){
		400: refused, 401: refused, 403: refused, 404: refused, 409: refused, 410: refused, 413: refused, 422: refused, 451: refused, 499: refused,
		408: later, 425: later, 429: later, 500: later, 501: later, 503: later, 599: later, 300: later, 302: later, 304: later,
	} {
		judge(t, opened(t, at("webhook", says(t, status, "echoed"))).Send(t.Context(), hello()))
	}
	for _, status := range []int{200, 201, 202, 204, 299} {
		if err := opened(t, at("webhook", says(t, status, ""))).Send(t.Context(), hello()); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestWhatAWebhookSaysAfterItTookAMessageIsNotRead(t *testing.T) {
	for _, sent := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut", "HTTP/1.1 202 Accepted\r\n\r\n" + strings.Repeat("x", 2*longest),
	} {
		url := served(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			conn, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(conn, sent)
			conn.Close()
		})
		if err := opened(t, at("webhook", url)).Send(t.Context(), hello()); err != nil {
			t.Error(err)
		}
	}
}

func TestNoTextAddsAFieldToAWebhook(t *testing.T) {
	var taken []delivery
	p := opened(t, at("webhook", aWebhook(t, string(good["webhook"].Secret), &taken)+"/in?tenant=5"))
	for _, text := range weird {
		m := hello()
		m.Text = text
		if err := p.Send(t.Context(), m); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := taken[len(taken)-1]; got.body["text"] != text || got.key != m.ID {
			t.Errorf("%q became %v", text, got)
		}
	}
}
