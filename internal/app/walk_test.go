package app_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/secret"
)

// Random walks over everything that people, thieves and administrators can do, on both faces, against a model that was
// written from the rules and shares no code with policy. After every step each session token there ever was is tried.
//
// No walk reaches a session that the policy would refuse; a session that answers belongs to who proved what the rules
// demanded at its start; one that is over never answers again; a code never succeeds twice; a passkey that merely was
// touched is one factor.
// S1, S2, S4-S6, T3, T5, P4, P7, P9, C1-C6, C8, U1-U3, F1-F3, W2, W4, R1, R2, R4

func TestNoWalkReachesASessionThatPolicyRefuses(t *testing.T) {
	for name, value := range map[string]string{"rapid.checks": "10", "rapid.steps": "60"} { // in each round; more by the flags
		if f := flag.Lookup(name); f.Value.String() == f.DefValue {
			f.Value.Set(value)
			defer f.Value.Set(f.DefValue)
		}
	}
	for name, set := range map[string]func(*config.Config){
		"off":      mfaOff,
		"optional": func(*config.Config) {},
		"warn":     func(c *config.Config) { c.Policy.LastFactor = "warn" },
		"required": required,
		"grace":    func(c *config.Config) { required(c); c.Policy.GraceDays = 1 },
		"codes":    func(c *config.Config) { coded(c); byMail(c) },
		"mailed":   func(c *config.Config) { onlyMail(c); byMail(c); required(c) },
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.EachAddress(t, app.Schemas, func(t *testing.T, address string) {
				w := worldOn(t, address, set)
				ctx, stop := context.WithCancel(context.Background())
				var done sync.WaitGroup
				done.Go(func() { w.DB.Listen(ctx) }) // so that sessions are checked from memory
				defer done.Wait()
				defer stop()
				for !w.DB.Hears() {
					time.Sleep(time.Millisecond)
				}
				went := map[string]int{}
				for round := 0; round < least || round < most && len(missing(name, went)) > 0; round++ {
					rapid.Check(t, func(t *rapid.T) { newWalk(w, t, went).run(t) })
				}
				t.Log(went)
				for _, way := range missing(name, went) {
					t.Errorf("no walk came by %q: they prove too little", way)
				}
			})
		})
	}
}

// How many rounds there are: chance is chance, so walks go on until they came by everything.
const least, most = 2, 60

// missing are the ways that no walk has come through yet.
func missing(rules string, went map[string]int) (some []string) {
	all := ways[rules]
	if rules != "mailed" && rules != "codes" { // which have enough to come by
		all = slices.Concat(all, waysOfAll)
	}
	for _, way := range all {
		if went[way] == 0 {
			some = append(some, way)
		}
	}
	return some
}

// ways are what walks must have come through, or they prove little.
var (
	waysOfAll = []string{"passkey", "a wrong passkey without a name", "to step up by passkey", "to add a passkey at /account/passkeys", "to remove a passkey"}
	ways      = map[string][]string{
		"off": {"password", "to step up by password", "to confirm one at /account", "to change the password", "to add a passkey at " + offer},
		"optional": {"password", "password on a trusted browser", "to trust a browser", "password+totp", "password+passkey", "password+touched passkey", "to step up by password", "to step up by totp",
			"to confirm one at /account", "to disable MFA", "to enable MFA", "to change the password", "to add a passkey at " + offer},
		"warn":     {"password", "password+totp", "to remove an authenticator"},
		"required": {"password on a trusted browser", "password+totp", "password+passkey", "to confirm one at /signin/enrol", "to add a passkey at /signin/enrol/passkey", "to step up by totp", "to change the password"},
		"grace":    {"password", "password+totp", "to confirm one at /account"},
		"codes":    waysByCode,
		"mailed":   waysByMail,
	}
)

// A person as the model knows them.
type walker struct {
	user     auth.User
	password auth.Secret
	epoch    int
	mfaOff   bool
	gone     bool // disabled
	reached
	due   time.Time
	apps  []*authenticator
	keys  []*passkey
	quiet time.Time         // no offer of a passkey before
	begun map[string]string // secrets that were shown and wait, by id
	// wrong guesses so far: only they excuse a refusal by the throttle
	passwords, inside, codes, setups int
}

type authenticator struct {
	id, key string
	last    int64 // step
}

