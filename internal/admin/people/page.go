package people

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/audit/plain"
	"sallyport/internal/auth"
	"sallyport/internal/factor/passkey"
	"sallyport/internal/factor/password"
	"sallyport/internal/policy"
	"sallyport/internal/session"
	"sallyport/internal/trust"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

type (
	Which struct {
		ID auth.UserID `path:"id"`
	}
	// A Person is all that administrators see of somebody. Destinations are masked for who may not change them.
	Person struct {
		ID        auth.UserID      `json:"id"`
		Login     string           `json:"login"`
		Name      string           `json:"name"`
		Email     string           `json:"email"`
		Phone     string           `json:"phone,omitempty"`
		Role      auth.Role        `json:"role"`
		Workgroup auth.WorkgroupID `json:"workgroup,omitempty"`
		Group     string           `json:"workgroup_name,omitempty"`
		Method    string           `json:"mfa" enum:"off,email,sms,required" doc:"set by an administrator"`
		Status    string           `json:"status" enum:"active,invited,disabled,locked"`
		Frozen    *time.Time       `json:"locked_until,omitempty" doc:"nobody changes how the account is protected"`
		Added     time.Time        `json:"added_at"`
		LastIn    *time.Time       `json:"last_signed_in_at,omitempty"`
		Password  *time.Time       `json:"password_changed_at,omitempty"`
		Version   string           `json:"version" doc:"of name, contact, role, workgroup and mfa: sent along with a change, it is refused where somebody else was faster"`
		Factors   []Factor         `json:"factors"`
		Sessions  []session.Listed `json:"sessions"`
		Trusted   []trust.Listed   `json:"trusted_browsers"`
		Events    []Happening      `json:"events" doc:"the latest"`
		Policy    []Ruling         `json:"policy" doc:"what holds for them, and which level says so"`
		Asked     []Explanation    `json:"asked" doc:"what a sign-in would ask for now"`
		May       May              `json:"-"`
		Form      Form             `json:"-"`
		Fresh     bool             `json:"-"`
		Invited   bool             `json:"-"` // they hold an invitation that works
	}
	Factor struct {
		ID        auth.EnrolmentID `json:"id"`
		Kind      auth.Kind        `json:"kind"`
		Name      string           `json:"name"`
		Added     time.Time        `json:"added_at"`
		Used      *time.Time       `json:"last_used_at,omitempty"`
		State     auth.State       `json:"state,omitempty" enum:",void,blocked"`
		Counts    bool             `json:"counts" doc:"policy accepts it"`
		Title     string           `json:"-"`
		Icon      string           `json:"-"`
		Removable bool             `json:"-"`
	}
	Happening struct {
		At      time.Time      `json:"at"`
		Kind    auth.EventKind `json:"kind"`
		What    string         `json:"what"`
		More    string         `json:"more,omitempty"`
		Tone    string         `json:"tone,omitempty" enum:",ok,warn,bad" doc:"it may be somebody else’s doing"`
		Icon    string         `json:"-"`
		By      string         `json:"by,omitempty" doc:"who did it, if it was not the person"`
		Address string         `json:"address,omitempty"`
		Browser string         `json:"browser,omitempty"`
	}
	Ruling struct {
		What   string `json:"what"`
		Value  string `json:"value"`
		Source string `json:"source"`
	}
	// May is what whoever looks may do.
	May struct{ Change, Roles, Help, Manage bool }
	// A Form is what can be chosen.
	Form struct {
		Roles, Groups, Methods []web.Option
		Group, Hint, PhoneHint string
	}
)

// recently is how many events stand on the page.
const recently = 8

