package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/admin/groups"
	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/notify"
	"sallyport/internal/secret"
)

const thePassword = "correct horse battery" // annsPassword, untyped

func (w *world) become(t tester, u auth.UserID, role auth.Role, in auth.WorkgroupID) {
	t.Helper()
	if err := w.DB.Tx(visitless, func(tx auth.Tx) error {
		return errors.Join(w.Users.SetRole(visitless, tx, u, role), w.Users.Move(visitless, tx, u, in, w.now()), w.Directory.Refresh(visitless, tx, u))
	}); err != nil {
		t.Fatalf("%v", err)
	}
}

// group makes a workgroup and puts people into it.
func (w *world) group(t tester, name string, people ...auth.User) auth.WorkgroupID {
	t.Helper()
	id, err := w.Groups.Add(visitless, name, nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, u := range people {
		w.become(t, u.ID, u.Role, id)
	}
	return id
}

// asks stores what a workgroup or the instance asks for.
func (w *world) asks(t tester, id auth.WorkgroupID, o groups.Options) groups.Case {
	t.Helper()
	w.looked(t)
	c, err := w.Groups.Save(visitless, id, o, nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return c
}

// looked brings the directory up to date.
func (w *world) looked(t tester) {
	t.Helper()
	_, err := w.Trail.Seal(visitless)
	err = errors.Join(err, w.Trail.CatchUp(visitless), w.Directory.CatchUp(visitless), w.Directory.Mend(visitless))
	if err != nil {
		t.Fatalf("%v", err)
	}
}

func (b *browser) json(method, path string, body any) answer {
	text, _ := json.Marshal(body)
	return b.send(method, "/api/v1"+path, "application/json", string(text))
}

func (a answer) number(names ...string) int {
	fields := a.fields
	for _, n := range names[:len(names)-1] {
		fields, _ = fields[n].(map[string]any)
	}
	n, _ := fields[names[len(names)-1]].(float64)
	return int(n)
}

func (w *world) inGroup(t tester, login string, id auth.WorkgroupID) auth.User {
	t.Helper()
	u := w.add(t, login, thePassword)
	w.become(t, u.ID, auth.Member, id)
	return u
}

// W3: at once, live sessions that show less are asked; one with two steps goes on, and so does one in its grace period.
func TestAtOnceAsksLiveSessions(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		id := w.group(t, "Field sales")
		plain := w.inGroup(t, "plain@example.com", id)
		w.inGroup(t, "strong@example.com", id)
		w.inGroup(t, "trusting@example.com", id)
		w.add(t, "other@example.com", thePassword)

		one, two, trusting, other := w.browser(), w.browser(), w.browser(), w.browser()
		one.signIn(t, "plain@example.com", thePassword, "signed_in")
		other.signIn(t, "other@example.com", thePassword, "signed_in")
		two.signIn(t, "strong@example.com", thePassword, "signed_in")
		two.stepUp(t, "password", "password", thePassword)
		_, key := two.enrol(t, "/account")
		again := w.browser()
		again.signIn(t, "strong@example.com", thePassword, "second_factor")
		w.wait(time.Minute)
		if a := again.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.status != 200 {
			t.Fatal(a)
		}
		trusting.signIn(t, "trusting@example.com", thePassword, "signed_in")
		trusting.stepUp(t, "password", "password", thePassword)
		_, key = trusting.enrol(t, "/account")
		trusting.api("DELETE", "/session")
		w.wait(time.Minute)
		trusting.signIn(t, "trusting@example.com", thePassword, "second_factor")
		if a := trusting.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.status != 200 {
			t.Fatal(a)
		}
		if a := trusting.send("POST", "/api/v1/signin/done", "application/json", `{"trust":true}`); a.status != 200 {
			t.Fatal(a)
		}
		trusting.api("DELETE", "/session")
		trusting.signIn(t, "trusting@example.com", thePassword, "signed_in")
		w.wait(time.Minute)

		w.asks(t, id, groups.Options{Require: true, When: "next"})
		for name, b := range map[string]*browser{"one step": one, "two steps": again, "trusted": trusting, "elsewhere": other} {
			if a := b.session(); a.status != 200 {
				t.Errorf("from the next sign-in, %s: %v", name, a)
			}
		}
		w.asks(t, id, groups.Options{})
		w.asks(t, id, groups.Options{Require: true, When: "once", Grace: 7})
		if a := one.session(); a.status != 200 {
			t.Error("in the grace period: ", a)
		}
		if a := trusting.session(); a.status != 401 {
			t.Error("a trusted browser: ", a)
		}
		w.asks(t, id, groups.Options{Require: true, When: "once"})
		for name, want := range map[*browser]int{one: 401, again: 200, other: 200} {
			if a := name.session(); a.status != want {
				t.Error(want, a)
			}
		}
		one.signIn(t, plain.Login, thePassword, "enrolment")

		// Unticking gives each person's own setting back.
		w.asks(t, id, groups.Options{})
		one.signIn(t, plain.Login, thePassword, "signed_in")
		w.browser().signIn(t, "strong@example.com", thePassword, "second_factor")
	})
}

