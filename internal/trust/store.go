package trust

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

// Schema is the tables of trusted browsers.
var Schema, _ = fs.Sub(embedded, "schema")

type digest = [32]byte

// keys are the hashes of all tokens that a browser holds. Places that are left name nothing.
type keys = [mostInOne]digest

// A browser is one as its person sees it.
type browser struct {
	ID      string
	Browser string // User-Agent as sent
	Address string // where it was when it was trusted
	Added   time.Time
	Used    time.Time
	Ends    time.Time
}

// since is when a browser must have been trusted to be trusted still, whatever the rules were then.
func (t *Trust) since(life time.Duration) int64 { return db.Micros(t.Clock().Add(-life)) }

// over is when trust is over by the rules of now.
func over(added, ends time.Time, life time.Duration) time.Time {
	if now := added.Add(life); now.Before(ends) {
		return now
	}
	return ends
}

// find is the browser that one of some tokens names as a trusted one of somebody, and which of them, or auth.ErrNotFound.
func (t *Trust) find(ctx context.Context, from auth.Reader, u auth.User, life time.Duration, held keys) (id string, key digest, err error) {
	var found []byte
	err = from.QueryRowContext(ctx, `SELECT id, token_hash FROM trusted_browsers
		WHERE token_hash IN ($1, $2, $3, $4, $5) AND user_id = $6 AND security_epoch = $7 AND ends_at > $8 AND added_at > $9
		ORDER BY used_at DESC, id LIMIT 1`,
		held[0][:], held[1][:], held[2][:], held[3][:], held[4][:], u.ID, u.Epoch, db.Micros(t.Clock()), t.since(life)).Scan(&id, &found)
	copy(key[:], found)
	return id, key, db.NoneMeans(auth.ErrNotFound, err)
}

// rotate replaces a token, once, if it names a trusted browser of somebody still; else it is auth.ErrNotFound. It says until
// when that browser is one.
func (t *Trust) rotate(ctx context.Context, tx auth.Tx, u auth.User, life time.Duration, old, key digest) (until time.Time, err error) {
	var added, ends time.Time
	err = tx.QueryRowContext(ctx, `UPDATE trusted_browsers SET token_hash = $2, used_at = $5
		WHERE token_hash = $1 AND user_id = $3 AND security_epoch = $4 AND ends_at > $5 AND added_at > $6 RETURNING added_at, ends_at`,
		old[:], key[:], u.ID, u.Epoch, db.Micros(t.Clock()), t.since(life)).Scan(db.Stamp(&added), db.Stamp(&ends))
	return over(added, ends, life), db.NoneMeans(auth.ErrNotFound, err)
}

