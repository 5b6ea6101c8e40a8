package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/factor/softkey"
)

// lies are answers that are wrong in one part, with the message and the reason on record. The checks themselves are
// tried one by one in factor/passkey; these show that the way in refuses all alike.
var lies = map[string]struct {
	lie     softkey.Lie
	message string
	why     string
}{
	"another challenge": {func(s *softkey.Said) { s.ClientData.Challenge = base64.RawURLEncoding.EncodeToString(make([]byte, 32)) },
		wrong, "a challenge that was not made for this"},
	"no challenge":        {func(s *softkey.Said) { s.ClientData.Challenge = "" }, wrong, ""},
	"a creation":          {func(s *softkey.Said) { s.ClientData.Type = "webauthn.create" }, wrong, "a response that does not verify"},
	"another origin":      {func(s *softkey.Said) { s.ClientData.Origin = "https://evil.example" }, elsewhere, "another origin"},
	"another port":        {func(s *softkey.Said) { s.ClientData.Origin = "http://localhost:8081" }, elsewhere, "another origin"},
	"within another page": {func(s *softkey.Said) { s.ClientData.CrossOrigin = new(true) }, wrong, "a response that does not verify"},
	"another party":       {func(s *softkey.Said) { s.RPIDHash[0] ^= 1 }, wrong, "a response that does not verify"},
	"nobody present":      {func(s *softkey.Said) { s.Flags &^= softkey.UP }, wrong, "a response that does not verify"},
	"a key that cannot be synced any more": {func(s *softkey.Said) { s.Flags &^= softkey.BE | softkey.BS }, wrong,
		"a response that does not verify"},
	"another signature": {func(s *softkey.Said) { s.Signature = func(b []byte) []byte { b[len(b)-1] ^= 1; return b } }, wrong,
		"a response that does not verify"},
	"no signature":       {func(s *softkey.Said) { s.Signature = func([]byte) []byte { return nil } }, wrong, ""},
	"another handle":     {func(s *softkey.Said) { s.UserHandle[0] ^= 1 }, wrong, "a response that does not verify"},
	"another credential": {func(s *softkey.Said) { s.CredentialID[0] ^= 1 }, unknown, "an unknown passkey"},
	"no client data":     {func(s *softkey.Said) { s.ClientDataJSON = func([]byte) []byte { return []byte("{}") } }, wrong, ""},
	"cut data":           {func(s *softkey.Said) { s.AuthData = softkey.Cut(1) }, wrong, ""},
	"no response":        {func(s *softkey.Said) { s.JSON = func(m map[string]any) { delete(m, "response") } }, wrong, ""},
}

// S2, S10, R6: each is 422 on both faces, begins nothing, and leaves exactly one row.
func TestAWrongAnswerBeginsNothingAndIsOnRecord(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, k := withKey(t, w)
		ann := idOf(t, w, annsLogin)
		failed := func() []map[string]string {
			return slices.Concat(w.events(t, ann, auth.SignInFailed), w.events(t, "", auth.SignInFailed))
		}
		ways := map[string]func(b *browser) map[string]any{
			"without a name": func(*browser) map[string]any { return anew },
			"second step": func(b *browser) map[string]any {
				b.signIn(t, annsLogin, annsPassword, "second_factor")
				return nil
			},
		}
		for name, c := range lies {
			for way, begin := range ways {
				for _, face := range []string{"api", "page"} {
					w.wait(16 * time.Minute) // the throttle is not what we test
					b := w.browser()
					fields := begin(b)
					asked := b.options("/signin/passkey", fields)
					made := answerTo(t, k, asked, c.lie)
					before := failed()
					var a answer
					if face == "api" {
						a = b.reply("/signin/passkey", made, fields)
						b.refused(t, name+", "+way, c.message, a)
					} else {
						a = b.form("POST", "/signin/passkey", "credential", string(made), "anew", fmt.Sprint(fields != nil))
						if a.status != 422 || b.has(sessionCookie) || a.field("state") != "" {
							t.Errorf("%s, %s: %v", name, way, a)
						}
					}
					rows := failed()
					if len(rows) != len(before)+1 {
						t.Fatalf("%s, %s, %s: %d rows: %v", name, way, face, len(rows)-len(before), rows)
					}
					if !slices.ContainsFunc(rows, func(r map[string]string) bool { return r["why"] == c.why || c.why == "" && r["why"] != "" }) {
						t.Errorf("%s, %s, %s: no row says why: %v", name, way, face, rows)
					}
					if a := b.session(); a.status != 401 {
						t.Errorf("%s, %s, %s: %v", name, way, face, a)
					}
				}
			}
			if a := w.browser().ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
				t.Errorf("the truth, after %s: %v", name, a)
			}
		}
	})
}

