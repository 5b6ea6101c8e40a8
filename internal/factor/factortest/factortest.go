// Package factortest is the suite that every factor passes, whatever it is made of.
//
// It holds a factor to the contract of [auth.Factor] on both databases: a right response becomes one proof, a wrong one
// is [auth.ErrWrong] or an [auth.InvalidError] and nothing else, what succeeded once never succeeds again, and no error
// repeats what somebody typed. A factor's own test says how people enrol in it and calls [Run].
package factortest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/user"
	"sallyport/internal/visit"
)

// A Subject is a factor as the suite sees it.
type Subject struct {
	// Schemas are the tables it needs beside users.
	Schemas []fs.FS
	// New makes it, once for each test. The clock is the suite's.
	New func(t *testing.T, d *db.DB, clock func() time.Time) auth.Factor
	// Enrol sets it up for somebody and returns what they would type now. Asked again after Next has passed, that is a
	// response which was not used yet. A factor that asks before it is answered does so [Within] their sign-in.
	Enrol func(t *testing.T, f auth.Factor, u auth.User) (right func() auth.Secret)
	// Next is how long it takes until there is another right response.
	Next time.Duration
	// Wrong are responses that are right for nobody, beside the ones the suite tries on every factor.
	Wrong []auth.Secret
	// Proof is what a right response proves: Kind, AMR and Level.
	Proof auth.Proof
	// Reusable is true of a password alone: the same response is right again.
	Reusable bool
}

// Run tests the factor on both databases.
func Run(t *testing.T, s Subject) {
	for _, claim := range []struct {
		name string
		test func(*testing.T, *bench)
		once bool // says nothing of a response that may be used again
	}{
		{"a right response gives one proof", rightGivesOneProof, false},
		{"a wrong response is wrong and nothing else", wrongIsWrong, false},
		{"the response of somebody else is wrong", responseOfSomebodyElse, false},
		{"nobody is enrolled in nothing", nobodyIsEnrolled, false},
		{"a claim not spent changes nothing", notSpentChangesNothing, false},
		{"a response that was spent is wrong", spentIsWrong, false},
		{"a claim spent twice proves once", spentTwiceProvesOnce, false},
		{"of many at once one proves", ofManyOneProves, false},
		{"a claim rolled back gives its response back, once", rolledBackGivesBack, false},
		{"a claim rolled back after another was faster stays wrong", rolledBackAfterAnother, true},
		{"a reset leaves nothing", resetLeavesNothing, false},
		{"without a database there is no proof", noDatabaseNoProof, false},
	} {
		if claim.once && s.Reusable {
			continue
		}
		t.Run(claim.name, func(t *testing.T) {
			dbtest.Each(t, append([]fs.FS{user.Schema}, s.Schemas...), func(t *testing.T, d *db.DB) {
				claim.test(t, set(t, s, d))
			})
		})
	}
}

// A bench is two people who enrolled, and a clock.
type bench struct {
	Subject
	db       *db.DB
	factor   auth.Factor
	ann, bob auth.User
	right    func() auth.Secret // of ann
	bobs     func() auth.Secret
	clock    *Clock
}

func set(t *testing.T, s Subject, d *db.DB) *bench {
	t.Helper()
	b := &bench{Subject: s, db: d, clock: NewClock()}
	b.factor = s.New(t, d, b.clock.Now)
	b.ann, b.bob = Person(t, d, "ann", b.clock.Now()), Person(t, d, "bob", b.clock.Now())
	b.right, b.bobs = s.Enrol(t, b.factor, b.ann), s.Enrol(t, b.factor, b.bob)
	b.wait() // enrolment may have spent the response of now
	return b
}

// wait lets time pass until there is another right response.
func (b *bench) wait() { b.clock.Wait(b.Next) }

// Within is a visit in the middle of somebody's sign-in, always the same one. There the suite has all responses verified.
func Within(ctx context.Context, u auth.User) context.Context {
	return visit.With(ctx, &visit.Visit{Pending: auth.Pending{ID: "the sign-in of " + string(u.ID), User: u}})
}

