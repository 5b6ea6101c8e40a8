package directory

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/workgroup"
)

// A row is one person, as they are written down.
type row struct {
	n       int64 // 0: not yet
	user    auth.User
	status  Status
	factors string
	shape   string
	words   []string
	seen    time.Time

	// Of a row that was read, instead of the user, status and factors.
	workgroup auth.WorkgroupID
	class     int64
	leading   []word
}

// lock is taken by whoever writes.
func lock(ctx context.Context, tx auth.Tx) error {
	_, err := tx.ExecContext(ctx, `UPDATE directory_state SET last = last WHERE one = 1`)
	return err
}

func find(ctx context.Context, tx auth.Tx, id auth.UserID) (r row, err error) {
	var words, byName, byLogin []byte
	err = tx.QueryRowContext(ctx, `SELECT n, workgroup_id, class, shape, words, by_name, by_login, last_sign_in_at FROM directory WHERE user_id = $1`, id).
		Scan(&r.n, &r.workgroup, &r.class, &r.shape, &words, &byName, &byLogin, db.Stamp(&r.seen))
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, nil
	}
	r.leading = leading(strings.Fields(string(words)), byName, byLogin)
	return r, err
}

// store writes a row in the place of what was read before, and counts.
func store(ctx context.Context, tx auth.Tx, before, r row) (err error) {
	u := r.user
	if r.class, err = classOf(ctx, tx, r); err != nil {
		return err
	}
	r.workgroup = u.Workgroup
	statement := `UPDATE directory SET user_id = $2, name = $3, login = $4, workgroup_id = $5, class = $6, shape = $7, words = $8,
		by_name = $9, by_login = $10, by_added = $11, by_seen = $12, added_at = $13, last_sign_in_at = $14 WHERE n = $1`
	if before.n == 0 {
		statement = `INSERT INTO directory (n, user_id, name, login, workgroup_id, class, shape, words, by_name, by_login, by_added, by_seen, added_at, last_sign_in_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`
		if err := tx.QueryRowContext(ctx, `UPDATE directory_state SET last = last + 1 WHERE one = 1 RETURNING last`).Scan(&r.n); err != nil {
			return err
		}
	}
	k := keys(u, r.seen)
	if _, err := tx.ExecContext(ctx, statement, r.n, u.ID, u.Name, u.Login, u.Workgroup, r.class, r.shape, blanks(r.words),
		k[0], k[1], k[2], k[3], db.Micros(u.Added), db.Micros(r.seen)); err != nil {
		return err
	}
	if err := reword(ctx, tx, r.n, before.leading, leading(r.words, k[0], k[1])); err != nil {
		return err
	}
	if before.n != 0 && before.workgroup == r.workgroup && before.class == r.class && before.shape == r.shape {
		return nil
	}
	if err := count(ctx, tx, before, -1); err != nil {
		return err
	}
	return count(ctx, tx, r, 1)
}

// forget takes out somebody who is gone.
func forget(ctx context.Context, tx auth.Tx, id auth.UserID, before row) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM directory_due WHERE user_id = $1`, id); err != nil || before.n == 0 {
		return err
	}
	if err := reword(ctx, tx, before.n, before.leading, nil); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM directory WHERE n = $1`, before.n); err != nil {
		return err
	}
	return count(ctx, tx, before, -1)
}

func reword(ctx context.Context, tx auth.Tx, n int64, before, now []word) error {
	for _, w := range before {
		if slices.Contains(now, w) {
			continue
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM directory_words WHERE leads = $1 AND word = $2 AND n = $3`, w.leads, []byte(w.text), n); err != nil {
			return err
		}
	}
	for _, w := range now {
		if slices.Contains(before, w) {
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO directory_words (leads, word, n) VALUES ($1, $2, $3)`, w.leads, []byte(w.text), n); err != nil {
			return err
		}
	}
	return nil
}

func classOf(ctx context.Context, tx auth.Tx, r row) (class int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT class FROM directory_classes WHERE role = $1 AND status = $2 AND factors = $3`, r.user.Role, r.status, r.factors).Scan(&class)
	if !errors.Is(err, sql.ErrNoRows) {
		return class, err
	}
	err = tx.QueryRowContext(ctx, `INSERT INTO directory_classes (class, role, status, factors, n)
		SELECT COALESCE(MAX(class), 0) + 1, CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), 0 FROM directory_classes RETURNING class`,
		r.user.Role, r.status, r.factors).Scan(&class)
	return class, err
}

// count adds to how many are like a row. Of somebody who had none it does nothing.
func count(ctx context.Context, tx auth.Tx, r row, by int) error {
	if r.n == 0 {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE directory_classes SET n = n + $2 WHERE class = $1`, r.class, by); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO directory_tallies (workgroup_id, class, shape, n) VALUES ($1, $2, $3, $4)
		ON CONFLICT (workgroup_id, class, shape) DO UPDATE SET n = directory_tallies.n + excluded.n`, r.workgroup, r.class, r.shape, by)
	return err
}

// sawSignIn notes a sign-in. It is false for somebody who must be looked at because of it.
func sawSignIn(ctx context.Context, tx auth.Tx, id auth.UserID, at time.Time) (quick bool, err error) {
	key := keys(auth.User{ID: id}, at)[3]
	if _, err := tx.ExecContext(ctx, `UPDATE directory SET last_sign_in_at = $2, by_seen = $3 WHERE user_id = $1 AND last_sign_in_at < $2`, id, db.Micros(at), key); err != nil {
		return false, err
	}
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM directory d JOIN directory_classes c ON c.class = d.class
		WHERE d.user_id = $1 AND c.status = $2) AND NOT EXISTS (SELECT 1 FROM directory_due WHERE user_id = $1)`, id, Active).Scan(&quick)
	return quick, err
}

