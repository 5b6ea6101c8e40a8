package app_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"sallyport/internal/auth"
)

// What can happen on a random walk: each step does it to the server, and to the model.

func (k *walk) signIn(t *rapid.T, b *browser, well bool) {
	p := rapid.SampledFrom(k.people).Draw(t, "who")
	password := pick(t, well, "password", p.password, p.password, "wrong horse battery", "")
	former := b.jar[sessionCookie]
	a := send(t, b, "POST", "/signin", "login", rapid.SampledFrom([]string{p.user.Login, strings.ToUpper(p.user.Login)}).Draw(t, "login"), "password", string(password))
	if k.excused(t, a, max(p.passwords, k.wrongs-20), 10) { // thirty from one address
		return
	}
	if password != p.password || p.gone {
		if password != "" { // an empty field is no guess
			p.passwords++
			k.wrongs++
		}
		k.same(t, "a wrong password", false, a)
		return
	}
	if k.needs(p, []string{"password"}) == "help" { // the try stays counted
		p.passwords++
		k.wrongs++
	}
	k.onward(t, b, a, former, p, "password")
}

// onward is what follows a proof: a session, or a sign-in that goes on.
func (k *walk) onward(t *rapid.T, b *browser, a answer, former string, p *walker, proved ...string) {
	need := k.needs(p, proved)
	if need == "second_factor" && k.isTrusted(p, proved, a.sent) {
		k.began(t, b, a, former, p, proved...)
		k.renewed(t, a, p)
		return
	}
	if need == "signed_in" {
		if k.rule() == "required" && p.factors() == 0 && p.due.IsZero() && kinds(proved) == 1 {
			p.due = k.now().Add(time.Duration(k.config.Policy.GraceDays) * 24 * time.Hour)
		}
		k.began(t, b, a, former, p, proved...)
		return
	}
	if need == "help" {
		k.same(t, "a second step that is blocked", false, a)
		k.went["a second step that is blocked"]++
		return
	}
	opens := k.strongest(p, proved)
	token, next := a.cookies[pendingCookie], a.field("next")+a.location
	if token == "" || a.cookies[sessionCookie] != "" || next != map[string]string{"second_factor": "/signin/" + opens, "enrolment": "/signin/enrol"}[need] {
		t.Fatalf("want %s: %v", need, a)
	}
	u := &underway{who: p, proved: proved, codes: thread{}, expires: k.now().Add(10 * time.Minute), epoch: p.epoch}
	k.pendings[token] = u
	if need == "second_factor" {
		k.unasked(t, u, opens)
	}
}

// strongest is what the second step begins with (S3).
func (k *walk) strongest(p *walker, proved []string) string {
	switch {
	case len(p.keys) > 0:
		return "passkey"
	case len(p.apps) > 0:
		return "totp"
	}
	return k.channel(p, proved)
}

const malformed = "12345"

// aCode is something a person or a thief may type.
func (k *walk) aCode(t *rapid.T, p *walker, well bool) string {
	kind := pick(t, well, "code", "right", "right", "right", "early", "late", "too early", "too late", "wrong", "malformed", "of another")
	owner := p
	if kind == "of another" {
		owner = k.people[0]
		if p == owner {
			owner = k.people[1]
		}
	}
	if kind == "malformed" || len(owner.apps) == 0 {
		return malformed
	}
	one := rapid.SampledFrom(owner.apps).Draw(t, "authenticator")
	off := map[string]int{"early": 1, "late": -1, "too early": 2, "too late": -2}[kind]
	code := codeAt(one.key, k.now().Add(time.Duration(off)*30*time.Second))
	if kind == "wrong" {
		code = wrongCode(k.now(), one.key)
	}
	return code
}

// matches is the authenticator and step that a code is right for (T5), and nothing else may accept it.
func (k *walk) matches(p *walker, code string) (*authenticator, int64) {
	for _, one := range p.apps {
		for off := -1; off <= 1; off++ {
			at := k.now().Add(time.Duration(off) * 30 * time.Second)
			if step := at.Unix() / 30; step > one.last && codeAt(one.key, at) == code {
				return one, step
			}
		}
	}
	return nil, 0
}

