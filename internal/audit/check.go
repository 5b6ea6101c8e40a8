package audit

import (
	"context"
	"crypto/hmac"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

// A Check is what came of going through the whole record in the background, on whichever node did it.
type Check struct {
	At      time.Time `json:"-"` // when it ended; zero: there was none yet
	Running bool      `json:"-"` // another is under way

	Rows     int64    `json:"rows"`
	Findings int64    `json:"findings"`
	First    []string `json:"first,omitempty"`  // of the findings, in words
	Head     string   `json:"head,omitempty"`   // of the chain
	Anchor   string   `json:"anchor,omitempty"` // a head that must be in the chain at the next check
	Failed   string   `json:"failed,omitempty"` // why it could not go through
}

const (
	checkEvery = time.Hour
	checkLease = 2 * time.Minute // renewed while it goes on
	mostFirst  = 5
)

// Checked is the latest check. One that was not stored by us is none.
func (t *Trail) Checked(ctx context.Context) (Check, error) {
	s, err := readCheck(ctx, t.db)
	if err != nil {
		return Check{}, err
	}
	c := t.open(s)
	c.Running = s.busyUntil > db.Micros(t.clock())
	return c, nil
}

// CheckSoon has this node begin a check at once, unless one is under way.
func (t *Trail) CheckSoon() {
	select {
	case t.checks <- struct{}{}:
	default:
	}
}

// RunChecks checks the record at the start, and then each hour on one of the nodes, until ctx ends.
func (t *Trail) RunChecks(ctx context.Context, log *slog.Logger) {
	look := time.NewTicker(time.Minute)
	defer look.Stop()
	for due := time.Duration(0); ctx.Err() == nil; {
		if err := t.Check(ctx, due); err != nil && ctx.Err() == nil {
			log.Error("the record could not be checked", "error", err)
		}
		if c, err := t.Checked(ctx); err == nil && c.Findings > 0 && !c.At.Before(t.clock().Add(-time.Minute)) {
			log.Error("the record was changed", "findings", c.Findings, "first", c.First)
		}
		select {
		case <-ctx.Done():
		case <-look.C:
			due = checkEvery
		case <-t.checks:
			due = 0
		}
	}
}

// Check goes through the record if the latest check is so old and no node is at one. The head that it found is the
// anchor of the next, so that rows which are removed with their seals are missed; only a check without a finding moves it.
func (t *Trail) Check(ctx context.Context, old time.Duration) error {
	before, won, err := t.beginCheck(ctx, old)
	if err != nil || !won {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go t.renew(ctx)
	found := Check{Anchor: before.Anchor}
	report, err := t.Verify(ctx, before.Anchor, func(f Finding) {
		if len(found.First) < mostFirst {
			found.First = append(found.First, f.String())
		}
	})
	stop()
	found.Rows, found.Findings, found.Head = report.Rows, report.Findings, report.Head
	if err != nil {
		found.Failed = "it could not be read to its end"
	} else if found.Findings == 0 {
		found.Anchor = report.Head
	}
	ended, free := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer free()
	if stored := t.endCheck(ended, found); stored != nil {
		return stored
	}
	return err
}

// renew holds the lease while a check goes on.
func (t *Trail) renew(ctx context.Context) {
	for tick := time.NewTicker(checkLease / 4); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
			// If it fails, another node may check the record too, which does no harm.
			_ = t.db.Tx(ctx, func(tx auth.Tx) error { return extendCheck(ctx, tx, t.clock().Add(checkLease)) })
		}
	}
}

func (t *Trail) beginCheck(ctx context.Context, old time.Duration) (before Check, won bool, err error) {
	err = t.db.Tx(ctx, func(tx auth.Tx) error {
		now := t.clock()
		won, err = claimCheck(ctx, tx, now, now.Add(-old), now.Add(checkLease))
		if err != nil || !won {
			return err
		}
		s, err := readCheck(ctx, tx)
		before = t.open(s)
		return err
	})
	if err != nil {
		return before, false, fmt.Errorf("begin to check the events: %w", err)
	}
	return before, won, nil
}

func (t *Trail) endCheck(ctx context.Context, c Check) error {
	result, err := json.Marshal(c)
	if err != nil {
		return err
	}
	s := storedCheck{endedAt: db.Micros(t.clock()), result: string(result)}
	s.mac = t.sumOf(s)
	return t.db.Tx(ctx, func(tx auth.Tx) error { return writeCheck(ctx, tx, s) })
}

// open is the zero Check for what we did not store.
func (t *Trail) open(s storedCheck) (c Check) {
	if s.endedAt == 0 || !hmac.Equal(s.mac, t.sumOf(s)) || json.Unmarshal([]byte(s.result), &c) != nil {
		return Check{}
	}
	c.At = db.Time(s.endedAt)
	return c
}

func (t *Trail) sumOf(s storedCheck) []byte {
	h := t.keyed()
	h.Write(binary.BigEndian.AppendUint64([]byte("check"), uint64(s.endedAt)))
	h.Write([]byte(s.result))
	return h.Sum(nil)
}
