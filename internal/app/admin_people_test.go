package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/admin/people"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/secret"
	"sallyport/internal/workgroup"
)

// groupUnder is a workgroup with rules of its own.
func (w *world) groupUnder(t tester, name string, l policy.Level) auth.WorkgroupID {
	t.Helper()
	id := auth.WorkgroupID(secret.NewID())
	if err := w.DB.Tx(visitless, func(tx auth.Tx) error {
		return w.Workgroups.Add(visitless, tx, workgroup.Workgroup{ID: id, Name: name, Level: l, Added: w.now()})
	}); err != nil {
		t.Fatalf("%v", err)
	}
	return id
}

// becomes gives somebody a role and a workgroup.
func (w *world) becomes(t tester, u auth.User, r auth.Role, g auth.WorkgroupID) auth.User {
	t.Helper()
	err := w.DB.Tx(visitless, func(tx auth.Tx) error {
		return errors.Join(w.Users.SetRole(visitless, tx, u.ID, r), w.Users.Move(visitless, tx, u.ID, g, w.now()), w.Directory.Refresh(visitless, tx, u.ID))
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return w.find(t, u.Login)
}

// staff is somebody of a role in a fresh session.
func (w *world) staff(t tester, login string, r auth.Role, g auth.WorkgroupID) (auth.User, *browser) {
	t.Helper()
	u := w.becomes(t, w.add(t, login, annsPassword), r, g)
	b := w.browser()
	b.signIn(t, login, annsPassword, "signed_in")
	b.stepUp(t, "password", "password", annsPassword)
	return u, b
}

var targets int

// target is somebody who never signed in.
func (w *world) target(t tester, r auth.Role, g auth.WorkgroupID) auth.User {
	t.Helper()
	targets++
	name, email := "Tess Target", fmt.Sprintf("target%d@example.com", targets)
	err := w.DB.Tx(visitless, func(tx auth.Tx) error {
		_, err := w.People.Add(visitless, tx, people.Operator, people.Change{Name: &name, Email: &email})
		return err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return w.becomes(t, w.find(t, email), r, g)
}

// An act of an administrator on one person.
type adminAct struct {
	name   string
	least  auth.Role
	kind   auth.EventKind
	method string
	path   string
	fields func(u auth.User) []string
	before func(*world, *testing.T, auth.User)
	roles  bool // admins and owners only
}

func fieldsOf(u auth.User, more ...string) []string {
	return append([]string{"name", u.Name, "email", u.Email}, more...)
}

var because = func(auth.User) []string { return []string{"reason", "asked for in person"} }

var adminActs = []adminAct{
	{"rename", auth.WorkgroupAdmin, auth.UserRenamed, "POST", "", func(u auth.User) []string { return []string{"name", "Another", "email", u.Email} }, nil, false},
	{"new phone", auth.WorkgroupAdmin, auth.ContactChanged, "POST", "", func(u auth.User) []string { return fieldsOf(u, "phone", annPhone) }, nil, false},
	{"method", auth.WorkgroupAdmin, auth.MethodSet, "POST", "", func(u auth.User) []string { return fieldsOf(u, "mfa", "required") }, nil, false},
	{"move", auth.WorkgroupAdmin, auth.UserMoved, "POST", "", func(u auth.User) []string { return fieldsOf(u, "workgroup", "none", "role", "member") }, nil, true},
	{"reset", auth.Support, auth.MFAReset, "POST", "/mfa/reset", because, nil, false},
	{"sign out", auth.WorkgroupAdmin, auth.SessionsEnded, "DELETE", "/sessions", nil, nil, false},
	{"disable", auth.WorkgroupAdmin, auth.UserDisabled, "POST", "/disable", nil, nil, false},
	{"enable", auth.WorkgroupAdmin, auth.UserEnabled, "POST", "/enable", nil, func(w *world, t *testing.T, u auth.User) { w.disable(t, u.ID) }, false},
	{"unlock", auth.WorkgroupAdmin, auth.AccountUnfrozen, "POST", "/unlock", because, nil, false},
	{"invite", auth.WorkgroupAdmin, auth.UserInvited, "POST", "/invitation", nil, nil, false},
	{"delete", auth.WorkgroupAdmin, auth.UserRemoved, "DELETE", "", func(u auth.User) []string { return []string{"email", u.Login} }, nil, false},
}

// A3, A5: who may do what to whom, on both faces: nobody acts upward, a workgroup admin acts on their own workgroup, and
// support resets and does no more. What is done stands in the record with who did it; what is refused leaves nothing.
func TestWhoMayDoWhatToWhom(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		sales, desk := w.groupUnder(t, "Field sales", policy.Level{}), w.groupUnder(t, "Desk", policy.Level{})
		for _, role := range auth.Roles {
			actor, b := w.staff(t, strings.ReplaceAll(string(role), " ", "")+"@example.com", role, sales)
			for _, act := range adminActs {
				for _, to := range auth.Roles {
					for _, in := range []auth.WorkgroupID{sales, desk} {
						want, problem := http.StatusOK, ""
						switch {
						case !role.Reaches(act.least):
							want, problem = 403, "forbidden"
						case role == auth.WorkgroupAdmin && in == desk:
							want, problem = 404, "not-found"
						case !role.Reaches(to), role == auth.WorkgroupAdmin && to == auth.Support: // who reaches people of all workgroups
							want, problem = 409, "above-you"
						case act.roles && role == auth.WorkgroupAdmin:
							want, problem = 422, "invalid"
						}
						for face, send := range b.faces() {
							if want == 403 && face == "page" {
								continue // its page says so in words
							}
							u := w.target(t, to, in)
							if act.before != nil {
								act.before(w, t, u)
							}
							var fields []string
							if act.fields != nil {
								fields = act.fields(u)
							}
							a := send(act.method, "/admin/users/"+string(u.ID)+act.path, fields...)
							what := fmt.Sprintf("%s: %s %ss %s in %s", face, role, act.name, to, map[bool]string{true: "their own", false: "another"}[in == sales])
							rows, err := w.Trail.Recent(visitless, u.ID, 20)
							if err != nil {
								t.Fatal(err)
							}
							at := slices.IndexFunc(rows, func(e audit.Entry) bool { return e.Kind == act.kind })
							switch {
							case want == http.StatusOK && (a.status >= 400 || at < 0 || rows[at].Actor != actor.ID):
								t.Errorf("%s: %v, %v", what, a, rows)
							case want != http.StatusOK && (a.status != want || face == "api" && a.problem() != problem || at >= 0):
								t.Errorf("%s: %v, want %s; %v", what, a, problem, rows)
							}
							w.gone(t, u)
						}
					}
				}
			}
		}
	})
}

// gone takes what a target has, so that the next may have it.
func (w *world) gone(t tester, u auth.User) {
	t.Helper()
	err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.Remove(visitless, tx, u.ID) })
	if err != nil && !errors.Is(err, auth.ErrNotFound) {
		t.Fatalf("%v", err)
	}
}

