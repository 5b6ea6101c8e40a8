package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"sallyport/internal/admin/people"
	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/factor/accesspass"
	factor "sallyport/internal/factor/password"
)

type userCommands struct {
	Add        userAdd        `cmd:"" help:"Add a person."`
	List       userList       `cmd:"" help:"List people."`
	MFA        userMFA        `cmd:"" name:"mfa" help:"Set a person's second step: email, sms, required, or off for their own choice."`
	Contact    userContact    `cmd:"" help:"Change where messages to a person go, and in which language."`
	Invite     userInvite     `cmd:"" help:"Send somebody who never signed in another link to choose a password by."`
	Role       userRole       `cmd:"" help:"Set what a person may do for others."`
	Move       userMove       `cmd:"" help:"Put a person into a workgroup, or out of theirs."`
	Disable    userDisable    `cmd:"" help:"Keep a person out from now on; their sessions end."`
	Enable     userEnable     `cmd:"" help:"Let a person in again who was kept out."`
	Delete     userDelete     `cmd:"" help:"Delete a person and all they set up; the record keeps what happened."`
	ResetMFA   userResetMFA   `cmd:"" name:"reset-mfa" help:"Remove a person's second factors and end their sessions; they come back by a link or a pass."`
	AccessPass userAccessPass `cmd:"" name:"access-pass" help:"Give somebody locked out a second step that works once."`
	Unfreeze   userUnfreeze   `cmd:"" help:"Allow changes again, after “This wasn't me” locked an account."`
}

type userAdd struct {
	place
	Email         string `required:"" help:"Email, also the login." placeholder:"E"`
	Name          string `required:"" help:"Full name." placeholder:"N"`
	Role          string `default:"member" enum:"owner,admin,workgroup admin,support,member" help:"owner, admin, workgroup admin, support or member."`
	Workgroup     string `help:"Name of the workgroup they are in." placeholder:"W"`
	PasswordStdin bool   `required:"" xor:"password" help:"Read the password from standard input, one line."`
	Invite        bool   `required:"" xor:"password" help:"They choose a password behind a link that works once, for 7 days: mailed or, without mail, printed."`
}

func (c userAdd) Run(e *env) error {
	var password auth.Secret
	var err error
	if c.PasswordStdin {
		if password, err = firstLine(e.stdin); err != nil {
			return fmt.Errorf("read the password: %w", err)
		}
	}
	a, err := e.open(c.place)
	if err != nil {
		return err
	}
	defer a.Close()
	role := auth.Role(c.Role)
	wanted := people.Change{Name: &c.Name, Email: &c.Email, Role: &role}
	if wanted.Workgroup, err = groupNamed(e.ctx, a, c.Workgroup); err != nil {
		return err
	}
	var hashed factor.Hashed
	if c.PasswordStdin {
		if hashed, err = a.Passwords.Prepare(e.ctx, auth.User{Login: c.Email, Name: c.Name}, password); err != nil {
			return err
		}
	}
	ctx := fromCLI(e.ctx)
	var u auth.User
	var invited auth.Invitation
	err = a.DB.Tx(ctx, func(tx auth.Tx) (err error) {
		if u, err = a.People.Add(ctx, tx, people.Operator, wanted); err != nil {
			return err
		}
		if c.PasswordStdin {
			err = a.Passwords.Set(ctx, tx, u.ID, hashed)
		} else {
			invited, err = a.People.Invite(ctx, tx, people.Operator, u.ID)
		}
		if err != nil {
			return err
		}
		return a.Directory.Refresh(ctx, tx, u.ID)
	})
	if err == nil {
		fmt.Fprintf(e.stdout, "added %s as %s\n", u.Login, u.Role)
		e.invited(invited)
	}
	return err
}

// invited says how somebody comes in, if they were asked to.
func (e *env) invited(i auth.Invitation) {
	until := i.Until.UTC().Format("2 January 2006, 15:04 MST")
	switch {
	case i.To != "":
		fmt.Fprintf(e.stdout, "an invitation was mailed to %s: it works once, until %s\n", i.To, until)
	case i.Link != "":
		fmt.Fprintf(e.stdout, "no mail is configured, so hand over this link: it works once, until %s\n\n    %s\n\nit is shown only now: whoever opens it first chooses the password\n", until, string(i.Link))
	}
}

type userList struct{ place }

func (c userList) Run(e *env) error {
	a, err := e.open(c.place)
	if err != nil {
		return err
	}
	defer a.Close()
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "EMAIL\tNAME\tROLE\tSTATUS\tSECOND FACTORS\tADDED")
	err = a.Users.Each(e.ctx, func(u auth.User) error {
		f, err := a.Roster.Facts(e.ctx, a.DB, u, nil)
		if err != nil {
			return err
		}
		status := "active"
		if u.Disabled {
			status = "disabled"
		}
		_, err = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", u.Login, u.Name, u.Role, status, own(f.Enrolled), u.Added.Format(time.DateOnly))
		return err
	})
	return errors.Join(err, w.Flush())
}