// lookAgain is at a time, and no other that was meant before; the zero time: not any more.
func lookAgain(ctx context.Context, tx auth.Tx, id auth.UserID, at time.Time) error {
	if at.IsZero() {
		_, err := tx.ExecContext(ctx, `DELETE FROM directory_due WHERE user_id = $1`, id)
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO directory_due (user_id, at) VALUES ($1, $2) ON CONFLICT (user_id) DO UPDATE SET at = excluded.at`, id, db.Micros(at))
	return err
}

func scanID(r *sql.Rows) (id auth.UserID, err error) { return id, r.Scan(&id) }

func due(ctx context.Context, from auth.Reader, now time.Time) ([]auth.UserID, error) {
	rows, err := from.QueryContext(ctx, `SELECT user_id FROM directory_due WHERE at <= $1 ORDER BY at LIMIT $2`, db.Micros(now), few)
	return db.Collect(rows, err, scanID)
}

const rounds workgroup.Rounds = "directory_rounds"

// paged picks out of the next page of a table the ids for which something is true, and says where the page ends.
func paged(ctx context.Context, from auth.Reader, query, after string, args ...any) (found []auth.UserID, next string, err error) {
	const page = 5000
	n := 0
	rows, err := from.QueryContext(ctx, query, append([]any{after, page}, args...)...)
	_, err = db.Collect(rows, err, func(r *sql.Rows) (none struct{}, err error) {
		var (
			id   string
			pick bool
		)
		if err = r.Scan(&id, &pick); pick {
			found = append(found, auth.UserID(id))
		}
		n, next = n+1, id
		return none, err
	})
	if n < page {
		next = ""
	}
	return found, next, err
}

func members(ctx context.Context, from auth.Reader, r workgroup.Round) ([]auth.UserID, string, error) {
	return paged(ctx, from, `SELECT id, ($3 = '' OR workgroup_id = $3) FROM users WHERE id > $1 ORDER BY id LIMIT $2`, r.After, r.Workgroup)
}

// strangers are people without a row.
func strangers(ctx context.Context, from auth.Reader, after string) ([]auth.UserID, string, error) {
	return paged(ctx, from, `SELECT u.id, d.user_id IS NULL FROM (SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2) u
		LEFT JOIN directory d ON d.user_id = u.id ORDER BY u.id`, after)
}

// departed are rows without a person.
func departed(ctx context.Context, from auth.Reader, after string) ([]auth.UserID, string, error) {
	return paged(ctx, from, `SELECT d.user_id, u.id IS NULL FROM (SELECT user_id FROM directory WHERE user_id > $1 ORDER BY user_id LIMIT $2) d
		LEFT JOIN users u ON u.id = d.user_id ORDER BY d.user_id`, after)
}

func sameCounts(ctx context.Context, from auth.Reader) (same bool, err error) {
	err = from.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM users) = (SELECT COALESCE(SUM(n), 0) FROM directory_classes)`).Scan(&same)
	return same, err
}

func madeUnder(ctx context.Context, from auth.Reader) (rules string, err error) {
	return rules, from.QueryRowContext(ctx, `SELECT rules FROM directory_state`).Scan(&rules)
}

func adoptRules(ctx context.Context, tx auth.Tx, old, rules string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE directory_state SET rules = $1`, rules); err != nil || old == "" {
		return err
	}
	return rounds.Begin(ctx, tx, "")
}

// adopted writes down how many have what as their strongest factor today.
func adopted(ctx context.Context, tx auth.Tx, now time.Time) error {
	if err := lock(ctx, tx); err != nil {
		return err
	}
	day, n := now.UTC().Format(time.DateOnly), map[string]int{}
	rows, err := tx.QueryContext(ctx, `SELECT factors, n FROM directory_classes WHERE status <> $1`, Disabled)
	_, err = db.Collect(rows, err, func(r *sql.Rows) (none struct{}, err error) {
		var (
			text string
			many int
		)
		err = r.Scan(&text, &many)
		strongest := ""
		if k := kinds(text); len(k) > 0 {
			strongest = string(k[0])
		}
		n[strongest] += many
		return none, err
	})
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE adoption SET n = 0 WHERE day = $1`, day); err != nil {
		return err
	}
	for strongest, many := range n {
		if _, err := tx.ExecContext(ctx, `INSERT INTO adoption (day, strongest, n) VALUES ($1, $2, $3)
			ON CONFLICT (day, strongest) DO UPDATE SET n = excluded.n`, day, strongest, many); err != nil {
			return err
		}
	}
	return nil
}

// An Adopted is how many had something as their strongest factor on a day.
type Adopted struct {
	Day       time.Time // UTC
	Strongest auth.Kind // empty: their sign-in asked for no second step
	People    int
}

// Adoption is by the day, the oldest first, from the day of a time on; without people who were kept out.
func (d *Directory) Adoption(ctx context.Context, since time.Time) ([]Adopted, error) {
	rows, err := d.DB.QueryContext(ctx, `SELECT day, strongest, n FROM adoption WHERE day >= $1 ORDER BY day, strongest`, since.UTC().Format(time.DateOnly))
	return db.Collect(rows, err, func(r *sql.Rows) (a Adopted, err error) {
		var day string
		if err := r.Scan(&day, &a.Strongest, &a.People); err != nil {
			return a, err
		}
		a.Day, err = time.Parse(time.DateOnly, day)
		return a, err
	})
}
