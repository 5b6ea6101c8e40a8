package people

import (
	"context"
	"errors"
	"slices"

	"sallyport/internal/auth"
	"sallyport/internal/throttle"
)

// Nobody fills mailboxes from these pages, with a session that they stole or without thinking (C10). Whoever runs the server
// answers for what they send.
const (
	invitesByOne  = 60  // an hour, from one administrator
	invitesInAll  = 600 // an hour, from everybody
	invitesToOne  = 5   // an hour, to one person
	resetsOfOne   = 5   // an hour, of one person
	collisionsFor = 20  // an hour, of one workgroup admin
)

// mayInvite takes one invitation out of what may be sent now.
func (p *People) mayInvite(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID) error {
	if a.ID == "" || !p.Mails {
		return nil
	}
	return p.Throttle.Spend(ctx, tx, throttle.PerHour("invite-by", invitesByOne).For(string(a.ID)),
		throttle.PerHour("invite-to", invitesToOne).For(string(id)), throttle.PerHour("invite-all", invitesInAll).For(""))
}

// mayReset takes one reset out of what may be done to a person now.
func (p *People) mayReset(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID) error {
	if a.ID == "" || !p.Mails {
		return nil
	}
	return p.Throttle.Spend(ctx, tx, throttle.PerHour("reset-of", resetsOfOne).For(string(id)))
}

// collides does what says whether somebody has an address or number already. Whoever sees their own workgroup alone asks that
// only so often: each try is paid for before, in a transaction of its own, and costs nothing if nobody was in the way.
func (p *People) collides(ctx context.Context, a Actor, do func() error) error {
	if a.Role.Reaches(auth.Admin) {
		return do()
	}
	tries := throttle.PerHour("collide", collisionsFor).For(string(a.ID))
	if err := p.DB.Tx(ctx, func(tx auth.Tx) error { return p.Throttle.Spend(ctx, tx, tries) }); err != nil {
		return err
	}
	err := do()
	wrong := auth.InvalidError{}
	if errors.As(err, &wrong) && slices.Contains([]string{"email", "phone"}, wrong.Field) {
		return err
	}
	// Whoever is not given theirs back has one try less for a few minutes, which is no reason to say that nothing was done.
	ctx = context.WithoutCancel(ctx)
	_ = p.DB.Tx(ctx, func(tx auth.Tx) error { return p.Throttle.Refund(ctx, tx, tries) })
	return err
}
