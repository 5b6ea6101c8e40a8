package app_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/internal/config"
)

// L1: where it is not named, nothing stands in; and what stands in is no factor that somebody has.
func TestNothingStandsInWhereItIsNotNamed(t *testing.T) {
	w := inSQLite(t, told)
	w.hasApp(t, annsLogin)
	b := w.browser()
	if a := b.signIn(t, annsLogin, annsPassword, "second_factor"); strings.Contains(a.body, "email") {
		t.Error(a)
	}
	if a := b.api("POST", "/signin/email/send"); a.status != 404 {
		t.Error(a)
	}
	if w.sent(t, annsLogin) > 0 {
		t.Error("a code went out")
	}
}

func TestAnAddressIsNoFactor(t *testing.T) {
	w := inSQLite(t, recovering)
	b := w.fresh(t, annsLogin)
	if a := b.api("GET", "/account/security"); a.field("mfa") != "off" {
		t.Error("MFA of somebody who has nothing: ", a)
	}
	for _, a := range []answer{b.api("GET", "/account/email/address/remove"), b.api("DELETE", "/account/email/address"), b.form("DELETE", "/account/email/address")} {
		if a.status != 404 {
			t.Error(a)
		}
	}
	if page := b.form("GET", "/account/security"); strings.Contains(page.body, "Codes by email") {
		t.Error("its card stands there")
	}
	if a := b.api("POST", "/account/email"); a.status != 404 {
		t.Error(a)
	}
}

// W4: where a second step is required, an address is none, is not set up in its place, and a grace period runs all the same.
func TestAnAddressIsNotWhatIsRequired(t *testing.T) {
	w := inSQLite(t, recovering, required)
	w.add(t, annsLogin, annsPassword)
	b := w.browser()
	a := b.signIn(t, annsLogin, annsPassword, "enrolment")
	if strings.Contains(a.body, "email") {
		t.Error(a)
	}
	for _, path := range []string{"/signin/enrol/email", "/signin/enrol/email/code"} {
		if a := b.api("POST", path, "code", "0000-0000"); a.status != 404 {
			t.Error(path, a)
		}
	}
	if a := b.api("POST", "/signin/email/send"); a.status == 200 {
		t.Error(a)
	}
	w = inSQLite(t, recovering, required, func(c *config.Config) { c.Policy.GraceDays = 7 })
	w.add(t, annsLogin, annsPassword)
	w.browser().signIn(t, annsLogin, annsPassword, "signed_in")
}

// C4: an address that two people read stands in for nothing, and says nothing of the other.
func TestASharedAddressStandsInForNothing(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, _, _, key := w.hasApp(t, annsLogin)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		b.api("POST", "/signin/email/send")
		code := w.code(t, annsLogin)
		w.contact(t, w.add(t, "bob@example.com", annsPassword), annsLogin, "")
		if a := b.api("POST", "/signin/email", "code", code); a.field("state") == "signed_in" {
			t.Error("a code from before: ", a)
		}
		if a := w.browser().signIn(t, annsLogin, annsPassword, "second_factor"); strings.Contains(a.body, "email") {
			t.Error(a)
		}
		w.comeBy(t, annsLogin, key)
	}, recovering)
}

// Security R5: a code that stands in works in its sign-in, after the password, once; and where the address of the profile is
// another, not there.
func TestACodeThatStandsInGoesWhereSignInsBegin(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u, _, _, _ := w.hasApp(t, annsLogin)
		w.contact(t, u, "typed@example.org", "")
		b, other := w.browser(), w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		other.signIn(t, annsLogin, annsPassword, "second_factor")
		b.api("POST", "/signin/email/send")
		if w.sent(t, "typed@example.org") != 0 || w.sent(t, annsLogin) != 1 {
			t.Fatal("not to the login alone")
		}
		code := w.code(t, annsLogin)
		if a := other.api("POST", "/signin/email", "code", code); a.field("state") == "signed_in" {
			t.Error(a)
		}
		if a := b.api("POST", "/signin/email", "code", code); a.field("state") != "signed_in" {
			t.Fatal(a)
		}
		if a := b.api("POST", "/stepup/email", "code", code); a.status == 200 {
			t.Error(a)
		}
	}, recovering)
}

// S5, L1: a mailed code that began a sign-in is not followed by another to the same mailbox.
func TestTheSameMailboxIsNotBothSteps(t *testing.T) {
	w := inSQLite(t, recovering, func(c *config.Config) { c.Codes.SignIn = true })
	w.hasApp(t, annsLogin)
	b := w.browser()
	b.api("POST", "/signin/mailed", "login", annsLogin)
	a := b.api("POST", "/signin/mailed/code", "code", w.code(t, annsLogin))
	if a.field("state") != "second_factor" || strings.Contains(a.body, "email") {
		t.Fatal(a)
	}
	w.wait(time.Minute)
	if a := b.api("POST", "/signin/email/send"); a.status == 200 {
		t.Error(a)
	}
}

// C3: who lost their phone and asks for a code by mail is sent none to the phone.
func TestWhatStandsInIsSentByMailAlone(t *testing.T) {
	w := inSQLite(t, recovering, delivery("all"), func(c *config.Config) {
		c.SMS.Provider, c.SMS.Countries, c.Policy.Factors = config.Outbox, []string{"SE"}, []string{"sms", "totp"}
	})
	b := w.fresh(t, annsLogin)
	w.contact(t, w.find(t, annsLogin), annsLogin, annPhone)
	b.prove(t, "sms", annPhone)
	w.wait(time.Hour)
	before := w.sent(t, annPhone)
	w.comeWeakly(t, annsLogin) // the first step sends an SMS
	if n := w.sent(t, annPhone) - before; n != 1 {
		t.Error(n, "SMS")
	}
	if w.sent(t, annsLogin) != 1 || w.begun(t, annPhone) != 1 || w.begun(t, annsLogin) != 1 {
		t.Error("not told, or told twice")
	}
}

// What was proved to be read counts no more here: the address still leads in, and the password alone does not.
func TestWhatCountsNoMoreIsNoWayPast(t *testing.T) {
	w := inSQLite(t, recovering, coded)
	w.withCodes(t, annsLogin, "", "email")
	w.config.Policy.Factors = []string{"totp"}
	w.restart(t)
	w.wait(time.Hour)
	b := w.browser()
	if a := b.signIn(t, annsLogin, password, "second_factor"); a.field("next") != "/signin/email" {
		t.Fatal(a)
	}
	if a := b.api("POST", "/signin/email", "code", w.code(t, annsLogin)); a.field("state") != "signed_in" {
		t.Error("nothing was sent, though it is all they have: ", a)
	}
}
