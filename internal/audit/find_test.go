package audit

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// withPeople is a database with the two columns of the people that a search looks at.
func withPeople(t *testing.T, d *db.DB, groups map[string]string) {
	t.Helper()
	err := d.Tx(t.Context(), func(tx auth.Tx) error {
		for _, s := range []string{`CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, workgroup_id TEXT NOT NULL)`,
			`CREATE INDEX IF NOT EXISTS users_workgroup ON users (workgroup_id) WHERE workgroup_id <> ''`} {
			if _, err := tx.ExecContext(t.Context(), s); err != nil {
				return err
			}
		}
		for id, g := range groups {
			if _, err := tx.ExecContext(t.Context(), `INSERT INTO users (id, workgroup_id) VALUES ($1, $2)`, id, g); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var groups = map[string]string{"u1": "w1", "u2": "w1", "u3": "w2", "u4": ""}

// naive is what Find promises, word by word.
func naive(f Filter, e Entry) bool {
	switch {
	case f.People != nil && !slices.Contains(f.People, e.User) && (e.Actor == "" || !slices.Contains(f.People, e.Actor)):
	case f.Kinds != nil && !slices.Contains(f.Kinds, e.Kind):
	case f.Address != "" && e.Address != f.Address:
	case !f.From.IsZero() && e.At.Before(f.From), !f.To.IsZero() && !e.At.Before(f.To):
	case f.Before != "" && e.ID >= f.Before, f.After != "" && e.ID <= f.After:
	default:
		if f.Range.IsValid() {
			if a, err := netip.ParseAddr(e.Address); err != nil || !f.Range.Contains(a) {
				return false
			}
		}
		g := f.Within
		return g == nil || g.Workgroup != "" && groups[string(e.User)] == string(g.Workgroup) || e.Actor != "" && e.Actor == g.Viewer
	}
	return false
}

// A7: whatever is asked for, the record answers with all of it, in order, page by page, in both directions.
func TestASearchFindsWhatAReaderOfTheWholeRecordWould(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		withPeople(t, d, groups)
		trail := New(d, key, ticking())
		people := []auth.UserID{"", "u1", "u2", "u3", "u4", "gone"}
		kinds := []auth.EventKind{auth.SessionStarted, auth.SignInFailed, auth.FactorAdded, auth.RoleSet, auth.UserAdded}
		addresses := []string{"", "192.0.2.7", "192.0.2.70", "192.0.27.1", "192.1.0.1", "2001:db8:1::7", "2001:db8:12::7", "fe80::1%eth_%", "10.0.0.1"}
		err := d.Tx(t.Context(), func(tx auth.Tx) error {
			for i := range 400 {
				o := auth.Origin{RequestID: fmt.Sprint(i), Face: "page"}
				if a := addresses[i*7%len(addresses)]; a != "" {
					o.Address = netip.MustParseAddr(a)
				}
				e := auth.Event{Kind: kinds[i*i%len(kinds)], User: people[i*5/3%len(people)], Actor: people[i*11/4%len(people)]}
				if err := trail.Record(from(t, o), tx, e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := trail.sealAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		whole, err := trail.Find(t.Context(), Filter{}, 1000)
		if err != nil || len(whole.Entries) != 400 || whole.Next != "" {
			t.Fatal(len(whole.Entries), whole.Next, err)
		}
		all := whole.Entries
		rapid.Check(t, func(t *rapid.T) {
			f := Filter{}
			if rapid.Bool().Draw(t, "people") {
				f.People = rapid.SliceOfNDistinct(rapid.SampledFrom(people[1:]), 0, 3, rapid.ID).Draw(t, "of")
			}
			if rapid.Bool().Draw(t, "kinds") {
				f.Kinds = rapid.SliceOfNDistinct(rapid.SampledFrom(kinds), 0, 3, rapid.ID).Draw(t, "kind")
			}
			switch rapid.IntRange(0, 3).Draw(t, "where") {
			case 1:
				f.Address = rapid.SampledFrom(addresses[1:]).Draw(t, "address")
			case 2:
				f.Range = netip.MustParsePrefix(rapid.SampledFrom([]string{"192.0.2.0/24", "192.0.0.0/16", "192.0.0.0/8", "2001:db8:1::/48", "2001:db8::/32", "10.0.0.1/32"}).Draw(t, "range"))
			}
			if rapid.Bool().Draw(t, "from") {
				f.From = noon.Add(time.Duration(rapid.IntRange(0, 401).Draw(t, "since")) * time.Second)
			}
			if rapid.Bool().Draw(t, "to") {
				f.To = noon.Add(time.Duration(rapid.IntRange(0, 401).Draw(t, "until")) * time.Second)
			}
			if rapid.Bool().Draw(t, "scoped") {
				f.Within = &Scope{rapid.SampledFrom([]auth.WorkgroupID{"w1", "w2", "", "w3"}).Draw(t, "group"), rapid.SampledFrom([]auth.UserID{"u1", "u3", "u4", ""}).Draw(t, "viewer")}
			}
			newer := rapid.Bool().Draw(t, "newer")
			if newer {
				f.After = all[rapid.IntRange(0, len(all)-1).Draw(t, "after")].ID
			} else if rapid.Bool().Draw(t, "page") {
				f.Before = all[rapid.IntRange(0, len(all)-1).Draw(t, "before")].ID
			}
			var want, got []string
			for _, e := range all {
				if naive(f, e) {
					want = append(want, e.ID)
				}
			}
			n := rapid.SampledFrom([]int{1, 3, 50}).Draw(t, "n")
			for {
				found, err := trail.Find(context.Background(), f, n)
				if err != nil || len(found.Entries) > n {
					t.Fatal(len(found.Entries), err)
				}
				page := make([]string, len(found.Entries))
				for i, e := range found.Entries {
					page[i] = e.ID
				}
				if newer {
					got = append(page, got...)
				} else {
					got = append(got, page...)
				}
				if found.Next == "" {
					break
				}
				if newer {
					f.After = found.Next
				} else {
					f.Before = found.Next
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%+v:\n got %d %v\nwant %d %v", f, len(got), got, len(want), want)
			}
		})
	})
}

// A search that lets little through stops, says where, and goes on there: nothing is lost.
func TestALongSearchGoesOnWhereItStopped(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		withPeople(t, d, nil)
		fill(t, d, 50_000, func(i int) (kind, user, address string) {
			if i == 5 || i == 48_000 {
				return "session.started", "u1", "198.51.100.1"
			}
			return "session.started", "u2", "10.0.0.1"
		})
		trail := New(d, key, ticking())
		f, seen, rounds := Filter{Range: netip.MustParsePrefix("198.51.100.0/24")}, 0, 0
		for more := true; more; rounds++ {
			found, err := trail.Find(t.Context(), f, 50)
			if err != nil {
				t.Fatal(err)
			}
			seen += len(found.Entries)
			f.Before, more = found.Next, found.Next != ""
			if more != found.Short {
				t.Fatal("it says nothing of having stopped")
			}
		}
		if seen != 2 || rounds != 3 {
			t.Error(seen, "found in", rounds)
		}
	})
}

// fill writes many rows at once, a second apart.
func fill(t testing.TB, d *db.DB, n int, of func(i int) (kind, user, address string)) {
	t.Helper()
	const at, together = 500, 10_000
	for first := 0; first < n; first += together {
		err := d.Tx(t.Context(), func(tx auth.Tx) error {
			for from := first; from < min(n, first+together); from += at {
				var text strings.Builder
				var args []any
				for i := from; i < min(n, from+at); i++ {
					kind, user, address := of(i)
					micros := noon.Add(time.Duration(i) * time.Second).UnixMicro()
					k := len(args)
					fmt.Fprintf(&text, `, ($%d, $%d, $%d, '', 'page', 'r', $%d, 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', '{"factors":"password totp"}', $%d, $%d, $%d)`, k+1, k+2, k+3, k+4, k+5, k+6, k+7)
					args = append(args, newID(micros), kind, user, address, micros, make([]byte, 32), int64(1+i/1000))
				}
				if _, err := tx.ExecContext(t.Context(), `INSERT INTO events (`+columns+`, seal) VALUES `+text.String()[2:], args...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestOnlySearchableRangesAreTaken(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:DB8::1": "2001:db8::1", "192.0.2.99/24": "192.0.2.0/24", "10.0.0.0/8": "10.0.0.0/8",
		"2001:db8::/32": "2001:db8::/32", "": "", "192.0.2": "", "192.0.2.0/20": "", "0.0.0.0/0": "", "2001:0:1::/48": "", "2001:db8::/40": "", "%": "", "192.0.2.0/24/8": "",
	} {
		address, within, err := Searchable(text)
		got := address
		if within.IsValid() {
			got = within.String()
		}
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
}

// A few events by default. With more it measures: SALLYPORT_MEASURE=1000000 go test -v -run Million ./internal/audit.
func TestAMillionEventsAreSearchedInNoTime(t *testing.T) {
	n := 10_000
	fmt.Sscan(os.Getenv("SALLYPORT_MEASURE"), &n)
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		people := map[string]string{}
		for i := range 20_000 {
			people[fmt.Sprint("u", i)] = fmt.Sprint("w", i/50)
			if i >= 10_000 {
				people[fmt.Sprint("u", i)] = "big"
			}
		}
		withPeople(t, d, people)
		const chunk = 10_000
		for from := 0; from < n; from += chunk {
			err := d.Tx(t.Context(), func(tx auth.Tx) error {
				_, err := tx.ExecContext(t.Context(), `INSERT INTO events (`+columns+`, seal)
					WITH RECURSIVE n (i) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < $2), e (i, u) AS (SELECT i, i * 7919 % 20000 FROM n)
					SELECT '0000' || CAST(1000000000 + i AS TEXT) || 'AAAAAAAAAAAAAAAA',
						CASE WHEN i % 50000 = 7 THEN 'policy.changed' WHEN i % 4 = 0 THEN 'session.started' WHEN i % 4 = 1 THEN 'session.ended' WHEN i % 4 = 2 THEN 'signin.failed' ELSE 'stepup.done' END,
						'u' || CAST(u AS TEXT), '', 'page', 'r', '10.' || CAST(u / 5000 AS TEXT) || '.' || CAST(u / 100 % 50 AS TEXT) || '.' || CAST(u % 100 AS TEXT),
						'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', '{"factors":"password totp"}', i, $3, 1 + i / 1000 FROM e`,
					from, from+chunk-1, make([]byte, 32))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Tx(t.Context(), func(tx auth.Tx) error { _, err := tx.ExecContext(t.Context(), `ANALYZE`); return err }); err != nil {
			t.Fatal(err)
		}
		trail := New(d, key, ticking())
		for name, f := range map[string]Filter{
			"all": {}, "person": {People: []auth.UserID{"u77"}}, "25 people": {People: some(25)},
			"person and a kind they have none of": {People: []auth.UserID{"u77"}, Kinds: []auth.EventKind{"policy.changed"}},
			"rare kind":                           {Kinds: []auth.EventKind{"policy.changed"}}, "no such kind": {Kinds: []auth.EventKind{"factor.added", "role.set"}},
			"failures": {Kinds: []auth.EventKind{"signin.failed", "stepup.failed", "factor.failed"}},
			"address":  {Address: "10.1.2.3"}, "range": {Range: netip.MustParsePrefix("10.1.2.0/24")}, "no such range": {Range: netip.MustParsePrefix("172.16.0.0/16")},
			"failures from a range":  {Kinds: []auth.EventKind{"signin.failed"}, Range: netip.MustParsePrefix("10.1.2.0/24")},
			"a day":                  {From: noon.Add(100 * time.Hour), To: noon.Add(124 * time.Hour)},
			"failures of an address": {Kinds: []auth.EventKind{"signin.failed"}, Address: "10.1.2.3"},
			"small workgroup":        {Within: &Scope{"w7", "u350"}}, "big workgroup": {Within: &Scope{"big", "u19999"}}, "no workgroup": {Within: &Scope{"none", "u1"}},
			"failures of a small group": {Within: &Scope{"w7", "u350"}, Kinds: []auth.EventKind{"signin.failed"}},
			"failures of a big group":   {Within: &Scope{"big", "u19999"}, Kinds: []auth.EventKind{"signin.failed"}},
			"rare kind of a big group":  {Within: &Scope{"big", "u19999"}, Kinds: []auth.EventKind{"policy.changed"}},
		} {
			var took []time.Duration
			var last Found
			for range 9 {
				began := time.Now()
				found, err := trail.Find(t.Context(), f, 50)
				if err != nil {
					t.Fatal(name, err)
				}
				took, last = append(took, time.Since(began)), found
			}
			slices.Sort(took)
			t.Logf("%-40s median %8v  worst %8v  %d found, short %v", name, took[4].Round(10*time.Microsecond), took[8].Round(10*time.Microsecond), len(last.Entries), last.Short)
		}
	})
}

func some(n int) (people []auth.UserID) {
	for i := range n {
		people = append(people, auth.UserID(fmt.Sprint("u", i*31)))
	}
	return people
}
