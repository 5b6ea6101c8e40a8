package people

import (
	"context"
	"errors"
	"slices"
	"strings"

	"sallyport/internal/auth"
	"sallyport/internal/factor/onetime"
	"sallyport/internal/policy"
	"sallyport/internal/user"
	"sallyport/internal/web"
)

// A Change is what becomes of one person; nil leaves a thing as it is.
type Change struct {
	Name, Email, Phone *string // a phone number as it was typed; empty: none
	Role               *auth.Role
	Workgroup          *auth.WorkgroupID // empty: none
	Method             *auth.Method
}

// Save changes a person, all of it or nothing, with a row in the record for each change (A2). What cannot be is an
// auth.InvalidError at its field.
func (p *People) Save(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID, c Change) error {
	a, before, err := p.may(ctx, tx, a, id, auth.WorkgroupAdmin)
	if err != nil {
		return err
	}
	after, err := p.changed(before, c)
	if err != nil {
		return err
	}
	if err := p.allowed(ctx, tx, a, before, after); err != nil {
		return err
	}
	if err := p.reachable(ctx, tx, a, before, after); err != nil {
		return err
	}
	if err := p.opens(ctx, tx, before, after); err != nil {
		return err
	}
	return p.store(ctx, tx, a, before, after)
}

// changed is the person as they would be, if what was typed can be at all.
func (p *People) changed(u auth.User, c Change) (auth.User, error) {
	var err error
	if c.Name != nil && *c.Name != u.Name {
		u.Name = strings.TrimSpace(*c.Name)
		err = errors.Join(err, user.CheckName(u.Name))
	}
	if c.Email != nil && *c.Email != u.Email {
		u.Email = strings.TrimSpace(*c.Email)
		err = errors.Join(err, user.CheckEmail(u.Email))
	}
	if c.Phone != nil && *c.Phone != u.Phone {
		if u.Phone = ""; strings.TrimSpace(*c.Phone) != "" {
			var wrong error
			u.Phone, wrong = user.Phone(*c.Phone, p.Region)
			err = errors.Join(err, wrong)
		}
	}
	if c.Role != nil {
		u.Role = *c.Role
	}
	if !u.Role.Valid() {
		err = errors.Join(err, auth.InvalidError{Field: "role", Why: "must be one of those listed"})
	}
	if c.Workgroup != nil {
		u.Workgroup = *c.Workgroup
	}
	if c.Method != nil {
		u.Method = *c.Method
	}
	var first auth.InvalidError
	if errors.As(err, &first) {
		return u, first
	}
	return u, err
}

// allowed says whether an actor may give a person this role and this workgroup, and choose their second step.
func (p *People) allowed(ctx context.Context, tx auth.Tx, a Actor, before, after auth.User) error {
	role, moved := after.Role != before.Role, after.Workgroup != before.Workgroup
	if role || moved || after.Method != before.Method {
		if err := notSelf(a, before); err != nil {
			return err
		}
	}
	switch {
	case role && !a.Role.Reaches(auth.Admin):
		return auth.InvalidError{Field: "role", Why: "is given by admins and owners only"}
	case role && !a.Role.Reaches(after.Role):
		return auth.InvalidError{Field: "role", Why: "is above your own"}
	case moved && !a.Role.Reaches(auth.Admin):
		return auth.InvalidError{Field: "workgroup", Why: "is changed by admins and owners only"}
	case (role || moved) && after.Role == auth.WorkgroupAdmin && after.Workgroup == "":
		return auth.InvalidError{Field: "workgroup", Why: "is needed for a workgroup admin"}
	}
	if role {
		if err := p.staysOwned(ctx, tx, before); err != nil {
			return err
		}
	}
	if moved && after.Workgroup != "" { // locked, so that it is not removed meanwhile
		if err := p.Groups.Lock(ctx, tx, after.Workgroup); errors.Is(err, auth.ErrNotFound) {
			return auth.InvalidError{Field: "workgroup", Why: "does not exist any more"}
		} else if err != nil {
			return err
		}
	}
	return nil
}

