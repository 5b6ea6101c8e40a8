package mail

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	gosmtp "github.com/emersion/go-smtp"

	"sallyport/internal/auth"
)

// loginServer is the server's side of AUTH LOGIN.
type loginServer struct {
	answers []string
	check   func(user, password string) error
}

func (l *loginServer) Next(response []byte) ([]byte, bool, error) {
	if response != nil {
		l.answers = append(l.answers, string(response))
	}
	switch len(l.answers) {
	case 0:
		return []byte("Username:"), false, nil
	case 1:
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.answers[0], l.answers[1])
}

// scramServer is the server's side of SCRAM-SHA-256, RFC 5802 and 7677.
type scramServer struct {
	password    string
	first, ours string
	step        int
}

func (s *scramServer) Next(response []byte) ([]byte, bool, error) {
	defer func() { s.step++ }()
	salt := []byte("salt of the test")
	switch s.step {
	case 0:
		return nil, false, nil
	case 1:
		s.first = strings.TrimPrefix(string(response), "n,,")
		_, nonce, _ := strings.Cut(s.first, ",r=")
		s.ours = "r=" + nonce + "ours,s=" + base64.StdEncoding.EncodeToString(salt) + ",i=4096"
		return []byte(s.ours), false, nil
	case 2:
		without, proof, _ := bytes.Cut(response, []byte(",p="))
		salted, _ := pbkdf2.Key(sha256.New, s.password, salt, 4096, 32)
		transcript := s.first + "," + s.ours + "," + string(without)
		key := mac(salted, "Client Key")
		stored := sha256.Sum256(key)
		for i, b := range mac(stored[:], transcript) {
			key[i] ^= b
		}
		if base64.StdEncoding.EncodeToString(key) != string(proof) || !strings.HasPrefix(s.first, "n=ann,") {
			return nil, false, gosmtp.ErrAuthFailed
		}
		return []byte("v=" + base64.StdEncoding.EncodeToString(mac(mac(salted, "Server Key"), transcript))), false, nil
	}
	return nil, true, nil
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func TestLoginTakesTheSafestWayOffered(t *testing.T) {
	for _, offered := range [][]string{{"LOGIN"}, {"LOGIN", "PLAIN"}, {"PLAIN", "SCRAM-SHA-256", "LOGIN"}} {
		s := serve(t, &server{logins: offered})
		c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs, User: "ann", Password: "hunter=2,ü"})
		if err := c.Send(t.Context(), letterTo("ann@example.org")); err != nil || len(s.received()) != 1 {
			t.Error(offered, err)
		}
	}
}

// An operator can mend a login; a mail must not be given up for it.
func TestARefusedLoginIsNoRefusedMail(t *testing.T) {
	const wrong = "not-this-one"
	for _, way := range []string{"LOGIN", "PLAIN", "SCRAM-SHA-256"} {
		s := serve(t, &server{logins: []string{way}})
		c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs, User: "ann", Password: wrong})
		err := c.Send(t.Context(), letterTo("ann@example.org"))
		if err == nil || errors.Is(err, auth.ErrRefused) || !strings.Contains(err.Error(), "535") || !strings.Contains(err.Error(), way) {
			t.Error(way, err)
		}
		if s.count("MAIL") > 0 {
			t.Error(way, "went on without a login")
		}
	}
}

func TestAServerThatRepeatsThePasswordDoesNotGetItIntoTheError(t *testing.T) {
	const password = "hunter=2,ü"
	encoded := base64.StdEncoding.EncodeToString([]byte("\x00ann\x00" + password))
	s := serve(t, &server{logins: []string{"PLAIN"}, at: func(stage string, _ *gosmtp.Conn) error {
		if stage == "AUTH" {
			return &gosmtp.SMTPError{Code: 501, Message: "what is " + encoded + " or " + password}
		}
		return nil
	}})
	err := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs, User: "ann", Password: password}).Send(t.Context(), letterTo("ann@example.org"))
	if err == nil || strings.Contains(err.Error(), encoded) || strings.Contains(err.Error(), password) {
		t.Error(err)
	}
}

func TestNoPasswordIsSaidWithoutTLS(t *testing.T) {
	s := serve(t, &server{logins: []string{"PLAIN", "LOGIN", "SCRAM-SHA-256"}}, func(inner *gosmtp.Server) {
		inner.TLSConfig, inner.AllowInsecureAuth = nil, true
	})
	c := opened(t, Config{Host: s.addr, User: "ann", Password: "hunter=2,ü"})
	err := c.Send(t.Context(), letterTo("ann@example.org"))
	if err == nil || errors.Is(err, auth.ErrRefused) || !strings.Contains(err.Error(), "STARTTLS") || s.count("AUTH") > 0 || s.count("MAIL") > 0 {
		t.Error(err)
	}
}

func TestARelayOnThisMachineMayBeLoggedInToWithoutTLS(t *testing.T) {
	for _, way := range []string{"LOGIN", "PLAIN"} {
		s := serve(t, &server{logins: []string{way}}, func(inner *gosmtp.Server) { inner.AllowInsecureAuth = true })
		c := opened(t, Config{Host: s.addr, TLS: "none", User: "ann", Password: "hunter=2,ü"})
		if err := c.Send(t.Context(), letterTo("ann@example.org")); err != nil || s.count("AUTH") != 1 {
			t.Error(way, err)
		}
	}
}

func TestAServerWithoutAWayToLogInIsTriedAgainLater(t *testing.T) {
	s := serve(t, &server{logins: []string{"XOAUTH2", "CRAM-MD5"}})
	c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs, User: "ann", Password: "hunter=2,ü"})
	if err := c.Send(t.Context(), letterTo("ann@example.org")); err == nil || errors.Is(err, auth.ErrRefused) || s.count("MAIL") > 0 {
		t.Error(err)
	}
}
