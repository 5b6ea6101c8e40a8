package user

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

//go:embed schema
var embedded embed.FS

// Schema is the table users.
var Schema, _ = fs.Sub(embedded, "schema")

// Columns are what Fields scans, of a table users that the query calls u.
const Columns = `u.id, u.login, u.name, u.role, u.security_epoch, u.disabled, u.mfa_off, u.mfa_due_at, u.mfa_method,
	u.email, u.phone, u.language, u.frozen_until, u.recovers_at, u.added_at, u.workgroup_id, u.joined_at`

// Fields is where Columns go.
func Fields(u *auth.User) []any {
	return []any{&u.ID, &u.Login, &u.Name, &u.Role, &u.Epoch, &u.Disabled, &u.MFAOff, db.Stamp(&u.MFADue), &u.Method,
		&u.Email, &u.Phone, &u.Language, db.Stamp(&u.Frozen), db.Stamp(&u.Recovers), db.Stamp(&u.Added), &u.Workgroup, db.Stamp(&u.Joined)}
}

// Signal is the topic on which nodes hear that something about a user changed; the payload is the id.
const Signal = "user"

// A Store is the table users.
type Store struct{ db *db.DB }

func NewStore(d *db.DB) *Store { return &Store{d} }

// Find is the user with a login, or auth.ErrNotFound.
func (s *Store) Find(ctx context.Context, login string) (auth.User, error) {
	return one(s.db.QueryRowContext(ctx, `SELECT `+Columns+` FROM users u WHERE u.login_key = $1`, Key(login)))
}

// Get is the user with an id, or auth.ErrNotFound.
func (s *Store) Get(ctx context.Context, from auth.Reader, id auth.UserID) (auth.User, error) {
	return one(from.QueryRowContext(ctx, `SELECT `+Columns+` FROM users u WHERE u.id = $1`, id))
}

