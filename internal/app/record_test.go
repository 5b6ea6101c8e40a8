package app_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/secret"
	"sallyport/internal/workgroup"
)

// staffed is a world with two workgroups: one administrator of all, one of each, somebody in each, and one of support.
type staffed struct {
	*world
	people   map[string]auth.User
	browsers map[string]*browser
	groups   map[string]auth.WorkgroupID
}

func withStaff(t *testing.T, w *world) staffed {
	t.Helper()
	s := staffed{w, map[string]auth.User{}, map[string]*browser{}, map[string]auth.WorkgroupID{}}
	ctx, groups := t.Context(), workgroup.NewStore(w.DB)
	for _, name := range []string{"North", "South"} {
		s.groups[name] = auth.WorkgroupID(secret.NewID())
		err := w.DB.Tx(ctx, func(tx auth.Tx) error {
			return groups.Add(ctx, tx, workgroup.Workgroup{ID: s.groups[name], Name: name, Added: w.now()})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []struct {
		name, group string
		role        auth.Role
	}{{"chief", "", auth.Admin}, {"nora", "North", auth.WorkgroupAdmin}, {"sam", "South", auth.WorkgroupAdmin}, {"lost", "", auth.WorkgroupAdmin}, {"help", "", auth.Support}, {"ned", "North", auth.Member}, {"sue", "South", auth.Member}} {
		u := w.add(t, p.name+"@example.com", annsPassword)
		err := w.DB.Tx(ctx, func(tx auth.Tx) error {
			if p.group != "" {
				if err := w.Users.Move(ctx, tx, u.ID, s.groups[p.group], w.now()); err != nil {
					return err
				}
			}
			return w.Users.SetRole(ctx, tx, u.ID, p.role)
		})
		if err != nil {
			t.Fatal(err)
		}
		s.people[p.name], s.browsers[p.name] = u, w.browser()
		s.browsers[p.name].signIn(t, u.Login, annsPassword, "signed_in")
	}
	return s
}

func (s staffed) record(t *testing.T, events ...auth.Event) {
	t.Helper()
	for _, e := range events {
		ctx := auth.WithOrigin(t.Context(), &auth.Origin{RequestID: "r1", Face: "page", Address: netip.MustParseAddr("192.0.2.7"), Browser: "Mozilla/5.0"})
		if err := s.DB.Tx(ctx, func(tx auth.Tx) error { return s.Trail.Record(ctx, tx, e) }); err != nil {
			t.Fatal(err)
		}
	}
	s.wait(time.Second) // a file has what was before it
}

// A5, A7: whoever looks after a workgroup sees events about its people and what they did themselves: in the list, one by
// one, in every file, on both faces. Support and members see nothing.
func TestTheRecordOfAWorkgroupIsItsOwn(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		s := withStaff(t, w)
		chief, nora, ned, sue := s.people["chief"], s.people["nora"], s.people["ned"], s.people["sue"]
		s.record(t,
			auth.Event{Kind: auth.MFAReset, User: sue.ID, Actor: chief.ID, Detail: map[string]string{"reason": "of sue"}},
			auth.Event{Kind: auth.MFAReset, User: ned.ID, Actor: chief.ID, Detail: map[string]string{"reason": "of ned"}},
			auth.Event{Kind: auth.MFAReset, User: ned.ID, Actor: nora.ID, Detail: map[string]string{"reason": "by nora"}},
			auth.Event{Kind: auth.SignInFailed, Detail: map[string]string{"why": "of nobody"}})
		for _, e := range []struct {
			who    string
			status int
			sees   []string
		}{
			{"chief", 200, []string{"of sue", "of ned", "by nora", "of nobody"}}, {"nora", 200, []string{"of ned", "by nora"}}, {"sam", 200, []string{"of sue"}}, {"lost", 200, nil},
			{"help", 403, nil}, {"ned", 403, nil},
		} {
			b := s.browsers[e.who]
			for _, path := range []string{"/admin/events", "/admin/events/export", "/admin/events/export?format=json", "/admin/events?workgroup=" + string(s.groups["South"]), "/admin/events?kind=mfa.reset", "/admin/events?address=192.0.2.0/24"} {
				for face, a := range map[string]answer{"api": b.api("GET", path), "page": b.form("GET", path)} {
					if a.status != e.status {
						t.Fatalf("%s, %s of %s: %v", e.who, face, path, a)
					}
					for _, what := range []string{"of sue", "of ned", "by nora", "of nobody"} {
						may := slices.Contains(e.sees, what)
						out := strings.Contains(path, "address") && e.who != "chief" && what != "by nora" // nor is it found by where it came from
						must := may && !out && !strings.Contains(path, "?kind") && !strings.Contains(path, "workgroup")
						if has := strings.Contains(a.body, what); has && !may || must && !has {
							t.Errorf("%s, %s of %s: %q is there: %v", e.who, face, path, what, has)
						}
					}
				}
			}
		}
		// Who did it is not theirs to know, nor to find out by asking for each.
		if a := s.browsers["nora"].api("GET", "/admin/events?kind=mfa.reset"); strings.Contains(a.body, string(chief.ID)) || !strings.Contains(a.body, "An administrator") {
			t.Error("the act of an administrator: ", a.body)
		}
		for _, by := range []string{"person=" + string(chief.ID), "person=" + string(sue.ID), "q=" + sue.Login, "person=x"} {
			if a := s.browsers["nora"].api("GET", "/admin/events?"+by); a.status != 200 || strings.Contains(a.body, `"id"`) {
				t.Errorf("nora asks for %s: %v", by, a)
			}
		}
		w.looked(t)
		if a := s.browsers["nora"].api("GET", "/admin/events?q="+ned.Login); !strings.Contains(a.body, "of ned") {
			t.Error("of her own: ", a)
		}
		all, err := w.Trail.Recent(t.Context(), sue.ID, 1)
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		for who, status := range map[string]int{"chief": 200, "sam": 200, "nora": 404, "lost": 404, "help": 403, "sue": 403} {
			for face, a := range map[string]answer{"api": s.browsers[who].api("GET", "/admin/events/"+all[0].ID), "page": s.browsers[who].form("GET", "/admin/events/"+all[0].ID)} {
				if a.status != status {
					t.Errorf("%s, %s of one event: %v", who, face, a)
				}
			}
		}
		// Once somebody has moved, what happened to them is their new workgroup's.
		if err := w.DB.Tx(t.Context(), func(tx auth.Tx) error { return w.Users.Move(t.Context(), tx, ned.ID, s.groups["South"], w.now()) }); err != nil {
			t.Fatal(err)
		}
		for who, sees := range map[string]bool{"nora": false, "sam": true} {
			if a := s.browsers[who].api("GET", "/admin/events"); strings.Contains(a.body, "of ned") != sees {
				t.Errorf("%s after ned moved: %v", who, a.body)
			}
		}
		for _, who := range []string{"nora", "sam", "help", "ned"} {
			if a := s.browsers[who].api("POST", "/admin/events/check"); a.status != 403 {
				t.Errorf("%s has the chain verified: %v", who, a)
			}
			if a := s.browsers[who].api("GET", "/admin"); a.status != 403 {
				t.Errorf("%s sees the overview: %v", who, a)
			}
		}
		if a := s.browsers["chief"].api("POST", "/admin/events/check"); a.problem() != "step-up" {
			t.Error("without a fresh proof: ", a)
		}
	})
}

var hostileDetail = []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `=HYPERLINK("http://x","y")`, "+1", "@SUM(A1)", "{{.Out}}", "a\r\nb,c", `\u003cb`, "javascript:alert(1)", "é'\x00", "‮gnp"}

