package app_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/notify"
)

// coded keeps every message, and lets codes by both channels count.
func coded(c *config.Config) {
	c.Mail.Host, c.SMS.Provider, c.SMS.Countries = config.Outbox, config.Outbox, []string{"SE", "FI"}
	c.Policy.Factors = append(c.Policy.Factors, "sms", "email")
}

func delivery(d string) func(*config.Config) { return func(c *config.Config) { c.Codes.Delivery = d } }
func byMail(c *config.Config)                { c.Codes.SignIn = true }

const (
	annPhone = "+46701740605" // a number for fiction
	bobPhone = "+46701740606"
)

// letters are the messages with a code so far, the newest first.
func (w *world) letters(t tester) []notify.Letter {
	t.Helper()
	all, err := w.Outbox.Kept(visitless, 1000)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return slices.DeleteFunc(all, func(l notify.Letter) bool { return !codes.MatchString(l.Text + l.Mail.Text) })
}

var codes = regexp.MustCompile(`(?m)^\s*([0-9A-Z]{4}-[0-9A-Z]{4})\s*$|#([0-9]{6})$`)

// code is what the newest message to a destination says, or "".
func (w *world) code(t tester, to string) string {
	t.Helper()
	for _, l := range w.letters(t) {
		if l.To == to {
			if m := codes.FindStringSubmatch(l.Text + l.Mail.Text); m != nil {
				return m[1] + m[2]
			}
			t.Fatalf("no code in %q", l.Text+l.Mail.Text)
		}
	}
	return ""
}

func (w *world) sent(t tester, to string) (n int) {
	for _, l := range w.letters(t) {
		if l.To == to {
			n++
		}
	}
	return n
}

