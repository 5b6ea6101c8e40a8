package people

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

const (
	list = "/admin/users"
	at   = list + "/{id}"
)

// Routes are the page of a person and what is done there, on both faces.
func (p *People) Routes() []web.Route {
	return append(p.dialogs(),
		web.On(visit.Steward, "GET "+list+"/new", p.blank, web.About{
			Does: "Say what can be chosen for a new person",
			Page: web.Desk(files, "new.html", "fields.html"),
		}),
		web.On(visit.StewardFresh, "POST "+list, p.add, web.About{
			Does: "Add a person, who chooses a password behind a link or has none",
			Page: web.Desk(files, "invited.html"),
			On:   list + "/new",
		}),
		web.On(visit.Staff, "GET "+at, p.show, web.About{
			Does: "Show a person: what they have, what holds for them, and what a sign-in would ask for",
			Page: web.Desk(files, "user.html", "fields.html"),
		}),
		web.On(visit.StewardFresh, "POST "+at, p.save, web.About{
			Does: "Change name, contact, role, workgroup and second step of a person, all or nothing",
			Then: at,
		}),
		web.On(visit.StewardFresh, "POST "+at+"/invitation", p.invite, web.About{
			Does: "Send somebody who never signed in another link to choose a password by",
			Page: web.Desk(files, "invited.html"),
			On:   at,
		}),
		p.act("POST "+at+"/enable", "Let somebody in again who was kept out", p.Enable),
		p.act("DELETE "+at+"/sessions", "Sign somebody out everywhere; no browser is trusted any more", p.SignOut),
		web.On(visit.StewardFresh, "DELETE "+at+"/sessions/{session}", p.endSession, web.About{Does: "Sign somebody out of one session", Then: at, On: at}),
		web.On(visit.StewardFresh, "DELETE "+at+"/trusted/{browser}", p.forget, web.About{Does: "Trust one browser of somebody no more", Then: at, On: at}),
	)
}

// dialogs are the acts that are asked about first.
func (p *People) dialogs() []web.Route {
	return []web.Route{
		p.ask(visit.StaffFresh, "/mfa/reset", "Say what a reset takes away", "reset.html"),
		web.On(visit.StaffFresh, "POST "+at+"/mfa/reset", p.reset, web.About{
			Does: "Remove somebody’s second steps, sessions and trusted browsers; they come back by a link or a pass",
			Page: web.Desk(files, "given.html"),
		}),
		p.ask(visit.StaffFresh, "/pass", "Say what an access pass is for", "pass.html"),
		web.On(visit.StaffFresh, "POST "+at+"/pass", p.pass, web.About{
			Does: "Give somebody locked out a second step that works once; it is shown only now",
			Page: web.Desk(files, "given.html"),
		}),
		p.ask(visit.StewardFresh, "/disable", "Say what it means to be disabled", "disable.html"),
		web.On(visit.StewardFresh, "POST "+at+"/disable", p.each(p.Disable), web.About{Does: "Keep somebody out from now on", Then: at}),
		p.ask(visit.StewardFresh, "/unlock", "Say why an account is locked against changes", "unlock.html"),
		web.On(visit.StewardFresh, "POST "+at+"/unlock", p.unlock, web.About{Does: "Allow changes again, after “This wasn’t me” locked an account", Then: at}),
		p.ask(visit.StewardFresh, "/remove", "Say what goes with a person", "remove.html"),
		web.On(visit.StewardFresh, "DELETE "+at, p.remove, web.About{Does: "Delete a person; the record keeps what happened", Then: list, On: at + "/remove"}),
		web.On(visit.StewardFresh, "GET "+at+"/factors/{kind}/{factor}/remove", p.beforeRemoval, web.About{
			Does: "Say which of somebody’s factors would go",
			Page: web.DeskDialog(files, "factor.html"),
			On:   at,
		}),
		web.On(visit.StewardFresh, "DELETE "+at+"/factors/{kind}/{factor}", p.removeFactor, web.About{
			Does: "Remove one of somebody’s factors, but not their last; their sessions end",
			Then: at,
			On:   at + "/factors/{kind}/{factor}/remove",
		}),
	}
}

type (
	Fields struct {
		Name      string
		Email     string
		Phone     string
		Role      string
		Workgroup string
		MFA       string
	}
	Blank struct {
		Form   Form   `json:"-"`
		May    May    `json:"-"`
		ByMail bool   `json:"by_mail" doc:"an invitation is mailed; else its link is shown once"`
		Role   string `json:"-"`
		Method string `json:"-"`
		Name   string `json:"-"`
		Email  string `json:"-"`
		Phone  string `json:"-"`
		Group  string `json:"-"`
	}
	Invited struct {
		ID    auth.UserID `json:"id"`
		Name  string      `json:"name"`
		Sent  bool        `json:"invited"`
		To    string      `json:"sent_to,omitempty" doc:"masked"`
		Link  string      `json:"link,omitempty" doc:"to be handed over, where no mail is sent; shown only now"`
		Until *time.Time  `json:"expires_at,omitempty"`
	}
	Subject struct {
		ID    auth.UserID `json:"id"`
		Name  string      `json:"name"`
		Login string      `json:"login"`
		Back  string      `json:"-"`
	}
	Why struct {
		ID     auth.UserID `path:"id"`
		Reason string      `json:"reason" max:"200" doc:"it stands in the record"`
	}
	PassFor struct {
		ID      auth.UserID `path:"id"`
		Reason  string      `json:"reason" max:"200" doc:"it stands in the record"`
		Minutes int         `json:"minutes" max:"1440" doc:"how long the pass works, 5 to 1440"`
	}
	Given struct {
		ID    auth.UserID `json:"id"`
		Name  string      `json:"name"`
		Reset bool        `json:"-"`
		To    string      `json:"sent_to,omitempty" doc:"where a link was mailed, masked"`
		Pass  string      `json:"pass,omitempty" doc:"shown only now"`
		Until *time.Time  `json:"expires_at,omitempty"`
	}
	Typed struct {
		ID    auth.UserID `path:"id"`
		Email string      `json:"email" max:"254" doc:"the login of the person, typed to confirm"`
	}
	OneSession struct {
		ID      auth.UserID    `path:"id"`
		Session auth.SessionID `path:"session"`
	}
	OneBrowser struct {
		ID      auth.UserID `path:"id"`
		Browser string      `path:"browser"`
	}
	OneFactor struct {
		ID     auth.UserID      `path:"id"`
		Kind   auth.Kind        `path:"kind"`
		Factor auth.EnrolmentID `path:"factor"`
	}
	Removal struct {
		Subject
		Kind   auth.Kind        `json:"kind"`
		Factor auth.EnrolmentID `json:"factor"`
		Called string           `json:"factor_name"`
	}
)