// A5: roles are given up to one's own, by admins and owners; nobody changes their own, nor disables, deletes or resets
// themselves.
func TestNobodyGivesMoreThanTheyHave(t *testing.T) {
	w := inSQLite(t)
	for _, role := range []auth.Role{auth.Owner, auth.Admin} {
		actor, b := w.staff(t, string(role)+"@example.com", role, "")
		for _, to := range auth.Roles {
			u := w.target(t, auth.Member, w.groupUnder(t, string(role)+" "+string(to), policy.Level{}))
			a := b.api("POST", "/admin/users/"+string(u.ID), fieldsOf(u, "role", string(to))...)
			if got := w.find(t, u.Login).Role; (got == to) != role.Reaches(to) || (a.status < 400) != role.Reaches(to) {
				t.Errorf("%s makes a member %s: %v", role, to, a)
			}
			if a := b.api("POST", "/admin/users", "name", "N", "email", string(role)+strings.ReplaceAll(string(to), " ", "")+"@new.example.com", "role", string(to),
				"workgroup", string(u.Workgroup)); (a.status < 400) != role.Reaches(to) {
				t.Errorf("%s adds %s: %v", role, to, a)
			}
		}
		self := "/admin/users/" + string(actor.ID)
		for _, r := range [][]string{{"POST", self, "name", "N", "email", actor.Email, "role", "member"}, {"POST", self, "name", "N", "email", actor.Email, "mfa", "required"},
			{"POST", self + "/disable"}, {"DELETE", self, "email", actor.Login}, {"POST", self + "/mfa/reset", "reason", "r"}, {"DELETE", self + "/sessions"}} {
			if a := b.api(r[0], r[1], r[2:]...); a.problem() != "yourself" {
				t.Errorf("%s %s: %v", r[0], r[1], a)
			}
		}
		if a := b.api("POST", self, "name", "New Name", "email", actor.Email); a.status != 204 || b.session().status != 200 {
			t.Error("their own name: ", a)
		}
	}
}

