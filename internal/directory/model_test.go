package directory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/internal/auth"
	"sallyport/internal/user"
)

var (
	first  = []string{"Anna", "Ánna", "Bob", "Zoe", "Mariana", "Maria", "Øystein", "李雷", "Jean-Luc", "Al", "Q'ara", "%_%", "Null"}
	second = []string{"Karenina", "O'Hara", "van Dyke", "Müller", "Zoellner", "Maria", "Ng", "Übel", "a_b", "Straße"}
	groups = []auth.WorkgroupID{"", "red", "blue", "green"}
)

// crowd fills a world with people who have been through something.
func crowd(t *testing.T, w *world, n int, r *rand.Rand) (all []auth.UserID) {
	for i := range n {
		id := auth.UserID(fmt.Sprintf("u%04d", i))
		a, b := first[r.IntN(len(first))], second[r.IntN(len(second))]
		login := fmt.Sprintf("%s%d@%s.example", strings.ToLower(strings.Trim(a, "%_'李雷ØÁ")+"x"), i, []string{"north", "south"}[r.IntN(2)])
		role := auth.Member
		if r.IntN(6) == 0 {
			role = auth.Roles[r.IntN(len(auth.Roles))]
		}
		w.now = w.now.Add(time.Duration(r.IntN(3)) * time.Second)
		w.add(t, id, a+" "+b, login, role, groups[r.IntN(len(groups))])
		all = append(all, id)
		for range r.IntN(4) {
			w.happen(t, id, r)
		}
	}
	return all
}

// happen is one thing that changes what stands in somebody's row.
func (w *world) happen(t *testing.T, u auth.UserID, r *rand.Rand) {
	ctxTx := func(f func(ctx context.Context, tx auth.Tx) error) func(context.Context, auth.Tx) error { return f }
	switch r.IntN(13) {
	case 0, 1:
		w.password(t, u)
	case 2, 3:
		w.app(t, u)
	case 4:
		w.number(t, u)
	case 5, 6:
		w.do(t, u, auth.SessionStarted, nil)
	case 7:
		w.do(t, u, auth.UserDisabled, ctxTx(func(ctx context.Context, tx auth.Tx) error { return w.Users.Disable(ctx, tx, u) }))
	case 8:
		w.do(t, u, auth.UserEnabled, ctxTx(func(ctx context.Context, tx auth.Tx) error { return w.Users.Enable(ctx, tx, u) }))
	case 9:
		w.do(t, u, auth.AccountFrozen, ctxTx(func(ctx context.Context, tx auth.Tx) error {
			return w.Users.Freeze(ctx, tx, u, w.now.Add(time.Duration(r.IntN(200))*time.Hour))
		}))
	case 10:
		w.do(t, u, auth.UserRenamed, ctxTx(func(ctx context.Context, tx auth.Tx) error {
			return w.Users.Rename(ctx, tx, u, first[r.IntN(len(first))]+" "+second[r.IntN(len(second))])
		}))
	case 11:
		w.do(t, u, auth.UserMoved, ctxTx(func(ctx context.Context, tx auth.Tx) error {
			return w.Users.Move(ctx, tx, u, groups[r.IntN(len(groups))], w.now)
		}))
	case 12:
		w.do(t, u, auth.MFADisabled, ctxTx(func(ctx context.Context, tx auth.Tx) error { return w.Users.SwitchMFA(ctx, tx, u, r.IntN(2) == 0) }))
	}
}

