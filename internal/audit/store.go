package audit

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

const columns = `id, kind, user_id, actor_id, face, request_id, address, browser, detail, at, mac`

func insert(ctx context.Context, tx auth.Tx, r *row) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO events (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		r.id, r.kind, r.user, r.actor, r.face, r.request, r.address, r.browser, r.detail, r.at, r.mac)
	return err
}

// entry is what asEntry scans.
const entry = `id, at, kind, user_id, actor_id, face, request_id, address, browser, detail, COALESCE(seal, 0)`

func asEntry(r *sql.Rows) (e Entry, err error) {
	var detail []byte
	if err := r.Scan(&e.ID, db.Stamp(&e.At), &e.Kind, &e.User, &e.Actor, &e.Face, &e.Request, &e.Address, &e.Browser, &detail, &e.Seal); err != nil {
		return e, err
	}
	return e, json.Unmarshal(detail, &e.Detail)
}

// recent begins after the row that before names, or with the newest.
func recent(ctx context.Context, d *db.DB, user auth.UserID, before string, n int) ([]Entry, error) {
	rows, err := d.QueryContext(ctx, `SELECT `+entry+` FROM events
		WHERE user_id = $1 AND ($2 = '' OR (at, id) < (SELECT b.at, b.id FROM events b WHERE b.id = $2 AND b.user_id = $1))
		ORDER BY at DESC, id DESC LIMIT $3`, user, before, n)
	return db.Collect(rows, err, asEntry)
}

// last looks at so many events only that nobody makes it slow by failing at somebody's name.
func last(ctx context.Context, from auth.Reader, user auth.UserID, kind auth.EventKind) (at time.Time, err error) {
	err = from.QueryRowContext(ctx, `SELECT COALESCE(MAX(at), 0) FROM
		(SELECT at, kind FROM events WHERE user_id = $1 ORDER BY at DESC, id DESC LIMIT 1000) latest WHERE kind = $2`, user, kind).Scan(db.Stamp(&at))
	return at, err
}

// place is the newest seal that a follower was given; 0 at the beginning.
func place(ctx context.Context, d *db.DB, name string) (seal int64, err error) {
	err = d.QueryRowContext(ctx, `SELECT COALESCE(MAX(seal), 0) FROM followers WHERE name = $1`, name).Scan(&seal)
	return seal, err
}

// nextSeals is the last of a few seals after one that close not many more rows than a batch together; the same if
// there is none.
func nextSeals(ctx context.Context, d *db.DB, after int64) (upTo int64, err error) {
	next, err := sealsAfter(ctx, d, after)
	upTo, rows := after, int64(0)
	for _, s := range next {
		if rows += s.rows; rows > batch && upTo > after {
			break
		}
		upTo = s.seq
	}
	return upTo, err
}

func sealed(ctx context.Context, d *db.DB, after, upTo int64) ([]Entry, error) {
	rows, err := d.QueryContext(ctx, `SELECT `+entry+` FROM events WHERE seal > $1 AND seal <= $2 ORDER BY seal, at, id`, after, upTo)
	return db.Collect(rows, err, asEntry)
}

// move is false where another node was there first.
func move(ctx context.Context, tx auth.Tx, name string, from, to int64) (bool, error) {
	if _, err := tx.ExecContext(ctx, `INSERT INTO followers (name, seal) VALUES ($1, 0) ON CONFLICT DO NOTHING`, name); err != nil {
		return false, err
	}
	err := db.One(tx.ExecContext(ctx, `UPDATE followers SET seal = $3 WHERE name = $1 AND seal = $2`, name, from, to))
	if errors.Is(err, auth.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func anyUnsealed(ctx context.Context, d *db.DB) (some bool, err error) {
	err = d.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM events WHERE seal IS NULL)`).Scan(&some)
	return some, err
}

// newest is the head of the chain, genesis at the beginning. A *db.DB and an auth.Tx both answer.
func newest(ctx context.Context, q interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}) (seal, error) {
	s := genesis()
	err := q.QueryRowContext(ctx, `SELECT seq, hash FROM event_seals ORDER BY seq DESC LIMIT 1`).Scan(&s.seq, &s.hash)
	if errors.Is(err, sql.ErrNoRows) {
		return genesis(), nil
	}
	return s, err
}

// unsealed has id and MAC only.
func unsealed(ctx context.Context, tx auth.Tx) ([]row, error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, mac FROM events WHERE seal IS NULL ORDER BY at, id LIMIT $1`, batch)
	return db.Collect(rows, err, func(rows *sql.Rows) (r row, err error) {
		return r, rows.Scan(&r.id, &r.mac)
	})
}

