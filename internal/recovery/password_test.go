package recovery

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"regexp"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor/accesspass"
	"sallyport/internal/factor/factortest"
	"sallyport/internal/factor/onetime"
	"sallyport/internal/factor/password"
	"sallyport/internal/notify"
	"sallyport/internal/notify/wording"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
)

// A desk is recovery with a clock that a test moves, and an outbox that keeps everything.
type desk struct {
	*Recovery
	*factortest.Clock
	t     *testing.T
	moved moves
}

// moves are people whose address changed of late.
type moves map[auth.UserID]bool

func (m moves) Moved(ctx context.Context, from auth.Reader, u auth.UserID) (bool, error) {
	var none bool
	return m[u], from.QueryRowContext(ctx, `SELECT FALSE`).Scan(&none) // as much work for everybody
}

func each(t *testing.T, test func(*testing.T, *desk)) {
	t.Helper()
	schemas := []fs.FS{user.Schema, throttle.Schema, audit.Schema, notify.Schema, password.Schema, onetime.Schema, accesspass.Schema, Schema}
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		texts, err := wording.Load("", wording.Site{Name: "Sallyport", Host: "id.example.com", Support: "us"})
		if err != nil {
			t.Fatal(err)
		}
		k := &desk{Clock: factortest.NewClock(), t: t, moved: moves{"id-left": true}}
		users, keys, trail, counts := user.NewStore(d), factortest.Keys(t), audit.New(d, make([]byte, 32), k.Now), throttle.New(d, k.Now)
		outbox := notify.New(notify.Parts{DB: d, Keys: keys, Texts: texts, Language: "en", Keep: true, Clock: k.Now, Log: slog.New(slog.DiscardHandler),
			Carriers: map[notify.Channel]notify.Carrier{notify.Email: notify.Nowhere{}}, Metrics: prometheus.NewRegistry()})
		ros := roster.New(policy.Rules{}, factortest.Alone{}, k.Now)
		words := password.New(password.Parts{DB: d, Hasher: secret.NewHasher(secret.Params{Memory: 8, Passes: 1, Lanes: 1}, 4, time.Minute, func() int64 { return 0 }),
			Trail: trail, Throttle: counts, Revoker: factortest.Epochs(d), Rules: password.Rules{Least: 12}, Clock: k.Now})
		contacts := onetime.New(onetime.Parts{DB: d, Keys: keys, Users: users, Outbox: outbox, Trail: trail, Throttle: counts, Roster: ros,
			Revoker: factortest.Epochs(d), Rules: onetime.Rules{Email: 1000}, Clock: k.Now})
		k.Recovery = New(Parts{DB: d, Keys: keys, Users: users, Roster: ros, Passwords: words, Contacts: contacts, Outbox: outbox, Throttle: counts, Trail: trail,
			Revoker: factortest.Epochs(d), Passes: accesspass.New(accesspass.Parts{DB: d, Keys: keys, Clock: k.Now}), Addresses: k.moved, Site: "https://id.example.com", Clock: k.Now})
		test(t, k)
	})
}

// A counting transaction notes its statements, without their values.
type counting struct {
	auth.Tx
	statements []string
}

var table = regexp.MustCompile(`(?:FROM|INTO|UPDATE)\s+(\w+)`)

func (c *counting) note(statement string) {
	c.statements = append(c.statements, table.FindString(statement))
}

func (c *counting) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	c.note(q)
	return c.Tx.QueryContext(ctx, q, args...)
}

func (c *counting) QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row {
	c.note(q)
	return c.Tx.QueryRowContext(ctx, q, args...)
}

func (c *counting) ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error) {
	c.note(q)
	return c.Tx.ExecContext(ctx, q, args...)
}

// asks is a request for a link, with its statements.
func (k *desk) asks(login string) (statements []string) {
	k.t.Helper()
	ctx := auth.WithOrigin(k.t.Context(), &auth.Origin{Face: "page", Address: netip.MustParseAddr("203.0.113.24")})
	who, err := k.Users.Find(ctx, login)
	if err != nil && !errors.Is(err, auth.ErrNotFound) {
		k.t.Fatal(err)
	}
	err = k.DB.Tx(ctx, func(tx auth.Tx) error {
		c := &counting{Tx: tx}
		err := k.request(ctx, c, login, who.ID)
		statements = c.statements
		return err
	})
	if err != nil {
		k.t.Fatal(login, err)
	}
	return statements
}

var inMail = regexp.MustCompile(`https://id\.example\.com/forgot/([\w-]{43})`)

// tokens are what links say that were sent and not taken back, the newest first.
func (k *desk) tokens() (all []auth.Secret) {
	k.t.Helper()
	letters, err := k.Outbox.Kept(k.t.Context(), 100)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, l := range letters {
		if m := inMail.FindStringSubmatch(l.Mail.Text); m != nil {
			all = append(all, auth.Secret(m[1]))
		}
	}
	return all
}

