package sms

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// web are the providers that speak HTTP.
var web = []string{"twilio", "vonage", "sns", "webhook"}

func served(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// says is a provider that answers all with one status and body.
func says(t *testing.T, status int, body string) string {
	return served(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

func TestAFaultyProviderIsTriedAgain(t *testing.T) {
	for _, provider := range web {
		for _, status := range []int{http.StatusTooManyRequests, http.StatusRequestTimeout, 500, 502, 503, 504, 304} {
			for _, body := range []string{"", "{", "<", "null", "[]", "0", `{"code":"echoed"}`, "<html>echoed +46701234567</html>", "\x00\xff"} {
				later(t, opened(t, at(provider, says(t, status, body))).Send(t.Context(), hello()))
			}
		}
	}
}

// An answer that says OK and nothing else may come from anything that stands between. Only the webhook's status is all it says.
func TestGarbageIsNoAcknowledgement(t *testing.T) {
	for _, provider := range []string{"twilio", "vonage", "sns"} {
		for _, status := range []int{200, 201, 202, 204} {
			for _, body := range []string{"", "{}", "[]", "null", `"ok"`, "<ok/>", "<PublishResponse/>",
				"<Answer><PublishResult><MessageId>1</MessageId></PublishResult></Answer>", `{"sid":""}`, `{"sid":7}`, `{"sid":"SM"}`,
				`{"messages":[]}`, `{"message-count":"0","messages":[]}`, `{"message-count":"1","messages":[{}]}`,
				"<html>Welcome to our hotel</html>", strings.Repeat("[", 10_000), strings.Repeat("<a>", 10_000)} {
				later(t, opened(t, at(provider, says(t, status, body))).Send(t.Context(), hello()))
			}
		}
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	var strayed atomic.Int32
	elsewhere := served(t, func(http.ResponseWriter, *http.Request) { strayed.Add(1) })
	for _, provider := range web {
		for _, status := range []int{301, 302, 303, 307, 308} {
			url := served(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, status) })
			later(t, opened(t, at(provider, url)).Send(t.Context(), hello()))
		}
	}
	if strayed.Load() != 0 {
		t.Error(strayed.Load(), "messages went elsewhere")
	}
}

func TestAnAnswerWithoutEndIsNotReadToItsEnd(t *testing.T) {
	const enough = 32 << 20 // more than any buffer on the way
	for _, provider := range web {
		sent := make(chan int, 1)
		url := served(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			n := 0
			for err := error(nil); err == nil && n < enough; n += 1 << 16 {
				_, err = w.Write(make([]byte, 1<<16))
			}
			sent <- n
		})
		later(t, opened(t, at(provider, url)).Send(t.Context(), hello()))
		if n := <-sent; n >= enough {
			t.Errorf("%s: all %d bytes were read", provider, n)
		}
	}
}

func TestALongAnswerIsNotBelieved(t *testing.T) {
	padding := strings.Repeat(" ", longest)
	for provider, url := range map[string]string{
		"twilio": says(t, 201, `{"sid":"SM`+strings.Repeat("0", 32)+`"}`+padding),
		"vonage": says(t, 200, `{"message-count":"1","messages":[{"status":"0"}]}`+padding),
		"sns":    says(t, 200, published+padding),
	} {
		later(t, opened(t, at(provider, url)).Send(t.Context(), hello()))
	}
}

func TestACutConnectionIsForAnotherTry(t *testing.T) {
	for _, provider := range web {
		for name, sent := range map[string]string{
			"at once":                 "",
			"in the status":           "HTTP/1.1 2",
			"in the body":             "HTTP/1.1 500 Oh\r\nContent-Length: 100\r\n\r\n{",
			"in the chunks":           "HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
			"before any HTTP at all":  "SSH-2.0-OpenSSH\r\n",
			"after a header of 2 MiB": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2<<20) + "\r\n\r\n",
		} {
			url := served(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				conn, _, _ := w.(http.Hijacker).Hijack()
				io.WriteString(conn, sent)
				conn.Close()
			})
			t.Log(provider, name)
			later(t, opened(t, at(provider, url)).Send(t.Context(), hello()))
		}
	}
}

func TestNobodyAtTheAddressIsForAnotherTry(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, provider := range web {
		err := opened(t, at(provider, gone.URL+"/path-secret")).Send(t.Context(), hello())
		later(t, err)
	}
}

func TestAProviderThatHangsIsGivenUp(t *testing.T) {
	over := make(chan struct{})
	url := served(t, func(w http.ResponseWriter, r *http.Request) { <-over })
	defer close(over)
	for _, provider := range web {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := opened(t, at(provider, url)).Send(ctx, hello())
		cancel()
		later(t, err)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", provider, err)
		}
	}
	if client.Timeout != 10*time.Second {
		t.Error("without a deadline it hangs for ", client.Timeout)
	}
}
