package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/visit"
)

// A session is one kind of sign-in that is over: who came in how, and what they are asked for before a dangerous act.
type session struct {
	accepts string // kinds of proof, in order; empty: there is no session at all
	arrive  func(t *testing.T, w *world) (b *browser, prove func())
}

// byCode proves again with an authenticator.
func (b *browser) byCode(t *testing.T, key string) func() {
	return func() {
		b.w.wait(time.Minute)
		b.stepUp(t, "totp", "code", auth.Secret(codeAt(key, b.w.now())))
	}
}

func (b *browser) byPassword(t *testing.T) func() {
	return func() { b.stepUp(t, "password", "password", annsPassword) }
}

// sessions are all kinds there are.
var sessions = map[string]session{
	"nobody": {"", func(t *testing.T, w *world) (*browser, func()) { return w.browser(), nil }},
	"half signed in": {"", func(t *testing.T, w *world) (*browser, func()) {
		withApp(t, w)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		return b, nil
	}},
	"a password, and nothing stronger": {"password", func(t *testing.T, w *world) (*browser, func()) {
		w.add(t, annsLogin, annsPassword)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		return b, b.byPassword(t)
	}},
	"a password, with an authenticator switched off": {"totp", func(t *testing.T, w *world) (*browser, func()) {
		b, key := withApp(t, w)
		if a := b.api("POST", "/account/mfa/disable", "password", string(annsPassword)); a.status >= 300 {
			t.Fatal(a)
		}
		b = w.browser()
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		return b, b.byCode(t, key)
	}},
	"a mailed code, and nothing stronger": {"password", func(t *testing.T, w *world) (*browser, func()) {
		w.withMail(t)
		w.wait(time.Hour) // of messages at one moment none is the newest
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		b.code(t, "email", annsLogin)
		return b, b.byPassword(t)
	}},
	"a mailed code, with an authenticator": {"totp", func(t *testing.T, w *world) (*browser, func()) {
		b := w.withMail(t)
		_, key := b.enrol(t, "/account")
		w.wait(time.Hour)
		b = w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		b.api("POST", "/signin/email/send")
		b.code(t, "email", annsLogin)
		return b, b.byCode(t, key)
	}},
	"a mailed code alone, with an authenticator switched off": {"totp", func(t *testing.T, w *world) (*browser, func()) {
		b := w.withMail(t)
		_, key := b.enrol(t, "/account")
		if a := b.api("POST", "/account/mfa/disable", "password", string(annsPassword)); a.status >= 300 {
			t.Fatal(a)
		}
		w.wait(time.Hour)
		b = w.browser()
		b.api("POST", "/signin/mailed", "login", annsLogin)
		if a := b.api("POST", "/signin/mailed/code", "code", w.code(t, annsLogin)); a.field("state") != "signed_in" {
			t.Fatal(a)
		}
		return b, b.byCode(t, key)
	}},
	"a code by SMS": {"sms password", func(t *testing.T, w *world) (*browser, func()) {
		u := w.add(t, annsLogin, annsPassword)
		w.contact(t, u, annsLogin, annPhone)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		b.stepUp(t, "password", "password", annsPassword)
		b.prove(t, "sms", annPhone)
		w.wait(time.Hour)
		b = w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		b.code(t, "sms", annPhone)
		return b, b.byPassword(t)
	}},
	"an authenticator": {"totp password", func(t *testing.T, w *world) (*browser, func()) {
		_, key := withApp(t, w)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		b.finish(t, "totp", codeAt(key, w.now()))
		return b, b.byPassword(t)
	}},
	"a password, in a trusted browser": {"totp", func(t *testing.T, w *world) (*browser, func()) {
		_, key := withApp(t, w)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		b.finish(t, "totp", codeAt(key, w.now()))
		if a := b.send("POST", "/api/v1/signin/done", "application/json", `{"trust":true}`); a.status != 200 {
			t.Fatal(a)
		}
		b.api("DELETE", "/session")
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		return b, b.byCode(t, key)
	}},
	"a backup code": {"totp password", func(t *testing.T, w *world) (*browser, func()) {
		b, _ := withApp(t, w)
		codes, _ := b.api("POST", "/account/backupcode").fields["codes"].([]any)
		b = w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		b.finish(t, "backupcode", codes[0].(string))
		return b, b.byPassword(t)
	}},
	"an access pass": {"totp", func(t *testing.T, w *world) (*browser, func()) {
		_, key := withApp(t, w)
		pass := w.given(t, w.find(t, annsLogin))
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		b.finish(t, "accesspass", pass)
		return b, b.byCode(t, key)
	}},
	"a code to the address of the account": {"totp", func(t *testing.T, w *world) (*browser, func()) {
		_, key := withApp(t, w)
		b := w.comeWeakly(t, annsLogin)
		return b, b.byCode(t, key)
	}},
	"a passkey alone, with user verification": {"passkey password", func(t *testing.T, w *world) (*browser, func()) {
		_, k := withKey(t, w)
		b := w.browser()
		if a := b.ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Fatal(a)
		}
		return b, func() {
			if a := b.ceremony(t, k, "/stepup/passkey", nil); a.status != 200 {
				t.Fatal(a)
			}
		}
	}},
	"a passkey that was touched": {"passkey password", func(t *testing.T, w *world) (*browser, func()) {
		_, k := withKey(t, w)
		k.UV = false
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		if a := b.ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Fatal(a)
		}
		return b, b.byPassword(t)
	}},
}

