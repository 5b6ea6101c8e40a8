package visit

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"unicode"
)

var leads = Sites{Home: "/account", Others: []string{"https://app.example.com", "https://other.example.com:8443", "http://localhost:3000"}}

// S7
func TestASignInLeadsToThisSiteOrARegisteredOne(t *testing.T) {
	for to, want := range map[string]string{
		"":                                 "/account",
		"/":                                "/",
		"/account/security":                "/account/security",
		"/a?b=c&d=%2Fe#f":                  "/a?b=c&d=%2Fe#f",
		"/a?next=https://evil.example":     "/a?next=https://evil.example",
		"/ünïcode":                         "/%C3%BCn%C3%AFcode",
		"https://app.example.com":          "https://app.example.com",
		"https://app.example.com/a?b#c":    "https://app.example.com/a?b#c",
		"https://app.example.com//a":       "https://app.example.com//a",
		"https://other.example.com:8443/a": "https://other.example.com:8443/a",
		"http://localhost:3000/":           "http://localhost:3000/",
		"HTTPS://app.example.com/a":        "https://app.example.com/a",
		// another origin
		"http://app.example.com/":                      "/account",
		"https://app.example.com:8443/":                "/account",
		"https://other.example.com/":                   "/account",
		"https://app.example.com.evil.example/":        "/account",
		"https://evil.example/https://app.example.com": "/account",
		"https://app.example.com@evil.example/":        "/account",
		"https://ann:pw@app.example.com/":              "/account",
		"https://@app.example.com/":                    "/account",
		"https://app.example.com%2f@evil.example/":     "/account",
		"https://app.example.com%00.evil.example/":     "/account",
		"https://xapp.example.com/":                    "/account",
		"https://example.com/":                         "/account",
		"ftp://app.example.com/":                       "/account",
		// what a browser reads as another origin
		"//evil.example":                         "/account",
		"///evil.example":                        "/account",
		"/\\evil.example":                        "/account",
		"\\/evil.example":                        "/account",
		"\\\\evil.example":                       "/account",
		"/\t/evil.example":                       "/account",
		"/\n/evil.example":                       "/account",
		"/\r\n/evil.example":                     "/account",
		"\t//evil.example":                       "/account",
		" //evil.example":                        "/account",
		" /account":                              "/account",
		"/%2f/evil.example":                      "/account",
		"//%2fevil.example":                      "/account",
		"https:evil.example":                     "/account",
		"https:/evil.example":                    "/account",
		"https:///evil.example":                  "/account",
		"https:app.example.com":                  "/account",
		"https:\\\\app.example.com":              "/account",
		"https://app.example.com\\@evil.example": "/account",
		"https://app.example.com\\.evil.example": "/account",
		// no address of a page
		"javascript:alert(1)":     "/account",
		"JaVaScRiPt:alert(1)":     "/account",
		"java\nscript:alert(1)":   "/account",
		"data:text/html,<script>": "/account",
		"mailto:ann@example.com":  "/account",
		"account":                 "/account",
		"../account":              "/account",
		"?a":                      "/account",
		"#a":                      "/account",
		"/a\x00b":                 "/account",
		"/a b":                    "/account",
		"/a\u2028b":               "/account",
		"/%zz":                    "/account",
		"https://[::1":            "/account",
		"/a\r\nSet-Cookie: x=y":   "/account",
	} {
		if got := leads.Safe(to); got != want {
			t.Errorf("%q leads to %q, want %q", to, got, want)
		}
	}
}