// W4: what would lock somebody out is refused, with their names; the preview says so before.
func TestNobodyIsLockedOut(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		id := w.group(t, "Field sales")
		u := w.inGroup(t, "nils@example.com", id)
		if err := w.DB.Tx(visitless, func(tx auth.Tx) error {
			return errors.Join(w.Users.Rename(visitless, tx, u.ID, "Nils Aaltonen"), w.Directory.Refresh(visitless, tx, u.ID))
		}); err != nil {
			t.Fatal(err)
		}
		_, admin := w.staff(t, "admin@example.com", auth.Admin, "")
		w.looked(t)
		smsOnly := map[string]any{"require": true, "factors": "own", "kinds": []string{"sms"}}
		at := "/admin/workgroups/" + string(id)
		a := admin.json("POST", at+"/preview", smsOnly)
		if a.status != 200 || a.number("preview", "locked_out") != 1 || !strings.Contains(a.body, "Nils Aaltonen could not sign in") {
			t.Error(a)
		}
		if a := admin.json("POST", at, smsOnly); a.status != 409 || a.problem() != "locks-out" || !strings.Contains(a.body, "Nils Aaltonen") {
			t.Error(a)
		}
		if a := admin.json("POST", "/admin/policy", smsOnly); a.status != 409 || a.problem() != "locks-out" {
			t.Error(a) // the administrator too
		}
		for body, status := range map[string]int{
			`{"require":true,"passkeys":"disabled","factors":"passkey"}`:  422,
			`{"require":true,"factors":"own"}`:                            422,
			`{"require":true,"factors":"own","kinds":["backupcode"]}`:     409,
			`{"require":true,"factors":"own","kinds":["carrier pigeon"]}`: 422,
			`{"require":true,"passkeys":"use only","factors":"passkey"}`:  409,
			`{"require":true,"trust":"0"}`:                                422,
			`{"require":true,"trust":"366"}`:                              422,
			`{"require":true,"grace_days":366}`:                           422,
			`{"require":true,"when":"never"}`:                             422,
			`{"factors":"own","kinds":["email","sms"],"channels":"none"}`: 422,
		} {
			if a := admin.send("POST", "/api/v1"+at, "application/json", body); a.status != status {
				t.Errorf("%s: %v", body, a)
			}
		}
		if got, err := w.Groups.Now(visitless, w.DB, id); err != nil || got.Level.MFA != "" {
			t.Error(got, err)
		}
	}, coded)
}

