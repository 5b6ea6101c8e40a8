package db_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

var schema = []fs.FS{fstest.MapFS{"00001_notes.sql": {Data: []byte(`-- +goose Up
CREATE TABLE notes (id TEXT PRIMARY KEY, n BIGINT NOT NULL, flag BOOLEAN NOT NULL DEFAULT FALSE, raw BYTEA);
`)}}}

func count(t *testing.T, d *db.DB) (n int) {
	t.Helper()
	if err := d.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM notes`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func add(tx auth.Tx, id string) error {
	_, err := tx.ExecContext(context.Background(), `INSERT INTO notes (id, n, raw) VALUES ($1, 1, $2)`, id, []byte{0, 1})
	return err
}

func TestAFailedTransactionTakesNothingOfOthersWithIt(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		oops := errors.New("oops")
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				err := d.Tx(t.Context(), func(tx auth.Tx) error {
					if err := add(tx, fmt.Sprint(i)); err != nil {
						return err
					}
					switch i % 4 {
					case 1:
						return oops
					case 2:
						return add(tx, fmt.Sprint(i)) // taken
					}
					return nil
				})
				if wrong := i%4 == 1 || i%4 == 2; wrong != (err != nil) {
					t.Error(i, err)
				}
			})
		}
		all.Wait()
		if n := count(t, d); n != 50 {
			t.Error(n, "rows, want 50")
		}
	})
}

func TestAPanicInATransactionReachesItsCallerOnly(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		func() {
			defer func() {
				if recover() != "boom" {
					t.Error("no panic")
				}
			}()
			d.Tx(t.Context(), func(tx auth.Tx) error { add(tx, "a"); panic("boom") })
		}()
		if err := d.Tx(t.Context(), func(tx auth.Tx) error { return add(tx, "b") }); err != nil {
			t.Error(err)
		}
		if n := count(t, d); n != 1 {
			t.Error(n, "rows, want 1")
		}
	})
}

func TestACallerWhoLeavesDoesNotStopTheOthers(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		gone, leave := context.WithCancel(t.Context())
		leave()
		var all sync.WaitGroup
		for i := range 50 {
			ctx := t.Context()
			if i%2 == 0 {
				ctx = gone
			}
			all.Go(func() {
				err := d.Tx(ctx, func(tx auth.Tx) error { return add(tx, fmt.Sprint(i)) })
				if i%2 == 1 && err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

func TestASignalIsHeardAfterTheCommitOnly(t *testing.T) {
	dbtest.EachAddress(t, schema, func(t *testing.T, address string) {
		here, there := dbtest.Open(t, address), dbtest.Open(t, address)
		heard := make(chan string, 10)
		there.OnSignal("notes", func(p string) { heard <- p }, func() {})
		there.OnSignal("other", func(p string) { t.Error(p) }, func() {})
		go there.Listen(t.Context())
		for !there.Hears() {
			time.Sleep(time.Millisecond)
		}
		here.Tx(t.Context(), func(tx auth.Tx) error {
			here.Signal(t.Context(), tx, "notes", "never")
			return errors.New("rolled back")
		})
		if err := here.Tx(t.Context(), func(tx auth.Tx) error { return here.Signal(t.Context(), tx, "notes", "now then") }); err != nil {
			t.Fatal(err)
		}
		if p := <-heard; p != "now then" {
			t.Error(p)
		}
	})
}

func TestAMistakeInOurSQLIsNotAMissingDatabase(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		_, err := d.QueryContext(t.Context(), `SELEC 1`)
		if err == nil || db.Away(err) {
			t.Error(err)
		}
		d.Close()
		if err := d.QueryRowContext(t.Context(), `SELECT 1`).Scan(new(int)); err == nil {
			t.Error("a closed database answers")
		}
	})
}
