package web

import (
	"bufio"
	"context"
	"io"
	"mime"
	"net/http"
	"time"

	"sallyport/internal/visit"
)

// A Download, as the Out of a handler, is a file that is made while it is sent, of any length in the same memory. It is
// the same on both faces, and needs no About.Page.
//
// Write writes the file. It may take as long as it has something to say: the limit of a request is not its own, but
// whoever stops reading for half a minute is gone, and then ctx is. So it reads a database in pages. An error before
// anything went out is answered as any other; one after that breaks the connection, since half a file must not look
// like a whole one.
type Download struct {
	Name  string // "people-2026-11-21.csv"
	Type  string // "text/csv; charset=utf-8"
	Write func(ctx context.Context, to io.Writer) error
}

// atLeast is how often a file that is made slowly goes on to whoever waits for it.
const atLeast = time.Second

// pipe hands a file on. It notes when the reader was away, which is no fault of ours.
type pipe struct {
	to   *response
	ctl  *http.ResponseController
	head func()
	wait time.Duration
	last time.Time
	gone error
}

func (p *pipe) Write(b []byte) (int, error) {
	if p.to.status == 0 {
		p.head()
	}
	p.ctl.SetWriteDeadline(time.Now().Add(p.wait))
	n, err := p.to.Write(b)
	if err == nil {
		err = p.ctl.Flush()
	}
	p.last, p.gone = time.Now(), err
	return n, err
}

// spool collects small writes, but for no longer than a person likes to wait.
type spool struct {
	small   *bufio.Writer
	through *pipe
}

func (s spool) Write(b []byte) (int, error) {
	n, err := s.small.Write(b)
	if err == nil && time.Since(s.through.last) > atLeast {
		err = s.small.Flush()
	}
	return n, err
}

// stream answers with a download.
func (s *Site) stream(w *response, req *http.Request, r *Route, f face, d Download) {
	head := func() {
		w.Header()["Content-Type"] = []string{d.Type}
		w.Header()["Content-Disposition"] = []string{mime.FormatMediaType("attachment", map[string]string{"filename": d.Name})}
		w.WriteHeader(http.StatusOK)
	}
	if req.Method == http.MethodHead {
		head()
		return
	}
	p := &pipe{to: w, ctl: http.NewResponseController(w), head: head, wait: s.patience, last: time.Now()}
	// The body was read; what is left of the deadline would end the context in the middle.
	p.ctl.SetReadDeadline(time.Time{})
	to := spool{bufio.NewWriterSize(p, 32<<10), p}
	err := d.Write(visit.With(w.whole, &w.visit), to)
	if err == nil {
		err = to.small.Flush()
	}
	if away := p.gone != nil || w.whole.Err() != nil; err != nil && !away {
		w.fault = err
	}
	switch {
	case err == nil && w.status == 0: // an empty file
		head()
	case err == nil:
	case w.status == 0:
		f.refuse(w, req, r, s.problemOf(err, r.about.Words))
	default:
		panic(http.ErrAbortHandler)
	}
}
