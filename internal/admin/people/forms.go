package people

import (
	"context"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/web"
)

type (
	Saved struct {
		ID auth.UserID `path:"id"`

		Name      string `json:"name" max:"100"`
		Email     string `json:"email" max:"254" doc:"where mail goes"`
		Phone     string `json:"phone,omitempty" max:"32" doc:"work phone, with + and country"`
		Role      string `json:"role,omitempty" max:"32" doc:"owner, admin, workgroup admin, support or member; nothing: as it is"`
		Workgroup string `json:"workgroup,omitempty" max:"64" doc:"an id, or none; nothing: as it is"`
		MFA       string `json:"mfa,omitempty" max:"16" doc:"off, email, sms or required; nothing: as it is"`
		Version   string `json:"version,omitempty" max:"64" doc:"that the change begins from; refused if it is another now"`
	}
	NewPerson struct {
		Name      string `json:"name" max:"100"`
		Email     string `json:"email" max:"254" doc:"the login, and where mail goes"`
		Phone     string `json:"phone,omitempty" max:"32" doc:"work phone, with + and country"`
		Role      string `json:"role,omitempty" max:"32" doc:"owner, admin, workgroup admin, support or member; nothing: member"`
		Workgroup string `json:"workgroup,omitempty" max:"64" doc:"an id, or none"`
		MFA       string `json:"mfa,omitempty" max:"16" doc:"off, email, sms or required"`
		Password  string `json:"password,omitempty" max:"16" doc:"invitation: they choose one behind a link; none: they come by something else"`
	}
)

// save is the form of a page. Whoever saves what somebody else changed meanwhile is told, rather than undoing it unawares.
func (p *People) save(ctx context.Context, in Saved) (web.None, error) {
	c := Fields{in.Name, in.Email, in.Phone, in.Role, in.Workgroup, in.MFA}.change()
	do := func(tx auth.Tx, a Actor) error {
		_, u, err := p.may(ctx, tx, a, in.ID, auth.WorkgroupAdmin)
		if err != nil {
			return err
		}
		if in.Version != "" && in.Version != version(u) {
			return auth.ConflictError{Code: "changed-meanwhile", Why: "Somebody else changed this person since you opened the page. Look at what is here now, then save again."}
		}
		return p.Save(ctx, tx, a, in.ID, c)
	}
	now, err := p.seen(ctx, in.ID)
	if err != nil {
		return web.None{}, err
	}
	if after, err := p.changed(now, c); err == nil && after.Email == now.Email && after.Phone == now.Phone && after.Method == now.Method {
		return web.None{}, p.tx(ctx, in.ID, do)
	}
	return web.None{}, p.collides(ctx, Acting(ctx), func() error { return p.tx(ctx, in.ID, do) })
}

func (p *People) blank(ctx context.Context, _ web.None) (Blank, error) {
	a := Acting(ctx)
	u := auth.User{Role: auth.Member}
	if !a.Role.Reaches(auth.Admin) {
		u.Workgroup = a.Workgroup
	}
	rules, err := p.Roster.RulesOf(ctx, p.DB, u)
	if err != nil {
		return Blank{}, err
	}
	out := Blank{Role: string(auth.Member), Method: Said(u.Method), ByMail: p.Mails, May: May{Change: true, Roles: a.Role.Reaches(auth.Admin)}}
	if out.Form, err = p.form(ctx, a, u, policy.Facts{Rules: rules}); err != nil {
		return out, err
	}
	out.Form.Hint = "Email or SMS needs the field of that name."
	out.Group, err = p.group(ctx, p.DB, u.Workgroup)
	return out, err
}

func (p *People) add(ctx context.Context, in NewPerson) (out Invited, err error) {
	if in.Password != "" && in.Password != "invitation" && in.Password != none {
		return out, auth.InvalidError{Field: "password", Why: "must be invitation or none"}
	}
	c := Fields{in.Name, in.Email, in.Phone, in.Role, in.Workgroup, in.MFA}.change()
	do := func(tx auth.Tx, a Actor) error {
		u, err := p.Add(ctx, tx, a, c)
		out = Invited{ID: u.ID, Name: u.Name}
		if err == nil && in.Password != none {
			var i auth.Invitation
			i, err = p.Invite(ctx, tx, a, u.ID)
			out.invite(i)
		}
		if err != nil {
			return err
		}
		return p.Directory.Refresh(ctx, tx, u.ID)
	}
	err = p.collides(ctx, Acting(ctx), func() error { return p.tx(ctx, "", do) })
	return out, err
}

func (p *People) invite(ctx context.Context, in Which) (out Invited, err error) {
	err = p.tx(ctx, in.ID, func(tx auth.Tx, a Actor) error {
		i, err := p.Invite(ctx, tx, a, in.ID)
		if err != nil {
			return err
		}
		u, err := p.Users.Get(ctx, tx, in.ID)
		out = Invited{ID: u.ID, Name: u.Name}
		out.invite(i)
		return err
	})
	return out, err
}

func (o *Invited) invite(i auth.Invitation) {
	o.Sent, o.To, o.Link, o.Until = true, i.To, string(i.Link), &i.Until
}

func (p *People) reset(ctx context.Context, in Why) (out Given, err error) {
	err = p.tx(ctx, in.ID, func(tx auth.Tx, a Actor) error {
		issued, err := p.ResetMFA(ctx, tx, a, in.ID, in.Reason)
		if err != nil {
			return err
		}
		u, err := p.Users.Get(ctx, tx, in.ID)
		out = Given{ID: in.ID, Name: u.Name, Reset: true, To: issued.To, Pass: string(issued.Pass.Code)}
		if !issued.Pass.Until.IsZero() {
			out.Until = &issued.Pass.Until
		}
		return err
	})
	return out, err
}

func (p *People) pass(ctx context.Context, in PassFor) (out Given, err error) {
	err = p.tx(ctx, in.ID, func(tx auth.Tx, a Actor) error {
		pass, err := p.GivePass(ctx, tx, a, in.ID, strings.TrimSpace(in.Reason), time.Duration(in.Minutes)*time.Minute)
		if err != nil {
			return err
		}
		u, err := p.Users.Get(ctx, tx, in.ID)
		out = Given{ID: in.ID, Name: u.Name, Pass: string(pass.Code), Until: &pass.Until}
		return err
	})
	return out, err
}
