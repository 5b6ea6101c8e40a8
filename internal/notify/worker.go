package notify

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"sallyport/internal/auth"
)

const (
	hands    = 16               // that carry messages, for each channel on each node
	batch    = 2 * hands        // messages claimed at once
	patience = 20 * time.Second // with one try
	lease    = 3 * patience     // of what is claimed: a while in the queue, a try, and clocks that differ
	look     = time.Second      // how often a node looks for what others left
)

// Run carries messages until ctx ends. What is under way then is finished first.
func (o *Outbox) Run(ctx context.Context) {
	var all sync.WaitGroup
	for c := range o.Carriers {
		all.Go(func() { o.run(ctx, c) })
	}
	all.Wait()
}

// run carries the messages of one channel. A hand that waits for the other side keeps no other message waiting, and a
// channel that is down none of another.
func (o *Outbox) run(ctx context.Context, c Channel) {
	queue := make(chan row, batch)
	var all sync.WaitGroup
	for hand := range hands {
		all.Go(func() {
			for r := range queue {
				if ctx.Err() != nil { // another node, or the next start, does not have to wait for the lease
					o.give(r)
					continue
				}
				r.hand = hand
				o.carry(context.WithoutCancel(ctx), r)
				if len(queue) == 0 {
					o.hurry(c)
				}
			}
		})
	}
	tick := time.NewTicker(look)
	defer func() { tick.Stop(); close(queue); all.Wait() }()
	for {
		if len(queue) < hands { // or there is enough to do
			mine, err := o.claim(ctx, c, batch-len(queue))
			if err != nil && ctx.Err() == nil {
				o.Log.Error("outbox", "error", err)
			}
			for _, r := range mine {
				queue <- r
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-o.wake[c]:
		case <-tick.C:
		}
	}
}

// give puts a message back that nobody has tried.
func (o *Outbox) give(r row) {
	if err := o.note(context.Background(), r, Waiting, "", o.Clock()); err != nil {
		o.Log.Error("outbox", "message", r.id, "error", err)
	}
}

// carry tries one message, once, and notes what came of it.
func (o *Outbox) carry(ctx context.Context, r row) {
	if o.Clock().Add(patience).After(r.due) { // it waited too long here: another node may have it
		return
	}
	state, why, due := o.try(ctx, r)
	result := string(state)
	if state == Waiting {
		result = "later"
	}
	o.count.WithLabelValues(string(r.channel), result).Inc()
	for pause := 50 * time.Millisecond; pause < lease; pause *= 2 { // the other side took it: nobody may carry it again
		err := o.note(ctx, r, state, why, due)
		if err == nil {
			return
		}
		o.Log.Error("outbox", "message", r.id, "error", err)
		time.Sleep(pause)
	}
}

func (o *Outbox) try(ctx context.Context, r row) (s State, why string, due time.Time) {
	if !o.Clock().Before(r.expires) {
		return Failed, "expired", due
	}
	ctx, done := context.WithTimeout(ctx, patience)
	defer done()
	l, err := o.letter(ctx, r)
	switch {
	case errors.Is(err, errUnknown):
		return o.later(r, err)
	case err != nil:
		o.Log.Error("outbox", "message", r.id, "error", err)
		return Failed, "fault", due
	}
	err = o.Carriers[r.channel].Carry(ctx, l)
	switch {
	case err == nil:
		return Delivered, "", due
	case errors.Is(err, auth.ErrRefused):
		o.Log.Warn("outbox: refused", "message", r.id, "channel", r.channel, "error", err)
		return Failed, "refused", due
	}
	return o.later(r, err)
}

// later is another try, if there is time for one.
func (o *Outbox) later(r row, because error) (State, string, time.Time) {
	o.Log.Warn("outbox: not taken yet", "message", r.id, "channel", r.channel, "tries", r.tries, "error", because)
	due := o.Clock().Add(backoff(r.tries))
	if !due.Before(r.expires) {
		return Failed, "expired", time.Time{}
	}
	return Waiting, "", due
}

// backoff is the pause after so many tries: a second, doubled each time up to five minutes, a fifth more or less so that
// nodes and messages do not come in step.
func backoff(tries int) time.Duration {
	pause := min(time.Second<<min(tries-1, 10), 5*time.Minute)
	return pause*4/5 + rand.N(pause*2/5)
}
