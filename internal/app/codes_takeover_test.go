package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
)

// C4, R7: a colleague who types somebody's address or number into their own profile is refused, so that nobody can take
// another's second step away.
func TestAColleagueCannotBlockASecondStep(t *testing.T) {
	for _, channel := range []string{"sms", "email"} {
		t.Run(channel, func(t *testing.T) {
			inWorlds(t, func(t *testing.T, w *world) {
				w.withCodes(t, "ann@example.com", annPhone, channel)
				mallory := w.add(t, "mallory@example.com", password)
				m := w.browser()
				m.signIn(t, mallory.Login, password, "signed_in")
				m.stepUp(t, "password", "password", password)
				email, phone := mallory.Login, annPhone
				if channel == "email" {
					email, phone = "ann@example.com", ""
				}
				if a := m.api("POST", "/account/contact", "email", email, "phone", phone); a.problem() != "contact-shared" {
					t.Errorf("%v", a)
				}
				w.browser().signIn(t, "ann@example.com", password, "second_factor")
			}, coded)
		})
	}
}

// C4, R7: where an administrator makes a collision, the password alone opens nothing and sets nothing up.
func TestABlockedSecondStepIsReplacedByNothingWeaker(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, before := w.withCodes(t, "ann@example.com", annPhone, "sms")
		bob := w.add(t, "bob@example.com", password)
		w.contact(t, bob, bob.Login, annPhone)
		thief := w.browser()
		if a := thief.api("POST", "/signin", "login", "ann@example.com", "password", string(password)); a.problem() != "factor-blocked" || thief.has(pendingCookie) {
			t.Errorf("%v", a)
		}
		w.wait(20 * time.Minute)
		if a := before.api("POST", "/account/totp"); a.problem() != "factor-blocked" {
			t.Errorf("%v", a)
		}
		if a := before.api("POST", "/stepup/password", "password", string(password)); a.status == 200 {
			t.Errorf("%v", a)
		}
		w.contact(t, bob, bob.Login, "") // and back
		w.browser().signIn(t, "ann@example.com", password, "second_factor")
	}, coded)
}

// S10, C10: whoever is signed in may hear that somebody has an address, but not ask without end.
func TestAskingWhoHasAnAddressIsBounded(t *testing.T) {
	w := inSQLite(t, coded)
	w.add(t, "ann@example.com", password)
	mallory := w.add(t, "mallory@example.com", password)
	m := w.browser()
	m.signIn(t, mallory.Login, password, "signed_in")
	m.stepUp(t, "password", "password", password)
	told := 0
	for range 60 {
		if a := m.api("POST", "/account/contact", "email", "ann@example.com"); a.problem() == "contact-shared" {
			told++
		}
	}
	if told > 10 {
		t.Errorf("told %d times", told)
	}
}

// R7, C5: who never chose codes by mail is not signed in by a mailbox and a password.
func TestMailboxAndPasswordAreNoWayAroundAnAuthenticator(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u := w.add(t, "ann@example.com", password)
		b := w.browser()
		b.signIn(t, u.Login, password, "signed_in")
		b.stepUp(t, "password", "password", password)
		b.enrol(t, "/account")
		thief := w.browser()
		thief.api("POST", "/signin/mailed", "login", u.Login)
		a := thief.api("POST", "/signin/mailed/code", "code", w.code(t, u.Login))
		if a.field("state") != "second_factor" || strings.Contains(a.body, "password") {
			t.Fatalf("%v", a)
		}
		if a := thief.api("GET", "/signin/password"); a.status != 404 {
			t.Errorf("offered: %v", a)
		}
		if a := thief.api("POST", "/signin/password", "password", string(password)); a.field("state") == "signed_in" {
			t.Errorf("without the authenticator: %v %v", a, thief.session())
		}
	}, coded, byMail)
}

// P9, R7: a mailed code alone sets nothing up, not by an offer either.
func TestAMailedCodeAloneIsOfferedNoPasskey(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u := w.add(t, annsLogin, annsPassword)
		thief := w.capable()
		thief.api("POST", "/signin/mailed", "login", u.Login)
		a := thief.api("POST", "/signin/mailed/code", "code", w.code(t, u.Login))
		if a.field("state") != "signed_in" {
			t.Fatalf("%v", a)
		}
		if isOffer(a) {
			t.Errorf("offered after a mailed code alone: %v", a)
		}
		k := w.key()
		if a := thief.ceremony(t, k, offer, nil); a.status == 200 {
			t.Errorf("added: %v", a)
			fresh := w.browser()
			t.Logf("signs in: %v %v", fresh.ceremony(t, k, "/signin/passkey", nil), fresh.session())
			owner := w.browser()
			t.Logf("owner: %v", owner.api("POST", "/signin", "login", u.Login, "password", string(annsPassword)))
		}
	}, coded, byMail)
}

// C10: what anybody can ask for without a password takes nothing from who has given it.
func TestStrangersUseUpNobodysCodes(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.withCodes(t, "ann@example.com", "", "email")
		w.wait(2 * time.Hour)
		stranger := w.browser()
		for range 10 {
			delete(stranger.jar, "__Host-mailed")
			stranger.jar = map[string]string{}
			stranger.api("POST", "/signin/mailed", "login", "ann@example.com")
		}
		before := w.sent(t, "ann@example.com")
		b := w.browser()
		b.signIn(t, "ann@example.com", password, "second_factor")
		if w.sent(t, "ann@example.com") == before {
			t.Errorf("no code for Ann, who has the right password: %v %v", b.api("POST", "/signin/email/send"), b.api("GET", "/signin/email"))
		}
	}, coded, byMail)
}

