package audit

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

func verify(t *testing.T, trail *Trail, anchor string) (Report, []string) {
	t.Helper()
	var found []string
	report, err := trail.Verify(t.Context(), anchor, func(f Finding) { found = append(found, f.String()) })
	if err != nil {
		t.Fatal(err)
	}
	if report.Findings != int64(len(found)) {
		t.Error(report, found)
	}
	return report, found
}

// chain makes three seals of four rows each, and two rows without one.
func chain(t *testing.T, d *db.DB) *Trail {
	t.Helper()
	trail := New(d, key, ticking())
	four := []auth.Event{{Kind: auth.SessionStarted, User: "u1"}, {Kind: auth.FactorAdded, User: "u1", Actor: "u2", Detail: map[string]string{"name": "iPhone"}},
		{Kind: auth.SignInFailed}, {Kind: auth.SessionEnded, User: "u2"}}
	for range 3 {
		record(t, d, trail, request, four...)
		if _, err := trail.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	record(t, d, trail, request, four[:2]...)
	return trail
}

func change(t *testing.T, d *db.DB, statements ...string) {
	t.Helper()
	err := d.Tx(t.Context(), func(tx auth.Tx) error {
		for _, s := range statements {
			r, err := tx.ExecContext(t.Context(), s)
			if err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
			if n, _ := r.RowsAffected(); n == 0 && !strings.HasPrefix(s, "CREATE") {
				t.Errorf("%s: changed nothing", s)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func keep(t *testing.T, d *db.DB) (restore func()) {
	t.Helper()
	change(t, d, `CREATE TABLE kept AS SELECT * FROM events`, `CREATE TABLE kept_seals AS SELECT * FROM event_seals`)
	return func() {
		t.Helper()
		change(t, d, `DELETE FROM events`, `INSERT INTO events SELECT * FROM kept`)
		d.Tx(t.Context(), func(tx auth.Tx) error {
			_, err := tx.ExecContext(t.Context(), `DELETE FROM event_seals`)
			return err
		})
		change(t, d, `INSERT INTO event_seals SELECT * FROM kept_seals`)
	}
}

// A7
func TestAnHonestRecordVerifies(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		if report, found := verify(t, New(d, key, time.Now), ""); len(found) > 0 || report != (Report{}) {
			t.Error("empty:", report, found)
		}
		trail := chain(t, d)
		report, found := verify(t, trail, "")
		if len(found) > 0 || report.Rows != 14 || report.Seals != 3 || report.Unsealed != 2 || !strings.HasPrefix(report.Head, "3:") {
			t.Error(report, found)
		}
		trail.Seal(t.Context())
		later, found := verify(t, trail, report.Head)
		if len(found) > 0 || later.Rows != 14 || later.Seals != 4 || later.Unsealed != 0 {
			t.Error(later, found)
		}
	})
}

func TestARecordVerifiesWhileItGrows(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail := New(d, key, time.Now)
		done := make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			defer close(done)
			for range 120 { // more than Verify reads at a time
				record(t, d, trail, request, auth.Event{Kind: auth.SessionStarted}, auth.Event{Kind: auth.SessionEnded})
				if _, err := trail.Seal(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		for growing := true; growing; {
			select {
			case <-done:
				growing = false
			default:
			}
			if _, found := verify(t, trail, ""); len(found) > 0 {
				t.Fatal(found)
			}
		}
		if report, _ := verify(t, trail, ""); report.Seals != 120 || report.Rows != 240 {
			t.Error(report)
		}
	})
}

const (
	one = ` WHERE id = (SELECT MIN(id) FROM events WHERE seal = 2)`
	two = ` WHERE id = (SELECT MAX(id) FROM events WHERE seal = 2)`
	// forged begins a row like the one, with another id.
	forged = `INSERT INTO events SELECT 'X', at, kind, user_id, actor_id, face, request_id, address, browser, detail, mac, `
)

// A7
func TestEveryChangeOfARowIsFound(t *testing.T) {
	edits := map[string]string{
		"at":   `at + 1`,
		"mac":  `(SELECT mac FROM kept WHERE id = (SELECT MIN(id) FROM kept WHERE seal = 1))`,
		"seal": `3`,
	}
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail := chain(t, d)
		restore := keep(t, d)
		rows, err := d.QueryContext(t.Context(), `SELECT * FROM events`)
		if err != nil {
			t.Fatal(err)
		}
		names, _ := rows.Columns()
		rows.Close()
		for _, column := range names {
			for _, state := range []string{`seal = 2`, `seal IS NULL`} {
				to := edits[column]
				if to == "" {
					to = column + ` || 'x'`
				}
				change(t, d, `UPDATE events SET `+column+` = `+to+` WHERE id = (SELECT MIN(id) FROM events WHERE `+state+`)`)
				if _, found := verify(t, trail, ""); len(found) == 0 {
					t.Errorf("an edit of %s where %s is not found", column, state)
				}
				restore()
			}
		}
		if _, found := verify(t, trail, ""); len(found) > 0 {
			t.Error(found)
		}
	})
}

// A7
func TestEveryTamperingIsFoundWhereItHappened(t *testing.T) {
	cases := []struct {
		what string
		do   []string
		want string // in a finding
	}{
		{"row emptied", []string{`UPDATE events SET browser = ''` + one}, "in seal 2 was edited"},
		{"address moved to browser", []string{`UPDATE events SET address = '', browser = address || browser` + one}, "in seal 2 was edited"},
		{"row given to another", []string{`UPDATE events SET user_id = 'u9'` + one}, "in seal 2 was edited"},
		{"all edited", []string{`UPDATE events SET user_id = 'u9'`}, "in seal 3 was edited"},
		{"MAC replaced", []string{`UPDATE events SET mac = (SELECT hash FROM event_seals WHERE seq = 1)` + one}, "in seal 2 was edited"},
		{"MACs swapped", []string{`UPDATE events SET mac = (SELECT mac FROM kept` + two + `)` + one, `UPDATE events SET mac = (SELECT mac FROM kept` + one + `)` + two}, "in seal 2 was edited"},
		{"times swapped", []string{`UPDATE events SET at = (SELECT at FROM kept` + two + `)` + one, `UPDATE events SET at = (SELECT at FROM kept` + one + `)` + two}, "in seal 2 was edited"},
		{"row removed", []string{`DELETE FROM events` + one}, "seal 2 closed 4 rows, but has 3"},
		{"first row removed", []string{`DELETE FROM events WHERE at = (SELECT MIN(at) FROM events)`}, "seal 1 closed 4 rows, but has 3"},
		{"last sealed row removed", []string{`DELETE FROM events WHERE at = (SELECT MAX(at) FROM events WHERE seal = 3)`}, "seal 3 closed 4 rows, but has 3"},
		{"a seal's rows removed", []string{`DELETE FROM events WHERE seal = 2`}, "seal 2 closed 4 rows, but has 0"},
		{"row removed, count mended", []string{`DELETE FROM events` + one, `UPDATE event_seals SET rows = 3 WHERE seq = 2`}, "seal 2 does not match"},
		{"row removed, another instead", []string{forged + `2 FROM events` + one, `DELETE FROM events WHERE id = (SELECT id FROM kept` + one + `)`}, `event "X" in seal 2 was edited`},
		{"row unsealed", []string{`UPDATE events SET seal = NULL` + one}, "seal 2 closed 4 rows, but has 3"},
		{"row added to a seal", []string{forged + `2 FROM events` + one}, `event "X" in seal 2 was edited or forged`},
		{"row added to a seal, count mended", []string{forged + `2 FROM events` + one, `UPDATE event_seals SET rows = 5 WHERE seq = 2`}, "seal 2 does not match"},
		{"row added unsealed", []string{forged + `NULL FROM events` + one}, `event "X" was edited or forged`},
		{"true row added to a seal", []string{`UPDATE events SET seal = 2 WHERE id = (SELECT MIN(id) FROM events WHERE seal IS NULL)`}, "seal 2 closed 4 rows, but has 5"},
		{"row moved to another seal", []string{`UPDATE events SET seal = 1` + one}, "seal 1 closed 4 rows, but has 5"},
		{"rows swapped between seals", []string{`UPDATE events SET seal = 1` + one, `UPDATE events SET seal = 2 WHERE id = (SELECT MIN(id) FROM kept WHERE seal = 1)`}, "seal 2 does not match"},
		{"row before all seals", []string{`UPDATE events SET seal = 0` + one}, "names a seal that is not there"},
		{"row far below all seals", []string{`UPDATE events SET seal = -5` + one}, "in seal -5 names a seal that is not there"},
		{"row behind all seals", []string{`UPDATE events SET seal = 99` + one}, "in seal 99 names a seal that is not there"},

		{"seal edited: at", []string{`UPDATE event_seals SET at = at + 1 WHERE seq = 2`}, "seal 2 does not match"},
		{"seal edited: rows", []string{`UPDATE event_seals SET rows = 5 WHERE seq = 2`}, "seal 2 closed 5 rows, but has 4"},
		{"seal edited: hash", []string{`UPDATE event_seals SET hash = (SELECT mac FROM events` + one + `) WHERE seq = 2`}, "seal 2 does not match"},
		{"newest seal edited: hash", []string{`UPDATE event_seals SET hash = (SELECT mac FROM events` + one + `) WHERE seq = 3`}, "seal 3 does not match"},
		{"seal renumbered", []string{`UPDATE event_seals SET seq = 9 WHERE seq = 2`}, "in seal 2 names a seal that is not there"},
		{"seal and rows renumbered", []string{`UPDATE event_seals SET seq = 9 WHERE seq = 3`, `UPDATE events SET seal = 9 WHERE seal = 3`}, "seal 9 does not match"},
		{"hashes swapped", []string{`UPDATE event_seals SET hash = (SELECT hash FROM kept_seals WHERE seq = 3 - event_seals.seq) WHERE seq < 3`}, "seal 1 does not match"},
		{"seals swapped with their rows", []string{`UPDATE event_seals SET seq = 9 WHERE seq = 1`, `UPDATE event_seals SET seq = 1 WHERE seq = 2`, `UPDATE event_seals SET seq = 2 WHERE seq = 9`,
			`UPDATE events SET seal = 3 - seal WHERE seal < 3`}, "seal 1 does not match"},
		{"first seal removed", []string{`DELETE FROM event_seals WHERE seq = 1`}, "seal 2 does not follow seal 0"},
		{"first seal removed with its rows", []string{`DELETE FROM event_seals WHERE seq = 1`, `DELETE FROM events WHERE seal = 1`}, "seal 2 does not follow seal 0"},
		{"first seal removed with its rows, renumbered", []string{`DELETE FROM event_seals WHERE seq = 1`, `DELETE FROM events WHERE seal = 1`,
			`UPDATE event_seals SET seq = 1 WHERE seq = 2`, `UPDATE event_seals SET seq = 2 WHERE seq = 3`, `UPDATE events SET seal = seal - 1`}, "seal 1 does not match"},
		{"seal removed", []string{`DELETE FROM event_seals WHERE seq = 2`}, "seal 3 does not follow seal 1"},
		{"seal removed with its rows", []string{`DELETE FROM event_seals WHERE seq = 2`, `DELETE FROM events WHERE seal = 2`}, "seal 3 does not follow seal 1"},
		{"newest seal removed", []string{`DELETE FROM event_seals WHERE seq = 3`}, "in seal 3 names a seal that is not there"},
		{"all seals removed", []string{`DELETE FROM event_seals`}, "in seal 1 names a seal that is not there"},
		{"seal added", []string{`INSERT INTO event_seals SELECT 4, at, 0, hash FROM event_seals WHERE seq = 3`}, "seal 4 does not match"},
		{"seal added with a row", []string{`INSERT INTO event_seals SELECT 4, at, 1, hash FROM event_seals WHERE seq = 3`, `UPDATE events SET seal = 4 WHERE id = (SELECT MIN(id) FROM events WHERE seal IS NULL)`}, "seal 4 does not match"},
		{"seal added far away", []string{`INSERT INTO event_seals SELECT 9223372036854775807, at, 0, hash FROM event_seals WHERE seq = 3`}, "seal 9223372036854775807 does not follow seal 3"},
		{"rows merged into one seal", []string{`UPDATE events SET seal = 1 WHERE seal = 2`, `UPDATE event_seals SET rows = 8 WHERE seq = 1`, `DELETE FROM event_seals WHERE seq = 2`, `UPDATE event_seals SET seq = 2 WHERE seq = 3`, `UPDATE events SET seal = 2 WHERE seal = 3`}, "seal 1 does not match"},
	}
	// SQLite keeps any type in any column, so a row can be hidden from a search and look the same.
	odd := cases[:0:0]
	for column := range strings.SplitSeq("id kind user_id actor_id face request_id address browser detail", " ") {
		odd = append(odd, cases[0])
		odd[len(odd)-1].what, odd[len(odd)-1].do = column+" as blob", []string{`UPDATE events SET ` + column + ` = CAST(` + column + ` AS BLOB)` + one}
	}
	odd = append(odd, []struct {
		what string
		do   []string
		want string
	}{
		{"time as text", []string{`UPDATE events SET at = 'x'` + one}, "in seal 2 was edited"},
		{"MAC as text", []string{`UPDATE events SET mac = 'x'` + one}, "in seal 2 was edited"},
		{"seal as text", []string{`UPDATE events SET seal = 'x'` + one}, "names a seal that is not there"},
		{"seal as fraction", []string{`UPDATE events SET seal = 1.5` + one}, "names a seal that is not there"},
		{"seal numbered with text", []string{`INSERT INTO event_seals SELECT 'x', at, 0, hash FROM event_seals WHERE seq = 3`}, "does not follow seal 3"},
		{"seal numbered with a fraction", []string{`INSERT INTO event_seals SELECT 2.5, at, 0, hash FROM event_seals WHERE seq = 3`}, "does not follow seal 2"},
		{"seal with a text for a time", []string{`UPDATE event_seals SET at = 'x' WHERE seq = 2`}, "seal 2 does not match"},
		{"seal with a text for a hash", []string{`UPDATE event_seals SET hash = 'x' WHERE seq = 3`}, "seal 3 does not match"},
		{"seal with a text for rows", []string{`UPDATE event_seals SET rows = 'x' WHERE seq = 3`}, "seal 3 closed 0 rows"},
	}...)
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail := chain(t, d)
		restore := keep(t, d)
		here := cases
		if strings.HasSuffix(t.Name(), "sqlite") {
			here = append(here[:len(here):len(here)], odd...)
		}
		for _, c := range here {
			change(t, d, c.do...)
			if _, found := verify(t, trail, ""); !strings.Contains(strings.Join(found, "\n"), c.want) {
				t.Errorf("%s: want %q, found %q", c.what, c.want, found)
			}
			restore()
		}
		if _, found := verify(t, trail, ""); len(found) > 0 {
			t.Error(found)
		}
	})
}

