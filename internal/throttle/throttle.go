// Package throttle counts guesses, and keeps budgets of what is sent.
//
// It promises: a guess is counted and committed before it is checked, so a rolled-back request, a lost connection or a
// killed process never gives one back (security R3); of any number of parallel guesses no more than the limit pass, on
// all nodes together; and no database means no guess.
package throttle

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

// A Rule says how many failures are too many. Source: security.md, "Throttling".
type Rule struct {
	name    string
	limit   int64
	window  time.Duration
	first   time.Duration // wait once the limit is reached; doubles with each further failure up to most
	most    time.Duration
	lock    int64 // failures in a row after which nothing passes until somebody recovers the account; 0: never
	perStep bool  // the guesses left are told to the person
}

var (
	// FirstByAccount counts wrong first proofs at the door, of one account or of one name that nobody has.
	FirstByAccount = Rule{name: "first", limit: 10, window: 15 * time.Minute, first: 30 * time.Second, most: time.Hour}
	// FirstInside counts wrong first proofs of somebody who is in already, or half, so that strangers at the door do not
	// stop them. Only who has a session or a sign-in under way of that person can use them up.
	FirstInside = Rule{name: "inside", limit: 10, window: 15 * time.Minute, first: 30 * time.Second, most: time.Hour}
	// FirstByAddress counts wrong first proofs per client address; an IPv6 /64 is one client.
	FirstByAddress = Rule{name: "address", limit: 30, window: 15 * time.Minute, first: 30 * time.Second, most: time.Hour}
	// CodeByAccount counts wrong second factors over all sign-ins, step-ups, factors and nodes.
	CodeByAccount = Rule{name: "code", limit: 10, window: 15 * time.Minute, first: 30 * time.Second, most: time.Hour, lock: 100}
	// CodeByStep counts them in one sign-in, which then is over.
	CodeByStep = Rule{name: "step", limit: 5, window: time.Hour, first: time.Hour, most: time.Hour, perStep: true}
	// SetupByAccount counts wrong codes while an authenticator is added: nothing is opened by them.
	SetupByAccount = Rule{name: "setup", limit: 30, window: 15 * time.Minute, first: 30 * time.Second, most: time.Hour}
)

// Lockless is the same counter without the lock: for what is not guessed, so that guesses at codes do not shut it out.
func (r Rule) Lockless() Rule {
	r.lock = 0
	return r
}

// quiet is how long nothing may have failed until a rule that was broken is forgotten.
const quiet = 24 * time.Hour

// For names whom a rule counts.
func (r Rule) For(subject string) Key { return Key{r, r.name + ":" + subject} }

// ForAddress counts an IPv4 address or an IPv6 /64: one customer has as many addresses in that as they like.
func (r Rule) ForAddress(a netip.Addr) Key { return r.For(Client(a)) }

// Client is an address as a counter knows it.
func Client(a netip.Addr) string {
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// A Key is one counter.
type Key struct {
	rule    Rule
	subject string
}

func (k Key) order() string {
	if k.rule.perStep {
		return ""
	}
	return k.subject
}

// A Throttle is the table of counters.
type Throttle struct {
	db    *db.DB
	clock func() time.Time
}

func New(d *db.DB, clock func() time.Time) *Throttle { return &Throttle{d, clock} }

// Take counts a guess against every key, in a transaction of its own, and lets it pass or not: an
// auth.ThrottledError, auth.ErrLocked, or auth.ErrExpired for a step that is over. A guess that one key refuses is not
// counted against the next: nobody looks at it, so it must not lock anybody out. What was counted stays so until Succeeded.
func (t *Throttle) Take(ctx context.Context, u auth.User, keys ...Key) (auth.Attempt, error) {
	// The step first, which is nobody else's; then always in the same order, so that two nodes never wait for each other.
	slices.SortFunc(keys, func(a, b Key) int { return strings.Compare(a.order(), b.order()) })
	var (
		a       auth.Attempt
		refused error
	)
	err := t.db.Tx(ctx, func(tx auth.Tx) error {
		a, refused = auth.Attempt{User: u}, nil
		for _, k := range keys {
			failures, err := int64(0), error(nil)
			if refused == nil {
				failures, err = t.count(ctx, tx, k)
			} else {
				err = t.refusal(ctx, tx, k) // to say the longest wait
			}
			var wait auth.ThrottledError
			switch {
			case errors.As(err, &wait), errors.Is(err, auth.ErrLocked):
				if refused = worse(refused, err); k.rule.perStep {
					refused = auth.ErrExpired
					return nil
				}
			case err != nil:
				return err
			case refused != nil: // not counted
			case k.rule.perStep: // a right guess ends the step, so there is nothing to give back
				a.Left = int(k.rule.limit - failures)
			default:
				a.Keys = append(a.Keys, k.subject)
				if k.rule.name == CodeByAccount.name {
					a.Failures = int(failures)
				}
			}
		}
		return nil
	})
	if err == nil {
		err = refused
	}
	return a, err
}

// worse keeps the refusal that lasts longest.
func worse(a, b error) error {
	var wa, wb auth.ThrottledError
	if errors.As(a, &wa) && errors.As(b, &wb) && wa.After < wb.After {
		return b
	}
	if a == nil || errors.Is(b, auth.ErrLocked) {
		return b
	}
	return a
}

// Succeeded gives back what a right guess took, and ends the waiting that wrong ones before it caused. It gives back
// no more: of parallel guesses those beside the right one stay counted.
func (t *Throttle) Succeeded(ctx context.Context, tx auth.Tx, a auth.Attempt) error {
	for _, subject := range a.Keys { // in the order in which they were taken; one statement for both could wait crosswise
		statement := release
		if strings.HasPrefix(subject, FirstByAddress.name+":") {
			statement = undo
		}
		if _, err := tx.ExecContext(ctx, statement, subject); err != nil {
			return err
		}
	}
	return nil
}

// Forget ends every refusal of somebody's second factors, for whoever recovers the account.
func (t *Throttle) Forget(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM throttle WHERE subject IN ($1, $2)`,
		CodeByAccount.For(string(u)).subject, SetupByAccount.For(string(u)).subject)
	return err
}

// Locked says whether so many codes in a row were wrong that nothing passes until somebody recovers the account.
func (t *Throttle) Locked(ctx context.Context, from auth.Reader, u auth.UserID) (locked bool, err error) {
	k := CodeByAccount.For(string(u))
	err = from.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM throttle WHERE subject = $1 AND streak >= $2)`, k.subject, k.rule.lock).Scan(&locked)
	return locked, err
}

// Sweep removes counters that say nothing any more. Failures of codes in a row are remembered until one succeeds.
func (t *Throttle) Sweep(ctx context.Context) error {
	return t.db.Tx(ctx, func(tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM throttle WHERE last < $1 AND (streak = 0 OR subject NOT LIKE 'code:%')`,
			db.Micros(t.clock().Add(-quiet)))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM budgets WHERE full_at <= $1`, db.Micros(t.clock()))
		return err
	})
}
