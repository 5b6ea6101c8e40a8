package audit

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

func checked(t *testing.T, trail *Trail, old time.Duration) Check {
	t.Helper()
	if err := trail.Check(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	c, err := trail.Checked(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sealedIn records events one by one, each with a seal of its own.
func sealedIn(t *testing.T, d *db.DB, trail *Trail, n int) {
	t.Helper()
	for range n {
		record(t, d, trail, request, auth.Event{Kind: auth.SessionStarted, User: "u1"})
		if _, err := trail.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// A7: the record is verified in the background, and what was changed in it shows.
func TestACheckSaysWhatWasChanged(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail := New(d, key, ticking())
		if c, err := trail.Checked(t.Context()); err != nil || !c.At.IsZero() || c.Running {
			t.Fatal("before the first:", c, err)
		}
		sealedIn(t, d, trail, 8)
		c := checked(t, trail, 0)
		if c.At.IsZero() || c.Rows != 8 || c.Findings != 0 || c.Failed != "" || !strings.HasPrefix(c.Head, "8:") || c.Running {
			t.Fatal("a whole record:", c)
		}
		change(t, d, `UPDATE events SET address = '203.0.113.1' WHERE seal < 8`)
		if again := checked(t, trail, time.Hour); again.Findings != 0 || !again.At.Equal(c.At) {
			t.Error("it was checked again too soon: ", again)
		}
		c = checked(t, trail, 0)
		if c.Findings != 7 || len(c.First) != mostFirst || !strings.Contains(c.First[0], "was edited or forged") {
			t.Error("an edited row:", c)
		}
	})
}

// The newest seals removed with their rows leave a chain that is whole in itself: the head of the check before convicts.
func TestAShortenedRecordIsFoundAndStaysFound(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail := New(d, key, ticking())
		sealedIn(t, d, trail, 3)
		checked(t, trail, 0)
		change(t, d, `DELETE FROM events WHERE seal = 3`)
		change(t, d, `DELETE FROM event_seals WHERE seq = 3`)
		for range 2 {
			if c := checked(t, trail, 0); c.Findings != 1 || !strings.Contains(c.First[0], "the anchor") {
				t.Error(c)
			}
		}
		sealedIn(t, d, trail, 2)
		if c := checked(t, trail, 0); c.Findings != 1 {
			t.Error("with new events behind it:", c)
		}
	})
}

// Whoever writes to the database does not make a good check of a bad one.
func TestAForgedCheckIsNone(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail := New(d, key, ticking())
		sealedIn(t, d, trail, 2)
		change(t, d, `UPDATE events SET kind = 'x'`)
		if c := checked(t, trail, 0); c.Findings != 2 {
			t.Fatal(c)
		}
		change(t, d, `UPDATE event_check SET result = '{"rows":2,"findings":0}'`)
		if c, err := trail.Checked(t.Context()); err != nil || !c.At.IsZero() || c.Findings != 0 {
			t.Error(c, err)
		}
	})
}

func TestOneNodeChecksAtATimeAndADeadOneKeepsNobodyAway(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		now := noon
		a, b := New(d, key, func() time.Time { return now }), New(d, key, func() time.Time { return now })
		sealedIn(t, d, a, 1)
		if _, won, err := a.beginCheck(t.Context(), 0); err != nil || !won {
			t.Fatal(won, err)
		}
		if c := checked(t, b, 0); !c.Running || !c.At.IsZero() {
			t.Error("two at once:", c)
		}
		now = now.Add(checkLease) // a died
		if c := checked(t, b, 0); c.Running || !c.At.Equal(now) {
			t.Error("b waits for the dead:", c)
		}
	})
}

// The button asks for a check and does not wait for it.
func TestACheckIsMadeAtTheStartAndOnDemand(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		var mu sync.Mutex
		now := noon
		trail := New(d, key, func() time.Time { mu.Lock(); defer mu.Unlock(); now = now.Add(time.Millisecond); return now })
		var all sync.WaitGroup
		defer all.Wait()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		all.Go(func() { trail.RunChecks(ctx, slog.New(slog.DiscardHandler)) })
		wait := func(after time.Time) time.Time {
			for range 500 {
				if c, err := trail.Checked(t.Context()); err == nil && c.At.After(after) {
					return c.At
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Fatal("no check came")
			return after
		}
		first := wait(time.Time{})
		trail.CheckSoon()
		trail.CheckSoon() // nobody waits for it
		wait(first)
	})
}
