package sms

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A line is one connection as the SMS centre sees it, in bytes.
type line struct {
	net.Conn
	t *testing.T
}

// hear is the next PDU, whole; nil at the end.
func (l line) hear() []byte {
	length := make([]byte, 4)
	if _, err := io.ReadFull(l, length); err != nil {
		return nil
	}
	rest := make([]byte, binary.BigEndian.Uint32(length)-4)
	if _, err := io.ReadFull(l, rest); err != nil {
		return nil
	}
	return append(length, rest...)
}

// hears fails unless the next PDU is that one, in hex with spaces.
func (l line) hears(want string) {
	l.t.Helper()
	if got := hex.EncodeToString(l.hear()); got != strings.ReplaceAll(want, " ", "") {
		l.t.Errorf("heard\n%s, want\n%s", got, strings.ReplaceAll(want, " ", ""))
	}
}

func (l line) says(id, status, sequence uint32, body string) {
	b := make([]byte, 16, 16+len(body))
	for i, field := range []uint32{uint32(16 + len(body)), id, status, sequence} {
		binary.BigEndian.PutUint32(b[4*i:], field)
	}
	l.Write(append(b, body...))
}

func id(p []byte) uint32       { return binary.BigEndian.Uint32(p[4:]) }
func sequence(p []byte) uint32 { return binary.BigEndian.Uint32(p[12:]) }

// welcome takes the bind, if the password is right.
func (l line) welcome() bool {
	p := l.hear()
	if p == nil {
		return false
	}
	if id(p) != 9 || !bytes.Equal(p[16:], []byte("sally\x00secret08\x00\x00\x34\x00\x00\x00")) {
		l.says(0x80000009, 0x0e, sequence(p), "\x00") // ESME_RINVPASWD
		return false
	}
	l.says(0x80000009, 0, sequence(p), "centre\x00")
	return true
}

// A submission is a submit_sm taken apart.
type submission struct {
	sequence uint32
	from, to string // type of number and plan in front
	esm, dcs byte
	message  []byte
}

// submitted is the next submit_sm, with every field where it must be; enquire_link is answered on the way.
func (l line) submitted() (s submission, ok bool) {
	p := l.hear()
	for p != nil && id(p) == 0x15 {
		l.says(0x80000015, 0, sequence(p), "")
		p = l.hear()
	}
	if p == nil {
		return s, false
	}
	text := func(b []byte) (string, []byte) {
		head, tail, found := bytes.Cut(b, []byte{0})
		if !found {
			l.t.Errorf("no NUL in %x", b)
		}
		return string(head), tail
	}
	address := func(b []byte) (string, []byte) {
		a, tail := text(b[2:])
		return fmt.Sprintf("%d,%d,%s", b[0], b[1], a), tail
	}
	s.sequence = sequence(p)
	service, b := text(p[16:])
	s.from, b = address(b)
	s.to, b = address(b)
	s.esm, s.dcs, s.message = b[0], b[7], b[10:]
	if id(p) != 4 || service != "" || !bytes.Equal(b[1:7], make([]byte, 6)) || b[8] != 0 || int(b[9]) != len(s.message) {
		l.t.Errorf("not a submit_sm: %x", p)
	}
	return s, true
}

// taking acknowledges every message, and returns at the end.
func (l line) taking() {
	for s, ok := l.submitted(); ok; s, ok = l.submitted() {
		l.says(0x80000004, 0, s.sequence, "id\x00")
	}
}

// aCentre serves every connection in its own way, by their number from 1, and returns the number so far.
func aCentre(t *testing.T, serve func(l line, number int)) (*smpp, Provider, *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return centreOn(t, listener, "smpp", serve)
}

func centreOn(t *testing.T, listener net.Listener, scheme string, serve func(l line, number int)) (*smpp, Provider, *atomic.Int32) {
	t.Helper()
	var (
		connections atomic.Int32
		all         sync.WaitGroup
		mu          sync.Mutex
		open        []net.Conn
	)
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			number := int(connections.Add(1))
			all.Go(func() {
				defer conn.Close()
				serve(line{conn, t}, number)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	p := opened(t, at("smpp", scheme+"://"+listener.Addr().String()))
	return p.(checked).provider.(*smpp), p, &connections
}
