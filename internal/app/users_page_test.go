package app_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"sallyport/internal/auth"
	"sallyport/internal/secret"
	"sallyport/internal/user"
	"sallyport/internal/workgroup"
)

// A hall is people of two workgroups, and of none, as the Users page knows them.
type hall struct {
	*world
	north, south auth.WorkgroupID
	ids          map[string]auth.UserID // by the part of the login before the @
}

func (w *world) hall(t *testing.T) *hall {
	t.Helper()
	h := &hall{w, auth.WorkgroupID(secret.NewID()), auth.WorkgroupID(secret.NewID()), map[string]auth.UserID{}}
	h.do(t, func(tx auth.Tx) error {
		if err := w.Workgroups.Add(visitless, tx, workgroup.Workgroup{ID: h.north, Name: "North", Added: w.now()}); err != nil {
			return err
		}
		return w.Workgroups.Add(visitless, tx, workgroup.Workgroup{ID: h.south, Name: "South", Added: w.now()})
	})
	for _, p := range []struct {
		name, phone string
		role        auth.Role
		group       auth.WorkgroupID
	}{
		{"Olga Owner", "", auth.Owner, ""}, {"Adam Admin", "", auth.Admin, ""}, {"Sue Support", "", auth.Support, ""},
		{"Nora North", "", auth.WorkgroupAdmin, h.north}, {"Willy Without", "", auth.WorkgroupAdmin, ""},
		{"Nils Nord", annPhone, auth.Member, h.north}, {"Nina Nord", "", auth.Member, h.north}, {"Nick Nord", bobPhone, auth.Member, h.north},
		{"Nat Nord", "", auth.Admin, h.north}, {"Sam Syd", "", auth.Member, h.south}, {"=cmd()|'x'!A0", "", auth.Member, h.south}, {"Mo Member", "", auth.Member, ""},
	} {
		h.person(t, p.name, p.phone, p.role, p.group)
	}
	return h
}

func (h *hall) do(t *testing.T, f func(auth.Tx) error) {
	t.Helper()
	if err := h.DB.Tx(visitless, f); err != nil {
		t.Fatal(err)
	}
}

// person adds somebody with a password, called by their first name where they sign in.
func (h *hall) person(t *testing.T, name, phone string, role auth.Role, group auth.WorkgroupID) auth.UserID {
	t.Helper()
	first := strings.ToLower(firstOf(name))
	u, err := user.New(auth.UserID(secret.NewID()), first+"@example.com", name, role, h.now())
	if err != nil {
		t.Fatal(err)
	}
	u.Phone, u.Workgroup = phone, group
	hashed, err := h.Passwords.Prepare(visitless, u, annsPassword)
	if err != nil {
		t.Fatal(err)
	}
	h.do(t, func(tx auth.Tx) error {
		if err := h.Users.Add(visitless, tx, u); err != nil {
			return err
		}
		if err := h.Users.Move(visitless, tx, u.ID, group, h.now()); err != nil {
			return err
		}
		if err := h.Users.SetRole(visitless, tx, u.ID, role); err != nil {
			return err
		}
		if err := h.Passwords.Set(visitless, tx, u.ID, hashed); err != nil {
			return err
		}
		return h.Directory.Refresh(visitless, tx, u.ID)
	})
	h.ids[first] = u.ID
	return u.ID
}

// firstOf is the first name of a name that may be none.
func firstOf(name string) string {
	return strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })[0]
}

// as is somebody who has just proved who they are.
func (h *hall) as(t *testing.T, first string) *browser {
	t.Helper()
	b := h.browser()
	b.signIn(t, first+"@example.com", annsPassword, "signed_in")
	b.stepUp(t, "password", "password", annsPassword)
	return b
}

type roll struct {
	People []struct {
		ID, Name, Login string
		Group           string `json:"workgroup_name"`
	}
	Count, All     int
	Next, Previous string
	Status         int
	Errors         []struct{ Field string }
}

// list is a page of the list as a program reads it, and the answer of the page.
func (b *browser) list(t *testing.T, query string) (l roll, page answer) {
	t.Helper()
	if err := json.Unmarshal([]byte(b.api("GET", "/admin/users"+query).body), &l); err != nil {
		t.Fatal(err)
	}
	return l, b.form("GET", "/admin/users"+query)
}

func (l roll) names() string {
	var names []string
	for _, p := range l.People {
		names = append(names, strings.Fields(p.Name)[0])
	}
	return strings.Join(names, " ")
}

const everybody = "=cmd()|'x'!A0 Adam Mo Nat Nick Nils Nina Nora Olga Sam Sue Willy"

