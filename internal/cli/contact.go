package cli

import (
	"context"
	"fmt"
	"slices"

	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/user"
)

type userMFA struct {
	place
	Email  string `arg:"" help:"Whom."`
	Method string `arg:"" enum:"off,email,sms,required" help:"off, email, sms or required."`
}

// Run refuses what would lock the person out: the field that the method needs is required, and nobody else may have it (A2, C4).
func (c userMFA) Run(e *env) error {
	method := auth.Method(c.Method)
	if c.Method == "off" {
		method = auth.AnyMethod
	}
	return e.change(c.place, c.Email, func(ctx context.Context, a *app.App, tx auth.Tx, u auth.User) error {
		if err := assignable(ctx, a, tx, u, method); err != nil {
			return err
		}
		if err := a.Users.SetMethod(ctx, tx, u.ID, method); err != nil {
			return err
		}
		return a.Trail.Record(ctx, tx, auth.Event{Kind: auth.MethodSet, User: u.ID, Detail: map[string]string{"factor": c.Method}})
	}, "second step: "+c.Method)
}

func assignable(ctx context.Context, a *app.App, tx auth.Tx, u auth.User, m auth.Method) error {
	rules := a.Roster.Rules()
	switch {
	case m == auth.AnyMethod:
		return nil
	case m == auth.MustHaveOne && len(rules.Addable()) == 0:
		return fmt.Errorf("nobody can set up any of policy.factors, so %s could not sign in", u.Login)
	case m == auth.MustHaveOne:
		return nil
	case !slices.Contains(rules.Factors, auth.Kind(m)):
		return fmt.Errorf("policy.factors lacks %s, so %s could not sign in: add it there", m, u.Login)
	}
	has, what, to := a.Users.HasAddress, "email", u.Email
	if m == auth.BySMS {
		has, what, to = a.Users.HasPhone, "work phone", u.Phone
	}
	if to == "" {
		return fmt.Errorf("%s has no %s: set it with `sallyport user contact` first", u.Login, what)
	}
	if m == auth.BySMS && !slices.Contains(a.Config.SMS.Countries, user.Country(to)) {
		return fmt.Errorf("sms.countries lacks the country of %s's number: add it there", u.Login)
	}
	shared, err := has(ctx, tx, u.ID, to)
	if err == nil && shared {
		err = fmt.Errorf("somebody else has the same %s, so a code would reach them too: give %s one of their own", what, u.Login)
	}
	return err
}

type userContact struct {
	place
	Who      string  `arg:"" name:"email" help:"Whom."`
	Email    *string `help:"Where mail goes." placeholder:"E"`
	Phone    *string `help:"Work phone, with + and country; empty: none." placeholder:"P"`
	Language *string `help:"Of messages; empty: the one of the site." placeholder:"L"`
}

func (c userContact) Run(e *env) error {
	return e.change(c.place, c.Who, func(ctx context.Context, a *app.App, tx auth.Tx, u auth.User) error {
		before := u
		if c.Email != nil {
			if err := user.CheckEmail(*c.Email); err != nil {
				return err
			}
			u.Email = *c.Email
		}
		if c.Phone != nil {
			if u.Phone = *c.Phone; u.Phone != "" {
				var err error
				if u.Phone, err = user.Phone(u.Phone, a.Config.SMS.Country); err != nil {
					return err
				}
			}
		}
		if c.Language != nil {
			if u.Language = *c.Language; u.Language != "" && !a.Outbox.Texts.Has(u.Language) {
				return fmt.Errorf("there are no messages in %q: use one of %v", u.Language, a.Outbox.Texts.Languages())
			}
		}
		if u.Method == auth.BySMS && u.Phone == "" {
			return fmt.Errorf("%s gets codes by SMS, so the number is needed: set another second step first", u.Login)
		}
		return a.Settings.SetContact(ctx, tx, before, u, "")
	}, "contact stored")
}
