// Package db is the only package that knows there are two database engines.
//
// It promises: one SQL text for both, written in the shared subset (TEXT ids, BIGINT Unix microseconds, BOOLEAN,
// BYTEA, $n, ON CONFLICT, RETURNING); a [DB.Tx] that returned nil is on disk; and a signal sent in a transaction is
// heard by every node after the commit, or the node knows that it is deaf. It refuses to start on a schema from the future.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"sallyport/internal/auth"
)

// A DB is one database, reached by any number of equal nodes.
type DB struct {
	engine
	*signals
}

// An engine is what SQLite and PostgreSQL do each in their own way.
type engine interface {
	// Tx runs f in one transaction that reads what it writes. f may run again after a conflict, so it must not
	// keep anything between runs. It must not use any other connection.
	Tx(ctx context.Context, f func(auth.Tx) error) error
	auth.Reader // outside a transaction: what is committed now
	migrate(ctx context.Context, schema fs.FS) error
	// send leaves a signal to be heard once tx is committed.
	send(ctx context.Context, tx auth.Tx, topic, payload string) error
	// hear calls each for every signal of other nodes until ctx ends or it may have missed one.
	// It calls ready once nothing sent from then on is missed.
	hear(ctx context.Context, ready func(), each func(topic, payload string)) error
	// SkipLocked stands at the end of a SELECT of rows to claim: what another node claims just now is passed over.
	SkipLocked() string
	Close() error
}

// Open connects to "postgres://..." or to the SQLite file at a path. Conns bounds the connections in use.
func Open(ctx context.Context, address string, conns int) (*DB, error) {
	var (
		e   engine
		err error
	)
	if IsPostgres(address) {
		e, err = openPostgres(ctx, address, conns)
	} else {
		e, err = openSQLite(ctx, address, conns)
	}
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return &DB{engine: e, signals: newSignals(e)}, nil
}

// IsPostgres tells the two kinds of address apart.
func IsPostgres(address string) bool {
	return strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://")
}

// Migrate brings the schema up to date from the files the feature folders embed. Nodes may start together.
func (d *DB) Migrate(ctx context.Context, schemas ...fs.FS) error {
	if err := d.migrate(ctx, union(schemas)); err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	return nil
}

// up brings the schema up to date. One that is newer than this program knows is left alone.
func up(ctx context.Context, g *goose.Provider) error {
	has, knows, err := g.GetVersions(ctx)
	if err != nil {
		return err
	}
	if has > knows {
		return fmt.Errorf("the schema is at version %d and this program knows %d: run the newer program", has, knows)
	}
	_, err = g.Up(ctx)
	return err
}

// Micros is how a time is stored; 0 is the zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the time that Micros stored, in UTC.
func Time(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// One is auth.ErrNotFound if a statement that should have changed one row changed none.
func One(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return orNotFound(err)
	}
	return nil
}

// NoneMeans is what it means to the caller that no row was found or changed; any other err as it is.
func NoneMeans(meaning, err error) error {
	if errors.Is(err, sql.ErrNoRows) || errors.Is(err, auth.ErrNotFound) {
		return meaning
	}
	return err
}

func orNotFound(err error) error {
	if err != nil {
		return err
	}
	return auth.ErrNotFound
}

// Collect reads all rows with scan.
func Collect[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// union is several folders of schema files as one. A version stands in one of them only.
type union []fs.FS

func (u union) Open(name string) (fs.File, error) {
	for _, f := range u {
		if file, err := f.Open(name); err == nil {
			return file, nil
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (u union) ReadDir(string) (all []fs.DirEntry, err error) {
	for _, f := range u {
		entries, err := fs.ReadDir(f, ".")
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) }) // as fs.ReadDirFS wants it
	return all, nil
}

// Stamp scans a stored time into t.
func Stamp(t *time.Time) sql.Scanner { return stamp{t} }

type stamp struct{ t *time.Time }

func (s stamp) Scan(v any) error {
	micros, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", v)
	}
	*s.t = Time(micros)
	return nil
}
