package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
)

// readyToChange is somebody with two authenticators, in a fresh session of a browser that they trust.
func (w *world) readyToChange(t tester) (auth.User, *browser) {
	t.Helper()
	setUp := w.fresh(t, annsLogin)
	setUp.enrol(t, "/account")
	_, key := setUp.enrol(t, "/account")
	b := w.browser()
	b.arrive(t, annsLogin, key)
	if a := b.trusts(); a.status != 200 {
		t.Fatalf("%v", a)
	}
	w.wait(time.Minute)
	b.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now())))
	return w.find(t, annsLogin), b
}

// R4: whatever changes how an account is protected ends all trust in browsers, also in the one it was done with.
func TestTrustEndsWithAnyChangeOfTheAccount(t *testing.T) {
	ok := func(t tester, a answer) {
		t.Helper()
		if a.status/100 != 2 {
			t.Fatalf("%v", a)
		}
	}
	for name, change := range map[string]func(t tester, b *browser, u auth.User){
		"a new password": func(t tester, b *browser, u auth.User) {
			// The old one again, so that one helper signs in for all.
			for _, p := range [][2]auth.Secret{{annsPassword, newPassword}, {newPassword, annsPassword}} {
				ok(t, b.api("POST", "/account/password", "current", string(p[0]), "password", string(p[1])))
			}
		},
		"another authenticator":            func(t tester, b *browser, _ auth.User) { b.enrol(t, "/account") },
		"a passkey":                        func(t tester, b *browser, _ auth.User) { b.addPasskey(t, b.w.key()) },
		"an authenticator that is removed": func(t tester, b *browser, _ auth.User) { ok(t, b.api("DELETE", "/account/totp/"+aFactor(t, b))) },
		"codes by email":                   func(t tester, b *browser, u auth.User) { b.prove(t, "email", u.Login) },
		"codes by email, and off again": func(t tester, b *browser, u auth.User) {
			b.prove(t, "email", u.Login)
			ok(t, b.switchOff())
		},
		"MFA off, and on again": func(t tester, b *browser, _ auth.User) {
			ok(t, b.api("POST", "/account/mfa/disable", "password", string(annsPassword)))
			ok(t, b.api("POST", "/account/mfa/enable"))
		},
		"another email": func(t tester, b *browser, _ auth.User) {
			ok(t, b.api("POST", "/account/contact", "email", "ann@example.org"))
		},
		"another phone": func(t tester, b *browser, u auth.User) {
			ok(t, b.api("POST", "/account/contact", "email", u.Login, "phone", annPhone))
		},
		"another phone, set by an administrator": func(t tester, b *browser, u auth.User) {
			after := u
			after.Phone = annPhone
			if err := b.w.DB.Tx(visitless, func(tx auth.Tx) error { return b.w.Settings.SetContact(visitless, tx, u, after, "") }); err != nil {
				t.Fatalf("%v", err)
			}
		},
		"a second step that an administrator requires": func(t tester, b *browser, u auth.User) {
			b.w.requires(t, u.ID, auth.MustHaveOne)
		},
		"an administrator's reset": func(t tester, b *browser, u auth.User) {
			b.w.resetMFA(t, u.ID)
			again := b.w.browser()
			again.signIn(t, u.Login, annsPassword, "signed_in")
			again.stepUp(t, "password", "password", annsPassword)
			again.enrol(t, "/account")
		},
		"This wasn't me": func(t tester, b *browser, u auth.User) {
			next := b.w.answered(t, b.w.notice(t, u.Login, "notice-browser").token())
			if strings.HasPrefix(next, "/not-me/password/") {
				ok(t, b.w.browser().api("POST", next, "password", string(annsPassword)))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorlds(t, func(t *testing.T, w *world) {
				u, b := w.readyToChange(t)
				change(t, b, u)
				for _, who := range []*browser{b, b.clone()} {
					if !who.asks(t, annsLogin) {
						t.Error("the browser is trusted still")
					}
				}
			}, coded)
		})
	}
}

