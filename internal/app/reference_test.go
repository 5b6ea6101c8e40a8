package app_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/app"
	"sallyport/internal/config"
	"sallyport/internal/secret"
	"sallyport/internal/visit"
)

var update = flag.Bool("update", false, "write docs/reference anew")

// start joins the parts on a fresh SQLite file.
func start(t *testing.T, change ...func(*config.Config)) *app.App {
	t.Helper()
	c := config.Default()
	c.Data = t.TempDir()
	for _, f := range change {
		f(&c)
	}
	if err := secret.CreateRing(c.KeysPath(), time.Now()); err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), c, time.Now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func TestTheReferenceSaysWhatIs(t *testing.T) {
	a := start(t)
	for file, want := range map[string]string{"routes.md": routes(a), "schema.md": schema(t), "config.md": settings()} {
		path := filepath.Join("../../docs/reference", file)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is out of date (%v): go test ./internal/app -run Reference -update", file, err)
		}
	}
}

const made = "Made by `go test ./internal/app -run Reference -update`; a test compares it.\n\n"

func routes(a *app.App) string {
	var b strings.Builder
	b.WriteString("# Routes\n\n" + made + "What stands before a handler is its guard; what counts its guesses, its throttle. A page and its JSON twin share both.\n\n" +
		"| method | JSON | page | guard | throttle | does |\n|---|---|---|---|---|---|\n")
	for _, r := range a.Site.Routes() {
		page := ""
		if r.Page != "" {
			page = "`" + r.Page + "`"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %s |\n", r.Method, r.API, page, r.Guard, r.Throttle, r.Does)
	}
	b.WriteString("\nBeside these: `GET /api/v1/openapi.json`, `/healthz` (the process), `/readyz` (a write goes through), `/assets/…`,\n`/problems/{kind}` (what a problem type means), `/.well-known/change-password`, and `/metrics` on its own listener.\n")
	return b.String()
}

func schema(t *testing.T) string {
	var b strings.Builder
	b.WriteString("# Schema\n\n" + made + "The same text for SQLite and PostgreSQL. Times are microseconds since 1970 in UTC. A table belongs to one folder.\n")
	for _, s := range app.Schemas {
		files, err := fs.Glob(s, "*.sql")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := fs.ReadFile(s, f)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "\n```sql\n-- %s\n%s```\n", f, strings.TrimPrefix(string(text), "-- +goose Up\n"))
		}
	}
	return b.String()
}

func settings() string {
	var b strings.Builder
	b.WriteString("# Configuration\n\n" + made + "A TOML file, then the environment over it. With `_FILE` appended a variable names a file that holds the value.\n\n" +
		"| setting | default | environment | what |\n|---|---|---|---|\n")
	var table func(v reflect.Value, key, env string)
	table = func(v reflect.Value, key, env string) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name := f.Tag.Get("toml")
			if f.Type.Kind() == reflect.Struct {
				table(v.Field(i), key+name+".", env+strings.ToUpper(name)+"_")
				continue
			}
			value, _ := json.Marshal(v.Field(i).Interface())
			fmt.Fprintf(&b, "| `%s` | `%s` | `%s` | %s |\n", key+name, value, env+strings.ToUpper(name), f.Tag.Get("doc"))
		}
	}
	table(reflect.ValueOf(config.Default()), "", "SALLYPORT_")
	return b.String()
}

func TestEveryRouteStatesItsGuard(t *testing.T) {
	known := map[visit.Guard]bool{visit.Public: true, visit.Arriving: true, visit.Pending: true, visit.Offered: true, visit.Enrolling: true, visit.SignedIn: true, visit.Fresh: true,
		visit.Staff: true, visit.StaffFresh: true, visit.Steward: true, visit.StewardFresh: true, visit.Administrator: true, visit.AdministratorFresh: true}
	for _, r := range start(t).Site.Routes() {
		if !known[r.Guard] || r.Does == "" {
			t.Errorf("%s %s: guard %q, does %q", r.Method, r.API, r.Guard, r.Does)
		}
		// Effects are for those behind a guard, but for the ways in.
		ways := map[string]bool{"/api/v1/signin/passkey": true, "/api/v1/signin/passkey/options": true}
		if r.Guard == visit.Arriving && !ways[r.API] {
			t.Errorf("%s %s is open to everybody", r.Method, r.API)
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(r.API, "/api/v1/"), "/")
		open := []string{"signin", "forgot", "not-me", "setup", "pass"} // names, or links: who has one may act
		if r.Guard == visit.Public && r.Method != "GET" && !slices.Contains(open, first) {
			t.Errorf("%s %s is open to everybody", r.Method, r.API)
		}
	}
}
