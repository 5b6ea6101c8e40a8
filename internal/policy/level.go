package policy

import (
	"slices"
	"strings"
	"time"

	"sallyport/internal/auth"
)

// A Level is what one level of policy asks for: the whole instance, as its administrators set it, or a workgroup (W1).
// What it leaves open, those above it decide. A level only ever makes stricter what stands above it, so that nobody opens
// on a page what whoever runs the server has closed.
type Level struct {
	Name    string        `json:"-"`                        // as people know it: "workgroup Field sales"
	MFA     MFA           `json:"mfa,omitempty"`            // empty: open
	Since   time.Time     `json:"since,omitzero"`           // from when on it requires a second step
	AtOnce  bool          `json:"at_once,omitempty"`        // whoever was signed in by then is asked, too
	Grace   time.Duration `json:"grace,omitempty"`          // how long somebody may go on without a factor, from Since or from when they came under it
	Factors []auth.Kind   `json:"factors,omitempty"`        // all that count; nil: open
	Refused []auth.Kind   `json:"refused,omitempty"`        // these do not, not even to stand in for another
	Closed  []auth.Kind   `json:"closed,omitempty"`         // these count, but nobody can set one up
	Trust   Trust         `json:"trusted_browser,omitzero"` // how long a browser may skip the second step
	Group   bool          `json:"-"`                        // it is a workgroup: people come and go
}

// A Trust is how long a browser may skip the second step, if a level says so; 0: none may.
type Trust struct {
	Set bool          `json:"set,omitempty"`
	For time.Duration `json:"for,omitempty"`
}

// Configured is the name of the level that everything begins with: the file.
const Configured = "the configuration"

// A Source says which level decided what (A2).
type Source struct{ MFA, Factors, Trust string }

// strict is how strict a rule is. One that nobody knows is denied everywhere, so nothing is stricter.
func strict(m MFA) int { return slices.Index([]MFA{Off, Optional, Required}, m) }

// Under is the rules made stricter by levels, the widest first.
func (r Rules) Under(levels ...Level) Rules {
	if len(r.Levels) == 0 {
		r.all = r.Factors
		r.file, r.Source = r.MFA, Source{Configured, Configured, Configured}
	}
	r.Levels = slices.Concat(r.Levels, levels)
	for _, l := range levels {
		if l.MFA != "" && (strict(l.MFA) > strict(r.MFA) || strict(l.MFA) < 0) && strict(r.MFA) >= 0 {
			r.MFA, r.Source.MFA = l.MFA, l.Name
		}
		counts := func(k auth.Kind) bool {
			return (l.Factors == nil || slices.Contains(l.Factors, k)) && !slices.Contains(l.Refused, k)
		}
		if some := kept(r.Factors, counts); len(some) < len(r.Factors) {
			r.Factors, r.Source.Factors, r.narrowed = some, l.Name, true
		}
		r.Given = kept(r.Given, func(k auth.Kind) bool { // what an administrator gives is theirs to give
			return !slices.Contains(l.Refused, k) && (counts(k) || !slices.Contains(r.Ways, k))
		})
		r.Closed = slices.Concat(r.Closed, l.Closed)
		if l.Trust.Set && l.Trust.For < r.Trust {
			r.Trust, r.Source.Trust = l.Trust.For, l.Name
		}
	}
	return r
}

func kept(some []auth.Kind, keep func(auth.Kind) bool) []auth.Kind {
	return slices.DeleteFunc(slices.Clone(some), func(k auth.Kind) bool { return !keep(k) })
}

// Bears says whether a level may be set under these rules: nil, or why not (W4). Spare are the kinds that only stand in
// for others.
func (r Rules) Bears(l Level, spare ...auth.Kind) error {
	switch {
	case l.MFA != "" && strict(l.MFA) < 0:
		return auth.InvalidError{Field: "mfa", Why: "must be off, optional or required"}
	case l.Grace < 0 || l.Grace > 365*24*time.Hour:
		return auth.InvalidError{Field: "grace_days", Why: "must be 0 to 365"}
	case l.Trust.Set && (l.Trust.For < 0 || l.Trust.For > 365*24*time.Hour):
		return auth.InvalidError{Field: "trust_days", Why: "must be 0 to 365"}
	}
	for _, k := range slices.Concat(l.Factors, l.Refused, l.Closed) {
		if !slices.Contains(r.Factors, k) && !slices.Contains(l.Refused, k) {
			return auth.InvalidError{Field: "factors", Why: "has " + string(k) + ", which does not count here"}
		}
	}
	return r.Under(l).Holds(spare...)
}

