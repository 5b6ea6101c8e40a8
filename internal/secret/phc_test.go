package secret

import (
	"strings"
	"testing"
)

const (
	salt16 = "AAAAAAAAAAAAAAAAAAAAAA"
	key32  = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	good   = "$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$" + key32
)

func TestPHCHasOneSpelling(t *testing.T) {
	for _, s := range []string{
		good,
		"$argon2id$v=19$m=8,t=1,p=1$" + "AAAAAAAAAAA" + "$" + "AAAAAAAAAAAAAAAAAAAAAA", // the least of everything
		"$argon2id$v=19$m=262144,t=64,p=16$" + salt16 + "$" + key32,
	} {
		h, err := parsePHC(s)
		if err != nil || h.String() != s {
			t.Errorf("%s: got %s, %v", s, h, err)
		}
	}
}

func TestPHCRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"nothing":               "",
		"other text":            "password",
		"argon2i":               strings.Replace(good, "argon2id", "argon2i", 1),
		"bcrypt":                "$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"an old version":        strings.Replace(good, "v=19", "v=16", 1),
		"no version":            strings.Replace(good, "v=19$", "", 1),
		"something before":      "x" + good,
		"something after":       good + "$",
		"a line break after":    good + "\n",
		"a line break inside":   strings.Replace(good, "$AAAA", "$AAA\nA", 1),
		"a space":               strings.Replace(good, "m=19456,", "m=19456, ", 1),
		"a leading zero":        strings.Replace(good, "m=19456", "m=019456", 1),
		"a sign":                strings.Replace(good, "t=2", "t=+2", 1),
		"another order":         strings.Replace(good, "m=19456,t=2", "t=2,m=19456", 1),
		"a key id":              strings.Replace(good, "p=1", "p=1,keyid=AAAA", 1),
		"hexadecimal":           strings.Replace(good, "m=19456", "m=0x4c00", 1),
		"overflow of lanes":     strings.Replace(good, "p=1", "p=257", 1),
		"overflow of memory":    strings.Replace(good, "m=19456", "m=4294986752", 1),
		"no memory":             strings.Replace(good, "m=19456", "m=0", 1),
		"too little memory":     strings.Replace(good, "m=19456,t=2,p=1", "m=15,t=2,p=2", 1),
		"absurd memory":         strings.Replace(good, "m=19456", "m=262145", 1),
		"no pass":               strings.Replace(good, "t=2", "t=0", 1),
		"absurd passes":         strings.Replace(good, "t=2", "t=65", 1),
		"no lane":               strings.Replace(good, "p=1", "p=0", 1),
		"absurd lanes":          strings.Replace(good, "p=1", "p=17", 1),
		"short salt":            strings.Replace(good, salt16, "AAAAAAAAAA", 1),
		"long salt":             strings.Replace(good, salt16, strings.Repeat("A", 87), 1),
		"short key":             strings.Replace(good, key32, "AAAAAAAAAAAAAAAAAAAA", 1),
		"long key":              strings.Replace(good, key32, strings.Repeat("A", 87), 1),
		"no key":                strings.Replace(good, key32, "", 1),
		"stray bits":            good[:len(good)-1] + "B",
		"padding":               good + "=",
		"base64 for URLs":       strings.Replace(good, "$AAAA", "$____", 1),
		"a separator too few":   strings.Replace(good, "$"+key32, key32, 1),
		"a secret in the error": "$argon2id$hunter2",
	} {
		if _, err := parsePHC(s); err != errPHC {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzPHC(f *testing.F) {
	f.Add(good)
	f.Add(strings.Replace(good, "p=1", "p=16", 1))
	f.Add("$argon2id$v=19$m=,t=,p=$$")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parsePHC(s)
		if err != nil {
			return
		}
		if h.String() != s {
			t.Errorf("%q reads as %q", s, h)
		}
		if uint64(h.Memory)*uint64(h.Passes) > 64*256<<10 {
			t.Errorf("%q would cost too much", s)
		}
	})
}
