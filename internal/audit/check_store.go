package audit

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

// A storedCheck is the row of event_check.
type storedCheck struct {
	busyUntil, endedAt int64
	result             string
	mac                []byte
}

func readCheck(ctx context.Context, from auth.Reader) (s storedCheck, err error) {
	err = from.QueryRowContext(ctx, `SELECT busy_until, ended_at, result, mac FROM event_check`).Scan(&s.busyUntil, &s.endedAt, &s.result, &s.mac)
	return s, err
}

// claimCheck is false while another node is at it, or if the latest check is not so old.
func claimCheck(ctx context.Context, tx auth.Tx, now, old, lease time.Time) (bool, error) {
	err := db.One(tx.ExecContext(ctx, `UPDATE event_check SET busy_until = $1 WHERE busy_until <= $2 AND ended_at <= $3`,
		db.Micros(lease), db.Micros(now), db.Micros(old)))
	if errors.Is(err, auth.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func extendCheck(ctx context.Context, tx auth.Tx, lease time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE event_check SET busy_until = $1 WHERE busy_until > 0`, db.Micros(lease))
	return err
}

func writeCheck(ctx context.Context, tx auth.Tx, s storedCheck) error {
	return db.One(tx.ExecContext(ctx, `UPDATE event_check SET busy_until = 0, ended_at = $1, result = $2, mac = $3`, s.endedAt, s.result, s.mac))
}