// contact is what an administrator puts into the profile; sessions go on.
func (w *world) contact(t tester, u auth.User, email, phone string) {
	t.Helper()
	err := w.DB.Tx(visitless, func(tx auth.Tx) error {
		if err := w.Users.SetContact(visitless, tx, u.ID, email, phone, ""); err != nil {
			return err
		}
		for _, field := range []string{"email", "phone"} {
			if err := w.Trail.Record(visitless, tx, auth.Event{Kind: auth.ContactChanged, User: u.ID, Before: &u, Detail: map[string]string{"field": field}}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// switchOn ticks the box for a channel, in a session with a fresh step-up.
func (b *browser) switchOn(channel string) answer {
	return b.send("POST", "/api/v1/account/codes", "application/json", `{"on":true,"channel":"`+channel+`"}`)
}

func (b *browser) switchOff() answer {
	return b.send("POST", "/api/v1/account/codes", "application/json", `{"on":false}`)
}

// withCodes is a person who gets codes by a channel, in a browser that is signed in and fresh.
func (w *world) withCodes(t tester, login, phone, channel string) (auth.User, *browser) {
	t.Helper()
	u := w.add(t, login, password)
	if phone != "" {
		w.contact(t, u, login, phone)
	}
	b := w.browser()
	b.signIn(t, login, password, "signed_in")
	b.stepUp(t, "password", "password", password)
	b.prove(t, channel, map[string]string{"email": login, "sms": phone}[channel])
	return u, b
}

// prove switches a channel on and proves its destination.
func (b *browser) prove(t tester, channel, to string) {
	t.Helper()
	if a := b.switchOn(channel); a.status != 200 || a.field("next") != "/account/"+channel+"/code" {
		t.Fatalf("%v", a)
	}
	if a := b.api("POST", "/account/"+channel+"/code", "code", b.w.code(t, to)); a.status != 200 {
		t.Fatalf("%v", a)
	}
}

// C1, C2, C5, C6: switched on with a proved destination, a code is asked for at every sign-in, and is sent at once.
func TestACodeIsAskedForAtEverySignIn(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		for _, c := range []struct{ channel, login, phone, masked string }{
			{"email", "ann@example.com", "", "a•••@example.com"}, {"sms", "bob@example.com", bobPhone, "•••• 0606"},
		} {
			w.withCodes(t, c.login, c.phone, c.channel)
			to := c.login
			if c.phone != "" {
				to = c.phone
			}
			for range 2 {
				w.wait(time.Hour)
				b := w.browser()
				if a := b.signIn(t, c.login, password, "second_factor"); a.field("next") != "/signin/"+c.channel {
					t.Fatalf("%v", a)
				}
				if b.has(sessionCookie) {
					t.Fatal("a session before the code")
				}
				a := b.api("GET", "/signin/"+c.channel)
				if !strings.Contains(a.body, c.masked) || strings.Contains(a.body, to) && c.channel == "sms" || !strings.Contains(a.body, `"state":"waiting"`) {
					t.Fatalf("%v", a)
				}
				if a := b.api("POST", "/signin/"+c.channel, "code", w.code(t, to)); a.field("state") != "signed_in" {
					t.Fatalf("%v", a)
				}
				if b.session().status != 200 {
					t.Fatal("no session")
				}
			}
		}
	}, coded)
}

// C6: a resend has to wait, and kills the code before it.
func TestAResendWaitsAndKillsTheOlderCode(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.withCodes(t, "ann@example.com", "", "email")
		w.wait(time.Hour)
		b := w.browser()
		b.signIn(t, "ann@example.com", password, "second_factor")
		first := w.code(t, "ann@example.com")
		if a := b.api("POST", "/signin/email/send"); a.status != 429 || a.header.Get("Retry-After") == "" {
			t.Fatalf("%v", a)
		}
		w.wait(31 * time.Second)
		if a := b.api("POST", "/signin/email/send"); a.status != 200 {
			t.Fatalf("%v", a)
		}
		second := w.code(t, "ann@example.com")
		if first == second {
			t.Fatal("the same code again")
		}
		for _, l := range w.letters(t) {
			if strings.Contains(l.Mail.Text, first) {
				t.Error("the dead code is still to be sent")
			}
		}
		if a := b.api("POST", "/signin/email", "code", first); a.status != 422 {
			t.Fatalf("%v", a)
		}
		w.wait(29 * time.Second) // the second wait is longer
		if a := b.api("POST", "/signin/email/send"); a.status != 429 {
			t.Fatalf("%v", a)
		}
		if a := b.api("POST", "/signin/email", "code", strings.ToLower(strings.ReplaceAll(second, "-", " "))); a.field("state") != "signed_in" {
			t.Fatalf("%v", a)
		}
	}, coded)
}

// Security "Codes": 5 minutes for SMS, 10 for mail; a late code says so.
func TestACodeExpires(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.withCodes(t, "ann@example.com", "", "email")
		w.withCodes(t, "bob@example.com", bobPhone, "sms")
		w.wait(time.Hour)
		ann, bob := w.browser(), w.browser()
		ann.signIn(t, "ann@example.com", password, "second_factor")
		bob.signIn(t, "bob@example.com", password, "second_factor")
		w.wait(5*time.Minute - time.Second)
		text := w.code(t, bobPhone)
		w.wait(time.Second)
		if a := bob.api("POST", "/signin/sms", "code", text); a.field("message") != "onetime.late" {
			t.Errorf("%v", a)
		}
		if a := bob.api("POST", "/signin/sms/send"); a.status != 200 {
			t.Fatalf("%v", a)
		}
		if a := bob.api("POST", "/signin/sms", "code", w.code(t, bobPhone)); a.field("state") != "signed_in" {
			t.Errorf("%v", a)
		}
		w.wait(5*time.Minute - time.Second)
		if a := ann.api("POST", "/signin/email", "code", w.code(t, "ann@example.com")); a.field("state") != "signed_in" {
			t.Errorf("%v", a)
		}
	}, coded)
}

