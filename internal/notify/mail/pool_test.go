package mail

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"sallyport/internal/auth"
)

func TestOneConnectionCarriesManyMails(t *testing.T) {
	s := serve(t, &server{})
	c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs})
	for range 5 {
		if err := c.Send(t.Context(), letterTo("ann@example.org")); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, total := s.connections(); total != 1 || len(s.received()) != 5 {
		t.Error(total, "connections for", len(s.received()), "mails")
	}
}

func TestAConnectionClosedMeanwhileIsNobodysFailure(t *testing.T) {
	var open []*gosmtp.Conn
	var mu sync.Mutex
	s := serve(t, &server{at: func(stage string, c *gosmtp.Conn) error {
		mu.Lock()
		defer mu.Unlock()
		if stage == "MAIL" {
			open = append(open, c)
		}
		return nil
	}})
	c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs})
	for range 4 {
		if err := c.Send(t.Context(), letterTo("ann@example.org")); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		open[len(open)-1].Close()
		mu.Unlock()
	}
	if _, _, total := s.connections(); total != 4 || len(s.received()) != 4 {
		t.Error(total, "connections for", len(s.received()), "mails")
	}
}

// A firewall that forgot a connection answers nothing at all; a server that is about to end it says 421.
func TestARestedConnectionThatDoesNotAnswerIsReplaced(t *testing.T) {
	for name, answer := range map[string]func(c *gosmtp.Conn){
		"nothing": func(*gosmtp.Conn) { time.Sleep(ping + time.Second) },
		"421":     func(c *gosmtp.Conn) { c.Conn().Write([]byte("421 4.4.2 idle for too long\r\n")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var resets atomic.Int32
			s := serve(t, &server{at: func(stage string, c *gosmtp.Conn) error {
				if stage == "RSET" && resets.Add(1) == 2 { // the first is the server's own, after the mail
					answer(c)
				}
				return nil
			}})
			c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs})
			for range 2 {
				if err := c.Send(t.Context(), letterTo("ann@example.org")); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, total := s.connections(); total != 2 || len(s.received()) != 2 {
				t.Error(total, "connections for", len(s.received()), "mails")
			}
		})
	}
}

func TestManyAtOnceShareFewConnections(t *testing.T) {
	s := serve(t, &server{at: func(stage string, _ *gosmtp.Conn) error {
		if stage == "RCPT" {
			time.Sleep(20 * time.Millisecond)
		}
		return nil
	}})
	c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := c.Send(t.Context(), letterTo(fmt.Sprintf("p%d@example.org", i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, peak, total := s.connections(); peak > most || total > most || len(s.received()) != 20 {
		t.Error(peak, total, len(s.received()))
	}
}

func TestWhoWaitsForAConnectionWaitsNoLongerThanAllowed(t *testing.T) {
	over := make(chan struct{})
	s := serve(t, &server{at: func(stage string, _ *gosmtp.Conn) error {
		if stage == "RCPT" {
			<-over
		}
		return nil
	}})
	c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs})
	var all sync.WaitGroup
	for range most {
		all.Go(func() {
			if err := c.Send(t.Context(), letterTo("ann@example.org")); err != nil {
				t.Error(err)
			}
		})
	}
	for s.count("RCPT") < most {
		time.Sleep(5 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	hangs(t, c, ctx, context.DeadlineExceeded)
	close(over)
	all.Wait()
}

func TestAConnectionNobodyNeedsIsClosed(t *testing.T) {
	s := serve(t, &server{})
	c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs})
	c.rest = 50 * time.Millisecond
	if err := c.Send(t.Context(), letterTo("ann@example.org")); err != nil {
		t.Fatal(err)
	}
	closes(t, s)
	if err := c.Send(t.Context(), letterTo("ann@example.org")); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsWhatRestsAtOnceAndWhatIsBusyAfterItsMail(t *testing.T) {
	reached, over := make(chan struct{}, 1), make(chan struct{})
	s := serve(t, &server{at: func(stage string, _ *gosmtp.Conn) error {
		if stage == "RCPT" {
			reached <- struct{}{}
			<-over
		}
		return nil
	}})
	c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs})
	sent := make(chan error)
	go func() { sent <- c.Send(context.Background(), letterTo("ann@example.org")) }()
	<-reached
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	close(over)
	if err := <-sent; err != nil {
		t.Error("the mail under way: ", err)
	}
	closes(t, s)
	if err := c.Send(t.Context(), letterTo("ann@example.org")); err == nil || errors.Is(err, auth.ErrRefused) {
		t.Error("after Close: ", err)
	}
}

func TestAConnectionThatCannotBeReliedOnDoesNotRest(t *testing.T) {
	for _, stage := range []string{"MAIL", "RCPT", "END"} {
		s := serve(t, failing(stage, 421, "we close"))
		c := opened(t, Config{Host: s.addr, RootCAs: s.rootCAs})
		if err := c.Send(t.Context(), letterTo("ann@example.org")); err == nil || errors.Is(err, auth.ErrRefused) {
			t.Error(stage, err)
		}
		closes(t, s)
	}
}

// closes waits until the server has no connection left.
func closes(t *testing.T, s *server) {
	t.Helper()
	for range 100 {
		if now, _, _ := s.connections(); now == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("still connected")
}
