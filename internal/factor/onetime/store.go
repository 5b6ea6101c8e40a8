package onetime

import (
	"context"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"slices"
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
	rows, err := from.QueryContext(ctx, `SELECT id, kind, destination, preferred, added_at, last_used_at FROM contacts
		WHERE user_id = $1 AND replaced_by = '' ORDER BY kind`, u)
	return db.Collect(rows, err, func(r *sql.Rows) (c contact, err error) {
		return c, r.Scan(&c.id, &c.kind, &c.destination, &c.preferred, db.Stamp(&c.added), db.Stamp(&c.lastUsed))
	})
}

// anybody says whether there is a contact of a kind.
func (c *Codes) anybody(ctx context.Context, kind auth.Kind) (yes bool, err error) {
	return yes, c.DB.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM contacts WHERE kind = $1)`, kind).Scan(&yes)
}

// hasContact says whether somebody else proved to read a destination.
func (c *Codes) hasContact(ctx context.Context, from auth.Reader, but auth.UserID, kind auth.Kind, to string) (yes bool, err error) {
	return yes, from.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM contacts c JOIN users u ON u.id = c.user_id AND NOT u.disabled
		WHERE c.kind = $1 AND c.destination_key = $2 AND c.user_id <> $3 AND c.replaced_by = '')`, kind, key(kind, to), but).Scan(&yes)
}

// owners are those who proved to read a destination, or must get codes there, but for one.
func (c *Codes) owners(ctx context.Context, tx auth.Tx, but auth.UserID, kind auth.Kind, to string) ([]auth.UserID, error) {
	if to == "" {
		return nil, nil
	}
	rows, err := tx.QueryContext(ctx, `SELECT c.user_id FROM contacts c JOIN users u ON u.id = c.user_id AND NOT u.disabled
		WHERE c.kind = $1 AND c.destination_key = $2 AND c.user_id <> $3 AND c.replaced_by = ''`, kind, key(kind, to), but)
	proved, err := db.Collect(rows, err, func(r *sql.Rows) (u auth.UserID, err error) { return u, r.Scan(&u) })
	if err != nil {
		return nil, err
	}
	assigned, err := c.Users.Assigned(ctx, tx, but, auth.Method(kind), to)
	for _, u := range assigned {
		if !slices.Contains(proved, u) {
			proved = append(proved, u)
		}
	}
	return proved, err
}

// keep stores a destination that was proved, in place of the one of this kind before, and prefers it. The one before stays
// for Undo.
func (c *Codes) keep(ctx context.Context, tx auth.Tx, u auth.UserID, kind auth.Kind, to string, now time.Time) (id auth.EnrolmentID, err error) {
	id = auth.EnrolmentID(secret.NewID())
	if _, err := tx.ExecContext(ctx, `UPDATE contacts SET replaced_by = $3 WHERE user_id = $1 AND kind = $2 AND replaced_by = ''`, u, kind, id); err != nil {
		return id, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO contacts (id, user_id, kind, destination, destination_key, preferred, added_at, last_used_at)
		VALUES ($1, $2, $3, $4, $5, FALSE, $6, $6)`, id, u, kind, to, key(kind, to), db.Micros(now))
	if err != nil {
		return id, err
	}
	return id, c.prefer(ctx, tx, u, kind)
}

// Undo takes back that a destination was proved, if it is there still: the one before counts again.
func (f *Factor) Undo(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.EnrolmentID) error {
	if err := db.One(tx.ExecContext(ctx, `DELETE FROM contacts WHERE id = $1 AND user_id = $2 AND kind = $3 AND replaced_by = ''`, id, u, f.kind)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE contacts SET replaced_by = '' WHERE replaced_by = $1 AND user_id = $2`, id, u); err != nil {
		return err
	}
	return f.preferSome(ctx, tx, u)
}

// undoable is how long a contact that was replaced is remembered. Notices of it work as long.
const undoable = 14 * 24 * time.Hour

// prefer makes one channel the one a sign-in opens on.
func (c *Codes) prefer(ctx context.Context, tx auth.Tx, u auth.UserID, kind auth.Kind) error {
	_, err := tx.ExecContext(ctx, `UPDATE contacts SET preferred = (kind = $2) WHERE user_id = $1`, u, kind)
	return err
}

// Remove takes a destination of a person away, or is auth.ErrNotFound.
func (f *Factor) Remove(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.EnrolmentID) error {
	if err := db.One(tx.ExecContext(ctx, `DELETE FROM contacts WHERE id = $1 AND user_id = $2 AND kind = $3 AND replaced_by = ''`, id, u, f.kind)); err != nil {
		return err
	}
	return f.preferSome(ctx, tx, u)
}

