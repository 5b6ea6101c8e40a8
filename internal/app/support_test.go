package app_test

import (
	"testing"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
)

// A3, A5: support reaches everybody, so whoever looks after one workgroup does nothing to its support: with the link or the
// mailbox of such a person they would reach as far.
func TestAWorkgroupAdminDoesNothingToSupport(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		sales := w.groupUnder(t, "Field sales", policy.Level{})
		_, b := w.staff(t, "steward@example.com", auth.WorkgroupAdmin, sales)
		for _, act := range adminActs {
			for face, send := range b.faces() {
				u := w.target(t, auth.Support, sales)
				if act.before != nil {
					act.before(w, t, u)
				}
				var fields []string
				if act.fields != nil {
					fields = act.fields(u)
				}
				if a := send(act.method, "/admin/users/"+string(u.ID)+act.path, fields...); a.status != 409 || face == "api" && a.problem() != "above-you" || len(w.events(t, u.ID, act.kind)) > 0 && act.before == nil {
					t.Errorf("%s, %s: %v", face, act.name, a)
				}
				w.gone(t, u)
			}
		}
		for _, role := range []auth.Role{auth.Member, auth.WorkgroupAdmin} {
			u := w.target(t, role, sales)
			if a := b.api("POST", "/admin/users/"+string(u.ID)+"/invitation"); a.status != 200 {
				t.Errorf("%s: %v", role, a)
			}
		}
	})
}
