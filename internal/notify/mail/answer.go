package mail

import (
	"errors"
	"fmt"
	"net/textproto"
	"regexp"
	"strings"
	"unicode"

	"sallyport/internal/auth"
)

// An answer is what a server said against us.
type answer struct {
	stage string
	code  int // RFC 5321 section 4.2
	text  string
	final bool // there is no use in asking again
}

func (a answer) Error() string { return fmt.Sprintf("%s was answered %d %s", a.stage, a.code, a.text) }

func (a answer) Unwrap() error {
	if a.final {
		return auth.ErrRefused
	}
	return nil
}

// clear says that the dialogue can go on. 421 announces its end, and a yes where it was not expected is a dialogue of
// its own.
func (a answer) clear() bool { return a.code >= 400 && a.code != 421 }

// answered says what became of a stage; what is no answer is a connection that broke. to is kept out of the words.
func answered(stage string, err error, to string) error {
	var said *textproto.Error
	if errors.As(err, &said) {
		return answer{stage: stage, code: said.Code, text: tell(said.Msg, to)}
	}
	return fmt.Errorf("%s was not answered: %w", stage, err)
}

// final is answered for a stage that is about this mail or its recipient. 503 and 530 are not, wherever they come:
// we are out of step, or would have to log in.
func final(stage string, err error, to string) error {
	if err == nil {
		return nil
	}
	err = answered(stage, err, to)
	if a, ok := err.(answer); ok {
		a.final = a.code >= 500 && a.code != 503 && a.code != 530
		return a
	}
	return err
}

var address = regexp.MustCompile(`\S*@\S*`)

// tell is a server's words, fit for a log: on one line, short, and without an address.
func tell(words, to string) string {
	words = address.ReplaceAllString(strings.ToValidUTF8(words, "?"), "[address]")
	if local, _, ok := strings.Cut(to, "@"); ok {
		words = regexp.MustCompile(`(?i)(^|\W)`+regexp.QuoteMeta(local)+`($|\W)`).ReplaceAllString(words, "$1[address]$2")
	}
	words = strings.Join(strings.FieldsFunc(words, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) }), " ")
	if r := []rune(words); len(r) > 200 {
		words = string(r[:200])
	}
	return words
}
