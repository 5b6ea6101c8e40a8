package user

import (
	"context"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

// Acts is somebody who changes what is not theirs alone, as they are now: what a session remembers of them may be over
// (A5). It is auth.ErrNotSignedIn if their session ended since the request began, auth.ErrForbidden if their role is less
// than least now, and auth.Frozen while their account is locked against changes.
func (s *Store) Acts(ctx context.Context, from auth.Reader, was auth.User, least auth.Role, now time.Time) (auth.User, error) {
	u, err := s.Get(ctx, from, was.ID)
	switch {
	case err != nil:
		return was, db.NoneMeans(auth.ErrNotSignedIn, err)
	case u.Disabled || u.Epoch != was.Epoch:
		return was, auth.ErrNotSignedIn
	case !u.Role.Reaches(least):
		return was, auth.ErrForbidden
	case u.Frozen.After(now):
		return was, auth.Frozen(u.Frozen)
	}
	return u, nil
}

// LockActs is the same, and stays true until the transaction ends. It comes first in a transaction: people are locked
// before workgroups and all else.
func (s *Store) LockActs(ctx context.Context, tx auth.Tx, was auth.User, least auth.Role, now time.Time) (auth.User, error) {
	if err := s.Lock(ctx, tx, was.ID); err != nil {
		return was, db.NoneMeans(auth.ErrNotSignedIn, err)
	}
	return s.Acts(ctx, tx, was, least, now)
}
