package policy_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
)

var (
	strictness = []policy.MFA{policy.Off, policy.Optional, policy.Required}
	kinds      = []auth.Kind{app, key, mail}
	dues       = []time.Duration{-time.Hour, 0, time.Hour, 30 * 24 * time.Hour}
)

// anyFacts are facts that the rest of the program could gather, with rules that it could read.
func anyFacts(t *rapid.T) policy.Facts {
	f := facts(mfa(rapid.SampledFrom(strictness).Draw(t, "mfa")),
		counts(rapid.SliceOfDistinct(rapid.SampledFrom(kinds), func(k auth.Kind) auth.Kind { return k }).Draw(t, "factors")...),
		grace(rapid.IntRange(0, 30).Draw(t, "grace days")),
		lastFactor(rapid.SampledFrom([]policy.LastFactor{policy.Refuse, policy.Warn}).Draw(t, "last factor")))
	f.User.Disabled = rapid.IntRange(0, 9).Draw(t, "disabled") == 0
	f.User.MFAOff = rapid.Bool().Draw(t, "switched off")
	if rapid.Bool().Draw(t, "grace began") {
		due(rapid.SampledFrom(dues).Draw(t, "due"))(&f)
	}
	for _, k := range rapid.SliceOfN(rapid.SampledFrom(kinds), 0, 3).Draw(t, "enrolled") {
		enrolled(k, auth.EnrolmentID(k)+auth.EnrolmentID(rune('0'+len(f.Enrolled))))(&f)
	}
	if rapid.IntRange(0, 5).Draw(t, "password") > 0 {
		password(&f)
	}
	for _, e := range f.Enrolled {
		if rapid.Bool().Draw(t, "proved "+string(e.ID)) {
			level := rapid.SampledFrom([]auth.Level{auth.None, auth.OneFactor, auth.MultiFactor}).Draw(t, "level")
			proof(proved(e.Kind, e.ID, level))(&f)
		}
	}
	return f
}

// stricter changes one thing an administrator or a person would change to be safer.
func stricter(t *rapid.T, f policy.Facts) policy.Facts {
	f.Proofs, f.Enrolled = slices.Clone(f.Proofs), slices.Clone(f.Enrolled)
	switch rapid.IntRange(0, 5).Draw(t, "stricter") {
	case 0:
		at := slices.Index(strictness, f.Rules.MFA)
		f.Rules.MFA = strictness[rapid.IntRange(at, len(strictness)-1).Draw(t, "stricter mfa")]
	case 1:
		f.Rules.Grace = time.Duration(rapid.Int64Range(0, int64(f.Rules.Grace)).Draw(t, "shorter grace"))
	case 2:
		f.User.MFAOff = false
	case 3:
		f.User.Disabled = true
	case 4:
		if !f.User.MFADue.IsZero() {
			f.User.MFADue = f.User.MFADue.Add(-time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "earlier")))
		}
	case 5: // one proof less
		if len(f.Proofs) > 0 {
			f.Proofs = slices.Delete(f.Proofs, 0, 1)
		}
	}
	return f
}

// W1: the strictest wins, so nothing that makes a rule stricter lets anybody through who was stopped before.
func TestAStricterRuleNeverLetsMoreThrough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := anyFacts(t)
		after := stricter(t, before)
		if policy.Next(before).Need != policy.Nothing && policy.Next(after).Need == policy.Nothing {
			t.Fatalf("stopped with %+v\npasses with %+v", before, after)
		}
		if policy.MayDisable(before) != nil && policy.MayDisable(after) == nil && before.Rules.MFA == policy.Required {
			t.Fatal("may be disabled now")
		}
		if before.User.MFAOff == after.User.MFAOff && policy.IsOn(before) && !policy.IsOn(after) {
			t.Fatal("MFA went off")
		}
	})
}

// W2: to strike a factor off the list never lets more people in where a second one is required and no grace is left.
// (Under optional it may: who has nothing that counts is asked for nothing.)
func TestAShorterListOfFactorsNeverLetsMoreThrough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := anyFacts(t)
		before.Rules.MFA, before.Rules.Grace, before.User.MFADue = policy.Required, 0, time.Time{}
		after := before
		after.Rules.Factors = slices.DeleteFunc(slices.Clone(before.Rules.Factors), func(k auth.Kind) bool { return rapid.Bool().Draw(t, "strike "+string(k)) })
		if policy.Next(before).Need != policy.Nothing && policy.Next(after).Need == policy.Nothing {
			t.Fatalf("stopped with %v, passes with %v: %+v", before.Rules.Factors, after.Rules.Factors, before)
		}
	})
}

// R1: a session needs two factors where they are required, or one of those that count, or a grace period.
func TestWhereASecondFactorIsRequiredNobodyPassesWithOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts(t)
		f.Rules.MFA, f.Rules.Grace, f.User.MFADue = policy.Required, 0, time.Time{}
		if policy.Next(f).Need != policy.Nothing {
			return
		}
		strong := slices.ContainsFunc(f.Proofs, func(p auth.Proof) bool { return p.Level == auth.MultiFactor || p.Kind != "password" })
		if f.User.Disabled || !strong {
			t.Fatalf("passes: %+v", f)
		}
	})
}

// R6: of anything unknown, none lets a single factor through.
func TestUnknownRulesLetNobodyThroughWithOneFactor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := facts(mfa(policy.MFA(rapid.StringN(0, 12, -1).Draw(t, "mfa"))), password)
		if slices.Contains(strictness, f.Rules.MFA) {
			t.Skip("a known one")
		}
		if got := policy.Next(f); got.Need == policy.Nothing {
			t.Fatalf("%q lets the password alone through", f.Rules.MFA)
		}
	})
}

// W4: whatever rules Check lets pass, somebody with a password and nothing else comes in: at once, or over an
// enrolment that exists and is enough.
func TestNoSetOfRulesThatPassesDeadlocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		exists := rapid.SliceOfDistinct(rapid.SampledFrom(kinds), func(k auth.Kind) auth.Kind { return k }).Draw(t, "exists")
		all := append(slices.Clone(kinds), "password", "", "pigeon")
		r := policy.Rules{
			MFA:        rapid.SampledFrom(append(slices.Clone(strictness), "", "on")).Draw(t, "mfa"),
			Factors:    rapid.SliceOf(rapid.SampledFrom(all)).Draw(t, "factors"),
			Grace:      time.Duration(rapid.IntRange(-1, 3).Draw(t, "grace")) * 24 * time.Hour,
			LastFactor: rapid.SampledFrom([]policy.LastFactor{policy.Refuse, policy.Warn, ""}).Draw(t, "last factor"),
			StepUp:     rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour, 25 * time.Hour}).Draw(t, "step-up"),
		}
		if r.Check(exists) != nil {
			return
		}
		f := facts(password, due(-time.Hour)) // a grace period would only put it off
		f.Rules = r
		switch policy.Next(f).Need {
		case policy.Nothing:
		case policy.Enrolling:
			for _, k := range r.Factors { // whichever they choose
				if !slices.Contains(exists, k) {
					t.Fatalf("%q counts and does not exist", k)
				}
				g := facts(password, enrolled(k, "new"), proof(proved(k, "new", auth.OneFactor)))
				g.Rules = r
				if need := policy.Next(g).Need; need != policy.Nothing {
					t.Fatalf("%s after %s was enrolled", need, k)
				}
			}
			if len(r.Factors) == 0 {
				t.Fatal("asks for an enrolment that nothing could be")
			}
		default:
			t.Fatalf("%s: %+v", policy.Next(f).Need, r)
		}
	})
}