// R2: whoever found out that one answer is wrong does not try another with the same challenge.
func TestAWrongAnswerUsesUpItsChallenge(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, k := withKey(t, w)
		b := w.browser()
		asked := b.options("/signin/passkey", nil)
		lied := answerTo(t, k, asked, func(s *softkey.Said) { s.Flags &^= softkey.UV })
		b.refused(t, "unverified", unverified, b.reply("/signin/passkey", lied, nil))
		b.refused(t, "the truth, late", wrong, b.reply("/signin/passkey", answerTo(t, k, asked), nil))
	})
}

// A form sends the answer as text, the API as an object, and neither takes anything else.
func TestWhatIsNoAnswerIsRefused(t *testing.T) {
	w := inSQLite(t)
	_, k := withKey(t, w)
	b := w.browser()
	made := answerTo(t, k, b.options("/signin/passkey", nil))
	for name, body := range map[string]string{
		"text":         fmt.Sprintf(`{"credential":%q}`, made),
		"null":         `{"credential":null}`,
		"nothing":      `{}`,
		"a name more":  fmt.Sprintf(`{"credential":%s,"login":"ann@example.com"}`, made),
		"a name twice": fmt.Sprintf(`{"credential":%s}`, strings.Replace(string(made), `"type":`, `"type":"x","type":`, 1)),
	} {
		if a := b.send("POST", "/api/v1/signin/passkey", "application/json", body); a.status != 422 || a.problem() != "invalid" || b.has(sessionCookie) {
			t.Errorf("%s: %v", name, a)
		}
	}
	for _, text := range []string{"", "no JSON", `"` + string(made)} {
		if a := b.form("POST", "/signin/passkey", "credential", text); a.status != 422 || b.has(sessionCookie) {
			t.Errorf("%q: %v", text, a)
		}
	}
	if a := b.form("POST", "/signin/passkey", "credential", string(made), "return_to", "/account/security"); a.status != 303 || a.location != "/account/security" {
		t.Error("the truth, on a page: ", a)
	}
}

// A counter that did not grow tells of a copy.
func TestOfTwoCopiesOfAKeyTheSecondIsRefused(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		b := w.fresh(t, annsLogin)
		k := w.key()
		k.Counting, k.BE, k.BS = true, false, false
		b.addPasskey(t, k)
		thiefs := k.Clone()
		if a := w.browser().ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Fatal(a)
		}
		thief := w.browser()
		thief.refused(t, "the copy", wrong, thief.ceremony(t, thiefs, "/signin/passkey", nil))
		if rows := w.events(t, idOf(t, w, annsLogin), auth.SignInFailed); len(rows) != 1 || rows[0]["why"] != "a counter that did not grow" {
			t.Error(rows)
		}
		if a := w.browser().ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Error("the true one is refused, too: ", a)
		}
	})
}

// S10: a disabled person's passkey is as wrong as any.
func TestADisabledPersonsPasskeyIsWrong(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		session, k := withKey(t, w)
		_, bobs := person(t, w, "bob@example.com")
		pending := w.browser()
		pending.signIn(t, annsLogin, annsPassword, "second_factor")
		made := answerTo(t, k, pending.options("/signin/passkey", nil))
		w.disable(t, idOf(t, w, annsLogin))
		alone, other := w.browser(), w.browser()
		off := alone.ceremony(t, k, "/signin/passkey", nil)
		alone.refused(t, "disabled", wrong, off)
		bad := other.ceremony(t, bobs, "/signin/passkey", nil, lies["another signature"].lie)
		if plain(off) != plain(bad) {
			t.Errorf("one can tell:\n%s\n%s", plain(off), plain(bad))
		}
		if a := pending.reply("/signin/passkey", made, nil); a.status != 401 || pending.has(sessionCookie) {
			t.Error("a second step: ", a)
		}
		if a := session.session(); a.status != 401 {
			t.Error(a)
		}
		if rows := w.events(t, idOf(t, w, annsLogin), auth.SignInFailed); len(rows) != 1 {
			t.Error(rows)
		}
	})
}

// plain is an answer without what differs from one request to the next.
func plain(a answer) string {
	headers := slices.Sorted(maps.Keys(a.header))
	cookies := slices.Sorted(maps.Keys(a.cookies))
	return fmt.Sprint(a.status, headers, cookies, a.header.Get("Retry-After"), requestID.ReplaceAllString(a.body, "-"))
}

