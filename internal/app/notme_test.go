package app_test

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
)

// F4, L3, U1, R4: the answer ends all that was begun, takes the factor back, and nothing can be changed for a while.
func TestThisWasntMeTakesTheAccountBack(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u := w.add(t, annsLogin, annsPassword)
		begins := func() *browser {
			b := w.browser()
			b.signIn(t, annsLogin, annsPassword, "signed_in")
			return b
		}
		anns, thief := begins(), begins()
		thief.stepUp(t, "password", "password", annsPassword)
		_, key := thief.enrol(t, "/account")
		anns.signIn(t, annsLogin, annsPassword, "second_factor")
		w.wait(time.Minute)
		thief.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now())))
		next := w.answered(t, w.notice(t, annsLogin, "notice-factor-added").token())
		if !strings.HasPrefix(next, "/forgot/") {
			t.Fatal(next)
		}
		for name, a := range map[string]answer{
			"the session":          thief.session(),
			"its fresh step-up":    thief.api("POST", "/account/totp"),
			"a sign-in under way":  anns.api("GET", "/signin/totp"),
			"its second step":      anns.api("POST", "/signin/totp", "code", codeAt(key, w.now().Add(30*time.Second))),
			"to end the old ones":  thief.api("DELETE", "/account/sessions"),
			"the page of settings": thief.api("GET", "/account/security"),
		} {
			if a.status != 401 {
				t.Errorf("%s lives on: %v", name, a)
			}
		}
		if n := w.count(t, "totp WHERE confirmed"); n != 0 {
			t.Error("what was added is there still")
		}
		if rows := w.events(t, u.ID, auth.AccountFrozen); fmt.Sprint(rows) != "[map[after:factor.added]]" {
			t.Error(rows)
		}
		if rows := w.events(t, u.ID, auth.FactorRemoved); len(rows) != 1 || rows[0]["undone"] == "" || rows[0]["name"] != "Phone" {
			t.Error(rows)
		}
		if n := w.notice(t, annsLogin, "notice-recovery"); !strings.Contains(n.Mail.Text, "4 March 2026") || n.token() != "" {
			t.Error(n.Mail.Text)
		}
		for _, n := range w.notices(t, annsLogin) {
			if n.text == "notice-factor-removed" {
				t.Error("what was taken back is told as a change")
			}
		}
		// Then the new password; the old one opens nothing, and what it had opened meanwhile ends.
		quick := begins()
		page := w.browser().form("GET", next)
		if page.status != 200 || !strings.Contains(page.body, `action="`+next+`"`) || !strings.Contains(page.body, `autocomplete="new-password"`) {
			t.Fatal(page)
		}
		if a := w.browser().form("POST", next, "password", newPassword); a.status != 303 || a.location != "/signin" {
			t.Fatal(a)
		}
		if a := thief.api("POST", "/signin", "login", annsLogin, "password", string(annsPassword)); a.status != 422 {
			t.Error("the old password: ", a)
		}
		if a := quick.session(); a.status != 401 {
			t.Error("a session begun with the old password: ", a)
		}
		w.notice(t, annsLogin, "notice-password")
		b := w.browser()
		b.signIn(t, annsLogin, newPassword, "signed_in")
		frozen := func(name string, a answer) {
			t.Helper()
			page := strings.Contains(a.body, "Nothing that secures this account can be changed until 4 March 2026, 12:01 UTC")
			if a.status != 409 || !page || a.fields != nil && a.problem() != "frozen" {
				t.Errorf("%s: %v", name, a)
			}
		}
		for _, stepped := range []bool{false, true} {
			if stepped {
				b.stepUp(t, "password", "password", newPassword)
			}
			for face, send := range b.faces() {
				for _, path := range []string{"/account/totp", "/account/contact", "/account/password", "/account/mfa/disable"} {
					frozen(face+" "+path, send("POST", path, "email", annsLogin, "current", newPassword, "password", newPassword))
				}
				frozen(face+" GET", send("GET", "/account/password"))
			}
			frozen("a passkey", b.api("POST", "/account/passkeys/options"))
		}
		w.wait(3*24*time.Hour - time.Second)
		b = w.browser()
		b.signIn(t, annsLogin, newPassword, "signed_in")
		b.stepUp(t, "password", "password", newPassword)
		frozen("a second before the end", b.api("POST", "/account/totp"))
		w.wait(time.Second)
		b.enrol(t, "/account")
	}, told)
}