// claim is false where another node has the number.
func claim(ctx context.Context, tx auth.Tx, s seal) (bool, error) {
	r, err := tx.ExecContext(ctx, `INSERT INTO event_seals (seq, at, rows, hash) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		s.seq, s.at, s.rows, s.hash)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n == 1, err
}

// mark names each row, because a condition could meet rows that were committed since they were read.
func mark(ctx context.Context, tx auth.Tx, seq int64, rows []row) error {
	var (
		in   strings.Builder
		args = []any{seq}
	)
	for i, r := range rows {
		fmt.Fprintf(&in, ", $%d", i+2)
		args = append(args, r.id)
	}
	_, err := tx.ExecContext(ctx, `UPDATE events SET seal = $1 WHERE id IN (`+in.String()[2:]+`)`, args...)
	return err
}

// sealsAfter is the next few. Verify reads in pages, because a statement may not run for longer than some seconds.
func sealsAfter(ctx context.Context, d *db.DB, seq int64) ([]seal, error) {
	rows, err := d.QueryContext(ctx, `SELECT seq, at, rows, hash FROM event_seals WHERE seq > $1 ORDER BY seq LIMIT 50`, seq)
	return db.Collect(rows, err, func(rows *sql.Rows) (s seal, err error) {
		var odd bool // leaves a zero behind, and that matches nothing
		err = rows.Scan(exact[int64]{&s.seq, &odd}, exact[int64]{&s.at, &odd}, exact[int64]{&s.rows, &odd}, exact[[]byte]{&s.hash, &odd})
		s.hash = bytes.Clone(s.hash) // the driver's until the next row
		return s, err
	})
}

func sealedRows(ctx context.Context, d *db.DB, after, upTo int64) (cursor, error) {
	return walk(ctx, d, `seal > $1 AND seal <= $2 ORDER BY seal, at, id`, after, upTo)
}

func orphanedRows(ctx context.Context, d *db.DB, after int64) (cursor, error) {
	return walk(ctx, d, `seal > $1 AND NOT EXISTS (SELECT 1 FROM event_seals WHERE seq = seal)`, after)
}

func unsealedRows(ctx context.Context, d *db.DB) (cursor, error) {
	return walk(ctx, d, `seal IS NULL`)
}

// A cursor hands out whole rows one by one; their MAC is good until the next.
type cursor struct {
	*sql.Rows
	failed *error
}

func walk(ctx context.Context, d *db.DB, where string, args ...any) (cursor, error) {
	rows, err := d.QueryContext(ctx, `SELECT `+columns+`, COALESCE(seal, 0) FROM events WHERE `+where, args...)
	return cursor{rows, new(error)}, err
}

func (c cursor) next() (r row, more bool) {
	if !c.Next() {
		return r, false
	}
	var to []any
	for _, s := range r.texts() {
		to = append(to, exact[string]{s, &r.mistyped})
	}
	to = append(to, exact[int64]{&r.at, &r.mistyped}, exact[[]byte]{&r.mac, &r.mistyped}, exact[int64]{&r.seal, &r.mistyped})
	*c.failed = c.Scan(to...)
	return r, *c.failed == nil
}

func (c cursor) err() error { return errors.Join(*c.failed, c.Err()) }

// exact takes a value only in the type it was written in. SQLite keeps any type in any column: a user id stored as a
// blob reads like the text, but a search for the text does not find it.
type exact[T any] struct {
	to       *T
	mistyped *bool
}

func (e exact[T]) Scan(v any) error {
	t, ok := v.(T)
	*e.to = t
	*e.mistyped = *e.mistyped || !ok
	return nil
}
