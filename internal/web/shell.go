package web

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/auth"
	"sallyport/internal/visit"
)

// response is the writer of one request and carries what the shell knows of it, so that it allocates once.
type response struct {
	http.ResponseWriter
	visit   visit.Visit
	whole   context.Context // of the connection, without our own limit
	seen    watch
	held    held
	kept    fields
	asked   fields
	fault   error
	status  int
	bytes   int
	stray   bool // the mux answers itself: no such path or method
	resumed bool
}

func (w *response) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	if w.seen.log == nil && status >= 400 {
		w.stray = true
	}
	w.status = status
	if !w.stray {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.stray {
		return len(b), nil
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += n
	return n, err
}

func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// patience is how long a client may take to send a body or to read an answer.
const patience = 30 * time.Second

// atWork is how long a request may take us. A database that swallows what it is sent would hang it for good.
const atWork = 5 * time.Second

// Header values that never change are shared, not made anew. Code that sets one must replace the slice, as Set does.
var (
	csp = []string{"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"}
	// A frame without an address of its own has the policy of its page, so a mail in it needs this.
	cspLetter = []string{strings.Replace(csp[0], "style-src 'self'", "style-src 'self' 'unsafe-inline'", 1)}

	nosniff  = []string{"nosniff"}
	referrer = []string{"same-origin"} // no-referrer would send "Origin: null" with our own forms
	noStore  = []string{"no-store"}
	hsts     = []string{"max-age=63072000"}
)

func (s *Site) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	start := s.Clock()
	s.Served.Add(1)
	if s.serveSwift(rw, req, start) {
		return
	}
	// Here and not in the server, where every session check would pay for them.
	deadlines := http.NewResponseController(rw)
	deadlines.SetReadDeadline(time.Now().Add(s.patience))
	deadlines.SetWriteDeadline(time.Now().Add(s.patience))
	w := &response{ResponseWriter: rw, whole: req.Context()}
	ctx, stop := context.WithTimeout(w.whole, s.atWork)
	defer stop()
	req = req.WithContext(ctx)
	w.visit.RequestID = requestID()
	w.visit.Browser = req.UserAgent()
	w.visit.Address = s.address(req)
	w.visit.Sent = req.Header["Cookie"]
	w.visit.Former = w.visit.Cookie(visit.SessionCookie)
	h := rw.Header()
	h["Content-Security-Policy"] = csp
	h["X-Content-Type-Options"] = nosniff
	h["Referrer-Policy"] = referrer
	h["Cache-Control"] = noStore
	if s.URL.Scheme == "https" {
		h["Strict-Transport-Security"] = hsts
	}
	h["X-Request-Id"] = []string{w.visit.RequestID}
	defer s.finish(w, req, start)
	switch {
	case req.URL.Path == "/healthz" || req.URL.Path == "/readyz":
		s.health(w, req)
	case req.Host != s.URL.Host:
		s.elsewhere(w, req)
	case s.cross.Check(req) != nil:
		s.astray(w, req, s.problem(http.StatusForbidden, "cross-origin", "This came from another site."))
	default:
		s.mux.ServeHTTP(w, req)
	}
	if w.stray {
		status := w.status
		w.status, w.stray = 0, false
		p := s.problem(status, "not-found", "There is nothing here.")
		if status == http.StatusMethodNotAllowed {
			p = s.problem(status, "method", "This cannot be done here.")
		}
		s.astray(w, req, p)
	}
}

// health is asked by load balancers, which know us by address; so it does not look at the Host.
func (s *Site) health(w *response, req *http.Request) {
	w.seen = s.probes[req.URL.Path]
	if req.URL.Path == "/readyz" {
		ctx, stop := context.WithTimeout(req.Context(), 2*time.Second)
		defer stop()
		if err := s.Ready(ctx); err != nil {
			w.fault = err
			apiFace{s}.refuse(w, req, nil, s.problem(http.StatusServiceUnavailable, "busy", "The database does not take a write."))
			return
		}
	}
	w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	w.Write([]byte("ok\n"))
}

// elsewhere answers a Host that is not ours. Another name of this machine leads to the one origin; the rest is refused.
func (s *Site) elsewhere(w *response, req *http.Request) {
	name, port, _ := strings.Cut(s.URL.Host, ":")
	if name == "localhost" && (req.Host == "127.0.0.1:"+port || req.Host == "[::1]:"+port) {
		w.seen = s.stray[0]
		http.Redirect(w, req, s.URL.String()+req.URL.RequestURI(), http.StatusPermanentRedirect)
		return
	}
	s.astray(w, req, s.problem(http.StatusMisdirectedRequest, "misdirected", "This server answers at "+s.URL.String()+" only."))
}

