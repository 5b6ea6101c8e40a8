package sms

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"net/url"
	"time"

	"sallyport/internal/auth"
)

// smpp submits to an SMS centre. Source: Short Message Peer to Peer Protocol Specification v3.4, Issue 1.2; sections in
// this package are of it. One connection, bound as a transceiver, serves all messages; whoever finds it broken makes
// the next one.
type smpp struct {
	address  string
	tls      *tls.Config // nil: none
	account  string
	password auth.Secret
	from     []byte // source_addr_ton, source_addr_npi, source_addr

	patience time.Duration // for one message
	alive    time.Duration // between two enquire_link

	turn chan struct{} // held by whoever looks at link or makes a new one; a channel, so that waiting has an end
	link *link
}

// Lengths without the NUL, section 5.2.
const (
	maxSystemID = 15
	maxPassword = 8
)

func openSMPP(c Config, _ func() time.Time) (Provider, error) {
	const address = "the address of the SMS centre, smpps://host:port, or smpp://host:port on a private line"
	err := need(
		setting{"url", c.URL, address},
		setting{"account", c.Account, "the system_id that the SMS centre gave you"},
		setting{"secret", string(c.Secret), "the password of the system_id"},
		setting{"from", c.From, "a number, short code or name that the SMS centre lets you send from"},
	)
	if err != nil {
		return nil, err
	}
	if err := sender(c.From); err != nil {
		return nil, err
	}
	if len(c.Account) > maxSystemID || len(c.Secret) > maxPassword {
		return nil, fmt.Errorf("sms.account or sms.secret is too long: SMPP has room for %d and %d characters", maxSystemID, maxPassword)
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("sms.url is not the address of an SMS centre: set it to " + address)
	}
	s := &smpp{account: c.Account, password: c.Secret, from: source(c.From), patience: patience, alive: 30 * time.Second, turn: make(chan struct{}, 1)}
	port := u.Port()
	switch u.Scheme {
	case "smpp":
		if port == "" {
			port = "2775"
		}
	case "smpps":
		if port == "" {
			port = "3550"
		}
		s.tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	default:
		return nil, errors.New("sms.url is not the address of an SMS centre: set it to " + address)
	}
	s.address = net.JoinHostPort(u.Hostname(), port)
	return s, nil
}

// Send submits the parts one after the other: a number that is refused costs one part. The message counts when all are acknowledged.
func (s *smpp) Send(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	l, err := s.bound(ctx)
	if err != nil {
		return fmt.Errorf("smpp: %w", err)
	}
	for i, body := range s.submissions(m) {
		answer, err := l.ask(ctx, submitSM, body)
		if err == nil {
			err = verdict(answer.status)
		}
		if answer.status == statusNotBound {
			l.end(err) // the centre has forgotten us, so the next message binds anew
		}
		if err != nil {
			return fmt.Errorf("smpp: part %d: %w", i+1, err)
		}
	}
	return nil
}

// bound is the connection in use, or a new one.
func (s *smpp) bound(ctx context.Context) (*link, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.link != nil && s.link.alive() {
		return s.link, nil
	}
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	l := start(conn, s.patience)
	answer, err := l.ask(ctx, bindTransceiver, s.binding())
	if err == nil && answer.status != 0 { // a wrong password too: the operator can mend it
		err = statusError(answer.status)
	}
	if err != nil {
		l.end(err)
		return nil, fmt.Errorf("binding: %w", err)
	}
	go l.keep(s.alive)
	s.link = l
	return l, nil
}

func (s *smpp) dial(ctx context.Context) (net.Conn, error) {
	if s.tls != nil {
		return (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", s.address)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
}

// binding is the body of bind_transceiver, section 4.1.5.
func (s *smpp) binding() []byte {
	b := cString(nil, s.account)
	b = cString(b, string(s.password))
	b = cString(b, "")        // system_type
	b = append(b, 0x34, 0, 0) // interface_version; addr_ton and addr_npi unknown
	return append(b, 0)       // address_range
}

// submissions are the bodies of submit_sm, section 4.4.1, one for each part.
func (s *smpp) submissions(m Message) [][]byte {
	coding, parts := encode(m.Text)
	esmClass := byte(0)
	if len(parts) > 1 {
		esmClass = 0x40 // a user data header is in front
		for i, part := range parts {
			parts[i] = append(header(m.ID, len(parts), i+1), part...)
		}
	}
	bodies := make([][]byte, len(parts))
	for i, part := range parts {
		b := append([]byte{0}, s.from...)    // service_type
		b = append(b, international, isdn)   // dest_addr_ton, dest_addr_npi
		b = cString(b, digits(m.To))         // destination_addr
		b = append(b, esmClass, 0, 0, 0, 0)  // protocol_id, priority_flag, schedule_delivery_time, validity_period
		b = append(b, 0, 0, byte(coding), 0) // registered_delivery, replace_if_present_flag, data_coding, sm_default_msg_id
		b = append(b, byte(len(part)))       // sm_length
		bodies[i] = append(b, part...)
	}
	return bodies
}

// header tells the phone which parts belong together: 3GPP TS 23.040, section 9.2.3.24.1. The reference comes from the
// ID, so that parts of a second try complete those of the first.
func header(id string, parts, number int) []byte {
	return []byte{5, 0, 3, byte(crc32.ChecksumIEEE([]byte(id))), byte(parts), byte(number)}
}

// Types of number and numbering plans, sections 5.2.5 and 5.2.6.
const (
	international   = 1
	networkSpecific = 3
	alphanumeric    = 5
	isdn            = 1
)

// source is the sender as submit_sm begins with it.
func source(from string) []byte {
	ton, npi := byte(alphanumeric), byte(0)
	switch {
	case e164.MatchString(from):
		ton, npi = international, isdn
	case shortCode.MatchString(from):
		ton = networkSpecific
	}
	return cString([]byte{ton, npi}, digits(from))
}

// verdict knows the statuses that are about this message; being full, throttled or broken is for another try.
func verdict(status uint32) error {
	switch status {
	case 0:
		return nil
	case 0x01, // ESME_RINVMSGLEN
		0x0b, // ESME_RINVDSTADR
		0x33, // ESME_RINVNUMDESTS
		0x43, // ESME_RINVESMCLASS
		0x50, // ESME_RINVDSTTON
		0x51: // ESME_RINVDSTNPI
		return fmt.Errorf("%w: %w", statusError(status), auth.ErrRefused)
	}
	return statusError(status)
}

// A statusError is a command_status, section 5.1.3.
type statusError uint32

func (e statusError) Error() string {
	return fmt.Sprintf("the SMS centre answered status 0x%08x", uint32(e))
}
