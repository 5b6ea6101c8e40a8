package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/secret"
	"sallyport/internal/user"
)

type userCommands struct {
	Add      userAdd      `cmd:"" help:"Add a person."`
	List     userList     `cmd:"" help:"List people."`
	MFA      userMFA      `cmd:"" name:"mfa" help:"Set a person's second step: email, sms, required, or off for their own choice."`
	Contact  userContact  `cmd:"" help:"Change where messages to a person go, and in which language."`
	Disable  userDisable  `cmd:"" help:"Keep a person out from now on; their sessions end."`
	ResetMFA userResetMFA `cmd:"" name:"reset-mfa" help:"Remove a person's second factors and end their sessions."`
	Unfreeze userUnfreeze `cmd:"" help:"Allow changes again, after “This wasn't me” locked an account."`
}

type userAdd struct {
	place
	Email         string `required:"" help:"Email, also the login." placeholder:"E"`
	Name          string `required:"" help:"Full name." placeholder:"N"`
	Role          string `default:"member" enum:"owner,admin,member" help:"owner, admin or member."`
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
		_, err = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", u.Login, u.Name, u.Role, status, len(f.Enrolled), u.Added.Format(time.DateOnly))
		return err
	})
	return errors.Join(err, w.Flush())
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
	return e.change(c.place, c.Email, func(ctx context.Context, a *app.App, tx auth.Tx, u auth.User) error {
		if err := a.Sessions.RevokeOthers(ctx, tx, u.ID, ""); err != nil {
			return err
		}
		for _, f := range a.Roster.Second() {
			if r, ok := f.(auth.Resetter); ok {
				if err := r.Reset(ctx, tx, u.ID); err != nil {
					return err
				}
			}
		}
		if err := a.Throttle.Forget(ctx, tx, u.ID); err != nil {
			return err
		}
		if err := a.Users.Freeze(ctx, tx, u.ID, time.Time{}); err != nil {
			return err
		}
		return a.Trail.Record(ctx, tx, auth.Event{Kind: auth.MFAReset, User: u.ID, Detail: map[string]string{"reason": c.Reason}})
	}, "reset: no second factor is left, all sessions have ended; the password still works")
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