// astray answers what never reached a route, in the face the client expects.
func (s *Site) astray(w *response, req *http.Request, p Problem) {
	var f face = pageFace{s}
	w.seen = s.stray[0]
	if strings.HasPrefix(req.URL.Path, api) {
		f, w.seen = apiFace{s}, s.stray[1]
	}
	f.refuse(w, req, &Route{path: "-"}, p)
}

// finish leaves one log line and one count, and turns a panic into an answer.
func (s *Site) finish(w *response, req *http.Request, start time.Time) {
	bad := recover()
	if bad != nil && bad != http.ErrAbortHandler {
		w.fault = fmt.Errorf("panic: %v\n%s", bad, debug.Stack())
	}
	switch {
	case bad == nil:
	case w.status == 0:
		s.astray(w, req, s.problemOf(w.fault, nil))
	default: // half an answer must not look like a whole one
		defer panic(http.ErrAbortHandler)
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.seen.log == nil { // the mux redirected to a cleaner path
		w.seen = s.stray[0]
	}
	end := s.Clock()
	w.seen.add(w.status, end.Sub(start))
	w.seen.line(req.Context(), end, entry{w.visit.RequestID, w.status, w.bytes, end.Sub(start), w.visit.Person().ID, w.fault})
}

// A request id is the start of this process and a count. It is no secret, so it need not be random.
var (
	processID  = rand.Text()[:8]
	requestNum atomic.Uint64
)

func requestID() string {
	var b [32]byte
	return string(strconv.AppendUint(append(append(b[:0], processID...), '-'), requestNum.Add(1), 36))
}

// address is the client's: the peer, or what trusted proxies say of it. Each proxy appends to X-Forwarded-For whom it
// saw, so the list is read from the end, and the first entry that is not one of our proxies is the client. What a
// client wrote there itself stands before that and is never reached.
func (s *Site) address(req *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(req.RemoteAddr)
	client := peer.Addr().Unmap()
	if len(s.Proxies) == 0 || !s.isProxy(client) {
		return client
	}
	hops := strings.Split(strings.Join(req.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		client = hop.Unmap().WithZone("")
		if !s.isProxy(client) {
			break
		}
	}
	return client
}

func (s *Site) isProxy(a netip.Addr) bool {
	for _, p := range s.Proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// metrics counts by route, face and class of status.
type metrics struct {
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

func newMetrics(to prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sallyport_http_requests_total", Help: "Requests answered."}, []string{"method", "route", "face", "class"}),
		took:     prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sallyport_http_request_seconds", Help: "Time to answer."}, []string{"method", "route", "face"}),
	}
	to.MustRegister(m.requests, m.took)
	return m
}

// A watch is the log and the counters of one face of one route, made at the start: finding them per request costs more.
type watch struct {
	log   slog.Handler
	class [6]prometheus.Counter
	took  prometheus.Observer
}

func (s *Site) watch(r *Route, f face) watch {
	w := watch{
		log:  s.Log.Handler().WithAttrs([]slog.Attr{slog.String("method", r.method), slog.String("route", r.path), slog.String("face", f.name())}),
		took: s.metrics.took.WithLabelValues(r.method, r.path, f.name()),
	}
	for i := range w.class {
		w.class[i] = s.metrics.requests.WithLabelValues(r.method, r.path, f.name(), string('0'+rune(i))+"xx")
	}
	return w
}

func (w *watch) add(status int, took time.Duration) {
	w.class[status/100].Inc()
	w.took.Observe(took.Seconds())
}

// An entry is what the log says of one request. The path itself is not in it: a setup link has a token there.
type entry struct {
	id     string
	status int
	bytes  int
	took   time.Duration
	user   auth.UserID
	fault  error
}

func (w *watch) line(ctx context.Context, at time.Time, e entry) {
	level := slog.LevelInfo
	if e.status >= 500 || e.status < 300 && e.fault != nil {
		level = slog.LevelError
	}
	if !w.log.Enabled(ctx, level) {
		return
	}
	// A Record holds five attributes without allocating, and needs no look at who called.
	line := slog.NewRecord(at, level, "request", 0)
	line.AddAttrs(slog.String("request_id", e.id), slog.Int("status", e.status), slog.Int("bytes", e.bytes),
		slog.Int64("us", e.took.Microseconds()), slog.String("user", string(e.user)))
	if e.fault != nil {
		line.AddAttrs(slog.String("error", e.fault.Error()))
	}
	w.log.Handle(ctx, line)
}