// A modelled session, by its token.
type modelled struct {
	who           *walker
	proved        []string // kinds, in order
	codes         thread
	epoch         int
	started, seen time.Time
	fresh         time.Time // end of the step-up window
	offered       bool      // a passkey, for ten minutes
	ends          bool      // on the page that offers to trust the browser, for as long, in one epoch
	endsIn        int
	over          bool
}

type underway struct {
	who     *walker
	proved  []string // so far
	codes   thread
	expires time.Time
	epoch   int
	tries   int
	over    bool
}

type walk struct {
	*world
	people   []*walker
	browsers []*browser
	sessions map[string]*modelled
	tokens   []string // in order of birth
	pendings map[string]*underway
	spent    map[string]bool // authenticator and step
	everyKey []*passkey      // there ever was
	trust    map[string]trustedBy
	wrongs   int // first proofs so far
	post
	went map[string]int // how often somebody came through, over all walks
}

func newWalk(w *world, t *rapid.T, went map[string]int) *walk {
	k := &walk{world: w, sessions: map[string]*modelled{}, pendings: map[string]*underway{}, spent: map[string]bool{}, trust: map[string]trustedBy{}, went: went}
	for range 2 {
		p := &walker{password: "correct horse battery", begun: map[string]string{}}
		p.user = w.add(t, strings.ToLower(secret.NewID())+"@example.com", p.password)
		p.reached = unreached(p.user.Login)
		k.people = append(k.people, p)
	}
	for range 2 {
		k.browsers = append(k.browsers, w.capable())
	}
	k.browsers = append(k.browsers, w.browser())
	k.post = k.newPost(t)
	k.settle(t)
	return k
}

func (k *walk) run(t *rapid.T) {
	anybody := func(act func(*rapid.T, *browser, bool)) func(*rapid.T) {
		return func(t *rapid.T) { act(t, k.browserOf(t), false) }
	}
	acts := map[string]func(*rapid.T){
		"":                    k.check,
		"sign in":             anybody(k.signIn),
		"unlock":              anybody(k.unlock),
		"use a passkey":       anybody(k.useKey),
		"step up by passkey":  anybody(k.stepUpByKey),
		"add a passkey":       anybody(k.addKey("/account/passkeys")),
		"enrol a passkey":     anybody(k.addKey("/signin/enrol/passkey")),
		"take up an offer":    anybody(k.addKey(offer)),
		"code":                anybody(k.code),
		"enrol on the way in": anybody(k.enrol("/signin/enrol")),
		"add":                 anybody(k.enrol("/account")),
		"confirm an old one":  anybody(k.confirmOld),
		"step up":             anybody(k.stepUp),
		"remove":              anybody(k.remove),
		"disable MFA":         anybody(k.disableMFA),
		"enable MFA":          anybody(k.enableMFA),
		"change password":     anybody(k.changePassword),
		"sign out":            anybody(k.signOut),
		"end others":          anybody(k.endOthers),
		"give up":             anybody(k.giveUp),
		"wait":                k.pass,
		"reset MFA":           k.reset,
		"disable somebody":    k.expel,
		"steal cookies":       k.steal,
		"trust a browser":     anybody(k.trustBrowser),
		"trust no browser":    anybody(k.trustNone),
	}
	k.byCode(acts, anybody)
	for n := range 8 {
		acts[fmt.Sprint("go on ", n)] = k.goOn
	}
	t.Repeat(acts)
}

