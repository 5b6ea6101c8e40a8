package throttle

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// spend is nil, or how long to wait.
func spend(t *testing.T, d *db.DB, th *Throttle, purses ...Purse) time.Duration {
	t.Helper()
	err := d.Tx(t.Context(), func(tx auth.Tx) error { return th.Spend(t.Context(), tx, purses...) })
	var wait auth.ThrottledError
	if err != nil && !errors.As(err, &wait) {
		t.Fatal(err)
	}
	return wait.After
}

// C10
func TestABudgetIsSpentAndComesBackEvenly(t *testing.T) {
	dbtest.Each(t, []fs.FS{Schema}, func(t *testing.T, d *db.DB) {
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		th := New(d, func() time.Time { return now })
		p := PerHour("mail", 6).For("ann")
		for n := range 6 {
			if wait := spend(t, d, th, p); wait != 0 {
				t.Fatalf("number %d has to wait %v", n, wait)
			}
		}
		if wait := spend(t, d, th, p); wait != 10*time.Minute {
			t.Errorf("wait %v", wait)
		}
		if empty, err := th.Empty(t.Context(), p); err != nil || !empty {
			t.Errorf("%v %v", empty, err)
		}
		if wait := spend(t, d, th, PerHour("mail", 6).For("bob")); wait != 0 {
			t.Errorf("somebody else waits %v", wait)
		}
		now = now.Add(10*time.Minute - time.Microsecond)
		if wait := spend(t, d, th, p); wait == 0 {
			t.Error("one came back too early")
		}
		now = now.Add(time.Microsecond)
		if wait := spend(t, d, th, p); wait != 0 {
			t.Errorf("wait %v", wait)
		}
		if wait := spend(t, d, th, p); wait != 10*time.Minute {
			t.Errorf("two came back: wait %v", wait)
		}
		now = now.Add(24 * time.Hour)
		for n := range 6 { // and never more than all of it
			if wait := spend(t, d, th, p); wait != 0 {
				t.Fatalf("number %d has to wait %v", n, wait)
			}
		}
		if wait := spend(t, d, th, p); wait == 0 {
			t.Error("a quiet day made it larger")
		}
	})
}

// C10: at once, in opposite order and with one purse in common, no more pass than there is, and nobody waits crosswise.
func TestParallelSpendersStayWithinTheBudget(t *testing.T) {
	dbtest.Each(t, []fs.FS{Schema}, func(t *testing.T, d *db.DB) {
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		th := New(d, func() time.Time { return now })
		var passed atomic.Int64
		var all sync.WaitGroup
		for n := range 50 {
			all.Go(func() {
				purses := []Purse{PerHour("all", 20).For(""), PerHour("one", 100).For(fmt.Sprint(n % 3)), PerHour("zone", 100).For(fmt.Sprint(n % 2))}
				if n%2 == 0 {
					purses[0], purses[2] = purses[2], purses[0]
				}
				err := d.Tx(t.Context(), func(tx auth.Tx) error { return th.Spend(t.Context(), tx, purses...) })
				var wait auth.ThrottledError
				if err == nil {
					passed.Add(1)
				} else if !errors.As(err, &wait) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := passed.Load(); n != 20 {
			t.Errorf("%d passed", n)
		}
	})
}

// What is rolled back was not spent; what is full again is forgotten.
func TestABudgetIsSpentWithItsTransaction(t *testing.T) {
	dbtest.Each(t, []fs.FS{Schema}, func(t *testing.T, d *db.DB) {
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		th := New(d, func() time.Time { return now })
		p := PerHour("mail", 1).For("ann")
		undo := errors.New("undo")
		err := d.Tx(t.Context(), func(tx auth.Tx) error { return errors.Join(th.Spend(t.Context(), tx, p), undo) })
		if !errors.Is(err, undo) {
			t.Fatal(err)
		}
		if wait := spend(t, d, th, p); wait != 0 {
			t.Errorf("wait %v", wait)
		}
		now = now.Add(time.Hour)
		if err := th.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		var rows int
		if err := d.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM budgets`).Scan(&rows); err != nil || rows != 0 {
			t.Errorf("%d rows are left, %v", rows, err)
		}
	})
}
