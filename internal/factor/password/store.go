package password

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

// Schema is the table passwords.
var Schema, _ = fs.Sub(embedded, "schema")

type stored struct {
	hash    string
	changed time.Time
	mailed  time.Time // when it was chosen by a link out of a mailbox; zero: it was not
}

// stored is empty for somebody without a password and for nobody.
func (p *Password) stored(ctx context.Context, from auth.Reader, u auth.UserID) (s stored, err error) {
	return s, db.NoneMeans(nil, from.QueryRowContext(ctx, `SELECT hash, changed_at, mailed_at FROM passwords WHERE user_id = $1`, u).
		Scan(&s.hash, db.Stamp(&s.changed), db.Stamp(&s.mailed)))
}

// Set stores a password in place of any before.
func (p *Password) Set(ctx context.Context, tx auth.Tx, u auth.UserID, h Hashed) error {
	return p.set(ctx, tx, u, h, time.Time{})
}

// SetByMail is Set for whoever has shown no more than that they read a mailbox. For a while its proofs say so.
func (p *Password) SetByMail(ctx context.Context, tx auth.Tx, u auth.UserID, h Hashed) error {
	return p.set(ctx, tx, u, h, p.Clock())
}

func (p *Password) set(ctx context.Context, tx auth.Tx, u auth.UserID, h Hashed, mailed time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO passwords (user_id, hash, changed_at, mailed_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at, mailed_at = excluded.mailed_at`,
		u, h.phc, db.Micros(p.Clock()), db.Micros(mailed))
	return err
}

// upgrade replaces a hash by a better one of the same password, unless the password changed meanwhile.
func (p *Password) upgrade(ctx context.Context, tx auth.Tx, u auth.UserID, old, phc string) error {
	_, err := tx.ExecContext(ctx, `UPDATE passwords SET hash = $3 WHERE user_id = $1 AND hash = $2`, u, old, phc)
	return err
}
