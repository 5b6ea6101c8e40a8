package test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sallyport/internal/factor/softkey"
	"sallyport/test/harness"
)

// A challenge is answered once, whoever sends the answer how often. T5, R2
func TestOfFiftyEqualPasskeyAnswersAtOnceOnePasses(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		_, k, _ := s.withPasskey(anna)
		for _, test := range []struct {
			name   string
			client func() *harness.Client
			path   string
			starts int // sessions
		}{
			{"without a name", s.client, "/signin/passkey", 1},
			{"second step", func() *harness.Client { return s.begun(anna) }, "/signin/passkey", 1},
			{"step-up", func() *harness.Client { return s.byPasskey(k) }, "/stepup/passkey", 0},
		} {
			for range rounds {
				s.forgetFailures()
				c := test.client()
				body := harness.Response(t, c, k, test.path, nil)
				same, before := clones(c, 50), s.sessions()
				n := tally(atOnce(50, func(i int) harness.Answer { return same[i].Call("POST", test.path, body) }))
				noFault(t, n)
				alive := 0
				for _, one := range same {
					if one.Call("GET", "/session", nil).Status == 200 {
						alive++
					}
				}
				if n["200"] != 1 || s.sessions() != before+test.starts || alive != 1 {
					t.Error(test.name, n, "sessions:", s.sessions()-before, "alive:", alive)
				}
				s.forgetFailures()
				expect(t, test.name+", later", same[0].Call("POST", test.path, body), "422 wrong", "401 expired", "401 not-signed-in")
			}
		}
	})
}

// T3, R2
func TestOfFiftyEqualPasskeyCreationsAtOnceOneIsAdded(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		harness.AddUser(t, s.Server, anna, password)
		c := s.as(anna)
		expect(t, "step-up", c.Call("POST", "/stepup/password", m{"password": password}), "200")
		for round := range rounds {
			s.forgetFailures()
			body := harness.Response(t, c, softkey.New(s.URL), "/account/passkeys", nil)
			same := clones(c, 50)
			n := tally(atOnce(50, func(i int) harness.Answer { return same[i].Call("POST", "/account/passkeys", body) }))
			noFault(t, n)
			all, events := s.number(`SELECT COUNT(*) FROM passkeys`), s.number(`SELECT COUNT(*) FROM events WHERE kind = 'factor.added'`)
			if n["200"] != 1 || all != round+1 || events != round+1 {
				t.Error(n, all, "passkeys,", events, "events")
			}
			expect(t, "this session stays", c.Call("GET", "/session", nil), "200")
		}
		// One credential, offered to two accounts at once, belongs to one.
		harness.AddUser(t, s.Server, berta, password)
		other := s.as(berta)
		expect(t, "step-up", other.Call("POST", "/stepup/password", m{"password": password}), "200")
		for round := range rounds {
			s.forgetFailures()
			id := fmt.Appendf(nil, "the same id in round %d .......", round)
			lie := func(said *softkey.Said) { said.CredentialID = id }
			both := []*harness.Client{c, other}
			bodies := []m{harness.Response(t, c, softkey.New(s.URL), "/account/passkeys", nil, lie), harness.Response(t, other, softkey.New(s.URL), "/account/passkeys", nil, lie)}
			n := tally(atOnce(2, func(i int) harness.Answer { return both[i].Call("POST", "/account/passkeys", bodies[i]) }))
			if n["200"] != 1 || n["409 passkey-known"] != 1 {
				t.Error("two accounts:", n)
			}
		}
	})
}

// Of two authenticators with one key and the same counter the second is found out.
func TestOfTwoPasskeyClonesAtOnceOnePasses(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		harness.AddUser(t, s.Server, anna, password)
		k := softkey.New(s.URL)
		k.Counting = true
		harness.AddPasskey(t, s.as(anna), k, password)
		for range 10 {
			s.forgetFailures()
			browsers, bodies := make([]*harness.Client, 5), make([]m, 5)
			for i := range browsers {
				browsers[i] = s.client()
				bodies[i] = harness.Response(t, browsers[i], k.Clone(), "/signin/passkey", nil)
			}
			warm(browsers)
			before := s.sessions()
			n := tally(atOnce(5, func(i int) harness.Answer { return browsers[i].Call("POST", "/signin/passkey", bodies[i]) }))
			if n["200"] != 1 || n["422 wrong"] != 4 || s.sessions() != before+1 {
				t.Error(n, s.sessions()-before, "sessions")
			}
			if _, err := k.Get(harness.Ask(t, s.client(), "/signin/passkey", nil)); err != nil { // it counts on
				t.Fatal(err)
			}
		}
		if n := s.number(`SELECT COUNT(*) FROM events WHERE kind = 'signin.failed' AND detail LIKE '%a counter that did not grow%'`); n != 40 {
			t.Error(n, "in the record")
		}
	})
}

