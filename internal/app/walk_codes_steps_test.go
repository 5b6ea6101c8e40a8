package app_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"sallyport/internal/auth"
	"sallyport/internal/visit"
)

// What each step with codes does to the server, and to the model.

// byCode adds what people can do with codes, and takes away what there is not.
func (k *walk) byCode(acts map[string]func(*rapid.T), anybody func(func(*rapid.T, *browser, bool)) func(*rapid.T)) {
	if !k.withCodes() {
		return
	}
	if !k.counts("totp") {
		for _, act := range []string{"unlock", "use a passkey", "step up by passkey", "add a passkey", "enrol a passkey", "take up an offer", "code",
			"enrol on the way in", "add", "confirm an old one", "remove"} {
			delete(acts, act)
		}
	}
	for n := range 16 { // there is more that chance alone does not get through
		acts[fmt.Sprint("go on by code ", n)] = k.goOn
	}
	acts["type a code"] = anybody(k.typeCode)
	acts["ask for a code"] = anybody(k.askForCode)
	acts["password second"] = anybody(k.passwordSecond)
	acts["ask to begin"] = anybody(k.askToBegin)
	acts["begin by a code"] = anybody(k.beginByCode)
	acts["prove a channel"] = anybody(k.proveAt("/account"))
	acts["prove one on the way in"] = anybody(k.proveAt("/signin/enrol"))
	acts["step up by a code"] = anybody(k.stepUpByCode)
	acts["switch on"] = anybody(k.switchOn)
	acts["switch off"] = anybody(k.switchOff)
	acts["remove a channel"] = anybody(k.removeChannel)
	acts["change the contact"] = anybody(k.changeContact)
	acts["assign a method"] = k.assign
	acts["collide"] = k.collide
}

// goOnByCode is what somebody would do next who gets codes.
func (k *walk) goOnByCode(t *rapid.T, b *browser) {
	s, p := k.sessionIn(b), k.pendingIn(b)
	choose := func(acts ...func(*rapid.T, *browser, bool)) { pick(t, false, "act", acts...)(t, b, true) }
	app := func(t *rapid.T, b *browser, well bool) {
		k.nextCode(k.whoIn(b))
		k.code(t, b, well)
	}
	switch {
	case k.open(p) && k.needs(p.who, p.proved) == "enrolment":
		choose(k.proveAt("/signin/enrol"))
	case k.open(p) && k.needs(p.who, p.proved) == "help":
		k.signIn(t, b, true)
	case k.open(p) && k.channel(p.who, p.proved) != "password" && len(p.who.apps) > 0:
		choose(k.typeCode, app)
	case k.open(p) && k.channel(p.who, p.proved) != "password":
		choose(k.typeCode, k.typeCode, k.askForCode)
	case k.open(p) && len(p.who.apps) > 0:
		choose(app)
	case k.open(p) && len(p.who.keys) == 0 && !slices.Contains(p.proved, "password"):
		choose(k.passwordSecond)
	case !k.alive(s):
		choose(k.signIn, k.signIn, k.beginByCode)
	case !k.isFresh(s) && k.strong(s.who) == 0, !k.isFresh(s) && k.reads(s.who, "sms") == "":
		k.stepUp(t, b, true)
	case !k.isFresh(s):
		choose(k.stepUpByCode)
	case k.usable(s.who) == 0:
		choose(k.proveAt("/account"), k.proveAt("/account"), k.enableMFA, k.changeContact, k.signIn)
	default:
		choose(k.proveAt("/account"), k.switchOn, k.switchOff, k.removeChannel, k.changeContact, k.signIn, k.signIn, k.beginByCode, k.signOut)
	}
}

// aChannel is one that counts: for somebody who does it well, one that they have.
func (k *walk) aChannel(t *rapid.T, p *walker, well bool, proved ...string) string {
	some := k.channels()
	if mine := slices.DeleteFunc(slices.Clone(some), func(kind string) bool {
		return p == nil || !k.takesBy(p, kind, proved)
	}); well && len(mine) > 0 {
		some = mine
	}
	return rapid.SampledFrom(some).Draw(t, "channel")
}

// live waits until there may be a code, and has it sent by ask unless one is under way.
func (k *walk) live(t *rapid.T, in func() thread, key string, ask func()) {
	if s := in()[key]; s != nil && s.tries < 5 && k.now().Before(s.expires) {
		return
	} else if s != nil && k.now().Before(s.again()) {
		k.wait(s.again().Sub(k.now()))
	}
	ask()
}

