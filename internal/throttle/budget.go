package throttle

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

// A Budget bounds what costs money or patience: so many at once, and so many in a time, evenly. It is the generic cell
// rate algorithm (ITU-T I.371, annex A): one row and one statement for each subject, on all nodes together.
type Budget struct {
	Name  string
	Most  int           // at once, after a quiet time
	Every time.Duration // one more after each
}

// PerHour is a budget of so many an hour, all of which may go at once.
func PerHour(name string, most int) Budget {
	return Budget{Name: name, Most: most, Every: time.Hour / time.Duration(most)}
}

// For names whose budget it is.
func (b Budget) For(subject string) Purse { return Purse{b, b.Name + ":" + subject} }

// A Purse is the budget of one subject.
type Purse struct {
	Budget
	subject string
}

// Spend takes one out of every purse, in the caller's transaction, or is an auth.ThrottledError that says when there is one
// again; then nothing was taken, and the caller may go on without what it wanted.
func (t *Throttle) Spend(ctx context.Context, tx auth.Tx, purses ...Purse) error {
	slices.SortFunc(purses, func(a, b Purse) int { return strings.Compare(a.subject, b.subject) }) // two nodes never wait crosswise
	now := t.clock()
	for i, p := range purses {
		var full time.Time
		err := tx.QueryRowContext(ctx, `INSERT INTO budgets (subject, full_at) VALUES ($1, CAST($2 AS BIGINT) + CAST($3 AS BIGINT))
			ON CONFLICT (subject) DO UPDATE SET
				full_at = CASE WHEN budgets.full_at > CAST($2 AS BIGINT) THEN budgets.full_at ELSE CAST($2 AS BIGINT) END + CAST($3 AS BIGINT)
			WHERE budgets.full_at <= CAST($2 AS BIGINT) + CAST($4 AS BIGINT) RETURNING full_at`,
			p.subject, db.Micros(now), p.Every.Microseconds(), p.slack().Microseconds()).Scan(db.Stamp(&full))
		if errors.Is(err, sql.ErrNoRows) {
			return errors.Join(t.Refund(ctx, tx, purses[:i]...), t.empty(ctx, tx, p))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Refund gives back what purses have just paid, for what then was not done: somebody who has nothing left must not use up
// what is everybody's.
func (t *Throttle) Refund(ctx context.Context, tx auth.Tx, paid ...Purse) error {
	for _, p := range paid {
		if _, err := tx.ExecContext(ctx, `UPDATE budgets SET full_at = full_at - $2 WHERE subject = $1`, p.subject, p.Every.Microseconds()); err != nil {
			return err
		}
	}
	return nil
}

// slack is how far in the future a purse may be full again and still have one left.
func (p Purse) slack() time.Duration { return time.Duration(p.Most-1) * p.Every }

func (t *Throttle) empty(ctx context.Context, from auth.Reader, p Purse) error {
	var full time.Time
	if err := from.QueryRowContext(ctx, `SELECT full_at FROM budgets WHERE subject = $1`, p.subject).Scan(db.Stamp(&full)); err != nil {
		return err
	}
	return auth.ThrottledError{After: max(full.Add(-p.slack()).Sub(t.clock()), time.Second)}
}

// Empty says whether a purse has nothing left now.
func (t *Throttle) Empty(ctx context.Context, p Purse) (empty bool, err error) {
	return empty, t.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM budgets WHERE subject = $1 AND full_at > $2)`,
		p.subject, db.Micros(t.clock().Add(p.slack()))).Scan(&empty)
}
