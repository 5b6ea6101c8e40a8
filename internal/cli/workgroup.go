package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"sallyport/internal/admin/groups"
	"sallyport/internal/admin/people"
	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/workgroup"
)

type workgroupCommands struct {
	Add    workgroupAdd    `cmd:"" help:"Add a workgroup."`
	List   workgroupList   `cmd:"" help:"List the workgroups, and what each asks of its people."`
	Rename workgroupRename `cmd:"" help:"Rename a workgroup."`
	Join   workgroupJoin   `cmd:"" help:"Put a person into a workgroup, in place of the one they are in."`
	Remove workgroupRemove `cmd:"" help:"Remove a workgroup that nobody is in."`
	Set    workgroupSet    `cmd:"" help:"Change what a workgroup, or with --instance everybody, is asked for; says first what that does to whom."`
}

type workgroupAdd struct {
	place
	Name string `arg:"" help:"Its name."`
}

func (c workgroupAdd) Run(e *env) error {
	return e.inGroups(c.place, func(ctx context.Context, a *app.App) error {
		_, err := a.Groups.Add(ctx, c.Name, nil)
		if err == nil {
			fmt.Fprintln(e.stdout, "added", c.Name)
		}
		return err
	})
}

type workgroupList struct{ place }

func (c workgroupList) Run(e *env) error {
	return e.inGroups(c.place, func(ctx context.Context, a *app.App) error {
		all, err := a.Workgroups.All(ctx, a.DB)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tPEOPLE\tREADY\tASKS FOR")
		for _, g := range all {
			now, err := a.Groups.Now(ctx, a.DB, g.ID)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", g.Name, now.Preview.People, now.Preview.Ready+now.Preview.Codes, a.Groups.Words(g.Level))
		}
		return w.Flush()
	})
}

type workgroupRename struct {
	place
	Name string `arg:"" help:"Which."`
	New  string `arg:"" help:"Its new name."`
}

func (c workgroupRename) Run(e *env) error {
	return e.inGroups(c.place, func(ctx context.Context, a *app.App) error {
		id, err := called(ctx, a, c.Name)
		if err == nil {
			err = a.Groups.Rename(ctx, id, c.New, nil)
		}
		if err == nil {
			fmt.Fprintln(e.stdout, c.Name, "is now", c.New)
		}
		return err
	})
}

type workgroupJoin struct {
	place
	Email string `arg:"" help:"Whom."`
	Name  string `arg:"" help:"Which workgroup."`
}

func (c workgroupJoin) Run(e *env) error {
	return e.inGroups(c.place, func(ctx context.Context, a *app.App) error {
		id, err := called(ctx, a, c.Name)
		if err != nil {
			return err
		}
		u, err := a.Users.Find(ctx, c.Email)
		if err != nil {
			return fmt.Errorf("find %s: %w", c.Email, err)
		}
		err = a.DB.Tx(ctx, func(tx auth.Tx) error { // as the page does it: an open invitation ends
			if err := a.People.Save(ctx, tx, people.Operator, u.ID, people.Change{Workgroup: &id}); err != nil {
				return err
			}
			return a.Directory.Refresh(ctx, tx, u.ID)
		})
		if err == nil {
			fmt.Fprintln(e.stdout, u.Login, "is in", c.Name)
		}
		return err
	})
}

type workgroupRemove struct {
	place
	Name string `arg:"" help:"Which."`
}

func (c workgroupRemove) Run(e *env) error {
	return e.inGroups(c.place, func(ctx context.Context, a *app.App) error {
		id, err := called(ctx, a, c.Name)
		if err == nil {
			err = a.Groups.Remove(ctx, id, nil)
		}
		if err == nil {
			fmt.Fprintln(e.stdout, "removed", c.Name)
		}
		return err
	})
}

