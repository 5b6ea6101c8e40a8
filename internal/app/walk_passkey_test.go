package app_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"sallyport/internal/factor/softkey"
)

// What can happen with passkeys on a random walk.

// A passkey of a walker, alone on its authenticator.
type passkey struct {
	id  string
	key *softkey.Key
}

// touched is what a passkey proves that did not verify its user: one factor (P7). Verified it proves two.
const verified, touched = "passkey", "touched passkey"

// two is what is worth two factors: kinds that differ, or a verified passkey. A mailed code adds nothing to that.
func two(proved []string) bool {
	return kinds(strongly(proved)) > 1 || slices.Contains(proved, verified)
}

// kinds is how many differ.
func kinds(proved []string) int {
	some := map[string]bool{}
	for _, kind := range proved {
		switch kind {
		case touched:
			kind = verified
		case unproved:
			kind = "email"
		}
		some[kind] = true
	}
	return len(some)
}

// factors is how many somebody has set up, void or not.
func (p *walker) factors() int { return len(p.apps) + len(p.keys) + len(p.proved) }

func (p *walker) has(one *passkey) bool { return slices.Contains(p.keys, one) }

// ownerOf is who has a passkey now, nil if it was removed.
func (k *walk) ownerOf(one *passkey) *walker {
	for _, p := range k.people {
		if p.has(one) {
			return p
		}
	}
	return nil
}

// aKey is a passkey that somebody may try: theirs, or any that there is or was.
func (k *walk) aKey(t *rapid.T, p *walker, well bool) *passkey {
	some := k.everyKey
	if len(p.keys) > 0 && pick(t, well, "key", "theirs", "theirs", "theirs", "any") == "theirs" {
		some = p.keys
	}
	if len(some) == 0 {
		t.Skip("no passkey yet")
	}
	return rapid.SampledFrom(some).Draw(t, "passkey")
}

// A use is how a passkey answers.
type use struct {
	one    *passkey
	proves string // verified or touched
	lies   bool
	made   json.RawMessage
}

// uses answers options in some way. It answers for any person: the server has to see whose passkey it is.
func (k *walk) uses(t *rapid.T, one *passkey, asked answer, well bool, proves ...string) use {
	proves = append(proves, verified, verified, verified, touched)
	u := use{one: one, proves: pick(t, well, "user", proves...), lies: pick(t, well, "lies", false, false, false, true)}
	one.key.UV = u.proves == verified
	asked.body = withoutList(t, asked.body)
	u.made = answerTo(t, one.key, asked, func(s *softkey.Said) {
		if u.lies {
			s.ClientData.Origin = "https://evil.example"
		}
	})
	return u
}

// sendUse goes to one face or the other.
func sendUse(t *rapid.T, b *browser, path string, u use, anew bool) answer {
	if rapid.Bool().Draw(t, "on a page") {
		pairs := []string{"credential", string(u.made)}
		if anew {
			pairs = append(pairs, "anew", "true")
		}
		return b.form("POST", path, pairs...)
	}
	if anew {
		return b.reply(path, u.made, map[string]any{"anew": true})
	}
	return b.reply(path, u.made, nil)
}

// unlock signs in without a name, or tries what was asked for that as something else.
func (k *walk) unlock(t *rapid.T, b *browser, well bool) {
	whose := rapid.SampledFrom(k.people).Draw(t, "whose")
	if well && len(whose.keys) == 0 {
		t.Skip("no passkey")
	}
	one := k.aKey(t, whose, well)
	asked := b.options("/signin/passkey", anew)
	if asked.status != 200 {
		t.Fatalf("options for a sign-in without a name: %v", asked)
	}
	u := k.uses(t, one, asked, well)
	isAnew := pick(t, well, "anew", true, true, true, false)
	former, p, stale := b.jar[sessionCookie], k.pendingIn(b), b.has(pendingCookie)
	a := sendUse(t, b, "/signin/passkey", u, isAnew)
	owner := k.ownerOf(one)
	switch {
	case !isAnew && k.open(p): // asked for nobody, answered as second step
		k.wrongStep(t, p, a)
	case !isAnew && stale:
		k.same(t, "what is asked anew, after a sign-in that is over", false, a)
	case a.status == 429:
		if k.wrongs < 30 {
			t.Fatalf("throttled: %v", a)
		}
	case owner == nil, owner.gone, u.lies, u.proves != verified:
		k.wrongs++ // and nobody's codes: whoever knows a name knows what its passkeys are called
		k.same(t, "a wrong passkey without a name", false, a)
		k.went["a wrong passkey without a name"]++
	default:
		k.began(t, b, a, former, owner, verified)
	}
}

// wrongStep notes a wrong second step.
func (k *walk) wrongStep(t *rapid.T, p *underway, a answer) {
	if k.excused(t, a, p.who.codes, 5) {
		return
	}
	p.who.codes++
	p.tries++
	p.over = p.tries >= 5
	k.same(t, "a wrong passkey", false, a)
}

// useKey is a passkey as second step, and useTouched one that verifies nobody.
func (k *walk) useKey(t *rapid.T, b *browser, well bool)     { k.useFor(t, b, well, verified) }
func (k *walk) useTouched(t *rapid.T, b *browser, well bool) { k.useFor(t, b, well, touched) }

