package notify

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"sallyport/internal/auth"
)

//go:embed viewer.html viewer.css viewer.js
var viewerFiles embed.FS

var viewerPages = template.Must(template.ParseFS(viewerFiles, "viewer.html"))

// shownAtMost is how many messages the viewer lists.
const shownAtMost = 50

// A shown message is one as the viewer tells of it.
type shown struct {
	ID      string    `json:"id"`
	Channel Channel   `json:"channel"`
	To      string    `json:"to"`
	Message string    `json:"message"`
	Subject string    `json:"subject"` // of a mail
	Text    string    `json:"text"`
	HTML    string    `json:"html"` // of a mail
	State   State     `json:"state"`
	Why     string    `json:"why,omitempty"`
	At      time.Time `json:"at"`
	Gone    bool      `json:"-"` // there is no content to show
}

// Title heads the page of a message.
func (s shown) Title() string {
	if s.Subject == "" {
		return "SMS"
	}
	return s.Subject
}

// Words and Last are an SMS without its last line, which is for browsers, and that line.
func (s shown) Words() string { return strings.TrimSuffix(s.Text, s.Last()) }
func (s shown) Last() string {
	at := strings.LastIndex(s.Text, "\n@")
	if s.Channel != SMS || at < 0 {
		return ""
	}
	return s.Text[at+1:]
}

// Viewer shows the newest messages below /dev/outbox, to a machine to develop on. It has codes in it, so it answers to
// this machine alone, under a name of this machine: a page of another site that had its name point here is refused.
func (o *Outbox) Viewer() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dev/outbox", o.viewList)
	mux.HandleFunc("GET /dev/outbox.json", o.viewJSON)
	mux.HandleFunc("GET /dev/outbox/{id}", o.viewOne)
	for _, name := range []string{"viewer.css", "viewer.js"} {
		mux.HandleFunc("GET /dev/outbox/"+name, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, viewerFiles, name) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", viewerPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if !fromHere(r) {
			http.Error(w, "The outbox is shown on this machine alone: open it as http://localhost, without a proxy.", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

const (
	viewerPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
	// A mail brings its style along. Nothing else in it works or is fetched.
	mailPolicy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)

// fromHere is true for a browser on this machine that asks this machine by name. Behind a proxy everybody would seem to be.
func fromHere(r *http.Request) bool {
	for _, trace := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header[trace] != nil {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || err == nil && a.Unmap().IsLoopback()
}

func (o *Outbox) viewList(w http.ResponseWriter, r *http.Request) {
	all, err := o.shown(r.Context())
	o.show(w, r, "list", all, err)
}

func (o *Outbox) viewJSON(w http.ResponseWriter, r *http.Request) {
	all, err := o.shown(r.Context())
	if err != nil {
		o.show(w, r, "", nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(struct {
		Messages []shown `json:"messages"`
	}{all})
}

// viewOne is a page about a message, and below id.html and id.txt the message itself.
func (o *Outbox) viewOne(w http.ResponseWriter, r *http.Request) {
	id, form, _ := strings.Cut(r.PathValue("id"), ".")
	row, err := o.one(r.Context(), id)
	if err == nil && row.user == "" {
		err = auth.ErrNotFound
	}
	s := o.look(r.Context(), row)
	switch {
	case err == nil && form == "txt" && !s.Gone:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, s.Text)
	case err == nil && form == "html" && s.HTML != "":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", mailPolicy)
		// Its links lead out of the frame, as out of a mailbox.
		io.WriteString(w, strings.Replace(s.HTML, "<head>", `<head><base target="_blank">`, 1))
	case err == nil && form != "":
		o.show(w, r, "", nil, auth.ErrNotFound)
	default:
		o.show(w, r, "one", s, err)
	}
}

// show writes a page, or what went wrong.
func (o *Outbox) show(w http.ResponseWriter, r *http.Request, page string, of any, err error) {
	var b bytes.Buffer
	if err == nil {
		err = viewerPages.ExecuteTemplate(&b, page, of)
	}
	switch {
	case errors.Is(err, auth.ErrNotFound):
		http.Error(w, "There is no such message.", http.StatusNotFound)
	case err != nil:
		o.Log.ErrorContext(r.Context(), "outbox viewer", "error", err)
		http.Error(w, "The outbox cannot be read just now.", http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(b.Bytes())
	}
}

func (o *Outbox) shown(ctx context.Context) ([]shown, error) {
	rows, err := o.recent(ctx, shownAtMost)
	all := []shown{}
	for _, r := range rows {
		all = append(all, o.look(ctx, r))
	}
	return all, err
}

// look is a row as people see it. One that cannot be read any more is listed all the same.
func (o *Outbox) look(ctx context.Context, r row) shown {
	s := shown{ID: r.id, Channel: r.channel, Message: r.message, State: r.state, Why: r.why, At: r.added}
	if s.State == Sending {
		s.State = Waiting
	}
	l, err := o.letter(ctx, r)
	if err != nil {
		s.Gone = true
		return s
	}
	s.To, s.Text = l.To, l.Text
	if r.channel != SMS {
		s.Subject, s.Text, s.HTML = l.Mail.Subject, l.Mail.Text, l.Mail.HTML
	}
	return s
}
