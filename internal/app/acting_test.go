package app_test

import (
	"testing"

	"sallyport/internal/auth"
)

// quietly changes a person without a word to the nodes: their sessions remember what was, as for a moment they do when
// another node changes somebody.
func (w *world) quietly(t tester, u auth.UserID, set string) {
	t.Helper()
	err := w.DB.Tx(visitless, func(tx auth.Tx) error {
		_, err := tx.ExecContext(visitless, `UPDATE users SET `+set+` WHERE id = $1`, u)
		return err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// A5: what a session remembers of an administrator does not count: they are read anew in the transaction of each change of a
// workgroup, of policy and of texts.
func TestNobodyChangesRulesOrTextsAfterADemotion(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		id := w.group(t, "Field sales")
		empty := w.group(t, "Nobody’s")
		was, b := w.staff(t, "admin@example.com", auth.Admin, id)
		at, text := "/admin/workgroups/", "/admin/messages/en/code-signin"
		if a := b.api("GET", text); a.status != 200 {
			text = "/admin/messages/en/enrol-by"
		}
		texts := []string{"subject", "S", "preview", "P", "title", "T", "lead", "L"}
		changes := map[string]func() answer{
			"add":    func() answer { return b.json("POST", "/admin/workgroups", map[string]any{"name": "Another"}) },
			"rename": func() answer { return b.json("POST", at+string(id)+"/name", map[string]any{"name": "Another"}) },
			"remove": func() answer { return b.api("DELETE", at+string(empty)) },
			"level":  func() answer { return b.json("POST", at+string(empty), map[string]any{"require": true}) },
			"policy": func() answer {
				return b.json("POST", "/admin/policy", map[string]any{"require": true, "grace_days": 7})
			},
			"text":    func() answer { return b.api("POST", text, texts...) },
			"restore": func() answer { return b.api("DELETE", text) },
		}
		for set, want := range map[string]int{
			"role = 'support'":                    403,
			"security_epoch = security_epoch + 1": 401,
			"disabled = TRUE":                     401,
			"frozen_until = 9000000000000000":     409,
		} {
			for name, change := range changes {
				if a := b.session(); a.status != 200 {
					t.Fatal(a)
				}
				w.quietly(t, was.ID, set)
				if a := change(); a.status != want {
					t.Errorf("%s, %s: %v", set, name, a)
				}
				w.quietly(t, was.ID, "role = 'admin', security_epoch = 1, disabled = FALSE, frozen_until = 0")
			}
		}
		w.quietly(t, was.ID, "role = 'workgroup admin'")
		if a := changes["level"](); a.status != 404 {
			t.Error("of another workgroup: ", a)
		}
		w.quietly(t, was.ID, "role = 'admin'")
		for _, kind := range []auth.EventKind{auth.WorkgroupRenamed, auth.WorkgroupRemoved, auth.PolicyChanged, auth.TextChanged} {
			if rows := w.events(t, "", kind); len(rows) > 0 {
				t.Error(kind, rows)
			}
		}
	})
}
