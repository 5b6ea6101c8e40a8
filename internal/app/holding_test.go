package app_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
)

// What people have several of is renamed and removed in the same way, whatever it is.
var holdings = []string{"/account/totp", "/account/passkeys"}

// hold adds one in a fresh session and returns its path. All have the same name.
func (b *browser) hold(t tester, at string) string {
	t.Helper()
	if at == "/account/totp" {
		id, _ := b.enrol(t, "/account")
		return at + "/" + id
	}
	a := b.ceremony(t, b.w.key(), at, map[string]any{"name": "Phone"})
	if a.status != 200 {
		t.Fatalf("%v", a)
	}
	return at + "/" + a.field("id")
}

// fresh is somebody new with a fresh session.
func (w *world) fresh(t tester, login string) *browser {
	t.Helper()
	w.add(t, login, annsPassword)
	b := w.browser()
	b.signIn(t, login, annsPassword, "signed_in")
	b.stepUp(t, "password", "password", annsPassword)
	return b
}

// has says whether a path is still there.
func (b *browser) holds(path string) bool { return b.api("GET", path+"/name").status == 200 }

// P2, T4
func TestANameStandsOnOneLine(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		bad := []string{"", " ", "\t\n ", "\u2028", "a\nb", "a\rb", "a\tb", "a\u0085b", "a\u2028b", "a\u2029b", "a\x00b", "\x1b[31mred", "a\u007fb",
			strings.Repeat("x", 61), strings.Repeat("😀", 61)}
		for _, at := range holdings {
			path := b.hold(t, at)
			for _, name := range bad {
				for face, send := range map[string]func(string, string, ...string) answer{"api": b.api, "page": b.form} {
					if a := send("POST", path+"/name", "name", name); a.status != 422 {
						t.Errorf("%s, %s, %q: %v", at, face, name, a)
					}
				}
			}
			if a := b.api("GET", path+"/name"); a.field("name") != "Phone" {
				t.Error("it has a bad name: ", a)
			}
			for sent, kept := range map[string]string{"  Work  ": "Work", "1Password “home” 🔑": "1Password “home” 🔑", strings.Repeat("😀", 60): strings.Repeat("😀", 60)} {
				if a := b.api("POST", path+"/name", "name", sent); a.status != 204 {
					t.Errorf("%s, %q: %v", at, sent, a)
				}
				if a := b.api("GET", path+"/name"); a.field("name") != kept {
					t.Errorf("%s, %q: %v", at, sent, a)
				}
			}
		}
		for _, name := range bad {
			a := b.ceremony(t, w.key(), "/account/passkeys", map[string]any{"name": name})
			// None at all is well when one is added: it is then called by its maker or browser.
			if empty := strings.TrimSpace(name) == ""; empty != (a.status == 200) || !empty && a.status != 422 {
				t.Errorf("a new one, %q: %v", name, a)
			}
		}
	})
}

// R1: to everybody else it is not there.
func TestWhatSomebodyElseHoldsIsNotFound(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, eve := w.fresh(t, annsLogin), w.fresh(t, "eve@example.com")
		for _, at := range holdings { // so that nothing of hers is the last one
			eve.hold(t, at)
		}
		for i, at := range holdings {
			path := b.hold(t, at)
			b.hold(t, at)
			id := path[len(at):]
			for name, c := range map[string]struct {
				who  *browser
				path string
			}{
				"of somebody else":         {eve, path},
				"of nobody":                {eve, at + "/NOBODYHASTHIS"},
				"of another kind":          {b, holdings[1-i] + id},
				"with a space behind":      {b, path + "%20"},
				"with something behind it": {b, path + "%00"},
			} {
				for what, a := range map[string]answer{
					"name": c.who.api("GET", c.path+"/name"), "rename": c.who.api("POST", c.path+"/name", "name", "Mine"),
					"before removal": c.who.api("GET", c.path+"/remove"), "removal": c.who.api("DELETE", c.path),
					"name on a page": c.who.form("GET", c.path+"/name"), "rename on a page": c.who.form("POST", c.path+"/name", "name", "Mine"),
					"before removal on a page": c.who.form("GET", c.path+"/remove"), "removal on a page": c.who.form("DELETE", c.path),
				} {
					if a.status != 404 && !(a.status == 422 && strings.HasSuffix(c.path, "%00")) {
						t.Errorf("%s %s, %s: %v", at, name, what, a)
					}
				}
			}
			if a := b.api("GET", path+"/name"); a.field("name") != "Phone" {
				t.Error(at, ": it was touched: ", a)
			}
		}
	})
}

