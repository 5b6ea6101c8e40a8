package accesspass

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor/factortest"
	"sallyport/internal/user"
	"sallyport/internal/visit"
)

var schemas = []fs.FS{user.Schema, Schema}

// A desk gives passes to two people.
type desk struct {
	*Passes
	t        *testing.T
	users    *user.Store
	clock    *factortest.Clock
	ann, bob auth.User
}

func each(t *testing.T, test func(t *testing.T, k *desk)) {
	t.Helper()
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		clock := factortest.NewClock()
		test(t, &desk{New(Parts{DB: d, Keys: factortest.Keys(t), Clock: clock.Now}), t, user.NewStore(d), clock,
			factortest.Person(t, d, "ann", clock.Now()), factortest.Person(t, d, "bob", clock.Now())})
	})
}

func (k *desk) tx(f func(context.Context, auth.Tx) error) {
	k.t.Helper()
	if err := k.DB.Tx(k.t.Context(), func(tx auth.Tx) error { return f(k.t.Context(), tx) }); err != nil {
		k.t.Fatal(err)
	}
}

func (k *desk) gives(u auth.User, life time.Duration) (p Pass) {
	k.t.Helper()
	k.tx(func(ctx context.Context, tx auth.Tx) (err error) { p, err = k.Give(ctx, tx, u.ID, life); return err })
	return p
}

// comesIn begins the session that the pass of somebody was used for.
func (k *desk) comesIn(u auth.User) {
	k.t.Helper()
	r, err := k.of(k.t.Context(), k.DB, u.ID)
	if err != nil {
		k.t.Fatal(err)
	}
	k.tx(func(ctx context.Context, tx auth.Tx) error {
		_, err := k.Arrived(visit.With(ctx, &visit.Visit{}), tx, auth.Session{User: u, Proofs: []auth.Proof{{Kind: Kind, Enrolment: r.id}}})
		return err
	})
}

func (k *desk) binds(u auth.User) (p Pass) {
	k.t.Helper()
	k.tx(func(ctx context.Context, tx auth.Tx) (err error) { p, err = k.Bind(ctx, tx, u.ID, false); return err })
	return p
}

func (k *desk) bump(u auth.User) {
	k.t.Helper()
	k.tx(func(ctx context.Context, tx auth.Tx) error { _, err := k.users.Bump(ctx, tx, u.ID); return err })
}

func (k *desk) carries(u auth.User) {
	k.t.Helper()
	k.tx(func(ctx context.Context, tx auth.Tx) error { return k.Carry(ctx, tx, u.ID) })
}

// prove is the whole way of a pass.
func (k *desk) prove(u auth.User, code auth.Secret) error {
	k.t.Helper()
	ctx := k.t.Context()
	claim, err := k.Verify(ctx, auth.Attempt{User: u}, code)
	if err != nil {
		return err
	}
	return k.DB.Tx(ctx, func(tx auth.Tx) error { _, err := claim(ctx, tx); return err })
}

// has is the pass of a person, as policy hears of it: "", "spare", "full" or "blocked".
func (k *desk) has(u auth.User) string {
	k.t.Helper()
	some, err := k.Enrolments(k.t.Context(), k.DB, u.ID)
	if err != nil || len(some) > 1 {
		k.t.Fatal(some, err)
	}
	if len(some) == 0 {
		return ""
	}
	e := some[0]
	if !e.Given || !e.Last || e.Weak || e.Name != "Access pass" {
		k.t.Errorf("%+v", e)
	}
	return map[auth.Enrolment]string{{State: auth.Usable, Standing: auth.Spare}: "spare", {State: auth.Usable}: "full", {State: auth.Blocked}: "blocked"}[auth.Enrolment{State: e.State, Standing: e.Standing}]
}