func TestOneEditAccusesOneRow(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail := chain(t, d)
		change(t, d, `UPDATE events SET detail = '{}' WHERE detail <> '{}' AND seal = 1`)
		if _, found := verify(t, trail, ""); len(found) != 1 || !strings.HasSuffix(found[0], "in seal 1 was edited or forged") {
			t.Error(found)
		}
	})
}

func TestASealWithAnOddNumberAccusesNoOther(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t, schema))
	trail := chain(t, d)
	change(t, d, `INSERT INTO event_seals SELECT 'x', at, 0, hash FROM event_seals WHERE seq = 3`)
	_, found := verify(t, trail, "")
	for _, f := range found {
		if !strings.HasPrefix(f, "seal 0 ") {
			t.Error(f)
		}
	}
}

func TestARemovedTailIsFoundByAnAnchorOnly(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail := chain(t, d)
		head, _ := verify(t, trail, "")
		change(t, d, `DELETE FROM events WHERE seal = 3`, `DELETE FROM event_seals WHERE seq = 3`)
		earlier, found := verify(t, trail, "")
		if len(found) > 0 {
			t.Error(found)
		}
		for _, anchor := range []string{head.Head, "2" + head.Head[1:], "3:", "nonsense"} {
			if _, found := verify(t, trail, anchor); len(found) != 1 || !strings.Contains(found[0], "the anchor "+anchor+" is not in the chain") {
				t.Error(anchor, found)
			}
		}
		trail.Seal(t.Context()) // takes the number 3 again
		if _, found := verify(t, trail, head.Head); len(found) != 1 {
			t.Error(found)
		}
		if _, found := verify(t, trail, earlier.Head); len(found) > 0 {
			t.Error("an old head does not hold:", found)
		}
	})
}

