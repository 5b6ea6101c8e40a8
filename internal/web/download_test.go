package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/visit"
)

// serveFile is a real server with one download at /file, and little patience.
func serveFile(t *testing.T, write func(context.Context, io.Writer) error, name string) *httptest.Server {
	t.Helper()
	page := Gate(testPages, "thing.html")
	nothing := func(context.Context, None) (None, error) { return None{}, nil }
	c := testConfig(allOpen)
	server := httptest.NewUnstartedServer(nil)
	c.URL = &url.URL{Scheme: "http", Host: server.Listener.Addr().String()}
	s, err := New(c, []Route{On(Public, "GET /signin", nothing, About{Page: page}), On(Public, "GET /stepup", nothing, About{Page: page}),
		On(Public, "GET /file", func(context.Context, None) (Download, error) { return Download{name, "text/plain", write}, nil }, About{})})
	if err != nil {
		t.Fatal(err)
	}
	s.patience, s.atWork = 300*time.Millisecond, 50*time.Millisecond
	server.Config.Handler = s
	server.Start()
	t.Cleanup(server.Close)
	return server
}

func fetch(t *testing.T, address string) (*http.Response, string, error) {
	t.Helper()
	answer, err := http.Get(address)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	return answer, string(b), err
}

func TestADownloadIsTheSameOnBothFaces(t *testing.T) {
	s := serveFile(t, func(_ context.Context, to io.Writer) error { _, err := io.WriteString(to, "all\n"); return err }, `pe"op;le ü.csv`)
	for _, path := range []string{"/file", "/api/v1/file"} {
		answer, body, err := fetch(t, s.URL+path)
		if err != nil || answer.StatusCode != 200 || body != "all\n" {
			t.Fatal(path, answer, body, err)
		}
		for name, want := range map[string]string{
			"Content-Type": "text/plain", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"Content-Disposition": `attachment; filename*=utf-8''pe%22op%3Ble%20%C3%BC.csv`,
		} {
			if got := answer.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		head, err := http.Head(s.URL + path)
		if err != nil || head.StatusCode != 200 || head.Header.Get("Content-Type") != "text/plain" {
			t.Error(path, head, err)
		}
	}
}

func TestADownloadTakesLongerThanARequestMay(t *testing.T) {
	s := serveFile(t, func(ctx context.Context, to io.Writer) error {
		for i := range 10 { // four times over any limit
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(120 * time.Millisecond):
			}
			fmt.Fprintln(to, i, strings.Repeat("x", 40<<10))
		}
		return nil
	}, "a")
	if _, body, err := fetch(t, s.URL+"/file"); err != nil || strings.Count(body, "\n") != 10 {
		t.Error(len(body), err)
	}
	// The connection is as good as new.
	if _, body, err := fetch(t, s.URL+"/healthz"); err != nil || body != "ok\n" {
		t.Error(body, err)
	}
}

func TestADownloadArrivesWhileItIsMade(t *testing.T) {
	seen := make(chan bool)
	s := serveFile(t, func(_ context.Context, to io.Writer) error {
		io.WriteString(to, "slowly,")
		time.Sleep(atLeast + 10*time.Millisecond)
		io.WriteString(to, "but surely")
		select {
		case <-seen:
		case <-time.After(5 * time.Second):
		}
		return nil
	}, "a")
	answer, err := http.Get(s.URL + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	arrived := make([]byte, len("slowly,but surely"))
	if _, err := io.ReadFull(answer.Body, arrived); err != nil || string(arrived) != "slowly,but surely" {
		t.Error(string(arrived), err)
	}
	close(seen)
}

func TestADownloadThatFailsAtOnceIsAnsweredAsAnyOther(t *testing.T) {
	s := serveFile(t, func(_ context.Context, to io.Writer) error {
		io.WriteString(to, "name\n")
		return auth.BusyError{After: time.Second}
	}, "a")
	for _, path := range []string{"/file", "/api/v1/file"} {
		answer, body, err := fetch(t, s.URL+path)
		if err != nil || answer.StatusCode != 503 || answer.Header.Get("Retry-After") != "1" || answer.Header.Get("Content-Disposition") != "" || strings.Contains(body, "name\n") {
			t.Error(path, answer, body, err)
		}
	}
}

func TestHalfADownloadDoesNotLookWhole(t *testing.T) {
	for what, bad := range map[string]func(){
		"an error": nil,
		"a panic":  func() { panic("boom") },
	} {
		s := serveFile(t, func(_ context.Context, to io.Writer) error {
			io.WriteString(to, strings.Repeat("x", 100<<10))
			if bad != nil {
				bad()
			}
			return errors.New("disk is full")
		}, "a")
		for _, path := range []string{"/file", "/api/v1/file"} {
			if answer, body, err := fetch(t, s.URL+path); err == nil || strings.Contains(body, "disk") {
				t.Errorf("%s, %s: %d, %d bytes, and it looks whole", what, path, answer.StatusCode, len(body))
			}
		}
	}
}

func TestWhoeverStopsReadingIsGone(t *testing.T) {
	ended := make(chan error, 1)
	s := serveFile(t, func(ctx context.Context, to io.Writer) (err error) {
		for err == nil {
			_, err = to.Write(make([]byte, 64<<10))
		}
		ended <- err
		return err
	}, "a")
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /file HTTP/1.1\r\nHost: %s\r\n\r\n", s.Listener.Addr())
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("it goes on for nobody")
	}
}

func TestADownloadEndsWithItsReader(t *testing.T) {
	ended := make(chan error, 1)
	s := serveFile(t, func(ctx context.Context, to io.Writer) error {
		io.WriteString(to, strings.Repeat("x", 64<<10))
		<-ctx.Done() // between two pages of the database
		ended <- ctx.Err()
		return ctx.Err()
	}, "a")
	ctx, leave := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", s.URL+"/file", nil)
	if _, err := http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	leave()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("nobody told it")
	}
}

// P8: the memory of a download does not grow with it.
func TestADownloadNeedsTheSameMemoryAtAnyLength(t *testing.T) {
	row := bytes.Repeat([]byte("x"), 1000)
	const rows = 64_000
	var most uint64
	s := serveFile(t, func(_ context.Context, to io.Writer) error {
		for i := range rows {
			if _, err := to.Write(row); err != nil {
				return err
			}
			if i%8000 == 0 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
		return nil
	}, "a")
	answer, err := http.Get(s.URL + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if n, err := io.Copy(io.Discard, answer.Body); err != nil || n != rows*1000 {
		t.Error(n, err)
	}
	if most > 32<<20 {
		t.Errorf("%d MiB for a file of %d", most>>20, rows/1000)
	}
}

func TestADownloadStandsBehindItsGuard(t *testing.T) {
	page := Gate(testPages, "thing.html")
	nothing := func(context.Context, None) (None, error) { return None{}, nil }
	never := func(context.Context, None) (Download, error) { t.Error("the handler ran"); return Download{}, nil }
	refuse := func(*http.Request, *visit.Visit) error { return auth.ErrForbidden }
	s, err := New(testConfig(map[visit.Guard]visit.Keeper{Public: open, SignedIn: refuse}), []Route{
		On(Public, "GET /signin", nothing, About{Page: page}), On(Public, "GET /stepup", nothing, About{Page: page}), On(SignedIn, "GET /file", never, About{})})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/file", "/api/v1/file"} {
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, httptest.NewRequest("GET", path, nil)); w.Code != 403 {
			t.Error(path, w.Code, w.Body)
		}
	}
}
