package app_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/secret"
	"sallyport/internal/user"
	"sallyport/internal/visit"
)

// A world is the whole server with a clock that a test moves. What its browsers send goes through everything that a
// request of a person goes through.
type world struct {
	*app.App
	config config.Config
	mu     sync.Mutex
	clock  time.Time
}

// worldOn opens a server on a database. Two on one database are two nodes with one clock each.
func worldOn(t *testing.T, address string, change ...func(*config.Config)) *world {
	t.Helper()
	w := &world{config: config.Default(), clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	w.config.Database, w.config.Data = address, t.TempDir()
	w.config.Password.MemoryKiB, w.config.Password.Iterations, w.config.Password.AtOnce = 8, 1, 64
	for _, f := range change {
		f(&w.config)
	}
	if err := secret.CreateRing(w.config.KeysPath(), time.Now()); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	w.restart(t)
	return w
}

// restart is the same server, started anew.
func (w *world) restart(t *testing.T) {
	t.Helper()
	if err := w.start(t); err != nil {
		t.Fatal(err)
	}
}

// start says why a server does not start.
func (w *world) start(t *testing.T) error {
	a, err := app.New(t.Context(), w.config, w.now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	t.Cleanup(func() { a.Close() })
	w.App = a
	return nil
}

// inWorlds runs a test on both databases.
func inWorlds(t *testing.T, test func(t *testing.T, w *world), change ...func(*config.Config)) {
	t.Helper()
	dbtest.EachAddress(t, app.Schemas, func(t *testing.T, address string) { test(t, worldOn(t, address, change...)) })
}

func inSQLite(t *testing.T, change ...func(*config.Config)) *world {
	t.Helper()
	return worldOn(t, filepath.Join(t.TempDir(), "test.db"), change...)
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func required(c *config.Config) { c.Policy.MFA = "required" }
func mfaOff(c *config.Config)   { c.Policy.MFA = "off" }
func warn(c *config.Config)     { c.Policy.LastFactor = "warn" }

// A tester is *testing.T or *rapid.T.
type tester interface {
	Helper()
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

// add makes a person with a password.
func (w *world) add(t tester, login string, password auth.Secret) auth.User {
	t.Helper()
	ctx := visitless
	u, err := user.New(auth.UserID(secret.NewID()), login, "Somebody", auth.Member, w.now())
	if err != nil {
		t.Fatalf("%v", err)
	}
	hashed, err := w.Passwords.Prepare(ctx, u, password)
	if err != nil {
		t.Fatalf("%v", err)
	}
	err = w.DB.Tx(ctx, func(tx auth.Tx) error {
		return errors.Join(w.Users.Add(ctx, tx, u), w.Passwords.Set(ctx, tx, u.ID, hashed))
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return u
}

// resetMFA is what the command line does for somebody locked out, but for the pass that it leaves.
func (w *world) resetMFA(t tester, u auth.UserID) {
	t.Helper()
	err := w.DB.Tx(visitless, func(tx auth.Tx) error {
		err := w.Sessions.RevokeOthers(visitless, tx, u, "")
		for _, f := range w.Roster.Second() {
			err = errors.Join(err, f.(auth.Resetter).Reset(visitless, tx, u))
		}
		return errors.Join(err, w.Throttle.Forget(visitless, tx, u))
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
}

func (w *world) disable(t tester, u auth.UserID) {
	t.Helper()
	if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.Disable(visitless, tx, u) }); err != nil {
		t.Fatalf("%v", err)
	}
}

// events are the details of what happened to a person, of one kind. Nobody is "".
func (w *world) events(t tester, u auth.UserID, kind auth.EventKind) (details []map[string]string) {
	t.Helper()
	all, err := w.Trail.Recent(visitless, u, 1000)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, e := range all {
		if e.Kind == kind {
			details = append(details, e.Detail)
		}
	}
	return details
}

// A browser keeps cookies and has an address of its own.
type browser struct {
	w       *world
	jar     map[string]string
	address string
}

var addresses atomic.Uint32

func (w *world) browser() *browser {
	n := addresses.Add(1)
	return &browser{w: w, jar: map[string]string{}, address: fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)}
}

// An answer is what came back, with its fields if it is JSON.
type answer struct {
	status   int
	location string
	body     string
	header   http.Header
	cookies  map[string]string
	fields   map[string]any
	sent     map[string]string // the cookies of the request
}

func (a answer) String() string {
	return fmt.Sprintf("%d %s %.300s", a.status, a.location, a.body)
}

func (a answer) field(name string) string { s, _ := a.fields[name].(string); return s }

// leads is the address that a sign-in leads to in the end: past the pages that offer to trust the browser (R1) and to set a
// factor up in time.
func (a answer) leads() string {
	to := a.location + a.field("next")
	if u, err := url.Parse(to); err == nil && (u.Path == "/signin/done" || u.Path == "/signin/due") {
		return u.Query().Get("return_to")
	}
	return to
}

// problem is the last word of the problem type, "" if there is none.
func (a answer) problem() string {
	t := a.field("type")
	return t[strings.LastIndexByte(t, '/')+1:]
}

func (b *browser) send(method, path, mime, body string) answer {
	r := httptest.NewRequest(method, b.w.config.URL+path, strings.NewReader(body))
	r.RemoteAddr = b.address + ":4711"
	if method != "GET" {
		r.Header.Set("Content-Type", mime)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, value := range b.jar {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	rec := httptest.NewRecorder()
	b.w.Site.ServeHTTP(rec, r)
	a := answer{status: rec.Code, location: rec.Header().Get("Location"), body: rec.Body.String(), header: rec.Header(), cookies: map[string]string{}, sent: maps.Clone(b.jar)}
	for _, c := range rec.Result().Cookies() {
		a.cookies[c.Name] = c.Value
		if b.jar[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.jar, c.Name)
		}
	}
	json.Unmarshal(rec.Body.Bytes(), &a.fields)
	return a
}

// api speaks JSON. Pairs are names and values.
func (b *browser) api(method, path string, pairs ...string) answer {
	fields := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		fields[pairs[i]] = pairs[i+1]
	}
	body, _ := json.Marshal(fields) // strings
	return b.send(method, "/api/v1"+path, "application/json", string(body))
}

// form is the same on a page. A browser can send GET and POST.
func (b *browser) form(method, path string, pairs ...string) answer {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	if method == "DELETE" {
		method, path = "POST", path+"/remove"
	}
	return b.send(method, path, "application/x-www-form-urlencoded", form.Encode())
}

// session is the answer to "who am I".
func (b *browser) session() answer { return b.api("GET", "/session") }

func (b *browser) has(cookie string) bool { return b.jar[cookie] != "" }

// signIn is the first step, which must lead to a state.
func (b *browser) signIn(t tester, login string, password auth.Secret, state string) answer {
	t.Helper()
	a := b.api("POST", "/signin", "login", login, "password", string(password))
	if a.field("state") != state {
		t.Fatalf("state %q, want %q: %v", a.field("state"), state, a)
	}
	return a
}

// stepUp proves again, and must succeed.
func (b *browser) stepUp(t tester, kind, field string, response auth.Secret) {
	t.Helper()
	if a := b.api("POST", "/stepup/"+kind, field, string(response)); a.status != 200 {
		t.Fatalf("%v", a)
	}
}

// enrol adds an authenticator below a path and returns its id and secret.
func (b *browser) enrol(t tester, at string) (id, key string) {
	t.Helper()
	begun := b.api("POST", at+"/totp")
	id, key = begun.field("id"), begun.field("secret")
	if done := b.api("POST", at+"/totp/"+id, "code", codeAt(key, b.w.now()), "name", "Phone"); done.status != 200 {
		t.Fatalf("%v\n%v", begun, done)
	}
	return id, key
}

// codeAt is what an app shows: RFC 6238, written apart from the one under test.
func codeAt(key string, at time.Time) string {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(key)
	if err != nil {
		return "no key"
	}
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(at.Unix()/30))
	mac := hmac.New(sha1.New, raw)
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	from := sum[len(sum)-1] & 0x0f
	number := uint32(sum[from]&0x7f)<<24 | uint32(sum[from+1])<<16 | uint32(sum[from+2])<<8 | uint32(sum[from+3])
	return fmt.Sprintf("%06d", number%1_000_000)
}

// wrongCode is right at no time near now for any of the keys.
func wrongCode(now time.Time, keys ...string) string {
	for n := 0; ; n++ {
		code, near := fmt.Sprintf("%06d", n), false
		for _, key := range keys {
			for off := -2; off <= 2; off++ {
				near = near || codeAt(key, now.Add(time.Duration(off)*30*time.Second)) == code
			}
		}
		if !near {
			return code
		}
	}
}

const (
	sessionCookie = visit.SessionCookie
	pendingCookie = visit.PendingCookie
)