// security.md, "Throttling": 30 wrong first proofs from one address, whoever they claim to come from.
func TestThirtyWrongAnswersShutAnAddress(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, k := withKey(t, w)
		b, elsewhere := w.browser(), w.browser()
		strangers := w.key()
		strangers.Create([]byte(w.fresh(t, "bob@example.com").options("/account/passkeys", nil).body)) // never sent
		for n := range 30 {
			var a answer
			if n%2 == 0 {
				a = b.ceremony(t, strangers, "/signin/passkey", nil)
			} else {
				a = b.object("POST", "/signin/passkey", map[string]any{"credential": map[string]any{}})
			}
			if a.status != 422 {
				t.Fatalf("number %d: %v", n+1, a)
			}
		}
		if a := b.ceremony(t, k, "/signin/passkey", nil); a.status != 429 || a.header.Get("Retry-After") == "" || b.has(sessionCookie) {
			t.Error("the right one: ", a)
		}
		if a := b.api("POST", "/signin", "login", annsLogin, "password", string(annsPassword)); a.status != 429 {
			t.Error("a password from there: ", a)
		}
		if a := elsewhere.ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Error("from elsewhere: ", a)
		}
		w.wait(time.Minute)
		if a := b.ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Error("after the wait: ", a)
		}
	})
}

// A stranger who knows a name, and so what its passkeys are called, uses up nobody's guesses.
func TestAStrangersWrongAnswersShutNobodyOut(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		anns, k := withKey(t, w)
		_, key := anns.enrol(t, "/account")
		w.wait(time.Minute)
		pending := w.browser()
		pending.signIn(t, annsLogin, annsPassword, "second_factor")
		for n := range 120 { // more than lock an account whose codes are guessed
			if a := w.browser().ceremony(t, k, "/signin/passkey", nil, lies["another signature"].lie); a.status != 422 {
				t.Fatalf("number %d: %v", n+1, a)
			}
		}
		if a := pending.api("POST", "/signin/totp", "code", codeAt(key, w.now())); a.field("state") != "signed_in" {
			t.Error("a code: ", a)
		}
		if a := w.browser().ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Error("a passkey: ", a)
		}
		if a := anns.ceremony(t, k, "/stepup/passkey", nil); a.status != 200 {
			t.Error("a step-up: ", a)
		}
	})
}

// R3: after the password, wrong answers count against the person, over all sign-ins and step-ups, together with codes.
func TestTenWrongAnswersAfterThePasswordShutOnePerson(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		anns, k := withKey(t, w)
		_, key := anns.enrol(t, "/account")
		_, bobs := person(t, w, "bob@example.com")
		w.wait(time.Minute)
		pending := w.browser()
		pending.signIn(t, annsLogin, annsPassword, "second_factor")
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		for n := range 10 {
			who, at := anns, "/stepup/passkey"
			if n < 4 {
				who, at = b, "/signin/passkey"
			}
			if a := who.ceremony(t, k, at, nil, lies["another signature"].lie); a.status != 422 {
				t.Fatalf("number %d: %v", n+1, a)
			}
		}
		for what, a := range map[string]answer{
			"a second step": pending.ceremony(t, k, "/signin/passkey", nil), "a step-up": anns.ceremony(t, k, "/stepup/passkey", nil),
			"a code": pending.api("POST", "/signin/totp", "code", codeAt(key, w.now())),
		} {
			if a.status != 429 || pending.has(sessionCookie) {
				t.Errorf("%s: %v", what, a)
			}
		}
		if a := w.browser().ceremony(t, bobs, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Error("somebody else: ", a)
		}
		w.wait(31 * time.Second)
		if a := pending.ceremony(t, k, "/signin/passkey", nil); a.field("state") != "signed_in" {
			t.Error("after the wait: ", a)
		}
	})
}

// R3: a right answer gives its own guess at the address back, and no other.
func TestARightAnswerGivesItsGuessBack(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, k := withKey(t, w)
		b := w.browser()
		right := func() answer {
			delete(b.jar, sessionCookie)
			return b.ceremony(t, k, "/signin/passkey", nil)
		}
		for n := range 40 {
			if a := right(); a.field("state") != "signed_in" {
				t.Fatalf("number %d: %v", n+1, a)
			}
		}
		guess := func() answer {
			return b.object("POST", "/signin/passkey", map[string]any{"credential": map[string]any{}})
		}
		for range 29 {
			guess()
		}
		if a := right(); a.field("state") != "signed_in" {
			t.Error("after 29 wrong ones: ", a)
		}
		if a := guess(); a.status != 422 {
			t.Error("the 30th wrong one: ", a)
		}
		if a := right(); a.status != 429 {
			t.Error("after 30 wrong ones: ", a)
		}
	})
}

