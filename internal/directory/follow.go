package directory

import (
	"context"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
)

// Name is of our place in the record, which our schema begins where the record is then.
func (d *Directory) Name() string { return "directory" }

// Follow notes who signed in, and whom something else happened to. Those are looked at afterwards, a few at a time, so
// that a thousand of them do not keep the only writer of SQLite from a sign-in.
func (d *Directory) Follow(ctx context.Context, tx auth.Tx, entries []audit.Entry) error {
	if err := lock(ctx, tx); err != nil {
		return err
	}
	seen, changed, failed := map[auth.UserID]time.Time{}, map[auth.UserID]bool{}, map[auth.UserID]bool{}
	for _, e := range entries {
		switch e.Kind {
		case auth.SessionEnded, auth.SessionsEnded, auth.StepUpDone, auth.BrowserTrusted, auth.BrowserForgotten, auth.FactorRenamed:
		case auth.WorkgroupRenamed, auth.TextChanged, auth.MessageTested, auth.PeopleExported, auth.EventsExported, auth.RecordChecked: // of the actor
		case auth.PolicyChanged, auth.WorkgroupRemoved:
			if err := rounds.Begin(ctx, tx, auth.WorkgroupID(e.Detail["workgroup"])); err != nil {
				return err
			}
		case auth.SessionStarted:
			seen[e.User] = e.At
		case auth.SignInFailed, auth.StepUpFailed, auth.FactorFailed:
			failed[e.User] = true
		default:
			changed[e.User] = true
		}
	}
	for u, at := range seen {
		quick, err := sawSignIn(ctx, tx, u, at)
		if err != nil {
			return err
		}
		changed[u] = changed[u] || !quick
	}
	for u := range failed {
		locked, err := d.Throttle.Locked(ctx, tx, u)
		if err != nil {
			return err
		}
		changed[u] = changed[u] || locked
	}
	for u, is := range changed {
		if is && u != "" {
			if err := lookAgain(ctx, tx, u, d.Clock()); err != nil {
				return err
			}
		}
	}
	return nil
}
