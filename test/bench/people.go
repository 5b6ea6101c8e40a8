package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/workgroup"
)

// listed asks what an administrator waits for who looks for people among very many. Its numbers are milliseconds, its
// limit as many rows by their primary key.
func listed(b *bench) error {
	if err := b.listedIn(filepath.Join(b.dir, "people.db"), "SQLite"); err != nil {
		return err
	}
	if postgres() == "" {
		b.say("  no PostgreSQL: SALLYPORT_TEST_POSTGRES is not set")
		return nil
	}
	var w world
	if err := b.createDatabase(&w, "people"); err != nil {
		return err
	}
	return b.listedIn(w.database, "PostgreSQL")
}

func (b *bench) listedIn(address, engine string) error {
	d, err := db.Open(b.ctx, address, 4)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Migrate(b.ctx, app.Schemas...); err != nil {
		return err
	}
	began, n := time.Now(), b.size.listed
	if err := manyPeople(b.ctx, d, n); err != nil {
		return err
	}
	b.say("  %s: %d people in %v", engine, n, time.Since(began).Round(time.Second))
	if err := settled(b.ctx, d, engine); err != nil {
		return err
	}
	clock := time.Now
	users := user.NewStore(d)
	people := directory.New(directory.Parts{DB: d, Users: users, Roster: roster.New(policy.Rules{}, workgroup.NewStore(d), clock), Throttle: throttle.New(d, clock),
		Trail: audit.New(d, []byte("a key"), clock), Clock: clock})
	list := func(q directory.Query) func() error {
		return func() error {
			_, err := people.List(b.ctx, q)
			return err
		}
	}
	bare := func() error { return fifty(b.ctx, d, n) }
	for _, l := range lists(n) {
		found, err := alternate(b.size.pairs, milliseconds(list(l.Query)), milliseconds(bare))
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		b.table.compare("people, "+engine+", "+l.name, found[0], "ms", nil)
	}
	return b.export(people, engine, bare)
}

// export reads all people as for a CSV, and says by how much the heap grew at most.
func (b *bench) export(people *directory.Directory, engine string, bare func() error) error {
	var rows, peak int
	before := heap()
	began := time.Now()
	err := people.Each(b.ctx, directory.Query{}, func(directory.Person) error {
		if rows++; rows%20_000 == 0 {
			peak = max(peak, heap()-before)
		}
		return nil
	})
	if err != nil {
		return err
	}
	perPage := time.Since(began).Seconds() * 1000 / float64(rows) * 50
	limit, err := milliseconds(bare)()
	if err != nil {
		return err
	}
	b.table.add(fmt.Sprintf("people, %s, all %d of them", engine, rows), time.Since(began).Seconds(), "s", nil)
	b.table.compare("people, "+engine+", 50 of all of them", comparison{ours: perPage, limit: limit[0], ratio: perPage / limit[0]}, "ms", nil)
	b.table.add("people, "+engine+", all of them, peak heap", float64(peak)/1e6, "MB", nil)
	return nil
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// milliseconds is the median of a few runs.
func milliseconds(f func() error) func() ([]float64, error) {
	return func() ([]float64, error) {
		var all []float64
		for range 5 {
			began := time.Now()
			if err := f(); err != nil {
				return nil, err
			}
			all = append(all, time.Since(began).Seconds()*1000)
		}
		return []float64{median(all)}, nil
	}
}

var fiftyText = `SELECT id, login, name, role, added_at FROM users WHERE id IN (` + strings.TrimSuffix(strings.Repeat("%, ", 50), ", ") + `)`

// fifty is the least: as many rows as a page has.
func fifty(ctx context.Context, d *db.DB, n int) error {
	var (
		args []any
		text strings.Builder
	)
	for i := range 50 {
		args = append(args, string(id(i*(n/50))))
	}
	for i, piece := range strings.Split(fiftyText, "%") {
		if text.WriteString(piece); i < 50 {
			fmt.Fprintf(&text, "$%d", i+1)
		}
	}
	rows, err := d.QueryContext(ctx, text.String(), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			id, login, name, role string
			at                    int64
		)
		if err := rows.Scan(&id, &login, &name, &role, &at); err != nil {
			return err
		}
	}
	return rows.Err()
}

