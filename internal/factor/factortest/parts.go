package factortest

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/policy"
	"sallyport/internal/secret"
	"sallyport/internal/user"
)

// A Clock goes only when a test says so.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock stands at noon of the first of March 2026, UTC.
func NewClock() *Clock { return ClockAt(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) }

// ClockAt stands at a time.
func ClockAt(now time.Time) *Clock { return &Clock{now: now} }

// Now is the time that tests and the factor agree on.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Wait puts the clock forward.
func (c *Clock) Wait(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// Alone is a roster.Leveler where the configuration alone makes the rules.
type Alone struct{}

func (Alone) Levels(context.Context, auth.Reader, auth.WorkgroupID) ([]policy.Level, error) {
	return nil, nil
}

// Epochs is an auth.Revoker where there are no sessions: a new security epoch is all there is to it.
func Epochs(d *db.DB) auth.Revoker { return epochs{user.NewStore(d)} }

type epochs struct{ *user.Store }

func (e epochs) RevokeOthers(ctx context.Context, tx auth.Tx, u auth.UserID, _ auth.SessionID) error {
	_, err := e.Bump(ctx, tx, u)
	return err
}

// Keys is a key ring of this test alone.
func Keys(t *testing.T) *secret.Keys {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := secret.CreateRing(path, time.Now()); err != nil {
		t.Fatal(err)
	}
	k, err := secret.OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Person adds somebody whose id is "id-" and their name, and whose login is at example.com.
func Person(t *testing.T, d *db.DB, name string, now time.Time) auth.User {
	t.Helper()
	u, err := user.New(auth.UserID("id-"+name), name+"@example.com", name, auth.Member, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Tx(t.Context(), func(tx auth.Tx) error { return user.NewStore(d).Add(t.Context(), tx, u) }); err != nil {
		t.Fatal(err)
	}
	return u
}
