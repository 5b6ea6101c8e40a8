package mail

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"sallyport/internal/notify/mail/mailtest"
)

// A server is the other side, in this process, that fails as a test wants it to.
type server struct {
	addr    string
	rootCAs *x509.CertPool
	logins  []string // mechanisms offered
	// at is asked at each stage: EHLO, AUTH, MAIL, RCPT, DATA (before the mail is read), END (after it), RSET.
	at func(stage string, c *gosmtp.Conn) error

	mu          sync.Mutex
	stages      []string
	mails       [][]byte
	utf8        []bool // whether MAIL asked for SMTPUTF8
	conns, peak int
	total       int
}

// serve starts a server; change may take STARTTLS away, say.
func serve(t *testing.T, s *server, change ...func(*gosmtp.Server)) *server {
	t.Helper()
	ca, cert, key := mailtest.Certificate(t, "127.0.0.1")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s.rootCAs = x509.NewCertPool()
	s.rootCAs.AppendCertsFromPEM(ca)
	inner := gosmtp.NewServer(gosmtp.BackendFunc(func(c *gosmtp.Conn) (gosmtp.Session, error) {
		return &session{s, c}, s.reach("EHLO", c)
	}))
	inner.Domain = "relay.test"
	inner.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}}
	inner.ErrorLog = quiet{}
	for _, c := range change {
		c(inner)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	go inner.Serve(&counting{l, s})
	t.Cleanup(func() { inner.Close() })
	return s
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func (s *server) reach(stage string, c *gosmtp.Conn) error {
	s.mu.Lock()
	s.stages = append(s.stages, stage)
	at := s.at
	s.mu.Unlock()
	if at == nil {
		return nil
	}
	return at(stage, c)
}

// count is how often a stage was reached.
func (s *server) count(stage string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.stages {
		if one == stage {
			n++
		}
	}
	return n
}

func (s *server) received() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// connections are those open now, the most at once, and all there ever were.
func (s *server) connections() (now, peak, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns, s.peak, s.total
}

type counting struct {
	net.Listener
	s *server
}

func (l *counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.conns++
	l.s.total++
	l.s.peak = max(l.s.peak, l.s.conns)
	return &counted{Conn: c, gone: sync.OnceFunc(func() {
		l.s.mu.Lock()
		defer l.s.mu.Unlock()
		l.s.conns--
	})}, nil
}

type counted struct {
	net.Conn
	gone func()
}

func (c *counted) Close() error {
	c.gone()
	return c.Conn.Close()
}

type session struct {
	s *server
	c *gosmtp.Conn
}

func (n *session) Reset()        { n.s.reach("RSET", n.c) }
func (n *session) Logout() error { return nil }

func (n *session) Mail(_ string, o *gosmtp.MailOptions) error {
	n.s.mu.Lock()
	n.s.utf8 = append(n.s.utf8, o.UTF8)
	n.s.mu.Unlock()
	return n.s.reach("MAIL", n.c)
}

func (n *session) Rcpt(string, *gosmtp.RcptOptions) error { return n.s.reach("RCPT", n.c) }

func (n *session) Data(r io.Reader) error {
	if err := n.s.reach("DATA", n.c); err != nil {
		return err
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	n.s.mu.Lock()
	n.s.mails = append(n.s.mails, raw)
	n.s.mu.Unlock()
	return n.s.reach("END", n.c)
}

func (n *session) AuthMechanisms() []string { return n.s.logins }

// Auth lets "ann" in with the password "hunter=2,ü".
func (n *session) Auth(mechanism string) (sasl.Server, error) {
	if err := n.s.reach("AUTH", n.c); err != nil {
		return nil, err
	}
	check := func(user, password string) error {
		if user != "ann" || password != "hunter=2,ü" {
			return gosmtp.ErrAuthFailed
		}
		return nil
	}
	switch {
	case mechanism == sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	case mechanism == "LOGIN":
		return &loginServer{check: check}, nil
	case strings.HasPrefix(mechanism, "SCRAM-SHA-256"):
		return &scramServer{password: "hunter=2,ü"}, nil
	}
	return nil, gosmtp.ErrAuthUnknownMechanism
}