// settled waits until the statistics and the free pages are as they are on a machine that runs for long.
func settled(ctx context.Context, d *db.DB, engine string) error {
	if engine == "SQLite" {
		return nil
	}
	for _, table := range []string{"users", "directory", "directory_words", "directory_tallies", "directory_classes"} {
		rows, err := d.QueryContext(ctx, `VACUUM ANALYZE `+table)
		if err != nil {
			return err
		}
		rows.Close()
	}
	return nil
}

type aList struct {
	name string
	directory.Query
}

func lists(n int) []aList {
	group := auth.WorkgroupID("workgroup 1")
	whole := named(n / 2)
	some := []aList{
		{"first page", directory.Query{}},
		{"no second step", directory.Query{Factor: directory.NoFactor}},
		{"SMS only", directory.Query{Factor: directory.SMSOnly}},
		{"passkey", directory.Query{Factor: "passkey"}},
		{"admins", directory.Query{Role: directory.AnyAdmin}},
		{"locked", directory.Query{Status: directory.Locked}},
		{"invited", directory.Query{Status: directory.Invited}},
		{"workgroup", directory.Query{Workgroup: group}},
		{"workgroup's locked by sign-in", directory.Query{Workgroup: group, Status: directory.Locked, Sort: directory.BySignIn, Descending: true}},
		{"no second step in a workgroup by email", directory.Query{Workgroup: group, Factor: directory.NoFactor, Sort: directory.ByLogin}},
		{"invited by sign-in", directory.Query{Status: directory.Invited, Sort: directory.BySignIn, Descending: true}},
		{"search a", directory.Query{Search: "a"}},
		{"search z, backwards by name", directory.Query{Search: "z", Descending: true}},
		{"search a frequent first name", directory.Query{Search: firsts[0]}},
		{"search a less frequent first name", directory.Query{Search: firsts[len(firsts)-1]}},
		{"search a rare word", directory.Query{Search: fmt.Sprint("n", n/3)}},
		{"search a whole email", directory.Query{Search: whole.login}},
		{"search two words", directory.Query{Search: firsts[40] + " " + lasts[7]}},
		{"search two beginnings", directory.Query{Search: firsts[3][:2] + " " + lasts[9][:2]}},
		{"search the domain of all", directory.Query{Search: "example"}},
		{"search one domain of many, newest first", directory.Query{Search: "firm3", Sort: directory.ByAdded, Descending: true}},
		{"search nobody", directory.Query{Search: "qqqq"}},
		{"search a first name, no second step, by email", directory.Query{Search: firsts[5], Factor: directory.NoFactor, Sort: directory.ByLogin}},
		{"search a in a workgroup, admins", directory.Query{Search: "a", Workgroup: group, Role: directory.AnyAdmin}},
	}
	for _, s := range directory.Sorts {
		some = append(some, aList{"by " + string(s), directory.Query{Sort: s}}, aList{"by " + string(s) + ", backwards", directory.Query{Sort: s, Descending: true}})
	}
	return some
}

// firsts and lasts are names, the frequent ones first.
var firsts, lasts = syllables(400, 2), syllables(8000, 3)

func syllables(n, each int) (all []string) {
	const heads, tails = "bdfghjklmnprstvwz", "aeiou"
	for i := range n {
		var name strings.Builder
		for x, j := uint32(i)*2654435761, 0; j < each; j++ {
			name.WriteByte(heads[x%17])
			x /= 17
			name.WriteByte(tails[x%5])
			x /= 5
		}
		if name.Len() > 0 && i%3 == 0 {
			all = append(all, "a"+name.String())
		} else {
			all = append(all, name.String())
		}
	}
	return all
}

// A bearer is one of very many people, as the directory has them.
type bearer struct {
	id, name, login, group, role, status, factors string
	added, seen                                   int64
}

