package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/auth"
	"sallyport/internal/visit"
)

// The test site has one act with every kind of field, on a page that prints the problem as one line.
type thing struct {
	ID    auth.EnrolmentID `path:"id"`
	Name  string           `json:"name" max:"8"`
	Code  auth.Secret      `json:"code" max:"8"`
	Count int              `json:"count,omitempty" max:"10"`
	Loud  bool             `json:"loud"`
	Tags  []string         `json:"tags,omitempty" max:"8"`
	Extra json.RawMessage  `json:"extra,omitempty"`
}

type thingID struct {
	ID string `path:"id" json:"id"`
}

var testPages = fstest.MapFS{"thing.html": {Data: []byte(`{{define "title"}}T{{end}}{{define "main"}}{{with .Problem}}[{{.Kind}}|{{.Detail}}|{{range .Errors}}{{.Field}} {{.Detail}};{{end}}]{{end}}{{end}}`)}}

var thingType = reflect.TypeFor[thing]()

var testURL = &url.URL{Scheme: "https", Host: "example.com"}

func testConfig(guards map[visit.Guard]visit.Keeper) Config {
	return Config{URL: testURL, Brand: Brand{Name: "Test", Support: "nobody"}, Guards: guards, SignIn: "/signin", StepUp: "/stepup", Home: "/",
		Ready: func(context.Context) error { return nil }, Served: new(atomic.Int64), Clock: time.Now,
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()}
}

func showID(_ context.Context, in thingID) (thingID, error) { return in, nil }