// A5: of two owners who demote, disable or delete each other at the same instant one is left.
func TestTwoOwnersCannotTakeEachOtherDown(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		for round, do := range []func(b *browser, u auth.User) answer{
			func(b *browser, u auth.User) answer {
				return b.api("POST", "/admin/users/"+string(u.ID), fieldsOf(u, "role", "member")...)
			},
			func(b *browser, u auth.User) answer { return b.api("POST", "/admin/users/"+string(u.ID)+"/disable") },
			func(b *browser, u auth.User) answer {
				return b.api("DELETE", "/admin/users/"+string(u.ID), "email", u.Login)
			},
		} {
			for i := range 8 {
				ann, anns := w.staff(t, fmt.Sprintf("ann%d.%d@example.com", round, i), auth.Owner, "")
				bob, bobs := w.staff(t, fmt.Sprintf("bob%d.%d@example.com", round, i), auth.Owner, "")
				var both sync.WaitGroup
				both.Go(func() { do(anns, bob) })
				both.Go(func() { do(bobs, ann) })
				both.Wait()
				owners := 0
				admins, err := w.Users.Admins(visitless, w.DB)
				for _, u := range admins {
					if u.Role == auth.Owner {
						owners++
					}
				}
				if owners != 1 || err != nil {
					t.Fatalf("%d owners are left, %v", owners, err)
				}
				w.gone(t, ann)
				w.gone(t, bob)
			}
		}
	})
}

// A5: the command line does not take the last owner either.
func TestTheLastOwnerStays(t *testing.T) {
	w := inSQLite(t)
	ann := w.becomes(t, w.add(t, annsLogin, annsPassword), auth.Owner, "")
	member := auth.Member
	for name, do := range map[string]func(tx auth.Tx) error{
		"demoted": func(tx auth.Tx) error {
			return w.People.Save(visitless, tx, people.Operator, ann.ID, people.Change{Role: &member})
		},
		"disabled": func(tx auth.Tx) error { return w.People.Disable(visitless, tx, people.Operator, ann.ID) },
		"deleted":  func(tx auth.Tx) error { return w.People.Remove(visitless, tx, people.Operator, ann.ID) },
	} {
		var no auth.ConflictError
		if err := w.DB.Tx(visitless, do); !errors.As(err, &no) || no.Code != "last-owner" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A5: what was true when the page was opened does not count: both rows are read anew in the act.
func TestAnOpenPageDoesNothingAfterADemotion(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		sales, desk := w.groupUnder(t, "Field sales", policy.Level{}), w.groupUnder(t, "Desk", policy.Level{})
		admin, _ := w.staff(t, "admin@example.com", auth.Admin, sales)
		u := w.target(t, auth.Member, sales)
		name := "Another"
		save := func(a auth.User) error {
			return w.DB.Tx(visitless, func(tx auth.Tx) error {
				return w.People.Save(visitless, tx, people.Actor{User: a}, u.ID, people.Change{Name: &name})
			})
		}
		w.becomes(t, admin, auth.WorkgroupAdmin, sales)
		w.becomes(t, u, auth.Member, desk) // moved away
		if err := save(admin); !errors.Is(err, auth.ErrNotFound) {
			t.Error("as a workgroup admin, of somebody who moved away: ", err)
		}
		w.becomes(t, u, auth.Member, sales)
		w.becomes(t, admin, auth.Support, sales)
		if err := save(admin); !errors.Is(err, auth.ErrForbidden) {
			t.Error("as support: ", err)
		}
		w.becomes(t, admin, auth.Admin, sales)
		w.disable(t, admin.ID)
		if err := save(admin); !errors.Is(err, auth.ErrNotSignedIn) {
			t.Error("disabled: ", err)
		}
		if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.Remove(visitless, tx, admin.ID) }); err != nil {
			t.Fatal(err)
		}
		if err := save(admin); !errors.Is(err, auth.ErrNotSignedIn) {
			t.Error("deleted: ", err)
		}
		if w.find(t, u.Login).Name == name {
			t.Error("it was done")
		}
	})
}

