package test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/factor/softkey"
	"sallyport/test/harness"
)

// withPasskey adds somebody with a password and one passkey, signed in and fresh.
func (s site) withPasskey(email string) (c *harness.Client, k *softkey.Key, id string) {
	s.t.Helper()
	harness.AddUser(s.t, s.Server, email, password)
	c, k = s.as(email), softkey.New(s.URL)
	return c, k, harness.AddPasskey(s.t, c, k, password)
}

// byPasskey is a new browser that signed in with a passkey and no name.
func (s site) byPasskey(k *softkey.Key) *harness.Client {
	s.t.Helper()
	c := s.client()
	expect(s.t, "sign-in by passkey", harness.Ceremony(s.t, c, k, "/signin/passkey", nil), "200")
	return c
}

// The JSON face as clients are written against it. P1, P2, P5, P7, S4, S10, U2, F1, F2
func TestPasskeysOverJSON(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		harness.AddUser(t, s.Server, anna, password)
		c := s.as(anna)
		k := softkey.New(s.URL)

		// Adding asks for fresh proof.
		status, problem := c.API("POST", "/account/passkeys/options", m{})
		if status != 403 || !strings.HasSuffix(problem["type"].(string), "/step-up") || kinds(problem["accepts"]) != "password" {
			t.Fatal(status, problem)
		}
		expect(t, "form before step-up", c.Call("GET", "/account/passkeys/new", nil), "403 step-up")
		expect(t, "step-up", c.Call("POST", "/stepup/password", m{"password": password}), "200")
		_, list := c.API("GET", "/account/passkeys", nil)
		has(t, list, "passkeys", "rp_id", "accepted", "login", "name")
		if len(list["passkeys"].([]any)) != 0 || len(list["accepted"].([]any)) != 0 || list["rp_id"] != "localhost" || list["user_handle"] != nil {
			t.Error(list)
		}
		if _, form := c.API("GET", "/account/passkeys/new", nil); form["also_password"] != false {
			t.Error(form)
		}
		a := c.Call("POST", "/account/passkeys/options", m{})
		options := parsed(t, a)
		has(t, options, "rp", "user", "challenge", "pubKeyCredParams", "authenticatorSelection", "timeout")
		if a.Header.Get("Cache-Control") != "no-store" || options["rp"].(m)["id"] != "localhost" || options["user"].(m)["name"] != anna {
			t.Error(a.Header, options)
		}
		handle := options["user"].(m)["id"].(string)
		if raw, err := base64.RawURLEncoding.DecodeString(handle); err != nil || len(raw) != 64 || strings.Contains(string(raw), anna) {
			t.Error("handle:", handle, err)
		}
		body := harness.Respond(t, k, []byte(a.Body), m{"name": "phone"})
		status, added := c.API("POST", "/account/passkeys", body)
		has(t, added, "id", "name", "synced", "works", "added_at", "next")
		id, _ := added["id"].(string)
		if status != 200 || added["name"] != "phone" || added["synced"] != true || added["works"] != true {
			t.Fatal(status, added)
		}
		expect(t, "the same again", c.Call("POST", "/account/passkeys", body), "422 wrong")
		_, list = c.API("GET", "/account/passkeys", nil)
		if one := list["passkeys"].([]any)[0].(m); one["id"] != id || one["name"] != "phone" || one["last_used_at"] != nil || list["user_handle"] != handle {
			t.Error(list)
		}
		if accepted := list["accepted"].([]any); len(accepted) != 1 || accepted[0] != idIn(t, body) {
			t.Error(accepted)
		}
		expect(t, "new name", c.Call("POST", "/account/passkeys/"+id+"/name", m{"name": "my phone"}), "204")
		if _, named := c.API("GET", "/account/passkeys/"+id+"/name", nil); named["name"] != "my phone" {
			t.Error(named)
		}
		// The device is told not to make a second one for the same account.
		if _, err := k.Create(harness.Ask(t, c, "/account/passkeys", nil)); err != softkey.ErrExcluded {
			t.Error("second on one device:", err)
		}

		// S4: without a name.
		other := s.client()
		if _, ways := other.API("GET", "/signin", nil); fmt.Sprint(ways["kinds"]) != "[password passkey]" {
			t.Error(ways)
		}
		a = other.Call("POST", "/signin/passkey/options", m{})
		options = parsed(t, a)
		if options["rpId"] != "localhost" || options["userVerification"] != "required" || options["allowCredentials"] != nil {
			t.Error(options)
		}
		if set := a.Header.Get("Set-Cookie"); !strings.HasPrefix(set, harness.BrowserCookie+"=") || !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "Secure") {
			t.Error(set)
		}
		body = harness.Respond(t, k, []byte(a.Body), nil)
		expect(t, "in another browser", s.client().Call("POST", "/signin/passkey", body), "422 wrong")
		status, answer := other.API("POST", "/signin/passkey", body) // strangers cannot use up a challenge
		if status != 200 || answer["state"] != "signed_in" || answer["next"] != "/account" {
			t.Fatal(status, answer)
		}
		_, session := other.API("GET", "/session", nil)
		if session["level"] != 2.0 || !slices.Equal(session["amr"].([]any), []any{"swk", "mfa"}) {
			t.Error(session)
		}

		// S3: as second step, and S2: what waits is not a session.
		third := s.client()
		answer = harness.SignIn(t, third, anna, password)
		if answer["state"] != "second_factor" || kinds(answer["factors"]) != "passkey" || answer["next"] != "/signin/passkey" {
			t.Error(answer)
		}
		expect(t, "session between", third.Call("GET", "/session", nil), "401 not-signed-in")
		if _, step := third.API("GET", "/signin/passkey", nil); step["state"] != "second_factor" || step["login"] != anna {
			t.Error(step)
		}
		wrong := func(said *softkey.Said) { said.Signature = softkey.Tail(0) }
		status, problem = third.API("POST", "/signin/passkey", harness.Response(t, third, k, "/signin/passkey", nil, wrong))
		if status != 422 || problem["left"] != 4.0 || problem["message"] != "passkey.wrong" {
			t.Error(status, problem)
		}
		touched := func(said *softkey.Said) { said.Flags &^= softkey.UV }
		expect(t, "a touch is enough after the password", harness.Ceremony(t, third, k, "/signin/passkey", nil, touched), "200")
		_, session = third.API("GET", "/session", nil)
		if session["level"] != 2.0 || !slices.Equal(session["amr"].([]any), []any{"pwd", "swk", "mfa"}) {
			t.Error(session)
		}
		// P7: a touch alone is one factor.
		status, problem = other.API("POST", "/signin/passkey", harness.Response(t, other, k, "/signin/passkey", nil, touched))
		if status != 422 || problem["message"] != "passkey.unverified" {
			t.Error(status, problem)
		}

		// U2
		status, problem = third.API("DELETE", "/account/passkeys/"+id, nil)
		if status != 403 || kinds(problem["accepts"]) != "passkey password" {
			t.Error(status, problem)
		}
		status, raised := third.API("POST", "/stepup/passkey", harness.Response(t, third, k, "/stepup/passkey", nil))
		if has(t, raised, "fresh_until"); status != 200 {
			t.Error(status, raised)
		}
		expect(t, "before the last one", third.Call("GET", "/account/passkeys/"+id+"/remove", nil), "409 last-factor")
		expect(t, "the last one", third.Call("DELETE", "/account/passkeys/"+id, nil), "409 last-factor")
		second := softkey.New(s.URL)
		harness.AddPasskey(t, third, second, password)
		if _, removal := third.API("GET", "/account/passkeys/"+id+"/remove", nil); removal["name"] != "my phone" || len(removal["left"].([]any)) != 1 {
			t.Error(removal)
		}
		expect(t, "one of two", third.Call("DELETE", "/account/passkeys/"+id, nil), "204")
		gone := s.client()
		status, problem = gone.API("POST", "/signin/passkey", harness.Response(t, gone, k, "/signin/passkey", nil))
		if status != 422 || problem["message"] != "passkey.unknown" {
			t.Error("removed:", status, problem)
		}
		s.byPasskey(second)
		expect(t, "the session that removed it", third.Call("GET", "/session", nil), "200")
		expect(t, "another session", other.Call("GET", "/session", nil), "401 not-signed-in")
	})
}