// goOn does what a person would do next, and does it well: chance alone seldom gets through a whole journey.
func (k *walk) goOn(t *rapid.T) {
	b := k.browserOf(t)
	if k.withCodes() && (!k.counts("totp") || rapid.IntRange(0, 3).Draw(t, "by code") > 0) {
		k.goOnByCode(t, b)
		return
	}
	s, p := k.sessionIn(b), k.pendingIn(b)
	choose := func(acts ...func(*rapid.T, *browser, bool)) { pick(t, false, "act", acts...)(t, b, true) }
	app := func(act func(*rapid.T, *browser, bool)) func(*rapid.T, *browser, bool) {
		return func(t *rapid.T, b *browser, well bool) {
			if who := k.whoIn(b); who != nil {
				k.nextCode(who)
			}
			act(t, b, well)
		}
	}
	switch {
	case k.open(p) && k.needs(p.who, p.proved) == "second_factor" && len(p.who.keys) == 0:
		app(k.code)(t, b, true)
	case k.open(p) && k.needs(p.who, p.proved) == "second_factor" && len(p.who.apps) == 0:
		choose(k.useKey, k.useTouched)
	case k.open(p) && k.needs(p.who, p.proved) == "second_factor":
		choose(app(k.code), k.useKey, k.useTouched)
	case k.open(p):
		choose(k.enrol("/signin/enrol"), k.addKey("/signin/enrol/passkey"))
	case !k.alive(s):
		if slices.ContainsFunc(k.people, func(p *walker) bool { return len(p.keys) > 0 }) {
			choose(k.signIn, k.signIn, k.unlock)
			return
		}
		k.signIn(t, b, true)
	case k.mayTrust(s):
		choose(k.trustBrowser, k.trustBrowser, app(k.stepUp))
	case k.isTrusted(s.who, []string{"password"}, b.jar) && rapid.IntRange(0, 3).Draw(t, "again") > 0:
		k.signIn(t, b, true)
	case k.isOffered(s) && !k.isFresh(s):
		choose(k.addKey(offer), app(k.stepUp))
	case !k.isFresh(s) && len(s.who.keys) > 0:
		choose(app(k.stepUp), k.stepUpByKey)
	case !k.isFresh(s):
		app(k.stepUp)(t, b, true)
	case s.who.factors() < 2:
		choose(k.enrol("/account"), k.addKey("/account/passkeys"), k.remove, k.disableMFA, k.enableMFA, k.changePassword, k.signIn)
	default:
		choose(k.enrol("/account"), k.addKey("/account/passkeys"), k.remove, k.remove, k.remove, k.disableMFA, k.enableMFA, k.changePassword,
			app(k.stepUp), k.signIn, k.signIn, k.signOut)
	}
}

// whoIn is whose browser it is, signed in or on the way, or nil.
func (k *walk) whoIn(b *browser) *walker {
	if p := k.pendingIn(b); k.open(p) {
		return p.who
	}
	if s := k.sessionIn(b); s != nil {
		return s.who
	}
	return nil
}

// nextCode waits until every authenticator of somebody shows a code that was not used.
func (k *walk) nextCode(p *walker) {
	for _, one := range p.apps {
		for one.last >= k.now().Unix()/30 {
			k.wait(30 * time.Second)
		}
	}
}

// pick is the first of some for somebody who does it well, else any.
func pick[T any](t *rapid.T, well bool, name string, some ...T) T {
	if well {
		return some[0]
	}
	return rapid.SampledFrom(some).Draw(t, name)
}

func (k *walk) rule() string { return k.config.Policy.MFA }

// needs is what a sign-in still needs.
func (k *walk) needs(p *walker, proved []string) string {
	switch {
	case !k.isOn(p), k.finishes(proved):
		return "signed_in"
	case k.usable(p, proved...) > 0:
		return "second_factor"
	case k.isBlocked(p):
		return "help"
	case !slices.Contains(proved, "password"):
		return "second_factor"
	case k.config.Policy.GraceDays > 0 && (p.due.IsZero() || k.now().Before(p.due)):
		return "signed_in"
	}
	return "enrolment"
}

func (k *walk) isOn(p *walker) bool {
	return k.demands(p) || k.rule() == "optional" && !p.mfaOff && p.factors() > 0
}

// demands is W1: the strictest of the rules and what an administrator set.
func (k *walk) demands(p *walker) bool { return k.rule() == "required" || p.method != "" }

// areLast is F2: so many are the last that somebody can use, and must not go.
func (k *walk) areLast(p *walker, going int) bool {
	return k.usable(p) == going && k.isOn(p) && (k.demands(p) || k.config.Policy.LastFactor == "refuse")
}

func (k *walk) alive(s *modelled) bool {
	return s != nil && !s.over && !s.who.gone && s.epoch == s.who.epoch && k.now().Before(s.started.Add(24*time.Hour)) && k.now().Sub(s.seen) < time.Hour
}

func (k *walk) isFresh(s *modelled) bool { return k.alive(s) && k.now().Before(s.fresh) }

func (k *walk) open(p *underway) bool {
	return p != nil && !p.over && !p.who.gone && p.epoch == p.who.epoch && k.now().Before(p.expires)
}

