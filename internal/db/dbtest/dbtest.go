// Package dbtest gives every test a database of its own, on both engines, with the real schema.
//
// PostgreSQL is reached through SALLYPORT_TEST_POSTGRES, which `make test` sets to a private server. Without it
// those tests are skipped and say so; with SALLYPORT_TEST_ALL set, a skip is a failure.
package dbtest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"crypto/rand"

	"sallyport/internal/db"
)

// Each runs a test on SQLite and on PostgreSQL.
func Each(t *testing.T, schemas []fs.FS, test func(*testing.T, *db.DB)) {
	t.Helper()
	EachAddress(t, schemas, func(t *testing.T, address string) { test(t, Open(t, address)) })
}

// EachAddress is Each for tests that open the database themselves, say in several nodes.
func EachAddress(t *testing.T, schemas []fs.FS, test func(t *testing.T, address string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t, schemas)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t, schemas)) })
}

// Open connects and closes with the test.
func Open(t *testing.T, address string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), address, 8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// SQLite is the path of a fresh file.
func SQLite(t *testing.T, schemas []fs.FS) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	migrate(t, path, schemas)
	return path
}

// Postgres is the address of a fresh database.
func Postgres(t *testing.T, schemas []fs.FS) string {
	t.Helper()
	server := os.Getenv("SALLYPORT_TEST_POSTGRES")
	if server == "" {
		Missing(t, "PostgreSQL: SALLYPORT_TEST_POSTGRES is not set; `make test` sets it")
	}
	admin, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	name := "t_" + strings.ToLower(rand.Text())
	from := template(t, admin, server, schemas)
	// Since 15 the server would write the copy down page by page, which takes three times as long; before, there is no such word.
	var how string
	err = admin.QueryRow(`SELECT CASE WHEN current_setting('server_version_num')::int >= 150000 THEN 'STRATEGY file_copy' ELSE '' END`).Scan(&how)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(`CREATE DATABASE ` + name + ` TEMPLATE ` + from + ` ` + how); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		admin, err := sql.Open("pgx", server)
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		if _, err := admin.Exec(`DROP DATABASE ` + name + ` WITH (FORCE)`); err != nil {
			t.Error(err)
		}
	})
	return named(t, server, name)
}

// Missing skips a test that this machine cannot run, or fails it where nothing may be skipped.
func Missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("SALLYPORT_TEST_ALL") != "" {
		t.Fatal("missing: ", what)
	}
	t.Skip("missing: ", what)
}

var templates sync.Mutex

// template is a database with the schema in it, made once per schema: copying it is far quicker than migrating.
func template(t *testing.T, admin *sql.DB, server string, schemas []fs.FS) string {
	t.Helper()
	templates.Lock()
	defer templates.Unlock()
	name := "schema_" + fingerprint(t, schemas)
	conn, err := admin.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Test processes run beside each other.
	if _, err := conn.ExecContext(t.Context(), `SELECT pg_advisory_lock(7)`); err != nil {
		t.Fatal(err)
	}
	defer conn.ExecContext(context.Background(), `SELECT pg_advisory_unlock(7)`)
	var made bool
	if err := conn.QueryRowContext(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`, name).Scan(&made); err != nil {
		t.Fatal(err)
	}
	if made {
		return name
	}
	if _, err := conn.ExecContext(t.Context(), `CREATE DATABASE `+name+`_new`); err != nil {
		t.Fatal(err)
	}
	migrate(t, named(t, server, name+"_new"), schemas)
	if _, err := conn.ExecContext(t.Context(), `ALTER DATABASE `+name+`_new RENAME TO `+name); err != nil {
		t.Fatal(err)
	}
	return name
}

func migrate(t *testing.T, address string, schemas []fs.FS) {
	t.Helper()
	d, err := db.Open(t.Context(), address, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Migrate(t.Context(), schemas...); err != nil {
		t.Fatal(err)
	}
}

func fingerprint(t *testing.T, schemas []fs.FS) string {
	t.Helper()
	sum := sha256.New()
	for _, s := range schemas {
		files, err := fs.Glob(s, "*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := fs.ReadFile(s, f)
			if err != nil {
				t.Fatal(err)
			}
			sum.Write(b)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

func named(t *testing.T, server, name string) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}
