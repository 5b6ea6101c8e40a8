package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"sallyport/internal/auth"
)

// A Follower keeps something up to date with the record, soon after the events and never in their transactions, so that
// who makes them pays nothing for it.
//
// It is given every sealed event once, in the order of the record, by whichever node comes first: what Follow writes
// is on disk exactly when its place in the record is. An error gives the same events again, a second later.
type Follower interface {
	Name() string // of its place in the record; it never changes
	Follow(context.Context, auth.Tx, []Entry) error
}

// Feed lets somebody follow the record. Call it before Run.
func (t *Trail) Feed(f Follower) { t.followers = append(t.followers, f) }

// follow tells all followers what they have not seen yet. It logs who failed at first, and not each second again.
func (t *Trail) follow(ctx context.Context, log *slog.Logger) {
	for _, f := range t.followers {
		err := t.catchUp(ctx, f)
		if err != nil && !t.behind[f.Name()] && ctx.Err() == nil {
			log.Error("a follower of the events stays behind", "follower", f.Name(), "error", err)
		}
		t.behind[f.Name()] = err != nil
	}
}

// CatchUp tells all followers what is sealed and they have not seen yet, as Run does each second.
func (t *Trail) CatchUp(ctx context.Context) error {
	var failed []error
	for _, f := range t.followers {
		failed = append(failed, t.catchUp(ctx, f))
	}
	return errors.Join(failed...)
}

func (t *Trail) catchUp(ctx context.Context, f Follower) error {
	for {
		more, err := t.feed(ctx, f)
		if err != nil {
			return fmt.Errorf("%s follows the events: %w", f.Name(), err)
		}
		if !more {
			return nil
		}
	}
}

// feed hands over the next few seals. The place moves by a condition on where it was, before the events are handed
// over: of two nodes one gets it, and the other has done nothing.
func (t *Trail) feed(ctx context.Context, f Follower) (more bool, err error) {
	at, err := place(ctx, t.db, f.Name())
	if err != nil {
		return false, err
	}
	upTo, err := nextSeals(ctx, t.db, at)
	if err != nil || upTo == at {
		return false, err
	}
	entries, err := sealed(ctx, t.db, at, upTo)
	if err != nil {
		return false, err
	}
	err = t.db.Tx(ctx, func(tx auth.Tx) error {
		moved, err := move(ctx, tx, f.Name(), at, upTo)
		if err != nil || !moved {
			return err
		}
		return f.Follow(ctx, tx, entries)
	})
	return err == nil, err
}
