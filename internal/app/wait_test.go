package app_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/db/dbtest"
)

// L3: a sign-in that a mailed code began, and the authenticator finished, shows that the authenticator is not lost.
func TestAMailedCodeAndTheRealThingEndAWait(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, _, _, key := w.hasApp(t, annsLogin)
		w.comeWeakly(t, annsLogin) // the thief has the password and the mailbox
		w.wait(time.Hour)
		ann := w.browser()
		ann.api("POST", "/signin/mailed", "login", annsLogin)
		if a := ann.api("POST", "/signin/mailed/code", "code", w.code(t, annsLogin)); a.field("state") != "second_factor" || w.recovers(t, u).IsZero() {
			t.Fatal("the mailed code alone: ", a)
		}
		if a := ann.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.field("state") != "signed_in" || !w.recovers(t, u).IsZero() {
			t.Fatal(a, w.recovers(t, u))
		}
		w.wait(3 * days)
		if thief := w.comeWeakly(t, annsLogin); thief.mayChange() {
			t.Error("three days later the thief changes it")
		}
	}, recovering, byMail)
}

// L3: what the end of a wait takes from a thief is also the proof that it let them give a moment ago; whoever ended it with
// the real thing keeps theirs.
func TestAProofByWhatWasWaitedForEndsWithTheWait(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		for n, ends := range []func(ann *browser, login, key string){
			func(_ *browser, login, key string) { w.comeBy(t, login, key) },
			func(ann *browser, _, key string) {
				ann.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now())))
				if _, another := ann.enrol(t, "/account"); another == "" { // asked once is enough
					t.Error("asked again")
				}
			},
			func(ann *browser, _, _ string) {
				if a := ann.api("DELETE", "/account/recovery"); a.status != 204 {
					t.Fatal(a)
				}
			},
		} {
			login := fmt.Sprintf("ann%d@example.com", n)
			u, _, lost, key := w.hasApp(t, login)
			w.comeWeakly(t, login)
			w.wait(3 * days)
			ann := w.comeWeakly(t, login)
			thief := w.comeWeakly(t, login)
			thief.stepUp(t, "password", "password", annsPassword)
			if a := thief.api("GET", "/account/totp"); a.status != 200 {
				t.Fatal(a)
			}
			ends(ann, login, key)
			if !w.recovers(t, u).IsZero() {
				t.Fatal(n, "it goes on")
			}
			for face, send := range thief.faces() {
				for _, a := range []answer{send("POST", "/account/totp"), send("DELETE", lost)} {
					if a.status != 403 && a.status != 401 && !strings.HasPrefix(a.location, "/signin") {
						t.Errorf("%d, %s: the thief goes on changing: %v", n, face, a)
					}
				}
			}
			if thief.mayChange() {
				t.Error(n, "by the password")
			}
			if !w.comeBy(t, login, key).holds(lost) {
				t.Error(n, "the thief removed it")
			}
		}
	}, recovering)
}

// L3: who gets codes by mail alone waits for nothing where the password does already, so nobody is alarmed.
func TestNothingBeginsWhereThePasswordDoes(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, _ := w.withCodes(t, annsLogin, "", "email")
		pass := w.given(t, u)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		if a := b.second("api", pass); !a.in() {
			t.Fatal(a)
		}
		does := strings.Contains(b.api("GET", "/stepup").body, `"password"`)
		if began := !w.recovers(t, u).IsZero(); began == does || w.begun(t, annsLogin) > 0 == does {
			t.Errorf("the password does: %v, and it began: %v", does, began)
		}
	}, coded)
}

// L3: without mail and SMS an access pass lets somebody in and begins nothing.
func TestWithoutMessagesNothingCountsAsLost(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, _ := w.withApp(t, annsLogin)
		b := w.browser()
		b.signIn(t, annsLogin, password, "second_factor")
		if a := b.second("api", w.given(t, u)); !a.in() {
			t.Fatal(a)
		}
		for face, send := range b.faces() {
			if a := send("POST", "/account/recovery"); a.status != 409 || !strings.Contains(a.body, "Ask those who run this site") {
				t.Errorf("%s: %v", face, a)
			}
		}
		if !w.recovers(t, u).IsZero() {
			t.Error("it began")
		}
	})
}

