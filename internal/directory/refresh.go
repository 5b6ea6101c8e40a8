package directory

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
)

// again is when somebody is looked at again whose state may change by itself, or by what happens to somebody else.
const again = 10 * time.Minute

// Refresh makes the rows of people anew, and takes out whoever is gone: call it last in the transaction that changed
// them, so that their administrator sees what they did. Whoever is not in it hears of the change from the record.
//
// It takes a lock that all writers of the directory share, and no row of a person after that.
func (d *Directory) Refresh(ctx context.Context, tx auth.Tx, people ...auth.UserID) error {
	if err := lock(ctx, tx); err != nil {
		return err
	}
	for _, id := range people {
		if err := d.refresh(ctx, tx, id); err != nil {
			return err
		}
	}
	return nil
}

func (d *Directory) refresh(ctx context.Context, tx auth.Tx, id auth.UserID) error {
	before, err := find(ctx, tx, id)
	if err != nil {
		return err
	}
	u, err := d.Users.Get(ctx, tx, id)
	if errors.Is(err, auth.ErrNotFound) {
		return forget(ctx, tx, id, before)
	}
	if err != nil {
		return err
	}
	now, due, err := d.look(ctx, tx, u, before)
	if err != nil {
		return err
	}
	if err := store(ctx, tx, before, now); err != nil {
		return err
	}
	return lookAgain(ctx, tx, id, due)
}

// look gathers what a row says, and when it must be looked at again; zero: when something happens.
func (d *Directory) look(ctx context.Context, tx auth.Tx, u auth.User, before row) (r row, due time.Time, err error) {
	facts, err := d.Roster.Facts(ctx, tx, u, nil)
	if err != nil {
		return r, due, err
	}
	r.n, r.user, r.seen = before.n, u, before.seen
	if before.n == 0 { // nobody followed what they did so far
		if r.seen, err = d.Trail.Last(ctx, tx, u.ID, auth.SessionStarted); err != nil {
			return r, due, err
		}
	}
	r.factors, r.words = words(factors(facts)), wordsOf(u)
	shape, shared, err := d.shape(ctx, tx, facts)
	if err != nil {
		return r, due, err
	}
	r.shape = shape.text()
	locked, err := d.Throttle.Locked(ctx, tx, u.ID)
	if err != nil {
		return r, due, err
	}
	first, err := d.Roster.First().Enrolments(ctx, tx, u.ID)
	frozen := u.Frozen.After(facts.Now)
	switch {
	case u.Disabled:
		r.status = Disabled
	case frozen, locked:
		r.status = Locked
	case r.seen.IsZero() && len(first) == 0:
		r.status = Invited
	default:
		r.status = Active
	}
	if frozen {
		due = u.Frozen
	}
	passing := func(e auth.Enrolment) bool { return e.State == auth.Blocked || e.Given && !e.Added.IsZero() }
	if soon := facts.Now.Add(again); (shared || slices.ContainsFunc(facts.Enrolled, passing)) && (due.IsZero() || soon.Before(due)) {
		due = soon
	}
	return r, due, err
}

// shape says besides whether somebody else has an address or number of the person, too.
func (d *Directory) shape(ctx context.Context, tx auth.Tx, f policy.Facts) (s Shape, shared bool, err error) {
	u := f.User
	s = Shape{Enrolled: f.Enrolled, Method: u.Method, MFAOff: u.MFAOff, Email: u.Email != "", Phone: u.Phone != ""}
	if s.Email {
		taken, err := d.Users.HasAddress(ctx, tx, u.ID, u.Email)
		if err != nil {
			return s, false, err
		}
		s.Email, shared = !taken, taken
	}
	if s.Phone {
		taken, err := d.Users.HasPhone(ctx, tx, u.ID, u.Phone)
		if err != nil {
			return s, false, err
		}
		s.Phone, shared = !taken, shared || taken
	}
	return s, shared, nil
}
