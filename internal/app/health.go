package app

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"sync"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

// sameKeys refuses a key ring that is not the one this database began with: nothing sealed would open, and every event
// it signed would look forged for good.
func sameKeys(ctx context.Context, d *db.DB, mac []byte) error {
	return d.Tx(ctx, func(tx auth.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO key_check (id, mac) VALUES (1, $1) ON CONFLICT DO NOTHING`, mac); err != nil {
			return err
		}
		var first []byte
		if err := tx.QueryRowContext(ctx, `SELECT mac FROM key_check WHERE id = 1`).Scan(&first); err != nil {
			return err
		}
		if !hmac.Equal(first, mac) {
			return errors.New("this key ring does not belong to this database: put the one it began with in its place")
		}
		return nil
	})
}

// A heartbeat is a write that shows whether the database takes one. Whoever asks while one is under way shares it, so
// asking costs no more than a few writes a second.
type heartbeat struct {
	db    *db.DB
	clock func() time.Time

	mu   sync.Mutex
	last time.Time
}

func (h *heartbeat) beat(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clock()
	if now.Sub(h.last) < 200*time.Millisecond {
		return nil
	}
	err := h.db.Tx(ctx, func(tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO heartbeat (id, at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET at = excluded.at`, db.Micros(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("readiness: %w", err)
	}
	h.last = now
	return nil
}