func TestASealThatWasOnceTrueDoesNotFitBackIn(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail := chain(t, d)
		keep(t, d)
		change(t, d, `DELETE FROM events WHERE seal = 3`, `DELETE FROM event_seals WHERE seq = 3`)
		for range 2 {
			trail.Seal(t.Context())
			record(t, d, trail, request, auth.Event{Kind: auth.SessionStarted})
		}
		change(t, d, `DELETE FROM events WHERE seal = 3`, `INSERT INTO events SELECT * FROM kept WHERE seal = 3`,
			`DELETE FROM event_seals WHERE seq = 3`, `INSERT INTO event_seals SELECT * FROM kept_seals WHERE seq = 3`)
		if _, found := verify(t, trail, ""); len(found) != 1 || !strings.HasPrefix(found[0], "seal 4 does not match") {
			t.Error(found)
		}
	})
}

func TestARowThatTheSealsPassedOverIsFound(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		chain(t, d)
		for ago, want := range map[time.Duration]int{lateness / 2: 0, 2 * lateness: 1} {
			late := New(d, key, func() time.Time { return noon.Add(-ago) })
			record(t, d, late, request, auth.Event{Kind: auth.SignInFailed})
			if _, found := verify(t, late, ""); len(found) != want {
				t.Error(ago, found)
			}
			change(t, d, `DELETE FROM events WHERE seal IS NULL`)
		}
	})
}

func TestAnotherKeyFitsNothing(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		chain(t, d)
		report, found := verify(t, New(d, []byte("another"), time.Now), "")
		if int64(len(found)) != report.Rows+report.Seals || report.Rows != 14 {
			t.Error(report, found)
		}
	})
}
