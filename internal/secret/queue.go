package secret

import (
	"context"
	"sync/atomic"
	"time"

	"sallyport/internal/auth"
)

// A queue lets a few work at a time, in the order they came. Whoever could not start within wait is told so at once:
// a person who waits longer than that reloads the page, and would stand in it twice.
//
// The work takes whole cores, and Go knows no priorities. So that it does not crowd out whatever else the process
// serves, a slot rests after each piece of work, for as long as the requests that came by meanwhile needed a core.
type queue struct {
	slots  chan struct{}
	wait   time.Duration
	others func() int64 // requests the process has served
	inside atomic.Int64 // callers at work or waiting
	took   atomic.Int64 // nanoseconds between two pieces of work in a slot, lately
}

// perRequest is what a request needs of a core: a bit more than a session check, less than a page.
const perRequest = 100 * time.Microsecond

func newQueue(slots int, wait time.Duration, others func() int64) *queue {
	q := &queue{slots: make(chan struct{}, slots), wait: wait, others: others}
	q.took.Store(int64(50 * time.Millisecond)) // a guess, until we have seen some
	return q
}

// do runs work in a slot, or returns a BusyError, or the error of ctx.
func (q *queue) do(ctx context.Context, work func()) error {
	leave, err := q.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	work()
	return nil
}

// enter waits for a slot. Whoever got one calls leave, once.
func (q *queue) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if q.inside.Add(1) > q.room() {
		q.inside.Add(-1)
		return nil, auth.BusyError{After: q.wait}
	}
	late := time.NewTimer(q.wait)
	defer late.Stop()
	select {
	case q.slots <- struct{}{}: // a channel serves blocked senders first come, first served
	case <-late.C:
		q.inside.Add(-1)
		return nil, auth.BusyError{After: q.wait}
	case <-ctx.Done():
		q.inside.Add(-1)
		return nil, ctx.Err()
	}
	start, before := time.Now(), q.others()
	return func() {
		took := time.Since(start)
		rest := min(took, time.Duration(q.others()-before)*perRequest)
		time.AfterFunc(rest, func() { <-q.slots })
		q.learn(took + rest)
		q.inside.Add(-1)
	}, nil
}

// room is how many may be inside: those at work, and those who can start within wait.
func (q *queue) room() int64 { return int64(cap(q.slots)) * (1 + int64(q.wait)/q.took.Load()) }

// learn keeps a moving average. Two that finish at once may overwrite each other: an estimate bears it.
func (q *queue) learn(took time.Duration) {
	q.took.Store(max(1, (7*q.took.Load()+int64(took))/8))
}
