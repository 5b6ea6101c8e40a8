package groups

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/directory"
	"sallyport/internal/factor/onetime"
	"sallyport/internal/policy"
	"sallyport/internal/web"
	"sallyport/internal/workgroup"
)

// A Fate is what the next sign-in of somebody is like, once they typed their password.
type Fate string

const (
	Ready  Fate = "ready"          // they show a factor that they have
	Coded  Fate = "code"           // they get a code at a place that they proved
	Enrols Fate = "enrol"          // they set a factor up, at the end of their grace period at the latest
	Alone  Fate = "password alone" // nothing else is asked
	Locked Fate = "locked out"     // they get in no more, and nothing that they do helps
	Stuck  Fate = "locked before"  // they do not get in now either
)

// A Preview is what a level would do to people (W3).
type Preview struct {
	People  int        `json:"people"`
	Ready   int        `json:"ready" doc:"have an accepted factor"`
	Codes   int        `json:"codes" doc:"get a code at their verified email or phone"`
	Enrol   int        `json:"enrol" doc:"set a factor up at their next sign-in, by due_at at the latest"`
	Alone   int        `json:"password_alone" doc:"are asked for nothing but the password"`
	Locked  int        `json:"locked_out" doc:"could not sign in any more: it cannot be saved"`
	Stuck   int        `json:"locked_out_before" doc:"cannot sign in now either"`
	Due     *time.Time `json:"due_at,omitempty"`
	Without []Without  `json:"without" doc:"some of those who have no accepted factor"`
	Refused string     `json:"refused,omitempty" doc:"why it cannot be saved"`
	More    int        `json:"-"` // people without a factor who are not among them
}

// Without is somebody without an accepted factor.
type Without struct {
	ID         auth.UserID `json:"id"`
	Name       string      `json:"name"`
	Fate       Fate        `json:"fate"`
	Via        string      `json:"via,omitempty"` // how a code reaches them
	LastSignIn *time.Time  `json:"last_sign_in_at,omitempty"`
}

// Says is what happens to them, for the page.
func (w Without) Says() string {
	switch w.Fate {
	case Coded:
		return "Gets a code by " + w.Via
	case Enrols:
		return "Enrols after the password"
	case Stuck:
		return "Cannot sign in now either"
	}
	return "Would be locked out"
}

// A part is people under the same rules: those of one workgroup, or all whose workgroup asks for nothing of its own.
type part struct {
	workgroup auth.WorkgroupID // empty with all: everybody else
	name      string
	now, then policy.Rules
	shapes    []directory.Shape
}

// foresee counts what would happen to people of each shape. Nothing is stored.
func (g *Groups) foresee(ctx context.Context, from auth.Reader, parts []part, l policy.Level, most int) (Preview, error) {
	p, now := Preview{Without: []Without{}}, g.Clock()
	seen := map[auth.UserID]bool{}
	worst := map[Fate]int{Locked: 0, Stuck: 1, Enrols: 2, Coded: 3}
	type group struct {
		part
		shape directory.Shape
		fate  Fate
	}
	var without []group
	for _, part := range parts {
		for _, s := range part.shapes {
			fate := g.fate(part.then, s, now)
			if fate == Locked && g.fate(part.now, s, now) == Locked {
				fate = Stuck
			}
			*map[Fate]*int{Ready: &p.Ready, Coded: &p.Codes, Enrols: &p.Enrol, Alone: &p.Alone, Locked: &p.Locked, Stuck: &p.Stuck}[fate] += s.N
			p.People += s.N
			if _, lacks := worst[fate]; lacks {
				without, p.More = append(without, group{part, s, fate}), p.More+s.N
			}
		}
	}
	if p.Enrol > 0 && l.MFA == policy.Required && l.Grace > 0 {
		due := l.Since.Add(l.Grace)
		if l.Since.Before(now) { // whoever came lately has longer than the others
			due = now.Add(l.Grace)
		}
		p.Due = &due
	}
	slices.SortStableFunc(without, func(a, b group) int { return worst[a.fate] - worst[b.fate] })
	for _, w := range without {
		if len(p.Without) >= most {
			break
		}
		some, err := g.People.Some(ctx, from, w.workgroup, w.shape, most)
		if err != nil {
			return p, err
		}
		for _, one := range some {
			if seen[one.ID] || len(p.Without) >= most || w.workgroup == workgroup.Instance && apart(parts, one.Workgroup) {
				continue
			}
			seen[one.ID] = true
			row := Without{ID: one.ID, Name: one.Name, Fate: w.fate, Via: g.via(w.then, w.shape, now)}
			if !one.LastSignIn.IsZero() {
				row.LastSignIn = &one.LastSignIn
			}
			p.Without = append(p.Without, row)
		}
	}
	p.More -= len(p.Without)
	if p.Locked > 0 {
		p.Refused = lockedOut(p)
	}
	return p, nil
}

// apart is true of a workgroup that has a part of its own.
func apart(parts []part, w auth.WorkgroupID) bool {
	return w != workgroup.Instance && slices.ContainsFunc(parts, func(p part) bool { return p.workgroup == w })
}

