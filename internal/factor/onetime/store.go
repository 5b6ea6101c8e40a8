package onetime

import (
	"context"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/secret"
	"sallyport/internal/user"
	"sallyport/internal/web"
)

//go:embed schema
var embedded embed.FS

// Schema is the tables contacts and codes.
var Schema, _ = fs.Sub(embedded, "schema")

// A contact is a destination that its person proved to read.
type contact struct {
	id              auth.EnrolmentID
	kind            auth.Kind
	destination     string
	preferred       bool
	added, lastUsed time.Time
}

// key is a destination as it is compared. Numbers are E.164 already.
func key(kind auth.Kind, to string) string {
	if kind == Email {
		return user.Key(to)
	}
	return to
}

func encode(b []byte) string { return hex.EncodeToString(b) }

func (c *Codes) contacts(ctx context.Context, from auth.Reader, u auth.UserID) ([]contact, error) {
	rows, err := from.QueryContext(ctx, `SELECT id, kind, destination, preferred, added_at, last_used_at FROM contacts WHERE user_id = $1 ORDER BY kind`, u)
	return db.Collect(rows, err, func(r *sql.Rows) (c contact, err error) {
		return c, r.Scan(&c.id, &c.kind, &c.destination, &c.preferred, db.Stamp(&c.added), db.Stamp(&c.lastUsed))
	})
}

// hasContact says whether somebody else proved to read a destination.
func (c *Codes) hasContact(ctx context.Context, from auth.Reader, but auth.UserID, kind auth.Kind, to string) (yes bool, err error) {
	return yes, from.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM contacts WHERE kind = $1 AND destination_key = $2 AND user_id <> $3)`,
		kind, key(kind, to), but).Scan(&yes)
}

// owners are those who proved to read a destination, but for one.
func (c *Codes) owners(ctx context.Context, tx auth.Tx, but auth.UserID, kind auth.Kind, to string) ([]auth.UserID, error) {
	if to == "" {
		return nil, nil
	}
	rows, err := tx.QueryContext(ctx, `SELECT user_id FROM contacts WHERE kind = $1 AND destination_key = $2 AND user_id <> $3`, kind, key(kind, to), but)
	return db.Collect(rows, err, func(r *sql.Rows) (u auth.UserID, err error) { return u, r.Scan(&u) })
}

// keep stores a destination that was proved, in place of the one of this kind before, and prefers it.
func (c *Codes) keep(ctx context.Context, tx auth.Tx, u auth.UserID, kind auth.Kind, to string, now time.Time) (id auth.EnrolmentID, err error) {
	id = auth.EnrolmentID(secret.NewID())
	_, err = tx.ExecContext(ctx, `INSERT INTO contacts (id, user_id, kind, destination, destination_key, preferred, added_at, last_used_at)
		VALUES ($1, $2, $3, $4, $5, FALSE, $6, $6)
		ON CONFLICT (user_id, kind) DO UPDATE SET id = excluded.id, destination = excluded.destination, destination_key = excluded.destination_key,
			added_at = excluded.added_at, last_used_at = excluded.last_used_at`, id, u, kind, to, key(kind, to), db.Micros(now))
	if err != nil {
		return id, err
	}
	return id, c.prefer(ctx, tx, u, kind)
}

// prefer makes one channel the one a sign-in opens on.
func (c *Codes) prefer(ctx context.Context, tx auth.Tx, u auth.UserID, kind auth.Kind) error {
	_, err := tx.ExecContext(ctx, `UPDATE contacts SET preferred = (kind = $2) WHERE user_id = $1`, u, kind)
	return err
}

// Remove takes a destination of a person away, or is auth.ErrNotFound.
func (f *Factor) Remove(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.EnrolmentID) error {
	if err := db.One(tx.ExecContext(ctx, `DELETE FROM contacts WHERE id = $1 AND user_id = $2 AND kind = $3`, id, u, f.kind)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE contacts SET preferred = TRUE WHERE user_id = $1`, u) // what is left, if anything
	return err
}

