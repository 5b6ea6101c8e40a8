package web

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/visit"
)

var deskPages = fstest.MapFS{
	"list.html": {Data: []byte(`{{define "title"}}Users{{end}}{{define "main"}}[{{.Asked "q"}}|{{.With "kind" "b" "after" ""}}|{{if .Has "kind" "a"}}a{{end}}]
{{template "filter" choose (field "workgroup" "" "") "Workgroup" (.Asked "workgroup") .Out.Options}}{{template "pager" .Pages "1–50 of 1,284" "Previous" "" "Next" "x&y"}}{{end}}`)},
	"one.html": {Data: []byte(`{{define "title"}}One{{end}}{{define "main"}}{{template "banner" .Banner}}{{template "select" choose (field "role" (.Wrong "role") "What they may do.") "Role" (or (.Was "role") "member") .Out.Options}}{{end}}`)},
	"ask.html": {Data: []byte(`{{define "title"}}Ask{{end}}{{define "main"}}<form>{{template "held" .}}<a href="{{.Back}}">Cancel</a></form>{{end}}`)},
}

type deskList struct {
	Query     string   `json:"q,omitempty" max:"20"`
	Workgroup string   `json:"workgroup,omitempty"`
	Kind      []string `json:"kind,omitempty"`
	Locked    bool     `json:"locked,omitempty"`
	Least     int      `json:"least,omitempty" max:"9"`
	After     string   `json:"after,omitempty"`
}

type deskOut struct {
	Got     deskList `json:"got"`
	options []Option
}

func (o deskOut) Options() []Option { return []Option{{"", "All"}, {`"x"`, "<Field> sales"}} }

type deskOne struct {
	ID string `path:"id"`
}

