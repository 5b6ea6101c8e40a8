// Package session keeps what a browser holds after a finished sign-in.
//
// The database is the truth; checks are answered from memory (cache.go). Only the hash of a token is stored. A session
// is void once its user's security epoch moved on, once it was idle too long, and at its absolute end, whatever the
// cookie says. Ending one is effective at once on this node and within a second on others.
package session

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/workgroup"
)

// Config is how long sessions last.
type Config struct {
	Idle     time.Duration // without a request
	Absolute time.Duration // whatever happens
}

// A Store is all sessions.
type Store struct {
	Config
	db     *db.DB
	users  *user.Store
	roster *roster.Roster
	trail  *audit.Trail
	cache  *cache
	clock  func() time.Time
}

func New(c Config, d *db.DB, users *user.Store, r *roster.Roster, trail *audit.Trail, clock func() time.Time) *Store {
	s := &Store{Config: c, db: d, users: users, roster: r, trail: trail, cache: newCache(), clock: clock}
	d.OnSignal(signal, func(hash string) { s.cache.forget(hash) }, s.cache.forgetAll)
	d.OnSignal(user.Signal, func(id string) { s.cache.forgetUser(auth.UserID(id)) }, s.cache.forgetAll)
	d.OnSignal(workgroup.Signal, func(string) { s.cache.forgetAll() }, s.cache.forgetAll) // it may ask whoever is signed in (W3)
	return s
}

// signal is the topic on which nodes hear that a session ended or changed; the payload is the hash of its token.
const signal = "session"

// Keep stands at visit.SignedIn.
func (s *Store) Keep(r *http.Request, v *visit.Visit) error {
	token := visit.Cookie(r, visit.SessionCookie)
	if token == "" {
		return auth.ErrNotSignedIn
	}
	e, err := s.find(r.Context(), secret.Digest(token))
	if err != nil {
		return err
	}
	v.Session, v.Token, v.Answer = e.session, token, e.answer
	v.Actor = e.session.User.ID
	return nil
}

// Security.md, "Sessions and browsers": whoever may look after others is signed in for less long.
const (
	staffIdle     = 15 * time.Minute
	staffAbsolute = 12 * time.Hour
)

// idle is how long somebody's session lasts without a request.
func (s *Store) idle(r auth.Role) time.Duration {
	if r == auth.Member {
		return s.Idle
	}
	return min(s.Idle, staffIdle)
}

// absolute is how long it lasts at all.
func (s *Store) absolute(r auth.Role) time.Duration {
	if r == auth.Member {
		return s.Absolute
	}
	return min(s.Absolute, staffAbsolute)
}

// find looks into memory first, as long as this node hears of changes elsewhere.
func (s *Store) find(ctx context.Context, key digest) (*entry, error) {
	now := s.clock()
	trusted := s.db.Hears()
	if e := s.cache.get(key); trusted && e != nil && now.Before(e.session.Expires) && now.Before(e.reload) && e.awake(now, s.idle(e.session.User.Role)) {
		e.use(now)
		return e, nil
	}
	ctx, stop := context.WithTimeout(ctx, reading) // the swift way comes here without one
	defer stop()
	before := s.cache.age()
	e, err := s.load(ctx, key, now)
	if err != nil {
		return nil, err
	}
	if at := now.UnixMicro(); at-e.stored.Load() >= lag.Microseconds() { // it may not stay in memory until the next flush
		if err := s.touch(ctx, map[digest]int64{key: at}); err != nil {
			return nil, err
		}
		e.stored.Store(at)
	}
	if trusted {
		s.cache.put(key, e, before)
	}
	return e, nil
}

// Start begins a session with what was proved, in place of the one this browser had. Trusted is for the record: the browser
// stood in for a second step.
func (s *Store) Start(ctx context.Context, tx auth.Tx, u auth.User, proofs []auth.Proof, trusted bool) (auth.Session, visit.Cookies, error) {
	v := visit.Of(ctx)
	if v.Former != "" {
		if err := s.remove(ctx, tx, secret.Digest(v.Former)); err != nil {
			return auth.Session{}, nil, err
		}
	}
	token, now := secret.NewToken(), s.clock()
	began := auth.Session{ID: auth.SessionID(secret.NewID()), User: u, Proofs: proofs, Started: now, Expires: now.Add(s.absolute(u.Role))}
	if err := s.insert(ctx, tx, secret.Digest(token), began, v.Origin); err != nil {
		return auth.Session{}, nil, err
	}
	if err := s.bound(ctx, tx, u.ID); err != nil {
		return auth.Session{}, nil, err
	}
	detail := map[string]string{"amr": joined(proofs), "factors": kinds(proofs)}
	if trusted {
		detail["trusted"] = "yes"
	}
	err := s.trail.Record(ctx, tx, auth.Event{Kind: auth.SessionStarted, User: u.ID, Detail: detail})
	return began, visit.Cookies{visit.Issue(visit.SessionCookie, token), visit.Clear(visit.PendingCookie)}, err
}

// Raise adds a proof to the session of this visit and makes it fresh for a while. Its token changes: an id never
// survives a change of level.
func (s *Store) Raise(ctx context.Context, tx auth.Tx, p auth.Proof, fresh time.Time) (visit.Cookies, error) {
	v := visit.Of(ctx)
	token := secret.NewToken()
	proofs := append(v.Session.Proofs[:len(v.Session.Proofs):len(v.Session.Proofs)], p)
	if err := s.renew(ctx, tx, secret.Digest(v.Token), secret.Digest(token), proofs, fresh); err != nil {
		return nil, err
	}
	return visit.Cookies{visit.Issue(visit.SessionCookie, token)}, nil
}

// RevokeOthers is auth.Revoker: a new security epoch, and only keep lives on in it.
func (s *Store) RevokeOthers(ctx context.Context, tx auth.Tx, u auth.UserID, keep auth.SessionID) error {
	epoch, err := s.users.Bump(ctx, tx, u)
	if err != nil {
		return err
	}
	return s.carry(ctx, tx, u, keep, epoch)
}

func joined(proofs []auth.Proof) string {
	b, _ := json.Marshal(policy.AMR(proofs)) // strings
	return string(b)
}

// kinds is what somebody proved, in order: "password totp".
func kinds(proofs []auth.Proof) string {
	var all []string
	for _, p := range proofs {
		all = append(all, string(p.Kind))
	}
	return strings.Join(all, " ")
}

type digest = [32]byte

func text(key digest) string { return hex.EncodeToString(key[:]) }
