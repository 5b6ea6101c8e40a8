package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
)

var forgotLink = regexp.MustCompile(`http://localhost:8080(/forgot/[\w-]{43})`)

// links are the paths to a new password that were mailed to an address, the newest first.
func (w *world) links(t tester, to string) (paths []string) {
	t.Helper()
	letters, err := w.Outbox.Kept(visitless, 10_000)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, l := range letters {
		if m := forgotLink.FindStringSubmatch(l.Mail.Text); m != nil && l.To == to {
			paths = append(paths, m[1])
		}
	}
	return paths
}

// forgets asks for a link, which must go to an address.
func (w *world) forgets(t tester, login, to string) string {
	t.Helper()
	before := len(w.links(t, to))
	if a := w.browser().api("POST", "/forgot", "login", login); a.status != 204 {
		t.Fatalf("%v", a)
	}
	all := w.links(t, to)
	if len(all) == 0 || len(all) < before {
		t.Fatalf("no link to %s", to)
	}
	return all[0]
}

// renews chooses a new password by a link.
func (w *world) renews(t tester, login, to, password string) {
	t.Helper()
	if a := w.browser().api("POST", w.forgets(t, login, to), "password", password); a.status != 204 {
		t.Fatalf("%v", a)
	}
}

// L2, R4: the link chooses a password and does no more: it signs nobody in, the second step is asked for, all sessions end.
func TestAForgottenPasswordIsChosenAnewByALink(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		for face, login := range map[string]string{"api": annsLogin, "page": "bob@example.com"} {
			here := w.fresh(t, login)
			_, key := here.enrol(t, "/account")
			pending := w.browser()
			pending.signIn(t, login, annsPassword, "second_factor")
			b := w.browser()
			if a := b.faces()[face]("POST", "/forgot", "login", strings.ToUpper(login)); a.status/100 > 3 || face == "page" && a.location != "/forgot/sent" {
				t.Fatal(face, a)
			}
			link := w.links(t, login)[0]
			for range 3 { // mail scanners
				for _, method := range []string{"GET", "HEAD"} {
					if a := b.send(method, link, "", ""); a.status != 200 || len(a.cookies) > 0 {
						t.Fatal(face, method, a)
					}
				}
			}
			page := b.form("GET", link)
			for _, want := range []string{`autocomplete="new-password"`, `autocomplete="username" value="` + login + `" hidden`, "At least 12 characters", "needs-js"} {
				if !strings.Contains(page.body, want) {
					t.Errorf("the page lacks %s", want)
				}
			}
			if here.session().status != 200 {
				t.Error("looking at the link ended a session")
			}
			for weak, why := range map[string]string{"short": "shorter than 12 characters", "password1234": "many people use", login: "little more than a name"} {
				if a := b.faces()[face]("POST", link, "password", weak); a.status != 422 || !strings.Contains(a.body, why) {
					t.Errorf("%s: %v", weak, a)
				}
			}
			a := b.faces()[face]("POST", link, "password", newPassword)
			if a.status != map[string]int{"api": 204, "page": 303}[face] || len(a.cookies) > 0 || face == "page" && a.location != "/signin" {
				t.Fatal(face, a)
			}
			if b.session().status != 401 || here.session().status != 401 || pending.api("GET", "/signin/totp").status != 401 {
				t.Error(face, "a session or a sign-in lives on")
			}
			if a := b.api("POST", "/signin", "login", login, "password", string(annsPassword)); a.status != 422 {
				t.Error("the old password: ", a)
			}
			b.signIn(t, login, newPassword, "second_factor")
			w.wait(time.Minute)
			if a := b.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.field("state") != "signed_in" {
				t.Error(a)
			}
			rows := w.events(t, idOf(t, w, login), auth.PasswordChanged)
			if len(rows) != 1 || rows[0]["by"] != "link" {
				t.Error(rows)
			}
			w.notice(t, login, "notice-password")
			if a := w.browser().api("POST", link, "password", "yet another battery"); a.status != 404 {
				t.Error("twice: ", a)
			}
		}
	}, told)
}

