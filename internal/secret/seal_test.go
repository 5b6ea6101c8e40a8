package secret

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

var day = time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)

func testRing(keys int) *Ring {
	r := &Ring{}
	for n := range keys {
		r.keys = append(r.keys, newKey(day.AddDate(0, 0, n)))
	}
	return r
}

func sealed(r *Ring) []byte { return r.Seal([]byte("JBSWY3DP"), "totp", "7", "secret") }

func TestSealedValueOpensInItsPlace(t *testing.T) {
	r := testRing(1)
	for _, plain := range []string{"", "JBSWY3DP", strings.Repeat("x", 1<<16)} {
		got, err := r.Open(r.Seal([]byte(plain), "totp", "7", "secret"), "totp", "7", "secret")
		if string(got) != plain || err != nil {
			t.Errorf("got %.20q, %v", got, err)
		}
	}
}

func TestSealedValueOpensNowhereElse(t *testing.T) {
	r := testRing(2)
	for _, place := range [][3]string{
		{"totp", "8", "secret"},
		{"sms", "7", "secret"},
		{"totp", "7", "number"},
		{"totp", "", "secret"},
		{"totp", "7secret", ""},
		{"totp7", "", "secret"},
		{`totp" "7`, "", "secret"},
		{"secret", "7", "totp"},
		{"TOTP", "7", "secret"},
	} {
		if _, err := r.Open(sealed(r), place[0], place[1], place[2]); !errors.Is(err, errChanged) {
			t.Errorf("%q: %v", place, err)
		}
	}
}

func TestPlacesCannotRunTogether(t *testing.T) {
	if bytes.Equal(place("a", "b c", "d"), place("a b", "c", "d")) || bytes.Equal(place("a", `" "`, ""), place("a", "", `" "`)) {
		t.Error("two places are one")
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	r := testRing(2)
	blob := sealed(r)
	for bit := range 8 * len(blob) {
		changed := slices.Clone(blob)
		changed[bit/8] ^= 1 << (bit % 8)
		if _, err := r.Open(changed, "totp", "7", "secret"); err == nil {
			t.Errorf("bit %d", bit)
		}
	}
}

func TestShortenedValueDoesNotOpen(t *testing.T) {
	r := testRing(1)
	blob := sealed(r)
	for n := range blob {
		if _, err := r.Open(blob[:n], "totp", "7", "secret"); err == nil {
			t.Errorf("%d bytes open", n)
		}
	}
}

func TestOldKeyOpensAfterRotation(t *testing.T) {
	r := testRing(1)
	blob := sealed(r)
	r.keys = append(r.keys, newKey(day))
	if got, err := r.Open(blob, "totp", "7", "secret"); string(got) != "JBSWY3DP" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if !r.NeedsReseal(blob) {
		t.Error("an old key's value needs no new seal")
	}
	if r.NeedsReseal(sealed(r)) {
		t.Error("the newest key's value needs a new seal")
	}
}

func TestNewerKeyIsUnknownToAnOlderRing(t *testing.T) {
	old := testRing(1)
	r := &Ring{keys: []key{old.keys[0], newKey(day)}}
	if _, err := old.Open(sealed(r), "totp", "7", "secret"); !errors.Is(err, errNoKey) {
		t.Error(err)
	}
}

func TestOtherKeyUnderTheSameIDDoesNotOpen(t *testing.T) {
	r, other := testRing(1), testRing(1)
	other.keys[0].id = r.keys[0].id
	if _, err := other.Open(sealed(r), "totp", "7", "secret"); !errors.Is(err, errChanged) {
		t.Error(err)
	}
}

func TestSealingTwiceNeverLooksTheSame(t *testing.T) {
	r := testRing(1)
	if bytes.Equal(sealed(r), sealed(r)) {
		t.Error("the nonce repeats")
	}
}

func TestSealErrorHoldsNeitherValueNorRow(t *testing.T) {
	r := testRing(1)
	_, err := r.Open([]byte("JBSWY3DP"), "totp", "ada@example.com", "secret")
	if got := err.Error(); strings.Contains(got, "JBSWY3DP") || strings.Contains(got, "ada") {
		t.Error(got)
	}
}

func TestMACStaysOverRotation(t *testing.T) {
	r := testRing(1)
	before := r.MAC("audit", []byte("row"))
	r.keys = append(r.keys, newKey(day))
	if !bytes.Equal(before, r.MAC("audit", []byte("row"))) {
		t.Error("rotation broke it")
	}
}

func TestMACDependsOnRingPurposeAndMessage(t *testing.T) {
	r := testRing(1)
	want := r.MAC("audit", []byte("row"))
	for name, got := range map[string][]byte{
		"ring":     testRing(1).MAC("audit", []byte("row")),
		"purpose":  r.MAC("link", []byte("row")),
		"message":  r.MAC("audit", []byte("row 2")),
		"boundary": r.MAC("auditr", []byte("ow")),
	} {
		if bytes.Equal(got, want) {
			t.Errorf("another %s makes no difference", name)
		}
	}
}

func FuzzOpen(f *testing.F) {
	r := testRing(2)
	f.Add([]byte(nil))
	f.Add([]byte(r.keys[0].id))
	f.Add(append([]byte(r.keys[1].id), make([]byte, 28)...))
	f.Fuzz(func(t *testing.T, blob []byte) {
		if plain, err := r.Open(blob, "totp", "7", "secret"); err == nil {
			t.Errorf("%x opens as %x", blob, plain)
		}
	})
}
