package web

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"sallyport/internal/visit"
)

// Security "Throttling": the client address is the peer, unless trusted proxies say otherwise.
func TestOnlyTrustedProxiesAreBelieved(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, c := range []struct {
		what, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy, no header", "192.0.2.1:4", nil, "192.0.2.1"},
		{"a stranger claims an address", "192.0.2.1:4", []string{"203.0.113.9"}, "192.0.2.1"},
		{"our proxy names the client", "10.1.1.1:4", []string{"203.0.113.9"}, "203.0.113.9"},
		{"the client wrote something first", "10.1.1.1:4", []string{"127.0.0.1, 203.0.113.9"}, "203.0.113.9"},
		{"two of our proxies", "10.1.1.1:4", []string{"203.0.113.9, 10.2.2.2"}, "203.0.113.9"},
		{"two headers", "10.1.1.1:4", []string{"1.2.3.4", "203.0.113.9"}, "203.0.113.9"},
		{"rubbish at the end", "10.1.1.1:4", []string{"203.0.113.9, rubbish"}, "10.1.1.1"},
		{"rubbish in the middle", "10.1.1.1:4", []string{"203.0.113.9, rubbish, 10.2.2.2"}, "10.2.2.2"},
		{"empty", "10.1.1.1:4", []string{""}, "10.1.1.1"},
		{"a mapped address", "[::ffff:10.1.1.1]:4", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"IPv6 with a zone", "[::1]:4", []string{"fe80::1%eth0"}, "fe80::1"},
	} {
		req := httptest.NewRequest("GET", "/", nil)
		req.RemoteAddr, req.Header["X-Forwarded-For"] = c.peer, c.forwarded
		s := &Site{Config: Config{Proxies: trusted}}
		if got := s.address(req).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func TestAnotherHostIsRefused(t *testing.T) {
	s := newSite(t, func(context.Context, thing) (None, error) { t.Error("the handler ran"); return None{}, nil }, allOpen)
	for _, host := range []string{"evil.example", "example.com.evil.example", "example.com:8443", "", "127.0.0.1", "EXAMPLE.com@evil.example"} {
		for _, path := range []string{"/signin", "/api/v1/thing/7"} {
			req := httptest.NewRequest("GET", path, nil)
			req.Host = host
			req.Header.Set("X-Forwarded-Host", "example.com")
			w := httptest.NewRecorder()
			if s.ServeHTTP(w, req); w.Code != http.StatusMisdirectedRequest || strings.Contains(w.Body.String(), "evil") {
				t.Errorf("%q %s: %d %s", host, path, w.Code, w.Body)
			}
		}
	}
}

func TestHealthIsAnsweredUnderAnyHost(t *testing.T) {
	ready := errors.New("disk is full: secret")
	c := testConfig(allOpen)
	c.Ready = func(context.Context) error { return ready }
	page := Gate(testPages, "thing.html")
	nothing := func(context.Context, None) (None, error) { return None{}, nil }
	s, err := New(c, []Route{On(Public, "GET /signin", nothing, About{Page: page}), On(Public, "GET /stepup", nothing, About{Page: page})})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path string) *httptest.ResponseRecorder {
		req := httptest.NewRequest("GET", path, nil)
		req.Host = "10.0.0.7:8080"
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		return w
	}
	if w := ask("/healthz"); w.Code != 200 {
		t.Error(w.Code, w.Body)
	}
	if w := ask("/readyz"); w.Code != 503 || strings.Contains(w.Body.String(), "secret") {
		t.Error(w.Code, w.Body)
	}
	ready = nil
	if w := ask("/readyz"); w.Code != 200 {
		t.Error(w.Code, w.Body)
	}
}

func TestTheSwiftWayHasTheSameGuard(t *testing.T) {
	let := true
	keep := func(_ *http.Request, v *visit.Visit) error {
		if !let {
			return errors.New("no")
		}
		v.Answer = []byte(`{"id":"7"}`)
		return nil
	}
	page := Gate(testPages, "thing.html")
	nothing := func(context.Context, None) (None, error) { return None{}, nil }
	long := func(context.Context, None) (thingID, error) { return thingID{"7"}, nil }
	s, err := New(testConfig(map[visit.Guard]visit.Keeper{Public: open, SignedIn: keep}), []Route{
		On(Public, "GET /signin", nothing, About{Page: page}), On(Public, "GET /stepup", nothing, About{Page: page}),
		On(SignedIn, "GET /session", long, About{Swift: true}), On(SignedIn, "GET /long", long, About{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path, host string) *httptest.ResponseRecorder {
		req := httptest.NewRequest("GET", path, nil)
		req.Host = host
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		return w
	}
	swift, slow := ask("/api/v1/session", "example.com"), ask("/api/v1/long", "example.com")
	if swift.Body.String() != slow.Body.String() || swift.Code != slow.Code || swift.Header().Get("Content-Type") != slow.Header().Get("Content-Type") {
		t.Errorf("%d %s\n%d %s", swift.Code, swift.Body, slow.Code, slow.Body)
	}
	for _, h := range []string{"Cache-Control", "X-Content-Type-Options"} {
		if swift.Header().Get(h) != slow.Header().Get(h) {
			t.Errorf("%s: %q, want %q", h, swift.Header().Get(h), slow.Header().Get(h))
		}
	}
	if w := ask("/api/v1/session", "evil.example"); w.Code != 421 {
		t.Error(w.Code, w.Body)
	}
	let = false
	if w := ask("/api/v1/session", "example.com"); w.Code != 500 || strings.Contains(w.Body.String(), `"id"`) {
		t.Error(w.Code, w.Body)
	}
}

func TestEveryAnswerCarriesTheSecurityHeaders(t *testing.T) {
	s := newSite(t, func(context.Context, thing) (None, error) { return None{}, nil }, allOpen)
	for _, path := range []string{"/signin", "/api/v1/signin", "/nothing", "/api/v1/nothing", "/thing/7"} {
		req := httptest.NewRequest("GET", path, nil)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		for name, want := range map[string]string{
			"Content-Security-Policy": "frame-ancestors 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
			"Cache-Control": "no-store", "Strict-Transport-Security": "max-age", "X-Request-Id": "-",
		} {
			if !strings.Contains(w.Header().Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, w.Header().Get(name))
			}
		}
	}
}

func FuzzReadForm(f *testing.F) {
	f.Add("a=b&c=d&a=e&%zz&tags=1&tags=2")
	p, err := planOf(thingType, "/thing/{id}", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		all, err := readForm(encoded, p)
		for name, s := range all {
			if err == nil && len(s.list) > 1 && name != "tags" {
				t.Errorf("took %q twice from %q", name, encoded)
			}
		}
	})
}

func FuzzForwardedFor(f *testing.F) {
	f.Add("10.1.1.1:4", "127.0.0.1, 203.0.113.9")
	s := &Site{Config: Config{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
	f.Fuzz(func(t *testing.T, peer, forwarded string) {
		req := &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {forwarded}}}
		got := s.address(req)
		if p, err := netip.ParseAddrPort(peer); err == nil && !s.isProxy(p.Addr().Unmap()) && got != p.Addr().Unmap() {
			t.Errorf("%s with %q became %s", peer, forwarded, got)
		}
	})
}
