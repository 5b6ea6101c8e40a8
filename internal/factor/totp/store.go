package totp

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

//go:embed schema
var embedded embed.FS

// Schema is the table totp.
var Schema, _ = fs.Sub(embedded, "schema")

// An authenticator is one row.
type authenticator struct {
	id              auth.EnrolmentID
	sealed          []byte
	name            string
	lastStep        int64
	added, lastUsed time.Time
}

const columns = `id, secret, name, last_step, added_at, last_used_at`

func (a *authenticator) fields() []any {
	return []any{&a.id, &a.sealed, &a.name, &a.lastStep, db.Stamp(&a.added), db.Stamp(&a.lastUsed)}
}

// all lists the confirmed authenticators of a person.
func (t *TOTP) all(ctx context.Context, from auth.Reader, u auth.UserID) ([]authenticator, error) {
	rows, err := from.QueryContext(ctx, `SELECT `+columns+` FROM totp WHERE user_id = $1 AND confirmed ORDER BY added_at, id`, u)
	return db.Collect(rows, err, func(r *sql.Rows) (a authenticator, err error) { return a, r.Scan(a.fields()...) })
}

func (t *TOTP) open(a authenticator) ([]byte, error) {
	return t.Keys.Open(a.sealed, "totp", string(a.id), "secret")
}

// waiting is how long an authenticator may wait for its first code.
const waiting = time.Hour

// begin stores a new authenticator that waits for its first code, or returns the one that waits already in this session
// or sign-in. Another one never sees it: a secret that an intruder began must not become the owner's.
func (t *TOTP) begin(ctx context.Context, tx auth.Tx, u auth.UserID, in string, id auth.EnrolmentID) (a authenticator, err error) {
	now := t.Clock()
	if _, err = tx.ExecContext(ctx, `DELETE FROM totp WHERE user_id = $1 AND NOT confirmed AND added_at <= $2`, u, db.Micros(now.Add(-waiting))); err != nil {
		return a, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO totp (id, user_id, begun_in, secret, added_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		id, u, in, t.Keys.Seal(newSecret(), "totp", string(id), "secret"), db.Micros(now))
	if err != nil {
		return a, err
	}
	return a, tx.QueryRowContext(ctx, `SELECT `+columns+` FROM totp WHERE user_id = $1 AND begun_in = $2 AND NOT confirmed`, u, in).Scan(a.fields()...)
}

// begun is an authenticator that waits in this session or sign-in, or auth.ErrNotFound.
func (t *TOTP) begun(ctx context.Context, u auth.UserID, in string, id auth.EnrolmentID) (a authenticator, err error) {
	err = t.DB.QueryRowContext(ctx, `SELECT `+columns+` FROM totp WHERE id = $1 AND user_id = $2 AND begun_in = $3 AND NOT confirmed AND added_at > $4`,
		id, u, in, db.Micros(t.Clock().Add(-waiting))).Scan(a.fields()...)
	return a, db.NoneMeans(auth.ErrNotFound, err)
}

// Sweep removes what waited in vain.
func (t *TOTP) Sweep(ctx context.Context) error {
	return t.DB.Tx(ctx, func(tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM totp WHERE NOT confirmed AND added_at <= $1`, db.Micros(t.Clock().Add(-waiting)))
		return err
	})
}

// spend burns a step, once: whoever comes second changes no row.
func (t *TOTP) spend(ctx context.Context, tx auth.Tx, id auth.EnrolmentID, step int64, now time.Time) error {
	return db.NoneMeans(auth.ErrWrong, db.One(tx.ExecContext(ctx, `UPDATE totp SET last_step = $2, last_used_at = $3 WHERE id = $1 AND confirmed AND last_step < $2`,
		id, step, db.Micros(now))))
}

// reseal moves a secret to the newest key, the next time it is used after a rotation.
func (t *TOTP) reseal(ctx context.Context, tx auth.Tx, a authenticator, secret []byte) error {
	if !t.Keys.NeedsReseal(a.sealed) {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE totp SET secret = $2 WHERE id = $1`, a.id, t.Keys.Seal(secret, "totp", string(a.id), "secret"))
	return err
}

// confirm names the authenticator and spends the step that proved it, if it still waits for that.
func (t *TOTP) confirm(ctx context.Context, tx auth.Tx, id auth.EnrolmentID, name string, step int64, now time.Time) error {
	return db.NoneMeans(auth.ErrWrong, db.One(tx.ExecContext(ctx, `UPDATE totp SET confirmed = TRUE, name = $2, last_step = $3, added_at = $4, last_used_at = $4
		WHERE id = $1 AND NOT confirmed`, id, name, step, db.Micros(now))))
}

// Rename gives an authenticator of a person a new name, or is auth.ErrNotFound.
func (t *TOTP) Rename(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.EnrolmentID, name string) error {
	return db.One(tx.ExecContext(ctx, `UPDATE totp SET name = $3 WHERE id = $1 AND user_id = $2 AND confirmed`, id, u, name))
}

// Remove takes an authenticator of a person away, or is auth.ErrNotFound.
func (t *TOTP) Remove(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.EnrolmentID) error {
	return db.One(tx.ExecContext(ctx, `DELETE FROM totp WHERE id = $1 AND user_id = $2 AND confirmed`, id, u))
}

func (t *TOTP) removeAll(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM totp WHERE user_id = $1`, u)
	return err
}
