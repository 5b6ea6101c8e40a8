package web

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"

	"sallyport/internal/auth"
	"sallyport/internal/visit"
)

// A Page is a template in one of the layouts. Its files define "title" and "main" and is given a [View].
type Page struct {
	template *template.Template
	layout   string
	letter   bool // it shows a mail, which brings its style along
}

// Gate is a narrow page on the way in.
func Gate(from fs.FS, files ...string) *Page { return page("gate", from, files) }

// Shell is a page of somebody who is signed in, with navigation.
func Shell(from fs.FS, files ...string) *Page { return page("shell", from, files) }

// Dialog is a page that asks one thing. With JavaScript it opens on the page that leads to it.
func Dialog(from fs.FS, files ...string) *Page { return page("dialog", from, files) }

// Letter is the page with a mail in it, in a frame that is a document of its own (srcdoc) and has no rights (sandbox).
func (p *Page) Letter() *Page { return &Page{p.template, p.layout, true} }

func page(layout string, from fs.FS, files []string) *Page {
	return &Page{template: template.Must(template.Must(base.Clone()).ParseFS(from, files...)), layout: layout}
}

// A View is what a page is made from.
type View struct {
	Brand   Brand
	Who     auth.User // empty when nobody is signed in
	Path    string    // of the page that is shown
	Out     any       // what the handler returned
	Problem *Problem  // what was refused, if this is a form shown again
	Kept    fields    // what was typed into it, without secrets
	Held    held      // the act that waits for step-up
	Back    string    // the page the person came from, for a Cancel
	Scripts []string  // addresses of what features need
	asked   fields    // what the address of the page says
}

// Was gives a typed value back to its input.
func (v View) Was(name string) string { return v.Kept[name].text }

// Typed is true of a field that was sent, if it was empty too: what somebody cleared stays so when the form comes back.
func (v View) Typed(name string) bool {
	_, sent := v.Kept[name]
	return sent
}

// Wrong says what is wrong with one field, as a sentence, or "".
func (v View) Wrong(name string) string {
	if v.Problem == nil {
		return ""
	}
	if v.Problem.field == name {
		return v.Problem.Detail
	}
	for _, e := range v.Problem.Errors {
		if e.Field == name {
			return "This " + e.Detail + "."
		}
	}
	return ""
}

// Banner is the problem that stands on top of the page: one that no single field shows. To be asked for step-up is
// none; it stands in the heading.
func (v View) Banner() *Problem {
	if v.Problem == nil || v.Problem.field != "" || v.Problem.Kind() == "step-up" {
		return nil
	}
	return v.Problem
}

// pageFace speaks forms in, and HTML or 303 out.
type pageFace struct{ *Site }

func (pageFace) name() string { return "page" }

func (pageFace) read(req *http.Request, r *Route, w *response) (fields, error) {
	if req.Method == http.MethodGet || req.Method == http.MethodHead {
		all, err := query(req, r.in)
		if err != nil {
			return nil, err
		}
		w.asked = r.in.keep(all)
		return all, takePath(req, r.in, all)
	}
	b, err := body(req, "application/x-www-form-urlencoded")
	if err != nil {
		return nil, err
	}
	all, err := readForm(string(b), r.in)
	if err != nil {
		return nil, err
	}
	if r.about.Then == HeldAct || r.about.Then == SamePage {
		w.held = takeHeld(all)
	}
	w.kept = r.in.keep(all)
	return all, takePath(req, r.in, all)
}

// keep copies what may be shown again.
func (p *plan) keep(all fields) fields {
	kept := fields{}
	for name, s := range all {
		if f := p.byName[name]; f != nil && !f.secret {
			kept[name] = s
		}
	}
	return kept
}

func (f pageFace) answer(w *response, req *http.Request, r *Route, out any) {
	switch r.about.Then {
	case "":
		f.show(w, req, r, http.StatusOK, View{Who: w.visit.Session.User, Path: req.URL.Path, Out: out, asked: w.asked})
	case HeldAct:
		f.resume(w, req, w.held)
	case SamePage:
		f.show(w, req, f.pages[r.stands()], http.StatusOK, View{Held: w.held, Back: f.back(w.held, req, r)})
	default:
		http.Redirect(w, req, then(r, req, out), http.StatusSeeOther)
	}
}

