package test

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/test/harness"
)

const rounds = 3

// T5, R2
func TestOfFiftyEqualCodesAtOnceOnePasses(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		_, secret := s.person(anna)
		pending := func() (all []*harness.Client) { // many sign-ins of the same person
			for len(all) < 50 { // more than nine at once would look like guessing
				all = append(all, atOnce(9, func(int) *harness.Client { return s.begun(anna) })...)
			}
			return warm(all[:50])
		}
		for _, test := range []struct {
			name    string
			clients func() []*harness.Client
		}{
			{"in one sign-in", func() []*harness.Client { return clones(s.begun(anna), 50) }},
			{"in many sign-ins", pending},
			// The account's limit lets ten through to the code; without it all fifty meet there.
			{"in as many as the limit allows", func() []*harness.Client { return pending()[:10] }},
		} {
			for range rounds {
				s.forgetFailures()
				s.forgetSteps()
				clients, before := test.clients(), s.sessions()
				code := harness.Code(t, secret, time.Now())
				n := tally(atOnce(len(clients), func(i int) harness.Answer {
					return clients[i].Call("POST", "/signin/totp", m{"code": code})
				}))
				noFault(t, n)
				if n["200"] != 1 || s.sessions() != before+1 {
					t.Error(test.name, n, "sessions:", s.sessions()-before)
				}
			}
		}
	})
}

// T3, R2
func TestOfFiftyConfirmationsAtOnceOnePasses(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		harness.AddUser(t, s.Server, anna, password)
		c := s.as(anna)
		c.Call("POST", "/stepup/password", m{"password": password})
		for round := range rounds {
			s.forgetFailures()
			starts := clones(c, 10) // starting it at once makes one, too
			secrets := map[string]bool{}
			for _, a := range atOnce(10, func(i int) string {
				_, waiting := starts[i].API("POST", "/account/totp", nil)
				return fmt.Sprint(waiting["id"], " ", waiting["secret"])
			}) {
				secrets[a] = true
			}
			if len(secrets) != 1 {
				t.Fatal(secrets)
			}
			id, secret, _ := strings.Cut(slices.Collect(maps.Keys(secrets))[0], " ")
			clients := clones(c, 50)
			code := harness.Code(t, secret, time.Now())
			n := tally(atOnce(50, func(i int) harness.Answer {
				return clients[i].Call("POST", "/account/totp/"+id, m{"code": code, "name": "phone"})
			}))
			noFault(t, n)
			if all := s.number(`SELECT COUNT(*) FROM totp WHERE confirmed`); n["200"] != 1 || all != round+1 {
				t.Error(n, all, "authenticators")
			}
			if events := s.number(`SELECT COUNT(*) FROM events WHERE kind = 'factor.added'`); events != round+1 {
				t.Error(events, "events")
			}
			expect(t, "this session stays", c.Call("GET", "/session", nil), "200")
		}
	})
}

// T5, U3, R2
func TestOfFiftyStepUpsAtOnceOnePasses(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		_, secret := s.person(anna)
		signedIn := func() *harness.Client {
			c := s.begun(anna)
			s.forgetSteps()
			expect(t, "code", c.Call("POST", "/signin/totp", m{"code": harness.Code(t, secret, time.Now())}), "200")
			return c
		}
		sessions := make([]*harness.Client, 10)
		for i := range sessions {
			sessions[i] = signedIn()
		}
		for range rounds {
			s.forgetFailures()
			s.forgetSteps()
			code := m{"code": harness.Code(t, secret, time.Now())}
			n := tally(atOnce(len(sessions), func(i int) harness.Answer { return sessions[i].Call("POST", "/stepup/totp", code) }))
			noFault(t, n)
			if n["200"] != 1 {
				t.Error("by code, in several sessions:", n)
			}
			for _, by := range []string{"totp", "password"} {
				s.forgetFailures()
				s.forgetSteps()
				c := signedIn()
				s.forgetSteps()
				proof := m{"password": password}
				if by == "totp" {
					proof = m{"code": harness.Code(t, secret, time.Now())}
				}
				same := clones(c, 50)
				n = tally(atOnce(50, func(i int) harness.Answer { return same[i].Call("POST", "/stepup/"+by, proof) }))
				noFault(t, n)
				alive := 0
				for _, one := range same { // the token changes, and only who was first has the new one
					if one.Call("GET", "/session", nil).Status == 200 {
						alive++
					}
				}
				if n["200"] != 1 || alive != 1 {
					t.Error("by", by, "in one session:", n, alive, "alive")
				}
			}
		}
	})
}

// A setup link makes one owner. R2
func TestOfManyOwnersAtOnceOneIsMade(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		token := s.SetupLink[strings.Index(s.SetupLink, "=")+1:]
		clients := clones(s.client(), 20)
		n := tally(atOnce(20, func(i int) harness.Answer {
			return clients[i].Page("POST", "/setup", url.Values{"token": {token}, "name": {"Anna"}, "email": {fmt.Sprintf("owner%d@example.com", i)}, "password": {password}})
		}))
		noFault(t, n)
		if users := s.number(`SELECT COUNT(*) FROM users`); n["303"] != 1 || users != 1 {
			t.Error(n, users, "users")
		}
		expect(t, "used link", s.client().Page("POST", "/setup", url.Values{"token": {token}, "name": {"Eve"}, "email": {"eve@example.com"}, "password": {password}}), "404")
	})
}

