package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/test/harness"
)

// The address a person comes by is the one that is configured, whatever a request claims. security.md, "Codes", "Web"
func TestNoHeaderMovesTheSite(t *testing.T) {
	s := open(t, onSQLite(t))
	harness.AddUser(t, s.Server, anna, password)
	for _, host := range []string{"evil.example", "localhost.evil.example", "localhost", "evil.example:80", strings.TrimPrefix(s.URL, "http://") + ".evil.example", "[::1]:1"} {
		for _, path := range []string{"/signin", "/api/v1/session", "/api/v1/openapi.json"} {
			a := s.client().Send("GET", path, http.Header{"Host": {host}}, nil)
			if a.Status != 421 && a.Status != 400 || strings.Contains(a.Location, "evil") {
				t.Error(host, path, a.Status, a.Location)
			}
		}
	}
	// Other names of this machine lead to the one origin.
	port := s.Listen[strings.Index(s.Listen, ":"):]
	if a := s.client().Send("GET", "/signin?return_to=/x", http.Header{"Host": {"127.0.0.1" + port}}, nil); a.Status != 308 || a.Location != s.URL+"/signin?return_to=/x" {
		t.Error(a.Status, a.Location)
	}
	for _, head := range []http.Header{
		{"X-Forwarded-Host": {"evil.example"}}, {"X-Forwarded-Proto": {"https"}}, {"Forwarded": {"host=evil.example;proto=https"}},
		{"X-Original-Url": {"/account"}}, {"X-Rewrite-Url": {"/account"}}, {"X-Forwarded-Prefix": {"//evil.example"}}, {"X-Http-Method-Override": {"DELETE"}},
	} {
		c := s.client()
		for _, path := range []string{"/account", "/signin", "/.well-known/change-password"} {
			a := c.Send("GET", path, head, nil)
			if strings.Contains(a.Body+a.Location, "evil.example") || a.Status >= 400 || path == "/signin" && a.Status != 200 {
				t.Error(head, path, a.Status, a.Location)
			}
		}
		problem := c.Send("GET", "/api/v1/session", head, nil)
		if !strings.Contains(problem.Body, s.URL+"/problems/not-signed-in") {
			t.Error(head, problem.Body)
		}
	}
	for _, head := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}}, {"Origin": {"null"}}} {
		head.Set("Content-Type", "application/x-www-form-urlencoded")
		form := url.Values{"login": {anna}, "password": {password}}.Encode()
		expect(t, fmt.Sprint(head), s.client().Send("POST", "/signin", head, []byte(form)), "403")
		head.Set("Content-Type", "application/json")
		expect(t, fmt.Sprint(head), s.client().Send("POST", "/api/v1/signin", head, []byte(`{"login":"`+anna+`","password":"`+password+`"}`)), "403 cross-origin")
	}
}

// Guesses are counted for the peer, unless it is a proxy we know; and what the client wrote before it is not believed.
func TestNobodyChoosesTheAddressThatIsCounted(t *testing.T) {
	guess := func(s site, forwarded ...string) harness.Answer {
		c := s.client()
		c.Head["X-Forwarded-For"] = forwarded
		c.Head["X-Real-Ip"] = forwarded[:1]
		return c.Call("POST", "/signin", m{"login": forwarded[0] + "@example.com", "password": "wrong"})
	}
	direct, proxied := open(t, onSQLite(t)), open(t, onSQLite(t), behind)
	for i := range 30 {
		expect(t, "direct", guess(direct, fmt.Sprintf("10.0.0.%d", i)), "422 wrong")
		expect(t, "proxied", guess(proxied, fmt.Sprintf("10.0.0.%d, 192.0.2.1", i)), "422 wrong")
	}
	expect(t, "direct", guess(direct, "10.0.0.99"), "429 throttled")
	expect(t, "proxied", guess(proxied, "10.0.0.99, 192.0.2.1"), "429 throttled")
	expect(t, "in two lines", guess(proxied, "10.0.0.99", "192.0.2.1"), "429 throttled")
	expect(t, "through two proxies", guess(proxied, "192.0.2.1, 127.0.0.1"), "429 throttled")
	expect(t, "somebody else", guess(proxied, "192.0.2.1, 192.0.2.2"), "422 wrong")
}