// A2: of two who save at once the second is told, and a save is all or nothing.
func TestASaveIsAllOrNothing(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, b := w.staff(t, "admin@example.com", auth.Admin, "")
		u := w.target(t, auth.Member, "")
		at := "/admin/users/" + string(u.ID)
		version := b.api("GET", at).field("version")
		if a := b.api("POST", at, fieldsOf(u, "role", "support", "version", version)...); a.status != 204 {
			t.Fatal(a)
		}
		if a := b.api("POST", at, fieldsOf(u, "phone", annPhone, "role", "member", "version", version)...); a.problem() != "changed-meanwhile" || w.find(t, u.Login).Role != auth.Support {
			t.Error(a)
		}
		if a := b.api("POST", at, "name", "Another", "email", "no address", "phone", annPhone); a.status != 422 || w.find(t, u.Login).Name == "Another" {
			t.Error(a)
		}
	})
}

// A2, C4, C5: the field that a method needs is required and nobody else's; the refusal stands at that field.
func TestAMethodNeedsItsField(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, b := w.staff(t, "admin@example.com", auth.Admin, "")
		w.withCodes(t, "proved@example.com", bobPhone, "sms")
		other := w.target(t, auth.Member, "")
		w.contact(t, other, "shared@example.org", "+46701740607")
		closed := w.groupUnder(t, "Keys alone", policy.Level{Factors: []auth.Kind{"passkey"}})
		for name, c := range map[string]struct {
			fields []string
			at     string
		}{
			"sms without a number":             {[]string{"mfa", "sms"}, "phone"},
			"a number of another country":      {[]string{"mfa", "sms", "phone", "+4915123456789"}, "phone"},
			"no number at all":                 {[]string{"mfa", "sms", "phone", "call me"}, "phone"},
			"a number that somebody else has":  {[]string{"mfa", "sms", "phone", "+46701740607"}, "phone"},
			"one where codes go to another":    {[]string{"phone", bobPhone}, "phone"},
			"an address that another has":      {[]string{"mfa", "email", "email", "shared@example.org"}, "email"},
			"somebody’s login":                 {[]string{"email", "Proved@example.com"}, "email"},
			"what is no method":                {[]string{"mfa", "pigeon"}, "mfa"},
			"what is no role":                  {[]string{"role", "king"}, "role"},
			"what is no workgroup":             {[]string{"workgroup", "nowhere"}, "workgroup"},
			"a workgroup admin of no group":    {[]string{"role", "workgroup admin"}, "workgroup"},
			"sms where only passkeys count":    {[]string{"mfa", "sms", "phone", annPhone, "workgroup", string(closed)}, "mfa"},
			"a number in the same form: right": {[]string{"mfa", "sms", "phone", annPhone}, ""},
			"an address: right":                {[]string{"mfa", "email"}, ""},
		} {
			u := w.target(t, auth.Member, "")
			for what, a := range map[string]answer{
				"change": b.api("POST", "/admin/users/"+string(u.ID), merged(fieldsOf(u), c.fields)...),
				"add":    b.api("POST", "/admin/users", merged([]string{"name", "N", "email", "new@example.com"}, c.fields)...),
			} {
				if what == "add" && c.at == "" {
					if w.gone(t, u); a.problem() == "invalid" && strings.Contains(a.body, `"phone"`) { // the one above has the number by now
						continue
					}
				}
				if c.at == "" && a.status >= 400 || c.at != "" && (a.status != 422 || !strings.Contains(a.body, `"field":"`+c.at+`"`) && !strings.Contains(a.body, `"`+c.at+`"`)) {
					t.Errorf("%s, %s: %v", name, what, a)
				}
				if what == "add" && a.status < 400 {
					w.gone(t, w.find(t, "new@example.com"))
				}
			}
			if p := b.form("POST", "/admin/users/"+string(u.ID), merged(fieldsOf(u), c.fields)...); c.at != "" && (p.status != 422 || !strings.Contains(p.body, `id="`+c.at+`-e"`)) {
				t.Errorf("%s, on the page: %v", name, p)
			}
			w.gone(t, u)
		}
	}, coded)
}