// S10: whether somebody is known, or has a passkey, is not told.
func TestPasskeyOptionsTellNothingOfANameNobodyHas(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		_, k, _ := s.withPasskey(anna)
		harness.AddUser(t, s.Server, berta, password)
		allowed := func(login string) (ids []string) {
			var o struct {
				AllowCredentials []struct{ ID, Type string }
			}
			if err := json.Unmarshal(harness.Ask(t, s.client(), "/signin/passkey", m{"login": login}), &o); err != nil {
				t.Fatal(err)
			}
			for _, c := range o.AllowCredentials {
				ids = append(ids, c.Type+" "+c.ID)
			}
			return ids
		}
		seen := map[string]bool{}
		for _, login := range []string{anna, berta, "nobody@example.com", "NOBODY2@example.com"} {
			first := allowed(login)
			if len(first) != 1 || !slices.Equal(first, allowed(strings.ToUpper(login))) || seen[first[0]] {
				t.Error(login, first, allowed(strings.ToUpper(login)))
			}
			seen[first[0]] = true
		}
		c := s.client()
		named := harness.Respond(t, k, harness.Ask(t, c, "/signin/passkey", m{"login": anna}), nil)
		expect(t, "with a name", c.Call("POST", "/signin/passkey", named), "200")
		run(t, s.Server, "user", "disable", anna)
		before := allowed("nobody@example.com")
		if after := allowed(anna); len(after) != 1 || len(before) != 1 || seen[after[0]] {
			t.Error("disabled:", after)
		}
		gone := s.client()
		expect(t, "disabled", gone.Call("POST", "/signin/passkey", harness.Response(t, gone, k, "/signin/passkey", nil)), "422 wrong")
	})
}

