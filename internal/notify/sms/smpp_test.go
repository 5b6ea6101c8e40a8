package sms

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func taken(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// SMPP 3.4, sections 4.1.5 and 4.4.1, byte by byte.
func TestWhatTheCentreHears(t *testing.T) {
	const (
		bind   = "00000024 00000009 00000000 00000001 73616c6c7900 7365637265743038 00 00 34 00 00 00"
		number = "01 01 3436373031323334353637 00" // +46701234567
	)
	for _, c := range []struct{ from, text, submit string }{
		{"Sallyport", "Hi @€", "0000003b 00000004 00000000 00000002 00 05 00 53616c6c79706f7274 00 " + number + " 00 00 00 00 00 00 00 00 00 06 486920 00 1b65"},
		{"+15005550006", "Hi", "00000039 00000004 00000000 00000002 00 01 01 3135303035353530303036 00 " + number + " 00 00 00 00 00 00 00 00 00 02 4869"},
		{"72345", "жH", "00000035 00000004 00000000 00000002 00 03 00 3732333435 00 " + number + " 00 00 00 00 00 00 00 08 00 04 04360048"},
	} {
		s, p, _ := aCentre(t, func(l line, _ int) {
			l.hears(bind)
			l.says(0x80000009, 0, 1, "centre\x00")
			l.hears(c.submit)
			l.says(0x80000004, 0, 2, "id\x00")
			l.hear()
		})
		s.from = source(c.from)
		m := hello()
		m.Text = c.text
		taken(t, p.Send(t.Context(), m))
	}
}

// 3GPP TS 23.040 section 9.2.3.24.1
func TestALongTextTravelsInPartsThatBelongTogether(t *testing.T) {
	for text, want := range map[string]struct{ parts, dcs, longest int }{
		strings.Repeat("0123456789", 16):             {1, 0, 160},
		strings.Repeat("0123456789", 16) + "!":       {2, 0, 6 + 153},
		strings.Repeat("a", 152) + "€" + "the en":    {1, 0, 160},
		strings.Repeat("a", 152) + "€" + "over here": {2, 0, 6 + 152},
		strings.Repeat("ж", 71):                      {2, 8, 6 + 134},
		strings.Repeat("😀", 330):                     {10, 8, 6 + 132},
	} {
		heard := make(chan submission, 20)
		_, p, _ := aCentre(t, func(l line, _ int) {
			for ok := l.welcome(); ok; {
				var s submission
				if s, ok = l.submitted(); ok {
					heard <- s
					l.says(0x80000004, 0, s.sequence, "id\x00")
				}
			}
		})
		m := hello()
		m.Text = text
		for range 2 { // a second try has the same reference
			taken(t, p.Send(t.Context(), m))
		}
		whole, reference := "", byte(0)
		for i := range 2 * want.parts {
			s := <-heard
			part := s.message
			if want.parts > 1 {
				if i == 0 {
					reference = part[3]
				}
				head := []byte{5, 0, 3, reference, byte(want.parts), byte(i%want.parts + 1)}
				if s.esm != 0x40 || !bytes.Equal(part[:6], head) {
					t.Errorf("esm_class %x, header %x, want %x", s.esm, part[:6], head)
				}
				part = part[6:]
			} else if s.esm != 0 {
				t.Errorf("esm_class %x", s.esm)
			}
			if int(s.dcs) != want.dcs || i == 0 && len(s.message) != want.longest {
				t.Errorf("%.12q...: data_coding %d, %d octets", text, s.dcs, len(s.message))
			}
			whole += decode(coding(s.dcs), part)
		}
		if whole != text+text || len(heard) != 0 {
			t.Errorf("%.12q... arrived as %q, and %d more", text, whole, len(heard))
		}
	}
}

func TestAMessageCountsWhenAllItsPartsDo(t *testing.T) {
	for _, c := range []struct {
		statuses []uint32
		judge    func(*testing.T, error)
		heard    int
	}{
		{[]uint32{0, 0, 0}, taken, 3},
		{[]uint32{0x58, 0, 0}, later, 1}, {[]uint32{0, 0x14, 0}, later, 2}, {[]uint32{0, 0, 0x08}, later, 3},
		{[]uint32{0x0b, 0, 0}, refused, 1}, {[]uint32{0, 0, 0x0b}, refused, 3},
	} {
		heard := 0
		_, p, _ := aCentre(t, func(l line, _ int) {
			for ok := l.welcome(); ok; {
				var s submission
				if s, ok = l.submitted(); ok {
					heard++
					l.says(0x80000004, c.statuses[heard-1], s.sequence, "")
				}
			}
		})
		m := hello()
		m.Text = strings.Repeat("a", 400)
		c.judge(t, p.Send(t.Context(), m))
		if heard != c.heard {
			t.Errorf("%x: %d parts were sent, want %d", c.statuses, heard, c.heard)
		}
	}
}

// SMPP 3.4, section 5.1.3
func TestAStatusAboutTheMessageRefusesIt(t *testing.T) {
	var status atomic.Uint32
	_, p, connections := aCentre(t, func(l line, _ int) {
		for ok := l.welcome(); ok; {
			var s submission
			if s, ok = l.submitted(); ok {
				l.says(0x80000004, status.Load(), s.sequence, "")
			}
		}
	})
	for _, s := range []uint32{0x01, 0x0b, 0x33, 0x43, 0x50, 0x51} {
		status.Store(s)
		refused(t, p.Send(t.Context(), hello()))
	}
	for _, s := range []uint32{0x02, 0x03, 0x06, 0x08, 0x0a, 0x0d, 0x14, 0x45, 0x48, 0x58, 0x64, 0xff, 0x400, 0xffffffff} {
		status.Store(s)
		later(t, p.Send(t.Context(), hello()))
	}
	if connections.Load() != 1 {
		t.Error("statuses cost", connections.Load(), "connections")
	}
	status.Store(0x04) // ESME_RINVBNDSTS: it has forgotten us
	later(t, p.Send(t.Context(), hello()))
	status.Store(0)
	taken(t, p.Send(t.Context(), hello()))
	if connections.Load() != 2 {
		t.Error(connections.Load(), "connections, want a new one")
	}
}

func TestAWrongPasswordOfTheCentreIsForTheOperatorToMend(t *testing.T) {
	s, p, connections := aCentre(t, func(l line, _ int) { l.welcome() })
	s.password = "another"
	for range 2 {
		later(t, p.Send(t.Context(), hello()))
	}
	if connections.Load() != 2 {
		t.Error(connections.Load(), "connections")
	}
}

func TestNobodyAtTheCentreIsForAnotherTry(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	later(t, opened(t, at("smpp", "smpp://"+listener.Addr().String())).Send(t.Context(), hello()))
}

func TestNoTextBreaksOutOfASubmission(t *testing.T) {
	heard := make(chan submission, 1)
	_, p, _ := aCentre(t, func(l line, _ int) {
		for ok := l.welcome(); ok; {
			var s submission
			if s, ok = l.submitted(); ok {
				l.says(0x80000004, 0, s.sequence, "id\x00")
				heard <- s
			}
		}
	})
	for _, text := range append(weird, "\x00\x00\x00\x10\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x09") { // an unbind
		m := hello()
		m.Text = text
		taken(t, p.Send(t.Context(), m))
		if s := <-heard; decode(coding(s.dcs), s.message) != text || s.to != "1,1,46701234567" || s.from != "5,0,Sallyport" || s.esm != 0 {
			t.Errorf("%q became %+v", text, s)
		}
	}
}

func TestOverTLSTheCentreMustBeWhoItSays(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(web.Certificate())
	for _, c := range []struct {
		roots *x509.CertPool
		name  string
		judge func(*testing.T, error)
	}{{trusted, "127.0.0.1", taken}, {nil, "127.0.0.1", later}, {trusted, "smsc.example.org", later}} {
		listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
		if err != nil {
			t.Fatal(err)
		}
		var bound atomic.Bool
		s, p, _ := centreOn(t, listener, "smpps", func(l line, _ int) {
			if l.welcome() {
				bound.Store(true)
				l.taking()
			}
		})
		if s.tls.ServerName != "127.0.0.1" {
			t.Error(s.tls.ServerName)
		}
		s.tls.RootCAs, s.tls.ServerName = c.roots, c.name
		err = p.Send(t.Context(), hello())
		c.judge(t, err)
		if bound.Load() != (err == nil) {
			t.Error("the password was told to somebody who has no certificate for ", c.name)
		}
	}
	s, p, _ := aCentre(t, func(l line, _ int) { io.ReadFull(l, make([]byte, 1)) }) // speaks no TLS
	s.tls, s.patience = &tls.Config{ServerName: "127.0.0.1"}, 100*time.Millisecond
	later(t, p.Send(t.Context(), hello()))
}

func FuzzReadPDU(f *testing.F) {
	f.Add(pdu{id: submitSM, sequence: 7, body: []byte("x")}.bytes())
	f.Add([]byte{0, 0, 0, 15})
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, sent []byte) {
		p, err := readPDU(bytes.NewReader(sent))
		if err == nil && !bytes.Equal(p.bytes(), sent[:16+len(p.body)]) {
			t.Errorf("%x became %+v", sent, p)
		}
	})
}