// S7: after a sign-in the browser stays here, whatever the address looks like.
func TestNoReturnAddressLeadsAway(t *testing.T) {
	s := open(t, onSQLite(t), behind, "SALLYPORT_RETURN_TO=https://app.example.org")
	harness.AddUser(t, s.Server, anna, password)
	b, err := os.ReadFile("testdata/redirects.txt")
	if err != nil {
		t.Fatal(err)
	}
	away := append(strings.Split(strings.TrimSpace(string(b)), "\n"), "//evil", "/\\evil", "\\\\evil", "/\t/evil", "/\n/evil", "\t//evil", " //evil", "/ /evil",
		"https://app.example.org@evil", "https://app.example.org.evil", "http://app.example.org", "https://app.example.org\\@evil", "javascript:alert(1)",
		"data:text/html,x", "https:evil", "https:/evil", "////evil", "/%09/evil", "/\u2028/evil", "/\u00a0/evil", "@evil", "evil", "?x=1", "")
	for _, to := range away {
		c := s.client()
		a := c.Page("POST", "/signin", url.Values{"login": {anna}, "password": {password}, "return_to": {to}})
		if a.Status == 422 { // not even readable
			continue
		}
		if a.Status != 303 || !here(a.Location) {
			t.Errorf("%q leads to %q (%d)", to, a.Location, a.Status)
		}
		if a.Header.Get("Crlf") != "" || strings.Contains(strings.Join(a.Header["Set-Cookie"], ""), "crlf") {
			t.Errorf("%q added a header: %v", to, a.Header)
		}
		if a := s.client().Page("GET", "/signin?return_to="+url.QueryEscape(to), nil); a.Status >= 500 || a.Location != "" {
			t.Errorf("%q: %d %q", to, a.Status, a.Location)
		}
	}
	for to, want := range map[string]string{
		"/account/security?x=1#a":         "/account/security?x=1#a",
		"https://app.example.org/deep?x=": "https://app.example.org/deep?x=",
		"/a%20b":                          "/a%20b",
		"":                                "/account",
	} {
		a := s.client().Page("POST", "/signin", url.Values{"login": {anna}, "password": {password}, "return_to": {to}})
		if a.Location != want {
			t.Errorf("%q leads to %q, want %q", to, a.Location, want)
		}
	}
	// The same address also waits through the second step, and an act through a step-up.
	c := s.as(anna)
	harness.Enrol(t, c, password)
	for _, to := range []string{"//evil", "https://evil/", "/\\evil"} {
		waits := s.client()
		waits.Page("POST", "/signin", url.Values{"login": {anna}, "password": {password}, "return_to": {to}})
		secret := s.column(`SELECT return_to FROM signins ORDER BY expires_at DESC LIMIT 1`)
		if secret[0] != "/account" {
			t.Error(to, secret)
		}
	}
	harness.AddUser(t, s.Server, berta, password)
	for _, act := range []string{"GET //evil", "GET https://evil/", "GET /\\evil", "GET /\t/evil", "POST //evil", "GET /\r\nSet-Cookie:crlf=1", "GET", "POST https://evil/account/totp", "DELETE /session", "GET /\n/evil"} {
		a := s.as(berta).Page("POST", "/stepup/password", url.Values{"password": {password}, "held_act": {act}, "held_form": {"a=b"}})
		if a.Status == 0 || a.Status >= 500 || a.Location != "" && !here(a.Location) || strings.Contains(strings.Join(a.Header["Set-Cookie"], ""), "crlf") {
			t.Errorf("%q leads to %q (%d)", act, a.Location, a.Status)
		}
	}
}

// here is true for a path on this site as browsers read one: they take a backslash for a slash, and drop tabs and line ends.
func here(location string) bool {
	return strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//") && !strings.ContainsAny(location, "\\\t\r\n")
}

