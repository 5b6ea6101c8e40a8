package test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/test/harness"
)

// The JSON face as clients are written against it. S1, S2, S3, T1, T3, T4, U1, U2, F1, F2
func TestTheFirstJourneyOverJSON(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		token := s.SetupLink[strings.Index(s.SetupLink, "=")+1:]
		c := s.client()
		expect(t, "owner", c.Page("POST", "/setup", url.Values{"token": {token}, "name": {"Anna"}, "email": {anna}, "password": {password}}), "303")

		expect(t, "session before", c.Call("GET", "/session", nil), "401 not-signed-in")
		if a := harness.SignIn(t, c, anna, password); a["state"] != "signed_in" {
			t.Error(a)
		}
		_, session := c.API("GET", "/session", nil)
		session1 := c.Cookie(harness.SessionCookie)
		has(t, session, "user", "level", "amr", "auth_time", "expires_at")
		if session["level"] != 1.0 || !slices.Equal(session["amr"].([]any), []any{"pwd"}) || session["user"].(m)["login"] != anna {
			t.Error(session)
		}
		if at := time.Unix(int64(session["auth_time"].(float64)), 0); time.Since(at) > time.Minute {
			t.Error(at)
		}

		// Adding a factor asks for fresh proof, and who has nothing stronger proves with the password.
		status, problem := c.API("POST", "/account/totp", nil)
		if status != 403 || !strings.HasSuffix(problem["type"].(string), "/step-up") || kinds(problem["accepts"]) != "password" {
			t.Fatal(status, problem)
		}
		expect(t, "wrong step-up", c.Call("POST", "/stepup/password", m{"password": "wrong"}), "422 wrong")
		expect(t, "step-up", c.Call("POST", "/stepup/password", m{"password": password}), "200")
		if c.Cookie(harness.SessionCookie) == session1 {
			t.Error("the token did not change with the step-up")
		}
		_, waiting := c.API("POST", "/account/totp", nil)
		has(t, waiting, "id", "secret", "uri", "qr_svg")
		id, secret := waiting["id"].(string), waiting["secret"].(string)
		if u, err := url.Parse(waiting["uri"].(string)); err != nil || u.Scheme != "otpauth" || u.Query().Get("secret") != secret {
			t.Error(waiting["uri"])
		}
		if !strings.HasPrefix(waiting["qr_svg"].(string), "<svg") {
			t.Error(waiting["qr_svg"])
		}
		// T3: until it is confirmed it does not exist for sign-in.
		if a := harness.SignIn(t, s.client(), anna, password); a["state"] != "signed_in" {
			t.Error(a)
		}
		expect(t, "wrong code", c.Call("POST", "/account/totp/"+id, m{"code": other(t, secret), "name": "phone"}), "422 wrong")
		confirm := func() harness.Answer {
			return c.Call("POST", "/account/totp/"+id, m{"code": harness.Code(t, secret, time.Now().Add(-30*time.Second)), "name": "phone"})
		}
		a := confirm()
		if a.Status == 422 {
			a = confirm()
		}
		expect(t, "confirmation", a, "200")
		_, list := c.API("GET", "/account/totp", nil)
		one := list["authenticators"].([]any)[0].(m)
		has(t, one, "id", "name", "added_at", "last_used_at")
		if len(list["authenticators"].([]any)) != 1 || one["name"] != "phone" || one["id"] != id {
			t.Error(list)
		}

		expect(t, "sign-out", c.Call("DELETE", "/session", nil), "200", "204")
		expect(t, "session after", c.Call("GET", "/session", nil), "401 not-signed-in")

		answer := harness.SignIn(t, c, anna, password)
		if answer["state"] != "second_factor" || kinds(answer["factors"]) != "totp" || answer["factors"].([]any)[0].(m)["name"] != "phone" {
			t.Error(answer)
		}
		// S2: what waits is not a session.
		expect(t, "session between", c.Call("GET", "/session", nil), "401 not-signed-in")
		status, problem = c.API("POST", "/signin/totp", m{"code": other(t, secret)})
		if status != 422 || problem["left"] != 4.0 {
			t.Error(status, problem)
		}
		status, answer = c.API("POST", "/signin/totp", m{"code": harness.Code(t, secret, time.Now())})
		if status != 200 || answer["state"] != "signed_in" {
			t.Fatal(status, answer)
		}
		_, session = c.API("GET", "/session", nil)
		if session["level"] != 2.0 || !slices.Equal(session["amr"].([]any), []any{"pwd", "otp", "mfa"}) {
			t.Error(session)
		}

		// U2: whoever proved a second factor in this session may step up with either.
		status, problem = c.API("DELETE", "/account/totp/"+id, nil)
		if status != 403 || kinds(problem["accepts"]) != "totp password" {
			t.Error(status, problem)
		}
		expect(t, "step-up by code", c.Call("POST", "/stepup/totp", m{"code": harness.Code(t, secret, time.Now().Add(30*time.Second))}), "200")
		expect(t, "last factor", c.Call("DELETE", "/account/totp/"+id, nil), "409 last-factor")
		harness.Enrol(t, c, password)
		expect(t, "removal", c.Call("DELETE", "/account/totp/"+id, nil), "204")
		_, list = c.API("GET", "/account/totp", nil)
		if len(list["authenticators"].([]any)) != 1 {
			t.Error(list)
		}
		expect(t, "session at the end", c.Call("GET", "/session", nil), "200")
	})
}