// Where a second factor is required, a passkey can be the one that is set up on the way in. W2, W4, P8
func TestAPasskeyIsEnrolledAtSignIn(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address, "SALLYPORT_POLICY_MFA=required")
		harness.AddUser(t, s.Server, anna, password)
		c, k := s.client(), softkey.New(s.URL)
		answer := harness.SignIn(t, c, anna, password)
		if answer["state"] != "enrolment" || kinds(answer["factors"]) != "passkey totp email" {
			t.Fatal(answer)
		}
		late := s.client() // begun with the password alone
		harness.SignIn(t, late, anna, password)
		lately := harness.Response(t, late, softkey.New(s.URL), "/signin/enrol/passkey", nil)
		if _, who := c.API("GET", "/signin/enrol/passkey", nil); who["login"] != anna {
			t.Error(who)
		}
		for _, path := range []string{"/account/passkeys/options", "/stepup/passkey/options", "/account/passkeys/offer/options"} {
			expect(t, path, c.Call("POST", path, m{}), "401 not-signed-in")
		}
		expect(t, "as second step", c.Call("POST", "/signin/passkey/options", m{}), "404 not-found")
		body := harness.Response(t, c, k, "/signin/enrol/passkey", m{"name": "phone"})
		expect(t, "in the other sign-in", late.Call("POST", "/signin/enrol/passkey", body), "422 wrong")
		status, done := c.API("POST", "/signin/enrol/passkey", body)
		if has(t, done, "id", "name", "state", "next"); status != 200 || done["state"] != "signed_in" || done["name"] != "phone" {
			t.Fatal(status, done)
		}
		_, session := c.API("GET", "/session", nil)
		if session["level"] != 2.0 || !slices.Equal(session["amr"].([]any), []any{"pwd", "swk", "mfa"}) {
			t.Error(session)
		}
		expect(t, "late", late.Call("POST", "/signin/enrol/passkey", lately), "401 expired")
		again := s.begun(anna)
		expect(t, "around it", again.Call("POST", "/signin/enrol/passkey/options", m{}), "403 forbidden")
		if n := s.number(`SELECT COUNT(*) FROM passkeys`); n != 1 {
			t.Error(n, "passkeys")
		}
	})
}