// A7: text from outside stays text on the page, in CSV and in JSON.
func TestHostileTextInTheRecordStaysText(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		s := withStaff(t, w)
		ned := s.people["ned"]
		if err := w.DB.Tx(t.Context(), func(tx auth.Tx) error {
			return w.Users.Rename(t.Context(), tx, ned.ID, `=cmd|'/c calc'!A1 <b>`)
		}); err != nil {
			t.Fatal(err)
		}
		for _, text := range hostileDetail {
			ctx := auth.WithOrigin(t.Context(), &auth.Origin{Browser: text, RequestID: text})
			err := w.DB.Tx(ctx, func(tx auth.Tx) error {
				return w.Trail.Record(ctx, tx, auth.Event{Kind: auth.FactorAdded, User: ned.ID, Detail: map[string]string{"name": text, "factor": text, text: text}})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		w.wait(time.Second)
		chief := s.browsers["chief"]
		list := chief.api("GET", "/admin/events?kind=factor.added")
		pages := []string{chief.form("GET", "/admin/events?kind=factor.added&q=%3Cscript%3E").body, chief.form("GET", "/admin/events?kind=factor.added").body}
		events, _ := list.fields["events"].([]any)
		if len(events) != len(hostileDetail) {
			t.Fatal(list)
		}
		for _, e := range events {
			pages = append(pages, chief.form("GET", "/admin/events/"+e.(map[string]any)["id"].(string)).body)
		}
		for _, p := range pages {
			for _, bad := range []string{"<script>alert", "<img src=x", "<b>", `href="javascript:`, "\x00", "‮"} {
				if strings.Contains(p, bad) {
					t.Errorf("a page has %q", bad)
				}
			}
		}
		if text := html.UnescapeString(strings.Join(pages, "")); !strings.Contains(text, hostileDetail[0]) || !strings.Contains(text, hostileDetail[2]) {
			t.Error("the pages do not say what stands there")
		}
		rows, err := csv.NewReader(strings.NewReader(chief.form("GET", "/admin/events/export?kind=factor.added").body)).ReadAll()
		if err != nil || len(rows) != len(hostileDetail)+1 {
			t.Fatal(len(rows), err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
					t.Errorf("a spreadsheet runs %q", cell)
				}
			}
		}
		lines := strings.Split(strings.TrimSpace(chief.form("GET", "/admin/events/export?kind=factor.added&format=json").body), "\n")
		if len(lines) != len(hostileDetail) {
			t.Fatal(len(lines), "lines")
		}
		for _, l := range lines {
			var e map[string]any
			if err := json.Unmarshal([]byte(l), &e); err != nil || e["kind"] != "factor.added" {
				t.Error(l, err)
			}
		}
		exports := w.events(t, s.people["chief"].ID, auth.EventsExported)
		if len(exports) != 2 || exports[0]["by"] != "kind" {
			t.Error("exports in the record: ", exports)
		}
	})
}