// reachable says whether codes reach the person and nobody else (A2, C4, C5). Whoever is signed in gives nobody an address
// or number at which somebody else gets codes, whatever the method: it would keep them out.
func (p *People) reachable(ctx context.Context, tx auth.Tx, a Actor, before, after auth.User) error {
	for _, d := range []struct {
		kind    auth.Kind
		field   string
		to, was string
	}{{onetime.Email, "email", after.Email, before.Email}, {onetime.SMS, "phone", after.Phone, before.Phone}} {
		if a.ID == "" || d.to == "" || d.to == d.was {
			continue
		}
		taken, err := p.Contacts.Taken(ctx, tx, after.ID, d.kind, d.to)
		if err != nil {
			return err
		}
		if taken {
			return auth.InvalidError{Field: d.field, Why: "is where somebody else signs in or gets their codes, so it cannot be this person’s too"}
		}
	}
	if after.Method == before.Method && after.Email == before.Email && after.Phone == before.Phone && after.Workgroup == before.Workgroup {
		return nil
	}
	return p.Assignable(ctx, tx, after, after.Method)
}

// Assignable says whether a person may be given a method: nil, or an auth.InvalidError at the field that it needs (A2, C4).
func (p *People) Assignable(ctx context.Context, tx auth.Tx, u auth.User, m auth.Method) error {
	rules, err := p.Roster.RulesOf(ctx, tx, u)
	if err != nil {
		return err
	}
	to, field, kind := u.Email, "email", auth.Kind(m)
	switch m {
	case auth.AnyMethod:
		return nil
	case auth.MustHaveOne:
		if len(rules.Addable()) == 0 {
			return auth.InvalidError{Field: "mfa", Why: "cannot be required: nobody here can set up a second step that counts (" + source(rules) + ")"}
		}
		return nil
	case auth.ByEmail:
	case auth.BySMS:
		to, field = u.Phone, "phone"
	default:
		return auth.InvalidError{Field: "mfa", Why: "must be off, email, sms or required"}
	}
	noun := web.Noun(kind, p.Roster.Second()...)
	switch {
	case !slices.Contains(rules.Factors, kind):
		return auth.InvalidError{Field: "mfa", Why: "cannot be this: codes by " + method(m) + " do not count (" + source(rules) + ")"}
	case to == "":
		return auth.InvalidError{Field: field, Why: "is needed: MFA is set to " + method(m)}
	case m == auth.BySMS && !slices.Contains(p.Contacts.Rules.Countries, user.Country(to)):
		return auth.InvalidError{Field: field, Why: "lies in a country that no SMS are sent to (sms.countries)"}
	}
	shared, err := p.Contacts.Shared(ctx, tx, u.ID, kind, to)
	if err == nil && shared {
		err = auth.InvalidError{Field: field, Why: "is somebody else’s too, so a " + noun + " would reach them: MFA by " + method(m) + " needs one that is this person’s alone"}
	}
	return err
}

func source(r policy.Rules) string {
	if r.Source.Factors == "" || r.Source.Factors == policy.Configured {
		return policy.Configured + ": policy.factors"
	}
	return r.Source.Factors
}

// method is what people call one.
func method(m auth.Method) string {
	return map[auth.Method]string{auth.AnyMethod: "Off", auth.ByEmail: "email", auth.BySMS: "SMS", auth.MustHaveOne: "Required"}[m]
}

// opens refuses a workgroup or a method under which nothing that somebody has counts and nothing that they could set up
// (W4). Whom nothing lets in now is not kept where they are.
func (p *People) opens(ctx context.Context, tx auth.Tx, before, after auth.User) error {
	if after.Workgroup == before.Workgroup && after.Method == before.Method {
		return nil
	}
	shut, err := p.shut(ctx, tx, after)
	if err != nil || !shut {
		return err
	}
	if was, err := p.shut(ctx, tx, before); err != nil || was {
		return err
	}
	field := "mfa"
	if after.Workgroup != before.Workgroup {
		field = "workgroup"
	}
	return auth.InvalidError{Field: field, Why: "would lock this person out: there, nothing they have counts as a second step and they could set up nothing that does"}
}

