package mail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// take waits for a slot, and returns a connection that has just answered.
func (s *Server) take(ctx context.Context) (*conn, error) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("all %d connections are busy: %w", most, context.Cause(ctx))
	}
	c, err := s.rested()
	if c != nil && c.reset(ctx) != nil { // closed meanwhile, which is nobody's failure: nothing of the mail was said yet
		c.drop()
		c = nil
	}
	if c == nil && err == nil {
		c, err = s.dial(ctx)
	}
	if err != nil {
		<-s.slots
	}
	return c, err
}

// rested is the connection used last, if there is one: the others may get old and go.
func (s *Server) rested() (*conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("closed")
	}
	if len(s.idle) == 0 {
		return nil, nil
	}
	c := s.idle[len(s.idle)-1]
	s.idle = s.idle[:len(s.idle)-1]
	c.retire.Stop() // too late does no harm: it finds nothing
	return c, nil
}

// give takes a connection back, to rest or to be closed.
func (s *Server) give(c *conn) {
	defer func() { <-s.slots }()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.broken || s.closed {
		c.drop()
		return
	}
	s.idle = append(s.idle, c)
	c.retire = time.AfterFunc(s.rest, func() {
		s.mu.Lock()
		i := slices.Index(s.idle, c)
		if i >= 0 {
			s.idle = slices.Delete(s.idle, i, i+1)
		}
		s.mu.Unlock()
		if i >= 0 {
			c.leave()
		}
	})
}

// Close closes the connections that rest, and the others once their mail is through. Send fails from now on.
func (s *Server) Close() error {
	s.mu.Lock()
	idle := s.idle
	s.idle, s.closed = nil, true
	s.mu.Unlock()
	for _, c := range idle {
		c.retire.Stop()
		c.leave()
	}
	return nil
}
