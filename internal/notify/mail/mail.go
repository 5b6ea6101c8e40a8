// Package mail hands one mail to an SMTP server.
//
// It promises: nil means that the server acknowledged the whole mail; one Send hands a mail over at most once, so an
// answer that got lost is an error, and the next try carries the same Message-ID; an error has neither the address nor
// the password in it. It refuses to say anything to a server whose certificate it cannot verify, unless that is this
// machine, and to send what could become a second header or a second recipient.
package mail

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"sallyport/internal/auth"
)

// A Mail is one text, in two forms, for one person.
type Mail struct {
	ID      string // a dot-atom, at most 128 bytes; the same however often the mail is tried: it becomes the Message-ID
	To      string // bare: ann@example.com
	ToName  string // empty: none is shown
	Subject string
	Text    string
	HTML    string
	At      time.Time // of the Date header
}

// Config is the settings under [mail].
type Config struct {
	Host     string // host:port
	TLS      string // starttls (also if empty), tls from the first byte, or none: for a relay on this machine
	User     string // empty: no login
	Password auth.Secret
	From     string         // Sallyport <no-reply@example.com>; also the envelope's sender
	ReplyTo  string         // empty: none
	Hello    string         // how we greet; empty: the domain of From
	RootCAs  *x509.CertPool // nil: those of the system
}

const (
	most     = 4                // connections at once
	patience = 30 * time.Second // with one mail, from waiting for a connection to the last answer
	rest     = 30 * time.Second // of a connection that nobody needs, until it is closed
	ping     = 2 * time.Second  // for a rested connection to show that it lives
)

// A Server is one SMTP server and the connections to it.
type Server struct {
	config         Config
	host           string // without the port
	from, replyTo  *netmail.Address
	domain         string
	patience, rest time.Duration

	slots  chan struct{}
	mu     sync.Mutex
	idle   []*conn // the one used last is the last
	closed bool
}

var (
	hello = regexp.MustCompile(`^([A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|\[[0-9A-Za-z:.]+\])$`) // RFC 5321 section 4.1.3
	atoms = regexp.MustCompile(`^[A-Za-z0-9_=+-]+(\.[A-Za-z0-9_=+-]+)*$`)                // of RFC 5322, those nobody stumbles over
)

// Open checks the settings and connects to nothing yet. Its errors say which setting is wrong, and how to mend it.
func Open(c Config) (*Server, error) {
	s := &Server{config: c, patience: patience, rest: rest, slots: make(chan struct{}, most)}
	host, port, err := net.SplitHostPort(c.Host)
	if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n == 0 || host == "" {
		return nil, fmt.Errorf("mail.host is %q: set it to host:port, say smtp.example.com:587", c.Host)
	}
	s.host = host
	switch c.TLS {
	case "":
		s.config.TLS = "starttls"
	case "starttls", "tls":
	case "none":
		if ip := net.ParseIP(host); host != "localhost" && !ip.IsLoopback() {
			return nil, errors.New("mail.tls is none, but mail.host is another machine: set it to starttls or tls")
		}
	default:
		return nil, fmt.Errorf("mail.tls is %q: set it to starttls, tls or none", c.TLS)
	}
	if (c.User == "") != (c.Password == "") {
		return nil, errors.New("mail.user and mail.password belong together: set both or neither")
	}
	if s.from, err = sender(c.From); err != nil {
		return nil, fmt.Errorf("mail.from %w", err)
	}
	_, s.domain, _ = strings.Cut(s.from.Address, "@")
	if c.ReplyTo != "" {
		if s.replyTo, err = sender(c.ReplyTo); err != nil {
			return nil, fmt.Errorf("mail.reply_to %w", err)
		}
	}
	if c.Hello == "" {
		s.config.Hello = s.domain
	}
	if !hello.MatchString(s.config.Hello) {
		return nil, fmt.Errorf("mail.hello is %q: set it to the name of this machine, say sallyport.example.com", s.config.Hello)
	}
	return s, nil
}

// sender reads an address of ours. It has to be ASCII, or mail could only be sent to people whose server takes others.
func sender(text string) (*netmail.Address, error) {
	a, err := netmail.ParseAddress(text)
	if err != nil || !bare(a.Address) {
		return nil, fmt.Errorf("is %q: set it to one address, say Sallyport <no-reply@example.com>", text)
	}
	if !ascii(a.Address) {
		return nil, fmt.Errorf("is %q: write the address in ASCII, a domain as xn--", text)
	}
	a.Name = oneLine(a.Name)
	return a, nil
}

// Send hands over one mail, and gives up when ctx ends or after 30 seconds.
//
// nil: the server acknowledged the end of the mail, and answers for it from now on. auth.ErrRefused: it said for good
// that it does not take this mail or this recipient, or nobody could be asked to. Everything else: try later, which
// includes a login that fails, as an operator can mend that.
func (s *Server) Send(ctx context.Context, m Mail) error {
	l, err := s.compose(m)
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	c, err := s.take(ctx)
	if err != nil {
		return fmt.Errorf("mail: server %s: %w", s.config.Host, err)
	}
	defer s.give(c)
	if err := c.during(ctx, func() error { return c.deliver(s.from.Address, l) }); err != nil {
		return fmt.Errorf("mail: server %s: %w", s.config.Host, err)
	}
	return nil
}