// withMail is ann with codes by email, in a browser that is signed in and fresh.
func (w *world) withMail(t *testing.T) *browser {
	t.Helper()
	w.add(t, annsLogin, annsPassword)
	b := w.browser()
	b.signIn(t, annsLogin, annsPassword, "signed_in")
	b.stepUp(t, "password", "password", annsPassword)
	b.prove(t, "email", annsLogin)
	w.wait(time.Hour)
	b = w.browser()
	b.signIn(t, annsLogin, annsPassword, "second_factor")
	b.code(t, "email", annsLogin)
	b.stepUp(t, "password", "password", annsPassword)
	return b
}

// code finishes a sign-in with the code that was sent.
func (b *browser) code(t *testing.T, kind, to string) {
	t.Helper()
	b.finish(t, kind, b.w.code(t, to))
}

func (b *browser) finish(t *testing.T, kind, code string) {
	t.Helper()
	if a := b.api("POST", "/signin/"+kind, "code", code); a.field("state") != "signed_in" {
		t.Fatal(a)
	}
}

type dangerous struct {
	method, path string
	hasPage      bool
}

// dangerous are all routes that ask for a fresh proof first.
func (w *world) dangerous() (all []dangerous) {
	for _, r := range w.Site.Routes() {
		if strings.HasSuffix(string(r.Guard), string(visit.Fresh)) {
			path := strings.NewReplacer("{id}", "x").Replace(strings.TrimPrefix(r.API, "/api/v1"))
			all = append(all, dangerous{r.Method, path, r.Page != ""})
		}
	}
	return all
}

