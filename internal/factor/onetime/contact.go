package onetime

import (
	"cmp"
	"context"
	"slices"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/user"
	"sallyport/internal/visit"
)

// profile is the field of the profile that a channel uses, or "" (C5).
func (f *Factor) profile(u auth.User) string {
	if f.kind == SMS {
		return u.Phone
	}
	return u.Email
}

// without is a person whose field a channel uses already.
func without(u auth.User, kind auth.Kind) auth.User {
	if kind == SMS {
		u.Phone = ""
	} else {
		u.Email = ""
	}
	return u
}

// person is whose visit this is, as they are now: the visit may know their contact from before.
func (c *Codes) person(ctx context.Context) (auth.User, error) {
	return c.Users.Get(ctx, c.DB, visit.Of(ctx).Person().ID)
}

// mayUse says why a person's own address or number cannot take codes: nil, or a sentence for them.
func (f *Factor) mayUse(ctx context.Context, from auth.Reader, u auth.User) error {
	if may, err := f.Roster.MayAdd(ctx, from, u, f.kind); err != nil || !may { // their workgroup uses other channels (C1)
		return cmp.Or(err, error(auth.ConflictError{Code: "channel-closed", Why: "Codes are not sent this way to the people of your workgroup."}))
	}
	to := f.profile(u)
	switch {
	case to == "" && f.kind == SMS:
		return auth.ConflictError{Code: "contact-missing", Why: "There is no work phone in your profile. Add it there first."}
	case to == "":
		return auth.ConflictError{Code: "contact-missing", Why: "There is no email in your profile. Add it there first."}
	case f.kind == SMS && !slices.Contains(f.Rules.Countries, user.Country(to)):
		return auth.ConflictError{Code: "country", Why: "We send no SMS to the country of this number."}
	case f.kind == SMS && !user.Mobile(to):
		return auth.ConflictError{Code: "country", Why: "This is not the number of a mobile phone."}
	}
	shared, err := f.shared(ctx, from, u.ID, f.kind, to)
	if err == nil && shared {
		what := map[auth.Kind]string{Email: "email address", SMS: "phone number"}[f.kind]
		err = auth.ConflictError{Code: "contact-shared", Why: "Somebody else has the same " + what + ", so a code would reach them too. Use one that is yours alone."}
	}
	return err
}

// switchOff takes all channels away at once, where that is allowed (F2). The new security epoch locks the person's row, so
// that of two removals at once the second sees what the first left.
func (c *Codes) switchOff(ctx context.Context) error {
	now := visit.Of(ctx).Session
	if has, err := c.contacts(ctx, c.DB, now.User.ID); err != nil || len(has) == 0 {
		return err
	}
	return c.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := c.Revoker.RevokeOthers(ctx, tx, now.User.ID, now.ID); err != nil {
			return err
		}
		has, err := c.contacts(ctx, tx, now.User.ID)
		if err != nil {
			return err
		}
		u, err := c.Users.Get(ctx, tx, now.User.ID)
		if err != nil {
			return err
		}
		f, err := c.Roster.Facts(ctx, tx, u, now.Proofs)
		if err != nil {
			return err
		}
		var gone []auth.EnrolmentID
		for _, k := range has {
			gone = append(gone, k.id)
		}
		if err := policy.MayRemove(f, gone...); err != nil {
			return err
		}
		for _, k := range has {
			if err := c.removeAll(ctx, tx, u.ID, k.kind); err != nil {
				return err
			}
			if err := c.Trail.Record(ctx, tx, auth.Event{Kind: auth.FactorRemoved, User: u.ID,
				Detail: map[string]string{"factor": string(k.kind), "name": mask(k.kind, k.destination)}}); err != nil {
				return err
			}
		}
		return nil
	})
}