// C10
func TestNamesThatNobodyHasUseUpNothing(t *testing.T) {
	w := inSQLite(t, coded, byMail, func(c *config.Config) { c.Mail.PerHour = 100 })
	w.withCodes(t, "ann@example.com", "", "email")
	w.wait(2 * time.Hour)
	for n := range 100 {
		w.browser().api("POST", "/signin/mailed", "login", fmt.Sprintf("nobody%d@example.com", n))
	}
	before := w.sent(t, "ann@example.com")
	b := w.browser()
	b.signIn(t, "ann@example.com", password, "second_factor")
	if w.sent(t, "ann@example.com") == before {
		t.Errorf("no code for Ann: %v", b.api("POST", "/signin/email/send"))
	}
}

// S10, C10: once the budget of all is used up, nobody hears from that who has an account.
func TestAnEmptyBudgetTellsNothingOfAnAccount(t *testing.T) {
	w := inSQLite(t, coded, byMail, func(c *config.Config) { c.Mail.PerHour = 2 })
	ask := func(login string) answer { return w.browser().api("POST", "/signin/mailed", "login", login) }
	for _, name := range []string{"ann", "bob", "carl"} {
		w.add(t, name+"@example.com", password)
	}
	ask("ann@example.com")
	ask("bob@example.com")
	real, made := ask("carl@example.com"), ask("nobody@example.com")
	if real.status != made.status || len(real.cookies) != len(made.cookies) || real.status != 200 {
		t.Error("Carl: ", real, "nobody: ", made)
	}
	if w.sent(t, "carl@example.com") != 0 {
		t.Error("the budget was not used up")
	}
}

// C10: nor from those behind the same address.
func TestAGuestDoesNotStopTheOffice(t *testing.T) {
	w := inSQLite(t, coded, byMail)
	w.withCodes(t, "ann@example.com", "", "email")
	w.wait(2 * time.Hour)
	guest := w.browser()
	for n := range 60 {
		guest.jar = map[string]string{}
		guest.api("POST", "/signin/mailed", "login", fmt.Sprintf("nobody%d@example.com", n))
	}
	before := w.sent(t, "ann@example.com")
	b := w.browser()
	b.address = guest.address
	b.signIn(t, "ann@example.com", password, "second_factor")
	if w.sent(t, "ann@example.com") == before {
		t.Errorf("no code for Ann: %v", b.api("POST", "/signin/email/send"))
	}
}

// C5, S5: a slip, or a thief of the session, hands the account to nobody.
func TestAMailedCodeGoesToNoAddressOutOfTheProfile(t *testing.T) {
	w := inSQLite(t, coded, byMail)
	u := w.add(t, "ann@example.com", password)
	b := w.browser()
	b.signIn(t, u.Login, password, "signed_in")
	b.stepUp(t, "password", "password", password)
	b.api("POST", "/account/contact", "email", "amm@example.com") // a slip, or a thief of the session
	stranger := w.browser()
	stranger.api("POST", "/signin/mailed", "login", u.Login)
	if code := w.code(t, "amm@example.com"); code != "" {
		a := stranger.api("POST", "/signin/mailed/code", "code", code)
		t.Errorf("%v %v", a, stranger.session())
	}
}

// R4
func TestAnOpeningCodeEndsWithTheEpoch(t *testing.T) {
	w := inSQLite(t, coded, byMail)
	u := w.add(t, "ann@example.com", password)
	thief := w.browser()
	thief.api("POST", "/signin/mailed", "login", u.Login)
	code := w.code(t, u.Login)
	w.resetMFA(t, u.ID) // or a new password, “This wasn't me”, Disable and enable: a new epoch
	if a := thief.api("POST", "/signin/mailed/code", "code", code); a.field("state") == "signed_in" {
		t.Errorf("%v", a)
	}
}

// R4
func TestAnOpeningCodeEndsWithAChangeOfTheAddress(t *testing.T) {
	w := inSQLite(t, coded, byMail, mfaOff)
	u, b := w.withCodes(t, "ann@example.com", "", "email")
	w.wait(2 * time.Minute)
	thief := w.browser()
	thief.api("POST", "/signin/mailed", "login", u.Login)
	code := w.code(t, u.Login)
	if a := b.api("POST", "/account/contact", "email", "ann@example.org"); a.status >= 300 {
		t.Fatalf("%v", a)
	}
	if a := thief.api("POST", "/signin/mailed/code", "code", code); a.field("state") == "signed_in" {
		t.Errorf("by the mailbox that she left: %v", a)
	}
}

// C4, A2: who was given a method that a collision blocks cannot get in, so somebody hears of it.
func TestWhoCannotProveAnAssignedMethodIsOnRecord(t *testing.T) {
	w := inSQLite(t, coded)
	u := w.add(t, "ann@example.com", password)
	w.contact(t, u, u.Login, annPhone)
	if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.SetMethod(visitless, tx, u.ID, auth.BySMS) }); err != nil {
		t.Fatal(err)
	}
	w.contact(t, w.add(t, "bob@example.com", password), "bob@example.com", annPhone)
	b := w.browser()
	b.signIn(t, u.Login, password, "enrolment")
	if a := b.api("POST", "/signin/enrol/sms"); a.problem() != "contact-shared" {
		t.Errorf("%v", a)
	}
	if n := len(w.events(t, u.ID, auth.ContactBlocked)); n != 1 {
		t.Errorf("%d rows tell of it", n)
	}
}