// A5, W1: a workgroup admin has their own workgroup and nothing else; nobody below comes near.
func TestAWorkgroupAdminHasTheirOwn(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		mine, theirs := w.group(t, "Mine"), w.group(t, "Theirs")
		_, boss := w.staff(t, "boss@example.com", auth.WorkgroupAdmin, mine)
		_, helper := w.staff(t, "helper@example.com", auth.Support, mine)
		require := map[string]any{"require": true}
		at := func(id auth.WorkgroupID) string { return "/admin/workgroups/" + string(id) }
		if a := boss.api("GET", "/admin/workgroups"); a.status != 200 || !strings.Contains(a.body, "Mine") || strings.Contains(a.body, "Theirs") {
			t.Error(a)
		}
		for _, c := range []struct {
			b            *browser
			method, path string
			want         int
		}{
			{boss, "GET", at(mine), 200}, {boss, "POST", at(mine) + "/preview", 200}, {boss, "POST", at(mine), 200},
			{boss, "GET", at(theirs), 404}, {boss, "GET", at(theirs) + "/preview", 404}, {boss, "POST", at(theirs) + "/preview", 404}, {boss, "POST", at(theirs), 404},
			{boss, "POST", "/admin/policy", 403}, {boss, "GET", "/admin/policy", 403}, {boss, "POST", "/admin/policy/preview", 403},
			{helper, "GET", at(mine), 403}, {helper, "POST", at(mine), 403}, {helper, "GET", "/admin/workgroups", 403},
		} {
			if a := c.b.json(c.method, c.path, require); a.status != c.want {
				t.Errorf("%s %s: %v", c.method, c.path, a)
			}
		}
		for _, path := range []string{at(mine) + "/name", "/admin/workgroups"} {
			if a := boss.json("POST", path, map[string]any{"name": "Another"}); a.status != 403 {
				t.Error(path, a)
			}
		}
		if a := boss.api("DELETE", at(mine)); a.status != 403 {
			t.Error(a)
		}
		if got, err := w.Groups.Now(visitless, w.DB, theirs); err != nil || got.Level.MFA != "" {
			t.Error(got, err)
		}
	})
}

// W3: a page saves only what was looked at. A10: what happened stands in the record.
func TestAPageSavesWhatWasSeen(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		id := w.group(t, "Field sales")
		_, admin := w.staff(t, "admin@example.com", auth.Admin, "")
		at := "/admin/workgroups/" + string(id)
		if a := admin.form("POST", at, "require", "on", "when", "next", "grace_days", "7"); a.status != 409 {
			t.Fatal(a)
		}
		shown := admin.form("POST", at+"/preview", "require", "on", "when", "next", "grace_days", "7")
		_, rest, _ := strings.Cut(shown.body, `name="seen" value="`)
		seen, _, _ := strings.Cut(rest, `"`)
		if shown.status != 200 || seen == "" {
			t.Fatal(shown)
		}
		if a := admin.form("POST", at, "require", "on", "when", "once", "grace_days", "7", "seen", seen); a.status != 409 {
			t.Error("others than the ones seen: ", a)
		}
		if a := admin.form("POST", at, "require", "on", "when", "next", "grace_days", "7", "seen", seen); a.status != 303 || a.location != at {
			t.Fatal(a)
		}
		got := w.events(t, "", auth.PolicyChanged)
		if len(got) != 1 || got[0]["name"] != "Field sales" || got[0]["workgroup"] != string(id) || got[0]["changed"] != "second step: required from the next sign-in, with 7 days to set it up" {
			t.Error(got)
		}
	})
}

