package app_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/visit"
)

// lowest is the lowest role that each guard lets in.
var lowest = map[visit.Guard]auth.Role{
	visit.Staff: auth.Support, visit.StaffFresh: auth.Support,
	visit.Steward: auth.WorkgroupAdmin, visit.StewardFresh: auth.WorkgroupAdmin,
	visit.Administrator: auth.Admin, visit.AdministratorFresh: auth.Admin,
}

// promote gives somebody a role, as the command line does.
func (w *world) promote(t *testing.T, u auth.User, r auth.Role) {
	t.Helper()
	if err := w.DB.Tx(t.Context(), func(tx auth.Tx) error { return w.Users.SetRole(t.Context(), tx, u.ID, r) }); err != nil {
		t.Fatal(err)
	}
}

type desk struct {
	dangerous
	guard visit.Guard
}

// desks are all routes of people who look after others.
func (w *world) desks(t *testing.T) (all []desk) {
	t.Helper()
	for _, r := range w.Site.Routes() {
		path := strings.TrimPrefix(r.API, "/api/v1")
		_, staff := lowest[r.Guard]
		if staff != (path == "/admin" || strings.HasPrefix(path, "/admin/")) {
			t.Errorf("%s %s stands at %q", r.Method, path, r.Guard)
		}
		if staff {
			all = append(all, desk{dangerous{r.Method, filled(path), r.Page != ""}, r.Guard})
		}
		if changes := r.Method != "GET"; staff && changes && !strings.HasSuffix(string(r.Guard), "fresh") && !strings.HasSuffix(path, "/preview") {
			t.Errorf("%s %s changes something without a fresh proof", r.Method, path)
		}
	}
	if len(all) < 30 {
		t.Errorf("%d routes", len(all))
	}
	return all
}

// filled puts something that nobody has into a path.
func filled(path string) string {
	for {
		before, rest, ok := strings.Cut(path, "{")
		if !ok {
			return path
		}
		_, after, _ := strings.Cut(rest, "}")
		path = before + "x" + after
	}
}

// A5: every route of administration asks for its role, on both faces. Who has a lower one learns nothing, not even of a
// missing field.
func TestEveryDeskAsksForItsRole(t *testing.T) {
	for _, role := range auth.Roles {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			w := inSQLite(t, coded, byMail)
			u := w.add(t, annsLogin, annsPassword)
			w.promote(t, u, role)
			b := w.browser()
			b.signIn(t, annsLogin, annsPassword, "signed_in")
			b.stepUp(t, "password", "password", annsPassword)
			for _, r := range w.desks(t) {
				a := b.api(r.method, r.path)
				page := a
				if r.hasPage {
					page = b.form(r.method, r.path)
				}
				may := role.Reaches(lowest[r.guard])
				if refused := a.problem() == "forbidden" && a.status == 403; refused == may || a.status == 401 {
					t.Errorf("%s %s at %s: %v", r.method, r.path, r.guard, a)
				}
				if refused := page.status == 403; refused == may {
					t.Errorf("%s %s at %s, on the page: %v", r.method, r.path, r.guard, page)
				}
			}
		})
	}
}

// R2: no trusted browser opens a page of administration; nor does half a sign-in, or none.
func TestATrustedBrowserOpensNoDesk(t *testing.T) {
	for _, name := range []string{"nobody", "half signed in", "a password, in a trusted browser", "a password, with an authenticator switched off", "an authenticator", "a password, and nothing stronger"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := inSQLite(t, coded, byMail, recovering)
			s := sessions[name]
			b, _ := s.arrive(t, w)
			if s.accepts != "" {
				w.promote(t, w.find(t, annsLogin), auth.Owner)
			}
			for _, r := range w.desks(t) {
				if strings.HasSuffix(string(r.guard), "fresh") {
					continue // stepup_everywhere_test.go
				}
				a := b.api(r.method, r.path)
				want := map[string]string{"nobody": "not-signed-in", "half signed in": "not-signed-in", "a password, in a trusted browser": "step-up"}[name]
				if got := a.problem(); want != "" && got != want || want == "" && (got == "step-up" || got == "forbidden") {
					t.Errorf("%s %s: %v", r.method, r.path, a)
				}
			}
		})
	}
}

// R2: where a mailed code is all that somebody has, step-up does not ask for it; so whoever came without it signs in anew.
func TestABrowserTrustedByAMailedCodeOpensNoDesk(t *testing.T) {
	w := inSQLite(t, coded, byMail)
	w.withMail(t)
	w.wait(time.Hour)
	b := w.browser()
	b.signIn(t, annsLogin, annsPassword, "second_factor")
	b.code(t, "email", annsLogin)
	if a := b.send("POST", "/api/v1/signin/done", "application/json", `{"trust":true}`); a.status != 200 {
		t.Fatal(a)
	}
	b.api("DELETE", "/session")
	b.signIn(t, annsLogin, annsPassword, "signed_in")
	w.promote(t, w.find(t, annsLogin), auth.Owner)
	b.stepUp(t, "password", "password", annsPassword)
	for _, r := range w.desks(t) {
		if a := b.api(r.method, r.path); a.problem() != "not-signed-in" {
			t.Errorf("%s %s: %v", r.method, r.path, a)
		}
	}
	w.wait(time.Hour)
	b.signIn(t, annsLogin, annsPassword, "second_factor") // no browser skips it for them
}
