package session

import (
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/secret"
	"sallyport/internal/visit"
)

// raised is a session of somebody with a fresh proof.
func (n *node) raised(t *testing.T, name string) auth.Secret {
	t.Helper()
	ctx := visit.With(t.Context(), n.visited(t, n.start(t, name, "")))
	return n.issued(t, func(tx auth.Tx) (visit.Cookies, error) {
		return n.Raise(ctx, tx, n.password(), n.now().Add(10*time.Minute))
	})
}

func (n *node) cools(t *testing.T, name string) {
	t.Helper()
	if err := n.db.Tx(t.Context(), func(tx auth.Tx) error { return n.Cool(t.Context(), tx, n.person(t, name).ID) }); err != nil {
		t.Fatal(err)
	}
}

// L3: the fresh proofs of one person end at once; their sessions go on, and nobody else's proof ends.
func TestTheFreshProofsOfOnePersonEnd(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		ann, second, bob := n.raised(t, "ann"), n.raised(t, "ann"), n.raised(t, "bob")
		for _, token := range []auth.Secret{ann, second, bob} {
			if n.visited(t, token).Session.FreshUntil.IsZero() {
				t.Fatal("not fresh to begin with")
			}
		}
		n.cools(t, "ann")
		for _, token := range []auth.Secret{ann, second} {
			if s := n.visited(t, token).Session; !s.FreshUntil.IsZero() || len(s.Proofs) != 2 {
				t.Errorf("%+v", s)
			}
		}
		if n.visited(t, bob).Session.FreshUntil.IsZero() {
			t.Error("so did Bob's")
		}
		again := n.raised(t, "ann")
		if n.visited(t, again).Session.FreshUntil.IsZero() {
			t.Error("nothing is fresh any more")
		}
	})
}

// A node that remembers a session hears that its proof is not fresh any more.
func TestAProofThatEndedIsOverOnEveryNode(t *testing.T) {
	dbtest.EachAddress(t, schemas, func(t *testing.T, address string) {
		here, there := nodeOn(dbtest.Open(t, address)), nodeOn(dbtest.Open(t, address))
		addPeople(t, here)
		here.listen(t)
		there.listen(t)
		token := here.raised(t, "ann")
		// The other node may still hear of how the session began, and forgets it then.
		for end := time.Now().Add(5 * time.Second); there.cache.get(secret.Digest(token)) == nil; time.Sleep(5 * time.Millisecond) {
			if there.visited(t, token).Session.FreshUntil.IsZero() || time.Now().After(end) {
				t.Fatal("not remembered as fresh")
			}
		}
		here.cools(t, "ann")
		if !here.visited(t, token).Session.FreshUntil.IsZero() {
			t.Error("fresh where it ended")
		}
		for end := time.Now().Add(5 * time.Second); !there.visited(t, token).Session.FreshUntil.IsZero(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("fresh on the other node")
			}
		}
	})
}