// Where a second factor is required nobody gets around setting one up. W2, W4
func TestEnrolmentIsForcedAtSignIn(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address, "SALLYPORT_POLICY_MFA=required")
		harness.AddUser(t, s.Server, anna, password)
		c := s.client()
		answer := harness.SignIn(t, c, anna, password)
		if answer["state"] != "enrolment" || kinds(answer["factors"]) != "passkey totp email" {
			t.Fatal(answer)
		}
		for _, path := range []string{"/session", "/account", "/account/totp", "/account/security"} {
			expect(t, path, c.Call("GET", path, nil), "401 not-signed-in")
		}
		expect(t, "elsewhere", c.Call("POST", "/account/totp", nil), "401 not-signed-in")
		expect(t, "second step", c.Call("POST", "/signin/totp", m{"code": "123456"}), "422 wrong")
		// Another sign-in begun with the password alone is void once a factor exists.
		late := s.client()
		harness.SignIn(t, late, anna, password)
		_, waiting := c.API("POST", "/signin/enrol/totp", nil)
		status, done := c.API("POST", "/signin/enrol/totp/"+waiting["id"].(string), m{"code": harness.Code(t, waiting["secret"].(string), time.Now()), "name": "phone"})
		if status != 200 || done["state"] != "signed_in" {
			t.Fatal(status, done)
		}
		expect(t, "late", late.Call("POST", "/signin/enrol/totp", nil), "401 expired")
		_, session := c.API("GET", "/session", nil)
		if session["level"] != 2.0 {
			t.Error(session)
		}
		// Who has a factor cannot set up another in its place.
		again := s.begun(anna)
		expect(t, "around it", again.Call("POST", "/signin/enrol/totp", nil), "403 forbidden")
		expect(t, "MFA off", c.Call("POST", "/stepup/password", m{"password": password}), "200")
		expect(t, "MFA off", c.Call("POST", "/account/mfa/disable", m{"password": password}), "409 mfa-required")
	})
}

func TestTheServerSaysHowItIsAndWhatItOffers(t *testing.T) {
	s := harness.Start(t, harness.Options{Env: cheap})
	c := harness.NewClient(t, s.URL)
	for _, path := range []string{"/healthz", "/readyz"} {
		expect(t, path, c.Send("GET", path, nil, nil), "200")
	}
	if a := c.Send("GET", "/metrics", nil, nil); a.Status != 404 {
		t.Error("metrics stand on the open listener:", a.Status)
	}
	var api struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal([]byte(c.Call("GET", "/openapi.json", nil).Body), &api); err != nil || !strings.HasPrefix(api.OpenAPI, "3.1") {
		t.Fatal(err, api.OpenAPI)
	}
	for _, route := range []string{"post /signin", "post /signin/totp", "get /session", "delete /session", "get /account/totp",
		"post /account/totp", "post /account/totp/{id}", "delete /account/totp/{id}", "post /stepup/password", "post /stepup/totp"} {
		method, path, _ := strings.Cut(route, " ")
		if api.Paths[path][method] == nil && api.Paths["/api/v1"+path][method] == nil {
			t.Error("openapi.json does not have", route)
		}
	}
}

func has(t *testing.T, answer m, names ...string) {
	t.Helper()
	for _, name := range names {
		if answer[name] == nil {
			t.Errorf("no %s in %v", name, answer)
		}
	}
}

// kinds joins those of a list of factors.
func kinds(factors any) string {
	var all []string
	list, _ := factors.([]any)
	for _, f := range list {
		all = append(all, f.(m)["kind"].(string))
	}
	return strings.Join(all, " ")
}

// other is a code that is wrong now.
func other(t *testing.T, secret string) string {
	t.Helper()
	return others(t, secret, 1)[0]
}
