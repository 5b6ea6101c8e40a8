package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"sallyport/internal/auth"
	"sallyport/internal/notify/mail/mailtest"
)

// failing says one thing at one stage.
func failing(stage string, code int, words string) *server {
	return &server{at: func(reached string, _ *gosmtp.Conn) error {
		if reached == stage {
			return &gosmtp.SMTPError{Code: code, EnhancedCode: gosmtp.NoEnhancedCode, Message: words}
		}
		return nil
	}}
}

func TestWhatAServerSaysIsForGoodOrForNow(t *testing.T) {
	for _, tt := range []struct {
		stage string
		code  int
		good  bool
	}{
		{"EHLO", 421, false}, {"EHLO", 554, false},
		{"MAIL", 451, false}, {"MAIL", 550, false}, // the sender is ours to mend
		{"RCPT", 421, false}, {"RCPT", 450, false}, {"RCPT", 451, false}, {"RCPT", 503, false}, {"RCPT", 530, false},
		{"RCPT", 501, true}, {"RCPT", 550, true}, {"RCPT", 553, true}, {"RCPT", 556, true},
		{"DATA", 554, true}, {"DATA", 452, false},
		{"END", 421, false}, {"END", 451, false}, {"END", 552, true}, {"END", 554, true},
	} {
		s := serve(t, failing(tt.stage, tt.code, "<ann.o'neil@example.org>: no ANN.O'NEIL here\nask <admin@example.org>"))
		err := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs}).Send(t.Context(), letterTo("ann.o'neil@example.org"))
		if err == nil || errors.Is(err, auth.ErrRefused) != tt.good || !strings.Contains(err.Error(), strconv.Itoa(tt.code)) {
			t.Error(tt.stage, tt.code, err)
		}
		if s := strings.ToLower(err.Error()); strings.Contains(s, "@") || strings.ContainsAny(s, "\r\n") || tt.stage != "EHLO" && strings.Contains(s, "o'neil") {
			t.Errorf("%s: %q", tt.stage, s)
		}
	}
}

// A connection that refused one mail is fit for the next.
func TestAfterARefusalTheConnectionGoesOn(t *testing.T) {
	for _, stage := range []string{"RCPT", "END"} {
		s := serve(t, failing(stage, 550, "no"))
		c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs})
		for range 3 {
			if err := c.Send(t.Context(), letterTo("ann@example.org")); !errors.Is(err, auth.ErrRefused) {
				t.Error(err)
			}
		}
		if _, _, total := s.connections(); total != 1 {
			t.Error(stage, total, "connections")
		}
	}
}

func TestAHangIsLeftWhenTheTimeIsOver(t *testing.T) {
	for _, stage := range []string{"EHLO", "AUTH", "MAIL", "RCPT", "DATA", "END"} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			s := serve(t, &server{logins: []string{"PLAIN"}, at: func(reached string, _ *gosmtp.Conn) error {
				if reached == stage {
					<-over
				}
				return nil
			}})
			defer close(over)
			c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs, User: "ann", Password: "hunter=2,ü"})
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			hangs(t, c, ctx, context.DeadlineExceeded)

			c.patience = 300 * time.Millisecond
			hangs(t, c, context.Background(), context.DeadlineExceeded)

			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(300*time.Millisecond, cancel)
			c.patience = patience
			hangs(t, c, ctx, context.Canceled)
		})
	}
}

func hangs(t *testing.T, c *Server, ctx context.Context, want error) {
	t.Helper()
	begun := time.Now()
	err := c.Send(ctx, letterTo("ann@example.org"))
	if took := time.Since(begun); !errors.Is(err, want) || errors.Is(err, auth.ErrRefused) || took < 250*time.Millisecond || took > 5*time.Second {
		t.Error(took, err)
	}
}

// accepting is the address of a server in so many words.
func accepting(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
			t.Cleanup(func() { c.Close() })
		}
	}()
	return l.Addr().String()
}

// saying says one thing and nothing more.
func saying(t *testing.T, words string) string {
	t.Helper()
	return accepting(t, func(c net.Conn) { c.Write([]byte(words)) })
}

