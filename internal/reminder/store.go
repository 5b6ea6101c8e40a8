package reminder

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/workgroup"
)

//go:embed schema
var embedded embed.FS

// Schema is the tables reminders and reminder_rounds.
var Schema, _ = fs.Sub(embedded, "schema")

const rounds workgroup.Rounds = "reminder_rounds"

// page is how many people one statement passes.
const page = 2000

// pageEnd is the last person of the page after one; empty: there is none.
func pageEnd(ctx context.Context, from auth.Reader, after string) (end string, err error) {
	err = from.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), '') FROM (SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2) AS p`, after, page).Scan(&end)
	return end, err
}

// Whom plan looks at, between its two ends.
const (
	theOne  = `u.id >= $1 AND u.id <= $2`
	thePage = `u.id > $1 AND u.id <= $2`
)

// plan writes down when people who stand under a level are to be told. What is not done yet moves along with the level.
func plan(ctx context.Context, tx auth.Tx, g workgroup.Workgroup, whom, first, last string, now time.Time) error {
	l := g.Level
	came, within := `u.added_at`, ``
	if l.Group {
		came, within = `u.joined_at`, ` AND u.workgroup_id = $6`
	}
	begin := `CASE WHEN ` + came + ` > $4 THEN ` + came + ` ELSE $4 END`
	for _, s := range stages {
		at, args := `b.begin`, []any{first, last, string(s.name), db.Micros(l.Since), l.Grace.Microseconds(), g.ID, db.Micros(now)}
		if s.before > 0 {
			if l.Grace < s.before+s.before/2 { // it would come right after the first one
				continue
			}
			at, args = `b.begin + $5 - $8`, append(args, s.before.Microseconds())
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO reminders (user_id, workgroup_id, since, stage, at, done)
			SELECT b.id, CAST($6 AS TEXT), CAST($4 AS BIGINT), CAST($3 AS TEXT), `+at+`, FALSE FROM (SELECT u.id, `+begin+` AS begin FROM users u WHERE `+whom+` AND NOT u.disabled`+within+`) AS b
			WHERE b.begin + $5 > $7
			ON CONFLICT (user_id, workgroup_id, since, stage) DO UPDATE SET at = excluded.at WHERE NOT reminders.done`, args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// A task is one reminder that is due.
type task struct {
	user      auth.UserID
	workgroup auth.WorkgroupID
	since     time.Time
	stage     stageName
}

func due(ctx context.Context, from auth.Reader, now time.Time) ([]task, error) {
	rows, err := from.QueryContext(ctx, `SELECT user_id, workgroup_id, since, stage FROM reminders WHERE NOT done AND at <= $1 ORDER BY at LIMIT $2`, db.Micros(now), few)
	return db.Collect(rows, err, func(r *sql.Rows) (t task, err error) {
		return t, r.Scan(&t.user, &t.workgroup, db.Stamp(&t.since), &t.stage)
	})
}

// take is auth.ErrNotFound for one that somebody else did meanwhile.
func take(ctx context.Context, tx auth.Tx, t task) error {
	return db.One(tx.ExecContext(ctx, `UPDATE reminders SET done = TRUE WHERE user_id = $1 AND workgroup_id = $2 AND since = $3 AND stage = $4 AND NOT done`,
		t.user, t.workgroup, db.Micros(t.since), string(t.stage)))
}

// Sweep removes what no period can need any more: none is longer than a year.
func (r *Reminders) Sweep(ctx context.Context) error {
	return r.DB.Tx(ctx, func(tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM reminders WHERE done AND at < $1`, db.Micros(r.Clock().Add(-2*366*24*time.Hour)))
		return err
	})
}
