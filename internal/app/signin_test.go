package app_test

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/visit"
)

// visitless is what happens outside any request.
var visitless = visit.With(context.Background(), &visit.Visit{})

const (
	annsLogin                = "ann@example.com"
	annsPassword auth.Secret = "correct horse battery"
)

// withApp is ann, signed in with password and authenticator.
func withApp(t *testing.T, w *world) (b *browser, key string) {
	t.Helper()
	w.add(t, annsLogin, annsPassword)
	b = w.browser()
	b.signIn(t, annsLogin, annsPassword, "signed_in")
	b.stepUp(t, "password", "password", annsPassword)
	_, key = b.enrol(t, "/account")
	w.wait(30 * time.Second)
	return b, key
}

// S1, S2, S3
func TestASecondFactorIsAskedForBeforeThereIsASession(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, key := withApp(t, w)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		if b.has(sessionCookie) || !b.has(pendingCookie) {
			t.Error("cookies: ", b.jar)
		}
		if a := b.session(); a.status != 401 {
			t.Error(a)
		}
		a := b.api("POST", "/signin/totp", "code", codeAt(key, w.now()))
		if a.field("state") != "signed_in" || b.has(pendingCookie) {
			t.Error(a, b.jar)
		}
		if a := b.session(); a.status != 200 || a.fields["level"] != 2.0 {
			t.Error(a)
		}
	})
}

// S2, R1: the pending cookie opens nothing under any name or face, and an ended one opens nothing at all.
func TestAPendingSignInOpensNothingElse(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		withApp(t, w)
		for name, c := range map[string]struct {
			cookie string
			value  func(pending, session string) string
			opens  []visit.Guard
		}{
			"as it is":             {pendingCookie, func(p, _ string) string { return p }, []visit.Guard{visit.Public, visit.Pending}},
			"as session":           {sessionCookie, func(p, _ string) string { return p }, []visit.Guard{visit.Public}},
			"a session as pending": {pendingCookie, func(_, s string) string { return s }, []visit.Guard{visit.Public}},
			"broken":               {pendingCookie, func(p, _ string) string { return p[1:] }, []visit.Guard{visit.Public}},
			"empty":                {pendingCookie, func(string, string) string { return "" }, []visit.Guard{visit.Public}},
		} {
			for _, route := range w.Site.Routes() {
				if route.Guard == visit.Arriving { // open to all; what a pending sign-in does there is tried with passkeys
					continue
				}
				w.wait(time.Minute) // the throttle is not what we test
				other := w.browser()
				other.signIn(t, annsLogin, annsPassword, "second_factor")
				b := w.browser()
				b.jar[c.cookie] = c.value(other.jar[pendingCookie], "no session has this")
				open := false
				for _, g := range c.opens {
					open = open || g == route.Guard
				}
				path := strings.NewReplacer("{id}", "nothing", "/api/v1", "").Replace(route.API)
				// With a factor the person must use it: to add another in its place is forbidden, not unknown (W4).
				want := map[bool]int{true: 401, false: 403}[route.Guard != visit.Enrolling || len(c.opens) == 1]
				if a := b.api(route.Method, path); !open && a.status != want || open && a.status == 401 {
					t.Errorf("%s: %s %s (%s): %v", name, route.Method, route.API, route.Guard, a)
				}
				if route.Page == "" || open && route.Method == "DELETE" { // that one has just ended it
					continue
				}
				a := b.form(route.Method, path)
				shut := a.status == 401 || a.status == 403 || a.status == 303 && strings.HasPrefix(a.location, "/signin?return_to=")
				if open == shut {
					t.Errorf("%s: %s (%s): %v", name, route.Page, route.Guard, a)
				}
			}
		}
	})
}

// S2, R2: whoever copied its cookie finds nothing after it was finished or given up.
func TestAPendingSignInIsUsedOnce(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, key := withApp(t, w)
		for name, end := range map[string]func(*browser) answer{
			"finished": func(b *browser) answer { return b.api("POST", "/signin/totp", "code", codeAt(key, w.now())) },
			"given up": func(b *browser) answer { return b.api("DELETE", "/signin") },
		} {
			b, thief := w.browser(), w.browser()
			b.signIn(t, annsLogin, annsPassword, "second_factor")
			thief.jar[pendingCookie] = b.jar[pendingCookie]
			if a := end(b); a.status/100 != 2 || b.has(pendingCookie) {
				t.Fatal(name, a)
			}
			w.wait(time.Minute)
			if a := thief.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.status != 401 || thief.has(sessionCookie) {
				t.Error(name, a)
			}
		}
	})
}

