package db

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"sallyport/internal/auth"
)

// postgres is a server that several nodes share.
type postgres struct {
	pool   *sql.DB
	config *pgx.ConnConfig
}

func (p *postgres) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return p.pool.QueryContext(ctx, text, args...)
}

func (p *postgres) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	return p.pool.QueryRowContext(ctx, text, args...)
}

func openPostgres(ctx context.Context, address string, conns int) (*postgres, error) {
	c, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errors.New("the address cannot be read: want postgres://user:password@host/name") // pgx would repeat the password
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	for name, value := range map[string]string{
		"statement_timeout": "10s", "lock_timeout": "5s", // a stuck statement must not hold a connection for good
		"idle_in_transaction_session_timeout": "10s", "timezone": "UTC", "application_name": "sallyport",
	} {
		if _, set := c.RuntimeParams[name]; !set {
			c.RuntimeParams[name] = value
		}
	}
	pool := stdlib.OpenDB(*c)
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	if err := pool.PingContext(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return &postgres{pool, c}, nil
}

func (p *postgres) SkipLocked() string { return ` FOR UPDATE SKIP LOCKED` }

func (p *postgres) Close() error { return p.pool.Close() }

func (p *postgres) migrate(ctx context.Context, schema fs.FS) error {
	one, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60), lock.WithUnlockTimeout(1, 5))
	if err != nil {
		return err
	}
	g, err := goose.NewProvider(goose.DialectPostgres, p.pool, schema, goose.WithSessionLocker(one))
	if err != nil {
		return err
	}
	return up(ctx, g)
}

func (p *postgres) Tx(ctx context.Context, f func(auth.Tx) error) error {
	for try := 1; ; try++ {
		err := p.once(ctx, f)
		if try == 5 || !conflict(err) {
			return err
		}
	}
}

func (p *postgres) once(ctx context.Context, f func(auth.Tx) error) error {
	tx, err := p.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	with := &hooked{Tx: tx}
	if err := f(with); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	for _, f := range with.after {
		f()
	}
	return nil
}

// hooked is a transaction that remembers what to do after it.
type hooked struct {
	*sql.Tx
	after []func()
}

func (h *hooked) AfterCommit(f func()) { h.after = append(h.after, f) }

// conflict is true where the server asks to try the same again: serialization failure, deadlock.
func conflict(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

const channel = "sallyport"

func (p *postgres) send(ctx context.Context, tx auth.Tx, topic, payload string) error {
	_, err := tx.ExecContext(ctx, `SELECT pg_notify('`+channel+`', $1)`, topic+" "+payload)
	return err
}

// hear keeps a connection of its own. Between signals it asks the server for an answer, because a connection that
// died without a word would look exactly like silence.
func (p *postgres) hear(ctx context.Context, ready func(), each func(topic, payload string)) error {
	c := p.config.Copy()
	c.RuntimeParams["application_name"] += " listener"
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	ready()
	for {
		n, err := waitFor(ctx, conn, 300*time.Millisecond)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		case n != nil:
			topic, payload := cut(n.Payload)
			each(topic, payload)
		default:
			alive, stop := context.WithTimeout(ctx, 300*time.Millisecond)
			err := conn.Ping(alive)
			stop()
			if err != nil {
				return err
			}
		}
	}
}

// waitFor returns nil and no error when nothing came in time.
func waitFor(ctx context.Context, conn *pgx.Conn, most time.Duration) (*pgconn.Notification, error) {
	short, stop := context.WithTimeout(ctx, most)
	defer stop()
	n, err := conn.WaitForNotification(short)
	if err != nil && errors.Is(err, context.DeadlineExceeded) && !conn.IsClosed() {
		return nil, nil
	}
	return n, err
}