func (k *walk) useFor(t *rapid.T, b *browser, well bool, proves string) {
	p := k.pendingIn(b)
	if p == nil {
		t.Skip("that would be a sign-in without a name")
	}
	one := k.aKey(t, p.who, well)
	asked := b.options("/signin/passkey", nil)
	if want := k.open(p) && len(p.who.keys) > 0; done(asked) != want {
		t.Fatalf("options for a second step: want %v: %v", want, asked)
	} else if !want {
		return
	}
	u := k.uses(t, one, asked, well, proves)
	former := b.jar[sessionCookie]
	a := sendUse(t, b, "/signin/passkey", u, false)
	if u.lies || !p.who.has(one) {
		k.wrongStep(t, p, a)
		return
	}
	if k.excused(t, a, p.who.codes, 5) {
		return
	}
	p.over = true
	k.onward(t, b, a, former, p.who, append(slices.Clone(p.proved), u.proves)...)
}

func (k *walk) stepUpByKey(t *rapid.T, b *browser, well bool) {
	s := k.sessionIn(b)
	who := k.people[0]
	if s != nil {
		who = s.who
	}
	one := k.aKey(t, who, well)
	asked := b.options("/stepup/passkey", nil)
	if want := k.alive(s) && len(who.keys) > 0; done(asked) != want {
		t.Fatalf("options for a step-up: want %v: %v", want, asked)
	} else if !want {
		return
	}
	u := k.uses(t, one, asked, well)
	a := sendUse(t, b, "/stepup/passkey", u, false)
	switch {
	case k.excused(t, a, who.codes, 10):
	case u.lies, !who.has(one), u.proves != verified: // U2, P7
		who.codes++
		k.same(t, "to step up by a wrong passkey", false, a)
	default:
		k.raised(t, b, s, a, verified)
	}
}

// addKey makes a passkey at one of the three places.
func (k *walk) addKey(at string) func(*rapid.T, *browser, bool) {
	return func(t *rapid.T, b *browser, well bool) {
		s, p := k.sessionIn(b), k.pendingIn(b)
		var who *walker
		switch {
		case at == "/account/passkeys" && k.isFresh(s), at == offer && k.isOffered(s):
			who = s.who
		case at == "/signin/enrol/passkey" && k.enrols(p, "passkey"):
			who = p.who
		}
		asked := b.options(at, nil)
		if done(asked) != (who != nil) {
			t.Fatalf("options to add a passkey at %s: want %v: %v", at, who != nil, asked)
		}
		if who == nil {
			return
		}
		one := &passkey{key: k.key()}
		one.key.UV = pick(t, well, "user", true, true, false)
		lies, former := pick(t, well, "lies", false, false, false, true), b.jar[sessionCookie]
		a := b.reply(at, answerTo(t, one.key, asked, func(s *softkey.Said) {
			if lies {
				s.ClientData.Origin = "https://evil.example"
			}
		}), nil)
		if k.excused(t, a, who.setups, 30) {
			return
		}
		if lies {
			who.setups++
			k.same(t, "to add a passkey of another site", false, a)
			return
		}
		k.same(t, "to add a passkey at "+at, true, a)
		one.id = a.field("id")
		if len(who.keys) == 0 && k.rule() == "optional" { // P4
			who.mfaOff = false
		}
		who.keys = append(slices.Clone(who.keys), one)
		k.everyKey = append(k.everyKey, one)
		switch at {
		case "/signin/enrol/passkey":
			p.over = true
			k.bump(who, nil)
			k.began(t, b, a, former, who, "password", map[bool]string{true: verified, false: touched}[one.key.UV])
			return
		case offer:
			s.offered = false
			who.quiet = k.now().Add(30 * 24 * time.Hour)
		}
		k.bump(who, s)
	}
}

// isOffered is P9: a session that has just begun may make one passkey without a step-up.
func (k *walk) isOffered(s *modelled) bool {
	return k.alive(s) && s.offered && k.stands(s) && k.now().Before(s.started.Add(10*time.Minute))
}

// stands is true where a sign-in is as good as a step-up: two factors, or all that somebody has.
func (k *walk) stands(s *modelled) bool {
	if k.strong(s.who) == 0 && k.isBlocked(s.who) || len(strongly(s.proved)) == 0 {
		return false
	}
	return two(s.proved) || k.strong(s.who) == 0
}

// offers notes whether a session that began was offered a passkey, and that the answer says so.
func (k *walk) offers(t *rapid.T, b *browser, s *modelled, a answer) {
	weaker := !slices.Contains(s.proved, verified) && !slices.Contains(s.proved, touched)
	s.offered = k.counts("passkey") && weaker && k.stands(s) && b.has("passkeys") && !k.now().Before(s.who.quiet)
	if s.offered {
		s.who.quiet = k.now().Add(30 * 24 * time.Hour)
	}
	if led := isOffer(a) || len(a.location) > len(offer) && a.location[:len(offer)] == offer; led != s.offered {
		t.Fatalf("proved %v, offered %v: %v", s.proved, s.offered, a)
	}
}

func (k *walk) removeKey(t *rapid.T, b *browser, of *walker, s *modelled) {
	one := rapid.SampledFrom(of.keys).Draw(t, "passkey")
	a := send(t, b, "DELETE", "/account/passkeys/"+one.id)
	want := k.isFresh(s) && s.who == of && !k.areLast(of, 1)
	k.same(t, "to remove a passkey", want, a)
	if want {
		of.keys = slices.DeleteFunc(slices.Clone(of.keys), func(o *passkey) bool { return o == one })
		k.bump(of, s)
	}
}

func (p *passkey) String() string { return fmt.Sprint("passkey ", p.id) }
