// Package account is Settings: the profile, and the Security page, which shows whatever factors exist and decides
// nothing about them.
package account

import (
	"context"
	"embed"
	"errors"
	"slices"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html
var files embed.FS

// A Carder has a place on the Security page.
type Carder interface {
	Card(context.Context) (web.Part, error)
}

// Account shows people what they have.
type Account struct {
	Parts
}

// Parts are what the pages are made with.
type Parts struct {
	DB        *db.DB
	Users     *user.Store
	Roster    *roster.Roster
	Throttle  *throttle.Throttle
	Trail     *audit.Trail
	Revoker   auth.Revoker
	Cards     []Carder // in order
	Region    string   // of phone numbers without a country: "SE"
	Languages []string // there are messages in
}

func New(p Parts) *Account { return &Account{p} }

// Routes is Settings, on both faces.
func (a *Account) Routes() []web.Route {
	first := a.Roster.First().(web.Prompter).Prompt()
	routes := []web.Route{
		web.On(visit.SignedIn, "GET /account", a.profile, web.About{
			Does: "Show the profile",
			Page: web.Shell(files, "profile.html"),
		}),
		web.On(visit.SignedIn, "POST /account", a.rename, web.About{Does: "Change the name", Then: "/account"}),
		web.On(visit.Fresh, "POST /account/contact", a.contact, web.About{
			Does: "Change where messages go and in which language; codes go on to where they went until the new place is proved",
			Then: "/account",
			On:   "/account",
		}),
		web.On(visit.SignedIn, "GET /account/security", a.security, web.About{
			Does: "Show the state of MFA and what happened lately",
			Page: web.Shell(files, "security.html", "activity.html"),
		}),
		web.On(visit.SignedIn, "GET /account/activity", a.activity, web.About{
			Does: "List what happened in the account, the newest first",
			Page: web.Shell(files, "history.html", "activity.html"),
		}),
		web.On(visit.Fresh, "GET /account/mfa/disable", a.beforeDisabling, web.About{
			Does: "Say whether MFA may be switched off",
			Page: web.Dialog(files, "disable.html"),
			On:   "/account/security",
		}),
		web.On(visit.Fresh, "POST /account/mfa/disable", a.disable, web.About{
			Does:     "Switch MFA off; factors stay, shown as inactive",
			Then:     "/account/security",
			Throttle: "inside",
			Asks:     &first.Reply,
			Words:    first.Words,
		}),
		web.On(visit.SignedIn, "POST /account/mfa/enable", a.enable, web.About{
			Does: "Switch MFA on again",
			Then: "/account/security",
			On:   "/account/security",
		}),
	}
	for _, f := range a.Roster.Second() {
		if h, ok := f.(Holder); ok {
			routes = append(routes, a.hold(h)...)
		}
	}
	return routes
}

type (
	Profile struct {
		Login string    `json:"login"`
		Name  string    `json:"name"`
		Role  auth.Role `json:"role"`
		Added time.Time `json:"added_at"`
		Contact
		Languages []string `json:"-"`
	}
	Contact struct {
		Email    string `json:"email" max:"254" doc:"where mail goes"`
		Phone    string `json:"phone,omitempty" max:"32" doc:"work phone, with + and country"`
		Language string `json:"language,omitempty" max:"35" doc:"of messages, BCP 47; empty: the one of the site"`
	}
	Name struct {
		Name string `json:"name" max:"100"`
	}
	Security struct {
		MFA      string      `json:"mfa" enum:"on,off,inactive" doc:"inactive: factors exist but the person switched MFA off, or it is off for all"`
		Required bool        `json:"required"`
		Due      *time.Time  `json:"due_at,omitempty" doc:"a second factor must be set up by then"`
		Recent   []Happening `json:"recent"`
		Rule     policy.MFA  `json:"policy" enum:"off,optional,required"`
		Recovers *time.Time  `json:"recovers_at,omitempty" doc:"the second step counts as lost: from then on the password lets them change it"`
		Ripe     bool        `json:"-"` // which is now
		Alone    string      `json:"-"` // what they have that signs in without the password
		Advice   string      `json:"-"`
		Cards    []web.Part  `json:"-"`
	}
	Response struct {
		Response auth.Secret `json:"*"`
	}
	Form struct {
		Fields web.Part `json:"-"`
	}
)

func (a *Account) profile(ctx context.Context, _ web.None) (Profile, error) {
	u, err := a.Users.Get(ctx, a.DB, visit.Of(ctx).Session.User.ID)
	return Profile{u.Login, u.Name, u.Role, u.Added, Contact{u.Email, u.Phone, u.Language}, a.Languages}, err
}

func (a *Account) rename(ctx context.Context, in Name) (web.None, error) {
	name := strings.TrimSpace(in.Name)
	if err := user.CheckName(name); err != nil {
		return web.None{}, err
	}
	u := visit.Of(ctx).Session.User.ID
	return web.None{}, a.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := a.Users.Rename(ctx, tx, u, name); err != nil {
			return err
		}
		return a.Trail.Record(ctx, tx, auth.Event{Kind: auth.UserRenamed, User: u})
	})
}