// F4, L3: any session takes back that something is lost, and the person hears of it and can answer.
func TestTheEndOfAWaitByHandIsTold(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, b, _ := w.byHand(t, annsLogin)
		ended := func(to string) (all []noticed) {
			for _, one := range w.notices(t, to) {
				if one.text == "notice-recovery-ended" {
					all = append(all, one)
				}
			}
			return all
		}
		b.api("POST", "/account/recovery")
		w.wait(40 * time.Minute)
		for range 2 { // who cancels what is over ends nothing
			if a := b.clone().api("DELETE", "/account/recovery"); a.status != 204 {
				t.Fatal(a)
			}
		}
		if n := len(ended(annsLogin)); n != 1 {
			t.Fatal("one mailbox is told ", n, " times")
		}
		w.contact(t, u, "elsewhere@example.org", "")
		b.api("POST", "/account/recovery")
		w.wait(time.Minute)
		b.api("DELETE", "/account/recovery")
		if len(ended(annsLogin)) != 2 || len(ended("elsewhere@example.org")) != 1 {
			t.Error("the login and the address of the account")
		}
		token := ended(annsLogin)[0].token()
		for face, send := range w.browser().faces() {
			if a := send("GET", "/not-me?token="+token); a.status != 200 || face == "page" && !strings.Contains(a.body, "not lost after all") {
				t.Errorf("%s: %v", face, a)
			}
		}
		w.answered(t, token)
		if b.session().status != 401 {
			t.Error("the session goes on after the answer")
		}
	}, recovering, coded)
}

// What the real thing ends is not told: whoever has that has seen it.
func TestTheEndOfAWaitByTheRealThingIsNotTold(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, _, _, key := w.hasApp(t, annsLogin)
		w.comeWeakly(t, annsLogin)
		w.comeBy(t, annsLogin, key)
		for _, one := range w.notices(t, annsLogin) {
			if one.text == "notice-recovery-ended" {
				t.Error(one.Mail.Text)
			}
		}
	}, recovering)
}

// L2, S10: whoever asks for a link in somebody's name is told the same, and the link that is under way goes on.
func TestAStrangerDoesNotTakeALinkAway(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		mine := w.forgets(t, annsLogin, annsLogin)
		for _, face := range []string{"api", "page"} {
			w.wait(20 * time.Second)
			a, nobody := w.browser().faces()[face]("POST", "/forgot", "login", annsLogin), w.browser().faces()[face]("POST", "/forgot", "login", "nobody@example.com")
			if a.status != nobody.status || a.location != nobody.location || a.status >= 400 {
				t.Error(face, a, nobody)
			}
		}
		if n := len(w.links(t, annsLogin)); n != 1 {
			t.Error(n, "links were sent")
		}
		if a := w.browser().api("POST", mine, "password", newPassword); a.status != 204 {
			t.Error("killed: ", a)
		}
	}, told)
}

// movesAway is a person whose address changed of late.
func (w *world) movesAway(t tester, u auth.UserID) {
	t.Helper()
	for _, email := range []string{"away@example.org", ""} {
		now, err := w.Users.Get(visitless, w.DB, u)
		if err != nil {
			t.Fatalf("%v", err)
		}
		w.contact(t, now, email, "")
	}
}

// L3: "This wasn't me" out of an SMS leads to no new password itself; but the account's mailbox still does, while it is locked.
func TestALockedAccountGetsALinkByMail(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		for _, moved := range []bool{false, true} {
			login := fmt.Sprintf("ann-%v@example.com", moved)
			u, b, _ := w.byHand(t, login)
			phone := map[bool]string{false: annPhone, true: bobPhone}[moved]
			w.contact(t, u, u.Email, phone)
			if moved {
				w.movesAway(t, u.ID)
				w.contact(t, u, u.Email, phone)
			}
			b.api("POST", "/account/recovery")
			all := w.notices(t, phone)
			if next := w.answered(t, notMe.FindStringSubmatch(all[0].Text)[1]); next != "/not-me/done" {
				t.Fatal(next)
			}
			if a := w.browser().api("POST", "/forgot", "login", login); a.status != 204 {
				t.Fatal(a)
			}
			links := w.links(t, login)
			if moved {
				if len(links) != 0 {
					t.Error("mailed to what may be an address that the account has left")
				}
				continue
			}
			if len(links) != 1 {
				t.Fatal(len(links), "links")
			}
			if a := w.browser().api("POST", links[0], "password", newPassword); a.status != 204 {
				t.Fatal(a)
			}
			w.wait(time.Minute)
			if a := w.browser().api("POST", "/signin", "login", login, "password", string(annsPassword)); a.status != 422 {
				t.Error("the password of the thief: ", a)
			}
			w.browser().signIn(t, login, newPassword, "second_factor")
		}
	}, recovering, coded)
}

