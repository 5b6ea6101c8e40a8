package session

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/policy"
	"sallyport/internal/user"
)

//go:embed schema
var embedded embed.FS

// Schema is the table sessions.
var Schema, _ = fs.Sub(embedded, "schema")

// load reads a living session of a living user.
func (s *Store) load(ctx context.Context, key digest, now time.Time) (*entry, error) {
	var (
		e      = &entry{}
		proofs []byte
		seen   int64
	)
	into := append(user.Fields(&e.session.User), &e.session.ID, &proofs, db.Stamp(&e.session.Started), db.Stamp(&e.session.Expires),
		db.Stamp(&e.session.FreshUntil), &seen)
	err := s.db.QueryRowContext(ctx, `SELECT `+user.Columns+`, s.id, s.proofs, s.started_at, s.expires_at, s.fresh_until, s.last_seen_at
		FROM sessions s JOIN users u ON u.id = s.user_id AND u.security_epoch = s.security_epoch AND NOT u.disabled
		WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.last_seen_at > $3`,
		key[:], db.Micros(now), db.Micros(now.Add(-s.Idle))).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, auth.ErrNotSignedIn
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(proofs, &e.session.Proofs); err != nil {
		return nil, fmt.Errorf("proofs of session %s: %w", e.session.ID, err)
	}
	if e.answer, err = json.Marshal(shown(e.session)); err != nil {
		return nil, err
	}
	last := now.Add(-s.idle(e.session.User.Role))
	if end := e.session.Started.Add(s.absolute(e.session.User.Role)); end.Before(e.session.Expires) { // they came to look after others since
		e.session.Expires = end
	}
	if db.Time(seen).Before(last) || !now.Before(e.session.Expires) {
		return nil, auth.ErrNotSignedIn
	}
	if err := s.asked(ctx, e.session); errors.Is(err, auth.ErrNotSignedIn) {
		// It is over, and does not come back once less is asked.
		return nil, errors.Join(err, s.db.Tx(ctx, func(tx auth.Tx) error { return s.remove(ctx, tx, key) }))
	} else if err != nil {
		return nil, err
	}
	e.reload = now.Add(reload)
	e.stored.Store(seen)
	e.seen.Store(now.UnixMicro())
	return e, nil
}

// meanwhile is how long a sign-in may have been under way by what was asked before.
const meanwhile = 5 * time.Second

// asked is auth.ErrNotSignedIn for a session that began before more was asked of its person, at once, and that shows less
// (W3): they sign in again, and are asked there.
func (s *Store) asked(ctx context.Context, old auth.Session) error {
	rules, err := s.roster.RulesOf(ctx, s.db, old.User)
	if err != nil {
		return err
	}
	f := policy.Facts{Now: s.clock(), Rules: rules, User: old.User, Proofs: old.Proofs}
	since := rules.AskedAt(old.User)
	if since.IsZero() || old.Started.After(since.Add(meanwhile)) || policy.Proved(f) {
		return nil
	}
	f, err = s.roster.Gather(ctx, s.db, f)
	if err == nil && policy.Next(f).Need != policy.Nothing {
		err = auth.ErrNotSignedIn
	}
	return err
}

func (s *Store) insert(ctx context.Context, tx auth.Tx, key digest, n auth.Session, from auth.Origin) error {
	proofs, err := json.Marshal(n.Proofs)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO sessions (id, token_hash, user_id, security_epoch, proofs, started_at, last_seen_at, expires_at, fresh_until, address, browser)
		VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9, $10)`,
		n.ID, key[:], n.User.ID, n.User.Epoch, string(proofs), db.Micros(n.Started), db.Micros(n.Expires), db.Micros(n.FreshUntil),
		from.Address.String(), from.Agent())
	return err
}

// mostOfOne is how many sessions one person may have. Beyond it the oldest end: nobody has so many browsers, and what one
// person can pile up others must not have to wait for.
const mostOfOne = 100

func (s *Store) bound(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	r, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE token_hash IN (
		SELECT token_hash FROM sessions WHERE user_id = $1 ORDER BY started_at DESC, id LIMIT 1000 OFFSET $2)`, u, mostOfOne)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return s.db.Signal(ctx, tx, user.Signal, string(u))
}