// R5, C4, C8: a code works for its person, its sign-in and its purpose alone.
func TestACodeWorksForItsPersonSignInAndPurposeOnly(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.withCodes(t, "ann@example.com", "", "email")
		w.withCodes(t, "bob@example.com", "", "email")
		w.wait(time.Hour)
		ann, bob, other := w.browser(), w.browser(), w.browser()
		ann.signIn(t, "ann@example.com", password, "second_factor")
		anns := w.code(t, "ann@example.com")
		bob.signIn(t, "bob@example.com", password, "second_factor")
		if a := bob.api("POST", "/signin/email", "code", anns); a.status != 422 {
			t.Errorf("Ann's code at Bob's sign-in: %v", a)
		}
		other.signIn(t, "ann@example.com", password, "second_factor")
		if a := other.api("POST", "/signin/email", "code", anns); a.status != 422 {
			t.Errorf("at another sign-in of hers: %v", a)
		}
		if a := ann.api("POST", "/signin/email", "code", anns); a.field("state") != "signed_in" {
			t.Fatalf("%v", a)
		}
		if a := ann.api("POST", "/stepup/email", "code", anns); a.status == 200 {
			t.Errorf("for a step-up: %v", a)
		}
		ann.stepUp(t, "password", "password", password)
		w.contact(t, w.find(t, "ann@example.com"), "ann@example.org", "")
		if a := ann.switchOn("email"); a.status != 200 {
			t.Fatalf("%v", a)
		}
		proof := w.code(t, "ann@example.org")
		again := w.browser()
		again.signIn(t, "ann@example.com", password, "second_factor")
		if a := again.api("POST", "/signin/email", "code", proof); a.status != 422 {
			t.Errorf("the code for a new address at a sign-in: %v", a)
		}
		if n := w.sent(t, "ann@example.org"); n != 1 { // C5: codes still go to the address that was proved
			t.Errorf("%d messages to the new address", n)
		}
	}, coded)
}

func (w *world) find(t tester, login string) auth.User {
	u, err := w.Users.Find(visitless, login)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return u
}

// Five wrong tries kill a code, though the person may try on elsewhere; of parallel right ones one passes.
func TestACodeDiesOfFiveWrongTriesAndWorksOnce(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u := w.add(t, "ann@example.com", password)
		b := w.browser()
		b.signIn(t, u.Login, password, "signed_in")
		b.stepUp(t, "password", "password", password)
		b.switchOn("email")
		right := w.code(t, u.Login)
		for n := range 5 {
			if a := b.api("POST", "/account/email/code", "code", fmt.Sprintf("0000-000%d", n)); a.status != 422 || a.field("message") != "onetime.wrong" {
				t.Fatalf("%v", a)
			}
		}
		if a := b.api("POST", "/account/email/code", "code", right); a.field("message") != "onetime.spent" {
			t.Fatalf("after five wrong ones: %v", a)
		}
		w.wait(time.Minute)
		b.api("POST", "/account/email")
		right = w.code(t, u.Login)
		passed := 0
		var all sync.WaitGroup
		var mu sync.Mutex
		for range 5 {
			all.Go(func() {
				a := b.clone().api("POST", "/account/email/code", "code", right)
				mu.Lock()
				defer mu.Unlock()
				if a.status == 200 {
					passed++
				}
			})
		}
		all.Wait()
		if passed != 1 {
			t.Errorf("%d passed", passed)
		}
	}, coded)
}

func (b *browser) clone() *browser {
	c := &browser{w: b.w, jar: map[string]string{}, address: b.address}
	for k, v := range b.jar {
		c.jar[k] = v
	}
	return c
}

// C4: what two share takes no codes; a later collision blocks it and is told.
func TestASharedDestinationTakesNoCodes(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		ann := w.add(t, "ann@example.com", password)
		bob := w.add(t, "bob@example.com", password)
		w.contact(t, bob, "team@example.com", annPhone)
		w.contact(t, ann, "Team@Example.com", annPhone)
		b := w.browser()
		b.signIn(t, ann.Login, password, "signed_in")
		b.stepUp(t, "password", "password", password)
		for _, channel := range []string{"email", "sms"} {
			if a := b.switchOn(channel); a.status != 409 || a.problem() != "contact-shared" {
				t.Errorf("%s: %v", channel, a)
			}
		}
		if n := w.sent(t, "Team@Example.com") + w.sent(t, annPhone); n != 0 {
			t.Errorf("%d codes went out", n)
		}
		w.contact(t, ann, "ann@example.org", "")
		b.prove(t, "email", "ann@example.org")
		w.contact(t, bob, "ann@example.org", "")
		if n := len(w.events(t, ann.ID, auth.ContactBlocked)); n != 1 {
			t.Errorf("%d rows say that it is blocked", n)
		}
		before := w.sent(t, "ann@example.org")
		w.wait(time.Hour)
		later := w.browser()
		a := later.api("POST", "/signin", "login", ann.Login, "password", string(password))
		if a.field("state") == "signed_in" {
			t.Errorf("the password alone took its place: %v", a)
		}
		if n := w.sent(t, "ann@example.org"); n != before {
			t.Error("a code went to an address that two people read")
		}
	}, coded)
}