func TestAServerThatSaysNothingIsLeft(t *testing.T) {
	for _, mode := range []string{"starttls", "tls", "none"} {
		c := opened(t, Config{Host: saying(t, ""), TLS: mode})
		c.patience = 300 * time.Millisecond
		hangs(t, c, t.Context(), context.DeadlineExceeded)
	}
}

func TestNoGreetingIsFinal(t *testing.T) {
	for _, words := range []string{"421 4.3.2 busy\r\n", "554 5.7.1 not you\r\n", "hello\r\n", "220"} {
		c := opened(t, Config{Host: saying(t, words)})
		c.patience = 300 * time.Millisecond
		if err := c.Send(t.Context(), letterTo("ann@example.org")); err == nil || errors.Is(err, auth.ErrRefused) {
			t.Errorf("%q: %v", words, err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := opened(t, Config{Host: l.Addr().String()}).Send(t.Context(), letterTo("ann@example.org")); err == nil || errors.Is(err, auth.ErrRefused) {
		t.Error("nobody listens: ", err)
	}
}

// What somebody in the middle adds to the answer to STARTTLS, before TLS, must not be taken for what the server says
// inside it.
func TestWhatIsSaidBeforeTLSDoesNotCountInside(t *testing.T) {
	ca, cert, key := mailtest.Certificate(t, "127.0.0.1")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	addr := accepting(t, func(c net.Conn) {
		buffer := make([]byte, 4096)
		c.Write([]byte("220 relay.test\r\n"))
		c.Read(buffer)
		c.Write([]byte("250-relay.test\r\n250 STARTTLS\r\n"))
		c.Read(buffer)
		c.Write([]byte("220 go\r\n250 yes\r\n250 yes\r\n250 yes\r\n354 go on\r\n250 yes\r\n"))
		inside := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}})
		inside.Write([]byte("421 from inside\r\n421 from inside\r\n"))
	})
	err = opened(t, Config{Host: addr, RootCAs: roots}).Send(t.Context(), letterTo("ann@example.org"))
	if err == nil || !strings.Contains(err.Error(), "from inside") {
		t.Error(err)
	}
}

func TestAServerThatTalksWithoutEndIsLeft(t *testing.T) {
	for _, piece := range []string{"220-hello\r\n", "220 hello "} {
		flood := []byte(strings.Repeat(piece, 5000))
		addr := accepting(t, func(c net.Conn) {
			for n := 1; n > 0; {
				n, _ = c.Write(flood)
			}
		})
		err := opened(t, Config{Host: addr}).Send(t.Context(), letterTo("ann@example.org"))
		if err == nil || !strings.Contains(err.Error(), "1 MiB") || errors.Is(err, auth.ErrRefused) || len(err.Error()) > 300 {
			t.Error(err)
		}
	}
}

// Nobody knows whether the mail was taken, so whoever asked for it decides what to do about it.
func TestAnAnswerThatGotLostIsAnErrorAndNotASecondMail(t *testing.T) {
	s := serve(t, &server{at: func(stage string, c *gosmtp.Conn) error {
		if stage == "END" {
			c.Conn().Close()
		}
		return nil
	}})
	c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs})
	err := c.Send(t.Context(), letterTo("ann@example.org"))
	if err == nil || errors.Is(err, auth.ErrRefused) || !strings.Contains(err.Error(), "the end of DATA was not answered") {
		t.Error(err)
	}
	if n := len(s.received()); n != 1 {
		t.Error(n, "mails")
	}
	if err := c.Send(t.Context(), letterTo("ann@example.org")); err == nil || len(s.received()) != 2 {
		t.Error("the next Send: ", err)
	}
}

// An answer may get lost on a rested connection too, which is no reason to take it for one that was closed.
func TestALostAnswerOnARestedConnectionIsNotASecondMailEither(t *testing.T) {
	s := serve(t, &server{})
	c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs})
	if err := c.Send(t.Context(), letterTo("ann@example.org")); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.at = func(stage string, c *gosmtp.Conn) error {
		if stage == "END" {
			c.Conn().Close()
		}
		return nil
	}
	s.mu.Unlock()
	if err := c.Send(t.Context(), letterTo("ann@example.org")); err == nil || len(s.received()) != 2 {
		t.Error(err, len(s.received()), "mails")
	}
}
