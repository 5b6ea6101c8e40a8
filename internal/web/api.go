package web

import (
	"encoding/json"
	"net/http"
)

// apiFace speaks JSON in, JSON out and problem+json.
type apiFace struct{ *Site }

func (apiFace) name() string { return "api" }

func (apiFace) read(req *http.Request, r *Route, _ *response) (all fields, err error) {
	switch {
	case req.Method == http.MethodGet || req.Method == http.MethodHead:
		all, err = query(req, r.in)
	case !r.in.needs && req.ContentLength == 0:
		all = fields{}
	default:
		var b []byte
		if b, err = body(req, "application/json"); err == nil {
			all, err = readJSON(b)
		}
	}
	if err != nil {
		return nil, err
	}
	return all, takePath(req, r.in, all)
}

func (f apiFace) answer(w *response, req *http.Request, r *Route, out any) {
	if r.silent {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	b, err := json.Marshal(out)
	if err != nil {
		w.fault = err
		f.refuse(w, req, r, f.problemOf(err, nil))
		return
	}
	w.Header()["Content-Type"] = typeJSON
	w.Write(b)
}

func (apiFace) refuse(w *response, _ *http.Request, _ *Route, p Problem) {
	p.Request = w.visit.RequestID
	p.head(w.Header())
	w.Header()["Content-Type"] = typeProblem
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}

var (
	typeJSON    = []string{"application/json"}
	typeProblem = []string{"application/problem+json"}
	typeHTML    = []string{"text/html; charset=utf-8"}
)
