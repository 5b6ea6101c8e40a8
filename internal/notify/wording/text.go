package wording

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/auth"
)

// A text is a line of a language file, taken apart once: what a value contains is never read as a tag.
type text []piece

// A piece is words, or the name of a tag.
type piece struct{ words, tag string }

var tagged = regexp.MustCompile(`\{([^{}]*)\}`)

// parse knows no way to write a brace: no text needs one, and a stray one is a tag gone wrong.
func parse(line string, tags []string) (text, error) {
	if !utf8.ValidString(line) || !auth.OneLine(line) || line != strings.TrimSpace(line) {
		return nil, errors.New("must be one line without control characters or spaces around it")
	}
	var t text
	words := func(s string) error {
		if strings.ContainsAny(s, "{}") {
			return errors.New("has a brace that belongs to no tag")
		}
		if s != "" {
			t = append(t, piece{words: s})
		}
		return nil
	}
	end := 0
	for _, at := range tagged.FindAllStringSubmatchIndex(line, -1) {
		if err := words(line[end:at[0]]); err != nil {
			return nil, err
		}
		tag := line[at[2]:at[3]]
		if !slices.Contains(tags, tag) {
			return nil, unknownTag(tag)
		}
		t, end = append(t, piece{tag: tag}), at[1]
	}
	return t, words(line[end:])
}

type unknownTag string

func (u unknownTag) Error() string {
	return fmt.Sprintf("has {%s}, which this text cannot fill", string(u))
}

// String is the text as it was written.
func (t text) String() string {
	var b strings.Builder
	for _, p := range t {
		if b.WriteString(p.words); p.tag != "" {
			b.WriteString("{" + p.tag + "}")
		}
	}
	return b.String()
}

func (t text) has(tag string) bool { return slices.Contains(t, piece{tag: tag}) }

// A span is part of a sentence; strong is what the sentence is about.
type span struct {
	Text   string
	Strong bool
}

func (t text) spans(values map[string]string) (some []span) {
	for i, p := range t {
		s := span{Text: p.words}
		if p.tag != "" {
			s = span{values[p.tag], slices.Contains([]string{"name", "old", "new", "other.name"}, p.tag)}
		}
		if i == 0 && p.tag == "kind" {
			s.Text = capital(s.Text)
		}
		some = append(some, s)
	}
	return some
}

func (t text) fill(values map[string]string) string {
	var b strings.Builder
	for _, s := range t.spans(values) {
		b.WriteString(s.Text)
	}
	return b.String()
}

// plain keeps a value on its line and in its direction, so that nobody forges a header, a row of the mail or the last
// line of an SMS.
func plain(value string) string {
	value = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		case unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(value, "\uFFFD"))
	return strings.TrimSpace(value)
}

func capital(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[size:]
}

// wrap breaks a paragraph at spaces, to at most 72 characters where words allow it (RFC 3676 section 4.2 advises 78).
// A space that must not break stays.
func wrap(paragraph string) string {
	var b strings.Builder
	column := 0
	for word := range strings.SplitSeq(paragraph, " ") {
		size := utf8.RuneCountInString(word)
		switch {
		case column == 0:
		case column+1+size > 72:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += size
	}
	return b.String()
}