// S6
func TestAPendingSignInLivesTenMinutes(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, key := withApp(t, w)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		w.wait(10*time.Minute - time.Microsecond)
		if a := b.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.field("state") != "signed_in" {
			t.Error("just before: ", a)
		}
		w.wait(time.Minute)
		late := w.browser()
		late.signIn(t, annsLogin, annsPassword, "second_factor")
		w.wait(10 * time.Minute)
		if a := late.api("GET", "/signin/totp"); a.status != 401 || a.problem() != "expired" {
			t.Error("its page: ", a)
		}
		a := late.api("POST", "/signin/totp", "code", codeAt(key, w.now()))
		if a.status != 401 || a.problem() != "expired" || late.has(sessionCookie) {
			t.Error("its step: ", a)
		}
		if a := late.session(); a.status != 401 {
			t.Error(a)
		}
	})
}

// S6, S7: an expired one says so and keeps where it was going.
func TestAnExpiredSignInKeepsItsReturnAddress(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, key := withApp(t, w)
		b := w.browser()
		const going = "/account/security?a=1&b=2"
		if a := b.form("POST", "/signin", "login", annsLogin, "password", string(annsPassword), "return_to", going); a.location != "/signin/totp" {
			t.Fatal(a)
		}
		w.wait(11 * time.Minute)
		a := b.form("POST", "/signin/totp", "code", codeAt(key, w.now()))
		kept := regexp.MustCompile(`name="return_to" value="([^"]*)"`).FindStringSubmatch(a.body)
		if a.status != 401 || kept == nil || kept[1] != "/account/security?a=1&amp;b=2" || !strings.Contains(a.body, "took too long") {
			t.Fatal(a, kept)
		}
		b.form("POST", "/signin", "login", annsLogin, "password", string(annsPassword), "return_to", going)
		if a := b.form("POST", "/signin/totp", "code", codeAt(key, w.now())); a.status != 303 || a.leads() != going {
			t.Error(a)
		}
	})
}

// S6: it survives a restart, and ends on another node.
func TestAPendingSignInContinuesOnAnotherNode(t *testing.T) {
	dbtest.EachAddress(t, app.Schemas, func(t *testing.T, address string) {
		here := worldOn(t, address)
		there := worldOn(t, address, func(c *config.Config) { c.Data = here.config.Data })
		_, key := withApp(t, here)
		there.wait(here.now().Sub(there.now()))
		b := here.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		here.restart(t)
		b.w = there
		if a := b.api("POST", "/signin/totp", "code", codeAt(key, there.now())); a.field("state") != "signed_in" {
			t.Error(a)
		}
		b.w = here
		if a := b.session(); a.status != 200 {
			t.Error(a)
		}
	})
}

var requestID = regexp.MustCompile(`[A-Z2-7]{8}-[0-9a-z]+`)

// S10: same words, same status, same waits for an unknown name, a wrong password and a disabled account.
func TestNobodyLearnsWhoHasAnAccount(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		off := w.add(t, "off@example.com", annsPassword)
		w.disable(t, off.ID)
		for face, send := range map[string]func(b *browser, login string, password auth.Secret) answer{
			"api": func(b *browser, login string, password auth.Secret) answer {
				return b.api("POST", "/signin", "login", login, "password", string(password))
			},
			"page": func(b *browser, login string, password auth.Secret) answer {
				return b.form("POST", "/signin", "login", login, "password", string(password))
			},
		} {
			w.wait(25 * time.Hour)
			anns, unknown, disabled, wrong := w.browser(), w.browser(), w.browser(), w.browser()
			for n := range 13 { // over the limit of the throttle, too
				first := ""
				for who, a := range map[string]answer{
					"a wrong password":                    send(anns, annsLogin, "wrong horse battery"),
					"an unknown name":                     send(unknown, "nobody@example.com", annsPassword),
					"a disabled one with its password":    send(disabled, "off@example.com", annsPassword),
					"an unknown name, an absurd password": send(wrong, "no body", "\u0301"),
				} {
					if a.status != 422 && a.status != 429 || len(a.cookies) > 0 || n < 10 && a.status != 422 || n >= 10 && a.status != 429 {
						t.Errorf("%s, %s, number %d: %v", face, who, n+1, a)
					}
					body := requestID.ReplaceAllString(a.body, "-")
					for _, login := range []string{annsLogin, "nobody@example.com", "off@example.com", "no body"} {
						body = strings.ReplaceAll(body, login, "LOGIN")
					}
					body += a.header.Get("Retry-After")
					if first == "" {
						first = body
					} else if body != first {
						t.Errorf("%s, %s, number %d:\n%s\nothers:\n%s", face, who, n+1, body, first)
					}
				}
			}
		}
	})
}

