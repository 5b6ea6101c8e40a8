package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"

	"sallyport/internal/auth"
)

// A writer runs all transactions on one SQLite file, one after the other on one connection. Transactions that wait at
// the same time share one commit, and so one flush of the disk: each runs in a savepoint of its own, so one that fails
// takes nothing of the others with it.
type writer struct {
	pool  *sql.DB
	queue chan *job
	done  chan struct{}
	ended chan struct{}
	once  sync.Once

	// Only the goroutine of work touches these.
	conn       *sql.Conn
	statements map[string]*sql.Stmt // by text: to prepare one costs more than to run it
}

// A job is a transaction that waits for the writer.
type job struct {
	f      func(auth.Tx) error
	after  []func()
	answer chan error
	bad    any // what f panicked with
}

const (
	// maxShared is how many transactions share a commit at most, so that the first is not kept waiting for long.
	maxShared = 64
	// maxPrepared bounds the statements kept. Ours are constants but for a few with lists of varying length.
	maxPrepared = 200
)

func newWriter(pool *sql.DB) *writer {
	w := &writer{pool: pool, queue: make(chan *job), done: make(chan struct{}), ended: make(chan struct{})}
	go w.work()
	return w
}

func (w *writer) stop() {
	w.once.Do(func() { close(w.done) })
	<-w.ended
}

// Tx hands f to the writer.
func (w *writer) Tx(ctx context.Context, f func(auth.Tx) error) error {
	j := &job{f: f, answer: make(chan error, 1)}
	select {
	case w.queue <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.done:
		return sql.ErrConnDone
	}
	err := <-j.answer
	if j.bad != nil {
		panic(j.bad)
	}
	return err
}

func (w *writer) work() {
	defer close(w.ended)
	defer w.hangUp()
	for {
		select {
		case j := <-w.queue:
			w.commit(j)
		case <-w.done:
			return
		}
	}
}

// commit runs a job, and those that wait by then, in one transaction. The first needs no savepoint: if it fails,
// nothing else has happened yet.
func (w *writer) commit(first *job) {
	err := w.begin()
	if err != nil {
		w.hangUp() // whatever is wrong with this connection, the next commit tries another
		first.answer <- err
		return
	}
	if failed := first.run(w); failed != nil {
		w.exec("ROLLBACK") // SQLite may have rolled back already
		first.answer <- failed
		return
	}
	ran := []*job{first}
	for len(ran) < maxShared && err == nil {
		j := w.waiting()
		if j == nil {
			break
		}
		var failed error
		if failed, err = w.beside(j); failed != nil {
			j.answer <- failed
		} else {
			ran = append(ran, j)
		}
	}
	if err == nil {
		err = w.exec("COMMIT")
	}
	if err != nil {
		w.exec("ROLLBACK")
	}
	for _, j := range ran {
		if err == nil {
			for _, f := range j.after {
				f()
			}
		}
		j.answer <- err
	}
}

// beside runs a job in a savepoint. It may fail by itself; broken says that the whole transaction did.
func (w *writer) beside(j *job) (failed, broken error) {
	if broken = w.exec("SAVEPOINT job"); broken != nil {
		return broken, broken
	}
	if failed = j.run(w); failed != nil {
		if broken = w.exec("ROLLBACK TO job"); broken != nil {
			return failed, broken
		}
	}
	if broken = w.exec("RELEASE job"); broken != nil && failed == nil {
		failed = broken
	}
	return failed, broken
}

// run is f, with a panic as a failure that Tx turns back into one.
func (j *job) run(w *writer) (failed error) {
	defer func() {
		if j.bad = recover(); j.bad != nil {
			failed = errors.New("panic in a transaction")
		}
	}()
	return j.f(steady{w, j})
}

// waiting is another job that is here already, if any.
func (w *writer) waiting() *job {
	select {
	case j := <-w.queue:
		return j
	default:
		return nil
	}
}

func (w *writer) begin() (err error) {
	if w.conn == nil {
		if w.conn, err = w.pool.Conn(context.Background()); err != nil {
			return err
		}
		w.statements = map[string]*sql.Stmt{}
	}
	return w.exec("BEGIN IMMEDIATE")
}

func (w *writer) hangUp() {
	if w.conn != nil {
		for _, s := range w.statements {
			s.Close()
		}
		w.conn.Raw(func(any) error { return driver.ErrBadConn }) // or the pool would give it out again
		w.conn.Close()
		w.conn = nil
	}
}

func (w *writer) exec(text string) error {
	_, err := steady{w, nil}.ExecContext(context.Background(), text)
	return err
}

// prepared is a statement ready to run, or nil where the text should be run as it is.
func (w *writer) prepared(ctx context.Context, text string) *sql.Stmt {
	s := w.statements[text]
	if s == nil && len(w.statements) < maxPrepared {
		var err error
		if s, err = w.conn.PrepareContext(ctx, text); err != nil {
			return nil // running it will say why
		}
		w.statements[text] = s
	}
	return s
}

// steady is a transaction whose statements are not cut short when one caller goes away: SQLite would roll back
// everybody's work. https://sqlite.org/c3ref/interrupt.html
type steady struct {
	w *writer
	j *job
}

func (s steady) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	ctx = context.WithoutCancel(ctx)
	if p := s.w.prepared(ctx, text); p != nil {
		return p.ExecContext(ctx, args...)
	}
	return s.w.conn.ExecContext(ctx, text, args...)
}

func (s steady) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	ctx = context.WithoutCancel(ctx)
	if p := s.w.prepared(ctx, text); p != nil {
		return p.QueryContext(ctx, args...)
	}
	return s.w.conn.QueryContext(ctx, text, args...)
}

func (s steady) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	ctx = context.WithoutCancel(ctx)
	if p := s.w.prepared(ctx, text); p != nil {
		return p.QueryRowContext(ctx, args...)
	}
	return s.w.conn.QueryRowContext(ctx, text, args...)
}

func (s steady) AfterCommit(f func()) { s.j.after = append(s.j.after, f) }
