package app_test

import (
	"testing"
	"time"

	"sallyport/internal/auth"
)

// What asks for the password of somebody who is in already, or half, has guesses of its own.

// insiders are all that ask so: somebody whom strangers have shut out at the door, and how they send a password.
var insiders = map[string]func(t tester, w *world) func(password auth.Secret) answer{
	"to step up": func(t tester, w *world) func(auth.Secret) answer {
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		return func(p auth.Secret) answer { return b.api("POST", "/stepup/password", "password", string(p)) }
	},
	"to change it": func(t tester, w *world) func(auth.Secret) answer {
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		b.stepUp(t, "password", "password", annsPassword)
		return func(p auth.Secret) answer {
			return b.api("POST", "/account/password", "current", string(p), "password", newPassword)
		}
	},
	"to switch MFA off": func(t tester, w *world) func(auth.Secret) answer {
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		b.stepUp(t, "password", "password", annsPassword)
		b.enrol(t, "/account")
		return func(p auth.Secret) answer { return b.api("POST", "/account/mfa/disable", "password", string(p)) }
	},
	"to add a passkey": func(t tester, w *world) func(auth.Secret) answer {
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		b.stepUp(t, "password", "password", annsPassword)
		return func(p auth.Secret) answer {
			return b.object("POST", "/account/passkeys/options", map[string]any{"password": string(p)})
		}
	},
}

// shutsTheDoor uses up what strangers have of guesses at Ann's password.
func (w *world) shutsTheDoor(t tester) {
	t.Helper()
	for range 11 { // from as many addresses
		w.browser().api("POST", "/signin", "login", annsLogin, "password", "wrong horse battery")
	}
	if a := w.browser().api("POST", "/signin", "login", annsLogin, "password", string(annsPassword)); a.status != 429 {
		t.Fatalf("the door is open: %v", a)
	}
}

// R3: strangers who know a login stop nobody who is inside.
func TestStrangersStopNobodyWhoIsInside(t *testing.T) {
	for name, inside := range insiders {
		t.Run(name, func(t *testing.T) {
			inWorlds(t, func(t *testing.T, w *world) {
				w.add(t, annsLogin, annsPassword)
				proves := inside(t, w)
				w.shutsTheDoor(t)
				if a := proves("wrong horse battery"); a.status != 422 {
					t.Error("a wrong password: ", a)
				}
				if a := proves(annsPassword); a.status/100 != 2 {
					t.Error("the right one: ", a)
				}
			}, alsoPassword)
		})
	}
}

// R3: a session gives ten guesses, for all that ask together; and who uses them up shuts nobody out at the door.
func TestWhoIsInsideHasNoMoreGuesses(t *testing.T) {
	for name, inside := range insiders {
		t.Run(name, func(t *testing.T) {
			inWorlds(t, func(t *testing.T, w *world) {
				w.add(t, annsLogin, annsPassword)
				proves := inside(t, w)
				other := w.browser()
				if name != "to switch MFA off" { // where more than a password would be asked for
					other.signIn(t, annsLogin, annsPassword, "signed_in")
				}
				for n := range 10 {
					if a := proves("wrong horse battery"); a.status != 422 {
						t.Fatal(n, a)
					}
				}
				if a := proves(annsPassword); a.status != 429 || a.header.Get("Retry-After") != "30" {
					t.Error("guess number eleven: ", a)
				}
				if name != "to switch MFA off" {
					if a := other.api("POST", "/stepup/password", "password", string(annsPassword)); a.status != 429 {
						t.Error("another session has more: ", a)
					}
				}
				if a := w.browser().api("POST", "/signin", "login", annsLogin, "password", string(annsPassword)); a.status != 200 {
					t.Error("the door is shut: ", a)
				}
				w.wait(31 * time.Second)
				if a := proves(annsPassword); a.status/100 != 2 {
					t.Error("after the wait: ", a)
				}
			}, alsoPassword)
		})
	}
}

// R3: nor somebody whom a mailed code brought half in. Five guesses end that as ever.
func TestStrangersDoNotStopASignInByAMailedCode(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.withCodes(t, annsLogin, "", "email")
		half := func() *browser {
			w.wait(time.Minute) // the newest message is the one of now
			b := w.browser()
			b.api("POST", "/signin/mailed", "login", annsLogin)
			if a := b.api("POST", "/signin/mailed/code", "code", w.code(t, annsLogin)); a.field("next") != "/signin/password" {
				t.Fatal(a)
			}
			return b
		}
		b := half()
		w.shutsTheDoor(t)
		if a := b.api("POST", "/signin/password", "password", string(annsPassword)); !a.in() {
			t.Error(a)
		}
		w.wait(time.Hour)
		b = half()
		for range 5 {
			if a := b.api("POST", "/signin/password", "password", "wrong horse battery"); a.status/100 != 4 {
				t.Error(a)
			}
		}
		if a := b.api("POST", "/signin/password", "password", string(annsPassword)); a.status != 401 {
			t.Error("guess number six: ", a)
		}
	}, coded, byMail)
}
