package app_test

import (
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// Trusted browsers on a random walk, by the token that the browser holds. R1, R2, R3, R4

// A trustedBy is one person's trust in a browser.
type trustedBy struct {
	epoch int
	ends  time.Time
}

// isTrusted says whether the browser that sent a request is trusted by somebody who proved enough for it to matter.
func (k *walk) isTrusted(p *walker, proved []string, sent map[string]string) bool {
	by, ok := k.trust[sent[trustCookie]][p]
	strong := slices.ContainsFunc(proved, func(kind string) bool { return kind == "password" || kind == touched })
	return ok && strong && by.epoch == p.epoch && k.now().Before(by.ends)
}

// renewed notes that a token was replaced. The old one is worth nothing from now on.
func (k *walk) renewed(t *rapid.T, a answer) map[*walker]trustedBy {
	old, next := a.sent[trustCookie], a.cookies[trustCookie]
	if next == "" || next == old || k.trust[next] != nil {
		t.Fatalf("no new token in place of %q: %v", old, a)
	}
	k.trust[next] = k.trust[old]
	if old == "" || k.trust[next] == nil {
		k.trust[next] = map[*walker]trustedBy{}
	}
	delete(k.trust, old)
	return k.trust[next]
}

// leadsOn notes whether a session that began may trust its browser, and that the answer says so: after two steps, unless
// there is something else to say first.
func (k *walk) leadsOn(t *rapid.T, s *modelled, a answer) {
	seconds := slices.DeleteFunc(slices.Clone(s.proved), func(kind string) bool { return kind == "password" || kind == unproved })
	by, ok := k.trust[a.sent[trustCookie]][s.who]
	is := ok && by.epoch == s.who.epoch && k.now().Before(by.ends)
	s.ends = !s.offered && !is && len(seconds) > 0 && kinds(s.proved) > 1
	s.endsIn = s.epoch
	if led := strings.HasPrefix(a.location+a.field("next"), landing+"?"); led != s.ends {
		t.Fatalf("proved %v, may trust %v: %v", s.proved, s.ends, a)
	}
}

func (k *walk) mayTrust(s *modelled) bool {
	return k.alive(s) && s.ends && s.endsIn == s.who.epoch && k.now().Before(s.started.Add(10*time.Minute))
}

func (k *walk) trustBrowser(t *rapid.T, b *browser, _ bool) {
	s := k.sessionIn(b)
	var a answer
	if rapid.Bool().Draw(t, "on a page") {
		a = b.form("POST", landing, "trust", "true")
	} else {
		a = b.trusts()
	}
	want := k.mayTrust(s)
	k.same(t, "to trust a browser", want, a)
	if want {
		k.renewed(t, a)[s.who] = trustedBy{s.who.epoch, k.now().Add(trustLife)}
		s.ends = false
	} else if a.cookies[trustCookie] != "" {
		t.Fatalf("refused, and trusted: %v", a)
	}
}

func (k *walk) trustNone(t *rapid.T, b *browser, _ bool) {
	if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
		t.Skip("seldom")
	}
	s := k.sessionIn(b)
	a := send(t, b, "DELETE", trusted)
	k.same(t, "to trust no browser", k.alive(s), a)
	for _, by := range k.trust {
		if k.alive(s) {
			delete(by, s.who)
		}
	}
}