// merged is pairs of which the later win.
func merged(all ...[]string) (out []string) {
	at := map[string]int{}
	for _, pairs := range all {
		for p := range slices.Chunk(pairs, 2) {
			if i, there := at[p[0]]; there {
				out[i+1] = p[1]
				continue
			}
			at[p[0]] = len(out)
			out = append(out, p...)
		}
	}
	return out
}

// W4: nobody is moved to where nothing they have counts and nothing they could add.
func TestNobodyIsMovedToWhereTheyAreLockedOut(t *testing.T) {
	w := inSQLite(t, coded)
	_, b := w.staff(t, "admin@example.com", auth.Admin, "")
	byText := w.groupUnder(t, "By text", policy.Level{MFA: policy.Required, Factors: []auth.Kind{"sms"}})
	u := w.target(t, auth.Member, "")
	at := "/admin/users/" + string(u.ID)
	if a := b.api("POST", at, fieldsOf(u, "workgroup", string(byText))...); a.status != 422 || !strings.Contains(a.body, "lock this person out") {
		t.Error("without a number: ", a)
	}
	if a := b.api("POST", at, fieldsOf(u, "workgroup", string(byText), "phone", annPhone)...); a.status != 204 {
		t.Error("with one: ", a)
	}
}

// A2: destinations are masked for whoever may not change them, and nobody outside reads the page at all.
func TestSupportSeesNoDestination(t *testing.T) {
	w := inSQLite(t, coded)
	_, b := w.staff(t, "support@example.com", auth.Support, "")
	_, m := w.staff(t, "member@example.com", auth.Member, "")
	u := w.target(t, auth.Member, "")
	w.contact(t, u, "elsewhere@example.org", annPhone)
	at := "/admin/users/" + string(u.ID)
	for face, send := range b.faces() {
		if a := send("GET", at); a.status != 200 || strings.Contains(a.body, "elsewhere@example.org") || strings.Contains(a.body, annPhone) {
			t.Errorf("%s: %v", face, a)
		}
	}
	if a := m.api("GET", at); a.status != 403 {
		t.Error(a)
	}
}

// A3: the last second step goes by a reset alone, and whoever removes one of several ends the sessions.
func TestTheLastFactorIsNotTakenAway(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, anns, _, key := w.hasApp(t, annsLogin)
		_, b := w.staff(t, "admin@example.com", auth.Admin, "")
		at := "/admin/users/" + string(u.ID)
		factors := func() (ids []string) {
			for _, f := range b.api("GET", at).fields["factors"].([]any) {
				ids = append(ids, f.(map[string]any)["id"].(string))
			}
			return ids
		}
		one := factors()[0]
		for face, send := range b.faces() {
			if a := send("DELETE", at+"/factors/totp/"+one); a.status != 409 {
				t.Errorf("%s: %v", face, a)
			}
		}
		anns.byCode(t, key)()
		anns.hold(t, "/account/passkeys")
		if a := b.api("DELETE", at+"/factors/totp/"+one); a.status != 204 || anns.session().status != 401 {
			t.Error(a)
		}
		if rows := w.events(t, u.ID, auth.FactorRemoved); len(rows) != 1 || len(factors()) != 1 {
			t.Error(rows)
		}
	})
}

// A4: a pass is shown once, to who asked for it, and never below.
func TestAPassIsTheAnswerToItsRequest(t *testing.T) {
	w := inSQLite(t)
	_, b := w.staff(t, "support@example.com", auth.Support, "")
	u, _ := w.withApp(t, annsLogin)
	at := "/admin/users/" + string(u.ID)
	a := b.send("POST", "/api/v1"+at+"/pass", "application/json", `{"reason":"seen in person","minutes":30}`)
	if a.status != 200 || a.field("pass") == "" {
		t.Fatal(a)
	}
	if p := b.form("GET", at); strings.Contains(p.body, a.field("pass")) {
		t.Error("the page shows it")
	}
	ann := w.browser()
	ann.signIn(t, annsLogin, password, "second_factor")
	ann.finish(t, "accesspass", a.field("pass"))
}
