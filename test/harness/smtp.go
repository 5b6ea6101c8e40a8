package harness

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
)

// A Relay is a mail server on this machine that refuses every recipient once it is told to.
type Relay struct {
	Addr string

	mu      sync.Mutex
	refuses bool
	mails   []mail
}

type mail struct{ to, text string }

// StartRelay starts one without TLS, for mail.tls none.
func StartRelay(t testing.TB) *Relay {
	t.Helper()
	r := &Relay{}
	server := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) { return &mailing{relay: r}, nil }))
	server.Domain = "localhost"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.Addr = l.Addr().String()
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return r
}

// Env is the settings of a server that sends its mail there.
func (r *Relay) Env() []string {
	return []string{"SALLYPORT_MAIL_HOST=" + r.Addr, "SALLYPORT_MAIL_TLS=none", "SALLYPORT_MAIL_FROM=no-reply@example.com"}
}

// Refuse makes it answer 550 from now on.
func (r *Relay) Refuse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuses = true
}

// Code is the code in the newest mail, or "".
func (r *Relay) Code() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.mails) - 1; i >= 0; i-- {
		if code := r.mails[i].code(); code != "" {
			return code
		}
	}
	return ""
}

// Take waits for a mail with a code to an address, and takes it away.
func (r *Relay) Take(t testing.TB, to string) (code string) {
	t.Helper()
	r.wait(t, "a code to "+to, func(m mail) bool {
		if m.to == to {
			code = m.code()
		}
		return code != ""
	})
	return code
}

// Says waits for a mail to an address with some words in it, and takes it away.
func (r *Relay) Says(t testing.TB, to, words string) {
	t.Helper()
	r.wait(t, words, func(m mail) bool { return m.to == to && strings.Contains(m.text, words) })
}

func (r *Relay) wait(t testing.TB, what string, is func(mail) bool) {
	t.Helper()
	take := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for i, m := range r.mails {
			if is(m) {
				r.mails = append(r.mails[:i:i], r.mails[i+1:]...)
				return true
			}
		}
		return false
	}
	for end := time.Now().Add(patience); !take(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no mail came with ", what)
		}
	}
}

func (m mail) code() string {
	if code := inMessage.FindStringSubmatch(strings.ReplaceAll(m.text, "\r", "")); code != nil {
		return code[1] + code[2]
	}
	return ""
}

type mailing struct {
	relay *Relay
	to    string
}

func (m *mailing) Mail(string, *gosmtp.MailOptions) error { return nil }
func (m *mailing) Reset()                                 {}
func (m *mailing) Logout() error                          { return nil }

func (m *mailing) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	m.relay.mu.Lock()
	defer m.relay.mu.Unlock()
	if m.relay.refuses {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such person"}
	}
	m.to = to
	return nil
}

func (m *mailing) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	m.relay.mu.Lock()
	defer m.relay.mu.Unlock()
	m.relay.mails = append(m.relay.mails, mail{m.to, string(b)})
	return err
}