func (p *People) show(ctx context.Context, in Which) (Person, error) {
	a := Acting(ctx)
	u, err := p.seen(ctx, in.ID)
	if err != nil {
		return Person{}, err
	}
	out := Person{ID: u.ID, Login: u.Login, Name: u.Name, Email: u.Email, Phone: u.Phone, Role: u.Role, Workgroup: u.Workgroup, Method: Said(u.Method),
		Added: u.Added, Version: version(u)}
	manages, self := policy.MayManage(a.User, u) == nil, a.ID == u.ID
	out.May = May{Change: manages && a.Role.Reaches(auth.WorkgroupAdmin), Roles: manages && !self && a.Role.Reaches(auth.Admin),
		Help: manages && !self, Manage: manages && !self && a.Role.Reaches(auth.WorkgroupAdmin)}
	if !out.May.Change {
		out.Email, out.Phone = user.MaskEmail(u.Email), user.MaskPhone(u.Phone)
	}
	f, err := p.facts(ctx, p.DB, u, nil)
	if err != nil {
		return out, err
	}
	out.Factors, out.Policy = p.factors(f), p.policy(f)
	if out.Sessions, err = p.Sessions.Of(ctx, u, a.Session); err != nil {
		return out, err
	}
	if out.Trusted, err = p.Trust.List(ctx, u); err != nil {
		return out, err
	}
	if err := p.life(ctx, u, &out); err != nil {
		return out, err
	}
	if out.Events, err = p.lately(ctx, a, u.ID); err != nil {
		return out, err
	}
	if out.Asked, err = p.asked(ctx, u); err != nil {
		return out, err
	}
	if out.Group, err = p.group(ctx, p.DB, u.Workgroup); err != nil {
		return out, err
	}
	out.Form, err = p.form(ctx, a, u, f)
	return out, err
}

// seen is a person whom whoever looks may see.
func (p *People) seen(ctx context.Context, id auth.UserID) (auth.User, error) {
	u, err := p.Users.Get(ctx, p.DB, id)
	if err == nil {
		err = policy.MaySee(visit.Of(ctx).Session.User, u)
	}
	return u, err
}

// version stands for all that the form changes.
func version(u auth.User) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q %q %q %q %q %q", u.Name, u.Email, u.Phone, u.Role, u.Workgroup, u.Method)))
	return hex.EncodeToString(sum[:8])
}

// life is what is known of how somebody was here.
func (p *People) life(ctx context.Context, u auth.User, out *Person) error {
	last, err := p.Trail.Last(ctx, p.DB, u.ID, auth.SessionStarted)
	if err != nil {
		return err
	}
	if !last.IsZero() {
		out.LastIn = &last
	}
	words, err := p.Roster.First().Enrolments(ctx, p.DB, u.ID)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		out.Password = &words[0].Added
	}
	if out.Fresh = out.LastIn == nil && out.Password == nil; out.Fresh {
		if out.Invited, err = p.Recovery.Invited(ctx, p.DB, u); err != nil {
			return err
		}
	}
	switch {
	case u.Disabled:
		out.Status = "disabled"
	case u.Frozen.After(p.Clock()):
		out.Status, out.Frozen = "locked", &u.Frozen
	case out.Fresh:
		out.Status = "invited"
	default:
		out.Status = "active"
	}
	return nil
}

// factors is what somebody set up, in the order of policy.
func (p *People) factors(f policy.Facts) []Factor {
	signs, all := web.Signs(p.Roster.Second()...), []Factor{}
	for _, e := range f.Enrolled {
		if e.ID == "address" { // nobody set it up
			continue
		}
		one := Factor{ID: e.ID, Kind: e.Kind, Name: e.Name, Added: e.Added, State: e.State, Counts: f.Rules.Asks(e.Kind),
			Title: signs[e.Kind].Title, Icon: signs[e.Kind].Icon, Removable: !e.Given && p.remover(e.Kind) != nil}
		if !e.LastUsed.IsZero() {
			one.Used = &e.LastUsed
		}
		all = append(all, one)
	}
	return all
}

// policy is what holds for somebody, and which level says so.
func (p *People) policy(f policy.Facts) []Ruling {
	mfa := Ruling{"MFA", map[policy.MFA]string{policy.Off: "Off", policy.Optional: "Optional", policy.Required: "Required"}[policy.MFAOf(f)], "by " + f.Rules.Source.MFA}
	if f.User.Method != auth.AnyMethod {
		mfa.Source = byAdmin
	}
	var counting []string
	signs := web.Signs(p.Roster.Second()...)
	for _, k := range f.Rules.Factors {
		counting = append(counting, signs[k].Title)
	}
	keys := Ruling{"Passkeys", "Enabled", "by " + f.Rules.Source.Factors}
	switch {
	case !slices.Contains(f.Rules.Factors, passkey.Kind):
		keys.Value = "Disabled"
	case slices.Contains(f.Rules.Closed, passkey.Kind):
		keys.Value, keys.Source = "Use only", "by "+policy.Configured
		for _, l := range f.Rules.Levels {
			if slices.Contains(l.Closed, passkey.Kind) {
				keys.Source = "by " + l.Name
			}
		}
	}
	trusted := Ruling{"Trusted browsers", days(f.Rules.Trust), "by " + f.Rules.Source.Trust}
	if f.Rules.Trust == 0 {
		trusted.Value = "None"
	}
	all := []Ruling{mfa, {"Second steps", strings.Join(counting, ", "), "by " + f.Rules.Source.Factors}, keys, trusted}
	if due := policy.Due(f); !due.IsZero() {
		all = append(all, Ruling{"To be set up by", due.UTC().Format("2 Jan 2006, 15:04 MST"), mfa.Source})
	}
	return all
}

