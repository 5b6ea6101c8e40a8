package notice

import (
	"context"
	"errors"
	"net/http"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/secret"
	"sallyport/internal/user"
	"sallyport/internal/visit"
)

// answer is “This wasn't me”: out go all sessions and sign-ins under way, back goes what can be undone, and nothing about
// the account can be changed for a while (L3). It returns where the person goes from here: to a new password, if they may.
func (n *Notices) answer(ctx context.Context, key digest) (next string, err error) {
	err = n.DB.Tx(ctx, func(tx auth.Tx) error {
		l, err := n.spend(ctx, tx, key)
		if err != nil {
			return err
		}
		if err := n.Revoker.RevokeOthers(ctx, tx, l.user, ""); err != nil { // first: it locks the person's row
			return err
		}
		u, err := n.Users.Get(ctx, tx, l.user)
		if err != nil {
			return err
		}
		recovers, err := n.recovers(ctx, tx, u, l)
		if err != nil {
			return err
		}
		if err := n.undo(ctx, tx, u, l); err != nil {
			return err
		}
		if err := n.lock(ctx, tx, u, l); err != nil {
			return err
		}
		next = "/not-me/done"
		if recovers {
			next, err = n.Recovery.Begin(ctx, tx, u)
		}
		return err
	})
	return next, err
}

// recovers says whether a link may lead to a new password: it went to the address of the account, and that has not changed
// for as long as links live. Else whoever moved an account to a mailbox of theirs, or reads one that the account has left,
// would get in by it.
func (n *Notices) recovers(ctx context.Context, from auth.Reader, u auth.User, l link) (bool, error) {
	if l.address != user.Key(u.Email) || u.Disabled {
		return false, nil
	}
	moved, err := n.Moved(ctx, from, u.ID)
	return !moved, err
}

// lock freezes the account, says so in the record, and tells every address it had.
func (n *Notices) lock(ctx context.Context, tx auth.Tx, before auth.User, l link) error {
	until := n.Clock().Add(n.Freeze)
	if err := n.Users.Freeze(ctx, tx, before.ID, until); err != nil {
		return err
	}
	locked := auth.Event{Kind: auth.AccountFrozen, User: before.ID, Detail: map[string]string{"after": string(l.kind)}}
	if err := n.Trail.Record(ctx, tx, locked); err != nil {
		return err
	}
	u, err := n.Users.Get(ctx, tx, before.ID)
	if err != nil {
		return err
	}
	to := []auth.User{u}
	if user.Key(before.Email) != user.Key(u.Email) {
		to = append(to, before)
	}
	for _, one := range to {
		if err := n.send(ctx, tx, letter{name: "notice-recovery", to: one, until: until}); err != nil {
			return err
		}
	}
	return nil
}

// A remover is a factor of which one thing can be taken away.
type remover interface {
	auth.Factor
	Remove(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.EnrolmentID) error // or auth.ErrNotFound
}

// undo takes back what happened, if it is there still.
func (n *Notices) undo(ctx context.Context, tx auth.Tx, u auth.User, l link) error {
	switch l.kind {
	case auth.FactorAdded:
		return n.removeAdded(ctx, tx, u, l)
	case auth.SessionStarted:
		return unlessGone(n.forget(ctx, tx, u.ID, l.subject)) // so that it is told again
	case auth.ContactChanged:
		if l.subject == "" || l.subject == u.Email {
			return nil
		}
		if err := n.Users.SetContact(ctx, tx, u.ID, l.subject, u.Phone, u.Language); err != nil {
			return err
		}
		// A link that nobody has: it says that the address changed once more, for recovers.
		left := link{user: u.ID, kind: l.kind, subject: u.Email, address: user.Key(u.Email), toOld: true, created: n.Clock()}
		if err := n.keep(ctx, tx, secret.Digest(secret.NewToken()), left); err != nil {
			return err
		}
		return n.Trail.Record(ctx, tx, auth.Event{Kind: auth.ContactChanged, User: u.ID, Before: &u, Detail: map[string]string{"field": "email", auth.Undone: "yes"}})
	}
	return nil
}

func (n *Notices) removeAdded(ctx context.Context, tx auth.Tx, u auth.User, l link) error {
	for _, f := range n.Roster.Second() {
		r, ok := f.(remover)
		if !ok || f.Kind() != l.factor {
			continue
		}
		all, err := f.Enrolments(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		for _, e := range all {
			if string(e.ID) != l.subject {
				continue
			}
			back := r.Remove
			if w, ok := f.(interface {
				Undo(context.Context, auth.Tx, auth.UserID, auth.EnrolmentID) error
			}); ok { // what it took the place of counts again
				back = w.Undo
			}
			if err := back(ctx, tx, u.ID, e.ID); err != nil {
				return err
			}
			return n.Trail.Record(ctx, tx, auth.Event{Kind: auth.FactorRemoved, User: u.ID,
				Detail: map[string]string{"factor": string(l.factor), "name": e.Name, auth.Undone: "yes"}})
		}
	}
	return nil
}

func unlessGone(err error) error {
	if errors.Is(err, auth.ErrNotFound) {
		return nil
	}
	return err
}

// Unfrozen is a keeper that lets nobody pass whose account is locked against changes. Whether they would have to prove
// more first does not matter: they cannot pass with it either.
func Unfrozen(keep visit.Keeper, clock func() time.Time) visit.Keeper {
	return func(r *http.Request, v *visit.Visit) error {
		err := keep(r, v)
		if until := v.Person().Frozen; until.After(clock()) {
			return auth.Frozen(until)
		}
		return err
	}
}
