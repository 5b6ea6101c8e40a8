package events

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/workgroup"
)

var schemas = []fs.FS{user.Schema, workgroup.Schema, audit.Schema}

// measured counts what goes through it, and how much memory is in use meanwhile.
type measured struct {
	bytes, lines int
	most         uint64
}

func (m *measured) Write(b []byte) (int, error) {
	if m.bytes>>20 != (m.bytes+len(b))>>20 { // each MiB
		runtime.GC()
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		m.most = max(m.most, now.HeapAlloc)
	}
	for _, c := range b {
		if c == '\n' {
			m.lines++
		}
	}
	m.bytes += len(b)
	return len(b), nil
}

// chief is somebody who looks after others.
func chief(t *testing.T, v *Events, r auth.Role, w auth.WorkgroupID) auth.User {
	t.Helper()
	u, err := user.New("chief", "chief@example.com", "Chief", r, time.Now())
	u.Workgroup = w
	if err == nil {
		err = v.DB.Tx(t.Context(), func(tx auth.Tx) error { return v.Users.Add(t.Context(), tx, u) })
	}
	if err == nil {
		u, err = v.Users.Get(t.Context(), v.DB, u.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A7: a file of any length takes the same memory, and has every event once.
func TestAnExportTakesTheSameMemoryHoweverLong(t *testing.T) {
	const n = 200_000
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		v := New(Parts{DB: d, Trail: audit.New(d, make([]byte, 32), time.Now), Users: user.NewStore(d), Groups: workgroup.NewStore(d), Clock: time.Now})
		err := d.Tx(t.Context(), func(tx auth.Tx) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO events (id, kind, user_id, actor_id, face, request_id, address, browser, detail, at, mac, seal)
				WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < `+fmt.Sprint(n)+`)
				SELECT '0000' || CAST(1000000000 + i AS TEXT) || 'AAAAAAAAAAAAAAAA', 'session.started', 'u' || CAST(i % 100 AS TEXT), '', 'page', 'r', '192.0.2.7', 'Mozilla/5.0 (X11; Linux x86_64)', '{"factors":"password"}', i, $1, 1 FROM n`, make([]byte, 32))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx := visit.With(t.Context(), &visit.Visit{Session: auth.Session{ID: "s", User: chief(t, v, auth.Admin, "")}})
		for format, extra := range map[string]int{"csv": 1, "json": 0} {
			file, err := v.export(ctx, Export{Format: format, Kind: "session.started"})
			if err != nil {
				t.Fatal(err)
			}
			runtime.GC()
			var before runtime.MemStats
			runtime.ReadMemStats(&before)
			m := &measured{}
			if err := file.Write(ctx, m); err != nil {
				t.Fatal(err)
			}
			if grown := int64(m.most) - int64(before.HeapAlloc); m.lines != n+extra || grown > 8<<20 {
				t.Errorf("%s: %d lines of %d MiB took %d KiB", format, m.lines, m.bytes>>20, grown>>10)
			}
		}
	})
}

// Whoever has gone away ends the work.
func TestAnExportEndsWithItsReader(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t, schemas))
	v := New(Parts{DB: d, Trail: audit.New(d, make([]byte, 32), time.Now), Users: user.NewStore(d), Clock: time.Now})
	ctx := visit.With(t.Context(), &visit.Visit{Session: auth.Session{ID: "s", User: chief(t, v, auth.Admin, "")}})
	file, err := v.export(ctx, Export{})
	if err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(ctx)
	leave()
	if err := file.Write(gone, io.Discard); err == nil {
		t.Error("it went on")
	}
}

// A5, A7: a file ends, broken, when whoever reads it may not any more.
func TestAnExportEndsWithARole(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		v := New(Parts{DB: d, Trail: audit.New(d, make([]byte, 32), time.Now), Users: user.NewStore(d), Groups: workgroup.NewStore(d), Clock: time.Now})
		who := chief(t, v, auth.WorkgroupAdmin, "north")
		if err := d.Tx(t.Context(), func(tx auth.Tx) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO events (id, kind, user_id, actor_id, face, request_id, address, browser, detail, at, mac, seal)
				WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
				SELECT '0000' || CAST(1000000000 + i AS TEXT) || 'AAAAAAAAAAAAAAAA', 'session.started', 'chief', '', 'page', 'r', '192.0.2.7', 'b', '{}', i, $1, 1 FROM n`, make([]byte, 32))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		ctx := visit.With(t.Context(), &visit.Visit{Session: auth.Session{ID: "s", User: who}})
		for _, set := range []string{"role = 'member'", "workgroup_id = 'south'", "disabled = TRUE", "security_epoch = security_epoch + 1", ""} {
			file, err := v.export(ctx, Export{Format: "json", Kind: "session.started"})
			if err != nil {
				t.Fatal(err)
			}
			m := &cut{after: func() {
				if set == "" {
					return
				}
				if err := d.Tx(t.Context(), func(tx auth.Tx) error {
					_, err := tx.ExecContext(t.Context(), `UPDATE users SET `+set+` WHERE id = 'chief'`)
					return err
				}); err != nil {
					t.Error(err)
				}
			}}
			err = file.Write(ctx, m)
			if set == "" && (err != nil || m.lines != 1200) || set != "" && (err == nil || m.lines != perRead) {
				t.Errorf("%q: %d lines, %v", set, m.lines, err)
			}
			if err := d.Tx(t.Context(), func(tx auth.Tx) error {
				_, err := tx.ExecContext(t.Context(), `UPDATE users SET role = $1, workgroup_id = 'north', disabled = FALSE, security_epoch = $2 WHERE id = 'chief'`, who.Role, who.Epoch)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// cut does something once the first line came.
type cut struct {
	measured
	after func()
}

func (c *cut) Write(b []byte) (int, error) {
	if c.lines == 0 {
		c.after()
	}
	return c.measured.Write(b)
}