// A cookie that makes no sense is none.
func TestBrokenCookiesAreNone(t *testing.T) {
	s := open(t, onSQLite(t))
	_, secret := s.person(anna)
	in, waits := s.client(), s.begun(anna)
	harness.SignIn(t, in, anna, password)
	expect(t, "code", in.Call("POST", "/signin/totp", m{"code": harness.Code(t, secret, time.Now())}), "200")
	session, pending := in.Cookie(harness.SessionCookie), waits.Cookie(harness.PendingCookie)
	cookie := func(v string) http.Header { return http.Header{"Cookie": {v}} }
	for _, v := range []string{
		"", "x", "0", strings.Repeat("A", 43), strings.Repeat("A", 10000), "\"" + session + "\"", session + "=", session + "A", session[1:], strings.ToLower(session),
		"\xff\xfe", "%00", "null", "' OR 1=1 --", pending,
	} {
		for _, path := range []string{"/api/v1/session", "/api/v1/account"} {
			expect(t, fmt.Sprintf("session %.20q", v), s.client().Send("GET", path, cookie(harness.SessionCookie+"="+v), nil), "401 not-signed-in")
		}
		if a := s.client().Send("GET", "/account", cookie(harness.SessionCookie+"="+v), nil); a.Status != 303 || !strings.HasPrefix(a.Location, "/signin") {
			t.Errorf("page with %.20q: %d %s", v, a.Status, a.Location)
		}
		if v == pending {
			v = session // neither opens the other's door
		}
		expect(t, fmt.Sprintf("pending %.20q", v), s.client().Send("GET", "/api/v1/signin/totp", cookie(harness.PendingCookie+"="+v), nil), "401 expired")
	}
	// S2: a pending sign-in opens nothing, wherever it is put.
	for _, head := range []http.Header{
		cookie(harness.PendingCookie + "=" + pending), cookie("session=" + session), cookie("__Secure-session=" + session), cookie("__host-session=" + session),
		{"Authorization": {"Bearer " + session}}, {"Authorization": {"Bearer " + pending}}, {"X-Session": {session}},
	} {
		for _, path := range []string{"/session", "/account", "/account/security", "/account/totp", "/account/sessions", "/stepup"} {
			expect(t, fmt.Sprint(head), s.client().Send("GET", "/api/v1"+path, head, nil), "401 not-signed-in")
		}
	}
	// Of two with one name only the first counts, so a second cannot be smuggled in beside it; both orders are safe.
	expect(t, "bad, good", s.client().Send("GET", "/api/v1/session", cookie(harness.SessionCookie+"=x; "+harness.SessionCookie+"="+session), nil), "401 not-signed-in")
	expect(t, "good, bad", s.client().Send("GET", "/api/v1/session", cookie(harness.SessionCookie+"="+session+"; "+harness.SessionCookie+"=x"), nil), "200")
	if a := s.client().Send("GET", "/api/v1/session", cookie(strings.Repeat("a=b; ", 10000)), nil); a.Status != 431 {
		t.Error("50 KB of cookies:", a.Status)
	}
	expect(t, "still", in.Call("GET", "/session", nil), "200")
}

// S6: an expired sign-in says so and keeps the return address.
func TestAnExpiredSignInStartsOver(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		_, secret := s.person(anna)
		c := s.client()
		c.Page("POST", "/signin", url.Values{"login": {anna}, "password": {password}, "return_to": {"/account/security?back=1"}})
		if a := c.Page("GET", "/signin/totp", nil); a.Status != 200 {
			t.Fatal(a)
		}
		lives := s.number(`SELECT MAX(expires_at) FROM signins`) - int(time.Now().UnixMicro())
		if d := time.Duration(lives) * time.Microsecond; d > 10*time.Minute || d < 9*time.Minute {
			t.Error("lives", d)
		}
		s.do(`UPDATE signins SET expires_at = $1`, time.Now().Add(-time.Second).UnixMicro())
		code := harness.Code(t, secret, time.Now())
		expect(t, "code", c.Call("POST", "/signin/totp", m{"code": code}), "401 expired")
		a := c.Page("GET", "/signin/totp", nil)
		for range 3 { // wherever it leads, the person lands on the first page with the address kept
			if a.Location == "" {
				break
			}
			a = c.Page("GET", a.Location, nil)
		}
		if !strings.Contains(a.Body, "/account/security?back=1") || !strings.Contains(a.Body, "took too long") {
			t.Error(a.Status, a.Body)
		}
		if n := s.number(`SELECT COUNT(*) FROM totp WHERE last_step > 0 AND last_step * 30 > $1`, time.Now().Unix()-29); n != 0 {
			t.Error("the code was spent")
		}
	})
}

