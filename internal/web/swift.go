package web

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/visit"
)

// A session check is asked for with every request of every application behind us, so it has a short way: no mux, the
// answer made once per session, only the headers that matter to a JSON answer. All are counted; how long it took and a
// log line are kept of one in a thousand. The guard is the same; whatever it refuses goes the long way and is refused there.

var visits = sync.Pool{New: func() any { return new(visit.Visit) }}

// oneIn is how many swift answers share a log line and a measured time.
const oneIn = 1024

var swiftCount atomic.Uint64

// serveSwift answers and is true, or leaves the request as it was.
func (s *Site) serveSwift(w http.ResponseWriter, req *http.Request, start time.Time) bool {
	r := s.swift[req.URL.Path]
	if r == nil || req.Method != http.MethodGet || req.Host != s.URL.Host {
		return false
	}
	v := visits.Get().(*visit.Visit)
	defer func() { *v = visit.Visit{}; visits.Put(v) }()
	if err := r.keep(req, v); err != nil || v.Answer == nil {
		return false
	}
	h := w.Header()
	h["Content-Type"] = typeJSON
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = nosniff
	n, _ := w.Write(v.Answer)
	r.seen.class[2].Inc()
	if swiftCount.Add(1)%oneIn == 1 {
		took := s.Clock().Sub(start)
		r.seen.took.Observe(took.Seconds())
		r.seen.line(req.Context(), start, entry{id: "sampled", status: http.StatusOK, bytes: n, took: took, user: v.Session.User.ID})
	}
	return true
}