// L2: of many at once one passes.
func TestOfFiftyAtOnceOneChoosesThePassword(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		link := w.forgets(t, annsLogin, annsLogin)
		var (
			all sync.WaitGroup
			mu  sync.Mutex
			set []string
		)
		for n := range 50 {
			all.Go(func() {
				mine := fmt.Sprintf("%s %d", newPassword, n)
				a := w.browser().api("POST", link, "password", mine)
				mu.Lock()
				defer mu.Unlock()
				switch a.status {
				case 204:
					set = append(set, mine)
				case 404, 503:
				default:
					t.Error(a)
				}
			})
		}
		all.Wait()
		if len(set) != 1 || len(w.events(t, idOf(t, w, annsLogin), auth.PasswordChanged)) != 1 {
			t.Fatal(len(set), "passwords")
		}
		w.browser().signIn(t, annsLogin, auth.Secret(set[0]), "signed_in")
	}, told)
}

// S10, L3, C4: an unknown name, a disabled or frozen account and a shared address: the same answer, and nothing arrives.
func TestAskingForALinkTellsNothingOfTheAccount(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		off, frozen, shared, other := "off@example.com", "frozen@example.com", "shared@example.com", "other@example.com"
		w.add(t, annsLogin, annsPassword)
		w.disable(t, w.add(t, off, annsPassword).ID)
		id := w.add(t, frozen, annsPassword).ID
		w.movesAway(t, id)
		if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.Freeze(visitless, tx, id, w.now().Add(time.Hour)) }); err != nil {
			t.Fatal(err)
		}
		w.add(t, shared, annsPassword)
		w.contact(t, w.add(t, other, annsPassword), shared, "")
		for face, status := range map[string]int{"api": 204, "page": 303} {
			for range 11 { // over the budget of a name, too
				said := map[string]bool{}
				for _, login := range []string{annsLogin, "nobody@example.com", off, frozen, shared, "no body"} {
					a := w.browser().faces()[face]("POST", "/forgot", "login", login)
					if a.status != status && a.status != 429 || len(a.cookies) > 0 {
						t.Errorf("%s, %q: %v", face, login, a)
					}
					said[fmt.Sprint(a.status, a.header.Get("Retry-After"), strings.ReplaceAll(requestID.ReplaceAllString(a.body, "-"), `value="`+login+`"`, ""))] = true
				}
				if len(said) != 1 {
					t.Errorf("%s: %v", face, said)
				}
			}
			w.wait(2 * time.Hour)
			if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.Freeze(visitless, tx, id, w.now().Add(time.Hour)) }); err != nil {
				t.Fatal(err)
			}
		}
		for _, login := range []string{"nobody@example.com", off, frozen, shared} {
			if n := len(w.links(t, login)); n != 0 {
				t.Errorf("%d links to %s", n, login)
			}
		}
		if len(w.links(t, annsLogin)) == 0 {
			t.Error("nothing for Ann")
		}
		if n := w.count(t, "password_links"); n != 1 {
			t.Error(n, "links are kept")
		}
	}, told)
}

// C10: by name, by address, and in total; when all are gone a name that exists still looks like one that does not.
func TestLinksAreBudgeted(t *testing.T) {
	w := inSQLite(t, told, func(c *config.Config) { c.Mail.PerHour = 12 })
	w.add(t, annsLogin, annsPassword)
	asks := func(b *browser, login string, want, until int) {
		t.Helper()
		for n := range until + 1 {
			a := b.api("POST", "/forgot", "login", login)
			if a.status != map[bool]int{true: want, false: 429}[n < until] || a.status == 429 && a.header.Get("Retry-After") == "" {
				t.Fatalf("number %d: %v", n+1, a)
			}
		}
	}
	asks(w.browser(), annsLogin, 204, 10)
	for n := range 14 {
		login := fmt.Sprintf("bob%d@example.com", n)
		w.add(t, login, annsPassword)
		if a := w.browser().api("POST", "/forgot", "login", login); a.status != 204 {
			t.Fatal(a)
		}
	}
	if n := w.count(t, "outbox WHERE user_id = '' AND message = 'password-link'"); n != 9+3 {
		t.Error(n, "went nowhere: all but Ann's first, and three of fifteen that were asked for")
	}
	b := w.browser()
	for n := range 30 {
		if a := b.api("POST", "/forgot", "login", fmt.Sprintf("nobody%d@example.com", n)); a.status != 204 {
			t.Fatal(a)
		}
	}
	if a := b.api("POST", "/forgot", "login", "nobody@example.com"); a.status != 429 {
		t.Error(a)
	}
	w.wait(2 * time.Hour)
	for n := range 20 {
		w.browser().api("POST", "/forgot", "login", fmt.Sprintf("nobody%d@example.com", n))
	}
	w.forgets(t, annsLogin, annsLogin) // nobody's took nothing
}

