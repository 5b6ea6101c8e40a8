// Package audit keeps the record of security events, and can tell whether somebody changed it.
//
// It promises: an event is on disk exactly when the change it describes is; text in it cannot break a row or a line;
// each row carries a MAC over all it says; and once a second all new rows are sealed into a chain, so that an edited,
// added, swapped or removed row or seal is found by [Trail.Verify] unless the key was stolen too.
//
// It cannot know of a row that was removed before its seal (about a second, while a node runs), nor, by itself, of newest seals
// removed together with their rows. Against the latter the head of the chain is logged: keep the log somewhere else,
// and give Verify a head from it. A head from outside also convicts a thief of the key who rewrites what was before it.
package audit

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

//go:embed schema
var files embed.FS

// Schema is the tables of this package.
var Schema, _ = fs.Sub(files, "schema") // fails for a malformed name only

// A Trail is the record of security events.
type Trail struct {
	db    *db.DB
	key   []byte
	clock func() time.Time

	watchers  []auth.Watcher
	followers []Follower
	behind    map[string]bool // followers that failed lately; Run alone uses it
	checks    chan struct{}   // somebody asks for a check
}

// Watch lets somebody hear of every event, from now on. Call it before the first request.
func (t *Trail) Watch(w auth.Watcher) { t.watchers = append(t.watchers, w) }

// New needs the same key for as long as the record is to be verified; 32 random bytes that serve nothing else.
func New(d *db.DB, key []byte, clock func() time.Time) *Trail {
	return &Trail{db: d, key: key, clock: clock, behind: map[string]bool{}, checks: make(chan struct{}, 1)}
}

// How much foreign text a row holds, in code points.
const (
	mostName = 64
	mostText = 256
)

// Record writes an event in the transaction of the change it describes, with the origin that ctx carries.
// Sealing comes later, so that a sign-in does not wait for its place in the chain.
func (t *Trail) Record(ctx context.Context, tx auth.Tx, e auth.Event) error {
	detail, err := encodeDetail(e.Detail)
	if err != nil {
		return err
	}
	from, at := auth.OriginOf(ctx), db.Micros(t.clock())
	if e.Actor == "" && from.Actor != e.User { // somebody else is signed in there
		e.Actor = from.Actor
	}
	r := row{
		id:      newID(at),
		at:      at,
		kind:    string(e.Kind),
		user:    string(e.User),
		actor:   string(e.Actor),
		face:    from.Face,
		request: printable(from.RequestID, mostName),
		browser: printable(from.Browser, mostText),
		detail:  detail,
	}
	if from.Address.IsValid() {
		r.address = printable(from.Address.String(), mostName) // an IPv6 zone may be any text
	}
	r.mac = r.sum(t.keyed())
	if err := insert(ctx, tx, &r); err != nil {
		return err
	}
	for _, w := range t.watchers {
		if err := w.Happened(ctx, tx, e); err != nil {
			return err
		}
	}
	return nil
}

// Failed leaves a row of a wrong response to a factor, in a transaction of its own: what it was for does not happen. It
// returns err, which may be any, or why it could not write; other errors than auth.ErrWrong leave no row.
func (t *Trail) Failed(ctx context.Context, kind auth.EventKind, u auth.UserID, factor auth.Kind, err error) error {
	return t.Missed(ctx, Wrong(kind, u, factor, err), err)
}

// Missed is Failed for whoever knows more of the event.
func (t *Trail) Missed(ctx context.Context, e auth.Event, err error) error {
	if !errors.Is(err, auth.ErrWrong) {
		return err
	}
	recorded := t.db.Tx(ctx, func(tx auth.Tx) error { return t.Record(ctx, tx, e) })
	if recorded != nil {
		return recorded
	}
	return err
}

// Wrong is the event of a wrong response. An error that has a Why, in our own words, says so in it.
func Wrong(kind auth.EventKind, u auth.UserID, factor auth.Kind, err error) auth.Event {
	e := auth.Event{Kind: kind, User: u, Detail: map[string]string{"factor": string(factor)}}
	var reason interface{ Why() string }
	if errors.As(err, &reason) {
		e.Detail["why"] = reason.Why()
	}
	return e
}

// An Entry is an event as it stands in the record.
type Entry struct {
	ID      string
	At      time.Time
	Kind    auth.EventKind
	User    auth.UserID // whom it is about; empty: nobody we know
	Actor   auth.UserID // who did it; empty: the person themselves, or nobody yet
	Face    string      // "page", "api" or "cli"; empty: it happened by itself
	Request string      // its id, as the log has it
	Address string      // empty: unknown
	Browser string      // User-Agent, what is not printable escaped as in Go
	Detail  map[string]string
	Seal    int64 // that covers it; 0: not yet
}

// Recent is the last n events about a person, newest first. It does not verify them.
func (t *Trail) Recent(ctx context.Context, user auth.UserID, n int) ([]Entry, error) {
	return recent(ctx, t.db, user, "", n)
}

// Before is the n events about a person that came before one of theirs, newest first; none if it is not theirs.
func (t *Trail) Before(ctx context.Context, user auth.UserID, event string, n int) ([]Entry, error) {
	return recent(ctx, t.db, user, event, n)
}

// Last is when something of a kind happened to a person the last time; zero: not among their latest thousand events.
func (t *Trail) Last(ctx context.Context, from auth.Reader, user auth.UserID, kind auth.EventKind) (time.Time, error) {
	return last(ctx, from, user, kind)
}

func (t *Trail) keyed() hash.Hash { return hmac.New(sha256.New, t.key) }

// newID grows with time, so that new rows stand at the end of the index: scattered ids make a row cost twice as much
// once there are some 100,000. The other 80 bits are random.
func newID(at int64) string { return idTime(at) + rand.Text()[:16] }

// idTime is how ids of a time begin.
func idTime(at int64) string { return fmt.Sprintf("%014X", at) }

func encodeDetail(d map[string]string) (string, error) {
	if len(d) == 0 {
		return "{}", nil
	}
	clean := make(map[string]string, len(d))
	for k, v := range d {
		clean[printable(k, mostName)] = printable(v, mostText)
	}
	b, err := json.Marshal(clean)
	return string(b), err
}
