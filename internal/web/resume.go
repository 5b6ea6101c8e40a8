package web

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"sallyport/internal/visit"
)

// held is an act that waits for step-up. It travels in hidden inputs of the step-up form, so nothing is stored and
// it works without JavaScript. It can do no more than the person's own browser could: the replay passes every guard again.
type held struct {
	Act  string // "POST /account/totp", or "GET" and a page to go back to; empty: nothing waits
	Form string // as posted, without secrets
	Back string // the page it was asked for on
}

const heldAct, heldForm, heldBack = "held_act", "held_form", "held_back" // names of the hidden inputs

// hold keeps what was about to happen. Secrets stay behind: the page will ask for them again.
func hold(req *http.Request, r *Route) held {
	if req.Method == http.MethodGet {
		return held{Act: "GET " + req.URL.RequestURI()}
	}
	h := held{Act: "POST " + req.URL.Path}
	b, err := body(req, "application/x-www-form-urlencoded") // the guard refused before anybody read it
	if err != nil {
		return h
	}
	all, err := readForm(string(b), r.in)
	if err != nil {
		return h
	}
	form := url.Values{}
	for name, s := range r.in.keep(all) {
		form[name] = s.list
	}
	h.Form = form.Encode()
	return h
}

func takeHeld(all fields) held {
	h := held{all[heldAct].text, all[heldForm].text, all[heldBack].text}
	delete(all, heldAct)
	delete(all, heldForm)
	delete(all, heldBack)
	return h
}

// isLocal is true for a path of a page here. Browsers drop some of what is no letter, and read "//" as another site.
func isLocal(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") && !strings.HasPrefix(path, api) &&
		!strings.ContainsFunc(path, func(r rune) bool { return r == '\\' || unicode.IsSpace(r) || unicode.IsControl(r) })
}

// resume does the held act as if the browser had sent it now, with the cookies that step-up has just issued.
func (f pageFace) resume(w *response, req *http.Request, h held) {
	method, path, _ := strings.Cut(h.Act, " ")
	switch {
	case !isLocal(path) || w.resumed:
		http.Redirect(w, req, f.Home, http.StatusSeeOther)
		return
	case method != http.MethodPost:
		http.Redirect(w, req, path, http.StatusSeeOther)
		return
	}
	w.resumed = true
	w.visit = visit.Visit{Origin: w.visit.Origin, Former: w.visit.Former, Sent: w.visit.Sent}
	again := req.Clone(req.Context())
	again.URL = &url.URL{Path: path}
	again.Body, again.ContentLength = io.NopCloser(strings.NewReader(h.Form)), int64(len(h.Form))
	again.Header.Del("Cookie")
	issued := (&http.Response{Header: w.Header()}).Cookies()
	for _, c := range append(issued, req.Cookies()...) { // the first of a name is read
		again.AddCookie(c)
	}
	f.mux.ServeHTTP(w, again)
}