// Every route that changes a factor, a password, an address or whom to trust asks every kind of session for the
// strongest its person has, on both faces, however short ago the sign-in was.
//
// U1, U2, R2, L3, R7
func TestEveryDangerousActAsksEverySessionForTheStrongest(t *testing.T) {
	for name, s := range sessions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := inSQLite(t, coded, byMail, recovering)
			b, prove := s.arrive(t, w)
			if s.accepts != "" {
				w.promote(t, w.find(t, annsLogin), auth.Owner) // who may do all there is
			}
			if len(w.dangerous()) < 50 {
				t.Error("dangerous: ", w.dangerous())
			}
			for _, r := range w.dangerous() {
				a := b.api(r.method, r.path)
				page := a
				if r.hasPage {
					page = b.form(r.method, r.path)
				}
				switch {
				case s.accepts == "" && (a.problem() != "not-signed-in" || r.hasPage && (page.status != 303 || !strings.HasPrefix(page.location, "/signin"))):
					t.Errorf("%s %s: %v\n%v", r.method, r.path, a, page)
				case s.accepts != "" && (a.problem() != "step-up" || a.accepts() != s.accepts):
					t.Errorf("%s %s accepts %q, want %q: %v", r.method, r.path, a.accepts(), s.accepts, a)
				case s.accepts != "" && r.hasPage && (page.status != a.status || !strings.Contains(page.body, "Confirm it’s you")):
					t.Errorf("%s %s on the page: %v", r.method, r.path, page)
				}
			}
			if prove == nil {
				return
			}
			prove()
			for _, r := range w.dangerous() {
				if r.method != "GET" { // which would change what the next one needs
					continue
				}
				if a := b.api(r.method, r.path); a.problem() == "step-up" {
					t.Errorf("%s %s after a fresh proof: %v", r.method, r.path, a)
				}
			}
			w.wait(10*time.Minute + time.Second) // U3
			if a := b.api("GET", "/account/password"); a.problem() != "step-up" {
				t.Error("after the window: ", a)
			}
		})
	}
}

// accepts are the kinds of proof that an answer asks for.
func (a answer) accepts() string {
	var kinds []string
	all, _ := a.fields["accepts"].([]any)
	for _, one := range all {
		kind, _ := one.(map[string]any)["kind"].(string)
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return strings.Join(kinds, " ")
}

// harmless are the routes that change something for somebody who is signed in and ask for no fresh proof, and why.
var harmless = map[string]string{
	"POST /account":                      "a name",
	"POST /account/mfa/enable":           "more is asked for then, and where it is on already nothing happens",
	"POST /account/totp/{id}/name":       "a name",
	"POST /account/passkeys/{id}/name":   "a name",
	"POST /admin/users/bulk/preview":     "it says what would happen, and takes it back",
	"DELETE /session":                    "less is open then",
	"DELETE /account/sessions":           "less is open then",
	"DELETE /account/sessions/{id}":      "less is open then",
	"DELETE /account/trusted":            "more is asked for then",
	"DELETE /account/trusted/{id}":       "more is asked for then",
	"POST /signin/done":                  "a second step was proved a moment ago, which the server checks (R1)",
	"POST /account/passkeys/offer/later": "it refuses an offer",
	"POST /account/recovery":             "it begins a wait that everybody is told of (L3)",
	"DELETE /account/recovery":           "it ends that",
	"POST /stepup/password":              "it is the proof",
	"POST /stepup/totp":                  "it is the proof",
	"POST /stepup/passkey":               "it is the proof",
	"POST /stepup/passkey/options":       "it asks for the proof",
	"POST /stepup/sms":                   "it is the proof",
	"POST /stepup/sms/send":              "it asks for the proof",

	"POST /admin/workgroups/{id}/preview":            "it says what would happen, and stores nothing",
	"POST /admin/policy/preview":                     "so does this",
	"POST /admin/messages/{language}/{name}/preview": "it shows what was typed and stores nothing",
}

// U1: a new route is dangerous unless somebody says here why it is not.
func TestWhatChangesSomethingAsksForAFreshProof(t *testing.T) {
	w := inSQLite(t, coded, byMail, recovering)
	for _, r := range w.Site.Routes() {
		route := r.Method + " " + strings.TrimPrefix(r.API, "/api/v1")
		stale := r.Guard == visit.SignedIn || r.Guard == visit.Staff || r.Guard == visit.Steward || r.Guard == visit.Administrator
		if stale && r.Method != "GET" && harmless[route] == "" {
			t.Errorf("%s changes something for whoever is signed in: guard it by what is fresh, or say above why not", route)
		}
	}
}