// What belongs to somebody else is not there.
func TestOneSeesNothingOfAnother(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		a, secretA := s.person(anna)
		b, _ := s.person(berta)
		_, list := a.API("GET", "/account/totp", nil)
		id := list["authenticators"].([]any)[0].(m)["id"].(string)
		_, waiting := a.API("POST", "/account/totp", nil)
		for _, call := range []struct {
			method, path string
			body         any
		}{
			{"GET", "/account/totp/" + id, nil}, {"GET", "/account/totp/" + id + "/name", nil}, {"POST", "/account/totp/" + id + "/name", m{"name": "mine"}},
			{"GET", "/account/totp/" + id + "/remove", nil}, {"DELETE", "/account/totp/" + id, nil}, {"POST", "/account/totp/" + id, m{"code": "123456", "name": "x"}},
			{"GET", "/account/totp/" + waiting["id"].(string), nil},
			{"POST", "/account/totp/" + waiting["id"].(string), m{"code": harness.Code(t, waiting["secret"].(string), time.Now()), "name": "x"}},
			{"DELETE", "/account/sessions/" + idOf(a), nil}, {"DELETE", "/account/totp/none", nil}, {"DELETE", "/account/totp/%00", nil}, {"DELETE", "/account/sessions/" + strings.Repeat("x", 2000), nil},
		} {
			answer := b.Call(call.method, call.path, call.body)
			expect(t, fmt.Sprintf("%s %.60s", call.method, call.path), answer, "404 not-found", "422 invalid")
			if strings.Contains(answer.Body, waiting["secret"].(string)) {
				t.Error("the secret of another")
			}
		}
		expect(t, "hers", a.Call("GET", "/session", nil), "200")
		// A code of one person in the sign-in of another.
		s.forgetSteps()
		expect(t, "foreign code", s.begun(berta).Call("POST", "/signin/totp", m{"code": harness.Code(t, secretA, time.Now())}), "422 wrong")
		// Step-up in one session does not count in another (U3).
		other := s.begun(anna)
		expect(t, "code", other.Call("POST", "/signin/totp", m{"code": harness.Code(t, secretA, time.Now())}), "200")
		expect(t, "not fresh", other.Call("DELETE", "/account/totp/"+id, nil), "403 step-up")
	})
}

// The id of a session is never one that a client brought, and never survives a change of level.
func TestASessionIsNeverTheOneThatCame(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		harness.AddUser(t, s.Server, anna, password)
		harness.AddUser(t, s.Server, berta, password)
		old := s.as(berta) // planted into the browser of another
		planted := old.Cookie(harness.SessionCookie)
		for _, value := range []string{planted, "chosen-by-an-attacker"} {
			c := s.client().SetCookie(harness.SessionCookie, value)
			harness.SignIn(t, c, anna, password)
			if got := c.Cookie(harness.SessionCookie); got == value || len(got) < 43 {
				t.Error(got)
			}
		}
		expect(t, "the planted one", old.Call("GET", "/session", nil), "401 not-signed-in")

		c := s.as(anna)
		before := c.Clone()
		expect(t, "step-up", c.Call("POST", "/stepup/password", m{"password": password}), "200")
		expect(t, "before the step-up", before.Call("GET", "/session", nil), "401 not-signed-in")
		expect(t, "after it", c.Call("GET", "/session", nil), "200")
		harness.Enrol(t, c, password)

		late := c.Clone()
		expect(t, "sign-out", c.Call("DELETE", "/session", nil), "200", "204")
		expect(t, "after sign-out", late.Call("GET", "/session", nil), "401 not-signed-in")
		expect(t, "twice", late.Call("DELETE", "/session", nil), "401 not-signed-in")
		expect(t, "page", late.Page("GET", "/account", nil), "303")

		// A pending sign-in is spent by its session, and given up on request.
		waits := s.begun(anna)
		gave := waits.Clone()
		expect(t, "giving up", waits.Call("DELETE", "/signin", nil), "200", "204")
		expect(t, "given up", gave.Call("GET", "/signin/totp", nil), "401 expired")

		for _, cookie := range s.client().Page("POST", "/signin", url.Values{"login": {berta}, "password": {password}}).Header["Set-Cookie"] {
			for _, part := range []string{"__Host-", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"} {
				if !strings.Contains(cookie, part) {
					t.Error(cookie)
				}
			}
		}
	})
}