// lockedOut says why it cannot be saved, and for whose sake (W4).
func lockedOut(p Preview) string {
	var names []string
	for _, w := range p.Without {
		if w.Fate == Locked && len(names) < 5 {
			names = append(names, w.Name)
		}
	}
	who := strings.Join(names, ", ")
	if more := p.Locked - len(names); more > 0 {
		who = fmt.Sprintf("%s and %d more", who, more)
	}
	return "This cannot be saved: " + who + " could not sign in any more. They have nothing that would count, and nothing that they could set up. " +
		"Accept another factor, or give them an address or number that is theirs alone."
}

// fate asks policy what it would ask for at a sign-in with the password in a browser that nobody trusts.
func (g *Groups) fate(r policy.Rules, s directory.Shape, now time.Time) Fate {
	switch step := policy.Next(facts(r, s, now)); step.Need {
	case policy.Nothing:
		if step.Due.IsZero() {
			return Alone
		}
		return g.enrolling(r, s)
	case policy.Second:
		own := func(e auth.Enrolment) bool { return !e.Given && slices.Contains(r.Factors, e.Kind) } // what counts no more is only shown
		sent := func(e auth.Enrolment) bool { return e.Kind == onetime.Email || e.Kind == onetime.SMS }
		better := func(e auth.Enrolment) bool { return own(e) && !sent(e) && e.Standing != auth.Spare }
		switch {
		case slices.ContainsFunc(step.Accepts, better):
			return Ready
		case slices.ContainsFunc(step.Accepts, func(e auth.Enrolment) bool { return own(e) && sent(e) }):
			return Coded
		case slices.ContainsFunc(step.Accepts, own):
			return Ready
		}
		return g.enrolling(r, s) // after what they had, or were given for that
	case policy.Enrolling:
		return g.enrolling(r, s)
	case policy.Blocked, policy.Denied:
	}
	return Locked
}

func facts(r policy.Rules, s directory.Shape, now time.Time) policy.Facts {
	password := auth.Proof{Kind: "password", Enrolment: "password", AMR: "pwd", Level: auth.OneFactor, At: now}
	return policy.Facts{Now: now, Rules: r, User: s.User(), Proofs: []auth.Proof{password}, Enrolled: s.Enrolled}
}

// enrolling is the fate of somebody who must set a factor up: the sign-in offers them what it can set up, which is what an
// administrator chose for them if that is among it. A code needs a place that is theirs alone.
func (g *Groups) enrolling(r policy.Rules, s directory.Shape) Fate {
	var ways []auth.Kind
	for _, f := range g.Roster.Second() {
		if _, ok := f.(web.Enroller); !ok || !slices.Contains(r.Addable(), f.Kind()) {
			continue
		}
		reached := f.Kind() != onetime.Email && f.Kind() != onetime.SMS || f.Kind() == onetime.Email && s.Email || f.Kind() == onetime.SMS && s.Phone
		if string(f.Kind()) == string(s.Method) {
			if ways = nil; reached {
				ways = []auth.Kind{f.Kind()}
			}
			break
		}
		if !reached {
			continue
		}
		ways = append(ways, f.Kind())
	}
	if len(ways) == 0 {
		return Locked
	}
	return Enrols
}

// via is how the first code reaches somebody.
func (g *Groups) via(r policy.Rules, s directory.Shape, now time.Time) string {
	for _, e := range policy.Next(facts(r, s, now)).Accepts {
		switch e.Kind {
		case onetime.Email:
			return "email"
		case onetime.SMS:
			return "SMS"
		}
	}
	return ""
}

// title is what people call a factor.
func (g *Groups) title(k auth.Kind) string {
	return cmp.Or(web.Signs(g.Roster.Second()...)[k].Title, string(k))
}

// parts are the people whom a level of a workgroup meets, or of the instance: then those of each workgroup that asks for
// something of its own are apart.
func (g *Groups) parts(ctx context.Context, from auth.Reader, w workgroup.Workgroup, above policy.Rules, l policy.Level) ([]part, error) {
	shapes, err := g.People.Shapes(ctx, from, w.ID)
	if err != nil {
		return nil, err
	}
	all := part{w.ID, w.Name, above.Under(w.Level), above.Under(l), shapes}
	if w.ID != workgroup.Instance {
		return []part{all}, nil
	}
	rest := part{now: all.now, then: all.then}
	groups, err := g.Workgroups.All(ctx, from)
	if err != nil {
		return nil, err
	}
	var apart []part
	left := map[string]int{}
	for _, w := range groups {
		if optionsOf(above, w.Level).asksNothing() {
			continue
		}
		some, err := g.People.Shapes(ctx, from, w.ID)
		if err != nil {
			return nil, err
		}
		for _, s := range some {
			left[same(s)] += s.N
		}
		apart = append(apart, part{w.ID, w.Name, rest.now.Under(w.Level), rest.then.Under(w.Level), some})
	}
	for _, s := range shapes {
		if s.N -= left[same(s)]; s.N > 0 {
			rest.shapes = append(rest.shapes, s)
		}
	}
	return append(apart, rest), nil
}

func same(s directory.Shape) string {
	s.N = 0
	return fmt.Sprint(s)
}

func (o Options) asksNothing() bool {
	return !o.Require && o.Factors == "" && o.Channels == "" && o.Passkeys == "" && o.Trust == ""
}
