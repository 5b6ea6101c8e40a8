package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/throttle"
)

func TestARowFollowsItsPerson(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add(t, "ann", "Ann Other", "ann@example.com", auth.Member, "red")
		for _, step := range []struct {
			happens func()
			want    Status
			factors []auth.Kind
		}{
			{func() {}, Invited, nil},
			{func() { w.password(t, "ann") }, Active, nil},
			{func() { w.number(t, "ann") }, Active, []auth.Kind{"sms"}},
			{func() { w.app(t, "ann") }, Active, []auth.Kind{"totp", "sms"}},
			{func() {
				w.do(t, "ann", auth.AccountFrozen, func(ctx context.Context, tx auth.Tx) error {
					return w.Users.Freeze(ctx, tx, "ann", w.now.Add(time.Hour))
				})
			}, Locked, []auth.Kind{"totp", "sms"}},
			{func() { w.now = w.now.Add(2 * time.Hour) }, Active, []auth.Kind{"totp", "sms"}}, // nothing happened but time
			{func() {
				w.do(t, "ann", auth.MFADisabled, func(ctx context.Context, tx auth.Tx) error { return w.Users.SwitchMFA(ctx, tx, "ann", true) })
			}, Active, nil},
			{func() {
				w.do(t, "ann", auth.UserDisabled, func(ctx context.Context, tx auth.Tx) error { return w.Users.Disable(ctx, tx, "ann") })
			}, Disabled, nil},
		} {
			step.happens()
			w.settle(t)
			w.recount(t)
			if p := w.get(t, "ann"); p.Status != step.want || !slices.Equal(p.Factors, step.factors) {
				t.Errorf("%+v, want %v %v", p, step.want, step.factors)
			}
		}
	})
}

func TestAHundredWrongCodesShowAsLockedUntilTheyAreForgotten(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add(t, "ann", "Ann", "ann@example.com", auth.Member, "")
		w.password(t, "ann")
		for range 100 {
			_, err := w.Throttle.Take(t.Context(), auth.User{ID: "ann"}, throttle.CodeByAccount.For("ann"))
			if err != nil {
				t.Fatal(err)
			}
			w.now = w.now.Add(2 * time.Hour)
		}
		w.do(t, "ann", auth.SignInFailed, nil)
		w.settle(t)
		if p := w.get(t, "ann"); p.Status != Locked {
			t.Error(p.Status)
		}
		w.do(t, "ann", auth.MFAReset, func(ctx context.Context, tx auth.Tx) error { return w.Throttle.Forget(ctx, tx, "ann") })
		w.settle(t)
		if p := w.get(t, "ann"); p.Status != Active {
			t.Error(p.Status)
		}
	})
}

func TestASignInIsNotedWithoutLookingAgain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add(t, "ann", "Ann", "ann@example.com", auth.Member, "")
		w.password(t, "ann")
		w.settle(t)
		w.do(t, "ann", auth.SessionStarted, nil)
		at := w.now
		if _, err := w.Trail.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.Trail.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if some, err := due(t.Context(), w.DB, w.now); err != nil || len(some) > 0 {
			t.Error("to be looked at:", some, err)
		}
		if p := w.get(t, "ann"); !p.LastSignIn.Equal(at) {
			t.Error(p.LastSignIn, "want", at)
		}
	})
}

func TestAnAdministratorSeesAtOnceWhatTheyDid(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add(t, "ann", "Ann", "ann@example.com", auth.Member, "")
		w.settle(t)
		oops := errors.New("oops")
		rename := func(end error) error {
			return w.DB.Tx(t.Context(), func(tx auth.Tx) error {
				if err := w.Users.Rename(t.Context(), tx, "ann", "Zoe"); err != nil {
					return err
				}
				return errors.Join(w.Refresh(t.Context(), tx, "ann"), end)
			})
		}
		if err := rename(oops); !errors.Is(err, oops) {
			t.Error(err)
		}
		if page := w.list(t, Query{Search: "zoe"}); len(page.People) != 0 {
			t.Error("what was rolled back is found")
		}
		if err := rename(nil); err != nil {
			t.Error(err)
		}
		if page := w.list(t, Query{Search: "zoe"}); len(page.People) != 1 || page.People[0].Name != "Zoe" {
			t.Errorf("%+v", page)
		}
		err := w.DB.Tx(t.Context(), func(tx auth.Tx) error {
			return errors.Join(w.Users.Remove(t.Context(), tx, "ann"), w.Refresh(t.Context(), tx, "ann"))
		})
		if err != nil {
			t.Error(err)
		}
		if page := w.list(t, Query{}); len(page.People) != 0 || page.Count != 0 {
			t.Errorf("%+v", page)
		}
		w.recount(t)
	})
}