func TestPassesAreAFactor(t *testing.T) {
	for name, give := range map[string]func(*Passes, context.Context, auth.Tx, auth.UserID) (Pass, error){
		"given": func(p *Passes, ctx context.Context, tx auth.Tx, u auth.UserID) (Pass, error) {
			return p.Give(ctx, tx, u, time.Hour)
		},
		"of a reset": func(p *Passes, ctx context.Context, tx auth.Tx, u auth.UserID) (Pass, error) {
			return p.Bind(ctx, tx, u, false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			factortest.Run(t, factortest.Subject{
				Schemas: schemas[1:],
				New: func(t *testing.T, d *db.DB, clock func() time.Time) auth.Factor {
					return New(Parts{DB: d, Keys: factortest.Keys(t), Clock: clock})
				},
				Enrol: func(t *testing.T, f auth.Factor, u auth.User) func() auth.Secret {
					p := f.(*Passes)
					var last Pass
					right := func() auth.Secret {
						if r, err := p.of(t.Context(), p.DB, u.ID); err == nil && r.used.IsZero() {
							return last.Code
						}
						err := p.DB.Tx(t.Context(), func(tx auth.Tx) (err error) { last, err = give(p, t.Context(), tx, u.ID); return err })
						if err != nil {
							t.Fatal(err)
						}
						return last.Code
					}
					right()
					return right
				},
				Next:  time.Minute,
				Wrong: []auth.Secret{"0000-0000-0000-0000", "UUUU-UUUU-UUUU-UUUU", "000000", "7KQM-3XTP-04VZ-H9W", "7KQM-3XTP-04VZ-H9WDD"},
				Proof: auth.Proof{Kind: Kind, AMR: "otp", Level: auth.OneFactor},
			})
		})
	}
}

func TestAPassIsReadAsPeopleTypeIt(t *testing.T) {
	for typed, want := range map[auth.Secret]string{
		"7KQM-3XTP-04VZ-H9WD": "7KQM3XTP04VZH9WD", "7kqm3xtp04vzh9wd": "7KQM3XTP04VZH9WD", " 7KQM 3XTP\t04VZ\r\nH9WD ": "7KQM3XTP04VZH9WD",
		"7-K-Q-M-3-X-T-P-0-4-V-Z-H-9-W-D": "7KQM3XTP04VZH9WD", "oOiIlL00-0000-0000": "0011110000000000",
		"": "", " ": "", "7KQM-3XTP-04VZ-H9W": "", "7KQM-3XTP-04VZ-H9WDD": "", "7KQM-3XTP-04VZ-H9WU": "", "7KQM-3XTP-04VZ-H9W\x00": "",
		"7KQM-3XTP-04VZ-H9W₀": "", "７KQM-3XTP-04VZ-H9WD": "", "7KQM-3XTP-04VZ-H9Wſ": "", "7KQM–3XTP–04VZ–H9WD": "", "7KQM+3XTP+04VZ+H9WD": "",
		"7KQM-3XTP-04VZ-H9W=": "", "\xff\xfe": "", auth.Secret(strings.Repeat(" ", 64)) + "7KQM3XTP04VZH9WD": "", auth.Secret(strings.Repeat("0", 1<<20)): "",
	} {
		code, err := parse(typed)
		var invalid auth.InvalidError
		if code != want || (err == nil) == (want == "") || err != nil && !errors.As(err, &invalid) {
			t.Errorf("%.40q is read as %q, %v", string(typed), code, err)
		}
	}
}

// A4: at least 65 bits, and nothing in the database reads as the pass.
func TestAPassIsLongAndIsNotKept(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		seen := map[auth.Secret]bool{}
		for range 100 {
			p := k.gives(k.ann, time.Hour)
			code, err := parse(p.Code)
			if err != nil || len(code)*5 < 65 || seen[p.Code] || group(code) != p.Code {
				t.Fatalf("%q %v", string(p.Code), err)
			}
			seen[p.Code] = true
			var kept []byte
			if err := k.DB.QueryRowContext(t.Context(), `SELECT mac FROM access_passes`).Scan(&kept); err != nil || len(kept) != 32 || strings.Contains(string(kept), code) {
				t.Fatal(kept, err)
			}
		}
	})
}

