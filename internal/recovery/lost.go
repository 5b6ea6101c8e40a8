package recovery

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/factor/onetime"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/throttle"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

// waitRoutes are the wait of somebody whose second step is lost (L3), on both faces.
func (r *Recovery) waitRoutes() []web.Route {
	return []web.Route{
		web.On(visit.SignedIn, "GET /account/recovery", r.lost, web.About{
			Does: "Say what happens when a second step is lost: from when on the password changes it, and who is told",
			Page: web.Dialog(files, "lost.html"),
		}),
		web.On(visit.SignedIn, "POST /account/recovery", r.beginWait, web.About{
			Does: "Say that the second step is lost; everybody who can be told is told, and some days later the password changes it",
			Then: "/account/security",
		}),
		web.On(visit.SignedIn, "DELETE /account/recovery", r.cancelWait, web.About{
			Does: "Say that the second step is not lost",
			Then: "/account/security",
			On:   "/account/security",
		}),
	}
}

type (
	Lost struct {
		Begun bool      `json:"begun"`
		Until time.Time `json:"until" doc:"from then on the password changes the second step; if nothing began: if it began now"`
		Told  []string  `json:"told" doc:"where that is told, masked"`
		Why   string    `json:"why,omitempty" doc:"why this session cannot begin it, or cannot use it"`
		Ripe  bool      `json:"-"`
	}
	Wait struct {
		Until time.Time `json:"until" doc:"from then on the password changes the second step"`
	}
)

func (r *Recovery) lost(ctx context.Context, _ web.None) (Lost, error) {
	s, now := visit.Of(ctx).Session, r.Clock()
	u, err := r.Users.Get(ctx, r.DB, s.User.ID)
	if err != nil {
		return Lost{}, err
	}
	out := Lost{Begun: policy.Recovering(u, now), Until: now.Add(r.Roster.Rules().Recovery), Told: []string{}}
	if out.Begun {
		out.Until, out.Ripe = u.Recovers, !now.Before(u.Recovers)
	}
	reached, err := r.Contacts.Destinations(ctx, r.DB, u)
	if err != nil {
		return Lost{}, err
	}
	for _, d := range reached {
		out.Told = append(out.Told, d.Masked())
	}
	var no auth.ConflictError
	switch err := r.mayWait(ctx, r.DB, u, s); {
	case errors.As(err, &no) && !(out.Ripe && no.Code == enough):
		out.Why = no.Why
	case err != nil && !errors.As(err, &no):
		return Lost{}, err
	}
	return out, nil
}

// enough is the code of what is said to somebody whose password does already.
const enough = "password-enough"

// mayWait says whether a session may begin the wait: nil, or why not. The password alone does not: whoever knows it would only
// have to wait.
func (r *Recovery) mayWait(ctx context.Context, from auth.Reader, u auth.User, s auth.Session) error {
	if u.Frozen.After(r.Clock()) {
		return auth.Frozen(u.Frozen)
	}
	f, err := r.Roster.Facts(ctx, from, u, s.Proofs)
	if err != nil {
		return err
	}
	if err := r.gains(ctx, from, f); err != nil {
		return err
	}
	if !policy.MayRecover(f) {
		return auth.ConflictError{Code: "came-otherwise", Why: "First sign in " + way(f) + ". Then say here that the rest is lost."}
	}
	return nil
}

// gains says whether a wait would lead somebody anywhere, and they would hear of it: nil, or why not.
func (r *Recovery) gains(ctx context.Context, from auth.Reader, f policy.Facts) error {
	first, err := r.Roster.First().Enrolments(ctx, from, f.User.ID)
	if err != nil {
		return err
	}
	step := policy.StepUp(f, time.Time{}, first)
	switch {
	case step.Need == policy.Blocked:
		return auth.ErrBlocked
	case step.Need != policy.Second:
		return auth.ErrForbidden
	case len(roster.Of(r.Roster.First().Kind(), step.Accepts)) > 0:
		return auth.ConflictError{Code: enough, Why: "Your password is enough to change your second step, so there is nothing to wait for."}
	}
	reached, err := r.Contacts.Destinations(ctx, from, f.User)
	if err == nil && len(reached) == 0 {
		err = auth.ConflictError{Code: "unreached", Why: "There is no address or number where we could tell you of it, so nothing can begin. Ask those who run this site for help."}
	}
	return err
}

// way is how somebody comes in without what they lost, as far as there is one.
func way(f policy.Facts) string {
	byMail := slices.ContainsFunc(f.Enrolled, func(e auth.Enrolment) bool {
		return e.Kind == onetime.Email && e.State == auth.Usable && f.Rules.Asks(e.Kind)
	})
	by := "with your password and an access pass, which an administrator can give you"
	if byMail {
		by = "with your password and a code by email, or with an access pass from an administrator"
	}
	if f.Rules.Trust > 0 {
		by += ", in a browser that you have not trusted"
	}
	return by
}

