package app_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
)

const sheetPath = "/account/backupcode"

func noBackupCodes(c *config.Config) { c.Policy.Factors = []string{"passkey", "totp"} }

var (
	backupCode = regexp.MustCompile(`\b[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{5}\b`)
	codeItem   = regexp.MustCompile(`<li>([0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{5})</li>`)
)

// printed is the codes that a page lists.
func printed(page answer) (codes []string) {
	for _, m := range codeItem.FindAllStringSubmatch(page.body, -1) {
		codes = append(codes, m[1])
	}
	return codes
}

// sheet generates codes in a fresh session.
func (b *browser) sheet(t tester) []string {
	t.Helper()
	a := b.api("POST", sheetPath)
	var out struct{ Codes []string }
	if err := json.Unmarshal([]byte(a.body), &out); a.status != 200 || err != nil || len(out.Codes) != 10 {
		t.Fatalf("%v", a)
	}
	return out.Codes
}

// withSheet is a person with an authenticator and a sheet, in a fresh session.
func (w *world) withSheet(t tester, login string) (b *browser, codes []string) {
	t.Helper()
	b = w.fresh(t, login)
	b.enrol(t, "/account")
	return b, b.sheet(t)
}

// remaining is what the API says is left.
func (b *browser) remaining(t tester) int {
	t.Helper()
	a := b.api("GET", sheetPath)
	n, ok := a.fields["remaining"].(float64)
	if a.status != 200 || !ok {
		t.Fatalf("%v", a)
	}
	return int(n)
}

// byCode signs in with the password and a backup code, in a new browser.
func (w *world) byCode(t tester, login, code string) (*browser, answer) {
	t.Helper()
	b := w.browser()
	b.signIn(t, login, annsPassword, "second_factor")
	return b, b.api("POST", "/signin/backupcode", "code", code)
}

// B2, B4, S3: it stands last among the ways, works once on either face, in any writing, and another one works after it.
func TestABackupCodeWorksOnce(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, codes := w.withSheet(t, annsLogin)
		some := w.browser()
		if a := some.signIn(t, annsLogin, annsPassword, "second_factor"); a.field("next") != "/signin/totp" || !strings.Contains(a.body, `[{"kind":"totp","name":"Phone"},{"kind":"backupcode","name":"Backup codes"}]`) {
			t.Fatal(a)
		}
		page := some.form("GET", "/signin/totp")
		if at := strings.Index(page.body, "/signin/backupcode"); at < 0 || strings.Contains(page.body[at:], `class="choice"`) {
			t.Error("it is not the last of the other ways: ", page)
		}
		page = some.form("GET", "/signin/backupcode")
		if page.status != 200 || !strings.Contains(page.body, "Use a backup code") || !strings.Contains(page.body, `autocomplete="off"`) {
			t.Error(page)
		}
		for face, send := range some.faces() {
			for _, wrong := range []string{"0000-0000-00000", strings.Repeat("Z", 13)} {
				if a := send("POST", "/signin/backupcode", "code", wrong); a.status != 422 || !strings.Contains(a.body, "not right") {
					t.Errorf("%s, %s: %v", face, wrong, a)
				}
			}
			for _, garbled := range []string{"", "123456", codes[0] + "0", strings.Repeat("0", 65), "<b>"} { // which is no guess
				if a := send("POST", "/signin/backupcode", "code", garbled); a.status != 422 {
					t.Errorf("%s, %s: %v", face, garbled, a)
				}
			}
		}
		w.wait(time.Minute)
		used, a := w.byCode(t, annsLogin, strings.ToLower(strings.ReplaceAll(codes[0], "-", " ")))
		if a.status != 200 || a.field("state") != "signed_in" || a.leads() != "/account" {
			t.Fatal(a)
		}
		if s := used.session(); !strings.Contains(s.body, `"mfa"`) || !strings.Contains(s.body, `"otp"`) {
			t.Error(s)
		}
		if n := used.remaining(t); n != 9 {
			t.Error(n, " left")
		}
		if _, a := w.byCode(t, annsLogin, codes[0]); a.status != 422 {
			t.Error("the same again: ", a)
		}
		w.wait(time.Minute)
		again := w.browser()
		again.signIn(t, annsLogin, annsPassword, "second_factor")
		if a := again.form("POST", "/signin/backupcode", "code", codes[1]); a.status != 303 || a.leads() != "/account" || !again.has(sessionCookie) {
			t.Error("another one, on the page: ", a)
		}
		page = b.form("GET", "/account/security")
		for _, want := range []string{"8 of 10", "Signed in with password and backup code", "Wrong backup code"} {
			if !strings.Contains(page.body, want) {
				t.Errorf("no %q: %.9000s", want, page.body)
			}
		}
	})
}

