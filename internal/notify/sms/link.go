package sms

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// A link is one connection to an SMS centre. Requests of both sides travel at the same time and are answered in any
// order; the sequence number says what an answer belongs to. Once it has ended, every request fails at once.
type link struct {
	conn     net.Conn
	patience time.Duration // until the other side must have taken a PDU, or have said that it is there
	window   chan struct{} // one place for each request of ours that waits for an answer
	down     chan struct{} // closed at the end
	ended    error         // why; to be read after down

	mu       sync.Mutex
	last     uint32 // sequence number
	requests map[uint32]request

	writing sync.Mutex
	ending  sync.Once
}

// A request waits for its answer.
type request struct {
	id     uint32
	answer chan pdu // has room for it
}

// window is how many requests may wait at once; the specification recommends no more than ten.
const window = 10

func start(conn net.Conn, patience time.Duration) *link {
	l := &link{
		conn: conn, patience: patience, window: make(chan struct{}, window), down: make(chan struct{}), requests: map[uint32]request{},
	}
	go l.read()
	return l
}

func (l *link) alive() bool {
	select {
	case <-l.down:
		return false
	default:
		return true
	}
}

// end closes the connection and tells everybody who waits why. The first reason stays.
func (l *link) end(why error) {
	l.ending.Do(func() {
		l.ended = fmt.Errorf("the connection ended: %w", why)
		close(l.down)
		l.conn.Close()
	})
}

// ask sends a request and waits for its answer, whatever its status.
func (l *link) ask(ctx context.Context, id uint32, body []byte) (pdu, error) {
	select {
	case l.window <- struct{}{}:
		defer func() { <-l.window }()
	case <-ctx.Done():
		return pdu{}, fmt.Errorf("waiting for a place in the window: %w", ctx.Err())
	}
	return l.exchange(ctx, id, body)
}

// exchange is ask without the window.
func (l *link) exchange(ctx context.Context, id uint32, body []byte) (pdu, error) {
	sequence, answer := l.expect(id)
	defer l.forget(sequence)
	l.write(pdu{id: id, sequence: sequence, body: body})
	select {
	case p := <-answer:
		return p, nil
	case <-ctx.Done():
		return pdu{}, fmt.Errorf("waiting for an answer: %w", ctx.Err())
	case <-l.down:
	}
	select {
	case p := <-answer: // it came just before the end
		return p, nil
	default:
		return pdu{}, l.ended
	}
}

func (l *link) expect(id uint32) (sequence uint32, answer chan pdu) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last++; l.last > 0x7fffffff { // section 5.1.4
		l.last = 1
	}
	answer = make(chan pdu, 1)
	l.requests[l.last] = request{id, answer}
	return l.last, answer
}

func (l *link) forget(sequence uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.requests, sequence)
}

// write ends the link if the other side does not take it: half a PDU is the end of all others.
func (l *link) write(p pdu) {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.conn.SetWriteDeadline(time.Now().Add(l.patience))
	if _, err := l.conn.Write(p.bytes()); err != nil {
		l.end(err)
	}
}

// read takes what comes until the end.
func (l *link) read() {
	r := bufio.NewReader(l.conn)
	for {
		p, err := readPDU(r)
		if err == nil {
			err = l.take(p)
		}
		if err != nil {
			l.end(err)
			return
		}
	}
}

// take brings an answer to whoever waits for it, and answers a request.
func (l *link) take(p pdu) error {
	switch {
	case p.id&response != 0:
		return l.answered(p)
	case p.id == enquireLink:
		l.write(pdu{id: enquireLink | response, sequence: p.sequence})
	case p.id == deliverSM: // a receipt that nobody asked for, or what somebody texted back: taken, or it would come again
		l.write(pdu{id: deliverSM | response, sequence: p.sequence, body: []byte{0}})
	case p.id == unbind:
		l.write(pdu{id: unbind | response, sequence: p.sequence})
		return errors.New("the SMS centre unbound us")
	case p.id == alert:
	default:
		l.write(pdu{id: genericNack, status: statusUnknownCommand, sequence: p.sequence})
	}
	return nil
}

func (l *link) answered(p pdu) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, waiting := l.requests[p.sequence]
	switch {
	case !waiting: // whoever asked gave up
		return nil
	case p.id != r.id|response && p.id != genericNack:
		return fmt.Errorf("0x%08x is no answer to 0x%08x", p.id, r.id)
	case p.id == genericNack && p.status == 0:
		return errors.New("generic_nack without a status")
	}
	delete(l.requests, p.sequence) // a second answer is nobody's
	r.answer <- p
	return nil
}

// keep asks from time to time whether the other side is there, so that a line that went silent does not swallow messages.
func (l *link) keep(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-l.down:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), l.patience)
		_, err := l.exchange(ctx, enquireLink, nil)
		cancel()
		if err != nil {
			l.end(err)
			return
		}
	}
}