// T3: an authenticator that waits for its first code does not exist yet, and waits on.
func TestWhatWasNeverConfirmedIsNotHeld(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		b.hold(t, "/account/passkeys")
		begun := b.api("POST", "/account/totp")
		path := "/account/totp/" + begun.field("id")
		for what, a := range map[string]answer{
			"name": b.api("GET", path+"/name"), "rename": b.api("POST", path+"/name", "name", "Mine"),
			"before removal": b.api("GET", path+"/remove"), "removal": b.api("DELETE", path),
		} {
			if a.status != 404 {
				t.Errorf("%s: %v", what, a)
			}
		}
		if a := b.api("POST", path, "code", codeAt(begun.field("secret"), w.now()), "name", "Phone"); a.status != 200 {
			t.Error(a)
		}
	})
}

// F2: whichever removal comes first, the other finds the last one.
func TestOfTwoRemovalsAtOnceOneLeavesTheLast(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		for n, pair := range [][2]string{{"/account/totp", "/account/totp"}, {"/account/passkeys", "/account/passkeys"}, {"/account/totp", "/account/passkeys"}} {
			for round := range 5 {
				b := w.fresh(t, fmt.Sprintf("ann%d-%d@example.com", n, round))
				paths := []string{b.hold(t, pair[0]), b.hold(t, pair[1])}
				var requests []func() answer
				for _, path := range paths {
					twin := &browser{w: w, jar: maps.Clone(b.jar), address: b.address}
					requests = append(requests, func() answer { return twin.api("DELETE", path) })
				}
				gone := 0
				for _, a := range atOnce(requests...) {
					if a.status == 204 {
						gone++
					} else if a.problem() != "last-factor" {
						t.Error(pair, a)
					}
				}
				if gone != 1 || b.holds(paths[0]) == b.holds(paths[1]) {
					t.Errorf("%v: %d gone", pair, gone)
				}
			}
		}
	})
}

// F1
func TestARemovalEndsAllOtherSessionsAndKeepsThisOne(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		for _, at := range holdings {
			login := "ann" + strings.ReplaceAll(at, "/", ".") + "@example.com"
			b := w.fresh(t, login)
			k := w.key()
			b.addPasskey(t, k)
			gone, stays := b.hold(t, at), b.hold(t, at)
			elsewhere, pending := w.browser(), w.browser()
			if a := elsewhere.ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
				t.Fatal(a)
			}
			pending.signIn(t, login, annsPassword, "second_factor")
			if a := b.api("DELETE", gone); a.status != 204 {
				t.Fatal(a)
			}
			if b.holds(gone) || !b.holds(stays) {
				t.Error(at, ": the wrong one is gone")
			}
			if a := elsewhere.session(); a.status != 401 {
				t.Error(at, ": another session: ", a)
			}
			if a := pending.ceremony(t, k, "/signin/passkey", nil); a.problem() != "expired" {
				t.Error(at, ": a sign-in under way: ", a)
			}
			if a := b.session(); a.status != 200 {
				t.Error(at, ": this one: ", a)
			}
			if a := b.api("DELETE", gone); a.status != 404 {
				t.Error(at, ": it is removed twice: ", a)
			}
		}
	})
}

