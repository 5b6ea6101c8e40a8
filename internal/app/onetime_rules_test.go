package app_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
)

// C4: a destination that becomes somebody else's between sending and typing opens nothing; nor does one that somebody
// else proved and has left out of their profile since.
func TestACollisionOnTheWayIsNoticed(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		ann, b := w.withCodes(t, "ann@example.com", "", "email")
		bob := w.add(t, "bob@example.com", password)
		w.wait(time.Hour)
		b = w.browser()
		b.signIn(t, ann.Login, password, "second_factor")
		code := w.code(t, ann.Login)
		w.contact(t, bob, ann.Login, "")
		if a := b.api("POST", "/signin/email", "code", code); a.status == 200 {
			t.Errorf("%v", a)
		}
		w.contact(t, bob, "bob@example.com", "")

		carl, c := w.withCodes(t, "carl@example.com", annPhone, "sms")
		w.contact(t, carl, carl.Login, "")
		w.contact(t, bob, bob.Login, annPhone)
		d := w.browser()
		d.signIn(t, bob.Login, password, "signed_in")
		d.stepUp(t, "password", "password", password)
		if a := d.switchOn("sms"); a.problem() != "contact-shared" {
			t.Errorf("%v", a)
		}
		_ = c
	}, coded)
}

// R5: the code that proves a new number is no fresh proof by the old one.
func TestACodeForANewNumberIsNoStepUp(t *testing.T) {
	w := inSQLite(t, coded)
	ann, b := w.withCodes(t, "ann@example.com", annPhone, "sms")
	w.contact(t, w.find(t, ann.Login), ann.Login, bobPhone)
	w.wait(time.Minute)
	if a := b.switchOn("sms"); a.field("next") != "/account/sms/code" {
		t.Fatalf("%v", a)
	}
	if a := b.api("POST", "/stepup/sms", "code", w.code(t, bobPhone)); a.status != 422 {
		t.Errorf("%v", a)
	}
}

// C6, C10: of resends at once one is sent.
func TestOfParallelResendsOneIsSent(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.withCodes(t, "ann@example.com", "", "email")
		w.wait(time.Hour)
		b := w.browser()
		b.signIn(t, "ann@example.com", password, "second_factor")
		w.wait(31 * time.Second)
		var all sync.WaitGroup
		var passed atomic.Int64
		for range 8 {
			all.Go(func() {
				switch a := b.clone().api("POST", "/signin/email/send"); a.status {
				case 200:
					passed.Add(1)
				case 429:
				default:
					t.Errorf("%v", a)
				}
			})
		}
		all.Wait()
		if n := passed.Load(); n != 1 {
			t.Errorf("%d were sent", n)
		}
		if a := b.api("POST", "/signin/email", "code", w.code(t, "ann@example.com")); a.field("state") != "signed_in" {
			t.Errorf("%v", a)
		}
	}, coded)
}

// W4: who has nothing but codes by a channel that counts no more, or is gone, sets up another second step; the password
// alone never takes its place.
func TestAChannelThatIsGoneLeavesNoPasswordAlone(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		ann, _ := w.withCodes(t, "ann@example.com", annPhone, "sms")
		for _, strike := range []func(c *config.Config){
			func(c *config.Config) { c.Policy.Factors = []string{"passkey", "totp"} },
			func(c *config.Config) { c.SMS.Provider, c.Mail.Host = "", "" },
		} {
			strike(&w.config)
			w.restart(t)
			w.wait(time.Hour)
			b := w.browser()
			if a := b.signIn(t, ann.Login, password, "enrolment"); strings.Contains(a.body, "sms") {
				t.Errorf("%v", a)
			}
			if a := b.api("POST", "/signin/enrol/sms"); a.status == 200 {
				t.Errorf("%v", a)
			}
		}
	}, coded)
}

// C3, C4: of all channels, one that somebody else reads gets nothing.
func TestAllChannelsAreThoseOfOnesOwn(t *testing.T) {
	w := inSQLite(t, coded, delivery("all"))
	ann, b := w.withCodes(t, "ann@example.com", annPhone, "sms")
	w.wait(time.Minute)
	b.prove(t, "email", ann.Login)
	w.contact(t, w.add(t, "bob@example.com", password), ann.Login, "")
	w.wait(time.Hour)
	mails, texts := w.sent(t, ann.Login), w.sent(t, annPhone)
	b = w.browser()
	b.signIn(t, ann.Login, password, "second_factor")
	if m, n := w.sent(t, ann.Login)-mails, w.sent(t, annPhone)-texts; m != 0 || n != 1 {
		t.Errorf("%d mails and %d texts", m, n)
	}
}

