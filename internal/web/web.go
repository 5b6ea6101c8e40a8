// Package web is the shell around every handler: one plain function, two faces.
//
// A handler is func(ctx, In) (Out, error). [On] registers it once, and a [Site] mounts it twice behind the same
// guard and audit: as JSON under /api/v1, described in OpenAPI, and as a page. What the page refuses the API
// refuses, because both faces read fields with the same code (read.go) and answer errors in one place (problem.go).
//
// The package promises that a handler sees only input that fits its In type, and refuses to build a Site with a route
// that nobody guards, a path value that no field takes, or a page that does not exist.
package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/visit"
)

const api = "/api/v1"

// Config is what the shell needs from outside.
type Config struct {
	URL       *url.URL // where people reach us; Host headers that say otherwise are refused
	Brand     Brand
	Guards    map[visit.Guard]visit.Keeper
	SignIn    string                      // page for who must sign in first
	StepUp    string                      // page for who must prove again
	Home      string                      // page after a sign-in that came from nowhere
	Redirects map[string]string           // paths that only lead elsewhere
	Documents map[string][]byte           // JSON that stays the same, by path
	Scripts   []Script                    // of features; every page loads them
	Ready     func(context.Context) error // whether a write goes through
	Proxies   []netip.Prefix              // whose X-Forwarded-For is believed
	Served    *atomic.Int64               // counts requests, for whoever must leave them room
	Clock     func() time.Time
	Log       *slog.Logger
	Metrics   prometheus.Registerer
}

// Brand is what a deployment may change about the pages.
type Brand struct {
	Name    string // of the product, in headings and authenticator apps
	Support string // where people get help: an address, https or mailto, or plain words
	Accent  string // a CSS colour, "#0f766e"; empty: ours
}

// A Site answers every request of the server.
type Site struct {
	Config
	mux     *http.ServeMux
	cross   *http.CrossOriginProtection
	pages   map[string]*Route // GET pages by path
	scripts []string          // addresses of Scripts
	swift   map[string]*Route // GET routes of the JSON face that the guard itself answers
	routes  []Route
	metrics *metrics
	stray   [2]watch // requests that reach no route, by face
	probes  map[string]watch

	patience, atWork time.Duration
}

// New mounts the routes. Its error means that the program is wrong, so stop.
func New(c Config, routes ...[]Route) (*Site, error) {
	s := &Site{Config: c, mux: http.NewServeMux(), cross: http.NewCrossOriginProtection(),
		pages: map[string]*Route{}, swift: map[string]*Route{}, metrics: newMetrics(c.Metrics), patience: patience, atWork: atWork}
	for _, group := range routes {
		s.routes = append(s.routes, group...)
	}
	for i := range s.routes {
		if r := &s.routes[i]; r.method == "GET" && r.about.Page != nil {
			s.pages[r.path] = r
		}
	}
	for _, page := range []string{c.SignIn, c.StepUp} {
		if s.pages[page] == nil {
			return nil, fmt.Errorf("no route shows the page %q", page)
		}
	}
	nowhere := &Route{path: "-"}
	s.stray = [2]watch{s.watch(nowhere, pageFace{s}), s.watch(nowhere, apiFace{s})}
	s.probes = map[string]watch{}
	for _, path := range []string{"/healthz", "/readyz"} {
		s.probes[path] = s.watch(&Route{method: "GET", path: path}, apiFace{s})
	}
	for i := range s.routes {
		if err := s.mount(&s.routes[i]); err != nil {
			return nil, fmt.Errorf("%s %s: %w", s.routes[i].method, s.routes[i].path, err)
		}
	}
	s.mountRest()
	return s, nil
}

func (s *Site) mount(r *Route) error {
	if r.err != nil {
		return r.err
	}
	r.keep = s.Guards[r.guard]
	if r.keep == nil {
		return fmt.Errorf("nobody stands at its guard %q", r.guard)
	}
	if r.about.Then == SamePage && r.about.On == "" {
		return fmt.Errorf("it shows the page it stands on, which is none")
	}
	if stands := r.about.On; stands != "" && s.pages[stands] == nil {
		return fmt.Errorf("no route shows the page %q it stands on", stands)
	}
	for _, name := range names(r.about.On) {
		if !slices.Contains(names(r.path), name) {
			return fmt.Errorf("its page %q needs %q, which its path lacks", r.about.On, name)
		}
	}
	s.mux.Handle(r.method+" "+api+r.path, s.face(r, apiFace{s}))
	if r.about.Swift {
		s.swift[api+r.path] = r
		r.seen = s.watch(r, apiFace{s})
	}
	if r.hasPage() {
		s.mux.Handle(r.pagePattern(), s.face(r, pageFace{s}))
		// Whoever reloads a form that was refused asks for its address with GET.
		if r.method != "GET" && s.pages[r.path] == nil && s.pages[r.stands()] != nil && r.method != "DELETE" {
			s.mux.HandleFunc("GET "+r.path, func(w http.ResponseWriter, req *http.Request) {
				http.Redirect(w, req, at(r.stands(), req), http.StatusSeeOther)
			})
		}
	}
	return nil
}

func (s *Site) mountRest() {
	s.mux.Handle("GET "+api+"/openapi.json", s.fixed("application/json", "no-cache", describe(s.routes)))
	for _, a := range assetsOf(s.Brand) {
		s.mux.Handle("GET "+a.path, s.fixed(a.mime, forGood, a.body))
	}
	for _, script := range s.Scripts {
		a := script.asset()
		s.scripts = append(s.scripts, a.path)
		s.mux.Handle("GET "+a.path, s.fixed(a.mime, forGood, a.body))
	}
	for path, body := range s.Documents {
		s.mux.Handle("GET "+path, s.fixed("application/json", "max-age=3600", body))
	}
	for from, to := range s.Redirects {
		s.mux.Handle("GET "+from, http.RedirectHandler(to, http.StatusSeeOther))
	}
	s.mux.Handle("GET /problems/{kind}", http.HandlerFunc(s.explain))
}

// A face reads a request into fields and writes what came of it.
type face interface {
	name() string
	read(*http.Request, *Route, *response) (fields, error)
	answer(*response, *http.Request, *Route, any)
	refuse(*response, *http.Request, *Route, Problem)
}

// face is the way of every request. The guard comes before the first byte of the body is read.
func (s *Site) face(r *Route, f face) http.Handler {
	seen := s.watch(r, f)
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		w := rw.(*response)
		w.seen, w.visit.Face = seen, f.name()
		out, err := func() (any, error) {
			if err := r.keep(req, &w.visit); err != nil {
				return nil, err
			}
			sent, err := f.read(req, r, w)
			if err != nil {
				return nil, err
			}
			return r.call(visit.With(req.Context(), &w.visit), sent)
		}()
		if err != nil {
			w.fault = err
			f.refuse(w, req, r, s.problemOf(err, r.about.Words))
			return
		}
		if c, ok := out.(interface{ Issued() visit.Cookies }); ok {
			for _, c := range c.Issued() {
				http.SetCookie(w, &c)
			}
		}
		if d, ok := out.(Download); ok {
			s.stream(w, req, r, f, d)
			return
		}
		f.answer(w, req, r, out)
	})
}

// fixed answers always the same.
func (s *Site) fixed(mime, cache string, b []byte) http.Handler {
	seen := s.watch(&Route{method: "GET", path: "fixed"}, pageFace{s})
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		w := rw.(*response)
		w.seen = seen
		w.Header()["Content-Type"] = []string{mime}
		w.Header()["Cache-Control"] = []string{cache}
		w.Write(b)
	})
}
