package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
)

// recovering lets a code to the address of the account stand in for a second step that is lost.
func recovering(c *config.Config) {
	c.Mail.Host, c.Policy.Recovery = config.Outbox, []string{"email"}
}

const days = 24 * time.Hour

// hasApp is somebody with an authenticator, and where to find its key.
func (w *world) hasApp(t tester, login string) (u auth.User, b *browser, path, key string) {
	t.Helper()
	b = w.fresh(t, login)
	id, key := b.enrol(t, "/account")
	w.wait(15 * time.Minute) // past the fresh proof
	return w.find(t, login), b, "/account/totp/" + id, key
}

// comeWeakly signs in with the password and a code to the address.
func (w *world) comeWeakly(t tester, login string) *browser {
	t.Helper()
	b := w.browser()
	b.signIn(t, login, annsPassword, "second_factor")
	before := map[string]bool{} // of two in the same moment none is the newest
	for _, l := range w.letters(t) {
		before[l.ID] = true
	}
	if a := b.api("POST", "/signin/email/send"); a.status != 200 {
		t.Fatalf("%v", a)
	}
	for _, l := range w.letters(t) {
		if !before[l.ID] && l.To == login {
			if a := b.api("POST", "/signin/email", "code", codes.FindStringSubmatch(l.Mail.Text)[1]); a.field("state") == "signed_in" {
				return b
			}
		}
	}
	t.Fatalf("no code came that works")
	return nil
}

func (w *world) comeBy(t tester, login, key string) *browser {
	t.Helper()
	b := w.browser()
	b.signIn(t, login, annsPassword, "second_factor")
	w.wait(30 * time.Second) // a code works once
	if a := b.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.field("state") != "signed_in" {
		t.Fatalf("%v", a)
	}
	return b
}

func (w *world) recovers(t tester, u auth.User) time.Time {
	t.Helper()
	now, err := w.Users.Get(visitless, w.DB, u.ID)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return now.Recovers
}

// begun counts the notices that a wait began.
func (w *world) begun(t tester, to string) (n int) {
	for _, one := range w.notices(t, to) {
		if one.text == "notice-recovery-begun" {
			n++
		}
	}
	return n
}

// mayChange says whether a session gets a fresh proof by the password, and can then add an authenticator.
func (b *browser) mayChange() bool {
	a := b.api("POST", "/stepup/password", "password", string(annsPassword))
	return a.status == 200 && b.api("POST", "/account/totp").status == 200
}

// L1, L3: the whole way of somebody who lost their authenticator, and whom nobody helps.
func TestALostSecondStepIsReplacedAfterAWhile(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, _, lost, _ := w.hasApp(t, annsLogin)
		b := w.browser()
		a := b.signIn(t, annsLogin, annsPassword, "second_factor")
		if a.field("next") != "/signin/totp" || !strings.Contains(a.body, `[{"kind":"totp","name":"Phone"},{"kind":"email","name":"a•••@example.com"}]`) {
			t.Fatal(a)
		}
		if n := w.sent(t, annsLogin); n != 0 {
			t.Fatal("sent unasked")
		}
		if page := b.form("GET", "/signin/totp"); !strings.Contains(page.body, `href="/signin/email"`) {
			t.Fatal(page)
		}
		if a := b.form("POST", "/signin/email/send"); a.location != "/signin/email" {
			t.Fatal(a)
		}
		if a := b.form("POST", "/signin/email", "code", w.code(t, annsLogin)); a.status != 303 {
			t.Fatal(a)
		}
		until := w.now().Add(3 * days)
		if got := w.recovers(t, u); !got.Equal(until) {
			t.Fatal(got)
		}
		if s := b.session(); strings.Contains(s.body, `"mfa"`) {
			t.Error(s)
		}
		n := w.notice(t, annsLogin, "notice-recovery-begun")
		if !strings.Contains(n.Mail.Text, "4 March 2026, 12:15 UTC") || n.token() == "" || w.begun(t, annsLogin) != 1 {
			t.Error(n.Mail.Text)
		}
		b.waits(t)
		w.wait(3*days - time.Second)
		if b = w.comeWeakly(t, annsLogin); b.mayChange() || w.begun(t, annsLogin) != 1 || !w.recovers(t, u).Equal(until) {
			t.Fatal("before its time, or begun anew")
		}
		w.wait(time.Second)
		if page := b.form("GET", "/account/security"); !strings.Contains(page.body, "You can now change your second step") {
			t.Error(page)
		}
		b.stepUp(t, "password", "password", annsPassword)
		_, key := b.enrol(t, "/account")
		if !w.recovers(t, u).IsZero() {
			t.Error("it goes on after the change")
		}
		w.wait(11 * time.Minute)
		if a := b.api("DELETE", lost); a.problem() != "step-up" {
			t.Fatal(a)
		}
		if b.mayChange() {
			t.Error("the password does, beside the new authenticator")
		}
		b.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now())))
		if a := b.api("DELETE", lost); a.status != 204 {
			t.Fatal(a)
		}
		w.comeBy(t, annsLogin, key)
		if len(w.events(t, u.ID, auth.RecoveryBegan)) != 1 {
			t.Error("another row")
		}
	}, recovering)
}

