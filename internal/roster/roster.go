// Package roster knows which factors there are and what a person has enrolled, across all of them. It gathers the
// facts that policy decides on.
package roster

import (
	"cmp"
	"context"
	"slices"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
)

// A Roster lists the factors. The first is what a sign-in begins with; the others are second factors, strongest first.
type Roster struct {
	first  auth.Factor
	second []auth.Factor
	rules  policy.Rules
	levels Leveler
	clock  func() time.Time
}

// A Leveler knows what the instance and a workgroup ask of its people.
type Leveler interface {
	Levels(context.Context, auth.Reader, auth.WorkgroupID) ([]policy.Level, error)
}

func New(rules policy.Rules, levels Leveler, clock func() time.Time) *Roster {
	return &Roster{rules: rules, levels: levels, clock: clock}
}

// Add takes all factors in, once, before the first request. They need the roster and it needs them.
func (r *Roster) Add(first auth.Factor, second ...auth.Factor) { r.first, r.second = first, second }

// Rules are what the configuration demands: nothing that holds for somebody is less strict.
func (r *Roster) Rules() policy.Rules { return r.rules }

// RulesOf are what is demanded of one person, by all levels.
func (r *Roster) RulesOf(ctx context.Context, from auth.Reader, u auth.User) (policy.Rules, error) {
	levels, err := r.levels.Levels(ctx, from, u.Workgroup)
	return r.rules.Under(levels...), err
}

// MayAdd says whether a person may set up a kind of factor, as far as the rules go.
func (r *Roster) MayAdd(ctx context.Context, from auth.Reader, u auth.User, k auth.Kind) (bool, error) {
	rules, err := r.RulesOf(ctx, from, u)
	return err == nil && slices.Contains(rules.Addable(), k), err
}

// First is the factor a sign-in begins with: the password.
func (r *Roster) First() auth.Factor { return r.first }

// Second lists the second factors, strongest first.
func (r *Roster) Second() []auth.Factor { return r.second }

// Facts gathers what is true of a user now, as far as it matters.
func (r *Roster) Facts(ctx context.Context, from auth.Reader, u auth.User, proofs []auth.Proof) (policy.Facts, error) {
	rules, err := r.RulesOf(ctx, from, u)
	if err != nil {
		return policy.Facts{Now: r.clock(), User: u, Proofs: proofs}, err
	}
	return r.Gather(ctx, from, policy.Facts{Now: r.clock(), Rules: rules, User: u, Proofs: proofs})
}

// Gather adds what a person has enrolled to what else is known. Rule S3: the strongest kind comes first, then the most recently used.
func (r *Roster) Gather(ctx context.Context, from auth.Reader, f policy.Facts) (policy.Facts, error) {
	for _, factor := range r.second {
		some, err := factor.Enrolments(ctx, from, f.User.ID)
		if err != nil {
			return f, err
		}
		slices.SortStableFunc(some, func(a, b auth.Enrolment) int {
			return cmp.Or(b.LastUsed.Compare(a.LastUsed), b.Added.Compare(a.Added))
		})
		f.Enrolled = append(f.Enrolled, some...)
	}
	slices.SortStableFunc(f.Enrolled, func(a, b auth.Enrolment) int { return rank(a) - rank(b) })
	if len(f.Proofs) > 0 && !slices.ContainsFunc(f.Proofs, func(p auth.Proof) bool { return p.Kind == r.first.Kind() }) {
		var err error
		if f.First, err = r.first.Enrolments(ctx, from, f.User.ID); err != nil {
			return f, err
		}
	}
	return f, nil
}

func rank(e auth.Enrolment) int {
	if e.Last {
		return 1
	}
	return 0
}

// Attempt counts a guess and has it checked: it waits for its turn where the factor asks for that, calls take, and
// hands what it counted to the factor.
func Attempt(ctx context.Context, f auth.Factor, response auth.Secret, take func(context.Context) (auth.Attempt, error)) (auth.Attempt, auth.Claim, error) {
	if costly, ok := f.(auth.Admitter); ok {
		admitted, leave, err := costly.Admit(ctx)
		if err != nil {
			return auth.Attempt{}, nil, err
		}
		defer leave()
		ctx = admitted
	}
	attempt, err := take(ctx)
	if err != nil {
		return attempt, nil, err
	}
	claim, err := f.Verify(ctx, attempt, response)
	return attempt, claim, err
}

// Of is the enrolments of one kind.
func Of(k auth.Kind, all []auth.Enrolment) (some []auth.Enrolment) {
	for _, e := range all {
		if e.Kind == k {
			some = append(some, e)
		}
	}
	return some
}

// Offers is how a client hears of enrolments.
func Offers(some []auth.Enrolment) []auth.Offer {
	offers := make([]auth.Offer, len(some))
	for i, e := range some {
		offers[i] = auth.Offer{Kind: e.Kind, Name: e.Name}
	}
	return offers
}