type workgroupSet struct {
	place
	Name      string  `arg:"" optional:"" help:"Which workgroup."`
	Instance  bool    `help:"Everybody, in place of a workgroup."`
	MFA       *string `name:"mfa" help:"required, or off: each person's own setting." placeholder:"M" enum:"required,off"`
	When      *string `help:"next: from the next sign-in; once: live sessions are asked, too." placeholder:"W" enum:"next,once"`
	GraceDays *int    `help:"How long somebody without a factor may go on." placeholder:"N"`
	Factors   *string `help:"any, strong (passkey or authenticator app), passkey, or kinds with commas between: totp,backupcode." placeholder:"F"`
	Channels  *string `help:"Codes by: any, email, sms or none." placeholder:"C" enum:"any,email,sms,none"`
	Passkeys  *string `help:"enabled, 'use only' or disabled." placeholder:"P" enum:"enabled,use only,disabled"`
	TrustDays *string `help:"Days that a browser may be trusted, none, or default." placeholder:"N"`
	DryRun    bool    `help:"Only say what it would do."`
}

func (c workgroupSet) Run(e *env) error {
	if c.Instance == (c.Name != "") {
		return errors.New("name a workgroup, or say --instance")
	}
	return e.inGroups(c.place, func(ctx context.Context, a *app.App) error {
		id := workgroup.Instance
		if !c.Instance {
			var err error
			if id, err = called(ctx, a, c.Name); err != nil {
				return err
			}
		}
		now, err := a.Groups.Now(ctx, a.DB, id)
		if err != nil {
			return err
		}
		o := c.over(now.Options())
		tried, err := a.Groups.Try(ctx, a.DB, id, o)
		if err != nil {
			return err
		}
		e.foretell(tried.Preview)
		if tried.Preview.Refused != "" {
			return errors.New(tried.Preview.Refused)
		}
		if c.DryRun {
			fmt.Fprintln(e.stdout, "nothing was changed")
			return nil
		}
		saved, err := a.Groups.Save(ctx, id, o, nil)
		if err == nil {
			fmt.Fprintln(e.stdout, "saved:", a.Groups.Words(saved.Level))
		}
		return err
	})
}

// over changes what was said on the command line, and leaves the rest.
func (c workgroupSet) over(o groups.Options) groups.Options {
	if c.MFA != nil {
		o.Require = *c.MFA == "required"
	}
	if c.When != nil {
		o.When = *c.When
	}
	if c.GraceDays != nil {
		o.Grace = *c.GraceDays
	}
	if c.Factors != nil {
		switch o.Kinds, o.Factors = nil, *c.Factors; o.Factors {
		case "any":
			o.Factors = ""
		case "strong", "passkey":
		default:
			o.Kinds, o.Factors = strings.Split(o.Factors, ","), "own"
		}
	}
	for from, to := range map[*string]*string{c.Channels: &o.Channels, c.Passkeys: &o.Passkeys, c.TrustDays: &o.Trust} {
		if from == nil {
			continue
		}
		if *to = *from; *from == "any" || *from == "enabled" || *from == "default" {
			*to = ""
		}
	}
	return o
}

// foretell says what the page says.
func (e *env) foretell(p groups.Preview) {
	fmt.Fprintf(e.stdout, "of %d people:\n", p.People)
	by := ""
	if p.Due != nil {
		by = ", by " + p.Due.UTC().Format("2 January 2006") + " at the latest"
	}
	for _, line := range []struct {
		n    int
		what string
	}{{p.Ready, "are ready: they have an accepted factor"}, {p.Enrol, "enrol at their next sign-in" + by}, {p.Codes, "get a code at their verified email or phone"},
		{p.Alone, "sign in with the password alone"}, {p.Locked, "would be locked out"}, {p.Stuck, "cannot sign in now either"}} {
		if line.n > 0 {
			fmt.Fprintf(e.stdout, "  %s %s\n", strconv.Itoa(line.n), line.what)
		}
	}
}

// called finds a workgroup by its name.
func called(ctx context.Context, a *app.App, name string) (auth.WorkgroupID, error) {
	all, err := a.Workgroups.All(ctx, a.DB)
	if err != nil {
		return "", err
	}
	for _, w := range all {
		if w.Name == name {
			return w.ID, nil
		}
	}
	return "", fmt.Errorf("there is no workgroup %s", name)
}

func (e *env) inGroups(p place, f func(context.Context, *app.App) error) error {
	a, err := e.open(p)
	if err != nil {
		return err
	}
	defer a.Close()
	ctx := fromCLI(e.ctx)
	if err := errors.Join(a.Directory.CatchUp(ctx), a.Directory.Mend(ctx)); err != nil { // no server may be running
		return err
	}
	return f(ctx, a)
}
