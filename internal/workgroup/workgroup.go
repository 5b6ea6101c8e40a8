// Package workgroup keeps the workgroups and what each asks of its people, and what the instance asks of everybody.
package workgroup

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/policy"
)

//go:embed schema
var embedded embed.FS

// Schema is the table workgroups.
var Schema, _ = fs.Sub(embedded, "schema")

// Signal is the topic on which nodes hear that what a workgroup or the instance asks for has changed; the payload is its id.
const Signal = "workgroup"

// Instance is the id under which the instance itself stands.
const Instance auth.WorkgroupID = ""

// A Workgroup is people with rules of their own.
type Workgroup struct {
	ID    auth.WorkgroupID
	Name  string
	Level policy.Level
	Added time.Time
}

// A Store is the table workgroups.
type Store struct{ db *db.DB }

func NewStore(d *db.DB) *Store { return &Store{d} }

const columns = `w.id, w.name, w.level, w.added_at`

// Levels are those that hold for the people of a workgroup: the instance's, then the workgroup's. They are read anew for each
// decision, so that no sign-in goes by what held before on another node.
func (s *Store) Levels(ctx context.Context, from auth.Reader, id auth.WorkgroupID) ([]policy.Level, error) {
	rows, err := from.QueryContext(ctx, `SELECT `+columns+` FROM workgroups w WHERE w.id IN ('', $1) ORDER BY w.id`, id)
	return db.Collect(rows, err, func(r *sql.Rows) (policy.Level, error) {
		w, err := scan(r)
		return w.Level, err
	})
}

// Get is one workgroup, or the instance; auth.ErrNotFound.
func (s *Store) Get(ctx context.Context, from auth.Reader, id auth.WorkgroupID) (Workgroup, error) {
	w, err := scan(from.QueryRowContext(ctx, `SELECT `+columns+` FROM workgroups w WHERE w.id = $1`, id))
	return w, db.NoneMeans(auth.ErrNotFound, err)
}

// All lists the workgroups by name, without the instance.
func (s *Store) All(ctx context.Context, from auth.Reader) ([]Workgroup, error) {
	rows, err := from.QueryContext(ctx, `SELECT `+columns+` FROM workgroups w WHERE w.id <> '' ORDER BY w.name_key`)
	return db.Collect(rows, err, func(r *sql.Rows) (Workgroup, error) { return scan(r) })
}

// Add stores a new workgroup. A name that another one has is an auth.InvalidError.
func (s *Store) Add(ctx context.Context, tx auth.Tx, w Workgroup) error {
	if err := checkName(w.Name); err != nil {
		return err
	}
	level, err := json.Marshal(w.Level)
	if err != nil {
		return err
	}
	return taken(db.One(tx.ExecContext(ctx, `INSERT INTO workgroups (id, name, name_key, level, added_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		w.ID, w.Name, key(w.Name), string(level), db.Micros(w.Added))))
}

// Rename changes how a workgroup is called.
func (s *Store) Rename(ctx context.Context, tx auth.Tx, id auth.WorkgroupID, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	var other bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM workgroups WHERE name_key = $1 AND id <> $2)`, key(name), id).Scan(&other)
	if err == nil && other {
		return taken(auth.ErrNotFound)
	}
	return errors.Join(err, s.change(ctx, tx, id, `UPDATE workgroups SET name = $2, name_key = $3 WHERE id = $1 AND id <> ''`, name, key(name)))
}

// Remove forgets a workgroup. Nobody may be in it any more.
func (s *Store) Remove(ctx context.Context, tx auth.Tx, id auth.WorkgroupID) error {
	return s.change(ctx, tx, id, `DELETE FROM workgroups WHERE id = $1 AND id <> ''`)
}

// SetLevel stores what a workgroup, or the instance, asks for from now on. All nodes hear of it.
func (s *Store) SetLevel(ctx context.Context, tx auth.Tx, id auth.WorkgroupID, l policy.Level) error {
	level, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return s.change(ctx, tx, id, `UPDATE workgroups SET level = $2 WHERE id = $1`, string(level))
}

// Lock keeps others from changing a workgroup, or what it asks for, until the transaction ends.
func (s *Store) Lock(ctx context.Context, tx auth.Tx, id auth.WorkgroupID) error {
	return db.One(tx.ExecContext(ctx, `UPDATE workgroups SET added_at = added_at WHERE id = $1`, id))
}

func (s *Store) change(ctx context.Context, tx auth.Tx, id auth.WorkgroupID, statement string, args ...any) error {
	if err := db.One(tx.ExecContext(ctx, statement, append([]any{id}, args...)...)); err != nil {
		return err
	}
	return s.db.Signal(ctx, tx, Signal, string(id))
}

func scan(row interface{ Scan(...any) error }) (w Workgroup, err error) {
	var level []byte
	if err := row.Scan(&w.ID, &w.Name, &level, db.Stamp(&w.Added)); err != nil {
		return w, err
	}
	if err := json.Unmarshal(level, &w.Level); err != nil { // what cannot be read means deny (security R6)
		return w, fmt.Errorf("what workgroup %q asks for: %w", w.ID, err)
	}
	w.Level.Name, w.Level.Group = "the instance", w.ID != Instance
	if w.Level.Group {
		w.Level.Name = "workgroup " + w.Name
	}
	return w, nil
}

// key is a name as it is compared.
func key(name string) string { return norm.NFC.String(cases.Fold().String(norm.NFC.String(name))) }

const maxName = 60

func checkName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return auth.InvalidError{Field: "name", Why: "is missing"}
	case name != strings.TrimSpace(name), !auth.OneLine(name):
		return auth.InvalidError{Field: "name", Why: "must stand on one line, without spaces around it"}
	case utf8.RuneCountInString(name) > maxName:
		return auth.InvalidError{Field: "name", Why: "is longer than 60 characters"}
	}
	return nil
}

func taken(err error) error {
	if errors.Is(err, auth.ErrNotFound) {
		return auth.InvalidError{Field: "name", Why: "belongs to another workgroup"}
	}
	return err
}