// A8: the overview counts each event once, however often nodes start and whoever is first.
func TestTheOverviewCountsEachEventOnce(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		s := withStaff(t, w) // seven sign-ins
		other := worldOn(t, w.config.Database, func(c *config.Config) { c.Data = w.config.Data })
		wrong := w.browser()
		for range 3 {
			wrong.api("POST", "/signin", "login", "ned@example.com", "password", "a wrong one of them")
		}
		settle := func(nodes ...*world) {
			t.Helper()
			for _, n := range nodes {
				for range 3 {
					if _, err := n.Trail.Seal(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			errs := make(chan error, len(nodes))
			for _, n := range nodes {
				go func() { errs <- n.Trail.CatchUp(t.Context()) }()
			}
			for range nodes {
				if err := <-errs; err != nil {
					t.Fatal(err)
				}
			}
		}
		settle(w, other)
		w.restart(t)
		settle(w, other)
		a := s.browsers["chief"].api("GET", "/admin")
		today, _ := a.fields["today"].(map[string]any)
		if a.status != 200 || fmt.Sprint(today["sign_ins"], today["refused"]) != "7 3" {
			t.Fatal(a)
		}
		w.wait(24 * time.Hour)
		w.browser().signIn(t, "ned@example.com", annsPassword, "signed_in")
		settle(w, other)
		b := w.browser()
		b.signIn(t, "chief@example.com", annsPassword, "signed_in")
		a = b.api("GET", "/admin?days=182")
		today, _ = a.fields["today"].(map[string]any)
		if a.status != 200 || fmt.Sprint(today["sign_ins"], today["refused"]) != "1 0" {
			t.Error("a day later: ", a)
		}
		for _, days := range []string{"", "?days=30", "?days=182", "?days=365"} {
			if p := b.form("GET", "/admin"+days); p.status != 200 || !strings.Contains(p.body, "Show as table") || !strings.Contains(p.body, "Nothing to show yet.") {
				t.Error(p)
			}
		}
		if a := b.api("GET", "/admin?days=31"); a.status != 422 {
			t.Error(a)
		}
	})
}

// A5, A7: of an act of somebody whom a viewer may not see nothing leads to them: not their name, address or browser, on the page
// of the person, in the record, in a file, or by looking for the address; nor is another workgroup named.
func TestWhoeverIsOutOfSightStaysSo(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		s := withStaff(t, w)
		chief, nora, ned := s.people["chief"], s.people["nora"], s.people["ned"]
		rename := func(u auth.User, name string) {
			if err := w.DB.Tx(t.Context(), func(tx auth.Tx) error { return w.Users.Rename(t.Context(), tx, u.ID, name) }); err != nil {
				t.Fatal(err)
			}
		}
		rename(chief, "Carla Chief")
		rename(nora, "Nora North")
		s.record(t,
			auth.Event{Kind: auth.UserAdded, User: ned.ID, Actor: chief.ID, Detail: map[string]string{"workgroup": "South"}},
			auth.Event{Kind: auth.UserMoved, User: ned.ID, Actor: chief.ID, Detail: map[string]string{"old": "South", "new": "North"}},
			auth.Event{Kind: auth.MFAReset, User: ned.ID, Actor: chief.ID, Detail: map[string]string{"reason": "lost"}})
		all, err := w.Trail.Recent(t.Context(), ned.ID, 20)
		all = slices.DeleteFunc(all, func(e audit.Entry) bool { return e.Actor != chief.ID })
		if err != nil || len(all) != 3 {
			t.Fatal(all, err)
		}
		paths := []string{"/admin/users/" + string(ned.ID), "/admin/events?kind=admin", "/admin/events/export?kind=admin", "/admin/events/export?kind=admin&format=json"}
		for _, e := range all {
			paths = append(paths, "/admin/events/"+e.ID)
		}
		for _, path := range paths {
			b := s.browsers["nora"]
			for face, a := range map[string]answer{"api": b.api("GET", path), "page": b.form("GET", path)} {
				for _, secret := range []string{"Carla", string(chief.ID), "192.0.2.7", "South"} {
					if a.status != 200 || strings.Contains(a.body, secret) {
						t.Errorf("nora, %s of %s: %q is there: %v", face, path, secret, a)
					}
				}
			}
			if a := s.browsers["chief"].api("GET", path); a.status != 200 || !strings.Contains(a.body, "192.0.2.7") && !strings.Contains(path, "users") {
				t.Errorf("chief, %s: %v", path, a)
			}
		}
		if a := s.browsers["nora"].api("GET", "/admin/events?kind=user.moved"); !strings.Contains(a.body, "from another workgroup to North") {
			t.Error("her own is named: ", a)
		}
		for _, path := range []string{"/admin/events?kind=admin&address=192.0.2.7", "/admin/events?kind=admin&q=192.0.2.0/24", "/admin/events/export?kind=admin&address=192.0.2.7"} {
			if a := s.browsers["nora"].api("GET", path); a.status != 200 || strings.Contains(a.body, all[0].ID) {
				t.Errorf("found by the address: %v", a)
			}
		}
	})
}

// A8, A10: whoever has the record checked stands in it.
func TestACheckOfTheRecordIsRecorded(t *testing.T) {
	w := inSQLite(t)
	chief, b := w.staff(t, "chief@example.com", auth.Admin, "")
	if a := b.api("POST", "/admin/events/check"); a.status != 204 {
		t.Fatal(a)
	}
	if rows := w.events(t, chief.ID, auth.RecordChecked); len(rows) != 1 {
		t.Error(rows)
	}
}
