package app_test

import (
	"testing"
	"time"
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
