package sms

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Of many messages at once each has its own answer, in whatever order they come, over one connection.
func TestAnswersOutOfOrderFindTheirMessages(t *testing.T) {
	_, p, connections := aCentre(t, func(l line, _ int) {
		if !l.welcome() {
			return
		}
		for range 3 {
			var all []submission
			for range window {
				s, _ := l.submitted()
				all = append(all, s)
			}
			l.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
			if _, more := l.submitted(); more {
				t.Error("more wait than the window holds")
			}
			l.SetReadDeadline(time.Time{})
			for i := range all {
				s := all[len(all)-1-i]
				status := uint32(0)
				switch s.to[len(s.to)-1] {
				case '1':
					status = 0x58
				case '2':
					status = 0x0b
				}
				l.says(0x80000004, status, s.sequence, "id\x00")
				l.says(0x80000004, 0, s.sequence, "id\x00") // twice: the first counts
			}
		}
		l.hear()
	})
	var all sync.WaitGroup
	for i := range 3 * window {
		all.Go(func() {
			m := hello()
			m.ID = fmt.Sprint("m-", i)
			m.To = fmt.Sprintf("+4670123456%d", i%3)
			[]func(*testing.T, error){taken, later, refused}[i%3](t, p.Send(t.Context(), m))
		})
	}
	all.Wait()
	if connections.Load() != 1 {
		t.Error(connections.Load(), "connections")
	}
}

func TestTheCentreMayAskMeanwhile(t *testing.T) {
	_, p, _ := aCentre(t, func(l line, _ int) {
		if !l.welcome() {
			return
		}
		s, _ := l.submitted()
		l.says(0x15, 0, 77, "")
		l.hears("00000010 80000015 00000000 0000004d")
		l.says(0x05, 0, 78, "\x00\x01\x0146701234567\x00\x01\x0115005550006\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04STOP")
		l.hears("00000011 80000005 00000000 0000004e 00")
		l.says(0x102, 0, 79, "\x01\x0146701234567\x00\x01\x0115005550006\x00") // has no answer
		l.says(0x103, 0, 80, "")                                               // data_sm, which we do not speak
		l.hears("00000010 80000000 00000003 00000050")
		l.says(0x80000004, 0, s.sequence+100, "id\x00") // to nobody
		l.says(0x15, 0, s.sequence, "")                 // our number, but its request
		l.hears(fmt.Sprintf("00000010 80000015 00000000 %08x", s.sequence))
		l.says(0x80000004, 0, s.sequence, "id\x00")
		l.hear()
	})
	taken(t, p.Send(t.Context(), hello()))
}

func TestAConnectionThatBreaksBeforeTheAnswerIsMadeAgain(t *testing.T) {
	_, p, connections := aCentre(t, func(l line, number int) {
		if !l.welcome() {
			return
		}
		if number == 1 {
			l.submitted()
			return // and hang up
		}
		l.taking()
	})
	later(t, p.Send(t.Context(), hello()))
	for range 3 {
		taken(t, p.Send(t.Context(), hello()))
	}
	if connections.Load() != 2 {
		t.Error(connections.Load(), "connections, want 2")
	}
}

func TestEverybodyWhoWaitsHearsThatTheConnectionBroke(t *testing.T) {
	_, p, _ := aCentre(t, func(l line, _ int) {
		if l.welcome() {
			for range window {
				l.submitted()
			}
		}
	})
	var all sync.WaitGroup
	for range window {
		all.Go(func() { later(t, p.Send(t.Context(), hello())) })
	}
	all.Wait()
}

func TestAnUnboundConnectionIsMadeAgain(t *testing.T) {
	answered := make(chan bool, 1) // to the unbind; the test waits for it, or its end would cut the line
	_, p, connections := aCentre(t, func(l line, number int) {
		if !l.welcome() {
			return
		}
		if number == 1 {
			l.says(6, 0, 5, "")
			bye := false
			for p := l.hear(); p != nil; p = l.hear() { // until we hang up; a message may be on its way yet
				bye = bye || hex.EncodeToString(p) == "00000010800000060000000000000005"
			}
			answered <- bye
			return
		}
		l.taking()
	})
	for range 100 { // the first may come before or after the unbind
		if p.Send(t.Context(), hello()) == nil {
			break
		}
	}
	taken(t, p.Send(t.Context(), hello()))
	if connections.Load() != 2 {
		t.Error(connections.Load(), "connections, want 2")
	}
	if !<-answered {
		t.Error("unbind was not answered")
	}
}

func TestASilentConnectionIsNoticedAndMadeAgain(t *testing.T) {
	silent := make(chan struct{})
	s, p, connections := aCentre(t, func(l line, number int) {
		if !l.welcome() {
			return
		}
		if number > 1 {
			l.taking()
			return
		}
		first, _ := l.submitted()
		l.says(0x80000004, 0, first.sequence, "id\x00")
		l.hears("00000010 00000015 00000000 00000003") // we ask whether it is there
		l.says(0x80000015, 0, 3, "")
		l.hears("00000010 00000015 00000000 00000004")
		if l.hear() != nil { // no answer: we hang up
			t.Error("it goes on")
		}
		close(silent)
	})
	s.alive, s.patience = 20*time.Millisecond, 200*time.Millisecond
	taken(t, p.Send(t.Context(), hello()))
	<-silent
	taken(t, p.Send(t.Context(), hello()))
	if connections.Load() != 2 {
		t.Error(connections.Load(), "connections, want 2")
	}
}