// insert trusts a browser, in place of what it was to the same person by some tokens before, and says which of them those
// were. Beyond what one person may have, those used least lately are forgotten.
func (t *Trust) insert(ctx context.Context, tx auth.Tx, u auth.User, held keys, key digest, b browser) (gone []digest, err error) {
	rows, err := tx.QueryContext(ctx, `DELETE FROM trusted_browsers WHERE token_hash IN ($1, $2, $3, $4, $5) AND user_id = $6 RETURNING token_hash`,
		held[0][:], held[1][:], held[2][:], held[3][:], held[4][:], u.ID)
	gone, err = db.Collect(rows, err, func(r *sql.Rows) (d digest, err error) {
		var found []byte
		err = r.Scan(&found)
		copy(d[:], found)
		return d, err
	})
	if err != nil {
		return nil, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO trusted_browsers (token_hash, user_id, id, security_epoch, browser, address, added_at, used_at, ends_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		key[:], u.ID, b.ID, u.Epoch, b.Browser, b.Address, db.Micros(b.Added), db.Micros(b.Used), db.Micros(b.Ends))
	if err != nil {
		return nil, err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM trusted_browsers WHERE user_id = $1 AND id IN (
		SELECT id FROM trusted_browsers WHERE user_id = $1 ORDER BY used_at DESC, id LIMIT 1000 OFFSET $2)`, u.ID, mostOfOne)
	return gone, err
}

// list is the trusted browsers of somebody, and which of them is the one that holds some tokens.
func (t *Trust) list(ctx context.Context, u auth.User, held keys) (all []Listed, err error) {
	life, err := t.life(ctx, t.DB, u)
	if err != nil {
		return nil, err
	}
	rows, err := t.DB.QueryContext(ctx, `SELECT id, browser, address, added_at, used_at, ends_at, token_hash IN ($5, $6, $7, $8, $9) FROM trusted_browsers
		WHERE user_id = $1 AND security_epoch = $2 AND ends_at > $3 AND added_at > $4 ORDER BY used_at DESC, id`,
		u.ID, u.Epoch, db.Micros(t.Clock()), t.since(life), held[0][:], held[1][:], held[2][:], held[3][:], held[4][:])
	return db.Collect(rows, err, func(r *sql.Rows) (l Listed, err error) {
		err = r.Scan(&l.ID, &l.Browser, &l.Address, db.Stamp(&l.Added), db.Stamp(&l.Used), db.Stamp(&l.Ends), &l.Current)
		l.Ends = over(l.Added, l.Ends, life)
		return l, err
	})
}

// remove forgets one of somebody's browsers and says what it was. One that is over is none of them.
func (t *Trust) remove(ctx context.Context, tx auth.Tx, u auth.User, id string) (agent string, err error) {
	life, err := t.life(ctx, tx, u)
	if err != nil {
		return "", err
	}
	return agent, db.NoneMeans(auth.ErrNotFound, tx.QueryRowContext(ctx, `DELETE FROM trusted_browsers
		WHERE user_id = $1 AND id = $2 AND security_epoch = $3 AND ends_at > $4 AND added_at > $5 RETURNING browser`,
		u.ID, id, u.Epoch, db.Micros(t.Clock()), t.since(life)).Scan(&agent))
}

// removeAll forgets all of somebody's browsers and says how many there were.
func (t *Trust) removeAll(ctx context.Context, tx auth.Tx, u auth.UserID) (int64, error) {
	r, err := tx.ExecContext(ctx, `DELETE FROM trusted_browsers WHERE user_id = $1`, u)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// offer lets a session that has just begun make its browser a trusted one.
func (t *Trust) offer(ctx context.Context, tx auth.Tx, began auth.Session) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO trust_offers (session_id, user_id, security_epoch, open_until) VALUES ($1, $2, $3, $4)`,
		began.ID, began.User.ID, began.User.Epoch, db.Micros(began.Started.Add(offerLife)))
	return err
}

// offered says whether a session may do so still.
func (t *Trust) offered(ctx context.Context, now auth.Session) (yes bool, err error) {
	return yes, t.DB.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM trust_offers WHERE session_id = $1 AND security_epoch = $2 AND open_until > $3)`,
		now.ID, now.User.Epoch, db.Micros(t.Clock())).Scan(&yes)
}

// take takes an offer up, once, if nothing voided it since, or is auth.ErrForbidden.
func (t *Trust) take(ctx context.Context, tx auth.Tx, now auth.Session) error {
	return db.NoneMeans(auth.ErrForbidden, db.One(tx.ExecContext(ctx, `DELETE FROM trust_offers WHERE session_id = $1 AND user_id = $2 AND security_epoch = $3 AND open_until > $4
		AND security_epoch = (SELECT u.security_epoch FROM users u WHERE u.id = trust_offers.user_id AND NOT u.disabled)`,
		now.ID, now.User.ID, now.User.Epoch, db.Micros(t.Clock()))))
}

// decline ends an offer, if there is one.
func (t *Trust) decline(ctx context.Context, tx auth.Tx, now auth.Session) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM trust_offers WHERE session_id = $1 AND user_id = $2`, now.ID, now.User.ID)
	return err
}

// withdraw ends all offers to somebody.
func (t *Trust) withdraw(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM trust_offers WHERE user_id = $1`, u)
	return err
}

// Sweep removes what is over.
func (t *Trust) Sweep(ctx context.Context) error {
	now := db.Micros(t.Clock())
	return t.DB.Tx(ctx, func(tx auth.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM trust_offers WHERE open_until <= $1`, now); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM trusted_browsers WHERE ends_at <= $1 OR added_at <= $2
			OR security_epoch <> (SELECT u.security_epoch FROM users u WHERE u.id = trusted_browsers.user_id)`, now, t.since(t.Roster.Rules().Trust))
		return err
	})
}