// named is the same person each time: few names are frequent, most are rare.
func named(i int) bearer {
	x := uint64(i)*0x9E3779B97F4A7C15 + 1
	x ^= x >> 29
	f, l := float64(x%10007)/10007, float64(x/10007%10009)/10009
	first, last := firsts[int(f*f*f*float64(len(firsts)))], lasts[int(l*l*float64(len(lasts)))]
	p := bearer{id: string(id(i)), name: first + " " + last, login: fmt.Sprintf("%s.%s.n%d@firm%d.example", first, last, i, i*40/1_000_000),
		group: fmt.Sprint("workgroup ", i/977%1000), role: "member", status: "active",
		factors: []string{"", "", "", "totp", "totp", "totp", "passkey", "passkey", "passkey totp", "sms"}[i*31%10],
		added:   1_700_000_000_000_000 + int64(i)*1_000_000, seen: 1_760_000_000_000_000 + int64(uint32(i)*2654435761)*1000}
	if i%10 == 3 {
		p.group = "workgroup 1"
	}
	if i%5000 == 7 {
		p.role = []string{"owner", "admin", "support", "workgroup admin"}[i/5000%4]
	}
	switch x := i * 7919 % 1000; {
	case x < 1:
		p.status = "locked"
	case x < 50:
		p.status = "disabled"
	case x < 120:
		p.status, p.factors = "invited", ""
	}
	return p
}

// manyPeople writes n of them straight into the tables.
func manyPeople(ctx context.Context, d *db.DB, n int) error {
	err := insert(ctx, d, `users (id, login, login_key, email, email_key, name, role, added_at, workgroup_id)`, n, func(i int) []any {
		p := named(i)
		return []any{p.id, p.login, p.login, p.login, p.login, p.name, p.role, p.added, p.group}
	})
	if err != nil {
		return err
	}
	return enter(ctx, d, n, named)
}

// enter writes what the directory would make of people, so that nobody measures how it does.
func enter(ctx context.Context, d *db.DB, n int, of func(i int) bearer) error {
	type alike struct{ role, status, factors string }
	type tally struct {
		group string
		class int
	}
	type entry struct {
		leads int
		word  string
		n     int
	}
	var (
		kinds   []alike
		classes = map[alike]int{}
		sizes   = map[int]int{}
		tallies = map[tally]int{}
		words   []entry
	)
	err := insert(ctx, d, `directory (n, user_id, name, login, workgroup_id, class, shape, words, by_name, by_login, by_added, by_seen, added_at, last_sign_in_at)`, n, func(i int) []any {
		p := of(i)
		k := alike{p.role, p.status, p.factors}
		if classes[k] == 0 {
			kinds = append(kinds, k)
			classes[k] = len(kinds)
		}
		class, key := classes[k], func(head []byte) []byte { return append(head, p.id...) }
		sizes[class]++
		tallies[tally{p.group, class}]++
		has, name := wordsOf(p), strings.ToLower(p.name)
		for _, w := range has {
			e := entry{0, w, i + 1}
			if strings.HasPrefix(name, w) {
				e.leads |= 1
			}
			if strings.HasPrefix(p.login, w) {
				e.leads |= 2
			}
			words = append(words, e)
		}
		return []any{i + 1, p.id, p.name, p.login, p.group, class, "||email", []byte(" " + strings.Join(has, " ") + " "), key([]byte(name + "\x00")), key([]byte(p.login + "\x00")),
			key(binary.BigEndian.AppendUint64(nil, uint64(p.added))), key(binary.BigEndian.AppendUint64(nil, uint64(p.seen))), p.added, p.seen}
	})
	if err != nil {
		return err
	}
	slices.SortFunc(words, func(a, b entry) int { // an index that grows at its end takes them ten times as quickly
		return cmp.Or(cmp.Compare(a.leads, b.leads), strings.Compare(a.word, b.word), cmp.Compare(a.n, b.n))
	})
	var groups []tally
	for t := range tallies {
		groups = append(groups, t)
	}
	return errors.Join(
		insert(ctx, d, `directory_words (leads, word, n)`, len(words), func(i int) []any { return []any{words[i].leads, []byte(words[i].word), words[i].n} }),
		insert(ctx, d, `directory_classes (class, role, status, factors, n)`, len(kinds), func(i int) []any {
			return []any{i + 1, kinds[i].role, kinds[i].status, kinds[i].factors, sizes[i+1]}
		}),
		insert(ctx, d, `directory_tallies (workgroup_id, class, shape, n)`, len(groups), func(i int) []any {
			return []any{groups[i].group, groups[i].class, "||email", tallies[groups[i]]}
		}),
		d.Tx(ctx, func(tx auth.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE directory_state SET last = $1`, n)
			return err
		}),
	)
}

func wordsOf(p bearer) []string {
	all := strings.FieldsFunc(strings.ToLower(p.name)+" "+p.login, func(r rune) bool { return strings.ContainsRune(" .@", r) })
	slices.Sort(all)
	return slices.Compact(all)
}