// beginWait is for somebody who says so. Who says it again waits no longer, and no less.
func (r *Recovery) beginWait(ctx context.Context, _ web.None) (out Wait, err error) {
	s := visit.Of(ctx).Session
	err = r.DB.Tx(ctx, func(tx auth.Tx) error {
		u, err := r.lockedUser(ctx, tx, s.User.ID)
		if err != nil {
			return err
		}
		if u.Epoch != s.User.Epoch || u.Disabled { // this session ended since the request began
			return auth.ErrNotSignedIn
		}
		if policy.Recovering(u, r.Clock()) {
			out.Until = u.Recovers
			return nil
		}
		if err := r.mayWait(ctx, tx, u, s); err != nil {
			return err
		}
		out.Until, err = r.startWait(ctx, tx, u)
		return err
	})
	return out, err
}

func (r *Recovery) cancelWait(ctx context.Context, _ web.None) (web.None, error) {
	return web.None{}, r.DB.Tx(ctx, func(tx auth.Tx) error { return r.endWait(ctx, tx, visit.Of(ctx).Session.User.ID, "cancelled") })
}

// Arrived is signin.Arriver: by what stood in for their factors somebody begins to wait, and by one of those factors they
// end it. Who did both on the way, such as to set up a first one, has lost nothing.
func (r *Recovery) Arrived(ctx context.Context, tx auth.Tx, began auth.Session) (visit.Cookies, error) {
	stoodIn := slices.ContainsFunc(began.Proofs, func(p auth.Proof) bool { return p.Given })
	if slices.ContainsFunc(began.Proofs, r.real) {
		if stoodIn || !policy.Recovering(began.User, r.Clock()) {
			return nil, nil
		}
		return nil, r.endWait(ctx, tx, began.User.ID, "signed in")
	}
	if !stoodIn {
		return nil, nil
	}
	u, err := r.lockedUser(ctx, tx, began.User.ID)
	if err != nil {
		return nil, err
	}
	f, err := r.Roster.Facts(ctx, tx, u, began.Proofs)
	if err != nil || !policy.CameWeakly(f) || policy.Recovering(u, r.Clock()) || u.Frozen.After(r.Clock()) {
		return nil, err
	}
	if err = r.gains(ctx, tx, f); err == nil {
		_, err = r.startWait(ctx, tx, u)
	}
	return nil, unlessRefused(err)
}

// unlessRefused is for who is in all the same, and changes nothing.
func unlessRefused(err error) error {
	var (
		often auth.ThrottledError
		no    auth.ConflictError
	)
	if errors.As(err, &often) || errors.As(err, &no) {
		return nil
	}
	return err
}

// real is true for what shows that something of the person's own is not lost, whatever it came beside: it need not make two
// factors of the sign-in.
func (r *Recovery) real(p auth.Proof) bool {
	return p.Kind != r.Roster.First().Kind() && p.Enrolment != "" && p.Level >= auth.OneFactor && !p.Weak && !p.Given
}

// Happened is auth.Watcher: what proves a step-up is not lost, unless it is the password.
func (r *Recovery) Happened(ctx context.Context, tx auth.Tx, e auth.Event) error {
	if e.Kind != auth.StepUpDone || e.Detail["factor"] == string(r.Roster.First().Kind()) {
		return nil
	}
	u, err := r.Users.Get(ctx, tx, e.User)
	if err != nil || !policy.Recovering(u, r.Clock()) {
		return err
	}
	return r.endWait(ctx, tx, u.ID, "confirmed")
}

// perWaiter is how often a wait may begin. Each is told on every channel, so nobody may begin more of them than are told.
var perWaiter = throttle.Budget{Name: "recovery", Most: 3, Every: 8 * time.Hour}

// startWait begins the wait of somebody whose row is locked.
func (r *Recovery) startWait(ctx context.Context, tx auth.Tx, u auth.User) (until time.Time, err error) {
	if err := r.Throttle.Spend(ctx, tx, perWaiter.For(string(u.ID))); err != nil {
		return time.Time{}, err
	}
	until = r.Clock().Add(r.Roster.Rules().Recovery)
	if err := r.Users.Recover(ctx, tx, u.ID, until); err != nil {
		return time.Time{}, err
	}
	return until, r.Trail.Record(ctx, tx, auth.Event{Kind: auth.RecoveryBegan, User: u.ID, Detail: map[string]string{"until": until.UTC().Format(time.RFC3339)}})
}

// endWait ends the wait of a person, if there is one, and with it the proofs that it made the password good for.
func (r *Recovery) endWait(ctx context.Context, tx auth.Tx, id auth.UserID, by string) error {
	u, err := r.lockedUser(ctx, tx, id)
	if err != nil || !policy.Recovering(u, r.Clock()) {
		return err
	}
	if err := r.Users.Recover(ctx, tx, id, time.Time{}); err != nil {
		return err
	}
	if err := r.Sessions.Cool(ctx, tx, id); err != nil {
		return err
	}
	return r.Trail.Record(ctx, tx, auth.Event{Kind: auth.RecoveryEnded, User: id, Detail: map[string]string{"by": by}})
}

// lockedUser is a person as they are, and stay until the transaction ends.
func (r *Recovery) lockedUser(ctx context.Context, tx auth.Tx, id auth.UserID) (auth.User, error) {
	if err := r.Users.Lock(ctx, tx, id); err != nil {
		return auth.User{}, err
	}
	return r.Users.Get(ctx, tx, id)
}
