package accesspass

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

// Schema is the table access_passes.
var Schema, _ = fs.Sub(embedded, "schema")

// A row is one pass, with what its person is now.
type row struct {
	id             auth.EnrolmentID
	user           auth.UserID
	mac            []byte
	binding        bool
	mailed         bool
	current        bool // nothing voided it
	added, expires time.Time
	used           time.Time
}

func (r row) lives(now time.Time) bool { return r.current && now.Before(r.expires) }

// inHand is how long a pass that binds is kept from others once it was brought: as long as that sign-in may take.
const inHand = 10 * time.Minute

// put stores a pass in the security epoch of its person, in place of the one before.
func (p *Passes) put(ctx context.Context, tx auth.Tx, r row) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO access_passes (user_id, id, mac, binding, mailed, security_epoch, added_at, expires_at, used_at)
		VALUES ($1, $2, $3, $4, $5, (SELECT security_epoch FROM users WHERE id = $1), $6, $7, 0)
		ON CONFLICT (user_id) DO UPDATE SET id = excluded.id, mac = excluded.mac, binding = access_passes.binding OR excluded.binding,
			mailed = excluded.mailed, security_epoch = excluded.security_epoch, added_at = excluded.added_at, expires_at = excluded.expires_at, used_at = 0`,
		r.user, r.id, r.mac, r.binding, r.mailed, db.Micros(r.added), db.Micros(r.expires))
	return err
}

// of is the pass of a person, whatever it is worth, or auth.ErrNotFound.
func (p *Passes) of(ctx context.Context, from auth.Reader, u auth.UserID) (r row, err error) {
	return r, db.NoneMeans(auth.ErrNotFound, from.QueryRowContext(ctx, `SELECT p.id, p.user_id, p.mac, p.binding, p.mailed, p.security_epoch = u.security_epoch AND NOT u.disabled,
		p.added_at, p.expires_at, p.used_at FROM access_passes p JOIN users u ON u.id = p.user_id WHERE p.user_id = $1`, u).
		Scan(&r.id, &r.user, &r.mac, &r.binding, &r.mailed, &r.current, db.Stamp(&r.added), db.Stamp(&r.expires), db.Stamp(&r.used)))
}

// until is the end of a pass that a link holds, or auth.ErrNotFound: only one that a reset left comes by a link.
func (p *Passes) until(ctx context.Context, mac []byte) (end time.Time, err error) {
	return end, db.NoneMeans(auth.ErrNotFound, p.DB.QueryRowContext(ctx, `SELECT p.expires_at FROM access_passes p
		JOIN users u ON u.id = p.user_id AND u.security_epoch = p.security_epoch AND NOT u.disabled
		WHERE p.mac = $1 AND p.binding AND p.expires_at > $2`, mac, db.Micros(p.Clock())).Scan(db.Stamp(&end)))
}

// spend uses a pass up, once, if nothing voided it since it was read: whoever comes second changes no row. One that binds
// stays, so that a sign-in that is given up leaves the account as shut as before.
func (p *Passes) spend(ctx context.Context, tx auth.Tx, r row) error {
	now := p.Clock()
	statement, args := `DELETE FROM access_passes WHERE id = $1 AND expires_at > $2`, []any{r.id, db.Micros(now)}
	if r.binding {
		statement, args = `UPDATE access_passes SET used_at = $2 WHERE id = $1 AND expires_at > $2 AND used_at <= $3`, append(args, db.Micros(now.Add(-inHand)))
	}
	return db.NoneMeans(auth.ErrWrong, db.One(tx.ExecContext(ctx, statement+`
		AND security_epoch = (SELECT u.security_epoch FROM users u WHERE u.id = access_passes.user_id AND NOT u.disabled)`, args...)))
}

// Carry is for a change of the security epoch that is to leave a pass alone: it moves what lived just before into the
// epoch that began. Whoever chose a password through a mailed link still needs their pass.
func (p *Passes) Carry(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	_, err := tx.ExecContext(ctx, `UPDATE access_passes SET security_epoch = security_epoch + 1 WHERE user_id = $1 AND expires_at > $2
		AND security_epoch + 1 = (SELECT u.security_epoch FROM users u WHERE u.id = access_passes.user_id)`, u, db.Micros(p.Clock()))
	return err
}

func (p *Passes) remove(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM access_passes WHERE user_id = $1`, u)
	return err
}

// Sweep removes passes that are over, but none that binds: its account would open to the password alone.
func (p *Passes) Sweep(ctx context.Context) error {
	return p.DB.Tx(ctx, func(tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM access_passes WHERE NOT binding AND expires_at <= $1`, db.Micros(p.Clock()))
		return err
	})
}