// W2, W4
func TestWhoMustHaveASecondFactorIsTakenThroughEnrolment(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		b, intruder := w.browser(), w.browser()
		b.signIn(t, annsLogin, annsPassword, "enrolment")
		intruder.signIn(t, annsLogin, annsPassword, "enrolment")
		for _, route := range w.Site.Routes() { // can do nothing else meanwhile
			path := strings.NewReplacer("{id}", "nothing", "/api/v1", "").Replace(route.API)
			if route.Guard == visit.SignedIn || route.Guard == visit.Fresh {
				if a := b.api(route.Method, path); a.status != 401 {
					t.Errorf("%s: %v", route.API, a)
				}
			}
		}
		if a := b.api("POST", "/signin/totp", "code", "000000"); a.status == 200 || b.has(sessionCookie) {
			t.Error("it is skipped with a code of nothing: ", a)
		}
		begun := b.api("POST", "/signin/enrol/totp")
		id, key := begun.field("id"), begun.field("secret")
		if a := b.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.status == 200 {
			t.Error("the one that waits signs in: ", a)
		}
		for _, code := range []string{wrongCode(w.now(), key), "12345", ""} {
			if a := b.api("POST", "/signin/enrol/totp/"+id, "code", code); a.status != 422 || b.has(sessionCookie) {
				t.Errorf("%q: %v", code, a)
			}
		}
		done := b.api("POST", "/signin/enrol/totp/"+id, "code", codeAt(key, w.now()), "name", "Phone")
		if done.field("state") != "signed_in" || done.leads() != "/account" {
			t.Fatal(done)
		}
		if a := b.session(); a.status != 200 || a.fields["level"] != 2.0 {
			t.Error(a)
		}
		// Whoever began with the password alone before is out.
		if a := intruder.api("POST", "/signin/enrol/totp"); a.status != 401 {
			t.Error("another sign-in goes on with an enrolment: ", a)
		}
		if a := w.browser().api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.status != 401 {
			t.Error(a)
		}
	}, required)
}

// W4: to add another factor in place of the one they have would be a way around it.
func TestWhoHasAFactorCannotEnrolAnotherOnTheWayIn(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "enrolment")
		b.enrol(t, "/signin/enrol")
		b.stepUpAgain(t)
		waiting := b.api("POST", "/account/totp") // and one that waits is no way either
		thief := w.browser()
		thief.signIn(t, annsLogin, annsPassword, "second_factor")
		for _, try := range []answer{
			thief.api("GET", "/signin/enrol"), thief.api("POST", "/signin/enrol/totp"), thief.api("GET", "/signin/enrol/totp/"+waiting.field("id")),
			thief.api("POST", "/signin/enrol/totp/"+waiting.field("id"), "code", codeAt(waiting.field("secret"), w.now())),
		} {
			if try.status != 403 || strings.Contains(try.body, waiting.field("secret")) || thief.has(sessionCookie) {
				t.Error(try)
			}
		}
	}, required)
}

// stepUpAgain waits for a new code and proves again with the password, which a session with two factors may.
func (b *browser) stepUpAgain(t tester) {
	t.Helper()
	b.w.wait(time.Minute)
	b.stepUp(t, "password", "password", annsPassword)
}

// W2: a grace period begins with the first sign-in that lacks a factor, and its end is the end.
func TestAGracePeriodEnds(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		w.wait(30 * 24 * time.Hour) // before the first sign-in nothing runs
		due := w.now().Add(7 * 24 * time.Hour).Format(time.RFC3339)
		for range 3 {
			b := w.browser()
			b.signIn(t, annsLogin, annsPassword, "signed_in")
			if a := b.api("GET", "/account/security"); a.field("due_at") != due || a.fields["required"] != true {
				t.Errorf("due %s: %v", due, a)
			}
			w.wait(2 * 24 * time.Hour)
		}
		w.wait(24*time.Hour - time.Microsecond)
		w.browser().signIn(t, annsLogin, annsPassword, "signed_in")
		w.wait(time.Microsecond)
		w.browser().signIn(t, annsLogin, annsPassword, "enrolment")
		w.wait(365 * 24 * time.Hour)
		w.browser().signIn(t, annsLogin, annsPassword, "enrolment")
	}, required, func(c *config.Config) { c.Policy.GraceDays = 7 })
}

