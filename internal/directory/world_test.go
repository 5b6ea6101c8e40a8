package directory

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor/onetime"
	"sallyport/internal/factor/password"
	"sallyport/internal/factor/totp"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/workgroup"
)

var schemas = []fs.FS{user.Schema, throttle.Schema, audit.Schema, password.Schema, totp.Schema, onetime.Schema, workgroup.Schema, Schema}

// A world is a directory on a database, as one node has it.
type world struct {
	*Directory
	now time.Time
}

func open(t *testing.T, address string) *world {
	t.Helper()
	return openWith(t, address, func(k []auth.Kind) []auth.Kind { return k })
}

// openWith is a node that accepts other factors.
func openWith(t *testing.T, address string, accept func([]auth.Kind) []auth.Kind) *world {
	t.Helper()
	w := &world{now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	d, clock := dbtest.Open(t, address), func() time.Time { return w.now }
	rules := policy.Rules{MFA: policy.Optional, Factors: accept([]auth.Kind{totp.Kind, onetime.SMS}), StepUp: time.Minute, LastFactor: policy.Refuse}
	w.Directory = New(Parts{DB: d, Users: user.NewStore(d), Roster: roster.New(rules, workgroup.NewStore(d), clock), Throttle: throttle.New(d, clock),
		Trail: audit.New(d, []byte("0123456789abcdef0123456789abcdef"), clock), Clock: clock})
	w.Roster.Add(password.New(password.Parts{DB: d, Clock: clock}), totp.New(totp.Parts{DB: d, Clock: clock}), sms{d})
	w.Trail.Feed(w.Directory)
	return w
}

func each(t *testing.T, test func(*testing.T, *world)) {
	dbtest.EachAddress(t, schemas, func(t *testing.T, address string) { test(t, open(t, address)) })
}

// sms is codes to numbers, without anything to send them by.
type sms struct{ *db.DB }

func (sms) Kind() auth.Kind { return onetime.SMS }
func (sms) Verify(context.Context, auth.Attempt, auth.Secret) (auth.Claim, error) {
	return nil, auth.ErrWrong
}
func (s sms) Enrolments(ctx context.Context, from auth.Reader, u auth.UserID) ([]auth.Enrolment, error) {
	rows, err := from.QueryContext(ctx, `SELECT id FROM contacts WHERE user_id = $1 AND kind = 'sms' AND replaced_by = ''`, u)
	return db.Collect(rows, err, func(r *sql.Rows) (auth.Enrolment, error) {
		e := auth.Enrolment{Kind: onetime.SMS, Dear: true}
		return e, r.Scan(&e.ID)
	})
}

// do runs statements and records an event about somebody, in one transaction.
func (w *world) do(t *testing.T, u auth.UserID, kind auth.EventKind, f func(ctx context.Context, tx auth.Tx) error) {
	t.Helper()
	w.now = w.now.Add(time.Millisecond)
	err := w.DB.Tx(t.Context(), func(tx auth.Tx) error {
		if f != nil {
			if err := f(t.Context(), tx); err != nil {
				return err
			}
		}
		return w.Trail.Record(t.Context(), tx, auth.Event{Kind: kind, User: u})
	})
	if err != nil {
		t.Fatal(kind, err)
	}
}

func exec(query string, args ...any) func(context.Context, auth.Tx) error {
	return func(ctx context.Context, tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	}
}

func (w *world) add(t *testing.T, id auth.UserID, name, login string, role auth.Role, group auth.WorkgroupID) {
	t.Helper()
	u, err := user.New(id, login, name, role, w.now)
	if err != nil {
		t.Fatal(err)
	}
	u.Workgroup = group
	w.do(t, id, auth.UserAdded, func(ctx context.Context, tx auth.Tx) error { return w.Users.Add(ctx, tx, u) })
}

func (w *world) password(t *testing.T, u auth.UserID) {
	w.do(t, u, auth.PasswordChanged, exec(`INSERT INTO passwords (user_id, hash, changed_at) VALUES ($1, 'x', 1) ON CONFLICT DO NOTHING`, u))
}

func (w *world) app(t *testing.T, u auth.UserID) {
	w.do(t, u, auth.FactorAdded, exec(`INSERT INTO totp (id, user_id, secret, confirmed, added_at) VALUES ($1, $2, $3, TRUE, 1) ON CONFLICT DO NOTHING`, "totp "+u, u, []byte("x")))
}

func (w *world) number(t *testing.T, u auth.UserID) {
	w.do(t, u, auth.FactorAdded, exec(`INSERT INTO contacts (id, user_id, kind, destination, destination_key, preferred, added_at)
		VALUES ($1, $2, 'sms', $3, $3, TRUE, 1) ON CONFLICT DO NOTHING`, "sms "+u, u, fmt.Sprint("+4366", u)))
}

// settle is what the workers do within a second or two.
func (w *world) settle(t *testing.T) {
	t.Helper()
	for {
		if n, err := w.Trail.Seal(t.Context()); err != nil {
			t.Fatal(err)
		} else if n == 0 {
			break
		}
	}
	if err := w.Trail.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// recount fails unless the counts are those of the rows, and the rows those of the people.
func (w *world) recount(t *testing.T) {
	t.Helper()
	for what, query := range map[string]string{
		"classes that count wrong": `SELECT COUNT(*) FROM directory_classes c WHERE n <> (SELECT COUNT(*) FROM directory d WHERE d.class = c.class)`,
		"tallies that count wrong": `SELECT COUNT(*) FROM directory_tallies t WHERE n <> (SELECT COUNT(*) FROM directory d WHERE d.class = t.class AND d.workgroup_id = t.workgroup_id AND d.shape = t.shape)`,
		"rows that nothing counts": `SELECT COUNT(*) FROM directory d WHERE NOT EXISTS (SELECT 1 FROM directory_tallies t WHERE d.class = t.class AND d.workgroup_id = t.workgroup_id AND d.shape = t.shape)`,
		"people without a row":     `SELECT COUNT(*) FROM users u WHERE NOT EXISTS (SELECT 1 FROM directory d WHERE d.user_id = u.id)`,
		"rows without a person":    `SELECT COUNT(*) FROM directory d WHERE NOT EXISTS (SELECT 1 FROM users u WHERE d.user_id = u.id)`,
		"words without a row":      `SELECT COUNT(*) FROM directory_words w WHERE NOT EXISTS (SELECT 1 FROM directory d WHERE d.n = w.n)`,
		"people still to look at":  `SELECT COUNT(*) FROM directory_due WHERE at <= ` + fmt.Sprint(db.Micros(w.now)),
		"people by another login":  `SELECT COUNT(*) FROM directory d JOIN users u ON u.id = d.user_id WHERE u.login <> d.login OR u.name <> d.name OR u.workgroup_id <> d.workgroup_id`,
		"rounds that are not over": `SELECT COUNT(*) FROM directory_rounds`,
		"rows without words":       `SELECT COUNT(*) FROM directory d WHERE NOT EXISTS (SELECT 1 FROM directory_words w WHERE w.n = d.n)`,
	} {
		var n int
		if err := w.DB.QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != 0 {
			t.Error(n, what, err)
		}
	}
}

func (w *world) list(t *testing.T, q Query) Page {
	t.Helper()
	page, err := w.List(t.Context(), q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return page
}

func ids(people []Person) (ids []auth.UserID) {
	for _, p := range people {
		ids = append(ids, p.ID)
	}
	return ids
}

// get is the row of somebody.
func (w *world) get(t *testing.T, u auth.UserID) (found Person) {
	t.Helper()
	err := w.Each(t.Context(), Query{}, func(p Person) error {
		if p.ID == u {
			found = p
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
