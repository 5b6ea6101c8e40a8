package db

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"sallyport/internal/auth"
)

// signals tells other nodes what they must forget. A node that cannot hear reads the database instead.
type signals struct {
	engine    engine
	listeners []listener
	hears     atomic.Bool
}

type listener struct {
	topic string
	each  func(payload string)
	lost  func()
}

func newSignals(e engine) *signals { return &signals{engine: e} }

// Signal is heard by every node that listens once tx is committed, and by this one before the commit returns. Payload
// is short and no secret.
func (s *signals) Signal(ctx context.Context, tx auth.Tx, topic, payload string) error {
	tx.AfterCommit(func() { s.tell(topic, payload) })
	return s.engine.send(ctx, tx, topic, payload)
}

// OnSignal registers who wants to hear a topic, before Listen. Lost is called whenever signals may have been missed.
func (s *signals) OnSignal(topic string, each func(payload string), lost func()) {
	s.listeners = append(s.listeners, listener{topic, each, lost})
}

// Hears is false while signals may be missed: what a node remembers is then no longer the truth.
func (s *signals) Hears() bool { return s.hears.Load() }

// Listen runs until ctx ends.
func (s *signals) Listen(ctx context.Context) {
	for ctx.Err() == nil {
		s.engine.hear(ctx, func() {
			s.forget() // what came before we listened is unknown
			s.hears.Store(true)
		}, s.tell)
		s.hears.Store(false)
		s.forget()
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func (s *signals) tell(topic, payload string) {
	for _, l := range s.listeners {
		if l.topic == topic {
			l.each(payload)
		}
	}
}

func (s *signals) forget() {
	for _, l := range s.listeners {
		l.lost()
	}
}

func cut(signal string) (topic, payload string) {
	topic, payload, _ = strings.Cut(signal, " ")
	return topic, payload
}
