package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"sallyport/internal/auth"
)

// sqlite is one file with one writer and many readers.
type sqlite struct {
	read, write *sql.DB
	queue       chan *job
	done        chan struct{}
	closed      sync.Once
}

func openSQLite(ctx context.Context, path string, conns int) (*sqlite, error) {
	// synchronous=FULL: a commit that was answered survives a power cut.
	pragmas := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "temp_store(MEMORY)"}, "_txlock": {"immediate"}}
	dsn := "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + pragmas.Encode()
	write, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	if err := write.PingContext(ctx); err != nil {
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
	s := &sqlite{read: read, write: write, queue: make(chan *job), done: make(chan struct{})}
	go s.work()
	return s, nil
}

func (s *sqlite) reader() *sql.DB { return s.read }

func (s *sqlite) Close() error {
	s.closed.Do(func() { close(s.done) })
	return errors.Join(s.read.Close(), s.write.Close())
}

func (s *sqlite) migrate(ctx context.Context, schema fs.FS) error {
	p, err := goose.NewProvider(goose.DialectSQLite3, s.write, schema)
	if err != nil {
		return err
	}
	if _, err = p.Up(ctx); err != nil {
		return err
	}
	// Signals between processes on one file, say the server and the command line.
	_, err = s.write.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS signals (
		seq INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload TEXT NOT NULL, at BIGINT NOT NULL)`)
	return err
}

// A job is a transaction that waits for the writer.
type job struct {
	f      func(auth.Tx) error
	after  []func()
	answer chan error
	bad    any // what f panicked with
}

// Tx hands f to the writer. Transactions that wait at the same time share one commit, and so one flush of the disk:
// each runs in a savepoint of its own, so one that fails takes nothing of the others with it.
func (s *sqlite) Tx(ctx context.Context, f func(auth.Tx) error) error {
	j := &job{f: f, answer: make(chan error, 1)}
	select {
	case s.queue <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return sql.ErrConnDone
	}
	err := <-j.answer
	if j.bad != nil {
		panic(j.bad)
	}
	return err
}

func (s *sqlite) work() {
	for {
		select {
		case j := <-s.queue:
			s.commit(j)
		case <-s.done:
			return
		}
	}
}

// most is how many transactions share a commit at most, so that the first is not kept waiting for long.
const most = 64

func (s *sqlite) commit(first *job) {
	tx, err := s.write.BeginTx(context.Background(), nil)
	if err != nil {
		first.answer <- err
		return
	}
	var ran []*job
	for j := first; j != nil; {
		failed := s.run(tx, j, &err)
		if failed != nil {
			j.answer <- failed
		} else {
			ran = append(ran, j)
		}
		if j = nil; err == nil && len(ran) < most {
			j = s.waiting()
		}
	}
	if err == nil && len(ran) > 0 {
		err = tx.Commit()
	}
	tx.Rollback() // after a commit it does nothing
	for _, j := range ran {
		if err == nil {
			for _, f := range j.after {
				f()
			}
		}
		j.answer <- err
	}
}

// run does one job in a savepoint. It returns the job's own failure; what breaks the whole commit goes into broken.
func (s *sqlite) run(tx *sql.Tx, j *job, broken *error) (failed error) {
	ctx := context.Background()
	if _, *broken = tx.ExecContext(ctx, "SAVEPOINT job"); *broken != nil {
		return *broken
	}
	defer func() {
		if j.bad = recover(); j.bad != nil {
			failed = errors.New("panic in a transaction")
		}
		if failed != nil {
			if _, err := tx.ExecContext(ctx, "ROLLBACK TO job"); err != nil {
				*broken = err
				return
			}
		}
		if _, err := tx.ExecContext(ctx, "RELEASE job"); err != nil {
			*broken = err
			if failed == nil {
				failed = err
			}
		}
	}()
	return j.f(steady{tx, j})
}

// waiting is another job that is here already, if any.
func (s *sqlite) waiting() *job {
	select {
	case j := <-s.queue:
		return j
	default:
		return nil
	}
}

// steady is a transaction whose statements are not cut short when one caller goes away: SQLite would roll back
// everybody's work. https://sqlite.org/c3ref/interrupt.html
type steady struct {
	tx *sql.Tx
	j  *job
}

func (s steady) AfterCommit(f func()) { s.j.after = append(s.j.after, f) }

func (s steady) ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error) {
	return s.tx.ExecContext(context.WithoutCancel(ctx), q, args...)
}

func (s steady) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	return s.tx.QueryContext(context.WithoutCancel(ctx), q, args...)
}

func (s steady) QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row {
	return s.tx.QueryRowContext(context.WithoutCancel(ctx), q, args...)
}

func (s *sqlite) send(ctx context.Context, tx auth.Tx, topic, payload string) error {
	now := time.Now()
	if _, err := tx.ExecContext(ctx, `DELETE FROM signals WHERE at < $1`, now.Add(-time.Minute).UnixMicro()); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO signals (topic, payload, at) VALUES ($1, $2, $3)`, topic, payload, now.UnixMicro())
	return err
}

// hear looks for new signals five times a second; a file has no way to tell.
func (s *sqlite) hear(ctx context.Context, ready func(), each func(topic, payload string)) error {
	var last int64
	if err := s.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) FROM signals`).Scan(&last); err != nil {
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
		rows, err := s.read.QueryContext(ctx, `SELECT seq, topic, payload FROM signals WHERE seq > $1 ORDER BY seq`, last)
		heard, err := Collect(rows, err, func(r *sql.Rows) (v signal, err error) {
			return v, r.Scan(&v.seq, &v.topic, &v.payload)
		})
		if err != nil {
			return err
		}
		for _, v := range heard {
			last = v.seq
			each(v.topic, v.payload)
		}
	}
}
