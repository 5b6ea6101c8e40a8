// Package policy decides, and does nothing else: what a sign-in or an act still needs, and what may be removed.
//
// It is the only code that knows what "enough" means. It is pure: the same [Facts] give the same answer, and what it
// cannot make sense of is refused.
package policy

import (
	"fmt"
	"slices"
	"time"

	"sallyport/internal/auth"
)

// MFA says whether a second factor is asked for.
type MFA string

const (
	Off      MFA = "off"      // never, whatever a person has enrolled
	Optional MFA = "optional" // of everybody who has one and has not switched it off
	Required MFA = "required" // of everybody
)

// LastFactor says what happens when somebody removes their last second factor.
type LastFactor string

const (
	Refuse LastFactor = "refuse"
	Warn   LastFactor = "warn"
)

// Rules are what an instance demands.
type Rules struct {
	MFA        MFA
	Factors    []auth.Kind   // second factors that count
	Closed     []auth.Kind   // those of them that nobody can set up now, or not before another
	Given      []auth.Kind   // what may be given to somebody who lost theirs, whether it is among Factors or not
	Ways       []auth.Kind   // those of Given that nobody has to give: they reach the person by themselves
	Grace      time.Duration // how long somebody may go on without a required factor, from the first sign-in that lacks it
	LastFactor LastFactor
	StepUp     time.Duration // how long a fresh proof stays fresh
	Trust      time.Duration // how long a browser may skip the second step; 0: none may
	Recovery   time.Duration // how long whoever came in by a weaker way waits until they may change factors

	Levels   []Level     // that made them stricter, the widest first
	Source   Source      // which of them decided what
	file     MFA         // before they did
	narrowed bool        // they took factors away
	all      []auth.Kind // that counted before they did
}

// Asks says whether a kind of second factor may be asked for at all.
func (r Rules) Asks(k auth.Kind) bool {
	return slices.Contains(r.Factors, k) || slices.Contains(r.Given, k)
}

// Addable are the second factors that count and that people can set up.
func (r Rules) Addable() []auth.Kind {
	return slices.DeleteFunc(slices.Clone(r.Factors), func(k auth.Kind) bool { return slices.Contains(r.Closed, k) })
}

// Check refuses rules that nobody could satisfy (W4). Exists lists the kinds of second factor that there are.
func (r Rules) Check(exists []auth.Kind) error {
	switch {
	case r.MFA != Off && r.MFA != Optional && r.MFA != Required:
		return fmt.Errorf("policy.mfa is %q: set it to off, optional or required", r.MFA)
	case r.LastFactor != Refuse && r.LastFactor != Warn:
		return fmt.Errorf("policy.last_factor is %q: set it to refuse or warn", r.LastFactor)
	case r.Grace < 0:
		return fmt.Errorf("policy.grace_days is negative: set it to 0 or more")
	case r.StepUp < time.Minute || r.StepUp > time.Hour:
		return fmt.Errorf("policy.step_up_minutes is %v: set it to 1 to 60", r.StepUp.Minutes())
	case r.MFA == Required && len(r.Factors) == 0:
		return fmt.Errorf("policy.mfa is required but policy.factors is empty, so nobody could sign in: name a factor, or set mfa to optional")
	}
	if r.MFA == Required && len(r.Addable()) == 0 {
		return fmt.Errorf("policy.mfa is required but nobody can add any of policy.factors %v, so new people could never sign in: accept another factor, or let people add these", r.Factors)
	}
	for _, k := range r.Factors {
		if !slices.Contains(exists, k) {
			return fmt.Errorf("policy.factors names %q: use some of %v", k, exists)
		}
	}
	return nil
}

// Facts is all a decision depends on.
type Facts struct {
	Now      time.Time
	Rules    Rules
	User     auth.User
	Proofs   []auth.Proof
	Enrolled []auth.Enrolment // second factors
	First    []auth.Enrolment // the password, for whoever came in without it
	Trusted  bool             // the person has trusted this browser
	Bare     bool             // there is nothing that the person could set up now: no number for SMS in the profile
}

// A Need is what is still missing.
type Need string

const (
	Nothing   Need = "nothing"
	Second    Need = "second factor"
	Enrolling Need = "enrolment"
	Blocked   Need = "help" // what the person has cannot be used now, by no act of theirs
	Denied    Need = "denied"
)

// A Step is the answer: what is needed, and which enrolments would do.
type Step struct {
	Need    Need
	Accepts []auth.Enrolment // with Second: a mailed code that was shown is not among them
	Due     time.Time        // with Nothing: a factor must be enrolled by then
	Begins  bool             // and that period begins now
}

