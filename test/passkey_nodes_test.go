package test

import (
	"testing"

	"sallyport/internal/factor/softkey"
	"sallyport/test/harness"
)

// twins are two nodes behind one address, as a load balancer shows them: passkeys belong to an origin.
func twins(t *testing.T) (a, b site) {
	t.Helper()
	address, data := onPostgres(t), t.TempDir()
	a = with(t, harness.Options{Database: address, Env: cheap, Data: data}, address)
	b = with(t, harness.Options{Database: address, Env: cheap, Data: data, URL: a.URL}, address)
	return a, b
}

// at is a client as it is, on the other node.
func (s site) at(c *harness.Client) *harness.Client {
	s.t.Helper()
	return c.Clone().Via(s.Listen)
}

// S4, S6, P1, U2: any node tells its own challenges and those of the others.
func TestAPasskeyCeremonyBegunOnOneNodeEndsOnTheOther(t *testing.T) {
	t.Parallel()
	a, b := twins(t)
	member, k, _ := a.withPasskey(anna)
	for range rounds {
		for name, test := range map[string]struct {
			client func() *harness.Client
			key    *softkey.Key
			path   string
		}{
			"without a name": {a.client, k, "/signin/passkey"},
			"second step":    {func() *harness.Client { return a.begun(anna) }, k, "/signin/passkey"},
			"step-up":        {func() *harness.Client { return a.byPasskey(k) }, k, "/stepup/passkey"},
			"adding":         {func() *harness.Client { return member }, softkey.New(a.URL), "/account/passkeys"},
		} {
			a.forgetFailures()
			if name == "adding" {
				member = a.byPasskey(k)
				expect(t, "step-up", harness.Ceremony(t, member, k, "/stepup/passkey", nil), "200")
			}
			c := test.client()
			body := harness.Response(t, c, test.key, test.path, nil)
			there, late := b.at(c), c.Clone()
			expect(t, name, there.Call("POST", test.path, body), "200")
			expect(t, name+", again on the first", late.Call("POST", test.path, body), "422 wrong", "401 expired", "401 not-signed-in")
			expect(t, name+", its session on the first", a.at(there).Call("GET", "/session", nil), "200")
		}
	}
}

// F1, S8: a passkey removed on one node is dead on the other at once, and what it had begun there.
func TestAPasskeyRemovedOnOneNodeIsDeadOnTheOther(t *testing.T) {
	t.Parallel()
	a, b := twins(t)
	_, stays, _ := a.withPasskey(anna)
	for range 5 {
		a.forgetFailures()
		c := a.byPasskey(stays)
		expect(t, "step-up", harness.Ceremony(t, c, stays, "/stepup/passkey", nil), "200")
		goes := softkey.New(a.URL)
		id := harness.AddPasskey(t, c, goes, password)
		there := b.at(a.client())
		expect(t, "before", harness.Ceremony(t, there, goes, "/signin/passkey", nil), "200")
		open, second := b.at(a.client()), b.at(a.begun(anna))
		bodies := []m{harness.Response(t, open, goes, "/signin/passkey", nil), harness.Response(t, second, goes, "/signin/passkey", nil)}
		up := b.at(there)
		raise := harness.Response(t, up, goes, "/stepup/passkey", nil)
		expect(t, "removal", c.Call("DELETE", "/account/passkeys/"+id, nil), "204")
		expect(t, "sign-in", open.Call("POST", "/signin/passkey", bodies[0]), "422 wrong")
		expect(t, "second step", second.Call("POST", "/signin/passkey", bodies[1]), "401 expired")
		expect(t, "step-up", up.Call("POST", "/stepup/passkey", raise), "401 not-signed-in", "422 wrong", "403 step-up")
		within(t, soon, "its session", func() bool { return there.Call("GET", "/session", nil).Status == 401 })
		expect(t, "the other passkey", harness.Ceremony(t, b.at(a.client()), stays, "/signin/passkey", nil), "200")
	}
}

// R2 across nodes, at the same instant.
func TestOfOnePasskeyAnswerOnTwoNodesOnePasses(t *testing.T) {
	t.Parallel()
	a, b := twins(t)
	_, k, _ := a.withPasskey(anna)
	counting := softkey.New(a.URL)
	counting.Counting = true
	harness.AddUser(t, a.Server, berta, password)
	harness.AddPasskey(t, a.as(berta), counting, password)
	for range 20 {
		a.forgetFailures()
		for name, key := range map[string]*softkey.Key{"not counting": k, "counting": counting} {
			c := a.client()
			body, before := harness.Response(t, c, key, "/signin/passkey", nil), a.sessions()
			both := warm([]*harness.Client{c.Clone(), b.at(c)})
			n := tally(atOnce(2, func(i int) harness.Answer { return both[i].Call("POST", "/signin/passkey", body) }))
			if n["200"] != 1 || n["422 wrong"] != 1 || a.sessions() != before+1 {
				t.Error(name, n, a.sessions()-before, "sessions")
			}
		}
		// Clones that come at once, each with a challenge of its own.
		here, there := a.client(), b.at(a.client())
		bodies := []m{harness.Response(t, here, counting.Clone(), "/signin/passkey", nil), harness.Response(t, there, counting.Clone(), "/signin/passkey", nil)}
		both := warm([]*harness.Client{here, there})
		if n := tally(atOnce(2, func(i int) harness.Answer { return both[i].Call("POST", "/signin/passkey", bodies[i]) })); n["200"] != 1 || n["422 wrong"] != 1 {
			t.Error("clones:", n)
		}
		if _, err := counting.Get(harness.Ask(t, a.client(), "/signin/passkey", nil)); err != nil { // it counts on
			t.Fatal(err)
		}
	}
}