func (k *desk) tx(f func(context.Context, auth.Tx) error) error {
	return k.DB.Tx(k.t.Context(), func(tx auth.Tx) error { return f(k.t.Context(), tx) })
}

func (k *desk) uses(token auth.Secret) error {
	l, err := k.opens(k.t.Context(), secret.Digest(token))
	if err != nil {
		return err
	}
	return k.tx(func(ctx context.Context, tx auth.Tx) error {
		return k.replace(ctx, tx, secret.Digest(token), l, password.Hashed{})
	})
}

// S10: whether somebody has a name or not, is disabled, frozen, shares an address or is asked for too often: the same work.
func TestAskingTakesTheSameStatementsWhoeverItIs(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		for _, name := range []string{"ann", "off", "frozen", "left"} {
			factortest.Person(t, k.DB, name, k.Now())
		}
		if err := k.tx(func(ctx context.Context, tx auth.Tx) error {
			return errors.Join(k.Users.Disable(ctx, tx, "id-off"), k.Users.Freeze(ctx, tx, "id-frozen", k.Now().Add(time.Hour)),
				k.Users.Freeze(ctx, tx, "id-left", k.Now().Add(time.Hour)))
		}); err != nil {
			t.Fatal(err)
		}
		ann, err := k.Users.Get(t.Context(), k.DB, "id-ann")
		if err != nil {
			t.Fatal(err)
		}
		want := k.asks(ann.Login)
		for _, login := range []string{"nobody@example.com", "off@example.com", "frozen@example.com", "left@example.com", "", ann.Login} {
			k.Wait(time.Minute)
			if got := k.asks(login); len(got) != len(want) {
				t.Errorf("%q takes %v, Ann takes %v", login, got, want)
			}
		}
		if n := len(k.tokens()); n != 2 { // the first of Ann's was taken back
			t.Error(n, "links to be sent")
		}
		var rows, failed int
		if err := k.DB.QueryRowContext(t.Context(), `SELECT COUNT(*), COUNT(CASE WHEN user_id = '' THEN 1 END) FROM outbox`).Scan(&rows, &failed); err != nil {
			t.Fatal(err)
		}
		if rows != 6 || failed != 4 {
			t.Error(rows, "messages,", failed, "to nobody")
		}
	})
}

// L2, R4: a link works for half an hour, until the next one, and once; what is told to carriers is told in the same transaction.
func TestALinkWorksOnceForHalfAnHour(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		ann := factortest.Person(t, k.DB, "ann", k.Now())
		k.asks(ann.Login)
		first := k.tokens()[0]
		k.Wait(time.Minute)
		k.asks(ann.Login)
		second := k.tokens()[0]
		if err := k.uses(first); !errors.Is(err, auth.ErrNotFound) || first == second {
			t.Error("one that was replaced: ", err)
		}
		k.Wait(30*time.Minute - time.Second)
		l, err := k.opens(t.Context(), secret.Digest(second))
		if err != nil || l.user.ID != ann.ID {
			t.Fatal(l, err)
		}
		k.Wait(time.Second)
		if err := k.tx(func(ctx context.Context, tx auth.Tx) error {
			return k.replace(ctx, tx, secret.Digest(second), l, password.Hashed{})
		}); !errors.Is(err, auth.ErrNotFound) {
			t.Error("one that expired while a password was hashed: ", err)
		}
		k.asks(ann.Login)
		third := k.tokens()[0]
		if err := k.tx(func(ctx context.Context, tx auth.Tx) error {
			_, err := k.Passes.Give(ctx, tx, ann.ID, time.Hour)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := k.uses(third); err != nil {
			t.Fatal(err)
		}
		if err := k.uses(third); !errors.Is(err, auth.ErrNotFound) {
			t.Error("twice: ", err)
		}
		if passes, err := k.Passes.Enrolments(t.Context(), k.DB, ann.ID); err != nil || len(passes) != 1 {
			t.Error("whoever needs a new password and a pass needs both: ", passes, err)
		}
		for n, token := range []auth.Secret{"", "x", first + "A"} {
			if err := k.uses(token); !errors.Is(err, auth.ErrNotFound) {
				t.Error(n, err)
			}
		}
	})
}

// L2: a stranger who asks in somebody's name does not take their link from them at once, nor send another; a dead one holds
// nobody up.
func TestALinkLivesForAMinuteWhoeverAsks(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		ann := factortest.Person(t, k.DB, "ann", k.Now())
		want := k.asks(ann.Login)
		link := k.tokens()[0]
		k.Wait(time.Minute - time.Microsecond)
		if got := k.asks(ann.Login); len(got) != len(want) {
			t.Errorf("it takes %v, and took %v", got, want)
		}
		if _, err := k.opens(t.Context(), secret.Digest(link)); err != nil || len(k.tokens()) != 1 {
			t.Fatal("asked for again, it is dead: ", err, len(k.tokens()))
		}
		k.Wait(time.Microsecond)
		k.asks(ann.Login)
		if err := k.uses(link); !errors.Is(err, auth.ErrNotFound) {
			t.Error("after a minute: ", err)
		}
		// Used, or voided by what happened to the account, it makes way at once.
		if err := k.uses(k.tokens()[0]); err != nil {
			t.Fatal(err)
		}
		k.Wait(time.Second)
		k.asks(ann.Login)
		if err := k.tx(func(ctx context.Context, tx auth.Tx) error { _, err := k.Users.Bump(ctx, tx, ann.ID); return err }); err != nil {
			t.Fatal(err)
		}
		k.Wait(time.Second)
		k.asks(ann.Login)
		if err := k.uses(k.tokens()[0]); err != nil {
			t.Error(err)
		}
	})
}