// Next says what a sign-in still needs.
func Next(f Facts) Step {
	usable, mfa := f.unshown(f.usable()), MFAOf(f)
	switch {
	case f.User.ID == "" || f.User.Disabled || LevelOf(f.Proofs) == auth.None:
		return Step{Need: Denied}
	case mfa != Off && mfa != Optional && mfa != Required:
		return Step{Need: Denied}
	case f.proved() && !f.mustEnrol():
		return Step{Need: Nothing}
	case mfa == Off:
		return Step{Need: Nothing}
	case f.proved(): // after a reset
		return Step{Need: Enrolling}
	case mfa == Optional && !IsOn(f):
		return Step{Need: Nothing}
	case len(usable) > 0 && f.Trusted && f.Rules.Trust > 0 && f.strong() && !(f.looksAfter() && !f.hasBetter()):
		return Step{Need: Nothing}
	case len(usable) > 0:
		return Step{Need: Second, Accepts: usable}
	case f.blocked(), slices.ContainsFunc(f.usable(), f.sameMailbox): // or whoever can block it could have the password alone set up another
		return Step{Need: Blocked}
	case !f.strong() && len(f.First) > 0: // a mailed code opened; nobody sets anything up with that alone
		return Step{Need: Second, Accepts: f.First}
	case !f.strong():
		return Step{Need: Denied}
	case len(f.outvoted()) > 0: // whoever knows the password alone must not set up another in its place (security R7)
		return Step{Need: Second, Accepts: f.outvoted()}
	case f.hasOwn() && !f.showsRefused(): // what they set up counts no more; the first factor alone must not take its place
		return Step{Need: Enrolling}
	}
	if due, begun := f.due(); f.Now.Before(due) {
		return Step{Need: Nothing, Due: due, Begins: !begun}
	}
	return Step{Need: Enrolling}
}

// StepUp says what a dangerous act needs now: nothing, or one of Accepts. Rule U2: whoever has something stronger
// than a first factor proves that, unless this session proved it before; security R7: the highest level the account has.
// Rule L3: whoever lost it waits for as long as the rules want, and then it is the password.
func StepUp(f Facts, freshUntil time.Time, first []auth.Enrolment) Step {
	if f.User.ID == "" || f.User.Disabled || LevelOf(f.Proofs) == auth.None {
		return Step{Need: Denied}
	}
	if f.Now.Before(freshUntil) {
		return Step{Need: Nothing}
	}
	accepts := slices.DeleteFunc(append(f.usable(), f.refused()...), func(e auth.Enrolment) bool { return e.Weak || e.Given || e.Standing == auth.Spare })
	if len(accepts) == 0 && f.blocked() {
		return Step{Need: Blocked}
	}
	if len(accepts) == 0 || LevelOf(f.Proofs) >= auth.MultiFactor || f.recovered() {
		accepts = append(accepts, first...)
	}
	return Step{Need: Second, Accepts: accepts}
}

// Left is what the next sign-in asks for once some second factors are gone: nothing, where it asks for none anyway.
func Left(f Facts, gone ...auth.EnrolmentID) []auth.Enrolment {
	f.Enrolled = slices.DeleteFunc(slices.Clone(f.Enrolled), func(e auth.Enrolment) bool { return slices.Contains(gone, e.ID) })
	if !IsOn(f) {
		return nil
	}
	return slices.DeleteFunc(f.usable(), func(e auth.Enrolment) bool { return e.Standing == auth.Spare })
}

// CameWeakly says whether a sign-in was finished by what stands in for factors that the person has (L3).
func CameWeakly(f Facts) bool { return f.stoodIn() && f.hasOwn() }

// ripe is how long somebody who waited may use what they waited for.
const ripe = 7 * 24 * time.Hour

// Recovering says whether what a person has counts as lost: they wait, or they have waited and may still use that.
func Recovering(u auth.User, now time.Time) bool {
	return !u.Recovers.IsZero() && now.Before(u.Recovers.Add(ripe))
}

// MayRecover says whether somebody came by two steps, one of which is weak or stands in (L3).
func MayRecover(f Facts) bool {
	return f.strong() && slices.ContainsFunc(f.Proofs, func(p auth.Proof) bool { return p.Weak || p.Given })
}

// recovered is true for somebody whose factors count as lost and who waited, once they came by two steps.
func (f Facts) recovered() bool {
	return Recovering(f.User, f.Now) && !f.Now.Before(f.User.Recovers) && MayRecover(f)
}

// MayTrust says whether a sign-in that is finished may make its browser a trusted one (R1): a second step was proved in it
// beside another kind, by nothing that stood in for it. A factor that is two by itself has no second step to skip.
func MayTrust(f Facts) bool {
	own := func(p auth.Proof) bool { return p.Level >= auth.OneFactor && !p.Given && !(p.Weak && f.looksAfter()) }
	return f.Rules.Trust > 0 && slices.ContainsFunc(f.Proofs, func(p auth.Proof) bool {
		beside := func(q auth.Proof) bool { return q.Kind != p.Kind && own(q) }
		return own(p) && p.Enrolment != "" && f.names(p.Kind, false) && slices.ContainsFunc(f.Proofs, beside)
	})
}

