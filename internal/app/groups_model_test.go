package app_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/internal/admin/groups"
	"sallyport/internal/auth"
	"sallyport/internal/policy"
)

// W3, W4: for any level and any people, what the page says would happen to each is what their sign-in then does; and what
// it refuses would have kept somebody out.
func TestThePreviewIsWhatHappens(t *testing.T) {
	w := inSQLite(t, coded)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		id := w.group(t, fmt.Sprint("Group ", n))
		var people []auth.User
		for i := range rapid.IntRange(1, 3).Draw(t, "people") {
			people = append(people, w.somebody(t, fmt.Sprintf("p%d-%d@example.com", n, i), id))
		}
		w.looked(t)
		o := anyOptions(t)
		c, err := w.Groups.Try(visitless, w.DB, id, o)
		_, saved := w.Groups.Save(visitless, id, o, nil)
		if err != nil || c.Preview.Refused != "" {
			if saved == nil {
				t.Fatalf("saved, though %v %s", err, c.Preview.Refused)
			}
			return
		}
		if saved != nil {
			t.Fatalf("refused: %v", saved)
		}
		if c.Preview.People != len(people) {
			t.Fatalf("%d people, want %d", c.Preview.People, len(people))
		}
		got := map[groups.Fate]int{}
		for _, u := range people {
			got[w.fate(t, u)]++
		}
		want := map[groups.Fate]int{groups.Ready: c.Preview.Ready, groups.Coded: c.Preview.Codes, groups.Enrols: c.Preview.Enrol, groups.Alone: c.Preview.Alone, groups.Locked: c.Preview.Stuck}
		for f, n := range want {
			if got[f] != n {
				t.Fatalf("%+v: %s: %d, want %d of %+v", o, f, got[f], n, c.Preview)
			}
		}
	})
}

func anyOptions(t *rapid.T) groups.Options {
	of := func(name string, some ...string) string { return rapid.SampledFrom(some).Draw(t, name) }
	return groups.Options{
		Require: rapid.Bool().Draw(t, "require"), When: of("when", "next", "once"), Factors: of("factors", "", "", "strong", "passkey", "own"),
		Kinds:    rapid.SliceOfDistinct(rapid.SampledFrom([]string{"passkey", "totp", "sms", "email", "backupcode"}), rapid.ID).Draw(t, "kinds"),
		Channels: of("channels", "", "", "email", "sms", "none"), Passkeys: of("passkeys", "", "", "use only", "disabled"),
		Grace: rapid.SampledFrom([]int{0, 0, 7}).Draw(t, "grace"), Trust: of("trust", "", "7", "none"),
	}
}

// somebody has some factors, a number or none, and a setting of their own and one of an administrator.
func (w *world) somebody(t *rapid.T, login string, id auth.WorkgroupID) auth.User {
	u := w.inGroup(t, login, id)
	phone := ""
	if rapid.Bool().Draw(t, "phone") {
		phone = fmt.Sprintf("+4670174%04d", 600+w.numbered())
	}
	if err := w.DB.Tx(visitless, func(tx auth.Tx) error {
		return w.Users.SetContact(visitless, tx, u.ID, login, phone, "")
	}); err != nil {
		t.Fatalf("%v", err)
	}
	b := w.browser()
	b.signIn(t, login, thePassword, "signed_in")
	b.stepUp(t, "password", "password", thePassword)
	if rapid.Bool().Draw(t, "totp") {
		_, appOf[u.ID] = b.enrol(t, "/account")
	}
	off := rapid.IntRange(0, 3).Draw(t, "off") == 0
	method := rapid.SampledFrom([]auth.Method{"", "", "", auth.MustHaveOne, auth.ByEmail, auth.BySMS}).Draw(t, "method")
	if method == auth.BySMS && phone == "" { // the field that it needs is required
		method = ""
	}
	if err := w.DB.Tx(visitless, func(tx auth.Tx) error {
		return errors.Join(w.Users.SwitchMFA(visitless, tx, u.ID, off), w.Users.SetMethod(visitless, tx, u.ID, method), w.Directory.Refresh(visitless, tx, u.ID))
	}); err != nil {
		t.Fatalf("%v", err)
	}
	return u
}

var (
	number int
	appOf  = map[auth.UserID]string{} // the secrets of their authenticators
)

func (w *world) numbered() int { number++; return number }

// fate is what a sign-in with the password does.
func (w *world) fate(t *rapid.T, u auth.User) groups.Fate {
	b := w.browser()
	a := b.api("POST", "/signin", "login", u.Login, "password", thePassword)
	rules, err := w.Roster.RulesOf(visitless, w.DB, w.find(t, u.Login))
	if err != nil {
		t.Fatalf("%v", err)
	}
	if a.field("state") == "second_factor" && !slices.Contains(rules.Factors, "totp") && appOf[u.ID] != "" { // it is shown, and then something else is set up
		w.wait(time.Minute)
		if a = b.api("POST", "/signin/totp", "code", codeAt(appOf[u.ID], w.now())); a.field("state") == "second_factor" {
			t.Fatalf("%v", a)
		}
	}
	switch a.field("state") {
	case "enrolment":
		if offers, _ := a.fields["factors"].([]any); len(offers) == 0 {
			return groups.Locked
		}
		return groups.Enrols
	case "second_factor":
		kind := a.fields["factors"].([]any)[0].(map[string]any)["kind"]
		if kind == "email" || kind == "sms" {
			return groups.Coded
		}
		return groups.Ready
	case "signed_in":
		now, err := w.Users.Get(visitless, w.DB, u.ID)
		if err != nil {
			t.Fatalf("%v", err)
		}
		f, err := w.Roster.Facts(visitless, w.DB, now, nil)
		if err != nil {
			t.Fatalf("%v", err)
		}
		if due := policy.Due(f); w.now().Before(due) {
			return groups.Enrols
		}
		return groups.Alone
	}
	if a.status != 409 && a.status != 422 {
		t.Fatalf("%v", a)
	}
	return groups.Locked
}
