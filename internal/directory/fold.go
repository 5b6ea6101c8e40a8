package directory

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/user"
)

const (
	mostWords  = 32 // of one person
	mostWord   = 64 // bytes of one that are compared
	mostSearch = 500
)

// fold is text as it is searched and sorted: without case and accents, so that "jose" finds José.
func fold(text string) string {
	marks := func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}
	return norm.NFKC.String(strings.Map(marks, norm.NFKD.String(cases.Fold().String(norm.NFKD.String(strings.ToValidUTF8(text, " "))))))
}

// split is the words of folded text.
func split(folded string) (found []string) {
	between := func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.N, unicode.M, unicode.So)
	}
	for _, w := range strings.FieldsFunc(folded, between) {
		if w = strings.ToValidUTF8(w[:min(len(w), mostWord)], ""); !slices.Contains(found, w) {
			found = append(found, w)
		}
	}
	return found
}

// wordsOf are the words that somebody is found by.
func wordsOf(u auth.User) []string {
	found := split(fold(u.Name + " " + u.Login + " " + u.Email))
	return found[:min(len(found), mostWords)]
}

// A word is one that somebody is found by, and which of their sort keys begin with it: the sum of 1 << sort.
type word struct {
	text  string
	leads int
}

// leading says of each word which keys begin with it.
func leading(words []string, byName, byLogin []byte) []word {
	all := make([]word, len(words))
	for i, w := range words {
		all[i].text = w
		for sort, key := range [][]byte{byName, byLogin} {
			if bytes.HasPrefix(key, []byte(w)) {
				all[i].leads |= 1 << sort
			}
		}
	}
	return all
}

// blanks puts words in a row so that each begins behind a blank.
func blanks(words []string) []byte { return []byte(" " + strings.Join(words, " ") + " ") }

// begins says whether each of what was typed begins one of somebody's words.
func begins(words []byte, typed []string) bool {
	for _, t := range typed {
		if !bytes.Contains(words, []byte(" "+t)) {
			return false
		}
	}
	return true
}

// keys are the sort keys of a person, in the order of sorts.
func keys(u auth.User, seen time.Time) [4][]byte {
	text := func(s string) []byte { return append(append([]byte(s), 0), u.ID...) }
	at := func(t time.Time) []byte {
		return append(binary.BigEndian.AppendUint64(nil, uint64(max(0, db.Micros(t)))), u.ID...)
	}
	return [4][]byte{text(strings.ReplaceAll(fold(u.Name), "\x00", "")), text(user.Key(u.Login)), at(u.Added), at(seen)}
}
