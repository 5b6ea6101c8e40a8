package people

import (
	"context"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/secret"
	"sallyport/internal/user"
)

// Add makes a new person, who has no password yet (A3). The change is to somebody who has nothing; Name and Email are
// needed, a missing role is a member, and whoever looks after a workgroup adds people to it alone.
func (p *People) Add(ctx context.Context, tx auth.Tx, a Actor, c Change) (auth.User, error) {
	if a.ID != "" {
		if err := p.Users.Lock(ctx, tx, a.ID); err != nil {
			return auth.User{}, auth.ErrNotSignedIn
		}
	}
	a, err := p.anew(ctx, tx, a, auth.WorkgroupAdmin)
	if err != nil {
		return auth.User{}, err
	}
	nobody := auth.User{ID: auth.UserID(secret.NewID()), Role: auth.Member}
	if a.Role == auth.WorkgroupAdmin {
		if nobody.Workgroup = a.Workgroup; a.Workgroup == "" {
			return nobody, auth.ErrForbidden
		}
	}
	after, err := p.changed(nobody, c)
	if err != nil {
		return after, err
	}
	now := p.Clock()
	u, err := user.New(after.ID, after.Email, after.Name, after.Role, now)
	if err != nil {
		return u, err
	}
	u.Phone, u.Workgroup, u.Method = after.Phone, after.Workgroup, after.Method
	if u.Workgroup != "" {
		u.Joined = now
	}
	if err := p.allowed(ctx, tx, a, nobody, u); err != nil {
		return u, err
	}
	// The row first: somebody else who adds the same login waits for it, and is told that it is taken.
	if err := p.Users.Add(ctx, tx, u); err != nil {
		return u, err
	}
	if err := p.reachable(ctx, tx, a, nobody, u); err != nil {
		return u, err
	}
	if err := p.opens(ctx, tx, nobody, u); err != nil {
		return u, err
	}
	group, err := p.group(ctx, tx, u.Workgroup)
	if err != nil {
		return u, err
	}
	detail := []string{"role", string(u.Role), "workgroup", group}
	if u.Method != auth.AnyMethod {
		detail = append(detail, "factor", Said(u.Method))
	}
	return u, p.happened(ctx, tx, auth.UserAdded, u.ID, detail...)
}

// Invite sends somebody a link behind which they choose a password, or makes one to be handed over where no mail is sent:
// once they are in, that is theirs alone to do.
func (p *People) Invite(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID) (auth.Invitation, error) {
	a, u, err := p.may(ctx, tx, a, id, auth.WorkgroupAdmin)
	if err != nil {
		return auth.Invitation{}, err
	}
	if u.Disabled {
		return auth.Invitation{}, errDisabled
	}
	last, err := p.Trail.Last(ctx, tx, id, auth.SessionStarted)
	if err != nil {
		return auth.Invitation{}, err
	}
	has, err := p.Roster.First().Enrolments(ctx, tx, id)
	if err != nil {
		return auth.Invitation{}, err
	}
	if !last.Equal(time.Time{}) || len(has) > 0 {
		return auth.Invitation{}, auth.ConflictError{Code: "signed-in-before", Why: "This person has a password or has signed in before, so there is nothing to invite them to. If they forgot the password, the sign-in page helps them."}
	}
	if err := p.mayInvite(ctx, tx, a, id); err != nil {
		return auth.Invitation{}, err
	}
	i, err := p.Recovery.Invite(ctx, tx, id)
	if err != nil {
		return i, err
	}
	by := "mail"
	if i.Link != "" {
		by = "link"
	}
	return i, p.happened(ctx, tx, auth.UserInvited, id, "by", by)
}

var errDisabled = auth.ConflictError{Code: "person-disabled", Why: "This person is disabled, so nothing lets them in."}