// L3, W4: a frozen account sets nothing up on the way in either, on neither face.
func TestNothingIsSetUpOnTheWayIntoAFrozenAccount(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "enrolment")
		b.enrol(t, "/signin/enrol")
		next := w.answered(t, w.notice(t, annsLogin, "notice-factor-added").token())
		if a := w.browser().api("POST", next, "password", newPassword); a.status != 204 {
			t.Fatal(a)
		}
		again := w.browser()
		again.signIn(t, annsLogin, newPassword, "enrolment")
		for face, send := range again.faces() {
			for _, path := range []string{"/signin/enrol/totp", "/signin/enrol/passkey"} {
				if a := send("POST", path); a.status != 409 || !strings.Contains(a.body, "can be changed until") {
					t.Errorf("%s, %s: %v", face, path, a)
				}
			}
			if a := send("GET", "/signin/enrol"); a.status != 409 {
				t.Errorf("%s: %v", face, a)
			}
		}
		w.wait(3 * 24 * time.Hour)
		again.signIn(t, annsLogin, newPassword, "enrolment")
		again.enrol(t, "/signin/enrol")
		if a := again.session(); a.status != 200 {
			t.Error(a)
		}
	}, told, required)
}

// P9: nor by an offer that was open. R4 ends its session; this is the guard alone.
func TestAFrozenAccountTakesUpNoOffer(t *testing.T) {
	w := inSQLite(t, told)
	u := w.add(t, annsLogin, annsPassword)
	b := w.offered(t, annsLogin)
	if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.Freeze(visitless, tx, u.ID, w.now().Add(time.Hour)) }); err != nil {
		t.Fatal(err)
	}
	for face, send := range b.faces() {
		if a := send("POST", offer+"/options"); face == "api" && a.problem() != "frozen" {
			t.Error(a)
		}
		if a := send("GET", offer); a.status != 409 {
			t.Error(face, a)
		}
	}
}

// F4: a link works once, however often and from wherever it is answered at the same time.
func TestALinkIsAnsweredOnce(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		b.hold(t, "/account/totp")
		token := w.notice(t, annsLogin, "notice-factor-added").token()
		const many = 50
		var (
			all   sync.WaitGroup
			mu    sync.Mutex
			nexts []string
		)
		for range many {
			all.Go(func() {
				a := w.browser().api("POST", "/not-me", "token", token)
				mu.Lock()
				defer mu.Unlock()
				switch a.status {
				case 200:
					nexts = append(nexts, a.field("next"))
				case 404, 503:
				default:
					t.Error(a)
				}
			})
		}
		all.Wait()
		if len(nexts) != 1 || len(w.events(t, idOf(t, w, annsLogin), auth.AccountFrozen)) != 1 || w.count(t, "password_links") != 1 {
			t.Fatal(len(nexts), "answers", w.events(t, idOf(t, w, annsLogin), auth.AccountFrozen))
		}
		set := 0
		for range many {
			all.Go(func() {
				a := w.browser().api("POST", nexts[0], "password", newPassword)
				mu.Lock()
				defer mu.Unlock()
				switch a.status {
				case 204:
					set++
				case 404, 503:
				default:
					t.Error(a)
				}
			})
		}
		all.Wait()
		if rows := w.events(t, idOf(t, w, annsLogin), auth.PasswordChanged); set != 1 || len(rows) != 1 || rows[0]["by"] != "recovery" {
			t.Error(set, "new passwords", rows)
		}
	}, told)
}

var inAnswer = regexp.MustCompile(`"?request"?:"[^"]*"`)