// MayRemove says whether some second factors may go together: nil, or why not.
func MayRemove(f Facts, gone ...auth.EnrolmentID) error {
	switch {
	case len(Left(f, gone...)) > 0 || !IsOn(f):
		return nil
	case MFAOf(f) != Optional:
		return auth.ConflictError{Code: "last-factor", Why: "A second step is required here, so the last one cannot be removed. Add another first."}
	case f.Rules.LastFactor != Warn:
		return auth.ConflictError{Code: "last-factor", Why: "This is your last second step. Disable MFA first, or add another."}
	}
	return nil
}

// MayDisable says whether a person may switch the second step off: nil, or why not.
func MayDisable(f Facts) error {
	if mfa := MFAOf(f); mfa != Optional && mfa != Off {
		return auth.ConflictError{Code: "mfa-required", Why: "A second step is required here, so it cannot be switched off."}
	}
	return nil
}

// MayHaveSpare says whether a person may be given what stands in for their factors: nil, or why not. Rule B1: it is for
// who has something strong that it can stand in for, or codes on paper would take the place of a factor.
func MayHaveSpare(f Facts) error {
	strong := func(e auth.Enrolment) bool {
		return e.Standing == auth.Full && f.counts(e) && !e.Weak && !e.Given && !e.Dear
	}
	if slices.ContainsFunc(f.Enrolled, strong) {
		return nil
	}
	return auth.ConflictError{Code: "no-factor", Why: "Set up a passkey or an authenticator first. Backup codes only stand in for it, on the day it is not at hand."}
}

// IsOn says whether the next sign-in asks for a second step: for one that somebody has, or, if what they set up counts no
// more, for another one that they can set up. It does under rules that we do not know.
func IsOn(f Facts) bool {
	switch MFAOf(f) {
	case Off:
		return false
	case Optional:
		wanted := func(e auth.Enrolment) bool {
			return e.Standing == auth.Full && (f.counts(e) || e.Given || len(f.Rules.Addable()) > 0)
		}
		return !f.User.MFAOff && slices.ContainsFunc(f.Enrolled, wanted)
	}
	return true
}

// MFAOf is what holds for one person: the stricter of the rules and what an administrator set for them (W1).
func MFAOf(f Facts) MFA {
	if f.User.Method != auth.AnyMethod {
		return Required
	}
	return f.Rules.MFA
}

// Proved is true where the proofs are enough whatever else the person has: then Enrolled need not be known.
func Proved(f Facts) bool {
	depends := func(p auth.Proof) bool { return p.Given || p.Mailed }
	return f.proved() && !slices.ContainsFunc(f.Proofs, depends)
}

// LevelOf is what proofs are worth together: two of different kinds are two factors, but for weak ones.
func LevelOf(proofs []auth.Proof) (level auth.Level) {
	counts := func(p auth.Proof) bool { return p.Level >= auth.OneFactor && !p.Weak && !p.Given }
	for i, p := range proofs {
		level = max(level, p.Level)
		for _, q := range proofs[:i] {
			if p.Kind != q.Kind && counts(p) && counts(q) {
				return auth.MultiFactor
			}
		}
	}
	return level
}

// AMR is how somebody was authenticated, in the words of RFC 8176.
func AMR(proofs []auth.Proof) []string {
	amr := []string{}
	for _, p := range proofs {
		if !slices.Contains(amr, p.AMR) {
			amr = append(amr, p.AMR)
		}
	}
	if LevelOf(proofs) >= auth.MultiFactor {
		amr = append(amr, "mfa")
	}
	return amr
}

// usable is what is enrolled, can be used and counts here. What is spare needs something to stand in for (B1).
func (f Facts) usable() (found []auth.Enrolment) {
	for _, e := range f.Enrolled {
		if f.counts(e) && (e.Standing != auth.Spare || f.hasOwn()) {
			found = append(found, e)
		}
	}
	return found
}

// looksAfter is true of people with pages that no trusted browser opens (R2). Where a weak factor is all they have, step-up
// does not ask for it, so the sign-in always does.
func (f Facts) looksAfter() bool { return f.User.Role != auth.Member && f.User.Role != "" }

// refused is what somebody set up and could use, had no level taken it away. It finishes no sign-in, and still it is more
// than a password.
func (f Facts) refused() []auth.Enrolment {
	return slices.DeleteFunc(slices.Clone(f.Enrolled), func(e auth.Enrolment) bool {
		return e.Given || e.Standing == auth.Spare || e.State != auth.Usable || f.names(e.Kind, false) || !f.Rules.counted(e.Kind)
	})
}

