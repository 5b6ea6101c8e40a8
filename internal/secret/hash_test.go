package secret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
)

var cheap = Params{Memory: 8, Passes: 1, Lanes: 1}

func testHasher(p Params) *Hasher { return NewHasher(p, 2, time.Minute, idle) }

func mustHash(t *testing.T, h *Hasher, password auth.Secret) string {
	t.Helper()
	stored, err := h.Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestOnlyTheRightPasswordVerifies(t *testing.T) {
	h := testHasher(cheap)
	stored := mustHash(t, h, "correct horse")
	for password, want := range map[auth.Secret]bool{
		"correct horse":     true,
		"Correct horse":     false,
		"correct horse ":    false,
		"correct hors":      false,
		"":                  false,
		"correct horse\x00": false,
		auth.Secret(stored): false,
	} {
		ok, stale, err := h.Verify(t.Context(), stored, password)
		if ok != want || stale || err != nil {
			t.Errorf("%q: %v, stale %v, %v", string(password), ok, stale, err)
		}
	}
}

func TestReferenceHashVerifies(t *testing.T) {
	// test.c of https://github.com/P-H-C/phc-winner-argon2
	const stored = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	ok, stale, err := testHasher(cheap).Verify(t.Context(), stored, "password")
	if !ok || !stale || err != nil {
		t.Errorf("%v, stale %v, %v", ok, stale, err)
	}
}

func TestChangedHashDoesNotVerify(t *testing.T) {
	h := testHasher(Params{Memory: 16, Passes: 1, Lanes: 1})
	stored := mustHash(t, h, "correct horse")
	other := mustHash(t, h, "correct horse")
	part, otherPart := strings.Split(stored, "$"), strings.Split(other, "$")
	for name, changed := range map[string]string{
		"salt":   strings.Replace(stored, part[4], otherPart[4], 1),
		"key":    strings.Replace(stored, part[5], otherPart[5], 1),
		"memory": strings.Replace(stored, "m=16", "m=24", 1),
		"passes": strings.Replace(stored, "t=1", "t=2", 1),
		"lanes":  strings.Replace(stored, "p=1", "p=2", 1),
	} {
		if ok, stale, err := h.Verify(t.Context(), changed, "correct horse"); ok || stale || err != nil {
			t.Errorf("%s: %v, stale %v, %v", name, ok, stale, err)
		}
	}
}

func TestUnreadableHashIsAnErrorNotAWrongPassword(t *testing.T) {
	for _, stored := range []string{"", "hunter2", strings.Replace(good, "t=2", "t=4000000000", 1)} {
		if ok, _, err := testHasher(cheap).Verify(t.Context(), stored, "hunter2"); ok || err == nil {
			t.Errorf("%s: %v, %v", stored, ok, err)
		}
	}
}

func TestSamePasswordNeverHashesTheSame(t *testing.T) {
	h := testHasher(cheap)
	if a, b := mustHash(t, h, "correct horse"), mustHash(t, h, "correct horse"); a == b {
		t.Errorf("twice %s", a)
	}
}

func TestHashAtAnotherPriceIsStale(t *testing.T) {
	today := Params{Memory: 16, Passes: 2, Lanes: 1}
	for _, was := range []Params{{8, 2, 1}, {24, 2, 1}, {16, 1, 1}, {16, 3, 1}, {16, 2, 2}} {
		stored := mustHash(t, testHasher(was), "correct horse")
		if ok, stale, err := testHasher(today).Verify(t.Context(), stored, "correct horse"); !ok || !stale || err != nil {
			t.Errorf("%+v: %v, stale %v, %v", was, ok, stale, err)
		}
		if _, stale, _ := testHasher(today).Verify(t.Context(), stored, "wrong"); stale {
			t.Errorf("%+v: a wrong password asks for a new hash", was)
		}
	}
}

func TestHashOfAnotherSizeVerifiesAndIsStale(t *testing.T) {
	h := testHasher(cheap)
	for _, was := range []phc{{cheap, make([]byte, 8), make([]byte, keySize)}, {cheap, make([]byte, saltSize), make([]byte, 16)}} {
		var err error
		if was.key, err = h.derive(t.Context(), was, "correct horse"); err != nil {
			t.Fatal(err)
		}
		if ok, stale, err := h.Verify(t.Context(), was.String(), "correct horse"); !ok || !stale || err != nil {
			t.Errorf("%s: %v, stale %v, %v", was, ok, stale, err)
		}
	}
}

func TestUnknownNameCostsWhatAKnownOneDoes(t *testing.T) {
	h := testHasher(cheap)
	nothing, err := parsePHC(h.nobody)
	if err != nil {
		t.Fatal(err)
	}
	known, err := parsePHC(mustHash(t, h, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	if nothing.Params != known.Params || len(nothing.salt) != len(known.salt) || len(nothing.key) != len(known.key) {
		t.Errorf("%s costs other than %s", nothing, known)
	}
}

// callers are the ways to a hash.
func callers(h *Hasher) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Hash":          func(ctx context.Context) error { _, err := h.Hash(ctx, "x"); return err },
		"Verify":        func(ctx context.Context) error { _, _, err := h.Verify(ctx, h.nobody, "x"); return err },
		"VerifyNothing": func(ctx context.Context) error { return h.VerifyNothing(ctx, "x") },
	}
}

func TestNothingHashesPastAFullQueue(t *testing.T) {
	h := NewHasher(cheap, 1, time.Millisecond, idle)
	h.queue.slots <- struct{}{} // somebody works, and does not end
	for name, call := range callers(h) {
		if err := call(t.Context()); !errors.Is(err, auth.BusyError{After: time.Millisecond}) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNothingHashesForACallerWhoLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range callers(testHasher(cheap)) {
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSixtyFourCallersGetAnAnswerOrBusy(t *testing.T) {
	h := NewHasher(Params{Memory: 1024, Passes: 1, Lanes: 1}, 2, 10*time.Millisecond, idle)
	stored := mustHash(t, h, "correct horse")
	var all sync.WaitGroup
	for n := range 64 {
		all.Go(func() {
			password := auth.Secret([]string{"correct horse", "wrong"}[n%2])
			ok, _, err := h.Verify(t.Context(), stored, password)
			if busy := errors.Is(err, auth.BusyError{After: 10 * time.Millisecond}); busy == (err == nil) || ok != (n%2 == 0 && !busy) {
				t.Errorf("caller %d: %v, %v", n, ok, err)
			}
		})
	}
	all.Wait()
	if n := h.queue.inside.Load(); n != 0 {
		t.Errorf("%d still inside", n)
	}
}

func TestHasherPrintsNoPassword(t *testing.T) {
	h := testHasher(cheap)
	_, _, err := h.Verify(t.Context(), "hunter2", "hunter2")
	for _, verb := range verbs {
		if got := fmt.Sprintf(verb+verb, h, err); strings.Contains(got, "hunter2") || strings.Contains(got, "68756e746572") {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}
