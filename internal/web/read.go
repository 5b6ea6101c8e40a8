package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"sallyport/internal/auth"
)

const (
	maxBody = 64 << 10
	maxText = 1024 // code points in a field without a max of its own
)

// fields is a request before it has types: what a form and a JSON object have in common.
type fields map[string]sent

// sent is one value with its kind: 'f' typed into a form, 's' JSON string, 'b' boolean, 'n' number, 'o' object or array.
// A form sends a list by naming a field again, JSON as an array of strings: then list has them all.
type sent struct {
	text string
	kind byte
	list []string
}

// A plan is how fields become an In: one struct, flat, of strings, auth.Secret, bool, int, []string and
// json.RawMessage. Tags:
//
//	json:"name"    name on both faces; with omitempty it may be missing or empty; "*" is the response About.Asks for
//	path:"name"    from the path instead
//	max:"64"       code points at most; for an int its bound
//	doc:"..."      for OpenAPI
type plan struct {
	fields []field
	byName map[string]*field
	body   bool // something is read from body or query
	needs  bool // something of it may not be missing
}

type field struct {
	name     string
	index    int
	kind     reflect.Kind
	raw      bool
	list     bool
	secret   bool
	path     bool
	optional bool
	max      int
	doc      string
	check    func(auth.Secret) error
}

func planOf(in reflect.Type, path string, asks *Reply) (*plan, error) {
	p := &plan{byName: map[string]*field{}}
	if in.Kind() != reflect.Struct {
		return nil, fmt.Errorf("the In is %s, want a struct", in)
	}
	for i := range in.NumField() {
		sf := in.Field(i)
		name, options, _ := strings.Cut(sf.Tag.Get("json"), ",")
		f := field{name: name, index: i, kind: sf.Type.Kind(), optional: options == "omitempty", max: maxText,
			raw: sf.Type == reflect.TypeFor[json.RawMessage](), secret: sf.Type == reflect.TypeFor[auth.Secret](), doc: sf.Tag.Get("doc"), list: sf.Type == reflect.TypeFor[[]string]()}
		if f.path = sf.Tag.Get("path") != ""; f.path {
			f.name = sf.Tag.Get("path")
		}
		if f.name == "*" && asks != nil {
			f.name, f.max, f.doc, f.check, f.raw = asks.Field, asks.Max, asks.Doc, asks.Check, asks.JSON
		}
		switch {
		case f.name == "*":
			return nil, fmt.Errorf("%s.%s: About.Asks says for nobody", in, sf.Name)
		case f.name == "":
			return nil, fmt.Errorf("%s.%s has no name", in, sf.Name)
		case f.path && !strings.Contains(path, "{"+f.name+"}"):
			return nil, fmt.Errorf("%s.%s: the path has no {%s}", in, sf.Name, f.name)
		case !f.raw && !f.list && f.kind != reflect.String && f.kind != reflect.Bool && f.kind != reflect.Int:
			return nil, fmt.Errorf("%s.%s: a form cannot send a %s", in, sf.Name, sf.Type)
		}
		if f.raw && f.max == maxText {
			f.max = maxBody
		}
		if m := sf.Tag.Get("max"); m != "" {
			n, err := strconv.Atoi(m)
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", in, sf.Name, err)
			}
			f.max = n
		}
		p.body = p.body || !f.path
		p.needs = p.needs || !f.path && !f.mayMiss()
		p.fields = append(p.fields, f)
	}
	for i := range p.fields {
		p.byName[p.fields[i].name] = &p.fields[i]
	}
	for _, name := range names(path) {
		if f := p.byName[name]; f == nil || !f.path {
			return nil, fmt.Errorf("no field of %s takes {%s}", in, name)
		}
	}
	return p, nil
}

// fill sets the fields of in, or says everything that is wrong with them at once.
func (p *plan) fill(in reflect.Value, sent fields) error {
	var wrong invalid
	for name := range sent {
		if p.byName[name] == nil {
			wrong = append(wrong, auth.InvalidError{Field: name, Why: "is not known here"})
		}
	}
	for i := range p.fields {
		f := &p.fields[i]
		if why := f.set(in.Field(f.index), sent[f.name]); why != "" {
			wrong = append(wrong, auth.InvalidError{Field: f.name, Why: why})
		}
	}
	if wrong != nil {
		return wrong
	}
	return nil
}

