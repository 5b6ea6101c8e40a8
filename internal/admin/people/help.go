package people

import (
	"context"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/factor/accesspass"
	"sallyport/internal/policy"
	"sallyport/internal/user"
	"sallyport/internal/web"
)

// others is may for what nobody does to themselves.
func (p *People) others(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID, least auth.Role) (auth.User, error) {
	now, u, err := p.may(ctx, tx, a, id, least)
	if err == nil {
		err = notSelf(now, u)
	}
	return u, err
}

// explained is a reason that says something.
func explained(reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	switch {
	case reason == "":
		return "", auth.InvalidError{Field: "reason", Why: "is missing: say why, it stands in the record"}
	case !auth.OneLine(reason):
		return "", auth.InvalidError{Field: "reason", Why: "must stand on one line"}
	}
	return reason, nil
}

// ResetMFA is for somebody who lost what they have (A3).
func (p *People) ResetMFA(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID, reason string) (accesspass.Issued, error) {
	u, err := p.others(ctx, tx, a, id, auth.Support)
	if err != nil {
		return accesspass.Issued{}, err
	}
	if reason, err = explained(reason); err != nil {
		return accesspass.Issued{}, err
	}
	if err := p.mayReset(ctx, tx, a, id); err != nil {
		return accesspass.Issued{}, err
	}
	return p.Recovery.ResetMFA(ctx, tx, u, reason)
}

// GivePass is for somebody who is locked out (A4).
func (p *People) GivePass(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID, reason string, life time.Duration) (accesspass.Pass, error) {
	u, err := p.others(ctx, tx, a, id, auth.Support)
	if err != nil {
		return accesspass.Pass{}, err
	}
	if reason, err = explained(reason); err != nil {
		return accesspass.Pass{}, err
	}
	return p.Recovery.GivePass(ctx, tx, u, reason, life)
}

// Unfreeze allows changes again, after “This wasn't me” locked an account.
func (p *People) Unfreeze(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID, reason string) error {
	if _, err := p.others(ctx, tx, a, id, auth.WorkgroupAdmin); err != nil {
		return err
	}
	reason, err := explained(reason)
	if err != nil {
		return err
	}
	if err := p.Users.Freeze(ctx, tx, id, time.Time{}); err != nil {
		return err
	}
	return p.happened(ctx, tx, auth.AccountUnfrozen, id, "reason", reason)
}

// Disable keeps a person out from now on.
func (p *People) Disable(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID) error {
	u, err := p.others(ctx, tx, a, id, auth.WorkgroupAdmin)
	if err != nil || u.Disabled {
		return err
	}
	if err := p.staysOwned(ctx, tx, u); err != nil {
		return err
	}
	if err := p.Users.Disable(ctx, tx, id); err != nil {
		return err
	}
	return p.happened(ctx, tx, auth.UserDisabled, id)
}

// Enable lets a person in again. What somebody else was given meanwhile stays theirs: it blocks the channel (C4).
func (p *People) Enable(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID) error {
	u, err := p.others(ctx, tx, a, id, auth.WorkgroupAdmin)
	if err != nil || !u.Disabled {
		return err
	}
	if err := p.Users.Enable(ctx, tx, id); err != nil {
		return err
	}
	return p.happened(ctx, tx, auth.UserEnabled, id)
}

// Remove forgets a person. The record keeps what happened, and how they were called.
func (p *People) Remove(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID) error {
	u, err := p.others(ctx, tx, a, id, auth.WorkgroupAdmin)
	if err != nil {
		return err
	}
	if err := p.staysOwned(ctx, tx, u); err != nil {
		return err
	}
	if err := p.Users.Remove(ctx, tx, id); err != nil {
		return err
	}
	return p.happened(ctx, tx, auth.UserRemoved, id, "name", u.Name, "email", user.MaskEmail(u.Login), "role", string(u.Role))
}

// SignOut ends all sessions of a person and all sign-ins under way, and no browser is trusted any more.
func (p *People) SignOut(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID) error {
	if _, err := p.others(ctx, tx, a, id, auth.WorkgroupAdmin); err != nil {
		return err
	}
	if err := p.Revoker.RevokeOthers(ctx, tx, id, ""); err != nil {
		return err
	}
	return p.happened(ctx, tx, auth.SessionsEnded, id)
}

// EndSession ends one session of a person.
func (p *People) EndSession(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID, one auth.SessionID) error {
	if _, err := p.others(ctx, tx, a, id, auth.WorkgroupAdmin); err != nil {
		return err
	}
	return p.Sessions.End(ctx, tx, id, one)
}

// Forget trusts one browser of a person no more.
func (p *People) Forget(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID, browser string) error {
	u, err := p.others(ctx, tx, a, id, auth.WorkgroupAdmin)
	if err != nil {
		return err
	}
	return p.Trust.Forget(ctx, tx, u, browser)
}

// A remover is a factor of which one thing can be taken away.
type remover interface {
	auth.Factor
	Remove(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.EnrolmentID) error // or auth.ErrNotFound
}

// remover is the factor of a kind, or nil.
func (p *People) remover(k auth.Kind) remover {
	for _, f := range p.Roster.Second() {
		if r, ok := f.(remover); ok && f.Kind() == k {
			return r
		}
	}
	return nil
}

// removable is one thing that a person has, or why it is not taken away. The last second step goes by a reset alone: that
// leaves a pass, so that whoever knows the password is not the one who sets up the next.
func (p *People) removable(ctx context.Context, from auth.Reader, u auth.User, k auth.Kind, one auth.EnrolmentID) (e auth.Enrolment, err error) {
	f, err := p.facts(ctx, from, u, nil)
	if err != nil {
		return e, err
	}
	for _, e = range f.Enrolled {
		if e.ID != one || e.Kind != k || e.Given || p.remover(k) == nil {
			continue
		}
		if policy.IsOn(f) && len(policy.Left(f)) > 0 && len(policy.Left(f, one)) == 0 {
			err = auth.ConflictError{Code: "last-factor", Why: "This is their last second step, and without it the password alone would open the account. Reset MFA instead: then they come back by a link of their own."}
		}
		return e, err
	}
	return e, auth.ErrNotFound
}

// RemoveFactor takes one thing away that a person set up. Their sessions end (R4).
func (p *People) RemoveFactor(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID, k auth.Kind, one auth.EnrolmentID) error {
	u, err := p.others(ctx, tx, a, id, auth.WorkgroupAdmin)
	if err != nil {
		return err
	}
	e, err := p.removable(ctx, tx, u, k, one)
	if err != nil {
		return err
	}
	if err := p.Revoker.RevokeOthers(ctx, tx, id, ""); err != nil {
		return err
	}
	if err := p.remover(k).Remove(ctx, tx, id, one); err != nil {
		return err
	}
	return p.happened(ctx, tx, auth.FactorRemoved, id, "factor", string(k), "name", e.Name)
}

// called is what people call a kind of factor in a sentence.
func (p *People) called(k auth.Kind) string {
	return web.Noun(k, append([]auth.Factor{p.Roster.First()}, p.Roster.Second()...)...)
}

func days(d time.Duration) string {
	n := int(d / (24 * time.Hour))
	if n == 1 {
		return "1 day"
	}
	return strconv.Itoa(n) + " days"
}
