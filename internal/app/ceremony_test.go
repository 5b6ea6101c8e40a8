package app_test

import (
	"testing"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/db/dbtest"
)

// An answer counts where its options were asked for: R5.

var anew = map[string]any{"anew": true}

// R5: it is bound to the sign-in, not to the person.
func TestASecondStepIsBoundToItsSignIn(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, k := withKey(t, w)
		one, other := w.browser(), w.browser()
		one.signIn(t, annsLogin, annsPassword, "second_factor")
		other.signIn(t, annsLogin, annsPassword, "second_factor")
		made := answerTo(t, k, one.options("/signin/passkey", nil))
		other.refused(t, "in another sign-in of the same person", wrong, other.reply("/signin/passkey", made, nil))
		other.refused(t, "as a sign-in without a name", wrong, other.reply("/signin/passkey", made, anew))
		stranger := w.browser()
		stranger.refused(t, "in a browser without a sign-in", wrong, stranger.reply("/signin/passkey", made, nil))
		if a := one.reply("/signin/passkey", made, nil); a.field("state") != "signed_in" {
			t.Error("where it was asked for: ", a)
		}
	})
}

// R5: a sign-in without a name is bound to the browser that asked, and to nothing that asked for something else.
func TestASignInWithoutANameIsBoundToItsBrowser(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		session, k := withKey(t, w)
		b, thief, pending := w.browser(), w.browser(), w.browser()
		made := answerTo(t, k, b.options("/signin/passkey", nil))
		thief.refused(t, "in a browser that asked for nothing", wrong, thief.reply("/signin/passkey", made, nil))
		thief.options("/signin/passkey", nil)
		thief.refused(t, "in one that asked for its own", wrong, thief.reply("/signin/passkey", made, nil))
		pending.signIn(t, annsLogin, annsPassword, "second_factor")
		pending.refused(t, "as second step", wrong, pending.reply("/signin/passkey", made, nil))
		if a := session.reply("/stepup/passkey", made, nil); a.status != 422 {
			t.Error("as step-up: ", a)
		}
		raised := answerTo(t, k, session.options("/stepup/passkey", nil))
		b.refused(t, "what was asked for a step-up", wrong, b.reply("/signin/passkey", raised, nil))
		if a := b.reply("/signin/passkey", made, nil); a.field("state") != "signed_in" {
			t.Error("where it was asked for: ", a)
		}
	})
}

// R5: a step-up is bound to its session.
func TestAStepUpIsBoundToItsSession(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		one, k := withKey(t, w)
		other := w.browser()
		other.ceremony(t, k, "/signin/passkey", nil)
		made := answerTo(t, k, one.options("/stepup/passkey", nil))
		if a := other.reply("/stepup/passkey", made, nil); a.status != 422 {
			t.Error("in another session of the same person: ", a)
		}
		if a := other.api("GET", "/account/password"); a.problem() != "step-up" {
			t.Error(a)
		}
		if a := one.ceremony(t, k, "/stepup/passkey", nil); a.status != 200 { // a new token, the same session
			t.Fatal(a)
		}
		if a := one.reply("/stepup/passkey", made, nil); a.status != 200 {
			t.Error("where it was asked for: ", a)
		}
	})
}

// R2: once, over all endpoints, and of two at the same instant.
func TestAnAnswerCountsOnce(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, k := withKey(t, w)
		b := w.browser()
		made := answerTo(t, k, b.options("/signin/passkey", nil))
		var requests []func() answer
		for range 4 {
			twin := w.browser()
			twin.jar[browserCookie] = b.jar[browserCookie]
			requests = append(requests, func() answer { return twin.reply("/signin/passkey", made, nil) })
		}
		through := 0
		for _, a := range atOnce(requests...) {
			if a.status == 200 {
				through++
			} else if a.status != 422 {
				t.Error(a)
			}
		}
		if through != 1 {
			t.Errorf("%d came through", through)
		}
		b.refused(t, "once more", wrong, b.reply("/signin/passkey", made, nil))
	})
}

const browserCookie = "__Host-passkey"

// security.md, "Passkeys": a challenge lives five minutes.
func TestAnAnswerMayTakeFiveMinutes(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		session, k := withKey(t, w)
		b, tardy, pending := w.browser(), w.browser(), w.browser()
		pending.signIn(t, annsLogin, annsPassword, "second_factor")
		in := answerTo(t, k, b.options("/signin/passkey", nil))
		out := answerTo(t, k, tardy.options("/signin/passkey", nil))
		second := answerTo(t, k, pending.options("/signin/passkey", nil))
		raised := answerTo(t, k, session.options("/stepup/passkey", nil))
		added := answerTo(t, w.key(), session.options("/account/passkeys", nil))
		w.wait(5*time.Minute - time.Second)
		if a := b.reply("/signin/passkey", in, nil); a.field("state") != "signed_in" {
			t.Error("just before: ", a)
		}
		w.wait(time.Second)
		tardy.refused(t, "without a name", late, tardy.reply("/signin/passkey", out, nil))
		pending.refused(t, "as second step", late, pending.reply("/signin/passkey", second, nil))
		for at, a := range map[string]answer{
			"step-up": session.reply("/stepup/passkey", raised, nil), "adding": session.reply("/account/passkeys", added, nil),
		} {
			if a.status != 422 || a.field("message") != late {
				t.Errorf("%s: %v", at, a)
			}
		}
	})
}

