package app_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"pgregory.net/rapid"

	"sallyport/internal/config"
)

// What can happen with codes by email and SMS on a random walk.
//
// A code is right for one person, thread, purpose and destination, once, for minutes, until the next one or the fifth wrong
// try, or a change of credentials. It goes where its person proved to read, to the profile's own to prove that, or to the
// login to begin a sign-in; never after a wrong password, and never where somebody else reads it.

func onlyMail(c *config.Config) { c.Mail.Host, c.Policy.Factors = config.Outbox, []string{"email"} }

var (
	waysByCode = []string{"password", "password+totp", "password+email", "password+sms", "email+password", unproved, "passkey", "to step up by sms",
		"to step up by password", "to be sent no mail for a step-up", "to prove email at /account", "to prove email at /signin/enrol", "to be sent another code",
		"another code too early", "a code that is not right here", "to switch codes off", "to change the contact", "a second step that is blocked"}
	waysByMail = []string{"password+email", "email+password", unproved + "+password+email", "to prove email at /signin/enrol", "to prove email at /account", "to step up by password",
		"to be sent another code", "to change the contact", "a code that is not right here", "to be sent a code that begins a sign-in"}
)

// reached is where codes reach a walker.
type reached struct {
	email, phone string            // of the profile
	own          []string          // addresses and numbers that are nobody else's, unless they take them
	proved       map[string]string // where codes go, by kind
	preferred    string            // kind
	method       string            // that an administrator set
}

var numbers atomic.Uint32

func unreached(login string) reached {
	n := 2 * numbers.Add(1)
	number := func(n uint32) string { return fmt.Sprintf("+4670174%04d", n%10_000) }
	return reached{email: login, phone: number(n), own: []string{login, "at.home." + login, number(n), number(n + 1)}, proved: map[string]string{}}
}

// profile is what a channel may be proved with.
func (r reached) profile(kind string) string {
	return map[string]string{"email": r.email, "sms": r.phone}[kind]
}

// A thread is what codes belong to, a sign-in under way, a session or a browser: the newest of each purpose and kind.
type thread map[string]*sent

type sent struct {
	who         *walker // nil: nobody
	kind, to    string
	text        string
	epoch       int
	at, expires time.Time
	count       int // with those before it
	tries       int
}

// again is C6: when there may be another one.
func (s *sent) again() time.Time {
	return s.at.Add(min(time.Duration(s.count)*30*time.Second, 5*time.Minute))
}

// post is what the model knows of messages.
type post struct {
	held  map[string]*waiting // by the token of the browser
	texts []string            // of all codes so far
	paid  []payment
	read  map[string]bool // messages, by id
	since time.Time
	seen  int    // since then
	mail  []mail // that nobody has accounted for
}

type (
	waiting struct {
		login string
		codes thread
	}
	payment struct {
		at       time.Time
		kind, to string
		who      *walker
	}
	mail struct{ to, text string }
)

// newPost begins a day after all walks before, so that their budgets are full again.
func (k *walk) newPost(t *rapid.T) post {
	k.wait(25 * time.Hour)
	for _, p := range k.people {
		k.contact(t, p.user, p.email, p.phone)
	}
	return post{held: map[string]*waiting{}, read: map[string]bool{}, since: k.now()}
}

// settle gives some people a channel before the walk begins.
func (k *walk) settle(t *rapid.T) {
	if !k.withCodes() || k.rule() == "required" {
		return
	}
	for _, p := range k.people {
		by := rapid.SampledFrom([]string{"", "assigned", "email", "email", "sms", "sms email"}).Draw(t, "gets codes by")
		if by == "assigned" {
			k.give(t, p, "email")
			continue
		}
		b := k.browser()
		b.signIn(t, p.user.Login, p.password, "signed_in")
		b.stepUp(t, "password", "password", p.password)
		for _, kind := range strings.Fields(by) {
			b.switchOn(kind)
			text := k.letter(t, p.profile(kind))
			if a := b.api("POST", "/account/"+kind+"/code", "code", text); a.status != 200 {
				t.Fatalf("%v", a)
			}
			k.pays(kind, p.profile(kind), p)
			k.texts = append(k.texts, text)
			p.proved[kind], p.preferred = p.profile(kind), kind
		}
	}
	if rapid.IntRange(0, 4).Draw(t, "collide") == 0 {
		k.giveContact(t, k.people[0], k.people[1])
	}
}

func (k *walk) counts(kind string) bool { return slices.Contains(k.config.Policy.Factors, kind) }
func (k *walk) withCodes() bool         { return k.counts("email") }

// channels are the kinds of codes that count, the stronger first.
func (k *walk) channels() []string {
	return slices.DeleteFunc([]string{"sms", "email"}, func(kind string) bool { return !k.counts(kind) })
}