// requires is an administrator who chooses somebody's second step.
func (w *world) requires(t tester, u auth.UserID, m auth.Method) {
	t.Helper()
	if err := w.DB.Tx(visitless, func(tx auth.Tx) error {
		if err := w.Users.SetMethod(visitless, tx, u, m); err != nil {
			return err
		}
		return w.Trail.Record(visitless, tx, auth.Event{Kind: auth.MethodSet, User: u})
	}); err != nil {
		t.Fatalf("%v", err)
	}
}

// R1, R4: it ends what was offered before it, too, and of that person only.
func TestAnOfferOfTrustEndsWithTheAdministratorsChoice(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, key := w.withPhoneApp(t, annsLogin)
		_, bobs := w.withPhoneApp(t, "bob@example.com")
		b, bob := w.browser(), w.browser()
		b.arrive(t, annsLogin, key)
		bob.arrive(t, "bob@example.com", bobs)
		w.requires(t, u.ID, auth.ByEmail)
		if a := b.api("GET", landing); a.fields["offered"] != false {
			t.Error(a)
		}
		if a := b.trusts(); a.status != 403 || b.has(trustCookie) || w.count(t, "trusted_browsers") != 0 {
			t.Error(a)
		}
		if a := bob.trusts(); a.status != 200 {
			t.Error("somebody else's offer: ", a)
		}
	}, coded)
}

// R4: what changes nothing of that ends no trust.
func TestTrustOutlivesEverythingElse(t *testing.T) {
	for name, act := range map[string]func(t tester, b *browser, u auth.User) answer{
		"a new name of the person": func(_ tester, b *browser, _ auth.User) answer { return b.api("POST", "/account", "name", "Ann") },
		"a new name of a factor": func(t tester, b *browser, _ auth.User) answer {
			return b.api("POST", "/account/totp/"+aFactor(t, b)+"/name", "name", "Tablet")
		},
		"another language": func(_ tester, b *browser, u auth.User) answer {
			return b.api("POST", "/account/contact", "email", u.Login, "language", "fi")
		},
		"an end of other sessions": func(_ tester, b *browser, _ auth.User) answer { return b.api("DELETE", "/account/sessions") },
		"MFA on, though it is":     func(_ tester, b *browser, _ auth.User) answer { return b.api("POST", "/account/mfa/enable") },
		"signing out":              func(_ tester, b *browser, _ auth.User) answer { return b.api("DELETE", "/session") },
		"a sign-in by two steps elsewhere": func(t tester, b *browser, u auth.User) answer {
			a := b.w.browser().signIn(t, u.Login, annsPassword, "second_factor")
			return a
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorlds(t, func(t *testing.T, w *world) {
				u, b := w.readyToChange(t)
				if a := act(t, b, u); a.status/100 != 2 {
					t.Fatal(a)
				}
				if b.asks(t, annsLogin) {
					t.Error("the browser is trusted no more")
				}
			}, coded)
		})
	}
}

// aFactor is the id of an authenticator.
func aFactor(t tester, b *browser) string {
	t.Helper()
	a := b.api("GET", "/account/totp")
	for _, list := range a.fields {
		if some, ok := list.([]any); ok && len(some) > 0 {
			return some[0].(map[string]any)["id"].(string)
		}
	}
	t.Fatalf("%v", a)
	return ""
}