// model is everybody as the tables of people say, without any of our own.
func model(t *testing.T, w *world) (all []Person) {
	var users []auth.User
	if err := w.Users.Each(t.Context(), func(u auth.User) error { users = append(users, u); return nil }); err != nil {
		t.Fatal(err)
	}
	is := func(query string, u auth.UserID) (n int) {
		if err := w.DB.QueryRowContext(t.Context(), query, u).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, u := range users {
		p := Person{ID: u.ID, Name: u.Name, Login: u.Login, Workgroup: u.Workgroup, Role: u.Role, Added: u.Added, Status: Active}
		if at := is(`SELECT COALESCE(MAX(at), 0) FROM events WHERE user_id = $1 AND kind = 'session.started'`, u.ID); at > 0 {
			p.LastSignIn = time.UnixMicro(int64(at)).UTC()
		}
		switch {
		case u.Disabled:
			p.Status = Disabled
		case u.Frozen.After(w.now):
			p.Status = Locked
		case p.LastSignIn.IsZero() && is(`SELECT COUNT(*) FROM passwords WHERE user_id = $1`, u.ID) == 0:
			p.Status = Invited
		}
		if !u.MFAOff && is(`SELECT COUNT(*) FROM totp WHERE user_id = $1`, u.ID) > 0 {
			p.Factors = append(p.Factors, "totp")
		}
		if !u.MFAOff && is(`SELECT COUNT(*) FROM contacts WHERE user_id = $1`, u.ID) > 0 {
			p.Factors = append(p.Factors, "sms")
		}
		all = append(all, p)
	}
	return all
}

func wanted(q Query, p Person, whole bool) bool {
	has := func(k auth.Kind) bool { return slices.Contains(p.Factors, k) }
	switch {
	case q.Status != "" && q.Status != p.Status,
		q.Role == AnyAdmin && p.Role == auth.Member,
		q.Role != "" && q.Role != AnyAdmin && q.Role != p.Role,
		q.Factor == NoFactor && len(p.Factors) > 0,
		q.Factor == SMSOnly && !(len(p.Factors) == 1 && has("sms")),
		q.Factor != "" && q.Factor != NoFactor && q.Factor != SMSOnly && !has(q.Factor),
		q.Workgroup != "" && q.Workgroup != p.Workgroup,
		q.Within != nil && (*q.Within == "" || *q.Within != p.Workgroup):
		return false
	case strings.TrimSpace(q.Search) == "":
		return true
	case whole:
		return user.Key(q.Search) == user.Key(p.Login)
	}
	typed := split(fold(q.Search))
	has1 := func(t string) bool {
		return slices.ContainsFunc(split(fold(p.Name+" "+p.Login)), func(w string) bool { return strings.HasPrefix(w, t) })
	}
	for _, t := range typed {
		if !has1(t) {
			return false
		}
	}
	return len(typed) > 0
}

// expected is a query answered by looking at everybody.
func expected(q Query, all []Person) (found []Person) {
	whole := strings.Contains(q.Search, "@") && slices.ContainsFunc(all, func(p Person) bool { return user.Key(p.Login) == user.Key(q.Search) })
	for _, p := range all {
		if wanted(q, p, whole) {
			found = append(found, p)
		}
	}
	i := max(0, slices.Index(Sorts, q.Sort))
	slices.SortFunc(found, func(a, b Person) int {
		by := func(p Person) []byte {
			return keys(auth.User{ID: p.ID, Name: p.Name, Login: p.Login, Added: p.Added}, p.LastSignIn)[i]
		}
		return bytes.Compare(by(a), by(b))
	})
	if q.Descending {
		slices.Reverse(found)
	}
	return found
}

func drawn(all []Person) *rapid.Generator[Query] {
	return rapid.Custom(func(t *rapid.T) (q Query) {
		q.Sort = rapid.SampledFrom(append(slices.Clone(Sorts), "")).Draw(t, "sort")
		q.Descending = rapid.Bool().Draw(t, "descending")
		q.Limit = rapid.IntRange(1, 60).Draw(t, "limit")
		q.Factor = rapid.SampledFrom([]auth.Kind{"", "", "", NoFactor, SMSOnly, "totp", "sms", "passkey"}).Draw(t, "factor")
		q.Role = rapid.SampledFrom([]auth.Role{"", "", "", AnyAdmin, auth.Owner, auth.Member, auth.Support}).Draw(t, "role")
		q.Status = rapid.SampledFrom([]Status{"", "", "", Active, Invited, Locked, Disabled}).Draw(t, "status")
		q.Workgroup = rapid.SampledFrom([]auth.WorkgroupID{"", "", "", "red", "blue", "nowhere"}).Draw(t, "workgroup")
		if w := rapid.SampledFrom([]auth.WorkgroupID{"none", "none", "none", "", "red", "green"}).Draw(t, "within"); w != "none" {
			q.Within = &w
		}
		p := rapid.SampledFrom(all).Draw(t, "of")
		q.Search = rapid.SampledFrom([]string{"", "", "", p.Login, strings.ToUpper(p.Login), p.Name, p.Login[:4], "a", "m mar", "zoe", "  ", "%", "_", "a_b", "'",
			"nobody", "maria south", "strasse", "anna@", "\x00\xff", "李", "ub"}).Draw(t, "search")
		return q
	})
}

func agrees(t *rapid.T, w *world, all []Person, q Query) {
	ctx, want := context.Background(), expected(q, all)
	same := func(p, m Person) bool {
		return p.ID == m.ID && p.Name == m.Name && p.Login == m.Login && p.Workgroup == m.Workgroup && p.Role == m.Role && p.Status == m.Status &&
			slices.Equal(p.Factors, m.Factors) && p.Added.Equal(m.Added) && p.LastSignIn.Equal(m.LastSignIn)
	}
	var got, back []Person
	var last Page
	for pages := 0; ; pages++ {
		page, err := w.List(ctx, q)
		if err != nil || page.Count > len(want) || (page.Count != len(want)) && !page.More || page.More && q.Search == "" {
			t.Fatalf("%+v: count %d, want %d (%v)", q, page.Count, len(want), err)
		}
		if len(page.People) > q.Limit || pages > len(want)+1 || (page.Previous != "") != (pages > 0) {
			t.Fatalf("%+v: page %d of %d has %d people, previous %q", q, pages, len(want), len(page.People), page.Previous)
		}
		got, last = append(got, page.People...), page
		if page.Next == "" {
			break
		}
		q.After = page.Next
	}
	if !slices.EqualFunc(got, want, same) {
		t.Fatalf("%+v:\n got %v\nwant %v", q, got, want)
	}
	for q.After = ""; ; {
		back = append(slices.Clone(last.People), back...)
		if last.Previous == "" {
			break
		}
		q.Before = last.Previous
		page, err := w.List(ctx, q)
		if err != nil || page.Next == "" {
			t.Fatalf("%+v: %v, next %q", q, err, page.Next)
		}
		last = page
	}
	if !slices.EqualFunc(back, want, same) {
		t.Fatalf("%+v backwards:\n got %v\nwant %v", q, ids(back), ids(want))
	}
	got = nil
	if err := w.Each(ctx, q, func(p Person) error { got = append(got, p); return nil }); err != nil || !slices.EqualFunc(got, want, same) {
		t.Fatalf("%+v each: %v\n got %v\nwant %v", q, err, ids(got), ids(want))
	}
	if q.Search == "" {
		if n, err := w.Count(ctx, q); n != len(want) || err != nil {
			t.Fatalf("%+v: %d counted, want %d (%v)", q, n, len(want), err)
		}
	}
}

// A1
func TestListsAreWhatLookingAtEverybodyFinds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
		people := crowd(t, w, 150, r)
		for round := range 4 {
			w.settle(t)
			w.recount(t)
			all := model(t, w)
			rapid.Check(t, func(t *rapid.T) {
				w.reach = reach{rapid.IntRange(1, 100).Draw(t, "gathered"), rapid.IntRange(1, 100).Draw(t, "exact"), rapid.IntRange(1, 100).Draw(t, "walked")}
				agrees(t, w, all, drawn(all).Draw(t, "query"))
			})
			for range 60 {
				w.happen(t, people[r.IntN(len(people))], r)
			}
			for i := range 3 { // some go
				u := people[round*3+i]
				w.do(t, u, auth.UserRemoved, func(ctx context.Context, tx auth.Tx) error { return w.Users.Remove(ctx, tx, u) })
			}
			people = slices.Delete(people, round*3, round*3+3)
			if round == 2 { // all that was frozen thaws
				w.now = w.now.Add(cmp.Or(300*time.Hour, 0))
			}
		}
	})
}