// L2, R4: what is over, replaced or voided opens nothing, on either face, and is not told apart.
func TestADeadLinkChoosesNothing(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		ann, bob := w.add(t, annsLogin, annsPassword), w.add(t, "bob@example.com", annsPassword)
		bump := func(u auth.UserID) {
			t.Helper()
			if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Sessions.RevokeOthers(visitless, tx, u, "") }); err != nil {
				t.Fatal(err)
			}
		}
		expired := w.forgets(t, annsLogin, annsLogin)
		w.wait(30 * time.Minute)
		replaced := w.forgets(t, annsLogin, annsLogin)
		w.wait(time.Minute)
		voided := w.forgets(t, annsLogin, annsLogin)
		bump(ann.ID)
		off := w.forgets(t, bob.Login, bob.Login)
		w.disable(t, bob.ID)
		for name, link := range map[string]string{"expired": expired, "replaced": replaced, "voided": voided, "of a disabled person": off, "made up": "/forgot/" + strings.Repeat("A", 43)} {
			for face, send := range w.browser().faces() {
				for _, a := range []answer{send("GET", link), send("POST", link, "password", newPassword), send("POST", link, "password", "x")} {
					if a.status != 404 || !strings.Contains(a.body, "This link was used already, or it is too old.") {
						t.Errorf("%s, %s: %v", name, face, a)
					}
				}
			}
		}
		alive := w.forgets(t, annsLogin, annsLogin)
		carl := w.add(t, "carl@example.com", annsPassword)
		bump(carl.ID) // somebody else's epoch is no matter
		w.wait(30*time.Minute - time.Second)
		if a := w.browser().api("POST", alive, "password", newPassword); a.status != 204 {
			t.Error(a)
		}
		w.browser().signIn(t, carl.Login, annsPassword, "signed_in") // nor is the password of another
	}, told)
}

// L3: while an account is locked a link that was asked for chooses nothing, and says why.
func TestALinkWaitsForALockedAccount(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		u := w.add(t, annsLogin, annsPassword)
		link := w.forgets(t, annsLogin, annsLogin)
		if err := w.DB.Tx(visitless, func(tx auth.Tx) error { return w.Users.Freeze(visitless, tx, u.ID, w.now().Add(time.Minute)) }); err != nil {
			t.Fatal(err)
		}
		for face, send := range w.browser().faces() {
			for _, a := range []answer{send("GET", link), send("POST", link, "password", newPassword)} {
				if a.status != 409 || !strings.Contains(a.body, "can be changed until 1 March 2026, 12:01 UTC") {
					t.Errorf("%s: %v", face, a)
				}
			}
		}
		w.wait(time.Minute)
		if a := w.browser().api("POST", link, "password", newPassword); a.status != 204 {
			t.Error(a)
		}
	}, told)
}