func (p *People) lately(ctx context.Context, a Actor, id auth.UserID) ([]Happening, error) {
	events, err := p.Trail.Recent(ctx, id, recently)
	if err != nil {
		return nil, err
	}
	own, err := p.group(ctx, p.DB, a.Workgroup)
	if err != nil {
		return nil, err
	}
	signs := web.Signs(append(p.Roster.Second(), p.Roster.First())...)
	all, known := []Happening{}, map[auth.UserID]auth.User{"": {}}
	for _, e := range events {
		if _, asked := known[e.Actor]; !asked {
			u, err := p.Users.Get(ctx, p.DB, e.Actor)
			if errors.Is(err, auth.ErrNotFound) {
				u = auth.User{Name: "somebody who is no more"}
			} else if err != nil {
				return nil, err
			}
			known[e.Actor] = u
		}
		by := known[e.Actor]
		e, hidden := plain.Seen(a.User, own, e, by)
		if hidden {
			by.Name = plain.Somebody
		}
		w := plain.Words(e, signs)
		all = append(all, Happening{e.At, e.Kind, w.Title, w.More, w.Tone, w.Icon, by.Name, e.Address, e.Browser})
	}
	return all, nil
}

// asked is “Why was I asked?”: what a sign-in would ask for now.
func (p *People) asked(ctx context.Context, u auth.User) (all []Explanation, err error) {
	ways := []How{{password.Kind, false}, {password.Kind, true}, {passkey.Kind, false}}
	for _, how := range ways {
		e, err := p.Explain(ctx, p.DB, u, how)
		if err != nil {
			return nil, err
		}
		if how.Via == passkey.Kind && e.Need == policy.Denied { // they have none
			continue
		}
		all = append(all, e)
	}
	return all, nil
}

var methods = []struct {
	method auth.Method
	text   string
}{{auth.AnyMethod, "Off"}, {auth.ByEmail, "Email"}, {auth.BySMS, "SMS"}, {auth.MustHaveOne, "Required"}}

// form is what an actor can choose for somebody, and what they have.
func (p *People) form(ctx context.Context, a Actor, u auth.User, f policy.Facts) (Form, error) {
	var out Form
	for _, r := range auth.Roles {
		if a.Role.Reaches(r) || r == u.Role {
			out.Roles = append(out.Roles, web.Option{Value: string(r), Text: strings.ToUpper(string(r[:1])) + string(r[1:])})
		}
	}
	for _, m := range methods {
		code := m.method == auth.ByEmail || m.method == auth.BySMS
		if m.method == u.Method || !code || slices.Contains(f.Rules.Factors, auth.Kind(m.method)) {
			out.Methods = append(out.Methods, web.Option{Value: Said(m.method), Text: m.text})
		}
	}
	switch u.Method {
	case auth.ByEmail, auth.BySMS:
		out.Hint = "A code by " + method(u.Method) + " unless a stronger factor is used."
	case auth.MustHaveOne:
		out.Hint = "A second step at every sign-in, whichever counts."
	case auth.AnyMethod:
		out.Hint = "As the rules and the person choose."
	}
	out.PhoneHint = "With country code, such as +46 70 174 06 05."
	if u.Method == auth.BySMS {
		out.PhoneHint = "Required: MFA is set to SMS."
	}
	groups, err := p.Groups.All(ctx, p.DB)
	out.Groups = []web.Option{{Value: none, Text: "None"}}
	if out.Group = string(u.Workgroup); u.Workgroup == "" {
		out.Group = none
	}
	for _, g := range groups {
		out.Groups = append(out.Groups, web.Option{Value: string(g.ID), Text: g.Name})
	}
	return out, err
}

// none is no workgroup, in a form.
const none = "none"
