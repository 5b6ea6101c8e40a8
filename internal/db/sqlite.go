package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"sallyport/internal/auth"
)

// sqlite is one file with one writer and many readers.
type sqlite struct {
	path string
	*reader
	*writer
}

func openSQLite(ctx context.Context, path string, conns int) (*sqlite, error) {
	// synchronous=FULL: a commit that was answered survives a power cut.
	pragmas := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "temp_store(MEMORY)"}, "_txlock": {"immediate"}}
	dsn := "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + pragmas.Encode()
	// Whatever the umask: hashes and sealed secrets are in there. SQLite makes its other files in the same mode.
	if f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		f.Close()
	}
	// The writer may remember more pages, and moves them from the log to the file less often.
	write, err := sql.Open("sqlite", dsn+"&_pragma=cache_size(-8000)&_pragma=wal_autocheckpoint(4000)")
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(2) // the writer's, and one to migrate with before it begins
	if err := reach(ctx, write); err != nil {
		write.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	read, err := sql.Open("sqlite", dsn+"&_pragma=query_only(1)")
	if err != nil {
		write.Close()
		return nil, err
	}
	read.SetMaxOpenConns(conns)
	read.SetMaxIdleConns(conns) // the default of 2 would open and close connections under load
	return &sqlite{path, &reader{pool: read}, newWriter(write)}, nil
}

// reach opens the file. The first to open a new one turns it to WAL, and SQLite lets nobody else wait for that.
func reach(ctx context.Context, pool *sql.DB) (err error) {
	for late := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err = pool.PingContext(ctx); !busy(err) || time.Now().After(late) {
			return err
		}
	}
}

// A reader keeps its statements prepared: the same few are asked all day.
type reader struct {
	pool       *sql.DB
	statements sync.Map // text -> *sql.Stmt
}

func (r *reader) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := r.prepared(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRowContext is not cut short when a caller goes away: to watch for that costs more than to read a row.
func (r *reader) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	ctx = context.WithoutCancel(ctx)
	s, err := r.prepared(ctx, text)
	if err != nil {
		return r.pool.QueryRowContext(ctx, text, args...) // the Row will say why
	}
	return s.QueryRowContext(ctx, args...)
}

func (r *reader) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := r.statements.Load(text); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := r.pool.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if other, raced := r.statements.LoadOrStore(text, s); raced {
		s.Close()
		return other.(*sql.Stmt), nil
	}
	return s, nil
}

func (s *sqlite) SkipLocked() string { return "" } // one writes at a time

func (s *sqlite) Close() error {
	s.stop()
	return errors.Join(s.reader.pool.Close(), s.writer.pool.Close())
}

func (s *sqlite) migrate(ctx context.Context, schema fs.FS) error {
	// A server and a command may start together. The lock is on a file of its own: to close the database's would drop
	// the locks that SQLite holds on it.
	alone, err := os.OpenFile(s.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer alone.Close()
	if err := syscall.Flock(int(alone.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.writer.pool, schema)
	if err != nil {
		return err
	}
	if err := up(ctx, p); err != nil {
		return err
	}
	// Signals between processes on one file, say the server and the command line.
	_, err = s.writer.pool.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS signals (
		seq INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload TEXT NOT NULL, at BIGINT NOT NULL)`)
	return err
}

func (s *sqlite) send(ctx context.Context, tx auth.Tx, topic, payload string) error {
	now := time.Now()
	if _, err := tx.ExecContext(ctx, `DELETE FROM signals WHERE at < $1`, now.Add(-time.Minute).UnixMicro()); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO signals (topic, payload, at) VALUES ($1, $2, $3)`, topic, payload, now.UnixMicro())
	return err
}

var errMissed = errors.New("signals were missed")

// hear looks for new signals five times a second; a file has no way to tell.
func (s *sqlite) hear(ctx context.Context, ready func(), each func(topic, payload string)) error {
	var last int64
	if err := s.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) FROM signals`).Scan(&last); err != nil {
		return err
	}
	ready()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
		type signal struct {
			seq            int64
			topic, payload string
		}
		rows, err := s.QueryContext(ctx, `SELECT seq, topic, payload FROM signals WHERE seq > $1 ORDER BY seq`, last)
		heard, err := Collect(rows, err, func(r *sql.Rows) (v signal, err error) {
			return v, r.Scan(&v.seq, &v.topic, &v.payload)
		})
		if err != nil {
			return err
		}
		for _, v := range heard {
			if v.seq != last+1 { // this process was stopped for so long that old ones are gone
				return errMissed
			}
			last = v.seq
			each(v.topic, v.payload)
		}
	}
}