// S10: used, expired and made up is the same, on both faces, and a link that was made up makes us neither write nor hash.
func TestWhatIsWrongWithALinkIsNotSaid(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		app := b.hold(t, "/account/totp")
		used := w.notice(t, annsLogin, "notice-factor-added").token()
		w.wait(time.Minute)
		b.api("POST", app+"/name", "name", "Work")
		expired := w.notice(t, annsLogin, "notice-factor-renamed").token()
		next := w.answered(t, used)
		if a := w.browser().api("POST", next, "password", newPassword); a.status != 204 {
			t.Fatal(a)
		}
		gone := strings.TrimPrefix(next, "/forgot/")
		w.wait(14 * 24 * time.Hour)
		w.browser().signIn(t, annsLogin, newPassword, "signed_in")
		unexpired := w.notice(t, annsLogin, "notice-browser").token()
		w.answered(t, unexpired)
		events := w.count(t, "events")
		made := strings.Repeat("A", 43)
		said := map[string]map[string]string{}
		for _, token := range []string{used, expired, made, gone, unexpired, "x", expired + "A"} {
			for face, send := range w.browser().faces() {
				for what, a := range map[string]answer{
					"show":     send("GET", "/not-me?token="+token),
					"answer":   send("POST", "/not-me", "token", token),
					"ask":      send("GET", "/forgot/"+token),
					"password": send("POST", "/forgot/"+token, "password", "x"), // which the rules would refuse
				} {
					body := fmt.Sprint(a.status, inAnswer.ReplaceAllString(a.body, ""))
					key := face + " " + what
					if said[key] == nil {
						said[key] = map[string]string{}
					}
					said[key][body] = token
					if a.status != 404 || !strings.Contains(a.body, "This link was used already, or it is too old.") {
						t.Errorf("%s, %s: %v", key, token, a)
					}
				}
			}
		}
		for key, bodies := range said {
			if len(bodies) != 1 {
				t.Errorf("%s: %d answers: %v", key, len(bodies), bodies)
			}
		}
		if n := w.count(t, "events"); n != events {
			t.Error(n-events, "rows of guesses at links")
		}
	}, told)
}

// F4: a link is its person's and its event's.
func TestALinkConcernsNobodyElse(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		ann, bob := w.fresh(t, annsLogin), w.fresh(t, "bob@example.com")
		anns := ann.hold(t, "/account/totp")
		bobs := [3]string{}
		for i := range bobs {
			bobs[i] = strings.TrimPrefix(bob.hold(t, "/account/totp"), "/account/totp/")
			w.wait(time.Second)
		}
		w.answered(t, w.notices(t, "bob@example.com")[1].token())
		if a := bob.session(); a.status != 401 {
			t.Error(a)
		}
		if a := ann.api("GET", anns+"/name"); a.status != 200 || len(w.events(t, idOf(t, w, annsLogin), auth.AccountFrozen)) > 0 {
			t.Error(a)
		}
		if a := ann.api("POST", "/account/totp"); a.status != 200 {
			t.Error(a)
		}
		for i, want := range []int{1, 0, 1} { // of three of his, that of the event is gone
			if n := w.count(t, "totp WHERE id = '"+bobs[i]+"'"); n != want {
				t.Errorf("number %d: %d are there", i+1, n)
			}
		}
	}, told)
}

// The intruder's next change begins a new security epoch. The link of the one before works on.
func TestALinkOutlivesANewEpoch(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		b.hold(t, "/account/passkeys")
		token := w.notice(t, annsLogin, "notice-factor-added").token()
		for range 3 {
			if a := b.api("POST", "/account/contact", "email", annsLogin, "phone", annPhone); a.status != 204 {
				t.Fatal(a)
			}
			if a := b.api("POST", "/account/contact", "email", annsLogin); a.status != 204 {
				t.Fatal(a)
			}
		}
		w.answered(t, token)
		if n := w.count(t, "passkeys"); n != 0 {
			t.Error("it is there still")
		}
	}, told)
}

