package recovery

import (
	"context"
	"slices"
	"strconv"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/factor/accesspass"
	"sallyport/internal/notify"
	"sallyport/internal/notify/wording"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/user"
)

// ResetMFA is for somebody who lost what they have (A3): their factors, trust, sessions and locks are gone. It leaves a
// pass, by mail if there is any, so that whoever knows the password alone neither gets in nor sets up the next factor.
func (r *Recovery) ResetMFA(ctx context.Context, tx auth.Tx, u auth.User, reason string) (accesspass.Issued, error) {
	if err := r.Revoker.RevokeOthers(ctx, tx, u.ID, ""); err != nil { // first: it locks the person's row
		return accesspass.Issued{}, err
	}
	before, err := r.begun(ctx, tx, u)
	if err != nil {
		return accesspass.Issued{}, err
	}
	for _, f := range r.Roster.Second() {
		if one, ok := f.(auth.Resetter); ok {
			if err := one.Reset(ctx, tx, u.ID); err != nil {
				return accesspass.Issued{}, err
			}
		}
	}
	if err := r.Throttle.Forget(ctx, tx, u.ID); err != nil {
		return accesspass.Issued{}, err
	}
	if err := r.Users.Freeze(ctx, tx, u.ID, time.Time{}); err != nil {
		return accesspass.Issued{}, err
	}
	if err := r.Trail.Record(ctx, tx, auth.Event{Kind: auth.MFAReset, User: u.ID, Detail: map[string]string{"reason": reason}}); err != nil {
		return accesspass.Issued{}, err
	}
	if u, err = r.Users.Get(ctx, tx, u.ID); err != nil {
		return accesspass.Issued{}, err
	}
	f, err := r.begun(ctx, tx, u)
	if err != nil || policy.Next(before).Need == policy.Nothing || !takes(f, auth.Full) { // the password was and is enough
		return accesspass.Issued{}, err
	}
	byMail := r.Outbox.Has(notify.Email)
	pass, err := r.Passes.Bind(ctx, tx, u.ID, byMail)
	if err != nil || !byMail {
		return accesspass.Issued{Pass: pass}, err
	}
	to, err := r.mail(ctx, tx, u, pass)
	pass.Code = "" // whoever resets somebody does not see it
	return accesspass.Issued{Pass: pass, To: to}, err
}

// mail sends the pass of a reset. The address that somebody proved for codes went with their factors: it may be what they
// lost, or a thief's. So it goes to their login, which an administrator gave them.
func (r *Recovery) mail(ctx context.Context, tx auth.Tx, u auth.User, pass accesspass.Pass) (masked string, err error) {
	to, err := r.Contacts.Address(ctx, tx, u)
	if err != nil {
		return "", err
	}
	facts := wording.Facts{At: r.Clock(), Until: pass.Until, Link: r.Site + "/pass?token=" + string(pass.Code),
		Tags: map[string]string{"agent.name": u.Name, "to": to}}
	return user.MaskEmail(to), r.Outbox.Send(ctx, tx, notify.Message{
		ID: secret.NewID(), User: u, Channel: notify.Email, To: to, Name: "reset-link", Facts: facts, Lifetime: accesspass.Bound})
}

const (
	leastLife = 5 * time.Minute
	mostLife  = 24 * time.Hour
)

// GivePass lets somebody in who is locked out (A4), once, beside their password. It is refused where nobody would ask
// for it. Whoever used up all guesses has them again.
func (r *Recovery) GivePass(ctx context.Context, tx auth.Tx, u auth.User, reason string, life time.Duration) (accesspass.Pass, error) {
	if life < leastLife || life > mostLife {
		return accesspass.Pass{}, auth.InvalidError{Field: "minutes", Why: "must be 5 to 1440"}
	}
	if err := r.Users.Lock(ctx, tx, u.ID); err != nil {
		return accesspass.Pass{}, err
	}
	u, err := r.Users.Get(ctx, tx, u.ID)
	if err != nil {
		return accesspass.Pass{}, err
	}
	if u.Disabled {
		return accesspass.Pass{}, auth.ConflictError{Code: "person-disabled", Why: "This person is disabled, so nothing lets them in."}
	}
	f, err := r.begun(ctx, tx, u)
	if err != nil {
		return accesspass.Pass{}, err
	}
	standing := auth.Spare
	if old := roster.Of(accesspass.Kind, f.Enrolled); len(old) > 0 {
		standing = old[0].Standing
	}
	if !takes(f, standing) {
		return accesspass.Pass{}, auth.ConflictError{Code: "pass-useless", Why: "This person has no second step that an access pass could stand in for: the password is enough, or leads to setting one up."}
	}
	if err := r.Throttle.Forget(ctx, tx, u.ID); err != nil {
		return accesspass.Pass{}, err
	}
	given := auth.Event{Kind: auth.PassGiven, User: u.ID, Detail: map[string]string{"reason": reason, "minutes": strconv.Itoa(int(life.Minutes()))}}
	if err := r.Trail.Record(ctx, tx, given); err != nil {
		return accesspass.Pass{}, err
	}
	return r.Passes.Give(ctx, tx, u.ID, life)
}

// begun is what is known of a sign-in after the password.
func (r *Recovery) begun(ctx context.Context, from auth.Reader, u auth.User) (policy.Facts, error) {
	return r.Roster.Facts(ctx, from, u, []auth.Proof{{Kind: r.Roster.First().Kind(), Level: auth.OneFactor}})
}

// takes says whether a sign-in would ask for a pass, if there were one.
func takes(f policy.Facts, s auth.Standing) bool {
	f.Enrolled = append(f.Enrolled, auth.Enrolment{Kind: accesspass.Kind, Standing: s, Given: true})
	return slices.ContainsFunc(policy.Next(f).Accepts, func(e auth.Enrolment) bool { return e.Kind == accesspass.Kind })
}