func TestOpenAPIListsPasskeys(t *testing.T) {
	s := harness.Start(t, harness.Options{Env: cheap})
	c := harness.NewClient(t, s.URL)
	var api struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct {
					Schema struct{ Properties map[string]any }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(c.Call("GET", "/openapi.json", nil).Body), &api); err != nil {
		t.Fatal(err)
	}
	for route, fields := range map[string]string{
		"post /signin/passkey/options":         "anew login",
		"post /signin/passkey":                 "anew credential return_to",
		"get /signin/passkey":                  "",
		"get /signin/enrol/passkey":            "",
		"post /signin/enrol/passkey/options":   "",
		"post /signin/enrol/passkey":           "credential name return_to",
		"post /stepup/passkey/options":         "",
		"post /stepup/passkey":                 "credential",
		"get /account/passkeys":                "",
		"get /account/passkeys/new":            "",
		"post /account/passkeys/options":       "password",
		"post /account/passkeys":               "credential name return_to",
		"get /account/passkeys/{id}/name":      "",
		"post /account/passkeys/{id}/name":     "name",
		"get /account/passkeys/{id}/remove":    "",
		"delete /account/passkeys/{id}":        "", // a DELETE has no body
		"get /account/passkeys/offer":          "",
		"post /account/passkeys/offer/options": "conditional",
		"post /account/passkeys/offer":         "credential name return_to",
		"post /account/passkeys/offer/later":   "never return_to",
	} {
		method, path, _ := strings.Cut(route, " ")
		op, ok := api.Paths["/api/v1"+path][method]
		if !ok {
			t.Error("openapi.json does not have", route)
			continue
		}
		var names []string
		for name := range op.RequestBody.Content["application/json"].Schema.Properties {
			names = append(names, name)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != fields {
			t.Errorf("%s takes %q, want %q", route, got, fields)
		}
	}
}

// What clients branch on stands at its address.
func TestEveryPasskeyProblemIsExplained(t *testing.T) {
	s := open(t, onSQLite(t))
	c, k, _ := s.withPasskey(anna)
	known := k.Clone()
	known.IgnoreExclude = true
	same := func(said *softkey.Said) { said.CredentialID = idOfKey(t, k) }
	for kind, a := range map[string]harness.Answer{
		"passkey-known":   harness.Ceremony(t, c, known, "/account/passkeys", nil, same),
		"passkeys-closed": open(t, onSQLite(t), "SALLYPORT_PASSKEYS_USE=use only").closed(),
		"passkey-not-allowed": func() harness.Answer {
			s := open(t, onSQLite(t), "SALLYPORT_PASSKEYS_ALLOWED_AAGUIDS=ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4")
			harness.AddUser(t, s.Server, anna, password)
			c := s.as(anna)
			c.Call("POST", "/stepup/password", m{"password": password})
			return harness.Ceremony(t, c, softkey.New(s.URL), "/account/passkeys", nil)
		}(),
	} {
		expect(t, kind, a, "409 "+kind)
		expect(t, "its address", c.Send("GET", "/problems/"+kind, nil, nil), "200")
	}
}

func (s site) closed() harness.Answer {
	s.t.Helper()
	harness.AddUser(s.t, s.Server, anna, password)
	c := s.as(anna)
	c.Call("POST", "/stepup/password", m{"password": password})
	return c.Call("POST", "/account/passkeys/options", m{})
}

// Nothing of a ceremony reaches the log, whatever comes of it, nor a cookie or signature the database. security.md, "Record"
func TestNothingOfAPasskeyIsInTheLog(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := with(t, harness.Options{Database: address, Command: "serve", Config: "log_level = \"debug\"\n"}, address)
		harness.AddUser(t, s.Server, anna, password)
		spoken, secrets := markers{}, markers{}
		note := func(c *harness.Client, options []byte, body m) {
			challenge, err := softkey.Challenge(options)
			if err != nil {
				t.Fatal(err)
			}
			spoken.token("a challenge", base64.RawURLEncoding.EncodeToString(challenge))
			var credential struct{ Response map[string]any }
			if err := json.Unmarshal(body["credential"].(json.RawMessage), &credential); err != nil {
				t.Fatal(err)
			}
			for name, v := range credential.Response {
				if text, ok := v.(string); ok && len(text) > 30 {
					spoken.token(name, text)
					if name == "signature" || name == "clientDataJSON" || name == "attestationObject" {
						secrets.token(name, text)
					}
				}
			}
			for _, name := range []string{harness.BrowserCookie, harness.SessionCookie, harness.PendingCookie} {
				if v := c.Cookie(name); v != "" {
					spoken.token("the cookie "+name, v)
					secrets.token("the cookie "+name, v)
				}
			}
		}
		do := func(c *harness.Client, k *softkey.Key, path string, lies ...softkey.Lie) {
			options := harness.Ask(t, c, path, nil)
			body := harness.Respond(t, k, options, nil, lies...)
			note(c, options, body)
			text := string(body["credential"].(json.RawMessage))
			spoken[text] = "a credential"
			c.Call("POST", path, m{"credential": text})         // not JSON but text
			c.Call("POST", path, m{text: text})                 // in the wrong place
			c.Call("POST", path+"?credential="+text[:40], body) // and a query beside it
			c.Call("POST", path, body)                          // as it should be, or a lie
			c.Call("POST", path, body)                          // twice
			c.Call("POST", path, text[:len(text)/2])            // cut
			c.Send("GET", "/signin/passkey?credential="+text[:30], http.Header{"Accept": {"text/html"}}, nil)
			s.forgetFailures()
		}
		k := softkey.New(s.URL)
		c := s.as(anna)
		expect(t, "step-up", c.Call("POST", "/stepup/password", m{"password": password}), "200")
		do(c, k, "/account/passkeys")
		for _, lies := range [][]softkey.Lie{nil, {func(said *softkey.Said) { said.Signature = softkey.Tail(0) }},
			{func(said *softkey.Said) { said.ClientData.Origin = "https://elsewhere.example" }}, {func(said *softkey.Said) { said.CredentialID[0]++ }}} {
			do(s.client(), k, "/signin/passkey", lies...)
			do(s.begun(anna), k, "/signin/passkey", lies...)
		}
		up := s.byPasskey(k)
		do(up, k, "/stepup/passkey")
		if !strings.Contains(s.Log(), "request_id") {
			t.Error("the log is empty: ", s.Log())
		}
		spoken.search(t, "the log", s.Log())
		for _, row := range s.rows() {
			secrets.search(t, "the database", row)
		}
		s.Stop()
		spoken.search(t, "the log at the end", s.Log())
	})
}