// unproved is what a mailed code proves that began a sign-in and went where nobody had proved to read (C5): it is no second
// step beside the password.
const unproved = "unproved email"

var mailedKinds = []string{"email", unproved}

// strongly is what was proved by more than a mailed code.
func strongly(proved []string) []string {
	return slices.DeleteFunc(slices.Clone(proved), func(kind string) bool { return slices.Contains(mailedKinds, kind) })
}

// finishes says whether proofs end a sign-in that needs a second step: a factor that counts, beside another.
func (k *walk) finishes(proved []string) bool {
	seconds := slices.DeleteFunc(slices.Clone(proved), func(kind string) bool { return kind == "password" || kind == unproved })
	return len(seconds) > 0 && kinds(proved) > 1 || slices.Contains(proved, verified)
}

// isShared is C4: somebody else reads it too, as login, contact or where their codes go.
func (k *walk) isShared(p *walker, kind, to string) bool {
	return slices.ContainsFunc(k.people, func(q *walker) bool {
		return q != p && !q.gone && (q.user.Login == to || q.profile(kind) == to || q.proved[kind] == to)
	})
}

// isTaken is what nobody may take for their own profile: another's login, or where their codes go or have to.
func (k *walk) isTaken(p *walker, kind, to string) bool {
	return slices.ContainsFunc(k.people, func(q *walker) bool {
		return q != p && (q.user.Login == to || !q.gone && (q.proved[kind] == to || q.method == kind && q.profile(kind) == to))
	})
}

// isBlocked is true of whom a collision took a second step from: nothing weaker takes its place.
func (k *walk) isBlocked(p *walker) bool {
	return slices.ContainsFunc(k.channels(), func(kind string) bool { return p.proved[kind] != "" && k.reads(p, kind) == "" })
}

// reads is where codes of a kind go to somebody, "" if nowhere.
func (k *walk) reads(p *walker, kind string) string {
	if to := p.proved[kind]; to != "" && k.counts(kind) && !k.isShared(p, kind, to) {
		return to
	}
	return ""
}

// takesBy says whether a sign-in goes on with a code of a kind. After a mailed code, not with another one, nor with an SMS:
// it costs money, and whoever reads a mailbox may have no more.
func (k *walk) takesBy(p *walker, kind string, proved []string) bool {
	mailed, alone := len(strongly(proved)) < len(proved), len(strongly(proved)) == 0
	return k.reads(p, kind) != "" && !(mailed && (kind == "email" || alone))
}

// usable is how many factors somebody can use now.
func (k *walk) usable(p *walker, proved ...string) int {
	n := len(p.apps) + len(p.keys)
	for _, kind := range k.channels() {
		if k.takesBy(p, kind, proved) {
			n++
		}
	}
	return n
}

// strong is how many of them a step-up accepts.
func (k *walk) strong(p *walker) int {
	if k.reads(p, "email") != "" {
		return k.usable(p) - 1
	}
	return k.usable(p)
}

// channel is what a second step opens on for somebody without authenticators and passkeys.
func (k *walk) channel(p *walker, proved []string) string {
	opens := "password"
	for _, kind := range k.channels() {
		if k.takesBy(p, kind, proved) && (opens == "password" || kind == p.preferred) {
			opens = kind
		}
	}
	return opens
}

// enrols is W4: somebody must set up a factor on the way in, and may set up this: what an administrator chose for them, if
// they can, else any.
func (k *walk) enrols(p *underway, kind string) bool {
	if !k.open(p) || k.needs(p.who, p.proved) != "enrolment" || slices.Contains(k.channels(), kind) && p.who.profile(kind) == "" {
		return false
	}
	assigned := k.counts(p.who.method) && p.who.profile(p.who.method) != ""
	return !assigned || kind == p.who.method
}

// unread takes in the codes that went out since the last look.
func (k *walk) unread(t *rapid.T) {
	since, n := k.since.UnixMicro(), 0
	err := k.DB.QueryRowContext(visitless, `SELECT COUNT(*) FROM outbox WHERE added_at >= $1 AND user_id <> ''`, since).Scan(&n)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if n == k.seen {
		return
	}
	all, err := k.Outbox.Kept(visitless, n)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, l := range all {
		if m := codes.FindStringSubmatch(l.Text + l.Mail.Text); m != nil && !k.read[l.ID] {
			k.mail = append(k.mail, mail{l.To, m[1] + m[2]})
		}
		k.read[l.ID] = true
	}
	k.wait(time.Microsecond)
	k.since, k.seen = k.now(), 0
}

