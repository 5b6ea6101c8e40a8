package mailtest

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A Received is one mail as it arrived.
type Received struct {
	To     string      // whom the envelope named
	Header mail.Header // as on the wire; Subject, say, is still encoded
	Text   string      // decoded
	HTML   string
	Raw    []byte // everything, with the headers that the server put in front
}

// Subject is decoded.
func (r Received) Subject() string {
	s, err := new(mime.WordDecoder).DecodeHeader(r.Header.Get("Subject"))
	if err != nil {
		return r.Header.Get("Subject")
	}
	return s
}

// Mails waits until n mails have arrived, and returns all there are, the oldest first.
func (b *Box) Mails(t *testing.T, n int) []Received {
	t.Helper()
	inbox := filepath.Join(b.dir, "box", "new")
	var files []os.DirEntry
	for range 400 {
		if files, _ = os.ReadDir(inbox); len(files) >= n {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	if len(files) < n {
		log, _ := os.ReadFile(filepath.Join(b.dir, "log"))
		t.Fatalf("%d of %d mails arrived; the server says:\n%s", len(files), n, log)
	}
	type arrived struct {
		at   time.Time
		mail Received
	}
	var all []arrived
	for _, f := range files {
		raw, err := os.ReadFile(filepath.Join(inbox, f.Name()))
		must(t, err)
		about, err := f.Info()
		must(t, err)
		all = append(all, arrived{about.ModTime(), Parse(t, raw)})
	}
	slices.SortStableFunc(all, func(a, b arrived) int { return a.at.Compare(b.at) })
	mails := make([]Received, len(all))
	for i, one := range all {
		mails[i] = one.mail
	}
	return mails
}

// Parse reads a mail strictly: anything but a text and its HTML, both in quoted-printable UTF-8, fails the test.
func Parse(t *testing.T, raw []byte) Received {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	must(t, err)
	r := Received{To: m.Header.Get("X-Original-To"), Header: m.Header, Raw: raw}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("Content-Type %q: %v", m.Header.Get("Content-Type"), err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for i, want := range []string{"text/plain", "text/html"} {
		p, err := parts.NextRawPart()
		must(t, err)
		kind, params, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil || kind != want || !strings.EqualFold(params["charset"], "utf-8") || p.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Fatalf("part %d is %v", i+1, p.Header)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(p))
		must(t, err)
		if i == 0 {
			r.Text = string(body)
		} else {
			r.HTML = string(body)
		}
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Fatal("there is a third part, or no end: ", err)
	}
	return r
}