// set returns why it refuses, or "".
func (f *field) set(to reflect.Value, s sent) string {
	if s.text == "" && (s.kind == 0 || s.kind == 'f' || s.kind == 's') && len(s.list) < 2 {
		if f.optional || f.kind == reflect.Bool && s.kind != 's' {
			return ""
		}
		return "is missing"
	}
	// U+FFFD is what a decoder leaves where the sender's text was broken.
	if !utf8.ValidString(s.text) || strings.ContainsAny(s.text, "\x00\uFFFD") {
		return "is not readable text"
	}
	switch {
	case f.list:
		return f.setList(to, s)
	case f.raw:
		if s.kind == 'f' && !json.Valid([]byte(s.text)) {
			return "must be JSON"
		}
		if why := strict(json.NewDecoder(strings.NewReader(s.text)), 0); s.kind == 'f' && why != "" { // readJSON asked for an object
			return why
		}
		if len(s.text) > f.max {
			return fmt.Sprintf("is longer than %d bytes", f.max)
		}
		if f.secret && (s.kind != 'f' && s.kind != 'o' || !strings.HasPrefix(strings.TrimLeft(s.text, " \t\r\n"), "{")) {
			return "must be an object"
		}
		if f.secret {
			to.SetString(s.text)
		} else {
			to.SetBytes([]byte(s.text))
		}
	case f.kind == reflect.Bool:
		on, off := s.text == "true" || s.kind == 'f' && s.text == "on", s.text == "false"
		if s.kind != 'f' && s.kind != 'b' || !on && !off {
			return "must be true or false"
		}
		to.SetBool(on)
	case f.kind == reflect.Int:
		n, err := strconv.Atoi(s.text)
		if s.kind != 'f' && s.kind != 'n' || err != nil {
			return "must be a whole number"
		}
		if n < 0 || n > f.max {
			return fmt.Sprintf("must be between 0 and %d", f.max)
		}
		to.SetInt(int64(n))
	default:
		if s.kind != 'f' && s.kind != 's' {
			return "must be text"
		}
		if utf8.RuneCountInString(s.text) > f.max {
			return fmt.Sprintf("is longer than %d characters", f.max)
		}
		if wrong := (auth.InvalidError{}); f.check != nil && errors.As(f.check(auth.Secret(s.text)), &wrong) {
			return wrong.Why
		}
		to.SetString(s.text)
	}
	return ""
}

// maxList is how many values a list may have.
const maxList = 1000

func (f *field) setList(to reflect.Value, s sent) string {
	if s.list == nil {
		return "must be a list of texts"
	}
	if len(s.list) > maxList {
		return fmt.Sprintf("has more than %d values", maxList)
	}
	var list []string
	for _, one := range s.list {
		switch {
		case one == "": // what a select sends of which nothing was chosen
			continue
		case !utf8.ValidString(one) || strings.ContainsAny(one, "\x00\uFFFD"):
			return "is not readable text"
		case utf8.RuneCountInString(one) > f.max:
			return fmt.Sprintf("has a value longer than %d characters", f.max)
		}
		list = append(list, one)
	}
	if list == nil && !f.optional && len(s.list) > 0 {
		return "is missing"
	}
	to.Set(reflect.ValueOf(list))
	return ""
}

// invalid is every field that cannot be what was sent.
type invalid []auth.InvalidError

func (e invalid) Error() string { return fmt.Sprintf("%d fields are wrong", len(e)) }

// unreadable is a request that does not even have fields.
type unreadable struct {
	status int
	why    string
}

func (e unreadable) Error() string { return e.why }

func body(r *http.Request, want string) ([]byte, error) {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != want {
		return nil, unreadable{http.StatusUnsupportedMediaType, "the body must be " + want}
	}
	b, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, unreadable{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxBody)}
	}
	if err != nil {
		return nil, unreadable{http.StatusBadRequest, "the body ended early"}
	}
	if !utf8.Valid(b) {
		return nil, unreadable{http.StatusBadRequest, "the body is not UTF-8"}
	}
	return b, nil
}