func (b *bench) verify(ctx context.Context, u auth.User, response auth.Secret) (auth.Claim, error) {
	return b.factor.Verify(Within(ctx, u), auth.Attempt{User: u, Left: 3}, response)
}

// claim is Verify of a response that must be right.
func (b *bench) claim(t *testing.T, u auth.User, response auth.Secret) auth.Claim {
	t.Helper()
	claim, err := b.verify(t.Context(), u, response)
	if err != nil || claim == nil {
		t.Fatalf("a right response: %v", err)
	}
	return claim
}

func (b *bench) spend(ctx context.Context, claim auth.Claim) (p auth.Proof, err error) {
	err = b.db.Tx(ctx, func(tx auth.Tx) (err error) {
		p, err = claim(ctx, tx)
		return err
	})
	return p, err
}

// prove is the whole way of a response: Verify and the claim.
func (b *bench) prove(ctx context.Context, u auth.User, response auth.Secret) (auth.Proof, error) {
	claim, err := b.verify(ctx, u, response)
	if err != nil {
		return auth.Proof{}, err
	}
	return b.spend(ctx, claim)
}

func (b *bench) enrolments(t *testing.T, u auth.UserID) []auth.Enrolment {
	t.Helper()
	some, err := b.factor.Enrolments(t.Context(), b.db, u)
	if err != nil {
		t.Fatal(err)
	}
	return some
}

// refused fails unless err is one of the two answers to a bad response, and keeps quiet about it.
func (b *bench) refused(t *testing.T, err error, response auth.Secret) {
	t.Helper()
	var invalid auth.InvalidError
	if !errors.Is(err, auth.ErrWrong) && !errors.As(err, &invalid) {
		t.Errorf("%.40q: %v, want ErrWrong or InvalidError", string(response), err)
	}
	b.quiet(t, err, response)
}

// quiet fails if an error repeats a response. Short ones stand in any text by chance.
func (b *bench) quiet(t *testing.T, err error, responses ...auth.Secret) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, said := range []string{fmt.Sprintf("%v", e), fmt.Sprintf("%+v", e), fmt.Sprintf("%#v", e), fmt.Sprintf("%q", e)} {
			for _, r := range responses {
				if len(r) >= 4 && strings.Contains(said, string(r)) {
					t.Errorf("the error repeats a response: %s", said)
				}
			}
		}
	}
}

func rightGivesOneProof(t *testing.T, b *bench) {
	response, at := b.right(), b.clock.Now()
	some := b.enrolments(t, b.ann.ID) // what is used up is gone afterwards
	p, err := b.prove(t.Context(), b.ann, response)
	if err != nil {
		t.Fatal(err)
	}
	if p.Kind != b.Proof.Kind || p.Kind != b.factor.Kind() || p.AMR != b.Proof.AMR || p.Level != b.Proof.Level || !p.At.Equal(at) {
		t.Errorf("%+v, want %+v at %v", p, b.Proof, at)
	}
	if p.AMR == "" {
		t.Error("a proof without a word of RFC 8176")
	}
	if !slices.ContainsFunc(some, func(e auth.Enrolment) bool { return e.ID == p.Enrolment && e.Kind == p.Kind && e.Name != "" }) {
		t.Errorf("enrolment %q of the proof is none of %+v", p.Enrolment, some)
	}
	if p, err := b.prove(t.Context(), b.bob, b.bobs()); err != nil || p.Kind != b.Proof.Kind {
		t.Errorf("the response of the other person: %+v, %v", p, err)
	}
}

// wrongIsWrong, R6: what cannot be read is refused as what does not match is.
func wrongIsWrong(t *testing.T, b *bench) {
	right := b.right()
	wrong := append(slices.Clone(b.Wrong), "", " ", "\x00", "\xff\xfe", "'; DROP TABLE users; --", "%s%n", "𝟙𝟚𝟛𝟜𝟝𝟞",
		auth.Secret(strings.Repeat("1", 1<<20)), auth.Secret(strings.Repeat("é", 5000)), auth.Secret(strings.Repeat(" ", 1<<16)),
		right+"\x00", right+"0", right+right, right[:len(right)-1], "\u202e"+right)
	for _, response := range wrong {
		claim, err := b.verify(t.Context(), b.ann, response)
		if claim != nil {
			t.Errorf("%.40q: a claim", string(response))
		}
		b.refused(t, err, response)
	}
	if _, err := b.prove(t.Context(), b.ann, right); err != nil {
		t.Error("the right one after all the wrong ones: ", err)
	}
}

