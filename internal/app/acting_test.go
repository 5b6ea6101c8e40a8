package app_test

import (
	"testing"
	"time"

	"sallyport/internal/auth"
)

// whileIt changes a person just after a request was let in, and before it changes anything itself.
func (w *world) whileIt(t tester, request func() answer, u auth.UserID, set string) answer {
	t.Helper()
	came := make(chan answer, 1)
	err := w.DB.Tx(visitless, func(tx auth.Tx) error {
		_, err := tx.ExecContext(visitless, `UPDATE users SET `+set+` WHERE id = $1`, u)
		go func() { came <- request() }()
		time.Sleep(50 * time.Millisecond) // it reads what was, and then waits for this transaction
		return err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return <-came
}

func (w *world) quietly(t tester, u auth.UserID, set string) {
	t.Helper()
	if err := w.DB.Tx(visitless, func(tx auth.Tx) error {
		_, err := tx.ExecContext(visitless, `UPDATE users SET `+set+` WHERE id = $1`, u)
		return err
	}); err != nil {
		t.Fatalf("%v", err)
	}
}

// A5: what was true of an administrator when their request came does not count: they are read anew in the transaction of each
// change of a workgroup, of policy and of texts.
func TestNobodyChangesRulesOrTextsAfterADemotion(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		id := w.group(t, "Field sales")
		empty := w.group(t, "Nobody’s")
		was, b := w.staff(t, "admin@example.com", auth.Admin, id)
		at, texts := "/admin/workgroups/", b.typed(t, code, "subject", "{code} again")
		changes := map[string]func() answer{
			"add":    func() answer { return b.json("POST", "/admin/workgroups", map[string]any{"name": "Another"}) },
			"rename": func() answer { return b.json("POST", at+string(id)+"/name", map[string]any{"name": "Another"}) },
			"remove": func() answer { return b.api("DELETE", at+string(empty)) },
			"level":  func() answer { return b.json("POST", at+string(empty), map[string]any{"require": true}) },
			"policy": func() answer {
				return b.json("POST", "/admin/policy", map[string]any{"require": true, "grace_days": 7})
			},
			"text":    func() answer { return b.api("POST", code, texts...) },
			"restore": func() answer { return b.api("DELETE", code) },
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
				if a := w.whileIt(t, change, was.ID, set); a.status != want {
					t.Errorf("%s, %s: %v", set, name, a)
				}
				w.quietly(t, was.ID, "role = 'admin', security_epoch = 1, disabled = FALSE, frozen_until = 0")
			}
		}
		if a := w.whileIt(t, changes["level"], was.ID, "role = 'workgroup admin'"); a.status != 404 {
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