// askForCode is Send code and Resend on the way in.
func (k *walk) askForCode(t *rapid.T, b *browser, well bool) {
	p := k.pendingIn(b)
	if p == nil {
		p = &underway{who: k.people[0], over: true}
	}
	kind := k.aChannel(t, p.who, well, p.proved...)
	if s := p.codes["signin"+kind]; well && s != nil && k.now().Before(s.again()) {
		k.wait(s.again().Sub(k.now()))
	}
	k.askFor(t, b, p, kind)
}

func (k *walk) askFor(t *rapid.T, b *browser, p *underway, kind string) {
	a := send(t, b, "POST", "/signin/"+kind+"/send")
	to := k.reads(p.who, kind)
	if !k.open(p) || k.needs(p.who, p.proved) != "second_factor" || !k.takesBy(p.who, kind, p.proved) {
		k.same(t, "to be sent a code for nothing", false, a)
		return
	}
	k.asked(t, a, "to be sent a code", p.codes, "signin", kind, to, p.who, p.expires)
}

// typeCode is the second step.
func (k *walk) typeCode(t *rapid.T, b *browser, well bool) {
	p := k.pendingIn(b)
	if p == nil {
		p = &underway{who: k.people[0], over: true}
	}
	kind := k.aChannel(t, p.who, well, p.proved...)
	if well && k.open(p) {
		k.live(t, func() thread { return p.codes }, "signin"+kind, func() { k.askFor(t, b, p, kind) })
	}
	text, former := k.types(t, p.codes, "signin", kind, well), b.jar[sessionCookie]
	a := send(t, b, "POST", "/signin/"+kind, "code", text)
	switch {
	case !k.open(p):
		k.same(t, "a code without a sign-in under way", false, a)
		return
	case k.excused(t, a, p.who.codes, 5):
		return
	}
	s := k.takes(p.codes, "signin", text, p.who)
	if s == nil || k.isShared(p.who, s.kind, s.to) || p.who.proved[s.kind] != s.to {
		p.who.codes++
		p.tries++
		p.over = p.tries >= 5
		k.wrongHere(t, a)
		return
	}
	k.spend(p.codes, "signin", s)
	p.over = true
	k.onward(t, b, a, former, p.who, append(slices.Clone(p.proved), s.kind)...)
}

// passwordSecond comes after a mailed code of somebody who has nothing else.
func (k *walk) passwordSecond(t *rapid.T, b *browser, well bool) {
	p := k.pendingIn(b)
	if p == nil {
		p = &underway{who: k.people[0], over: true}
	}
	password, former := pick(t, well, "password", p.who.password, p.who.password, "wrong horse battery"), b.jar[sessionCookie]
	a := send(t, b, "POST", "/signin/password", "password", string(password))
	switch {
	case !k.open(p) || slices.Contains(p.proved, "password") || k.needs(p.who, p.proved) != "second_factor" || k.usable(p.who, p.proved...) > 0:
		k.same(t, "a password second that is not asked for", false, a)
	case k.excused(t, a, p.who.inside, 10):
	case password != p.who.password:
		p.who.inside++
		p.tries++
		p.over = p.tries >= 5
		k.same(t, "a wrong password second", false, a)
	default:
		p.over = true
		k.onward(t, b, a, former, p.who, append(slices.Clone(p.proved), "password")...)
	}
}

// holding is what a browser waits for to begin a sign-in, never nil.
func (k *walk) holding(b *browser) *waiting {
	token, _, _ := strings.Cut(b.jar[visit.MailedCookie], ".")
	if h := k.held[token]; h != nil {
		return h
	}
	return &waiting{codes: thread{}}
}