// tx is one act in a transaction of its own.
func (p *People) tx(ctx context.Context, id auth.UserID, do func(auth.Tx, Actor) error) error {
	a := Acting(ctx)
	return p.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := do(tx, a); err != nil {
			return err
		}
		return p.Directory.Refresh(ctx, tx, id) // last, so that the list says it at once
	})
}

// each makes a handler of an act that needs nothing but whom.
func (p *People) each(do func(context.Context, auth.Tx, Actor, auth.UserID) error) func(context.Context, Which) (web.None, error) {
	return func(ctx context.Context, in Which) (web.None, error) {
		return web.None{}, p.tx(ctx, in.ID, func(tx auth.Tx, a Actor) error { return do(ctx, tx, a, in.ID) })
	}
}

// act is the route of one that is done at once.
func (p *People) act(pattern, does string, do func(context.Context, auth.Tx, Actor, auth.UserID) error) web.Route {
	return web.On(visit.StewardFresh, pattern, p.each(do), web.About{Does: does, Then: at, On: at})
}

// ask is the dialog of an act, for who may do it.
func (p *People) ask(guard visit.Guard, path, does, page string) web.Route {
	return web.On(guard, "GET "+at+path, func(ctx context.Context, in Which) (Subject, error) { return p.subject(ctx, in.ID) },
		web.About{Does: does, Page: web.DeskDialog(files, page), On: at})
}

// subject is somebody to whom something may be done. The act itself asks again.
func (p *People) subject(ctx context.Context, id auth.UserID) (Subject, error) {
	u, err := p.seen(ctx, id)
	if err == nil {
		err = errors.Join(policy.MayManage(visit.Of(ctx).Session.User, u), notSelf(Acting(ctx), u))
	}
	return Subject{u.ID, u.Name, u.Login, list + "/" + string(u.ID)}, err
}

// change is what a form asks for.
func (f Fields) change() Change {
	c := Change{Name: &f.Name, Email: &f.Email, Phone: &f.Phone}
	if role := auth.Role(f.Role); role != "" {
		c.Role = &role
	}
	if to := auth.WorkgroupID(f.Workgroup); to != "" {
		if to == none {
			to = ""
		}
		c.Workgroup = &to
	}
	if f.MFA != "" {
		m := Method(f.MFA)
		c.Method = &m
	}
	return c
}

func (p *People) endSession(ctx context.Context, in OneSession) (web.None, error) {
	return web.None{}, p.tx(ctx, in.ID, func(tx auth.Tx, a Actor) error { return p.EndSession(ctx, tx, a, in.ID, in.Session) })
}

func (p *People) forget(ctx context.Context, in OneBrowser) (web.None, error) {
	return web.None{}, p.tx(ctx, in.ID, func(tx auth.Tx, a Actor) error { return p.Forget(ctx, tx, a, in.ID, in.Browser) })
}

func (p *People) unlock(ctx context.Context, in Why) (web.None, error) {
	return web.None{}, p.tx(ctx, in.ID, func(tx auth.Tx, a Actor) error { return p.Unfreeze(ctx, tx, a, in.ID, in.Reason) })
}

func (p *People) beforeRemoval(ctx context.Context, in OneFactor) (out Removal, err error) {
	if out.Subject, err = p.subject(ctx, in.ID); err != nil {
		return out, err
	}
	u, err := p.seen(ctx, in.ID)
	if err != nil {
		return out, err
	}
	e, err := p.removable(ctx, p.DB, u, in.Kind, in.Factor)
	out.Kind, out.Factor, out.Called = in.Kind, in.Factor, e.Name
	return out, err
}

func (p *People) removeFactor(ctx context.Context, in OneFactor) (web.None, error) {
	return web.None{}, p.tx(ctx, in.ID, func(tx auth.Tx, a Actor) error { return p.RemoveFactor(ctx, tx, a, in.ID, in.Kind, in.Factor) })
}

// remove wants the login typed, so that nobody deletes the one who stands beside in a list.
func (p *People) remove(ctx context.Context, in Typed) (web.None, error) {
	return web.None{}, p.tx(ctx, in.ID, func(tx auth.Tx, a Actor) error {
		u, err := p.others(ctx, tx, a, in.ID, auth.WorkgroupAdmin)
		if err == nil && user.Key(in.Email) != user.Key(u.Login) {
			err = auth.InvalidError{Field: "email", Why: "is not the email that this person signs in with"}
		}
		if err != nil {
			return err
		}
		return p.Remove(ctx, tx, a, in.ID)
	})
}