func (a *Account) security(ctx context.Context, _ web.None) (Security, error) {
	now := visit.Of(ctx).Session
	f, err := a.facts(ctx, a.DB)
	if err != nil {
		return Security{}, err
	}
	rule := policy.MFAOf(f)
	out := Security{MFA: "off", Required: rule == policy.Required, Rule: rule}
	switch {
	case !slices.ContainsFunc(f.Enrolled, func(e auth.Enrolment) bool { return e.Standing != auth.Spare }):
	case policy.IsOn(f):
		out.MFA, out.Alone = "on", a.alone(f)
	default:
		out.MFA = "inactive"
	}
	if due := policy.Due(f); !due.IsZero() {
		out.Due = &due
	}
	if policy.Recovering(f.User, f.Now) {
		out.Recovers, out.Ripe = &f.User.Recovers, !f.Now.Before(f.User.Recovers)
	}
	if out.Recent, err = a.happened(a.Trail.Recent(ctx, now.User.ID, recently)); err != nil {
		return Security{}, err
	}
	out.Advice = advice(f)
	for _, c := range a.Cards {
		card, err := c.Card(ctx)
		if err != nil {
			return Security{}, err
		}
		out.Cards = append(out.Cards, card)
	}
	return out, nil
}

// advice is for somebody whom one lost device would lock out (P5).
func advice(f policy.Facts) string {
	sheet := func(e auth.Enrolment) bool { return e.Standing == auth.Spare && !e.Given }
	if len(policy.Left(f)) != 1 || slices.ContainsFunc(f.Enrolled, sheet) {
		return ""
	}
	return "You have one second step. Add another below, so that you are not locked out the day it is lost."
}

func (a *Account) beforeDisabling(ctx context.Context, _ web.None) (Form, error) {
	f, err := a.facts(ctx, a.DB)
	if err != nil {
		return Form{}, err
	}
	return Form{a.Roster.First().(web.Prompter).Prompt().Fields(nil)}, policy.MayDisable(f)
}

// disable is F3: the password is asked for besides the step-up, because what goes is all that the step-up proved.
func (a *Account) disable(ctx context.Context, in Response) (web.None, error) {
	f, err := a.facts(ctx, a.DB)
	if err != nil {
		return web.None{}, err
	}
	if err := policy.MayDisable(f); err != nil {
		return web.None{}, err
	}
	now := visit.Of(ctx).Session
	first := a.Roster.First()
	attempt, claim, err := roster.Attempt(ctx, first, in.Response, func(ctx context.Context) (auth.Attempt, error) {
		return a.Throttle.Take(ctx, now.User, throttle.FirstInside.For(string(now.User.ID)))
	})
	if err != nil {
		return web.None{}, a.Trail.Failed(ctx, auth.FactorFailed, now.User.ID, first.Kind(), err)
	}
	return web.None{}, a.DB.Tx(ctx, func(tx auth.Tx) error {
		_, err := claim(ctx, tx)
		return errors.Join(err, a.Throttle.Succeeded(ctx, tx, attempt), a.switchMFA(ctx, tx, now, true))
	})
}

// enable changes something, or it does nothing: no fresh proof is asked for here, and a new epoch ends what others began.
func (a *Account) enable(ctx context.Context, _ web.None) (web.None, error) {
	now := visit.Of(ctx).Session
	return web.None{}, a.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := a.Users.Lock(ctx, tx, now.User.ID); err != nil {
			return err
		}
		f, err := a.facts(ctx, tx)
		quiet := func(e auth.Enrolment) bool { return e.Standing == auth.Quiet }
		switch {
		case err != nil:
			return err
		case f.User.Epoch != now.User.Epoch: // this session ended since the request began
			return auth.ErrNotSignedIn
		case f.User.Frozen.After(f.Now):
			return auth.Frozen(f.User.Frozen)
		case !f.User.MFAOff && !slices.ContainsFunc(f.Enrolled, quiet):
			return nil
		}
		return a.switchMFA(ctx, tx, now, false)
	})
}

func (a *Account) switchMFA(ctx context.Context, tx auth.Tx, now auth.Session, off bool) error {
	kind := auth.MFAEnabled
	if off {
		kind = auth.MFADisabled
	}
	if err := a.Users.SwitchMFA(ctx, tx, now.User.ID, off); err != nil {
		return err
	}
	for _, f := range a.Roster.Second() {
		if w, ok := f.(auth.Waker); ok && !off {
			if err := w.Wake(ctx, tx, now.User.ID); err != nil {
				return err
			}
		}
	}
	if err := a.Revoker.RevokeOthers(ctx, tx, now.User.ID, now.ID); err != nil {
		return err
	}
	return a.Trail.Record(ctx, tx, auth.Event{Kind: kind, User: now.User.ID})
}

// facts are of this moment: the visit may know the person from before their last act.
func (a *Account) facts(ctx context.Context, from auth.Reader) (policy.Facts, error) {
	now := visit.Of(ctx).Session
	u, err := a.Users.Get(ctx, from, now.User.ID)
	if err != nil {
		return policy.Facts{}, err
	}
	return a.Roster.Facts(ctx, from, u, now.Proofs)
}

// alone is what somebody has that signs in without the password, or "".
func (a *Account) alone(f policy.Facts) string {
	for _, factor := range a.Roster.Second() {
		if o, ok := factor.(web.Opener); ok && slices.Contains(f.Rules.Factors, o.Kind()) && len(roster.Of(o.Kind(), f.Enrolled)) > 0 {
			return o.Prompt().Noun
		}
	}
	return ""
}