// burn notes a step that counted. It must not have counted before.
func (k *walk) burn(t *rapid.T, one *authenticator, step int64) {
	name := fmt.Sprint(one.id, " ", step)
	if k.spent[name] {
		t.Fatalf("step %s succeeded twice", name)
	}
	k.spent[name], one.last = true, step
}

func (k *walk) code(t *rapid.T, b *browser, well bool) {
	p := k.pendingIn(b)
	who := k.people[0]
	if p != nil {
		who = p.who
	}
	code := k.aCode(t, who, well)
	former := b.jar[sessionCookie]
	a := send(t, b, "POST", "/signin/totp", "code", code)
	if !k.open(p) {
		k.same(t, "a code without a sign-in under way", false, a)
		return
	}
	if k.excused(t, a, p.who.codes, 5) {
		return
	}
	one, step := k.matches(p.who, code)
	if one == nil {
		if code != malformed { // which is no guess
			p.who.codes++
			p.tries++
		}
		p.over = p.tries >= 5
		k.same(t, "a wrong code", false, a)
		return
	}
	k.burn(t, one, step)
	p.over = true
	k.onward(t, b, a, former, p.who, append(slices.Clone(p.proved), "totp")...)
}

// enrol starts an authenticator, and confirms it or not.
func (k *walk) enrol(at string) func(*rapid.T, *browser, bool) {
	return func(t *rapid.T, b *browser, well bool) { k.add(t, b, at, well) }
}

func (k *walk) add(t *rapid.T, b *browser, at string, well bool) {
	s, p := k.sessionIn(b), k.pendingIn(b)
	begun := b.api("POST", at+"/totp")
	var who *walker
	switch {
	case at == "/account" && k.isFresh(s):
		who = s.who
	case at == "/signin/enrol" && k.enrols(p, "totp"):
		who = p.who
	default:
		k.same(t, "to start one at "+at, false, begun)
		return
	}
	k.same(t, "to start one at "+at, true, begun)
	id, key := begun.field("id"), begun.field("secret")
	for _, one := range slices.Concat(k.people[0].apps, k.people[1].apps) {
		if one.key == key || one.id == id {
			t.Fatalf("a secret that is in use is shown: %v", begun)
		}
	}
	who.begun[id] = key
	k.confirm(t, b, at, id, key, who, well)
}

// confirmOld tries one that was begun some time, in another browser, or by somebody else.
func (k *walk) confirmOld(t *rapid.T, b *browser, _ bool) {
	of := rapid.SampledFrom(k.people).Draw(t, "whose")
	if len(of.begun) == 0 {
		t.Skip("none")
	}
	ids := []string{}
	for id := range of.begun {
		ids = append(ids, id)
	}
	id := slices.Min(ids)
	at := rapid.SampledFrom([]string{"/account", "/signin/enrol"}).Draw(t, "at")
	var who *walker
	if s := k.sessionIn(b); at == "/account" && k.isFresh(s) {
		who = s.who
	}
	if p := k.pendingIn(b); at != "/account" && k.enrols(p, "totp") {
		who = p.who
	}
	if who != of {
		k.same(t, "to confirm what is not theirs", false, send(t, b, "POST", at+"/totp/"+id, "code", codeAt(of.begun[id], k.now())))
		return
	}
	k.confirm(t, b, at, id, of.begun[id], who, false)
}

func (k *walk) confirm(t *rapid.T, b *browser, at, id, key string, who *walker, well bool) {
	off := pick(t, well, "step", 0, 0, 0, -1, 1, -2, 2, 100)
	when := k.now().Add(time.Duration(off) * 30 * time.Second)
	former := b.jar[sessionCookie]
	s, p := k.sessionIn(b), k.pendingIn(b)
	a := send(t, b, "POST", at+"/totp/"+id, "code", codeAt(key, when), "name", "Phone")
	if k.excused(t, a, who.setups, 30) {
		return
	}
	right := off >= -1 && off <= 1
	if !right {
		right = codeAt(key, when) == codeAt(key, k.now()) // one in a million
	}
	if !right {
		who.setups++
		k.same(t, "to confirm with a wrong code", false, a)
		return
	}
	if !done(a) {
		delete(who.begun, id) // one that waited too long or was begun elsewhere may be gone; it must not come back
		return
	}
	k.went["to confirm one at "+at]++
	one := &authenticator{id: id, key: key}
	k.burn(t, one, when.Unix()/30)
	who.apps = append(who.apps, one)
	delete(who.begun, id)
	if at == "/account" {
		k.bump(who, s)
		return
	}
	p.over = true
	k.bump(who, nil)
	k.began(t, b, a, former, who, "password", "totp")
}