// shut is true for somebody whom the right password leads nowhere.
func (p *People) shut(ctx context.Context, from auth.Reader, u auth.User) (bool, error) {
	f, err := p.facts(ctx, from, u, []auth.Proof{{Kind: p.Roster.First().Kind(), Level: auth.OneFactor, Enrolment: "password"}})
	if err != nil {
		return false, err
	}
	step := policy.Next(f)
	return step.Need == policy.Blocked || step.Need == policy.Denied && !u.Disabled || step.Need == policy.Enrolling && f.Bare, nil
}

// facts are what a sign-in decides on.
func (p *People) facts(ctx context.Context, from auth.Reader, u auth.User, proofs []auth.Proof) (policy.Facts, error) {
	f, err := p.Roster.Facts(ctx, from, u, proofs)
	f.Bare = len(web.Enrollers(p.Roster.Second(), u, f.Rules)) == 0
	return f, err
}

// store writes what changed.
func (p *People) store(ctx context.Context, tx auth.Tx, a Actor, before, after auth.User) error {
	id := after.ID
	if after.Name != before.Name {
		if err := p.Users.Rename(ctx, tx, id, after.Name); err != nil {
			return err
		}
		if err := p.happened(ctx, tx, auth.UserRenamed, id); err != nil {
			return err
		}
	}
	if after.Email != before.Email || after.Phone != before.Phone {
		keep := auth.SessionID("")
		if a.ID == id {
			keep = a.Session
		}
		if err := p.Settings.SetContact(ctx, tx, before, after, keep); err != nil {
			return err
		}
	}
	if after.Workgroup != before.Workgroup {
		if err := p.move(ctx, tx, before, after); err != nil {
			return err
		}
	}
	if after.Method != before.Method {
		if err := p.Users.SetMethod(ctx, tx, id, after.Method); err != nil {
			return err
		}
		if err := p.happened(ctx, tx, auth.MethodSet, id, "factor", Said(after.Method)); err != nil {
			return err
		}
	}
	if after.Role != before.Role || after.Workgroup != before.Workgroup {
		// Whoever invited them may hold the link, and would come into more than they may give.
		if err := p.Recovery.Uninvite(ctx, tx, id); err != nil {
			return err
		}
	}
	if after.Role == before.Role {
		return nil
	}
	if err := p.Users.SetRole(ctx, tx, id, after.Role); err != nil {
		return err
	}
	return p.happened(ctx, tx, auth.RoleSet, id, "old", string(before.Role), "new", string(after.Role))
}

func (p *People) move(ctx context.Context, tx auth.Tx, before, after auth.User) error {
	from, err := p.group(ctx, tx, before.Workgroup)
	if err != nil {
		return err
	}
	to, err := p.group(ctx, tx, after.Workgroup)
	if err != nil {
		return err
	}
	if err := p.Users.Move(ctx, tx, after.ID, after.Workgroup, p.Clock()); err != nil {
		return err
	}
	return p.happened(ctx, tx, auth.UserMoved, after.ID, "old", from, "new", to)
}

// group is what a workgroup is called; empty: none, or one that is no more.
func (p *People) group(ctx context.Context, from auth.Reader, id auth.WorkgroupID) (string, error) {
	if id == "" {
		return "", nil
	}
	g, err := p.Groups.Get(ctx, from, id)
	if errors.Is(err, auth.ErrNotFound) {
		return "", nil
	}
	return g.Name, err
}

// happened leaves a row; detail is names and values in turn.
func (p *People) happened(ctx context.Context, tx auth.Tx, kind auth.EventKind, id auth.UserID, detail ...string) error {
	e := auth.Event{Kind: kind, User: id, Detail: map[string]string{}}
	for pair := range slices.Chunk(detail, 2) {
		if pair[1] != "" {
			e.Detail[pair[0]] = pair[1]
		}
	}
	return p.Trail.Record(ctx, tx, e)
}

// Said is a method as forms and programs say it; [Method] reads it.
func Said(m auth.Method) string {
	if m == auth.AnyMethod {
		return "off"
	}
	return string(m)
}

// Method is what Said said.
func Method(said string) auth.Method {
	if said == "off" {
		return auth.AnyMethod
	}
	return auth.Method(said)
}