// own counts the factors that somebody set up: what they were given is none.
func own(some []auth.Enrolment) int {
	return len(slices.DeleteFunc(some, func(e auth.Enrolment) bool { return e.Given }))
}

type userResetMFA struct {
	place
	Email  string `arg:"" help:"Whom."`
	Reason string `required:"" help:"Why; it stands in the record." placeholder:"R"`
}

func (c userResetMFA) Run(e *env) error {
	if strings.TrimSpace(c.Reason) == "" {
		return errNoReason
	}
	var issued accesspass.Issued
	err := e.change(c.place, c.Email, func(ctx context.Context, a *app.App, tx auth.Tx, u auth.User) (err error) {
		issued, err = a.People.ResetMFA(ctx, tx, people.Operator, u.ID, c.Reason)
		return err
	}, "reset: no second factor is left, all sessions have ended; the password still works")
	switch {
	case err != nil:
	case issued.To != "":
		fmt.Fprintf(e.stdout, "a link was mailed to %s: it works once, until %s, and nothing else opens the account\n", issued.To, ends(issued.Pass))
	case issued.Pass.Code != "":
		fmt.Fprintf(e.stdout, "no mail is configured, so hand over this access pass: it works once, until %s, and nothing else opens the account\n", ends(issued.Pass))
		e.show(issued.Pass)
	}
	return err
}

type userAccessPass struct {
	place
	Email   string `arg:"" help:"Whom."`
	Minutes int    `default:"60" help:"How long the pass works, 5 to 1440." placeholder:"N"`
	Reason  string `required:"" help:"Why; it stands in the record." placeholder:"R"`
}

func (c userAccessPass) Run(e *env) error {
	if strings.TrimSpace(c.Reason) == "" {
		return errNoReason
	}
	var pass accesspass.Pass
	life := time.Duration(max(0, min(c.Minutes, 10_000))) * time.Minute // bounded, so that it does not wrap
	err := e.change(c.place, c.Email, func(ctx context.Context, a *app.App, tx auth.Tx, u auth.User) (err error) {
		pass, err = a.People.GivePass(ctx, tx, people.Operator, u.ID, c.Reason, life)
		return err
	}, "has a new access pass; an earlier one is dead")
	if err == nil {
		fmt.Fprintf(e.stdout, "it works once, until %s: after the password, in place of the second step, and for nothing else\n", ends(pass))
		e.show(pass)
	}
	return err
}

func ends(p accesspass.Pass) string { return p.Until.UTC().Format("2 January 2006, 15:04 MST") }

// show prints a pass on a line of its own.
func (e *env) show(p accesspass.Pass) {
	fmt.Fprintf(e.stdout, "\n    %s\n\nit is shown only now: give it to the person alone, once you are sure who it is\n", string(p.Code))
}

type userUnfreeze struct {
	place
	Email  string `arg:"" help:"Whom."`
	Reason string `required:"" help:"Why; it stands in the record." placeholder:"R"`
}

func (c userUnfreeze) Run(e *env) error {
	if strings.TrimSpace(c.Reason) == "" {
		return errNoReason
	}
	return e.change(c.place, c.Email, func(ctx context.Context, a *app.App, tx auth.Tx, u auth.User) error {
		return a.People.Unfreeze(ctx, tx, people.Operator, u.ID, c.Reason)
	}, "may change their account again")
}

var errNoReason = errors.New("--reason is empty: say why, it stands in the record")

// change does one thing to one person, with its row in the record.
func (e *env) change(p place, login string, f func(context.Context, *app.App, auth.Tx, auth.User) error, done string) error {
	a, err := e.open(p)
	if err != nil {
		return err
	}
	defer a.Close()
	u, err := e.find(a, login)
	if err != nil {
		return err
	}
	ctx := fromCLI(e.ctx)
	if err := a.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := f(ctx, a, tx, u); err != nil {
			return err
		}
		return a.Directory.Refresh(ctx, tx, u.ID)
	}); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, u.Login, done)
	return nil
}

// find is the person with a login.
func (e *env) find(a *app.App, login string) (auth.User, error) {
	u, err := a.Users.Find(e.ctx, login)
	if errors.Is(err, auth.ErrNotFound) {
		err = fmt.Errorf("there is nobody with the email %s", login)
	}
	return u, err
}

func fromCLI(ctx context.Context) context.Context {
	return auth.WithOrigin(ctx, &auth.Origin{Face: "cli"})
}

// firstLine is the password: without the line end, but with any other space.
func firstLine(from io.Reader) (auth.Secret, error) {
	line, err := bufio.NewReader(io.LimitReader(from, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", errors.New("standard input is empty")
	}
	return auth.Secret(line), nil
}
