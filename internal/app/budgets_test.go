package app_test

import (
	"fmt"
	"html"
	"strings"
	"testing"
	"time"

	"sallyport/internal/admin/groups"
	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/throttle"
)

// C10: nobody fills mailboxes by inviting: not one person’s, and not those of many.
func TestInvitationsHaveABudget(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, b := w.staff(t, "admin@example.com", auth.Admin, "")
		_, other := w.staff(t, "other@example.com", auth.Admin, "")
		one := w.target(t, auth.Member, "")
		again := func(b *browser) answer { return b.api("POST", "/admin/users/"+string(one.ID)+"/invitation") }
		for range 5 {
			if a := again(b); a.status != 200 {
				t.Fatal(a)
			}
		}
		if a := again(b); a.status != 429 {
			t.Error("a sixth to one person: ", a)
		}
		if a := again(other); a.status != 429 {
			t.Error("by somebody else: ", a)
		}
		add := func(b *browser, n int) answer {
			return b.api("POST", "/admin/users", "name", "N", "email", fmt.Sprintf("new%d@example.com", n))
		}
		for n := range 55 {
			if a := add(b, n); a.status != 200 {
				t.Fatal(n, a)
			}
		}
		if a := add(b, 55); a.status != 429 {
			t.Error("the 61st of one administrator: ", a)
		}
		if _, err := w.Users.Find(visitless, "new55@example.com"); err == nil {
			t.Error("somebody was added without an invitation")
		}
		if a := add(other, 55); a.status != 200 {
			t.Error("somebody else’s first: ", a)
		}
		th := throttle.New(w.DB, w.now)
		if err := w.DB.Tx(visitless, func(tx auth.Tx) error {
			for range 600 - 5 - 55 - 1 {
				if err := th.Spend(visitless, tx, throttle.PerHour("invite-all", 600).For("")); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if a := add(other, 56); a.status != 429 {
			t.Error("the 601st of all: ", a)
		}
	}, told)
}

// C10: one person is reset so often and no more.
func TestResetsHaveABudget(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, b := w.staff(t, "support@example.com", auth.Support, "")
		u := w.target(t, auth.Member, "")
		for n := range 6 {
			a := b.api("POST", "/admin/users/"+string(u.ID)+"/mfa/reset", "reason", "lost it")
			if (n < 5) != (a.status == 200) || n == 5 && a.status != 429 {
				t.Error(n, a)
			}
		}
		if rows := w.events(t, u.ID, auth.MFAReset); len(rows) != 5 {
			t.Error(len(rows), "resets stand in the record")
		}
	}, told)
}

// W2, C10: whoever looks after a workgroup may switch its rule off and on all day: its people are mailed once.
func TestARuleSwitchedOffAndOnMailsOnce(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		id := w.group(t, "Field sales")
		w.inGroup(t, "ann@example.com", id)
		mails := 0
		for range 5 {
			w.asks(t, id, groups.Options{Require: true, Grace: 7})
			mails += len(w.remind(t))
			w.wait(time.Hour)
			w.asks(t, id, groups.Options{})
			w.remind(t)
			w.wait(time.Hour)
		}
		if mails != 1 {
			t.Error(mails, "mails")
		}
		w.wait(24 * time.Hour)
		w.asks(t, id, groups.Options{Require: true, Grace: 2})
		if got := w.remind(t); len(got) != 1 {
			t.Error("another day: ", got)
		}
		w.wait(24 * time.Hour)
		if got := w.remind(t); len(got) != 1 {
			t.Error("one day before the end of two: ", got)
		}
	}, told)
}

// A5, S10: whoever sees one workgroup does not find out without end who else is here; what nobody is in the way of costs nothing.
func TestAWorkgroupAdminAsksOnlySoOftenWhoExists(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		sales := w.groupUnder(t, "Field sales", policy.Level{})
		w.add(t, "there@example.com", annsPassword)
		_, b := w.staff(t, "steward@example.com", auth.WorkgroupAdmin, sales)
		_, admin := w.staff(t, "admin@example.com", auth.Admin, "")
		mine := w.target(t, auth.Member, sales)
		add := func(b *browser, email string) answer {
			return b.api("POST", "/admin/users", "name", "N", "email", email)
		}
		change := func() answer {
			return b.api("POST", "/admin/users/"+string(mine.ID), "name", mine.Name, "email", "there@example.com")
		}
		for n := range 25 {
			if a := add(b, fmt.Sprintf("free%d@example.com", n)); a.status != 200 {
				t.Fatal(n, a)
			}
		}
		for n := range 10 {
			if a, c := add(b, "there@example.com"), change(); a.status != 422 || c.status != 422 {
				t.Fatal(n, a, c)
			}
		}
		for what, a := range map[string]answer{"taken": add(b, "there@example.com"), "free": add(b, "free@example.com"), "a contact": change()} {
			if a.status != 429 {
				t.Errorf("%s: %v", what, a)
			}
		}
		if a := b.api("POST", "/admin/users/"+string(mine.ID), "name", "Another", "email", mine.Email); a.status != 204 {
			t.Error("a name: ", a)
		}
		for n := range 30 {
			if a := add(admin, "there@example.com"); a.status != 422 {
				t.Fatal("who sees everybody anyway: ", n, a)
			}
		}
	})
}

// A2: a field that was cleared is clear when the form comes back with what was wrong in another.
func TestAClearedFieldStaysCleared(t *testing.T) {
	w := inSQLite(t)
	_, b := w.staff(t, "admin@example.com", auth.Admin, "")
	u := w.target(t, auth.Member, "")
	w.contact(t, u, u.Email, annPhone)
	at := "/admin/users/" + string(u.ID)
	if p := b.form("GET", at); !strings.Contains(html.UnescapeString(p.body), `name="phone" type="tel" value="`+annPhone+`"`) {
		t.Fatal(p)
	}
	if p := b.form("POST", at, "name", "", "email", "no address", "phone", ""); p.status != 422 || !strings.Contains(p.body, `name="phone" type="tel" value=""`) ||
		!strings.Contains(p.body, `name="name" value=""`) || !strings.Contains(p.body, `value="no address"`) {
		t.Error(p)
	}
}
