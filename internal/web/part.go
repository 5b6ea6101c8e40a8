package web

import (
	"bytes"
	"context"
	"encoding/json"
	"html/template"
	"io/fs"
	"slices"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/visit"
)

// A Part is a piece of a page that another folder draws: how a factor asks, or what it shows on the Security page.
type Part struct {
	from *template.Template
	name string
	Data any
}

// Parts reads a file of parts, each a {{define}}.
func Parts(from fs.FS, file string) func(name string, data any) Part {
	t := template.Must(template.Must(base.Clone()).ParseFS(from, file))
	return func(name string, data any) Part { return Part{t, name, data} }
}

// Draw shows a part within a page. The part is given the page's view and its own Data.
func (v View) Draw(p Part) (template.HTML, error) {
	var b bytes.Buffer
	err := p.from.ExecuteTemplate(&b, p.name, struct {
		View
		Data any
	}{v, p.Data})
	return template.HTML(b.String()), err // it comes from a template, which has escaped it
}

// A Reply is a response to a factor as it comes, on both faces.
type Reply struct {
	Field string                  // its name: "code"
	Max   int                     // code points; of JSON, bytes
	Doc   string                  // for OpenAPI
	Words Words                   // for a wrong one
	Check func(auth.Secret) error // an InvalidError for what cannot be a response at all, so is no guess; nil: anything can
	JSON  bool                    // it is a JSON object; a form sends it as text
}

// A Prompt is how a factor asks people for its response, on whatever page.
type Prompt struct {
	Reply
	Icon, Title, Hint string                      // in a list of ways: "app", "Authenticator app", "A code from ..."
	Noun              string                      // what people enter or show: "code"
	Ask               string                      // heading of a page of its own: "Enter the code from your app"
	Button            string                      // empty: "Continue"
	SignInOnly        bool                        // it finishes a sign-in and is no fresh proof
	Opens             bool                        // its set-up during a sign-in begins with a page, not with an act
	Lead              func([]auth.Enrolment) Part // a sentence on what to do
	Fields            func([]auth.Enrolment) Part // the labelled inputs
}

// A Prompter is a factor that people are asked for.
type Prompter interface {
	auth.Factor
	Prompt() *Prompt
}

// Holding is what pages say of what a person has several of.
type Holding struct {
	Path   string // "/account/passkeys"
	Noun   string // "passkey"
	Advice string // what else to do about one that was removed, a sentence
}

// A Challenger is a factor whose response answers something that we say first, at the address of the response with
// /options behind it. Login narrows a new sign-in to one person, who may not exist; otherwise it is empty.
type Challenger interface {
	Prompter
	Challenge(ctx context.Context, login string) (Challenge, error)
}

// A Challenge is a JSON object that a client needs to make a response.
type Challenge struct {
	visit.Cookies
	JSON json.RawMessage
}

func (c Challenge) MarshalJSON() ([]byte, error) { return c.JSON, nil }

// An Opener is a factor that a sign-in can begin with beside the password: it knows whom a response comes from.
type Opener interface {
	Challenger
	auth.Finder
}

// An Enroller is a factor that can be set up in the middle of a sign-in too. Its routes stand below at, behind guard;
// done is called in the transaction that makes the enrolment real and says what comes next.
type Enroller interface {
	Prompter
	Enrol(at string, guard visit.Guard, done EnrolDone) []Route
}

// A Filler is a factor whose response a browser may bring along, from a link in a mail: then its inputs are filled in.
type Filler interface {
	Prompter
	Filled(ctx context.Context, some []auth.Enrolment) Part
}

// Enrollers are those of some factors that a person can set up on the way in: what an administrator chose for them, if that
// is among them, else all.
func Enrollers(among []auth.Factor, u auth.User, rules policy.Rules) (some []Enroller) {
	for _, f := range among {
		e, ok := f.(Enroller)
		if !ok || !slices.Contains(rules.Addable(), f.Kind()) {
			continue
		}
		if p, ok := f.(interface{ Enrols(auth.User) bool }); ok && !p.Enrols(u) {
			continue
		}
		if string(f.Kind()) == string(u.Method) {
			return []Enroller{e}
		}
		some = append(some, e)
	}
	return some
}

// Noun is what people call a kind of factor in a sentence: "password".
func Noun(k auth.Kind, among ...auth.Factor) string {
	for _, f := range among {
		if p, ok := f.(Prompter); ok && f.Kind() == k {
			return p.Prompt().Noun
		}
	}
	return "answer"
}

// EnrolDone goes on from a fresh enrolment, which is proved by having been enrolled.
type EnrolDone func(ctx context.Context, tx auth.Tx, p auth.Proof) (Onward, error)
