package wording

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// An edited text must not carry a code or a link to another site. Mail programs and phones make a link of what looks like
// an address, and programs that look for harmful ones open it before anybody reads it: whatever stands in it is told.
// So there is no address in a text but those of this site, and nothing that is told by a tag stands in one.

// secrets are the tags by which somebody signs in.
var secrets = []string{"code", "link"}

// around is what may touch a code, on the same word: it ends a sentence or quotes.
const around = `.,:;!?()"'‘’‚‛“”„‟«»‹›¿¡`

// wide is the punctuation of East Asia, which stands for a space as well.
const wide = "，。、！？：；（）「」『』【】《》"

var (
	// address is where mail programs begin a link: a scheme, two slashes, www., a name with a top level, four numbers.
	address = regexp.MustCompile(`://|[/\\]{2}[\p{L}\p{N}\[]|(?:^|[^\p{L}\p{N}])(?:https?|ftp|mailto|javascript|data|sms|tel):[^\s]|(?:^|[^\p{L}\p{N}])www\.` +
		`|[\p{L}\p{M}\p{N}_-]\.(?:xn--[a-z0-9-]+|\p{L}[\p{L}\p{M}]+)|(?:^|[^\p{N}.])\p{N}{1,3}(?:\.\p{N}{1,3}){3}(?:$|[^\p{N}.])`)
	// ideographic is a full stop of East Asia as browsers take it in the name of a host; elsewhere it ends a sentence.
	ideographic = regexp.MustCompile(`([a-z0-9-])。([a-z0-9-])`)
	// path is what may follow the host of this site.
	path = regexp.MustCompile(`^(?:/[a-z0-9/._~-]*)?$`)
)

// carries is nil if a text leads nowhere but to the site on host, or why it does. Tags count as words: what fills them is
// not known before.
func (t text) carries(host string) error {
	for _, filled := range []string{"tag", ""} { // with a value, and without
		var b strings.Builder
		for _, p := range t {
			b.WriteString(p.words)
			switch p.tag {
			case "":
			case "site.host":
				b.WriteString(host)
			default:
				b.WriteString(filled)
			}
		}
		for _, word := range strings.Fields(folded(b.String())) {
			if isAddress(word, folded(host)) {
				return fmt.Errorf("has the address “%s”. Mail programs open such addresses, so only those of this site may stand here: {site.host}", word)
			}
		}
	}
	for _, tag := range secrets {
		if t.touches(tag) {
			return fmt.Errorf("has {%s} as part of a word. Put a space before and after it, so that it stands alone", tag)
		}
	}
	return nil
}

// folded is words as programs may read them that look for addresses: full-width is plain, and what cannot be seen is not
// there.
func folded(words string) string {
	words = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
			return -1
		}
		return r
	}, norm.NFKC.String(words))
	return ideographic.ReplaceAllString(strings.ToLower(words), "$1.$2")
}

// isAddress is true of a word that leads to another site than host.
func isAddress(word, host string) bool {
	word = strings.Trim(word, around+wide+"…–—*[]<>")
	if !address.MatchString(word) {
		return false
	}
	word = strings.TrimPrefix(strings.TrimPrefix(word, "https://"), "http://")
	ours := func(host string) bool {
		rest, begins := strings.CutPrefix(word, host)
		return host != "" && begins && path.MatchString(rest)
	}
	bare, _, err := net.SplitHostPort(host)
	return !ours(host) && (err != nil || !ours(bare))
}

// touches is true if a tag does not stand alone among the words: what is beside it could make an address of it.
func (t text) touches(tag string) bool {
	if !t.has(tag) {
		return false
	}
	const here, other = "\ue000", "\ue001" // of private use: no letters and no punctuation
	var b strings.Builder
	for _, p := range t {
		b.WriteString(norm.NFKC.String(strings.Map(func(r rune) rune {
			switch {
			case strings.ContainsRune(wide, r):
				return ' '
			case string(r) == here:
				return unicode.ReplacementChar
			}
			return r
		}, p.words)))
		switch p.tag {
		case "":
		case tag:
			b.WriteString(here)
		default:
			b.WriteString(other)
		}
	}
	return slices.ContainsFunc(strings.Fields(b.String()), func(word string) bool {
		if tag == "code" {
			word = strings.Trim(word, around)
		}
		return word != here && strings.Contains(word, here)
	})
}

// Carries lists the texts of a message that name another site, or put a code or a link where a program may take it for part
// of an address. What is edited on the page is refused for that; what the deployment's folder has is its own matter, and
// shown.
func (t *Texts) Carries(language, name string) (some []Fault) {
	for _, key := range slices.Sorted(maps.Keys(t.languages[language][name])) {
		if err := t.languages[language][name][key].carries(t.site.Host); err != nil {
			some = append(some, Fault{language, name, key, err.Error()})
		}
	}
	return some
}