// letter is the code that must have gone to a destination just now.
func (k *walk) letter(t *rapid.T, to string) string {
	text, came := k.tryLetter(t, to)
	if !came {
		t.Fatalf("no code came to %s", to)
	}
	return text
}

func (k *walk) tryLetter(t *rapid.T, to string) (string, bool) {
	k.unread(t)
	for i, m := range k.mail {
		if m.to == to {
			k.mail = slices.Delete(k.mail, i, i+1)
			return m.text, true
		}
	}
	return "", false
}

// noLetter is C8 and C9: every code that went out is one that the model knows of.
func (k *walk) noLetter(t *rapid.T) {
	if k.unread(t); len(k.mail) > 0 {
		t.Fatalf("a code went where or when none should: %v", k.mail)
	}
}

// sends notes a code that went out. For nobody none does.
func (k *walk) sends(in thread, purpose, kind, to, text string, who *walker, until time.Time) {
	now := k.now()
	if text != "" {
		now = now.Add(-time.Microsecond) // to read it took one (unread)
	}
	s := &sent{who: who, kind: kind, to: to, text: text, at: now, expires: now.Add(map[string]time.Duration{"email": 10 * time.Minute, "sms": 5 * time.Minute}[kind]), count: 1}
	if until.Before(s.expires) {
		s.expires = until
	}
	if before := in[purpose+kind]; before != nil {
		s.count = before.count + 1
		k.went["to be sent another code"]++
	}
	if who != nil {
		s.epoch = who.epoch
		k.texts = append(k.texts, text)
	}
	in[purpose+kind] = s
}

// pays notes that a budget was asked, and says whether it may be used up (C10).
func (k *walk) pays(kind, to string, who *walker) (usedUp bool) {
	mine, all := 0, 0
	for _, p := range k.paid {
		if p.kind != kind || k.now().Sub(p.at) > time.Hour {
			continue
		}
		all++
		if p.to == to || p.who == who && who != nil {
			mine++
		}
	}
	k.paid = append(k.paid, payment{k.now(), kind, to, who})
	return mine >= 10 || all >= 20 // from one address, to one range of numbers
}

// asked notes what came of asking for a code that may be sent.
func (k *walk) asked(t *rapid.T, a answer, what string, in thread, purpose, kind, to string, who *walker, until time.Time) {
	if before := in[purpose+kind]; before != nil && k.now().Before(before.again()) {
		if a.status != 429 {
			t.Fatalf("%s, too early: %v", what, a)
		}
		k.went["another code too early"]++
		return
	}
	if usedUp := k.pays(kind, to, who); a.status == 429 && usedUp {
		return
	}
	k.same(t, what, true, a)
	text := ""
	if who != nil {
		text = k.letter(t, to)
	}
	k.sends(in, purpose, kind, to, text, who, until)
}

// unasked is the code that a second step begins with (C2).
func (k *walk) unasked(t *rapid.T, p *underway, kind string) {
	to := k.reads(p.who, kind)
	if to == "" {
		return
	}
	usedUp := k.pays(kind, to, p.who)
	text, came := k.tryLetter(t, to)
	if !came && !usedUp {
		t.Fatalf("no code came to %s", to)
	}
	if came {
		k.sends(p.codes, "signin", kind, to, text, p.who, p.expires)
	}
}

// types is a code that somebody may try: the right one, or any there ever was.
func (k *walk) types(t *rapid.T, in thread, purpose, kind string, well bool) string {
	which := pick(t, well, "code", "right", "right", "right", "any", "any", "wrong")
	if s := in[purpose+kind]; which == "right" && s != nil && s.text != "" {
		return s.text
	}
	if which != "wrong" && len(k.texts) > 0 {
		return k.texts[rapid.IntRange(0, min(len(k.texts), 12)-1).Draw(t, "code")+max(0, len(k.texts)-12)]
	}
	return map[string]string{"email": "ZZZZ-ZZZZ", "sms": "000000"}[kind]
}

// takes notes a try, and is the code that it is right for. Its shape says which channel it came by.
func (k *walk) takes(in thread, purpose, text string, who *walker) *sent {
	kind := "email"
	if len(text) == 6 {
		kind = "sms"
	}
	s := in[purpose+kind]
	if s == nil || s.who != who {
		return nil
	}
	if s.tries++; s.tries > 5 || who != nil && s.epoch != who.epoch || !k.now().Before(s.expires) || s.text != text {
		return nil
	}
	return s
}

// spend notes that a code counted. It is nobody's any more.
func (k *walk) spend(in thread, purpose string, s *sent) { delete(in, purpose+s.kind) }

func (k *walk) wrongHere(t *rapid.T, a answer) {
	k.same(t, "a code that is not right here", false, a)
	k.went["a code that is not right here"]++
}
