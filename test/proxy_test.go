package test

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// A proxy stands between a node and PostgreSQL and can fail as networks do.
type proxy struct {
	address string // of the database, through it

	t      *testing.T
	server string
	mu     sync.Mutex
	wake   *sync.Cond
	down   bool // connections are refused and cut
	asleep bool // nothing passes and nobody is told
	muted  bool // the same for connections that listen for signals
	open   map[*link]bool
}

// A link is one connection through the proxy.
type link struct {
	client, server net.Conn
	listens        bool
}

func newProxy(t *testing.T, address string) *proxy {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, server: u.Host, open: map[*link]bool{}}
	p.wake = sync.NewCond(&p.mu)
	u.Host = l.Addr().String()
	p.address = u.String()
	go p.accept(l)
	t.Cleanup(func() { l.Close(); p.heal(); p.cut() })
	return p
}

func (p *proxy) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go p.carry(c)
	}
}

func (p *proxy) carry(client net.Conn) {
	p.mu.Lock()
	down := p.down
	p.mu.Unlock()
	server, err := net.Dial("tcp", p.server)
	if err != nil || down {
		client.Close()
		return
	}
	one := &link{client: client, server: server}
	p.mu.Lock()
	p.open[one] = true
	p.mu.Unlock()
	go p.copy(one, server, client)
	p.copy(one, client, server)
	p.mu.Lock()
	delete(p.open, one)
	p.mu.Unlock()
}

func (p *proxy) copy(one *link, to, from net.Conn) {
	defer one.client.Close()
	defer one.server.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 && p.pass(one, b[:n]) {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err == io.EOF || err != nil {
			return
		}
	}
}

// pass waits while the link is asleep. What was held is lost with a link that is cut meanwhile.
func (p *proxy) pass(one *link, b []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if bytes.Contains(b, []byte("LISTEN ")) {
		one.listens = true
	}
	for p.asleep || p.muted && one.listens {
		p.wake.Wait()
	}
	return true
}

// cut ends every connection and refuses new ones, as a server that is down.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for one := range p.open {
		one.client.Close()
		one.server.Close()
	}
}

// sleep lets nothing through, as a network that drops every packet.
func (p *proxy) sleep() { p.set(func() { p.asleep = true }) }

// mute is sleep for the connections that hear signals.
func (p *proxy) mute() { p.set(func() { p.muted = true }) }

func (p *proxy) heal() { p.set(func() { p.down, p.asleep, p.muted = false, false, false }) }

func (p *proxy) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.wake.Broadcast()
}

func (p *proxy) listening() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for one := range p.open {
		if one.listens {
			return true
		}
	}
	return false
}