// R2: the end does not move, and shorter rules hold at once. R5: so does a ban.
func TestTrustEndsWhenItWasToEnd(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, _ := w.trusting(t, annsLogin)
		for _, left := range []string{"Max-Age=1728000", "Max-Age=864000"} { // 20 days, and 10
			w.wait(10 * 24 * time.Hour)
			if a := b.signIn(t, annsLogin, annsPassword, "signed_in"); !strings.Contains(fmt.Sprint(a.header["Set-Cookie"]), left) {
				t.Error(left, a.header["Set-Cookie"])
			}
		}
		w.wait(trustLife - 20*24*time.Hour - time.Microsecond)
		if b.asks(t, annsLogin) {
			t.Error("too early")
		}
		w.wait(time.Microsecond)
		if !b.asks(t, annsLogin) {
			t.Error("use moved the end")
		}
		short, _ := w.trusting(t, "short@example.com")
		w.again(t, trustDays(2))
		w.wait(2*24*time.Hour - time.Microsecond)
		if short.asks(t, "short@example.com") {
			t.Error("within the shorter time")
		}
		w.wait(time.Microsecond)
		if !short.asks(t, "short@example.com") {
			t.Error("the shorter time does not hold for what was trusted before")
		}
		w.again(t, trustDays(365))
		if short.asks(t, "short@example.com") {
			t.Error("this is a rule of now, not an act")
		}
		w.wait(trustLife)
		if !short.asks(t, "short@example.com") {
			t.Error("a longer time holds for what was trusted before")
		}
	})
}

// R2: a stolen cookie is over with the owner's next sign-in, also if the thief trusts a browser with it for an account of
// their own, and goes on using that.
func TestAStolenCookieIsNotKeptAliveByAnotherAccount(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		const eve = "eve@example.com"
		b, _ := w.trusting(t, annsLogin)
		_, eves := w.withPhoneApp(t, eve)
		thief := w.browser()
		thief.jar[trustCookie] = b.jar[trustCookie]
		thief.arrive(t, eve, eves)
		if a := thief.trusts(); a.status != 200 {
			t.Fatal(a)
		}
		if thief.asks(t, eve) || thief.asks(t, eve) {
			t.Fatal("she does not trust her own")
		}
		if b.asks(t, annsLogin) {
			t.Error("the thief made the owner's worth nothing")
		}
		if !thief.asks(t, annsLogin) {
			t.Error("the copy outlives the owner's sign-in")
		}
		if thief.asks(t, eve) || b.asks(t, annsLogin) {
			t.Error("what is theirs is gone")
		}
	})
}

// R5
func TestWhereNoBrowserIsTrustedNoneIs(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, key := w.trusting(t, annsLogin)
		offered := w.browser()
		offered.arrive(t, annsLogin, key)
		w.again(t, trustDays(0))
		if !b.asks(t, annsLogin) {
			t.Error("what was trusted before is still")
		}
		if a := offered.trusts(); a.status != 403 {
			t.Error(a)
		}
		if a := offered.form("GET", landing); a.status != 200 || strings.Contains(a.body, `name="trust"`) {
			t.Error(a)
		}
		if a := offered.form("GET", "/account/security"); strings.Contains(a.body, "Trusted browsers") {
			t.Error(a)
		}
		c := w.browser()
		if a := c.arrive(t, annsLogin, key); a.field("next") != "/account" {
			t.Error(a)
		}
	})
}

// S1
func TestADisabledPersonIsTrustedNowhere(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, _ := w.trusting(t, annsLogin)
		w.disable(t, idOf(t, w, annsLogin))
		if a := b.api("POST", "/signin", "login", annsLogin, "password", string(annsPassword)); a.status != 422 || b.has(pendingCookie) {
			t.Error(a)
		}
	})
}

// R2: a mailed code that begins a sign-in is too weak to be all, also in a trusted browser; and the token is not spent by it.
func TestAMailedCodeSkipsNothing(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, _ := w.trusting(t, annsLogin)
		token := b.jar[trustCookie]
		if a := b.api("POST", "/signin/mailed", "login", annsLogin); a.status != 200 {
			t.Fatal(a)
		}
		a := b.api("POST", "/signin/mailed/code", "code", w.code(t, annsLogin))
		if a.field("state") != "second_factor" || b.jar[trustCookie] != token {
			t.Error(a)
		}
		if b.asks(t, annsLogin) {
			t.Error("the token is spent")
		}
	}, coded, byMail)
}
