package throttle

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

//go:embed schema
var embedded embed.FS

// Schema is the table throttle.
var Schema, _ = fs.Sub(embedded, "schema")

// take counts one failure if the key lets one through; the row it returns is the permission.
// $1 subject, $2 now, $3 start of the window, $4 start of the quiet time, $5 limit, $6 first wait, $7 longest wait, $8 lock.
const take = `
INSERT INTO throttle (subject, failures, since, last, over, until, streak)
VALUES ($1, 1, CAST($2 AS BIGINT), CAST($2 AS BIGINT), 0, 0, 1)
ON CONFLICT (subject) DO UPDATE SET
	failures = CASE WHEN ` + stale + ` THEN 1 ELSE throttle.failures + 1 END,
	since    = CASE WHEN ` + stale + ` THEN CAST($2 AS BIGINT) ELSE throttle.since END,
	over     = CASE WHEN ` + stale + ` THEN 0 WHEN throttle.failures + 1 >= CAST($5 AS BIGINT) THEN throttle.over + 1 ELSE throttle.over END,
	until    = CASE WHEN ` + stale + ` OR throttle.failures + 1 < CAST($5 AS BIGINT) THEN 0
		ELSE CAST($2 AS BIGINT) + CASE WHEN throttle.over >= 10 OR CAST($6 AS BIGINT) * ` + doubled + ` > CAST($7 AS BIGINT)
			THEN CAST($7 AS BIGINT) ELSE CAST($6 AS BIGINT) * ` + doubled + ` END END,
	last     = CAST($2 AS BIGINT),
	streak   = throttle.streak + 1
WHERE throttle.until <= CAST($2 AS BIGINT) AND (CAST($8 AS BIGINT) = 0 OR throttle.streak < CAST($8 AS BIGINT))
RETURNING failures`

const (
	stale   = `(throttle.over = 0 AND throttle.since <= CAST($3 AS BIGINT) OR throttle.last <= CAST($4 AS BIGINT))`
	doubled = `(CAST(1 AS BIGINT) << CAST(throttle.over AS INTEGER))`
)

// undo gives back exactly what one guess took, of a counter that many people share: an address stays as suspect as the
// others made it, or an account of one's own would buy guesses at theirs.
const undo = `UPDATE throttle SET
	failures = CASE WHEN failures > 0 THEN failures - 1 ELSE 0 END,
	over = CASE WHEN over > 0 THEN over - 1 ELSE 0 END,
	streak = CASE WHEN streak > 0 THEN streak - 1 ELSE 0 END,
	until = 0
WHERE subject = $1`

// release gives back one failure of a counter that is the person's own, and ends the waiting. After a wait it leaves
// room for one slip below the limit of ten.
const release = `UPDATE throttle SET
	failures = CASE WHEN failures = 0 THEN 0 WHEN over > 0 AND failures > 9 THEN 9 ELSE failures - 1 END,
	over = 0, until = 0, streak = 0
WHERE subject = $1`

// count returns the failures so far with this one, or says why none is let through.
func (t *Throttle) count(ctx context.Context, tx auth.Tx, k Key) (failures int64, err error) {
	now := t.clock()
	err = tx.QueryRowContext(ctx, take, k.subject, db.Micros(now), db.Micros(now.Add(-k.rule.window)), db.Micros(now.Add(-quiet)),
		k.rule.limit, k.rule.first.Microseconds(), k.rule.most.Microseconds(), k.rule.lock).Scan(&failures)
	if !errors.Is(err, sql.ErrNoRows) {
		return failures, err
	}
	if err := t.refusal(ctx, tx, k); err != nil {
		return 0, err
	}
	return 0, auth.ErrLocked
}

// refusal says until when a key lets nothing through, or nil if it would.
func (t *Throttle) refusal(ctx context.Context, tx auth.Tx, k Key) error {
	var (
		until  time.Time
		streak int64
	)
	err := tx.QueryRowContext(ctx, `SELECT until, streak FROM throttle WHERE subject = $1`, k.subject).Scan(db.Stamp(&until), &streak)
	switch now := t.clock(); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case k.rule.lock > 0 && streak >= k.rule.lock:
		return auth.ErrLocked
	case until.After(now):
		return auth.ThrottledError{After: until.Sub(now)}
	}
	return nil
}
