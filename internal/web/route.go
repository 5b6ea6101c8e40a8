package web

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"sallyport/internal/auth"
	"sallyport/internal/visit"
)

// A Route is one handler with its guard and its two faces. Only [On] makes one.
type Route struct {
	method, path string // of the JSON face, without the /api/v1
	guard        visit.Guard
	keep         visit.Keeper // who stands there, once mounted
	about        About
	in           *plan
	out          reflect.Type
	silent       bool // out has nothing for JSON
	call         func(context.Context, fields) (any, error)
	seen         watch // of the swift way
	err          error
}

// About says what the two faces cannot know from the handler's types. A route without Page and Then has no page
// face, unless it is a [Download].
type About struct {
	Does     string // one line for OpenAPI and `sallyport routes`
	Page     *Page  // what the page face shows; of an act, in answer to it
	Then     string // or where the browser goes; {name} is a path value or a field of Out; see [HeldAct], [SamePage]
	On       string // the page the form stands on, shown again with a problem; default: the same path
	Throttle string // what its guesses are counted as; a test tries every route that names one
	Asks     *Reply // what the field "*" of In is
	Swift    bool   // the guard brings the answer, so the JSON face takes the short way (swift.go)
	Words    Words
}

// Words says an error of auth in this route's own words, on both faces.
type Words map[error]Said

// Said is one message. ID stays the same in every language.
type Said struct{ ID, Text, More, Field string }

// HeldAct as About.Then goes on with the act that asked for step-up.
const HeldAct = "held act"

// SamePage as About.Then shows the page again that the form stands on, with the act that may wait there.
const SamePage = "same page"

// None is the In of a handler that reads nothing and the Out of one that has nothing to say.
type None struct{}

// Leading is the In of a page on the way to somewhere.
type Leading struct {
	ReturnTo string `json:"return_to,omitempty" max:"2048"`
}

// Onward, embedded in an Out, says where the browser goes and what it takes along.
type Onward struct {
	visit.Cookies `json:"-"`
	State         string       `json:"state,omitempty" enum:"signed_in,second_factor,enrolment" doc:"of the sign-in"`
	Factors       []auth.Offer `json:"factors,omitempty" doc:"what would do now: to use, or to enrol"`
	Next          string       `json:"next,omitempty" doc:"where a browser goes from here"`
}

// On registers a handler. The pattern is "METHOD /path" of the JSON face below /api/v1. The page face has the same,
// but for DELETE, which a form cannot send: its page face is "POST /path/remove".
func On[In, Out any](guard visit.Guard, pattern string, handle func(context.Context, In) (Out, error), about About) Route {
	method, path, _ := strings.Cut(pattern, " ")
	r := Route{method: method, path: path, guard: guard, about: about, out: reflect.TypeFor[Out](), silent: true}
	for range jsonFields(r.out) {
		r.silent = false
	}
	if r.out.Implements(reflect.TypeFor[json.Marshaler]()) {
		r.silent = false
	}
	r.in, r.err = planOf(reflect.TypeFor[In](), path, about.Asks)
	if r.err == nil {
		r.err = r.checkThen()
	}
	r.call = func(ctx context.Context, sent fields) (any, error) {
		var in In
		if err := r.in.fill(reflect.ValueOf(&in).Elem(), sent); err != nil {
			return nil, err
		}
		return handle(ctx, in)
	}
	return r
}

// Before has check asked before the handler, on both faces.
func (r Route) Before(check func(context.Context) error) Route {
	call := r.call
	r.call = func(ctx context.Context, sent fields) (any, error) {
		if err := check(ctx); err != nil {
			return nil, err
		}
		return call(ctx, sent)
	}
	return r
}

func (r *Route) hasPage() bool { return r.about.Page != nil || r.about.Then != "" || r.isDownload() }

func (r *Route) isDownload() bool { return r.out == reflect.TypeFor[Download]() }

// stands is the page that is shown again when this route's page face refuses.
func (r *Route) stands() string {
	if r.about.On != "" {
		return r.about.On
	}
	return r.path
}

func (r *Route) pagePattern() string {
	if r.method == "DELETE" {
		return "POST " + r.path + "/remove"
	}
	return r.method + " " + r.path
}

func (r *Route) checkThen() error {
	for _, name := range names(r.about.Then) {
		if _, in := fieldNamed(r.out, name); !in && !strings.Contains(r.path, "{"+name+"}") {
			return fmt.Errorf("its Then %q needs %q, which neither the path nor %s has", r.about.Then, name, r.out)
		}
	}
	return nil
}

// names lists what stands in braces.
func names(pattern string) (found []string) {
	for {
		_, rest, ok := strings.Cut(pattern, "{")
		if !ok {
			return found
		}
		name, rest, _ := strings.Cut(rest, "}")
		found, pattern = append(found, name), rest
	}
}

// A Listed route is what `sallyport routes` says about one.
type Listed struct {
	Method   string      `json:"method"`
	API      string      `json:"api"`
	Page     string      `json:"page,omitempty"`
	Guard    visit.Guard `json:"guard"`
	Throttle string      `json:"throttle,omitempty"`
	Does     string      `json:"does"`
}

// Routes lists path, guard and throttle of everything mounted with On.
func (s *Site) Routes() (all []Listed) {
	for i := range s.routes {
		r, page := &s.routes[i], ""
		if r.hasPage() {
			page = r.pagePattern()
		}
		all = append(all, Listed{r.method, api + r.path, page, r.guard, r.about.Throttle, r.about.Does})
	}
	return all
}

// jsonFields yields what encoding/json makes of a struct: name and field, embedded ones in place.
func jsonFields(t reflect.Type) map[string]reflect.StructField {
	found := map[string]reflect.StructField{}
	if t.Kind() != reflect.Struct {
		return found
	}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && name != "-" && name != "" {
			found[name] = f
		}
	}
	return found
}

func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	f, ok := jsonFields(t)[name]
	return f, ok
}