func (c *Codes) removeAll(ctx context.Context, tx auth.Tx, u auth.UserID, kind auth.Kind) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM contacts WHERE user_id = $1 AND kind = $2`, u, kind)
	return err
}

// A sent code is one row.
type sent struct {
	id               string
	user             auth.UserID
	thread           string
	purpose          web.Purpose
	kind             auth.Kind
	destination, key string
	mac              []byte
	message          string
	sends, tries     int
	at, expires      time.Time
}

const columns = `id, user_id, thread, purpose, kind, destination, destination_key, mac, message, sends, tries, sent_at, expires_at`

func (s *sent) fields() []any {
	return []any{&s.id, &s.user, &s.thread, &s.purpose, &s.kind, &s.destination, &s.key, &s.mac, &s.message, &s.sends, &s.tries,
		db.Stamp(&s.at), db.Stamp(&s.expires)}
}

// under is the code under way in a thread, or auth.ErrNotFound.
func (c *Codes) under(ctx context.Context, from auth.Reader, in web.Thread, kind auth.Kind) (s sent, err error) {
	err = from.QueryRowContext(ctx, `SELECT `+columns+` FROM codes WHERE thread = $1 AND purpose = $2 AND kind = $3`,
		in.ID, in.Purpose, kind).Scan(s.fields()...)
	if errors.Is(err, sql.ErrNoRows) {
		err = auth.ErrNotFound
	}
	return s, err
}

// put stores a new code in place of the one before, unless another request was faster.
func (c *Codes) put(ctx context.Context, tx auth.Tx, s sent, before string) error {
	err := db.One(tx.ExecContext(ctx, `INSERT INTO codes (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12)
		ON CONFLICT (thread, purpose, kind) DO UPDATE SET id = excluded.id, user_id = excluded.user_id, destination = excluded.destination,
			destination_key = excluded.destination_key, mac = excluded.mac, message = excluded.message, sends = excluded.sends, tries = 0,
			sent_at = excluded.sent_at, expires_at = excluded.expires_at
		WHERE codes.id = $13`, s.id, s.user, s.thread, s.purpose, s.kind, s.destination, s.key, s.mac, s.message, s.sends,
		db.Micros(s.at), db.Micros(s.expires), before))
	if errors.Is(err, auth.ErrNotFound) {
		return auth.ThrottledError{After: s.again().Sub(s.at)}
	}
	return err
}

// count notes a try of the code under way, in a transaction of its own, or is auth.ErrWrong if there is none.
func (c *Codes) count(ctx context.Context, in web.Thread, u auth.UserID, kind auth.Kind) (s sent, err error) {
	err = c.DB.Tx(ctx, func(tx auth.Tx) error {
		return tx.QueryRowContext(ctx, `UPDATE codes SET tries = tries + 1 WHERE thread = $1 AND purpose = $2 AND kind = $3 AND user_id = $4
			RETURNING `+columns, in.ID, in.Purpose, kind, u).Scan(s.fields()...)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = auth.ErrWrong
	}
	return s, err
}

// spend uses a code up, once.
func (c *Codes) spend(ctx context.Context, tx auth.Tx, s sent, now time.Time) error {
	return wrongIfGone(db.One(tx.ExecContext(ctx, `DELETE FROM codes WHERE id = $1 AND expires_at > $2`, s.id, db.Micros(now))))
}

// used notes at the contact that a code which went there was right. A code that begins a sign-in went to the address of
// the account, which need not be a contact; it must still be that address.
func (c *Codes) used(ctx context.Context, tx auth.Tx, s sent, in web.Thread, now time.Time) (id auth.EnrolmentID, err error) {
	err = tx.QueryRowContext(ctx, `UPDATE contacts SET last_used_at = $4 WHERE user_id = $1 AND kind = $2 AND destination_key = $3 RETURNING id`,
		s.user, s.kind, s.key, db.Micros(now)).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) || in.Purpose != toOpen {
		if errors.Is(err, sql.ErrNoRows) {
			err = auth.ErrWrong
		}
		return id, err
	}
	u, err := c.Users.Get(ctx, tx, s.user)
	return auth.EnrolmentID(s.kind), wrongIf(key(s.kind, u.Email) != s.key || u.Disabled, err)
}

// Sweep removes codes that are long over. Until then a late one is told that it is late.
func (c *Codes) Sweep(ctx context.Context) error {
	return c.DB.Tx(ctx, func(tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM codes WHERE expires_at < $1`, db.Micros(c.Clock().Add(-time.Hour)))
		return err
	})
}

func wrongIfGone(err error) error {
	if errors.Is(err, auth.ErrNotFound) {
		return auth.ErrWrong
	}
	return err
}
