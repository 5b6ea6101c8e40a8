package app_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
)

// S10
func TestABudgetDoesNotSayWhoseAnAddressIs(t *testing.T) {
	w := inSQLite(t, coded, byMail)
	u := w.add(t, "ann@example.com", password)
	w.contact(t, u, "secret@private.example", "")
	w.add(t, "bob@example.com", password)
	for range 10 {
		w.browser().api("POST", "/signin/mailed", "login", u.Login)
	}
	a, b := w.browser().api("POST", "/signin/mailed", "login", "secret@private.example"), w.browser().api("POST", "/signin/mailed", "login", "other@private.example")
	if a.status != b.status {
		t.Errorf("%v\n%v", a, b)
	}
	// and a real name whose address is another answers otherwise than one that nobody has, once its address is used up
	real, made := w.browser().api("POST", "/signin/mailed", "login", u.Login), w.browser().api("POST", "/signin/mailed", "login", "nobody@example.com")
	t.Logf("%v\n%v", real, made)
}

// S10
func TestAUsedUpAddressTellsNoRealName(t *testing.T) {
	w := inSQLite(t, coded, byMail)
	u := w.add(t, "ann@example.com", password)
	w.contact(t, u, "ann@private.example", "")
	statuses := func(login string) (all []int) {
		for range 11 {
			all = append(all, w.browser().api("POST", "/signin/mailed", "login", login).status)
		}
		return all
	}
	w.browser().api("POST", "/signin/mailed", "login", "ann@private.example") // if nobody's: takes from the budget of that address
	if a, b := fmt.Sprint(statuses(u.Login)), fmt.Sprint(statuses("zoe@example.com")); a != b {
		t.Errorf("%s\n%s", a, b)
	}
}

// S10
func TestWhatIsLeftOfABudgetTellsNothing(t *testing.T) {
	w := inSQLite(t, coded, byMail)
	w.withCodes(t, "ann@example.com", "", "email")
	w.wait(2 * time.Hour)
	w.browser().signIn(t, "ann@example.com", password, "second_factor")
	left := func(login string) (n int) {
		for w.browser().api("POST", "/signin/mailed", "login", login).status == 200 {
			n++
		}
		return n
	}
	if a, b := left("ann@example.com"), left("nobody@example.com"); a != b {
		t.Errorf("%d for Ann, %d for nobody", a, b)
	}
}

// C10: an SMS is sent after a right password only, also where a mailed code began the sign-in.
func TestAMailedCodeSendsNoSMS(t *testing.T) {
	w := inSQLite(t, coded, byMail)
	ann, _ := w.withCodes(t, "ann@example.com", annPhone, "sms")
	w.wait(time.Hour)
	before := w.sent(t, annPhone)
	b := w.browser()
	b.api("POST", "/signin/mailed", "login", ann.Login)
	a := b.api("POST", "/signin/mailed/code", "code", w.code(t, ann.Login))
	if a.field("next") != "/signin/password" {
		t.Errorf("%v", a)
	}
	if a := b.api("POST", "/signin/sms/send"); a.status == 200 || w.sent(t, annPhone) != before {
		t.Errorf("%v", a)
	}
	if a := b.api("POST", "/signin/password", "password", string(password)); a.field("next") != "/signin/sms" || w.sent(t, annPhone) != before+1 {
		t.Fatalf("%v", a)
	}
	if a := b.api("POST", "/signin/sms", "code", w.code(t, annPhone)); a.field("state") != "signed_in" {
		t.Errorf("%v", a)
	}
}

// C10: numbers in a row that were proved are a firm.
func TestAFirmWithNumbersInARowSignsIn(t *testing.T) {
	w := inSQLite(t, coded, func(c *config.Config) { c.SMS.PerHour = 1000 })
	for n := range 25 {
		login := fmt.Sprintf("u%d@example.com", n)
		w.withCodes(t, login, fmt.Sprintf("+4670174%04d", 600+n), "sms")
		w.wait(10 * time.Minute)
	}
	w.wait(2 * time.Hour)
	none := 0
	for n := range 25 {
		b, to := w.browser(), fmt.Sprintf("+4670174%04d", 600+n)
		before := w.sent(t, to)
		b.signIn(t, fmt.Sprintf("u%d@example.com", n), password, "second_factor")
		if w.sent(t, to) == before {
			none++
		}
	}
	if none > 0 {
		t.Errorf("%d of 25 people with the right password and a proved number got no code", none)
	}
}

// People type their password there.
func TestWhatWasTypedAsANameIsNotStored(t *testing.T) {
	w := inSQLite(t, coded, byMail)
	w.browser().api("POST", "/signin/mailed", "login", "my secret password")
	var n int
	if err := w.DB.QueryRowContext(visitless, `SELECT COUNT(*) FROM codes WHERE destination LIKE '%secret%'`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// W4
func TestRulesThatLockOutWhoMustHaveAFactorAreRefused(t *testing.T) {
	w := inSQLite(t, coded)
	u := w.add(t, "ann@example.com", password)
	if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.SetMethod(visitless, tx, u.ID, auth.MustHaveOne) }); err != nil {
		t.Fatal(err)
	}
	w.config.Policy.Factors = nil
	if err := w.start(t); err == nil {
		a := w.browser().api("POST", "/signin", "login", u.Login, "password", string(password))
		t.Errorf("started, and she cannot get in: %v", a)
	}
}