// What holds of a passkey that is removed while it signs in: the sign-in passes or not, but once the removal was answered
// no session that the passkey began is alive, whichever came first, and it begins no other.
func TestARemovedPasskeyHasNoSession(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		_, stays, _ := s.withPasskey(anna)
		passed := 0
		for round := range 20 {
			s.forgetFailures()
			keeper := s.byPasskey(stays)
			expect(t, "step-up", harness.Ceremony(t, keeper, stays, "/stepup/passkey", nil), "200")
			goes := softkey.New(s.URL)
			id := harness.AddPasskey(t, keeper, goes, password)
			browsers, bodies := make([]*harness.Client, 6), make([]m, 6)
			for i := range browsers {
				if browsers[i] = s.client(); i%2 == 1 {
					browsers[i] = s.begun(anna)
				}
				bodies[i] = harness.Response(t, browsers[i], goes, "/signin/passkey", nil)
			}
			warm(append(slices.Clone(browsers), keeper))
			n := tally(atOnce(7, func(i int) harness.Answer {
				if i == 6 { // later and later, so that some sign-ins are faster
					time.Sleep(time.Duration(round) * time.Millisecond)
					a := keeper.Call("DELETE", "/account/passkeys/"+id, nil)
					if a.Status != 204 {
						t.Error("removal:", a)
					}
					a.Status = 0
					return a
				}
				return browsers[i].Call("POST", "/signin/passkey", bodies[i])
			}))
			delete(n, "0")
			noFault(t, n)
			passed += n["200"]
			if n["200"]+n["422 wrong"]+n["401 expired"] != 6 {
				t.Error(n)
			}
			for i, b := range browsers {
				expect(t, "session begun by the removed passkey", b.Call("GET", "/session", nil), "401 not-signed-in")
				again := b.Clone().SetCookie(harness.PendingCookie, "")
				s.forgetFailures()
				if i < 2 {
					expect(t, "sign-in after the removal", harness.Ceremony(t, again, goes, "/signin/passkey", nil), "422 wrong")
				}
			}
			expect(t, "the session that removed it", keeper.Call("GET", "/session", nil), "200")
		}
		t.Log(passed, "of 120 sign-ins were faster than the removal")
	})
}

// Of two passkeys that are removed at once one stays. F2
func TestOfTheLastTwoPasskeysOneStays(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		for i := range rounds {
			c, _, first := s.withPasskey(fmt.Sprintf("person%d@example.com", i))
			both := []string{first, harness.AddPasskey(t, c, softkey.New(s.URL), password)}
			from := clones(c, 2)
			n := tally(atOnce(2, func(i int) harness.Answer { return from[i].Call("DELETE", "/account/passkeys/"+both[i], nil) }))
			noFault(t, n)
			if left := s.number(`SELECT COUNT(*) FROM passkeys`); n["204"] != 1 || left != i+1 {
				t.Error(n, left, "left")
			}
		}
	})
}

// A challenge is not stored, so a crash takes none away; an answer is, so a crash gives none back.
func TestAPasskeyCeremonySurvivesTheCrash(t *testing.T) {
	t.Parallel()
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		member, k, _ := s.withPasskey(anna)
		crash := func() {
			s.Kill()
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
		}
		for name, test := range map[string]struct {
			client func() *harness.Client
			key    *softkey.Key
			path   string
		}{
			"without a name": {s.client, k, "/signin/passkey"},
			"second step":    {func() *harness.Client { return s.begun(anna) }, k, "/signin/passkey"},
			"step-up":        {func() *harness.Client { return s.byPasskey(k) }, k, "/stepup/passkey"},
			"adding":         {func() *harness.Client { return member }, softkey.New(s.URL), "/account/passkeys"},
		} {
			if name == "adding" {
				member = s.byPasskey(k)
				expect(t, "step-up", harness.Ceremony(t, member, k, "/stepup/passkey", nil), "200")
			}
			c := test.client()
			options := harness.Ask(t, c, test.path, nil)
			crash()
			body := harness.Respond(t, test.key, options, nil)
			before := c.Clone()
			expect(t, name+", after the crash", c.Call("POST", test.path, body), "200")
			crash()
			want := "422 wrong"
			switch name {
			case "second step":
				want = "401 expired"
			case "step-up":
				want = "401 not-signed-in" // the token has changed
			}
			expect(t, name+", again after another", before.Call("POST", test.path, body), want)
			expect(t, name+", the session", c.Call("GET", "/session", nil), "200")
		}
		// An answer that was under way when the server died counted or not, but never twice.
		passed, twice := 0, 0
		for i := range 12 {
			s.forgetFailures()
			c := s.client()
			body := harness.Response(t, c, k, "/signin/passkey", nil)
			answer, sent := make(chan harness.Answer, 1), c.Clone()
			before := s.sessions()
			warm([]*harness.Client{sent})
			go func() { answer <- sent.Call("POST", "/signin/passkey", body) }()
			time.Sleep(time.Duration(i) * 500 * time.Microsecond)
			crash()
			first := <-answer
			s.forgetFailures()
			again := c.Call("POST", "/signin/passkey", body)
			if first.Status == 200 {
				passed++
			}
			if first.Status == 200 && again.Status == 200 || s.sessions() > before+1 {
				twice++
			}
		}
		if twice > 0 {
			t.Error(twice, "counted twice")
		}
		t.Log(passed, "of 12 were answered before the crash")
	})
}