// F2
func TestTheLastFactorIsRemovedOnlyWherePolicyLetsItGo(t *testing.T) {
	for name, c := range map[string]struct {
		set    func(*config.Config)
		off    bool // the person switched MFA off before
		status int
	}{
		"refuse":                 {func(*config.Config) {}, false, 409},
		"refuse, while MFA off":  {func(*config.Config) {}, true, 204},
		"warn":                   {warn, false, 204},
		"required":               {required, false, 409},
		"required, warn":         {func(c *config.Config) { required(c); warn(c) }, false, 409},
		"required, within grace": {func(c *config.Config) { required(c); c.Policy.GraceDays = 7 }, false, 409},
		"off":                    {mfaOff, false, 204},
	} {
		t.Run(name, func(t *testing.T) {
			w := inSQLite(t)
			for _, at := range holdings {
				login := "ann" + strings.ReplaceAll(at, "/", ".") + "@example.com"
				b := w.fresh(t, login)
				path := b.hold(t, at)
				if c.off {
					b.api("POST", "/account/mfa/disable", "password", string(annsPassword))
				}
				other := w.browser() // begun before the rules changed
				other.jar = maps.Clone(b.jar)
				c.set(&w.config)
				w.restart(t)
				before, page := b.api("GET", path+"/remove"), b.form("GET", path+"/remove")
				a := b.api("DELETE", path)
				if c.status == 204 {
					if before.status != 200 || len(before.fields["left"].([]any)) > 0 || page.status != 200 || a.status != 204 || b.holds(path) {
						t.Errorf("%s: %v\n%v\n%v", at, before, page, a)
					}
				} else {
					for _, a := range []answer{before, a} {
						if a.status != 409 || a.problem() != "last-factor" || !b.holds(path) {
							t.Errorf("%s: %v", at, a)
						}
					}
					if page.status != 409 {
						t.Error(page)
					}
					if rows := w.events(t, idOf(t, w, login), auth.FactorRemoved); len(rows) > 0 {
						t.Errorf("%s: a row of what did not happen: %v", at, rows)
					}
					if a := other.session(); a.status != 200 {
						t.Errorf("%s: a refused removal ended a session: %v", at, a)
					}
				}
				w.config.Policy = config.Default().Policy
				w.restart(t)
			}
		})
	}
}

// F2: what the next sign-in asks for instead is said before. That is nothing that counts no more, and nothing at all
// once MFA is off.
func TestARemovalSaysWhatIsLeft(t *testing.T) {
	w := inSQLite(t)
	b := w.fresh(t, annsLogin)
	app, one := b.hold(t, "/account/totp"), b.hold(t, "/account/passkeys")
	b.api("POST", app+"/name", "name", "App")
	b.api("POST", one+"/name", "name", "Key")
	left := func(path string) string { return fmt.Sprint(b.api("GET", path+"/remove").fields["left"]) }
	if left(app) != "[Key]" || left(one) != "[App]" {
		t.Error(left(app), left(one))
	}
	b.api("POST", "/account/mfa/disable", "password", string(annsPassword))
	if left(app) != "[]" || left(one) != "[]" {
		t.Errorf("while MFA is off, %s is left of the app and %s of the passkey", left(app), left(one))
	}
	b.api("POST", "/account/mfa/enable")
	w.config.Policy.LastFactor = "warn"
	w.config.Passkeys.Use = "disabled"
	w.restart(t)
	if left(app) != "[]" || left(one) != "[App]" {
		t.Errorf("where passkeys are not used, %s is left of the app and %s of the passkey", left(app), left(one))
	}
}

// Each change leaves a row with the kind and the name, and what was refused leaves none.
func TestEveryChangeOfWhatOneHoldsIsOnRecord(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		for at, kind := range map[string]string{"/account/totp": "totp", "/account/passkeys": "passkey"} {
			login := kind + "@example.com"
			b := w.fresh(t, login)
			u := idOf(t, w, login)
			path := b.hold(t, at)
			b.hold(t, at)
			w.wait(time.Second)
			b.api("POST", path+"/name", "name", "Work")
			b.api("POST", path+"/name", "name", "a\nb")
			b.api("POST", at+"/NOBODYHASTHIS/name", "name", "Ghost")
			b.api("DELETE", at+"/NOBODYHASTHIS")
			if a := b.api("DELETE", path); a.status != 204 {
				t.Fatal(a)
			}
			for event, want := range map[auth.EventKind]string{
				auth.FactorAdded:   fmt.Sprintf("[map[factor:%s name:Phone] map[factor:%s name:Phone]]", kind, kind),
				auth.FactorRenamed: fmt.Sprintf("[map[factor:%s name:Work old:Phone]]", kind),
				auth.FactorRemoved: fmt.Sprintf("[map[factor:%s name:Work]]", kind),
			} {
				rows := w.events(t, u, event)
				for _, row := range rows {
					if event == auth.FactorAdded && row["id"] == "" {
						t.Error("it does not say which: ", row)
					}
					delete(row, "id")
				}
				if fmt.Sprint(rows) != want {
					t.Errorf("%s: %v, want %s", event, rows, want)
				}
			}
		}
	})
}
