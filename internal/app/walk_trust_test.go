package app_test

import (
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// Trusted browsers on a random walk, by the token that the browser holds. R1, R2, R3, R4

// A trustedBy is one person's trust in a browser, by its token.
type trustedBy struct {
	who   *walker
	epoch int
	ends  time.Time
}

// trustIn is the token by which what a browser sent is trusted by somebody, or "".
func (k *walk) trustIn(p *walker, sent map[string]string) string {
	for _, token := range strings.Split(sent[trustCookie], ".") {
		if by, ok := k.trust[token]; ok && by.who == p && by.epoch == p.epoch && k.now().Before(by.ends) {
			return token
		}
	}
	return ""
}

// isTrusted says whether the browser that sent a request is trusted by somebody who proved enough for it to matter.
func (k *walk) isTrusted(p *walker, proved []string, sent map[string]string) bool {
	strong := slices.ContainsFunc(proved, func(kind string) bool { return kind == "password" || kind == touched })
	return strong && k.trustIn(p, sent) != ""
}

// renewed notes that somebody has a new token in place of theirs, if they had one, and that those of others stayed as they
// were. The old one is worth nothing from now on.
func (k *walk) renewed(t *rapid.T, a answer, p *walker) (next string) {
	old := slices.DeleteFunc(strings.Split(a.sent[trustCookie], "."), func(token string) bool { return token == "" || k.trust[token].who == p })
	now := strings.Split(a.cookies[trustCookie], ".")
	next = now[len(now)-1]
	if _, known := k.trust[next]; known || next == "" {
		t.Fatalf("no new token: %v", a)
	}
	for _, token := range now[:len(now)-1] {
		if by, known := k.trust[token]; known && by.who != p && !slices.Contains(old, token) {
			t.Fatalf("a token from nowhere: %v", a)
		}
	}
	for i, token := range old {
		if _, known := k.trust[token]; known && len(old)-i < 5 && !slices.Contains(now, token) {
			t.Fatalf("somebody else's token is gone: %v", a)
		}
	}
	if was := k.trustIn(p, a.sent); was != "" {
		k.trust[next] = k.trust[was]
		delete(k.trust, was)
	}
	return next
}

// leadsOn notes whether a session that began may trust its browser, and that the answer says so: after two steps, unless
// there is something else to say first.
func (k *walk) leadsOn(t *rapid.T, s *modelled, a answer) {
	seconds := slices.DeleteFunc(slices.Clone(s.proved), func(kind string) bool { return kind == "password" || kind == unproved })
	s.ends = !s.offered && k.trustIn(s.who, a.sent) == "" && len(seconds) > 0 && kinds(s.proved) > 1
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
		for _, token := range strings.Split(a.sent[trustCookie], ".") { // what was theirs and is worth nothing
			if k.trust[token].who == s.who {
				delete(k.trust, token)
			}
		}
		k.trust[k.renewed(t, a, s.who)] = trustedBy{s.who, s.who.epoch, k.now().Add(trustLife)}
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
	for token, by := range k.trust {
		if k.alive(s) && by.who == s.who {
			delete(k.trust, token)
		}
	}
}