// then fills the {names} of About.Then. Alone, a name is a whole address; within one it is escaped.
func then(r *Route, req *http.Request, out any) string {
	to := r.about.Then
	for _, name := range names(to) {
		value := req.PathValue(name)
		if field, ok := fieldNamed(r.out, name); ok {
			value = fmt.Sprint(reflect.ValueOf(out).FieldByIndex(field.Index))
		}
		if to == "{"+name+"}" {
			return value
		}
		to = strings.ReplaceAll(to, "{"+name+"}", url.PathEscape(value))
	}
	return to
}

// refuse shows the page again that the person came from, with the problem and what they typed.
func (f pageFace) refuse(w *response, req *http.Request, r *Route, p Problem) {
	p.Request = w.visit.RequestID
	p.head(w.Header())
	view := View{Who: w.visit.Session.User, Problem: &p, Kept: w.kept, Held: w.held, Back: f.back(w.held, req, r)}
	stands := f.pages[r.stands()]
	switch p.Kind() {
	case "not-signed-in":
		back := f.comeBack(req, r)
		if len(back) > maxReturn {
			back = f.Home
		}
		to := url.URL{Path: f.SignIn, RawQuery: url.Values{"return_to": {back}}.Encode()}
		http.Redirect(w, req, to.String(), http.StatusSeeOther)
		return
	case "expired":
		stands = f.pages[f.SignIn]
		view.Kept = fields{"return_to": {text: w.visit.Pending.ReturnTo, kind: 'f'}}
	case "step-up":
		stands = f.pages[f.StepUp]
		if view.Held.Act == "" { // or it is a step-up itself that was not enough
			if req.Method == http.MethodGet { // the page to go back to is not the one that asks
				view.Back = cmp.Or(at(r.about.On, req), f.Home)
			}
			view.Held = hold(req, r)
			view.Held.Back = view.Back
		}
	}
	// The page itself may be what fails; then nothing of it can be shown.
	if stands == nil || stands == r || p.Status == http.StatusNotFound || p.Status >= 500 && p.Status != 503 {
		f.render(w, failed, p.Status, view)
		return
	}
	f.show(w, req, stands, p.Status, view)
}

// maxReturn is the longest address that a sign-in page takes along.
const maxReturn = 2048

// comeBack is where a person returns to after signing in: never an act, only a page.
func (f pageFace) comeBack(req *http.Request, r *Route) string {
	if req.Method == http.MethodGet {
		return req.URL.RequestURI()
	}
	if f.pages[r.stands()] != nil {
		return at(r.stands(), req)
	}
	return f.Home
}

// back is where Cancel leads: where an act waits, to the page it was asked for on.
func (f pageFace) back(h held, req *http.Request, r *Route) string {
	if h.Act != "" && isLocal(h.Back) {
		return h.Back
	}
	return f.comeBack(req, r)
}

// at fills the path values of a request into the pattern of another path.
func at(pattern string, req *http.Request) string {
	for _, name := range names(pattern) {
		pattern = strings.ReplaceAll(pattern, "{"+name+"}", url.PathEscape(req.PathValue(name)))
	}
	return pattern
}

// show renders a page. Where its content is not at hand it runs the page's own handler, behind the page's own guard:
// whoever was refused an act may not be shown the page the act stands on.
func (f pageFace) show(w *response, req *http.Request, r *Route, status int, view View) {
	if view.Out == nil {
		v := w.visit
		all := fields{}
		err := r.keep(req, &v)
		if err == nil {
			err = takePath(req, r.in, all)
		}
		if err == nil {
			view.Out, err = r.call(visit.With(req.Context(), &v), all)
		}
		if err != nil {
			if view.Problem == nil {
				p := f.problemOf(err, r.about.Words)
				status, view.Problem = p.Status, &p
			}
			w.fault = err
			f.render(w, failed, status, View{Who: view.Who, Problem: view.Problem})
			return
		}
		view.Who, view.Path = v.Session.User, at(r.path, req)
	}
	f.render(w, r.about.Page, status, view)
}

var failed = Gate(files, "failed.html")

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (f pageFace) render(w *response, p *Page, status int, view View) {
	view.Brand, view.Scripts = f.Brand, f.scripts
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	if err := p.template.ExecuteTemplate(b, p.layout, view); err != nil {
		w.fault = err
		http.Error(w, "This page is broken. We have been told.", http.StatusInternalServerError)
		return
	}
	w.Header()["Content-Type"] = typeHTML
	if p.letter {
		w.Header()["Content-Security-Policy"] = cspLetter
	}
	w.WriteHeader(status)
	w.Write(b.Bytes())
}