func (k *walk) stepUp(t *rapid.T, b *browser, well bool) {
	s := k.sessionIn(b)
	who := k.people[0]
	if s != nil {
		who = s.who
	}
	kind := rapid.SampledFrom([]string{"password", "totp"}).Draw(t, "factor")
	if well && (len(who.apps) == 0 || s != nil && !two(s.proved)) {
		kind = map[bool]string{true: "totp", false: "password"}[len(who.apps) > 0]
	}
	if kind == "password" {
		password := pick(t, well, "password", who.password, who.password, "wrong horse battery")
		a := send(t, b, "POST", "/stepup/password", "password", string(password))
		switch {
		case !k.alive(s), k.strong(who) > 0 && !two(s.proved), k.strong(who) == 0 && k.isBlocked(who): // U2, R7
			k.same(t, "to step up with a password that is not enough", false, a)
		case k.excused(t, a, who.inside, 10):
		case password != who.password:
			who.inside++
			k.same(t, "to step up with a wrong password", false, a)
		default:
			k.raised(t, b, s, a, "password")
		}
		return
	}
	code := k.aCode(t, who, well)
	a := send(t, b, "POST", "/stepup/totp", "code", code)
	one, step := k.matches(who, code)
	switch {
	case !k.alive(s) || len(who.apps) == 0:
		k.same(t, "to step up with a code of nothing", false, a)
	case k.excused(t, a, who.codes, 10):
	case one == nil:
		who.codes++
		k.same(t, "to step up with a wrong code", false, a)
	default:
		k.burn(t, one, step)
		k.raised(t, b, s, a, "totp")
	}
}

// raised notes the new token of a session. The old one is over.
func (k *walk) raised(t *rapid.T, b *browser, s *modelled, a answer, kind string) {
	token := a.cookies[sessionCookie]
	if !done(a) || token == "" || k.sessions[token] != nil {
		t.Fatalf("a step-up without a new token: %v", a)
	}
	k.went["to step up by "+kind]++
	lives := *s
	s.over = true
	lives.proved = append(slices.Clone(s.proved), kind)
	lives.fresh = k.now().Add(time.Duration(k.config.Policy.StepUpMinutes) * time.Minute)
	k.sessions[token] = &lives
	k.tokens = append(k.tokens, token)
}

func (k *walk) remove(t *rapid.T, b *browser, well bool) {
	s := k.sessionIn(b)
	of := rapid.SampledFrom(k.people).Draw(t, "whose")
	if well && s != nil {
		of = s.who
	}
	switch {
	case len(of.apps)+len(of.keys) == 0:
		t.Skip("none")
	case len(of.apps) == 0, len(of.keys) > 0 && rapid.Bool().Draw(t, "a passkey"):
		k.removeKey(t, b, of, s)
		return
	}
	one := rapid.SampledFrom(of.apps).Draw(t, "authenticator")
	a := send(t, b, "DELETE", "/account/totp/"+one.id)
	want := k.isFresh(s) && s.who == of && !k.areLast(of, 1)
	k.same(t, "to remove an authenticator", want, a)
	if want {
		of.apps = slices.DeleteFunc(slices.Clone(of.apps), func(o *authenticator) bool { return o == one })
		k.bump(of, s)
	}
}