// Five guesses in a sign-in, ten in an account, whatever arrives at once. R3
func TestParallelGuessesNeverBeatTheLimits(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		_, secret := s.person(anna)
		checked := func(n map[string]int) int { return n["422 wrong"] + n["401 expired used up"] + n["200"] }
		wrong := others(t, secret, 200)

		one := clones(s.begun(anna), 50)
		n := tally(atOnce(50, func(i int) harness.Answer { return one[i].Call("POST", "/signin/totp", m{"code": wrong[i]}) }))
		noFault(t, n)
		if checked(n) != 5 {
			t.Error("in one sign-in:", n)
		}
		expect(t, "after five", one[0].Call("POST", "/signin/totp", m{"code": harness.Code(t, secret, time.Now())}), "401 expired")

		for range 2 {
			s.forgetFailures()
			s.forgetSteps()
			many := make([]*harness.Client, 41)
			for i := range many {
				many[i] = s.begun(anna)
			}
			var all []*harness.Client // five tries in each sign-in, and the last has the right code
			for _, c := range many[:40] {
				for range 5 {
					all = append(all, c.Clone())
				}
			}
			warm(append(all, many[40]))
			right := harness.Code(t, secret, time.Now())
			answers := atOnce(201, func(i int) harness.Answer {
				if i == 100 {
					return many[40].Call("POST", "/signin/totp", m{"code": right})
				}
				if i > 100 {
					i--
				}
				return all[i].Call("POST", "/signin/totp", m{"code": wrong[i]})
			})
			n := tally(answers)
			noFault(t, n)
			// The right one ends the waiting and leaves room for a slip or two, and no more.
			if most := 10 + 3*n["200"]; checked(n) > most || n["200"] > 1 {
				t.Errorf("%d checked, at most %d may be: %v", checked(n), most, n)
			}
			if got := s.number(`SELECT COUNT(*) FROM events WHERE kind = 'signin.failed'`); got > 2*13+5 {
				t.Error(got, "failures in the record")
			}
		}
	})
}

// R3
func TestOfFortyWrongPasswordsAtOnceTenAreChecked(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address, behind)
		harness.AddUser(t, s.Server, anna, password)
		for i, login := range []string{anna, "nobody@example.com"} { // S10
			clients := clones(s.client(), 40)
			n := tally(atOnce(40, func(j int) harness.Answer {
				clients[j].From(fmt.Sprintf("10.%d.0.%d", i, j)) // many addresses, one account
				return clients[j].Call("POST", "/signin", m{"login": login, "password": "wrong password"})
			}))
			noFault(t, n)
			if n["422 wrong"] > 10 || n["422 wrong"] == 0 { // who was told that we are busy was not checked
				t.Error(login, n)
			}
			expect(t, "right one", s.client().Call("POST", "/signin", m{"login": login, "password": password}), "429 throttled")
		}
	})
}

// From one address thirty, whatever the names.
func TestOneAddressHasThirtyGuesses(t *testing.T) {
	s := open(t, onSQLite(t), behind)
	guess := func(from string, i int) harness.Answer {
		return s.client().From(from).Call("POST", "/signin", m{"login": fmt.Sprintf("nobody%d@example.com", i), "password": "wrong"})
	}
	for i := range 30 {
		expect(t, "guess", guess(fmt.Sprintf("2001:db8:1:1::%x", i), i), "422 wrong") // one /64 is one client
	}
	expect(t, "same /64", guess("2001:db8:1:1:ffff::1", 30), "429 throttled")
	expect(t, "next /64", guess("2001:db8:1:2::1", 31), "422 wrong")
	if after := guess("2001:db8:1:1::1", 32).Header.Get("Retry-After"); after != "30" && after != "29" {
		t.Error("Retry-After:", after)
	}
}

// F2
func TestOfTheLastTwoAuthenticatorsOneStays(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		for i := range rounds {
			email := fmt.Sprintf("person%d@example.com", i)
			c, _ := s.person(email)
			secret := harness.Enrol(t, c, password)
			second := s.begun(email) // a session of its own, as fresh as the other
			second.Call("POST", "/signin/totp", m{"code": harness.Code(t, secret, time.Now())})
			expect(t, "step-up", second.Call("POST", "/stepup/password", m{"password": password}), "200")
			_, list := c.API("GET", "/account/totp", nil)
			both := list["authenticators"].([]any)
			from := []*harness.Client{c, c.Clone()}
			if i%2 == 1 {
				from[1] = second
			}
			warm(from)
			n := tally(atOnce(2, func(i int) harness.Answer {
				return from[i].Call("DELETE", "/account/totp/"+both[i].(m)["id"].(string), nil)
			}))
			noFault(t, n)
			if left := s.number(`SELECT COUNT(*) FROM totp t JOIN users u ON u.id = t.user_id WHERE u.login = $1`, email); n["204"] != 1 || left != 1 {
				t.Error(n, left, "left")
			}
		}
	})
}

// What was never checked is no guess: a crowd from one office is told to wait its turn, and nobody is locked out by it.
func TestACrowdIsNotTakenForAnAttack(t *testing.T) {
	address := onSQLite(t)
	s := with(t, harness.Options{Database: address}, address) // hashing at its real price
	people := make([]string, 8)
	for i := range people {
		people[i] = fmt.Sprintf("person%d@example.com", i)
		harness.AddUser(t, s.Server, people[i], password)
	}
	clients := clones(s.client(), 64)
	n := tally(atOnce(64, func(i int) harness.Answer {
		return clients[i].Call("POST", "/signin", m{"login": people[i%8], "password": password})
	}))
	noFault(t, n)
	if n["200"]+n["503 busy"] != 64 {
		t.Error("the right password of each:", n)
	}
	for _, email := range people {
		within(t, 3*time.Second, email, func() bool {
			return s.client().Call("POST", "/signin", m{"login": email, "password": password}).Status != 503
		})
		expect(t, "afterwards", s.client().Call("POST", "/signin", m{"login": email, "password": password}), "200")
	}
}

func (s site) sessions() int { s.t.Helper(); return s.number(`SELECT COUNT(*) FROM sessions`) }
