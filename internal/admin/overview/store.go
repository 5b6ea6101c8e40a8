package overview

import (
	"context"
	"database/sql"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

func count(ctx context.Context, tx auth.Tx, day, what string, n int) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO days (day, what, n) VALUES ($1, $2, $3)
		ON CONFLICT (day, what) DO UPDATE SET n = days.n + excluded.n`, day, what, n)
	return err
}

// A tally is one number of one day.
type tally struct {
	day  time.Time
	what string
	n    int
}

func tallies(ctx context.Context, d *db.DB, since time.Time) ([]tally, error) {
	rows, err := d.QueryContext(ctx, `SELECT day, what, n FROM days WHERE day >= $1`, since.UTC().Format(time.DateOnly))
	return db.Collect(rows, err, func(r *sql.Rows) (t tally, err error) {
		var day string
		if err := r.Scan(&day, &t.what, &t.n); err != nil {
			return t, err
		}
		t.day, err = time.Parse(time.DateOnly, day)
		return t, err
	})
}
