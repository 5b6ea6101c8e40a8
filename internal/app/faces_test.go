package app_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/user"
	"sallyport/internal/visit"
)

const password = "correct horse battery"

func addUser(t *testing.T, a *app.App, login string) auth.User {
	t.Helper()
	u, err := user.New(auth.UserID("u-"+login), login, "Somebody", auth.Member, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	hashed, err := a.Passwords.Prepare(t.Context(), u, password)
	if err != nil {
		t.Fatal(err)
	}
	err = a.DB.Tx(t.Context(), func(tx auth.Tx) error {
		if err := a.Users.Add(t.Context(), tx, u); err != nil {
			return err
		}
		return a.Passwords.Set(t.Context(), tx, u.ID, hashed)
	})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// ask sends a request as a form or as JSON and keeps no cookies.
func ask(a *app.App, method, path, body string, cookies ...http.Cookie) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "http://localhost:8080"+path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if strings.HasPrefix(path, "/api/") {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, c := range cookies {
		req.AddCookie(&c)
	}
	w := httptest.NewRecorder()
	a.Site.ServeHTTP(w, req)
	return w
}

// signedIn is a session with the password alone.
func signedIn(t *testing.T, a *app.App, login string, with ...http.Cookie) http.Cookie {
	t.Helper()
	return cookie(t, ask(a, "POST", "/api/v1/signin", `{"login":"`+login+`","password":"`+password+`"}`, with...), visit.SessionCookie)
}

// makesPasskeys is set in a browser that can: whoever signs in there is offered one.
var makesPasskeys = http.Cookie{Name: "passkeys", Value: "yes"}

func cookie(t *testing.T, w *httptest.ResponseRecorder, name string) http.Cookie {
	t.Helper()
	for _, c := range w.Result().Cookies() {
		if c.Name == name && c.Value != "" {
			return *c
		}
	}
	t.Fatalf("no cookie %s: %d %s", name, w.Code, w.Body)
	return http.Cookie{}
}

// refused is what somebody was refused, the same word on both faces, or "" if it went on.
func refused(w *httptest.ResponseRecorder) string {
	switch to := w.Header().Get("Location"); {
	case strings.HasPrefix(to, "/signin?return_to"):
		return "not-signed-in"
	case w.Code < 400:
		return ""
	case strings.Contains(w.Header().Get("Content-Type"), "json"):
		_, kind, _ := strings.Cut(w.Body.String(), "/problems/")
		kind, _, _ = strings.Cut(kind, `"`)
		return kind
	}
	return map[int]string{401: "expired", 403: "step-up", 404: "not-found", 409: "conflict", 422: "invalid"}[w.Code]
}

// What the page refuses, the API refuses: every route, for nobody, for a pending sign-in, for a session that has not
// stepped up, and for one that was offered a passkey. R1, S2, U1, P9
func TestBothFacesRefuseTheSamePeople(t *testing.T) {
	a := start(t, coded, byMail)
	addUser(t, a, "ada@example.com")
	eve := addUser(t, a, "eve@example.com")
	enrolled(t, a, eve)
	pending := cookie(t, ask(a, "POST", "/api/v1/signin", `{"login":"eve@example.com","password":"`+password+`"}`), visit.PendingCookie)
	addUser(t, a, "kim@example.com")
	session, offered := signedIn(t, a, "ada@example.com"), signedIn(t, a, "kim@example.com", makesPasskeys)
	for _, who := range []struct {
		name   string
		cookie http.Cookie
		opens  []visit.Guard
	}{
		{"nobody", http.Cookie{Name: "x", Value: "y"}, []visit.Guard{visit.Public, visit.Arriving}},
		{"a pending sign-in", pending, []visit.Guard{visit.Public, visit.Arriving, visit.Pending}},
		{"a pending sign-in as session", http.Cookie{Name: visit.SessionCookie, Value: pending.Value}, []visit.Guard{visit.Public, visit.Arriving}},
		{"a session as pending sign-in", http.Cookie{Name: visit.PendingCookie, Value: session.Value}, []visit.Guard{visit.Public}},
		{"a session without step-up", session, []visit.Guard{visit.Public, visit.Arriving, visit.SignedIn}},
		{"a session with an offer", offered, []visit.Guard{visit.Public, visit.Arriving, visit.SignedIn, visit.Offered}},
	} {
		for _, r := range a.Site.Routes() {
			if r.Method == "DELETE" && r.API == "/api/v1/session" || r.API == "/api/v1/signin" && r.Method == "DELETE" || r.API == "/api/v1/account/sessions" {
				continue // would end what we try with
			}
			if strings.HasSuffix(r.API, "/offer/later") {
				continue // the same
			}
			if r.Guard == visit.Arriving && who.cookie.Name == visit.PendingCookie && who.cookie.Value != pending.Value {
				continue // a sign-in that is no more is told so after the body was read
			}
			fill := strings.NewReplacer("{id}", "nothing")
			api := refused(ask(a, r.Method, fill.Replace(r.API), "{}", who.cookie))
			open := false
			for _, g := range who.opens {
				open = open || g == r.Guard
			}
			if open && strings.HasPrefix(r.API, "/api/v1/stepup/") && strings.HasSuffix(r.API, "/send") && api == "step-up" {
				continue // they get no codes, and are told what they can prove with instead
			}
			guards := api == "not-signed-in" || api == "expired" || api == "step-up" || api == "forbidden"
			if guards == open {
				t.Errorf("%s: %s %s (%s) answers %q", who.name, r.Method, r.API, r.Guard, api)
			}
			if r.Page == "" {
				continue
			}
			method, path, _ := strings.Cut(r.Page, " ")
			page := refused(ask(a, method, fill.Replace(path), url.Values{}.Encode(), who.cookie))
			if guards && page != api && !(api == "forbidden" && page == "step-up") {
				t.Errorf("%s: %s %s says %q, the page %q", who.name, r.Method, r.API, api, page)
			}
		}
	}
}

// withPasskey gives somebody a passkey that nothing verifies.
func withPasskey(t *testing.T, a *app.App, u auth.User) {
	t.Helper()
	ctx := context.Background()
	err := a.DB.Tx(ctx, func(tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO passkey_people (user_id, handle) VALUES ($1, $2)`, u.ID, []byte("handle of "+u.ID))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO passkeys (id, user_id, credential_id, public_key, rp_id, name, aaguid, format, attestation, transports,
			sign_count, backup_eligible, backed_up, added_at) VALUES ('k1', $1, $2, $3, 'localhost', 'Laptop', $4, 'none', 'none', '', 0, FALSE, FALSE, 1)`,
			u.ID, []byte("credential of "+u.ID), []byte("no key"), make([]byte, 16))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// withPhone gives somebody a number that they get codes at.
func withPhone(t *testing.T, a *app.App, u auth.User) {
	t.Helper()
	ctx := context.Background()
	err := a.DB.Tx(ctx, func(tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO contacts (id, user_id, kind, destination, destination_key, preferred, added_at)
			VALUES ('c1', $1, 'sms', $2, $2, TRUE, 1)`, u.ID, annPhone)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// enrolled gives somebody an authenticator that no code fits.
func enrolled(t *testing.T, a *app.App, u auth.User) {
	t.Helper()
	err := a.DB.Tx(context.Background(), func(tx auth.Tx) error {
		_, err := tx.ExecContext(context.Background(), `INSERT INTO totp (id, user_id, secret, name, confirmed, added_at) VALUES ('t1', $1, $2, 'Phone', TRUE, 1)`, u.ID, []byte("sealed"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every route that names a throttle is refused sooner or later, whatever it is sent. R3
func TestEveryThrottleBites(t *testing.T) {
	set := func(c *config.Config) {
		c.Password.MemoryKiB, c.Password.Iterations = 64, 1
		c.Passkeys.AlsoPassword = true
		coded(c)
		byMail(c)
	}
	for _, r := range start(t, set).Site.Routes() {
		if r.Throttle == "" || r.Guard == visit.Pending || strings.HasSuffix(r.API, "/totp/{id}") {
			continue // tried by the journeys, which have something to confirm
		}
		t.Run(r.API, func(t *testing.T) {
			a := start(t, set, func(c *config.Config) {
				if r.Guard == visit.Enrolling {
					required(c)
				}
			})
			u := addUser(t, a, "ada@example.com")
			if err := a.DB.Tx(t.Context(), func(tx auth.Tx) error { return a.Users.SetContact(t.Context(), tx, u.ID, u.Email, annPhone, "") }); err != nil {
				t.Fatal(err)
			}
			var who http.Cookie
			switch {
			case r.Guard == visit.Enrolling:
				who = cookie(t, ask(a, "POST", "/api/v1/signin", `{"login":"ada@example.com","password":"`+password+`"}`), visit.PendingCookie)
			case r.Guard == visit.Offered:
				who = signedIn(t, a, "ada@example.com", makesPasskeys)
			case r.API == "/api/v1/signin/mailed/code":
				who = cookie(t, ask(a, "POST", "/api/v1/signin/mailed", `{"login":"ada@example.com"}`), visit.MailedCookie)
			default:
				who = signedIn(t, a, "ada@example.com")
			}
			switch {
			case strings.Contains(r.API, "stepup/totp"):
				enrolled(t, a, u)
			case strings.Contains(r.API, "stepup/passkey"):
				withPasskey(t, a, u)
			case strings.Contains(r.API, "stepup/sms"):
				withPhone(t, a, u)
			case r.Guard == visit.Fresh:
				who = cookie(t, ask(a, "POST", "/api/v1/stepup/password", `{"password":"`+password+`"}`, who), visit.SessionCookie)
			}
			body := map[string]string{
				"/api/v1/signin":           `{"login":"ada@example.com","password":"wrong"}`,
				"/api/v1/stepup/totp":      `{"code":"000000"}`,
				"/api/v1/account/password": `{"current":"wrong","password":"another good long one"}`,
			}[r.API]
			switch {
			case strings.Contains(r.API, "passkey") && !strings.HasSuffix(r.API, "/options"):
				body = `{"credential":{}}`
			case strings.HasSuffix(r.API, "/code"):
				body = `{"code":"0000-0000"}`
			case strings.Contains(r.API, "stepup/sms"):
				body = `{"code":"000000"}`
			case body == "":
				body = `{"password":"wrong"}`
			}
			most := 11
			if r.Guard == visit.Arriving || r.Throttle == "setup" || strings.Contains(r.API, "mailed") { // nobody's account, so their address; or nothing is opened
				most = 31
			}
			for n := range most {
				w := ask(a, r.Method, r.API, body, who)
				if w.Code == 429 && n > 8 {
					if w.Header().Get("Retry-After") == "" {
						t.Error("it does not say when to come back")
					}
					return
				}
				if w.Code < 400 {
					t.Fatalf("number %d: %d %s", n+1, w.Code, w.Body)
				}
			}
			t.Errorf("%d wrong guesses were all checked", most)
		})
	}
}