// A change of credentials ends every other session, and sign-ins under way.
func TestAChangeOfCredentialsEndsOtherSessions(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		c, secret := s.person(anna)
		for name, change := range map[string]func() harness.Answer{
			"factor added": func() harness.Answer { harness.Enrol(t, c, password); return harness.Answer{Status: 200} },
			"password": func() harness.Answer {
				return c.Call("POST", "/account/password", m{"current": password, "password": password})
			},
			"MFA off": func() harness.Answer { return c.Call("POST", "/account/mfa/disable", m{"password": password}) },
			"MFA on": func() harness.Answer {
				c.Call("POST", "/account/mfa/disable", m{"password": password})
				return harness.Answer{Status: 200}
			},
		} {
			c.Call("POST", "/account/mfa/enable", nil)
			s.forgetSteps()
			waits, other := s.begun(anna), s.begun(anna)
			expect(t, name, other.Call("POST", "/signin/totp", m{"code": harness.Code(t, secret, time.Now())}), "200")
			if a := change(); a.Status >= 300 {
				t.Fatal(name, a)
			}
			expect(t, name+": other session", other.Call("GET", "/session", nil), "401 not-signed-in")
			expect(t, name+": sign-in under way", waits.Call("GET", "/signin/totp", nil), "401 expired")
			expect(t, name+": this session", c.Call("GET", "/session", nil), "200")
		}
	})
}

