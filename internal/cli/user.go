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

	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/factor/accesspass"
	"sallyport/internal/secret"
	"sallyport/internal/user"
)

type userCommands struct {
	Add        userAdd        `cmd:"" help:"Add a person."`
	List       userList       `cmd:"" help:"List people."`
	MFA        userMFA        `cmd:"" name:"mfa" help:"Set a person's second step: email, sms, required, or off for their own choice."`
	Contact    userContact    `cmd:"" help:"Change where messages to a person go, and in which language."`
	Disable    userDisable    `cmd:"" help:"Keep a person out from now on; their sessions end."`
	ResetMFA   userResetMFA   `cmd:"" name:"reset-mfa" help:"Remove a person's second factors and end their sessions; they come back by a link or a pass."`
	AccessPass userAccessPass `cmd:"" name:"access-pass" help:"Give somebody locked out a second step that works once."`
	Unfreeze   userUnfreeze   `cmd:"" help:"Allow changes again, after “This wasn't me” locked an account."`
}

type userAdd struct {
	place
	Email         string `required:"" help:"Email, also the login." placeholder:"E"`
	Name          string `required:"" help:"Full name." placeholder:"N"`
	Role          string `default:"member" enum:"owner,admin,workgroup admin,support,member" help:"owner, admin, workgroup admin, support or member."`
	PasswordStdin bool   `required:"" help:"Read the password from standard input, one line."`
}

func (c userAdd) Run(e *env) error {
	password, err := firstLine(e.stdin)
	if err != nil {
		return fmt.Errorf("read the password: %w", err)
	}
	a, err := e.open(c.place)
	if err != nil {
		return err
	}
	defer a.Close()
	u, err := user.New(auth.UserID(secret.NewID()), c.Email, c.Name, auth.Role(c.Role), time.Now())
	if err != nil {
		return err
	}
	hashed, err := a.Passwords.Prepare(e.ctx, u, password)
	if err != nil {
		return err
	}
	err = a.DB.Tx(e.ctx, func(tx auth.Tx) error {
		ctx := fromCLI(e.ctx)
		if err := a.Users.Add(ctx, tx, u); err != nil {
			return err
		}
		if err := a.Passwords.Set(ctx, tx, u.ID, hashed); err != nil {
			return err
		}
		return a.Trail.Record(ctx, tx, auth.Event{Kind: auth.UserAdded, User: u.ID, Detail: map[string]string{"role": c.Role}})
	})
	if err == nil {
		fmt.Fprintf(e.stdout, "added %s as %s\n", u.Login, u.Role)
	}
	return err
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

type userDisable struct {
	place
	Email string `arg:"" help:"Whom."`
}

func (c userDisable) Run(e *env) error {
	return e.change(c.place, c.Email, func(ctx context.Context, a *app.App, tx auth.Tx, u auth.User) error {
		if err := a.Users.Disable(ctx, tx, u.ID); err != nil {
			return err
		}
		return a.Trail.Record(ctx, tx, auth.Event{Kind: auth.UserDisabled, User: u.ID})
	}, "disabled")
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
		issued, err = a.Recovery.ResetMFA(ctx, tx, u, c.Reason)
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
		pass, err = a.Recovery.GivePass(ctx, tx, u, c.Reason, life)
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
		if err := a.Users.Freeze(ctx, tx, u.ID, time.Time{}); err != nil {
			return err
		}
		return a.Trail.Record(ctx, tx, auth.Event{Kind: auth.AccountUnfrozen, User: u.ID, Detail: map[string]string{"reason": c.Reason}})
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
	u, err := a.Users.Find(e.ctx, login)
	if errors.Is(err, auth.ErrNotFound) {
		return fmt.Errorf("there is nobody with the email %s", login)
	}
	if err != nil {
		return err
	}
	ctx := fromCLI(e.ctx)
	if err := a.DB.Tx(ctx, func(tx auth.Tx) error { return f(ctx, a, tx, u) }); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, u.Login, done)
	return nil
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