// A login is an address too: somebody else's cannot take my codes.
func TestSomebodyElsesLoginTakesNoCodesOfMine(t *testing.T) {
	w := inSQLite(t, coded)
	ann := w.add(t, "ann@example.com", password)
	w.add(t, "bob@example.com", password)
	w.contact(t, ann, "BOB@example.com", "")
	b := w.browser()
	b.signIn(t, ann.Login, password, "signed_in")
	b.stepUp(t, "password", "password", password)
	if a := b.switchOn("email"); a.problem() != "contact-shared" {
		t.Errorf("%v", a)
	}
}

// A mailed code finishes a sign-in and proves no more: one factor, no step-up for who has something stronger. An SMS is a factor.
func TestAMailedCodeRaisesNoLevel(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, b := w.withCodes(t, "ann@example.com", annPhone, "email")
		_, key := b.enrol(t, "/account")
		w.wait(time.Hour)
		mailed := w.browser()
		mailed.signIn(t, "ann@example.com", password, "second_factor")
		mailed.api("POST", "/signin/email/send")
		if a := mailed.api("POST", "/signin/email", "code", w.code(t, "ann@example.com")); a.field("state") != "signed_in" {
			t.Fatalf("%v", a)
		}
		if a := mailed.session(); strings.Contains(a.body, `"mfa"`) {
			t.Errorf("%v", a)
		}
		if a := mailed.api("POST", "/stepup/email", "code", w.code(t, "ann@example.com")); a.status != 404 {
			t.Errorf("a mailed code steps up: %v", a)
		}
		if a := mailed.api("POST", "/stepup/password", "password", string(password)); a.problem() != "step-up" {
			t.Errorf("the password raised a session that a mailed code finished: %v", a)
		}
		mailed.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now())))

		_, b = w.withCodes(t, "bob@example.com", bobPhone, "sms")
		w.wait(time.Hour)
		b = w.browser()
		b.signIn(t, "bob@example.com", password, "second_factor")
		b.api("POST", "/signin/sms", "code", w.code(t, bobPhone))
		if a := b.session(); !strings.Contains(a.body, `"mfa"`) || !strings.Contains(a.body, `"sms"`) {
			t.Errorf("%v", a)
		}
	}, coded)
}

// U2: a code by SMS is a fresh proof, for its session alone.
func TestStepUpByACodeToThePhone(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, b := w.withCodes(t, "ann@example.com", annPhone, "sms")
		w.wait(time.Hour - time.Minute)
		b = w.browser()
		b.signIn(t, "ann@example.com", password, "second_factor")
		signIn := w.code(t, annPhone)
		b.api("POST", "/signin/sms", "code", signIn)
		w.wait(20 * time.Minute)
		if a := b.api("POST", "/account/totp"); a.problem() != "step-up" || !strings.Contains(a.body, `"sms"`) {
			t.Fatalf("%v", a)
		}
		if a := b.api("POST", "/stepup/sms", "code", signIn); a.status != 422 {
			t.Fatalf("%v", a)
		}
		if a := b.api("POST", "/stepup/sms/send"); a.status != 200 {
			t.Fatalf("%v", a)
		}
		b.stepUp(t, "sms", "code", auth.Secret(w.code(t, annPhone)))
	}, coded)
}