// F4, L1: whoever reads an old address can lock the account and bring the address back, but never get in: not by that link,
// not by one that went there before, and not by one that follows. Nor can whoever moved the account to a mailbox of theirs.
func TestNoAddressThatChangedLatelyOpensAnAccount(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		const evil = "eve@example.com"
		u := w.add(t, annsLogin, annsPassword)
		thief := w.browser()
		thief.signIn(t, annsLogin, annsPassword, "signed_in")
		thief.stepUp(t, "password", "password", annsPassword)
		change := func(b *browser, email, phone string) {
			t.Helper()
			w.wait(time.Second)
			if a := b.api("POST", "/account/contact", "email", email, "phone", phone); a.status != 204 {
				t.Fatal(a)
			}
		}
		change(thief, annsLogin, annPhone)
		earlier := w.notice(t, annsLogin, "notice-phone").token()
		change(thief, evil, annPhone)
		toNew := w.notice(t, evil, "notice-email").token()
		toOld := w.notice(t, annsLogin, "notice-email").token()
		change(thief, evil, "")
		later := w.notice(t, evil, "notice-phone").token()
		for name, token := range map[string]string{"to the old address": toOld, "to the new one": toNew, "to the new one, later": later, "to the old one, before": earlier} {
			if a := w.browser().api("GET", "/not-me?token="+token); a.status != 200 || a.fields["recovers"] != false {
				t.Errorf("%s: %v", name, a)
			}
		}
		if next := w.answered(t, later); next != "/not-me/done" {
			t.Fatal("the mailbox it was moved to opens it: ", next)
		}
		if next := w.answered(t, toOld); next != "/not-me/done" {
			t.Fatal("the old address opens it: ", next)
		}
		if after, err := w.Users.Get(visitless, w.DB, u.ID); err != nil || after.Email != annsLogin || !after.Frozen.Equal(w.now().Add(3*24*time.Hour)) {
			t.Errorf("%+v, %v", after, err)
		}
		w.notice(t, annsLogin, "notice-recovery")
		recoveries := 0
		for _, n := range w.notices(t, evil) {
			if n.text == "notice-recovery" {
				recoveries++
			}
			if strings.Contains(n.Mail.Text, annsLogin) {
				t.Error("the mailbox of the thief is told the address: ", n.Mail.Text)
			}
		}
		if recoveries != 2 {
			t.Error(recoveries, "notices of two answers to the address that went")
		}
		// The old address is the account's again, and still opens nothing.
		if next := w.answered(t, earlier); next != "/not-me/done" {
			t.Error("an earlier link to it: ", next)
		}
		if next := w.answered(t, toNew); next != "/not-me/done" {
			t.Error("the new address: ", next)
		}
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		if next := w.answered(t, w.notice(t, annsLogin, "notice-browser").token()); next != "/not-me/done" {
			t.Error("one that followed: ", next)
		}
		if n := w.count(t, "password_links"); n != 0 {
			t.Error(n, "ways to a new password")
		}
		if a := w.browser().form("GET", "/not-me/done"); a.status != 200 || !strings.Contains(a.body, "3 days") {
			t.Error(a)
		}
		// After a fortnight it has been theirs for long enough.
		w.wait(14*24*time.Hour + time.Minute)
		w.browser().signIn(t, annsLogin, annsPassword, "signed_in")
		if next := w.answered(t, w.notice(t, annsLogin, "notice-browser").token()); !strings.HasPrefix(next, "/forgot/") {
			t.Error("for good: ", next)
		}
	}, told)
}