// S10, C4: nothing arrives for who is disabled or shares their address, and nobody can tell.
func TestAMailedCodeTellsNothingOfTheAccount(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		ann, bob, carl := w.add(t, "ann@example.com", password), w.add(t, "bob@example.com", password), w.add(t, "carl@example.com", password)
		w.disable(t, ann.ID)
		w.contact(t, carl, bob.Login, "")
		good := w.add(t, "dora@example.com", password)
		want := w.browser().api("POST", "/signin/mailed", "login", good.Login)
		for _, login := range []string{ann.Login, bob.Login, "nobody@example.com"} {
			if a := w.browser().api("POST", "/signin/mailed", "login", login); a.status != 200 || a.body != want.body {
				t.Errorf("%s: %v", login, a)
			}
			if n := w.sent(t, login); n != 0 {
				t.Errorf("%s got %d messages", login, n)
			}
		}
		if n := w.sent(t, good.Login); n != 1 {
			t.Errorf("%d messages", n)
		}
		b := w.browser() // somebody else in the same browser begins anew
		b.api("POST", "/signin/mailed", "login", bob.Login)
		if a := b.api("POST", "/signin/mailed", "login", carl.Login); a.status != 200 {
			t.Errorf("%v", a)
		}
	}, coded, byMail)
}

// C5: the destination that is proved is the one in the profile at that moment.
func TestAChangedProfileNeedsAnotherProof(t *testing.T) {
	w := inSQLite(t, coded)
	ann := w.add(t, "ann@example.com", password)
	b := w.browser()
	b.signIn(t, ann.Login, password, "signed_in")
	b.stepUp(t, "password", "password", password)
	b.switchOn("email")
	w.contact(t, ann, "ann@example.org", "")
	if a := b.api("POST", "/account/email/code", "code", w.code(t, ann.Login)); a.status != 422 {
		t.Errorf("%v", a)
	}
}

// F1, R4: what changes how somebody signs in, or where they are reached, ends their other sessions.
func TestChangesOfCodesAndContactEndOtherSessions(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, w *world, b *browser){
		"switched on": func(t *testing.T, w *world, b *browser) { b.prove(t, "email", "ann@example.com") },
		"a new contact": func(t *testing.T, w *world, b *browser) {
			b.api("POST", "/account/contact", "email", "ann@example.org")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := inSQLite(t, coded, warn)
			w.add(t, "ann@example.com", password)
			b, other := w.browser(), w.browser()
			b.signIn(t, "ann@example.com", password, "signed_in")
			other.signIn(t, "ann@example.com", password, "signed_in")
			b.stepUp(t, "password", "password", password)
			change(t, w, b)
			if b.session().status != 200 || other.session().status != 401 {
				t.Errorf("%v\n%v", b.session(), other.session())
			}
		})
	}
	w := inSQLite(t, coded, warn)
	_, b := w.withCodes(t, "ann@example.com", "", "email")
	w.wait(time.Minute)
	other := w.browser()
	other.signIn(t, "ann@example.com", password, "second_factor")
	other.api("POST", "/signin/email", "code", w.code(t, "ann@example.com"))
	if a := b.switchOff(); a.status != 200 || other.session().status != 401 {
		t.Errorf("switched off: %v\n%v", a, other.session())
	}
}

// Security "Throttling": the password as second step has ten guesses over all sign-ins, too.
func TestThePasswordComesSecondUnderTheSameLimit(t *testing.T) {
	w := inSQLite(t, coded, byMail)
	ann, _ := w.withCodes(t, "ann@example.com", "", "email")
	w.wait(time.Hour)
	half := func() *browser {
		w.wait(time.Second) // the newest message is the one of now
		b := w.browser()
		b.api("POST", "/signin/mailed", "login", ann.Login)
		b.api("POST", "/signin/mailed/code", "code", w.code(t, ann.Login))
		return b
	}
	for range 2 {
		b := half()
		if a := b.api("POST", "/signin/email/send"); a.status == 200 { // a mailed code is never both steps
			t.Errorf("%v", a)
		}
		for range 5 {
			if a := b.api("POST", "/signin/password", "password", "wrong"); a.status == 200 {
				t.Fatalf("%v", a)
			}
		}
	}
	if a := half().api("POST", "/signin/password", "password", string(password)); a.status != 429 {
		t.Errorf("%v", a)
	}
}