// waits claims of a session that it is told from when on, and that nothing steps up until then but what was lost.
func (b *browser) waits(t *testing.T) {
	t.Helper()
	if page := b.form("GET", "/account/security"); !strings.Contains(page.body, "You said that your second step is lost. From") || !strings.Contains(page.body, "4 Mar 2026, 12:15 UTC") {
		t.Error(page)
	}
	if page := b.form("GET", "/stepup"); !strings.Contains(page.body, "4 Mar 2026, 12:15 UTC") {
		t.Error(page)
	}
	for _, kind := range []string{"password", "email"} {
		if a := b.api("POST", "/stepup/"+kind, map[string]string{"password": "password", "email": "code"}[kind], string(annsPassword)); a.status == 200 {
			t.Errorf("%s steps up: %v", kind, a)
		}
	}
	if a := b.api("POST", "/stepup/email/send"); a.status != 404 {
		t.Error(a)
	}
}

// L3: within the ten minutes the lost one goes first or last.
func TestTheLostOneGoesInTheSameTenMinutes(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, _, lost, _ := w.hasApp(t, annsLogin)
		w.comeWeakly(t, annsLogin)
		w.wait(3 * days)
		b := w.comeWeakly(t, annsLogin)
		b.stepUp(t, "password", "password", annsPassword)
		if a := b.api("DELETE", lost); a.problem() != "last-factor" {
			t.Fatal(a)
		}
		b.enrol(t, "/account")
		if a := b.api("DELETE", lost); a.status != 204 {
			t.Fatal(a)
		}
		if b.holds(lost) || b.session().status != 200 {
			t.Error("not gone")
		}
	}, recovering)
}

// L3: it can be used for seven days, by a session that came by two steps, and then begins anew.
func TestWhatWasWaitedForIsOverAfterAWeek(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, _, _, _ := w.hasApp(t, annsLogin)
		w.comeWeakly(t, annsLogin)
		w.wait(10*days - time.Second)
		if b := w.comeWeakly(t, annsLogin); !b.mayChange() {
			t.Fatal("in time")
		}
		if w.begun(t, annsLogin) != 1 {
			t.Error("told again")
		}
		w.wait(time.Second)
		b := w.comeWeakly(t, annsLogin)
		if b.mayChange() || w.begun(t, annsLogin) != 2 || !w.recovers(t, u).Equal(w.now().Add(3*days)) {
			t.Error("over, and not begun anew")
		}
	}, recovering)
}

// L3: everybody who waits has come by two steps; the rest is refused with what to do instead.
func TestOnlyWhoCameByTwoStepsBegins(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, strong, _, key := w.hasApp(t, annsLogin)
		half := w.browser()
		half.signIn(t, annsLogin, annsPassword, "second_factor")
		for face, send := range half.faces() {
			if a := send("POST", "/account/recovery"); a.status != 401 && a.status != 303 {
				t.Errorf("half signed in, %s: %v", face, a)
			}
			if a := send("GET", "/account/recovery"); a.status != 401 && a.status != 303 {
				t.Errorf("half signed in, %s: %v", face, a)
			}
		}
		// A session by the password alone, as before the authenticator, or in a browser that is trusted.
		for face, send := range strong.faces() {
			a := send("POST", "/account/recovery")
			if a.status != 409 || !strings.Contains(a.body, "a code by email") || !strings.Contains(a.body, "access pass") {
				t.Errorf("%s: %v", face, a)
			}
		}
		if a := strong.api("GET", "/account/recovery"); a.status != 200 || a.field("why") == "" || a.fields["begun"] != false {
			t.Error(a)
		}
		both := w.comeBy(t, annsLogin, key)
		if a := both.api("POST", "/account/recovery"); a.problem() != "password-enough" {
			t.Error("who has everything at hand: ", a)
		}
		none := w.fresh(t, "bob@example.com")
		if a := none.api("POST", "/account/recovery"); a.problem() != "password-enough" {
			t.Error("who has nothing to lose: ", a)
		}
		if !w.recovers(t, u).IsZero() || len(w.events(t, u.ID, auth.RecoveryBegan)) > 0 {
			t.Error("it began")
		}
	}, recovering)
}

