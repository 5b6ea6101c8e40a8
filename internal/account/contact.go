package account

import (
	"context"
	"slices"
	"strings"

	"sallyport/internal/auth"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

// contact changes where messages go. It never changes where codes go: that is proved (package onetime).
func (a *Account) contact(ctx context.Context, in Contact) (web.None, error) {
	in.Email = strings.TrimSpace(in.Email)
	if err := user.CheckEmail(in.Email); err != nil {
		return web.None{}, err
	}
	if in.Phone != "" {
		var err error
		if in.Phone, err = user.Phone(in.Phone, a.Region); err != nil {
			return web.None{}, err
		}
	}
	if in.Language != "" && !slices.Contains(a.Languages, in.Language) {
		return web.None{}, auth.InvalidError{Field: "language", Why: "must be one of those listed"}
	}
	now := visit.Of(ctx).Session
	// Whether somebody else has an address is told, so it cannot be asked without end.
	tries := throttle.PerHour("contact", 10).For(string(now.User.ID))
	if err := a.DB.Tx(ctx, func(tx auth.Tx) error { return a.Throttle.Spend(ctx, tx, tries) }); err != nil {
		return web.None{}, err
	}
	return web.None{}, a.DB.Tx(ctx, func(tx auth.Tx) error {
		before, err := a.Users.Get(ctx, tx, now.User.ID)
		if err != nil {
			return err
		}
		if before.Method == auth.BySMS && in.Phone == "" {
			return auth.InvalidError{Field: "phone", Why: "is needed for your codes"}
		}
		after := before
		after.Email, after.Phone, after.Language = in.Email, in.Phone, in.Language
		return a.SetContact(ctx, tx, before, after, now.ID)
	})
}

// SetContact stores the contact of a person, ends their other sessions if it changed, and leaves a row for each field.
func (a *Account) SetContact(ctx context.Context, tx auth.Tx, before, after auth.User, keep auth.SessionID) error {
	if err := a.Users.SetContact(ctx, tx, after.ID, after.Email, after.Phone, after.Language); err != nil {
		return err
	}
	for _, field := range changed(before, after) {
		if err := a.Revoker.RevokeOthers(ctx, tx, after.ID, keep); err != nil {
			return err
		}
		if err := a.Trail.Record(ctx, tx, auth.Event{Kind: auth.ContactChanged, User: after.ID, Before: &before,
			Detail: map[string]string{"field": field}}); err != nil {
			return err
		}
	}
	return nil
}

func changed(before, after auth.User) (fields []string) {
	if before.Email != after.Email {
		fields = append(fields, "email")
	}
	if before.Phone != after.Phone {
		fields = append(fields, "phone")
	}
	return fields
}