func responseOfSomebodyElse(t *testing.T, b *bench) {
	for name, u := range map[string]auth.User{"another": b.ann, "nobody": {}, "somebody who does not exist": {ID: "nobody"}} {
		response := b.bobs()
		claim, err := b.verify(t.Context(), u, response)
		if claim != nil {
			t.Errorf("%s: a claim", name)
		}
		b.refused(t, err, response)
	}
}

func nobodyIsEnrolled(t *testing.T, b *bench) {
	for _, id := range []auth.UserID{"", "nobody", "ID-ANN", "id-an_"} {
		if some := b.enrolments(t, id); len(some) > 0 {
			t.Errorf("%q: %+v", id, some)
		}
	}
	if some := b.enrolments(t, b.ann.ID); len(some) != 1 || some[0].Kind != b.factor.Kind() {
		t.Errorf("%+v, want the one", some)
	}
}

func notSpentChangesNothing(t *testing.T, b *bench) {
	before := b.enrolments(t, b.ann.ID)
	response := b.right()
	b.claim(t, b.ann, response)
	b.claim(t, b.ann, response)
	if after := b.enrolments(t, b.ann.ID); !slices.Equal(before, after) {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if _, err := b.prove(t.Context(), b.ann, response); err != nil {
		t.Error("the response is gone: ", err)
	}
}

// spentIsWrong, R2: and only the one that was spent, of the person who spent it.
func spentIsWrong(t *testing.T, b *bench) {
	response, bobs := b.right(), b.bobs()
	if _, err := b.prove(t.Context(), b.ann, response); err != nil {
		t.Fatal(err)
	}
	_, err := b.prove(t.Context(), b.ann, response)
	if b.Reusable {
		if err != nil {
			t.Error("the same again: ", err)
		}
		return
	}
	b.refused(t, err, response)
	if _, err := b.prove(t.Context(), b.bob, bobs); err != nil {
		t.Error("it took the response of somebody else with it: ", err)
	}
	b.wait()
	if _, err := b.prove(t.Context(), b.ann, b.right()); err != nil {
		t.Error("the next one: ", err)
	}
}

func spentTwiceProvesOnce(t *testing.T, b *bench) {
	response := b.right()
	one, two := b.claim(t, b.ann, response), b.claim(t, b.ann, response)
	if _, err := b.spend(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	for name, claim := range map[string]auth.Claim{"the same claim": one, "another of the same response": two} {
		_, err := b.spend(t.Context(), claim)
		if b.Reusable != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if !b.Reusable {
			b.refused(t, err, response)
		}
	}
	if b.Reusable {
		return
	}
	b.wait()
	response = b.right()
	claim := b.claim(t, b.ann, response)
	err := b.db.Tx(t.Context(), func(tx auth.Tx) error { // in one transaction, too
		if _, err := claim(t.Context(), tx); err != nil {
			t.Error(err)
		}
		_, err := claim(t.Context(), tx)
		return err
	})
	b.refused(t, err, response)
}

// ofManyOneProves, R2: two requests at the same instant, on one node or many.
func ofManyOneProves(t *testing.T, b *bench) {
	const callers = 50
	for range 3 {
		response := b.right()
		var (
			all    sync.WaitGroup
			start  = make(chan struct{})
			mu     sync.Mutex
			proved int
		)
		for range callers {
			all.Go(func() {
				claim, err := b.verify(t.Context(), b.ann, response)
				<-start
				if err == nil {
					_, err = b.spend(t.Context(), claim)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					proved++
				} else {
					b.refused(t, err, response)
				}
			})
		}
		close(start)
		all.Wait()
		if want := map[bool]int{true: callers, false: 1}[b.Reusable]; proved != want {
			t.Errorf("%d proofs of one response, want %d", proved, want)
		}
		b.wait()
	}
}

var errOurs = errors.New("something else went wrong")

// rolledBackGivesBack: whoever was stopped by a fault of ours may send the same again.
func rolledBackGivesBack(t *testing.T, b *bench) {
	response := b.right()
	claim := b.claim(t, b.ann, response)
	err := b.db.Tx(t.Context(), func(tx auth.Tx) error {
		if _, err := claim(t.Context(), tx); err != nil {
			return err
		}
		return errOurs
	})
	if !errors.Is(err, errOurs) {
		t.Fatal(err)
	}
	if _, err := b.prove(t.Context(), b.ann, response); err != nil {
		t.Error("the response is gone: ", err)
	}
	if _, err := b.prove(t.Context(), b.ann, response); !b.Reusable {
		b.refused(t, err, response)
	}
}

func rolledBackAfterAnother(t *testing.T, b *bench) {
	response := b.right()
	slow, fast := b.claim(t, b.ann, response), b.claim(t, b.ann, response)
	roll := func() error {
		return b.db.Tx(t.Context(), func(tx auth.Tx) error {
			_, err := slow(t.Context(), tx)
			return errors.Join(err, errOurs)
		})
	}
	if err := roll(); errors.Is(err, auth.ErrWrong) {
		t.Error(err)
	}
	if _, err := b.spend(t.Context(), fast); err != nil {
		t.Fatal(err)
	}
	if err := roll(); !errors.Is(err, auth.ErrWrong) {
		t.Error("the slower one found it unspent: ", err)
	}
	_, err := b.spend(t.Context(), slow)
	b.refused(t, err, response)
}

func resetLeavesNothing(t *testing.T, b *bench) {
	r, ok := b.factor.(auth.Resetter)
	if !ok { // what a sign-in begins with stays
		return
	}
	response := b.right()
	claim := b.claim(t, b.ann, response)
	reset := func(after error) error {
		return b.db.Tx(t.Context(), func(tx auth.Tx) error { return errors.Join(r.Reset(t.Context(), tx, b.ann.ID), after) })
	}
	if err := reset(errOurs); !errors.Is(err, errOurs) {
		t.Fatal(err)
	}
	if some := b.enrolments(t, b.ann.ID); len(some) != 1 {
		t.Error("a reset that was rolled back left ", some)
	}
	for range 2 { // to forget nothing is no error
		if err := reset(nil); err != nil {
			t.Fatal(err)
		}
	}
	if some := b.enrolments(t, b.ann.ID); len(some) > 0 {
		t.Error(some)
	}
	_, err := b.prove(t.Context(), b.ann, response)
	b.refused(t, err, response)
	_, err = b.spend(t.Context(), claim) // verified before, spent after
	b.refused(t, err, response)
	if _, err := b.prove(t.Context(), b.bob, b.bobs()); err != nil {
		t.Error("it took the enrolment of somebody else with it: ", err)
	}
}

// noDatabaseNoProof, R6
func noDatabaseNoProof(t *testing.T, b *bench) {
	response := b.right()
	claim := b.claim(t, b.ann, response)
	b.db.Close()
	for _, r := range append([]auth.Secret{response}, b.Wrong...) {
		again, err := b.verify(t.Context(), b.ann, r)
		if again != nil || err == nil {
			t.Errorf("a claim %v, error %v", again != nil, err)
		}
		b.quiet(t, err, r)
	}
	if _, err := b.verify(t.Context(), b.ann, response); errors.Is(err, auth.ErrWrong) {
		t.Error("a right response is called wrong: ", err)
	}
	if _, err := b.spend(t.Context(), claim); err == nil {
		t.Error("spent without a database")
	} else {
		b.quiet(t, err, response)
	}
	if _, err := b.factor.Enrolments(t.Context(), b.db, b.ann.ID); err == nil {
		t.Error("enrolments without a database")
	}
}