// A1, A5: whoever looks after a workgroup sees its people and nobody else, whatever the address says, on both faces and in
// the export.
func TestAListShowsWhomARoleMaySee(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		h := w.hall(t)
		all, north := map[string]bool{}, map[string]bool{"Nat": true, "Nick": true, "Nils": true, "Nina": true, "Nora": true}
		for _, name := range strings.Fields(everybody) {
			all[name] = true
		}
		foreign, _ := h.as(t, "adam").list(t, "?workgroup="+string(h.south))
		everywhere, _ := h.as(t, "adam").list(t, "?sort=-name")
		for first, sees := range map[string]map[string]bool{"olga": all, "adam": all, "sue": all, "nora": north, "willy": {}} {
			b := h.as(t, first)
			for _, query := range []string{
				"", "?q=n", "?q=sam", "?q=sam@example.com", "?workgroup=" + string(h.south), "?workgroup=" + string(h.north), "?within=" + string(h.south),
				"?Within=", "?sort=-last-sign-in", "?sort=email", "?sort=-added", "?role=admins", "?mfa=none", "?status=active", "?after=0." + url.QueryEscape(cursorOf(everywhere)),
				"?before=9." + url.QueryEscape(cursorOf(foreign)), "?workgroup=" + string(h.south) + "&q=sam&mfa=none",
			} {
				l, page := b.list(t, query)
				if strings.Contains(query, "=9.") || strings.Contains(query, "after=0.") {
					if cursorOf(foreign) == "" && l.Status == 0 {
						continue
					}
				}
				for _, p := range l.People {
					name := strings.Fields(p.Name)[0]
					if !sees[name] {
						t.Errorf("%s sees %s by %q", first, name, query)
					}
				}
				csv := ""
				if first != "sue" {
					csv = b.api("GET", "/admin/users/export"+query).body
				}
				for name := range all {
					if login := strings.ToLower(firstOf(name)) + "@example.com"; !sees[name] && (strings.Contains(strings.ReplaceAll(page.body, "value=\""+login, ""), ">"+login) || strings.Contains(csv, login)) {
						t.Errorf("%s sees %s on the page or in the file of %q", first, name, query)
					}
				}
				if first == "nora" && (strings.Contains(page.body, "South") || strings.Contains(csv, "South")) {
					t.Errorf("nora hears of another workgroup by %q", query)
				}
			}
			if l, page := b.list(t, ""); len(l.People) != len(sees) || l.Count != len(sees) || l.All != len(sees) || page.status != 200 {
				t.Errorf("%s sees %s of %d, %d", first, l.names(), l.All, page.status)
			}
		}
		for first, may := range map[string]bool{"mo": false, "sue": false, "nora": true} {
			b := h.browser()
			b.signIn(t, first+"@example.com", annsPassword, "signed_in")
			for _, face := range []string{"/api/v1", ""} {
				if a := b.send("GET", face+"/admin/users/export", "", ""); (a.status == 200) != may {
					t.Errorf("%s exports: %v", first, a)
				}
				if a := b.send("GET", face+"/admin/users", "", ""); (a.status == 200) != (first != "mo") {
					t.Errorf("%s lists: %v", first, a)
				}
			}
		}
		// Whoever is moved or demoted sees so at once, in a session that began before.
		go h.DB.Listen(t.Context()) // so that sessions are remembered
		for !h.DB.Hears() {
			time.Sleep(time.Millisecond)
		}
		b := h.as(t, "nora")
		h.do(t, func(tx auth.Tx) error { return h.Users.Move(visitless, tx, h.ids["nora"], h.south, h.now()) })
		if l, _ := b.list(t, ""); l.names() != "=cmd()|'x'!A0 Sam" {
			t.Errorf("moved: %s", l.names())
		}
		h.do(t, func(tx auth.Tx) error { return h.Users.SetRole(visitless, tx, h.ids["nora"], auth.Member) })
		if l, page := b.list(t, ""); len(l.People) > 0 || page.status != 403 {
			t.Errorf("demoted: %s %v", l.names(), page)
		}
	}, coded)
}

// cursorOf is a place in somebody's list.
func cursorOf(l roll) string {
	_, cursor, _ := strings.Cut(l.Next+l.Previous, ".")
	return cursor
}