// security.md, "Throttling": 5 per pending sign-in, and then it is over.
func TestFiveWrongCodesEndASignIn(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, key := withApp(t, w)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		for left := 4; left >= 1; left-- {
			a := b.api("POST", "/signin/totp", "code", wrongCode(w.now(), key))
			if a.status != 422 || a.fields["left"] != float64(left) {
				t.Errorf("%d left: %v", left, a)
			}
		}
		if a := b.api("POST", "/signin/totp", "code", wrongCode(w.now(), key)); a.status != 401 {
			t.Error("the fifth: ", a)
		}
		if a := b.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.status != 401 || b.has(sessionCookie) {
			t.Error("the right one after it: ", a)
		}
		again := w.browser()
		again.signIn(t, annsLogin, annsPassword, "second_factor")
		if a := again.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.field("state") != "signed_in" {
			t.Error("a new sign-in: ", a)
		}
	})
}

// What no app shows is a slip, not a guess. If it is counted all the same, the fifth must end the sign-in and say so,
// not leave a page that refuses everything for an hour.
func TestFiveMalformedCodesDoNotStrandASignIn(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, key := withApp(t, w)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		for range 5 {
			b.api("POST", "/signin/totp", "code", "12345")
		}
		a := b.api("POST", "/signin/totp", "code", codeAt(key, w.now()))
		if a.status != 200 && a.problem() != "expired" {
			t.Error(a)
		}
	})
}

// T5 over all endpoints: a code that stepped up does not sign in, and the other way round.
func TestACodeCountsOnceOverAllPages(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		first, key := withApp(t, w)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		code := codeAt(key, w.now())
		if a := first.api("POST", "/stepup/totp", "code", code); a.status != 200 {
			t.Fatal(a)
		}
		if a := b.api("POST", "/signin/totp", "code", code); a.status != 422 {
			t.Error("it signs in after it stepped up: ", a)
		}
		w.wait(30 * time.Second)
		code = codeAt(key, w.now())
		if a := b.api("POST", "/signin/totp", "code", code); a.field("state") != "signed_in" {
			t.Fatal(a)
		}
		for _, again := range []answer{first.api("POST", "/stepup/totp", "code", code), b.api("POST", "/stepup/totp", "code", code)} {
			if again.status != 422 {
				t.Error("it steps up after it signed in: ", again)
			}
		}
	})
}

// U2, R7: with an authenticator the password alone steps nothing up.
func TestThePasswordAloneDoesNotStepUpWhoHasMore(t *testing.T) {
	w := inSQLite(t)
	_, key := withApp(t, w)
	b := w.browser()
	b.signIn(t, annsLogin, annsPassword, "second_factor")
	b.api("POST", "/signin/totp", "code", codeAt(key, w.now()))
	b.stepUp(t, "password", "password", annsPassword) // this session proved both
	if a := b.api("POST", "/account/mfa/disable", "password", string(annsPassword)); a.status != 204 {
		t.Fatal(a)
	}
	one := w.browser()
	one.signIn(t, annsLogin, annsPassword, "signed_in")
	if a := one.api("POST", "/stepup/password", "password", string(annsPassword)); a.status != 403 || a.problem() != "step-up" {
		t.Error(a)
	}
	w.wait(time.Minute)
	one.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now())))
}

// U1, U3: each dangerous act asks for fresh proof, which lasts ten minutes in this session alone.
func TestStepUpLastsTenMinutesInOneSession(t *testing.T) {
	w := inSQLite(t)
	w.add(t, annsLogin, annsPassword)
	b, other := w.browser(), w.browser()
	b.signIn(t, annsLogin, annsPassword, "signed_in")
	other.signIn(t, annsLogin, annsPassword, "signed_in")
	asks := func(who *browser) bool { return who.api("GET", "/account/password").problem() == "step-up" }
	if !asks(b) {
		t.Error("a sign-in is no step-up")
	}
	b.stepUp(t, "password", "password", annsPassword)
	if asks(b) || !asks(other) {
		t.Error("this session asks ", asks(b), ", the other ", asks(other))
	}
	w.wait(9 * time.Minute)
	if asks(b) {
		t.Error("it slides or is short")
	}
	w.wait(time.Minute)
	if !asks(b) {
		t.Error("it lasts longer than ten minutes")
	}
}

