package password

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"sallyport/internal/auth"
)

// Most is how long a password may be, in code points. It is more than anybody remembers and little to hash.
const Most = 256

// Rules are what a new password must be: long, and not what everybody tries first. There are no rules of composition;
// they make passwords worse. Source: NIST SP 800-63B-4 section 3.1.1.2.
type Rules struct {
	Least   int      // code points
	Context []string // words an attacker would think of here: the name of the site
}

//go:embed lists/common.txt
var commonList string

// common is read when the first password is chosen, not at every start.
var common = sync.OnceValue(func() map[string]bool {
	set := map[string]bool{}
	for word := range strings.Lines(commonList) {
		set[strings.TrimSuffix(word, "\n")] = true
	}
	return set
})

// check returns the password in normal form, or why it will not do.
func (r Rules) check(u auth.User, chosen auth.Secret) (auth.Secret, error) {
	no := func(why string, args ...any) (auth.Secret, error) {
		return "", auth.InvalidError{Field: "password", Why: fmt.Sprintf(why, args...)}
	}
	typed, err := normal(chosen)
	if err != nil {
		return no("has a character that cannot be typed everywhere")
	}
	n := utf8.RuneCountInString(string(typed))
	lower := strings.ToLower(string(typed))
	switch {
	case n < r.Least:
		return no("is shorter than %d characters; a few words make a good one", r.Least)
	case n > Most:
		return no("is longer than %d characters", Most)
	case common()[lower]:
		return no("is one that many people use, so it is tried first")
	case repeats(lower):
		return no("repeats itself; a few words make a good one")
	}
	rest := lower
	for _, word := range append(contextOf(u), r.Context...) {
		if word = norm.NFC.String(strings.ToLower(word)); utf8.RuneCountInString(word) >= 3 {
			rest = strings.ReplaceAll(rest, word, "")
		}
	}
	if rest != lower && utf8.RuneCountInString(rest) < 6 {
		return no("is little more than a name that stands in your account")
	}
	return typed, nil
}

func contextOf(u auth.User) []string {
	local, domain, _ := strings.Cut(u.Login, "@")
	return append([]string{u.Name, u.Login, local, domain}, strings.Fields(u.Name)...) // the longest first
}

// repeats is true for one short piece over and over.
func repeats(s string) bool {
	for size := 1; size <= 4 && size < len(s); size++ {
		if strings.Repeat(s[:size], len(s)/size+1)[:len(s)] == s {
			return true
		}
	}
	return false
}
