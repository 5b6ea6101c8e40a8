package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
)

// A Shape is all that policy needs to know of a person, but for what is theirs alone: names, times, and how long they
// have left to set something up. So what a rule would do to many people is asked once for each shape.
type Shape struct {
	Enrolled []auth.Enrolment // one of each sort, as Facts has them; no ids, names or times
	Method   auth.Method
	MFAOff   bool
	Email    bool // there is an address that codes could go to, once it is proved: nobody else has it
	Phone    bool // and a number

	N int // people, where shapes are counted
}

// User is somebody of this shape.
func (s Shape) User() auth.User {
	return auth.User{ID: "somebody", Role: auth.Member, Method: s.Method, MFAOff: s.MFAOff}
}

// flags are how an enrolment is written down, after its kind.
var flags = []struct {
	name string
	is   func(auth.Enrolment) bool
	set  func(*auth.Enrolment)
}{
	{"void", func(e auth.Enrolment) bool { return e.State == auth.Void }, func(e *auth.Enrolment) { e.State = auth.Void }},
	{"blocked", func(e auth.Enrolment) bool { return e.State == auth.Blocked }, func(e *auth.Enrolment) { e.State = auth.Blocked }},
	{"quiet", func(e auth.Enrolment) bool { return e.Standing == auth.Quiet }, func(e *auth.Enrolment) { e.Standing = auth.Quiet }},
	{"spare", func(e auth.Enrolment) bool { return e.Standing == auth.Spare }, func(e *auth.Enrolment) { e.Standing = auth.Spare }},
	{"weak", func(e auth.Enrolment) bool { return e.Weak }, func(e *auth.Enrolment) { e.Weak = true }},
	{"given", func(e auth.Enrolment) bool { return e.Given }, func(e *auth.Enrolment) { e.Given = true }},
	{"dear", func(e auth.Enrolment) bool { return e.Dear }, func(e *auth.Enrolment) { e.Dear = true }},
	{"last", func(e auth.Enrolment) bool { return e.Last }, func(e *auth.Enrolment) { e.Last = true }},
}

// text is how a shape is stored: "passkey totp:void|email|off,phone".
func (s Shape) text() string {
	var sorts, more []string
	for _, e := range s.Enrolled {
		text := string(e.Kind)
		for _, f := range flags {
			if f.is(e) {
				text += ":" + f.name
			}
		}
		if !slices.Contains(sorts, text) {
			sorts = append(sorts, text)
		}
	}
	for name, is := range map[string]bool{"off": s.MFAOff, "email": s.Email, "phone": s.Phone} {
		if is {
			more = append(more, name)
		}
	}
	slices.Sort(more)
	return strings.Join(sorts, " ") + "|" + string(s.Method) + "|" + strings.Join(more, ",")
}

func parseShape(text string) (s Shape, err error) {
	parts := strings.Split(text, "|")
	if len(parts) != 3 {
		return s, fmt.Errorf("directory: %q is no shape", text)
	}
	for _, sort := range strings.Fields(parts[0]) {
		kind, rest, _ := strings.Cut(sort, ":")
		e := auth.Enrolment{Kind: auth.Kind(kind)}
		for _, f := range flags {
			if slices.Contains(strings.Split(rest, ":"), f.name) {
				f.set(&e)
			}
		}
		s.Enrolled = append(s.Enrolled, e)
	}
	more := strings.Split(parts[2], ",")
	s.Method = auth.Method(parts[1])
	s.MFAOff, s.Email, s.Phone = slices.Contains(more, "off"), slices.Contains(more, "email"), slices.Contains(more, "phone")
	return s, nil
}

// factors are the kinds of their own that somebody's next sign-in asks for, strongest first.
func factors(f policy.Facts) (kinds []auth.Kind) {
	for _, e := range policy.Left(f) {
		if !e.Given && !slices.Contains(kinds, e.Kind) {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

func words(kinds []auth.Kind) string {
	text := make([]string, len(kinds))
	for i, k := range kinds {
		text[i] = string(k)
	}
	return strings.Join(text, " ")
}

func kinds(text string) (kinds []auth.Kind) {
	for _, k := range strings.Fields(text) {
		kinds = append(kinds, auth.Kind(k))
	}
	return kinds
}

// Shapes are the people of a workgroup (empty: all) by what policy needs to know of them, without whom is kept out.
func (d *Directory) Shapes(ctx context.Context, from auth.Reader, w auth.WorkgroupID) ([]Shape, error) {
	return shapes(ctx, from, w)
}

// Some are a few people of a shape in a workgroup (empty: all), without whom is kept out.
func (d *Directory) Some(ctx context.Context, from auth.Reader, w auth.WorkgroupID, s Shape, n int) ([]Person, error) {
	return some(ctx, from, w, s.text(), n)
}