// preferSome prefers what is left, if nothing is preferred.
func (c *Codes) preferSome(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	_, err := tx.ExecContext(ctx, `UPDATE contacts SET preferred = TRUE WHERE user_id = $1
		AND NOT EXISTS (SELECT 1 FROM contacts o WHERE o.user_id = $1 AND o.preferred AND o.replaced_by = '')`, u)
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
	epoch            int64
	thread           string
	purpose          web.Purpose
	kind             auth.Kind
	destination, key string
	mac              []byte
	message          string
	sends, tries     int
	at, expires      time.Time
}

const columns = `id, user_id, security_epoch, thread, purpose, kind, destination, destination_key, mac, message, sends, tries, sent_at, expires_at`

func (s *sent) fields() []any {
	return []any{&s.id, &s.user, &s.epoch, &s.thread, &s.purpose, &s.kind, &s.destination, &s.key, &s.mac, &s.message, &s.sends, &s.tries,
		db.Stamp(&s.at), db.Stamp(&s.expires)}
}

// under is the code under way in a thread, or auth.ErrNotFound.
func (c *Codes) under(ctx context.Context, from auth.Reader, in web.Thread, kind auth.Kind) (s sent, err error) {
	err = from.QueryRowContext(ctx, `SELECT `+columns+` FROM codes WHERE thread = $1 AND purpose = $2 AND kind = $3`,
		in.ID, in.Purpose, kind).Scan(s.fields()...)
	return s, db.NoneMeans(auth.ErrNotFound, err)
}

// put stores a new code in place of the one before, unless another request was faster.
func (c *Codes) put(ctx context.Context, tx auth.Tx, s sent, before string) error {
	err := db.One(tx.ExecContext(ctx, `INSERT INTO codes (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12, $13)
		ON CONFLICT (thread, purpose, kind) DO UPDATE SET id = excluded.id, user_id = excluded.user_id, security_epoch = excluded.security_epoch, destination = excluded.destination,
			destination_key = excluded.destination_key, mac = excluded.mac, message = excluded.message, sends = excluded.sends, tries = 0,
			sent_at = excluded.sent_at, expires_at = excluded.expires_at
		WHERE codes.id = $14`, s.id, s.user, s.epoch, s.thread, s.purpose, s.kind, s.destination, s.key, s.mac, s.message, s.sends,
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
	return s, db.NoneMeans(auth.ErrWrong, err)
}

// spend uses a code up, once, if nothing voided it since it was sent (security R4).
func (c *Codes) spend(ctx context.Context, tx auth.Tx, s sent, now time.Time) error {
	return db.NoneMeans(auth.ErrWrong, db.One(tx.ExecContext(ctx, `DELETE FROM codes WHERE id = $1 AND expires_at > $2
		AND security_epoch = (SELECT u.security_epoch FROM users u WHERE u.id = codes.user_id AND NOT u.disabled)`, s.id, db.Micros(now))))
}

// used notes at the contact that a code which went there was right. One that began a sign-in may have gone to the login of
// somebody who has no contact: then there is no enrolment. Where nothing was proved, the address may stand in.
func (c *Codes) used(ctx context.Context, tx auth.Tx, s sent, in web.Thread, now time.Time) (id auth.EnrolmentID, err error) {
	if in.Purpose == toOpen {
		u, err := c.Users.Get(ctx, tx, s.user)
		if err != nil {
			return "", err
		}
		if to, err := c.Address(ctx, tx, u); err != nil || key(s.kind, to) != s.key {
			return "", wrongIf(err == nil, err)
		}
	}
	if in.Purpose == web.ToSignIn && s.kind == Email {
		if to, err := c.given(ctx, tx, s.user); err != nil || to != "" && key(s.kind, to) == s.key {
			return address, err
		}
	}
	err = tx.QueryRowContext(ctx, `UPDATE contacts SET last_used_at = $4 WHERE user_id = $1 AND kind = $2 AND destination_key = $3
		AND replaced_by = '' RETURNING id`, s.user, s.kind, s.key, db.Micros(now)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", wrongIf(in.Purpose != toOpen, nil)
	}
	return id, err
}

// Sweep removes codes that are long over, of which a late one was told that it is late, and contacts that cannot come back.
func (c *Codes) Sweep(ctx context.Context) error {
	return c.DB.Tx(ctx, func(tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM codes WHERE expires_at < $1`, db.Micros(c.Clock().Add(-time.Hour)))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM contacts WHERE replaced_by <> '' AND NOT EXISTS
			(SELECT 1 FROM contacts n WHERE n.id = contacts.replaced_by AND n.added_at > $1)`, db.Micros(c.Clock().Add(-undoable)))
		return err
	})
}