// A relying party id is for good: another one would lock out whoever has nothing but passkeys.
func TestAnotherPasskeyDomainIsRefusedWhilePeopleHaveNothingElse(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		data := t.TempDir()
		s := with(t, harness.Options{Database: address, Data: data, Env: cheap}, address)
		for i := range 3 {
			s.withPasskey(fmt.Sprintf("person%d@example.com", i))
		}
		both, _, _ := s.withPasskey(berta)
		harness.Enrol(t, both, password)
		s.Stop()

		const says = "3 people have nothing but passkeys for \"localhost\""
		moved := []string{"SALLYPORT_TRUSTED_PROXIES=127.0.0.1"}
		for what, o := range map[string]harness.Options{
			"dev, set":      {Command: "dev", URL: "http://a.login.localhost:8080", Env: []string{"SALLYPORT_PASSKEYS_RP_ID=login.localhost"}},
			"serve, set":    {Command: "serve", URL: "https://login.example.com", Env: append(moved, "SALLYPORT_PASSKEYS_RP_ID=example.com")},
			"serve, by url": {Command: "serve", URL: "https://login.example.com", Env: moved},
		} {
			o.Database, o.Data = address, data
			if started, err := harness.TryStart(t, o); err == nil {
				t.Errorf("%s: it starts and strands three people", what)
				started.Kill()
			} else if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", what, err)
			}
			env := append(o.Env, "SALLYPORT_DATA="+data, "SALLYPORT_DATABASE="+address, "SALLYPORT_URL="+o.URL, "SALLYPORT_METRICS_LISTEN=off")
			if out, code := harness.Command(t, env, "", "check"); o.Command == "serve" && (code != 1 || !strings.Contains(out, says)) {
				t.Errorf("%s: check: %d %s", what, code, out)
			}
		}
		// Whoever has another factor is no reason: the passkey is void, the codes are not.
		s.do(`DELETE FROM passkeys WHERE user_id <> (SELECT id FROM users WHERE login = $1)`, berta)
		after := harness.Start(t, harness.Options{Database: address, Data: data, Env: append(slices.Clone(cheap), "SALLYPORT_PASSKEYS_RP_ID=b.localhost"), URL: "http://b.localhost:8080"})
		c := harness.NewClient(t, after.URL).Via(after.Listen)
		if answer := harness.SignIn(t, c, berta, password); kinds(answer["factors"]) != "totp" {
			t.Error(answer)
		}
	})
}