// A1: search, filters, order and paging, both ways, and none of them lets through what is no such thing.
func TestAListIsSearchedFilteredAndPaged(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		h := w.hall(t)
		h.do(t, func(tx auth.Tx) error {
			if err := h.Users.Disable(visitless, tx, h.ids["mo"]); err != nil {
				return err
			}
			return h.Directory.Refresh(visitless, tx, h.ids["mo"])
		})
		b := h.as(t, "olga")
		for query, want := range map[string]string{
			"":                              everybody,
			"?q=nord":                       "Nat Nick Nils Nina",
			"?q=NORD+ni":                    "Nick Nils Nina",
			"?q=nils@example.com":           "Nils",
			"?q=%25":                        "",
			"?role=admins":                  "Adam Nat Nora Olga Sue Willy",
			"?role=support":                 "Sue",
			"?status=disabled":              "Mo",
			"?mfa=sms":                      "",
			"?workgroup=" + string(h.north): "Nat Nick Nils Nina Nora",
			"?workgroup=" + string(h.north) + "&role=admins&sort=-name": "Nora Nat",
			"?workgroup=nothing": "",
		} {
			if l, page := b.list(t, query); l.names() != want || page.status != 200 || l.Count != len(l.People) {
				t.Errorf("%s: %s (%d), want %s", query, l.names(), page.status, want)
			}
		}
		for _, query := range []string{"?sort=phone", "?sort=--name", "?mfa=password", "?mfa=x", "?role=root", "?status=gone", "?after=x", "?after=1.", "?after=-1.AAAA", "?before=1.%25", "?after=1.AABB&before=1.AABB", "?q=" + strings.Repeat("x", 201)} {
			if l, page := b.list(t, query); l.Status != 422 || page.status != 422 {
				t.Errorf("%s: %d, %d", query, l.Status, page.status)
			}
		}
		if _, page := b.list(t, "?q=magnus&mfa=none"); !strings.Contains(page.body, "No one called “magnus” is without MFA.") || !strings.Contains(page.body, "Nobody matches") {
			t.Error(page.body)
		}
		for i := range 100 {
			h.person(t, fmt.Sprintf("P%03d Page", i), "", auth.Member, h.south)
		}
		for _, order := range []string{"name", "-name", "email", "-added", "last-sign-in"} {
			h.pageThrough(t, b, order)
		}
	}, coded)
}

// pageThrough goes to the end and back, and must meet everybody once, in the same places.
func (h *hall) pageThrough(t *testing.T, b *browser, order string) {
	t.Helper()
	var met []string
	var said []string
	l, page := b.list(t, "?q=page&sort="+order)
	for {
		for _, p := range l.People {
			met = append(met, p.ID)
		}
		at := page.body[strings.Index(page.body, `aria-label="Pages"`):]
		_, at, _ = strings.Cut(at, `<span class="muted">`)
		at, _, _ = strings.Cut(at, "<")
		said = append(said, at)
		if l.Next == "" {
			break
		}
		l, page = b.list(t, "?q=page&sort="+order+"&after="+url.QueryEscape(l.Next))
	}
	if sorted := slices.Compact(slices.Sorted(slices.Values(met))); len(met) != 100 || len(sorted) != 100 || strings.Join(said, ", ") != "1–50 of 100, 51–100 of 100" {
		t.Errorf("%s: %d people, %d different ones: %s", order, len(met), len(sorted), said)
	}
	back, page := b.list(t, "?q=page&sort="+order+"&before="+url.QueryEscape(l.Previous))
	if len(back.People) != 50 || back.People[0].ID != met[0] || !strings.Contains(page.body, "1–50 of 100") || back.Previous != "" {
		t.Errorf("%s: back are %d people, %q", order, len(back.People), back.Previous)
	}
}

// A1: the file has whom the list has, in its order, and what looks like a formula runs nowhere; the record has who asked
// for whom.
func TestAnExportHonoursTheList(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		h := w.hall(t)
		b := h.as(t, "adam")
		for query, want := range map[string]string{
			"": "'" + everybody, "?q=nord&sort=-name": "Nina Nils Nick Nat", "?workgroup=" + string(h.south): "'=cmd()|'x'!A0 Sam", "?role=admins&status=active&mfa=none&sort=email": "Adam Nat Nora Olga Sue Willy",
		} {
			a := b.send("GET", "/admin/users/export"+query, "", "")
			rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
			if err != nil || a.header.Get("Content-Disposition") != `attachment; filename=people-2026-03-01.csv` {
				t.Fatal(err, a)
			}
			var names []string
			for _, r := range rows[1:] {
				names = append(names, strings.Fields(r[1])[0])
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
			for _, secret := range []string{annPhone, bobPhone, annPhone[4:], "$argon2"} {
				if strings.Contains(a.body, secret) {
					t.Errorf("%s is in the file", secret)
				}
			}
		}
		b.send("GET", "/admin/users/export?q=nils%40example.com&workgroup="+string(h.north), "", "")
		b.send("GET", "/admin/users/export?q=0701740605", "", "")
		b.send("HEAD", "/admin/users/export", "", "")
		if a := b.send("GET", "/admin/users/export?sort=phone", "", ""); a.status != 422 {
			t.Error(a)
		}
		events := w.events(t, "", auth.PeopleExported)
		if len(events) != 6 {
			t.Fatalf("%d exports in the record", len(events))
		}
		said := fmt.Sprint(events)
		for _, part := range []string{"n•••@example.com", string(h.north), "q:nord"} {
			if !strings.Contains(said, part) {
				t.Errorf("no %s in %s", part, said)
			}
		}
		if strings.Contains(said, "nils@") || strings.Contains(said, "0701740605") {
			t.Errorf("a whole destination: %s", said)
		}
	}, coded)
}
