package workgroup

import (
	"context"
	"database/sql"
	"errors"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

// Rounds are walks along all people of a workgroup or of the instance, a page at a time, that survive a restart and that
// nodes take turns in. It is the name of a table of whoever walks, with the columns workgroup_id, after and began.
type Rounds string

// A Round is one walk, as far as it came.
type Round struct {
	Workgroup auth.WorkgroupID
	After     string // the last person of the page before
	began     int64
}

// Begin begins a walk, or begins it anew.
func (r Rounds) Begin(ctx context.Context, tx auth.Tx, w auth.WorkgroupID) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO `+string(r)+` (workgroup_id, after, began) VALUES ($1, '', 1)
		ON CONFLICT (workgroup_id) DO UPDATE SET after = '', began = `+string(r)+`.began + 1`, w)
	return err
}

// Any is one that is not over, if there is one.
func (r Rounds) Any(ctx context.Context, from auth.Reader) (at Round, some bool, err error) {
	err = from.QueryRowContext(ctx, `SELECT workgroup_id, after, began FROM `+string(r)+` LIMIT 1`).Scan(&at.Workgroup, &at.After, &at.began)
	if errors.Is(err, sql.ErrNoRows) {
		return at, false, nil
	}
	return at, err == nil, err
}

// Advance moves on to where the next page begins; empty: the walk is over. It is auth.ErrNotFound if the round is elsewhere
// by now.
func (r Rounds) Advance(ctx context.Context, tx auth.Tx, at Round, next string) error {
	const same = ` WHERE workgroup_id = $1 AND after = $2 AND began = $3`
	if next == "" {
		return db.One(tx.ExecContext(ctx, `DELETE FROM `+string(r)+same, at.Workgroup, at.After, at.began))
	}
	return db.One(tx.ExecContext(ctx, `UPDATE `+string(r)+` SET after = $4`+same, at.Workgroup, at.After, at.began, next))
}