// byHand is somebody who has an authenticator and gets codes by mail, which they set up, in a session by the latter.
func (w *world) byHand(t tester, login string) (auth.User, *browser, string) {
	t.Helper()
	b := w.fresh(t, login)
	b.prove(t, "email", login)
	_, key := b.enrol(t, "/account")
	w.wait(15 * time.Minute)
	return w.find(t, login), w.comeWeakly(t, login), key
}

// L3: a code by mail that somebody set up begins nothing by itself. They say it, once or more, and can take it back.
func TestALossIsSaidAndTakenBack(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		for n, face := range []string{"api", "page"} {
			login := fmt.Sprintf("ann%d@example.com", n)
			u, b, _ := w.byHand(t, login)
			send := b.faces()[face]
			if !w.recovers(t, u).IsZero() {
				t.Fatal("it began by itself")
			}
			if page := b.form("GET", "/stepup"); !strings.Contains(page.body, `<a href="/account/recovery">I no longer have any of these</a>`) {
				t.Error(page)
			}
			if a := send("GET", "/account/recovery"); a.status != 200 || !strings.Contains(a.body, "a•••@example.com") || strings.Contains(a.body, "Cancel the") {
				t.Error(a)
			}
			until := w.now().Add(3 * days)
			if a := send("POST", "/account/recovery"); a.status != 200 && a.location != "/account/security" {
				t.Fatal(a)
			}
			w.wait(10 * time.Minute)
			if a := send("POST", "/account/recovery"); a.status != 200 && a.location != "/account/security" {
				t.Fatal(a)
			}
			if !w.recovers(t, u).Equal(until) || w.begun(t, login) != 1 || len(w.events(t, u.ID, auth.RecoveryBegan)) != 1 {
				t.Error("said again, it moved: ", w.recovers(t, u))
			}
			if a := b.api("GET", "/account/recovery"); a.fields["begun"] != true || a.field("until") != until.Format(time.RFC3339) {
				t.Error(a)
			}
			if a := b.api("GET", "/stepup"); a.field("recovers_at") != until.Format(time.RFC3339) {
				t.Error(a)
			}
			for range 2 {
				if a := send("DELETE", "/account/recovery"); a.status != 204 && a.location != "/account/security" {
					t.Fatal(a)
				}
			}
			if rows := w.events(t, u.ID, auth.RecoveryEnded); !w.recovers(t, u).IsZero() || len(rows) != 1 || rows[0]["by"] != "cancelled" {
				t.Error(rows)
			}
			w.wait(4 * days)
			if b = w.comeWeakly(t, login); b.mayChange() {
				t.Error("after it was taken back")
			}
		}
	}, recovering, coded)
}

// L3: what is used is not lost.
func TestTheRealThingEndsIt(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, _, _, key := w.hasApp(t, annsLogin)
		thief := w.comeWeakly(t, annsLogin)
		w.comeBy(t, annsLogin, key)
		if rows := w.events(t, u.ID, auth.RecoveryEnded); !w.recovers(t, u).IsZero() || len(rows) != 1 || rows[0]["by"] != "signed in" {
			t.Fatal(rows)
		}
		w.wait(3 * days)
		if b := w.comeWeakly(t, annsLogin); b.mayChange() || thief.mayChange() {
			t.Error("three days later")
		}
		// The sign-in just now began another.
		b := w.comeWeakly(t, annsLogin)
		b.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now())))
		if rows := w.events(t, u.ID, auth.RecoveryEnded); !w.recovers(t, u).IsZero() || len(rows) != 2 || rows[0]["by"] != "confirmed" {
			t.Error(rows)
		}
		// Ripe, it ends as well.
		w.comeWeakly(t, annsLogin)
		w.wait(4 * days)
		w.comeBy(t, annsLogin, key)
		if b := w.comeWeakly(t, annsLogin); b.mayChange() {
			t.Error("it was ripe, and ended")
		}
	}, recovering)
}

