package session

import (
	"context"
	"errors"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/workgroup"
)

// A stub is a factor that ann has.
type stub auth.Kind

func (s stub) Kind() auth.Kind { return auth.Kind(s) }

func (s stub) Enrolments(_ context.Context, _ auth.Reader, u auth.UserID) ([]auth.Enrolment, error) {
	if u != "id-ann" && s != "password" {
		return nil, nil
	}
	return []auth.Enrolment{{ID: "one", Kind: auth.Kind(s)}}, nil
}

func (stub) Verify(context.Context, auth.Attempt, auth.Secret) (auth.Claim, error) {
	return nil, auth.ErrWrong
}

// grouped gives a node workgroups: ann and bob are in one, which asks for nothing yet.
func (n *node) grouped(t *testing.T) *workgroup.Store {
	t.Helper()
	groups := workgroup.NewStore(n.db)
	n.roster = roster.New(policy.Rules{MFA: policy.Optional, Factors: []auth.Kind{"totp"}, StepUp: 10 * time.Minute}, groups, n.now)
	n.roster.Add(stub("password"), stub("totp"))
	n.sql(t, `DELETE FROM workgroups WHERE id <> ''`)
	n.sql(t, `UPDATE workgroups SET level = '{}'`)
	if err := n.db.Tx(t.Context(), func(tx auth.Tx) error {
		return errors.Join(groups.Add(t.Context(), tx, workgroup.Workgroup{ID: "sales", Name: "Field sales", Added: n.now()}),
			n.users.Move(t.Context(), tx, "id-ann", "sales", n.now()), n.users.Move(t.Context(), tx, "id-bob", "sales", n.now()))
	}); err != nil {
		t.Fatal(err)
	}
	return groups
}

func (n *node) ask(t *testing.T, g *workgroup.Store, id auth.WorkgroupID, l policy.Level) {
	t.Helper()
	l.MFA, l.Since = policy.Required, n.now()
	if err := n.db.Tx(t.Context(), func(tx auth.Tx) error { return g.SetLevel(t.Context(), tx, id, l) }); err != nil {
		t.Fatal(err)
	}
}

// beside begins a session of ann after both steps.
func (n *node) beside(t *testing.T) auth.Secret {
	t.Helper()
	return n.startWith(t, "ann", "", n.password(), auth.Proof{Kind: "totp", Enrolment: "one", AMR: "otp", Level: auth.OneFactor, At: n.now()})
}

// W3: at once means that whoever showed less is asked, of the workgroup and nobody else; who showed enough goes on, and so does
// who may take their time.
func TestWhatIsAskedAtOnceEndsSessionsThatShowLess(t *testing.T) {
	for name, c := range map[string]struct {
		at    auth.WorkgroupID
		level policy.Level
		lives map[string]bool // ann's password alone; ann's both steps; bob, who has nothing
	}{
		"at once":                    {"sales", policy.Level{AtOnce: true}, map[string]bool{"ann": false, "both": true, "bob": false}},
		"at once, of everybody":      {workgroup.Instance, policy.Level{AtOnce: true}, map[string]bool{"ann": false, "both": true, "bob": false}},
		"at once, with a period":     {"sales", policy.Level{AtOnce: true, Grace: 24 * time.Hour}, map[string]bool{"ann": false, "both": true, "bob": true}},
		"from the next sign-in":      {"sales", policy.Level{}, map[string]bool{"ann": true, "both": true, "bob": true}},
		"of people of another group": {"desk", policy.Level{AtOnce: true}, map[string]bool{"ann": true, "both": true, "bob": true}},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, n *node) {
				groups := n.grouped(t)
				if c.at == "desk" {
					if err := n.db.Tx(t.Context(), func(tx auth.Tx) error {
						return groups.Add(t.Context(), tx, workgroup.Workgroup{ID: "desk", Name: "Desk", Added: n.now()})
					}); err != nil {
						t.Fatal(err)
					}
				}
				has := map[string]auth.Secret{"ann": n.start(t, "ann", ""), "both": n.beside(t), "bob": n.start(t, "bob", "")}
				for who, token := range has {
					n.lives(t, who, token)
				}
				n.wait(time.Minute)
				n.ask(t, groups, c.at, c.level)
				for who, token := range has {
					until := time.Now().Add(5 * time.Second) // a node hears of it within a second
					_, err := n.visit(token)
					for ; err == nil != c.lives[who] && time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
						_, err = n.visit(token)
					}
					if err == nil != c.lives[who] || err != nil && !errors.Is(err, auth.ErrNotSignedIn) {
						t.Errorf("%s: %v", who, err)
					}
				}
				n.wait(time.Minute)
				n.lives(t, "who signs in afterwards has been asked", n.start(t, "ann", ""))
				if err := n.db.Tx(t.Context(), func(tx auth.Tx) error {
					return groups.SetLevel(t.Context(), tx, c.at, policy.Level{})
				}); err != nil {
					t.Fatal(err)
				}
				for who, token := range has {
					if !c.lives[who] {
						n.isOver(t, who+", once less is asked", token)
					}
				}
			})
		})
	}
}

// W3: whoever comes into a workgroup that asks at once is asked as if they had been there.
func TestWhoComesIntoAStrictWorkgroupIsAsked(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		groups := n.grouped(t)
		n.ask(t, groups, "sales", policy.Level{AtOnce: true})
		n.wait(time.Hour / 2)
		move := func(to auth.WorkgroupID) {
			if err := n.db.Tx(t.Context(), func(tx auth.Tx) error { return n.users.Move(t.Context(), tx, "id-ann", to, n.now()) }); err != nil {
				t.Fatal(err)
			}
		}
		move("")
		token := n.start(t, "ann", "")
		n.wait(time.Minute)
		n.lives(t, "outside", token)
		move("sales")
		for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
			if _, err := n.visit(token); err != nil {
				break
			}
		}
		n.isOver(t, "inside", token)
	})
}

// security.md: whoever may look after others is signed in for 15 minutes without a request, and 12 hours at most.
func TestPeopleWhoLookAfterOthersAreSignedInForLessLong(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		for _, r := range auth.Roles {
			n.sql(t, `UPDATE users SET role = $1 WHERE id = 'id-ann'`, r)
			short := r != auth.Member
			token := n.start(t, "ann", "")
			n.wait(16 * time.Minute)
			if _, err := n.visit(token); err == nil == short {
				t.Errorf("%s after 16 minutes: %v", r, err)
			}
			token = n.start(t, "ann", "")
			for range 73 {
				n.wait(10 * time.Minute)
				n.visit(token)
			}
			if _, err := n.visit(token); err == nil == short {
				t.Errorf("%s after 12 hours: %v", r, err)
			}
		}
		// Somebody's role changes while they are signed in.
		n.sql(t, `UPDATE users SET role = 'member' WHERE id = 'id-ann'`)
		token := n.start(t, "ann", "")
		if err := n.db.Tx(t.Context(), func(tx auth.Tx) error { return n.users.SetRole(t.Context(), tx, "id-ann", auth.Admin) }); err != nil {
			t.Fatal(err)
		}
		n.wait(16 * time.Minute)
		n.isOver(t, "an admin who was a member", token)
	})
}