func TestOfManyAtOnceOneBegins(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, b, _ := w.byHand(t, annsLogin)
		var requests []func() answer
		for range 6 {
			twin := b.clone()
			requests = append(requests, func() answer { return twin.api("POST", "/account/recovery") })
		}
		until := ""
		for _, a := range atOnce(requests...) {
			if a.status != 200 || until != "" && a.field("until") != until {
				t.Error(a)
			}
			until = a.field("until")
		}
		if len(w.events(t, u.ID, auth.RecoveryBegan)) != 1 || w.begun(t, annsLogin) != 1 {
			t.Error("begun twice")
		}
	}, recovering, coded)
}

// Weak and strong sign-ins at once: neither waits for the other for ever, and whichever is last says how it stands.
func TestTheyMeetWithoutStandingStill(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, _, _, key := w.hasApp(t, annsLogin)
		for range 5 {
			weak, strong := w.browser(), w.browser()
			w.wait(9 * time.Hour)
			weak.signIn(t, annsLogin, annsPassword, "second_factor")
			strong.signIn(t, annsLogin, annsPassword, "second_factor")
			weak.api("POST", "/signin/email/send")
			mailed, shown := w.code(t, annsLogin), codeAt(key, w.now())
			for _, a := range atOnce(func() answer { return weak.api("POST", "/signin/email", "code", mailed) },
				func() answer { return strong.api("POST", "/signin/totp", "code", shown) }) {
				if a.field("state") != "signed_in" {
					t.Error(a)
				}
			}
			if began, ended := len(w.events(t, u.ID, auth.RecoveryBegan)), len(w.events(t, u.ID, auth.RecoveryEnded)); w.recovers(t, u).IsZero() != (began == ended) {
				t.Errorf("%d began, %d ended, recovers %v", began, ended, w.recovers(t, u))
			}
		}
	}, recovering)
}

// What is cancelled here is cancelled everywhere, at once.
func TestACancelledWaitIsOverOnAnotherNode(t *testing.T) {
	dbtest.EachAddress(t, app.Schemas, func(t *testing.T, address string) {
		here := worldOn(t, address, recovering)
		there := worldOn(t, address, recovering, func(c *config.Config) { c.Data = here.config.Data })
		u, _, _, _ := here.hasApp(t, annsLogin)
		here.comeWeakly(t, annsLogin)
		here.wait(3 * days)
		there.wait(15*time.Minute + 3*days)
		b := here.comeWeakly(t, annsLogin)
		far := &browser{w: there, jar: b.jar, address: b.address}
		if a := far.api("GET", "/stepup"); !strings.Contains(a.body, `"password"`) {
			t.Fatal(a)
		}
		if a := b.api("DELETE", "/account/recovery"); a.status != 204 {
			t.Fatal(a)
		}
		if far.mayChange() || !here.recovers(t, u).IsZero() {
			t.Error("there it goes on")
		}
	})
}

// L3: who stepped up by what was waited for, while the wait ended, has nothing of it.
func TestAStepUpUnderWayEndsWithTheWait(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		ended := 0
		for i := range 8 {
			login := fmt.Sprintf("ann%d@example.com", i)
			u, _, _, _ := w.hasApp(t, login)
			w.comeWeakly(t, login)
			w.wait(3 * days)
			ann, thief := w.comeWeakly(t, login), w.comeWeakly(t, login)
			var all sync.WaitGroup
			all.Go(func() { thief.api("POST", "/stepup/password", "password", string(annsPassword)) })
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				ann.api("DELETE", "/account/recovery")
			})
			all.Wait()
			if !w.recovers(t, u).IsZero() {
				continue
			}
			ended++
			if a := thief.api("POST", "/account/totp"); a.problem() != "step-up" {
				t.Error(a)
			}
		}
		if ended == 0 {
			t.Error("no wait ended")
		}
	}, recovering)
}