// R4, L3: whatever happens to the account between the check of a link and its use voids it.
func TestWhatHappensMeanwhileVoidsALink(t *testing.T) {
	for name, happens := range map[string]func(*desk, context.Context, auth.Tx, auth.User) error{
		"a new epoch": func(k *desk, ctx context.Context, tx auth.Tx, u auth.User) error {
			_, err := k.Users.Bump(ctx, tx, u.ID)
			return err
		},
		"a disabled account": func(k *desk, ctx context.Context, tx auth.Tx, u auth.User) error {
			return k.Users.Disable(ctx, tx, u.ID)
		},
		"a frozen account": func(k *desk, ctx context.Context, tx auth.Tx, u auth.User) error {
			return k.Users.Freeze(ctx, tx, u.ID, k.Now().Add(time.Hour))
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, k *desk) {
				ann := factortest.Person(t, k.DB, "ann", k.Now())
				k.asks(ann.Login)
				key := secret.Digest(k.tokens()[0])
				l, err := k.opens(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				if err := k.tx(func(ctx context.Context, tx auth.Tx) error { return happens(k, ctx, tx, ann) }); err != nil {
					t.Fatal(err)
				}
				err = k.tx(func(ctx context.Context, tx auth.Tx) error { return k.replace(ctx, tx, key, l, password.Hashed{}) })
				if !errors.Is(err, auth.ErrNotFound) {
					t.Error(err)
				}
				if _, err := k.opens(t.Context(), key); err == nil {
					t.Error("it opens still")
				}
			})
		})
	}
}

// L3: the lock keeps a link out that anybody could ask for, and lets the one in that it led to.
func TestALinkAfterThisWasntMePassesTheLock(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		ann := factortest.Person(t, k.DB, "ann", k.Now())
		k.asks(ann.Login)
		asked := k.tokens()[0]
		var path string
		freeze := func(ctx context.Context, tx auth.Tx) error {
			return k.Users.Freeze(ctx, tx, ann.ID, k.Now().Add(time.Hour))
		}
		if err := k.tx(freeze); err != nil {
			t.Fatal(err)
		}
		var frozen auth.ConflictError
		if err := k.uses(asked); !errors.As(err, &frozen) || frozen.Code != "frozen" {
			t.Error(err)
		}
		if err := k.tx(func(ctx context.Context, tx auth.Tx) (err error) { path, err = k.Begin(ctx, tx, ann); return err }); err != nil {
			t.Fatal(err)
		}
		if err := k.uses(asked); !errors.Is(err, auth.ErrNotFound) {
			t.Error("the one that was asked for lives on: ", err)
		}
		if err := k.uses(auth.Secret(path[len("/forgot/"):])); err != nil {
			t.Error(err)
		}
	})
}

// L3: while an account is locked a link goes to the login alone and passes the lock, unless the address changed of late.
func TestALinkIsMailedToALockedAccount(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		for _, name := range []string{"ann", "left"} {
			u := factortest.Person(t, k.DB, name, k.Now())
			if err := k.tx(func(ctx context.Context, tx auth.Tx) error {
				_, err := tx.ExecContext(ctx, `INSERT INTO contacts (id, user_id, kind, destination, destination_key, preferred, added_at, last_used_at)
					VALUES ($1, $2, 'email', $3, $3, TRUE, 0, 0)`, name, u.ID, name+"@intruder.example")
				return errors.Join(err, k.Users.Freeze(ctx, tx, u.ID, k.Now().Add(time.Hour)))
			}); err != nil {
				t.Fatal(err)
			}
			k.asks(u.Login)
		}
		letters, err := k.Outbox.Kept(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		to := ""
		for _, l := range letters {
			if inMail.MatchString(l.Mail.Text) {
				to += l.To
			}
		}
		if to != "ann@example.com" {
			t.Fatalf("mailed to %q", to)
		}
		if err := k.uses(k.tokens()[0]); err != nil {
			t.Error(err)
		}
	})
}

func TestOldLinksAreSwept(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		count := func() (n int) {
			if err := k.DB.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM password_links`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		k.asks(factortest.Person(t, k.DB, "ann", k.Now()).Login)
		for _, want := range []int{1, 0} {
			if err := k.Sweep(t.Context()); err != nil || count() != want {
				t.Error(err, count(), "are left")
			}
			k.Wait(30 * time.Minute)
		}
	})
}