func TestAWorkgroupComesAndGoes(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, admin := w.staff(t, "admin@example.com", auth.Admin, "")
		added := admin.form("POST", "/admin/workgroups", "name", "Field sales")
		if added.status != 303 || !strings.HasPrefix(added.location, "/admin/workgroups/") {
			t.Fatal(added)
		}
		if a := admin.form("POST", "/admin/workgroups", "name", "FIELD sales"); a.status != 422 {
			t.Error(a)
		}
		id := auth.WorkgroupID(strings.TrimPrefix(added.location, "/admin/workgroups/"))
		u := w.inGroup(t, "ann@example.com", id)
		if a := admin.form("POST", added.location+"/name", "name", "Inside sales"); a.status != 303 {
			t.Error(a)
		}
		if a := admin.form("POST", added.location+"/remove"); a.status != 409 {
			t.Error(a)
		}
		w.become(t, u.ID, auth.Member, "")
		if a := admin.form("POST", added.location+"/remove"); a.status != 303 || a.location != "/admin/workgroups" {
			t.Error(a)
		}
		for _, path := range []string{added.location, "/admin/workgroups/", "/admin/workgroups/" + url.PathEscape("../policy")} {
			if a := admin.api("GET", path); a.status != 404 {
				t.Error(path, a)
			}
		}
		for _, kind := range []auth.EventKind{auth.WorkgroupAdded, auth.WorkgroupRenamed, auth.WorkgroupRemoved} {
			if got := w.events(t, "", kind); len(got) != 1 || got[0]["workgroup"] != string(id) {
				t.Error(kind, got)
			}
		}
	})
}

// R5: where a workgroup allows no trusted browser, those that are trusted already ask again.
func TestAWorkgroupForbidsTrustedBrowsers(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		id := w.group(t, "Field sales")
		w.inGroup(t, "ann@example.com", id)
		b := w.browser()
		b.signIn(t, "ann@example.com", thePassword, "signed_in")
		b.stepUp(t, "password", "password", thePassword)
		_, key := b.enrol(t, "/account")
		b.api("DELETE", "/session")
		w.wait(time.Minute)
		b.signIn(t, "ann@example.com", thePassword, "second_factor")
		b.api("POST", "/signin/totp", "code", codeAt(key, w.now()))
		b.send("POST", "/api/v1/signin/done", "application/json", `{"trust":true}`)
		b.api("DELETE", "/session")
		w.wait(2 * 24 * time.Hour)
		b.signIn(t, "ann@example.com", thePassword, "signed_in")
		b.api("DELETE", "/session")
		w.asks(t, id, groups.Options{Trust: "1"})
		b.signIn(t, "ann@example.com", thePassword, "second_factor")
		w.asks(t, id, groups.Options{Trust: "7"})
		b.signIn(t, "ann@example.com", thePassword, "signed_in")
		b.api("DELETE", "/session")
		w.asks(t, id, groups.Options{Trust: "none"})
		b.signIn(t, "ann@example.com", thePassword, "second_factor")
	})
}

// remind lets the reminders that are due go out, and says to whom each of them went.
func (w *world) remind(t tester) (to []string) {
	t.Helper()
	before := map[string]bool{}
	for _, l := range w.outgoing(t) {
		before[l.ID] = true
	}
	if err := w.Reminders.CatchUp(visitless); err != nil {
		t.Fatalf("%v", err)
	}
	for _, l := range w.outgoing(t) {
		if !before[l.ID] && strings.Contains(l.Mail.Subject, "second step") {
			to = append(to, l.To)
		}
	}
	slices.Sort(to)
	return to
}

func (w *world) outgoing(t tester) []notify.Letter {
	t.Helper()
	all, err := w.Outbox.Kept(visitless, 1000)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return all
}