// Whatever is sent, the answer is a clear refusal and never a fault, and what is a guess is counted.
func TestBadInputIsRefusedClearly(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address, behind)
		in, secret := s.person(anna)
		good := harness.Code(t, secret, time.Now())
		wide := strings.Map(func(r rune) rune { return r - '0' + '\uff10' }, good)
		long := strings.Repeat("x", 3000)
		for body, want := range map[string]string{
			``: "400 unreadable", `{`: "400 unreadable", `[]`: "400 unreadable", `null`: "400 unreadable", `"x"`: "400 unreadable", `{} {}`: "400 unreadable", `{}x`: "400 unreadable",
			`{}`: "422 invalid", `{"code":""}`: "422 invalid", `{"code":null}`: "422 invalid", `{"code":123456}`: "422 invalid", `{"code":true}`: "422 invalid",
			`{"code":["` + good + `"]}`: "422 invalid", `{"code":{"a":1}}`: "422 invalid", `{"code":"` + good + `","code":"` + good + `"}`: "422 invalid",
			`{"Code":"` + good + `"}`: "422 invalid", `{"code":"` + good + `","x":1}`: "422 invalid", `{"code":"` + wide + `"}`: "422 invalid",
			`{"code":"` + good + `\u0000"}`: "422 invalid", `{"code":"` + good + "\xff" + `"}`: "400 unreadable", `{"code":"\ud800"}`: "422 invalid",
			`{"code":"` + long + `"}`: "422 invalid", `{"code":"` + strings.Repeat("x", 1<<20) + `"}`: "413 unreadable", `{"code":"12345"}`: "422 invalid", `{"code":"1234567"}`: "422 invalid",
			`{"code":"+12345"}`: "422 invalid", `{"code":"12345a"}`: "422 invalid", `{"code":"-1e-10"}`: "422 invalid", strings.Repeat(`{"code":`, 5000): "400 unreadable",
		} {
			s.forgetFailures()
			a := s.begun(anna).Call("POST", "/signin/totp", body)
			expect(t, fmt.Sprintf("%.40q", body), a, want)
			if a.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%.40q: %v", body, a.Header)
			}
		}
		s.forgetFailures()
		waits := s.begun(anna)
		for range 6 { // what no code can look like is refused, and is no guess
			expect(t, "full-width", waits.Call("POST", "/signin/totp", m{"code": wide}), "422 invalid")
		}
		expect(t, "after six", waits.Call("POST", "/signin/totp", m{"code": good}), "200")
		s.forgetFailures()

		for kind, want := range map[string]string{"": "415 unreadable", "text/plain": "415 unreadable", "application/x-www-form-urlencoded": "415 unreadable",
			"multipart/form-data; boundary=x": "415 unreadable", "application/json; charset=utf-8": "200", "application/json;;": "415 unreadable"} {
			a := s.client().Send("POST", "/api/v1/signin", http.Header{"Content-Type": {kind}}, []byte(`{"login":"`+anna+`","password":"`+password+`"}`))
			expect(t, kind, a, want)
		}
		for form, want := range map[string]string{"": "422", "login=" + anna: "422", "login=a&login=b&password=c": "422", "login=%ff&password=x": "422", "login=%zz&password=x": "400",
			"login=a%00b&password=x": "422", "login=a&password=" + long: "422", "login=" + long + "&password=x": "422", "a=b&login=a&password=b": "422", "login[]=a&password[]=b": "422"} {
			a := s.client().Send("POST", "/signin", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte(form))
			expect(t, fmt.Sprintf("form %.40q", form), a, want)
		}
		for _, route := range []string{"PUT /session", "PATCH /signin", "TRACE /session", "DELETE /account/totp"} {
			method, path, _ := strings.Cut(route, " ")
			expect(t, route, s.client().Call(method, path, nil), "405 method")
		}
		expect(t, "nothing there", s.client().Call("GET", "/nothing", nil), "404 not-found")
		expect(t, "nothing lost", in.Call("GET", "/session", nil), "200")
	})
}

func TestNaughtyTextIsOnlyText(t *testing.T) {
	t.Parallel()
	var naughty []string
	b, err := os.ReadFile("testdata/naughty.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &naughty); err != nil {
		t.Fatal(err)
	}
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address, behind)
		in, _ := s.person(anna)
		waits, c := s.begun(anna), s.client()
		for i, text := range naughty {
			if i%4 == 0 { // before the fifth guess ends the sign-in
				s.forgetFailures()
			}
			c.From(fmt.Sprintf("10.0.%d.%d", i/250, i%250))
			for what, a := range map[string]harness.Answer{
				"login":    c.Call("POST", "/signin", m{"login": text, "password": "x"}),
				"password": c.Page("POST", "/signin", url.Values{"login": {"nobody@example.com"}, "password": {text}}),
				"code":     waits.Call("POST", "/signin/totp", m{"code": text}),
				"name":     in.Page("POST", "/account", url.Values{"name": {text}}),
			} {
				if a.Status < 300 || a.Status >= 500 || what == "code" && a.Status != 422 {
					t.Errorf("%s %q: %d %s", what, text, a.Status, a.Body)
				}
			}
			page := in.Page("GET", "/account", nil)
			if page.Status != 200 || strings.Contains(page.Body, "<script>alert") || strings.Contains(page.Body, "<img src=x") {
				t.Errorf("the name %q: %d", text, page.Status)
			}
		}
		expect(t, "nothing lost", in.Call("GET", "/session", nil), "200")
		if out, code := s.Run("", "audit", "verify"); code != 0 {
			t.Error(out)
		}
		if strings.Contains(s.Log(), "panic") {
			t.Error(s.Log())
		}
	})
}
