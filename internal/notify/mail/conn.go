package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"sallyport/internal/auth"
)

// A conn is one connection, greeted, encrypted and logged in.
type conn struct {
	client *smtp.Client
	raw    *metered
	broken bool        // nobody knows what the other side would say next
	retire *time.Timer // while it rests
}

func (s *Server) dial(ctx context.Context) (*conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", s.config.Host)
	if err != nil {
		return nil, err
	}
	c := &conn{raw: &metered{Conn: raw}}
	if err := c.during(ctx, func() error { return s.greet(ctx, c) }); err != nil {
		c.drop()
		return nil, err
	}
	return c, nil
}

// greet is everything up to the first mail. None of its failures is about a mail, so none is final.
func (s *Server) greet(ctx context.Context, c *conn) error {
	settings := &tls.Config{ServerName: s.host, RootCAs: s.config.RootCAs, MinVersion: tls.VersionTLS12}
	line := net.Conn(c.raw)
	if s.config.TLS == "tls" {
		secured := tls.Client(c.raw, settings)
		if err := secured.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("TLS: %w", err)
		}
		line = secured
	}
	var err error
	if c.client, err = smtp.NewClient(line, s.host); err != nil {
		return answered("connecting", err, "")
	}
	if err := c.client.Hello(s.config.Hello); err != nil {
		return answered("EHLO", err, "")
	}
	if s.config.TLS == "starttls" {
		if offered, _ := c.client.Extension("STARTTLS"); !offered { // or somebody between us took it out
			return errors.New("it does not offer STARTTLS, which mail.tls asks for")
		}
		if err := c.client.StartTLS(settings); err != nil {
			return answered("STARTTLS", err, "")
		}
	}
	if s.config.User != "" {
		return s.login(c)
	}
	return nil
}

// login happens inside TLS, or on this machine: [Open] allows nothing else. What the server says is not repeated
// beyond its number, as it may repeat the password.
func (s *Server) login(c *conn) error {
	_, offered := c.client.Extension("AUTH")
	mechanisms := strings.Fields(strings.ToUpper(offered))
	plain, password := s.config.TLS == "none", string(s.config.Password)
	for _, way := range []struct {
		name string
		smtp.Auth
	}{
		{"SCRAM-SHA-256", smtp.ScramSHA256Auth(s.config.User, password)},
		{"SCRAM-SHA-1", smtp.ScramSHA1Auth(s.config.User, password)},
		{"PLAIN", smtp.PlainAuth("", s.config.User, password, s.host, plain)},
		{"LOGIN", smtp.LoginAuth(s.config.User, password, s.host, plain)},
	} {
		if !slices.Contains(mechanisms, way.name) {
			continue
		}
		err := c.client.Auth(way.Auth)
		var a answer
		var lost net.Error
		switch {
		case err == nil:
			return nil
		case errors.As(answered("AUTH", err, ""), &a):
			return fmt.Errorf("login by %s as mail.user was answered %d", way.name, a.code)
		case errors.As(err, &lost):
			return fmt.Errorf("login by %s: %w", way.name, err)
		}
		return fmt.Errorf("login by %s broke off", way.name)
	}
	return errors.New("it offers no login by SCRAM, PLAIN or LOGIN")
}

// deliver is the dialogue about one mail.
func (c *conn) deliver(from string, l letter) error {
	beyond := !ascii(l.to)
	if offered, _ := c.client.Extension("SMTPUTF8"); beyond && !offered {
		return refuse("recipient", "is not ASCII, and the server does not offer SMTPUTF8")
	}
	c.client.SkipSMTPUTF8(!beyond) // or a relay further on that lacks it refuses everybody's mail
	if err := c.client.Mail("<" + from + ">"); err != nil {
		return answered("MAIL FROM", err, l.to) // about us, not about the recipient: an operator can mend it
	}
	if err := c.client.Rcpt("<" + l.to + ">"); err != nil {
		return final("RCPT TO", err, l.to)
	}
	w, err := c.client.Data()
	if err != nil {
		return final("DATA", err, l.to)
	}
	if _, err := w.Write(l.raw); err != nil {
		return fmt.Errorf("DATA: %w", err)
	}
	return final("the end of DATA", w.Close(), l.to) // the one answer that counts; if it is lost, nobody knows
}

// during runs f, and closes the connection under it when ctx ends, so that nothing waits longer.
func (c *conn) during(ctx context.Context, f func() error) error {
	c.raw.read = 0
	stop := context.AfterFunc(ctx, func() { c.raw.Close() })
	err := f()
	if !stop() {
		c.broken = true
		if err != nil {
			return fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
	}
	var a answer
	if err != nil && !errors.Is(err, auth.ErrRefused) && !(errors.As(err, &a) && a.clear()) {
		c.broken = true
	}
	return err
}

// reset ends what was begun, and shows whether anybody is still there.
func (c *conn) reset(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ping)
	defer cancel()
	return c.during(ctx, c.client.Reset)
}

// leave says good-bye, which a server may take its time to answer.
func (c *conn) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), ping)
	defer cancel()
	c.during(ctx, c.client.Quit)
	c.drop()
}

func (c *conn) drop() { c.raw.Close() }

// A metered connection ends when the other side talks without end: an answer is kept in memory until it is complete,
// and before TLS anybody in between can give one.
type metered struct {
	net.Conn
	read int
}

func (m *metered) Read(b []byte) (int, error) {
	if m.read > 1<<20 {
		return 0, errors.New("more than 1 MiB was said about one mail")
	}
	n, err := m.Conn.Read(b)
	m.read += n
	return n, err
}