func newSite(t *testing.T, act func(context.Context, thing) (None, error), guards map[visit.Guard]visit.Keeper, log ...slog.Handler) *Site {
	t.Helper()
	page := Gate(testPages, "thing.html")
	c := testConfig(guards)
	c.Log = slog.New(append(log, slog.DiscardHandler)[0])
	s, err := New(c, []Route{
		On(Public, "GET /signin", func(context.Context, None) (None, error) { return None{}, nil }, About{Page: page}),
		On(Public, "GET /stepup", func(context.Context, None) (None, error) { return None{}, nil }, About{Page: page}),
		On(Public, "GET /thing/{id}", showID, About{Page: page}),
		On(Fresh, "POST /thing/{id}", act, About{Then: "/thing/{id}", Words: Words{auth.ErrWrong: {ID: "thing.wrong", Text: "Not that one."}}}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(*http.Request, *visit.Visit) error { return nil }

var allOpen = map[visit.Guard]visit.Keeper{Public: open, Fresh: open}

const Public, Fresh, SignedIn = visit.Public, visit.Fresh, visit.SignedIn

func send(s http.Handler, path, mime, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest("POST", path, strings.NewReader(body))
	req.Header.Set("Content-Type", mime)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	return w
}

func byForm(s http.Handler, body string) *httptest.ResponseRecorder {
	return send(s, "/thing/7", "application/x-www-form-urlencoded", body)
}

func byJSON(s http.Handler, body string) *httptest.ResponseRecorder {
	return send(s, "/api/v1/thing/7", "application/json", body)
}

// refusal is what a face refused, in a form that both can be compared in.
func refusal(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Header().Get("Content-Type") != "application/problem+json" {
		_, line, _ := strings.Cut(w.Body.String(), "[")
		line, _, _ = strings.Cut(line, "]")
		return http.StatusText(w.Code) + " " + line
	}
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	line := p.Title + " " + p.Kind() + "|" + p.Detail + "|"
	for _, e := range p.Errors {
		line += e.Field + " " + e.Detail + ";"
	}
	return line
}

func TestTwoFacesRefuseTheSame(t *testing.T) {
	never := func(context.Context, thing) (None, error) { t.Error("the handler ran"); return None{}, nil }
	s := newSite(t, never, allOpen)
	long := strings.Repeat("x", 9)
	for _, c := range []struct{ what, form, json, want string }{
		{"nothing", "", `{}`, "name is missing;code is missing;"},
		{"an empty name", "name=&code=1", `{"name":"","code":"1"}`, "name is missing;"},
		{"a null name", "code=1", `{"name":null,"code":"1"}`, "name is missing;"},
		{"a name too long", "code=1&name=" + long, `{"code":"1","name":"` + long + `"}`, "name is longer than 8 characters;"},
		{"a secret too long", "name=a&code=" + long, `{"name":"a","code":"` + long + `"}`, "code is longer than 8 characters;"},
		{"a NUL", "code=1&name=%00", `{"code":"1","name":"\u0000"}`, "name is not readable text;"},
		{"broken UTF-8 in an escape", "code=1&name=%ff", `{"code":"1","name":"\ud800"}`, "name is not readable text;"},
		{"a field nobody knows", "name=a&code=1&role=owner", `{"name":"a","code":"1","role":"owner"}`, "role is not known here;"},
		{"another case of a field", "name=a&code=1&NAME=b", `{"name":"a","code":"1","NAME":"b"}`, "NAME is not known here;"},
		{"a repeated field", "name=a&name=b&code=1", `{"name":"a","name":"b","code":"1"}`, "name is there twice;"},
		{"a path value in the body", "name=a&code=1&id=8", `{"name":"a","code":"1","id":"8"}`, "id belongs into the path;"},
		{"no number", "name=a&code=1&count=ten", `{"name":"a","code":"1","count":"ten"}`, "count must be a whole number;"},
		{"a number too large", "name=a&code=1&count=11", `{"name":"a","code":"1","count":11}`, "count must be between 0 and 10;"},
		{"half a number", "name=a&code=1&count=1.5", `{"name":"a","code":"1","count":1.5}`, "count must be a whole number;"},
		{"a list with a long text", "name=a&code=1&tags=x&tags=" + long, `{"name":"a","code":"1","tags":["x","` + long + `"]}`, "tags has a value longer than 8 characters;"},
		{"no flag", "name=a&code=1&loud=maybe", `{"name":"a","code":"1","loud":"maybe"}`, "loud must be true or false;"},
	} {
		page, api := refusal(t, byForm(s, c.form)), refusal(t, byJSON(s, c.json))
		if page != api {
			t.Errorf("%s:\n page %s\n api  %s", c.what, page, api)
		}
		if want := "Unprocessable Entity invalid|Some fields need another look.|" + c.want; api != want {
			t.Errorf("%s:\n got  %s\n want %s", c.what, api, want)
		}
	}
}

func TestTwoFacesSayTheSameErrors(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		header string
	}{
		{auth.ErrWrong, 422, ""}, {auth.ErrForbidden, 403, ""}, {auth.ErrNotFound, 404, ""},
		{auth.ThrottledError{After: 90 * time.Second}, 429, "90"}, {auth.BusyError{}, 503, "1"},
		{auth.InvalidError{Field: "code", Why: "must have 6 digits"}, 422, ""},
		{auth.StepUpError{}, 403, ""}, {errors.New("disk is full: secret"), 500, ""},
	} {
		s := newSite(t, func(context.Context, thing) (None, error) { return None{}, c.err }, allOpen)
		page, api := byForm(s, "name=a&code=1"), byJSON(s, `{"name":"a","code":"1"}`)
		for _, w := range []*httptest.ResponseRecorder{page, api} {
			if w.Code != c.status || w.Header().Get("Retry-After") != c.header {
				t.Errorf("%v: %d, Retry-After %q", c.err, w.Code, w.Header().Get("Retry-After"))
			}
			if strings.Contains(w.Body.String(), "disk") {
				t.Errorf("%v: the answer tells what happened inside", c.err)
			}
		}
		if p, a := refusal(t, page), refusal(t, api); c.status < 500 && c.status != 404 && p != a {
			t.Errorf("%v:\n page %s\n api  %s", c.err, p, a)
		}
	}
}

func TestTwoFacesStandBehindTheSameGuard(t *testing.T) {
	never := func(context.Context, thing) (None, error) { t.Error("the handler ran"); return None{}, nil }
	s := newSite(t, never, map[visit.Guard]visit.Keeper{Public: open, Fresh: func(*http.Request, *visit.Visit) error { return auth.ErrForbidden }})
	for _, w := range []*httptest.ResponseRecorder{byForm(s, "name=a&code=1"), byJSON(s, `{"name":"a","code":"1"}`)} {
		if w.Code != 403 {
			t.Error(w.Code, w.Body)
		}
	}
}

func TestARefusedActDoesNotShowThePageItStandsOn(t *testing.T) {
	page := Gate(testPages, "thing.html")
	nothing := func(context.Context, None) (None, error) { return None{}, nil }
	shown := func(context.Context, None) (None, error) { t.Error("the page ran"); return None{}, nil }
	refuse := func(*http.Request, *visit.Visit) error { return auth.ErrForbidden }
	s, err := New(testConfig(map[visit.Guard]visit.Keeper{Public: open, SignedIn: refuse}), []Route{
		On(Public, "GET /signin", nothing, About{Page: page}), On(Public, "GET /stepup", nothing, About{Page: page}),
		On(SignedIn, "GET /users", shown, About{Page: page}), On(SignedIn, "POST /users", shown, About{Then: "/users"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if w := send(s, "/users", "application/x-www-form-urlencoded", ""); w.Code != 403 {
		t.Error(w.Code, w.Body)
	}
}

func TestTwoFacesReadTheSame(t *testing.T) {
	var got []thing
	s := newSite(t, func(_ context.Context, in thing) (None, error) { got = append(got, in); return None{}, nil }, allOpen)
	extra := `{"a":[1]}`
	if w := byForm(s, url.Values{"name": {"Zoë"}, "code": {"1 2"}, "count": {"3"}, "loud": {"on"}, "tags": {"a", "b"}, "extra": {extra}}.Encode()); w.Code != 303 || w.Header().Get("Location") != "/thing/7" {
		t.Fatal(w.Code, w.Body)
	}
	if w := byJSON(s, `{"name":"Zoë","code":"1 2","count":3,"loud":true,"tags":["a","b"],"extra":`+extra+`}`); w.Code != 204 {
		t.Fatal(w.Code, w.Body)
	}
	a, _ := json.Marshal(got[0])
	b, _ := json.Marshal(got[1])
	if string(a) != string(b) || got[0].ID != "7" || got[0].Name != "Zoë" {
		t.Errorf("\n page %s\n api  %s", a, b)
	}
}

func TestBrokenBodiesAreRefused(t *testing.T) {
	s := newSite(t, func(context.Context, thing) (None, error) { t.Error("the handler ran"); return None{}, nil }, allOpen)
	big := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		what string
		w    *httptest.ResponseRecorder
		want int
	}{
		{"1 MiB of JSON", byJSON(s, `{"name":"`+big+`"}`), 413},
		{"1 MiB of form", byForm(s, "name="+big), 413},
		{"no UTF-8 in JSON", byJSON(s, "{\"name\":\"\xff\"}"), 400},
		{"no UTF-8 in a form", byForm(s, "name=\xff"), 400},
		{"an array", byJSON(s, `[]`), 400},
		{"an array for a string", byJSON(s, `{"name":["a"],"code":"1"}`), 422},
		{"an object for a string", byJSON(s, `{"name":{},"code":"1"}`), 422},
		{"a number for a string", byJSON(s, `{"name":1,"code":"1"}`), 422},
		{"a list with a number", byJSON(s, `{"name":"a","code":"1","tags":["a",1]}`), 422},
		{"a nested name twice", byJSON(s, `{"name":"a","code":"1","extra":{"a":{"b":1,"b":2}}}`), 422},
		{"deep nesting", byJSON(s, `{"name":"a","code":"1","extra":`+strings.Repeat("[", 50)+strings.Repeat("]", 50)+`}`), 422},
		{"two objects", byJSON(s, `{"name":"a","code":"1"}{}`), 400},
		{"half an object", byJSON(s, `{"name":"a"`), 400},
		{"nothing at all", byJSON(s, ``), 400},
		{"a bad escape", byForm(s, "name=%zz"), 400},
		{"a form to the API", send(s, "/api/v1/thing/7", "application/x-www-form-urlencoded", "name=a"), 415},
		{"JSON to the page", send(s, "/thing/7", "application/json", "{}"), 415},
		{"plain text", send(s, "/api/v1/thing/7", "text/plain", "{}"), 415},
		{"no type", send(s, "/api/v1/thing/7", "", "{}"), 415},
		{"an upload", send(s, "/thing/7", "multipart/form-data; boundary=x", "--x--"), 415},
		{"no such path", send(s, "/api/v1/nothing", "application/json", "{}"), 404},
		{"no such method", send(s, "/api/v1/signin", "application/json", "{}"), 405},
	} {
		if c.w.Code != c.want {
			t.Errorf("%s: %d, want %d: %.200s", c.what, c.w.Code, c.want, c.w.Body)
		}
		if c.w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", c.what)
		}
	}
}

func TestACrossOriginPostIsRefusedOnBothFaces(t *testing.T) {
	s := newSite(t, func(context.Context, thing) (None, error) { t.Error("the handler ran"); return None{}, nil }, allOpen)
	for _, path := range []string{"/thing/7", "/api/v1/thing/7"} {
		req := httptest.NewRequest("POST", path, strings.NewReader("{}"))
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, req); w.Code != 403 || !strings.Contains(w.Body.String(), "another site") {
			t.Error(path, w.Code, w.Body)
		}
	}
}

func TestASiteWithAHoleDoesNotStart(t *testing.T) {
	page := Gate(testPages, "thing.html")
	nothing := func(context.Context, None) (None, error) { return None{}, nil }
	base := []Route{On(Public, "GET /signin", nothing, About{Page: page}), On(Public, "GET /stepup", nothing, About{Page: page})}
	for what, r := range map[string]Route{
		"a guard nobody stands at":    On(SignedIn, "GET /users", nothing, About{}),
		"no guard":                    On("", "GET /users", nothing, About{}),
		"a path value nobody takes":   On(Public, "GET /users/{id}", nothing, About{}),
		"a field the path lacks":      On(Public, "GET /users", showID, About{}),
		"a way on that nothing fills": On(Public, "POST /users", nothing, About{Then: "/users/{id}"}),
		"a page that nobody shows":    On(Public, "POST /users", nothing, About{Then: "/", On: "/nowhere"}),
		"a response nobody asks for": On(Public, "POST /users", func(context.Context, struct {
			Response auth.Secret `json:"*"`
		}) (None, error) {
			return None{}, nil
		}, About{}),
		"an In that no form could send": On(Public, "POST /users", func(context.Context, struct {
			Names map[string]string `json:"names"`
		}) (None, error) {
			return None{}, nil
		}, About{}),
	} {
		_, err := New(testConfig(allOpen), base, []Route{r})
		if err == nil {
			t.Errorf("%s: the site starts", what)
		}
	}
}

func TestAPanicIsA500AndOneLogLine(t *testing.T) {
	var log strings.Builder
	s := newSite(t, func(context.Context, thing) (None, error) { panic("boom") }, allOpen, slog.NewTextHandler(&log, nil))
	if w := byJSON(s, `{"name":"a","code":"1"}`); w.Code != 500 || strings.Contains(w.Body.String(), "boom") {
		t.Error(w.Code, w.Body)
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "boom") {
		t.Error(log.String())
	}
}

func TestASecretIsNeitherShownAgainNorPrinted(t *testing.T) {
	p, err := planOf(thingType, "/thing/{id}", nil)
	if err != nil {
		t.Fatal(err)
	}
	kept := p.keep(fields{"name": {text: "a", kind: 'f'}, "code": {text: "1234", kind: 'f'}, "other": {text: "x", kind: 'f'}})
	if len(kept) != 1 || kept["name"].text != "a" {
		t.Error(kept)
	}
}

func FuzzReadJSON(f *testing.F) {
	f.Add([]byte(`{"a":"b","c":[1],"d":{"a":1},"e":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := readJSON(b)
		if err == nil && !json.Valid(b) {
			t.Errorf("took %q as %v", b, all)
		}
	})
}