func TestPeopleOfAnOlderDatabaseGetTheirRows(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		all := crowd(t, w, 60, rand.New(rand.NewPCG(1, 2)))
		w.settle(t)
		for _, statement := range []string{`DELETE FROM directory`, `DELETE FROM directory_words`, `DELETE FROM directory_classes`, `DELETE FROM directory_tallies`, `DELETE FROM directory_due`} {
			if err := w.DB.Tx(t.Context(), func(tx auth.Tx) error { return exec(statement)(t.Context(), tx) }); err != nil {
				t.Fatal(err)
			}
		}
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
		defer stop()
		w.Run(ctx, slog.New(slog.DiscardHandler))
		w.recount(t)
		people := model(t, w)
		for _, m := range people {
			if p := w.get(t, m.ID); !p.LastSignIn.Equal(m.LastSignIn) || p.Status != m.Status {
				t.Errorf("%+v, want %+v", p, m)
			}
		}
		// Gone by a statement that nobody recorded, and come by one.
		err := w.DB.Tx(t.Context(), func(tx auth.Tx) error {
			return errors.Join(exec(`DELETE FROM users WHERE id = $1`, all[0])(t.Context(), tx), exec(`DELETE FROM users WHERE id = $1`, all[1])(t.Context(), tx),
				exec(`INSERT INTO users (id, login, login_key, name, role, added_at) VALUES ('x', 'x@y', 'x@y', 'X', 'member', 1)`)(t.Context(), tx))
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Mend(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.recount(t)
	})
}

func TestNewRulesGoRoundEverybody(t *testing.T) {
	dbtest.EachAddress(t, schemas, func(t *testing.T, address string) {
		w := open(t, address)
		w.add(t, "ann", "Ann", "ann@example.com", auth.Member, "")
		w.add(t, "bob", "Bob", "bob@example.com", auth.Member, "")
		w.app(t, "ann")
		w.settle(t)
		if err := w.Mend(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.do(t, "", auth.PolicyChanged, nil)
		w.settle(t)
		w.recount(t)
		next := openWith(t, address, func(r []auth.Kind) []auth.Kind { return []auth.Kind{"sms"} })
		next.now = w.now
		if err := errors.Join(next.Mend(t.Context()), next.CatchUp(t.Context())); err != nil {
			t.Fatal(err)
		}
		next.recount(t)
		p := next.get(t, "ann")
		if len(p.Factors) != 0 || len(p.Shape.Enrolled) != 1 || p.Shape.Enrolled[0].Kind != "totp" {
			t.Errorf("%+v", p)
		}
	})
}

func TestShapesAreWhatPolicyNeedsToKnow(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i, u := range []auth.UserID{"ann", "bob", "cid", "dan", "eve"} {
			w.add(t, u, string(u), fmt.Sprintf("%s@example.com", u), auth.Member, []auth.WorkgroupID{"red", "blue"}[i/4])
		}
		w.app(t, "ann")
		w.app(t, "bob")
		w.number(t, "bob")
		w.app(t, "eve")
		w.do(t, "cid", auth.MethodSet, func(ctx context.Context, tx auth.Tx) error { return w.Users.SetMethod(ctx, tx, "cid", auth.BySMS) })
		w.do(t, "dan", auth.UserDisabled, func(ctx context.Context, tx auth.Tx) error { return w.Users.Disable(ctx, tx, "dan") })
		w.settle(t)
		for group, want := range map[auth.WorkgroupID]int{"red": 3, "blue": 1, "": 4, "green": 0} {
			all, err := w.Shapes(t.Context(), w.DB, group)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, s := range all {
				some, err := w.Some(t.Context(), w.DB, group, s, 2)
				if err != nil || len(some) != min(2, s.N) {
					t.Errorf("%+v: %v %v", s, some, err)
				}
				for _, p := range some {
					facts, err := w.Roster.Facts(t.Context(), w.DB, auth.User{ID: p.ID}, nil)
					if err != nil || len(facts.Enrolled) != len(s.Enrolled) || group != "" && p.Workgroup != group || p.Status == Disabled {
						t.Errorf("%+v has %+v (%v)", p, s, err)
					}
				}
				n += s.N
			}
			if n != want {
				t.Errorf("%q: %d people in %+v", group, n, all)
			}
		}
	})
}

