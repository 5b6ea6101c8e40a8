package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"log/slog"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

// A seal closes a batch of rows. Its hash covers the seal before it.
type seal struct {
	seq  int64 // counts from 1
	at   int64 // Unix microseconds
	rows int64
	hash []byte
}

// genesis stands before the first seal.
func genesis() seal { return seal{hash: make([]byte, sha256.Size)} }

// String is how a head of the chain is written down.
func (s seal) String() string { return fmt.Sprintf("%d:%s", s.seq, hex.EncodeToString(s.hash)) }

// chain begins the hash of the seal that follows before; the MACs of its rows are yet to be written, in order.
func (t *Trail) chain(before, s seal) hash.Hash {
	b := append([]byte("seal"), before.hash...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.seq))
	b = binary.BigEndian.AppendUint64(b, uint64(s.at))
	h := t.keyed()
	h.Write(b)
	return h
}

// batch bounds how long sealing keeps the only writer of SQLite from a sign-in.
const batch = 1000

// Seal closes one batch of rows, the oldest first, and returns how many. Of nodes that seal at the same time one
// succeeds; the others return 0 and have done nothing.
func (t *Trail) Seal(ctx context.Context) (rows int, err error) {
	if some, err := anyUnsealed(ctx, t.db); err != nil || !some {
		return 0, err
	}
	err = t.db.Tx(ctx, func(tx auth.Tx) error {
		rows = 0
		// The order matters: the head first, then the rows, then the claim to the next number. Who wins the number
		// knows that nobody sealed since they saw the head, so that the rows were still theirs to seal.
		head, err := newest(ctx, tx)
		if err != nil {
			return err
		}
		open, err := unsealed(ctx, tx)
		if err != nil || len(open) == 0 {
			return err
		}
		next := seal{seq: head.seq + 1, at: db.Micros(t.clock()), rows: int64(len(open))}
		h := t.chain(head, next)
		for _, r := range open {
			h.Write(r.mac)
		}
		next.hash = h.Sum(nil)
		won, err := claim(ctx, tx, next)
		if err != nil || !won {
			return err
		}
		rows = len(open)
		return mark(ctx, tx, next.seq, open)
	})
	if err != nil {
		return 0, fmt.Errorf("seal events: %w", err)
	}
	return rows, nil
}

// Run seals once a second and tells who follows, and logs the head of the chain at the start, every hour and at the end, for Verify.
// Ctx should end after the last request has; what is open then is sealed still.
func (t *Trail) Run(ctx context.Context, log *slog.Logger) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	var told time.Time
	for failed := false; ctx.Err() == nil; {
		err := t.sealAll(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			log.Error("events wait for their seal", "error", err) // once, not every second
		}
		failed = err != nil
		t.follow(ctx, log)
		if now := t.clock(); !failed && now.Sub(told) >= time.Hour {
			t.tell(ctx, log)
			told = now
		}
		select {
		case <-second.C:
		case <-ctx.Done():
		}
	}
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	if err := t.sealAll(last); err != nil {
		log.Error("events wait for their seal until the next start", "error", err)
	}
	t.tell(last, log)
}

func (t *Trail) sealAll(ctx context.Context) error {
	for {
		if n, err := t.Seal(ctx); err != nil || n < batch {
			return err
		}
	}
}

func (t *Trail) tell(ctx context.Context, log *slog.Logger) {
	head, err := newest(ctx, t.db)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		log.Error("the head of the events is unknown", "error", err)
		return
	}
	if head.seq > 0 {
		log.Info("head of the events", "head", head.String())
	}
}