// Holds says whether people can live by these rules: nil, or why not (W4).
func (r Rules) Holds(spare ...auth.Kind) error {
	own := func(some []auth.Kind) []auth.Kind {
		return kept(some, func(k auth.Kind) bool { return !slices.Contains(spare, k) })
	}
	switch {
	case r.MFA != Off && len(own(r.Factors)) == 0 && r.narrowed:
		return auth.ConflictError{Code: "no-factor-counts", Why: "Then no factor would count, and the password alone would open every account. Accept at least one."}
	case (r.MFA == Required || r.narrowed && r.MFA != Off) && len(own(r.Addable())) == 0: // whoever has another one would have nothing
		return auth.ConflictError{Code: "nothing-to-set-up", Why: "Then nobody could set up a second step: " + list(r.Factors) + " cannot be added. Accept another one, or let people add these."}
	}
	return nil
}

func list(some []auth.Kind) string {
	var all []string
	for _, k := range some {
		all = append(all, string(k))
	}
	return strings.Join(all, ", ")
}

// AskedAt is from when on everybody is asked under these rules who had signed in before with less; zero: nobody is (W3).
func (r Rules) AskedAt(u auth.User) (at time.Time) {
	for _, l := range r.Levels {
		if l.MFA == Required && l.AtOnce && l.begins(u).After(at) {
			at = l.begins(u)
		}
	}
	return at
}

// begins is when a level began to require a second step of somebody.
func (l Level) begins(u auth.User) time.Time {
	came := u.Added
	if l.Group {
		came = u.Joined
	}
	if came.After(l.Since) {
		return came
	}
	return l.Since
}

// due is when a second factor must be set up. The file's period begins with the first sign-in that lacks one; begun is
// false until then. An administrator's begins with their act.
func (f Facts) due() (due time.Time, begun bool) {
	begun = true
	file := f.Rules.file
	if len(f.Rules.Levels) == 0 {
		file = f.Rules.MFA
	}
	if file == Required || f.User.Method != auth.AnyMethod {
		if due = f.User.MFADue; due.IsZero() {
			due, begun = f.Now.Add(f.Rules.Grace), false
		}
	}
	for _, l := range f.Rules.Levels {
		if l.MFA != Required {
			continue
		}
		if at := l.begins(f.User).Add(l.Grace); due.IsZero() || at.Before(due) {
			due, begun = at, true
		}
	}
	return due, begun
}

// AskedBy is the level that requires a second step of somebody, by its name; empty: an administrator does, for them alone.
func AskedBy(f Facts) string {
	if f.User.Method != auth.AnyMethod {
		return ""
	}
	if f.Rules.Source.MFA == "" {
		return Configured
	}
	return f.Rules.Source.MFA
}

// Due is until when somebody may go on without a factor that is required of them; zero: nothing is, or they have one.
func Due(f Facts) time.Time {
	if MFAOf(f) != Required || len(f.usable()) > 0 {
		return time.Time{}
	}
	due, _ := f.due()
	return due
}

// MayManage says whether somebody may administer a person: nil, or why not. Nobody acts upward (A3, A5), and whoever looks
// after a workgroup knows nobody else.
func MayManage(actor, target auth.User) error {
	switch {
	case actor.Role == auth.Member || !actor.Role.Valid():
		return auth.ErrForbidden
	case actor.Role == auth.WorkgroupAdmin && (actor.Workgroup == "" || actor.Workgroup != target.Workgroup):
		return auth.ErrNotFound
	case !actor.Role.Reaches(target.Role), actor.Role == auth.WorkgroupAdmin && target.Role == auth.Support: // who reaches further than the workgroup
		return auth.ConflictError{Code: "above-you", Why: "This person’s role is above yours, so only somebody above you can do this."}
	}
	return nil
}

// MaySee says whether somebody may look at a person's page.
func MaySee(actor, target auth.User) error {
	target.Role = auth.Member // whoever may look may look upward
	return MayManage(actor, target)
}