// renew replaces the token. The old one is spent by it: of two at once one wins.
func (s *Store) renew(ctx context.Context, tx auth.Tx, old, key digest, proofs []auth.Proof, fresh time.Time) error {
	b, err := json.Marshal(proofs)
	if err != nil {
		return err
	}
	err = db.One(tx.ExecContext(ctx, `UPDATE sessions SET token_hash = $2, proofs = $3, fresh_until = $4 WHERE token_hash = $1`,
		old[:], key[:], string(b), db.Micros(fresh)))
	if errors.Is(err, auth.ErrNotFound) {
		return auth.ErrNotSignedIn
	}
	if err != nil {
		return err
	}
	return s.db.Signal(ctx, tx, signal, text(old))
}

// Cool ends every fresh proof of a person. Their sessions go on.
func (s *Store) Cool(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	if _, err := tx.ExecContext(ctx, `UPDATE sessions SET fresh_until = 0 WHERE user_id = $1`, u); err != nil {
		return err
	}
	return s.db.Signal(ctx, tx, user.Signal, string(u))
}

func (s *Store) remove(ctx context.Context, tx auth.Tx, key digest) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE token_hash = $1`, key[:]); err != nil {
		return err
	}
	return s.db.Signal(ctx, tx, signal, text(key))
}

// removeOne ends a session of a user by its id.
func (s *Store) removeOne(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.SessionID) error {
	var hash []byte
	err := tx.QueryRowContext(ctx, `DELETE FROM sessions WHERE id = $1 AND user_id = $2 RETURNING token_hash`, id, u).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return auth.ErrNotFound
	}
	if err != nil {
		return err
	}
	return s.db.Signal(ctx, tx, signal, text(digest(hash)))
}

// removeOthers ends all sessions of a user but one.
func (s *Store) removeOthers(ctx context.Context, tx auth.Tx, u auth.UserID, keep auth.SessionID) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = $1 AND id <> $2`, u, keep); err != nil {
		return err
	}
	return s.db.Signal(ctx, tx, user.Signal, string(u))
}

// carry takes one session into the user's new epoch. The others are void already; their rows go too.
func (s *Store) carry(ctx context.Context, tx auth.Tx, u auth.UserID, keep auth.SessionID, epoch int64) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = $1 AND id <> $2`, u, keep); err != nil {
		return err
	}
	if keep == "" {
		return nil
	}
	err := db.One(tx.ExecContext(ctx, `UPDATE sessions SET security_epoch = $3 WHERE user_id = $1 AND id = $2 AND security_epoch = $3 - 1`, u, keep, epoch))
	if errors.Is(err, auth.ErrNotFound) { // it ended since the request began, so what it was about to do is off
		return auth.ErrNotSignedIn
	}
	return err
}

// A row is a session as its person sees it.
type row struct {
	id             auth.SessionID
	started, seen  time.Time
	address, agent string
}

func (s *Store) list(ctx context.Context, u auth.User) ([]row, error) {
	now := s.clock()
	rows, err := s.db.QueryContext(ctx, `SELECT id, started_at, last_seen_at, address, browser FROM sessions
		WHERE user_id = $1 AND security_epoch = $2 AND expires_at > $3 AND last_seen_at > $4 ORDER BY last_seen_at DESC, id`,
		u.ID, u.Epoch, db.Micros(now), db.Micros(now.Add(-s.Idle)))
	return db.Collect(rows, err, func(r *sql.Rows) (v row, err error) {
		return v, r.Scan(&v.id, db.Stamp(&v.started), db.Stamp(&v.seen), &v.address, &v.agent)
	})
}

// touch writes down when sessions were last seen.
func (s *Store) touch(ctx context.Context, seen map[digest]int64) error {
	return s.db.Tx(ctx, func(tx auth.Tx) error {
		for key, at := range seen {
			if _, err := tx.ExecContext(ctx, `UPDATE sessions SET last_seen_at = $2 WHERE token_hash = $1 AND last_seen_at < $2`, key[:], at); err != nil {
				return err
			}
		}
		return nil
	})
}

// Sweep removes what is over.
func (s *Store) Sweep(ctx context.Context) error {
	now := s.clock()
	return s.db.Tx(ctx, func(tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE expires_at <= $1 OR last_seen_at <= $2`,
			db.Micros(now), db.Micros(now.Add(-s.Idle-time.Hour)))
		return err
	})
}