// askToBegin is Email me a code (S5). Nobody can tell whether anybody has the name.
func (k *walk) askToBegin(t *rapid.T, b *browser, well bool) {
	login, who := "nobody@example.com", (*walker)(nil)
	if well || rapid.IntRange(0, 4).Draw(t, "somebody") > 0 {
		who = rapid.SampledFrom(k.people).Draw(t, "who")
		login = who.user.Login
	}
	h, to := k.holding(b), login
	if h.login != login {
		h = &waiting{login, thread{}}
	}
	if s := h.codes["openemail"]; well && s != nil && k.now().Before(s.again()) {
		k.wait(s.again().Sub(k.now()))
	}
	a := send(t, b, "POST", "/signin/mailed", "login", login)
	if who != nil {
		to = who.opens()
	}
	if who != nil && (who.gone || k.isShared(who, "email", to)) {
		who = nil
	}
	k.asked(t, a, "to be sent a code that begins a sign-in", h.codes, "open", "email", to, who, k.now().Add(10*time.Minute))
	if token, _, _ := strings.Cut(a.cookies[visit.MailedCookie], "."); token != "" {
		k.held[token] = h
	}
}

func (k *walk) beginByCode(t *rapid.T, b *browser, well bool) {
	if well {
		k.live(t, func() thread { return k.holding(b).codes }, "openemail", func() { k.askToBegin(t, b, true) })
	}
	in := k.holding(b).codes
	before := in["openemail"]
	text, former := k.types(t, in, "open", "email", well), b.jar[sessionCookie]
	a := send(t, b, "POST", "/signin/mailed/code", "code", text)
	switch {
	case before == nil:
		k.same(t, "a code that nobody sent", false, a)
		return
	case a.status == 429:
		if k.wrongs < 30 {
			t.Fatalf("throttled: %v", a)
		}
		return
	}
	who := before.who
	s := k.takes(in, "open", text, who)
	if s == nil || who == nil || who.gone || k.isShared(who, "email", s.to) || who.opens() != s.to {
		k.wrongs++
		k.wrongHere(t, a)
		return
	}
	proof := "email"
	if who.proved["email"] == "" {
		proof = unproved
	}
	if k.needs(who, []string{proof}) == "help" { // nothing is spent, and the try stays counted
		k.wrongs++
	} else {
		k.spend(in, "open", s)
	}
	k.onward(t, b, a, former, who, proof)
}

// opens is where a code goes that begins a sign-in: not what somebody typed into their profile.
func (p *walker) opens() string {
	if to := p.proved["email"]; to != "" {
		return to
	}
	return p.user.Login
}

// proving is who may prove a channel at a place, with what their codes belong to.
func (k *walk) proving(b *browser, at, kind string) (who *walker, in thread, until time.Time) {
	if s := k.sessionIn(b); at == "/account" && k.isFresh(s) {
		return s.who, s.codes, s.started.Add(24 * time.Hour)
	}
	if p := k.pendingIn(b); at != "/account" && k.enrols(p, kind) {
		return p.who, p.codes, p.expires
	}
	return nil, thread{}, time.Time{}
}

// mayProve is C4, C5: the profile's own, and nobody else's.
func (k *walk) mayProve(p *walker, kind string) bool {
	return p.profile(kind) != "" && !k.isShared(p, kind, p.profile(kind))
}

func (k *walk) proveAt(at string) func(*rapid.T, *browser, bool) {
	return func(t *rapid.T, b *browser, well bool) {
		kind := k.aChannel(t, nil, well)
		if p := k.pendingIn(b); well && at != "/account" && !k.enrols(p, kind) && p != nil && k.counts(p.who.method) {
			kind = p.who.method
		}
		if who, in, _ := k.proving(b, at, kind); well && who != nil {
			k.live(t, func() thread { return in }, "enrol"+kind, func() { k.askProof(t, b, at, kind) })
		} else if rapid.Bool().Draw(t, "ask") {
			k.askProof(t, b, at, kind)
		}
		k.confirmCode(t, b, at, kind, well)
	}
}

func (k *walk) askProof(t *rapid.T, b *browser, at, kind string) {
	who, in, until := k.proving(b, at, kind)
	a := send(t, b, "POST", at+"/"+kind)
	switch {
	case who == nil:
		k.same(t, "to prove a channel without leave", false, a)
	case !k.mayProve(who, kind):
		k.same(t, "to prove what is not theirs alone", false, a)
		k.went["to prove what is not theirs alone"]++
	default:
		k.asked(t, a, "to prove "+kind, in, "enrol", kind, who.profile(kind), who, until)
	}
}

