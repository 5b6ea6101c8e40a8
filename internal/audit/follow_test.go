package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// A scribe copies what it is given into a table, in that order. It may be told to fail.
type scribe struct {
	fails func() error
}

func (scribe) Name() string { return "scribe" }

func (s scribe) Follow(ctx context.Context, tx auth.Tx, entries []Entry) error {
	for _, e := range entries {
		if _, err := tx.ExecContext(ctx, `INSERT INTO copied (nr, id, user_id) SELECT COALESCE(MAX(nr), 0) + 1, CAST($1 AS TEXT), CAST($2 AS TEXT) FROM copied`, e.ID, e.User); err != nil {
			return err
		}
	}
	if s.fails != nil {
		return s.fails()
	}
	return nil
}

// followed opens a trail on a database where a scribe can write.
func followed(t *testing.T, d *db.DB, fails func() error) *Trail {
	t.Helper()
	err := d.Tx(t.Context(), func(tx auth.Tx) error {
		_, err := tx.ExecContext(t.Context(), `CREATE TABLE IF NOT EXISTS copied (nr BIGINT PRIMARY KEY, id TEXT NOT NULL, user_id TEXT NOT NULL)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	trail := New(d, key, time.Now)
	trail.Feed(scribe{fails})
	return trail
}

// copies fails unless every sealed event was copied once and in order.
func copies(t *testing.T, d *db.DB, want int) {
	t.Helper()
	if n := count(t, d, `SELECT COUNT(*) FROM copied`); n != want {
		t.Errorf("%d copied, want %d", n, want)
	}
	rows, err := d.QueryContext(t.Context(), `SELECT e.id FROM events e JOIN copied c ON c.id = e.id ORDER BY e.seal, e.at, e.id`)
	inRecord := column(t, rows, err)
	rows, err = d.QueryContext(t.Context(), `SELECT id FROM copied ORDER BY nr`)
	if copied := column(t, rows, err); !slices.Equal(copied, inRecord) {
		t.Errorf("%v, want the order of the record %v", copied, inRecord)
	}
}

func column(t *testing.T, rows interface {
	Next() bool
	Scan(...any) error
	Close() error
}, err error) (all []string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func TestAFollowerIsGivenEverySealedEventOnceInOrder(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail := followed(t, d, nil)
		for round := range 4 {
			record(t, d, trail, request, make([]auth.Event, batch/2+round*300)...)
			for range 2 {
				if _, err := trail.Seal(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			record(t, d, trail, request, auth.Event{Kind: auth.FactorAdded, User: "u1", Actor: "u2"}) // not sealed yet
			if round%2 == 0 {
				continue // two rounds at once
			}
			for range 2 {
				if err := trail.CatchUp(t.Context()); err != nil {
					t.Fatal(err)
				}
				copies(t, d, count(t, d, `SELECT COUNT(*) FROM events WHERE seal IS NOT NULL`))
			}
		}
		got, err := sealed(t.Context(), d, 0, 1<<40)
		if i := slices.IndexFunc(got, func(e Entry) bool { return e.User == "u1" }); err != nil || i < 0 || got[i].Actor != "u2" || got[i].Kind != auth.FactorAdded {
			t.Error("the entry does not say who did what to whom", err)
		}
	})
}

func TestWhatAFollowerDidNotFinishItIsGivenAgain(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		oops := errors.New("oops")
		broken := true
		trail := followed(t, d, func() error {
			if broken {
				return oops
			}
			return nil
		})
		record(t, d, trail, request, make([]auth.Event, 5)...)
		trail.Seal(t.Context())
		for range 2 {
			if err := trail.CatchUp(t.Context()); !errors.Is(err, oops) {
				t.Error(err)
			}
			copies(t, d, 0)
		}
		broken = false
		if err := trail.CatchUp(t.Context()); err != nil {
			t.Error(err)
		}
		copies(t, d, 5)
	})
}

// Each node crashes now and then: in the middle, or when it had written all but not committed.
func TestNodesThatFollowAtOnceLoseAndDoubleNothing(t *testing.T) {
	dbtest.EachAddress(t, schema, func(t *testing.T, address string) {
		const nodes, rounds = 3, 30
		var all sync.WaitGroup
		var once sync.Mutex
		crashes := 0
		first := followed(t, dbtest.Open(t, address), nil)
		for node := range nodes {
			d := dbtest.Open(t, address)
			trail := followed(t, d, func() error {
				once.Lock()
				defer once.Unlock()
				if crashes++; crashes%4 == 0 {
					return errors.New("crash")
				}
				return nil
			})
			all.Go(func() {
				for round := range rounds {
					record(t, d, trail, request, auth.Event{Kind: auth.SessionStarted, User: auth.UserID(fmt.Sprint(node, round))})
					if _, err := trail.Seal(t.Context()); err != nil {
						t.Error(err)
					}
					trail.CatchUp(t.Context()) // fails at times
				}
			})
		}
		all.Wait()
		for range 2 {
			if _, err := first.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := first.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		copies(t, first.db, nodes*rounds)
	})
}

func TestRunFeedsFollowersAndSaysOnceThatOneStaysBehind(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t, schema))
	trail := followed(t, d, func() error { return errors.New("oops") })
	record(t, d, trail, request, make([]auth.Event, 3)...)
	var log strings.Builder
	ctx, stop := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer stop()
	trail.Run(ctx, slog.New(slog.NewTextHandler(&log, nil)))
	if n := strings.Count(log.String(), "stays behind"); n != 1 {
		t.Error(n, log.String())
	}
	copies(t, d, 0)
}
