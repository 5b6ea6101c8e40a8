package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/admin/people"
	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/factor/passkey"
	"sallyport/internal/factor/password"
)

type userInvite struct {
	place
	Email string `arg:"" help:"Whom."`
}

func (c userInvite) Run(e *env) error {
	var invited auth.Invitation
	err := e.change(c.place, c.Email, func(ctx context.Context, a *app.App, tx auth.Tx, u auth.User) (err error) {
		invited, err = a.People.Invite(ctx, tx, people.Operator, u.ID)
		return err
	}, "is invited; an earlier link is dead")
	if err == nil {
		e.invited(invited)
	}
	return err
}

type userRole struct {
	place
	Email string `arg:"" help:"Whom."`
	Role  string `arg:"" enum:"owner,admin,workgroup admin,support,member" help:"owner, admin, workgroup admin, support or member."`
}

func (c userRole) Run(e *env) error {
	role := auth.Role(c.Role)
	return e.change(c.place, c.Email, func(ctx context.Context, a *app.App, tx auth.Tx, u auth.User) error {
		return a.People.Save(ctx, tx, people.Operator, u.ID, people.Change{Role: &role})
	}, "role: "+c.Role)
}

type userMove struct {
	place
	Email     string `arg:"" help:"Whom."`
	Workgroup string `required:"" help:"Name of the workgroup; empty: none." placeholder:"W"`
}

func (c userMove) Run(e *env) error {
	return e.change(c.place, c.Email, func(ctx context.Context, a *app.App, tx auth.Tx, u auth.User) error {
		to, err := groupNamed(ctx, a, c.Workgroup)
		if err != nil {
			return err
		}
		return a.People.Save(ctx, tx, people.Operator, u.ID, people.Change{Workgroup: to})
	}, "moved")
}

// groupNamed is the id of a workgroup by its name; none for no name.
func groupNamed(ctx context.Context, a *app.App, name string) (*auth.WorkgroupID, error) {
	var none auth.WorkgroupID
	if name == "" {
		return &none, nil
	}
	all, err := a.Workgroups.All(ctx, a.DB)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, g := range all {
		if strings.EqualFold(g.Name, name) {
			return &g.ID, nil
		}
		names = append(names, g.Name)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("there is no workgroup %q: use one of %q", name, names)
}

type userDisable struct {
	place
	Email string `arg:"" help:"Whom."`
}

func (c userDisable) Run(e *env) error {
	return e.change(c.place, c.Email, func(ctx context.Context, a *app.App, tx auth.Tx, u auth.User) error {
		return a.People.Disable(ctx, tx, people.Operator, u.ID)
	}, "disabled")
}

type userEnable struct {
	place
	Email string `arg:"" help:"Whom."`
}

func (c userEnable) Run(e *env) error {
	return e.change(c.place, c.Email, func(ctx context.Context, a *app.App, tx auth.Tx, u auth.User) error {
		return a.People.Enable(ctx, tx, people.Operator, u.ID)
	}, "enabled")
}

type userDelete struct {
	place
	Email string `arg:"" help:"Whom."`
}

func (c userDelete) Run(e *env) error {
	return e.change(c.place, c.Email, func(ctx context.Context, a *app.App, tx auth.Tx, u auth.User) error {
		return a.People.Remove(ctx, tx, people.Operator, u.ID)
	}, "deleted; the record keeps what happened")
}

type explainCommand struct {
	place
	User    string `required:"" help:"Whose sign-in." placeholder:"E"`
	Browser string `default:"new" enum:"new,trusted" help:"new, or one that they trust."`
	Via     string `default:"password" enum:"password,passkey,sso" help:"What they begin with: password, passkey or sso."`
}

// Run says what a sign-in would ask for now, and which level of policy says so.
func (c explainCommand) Run(e *env) error {
	if c.Via == "sso" {
		return fmt.Errorf("nobody comes by single sign-on here: no connection is set up")
	}
	a, err := e.open(c.place)
	if err != nil {
		return err
	}
	defer a.Close()
	u, err := e.find(a, c.User)
	if err != nil {
		return err
	}
	via := map[string]auth.Kind{"password": password.Kind, "passkey": passkey.Kind}[c.Via]
	why, err := a.People.Explain(e.ctx, a.DB, u, people.How{Via: via, Trusted: c.Browser == "trusted"})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s, with a %s in a %s browser: %s\n%s\n", u.Login, c.Via, c.Browser, why.Need, why.Says)
	if why.Level != "" {
		fmt.Fprintln(e.stdout, "decided by:", why.Level)
	}
	return nil
}