func (k *walk) confirmCode(t *rapid.T, b *browser, at, kind string, well bool) {
	who, in, _ := k.proving(b, at, kind)
	s, p, former := k.sessionIn(b), k.pendingIn(b), b.jar[sessionCookie]
	text := k.types(t, in, "enrol", kind, well)
	a := send(t, b, "POST", at+"/"+kind+"/code", "code", text)
	switch {
	case who == nil:
		k.same(t, "to prove a channel without leave", false, a)
		return
	case k.excused(t, a, who.setups, 30):
		return
	}
	c := k.takes(in, "enrol", text, who)
	if c == nil || c.kind != kind || c.to != who.profile(kind) || !k.mayProve(who, kind) {
		who.setups++
		k.wrongHere(t, a)
		return
	}
	k.same(t, "to prove "+kind+" at "+at, true, a)
	k.spend(in, "enrol", c)
	who.proved[kind], who.preferred = c.to, kind
	if at == "/account" {
		k.bump(who, s)
		return
	}
	p.over = true
	k.bump(who, nil)
	k.onward(t, b, a, former, who, append(slices.Clone(p.proved), kind)...)
}

// stepUpByCode is U2: by SMS, never by mail.
func (k *walk) stepUpByCode(t *rapid.T, b *browser, well bool) {
	s, who, in := k.sessionIn(b), k.people[0], thread{}
	if s != nil {
		who, in = s.who, s.codes
	}
	kind := k.aChannel(t, who, well)
	if well && k.reads(who, "sms") != "" {
		kind = "sms"
	}
	if !k.alive(s) || kind == "email" || k.reads(who, "sms") == "" {
		k.same(t, "to be sent a code for no step-up", false, send(t, b, "POST", "/stepup/"+kind+"/send"))
		k.same(t, "to step up by a code of nothing", false, send(t, b, "POST", "/stepup/"+kind, "code", k.types(t, in, "stepup", kind, well)))
		if k.alive(s) && kind == "email" && k.reads(who, "email") != "" {
			k.went["to be sent no mail for a step-up"]++
		}
		return
	}
	ask := func() {
		a := send(t, b, "POST", "/stepup/sms/send")
		k.asked(t, a, "to be sent a code for a step-up", in, "stepup", "sms", k.reads(who, "sms"), who, s.started.Add(24*time.Hour))
	}
	if well {
		k.live(t, func() thread { return in }, "stepupsms", ask)
	} else if rapid.Bool().Draw(t, "ask") {
		ask()
	}
	if !k.alive(s) { // it waited
		return
	}
	text := k.types(t, in, "stepup", "sms", well)
	a := send(t, b, "POST", "/stepup/sms", "code", text)
	if k.excused(t, a, who.codes, 10) {
		return
	}
	c := k.takes(in, "stepup", text, who)
	if c == nil || c.to != who.proved[c.kind] {
		who.codes++
		k.wrongHere(t, a)
		return
	}
	k.spend(in, "stepup", c)
	k.raised(t, b, s, a, "sms")
}

func (k *walk) switchOn(t *rapid.T, b *browser, well bool) {
	kind := k.aChannel(t, nil, well)
	who, in, until := k.proving(b, "/account", kind)
	a := b.switchOn(kind)
	if who == nil {
		k.same(t, "to switch codes on without leave", false, a)
		return
	}
	to, before := who.profile(kind), in["enrol"+kind]
	switch {
	case who.proved[kind] != "" && (to == "" || to == who.proved[kind]):
		k.same(t, "to prefer a channel", true, a)
		who.preferred = kind
	case !k.mayProve(who, kind):
		k.same(t, "to switch on what is not theirs alone", false, a)
	case before != nil && k.now().Before(before.again()): // one is on its way
		k.same(t, "to switch codes on", true, a)
	case k.pays(kind, to, who) && (a.status == 429 || before != nil):
		if text, came := k.tryLetter(t, to); came {
			k.sends(in, "enrol", kind, to, text, who, until)
		}
	default:
		k.same(t, "to switch codes on", true, a)
		k.sends(in, "enrol", kind, to, k.letter(t, to), who, until)
	}
}

func (k *walk) switchOff(t *rapid.T, b *browser, _ bool) {
	who, _, _ := k.proving(b, "/account", "")
	s, a := k.sessionIn(b), b.switchOff()
	switch {
	case who == nil:
		k.same(t, "to switch codes off without leave", false, a)
	case len(who.proved) == 0:
		k.same(t, "to switch off what is off", true, a)
	default:
		going := k.usable(who) - len(who.apps) - len(who.keys)
		want := !k.areLast(who, going)
		k.same(t, "to switch codes off", want, a)
		if want {
			who.proved, who.preferred = map[string]string{}, ""
			k.bump(who, s)
		}
	}
}