// U2: no mail is sent for a step-up, which takes none.
func TestNoMailIsSentForAStepUp(t *testing.T) {
	w := inSQLite(t, coded)
	ann, b := w.withCodes(t, "ann@example.com", "", "email")
	before := w.sent(t, ann.Login)
	w.wait(20 * time.Minute)
	if a := b.api("POST", "/stepup/email/send"); a.status != 404 || w.sent(t, ann.Login) != before {
		t.Errorf("%v", a)
	}
}

// C3: preferred, choose, all.
func TestDeliveryIsAsPolicySays(t *testing.T) {
	for _, d := range []string{"preferred", "choose", "all"} {
		t.Run(d, func(t *testing.T) {
			w := inSQLite(t, coded, delivery(d))
			_, b := w.withCodes(t, "ann@example.com", annPhone, "sms")
			w.wait(time.Hour)
			b = w.browser()
			b.signIn(t, "ann@example.com", password, "second_factor")
			b.api("POST", "/signin/sms/send") // where nothing was sent
			b.api("POST", "/signin/sms", "code", w.code(t, annPhone))
			b.stepUp(t, "password", "password", password)
			b.prove(t, "email", "ann@example.com") // which she prefers now
			w.wait(time.Hour)
			mails, texts := w.sent(t, "ann@example.com"), w.sent(t, annPhone)
			b = w.browser()
			if a := b.signIn(t, "ann@example.com", password, "second_factor"); a.field("next") != "/signin/email" {
				t.Errorf("%v", a)
			}
			mails, texts = w.sent(t, "ann@example.com")-mails, w.sent(t, annPhone)-texts
			want := map[string][2]int{"preferred": {1, 0}, "choose": {0, 0}, "all": {1, 1}}[d]
			if mails != want[0] || texts != want[1] {
				t.Errorf("%d mails and %d texts", mails, texts)
			}
			if d == "all" { // either will do, on the page that is shown
				if a := b.api("POST", "/signin/email", "code", w.code(t, annPhone)); a.field("state") != "signed_in" {
					t.Errorf("%v", a)
				}
			}
		})
	}
}

// F2, C1: unticking is the removal of a factor, with its rules.
func TestSwitchingCodesOffFollowsTheRules(t *testing.T) {
	w := inSQLite(t, coded)
	_, b := w.withCodes(t, "ann@example.com", "", "email")
	if a := b.switchOff(); a.problem() != "last-factor" {
		t.Errorf("refuse: %v", a)
	}
	w = inSQLite(t, coded, warn)
	_, b = w.withCodes(t, "ann@example.com", "", "email")
	if a := b.switchOff(); a.status != 200 {
		t.Errorf("warn: %v", a)
	}
	b = w.browser()
	b.signIn(t, "ann@example.com", password, "signed_in")
	w.wait(time.Hour)
	if a := b.switchOff(); a.problem() == "" {
		t.Errorf("without a step-up: %v", a)
	}
}

// C10: budgets hold against many numbers in a row, and a code is sent after a right password only.
func TestBudgetsHoldAgainstNumbersInARow(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		texts := 0
		for n := range 200 {
			u := w.add(t, fmt.Sprintf("u%d@example.com", n), password)
			w.contact(t, u, u.Login, fmt.Sprintf("+4670174%04d", 600+n))
			b := w.browser()
			b.api("POST", "/signin", "login", u.Login, "password", "wrong")
			b.signIn(t, u.Login, password, "signed_in")
			b.stepUp(t, "password", "password", password)
			if a := b.switchOn("sms"); a.status == 200 {
				texts++
			} else if a.status != 429 {
				t.Fatalf("%v", a)
			}
		}
		if texts != 20 {
			t.Errorf("%d texts to one range of numbers", texts)
		}
	}, coded)
}