func parsed(t *testing.T, a harness.Answer) (fields m) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), &fields); err != nil || a.Status != 200 {
		t.Fatal(a)
	}
	return fields
}

// idIn is the id of the credential in a body.
func idIn(t *testing.T, body m) string {
	t.Helper()
	var credential struct{ ID string }
	if err := json.Unmarshal(body["credential"].(json.RawMessage), &credential); err != nil {
		t.Fatal(err)
	}
	return credential.ID
}

// idOfKey is the id of a key's newest credential, as it says itself.
func idOfKey(t *testing.T, k *softkey.Key) []byte {
	t.Helper()
	answer, err := k.Clone().Get([]byte(`{"rpId":"localhost","challenge":"AAAA"}`))
	if err != nil {
		t.Fatal(err)
	}
	id, err := base64.RawURLEncoding.DecodeString(idIn(t, m{"credential": json.RawMessage(answer)}))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// A signature cannot be guessed, so what strangers send in somebody's name must not be counted against them: whoever knows
// an email learns the ids of its passkeys (S10 cannot hide that), and could keep its person out for as long as they like.
func TestAStrangerCannotKeepAPasskeyOut(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address, behind)
		c, k, _ := s.withPasskey(anna)
		secret := harness.Enrol(t, c, password)
		for i := range 12 {
			stranger := s.client().From(fmt.Sprintf("192.0.2.%d", i))
			options := harness.Ask(t, stranger, "/signin/passkey", m{"login": anna})
			junk := harness.Respond(t, k.Clone(), options, nil, func(said *softkey.Said) { said.Signature = softkey.Tail(0) })
			expect(t, "junk", stranger.Call("POST", "/signin/passkey", junk), "422 wrong", "429 throttled")
		}
		expect(t, "her passkey", harness.Ceremony(t, s.client(), k, "/signin/passkey", nil), "200")
		begun := s.begun(anna)
		expect(t, "her passkey as second step", harness.Ceremony(t, begun.Clone(), k, "/signin/passkey", nil), "200")
		begun = s.begun(anna)
		s.forgetSteps()
		expect(t, "her code", begun.Call("POST", "/signin/totp", m{"code": harness.Code(t, secret, time.Now())}), "200")
	})
}