func (k *walk) disableMFA(t *rapid.T, b *browser, well bool) {
	s := k.sessionIn(b)
	who := k.people[0]
	if s != nil {
		who = s.who
	}
	password := pick(t, well, "password", who.password, who.password, "wrong horse battery")
	a := send(t, b, "POST", "/account/mfa/disable", "password", string(password))
	switch {
	case !k.isFresh(s) || k.demands(who): // F3
		k.same(t, "to disable MFA", false, a)
	case k.excused(t, a, who.inside, 10):
	case password != who.password:
		who.inside++
		k.same(t, "to disable MFA with a wrong password", false, a)
	default:
		k.same(t, "to disable MFA", true, a)
		who.mfaOff = true
		k.bump(who, s)
	}
}

func (k *walk) enableMFA(t *rapid.T, b *browser, _ bool) {
	s := k.sessionIn(b)
	a := send(t, b, "POST", "/account/mfa/enable")
	k.same(t, "to enable MFA", k.alive(s), a)
	if k.alive(s) && s.who.mfaOff { // or it changes nothing
		s.who.mfaOff = false
		k.bump(s.who, s)
	}
}

func (k *walk) changePassword(t *rapid.T, b *browser, well bool) {
	s := k.sessionIn(b)
	who := k.people[0]
	if s != nil {
		who = s.who
	}
	current := pick(t, well, "current", who.password, who.password, "wrong horse battery")
	chosen := auth.Secret(rapid.StringMatching(`[a-z]{5} [a-z]{6} [a-z]{5}`).Draw(t, "new"))
	a := send(t, b, "POST", "/account/password", "current", string(current), "password", string(chosen))
	switch {
	case !k.isFresh(s):
		k.same(t, "to change the password", false, a)
	case k.excused(t, a, who.inside, 10):
	case a.status == 422 && strings.Contains(a.body, "repeats itself"): // rapid likes "aaaaa aaaaaa aaaaa"
	case current != who.password:
		who.inside++
		k.same(t, "to change the password with a wrong one", false, a)
	default:
		k.same(t, "to change the password", true, a)
		who.password = chosen
		k.bump(who, s)
	}
}

func (k *walk) signOut(t *rapid.T, b *browser, _ bool) {
	s := k.sessionIn(b)
	a := send(t, b, "DELETE", "/session")
	k.same(t, "to sign out", k.alive(s), a)
	if s != nil && done(a) {
		s.over = true
	}
}

func (k *walk) endOthers(t *rapid.T, b *browser, _ bool) {
	s := k.sessionIn(b)
	a := send(t, b, "DELETE", "/account/sessions")
	k.same(t, "to end the others", k.alive(s), a)
	if !done(a) {
		return
	}
	for _, other := range k.sessions {
		if other != s && other.who == s.who {
			other.over = true
		}
	}
}

func (k *walk) giveUp(t *rapid.T, b *browser, _ bool) {
	p := k.pendingIn(b)
	a := send(t, b, "DELETE", "/signin")
	k.same(t, "to give up", k.open(p), a)
	if p != nil && done(a) {
		p.over = true
	}
}

// pass lets time go by, mostly little.
func (k *walk) pass(t *rapid.T) {
	k.wait(pick(t, false, "time", time.Second, 15*time.Second, 30*time.Second, 30*time.Second, 30*time.Second, 45*time.Second, time.Minute,
		time.Minute, 2*time.Minute, 5*time.Minute, 9*time.Minute, 11*time.Minute, 59*time.Minute, 61*time.Minute, 25*time.Hour))
}

func (k *walk) reset(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "really") > 0 {
		t.Skip("seldom")
	}
	p := rapid.SampledFrom(k.people).Draw(t, "whom")
	k.resetMFA(t, p.user.ID)
	p.apps, p.keys, p.begun, p.codes, p.setups = nil, nil, map[string]string{}, 0, 0
	p.proved, p.preferred = map[string]string{}, ""
	k.bump(p, nil)
}

func (k *walk) expel(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "really") > 0 {
		t.Skip("seldom")
	}
	p := rapid.SampledFrom(k.people).Draw(t, "whom")
	k.disable(t, p.user.ID)
	p.gone = true
}

// steal copies one browser's cookies into another.
func (k *walk) steal(t *rapid.T) {
	from, to := k.browserOf(t), k.browserOf(t)
	if from == to {
		t.Skip("its own")
	}
	to.jar = map[string]string{}
	for name, value := range from.jar {
		to.jar[name] = value
	}
}