// W4, A2: who is assigned a method is taken through it, by the destination in the profile.
func TestAnAssignedMethodIsProvedOnTheWayIn(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u := w.add(t, "ann@example.com", password)
		if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.SetMethod(visitless, tx, u.ID, auth.ByEmail) }); err != nil {
			t.Fatal(err)
		}
		b := w.browser()
		a := b.signIn(t, u.Login, password, "enrolment")
		if !strings.Contains(a.body, `[{"kind":"email"`) || strings.Contains(a.body, "totp") {
			t.Errorf("%v", a)
		}
		if a := b.api("POST", "/signin/enrol/email"); a.status != 200 {
			t.Fatalf("%v", a)
		}
		if a := b.api("POST", "/signin/enrol/email/code", "code", w.code(t, u.Login)); a.field("state") != "signed_in" {
			t.Fatalf("%v", a)
		}
		w.wait(time.Hour)
		b = w.browser()
		b.signIn(t, u.Login, password, "second_factor")
		if a := b.api("POST", "/signin/email", "code", w.code(t, u.Login)); a.field("state") != "signed_in" {
			t.Fatalf("%v", a)
		}
		if a := b.api("POST", "/account/mfa/disable", "password", string(password)); a.status == 200 {
			t.Errorf("switched off over the administrator's choice: %v", a)
		}
	}, coded)
}

// S5: Email me a code begins a sign-in, says the same of everybody, and is never both steps.
func TestASignInBeginsWithAMailedCode(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u := w.add(t, "ann@example.com", password)
		b, stranger := w.browser(), w.browser()
		real, made := b.api("POST", "/signin/mailed", "login", u.Login, "return_to", "/account/security"), stranger.api("POST", "/signin/mailed", "login", "carl@example.com")
		if real.status != 200 || real.body != made.body {
			t.Fatalf("%v\n%v", real, made)
		}
		if w.sent(t, "carl@example.com") != 0 {
			t.Fatal("a message to nobody's address")
		}
		code := w.code(t, u.Login)
		if a := stranger.api("POST", "/signin/mailed/code", "code", code); a.status != 422 {
			t.Errorf("in another browser: %v", a)
		}
		if a := b.api("POST", "/signin/mailed/code", "code", code); a.field("state") != "signed_in" || a.field("next") != "/account/security" {
			t.Fatalf("%v", a)
		}
		if a := b.api("POST", "/signin/mailed/code", "code", code); a.status == 200 {
			t.Errorf("twice: %v", a)
		}
		// with codes by mail as second step, the password comes second
		b.stepUp(t, "password", "password", password)
		w.wait(time.Minute)
		b.prove(t, "email", u.Login)
		w.wait(time.Hour)
		b = w.browser()
		b.api("POST", "/signin/mailed", "login", u.Login)
		a := b.api("POST", "/signin/mailed/code", "code", w.code(t, u.Login))
		if a.field("next") != "/signin/password" || strings.Contains(a.body, "email") {
			t.Fatalf("%v", a)
		}
		if a := b.api("POST", "/signin/password", "password", "wrong"); a.status != 422 {
			t.Errorf("%v", a)
		}
		if a := b.api("POST", "/signin/password", "password", string(password)); a.field("state") != "signed_in" {
			t.Fatalf("%v", a)
		}
		if a := b.session(); strings.Contains(a.body, `"mfa"`) {
			t.Errorf("%v", a)
		}
	}, coded, byMail)
}

// Where it is not configured there is no such way in, and without a channel no card.
func TestNoChannelNoCodes(t *testing.T) {
	for name, c := range map[string]func(*config.Config){
		"no mail":                  func(*config.Config) {},
		"mail, but no code counts": func(c *config.Config) { c.Mail.Host = config.Outbox },
	} {
		t.Run(name, func(t *testing.T) {
			w := inSQLite(t, c)
			u := w.add(t, "ann@example.com", password)
			b := w.browser()
			b.signIn(t, u.Login, password, "signed_in")
			if a := b.form("GET", "/account/security"); strings.Contains(a.body, "Codes by email") {
				t.Error("a card for what is not there")
			}
			b.stepUp(t, "password", "password", password)
			if a := b.switchOn("email"); a.status != 404 && a.status != 405 {
				t.Errorf("%v", a)
			}
			if a := w.browser().api("POST", "/signin/mailed", "login", u.Login); a.status != 404 && a.status != 405 {
				t.Errorf("%v", a)
			}
		})
	}
}

// C9: a code exists exactly when the sign-in does; whoever guesses passwords sends nothing.
func TestAWrongPasswordSendsNothing(t *testing.T) {
	w := inSQLite(t, coded)
	w.withCodes(t, "ann@example.com", "", "email")
	before := len(w.letters(t))
	w.browser().api("POST", "/signin", "login", "ann@example.com", "password", "wrong")
	w.browser().api("POST", "/signin", "login", "nobody@example.com", "password", string(password))
	if n := len(w.letters(t)); n != before {
		t.Errorf("%d messages", n-before)
	}
}