// S6: one that is over says so. It is not begun anew unless the person wants that.
func TestASecondStepThatIsOverSaysSo(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, k := withKey(t, w)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		w.wait(9 * time.Minute)
		made := answerTo(t, k, b.options("/signin/passkey", nil))
		w.wait(time.Minute)
		for what, a := range map[string]answer{"options": b.options("/signin/passkey", nil), "answer": b.reply("/signin/passkey", made, nil),
			"page": b.api("GET", "/signin/passkey")} {
			if a.status != 401 || a.problem() != "expired" || b.has(sessionCookie) {
				t.Errorf("%s: %v", what, a)
			}
		}
		if a := b.form("POST", "/signin/passkey", "credential", string(made)); a.status != 401 || b.has(sessionCookie) {
			t.Error(a)
		}
		b.refused(t, "anew with what was asked before", wrong, b.reply("/signin/passkey", made, anew))
		if a := b.ceremony(t, k, "/signin/passkey", anew); a.field("state") != "signed_in" || b.has(pendingCookie) {
			t.Error("anew: ", a, b.jar)
		}
	})
}

// S6: any cookie of a sign-in that is no more, finished or made up, is one that is over.
func TestAStaleSignInIsNotBegunAnewUnasked(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, k := withKey(t, w)
		done := w.browser()
		done.signIn(t, annsLogin, annsPassword, "second_factor")
		old := done.jar[pendingCookie]
		done.ceremony(t, k, "/signin/passkey", nil)
		for name, cookie := range map[string]string{"finished": old, "made up": "x"} {
			b := w.browser()
			b.jar[pendingCookie] = cookie
			if a := b.options("/signin/passkey", nil); a.status != 401 || a.problem() != "expired" {
				t.Errorf("%s: %v", name, a)
			}
			made := answerTo(t, k, b.options("/signin/passkey", anew))
			if a := b.reply("/signin/passkey", made, nil); a.status != 401 || b.has(sessionCookie) {
				t.Errorf("%s: %v", name, a)
			}
			if a := b.reply("/signin/passkey", made, anew); a.field("state") != "signed_in" {
				t.Errorf("%s, anew: %v", name, a)
			}
		}
	})
}

// S4: whoever begins anew goes on with nothing of the sign-in under way, nor for its person.
func TestASignInIsBegunAnewBesideOneUnderWay(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, anns := withKey(t, w)
		_, bobs := person(t, w, "bob@example.com")
		b := w.browser()
		a := b.object("POST", "/signin", map[string]any{"login": annsLogin, "password": string(annsPassword), "return_to": "/account/security"})
		if a.field("state") != "second_factor" {
			t.Fatal(a)
		}
		made := answerTo(t, bobs, b.options("/signin/passkey", anew))
		b.refused(t, "bob's, as ann's second step", wrong, b.reply("/signin/passkey", made, nil))
		if a := b.reply("/signin/passkey", made, anew); a.field("state") != "signed_in" || a.field("next") != "/account" {
			t.Error(a)
		}
		if u := b.session().fields["user"].(map[string]any); u["login"] != "bob@example.com" {
			t.Error(u)
		}
		// And with options that were asked for as ann's second step, bob signs in nowhere.
		c := w.browser()
		c.signIn(t, annsLogin, annsPassword, "second_factor")
		asked := c.options("/signin/passkey", nil)
		asked.body = withoutList(t, asked.body)
		c.refused(t, "bob's, to ann's options", wrong, c.reply("/signin/passkey", answerTo(t, bobs, asked), nil))
		if a := c.ceremony(t, anns, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Error(a)
		}
	})
}

// U2
func TestNobodyStepsUpByThePasskeyOfAnother(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, _ := withKey(t, w)
		_, bobs := person(t, w, "bob@example.com")
		w.wait(11 * time.Minute)
		asked := b.options("/stepup/passkey", nil)
		asked.body = withoutList(t, asked.body)
		if a := b.reply("/stepup/passkey", answerTo(t, bobs, asked), nil); a.status != 422 || a.field("message") != wrong {
			t.Error(a)
		}
		if a := b.api("GET", "/account/password"); a.problem() != "step-up" {
			t.Error("and yet: ", a)
		}
		rows := w.events(t, idOf(t, w, annsLogin), auth.StepUpFailed)
		if len(rows) != 1 || rows[0]["why"] != "the passkey of somebody else" {
			t.Error(rows)
		}
	})
}

