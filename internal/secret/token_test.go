package secret

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"testing"
)

func TestTokensAreURLSafeAndNeverTheSame(t *testing.T) {
	shape := regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`) // 256 bits at 6 a letter
	seen := map[string]bool{}
	for range 1000 {
		token := string(NewToken())
		if !shape.MatchString(token) || seen[token] {
			t.Fatalf("got %q", token)
		}
		seen[token] = true
	}
}

func TestIDsAreLowerCaseAndNeverTheSame(t *testing.T) {
	shape := regexp.MustCompile(`^[a-z2-7]{26}$`)
	seen := map[string]bool{}
	for range 1000 {
		id := NewID()
		if !shape.MatchString(id) || seen[id] {
			t.Fatalf("got %q", id)
		}
		seen[id] = true
	}
}

func TestDigestIsSHA256(t *testing.T) {
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-2, "abc"
	d := Digest("abc")
	if got := hex.EncodeToString(d[:]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTokenDoesNotPrint(t *testing.T) {
	token := NewToken()
	for _, verb := range verbs {
		if got := fmt.Sprintf(verb, token); got != "[secret]" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"}