// deskSite is a small administration. Whoever asks has a role, and may do nothing without a proof.
func deskSite(t *testing.T, role auth.Role) *Site {
	t.Helper()
	signedIn := func(_ *http.Request, v *visit.Visit) error {
		v.Session.User = auth.User{ID: "u", Name: "Maya", Role: role}
		return nil
	}
	fresh := func(req *http.Request, v *visit.Visit) error {
		signedIn(req, v)
		return auth.StepUpError{}
	}
	nothing := func(context.Context, None) (None, error) { return None{}, nil }
	list := func(_ context.Context, in deskList) (deskOut, error) { return deskOut{Got: in}, nil }
	one := func(context.Context, deskOne) (deskOut, error) { return deskOut{}, nil }
	set := func(context.Context, struct {
		ID   string `path:"id"`
		Role string `json:"role"`
	}) (None, error) {
		return None{}, auth.InvalidError{Field: "role", Why: "is too high"}
	}
	s, err := New(testConfig(map[visit.Guard]visit.Keeper{Public: open, SignedIn: signedIn, Fresh: fresh}), []Route{
		On(Public, "GET /signin", nothing, About{Page: Gate(testPages, "thing.html")}),
		On(SignedIn, "GET /stepup", nothing, About{Page: Dialog(deskPages, "ask.html")}),
		On(SignedIn, "POST /stepup/password", func(context.Context, None) (None, error) { return None{}, auth.ErrWrong }, About{Then: HeldAct, On: "/stepup"}),
		On(SignedIn, "GET /account", nothing, About{Page: Shell(deskPages, "ask.html")}),
		On(Fresh, "POST /account", nothing, About{Then: "/account"}),
		On(SignedIn, "GET /admin/users", list, About{Page: Desk(deskPages, "list.html")}),
		On(SignedIn, "GET /admin/users/{id}", one, About{Page: Desk(deskPages, "one.html")}),
		On(SignedIn, "POST /admin/users/{id}/role", set, About{On: "/admin/users/{id}", Then: "/admin/users/{id}"}),
		On(Fresh, "POST /admin/users/{id}/reset", one, About{On: "/admin/users/{id}", Then: "/admin/users/{id}"}),
		On(SignedIn, "GET /admin/users/{id}/remove", one, About{Page: DeskDialog(deskPages, "ask.html")}),
		On(Fresh, "GET /admin/users/{id}/pass", one, About{On: "/admin/users/{id}", Page: DeskDialog(deskPages, "ask.html")}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(s http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func post(s http.Handler, path, form string) *httptest.ResponseRecorder {
	return send(s, path, "application/x-www-form-urlencoded", form)
}

// A1: nobody is shown a way to where they do not get in.
func TestTheNavigationShowsWhatARoleOpens(t *testing.T) {
	all := "/admin /admin/users /admin/workgroups /admin/events /admin/policy /admin/messages"
	for role, want := range map[auth.Role]string{
		auth.Owner: all, auth.Admin: all, auth.WorkgroupAdmin: "/admin/users /admin/workgroups /admin/events",
		auth.Support: "/admin/users", auth.Member: "", "": "", "ADMIN": "",
	} {
		var got []string
		for _, p := range (View{Who: auth.User{Role: role}}).Places() {
			got = append(got, p.Path)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q sees %q, want %q", role, got, want)
		}
		bar := get(deskSite(t, role), "/account").Body.String()
		if strings.Contains(bar, `href="/admin/users"`) != (want != "") {
			t.Errorf("%q: the bar says\n%s", role, bar)
		}
	}
}

func TestTheNavigationSaysWhereWeAre(t *testing.T) {
	for path, want := range map[string]string{
		"/admin": "Overview", "/admin/users": "Users", "/admin/users/7/remove": "Users", "/admin/workgroups/new": "Workgroups",
		"/admin/usersx": "", "/admin/unknown": "", "/account": "", "/": "",
	} {
		got := ""
		for _, p := range (View{Path: path, Who: auth.User{Role: auth.Owner}}).Places() {
			if p.Here {
				got += p.Name
			}
		}
		if got != want {
			t.Errorf("%s is in %q, want %q", path, got, want)
		}
	}
}

func TestAStepUpLiesOverWhereItWasAskedFor(t *testing.T) {
	s := deskSite(t, auth.Admin)
	const settings, desk = `aria-label="Settings"`, `aria-label="Administration"`
	for _, c := range []struct{ what, body, over, back string }{
		{"an act of the administration", post(s, "/admin/users/7/reset", "").Body.String(), desk, "/admin/users/7"},
		{"a page of it", get(s, "/admin/users/7/pass").Body.String(), desk, "/admin/users/7"},
		{"an act of one's own", post(s, "/account", "").Body.String(), settings, "/account"},
		{"a wrong password", post(s, "/stepup/password", "held_act=POST+/admin/users/7/reset&held_back=/admin/users/7").Body.String(), desk, "/admin/users/7"},
		{"the way back is another site", post(s, "/stepup/password", "held_act=POST+/admin/users/7/reset&held_back=//evil.example").Body.String(), desk, "/stepup"},
		{"the way back is a script", post(s, "/stepup/password", "held_act=POST+/admin/users/7/reset&held_back=javascript:alert(1)").Body.String(), desk, "/stepup"},
		{"nothing waits", post(s, "/stepup/password", "held_back=/admin/users/7").Body.String(), settings, "/stepup"},
		{"an address that only begins so", post(s, "/stepup/password", "held_act=POST+/administrator").Body.String(), settings, "/stepup"},
	} {
		if !strings.Contains(c.body, c.over) || !strings.Contains(c.body, `<a href="`+c.back+`">Cancel`) {
			t.Errorf("%s:\n%s", c.what, c.body)
		}
	}
	if body := post(deskSite(t, auth.Member), "/stepup/password", "held_act=POST+/admin/users/7/reset").Body.String(); strings.Contains(body, desk) {
		t.Errorf("a member sees the administration:\n%s", body)
	}
	if body := get(s, "/admin/users/7/remove").Body.String(); !strings.Contains(body, desk) || !strings.Contains(body, "<dialog open") {
		t.Errorf("a dialog of the administration:\n%s", body)
	}
}

func TestAFormOnAPageWithAPathValueComesBackToIt(t *testing.T) {
	s := deskSite(t, auth.Admin)
	w := post(s, "/admin/users/a%2Fb/role", "role=%22x%22")
	for _, part := range []string{`<select id="role" name="role" aria-invalid="true"`, `aria-describedby="role-e role-h"`, `<option value="&#34;x&#34;" selected>&lt;Field&gt; sales</option>`,
		"This is too high.", `<a href="/admin/users" aria-current="page">`} {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("no %s in\n%s", part, w.Body)
		}
	}
	if w := get(s, "/admin/users/a%2Fb/role"); w.Code != 303 || w.Header().Get("Location") != "/admin/users/a%2Fb" {
		t.Error(w.Code, w.Header())
	}
	_, err := New(testConfig(allOpen), []Route{
		On(Public, "GET /signin", showNothing, About{Page: Gate(testPages, "thing.html")}), On(Public, "GET /stepup", showNothing, About{Page: Gate(testPages, "thing.html")}),
		On(Public, "GET /thing/{id}", showID, About{Page: Gate(testPages, "thing.html")}), On(Public, "POST /all", showNothing, About{On: "/thing/{id}", Then: "/"}),
	})
	if err == nil {
		t.Error("a form stands on a page whose path value it lacks")
	}
}

func showNothing(context.Context, None) (None, error) { return None{}, nil }

func TestAFilterIsReadTheSameOnBothFaces(t *testing.T) {
	s := deskSite(t, auth.Admin)
	for query, want := range map[string]string{
		"":                                   `{}`,
		"q=&workgroup=&kind=&locked=&least=": `{}`,
		"q=Zo%C3%AB&kind=a&kind=b&after=x":   `{"q":"Zoë","kind":["a","b"],"after":"x"}`,
		"kind=&kind=a&kind=":                 `{"kind":["a"]}`,
		"kind=&kind=":                        `{}`,
		"locked=on&least=3&utm=1&utm=2":      `{"locked":true,"least":3}`,
		"q=a&q=b":                            "422",
		"q=" + strings.Repeat("x", 21):       "422",
		"least=10":                           "422",
		"locked=maybe":                       "422",
		"kind=%ff":                           "422",
		"kind=" + strings.Repeat("x", 1025):  "422",
		strings.Repeat("kind=a&", 1001):      "422",
		"q=%zz":                              "400",
		"a;b":                                "400",
	} {
		page, api := get(s, "/admin/users?"+query), get(s, "/api/v1/admin/users?"+query)
		if page.Code != api.Code {
			t.Errorf("%.40s: page %d, api %d", query, page.Code, api.Code)
		}
		var got struct {
			Got json.RawMessage `json:"got"`
		}
		json.Unmarshal(api.Body.Bytes(), &got)
		if string(got.Got) != want && !(api.Code >= 400 && strings.HasPrefix(want, http.StatusText(0)+string('0'+rune(api.Code/100)))) {
			t.Errorf("%.40s: %d %s, want %s", query, api.Code, api.Body, want)
		}
	}
}

func TestAListKeepsItsStateInTheAddress(t *testing.T) {
	s := deskSite(t, auth.Admin)
	body := get(s, "/admin/users?q=%3Cb%3E&kind=a&kind=c&after=7&workgroup=%22x%22&utm=1").Body.String()
	for _, part := range []string{
		"[&lt;b&gt;|/admin/users?kind=b&amp;q=%3Cb%3E&amp;workgroup=%22x%22|a]",
		`<option value="&#34;x&#34;" selected>&lt;Field&gt; sales</option>`, `aria-label="Workgroup"`,
		`<a class="button small" href="/admin/users?after=x%26y&amp;kind=a&amp;kind=c&amp;q=%3Cb%3E&amp;workgroup=%22x%22" rel="next">Next`,
		`<span class="button small" aria-disabled="true">`,
	} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in\n%s", part, body)
		}
	}
	v := View{Path: "/admin/users", asked: fields{"q": {text: "a", list: []string{"a"}}, "kind": {text: "", list: []string{"", "b"}}}}
	for got, want := range map[string]string{
		v.With(): "/admin/users?kind=b&q=a", v.With("q", ""): "/admin/users?kind=b", v.With("q", "", "kind", ""): "/admin/users",
		v.With("q", "a&b=c#d"): "/admin/users?kind=b&q=a%26b%3Dc%23d",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if !v.Has("kind", "b") || v.Has("kind", "c") || v.Has("other", "") {
		t.Error("Has")
	}
	v.Kept = fields{"kind": {text: "c", list: []string{"c"}}}
	if v.Has("kind", "b") || !v.Has("kind", "c") {
		t.Error("what was typed comes before what the address says")
	}
	if u, err := url.Parse(v.With("q", "//x")); err != nil || u.Path != "/admin/users" {
		t.Error(u, err)
	}
}

func TestWords(t *testing.T) {
	for name, want := range map[string]string{
		"Maya Lindqvist": "ML", "Tomás de la Oliveira": "TO", "ines": "I", "": "?", " \t": "?", "Ålesund ßtraße": "Åß", "王 小明": "王小",
		"<script> alert": "SA", "O'Brien-Smith Ann": "OA", "-- -x": "X", "🙂": "?", "9 Lives": "9L",
	} {
		if got := initials(name); got != want {
			t.Errorf("initials of %q: %q, want %q", name, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 1284: "1,284", 1234567: "1,234,567", -1234: "−1,234", -12: "−12"} {
		if got := count(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for _, c := range []struct {
		part, whole int
		want        string
	}{{0, 0, "–"}, {1188, 1284, "92.5 %"}, {41, 100, "41 %"}, {0, 9, "0 %"}, {9, 9, "100 %"}, {1, 1_000_000, "< 0.1 %"}, {999_999, 1_000_000, "> 99.9 %"}, {1, 3, "33.3 %"}, {2, 3, "66.7 %"}} {
		if got := strings.ReplaceAll(share(c.part, c.whole), "\u00a0", " "); got != c.want {
			t.Errorf("%d of %d: %s, want %s", c.part, c.whole, got, c.want)
		}
	}
	if roleName(auth.WorkgroupAdmin) != "Workgroup admin" || roleName("") != "" {
		t.Error(roleName(auth.WorkgroupAdmin))
	}
	at := time.Date(2026, 3, 3, 11, 2, 41, 0, time.FixedZone("CET", 3600))
	if got := moment(at); got != `<time datetime="2026-03-03T10:02:41Z" data-utc>3 Mar 2026, 10:02:41</time>` {
		t.Error(got)
	}
	if got := string(sign(`k"`, `"><b>`)); strings.Contains(got, "<b>") || strings.Contains(got, `k"`) {
		t.Error(got)
	}
}
