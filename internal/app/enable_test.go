package app_test

import (
	"fmt"
	"testing"
	"time"

	"sallyport/internal/auth"
)

// To turn MFA on asks for no fresh proof, so a session that somebody left open can do it, and the password alone where there
// is no second step. It must not be a way to undo what the owner begins.

// L2, F4: whoever knows the old password does not keep the owner from choosing another after “This wasn’t me”.
func TestMFAIsNotTurnedOnWhileTheAccountIsLocked(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u := w.add(t, annsLogin, annsPassword)
		w.browser().signIn(t, annsLogin, annsPassword, "signed_in")
		w.wait(time.Hour)
		thief := w.browser()
		thief.signIn(t, annsLogin, annsPassword, "signed_in")
		next := w.answered(t, w.notice(t, annsLogin, "notice-browser").token())
		thief.signIn(t, annsLogin, annsPassword, "signed_in")
		for _, off := range []bool{false, true} {
			if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.SwitchMFA(visitless, tx, u.ID, off) }); err != nil {
				t.Fatal(err)
			}
			before := w.find(t, annsLogin)
			if a := thief.api("POST", "/account/mfa/enable"); a.status != 409 || a.problem() != "frozen" {
				t.Error(a)
			}
			if after := w.find(t, annsLogin); after != before {
				t.Errorf("%+v became %+v", before, after)
			}
		}
		if a := w.browser().api("POST", next, "password", newPassword); a.status != 204 {
			t.Error("the owner cannot choose a password: ", a)
		}
		if rows := w.events(t, u.ID, auth.MFAEnabled); len(rows) != 0 {
			t.Error(rows)
		}
	}, told)
}

// U1, R4: where MFA is on already nothing happens: no pass, no sign-in, no session and no trust is void by it.
func TestMFATurnedOnTwiceChangesNothing(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		trusts, key := w.trusting(t, annsLogin)
		u := w.find(t, annsLogin)
		thief, anns := w.browser(), w.browser()
		thief.arrive(t, annsLogin, key)
		w.wait(50 * time.Minute) // no fresh proof is left
		pass := w.given(t, u)
		anns.signIn(t, annsLogin, annsPassword, "second_factor")
		for face, send := range thief.faces() {
			if a := send("POST", "/account/mfa/enable"); a.status != 204 && a.status != 303 {
				t.Errorf("%s: %v", face, a)
			}
		}
		if after := w.find(t, annsLogin); after.Epoch != u.Epoch {
			t.Error("a new epoch")
		}
		if a := anns.api("POST", "/signin/totp", "code", codeAt(key, w.now())); !a.in() {
			t.Error("a sign-in under way is dead: ", a)
		}
		anns = w.browser()
		anns.signIn(t, annsLogin, annsPassword, "second_factor")
		if a := anns.second("api", pass); !a.in() {
			t.Error("the pass is dead: ", a)
		}
		if trusts.asks(t, annsLogin) {
			t.Error("her browser is trusted no more")
		}
		if rows := w.events(t, u.ID, auth.MFAEnabled); len(rows) != 0 {
			t.Error(rows)
		}
	})
}

// F4: it says nothing where it changes nothing, and never uses up what is left for more.
func TestMFATurnedOnLeavesRoomForWhatMatters(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		u := w.find(t, annsLogin)
		said := func() map[string]int {
			all := map[string]int{}
			for _, n := range w.notices(t, annsLogin) {
				all[n.text]++
			}
			return all
		}
		for range 30 {
			if a := b.api("POST", "/account/mfa/enable"); a.status != 204 {
				t.Fatal(a)
			}
		}
		if all := said(); all["notice-mfa-on"] != 0 {
			t.Error("it is on already, and told: ", all)
		}
		for range 30 { // it was off each time
			if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.SwitchMFA(visitless, tx, u.ID, true) }); err != nil {
				t.Fatal(err)
			}
			if a := b.api("POST", "/account/mfa/enable"); a.status != 204 {
				t.Fatal(a)
			}
		}
		b.stepUp(t, "password", "password", annsPassword)
		b.enrol(t, "/account")
		if all := said(); all["notice-mfa-on"] < 10 || all["notice-mfa-on"] > 20 || all["notice-factor-added"] != 1 {
			t.Error(fmt.Sprint(all))
		}
	}, told)
}
