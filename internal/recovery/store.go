package recovery

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/user"
)

//go:embed schema
var embedded embed.FS

// Schema is the table password_links.
var Schema, _ = fs.Sub(embedded, "schema")

type digest = [32]byte

// A link leads its person to a new password.
type link struct {
	user    auth.User
	purpose purpose
	epoch   int64 // of the person when it was made
}

// A sent link is the newest of a person, dead or alive.
type sent struct {
	message string // that took it to them; empty: none did
	purpose purpose
	epoch   int64
	expires time.Time
}

// newest is the link that a person was given last; the zero sent: there is none.
func (r *Recovery) newest(ctx context.Context, from auth.Reader, u auth.UserID) (l sent, err error) {
	return l, db.NoneMeans(nil, from.QueryRowContext(ctx, `SELECT message, purpose, security_epoch, expires_at FROM password_links WHERE user_id = $1`, u).
		Scan(&l.message, &l.purpose, &l.epoch, db.Stamp(&l.expires)))
}

// keep stores a link in place of the one before. For nobody it is the same statement and nothing is stored.
func (r *Recovery) keep(ctx context.Context, tx auth.Tx, u auth.UserID, key digest, why purpose, message string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO password_links (user_id, token_hash, purpose, security_epoch, message, expires_at)
		SELECT u.id, $2, $3, u.security_epoch, $4, $5 FROM users u WHERE u.id = $1
		ON CONFLICT (user_id) DO UPDATE SET token_hash = excluded.token_hash, purpose = excluded.purpose,
			security_epoch = excluded.security_epoch, message = excluded.message, expires_at = excluded.expires_at`,
		u, key[:], why, message, db.Micros(r.Clock().Add(why.life())))
	return err
}

// find is a link that has not been used and is not over, or auth.ErrNotFound.
func (r *Recovery) find(ctx context.Context, key digest) (l link, err error) {
	into := append([]any{&l.purpose, &l.epoch}, user.Fields(&l.user)...)
	return l, db.NoneMeans(auth.ErrNotFound, r.DB.QueryRowContext(ctx, `SELECT l.purpose, l.security_epoch, `+user.Columns+` FROM password_links l
		JOIN users u ON u.id = l.user_id AND NOT u.disabled
		WHERE l.token_hash = $1 AND l.expires_at > $2`, key[:], db.Micros(r.Clock())).Scan(into...))
}

// spend uses a link up, once, if nothing voided it since (security R4).
func (r *Recovery) spend(ctx context.Context, tx auth.Tx, key digest) error {
	return db.One(tx.ExecContext(ctx, `DELETE FROM password_links WHERE token_hash = $1 AND expires_at > $2
		AND security_epoch = (SELECT u.security_epoch FROM users u WHERE u.id = password_links.user_id AND NOT u.disabled
			AND (u.frozen_until <= $2 OR password_links.purpose = $3))`, key[:], db.Micros(r.Clock()), intruded))
}

// void ends a link of one purpose and says which message took it; empty: none did, or there was none.
func (r *Recovery) void(ctx context.Context, tx auth.Tx, u auth.UserID, why purpose) (message string, err error) {
	return message, db.NoneMeans(nil, tx.QueryRowContext(ctx, `DELETE FROM password_links WHERE user_id = $1 AND purpose = $2 RETURNING message`, u, why).Scan(&message))
}

// Sweep removes links that are over.
func (r *Recovery) Sweep(ctx context.Context) error {
	return r.DB.Tx(ctx, func(tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM password_links WHERE expires_at <= $1`, db.Micros(r.Clock()))
		return err
	})
}
