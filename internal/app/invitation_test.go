package app_test

import (
	"strings"
	"testing"

	"sallyport/internal/admin/people"
	"sallyport/internal/auth"
	"sallyport/internal/policy"
)

// A3, A5: whoever added somebody may hold their invitation. It ends when they are given another role or workgroup, on their
// page, with many others, and from the command line; and whoever looks after them then is told to invite them anew.
func TestAnInvitationEndsWithARoleOrAWorkgroup(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		sales, desk := w.groupUnder(t, "Field sales", policy.Level{}), w.groupUnder(t, "Desk", policy.Level{})
		_, steward := w.staff(t, "steward@example.com", auth.WorkgroupAdmin, sales)
		_, owner := w.staff(t, "owner@example.com", auth.Owner, "")
		to := desk
		for name, c := range map[string]struct {
			change func(u auth.User) answer
			ends   bool
		}{
			"a role": {func(u auth.User) answer {
				return owner.api("POST", "/admin/users/"+string(u.ID), fieldsOf(u, "role", "owner")...)
			}, true},
			"a workgroup": {func(u auth.User) answer {
				return owner.form("POST", "/admin/users/"+string(u.ID), fieldsOf(u, "workgroup", string(desk))...)
			}, true},
			"many at once": {func(u auth.User) answer {
				return owner.json("POST", "/admin/users/bulk", map[string]any{"ids": []string{string(u.ID)}, "act": "move:" + string(desk)})
			}, true},
			"the command line": {func(u auth.User) answer {
				if err := w.DB.Tx(visitless, func(tx auth.Tx) error {
					return w.People.Save(visitless, tx, people.Operator, u.ID, people.Change{Workgroup: &to})
				}); err != nil {
					t.Error(err)
				}
				return answer{}
			}, true},
			"a name alone": {func(u auth.User) answer {
				return owner.api("POST", "/admin/users/"+string(u.ID), "name", "Nora Newer", "email", u.Email)
			}, false},
		} {
			login := strings.ReplaceAll(name, " ", "-") + "@example.com"
			link := strings.TrimPrefix(steward.api("POST", "/admin/users", "name", "Nora New", "email", login).field("link"), w.config.URL)
			if a := w.browser().api("GET", link); link == "" || a.status != 200 {
				t.Fatal(name, link, a)
			}
			if a := c.change(w.find(t, login)); a.status >= 400 {
				t.Fatal(name, a)
			}
			if a := w.browser().api("POST", link, "password", newPassword); (a.status == 404) != c.ends {
				t.Errorf("after %s: %v", name, a)
			}
			if !c.ends {
				continue
			}
			at := "/admin/users/" + string(w.find(t, login).ID)
			if p := owner.form("GET", at); !strings.Contains(p.body, "no invitation that works") {
				t.Errorf("after %s the page says nothing of it: %v", name, p)
			}
			again := strings.TrimPrefix(owner.api("POST", at+"/invitation").field("link"), w.config.URL)
			if a := w.browser().api("POST", again, "password", newPassword); a.status != 204 {
				t.Errorf("invited again after %s: %v", name, a)
			}
		}
	})
}