// security.md, "Throttling": 5 per pending sign-in, and then it is over.
func TestFiveWrongAnswersEndASecondStep(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, k := withKey(t, w)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		for left := 4; left >= 1; left-- {
			if a := b.ceremony(t, k, "/signin/passkey", nil, lies["another signature"].lie); a.status != 422 || a.fields["left"] != float64(left) {
				t.Errorf("%d left: %v", left, a)
			}
		}
		spare := answerTo(t, k, b.options("/signin/passkey", nil))
		if a := b.ceremony(t, k, "/signin/passkey", nil, lies["another signature"].lie); a.status != 401 {
			t.Error("the fifth: ", a)
		}
		if a := b.reply("/signin/passkey", spare, nil); a.status != 401 || b.has(sessionCookie) {
			t.Error("the right one after it: ", a)
		}
	})
}

// S10, security.md, "Passkeys": options for a name that nobody has look like any others, and stay the same.
func TestOptionsDoNotTellWhoHasAPasskey(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		_, k := withKey(t, w)
		w.add(t, "bare@example.com", annsPassword)
		person(t, w, "off@example.com")
		ask := func(login string) answer {
			return w.browser().options("/signin/passkey", map[string]any{"login": login})
		}
		list := func(login string) string {
			b, _ := json.Marshal(ask(login).fields["allowCredentials"])
			return string(b)
		}
		real, seen := ask(annsLogin), map[string]string{list(annsLogin): annsLogin, list("off@example.com"): "whom it was before"}
		w.disable(t, idOf(t, w, "off@example.com"))
		for _, login := range []string{"nobody@example.com", "no.body@example.com", "bare@example.com", "off@example.com", "no name at all", "\u0301"} {
			fake := ask(login)
			if shape(fake) != shape(real) {
				t.Errorf("%s:\n%s\n%s", login, shape(fake), shape(real))
			}
			first := list(login)
			if other := seen[first]; other != "" {
				t.Errorf("%s has the passkey of %s", login, other)
			}
			seen[first] = login
			w.wait(time.Hour)
			if list(login) != first || list(strings.ToUpper(login)) != first {
				t.Errorf("%s has another one the next time", login)
			}
			w.restart(t)
			if list(login) != first {
				t.Errorf("%s has another one after a restart", login)
			}
		}
		if list(strings.ToUpper(annsLogin)) != list(annsLogin) {
			t.Error("a name in capitals is somebody else")
		}
		b := w.browser()
		asked := b.options("/signin/passkey", map[string]any{"login": annsLogin})
		if a := b.reply("/signin/passkey", answerTo(t, k, asked), nil); a.field("state") != "signed_in" {
			t.Error("hers works with her name: ", a)
		}
	})
}

// shape is everything that stays the same in options for different people.
func shape(a answer) string {
	var options struct {
		Challenge, RPID, UserVerification string
		Timeout                           int
		AllowCredentials                  []map[string]any
	}
	d := json.NewDecoder(bytes.NewReader([]byte(a.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&options); err != nil {
		return err.Error()
	}
	said := fmt.Sprint(a.status, slices.Sorted(maps.Keys(a.header)), slices.Sorted(maps.Keys(a.cookies)), slices.Sorted(maps.Keys(a.fields)),
		len(options.Challenge), options.RPID, options.UserVerification, options.Timeout)
	for _, one := range options.AllowCredentials {
		id, err := base64.RawURLEncoding.DecodeString(fmt.Sprint(one["id"]))
		_, speaks := one["transports"].([]any)
		said += fmt.Sprint(slices.Sorted(maps.Keys(one)), one["type"], speaks, err, len(id) >= 16)
	}
	return said
}

// S10: what answers a name is no more than a hint.
func TestAnotherPersonMayAnswerToAName(t *testing.T) {
	w := inSQLite(t)
	withKey(t, w)
	_, bobs := person(t, w, "bob@example.com")
	b := w.browser()
	asked := b.options("/signin/passkey", map[string]any{"login": annsLogin})
	asked.body = withoutList(t, asked.body)
	if a := b.reply("/signin/passkey", answerTo(t, bobs, asked), nil); a.field("state") != "signed_in" {
		t.Fatal(a)
	}
	if u := b.session().fields["user"].(map[string]any); u["login"] != "bob@example.com" {
		t.Error(u)
	}
}