// A4: one use, short life, one at a time, one person.
func TestAPassEnds(t *testing.T) {
	wrong := func(t *testing.T, why string, err error) {
		t.Helper()
		if !errors.Is(err, auth.ErrWrong) {
			t.Errorf("%s: %v", why, err)
		}
	}
	each(t, func(t *testing.T, k *desk) {
		if k.has(k.ann) != "" {
			t.Error("a pass that nobody gave")
		}
		first := k.gives(k.ann, time.Hour)
		if !first.Until.Equal(k.clock.Now().Add(time.Hour)) || k.has(k.ann) != "spare" || k.has(k.bob) != "" {
			t.Error(first.Until, k.has(k.ann), k.has(k.bob))
		}
		wrong(t, "of another person", k.prove(k.bob, first.Code))
		second := k.gives(k.ann, time.Hour)
		wrong(t, "replaced", k.prove(k.ann, first.Code))
		if err := k.prove(k.ann, second.Code); err != nil {
			t.Error(err)
		}
		wrong(t, "used", k.prove(k.ann, second.Code))
		if k.has(k.ann) != "" {
			t.Error("it is there still: ", k.has(k.ann))
		}

		late := k.gives(k.ann, time.Hour)
		k.clock.Wait(time.Hour - time.Microsecond)
		claim, err := k.Verify(t.Context(), auth.Attempt{User: k.ann}, late.Code)
		if err != nil || k.has(k.ann) != "spare" {
			t.Fatal("at its last moment: ", err)
		}
		k.clock.Wait(time.Microsecond)
		wrong(t, "verified in time, spent too late", k.DB.Tx(t.Context(), func(tx auth.Tx) error { _, err := claim(t.Context(), tx); return err }))
		wrong(t, "over", k.prove(k.ann, late.Code))
		if claim, err := k.Verify(t.Context(), auth.Attempt{User: k.ann}, late.Code); claim != nil || k.has(k.ann) != "" {
			t.Error("it stands in still: ", err)
		}

		void := k.gives(k.ann, time.Hour)
		claim, err = k.Verify(t.Context(), auth.Attempt{User: k.ann}, void.Code)
		if err != nil {
			t.Fatal(err)
		}
		k.bump(k.ann)
		wrong(t, "verified before the epoch moved on", k.DB.Tx(t.Context(), func(tx auth.Tx) error { _, err := claim(t.Context(), tx); return err }))
		wrong(t, "void", k.prove(k.ann, void.Code))
		if k.has(k.ann) != "" {
			t.Error("it stands in still")
		}

		out := k.gives(k.bob, time.Hour)
		k.tx(func(ctx context.Context, tx auth.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE users SET disabled = TRUE WHERE id = $1`, k.bob.ID)
			return err
		})
		wrong(t, "of somebody disabled", k.prove(k.bob, out.Code))
	})
}

// A3: what a reset left shuts the account until it is used, replaced or made anew, whatever else becomes of it.
func TestAPassOfAResetBinds(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		p := k.binds(k.ann)
		if !p.Until.Equal(k.clock.Now().Add(72*time.Hour)) || k.has(k.ann) != "full" {
			t.Error(p.Until, k.has(k.ann))
		}
		k.clock.Wait(72 * time.Hour)
		if err := k.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		k.clock.Wait(1000 * time.Hour)
		if err := k.Sweep(t.Context()); err != nil || k.has(k.ann) != "blocked" || !errors.Is(k.prove(k.ann, p.Code), auth.ErrWrong) {
			t.Error("it lapsed: ", err, k.has(k.ann))
		}
		given := k.gives(k.ann, time.Hour)
		if k.has(k.ann) != "full" {
			t.Error("a pass in its place: ", k.has(k.ann))
		}
		k.clock.Wait(time.Hour)
		if k.has(k.ann) != "blocked" || !errors.Is(k.prove(k.ann, given.Code), auth.ErrWrong) {
			t.Error("that one lapsed: ", k.has(k.ann))
		}
		k.binds(k.ann)
		k.bump(k.ann)
		if k.has(k.ann) != "blocked" {
			t.Error("void: ", k.has(k.ann))
		}
		last := k.binds(k.ann)
		if err := k.prove(k.ann, last.Code); err != nil || k.has(k.ann) != "full" {
			t.Error("used, and the sign-in given up: ", err, k.has(k.ann))
		}
		wrong := func(why string) {
			if err := k.prove(k.ann, last.Code); !errors.Is(err, auth.ErrWrong) {
				t.Error(why, err)
			}
		}
		wrong("while that sign-in may go on: ")
		k.clock.Wait(10*time.Minute - time.Microsecond)
		wrong("until its end: ")
		k.clock.Wait(time.Microsecond)
		if err := k.prove(k.ann, last.Code); err != nil {
			t.Error("after it: ", err)
		}
		k.comesIn(k.ann)
		if k.has(k.ann) != "" {
			t.Error("once somebody came in: ", k.has(k.ann))
		}
		k.gives(k.ann, time.Hour)
		if k.has(k.ann) != "spare" {
			t.Error("after it was used, the next binds: ", k.has(k.ann))
		}
		k.clock.Wait(time.Hour)
		if err := k.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		var rows int
		if err := k.DB.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM access_passes`).Scan(&rows); err != nil || rows != 0 {
			t.Error(rows, "rows, ", err)
		}
	})
}

// L2: a password that was chosen through a mailed link leaves a pass alone; nothing else does, and nothing comes back.
func TestAPassIsCarriedIntoTheNextEpochAlone(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		for name, c := range map[string]struct {
			act   func(*desk, auth.User)
			wants string
		}{
			"over one epoch":          {func(k *desk, u auth.User) { k.bump(u); k.carries(u) }, "full"},
			"over one, twice":         {func(k *desk, u auth.User) { k.bump(u); k.carries(u); k.bump(u); k.carries(u) }, "full"},
			"carried twice":           {func(k *desk, u auth.User) { k.bump(u); k.carries(u); k.carries(u) }, "full"},
			"carried for nothing":     {func(k *desk, u auth.User) { k.carries(u) }, "full"},
			"and then void":           {func(k *desk, u auth.User) { k.bump(u); k.carries(u); k.bump(u) }, "blocked"},
			"over two":                {func(k *desk, u auth.User) { k.bump(u); k.bump(u); k.carries(u) }, "blocked"},
			"before the epoch":        {func(k *desk, u auth.User) { k.carries(u); k.bump(u) }, "blocked"},
			"of somebody else":        {func(k *desk, u auth.User) { k.bump(u); k.carries(k.bob) }, "blocked"},
			"when it was over":        {func(k *desk, u auth.User) { k.clock.Wait(Bound); k.bump(u); k.carries(u) }, "blocked"},
			"then its end comes, too": {func(k *desk, u auth.User) { k.bump(u); k.carries(u); k.clock.Wait(Bound) }, "blocked"},
		} {
			p := k.binds(k.ann)
			c.act(k, k.ann)
			if got := k.has(k.ann); got != c.wants {
				t.Errorf("%s: %s, want %s", name, got, c.wants)
			}
			if err := k.prove(k.ann, p.Code); (err == nil) != (c.wants == "full") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A link that holds a pass is known while it works, and says no more of any other than that it does not.
func TestALinkIsKnownWhileItWorks(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		ctx := visit.With(t.Context(), &visit.Visit{})
		void := func(why string, token auth.Secret) {
			t.Helper()
			if _, err := k.show(ctx, Link{token}); err != auth.ErrNotFound {
				t.Errorf("%s: %v", why, err)
			}
			if out, err := k.bring(ctx, Link{token}); err != auth.ErrNotFound || out.Cookies != nil {
				t.Errorf("%s: %v", why, err)
			}
		}
		p := k.binds(k.ann)
		for range 3 { // scanners follow it
			if _, err := k.show(ctx, Link{p.Code}); err != nil {
				t.Error(err)
			}
			out, err := k.bring(ctx, Link{p.Code})
			if err != nil || len(out.Cookies) != 1 || out.Cookies[0].Name != "__Host-pass" || !out.Cookies[0].HttpOnly || out.Cookies[0].MaxAge != 15*60 {
				t.Errorf("%v %v", out.Cookies, err)
			}
		}
		for _, none := range []auth.Secret{"", "x", "7KQM-3XTP-04VZ-H9WD", p.Code + "0", "' OR 1=1 --", "\x00", auth.Secret(strings.Repeat("x", 1<<16))} {
			void("not a link", none)
		}
		void("a pass that was handed over", k.gives(k.bob, time.Hour).Code)
		if err := k.prove(k.ann, p.Code); err != nil {
			t.Fatal(err)
		}
		k.comesIn(k.ann)
		void("used", p.Code)
		again := k.binds(k.ann)
		k.bump(k.ann)
		void("void", again.Code)
		again = k.binds(k.ann)
		newest := k.binds(k.ann)
		void("replaced", again.Code)
		k.clock.Wait(Bound)
		void("over", newest.Code)
	})
}

// A4: of many passes at once one is left, and of many who bring the same one gets in.
func TestOfManyAtOnceOneCounts(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		const many = 50
		var (
			all    sync.WaitGroup
			mu     sync.Mutex
			passes []Pass
			proved int
		)
		for range many {
			all.Go(func() {
				p := k.binds(k.ann)
				mu.Lock()
				defer mu.Unlock()
				passes = append(passes, p)
			})
		}
		all.Wait()
		for range 2 {
			for _, p := range passes {
				all.Go(func() {
					err := k.prove(k.ann, p.Code)
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						proved++
					} else if !errors.Is(err, auth.ErrWrong) {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		if len(passes) != many || proved != 1 {
			t.Errorf("%d of %d passes work", proved, len(passes))
		}
	})
}
