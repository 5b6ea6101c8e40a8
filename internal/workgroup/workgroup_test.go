package workgroup

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/policy"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func each(t *testing.T, test func(*testing.T, *Store, func(func(context.Context, auth.Tx) error) error)) {
	dbtest.Each(t, []fs.FS{Schema}, func(t *testing.T, d *db.DB) {
		test(t, NewStore(d), func(f func(context.Context, auth.Tx) error) error {
			return d.Tx(t.Context(), func(tx auth.Tx) error { return f(t.Context(), tx) })
		})
	})
}

// W1: the instance's level stands before the workgroup's, and somebody in none has the instance's alone.
func TestAPersonStandsUnderTheInstanceAndTheirWorkgroup(t *testing.T) {
	each(t, func(t *testing.T, s *Store, tx func(func(context.Context, auth.Tx) error) error) {
		week := policy.Level{MFA: policy.Required, Since: now, AtOnce: true, Grace: 7 * 24 * time.Hour, Factors: []auth.Kind{"passkey"}, Refused: []auth.Kind{"sms"},
			Closed: []auth.Kind{"totp"}, Trust: policy.Trust{Set: true}}
		if err := tx(func(ctx context.Context, tx auth.Tx) error {
			return errors.Join(s.Add(ctx, tx, Workgroup{ID: "sales", Name: "Field sales", Added: now}), s.Add(ctx, tx, Workgroup{ID: "desk", Name: "Desk", Added: now}),
				s.SetLevel(ctx, tx, "sales", week), s.SetLevel(ctx, tx, Instance, policy.Level{MFA: policy.Optional}))
		}); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[auth.WorkgroupID]int{"sales": 2, "desk": 2, Instance: 1, "gone": 1} {
			levels, err := s.Levels(t.Context(), s.db, id)
			if err != nil || len(levels) != want || levels[0].MFA != policy.Optional || levels[0].Group || levels[0].Name != "the instance" {
				t.Errorf("%s: %+v, %v", id, levels, err)
			}
			if id != "sales" {
				continue
			}
			week.Name, week.Group = "workgroup Field sales", true
			l := levels[1]
			if !l.Since.Equal(week.Since) || l.Name != week.Name || !l.Group || !l.AtOnce || l.Grace != week.Grace || !l.Trust.Set || l.Trust.For != 0 ||
				len(l.Factors) != 1 || len(l.Refused) != 1 || len(l.Closed) != 1 {
				t.Errorf("%+v", l)
			}
		}
		if all, err := s.All(t.Context(), s.db); err != nil || len(all) != 2 || all[0].Name != "Desk" {
			t.Error(all, err)
		}
	})
}

// security R6: a level that cannot be read denies.
func TestALevelThatCannotBeReadDenies(t *testing.T) {
	each(t, func(t *testing.T, s *Store, tx func(func(context.Context, auth.Tx) error) error) {
		if err := tx(func(ctx context.Context, tx auth.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE workgroups SET level = 'no JSON'`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if levels, err := s.Levels(t.Context(), s.db, "sales"); err == nil {
			t.Error(levels)
		}
	})
}

func TestNamesOfWorkgroupsAreTheirOwn(t *testing.T) {
	each(t, func(t *testing.T, s *Store, tx func(func(context.Context, auth.Tx) error) error) {
		add := func(id auth.WorkgroupID, name string) error {
			return tx(func(ctx context.Context, tx auth.Tx) error {
				return s.Add(ctx, tx, Workgroup{ID: id, Name: name, Added: now})
			})
		}
		if err := errors.Join(add("a", "Größe"), add("b", "Desk")); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"", " ", "Desk", "DESK", "GRÖSSE", " Desk", "a\nb", strings.Repeat("x", 61)} {
			var wrong auth.InvalidError
			if err := add("c", name); !errors.As(err, &wrong) || wrong.Field != "name" {
				t.Errorf("%q: %v", name, err)
			}
			if name == "Desk" || name == "DESK" {
				continue
			}
			err := tx(func(ctx context.Context, tx auth.Tx) error { return s.Rename(ctx, tx, "b", name) })
			if !errors.As(err, &wrong) {
				t.Errorf("renamed to %q: %v", name, err)
			}
		}
		if err := tx(func(ctx context.Context, tx auth.Tx) error {
			return errors.Join(s.Rename(ctx, tx, "b", "DESK"), s.Remove(ctx, tx, "a"))
		}); err != nil {
			t.Error(err)
		}
		for _, id := range []auth.WorkgroupID{"a", Instance} {
			if err := tx(func(ctx context.Context, tx auth.Tx) error { return s.Remove(ctx, tx, id) }); !errors.Is(err, auth.ErrNotFound) {
				t.Errorf("%q: %v", id, err)
			}
		}
		if w, err := s.Get(t.Context(), s.db, "b"); err != nil || w.Name != "DESK" {
			t.Error(w, err)
		}
	})
}