// B2, R2: of 50 at once, in as many sign-ins, one gets in.
func TestOfManyUsesOfOneCodeOneSignsIn(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, codes := w.withSheet(t, annsLogin)
		for _, code := range codes[:2] {
			browsers := make([]*browser, 50)
			for i := range browsers {
				browsers[i] = w.browser()
				browsers[i].signIn(t, annsLogin, annsPassword, "second_factor")
			}
			var all sync.WaitGroup
			var mu sync.Mutex
			start, said := make(chan struct{}), map[int]int{}
			for _, b := range browsers {
				all.Go(func() {
					<-start
					a := b.api("POST", "/signin/backupcode", "code", code)
					mu.Lock()
					defer mu.Unlock()
					said[a.status]++
				})
			}
			close(start)
			all.Wait()
			if said[200] != 1 || said[200]+said[422]+said[429] != 50 {
				t.Error(said)
			}
			w.wait(2 * time.Hour) // for the wrong ones
		}
	})
}

// B1, U1, S2: a sheet takes a session, a fresh proof and something that it can stand in for; what refuses tells no code.
func TestASheetIsForWhoHasSomethingStrong(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		ann, _ := w.withSheet(t, annsLogin)
		half := w.browser()
		half.signIn(t, annsLogin, annsPassword, "second_factor")
		bare := w.fresh(t, "bare@example.com")
		_, mail := w.withCodes(t, "mail@example.com", "", "email")
		_, sms := w.withCodes(t, "sms@example.com", bobPhone, "sms")
		stale := w.fresh(t, "stale@example.com")
		stale.enrol(t, "/account")
		w.wait(11 * time.Minute)
		for _, b := range []*browser{bare, mail} { // they step up by password
			b.stepUp(t, "password", "password", annsPassword)
		}
		if a := sms.api("POST", "/stepup/sms/send"); a.status != 200 {
			t.Fatal(a)
		}
		sms.stepUp(t, "sms", "code", auth.Secret(w.code(t, bobPhone)))
		for _, c := range []struct {
			name           string
			b              *browser
			status, onPage int
		}{
			{"nobody", w.browser(), 401, 303}, {"half a sign-in", half, 401, 303}, {"no fresh proof", stale, 403, 403},
			{"no factor", bare, 409, 409}, {"codes by mail", mail, 409, 409}, {"codes by SMS", sms, 409, 409},
		} {
			for face, send := range c.b.faces() {
				want := map[string]int{"api": c.status, "page": c.onPage}[face]
				a := send("POST", sheetPath)
				if a.status != want || backupCode.MatchString(a.body) || a.status == 409 && !strings.Contains(a.body, "Set up a passkey or an authenticator first") {
					t.Errorf("%s, %s: %v", c.name, face, a)
				}
			}
			if c.status == 409 {
				page := c.b.form("GET", "/account/security").body
				if !strings.Contains(page, "Set up a passkey or an authenticator first") || strings.Contains(page, "Generate codes") {
					t.Errorf("%s: the card does not say so", c.name)
				}
				if a := c.b.api("GET", sheetPath); a.fields["may_generate"] != false || a.field("reason") == "" {
					t.Errorf("%s: %v", c.name, a)
				}
			}
		}
		if n := w.count(t, "backup_sheets"); n != 1 {
			t.Error(n, " sheets")
		}
		if n := ann.remaining(t); n != 10 {
			t.Error(n, " left")
		}
		if a := w.browser().api("GET", sheetPath); a.status != 401 {
			t.Error("nobody reads how many are left: ", a)
		}
	}, coded)
}

// B1: where the kind does not count there is no card and no way to one; a sheet of before opens nothing.
func TestWhereBackupCodesDoNotCountThereAreNone(t *testing.T) {
	w := inSQLite(t)
	b, codes := w.withSheet(t, annsLogin)
	noBackupCodes(&w.config)
	w.restart(t)
	if page := b.form("GET", "/account/security"); page.status != 200 || strings.Contains(page.body, "Backup codes") {
		t.Error(page)
	}
	for face, send := range b.faces() {
		for _, method := range []string{"GET", "POST"} {
			if a := send(method, sheetPath); a.status != 404 {
				t.Errorf("%s %s: %v", face, method, a)
			}
		}
	}
	some := w.browser()
	if a := some.signIn(t, annsLogin, annsPassword, "second_factor"); a.kinds() != "totp" {
		t.Error(a)
	}
	if a := some.api("POST", "/signin/backupcode", "code", codes[0]); a.status != 404 {
		t.Error(a)
	}
}