// Security "Links", C8: the link leads where the configuration says, and goes where the account says.
func TestNothingOfTheRequestGetsIntoTheLink(t *testing.T) {
	w := inSQLite(t, told)
	w.add(t, annsLogin, annsPassword)
	for _, forge := range []func(*http.Request){
		func(r *http.Request) { r.Host = "evil.example" },
		func(r *http.Request) { r.Header.Set("X-Forwarded-Host", "evil.example") },
		func(r *http.Request) { r.Header.Set("Forwarded", "host=evil.example") },
		func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "ftp") },
	} {
		r := httptest.NewRequest("POST", w.config.URL+"/api/v1/forgot", strings.NewReader(`{"login":"`+annsLogin+`"}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		forge(r)
		w.Site.ServeHTTP(httptest.NewRecorder(), r)
	}
	letters, err := w.Outbox.Kept(visitless, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range letters {
		if strings.Contains(l.Mail.Text+l.Mail.HTML, "evil") || strings.Contains(l.Mail.Text, "ftp:") || forgotLink.FindString(l.Mail.Text) == "" || l.To != annsLogin {
			t.Error(l.To, l.Mail.Text)
		}
	}
	if len(letters) != 1 { // each takes the one before back, and the forged host is not ours
		t.Error(len(letters), "letters")
	}
}

// C5: it goes where a code goes that begins a sign-in: the address that was proved, else the login, never the profile.
func TestALinkGoesToNoAddressOutOfTheProfile(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		b.api("POST", "/account/contact", "email", "amm@example.com")
		w.forgets(t, annsLogin, annsLogin)
		b.prove(t, "email", "amm@example.com")
		w.wait(time.Minute)
		w.forgets(t, annsLogin, "amm@example.com")
		if n := len(w.links(t, annsLogin)); n != 0 {
			t.Error(n, "to the login, whose link is taken back")
		}
	}, coded)
}

// S2: somebody on the way in, or signed in, may use a link of their own or of somebody else: it works for its person alone.
func TestALinkIsItsPersonsWhoeverUsesIt(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		bob := w.fresh(t, "bob@example.com")
		if a := bob.form("POST", w.forgets(t, annsLogin, annsLogin), "password", newPassword); a.status != 303 || a.location != "/signin" {
			t.Fatal(a)
		}
		if a := bob.session(); a.status != 200 || !strings.Contains(a.body, "bob@example.com") {
			t.Error("Bob is not Bob any more: ", a)
		}
		_, key := bob.enrol(t, "/account")
		half := w.browser()
		half.signIn(t, "bob@example.com", annsPassword, "second_factor")
		if a := half.api("POST", w.forgets(t, "bob@example.com", "bob@example.com"), "password", newPassword); a.status != 204 || len(a.cookies) > 0 {
			t.Fatal(a)
		}
		w.wait(time.Minute)
		if a := half.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.status != 401 {
			t.Error("what the old password began goes on: ", a)
		}
		if bob.session().status != 401 {
			t.Error("Bob's session lives on")
		}
	}, told)
}

// Two proofs out of one mailbox are one: whoever reads it passes nobody who set up something better, in either order; but who
// has nothing better passes, and after the delay so does everybody.
func TestAMailboxIsOneFactor(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		bob := "bob@example.com"
		_, ann := w.withCodes(t, annsLogin, "", "email")
		ann.enrol(t, "/account")
		w.withCodes(t, bob, "", "email")
		w.wait(2 * time.Hour)
		w.renews(t, annsLogin, annsLogin, newPassword)
		w.renews(t, bob, bob, newPassword)
		byPassword := func(login string) answer {
			w.wait(time.Minute)
			b := w.browser()
			first := b.signIn(t, login, newPassword, "second_factor")
			b.api("POST", "/signin/email/send")
			if a := b.api("POST", "/signin/email", "code", w.code(t, login)); a.status != 422 {
				return a
			}
			return first
		}
		byCode := func(login string) answer {
			w.wait(time.Minute)
			b := w.browser()
			b.api("POST", "/signin/mailed", "login", login)
			a := b.api("POST", "/signin/mailed/code", "code", w.code(t, login))
			if a.field("next") == "/signin/password" || strings.Contains(a.body, `"password"`) {
				return b.api("POST", "/signin/password", "password", newPassword)
			}
			b.api("POST", "/signin/password", "password", newPassword)
			if b.has(sessionCookie) {
				t.Error("a password where none was asked for")
			}
			return a
		}
		for n := range 2 {
			if a := byPassword(annsLogin); a.field("state") == "signed_in" || strings.Contains(fmt.Sprint(a.fields["factors"]), "email") {
				t.Errorf("%d: the mailbox alone passes an authenticator: %v", n, a)
			}
			if a := byCode(annsLogin); a.field("state") == "signed_in" {
				t.Errorf("%d: the mailbox alone passes an authenticator, the code first: %v", n, a)
			}
			if a := byPassword(bob); a.field("state") != "signed_in" {
				t.Errorf("%d: who has the mailbox alone: %v", n, a)
			}
			w.wait(3*24*time.Hour - 2*time.Hour)
		}
		w.wait(5 * time.Hour)
		if a := byPassword(annsLogin); a.field("state") != "signed_in" {
			t.Error("after the delay: ", a)
		}
	}, coded, byMail)
}

// A password that is changed the usual way is not one out of the mailbox.
func TestAPasswordChangedBySomebodySignedInDidNotComeByMail(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, b := w.withCodes(t, annsLogin, "", "email")
		_, key := b.enrol(t, "/account")
		w.renews(t, annsLogin, annsLogin, newPassword)
		w.wait(time.Minute)
		b = w.browser()
		b.signIn(t, annsLogin, newPassword, "second_factor")
		if a := b.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.status != 200 {
			t.Fatal(a)
		}
		w.wait(time.Minute)
		b.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now())))
		if a := b.api("POST", "/account/password", "current", newPassword, "password", "a third horse battery"); a.status != 204 {
			t.Fatal(a)
		}
		w.wait(time.Minute)
		b = w.browser()
		b.signIn(t, annsLogin, "a third horse battery", "second_factor")
		b.api("POST", "/signin/email/send")
		if a := b.api("POST", "/signin/email", "code", w.code(t, annsLogin)); a.field("state") != "signed_in" {
			t.Error(a)
		}
	}, coded)
}

// S9: the way is on the sign-in page, and under the password as second step, only where mail is sent.
func TestForgotPasswordIsOfferedWhereThereIsMail(t *testing.T) {
	const link = `<a class="small" href="/forgot">Forgot password?</a>`
	w := inSQLite(t, coded, byMail, required)
	w.add(t, annsLogin, annsPassword)
	if a := w.browser().form("GET", "/signin"); !strings.Contains(a.body, link) {
		t.Error(a.body)
	}
	if a := w.browser().form("POST", "/signin", "login", annsLogin, "password", "wrong"); !strings.Contains(a.body, link) {
		t.Error("after a wrong password: ", a.body)
	}
	b := w.browser()
	b.api("POST", "/signin/mailed", "login", annsLogin)
	b.api("POST", "/signin/mailed/code", "code", w.code(t, annsLogin))
	if a := b.form("GET", "/signin/password"); !strings.Contains(a.body, `href="/forgot"`) {
		t.Error(a.body)
	}
	if a := b.form("GET", "/forgot"); a.status != 200 || !strings.Contains(a.body, "30 minutes") {
		t.Error(a)
	}
	if a := b.form("GET", "/forgot/sent"); a.status != 200 || !strings.Contains(a.body, "If an account has this name, a link is on its way. It works for 30 minutes.") {
		t.Error(a)
	}
	w = inSQLite(t)
	if a := w.browser().form("GET", "/signin"); strings.Contains(a.body, "Forgot") {
		t.Error("without mail: ", a.body)
	}
	for face, send := range w.browser().faces() {
		for _, a := range []answer{send("GET", "/forgot"), send("POST", "/forgot", "login", annsLogin), send("GET", "/forgot/sent")} {
			if a.status != 404 {
				t.Errorf("%s: %v", face, a)
			}
		}
	}
}

// L2, F4: a stranger does not take away the link that “This wasn't me” led to.
func TestAStrangerDoesNotTakeTheWayBackAway(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		w.add(t, annsLogin, annsPassword)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "signed_in")
		b.stepUp(t, "password", "password", annsPassword)
		b.enrol(t, "/account")
		next := w.answered(t, w.notice(t, annsLogin, "notice-factor-added").token())
		for range 3 {
			w.wait(9 * time.Minute)
			w.browser().api("POST", "/forgot", "login", annsLogin)
		}
		if a := w.browser().api("POST", next, "password", newPassword); a.status != 204 {
			t.Error(a)
		}
	}, told)
}