// outvoted is what of it must be shown before another is set up: any, unless one was.
func (f Facts) outvoted() []auth.Enrolment {
	if f.showsRefused() {
		return nil
	}
	return f.unshown(f.refused())
}

// showsRefused is true once one of them was shown.
func (f Facts) showsRefused() bool {
	some := f.refused()
	return slices.ContainsFunc(f.Proofs, func(p auth.Proof) bool {
		return p.Enrolment != "" && slices.ContainsFunc(some, func(e auth.Enrolment) bool { return e.Kind == p.Kind })
	})
}

// counted says whether a kind counts by the configuration, whatever a level made of it.
func (r Rules) counted(k auth.Kind) bool {
	return slices.Contains(r.Factors, k) || slices.Contains(r.all, k)
}

// hasOwn is true for somebody who set up a factor of their own, whatever became of it. What a reset left is none.
func (f Facts) hasOwn() bool {
	return slices.ContainsFunc(f.Enrolled, func(e auth.Enrolment) bool { return e.Standing != auth.Spare && !e.Given })
}

// unshown is without the mailed code that opened the sign-in: it is never both steps. Nor does it lead to what is dear or
// given, and a password that came by mail leads to no code by mail past something stronger.
func (f Facts) unshown(some []auth.Enrolment) []auth.Enrolment {
	return slices.DeleteFunc(some, func(e auth.Enrolment) bool {
		shown := func(p auth.Proof) bool { return p.Kind == e.Kind }
		return (e.Dear || e.Given) && !f.strong() || e.Weak && slices.ContainsFunc(f.Proofs, shown) || f.sameMailbox(e)
	})
}

// sameMailbox is true of what comes by mail beside a password that came by mail, where that is less than the person has.
func (f Facts) sameMailbox(e auth.Enrolment) bool {
	return e.Weak && (e.Given || f.hasBetter()) && slices.ContainsFunc(f.Proofs, func(p auth.Proof) bool { return p.Mailed })
}

// hasBetter is true for somebody who set up something that counts and is not weak, even if it is blocked now.
func (f Facts) hasBetter() bool {
	return slices.ContainsFunc(f.Enrolled, func(e auth.Enrolment) bool {
		return !e.Weak && !e.Given && e.Standing != auth.Spare && e.State != auth.Void && f.Rules.counted(e.Kind)
	})
}

// stoodIn is true if something was shown that stands in for what was not at hand.
func (f Facts) stoodIn() bool {
	return slices.ContainsFunc(f.Proofs, func(p auth.Proof) bool { return p.Given })
}

// mustEnrol is true for somebody who has no second step but what they were given: where one is required, and after a reset
// wherever one can be set up (A3).
func (f Facts) mustEnrol() bool {
	return f.stoodIn() && !f.hasOwn() && (MFAOf(f) == Required || len(f.Rules.Addable()) > 0 && !f.Bare)
}

// strong is true once something was shown that is not weak.
func (f Facts) strong() bool {
	return slices.ContainsFunc(f.Proofs, func(p auth.Proof) bool { return !p.Weak && !p.Given })
}

func (f Facts) counts(e auth.Enrolment) bool {
	return f.names(e.Kind, e.Given) && e.State == auth.Usable
}

// names says whether the rules name a kind: what is given counts though it is no factor here.
func (f Facts) names(k auth.Kind, given bool) bool {
	return slices.Contains(f.Rules.Factors, k) || given && slices.Contains(f.Rules.Given, k)
}

// blocked is true if one of what the person set up would count, were it not blocked.
func (f Facts) blocked() bool {
	return slices.ContainsFunc(f.Enrolled, func(e auth.Enrolment) bool {
		return e.State == auth.Blocked && (f.names(e.Kind, e.Given) || f.Rules.counted(e.Kind))
	})
}

// proved is true once a factor that counts here was shown beside another kind, even one that does not raise the level;
// or one that is two factors by itself. Rule P7: a passkey without user verification is not. A mailed code that began the
// sign-in counts only if it went where the person had proved to read before (C5).
//
// Beside a password that came by mail, a code by mail counts only for who has nothing better. What was given counts beside
// something of the person's own that is not weak, and nothing counts beside it.
func (f Facts) proved() bool {
	return slices.ContainsFunc(f.Proofs, func(p auth.Proof) bool {
		beside := func(q auth.Proof) bool {
			return q.Kind != p.Kind && q.Level >= auth.OneFactor && !q.Given && !(p.Given && q.Weak) && !(p.Weak && q.Mailed && (p.Given || f.hasBetter()))
		}
		return f.names(p.Kind, p.Given) && p.Enrolment != "" && (p.Level >= auth.MultiFactor || slices.ContainsFunc(f.Proofs, beside))
	})
}