// B3, R5: the sheet is the answer to the act that made it, is kept by nobody, and stands nowhere else.
func TestASheetIsShownOnce(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		b.enrol(t, "/account")
		page := b.form("POST", sheetPath)
		codes := printed(page)
		if page.status != 200 || len(codes) != 10 || page.header.Get("Cache-Control") != "no-store" {
			t.Fatal(len(codes), page)
		}
		for _, want := range []string{"<h1>Your backup codes</h1>", "data-copy", "data-print", `download="backup-codes.txt"`, "I have saved these codes", "data-keep", "Do not mail them to yourself", "http://localhost:8080", annsLogin} {
			if !strings.Contains(page.body, want) {
				t.Errorf("no %q", want)
			}
		}
		file := regexp.MustCompile(`href="data:text/plain;charset=utf-8,([^"]*)"`).FindStringSubmatch(page.body)
		if file == nil {
			t.Fatal("no file")
		}
		text, err := url.PathUnescape(file[1])
		if got := backupCode.FindAllString(text, -1); err != nil || fmt.Sprint(got) != fmt.Sprint(codes) {
			t.Error(err, text)
		}
		for name, a := range map[string]answer{
			"a reload":           b.form("GET", sheetPath),
			"the Security page":  b.form("GET", "/account/security"),
			"the state":          b.api("GET", sheetPath),
			"the page of a code": b.form("GET", sheetPath+"/low"),
			"what happened":      {body: fmt.Sprint(w.events(t, idOf(t, w, annsLogin), auth.FactorAdded))},
			"the notice":         {body: w.notice(t, annsLogin, "notice-factor-added").Mail.Text},
		} {
			for _, code := range codes {
				if strings.Contains(a.body, code) || strings.Contains(a.body, strings.ReplaceAll(code, "-", "")) {
					t.Errorf("%s shows it again: %v", name, a)
				}
			}
		}
		if a := b.form("GET", sheetPath); a.status != 303 || a.location != "/account/security" {
			t.Error("a reload: ", a)
		}
		if n := b.remaining(t); n != 10 {
			t.Error("a reload made another, or none: ", n)
		}
		if _, a := w.byCode(t, annsLogin, codes[0]); a.status != 200 {
			t.Error("a code of the page: ", a)
		}
		if page := b.form("GET", "/account/security").body; !strings.Contains(page, "9 of 10") || !strings.Contains(page, "Generated backup codes") {
			t.Error("the card does not count, or nobody says that it was made")
		}
	}, told)
}

// B5, R4: the codes of the old sheet are dead with the new one, and so are the other sessions; this one goes on.
func TestANewSheetKillsTheOld(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, old := w.withSheet(t, annsLogin)
		other, a := w.byCode(t, annsLogin, old[0])
		if a.status != 200 {
			t.Fatal(a)
		}
		half := w.browser()
		half.signIn(t, annsLogin, annsPassword, "second_factor")
		fresh := b.sheet(t)
		if other.session().status != 401 || b.session().status != 200 {
			t.Error("sessions: ", other.session(), b.session())
		}
		if a := half.api("POST", "/signin/backupcode", "code", fresh[9]); a.status != 401 {
			t.Error("a sign-in under way: ", a)
		}
		for _, code := range old[:4] {
			if _, a := w.byCode(t, annsLogin, code); a.status != 422 {
				t.Error("an old one: ", a)
			}
		}
		if _, a := w.byCode(t, annsLogin, fresh[0]); a.status != 200 {
			t.Error("a new one: ", a)
		}
		if n := b.remaining(t); n != 9 {
			t.Error(n)
		}
		page := b.form("POST", sheetPath)
		if !strings.Contains(page.body, "The codes of your older sheet no longer work.") {
			t.Error(page)
		}
	})
}

// R1: a sheet is its person's: nobody else uses, sees or removes it.
func TestTheSheetOfSomebodyElseIsWorthNothing(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		ann, codes := w.withSheet(t, annsLogin)
		eve, _ := w.withSheet(t, "eve@example.com")
		if _, a := w.byCode(t, "eve@example.com", codes[0]); a.status != 422 {
			t.Error("used: ", a)
		}
		id := ann.api("GET", sheetPath).field("id")
		for face, send := range eve.faces() {
			for _, c := range [][2]string{{"GET", sheetPath + "/" + id + "/remove"}, {"DELETE", sheetPath + "/" + id}} {
				if a := send(c[0], c[1]); a.status != 404 {
					t.Errorf("%s %s: %v", face, c[0], a)
				}
			}
		}
		if eve.sheet(t); ann.remaining(t) != 10 {
			t.Error("hers went with the other")
		}
		// Its own person removes it as any other factor.
		if a := ann.form("GET", sheetPath+"/"+id+"/remove"); a.status != 200 || !strings.Contains(a.body, "Remove “Backup codes”?") || !strings.Contains(a.body, "<b>Phone</b>") {
			t.Error(a)
		}
		if a := ann.form("DELETE", sheetPath+"/"+id); a.status != 303 {
			t.Error(a)
		}
		if a := w.browser().signIn(t, annsLogin, annsPassword, "second_factor"); a.kinds() != "totp" {
			t.Error(a)
		}
		if page := ann.form("GET", "/account/security").body; !strings.Contains(page, "No backup codes yet") || !strings.Contains(page, "Removed “Backup codes”") {
			t.Error(page)
		}
	})
}