// F1: gone at once, also for who is about to use it.
func TestARemovedPasskeyIsKnownNoMore(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, spare := withKey(t, w)
		k := w.key()
		id := b.addPasskey(t, k)
		alone := w.browser()
		asked := answerTo(t, k, alone.options("/signin/passkey", nil))
		raised := answerTo(t, k, b.options("/stepup/passkey", nil))
		if a := b.api("DELETE", "/account/passkeys/"+id); a.status != 204 {
			t.Fatal(a)
		}
		alone.refused(t, "removed under way", unknown, alone.reply("/signin/passkey", asked, nil))
		alone.refused(t, "removed before", unknown, alone.ceremony(t, k, "/signin/passkey", nil))
		if a := b.reply("/stepup/passkey", raised, nil); a.status != 422 || a.field("message") != unknown {
			t.Error("removed while a step-up was under way: ", a)
		}
		second := w.browser()
		second.signIn(t, annsLogin, annsPassword, "second_factor")
		made := second.options("/signin/passkey", nil)
		made.body = withoutList(t, made.body)
		second.refused(t, "as second step", unknown, second.reply("/signin/passkey", answerTo(t, k, made), nil))
		if a := second.ceremony(t, spare, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Error("the other one: ", a)
		}
		if rows := w.events(t, "", auth.SignInFailed); len(rows) != 2 { // nobody's, as nobody has it
			t.Error(rows)
		}
	})
}

// R4: a change of credentials voids what was asked for before it.
func TestAChangeOfCredentialsVoidsACeremonyUnderWay(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b, k := withKey(t, w)
		pending, session := w.browser(), w.browser()
		session.ceremony(t, k, "/signin/passkey", nil)
		session.stepUp(t, "password", "password", annsPassword)
		pending.signIn(t, annsLogin, annsPassword, "second_factor")
		second := answerTo(t, k, pending.options("/signin/passkey", nil))
		added := answerTo(t, w.key(), session.options("/account/passkeys", nil))
		raised := answerTo(t, k, session.options("/stepup/passkey", nil))
		if a := b.api("POST", "/account/password", "current", string(annsPassword), "password", "another horse battery"); a.status/100 != 2 {
			t.Fatal(a)
		}
		if a := pending.reply("/signin/passkey", second, nil); a.status != 401 || a.problem() != "expired" || pending.has(sessionCookie) {
			t.Error("a second step: ", a)
		}
		for what, a := range map[string]answer{"adding": session.reply("/account/passkeys", added, nil), "a step-up": session.reply("/stepup/passkey", raised, nil)} {
			if a.status != 401 {
				t.Errorf("%s: %v", what, a)
			}
		}
	})
}

// S6: what one node began another finishes.
func TestAnotherNodeFinishesACeremony(t *testing.T) {
	dbtest.EachAddress(t, app.Schemas, func(t *testing.T, address string) {
		here := worldOn(t, address)
		there := worldOn(t, address, func(c *config.Config) { c.Data = here.config.Data })
		session, k := withKey(t, here)
		finish := func(b *browser, path string, begun answer) answer {
			made := answerTo(t, k, begun)
			moved := &browser{w: there, jar: b.jar, address: b.address}
			done := moved.reply(path, made, nil)
			if again := b.reply(path, made, nil); again.status/100 == 2 {
				t.Errorf("%s: the first takes it, too: %v", path, again)
			}
			return done
		}
		alone, second := here.browser(), here.browser()
		if a := finish(alone, "/signin/passkey", alone.options("/signin/passkey", nil)); a.field("state") != "signed_in" {
			t.Error("without a name: ", a)
		}
		second.signIn(t, annsLogin, annsPassword, "second_factor")
		if a := finish(second, "/signin/passkey", second.options("/signin/passkey", nil)); a.field("state") != "signed_in" {
			t.Error("second step: ", a)
		}
		if a := finish(session, "/stepup/passkey", session.options("/stepup/passkey", nil)); a.status != 200 {
			t.Error("step-up: ", a)
		}
		k = here.key()
		if a := finish(session, "/account/passkeys", session.options("/account/passkeys", nil)); a.status != 200 {
			t.Error("adding: ", a)
		}
		here.add(t, "bob@example.com", annsPassword)
		offered := here.offered(t, "bob@example.com")
		k = here.key()
		if a := finish(offered, offer, offered.options(offer, nil)); a.status != 200 {
			t.Error("offer: ", a)
		}
		here.add(t, "carl@example.com", annsPassword)
		here.again(t, required)
		there.again(t, required)
		enrolling := here.browser()
		enrolling.signIn(t, "carl@example.com", annsPassword, "enrolment")
		k = here.key()
		if a := finish(enrolling, "/signin/enrol/passkey", enrolling.options("/signin/enrol/passkey", nil)); a.field("state") != "signed_in" {
			t.Error("enrolment: ", a)
		}
	})
}

// S6: nor does a restart end one.
func TestACeremonySurvivesARestart(t *testing.T) {
	w := inSQLite(t)
	_, k := withKey(t, w)
	b := w.browser()
	options := b.options("/signin/passkey", nil)
	w.restart(t)
	if a := b.reply("/signin/passkey", answerTo(t, k, options), nil); a.field("state") != "signed_in" {
		t.Error(a)
	}
}