// readForm reads what a form sends.
func readForm(encoded string, p *plan) (fields, error) {
	values, err := url.ParseQuery(encoded)
	if err != nil {
		return nil, unreadable{http.StatusBadRequest, "the form is not readable"}
	}
	return fieldsOf(values, p)
}

// fieldsOf takes what a form or an address names. Only a list may be named twice.
func fieldsOf(values url.Values, p *plan) (fields, error) {
	all := make(fields, len(values))
	for name, v := range values {
		if f := p.byName[name]; len(v) > 1 && (f == nil || !f.list) {
			return nil, invalid{{Field: name, Why: "is there twice"}}
		}
		all[name] = sent{v[0], 'f', v}
	}
	return all, nil
}

// readJSON reads one flat object. encoding/json alone would take the last of two equal keys and any case of them.
func readJSON(b []byte) (fields, error) {
	broken := unreadable{http.StatusBadRequest, "the body is not a JSON object"}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, broken
	}
	all := fields{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, broken
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, broken
		}
		name := t.(string)
		if _, twice := all[name]; twice {
			return nil, invalid{{Field: name, Why: "is there twice"}}
		}
		switch raw[0] {
		case '"':
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				return nil, broken
			}
			all[name] = sent{text: text, kind: 's'}
		case 't', 'f':
			all[name] = sent{text: string(raw), kind: 'b'}
		case 'n': // null is the same as missing
			all[name] = sent{}
		case '{', '[':
			if why := strict(json.NewDecoder(bytes.NewReader(raw)), 0); why != "" {
				return nil, invalid{{Field: name, Why: why}}
			}
			s := sent{text: string(raw), kind: 'o'}
			if raw[0] == '[' {
				s.list = texts(raw)
			}
			all[name] = s
		default:
			all[name] = sent{text: string(raw), kind: 'n'}
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, broken
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, broken
	}
	return all, nil
}

// maxDepth of what is nested in a field. No message of ours or of a browser comes near it.
const maxDepth = 16

// strict reads one value and says what two readers of it might understand differently, or "".
func strict(d *json.Decoder, depth int) string {
	t, err := d.Token()
	if err != nil {
		return "is not JSON"
	}
	open, nested := t.(json.Delim)
	if !nested {
		return ""
	}
	if depth == maxDepth {
		return "is nested too deeply"
	}
	seen := map[any]bool{}
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return "is not JSON"
			}
			if seen[name] {
				return "has a name twice"
			}
			seen[name] = true
		}
		if why := strict(d, depth+1); why != "" {
			return why
		}
	}
	if _, err := d.Token(); err != nil {
		return "is not JSON"
	}
	return ""
}

// texts is an array of strings, or nil if it is an array of something else.
func texts(raw json.RawMessage) []string {
	var some []*string
	if json.Unmarshal(raw, &some) != nil {
		return nil
	}
	list := make([]string, len(some))
	for i, s := range some {
		if s == nil {
			return nil
		}
		list[i] = *s
	}
	return list
}

// query reads the fields of a GET. Unknown ones pass: links collect them on their way.
func query(r *http.Request, p *plan) (fields, error) {
	if r.URL.RawQuery == "" {
		return fields{}, nil
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, unreadable{http.StatusBadRequest, "the address is not readable"}
	}
	for name := range values {
		if f := p.byName[name]; f == nil || f.path {
			delete(values, name)
		}
	}
	return fieldsOf(values, p)
}

// takePath adds the path values. A body that names one too is caught: a field is either in the path or in the body.
func takePath(r *http.Request, p *plan, all fields) error {
	for i := range p.fields {
		if f := &p.fields[i]; f.path {
			if _, twice := all[f.name]; twice {
				return invalid{{Field: f.name, Why: "belongs into the path"}}
			}
			all[f.name] = sent{text: r.PathValue(f.name), kind: 'f'}
		}
	}
	return nil
}