// The same where the change was some time ago when it was taken back: the address changed then, and what went to the other
// one meanwhile went elsewhere.
func TestTakingAnAddressBackIsAChangeToo(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		const day = 24 * time.Hour
		w.add(t, annsLogin, annsPassword)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		b.stepUp(t, "password", "password", annsPassword)
		if a := b.api("POST", "/account/contact", "email", "ann@example.org"); a.status != 204 {
			t.Fatal(a)
		}
		toOld := w.notice(t, annsLogin, "notice-email").token()
		w.wait(13 * day)
		w.browser().signIn(t, annsLogin, annsPassword, "signed_in")
		w.browser().signIn(t, annsLogin, annsPassword, "signed_in")
		var elsewhere []string
		for _, n := range w.notices(t, "ann@example.org") {
			if n.text == "notice-browser" {
				elsewhere = append(elsewhere, n.token())
			}
		}
		w.answered(t, toOld)
		w.wait(2 * day)
		w.browser().signIn(t, annsLogin, annsPassword, "signed_in")
		if next := w.answered(t, w.notice(t, annsLogin, "notice-browser").token()); next != "/not-me/done" {
			t.Error("the old address opens it in the end: ", next)
		}
		if next := w.answered(t, elsewhere[0]); next != "/not-me/done" {
			t.Error("the one between opens it: ", next)
		}
		// Without that mark the address alone decides.
		if err := w.DB.Tx(visitless, func(tx auth.Tx) error {
			_, err := tx.ExecContext(visitless, `DELETE FROM notice_links WHERE to_old`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if next := w.answered(t, elsewhere[1]); next != "/not-me/done" {
			t.Error("a link that went elsewhere opens it: ", next)
		}
	}, told)
}

// L2: a new password is chosen once, within half an hour, and not after anything else began a new epoch. MFA stays.
func TestThePageForANewPasswordWorksOnceAndNotForLong(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		answered := func(login string) (auth.UserID, string) {
			t.Helper()
			b := w.fresh(t, login)
			b.enrol(t, "/account")
			b.hold(t, "/account/passkeys")
			w.wait(time.Minute)
			if a := b.api("POST", "/account/mfa/disable", "password", string(annsPassword)); a.status != 204 {
				t.Fatal(a)
			}
			if a := b.api("POST", "/account/mfa/enable"); a.status != 204 {
				t.Fatal(a)
			}
			return idOf(t, w, login), w.answered(t, w.notice(t, login, "notice-mfa-on").token())
		}
		_, next := answered(annsLogin)
		for face, send := range w.browser().faces() {
			a := send("POST", next, "password", "short")
			if a.status != 422 || face == "page" && (!strings.Contains(a.body, `action="`+next+`"`) || !strings.Contains(a.body, "is shorter than 12")) {
				t.Errorf("%s: what the rules refuse: %v", face, a)
			}
		}
		w.wait(30*time.Minute - time.Second)
		if a := w.browser().api("POST", next, "password", newPassword); a.status != 204 {
			t.Fatal(a)
		}
		if a := w.browser().api("POST", next, "password", "a third horse battery"); a.status != 404 {
			t.Error("twice: ", a)
		}
		b := w.browser()
		if b.signIn(t, annsLogin, newPassword, "second_factor"); w.count(t, "totp WHERE confirmed") != 1 || w.count(t, "passkeys") != 1 {
			t.Error("MFA was touched")
		}
		if a := w.browser().api("POST", "/signin", "login", annsLogin, "password", "a third horse battery"); a.status != 422 {
			t.Error(a)
		}
		_, late := answered("bob@example.com")
		w.wait(30 * time.Minute)
		for _, password := range []string{newPassword, "x"} { // which is not looked at
			if a := w.browser().api("POST", late, "password", password); a.status != 404 {
				t.Error("after half an hour: ", a)
			}
		}
		for name, bump := range map[string]func(auth.UserID) error{
			"a new epoch": func(u auth.UserID) error {
				return w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Sessions.RevokeOthers(visitless, tx, u, "") })
			},
			"an account that was disabled": func(u auth.UserID) error {
				return w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.Disable(visitless, tx, u) })
			},
		} {
			who, void := answered(strings.ReplaceAll(name, " ", ".") + "@example.com")
			if err := bump(who); err != nil {
				t.Fatal(err)
			}
			for _, password := range []string{newPassword, "x"} {
				if a := w.browser().api("POST", void, "password", password); a.status != 404 {
					t.Errorf("%s: %v", name, a)
				}
			}
		}
	}, told)
}