// arrives is the origin where a browser that is told to go from "here" lands, as the WHATWG URL standard reads an
// address (https://url.spec.whatwg.org/#url-parsing): "here", another origin in lower case, or "nowhere". It is written
// apart from net/url, which reads addresses in another way; that is where open redirects come from.
func arrives(to string) string {
	to = strings.TrimFunc(to, func(r rune) bool { return r <= ' ' })
	to = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(to)
	scheme, rest, ok := strings.Cut(to, ":")
	if !ok || !isScheme(scheme) {
		scheme, rest = "", to
	}
	scheme = strings.ToLower(scheme)
	special := scheme == "http" || scheme == "https" || scheme == ""
	if !special {
		return "nowhere" // ftp, javascript, data, and whatever a phone has an app for
	}
	rest = strings.ReplaceAll(rest, `\`, "/") // to the end of the authority only, but what comes after does not matter here
	if scheme == "" {
		if !strings.HasPrefix(rest, "//") {
			return "here"
		}
		scheme = "http"
	} else if scheme == "http" && !strings.HasPrefix(rest, "/") {
		return "here" // "http:x" is relative where the page itself is http
	}
	host := strings.TrimLeft(rest, "/")
	host, _, _ = strings.Cut(host, "/")
	host, _, _ = strings.Cut(host, "?")
	host, _, _ = strings.Cut(host, "#")
	host = host[strings.LastIndexByte(host, '@')+1:]
	if host == "" {
		return "nowhere"
	}
	return scheme + "://" + strings.ToLower(host)
}

func isScheme(s string) bool {
	for i, r := range s {
		letter := r|0x20 >= 'a' && r|0x20 <= 'z' && r < unicode.MaxASCII
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", r)) {
			return false
		}
	}
	return s != ""
}

func TestOurIdeaOfABrowserIsRight(t *testing.T) {
	for to, want := range map[string]string{
		"/a": "here", "": "here", "?a": "here", "a:b/c": "nowhere", "//x": "http://x", `/\x`: "http://x", `\\x`: "http://x", "/\t/x": "http://x", "\x01//x": "http://x",
		"https:x": "https://x", "https:/x": "https://x", "https:////x": "https://x", "https://a@b@X/": "https://x", `https://a\@b`: "https://a",
		"https://x?@y": "https://x", "java\nscript:x": "nowhere", "HTTP://X": "http://x", "/a:b": "here", "1a:b": "here",
	} {
		if got := arrives(to); got != want {
			t.Errorf("%q: %s, want %s", to, got, want)
		}
	}
}

// safe fails unless a browser that is sent there stays here or goes to a registered site, in the Location header that
// the standard library makes of it, too.
func safe(t *testing.T, to string) {
	t.Helper()
	got := leads.Safe(to)
	w := httptest.NewRecorder()
	http.Redirect(w, httptest.NewRequest("POST", "/signin", nil), got, http.StatusSeeOther)
	for _, sent := range []string{got, w.Header().Get("Location")} {
		ok := false
		for _, origin := range append(leads.Others, "here") {
			ok = ok || arrives(sent) == origin
		}
		if !ok || strings.ContainsFunc(sent, unicode.IsControl) || strings.ContainsAny(sent, "\\ ") {
			t.Errorf("%q leads to %q, which is %s", to, sent, arrives(sent))
		}
		if arrives(sent) == "here" && !strings.HasPrefix(sent, "/") {
			t.Errorf("%q leads to %q, no path", to, sent)
		}
	}
	if again := leads.Safe(got); again != got {
		t.Errorf("%q leads to %q, and that to %q", to, got, again)
	}
}

// hostile are the strings of testdata, alone and where they could do harm.
func hostile(t testing.TB) (all []string) {
	t.Helper()
	var some []string
	for _, file := range []string{"Open-Redirect-payloads.txt", "open_redirect_wordlist.txt", "openredirects.txt", "crlfinjection.txt"} {
		b, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		some = append(some, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
	}
	b, err := os.ReadFile("testdata/blns.json")
	if err != nil {
		t.Fatal(err)
	}
	var naughty []string
	if err := json.Unmarshal(b, &naughty); err != nil {
		t.Fatal(err)
	}
	for _, s := range append(some, naughty...) {
		s = strings.ReplaceAll(s, "www.whitelisteddomain.tld", "app.example.com")
		all = append(all, s, "/"+s, "//"+s, "https://app.example.com"+s, "https://"+s, "https://app.example.com/"+s)
	}
	return all
}

// S7
func TestNoHostileStringLeadsAnywhereElse(t *testing.T) {
	all := hostile(t)
	if len(all) < 3000 {
		t.Errorf("%d strings", len(all))
	}
	for _, s := range all {
		safe(t, s)
	}
	// Every character that some reader takes for a slash, a dot, a space or nothing.
	for _, between := range [][2]rune{{0, 0x100}, {0x2000, 0x2070}, {0x2215, 0x2217}, {0x29f5, 0x29fa}, {0x3000, 0x3003}, {0xfe50, 0xfe70}, {0xff00, 0xff62}, {0xfeff, 0xff00}} {
		for r := between[0]; r < between[1]; r++ {
			for _, pattern := range []string{"/%c/evil.example", "%c//evil.example", "/%cevil.example", "https://app.example.com%cevil.example", "https:%c//evil.example", "//%c@app.example.com"} {
				safe(t, fmt.Sprintf(pattern, r))
			}
		}
	}
}

func FuzzSafe(f *testing.F) {
	for _, s := range hostile(f)[:200] {
		f.Add(s)
	}
	f.Add("https://app.example.com/a?b#c")
	f.Fuzz(safe)
}