// F4: a number put in place of the proved one is taken back, and the proved one counts again.
func TestNotMeGivesTheOldNumberBack(t *testing.T) {
	w := inSQLite(t, coded)
	u, b := w.withCodes(t, "ann@example.com", annPhone, "sms") // a thief has this session now
	w.wait(2 * time.Minute)
	if a := b.api("POST", "/account/contact", "email", u.Login, "phone", bobPhone); a.status >= 300 {
		t.Fatalf("%v", a)
	}
	b.prove(t, "sms", bobPhone)
	w.answered(t, w.notice(t, u.Login, "notice-factor-added").token())
	if a := w.browser().api("POST", "/signin", "login", u.Login, "password", string(password)); a.field("state") == "signed_in" {
		t.Errorf("the password alone: %v", a)
	}
}

// F2
func TestSwitchingOffBesideAProofKeepsTheLastFactor(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		lost := 0
		for n := range 25 {
			login, old, next := fmt.Sprintf("u%d@example.com", n), fmt.Sprintf("+46701740%03d", 600+n), fmt.Sprintf("+46701741%03d", 600+n)
			u, b := w.withCodes(t, login, old, "sms")
			w.wait(time.Minute)
			b.api("POST", "/account/contact", "email", login, "phone", next)
			w.wait(time.Minute)
			if a := b.switchOn("sms"); a.status != 200 {
				t.Fatal(a)
			}
			right := w.code(t, next)
			var all sync.WaitGroup
			all.Go(func() { b.clone().api("POST", "/account/sms/code", "code", right) })
			all.Go(func() { time.Sleep(time.Duration(n) * 200 * time.Microsecond); b.clone().switchOff() })
			all.Wait()
			var left int
			w.DB.QueryRowContext(visitless, `SELECT COUNT(*) FROM contacts WHERE user_id = $1 AND replaced_by = ''`, u.ID).Scan(&left)
			if left == 0 {
				lost++
			}
			w.wait(time.Hour)
		}
		if lost > 0 {
			t.Errorf("%d of 25 lost their last factor though the rules refuse that", lost)
		}
	}, coded, func(c *config.Config) { c.SMS.PerHour = 1000 })
}

// C10: who has nothing left uses up nothing else.
func TestAnEmptyPurseTakesNothingFromEverybodys(t *testing.T) {
	for _, c := range []struct{ channel, mallorys, anns string }{{"sms", bobPhone, annPhone}, {"sms", bobPhone, "+358401234567"}, {"email", "", ""}} {
		t.Run(c.channel+c.anns, func(t *testing.T) {
			w := inSQLite(t, coded, func(c *config.Config) { c.Mail.PerHour = 300 })
			w.withCodes(t, "ann@example.com", c.anns, c.channel)
			w.withCodes(t, "mallory@example.com", c.mallorys, c.channel)
			w.wait(3 * time.Hour)
			m, sent := w.browser(), 0
			to, anns := "mallory@example.com", "ann@example.com"
			if c.channel == "sms" {
				to, anns = c.mallorys, c.anns
			}
			before := w.sent(t, to)
			for range 320 {
				m.jar = map[string]string{}
				m.signIn(t, "mallory@example.com", password, "second_factor")
			}
			sent = w.sent(t, to) - before
			before = w.sent(t, anns)
			b := w.browser()
			b.signIn(t, "ann@example.com", password, "second_factor")
			if w.sent(t, anns) == before {
				t.Errorf("Mallory got %d codes from one address, and Ann none: %v", sent, b.api("POST", "/signin/"+c.channel+"/send"))
			}
		})
	}
}

// W2, C5
func TestRequiredIsNotMetByAnAddressNobodyProved(t *testing.T) {
	w := inSQLite(t, coded, byMail, required)
	u := w.add(t, "ann@example.com", password)
	w.contact(t, u, "typo@example.com", "")
	b := w.browser()
	b.api("POST", "/signin/mailed", "login", u.Login)
	b.api("POST", "/signin/mailed/code", "code", w.code(t, "typo@example.com"))
	if a := b.api("POST", "/signin/password", "password", string(password)); a.field("state") == "signed_in" {
		t.Errorf("%v", a)
	}
}

// C4
func TestADisabledPersonBlocksNoNumber(t *testing.T) {
	w := inSQLite(t, coded)
	left := w.add(t, "left@example.com", password)
	w.contact(t, left, left.Login, annPhone)
	w.disable(t, left.ID)
	ann := w.add(t, "ann@example.com", password)
	w.contact(t, ann, ann.Login, annPhone)
	b := w.browser()
	b.signIn(t, ann.Login, password, "signed_in")
	b.stepUp(t, "password", "password", password)
	if a := b.switchOn("sms"); a.status != 200 {
		t.Errorf("%v", a)
	}
}

// The page that is shown again holds nothing but what the browser sent, escaped, and leads nowhere else.
func TestThePageShownAgainIsSafe(t *testing.T) {
	w := inSQLite(t, coded)
	_, b := w.withCodes(t, "ann@example.com", annPhone, "sms")
	w.wait(20 * time.Minute)
	for _, act := range []string{"GET //evil.example/", "POST https://evil.example/", "GET /\\evil.example", "POST /api/v1/account/codes", "GET javascript:alert(1)", `"><script>x</script>`} {
		w.wait(6 * time.Minute)
		a := b.form("POST", "/stepup/sms/send", "held_act", act, "held_form", `on=false&x="><script>`)
		if a.status != 200 || strings.Contains(a.body, "<script>x") || strings.Contains(a.body, `x="><script>`) || strings.Contains(a.body, `href="//evil`) {
			t.Errorf("%q: %v", act, a)
		}
		done := b.form("POST", "/stepup/sms", "code", w.code(t, annPhone), "held_act", act, "held_form", "on=false")
		t.Logf("%q: %d %s", act, done.status, done.location)
		w.wait(20 * time.Minute)
	}
}