// security.md, "Sessions and browsers": any change of credentials ends all other sessions and sign-ins, not this one.
func TestAChangeOfCredentialsEndsEverythingElse(t *testing.T) {
	for name, act := range map[string]func(t *testing.T, b *browser, key string) answer{
		"a new password": func(_ *testing.T, b *browser, _ string) answer {
			return b.api("POST", "/account/password", "current", string(annsPassword), "password", "another horse battery")
		},
		"MFA off": func(_ *testing.T, b *browser, _ string) answer {
			return b.api("POST", "/account/mfa/disable", "password", string(annsPassword))
		},
		"MFA on": func(t *testing.T, b *browser, _ string) answer {
			u := idOf(t, b.w, annsLogin)
			if err := b.w.DB.Tx(visitless, func(tx auth.Tx) error { return b.w.Users.SwitchMFA(visitless, tx, u, true) }); err != nil { // which ends nothing by itself
				t.Fatal(err)
			}
			return b.api("POST", "/account/mfa/enable")
		},
		"another authenticator": func(t *testing.T, b *browser, _ string) answer {
			b.enrol(t, "/account")
			return answer{status: 200}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := inSQLite(t)
			first, key := withApp(t, w)
			elsewhere, pending := w.browser(), w.browser()
			elsewhere.signIn(t, annsLogin, annsPassword, "second_factor")
			elsewhere.api("POST", "/signin/totp", "code", codeAt(key, w.now()))
			pending.signIn(t, annsLogin, annsPassword, "second_factor")
			w.wait(time.Minute)
			first.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now())))
			if a := elsewhere.session(); a.status != 200 {
				t.Fatal("before: ", a)
			}
			if a := act(t, first, key); a.status/100 != 2 {
				t.Fatal(a)
			}
			w.wait(time.Minute)
			if a := elsewhere.session(); a.status != 401 {
				t.Error("another session: ", a)
			}
			if a := pending.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.status != 401 {
				t.Error("a sign-in under way: ", a)
			}
			if a := first.session(); a.status != 200 {
				t.Error("this one: ", a)
			}
		})
	}
}

// T4, and the bounds of every field that a person types there.
func TestNamesOfAuthenticatorsAreBounded(t *testing.T) {
	w := inSQLite(t)
	b, _ := withApp(t, w)
	begun := b.api("POST", "/account/totp")
	path, code := "/account/totp/"+begun.field("id"), codeAt(begun.field("secret"), w.now())
	for _, name := range []string{strings.Repeat("x", 61), strings.Repeat("😀", 61), "a\nb", "a\x00b", "\u0007"} {
		if a := b.api("POST", path, "code", code, "name", name); a.status != 422 {
			t.Errorf("%q: %v", name, a)
		}
	}
	if a := b.api("POST", path, "code", code, "name", strings.Repeat("😀", 60)); a.status != 200 {
		t.Error(a)
	}
	for _, name := range []string{"", strings.Repeat("x", 61), "a\rb"} {
		if a := b.api("POST", path+"/name", "name", name); a.status != 422 {
			t.Errorf("%q: %v", name, a)
		}
	}
}

// S7 over both faces; destination_test.go has the many strings.
func TestASignInLeadsNowhereElse(t *testing.T) {
	w := inSQLite(t, func(c *config.Config) { c.ReturnTo = []string{"https://app.example.com"} })
	w.add(t, annsLogin, annsPassword)
	for to, want := range map[string]string{
		"": "/account", "/account/security": "/account/security", "https://app.example.com/x?y": "https://app.example.com/x?y",
		"//evil.example": "/account", `/\evil.example`: "/account", "https://evil.example": "/account", "javascript:alert(1)": "/account",
		"https://app.example.com@evil.example": "/account", "https://app.example.com.evil.example": "/account", "/a\tb": "/account",
	} {
		b := w.browser()
		if a := b.api("POST", "/signin", "login", annsLogin, "password", string(annsPassword), "return_to", to); a.field("next") != want {
			t.Errorf("%q: %v", to, a)
		}
		if a := b.form("POST", "/signin", "login", annsLogin, "password", string(annsPassword), "return_to", to); a.location != want {
			t.Errorf("%q: %v", to, a)
		}
		if a := b.form("GET", "/signin?return_to="+url.QueryEscape(to)); strings.Contains(a.body, `href="`+to) && to != "" && !strings.HasPrefix(to, "/a") {
			t.Errorf("%q stands there as a link", to)
		}
	}
}