// B1, F1, U2: a sheet is no factor: the last one cannot go because of it, and it raises no session.
func TestASheetIsNoFactor(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		id, _ := b.enrol(t, "/account")
		codes := b.sheet(t)
		if a := b.api("DELETE", "/account/totp/"+id); a.status != 409 || a.problem() != "last-factor" {
			t.Error(a)
		}
		w.wait(time.Hour)
		in, a := w.byCode(t, annsLogin, codes[0])
		if a.status != 200 {
			t.Fatal(a)
		}
		for face, send := range in.faces() {
			if a := send("POST", "/stepup/backupcode", "code", codes[1]); a.status != 404 {
				t.Errorf("%s: %v", face, a)
			}
		}
		if a := in.api("GET", "/stepup"); strings.Contains(a.body, "backupcode") {
			t.Error(a)
		}
		if n := in.remaining(t); n != 9 {
			t.Error("a step-up spent one: ", n)
		}
		// An administrator's reset takes it away, and it is not set up on the way in.
		w.resetMFA(t, idOf(t, w, annsLogin))
		if n := w.count(t, "backup_sheets") + w.count(t, "backup_codes"); n != 0 {
			t.Error(n, " rows after a reset")
		}
		required(&w.config)
		w.restart(t)
		on := w.browser()
		if a := on.signIn(t, annsLogin, annsPassword, "enrolment"); strings.Contains(a.body, "backupcode") {
			t.Error(a)
		}
		if a := on.api("POST", "/signin/backupcode", "code", codes[2]); a.status != 422 {
			t.Error(a)
		}
	})
}

// F4, B5: a sheet that somebody else made is taken back by the notice of it.
func TestASheetIsTakenBackByItsNotice(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		b.enrol(t, "/account")
		w.wait(time.Second)
		codes := b.sheet(t)
		n := w.notice(t, annsLogin, "notice-factor-added")
		if n.Mail.Subject != "Backup codes added to your Sallyport account" {
			t.Error(n.Mail.Subject)
		}
		w.answered(t, n.token())
		if n := w.count(t, "backup_sheets") + w.count(t, "backup_codes"); n != 0 {
			t.Error(n, " rows are there still")
		}
		if rows := w.events(t, idOf(t, w, annsLogin), auth.FactorRemoved); len(rows) != 1 || rows[0]["factor"] != "backupcode" || rows[0]["undone"] == "" {
			t.Error(rows)
		}
		if _, a := w.byCode(t, annsLogin, codes[0]); a.status != 422 {
			t.Error(a)
		}
	}, told)
}

// U1: without JavaScript the act waits for the proof, and its answer is the sheet.
func TestTheSheetComesAfterTheProofItWaitedFor(t *testing.T) {
	w := inSQLite(t)
	b := w.fresh(t, annsLogin)
	_, key := b.enrol(t, "/account")
	w.wait(time.Hour - time.Minute)
	asked := b.form("POST", sheetPath)
	held := regexp.MustCompile(`name="held_act" value="([^"]*)"`).FindStringSubmatch(asked.body)
	if asked.status != 403 || held == nil || held[1] != "POST "+sheetPath {
		t.Fatal(asked)
	}
	page := b.form("POST", "/stepup/totp", "code", codeAt(key, w.now()), "held_act", held[1], "held_form", "")
	if page.status != 200 || len(printed(page)) != 10 {
		t.Fatal(page)
	}
	// The same form once more, as on a reload: the proof is spent, so nothing happens.
	if a := b.form("POST", "/stepup/totp", "code", codeAt(key, w.now()), "held_act", held[1], "held_form", ""); a.status != 422 || backupCode.MatchString(a.body) {
		t.Error(a)
	}
	if rows := w.events(t, idOf(t, w, annsLogin), auth.FactorAdded); len(rows) != 2 {
		t.Error(rows)
	}
}