// Some are those of some people who are still there.
func (s *Store) Some(ctx context.Context, from auth.Reader, ids ...auth.UserID) (map[auth.UserID]auth.User, error) {
	const page = 50 // in one text for any number
	found := make(map[auth.UserID]auth.User, len(ids))
	for some := range slices.Chunk(ids, page) {
		args := make([]any, page)
		for i := range args {
			args[i] = some[min(i, len(some)-1)]
		}
		rows, err := from.QueryContext(ctx, `SELECT `+Columns+` FROM users u WHERE u.id IN (`+places(page)+`)`, args...)
		_, err = db.Collect(rows, err, func(r *sql.Rows) (u auth.User, err error) {
			err = r.Scan(Fields(&u)...)
			found[u.ID] = u
			return u, err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// places is "$1, $2" and so on.
func places(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}
	return b.String()
}

// Each calls f for every user in order of login. An error of f ends it.
func (s *Store) Each(ctx context.Context, f func(auth.User) error) error {
	rows, err := s.db.QueryContext(ctx, `SELECT `+Columns+` FROM users u ORDER BY u.login_key`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var u auth.User
		if err := rows.Scan(Fields(&u)...); err != nil {
			return err
		}
		if err := f(u); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Empty is true before the first user.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	found, err := exists(s.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users)`))
	return !found, err
}

// Add stores a new user. A login that somebody has already is an auth.InvalidError.
func (s *Store) Add(ctx context.Context, tx auth.Tx, u auth.User) error {
	err := db.One(tx.ExecContext(ctx, `INSERT INTO users (id, login, login_key, name, role, security_epoch, email, email_key, phone, mfa_method, workgroup_id, joined_at, added_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (login_key) DO NOTHING`,
		u.ID, u.Login, Key(u.Login), u.Name, u.Role, u.Epoch, u.Email, Key(u.Email), u.Phone, u.Method, u.Workgroup, db.Micros(u.Joined), db.Micros(u.Added)))
	if errors.Is(err, auth.ErrNotFound) {
		return auth.InvalidError{Field: "email", Why: "belongs to somebody already"}
	}
	return err
}

// Rename changes how a person is called.
func (s *Store) Rename(ctx context.Context, tx auth.Tx, id auth.UserID, name string) error {
	return s.change(ctx, tx, id, `UPDATE users SET name = $2 WHERE id = $1`, name)
}

// Disable keeps a person out from now on.
func (s *Store) Disable(ctx context.Context, tx auth.Tx, id auth.UserID) error {
	return s.change(ctx, tx, id, `UPDATE users SET disabled = TRUE, security_epoch = security_epoch + 1, recovers_at = 0 WHERE id = $1`)
}

// Enable lets a person in again who was kept out.
func (s *Store) Enable(ctx context.Context, tx auth.Tx, id auth.UserID) error {
	return s.change(ctx, tx, id, `UPDATE users SET disabled = FALSE WHERE id = $1`)
}

// Remove forgets a person and all that hangs on them. The record keeps what happened.
func (s *Store) Remove(ctx context.Context, tx auth.Tx, id auth.UserID) error {
	return s.change(ctx, tx, id, `DELETE FROM users WHERE id = $1`)
}

// SetRole stores what a person may do for others.
func (s *Store) SetRole(ctx context.Context, tx auth.Tx, id auth.UserID, r auth.Role) error {
	return s.change(ctx, tx, id, `UPDATE users SET role = $2 WHERE id = $1`, r)
}

// Move puts a person into a workgroup; an empty one takes them out of theirs.
func (s *Store) Move(ctx context.Context, tx auth.Tx, id auth.UserID, to auth.WorkgroupID, now time.Time) error {
	return s.change(ctx, tx, id, `UPDATE users SET workgroup_id = $2, joined_at = $3 WHERE id = $1`, to, db.Micros(now))
}

// SwitchMFA stores the person's own choice.
func (s *Store) SwitchMFA(ctx context.Context, tx auth.Tx, id auth.UserID, off bool) error {
	return s.change(ctx, tx, id, `UPDATE users SET mfa_off = $2 WHERE id = $1`, off)
}

// SetMethod stores what an administrator chose for a person.
func (s *Store) SetMethod(ctx context.Context, tx auth.Tx, id auth.UserID, m auth.Method) error {
	return s.change(ctx, tx, id, `UPDATE users SET mfa_method = $2 WHERE id = $1`, m)
}

// SetContact stores where messages go and in which language. A number is E.164 or empty.
func (s *Store) SetContact(ctx context.Context, tx auth.Tx, id auth.UserID, email, phone, language string) error {
	return s.change(ctx, tx, id, `UPDATE users SET email = $2, email_key = $3, phone = $4, language = $5 WHERE id = $1`, email, Key(email), phone, language)
}

// Freeze keeps everybody from changing how the account is protected, until a time; the zero time ends that.
func (s *Store) Freeze(ctx context.Context, tx auth.Tx, id auth.UserID, until time.Time) error {
	return s.change(ctx, tx, id, `UPDATE users SET frozen_until = $2 WHERE id = $1`, db.Micros(until))
}

// HasAddress says whether mail to an address reaches somebody else than the user, too: as their login or their contact.
func (s *Store) HasAddress(ctx context.Context, from auth.Reader, but auth.UserID, email string) (bool, error) {
	return exists(from.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE (login_key = $1 OR email_key = $1) AND id <> $2 AND NOT disabled)`, Key(email), but))
}

// HasLogin says whether an address is somebody else's login.
func (s *Store) HasLogin(ctx context.Context, from auth.Reader, but auth.UserID, email string) (bool, error) {
	return exists(from.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE login_key = $1 AND id <> $2)`, Key(email), but))
}

// HasPhone says whether a number is somebody else's than the user's, too.
func (s *Store) HasPhone(ctx context.Context, from auth.Reader, but auth.UserID, phone string) (bool, error) {
	return exists(from.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE phone = $1 AND id <> $2 AND NOT disabled)`, phone, but))
}

// Assigned lists whom an administrator gave a method that uses an address or number, but for one.
func (s *Store) Assigned(ctx context.Context, from auth.Reader, but auth.UserID, m auth.Method, to string) ([]auth.UserID, error) {
	rows, err := from.QueryContext(ctx, `SELECT id FROM users WHERE mfa_method = $1 AND (email_key = $2 OR phone = $3) AND id <> $4 AND NOT disabled`, m, Key(to), to, but)
	return db.Collect(rows, err, func(r *sql.Rows) (u auth.UserID, err error) { return u, r.Scan(&u) })
}

// Methods counts whom an administrator gave which.
func (s *Store) Methods(ctx context.Context) (map[auth.Method]int, error) {
	n := map[auth.Method]int{}
	rows, err := s.db.QueryContext(ctx, `SELECT mfa_method, COUNT(*) FROM users WHERE mfa_method <> '' AND NOT disabled GROUP BY mfa_method`)
	_, err = db.Collect(rows, err, func(r *sql.Rows) (none struct{}, err error) {
		var m auth.Method
		var count int
		err = r.Scan(&m, &count)
		n[m] = count
		return none, err
	})
	return n, err
}

// Lock keeps others from changing a person until the transaction ends. What takes the row before anything that hangs on
// the person waits for nobody crosswise.
func (s *Store) Lock(ctx context.Context, tx auth.Tx, id auth.UserID) error {
	return db.One(tx.ExecContext(ctx, `UPDATE users SET security_epoch = security_epoch WHERE id = $1`, id))
}

// Admins lists who looks after the instance.
func (s *Store) Admins(ctx context.Context, from auth.Reader) ([]auth.User, error) {
	rows, err := from.QueryContext(ctx, `SELECT `+Columns+` FROM users u WHERE u.role IN ($1, $2) AND NOT u.disabled ORDER BY u.login_key`, auth.Owner, auth.Admin)
	return db.Collect(rows, err, func(r *sql.Rows) (u auth.User, err error) { return u, r.Scan(Fields(&u)...) })
}

// AnyIn says whether there is anybody in a workgroup.
func (s *Store) AnyIn(ctx context.Context, from auth.Reader, w auth.WorkgroupID) (bool, error) {
	return exists(from.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE workgroup_id = $1 AND workgroup_id <> '')`, w))
}

// Stewards lists who looks after a workgroup.
func (s *Store) Stewards(ctx context.Context, from auth.Reader, w auth.WorkgroupID) ([]auth.User, error) {
	rows, err := from.QueryContext(ctx, `SELECT `+Columns+` FROM users u WHERE u.role = $1 AND u.role <> 'member' AND u.workgroup_id = $2 AND NOT u.disabled ORDER BY u.login_key`,
		auth.WorkgroupAdmin, w)
	return db.Collect(rows, err, func(r *sql.Rows) (u auth.User, err error) { return u, r.Scan(Fields(&u)...) })
}

// BeginGrace notes until when a person may go on without a required factor, once.
func (s *Store) BeginGrace(ctx context.Context, tx auth.Tx, id auth.UserID, due time.Time) error {
	return s.change(ctx, tx, id, `UPDATE users SET mfa_due_at = CASE WHEN mfa_due_at = 0 THEN CAST($2 AS BIGINT) ELSE mfa_due_at END WHERE id = $1`, db.Micros(due))
}

// Recover notes from when on the password steps up for somebody who lost what is stronger; the zero time ends that, and
// so does every change of the security epoch (security R4).
func (s *Store) Recover(ctx context.Context, tx auth.Tx, id auth.UserID, at time.Time) error {
	return s.change(ctx, tx, id, `UPDATE users SET recovers_at = $2 WHERE id = $1`, db.Micros(at))
}

// Bump voids all that was issued to a user so far and says which epoch began.
func (s *Store) Bump(ctx context.Context, tx auth.Tx, id auth.UserID) (epoch int64, err error) {
	err = tx.QueryRowContext(ctx, `UPDATE users SET security_epoch = security_epoch + 1, recovers_at = 0 WHERE id = $1 RETURNING security_epoch`, id).Scan(&epoch)
	if err != nil {
		return 0, db.NoneMeans(auth.ErrNotFound, err)
	}
	return epoch, s.db.Signal(ctx, tx, Signal, string(id))
}

func (s *Store) change(ctx context.Context, tx auth.Tx, id auth.UserID, statement string, args ...any) error {
	if err := db.One(tx.ExecContext(ctx, statement, append([]any{id}, args...)...)); err != nil {
		return err
	}
	return s.db.Signal(ctx, tx, Signal, string(id))
}

func exists(row *sql.Row) (found bool, err error) { return found, row.Scan(&found) }

func one(row *sql.Row) (u auth.User, err error) {
	return u, db.NoneMeans(auth.ErrNotFound, row.Scan(Fields(&u)...))
}
