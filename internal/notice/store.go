package notice

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

//go:embed schema
var embedded embed.FS

// Schema is the tables of notices.
var Schema, _ = fs.Sub(embedded, "schema")

// A link is the button of one notice. It says nothing of the security epoch on purpose: the change it tells of began a new
// one, and an intruder who makes another change after it must not void the answer of the person by that.
type link struct {
	user    auth.UserID
	kind    auth.EventKind
	factor  auth.Kind
	subject string // what can be undone
	address string // where it went, as it is compared
	toOld   bool   // which is not the account's any more
	created time.Time
}

// linkLife is how long a link works.
const linkLife = 14 * 24 * time.Hour

const columns = `user_id, kind, factor, subject, address, to_old, created_at`

func (l *link) fields() []any {
	return []any{&l.user, &l.kind, &l.factor, &l.subject, &l.address, &l.toOld, db.Stamp(&l.created)}
}

type digest = [32]byte

func (n *Notices) keep(ctx context.Context, tx auth.Tx, key digest, l link) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO notice_links (token_hash, `+columns+`, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		key[:], l.user, l.kind, l.factor, l.subject, l.address, l.toOld, db.Micros(l.created), db.Micros(l.created.Add(linkLife)))
	return err
}

// find is a link that still works, or auth.ErrNotFound.
func (n *Notices) find(ctx context.Context, key digest) (l link, err error) {
	return l, db.NoneMeans(auth.ErrNotFound, n.DB.QueryRowContext(ctx, `SELECT `+columns+` FROM notice_links WHERE token_hash = $1 AND spent_at = 0 AND expires_at > $2`,
		key[:], db.Micros(n.Clock())).Scan(l.fields()...))
}

// spend uses a link up, once.
func (n *Notices) spend(ctx context.Context, tx auth.Tx, key digest) (l link, err error) {
	return l, db.NoneMeans(auth.ErrNotFound, tx.QueryRowContext(ctx, `UPDATE notice_links SET spent_at = $2 WHERE token_hash = $1 AND spent_at = 0 AND expires_at > $2
		RETURNING `+columns, key[:], db.Micros(n.Clock())).Scan(l.fields()...))
}

// Moved says whether the address of an account changed as long ago as links live, or less.
func (n *Notices) Moved(ctx context.Context, from auth.Reader, u auth.UserID) (yes bool, err error) {
	return yes, from.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM notice_links WHERE user_id = $1 AND to_old AND expires_at > $2)`,
		u, db.Micros(n.Clock())).Scan(&yes)
}

// seen notes that somebody used a browser they are known to use, or is auth.ErrNotFound.
func (n *Notices) seen(ctx context.Context, tx auth.Tx, u auth.UserID, key digest, now time.Time) error {
	return db.One(tx.ExecContext(ctx, `UPDATE known_browsers SET used_at = $3 WHERE token_hash = $1 AND user_id = $2 AND used_at > $4`,
		key[:], u, db.Micros(now), db.Micros(now.Add(-memory))))
}

// strange says of a browser whether anybody uses it, and of a person whether they have used none.
func (n *Notices) strange(ctx context.Context, tx auth.Tx, u auth.UserID, key digest) (shared, first bool, err error) {
	return shared, first, tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM known_browsers WHERE token_hash = $1),
		NOT EXISTS (SELECT 1 FROM known_browsers WHERE user_id = $2)`, key[:], u).Scan(&shared, &first)
}

func (n *Notices) know(ctx context.Context, tx auth.Tx, id string, u auth.UserID, key digest, now time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO known_browsers (id, user_id, token_hash, used_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (token_hash, user_id) DO UPDATE SET id = excluded.id, used_at = excluded.used_at`, id, u, key[:], db.Micros(now))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM known_browsers WHERE id IN (
		SELECT id FROM known_browsers WHERE user_id = $1 ORDER BY used_at DESC, id LIMIT 1000 OFFSET $2)`, u, mostBrowsers)
	return err
}

// forget makes a browser a new one again.
func (n *Notices) forget(ctx context.Context, tx auth.Tx, u auth.UserID, id string) error {
	return db.One(tx.ExecContext(ctx, `DELETE FROM known_browsers WHERE id = $1 AND user_id = $2`, id, u))
}

// Sweep removes what is over.
func (n *Notices) Sweep(ctx context.Context) error {
	return n.DB.Tx(ctx, func(tx auth.Tx) error {
		now := n.Clock()
		for _, over := range []struct {
			statement string
			before    time.Time
		}{
			{`DELETE FROM notice_links WHERE expires_at <= $1`, now},
			{`DELETE FROM known_browsers WHERE used_at <= $1`, now.Add(-memory)},
		} {
			if _, err := tx.ExecContext(ctx, over.statement, db.Micros(over.before)); err != nil {
				return err
			}
		}
		return nil
	})
}