func TestAShapeComesBackAsItWasWritten(t *testing.T) {
	for _, s := range []Shape{{}, {Method: auth.BySMS, MFAOff: true, Email: true, Phone: true}, {Enrolled: []auth.Enrolment{
		{Kind: "passkey", State: auth.Void}, {Kind: "totp", Standing: auth.Quiet}, {Kind: "email", State: auth.Blocked, Weak: true, Last: true},
		{Kind: "backupcode", Standing: auth.Spare, Last: true}, {Kind: "accesspass", Given: true}, {Kind: "sms", Dear: true}}}} {
		got, err := parseShape(s.text())
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", s) {
			t.Errorf("%q: %+v, want %+v (%v)", s.text(), got, s, err)
		}
	}
	if _, err := parseShape("totp"); err == nil {
		t.Error("no shape is one")
	}
}

func TestWhoHasAWordTwiceIsFoundOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i := range 30 {
			w.add(t, auth.UserID(fmt.Sprint("u", i)), []string{"Maria Other", "Maria Martin", "Ann Martin"}[i%3], fmt.Sprintf("x%d@example.com", i), auth.Member, "")
		}
		w.settle(t)
		w.reach = reach{gathered: 25, exact: 1, walked: 100} // 40 words begin so, 20 of them not a name
		for _, down := range []bool{false, true} {
			q, seen := Query{Search: "ma", Limit: 7, Descending: down}, map[auth.UserID]int{}
			for {
				page := w.list(t, q)
				for _, p := range page.People {
					seen[p.ID]++
				}
				if q.After = page.Next; q.After == "" {
					break
				}
			}
			for i := range 30 {
				if n := seen[auth.UserID(fmt.Sprint("u", i))]; n != 1 {
					t.Errorf("somebody is found %d times", n)
				}
			}
		}
	})
}

// A1, A5
func TestAWorkgroupAdminSeesNobodyElse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add(t, "ann", "Ann", "ann@example.com", auth.Member, "red")
		w.add(t, "bob", "Bob", "bob@example.com", auth.Member, "blue")
		w.add(t, "cid", "Cid", "cid@example.com", auth.Member, "")
		w.settle(t)
		red, none := auth.WorkgroupID("red"), auth.WorkgroupID("")
		for _, q := range []Query{{}, {Search: "bob@example.com"}, {Search: "example"}, {Search: "bob"}, {Workgroup: "blue"}, {Workgroup: "red"}, {Sort: ByLogin, Descending: true}} {
			for _, within := range []*auth.WorkgroupID{&red, &none} {
				q.Within = within
				page, n := w.list(t, q), 0
				err := w.Each(t.Context(), q, func(p Person) error { page.People = append(page.People, p); return nil })
				if counted, err2 := w.Count(t.Context(), q); q.Search == "" {
					n, err = counted, errors.Join(err, err2)
				}
				for _, p := range page.People {
					if p.Workgroup != *within || *within == "" {
						t.Errorf("%+v within %q finds %+v", q, *within, p)
					}
				}
				if err != nil || *within == "" && page.Count+n > 0 {
					t.Error(page.Count, n, err)
				}
			}
		}
	})
}

func TestHostileSearchesFindNothingAndBreakNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add(t, "ann", "Ann 100% _x_ (O'Hara)", "ann@example.com", auth.Member, "")
		w.settle(t)
		for search, finds := range map[string]bool{"%": false, "_": false, "'": false, "\x00": false, "\xff\xfe": false, "ann\x00": true, "100%": true, "_x_": true,
			"' OR 1=1 --": false, strings.Repeat("a", 10_000): false, strings.Repeat("ann ", 10_000): false, strings.Repeat("ann ", 40): true, "ANN ｅｘample": true,
			strings.Repeat("\u0301", 300): false, "o'h": true, "hara ann exam": true, "ann@example.com ": true, "nn": false, "😀": false, "\u202eann": true} {
			if page := w.list(t, Query{Search: search}); (len(page.People) == 1) != finds {
				t.Errorf("%.40q finds %d", search, len(page.People))
			}
		}
		other := w.list(t, Query{Limit: 1})
		for _, cursor := range []string{"!", "AA", "Aw", "A", strings.Repeat("A", 10_000), "AAAAA\x00"} {
			for _, q := range []Query{{After: cursor, Sort: ByLogin}, {Before: cursor, Sort: BySignIn}} {
				var invalid auth.InvalidError
				if _, err := w.List(t.Context(), q); err == nil || !errors.As(err, &invalid) {
					t.Errorf("%+v: %v", q, err)
				}
			}
		}
		for _, q := range []Query{{Sort: "x"}, {Status: "x"}, {Role: "x"}, {After: "AGE", Before: "AGE"}} {
			var invalid auth.InvalidError
			if _, err := w.List(t.Context(), q); !errors.As(err, &invalid) {
				t.Errorf("%+v: %v", q, err)
			}
		}
		if _, err := w.List(t.Context(), Query{Factor: "x' OR 1=1"}); err != nil || other.Count != 1 {
			t.Error(err)
		}
	})
}