func (k *walk) removeChannel(t *rapid.T, b *browser, well bool) {
	s := k.sessionIn(b)
	of := rapid.SampledFrom(k.people).Draw(t, "whose")
	if well && s != nil {
		of = s.who
	}
	kind := k.aChannel(t, of, true)
	if of.proved[kind] == "" {
		t.Skip("none")
	}
	var id string
	if err := k.DB.QueryRowContext(visitless, `SELECT id FROM contacts WHERE user_id = $1 AND kind = $2 AND replaced_by = ''`, of.user.ID, kind).Scan(&id); err != nil {
		t.Fatalf("%v", err)
	}
	a := send(t, b, "DELETE", "/account/"+kind+"/"+id)
	going := 0
	if k.reads(of, kind) != "" {
		going = 1
	}
	want := k.isFresh(s) && s.who == of && !k.areLast(of, going)
	k.same(t, "to remove a channel", want, a)
	if !want {
		return
	}
	delete(of.proved, kind)
	of.preferred = ""
	for left := range of.proved {
		of.preferred = left
	}
	k.bump(of, s)
}

// changeContact changes the profile, sometimes to what is somebody else's. It never changes where codes go.
func (k *walk) changeContact(t *rapid.T, b *browser, well bool) {
	s, who := k.sessionIn(b), k.people[0]
	if s != nil {
		who = s.who
	}
	other := k.people[0]
	if other == who {
		other = k.people[1]
	}
	email := rapid.SampledFrom([]string{who.own[0], who.own[0], who.own[1], other.email}).Draw(t, "email")
	phone := rapid.SampledFrom([]string{who.own[2], who.own[2], who.own[3], other.phone, ""}).Draw(t, "phone")
	if well {
		email, phone = who.own[0], who.own[2]
	}
	a := send(t, b, "POST", "/account/contact", "email", email, "phone", phone)
	if !k.isFresh(s) {
		k.same(t, "to change the contact without leave", false, a)
		return
	}
	if usedUp := k.pays("contact", "", who); a.status == 429 && usedUp {
		return
	}
	if email != who.email && k.isTaken(who, "email", email) || phone != who.phone && phone != "" && k.isTaken(who, "sms", phone) {
		k.same(t, "to take the contact of another", false, a)
		k.went["to take the contact of another"]++
		return
	}
	want := who.method != "sms" || phone != ""
	k.same(t, "to change the contact", want, a)
	if !want {
		return
	}
	if email != who.email || phone != who.phone {
		k.bump(who, s)
	}
	who.email, who.phone = email, phone
}

// collide is an administrator who gives somebody the contact of another, or their own again.
func (k *walk) collide(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "really") > 0 {
		t.Skip("seldom")
	}
	p, q := k.people[0], k.people[1]
	if rapid.Bool().Draw(t, "whom") {
		p, q = q, p
	}
	k.giveContact(t, p, q)
}

func (k *walk) giveContact(t *rapid.T, p, q *walker) {
	p.email = rapid.SampledFrom([]string{p.own[0], p.own[0], q.email, q.opens()}).Draw(t, "email")
	p.phone = rapid.SampledFrom([]string{p.own[2], p.own[2], q.phone}).Draw(t, "phone")
	k.contact(t, p.user, p.email, p.phone)
}

// assign is what an administrator chooses for somebody, if it is possible (A2).
func (k *walk) assign(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
		t.Skip("seldom")
	}
	p := rapid.SampledFrom(k.people).Draw(t, "whom")
	method := rapid.SampledFrom(append([]string{"", "", "required"}, k.channels()...)).Draw(t, "method")
	if k.counts(method) && !k.mayProve(p, method) {
		t.Skip("they could not get codes")
	}
	k.give(t, p, method)
}

func (k *walk) give(t *rapid.T, p *walker, method string) {
	err := k.DB.Tx(visitless, func(tx auth.Tx) error { return k.Users.SetMethod(visitless, tx, p.user.ID, auth.Method(method)) })
	if err != nil {
		t.Fatalf("%v", err)
	}
	p.method = method
}
