package cli

import (
	"context"
	"fmt"

	"sallyport/internal/admin/people"
	"sallyport/internal/app"
	"sallyport/internal/auth"
)

type userMFA struct {
	place
	Email  string `arg:"" help:"Whom."`
	Method string `arg:"" enum:"off,email,sms,required" help:"off, email, sms or required."`
}

// Run refuses what would lock the person out: the field that the method needs is required, and nobody else may have it (A2, C4).
func (c userMFA) Run(e *env) error {
	method := people.Method(c.Method)
	return e.change(c.place, c.Email, func(ctx context.Context, a *app.App, tx auth.Tx, u auth.User) error {
		return a.People.Save(ctx, tx, people.Operator, u.ID, people.Change{Method: &method})
	}, "second step: "+c.Method)
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
		if c.Language != nil && *c.Language != u.Language {
			if *c.Language != "" && !a.Outbox.Texts.Has(*c.Language) {
				return fmt.Errorf("there are no messages in %q: use one of %v", *c.Language, a.Outbox.Texts.Languages())
			}
			after := u
			after.Language = *c.Language
			if err := a.Settings.SetContact(ctx, tx, u, after, ""); err != nil {
				return err
			}
		}
		return a.People.Save(ctx, tx, people.Operator, u.ID, people.Change{Email: c.Email, Phone: c.Phone})
	}, "contact stored")
}