// Whoever is there all the time is on exactly one page, whatever happens around them.
func TestPagesNeitherRepeatNorSkipWhoStays(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := rand.New(rand.NewPCG(3, 4))
		for i := range 120 {
			w.add(t, auth.UserID(fmt.Sprint("stays", i)), fmt.Sprint("Person ", r.IntN(500)), fmt.Sprintf("p%d@example.com", i), auth.Member, "")
		}
		w.settle(t)
		added := 0
		stir := func() {
			for range 5 {
				u := auth.UserID(fmt.Sprint("goes", added))
				w.add(t, u, fmt.Sprint("Person ", r.IntN(500)), fmt.Sprintf("g%d@example.com", added), auth.Member, "")
				if added++; added > 10 {
					gone := auth.UserID(fmt.Sprint("goes", added-10))
					w.do(t, gone, auth.UserRemoved, func(ctx context.Context, tx auth.Tx) error { return w.Users.Remove(ctx, tx, gone) })
				}
			}
			w.settle(t)
		}
		for _, q := range []Query{{Limit: 7}, {Limit: 7, Descending: true, Sort: ByLogin}, {Limit: 7, Search: "person"}} {
			for _, back := range []bool{false, true} {
				seen := map[auth.UserID]int{}
				page := w.list(t, q)
				if back {
					for page.Next != "" {
						page = w.list(t, Query{Limit: 7, Descending: q.Descending, Sort: q.Sort, Search: q.Search, After: page.Next})
					}
				}
				for {
					for _, p := range page.People {
						seen[p.ID]++
					}
					stir()
					next := Query{Limit: 7, Descending: q.Descending, Sort: q.Sort, Search: q.Search, After: page.Next}
					if back {
						next.After, next.Before = "", page.Previous
					}
					if next.After+next.Before == "" {
						break
					}
					page = w.list(t, next)
				}
				for i := range 120 {
					if n := seen[auth.UserID(fmt.Sprint("stays", i))]; n != 1 {
						t.Errorf("%+v, back %v: somebody who stays is seen %d times", q, back, n)
					}
				}
			}
		}
	})
}

func TestNodesKeepOneDirectoryTogether(t *testing.T) {
	dbtest.EachAddress(t, schemas, func(t *testing.T, address string) {
		first := open(t, address)
		people := crowd(t, first, 40, rand.New(rand.NewPCG(5, 6)))
		var all sync.WaitGroup
		for node := range 3 {
			w := open(t, address)
			w.now = first.now.Add(time.Duration(node+1) * time.Hour)
			r := rand.New(rand.NewPCG(7, uint64(node)))
			all.Go(func() {
				for i := range 25 {
					w.happen(t, people[20+r.IntN(20)], r)
					if i < 18 && i%3 == node { // an administrator
						u := people[i]
						err := w.DB.Tx(t.Context(), func(tx auth.Tx) error {
							if err := w.Users.Remove(t.Context(), tx, u); err != nil && !errors.Is(err, auth.ErrNotFound) {
								return err
							}
							return w.Refresh(t.Context(), tx, u, people[20+i])
						})
						if err != nil {
							t.Error(err)
						}
					}
					if _, err := w.Trail.Seal(t.Context()); err != nil {
						t.Error(err)
					}
					if err := errors.Join(w.Trail.CatchUp(t.Context()), w.CatchUp(t.Context()), w.Mend(t.Context())); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		first.now = first.now.Add(24 * time.Hour)
		first.settle(t)
		first.recount(t)
	})
}

func TestAdoptionIsOfTheDay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.add(t, "ann", "Ann", "ann@example.com", auth.Member, "")
		w.add(t, "bob", "Bob", "bob@example.com", auth.Member, "")
		w.settle(t)
		yesterday := w.now
		if err := w.Mend(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(24 * time.Hour)
		for range 2 {
			w.app(t, "ann")
			w.app(t, "bob")
			w.settle(t)
			if err := w.Mend(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		all, err := w.Adoption(t.Context(), yesterday)
		n := map[string]int{}
		for _, a := range all {
			n[a.Day.Format(time.DateOnly)+string(a.Strongest)] = a.People
		}
		if err != nil || n[db.Time(db.Micros(yesterday)).Format(time.DateOnly)] != 2 || n[w.now.Format(time.DateOnly)] != 0 || n[w.now.Format(time.DateOnly)+"totp"] != 2 {
			t.Error(all, err)
		}
	})
}