func TestACentreThatHangsIsGivenUp(t *testing.T) {
	over := make(chan struct{})
	defer close(over)
	for what, serve := range map[string]func(l line){
		"before the bind":   func(l line) {},
		"after the bind":    func(l line) { l.welcome() },
		"within the header": func(l line) { l.welcome(); l.submitted(); l.Write([]byte{0, 0, 0}) },
		"within the answer": func(l line) {
			l.welcome()
			l.submitted()
			l.Write([]byte{0, 0, 0, 17, 0x80, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2})
		},
		"it only enquires": func(l line) { l.welcome(); l.submitted(); l.says(0x15, 0, 1, "") },
	} {
		_, p, _ := aCentre(t, func(l line, _ int) { serve(l); <-over })
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := p.Send(ctx, hello())
		cancel()
		later(t, err)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWhoWaitsForTheBindOfAnotherMayGiveUp(t *testing.T) {
	binding := make(chan struct{})
	_, p, _ := aCentre(t, func(l line, _ int) { l.hear(); close(binding); l.hear() })
	ctx, cancel := context.WithCancel(t.Context())
	var first sync.WaitGroup
	first.Go(func() { later(t, p.Send(ctx, hello())) })
	<-binding
	short, done := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer done()
	begun := time.Now()
	later(t, p.Send(short, hello()))
	if d := time.Since(begun); d > 5*time.Second {
		t.Error("it waited for ", d)
	}
	cancel()
	first.Wait()
}

func TestWhoWaitsForAPlaceInTheWindowMayGiveUp(t *testing.T) {
	full := make(chan struct{})
	_, p, _ := aCentre(t, func(l line, _ int) {
		l.welcome()
		for range window {
			l.submitted()
		}
		close(full)
		l.hear()
	})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range window {
		all.Go(func() { later(t, p.Send(ctx, hello())) })
	}
	<-full
	short, done := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer done()
	begun := time.Now()
	later(t, p.Send(short, hello()))
	if d := time.Since(begun); d > 5*time.Second {
		t.Error("it waited for ", d)
	}
	cancel()
	all.Wait()
}

func TestACentreThatStopsReadingIsGivenUp(t *testing.T) {
	ours, theirs := net.Pipe() // holds nothing
	defer theirs.Close()
	l := start(ours, 30*time.Millisecond)
	ended := make(chan error, 1)
	go func() {
		_, err := l.ask(t.Context(), submitSM, nil)
		ended <- err
	}()
	select {
	case err := <-ended:
		later(t, err)
	case <-time.After(5 * time.Second):
		t.Error("the writer waits")
		l.end(net.ErrClosed)
	}
}

func TestASecondAnswerHoldsUpNobody(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	l := start(ours, time.Minute)
	defer l.end(net.ErrClosed)
	sequence, answer := l.expect(submitSM)
	over := make(chan error, 2)
	go func() {
		for status := range uint32(2) {
			over <- l.answered(pdu{id: submitSM | response, status: status, sequence: sequence})
		}
	}()
	for range 2 {
		select {
		case err := <-over:
			taken(t, err)
		case <-time.After(5 * time.Second):
			t.Fatal("it waits for somebody to take the second one")
		}
	}
	if p := <-answer; p.status != 0 {
		t.Error("the second one counts")
	}
}

func TestAnAnswerThatIsNoneEndsTheConnection(t *testing.T) {
	for what, answer := range map[string]func(l line, sequence uint32){
		"to another request": func(l line, n uint32) { l.says(0x80000015, 0, n, "") },
		"a bind":             func(l line, n uint32) { l.says(0x80000009, 0, n, "") },
		"a nack":             func(l line, n uint32) { l.says(0x80000000, 0x02, n, "") },
		"a nack without why": func(l line, n uint32) { l.says(0x80000000, 0, n, "") },
		"of length 0":        func(l line, n uint32) { l.Write(make([]byte, 16)) },
		"of length 15":       func(l line, n uint32) { l.Write(append([]byte{0, 0, 0, 15}, make([]byte, 12)...)) },
		"of 2 GiB":           func(l line, n uint32) { l.Write(append([]byte{0x80, 0, 0, 0}, make([]byte, 12)...)) },
		"HTTP":               func(l line, n uint32) { io.WriteString(l, "HTTP/1.1 400 Bad Request\r\n\r\n") },
		"cut":                func(l line, n uint32) { l.Write([]byte{0, 0, 0, 16, 0x80, 0, 0, 4, 0, 0}) },
	} {
		_, p, _ := aCentre(t, func(l line, number int) {
			if !l.welcome() {
				return
			}
			if number == 1 && what != "a nack" {
				s, _ := l.submitted()
				answer(l, s.sequence)
				if what != "cut" {
					l.hear()
				}
				return
			}
			if number == 1 {
				s, _ := l.submitted()
				answer(l, s.sequence)
			}
			l.taking()
		})
		t.Log(what)
		later(t, p.Send(t.Context(), hello()))
		taken(t, p.Send(t.Context(), hello()))
	}
}

func TestSequenceNumbersBeginAnewAfterTheLast(t *testing.T) {
	heard := make(chan uint32, 10)
	s, p, _ := aCentre(t, func(l line, _ int) {
		for ok := l.welcome(); ok; {
			var s submission
			if s, ok = l.submitted(); ok {
				heard <- s.sequence
				l.says(0x80000004, 0, s.sequence, "id\x00")
			}
		}
	})
	taken(t, p.Send(t.Context(), hello()))
	s.link.mu.Lock()
	s.link.last = 0x7ffffffe
	s.link.mu.Unlock()
	taken(t, p.Send(t.Context(), hello()))
	taken(t, p.Send(t.Context(), hello()))
	for _, want := range []uint32{2, 0x7fffffff, 1} {
		if got := <-heard; got != want {
			t.Errorf("0x%08x, want 0x%08x", got, want)
		}
	}
}