// W2: whoever has a grace period hears of it when it begins, three days and one day before it ends, once each.
func TestAGracePeriodIsTold(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		const day = 24 * time.Hour
		id := w.group(t, "Field sales")
		w.inGroup(t, "ann@example.com", id)
		w.inGroup(t, "bea@example.com", id)
		w.inGroup(t, "has@example.com", id)
		w.add(t, "other@example.com", thePassword)
		b := w.browser()
		b.signIn(t, "has@example.com", thePassword, "signed_in")
		b.stepUp(t, "password", "password", thePassword)
		b.enrol(t, "/account")
		is := func(when string, want ...string) {
			t.Helper()
			if got := w.remind(t); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
			if got := w.remind(t); len(got) > 0 {
				t.Errorf("%s, again: %v", when, got)
			}
		}
		is("before")
		w.asks(t, id, groups.Options{Require: true, Grace: 7})
		is("at the begin", "ann@example.com", "bea@example.com")
		all := w.outgoing(t)
		last := all[slices.IndexFunc(all, func(l notify.Letter) bool { return l.To == "ann@example.com" })].Mail
		if !strings.Contains(last.Subject, "8 March 2026") || !strings.Contains(last.Text, "Field sales asks everybody") || !strings.Contains(last.Text, "/account/security") {
			t.Error(last.Subject, last.Text)
		}
		w.wait(2 * day)
		w.asks(t, id, groups.Options{Require: true, Grace: 7, Trust: "none"}) // the same period
		is("in between")
		late := w.inGroup(t, "late@example.com", "")
		if err := w.DB.Tx(visitless, func(tx auth.Tx) error {
			return errors.Join(w.Users.Move(visitless, tx, late.ID, id, w.now()), w.Trail.Record(visitless, tx, auth.Event{Kind: auth.UserMoved, User: late.ID}))
		}); err != nil {
			t.Fatal(err)
		}
		is("for who came later", "late@example.com")
		w.wait(2 * day)
		is("three days before", "ann@example.com", "bea@example.com")

		// Their sign-in says so, too, and offers to go on.
		b = w.browser()
		if a := b.signIn(t, "bea@example.com", thePassword, "signed_in"); a.field("next") != "/signin/due?return_to=%2Faccount" {
			t.Error(a)
		}
		if a := b.form("GET", "/signin/due?return_to=%2Faccount"); a.status != 200 || !strings.Contains(a.body, "Your workgroup Field sales asks for this") || !strings.Contains(a.body, "8 Mar 2026") || !strings.Contains(a.body, "Not now") {
			t.Error(a)
		}
		b.stepUp(t, "password", "password", thePassword)
		b.enrol(t, "/account")
		w.wait(2 * day)
		is("one day before", "ann@example.com", "late@example.com")
		w.wait(2 * day)
		is("after the end", "late@example.com")
		a := w.browser()
		a.signIn(t, "ann@example.com", thePassword, "enrolment")
		if got := a.form("GET", "/signin/enrol"); !strings.Contains(got.body, "Your workgroup Field sales asks for this") {
			t.Error(got)
		}
		w.asks(t, id, groups.Options{})
		w.wait(day)
		is("once it went")
		w.asks(t, id, groups.Options{Require: true, Grace: 30})
		is("another period", "ann@example.com", "late@example.com")
		w.asks(t, id, groups.Options{})
		w.wait(day)
		w.asks(t, id, groups.Options{Require: true, Grace: 30})
		is("one more", "ann@example.com", "late@example.com")
		w.wait(26*day + day/2)
		is("of the one that went")
		w.asks(t, id, groups.Options{})
		w.wait(40 * day)
		is("none")
	}, told)
}

// Of two nodes that tell at once, each person hears from one.
func TestTwoNodesTellOnce(t *testing.T) {
	dbtest.EachAddress(t, app.Schemas, func(t *testing.T, address string) {
		here := worldOn(t, address, told)
		there := worldOn(t, address, told, func(c *config.Config) { c.Data = here.config.Data })
		id := here.group(t, "Field sales")
		for i := range 120 {
			here.inGroup(t, fmt.Sprintf("p%d-%s@example.com", i, secret.NewID()[:4]), id)
		}
		here.asks(t, id, groups.Options{Require: true, Grace: 7})
		var both sync.WaitGroup
		for _, w := range []*world{here, there} {
			both.Go(func() {
				if err := w.Reminders.CatchUp(visitless); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		n := map[string]int{}
		for _, l := range here.outgoing(t) {
			n[l.To]++
		}
		for to, times := range n {
			if times != 1 {
				t.Error(to, times)
			}
		}
		if len(n) != 120 {
			t.Error(len(n))
		}
	})
}