func (k *walk) sessionIn(b *browser) *modelled { return k.sessions[b.jar[sessionCookie]] }
func (k *walk) pendingIn(b *browser) *underway { return k.pendings[b.jar[pendingCookie]] }

// bump is a new security epoch: only keep lives on.
func (k *walk) bump(p *walker, keep *modelled) {
	p.epoch++
	if keep != nil {
		keep.epoch = p.epoch
	}
}

// began notes a session that the server has just issued, if the rules allow it.
func (k *walk) began(t *rapid.T, b *browser, a answer, former string, p *walker, proved ...string) {
	token := a.cookies[sessionCookie]
	if token == "" {
		t.Fatalf("no session: %v", a)
	}
	one := slices.Contains(append([]string{"password"}, mailedKinds...), proved[0]) && (!k.isOn(p) || k.rule() == "required" && p.factors() == 0 && k.now().Before(p.due))
	trusts := k.isTrusted(p, proved, a.sent)
	if p.gone || !two(proved) && !k.finishes(proved) && !one && !trusts {
		t.Fatalf("a session of somebody who proved %v under %s with %d factors: %v", proved, k.rule(), p.factors(), a)
	}
	if s := k.sessions[former]; s != nil {
		s.over = true
	}
	way := strings.Join(proved, "+")
	if trusts && k.needs(p, proved) == "second_factor" {
		way += " on a trusted browser"
	}
	k.went[way]++
	s := &modelled{who: p, proved: proved, codes: thread{}, epoch: p.epoch, started: k.now(), seen: k.now()}
	k.offers(t, b, s, a)
	k.leadsOn(t, s, a)
	k.sessions[token] = s
	k.tokens = append(k.tokens, token)
}

// excused is true if the throttle answered, which only guesses that were wrong before excuse.
func (k *walk) excused(t *rapid.T, a answer, wrong, least int) bool {
	if a.status != 429 {
		return false
	}
	if wrong < least {
		t.Fatalf("throttled after %d wrong guesses: %v", wrong, a)
	}
	if a.cookies[sessionCookie] != "" || a.cookies[pendingCookie] != "" {
		t.Fatalf("throttled, and let through: %v", a)
	}
	return true
}

func done(a answer) bool {
	return a.status/100 == 2 || a.status == 303 && !strings.HasPrefix(a.location, "/signin?return_to=")
}

// same fails unless the server did what the model says.
func (k *walk) same(t *rapid.T, what string, want bool, a answer) {
	if done(a) != want {
		t.Fatalf("%s: want %v: %v", what, want, a)
	}
	if want {
		k.went[what]++
	}
}

// send goes to one face or the other.
func send(t *rapid.T, b *browser, method, path string, pairs ...string) answer {
	if rapid.Bool().Draw(t, "on a page") {
		return b.form(method, path, pairs...)
	}
	return b.api(method, path, pairs...)
}

func (k *walk) browserOf(t *rapid.T) *browser {
	return rapid.SampledFrom(k.browsers).Draw(t, "browser")
}

// check tries every token there is.
func (k *walk) check(t *rapid.T) {
	probe := k.browser()
	for _, token := range k.tokens {
		s := k.sessions[token]
		probe.jar = map[string]string{sessionCookie: token}
		a := probe.session()
		switch {
		case a.status == 200 && !k.alive(s):
			t.Fatalf("a session that is over answers: %+v %v", s, a)
		case a.status != 200 && a.status != 401:
			t.Fatalf("%v", a)
		case a.status == 401 && k.alive(s) && k.now().Sub(s.started) < time.Hour:
			t.Fatalf("a session that lives does not answer: %+v %v", s, a)
		case a.status == 401:
			s.over = true // a last use that nobody wrote down is lost with the memory; once over, it stays so
			continue
		}
		s.seen = k.now()
		level := 1.0
		if two(s.proved) {
			level = 2
		}
		u, _ := a.fields["user"].(map[string]any)
		if a.fields["level"] != level || u["id"] != string(s.who.user.ID) || strings.Contains(a.body, `"mfa"`) != two(s.proved) {
			t.Fatalf("proved %v by %s: %v", s.proved, s.who.user.ID, a)
		}
	}
	k.noLetter(t)
	for token := range k.pendings { // S2: never a session
		probe.jar = map[string]string{sessionCookie: token}
		if a := probe.session(); a.status != 401 {
			t.Fatalf("a pending sign-in answers as a session: %v", a)
		}
	}
}