// L3: the password ends nothing, nor does a second sign-in of the thief.
func TestWhatIsWeakEndsNothing(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, old, _, _ := w.hasApp(t, annsLogin)
		w.comeWeakly(t, annsLogin)
		until := w.recovers(t, u)
		w.comeWeakly(t, annsLogin)
		old.api("POST", "/stepup/password", "password", string(annsPassword))
		w.browser().signIn(t, annsLogin, annsPassword, "second_factor")
		if !w.recovers(t, u).Equal(until) {
			t.Error(w.recovers(t, u))
		}
		w.wait(3 * days)
		late := w.browser() // the password alone does not use it either: here it is half a sign-in
		late.signIn(t, annsLogin, annsPassword, "second_factor")
		if late.mayChange() {
			t.Error("half signed in")
		}
	}, recovering)
}

// F4, L3: the owner hears of it everywhere and answers; the thief is out, and cannot begin again for a while.
func TestThisWasntMeEndsAWait(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, _, _, key := w.hasApp(t, annsLogin)
		w.contact(t, u, "elsewhere@example.org", annPhone)
		thief := w.comeWeakly(t, annsLogin)
		if w.begun(t, annsLogin) != 1 || w.begun(t, "elsewhere@example.org") != 1 || w.begun(t, annPhone) != 1 {
			t.Fatal("not told everywhere")
		}
		var sms noticed
		for _, n := range w.notices(t, annPhone) {
			sms = n
		}
		if !strings.Contains(sms.Text, "4 March 2026") || !notMe.MatchString(sms.Text) || strings.Contains(sms.Text, "example.") {
			t.Error(sms.Text)
		}
		token := notMe.FindStringSubmatch(sms.Text)[1]
		for _, send := range w.browser().faces() {
			a := send("GET", "/not-me?token="+token)
			if a.status != 200 || !strings.Contains(a.body, "recovery.began") && !strings.Contains(a.body, "is lost") || strings.Contains(a.body, "example.") {
				t.Error(a)
			}
		}
		if next := w.answered(t, token); next != "/not-me/done" { // who has the phone locks the account and opens nothing
			t.Error(next)
		}
		if thief.session().status != 401 || !w.recovers(t, u).IsZero() {
			t.Fatal("the thief goes on")
		}
		again := w.comeWeakly(t, annsLogin)
		if !w.recovers(t, u).IsZero() {
			t.Error("begun while frozen")
		}
		if a := again.api("POST", "/account/recovery"); a.problem() != "frozen" {
			t.Error(a)
		}
		w.wait(3 * days)
		if again = w.comeWeakly(t, annsLogin); again.mayChange() {
			t.Error("after the lock")
		}
		w.comeBy(t, annsLogin, key)
	}, recovering, func(c *config.Config) {
		c.SMS.Provider, c.SMS.Countries = config.Outbox, []string{"SE"}
	})
}

// Whoever begins and takes back, to drown the notices, is not let begin without one.
func TestNothingBeginsUntold(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, b, _ := w.byHand(t, annsLogin)
		began := 0
		for range 40 {
			if a := b.api("POST", "/account/recovery"); a.status == 200 {
				began++
			} else if a.status != 429 {
				t.Fatal(a)
			}
			b.api("DELETE", "/account/recovery")
		}
		if told := w.begun(t, annsLogin); began != 3 || told != began {
			t.Errorf("%d begun, %d told", began, told)
		}
		if !w.recovers(t, u).IsZero() {
			t.Error("one is under way")
		}
	}, recovering, coded)
}

// A sign-in that cannot begin a wait any more is one all the same.
func TestAfterTooManyTheSignInStillWorks(t *testing.T) {
	w := inSQLite(t, recovering)
	u, _, _, _ := w.hasApp(t, annsLogin)
	for range 4 {
		b := w.comeWeakly(t, annsLogin)
		b.api("DELETE", "/account/recovery")
		w.wait(time.Minute)
	}
	if n := len(w.events(t, u.ID, auth.RecoveryBegan)); n != 3 {
		t.Error(n)
	}
}

// R4: a session or a wait from before a change of credentials is worth nothing.
func TestAChangeOfCredentialsEndsAWait(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, _, _, _ := w.hasApp(t, annsLogin)
		w.comeWeakly(t, annsLogin)
		w.wait(3 * days)
		thief := w.comeWeakly(t, annsLogin)
		w.resetMFA(t, u.ID)
		if thief.session().status != 401 || !w.recovers(t, u).IsZero() {
			t.Fatal("it goes on after a reset")
		}
		if a := thief.api("POST", "/account/recovery"); a.status != 401 {
			t.Error(a)
		}
		// Just after it there is nothing to stand in for: the password is all there is, and enough.
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		if a := b.api("POST", "/account/recovery"); a.problem() != "password-enough" {
			t.Error(a)
		}
	}, recovering)
}
