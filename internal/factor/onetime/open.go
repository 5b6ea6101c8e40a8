package onetime

import (
	"context"

	"sallyport/internal/auth"
	"sallyport/internal/notify"
	"sallyport/internal/web"
)

// Open sends a code that begins a sign-in, in a thread that one browser alone holds: to the address that its person proved
// to read, or else to their login, which an administrator gave them. For somebody who does not exist, or whose address is
// not theirs alone, it takes the same statements and nothing arrives.
func (f *Factor) Open(ctx context.Context, tx auth.Tx, in web.Thread) error {
	in.Purpose = toOpen
	to, err := f.Address(ctx, tx, in.User)
	if err != nil {
		return err
	}
	shared, err := f.shared(ctx, tx, in.User.ID, f.kind, to)
	if err != nil {
		return err
	}
	if shared || in.User.Disabled {
		in.User = auth.User{}
	}
	if in.User.ID == "" {
		to = ""
	}
	return f.send(ctx, tx, in, f.kind, to)
}

// Address is where a code goes that begins a sign-in. What people type into their profile is not asked: a slip, or a thief
// of a session, would hand the account to that mailbox.
func (c *Codes) Address(ctx context.Context, from auth.Reader, u auth.User) (string, error) {
	has, err := c.contacts(ctx, from, u.ID)
	for _, k := range has {
		if k.kind == Email {
			return k.destination, err
		}
	}
	return u.Login, err
}

// Shared says whether somebody else reads an address or number too (C4).
func (c *Codes) Shared(ctx context.Context, from auth.Reader, u auth.UserID, kind auth.Kind, to string) (bool, error) {
	return c.shared(ctx, from, u, kind, to)
}

// Opened says how long the code of a thread works; auth.ErrExpired: there is none.
func (f *Factor) Opened(ctx context.Context, in web.Thread) (web.Sent, error) {
	in.Purpose = toOpen
	s, err := f.under(ctx, f.DB, in, f.kind)
	if err != nil || !f.Clock().Before(s.expires) {
		return web.Sent{}, orExpired(err)
	}
	// Whether it arrives depends on who exists, so nothing is said of it.
	return web.NewSent(nil, string(notify.Waiting), s.expires, s.again(), f.Clock()), nil
}

// Find is whom the code of a thread was sent to, for a sign-in that it begins. Verify with the context it returns.
func (f *Factor) Find(ctx context.Context, in web.Thread) (context.Context, auth.User, error) {
	in.Purpose = toOpen
	s, err := f.under(ctx, f.DB, in, f.kind)
	if err != nil {
		return ctx, auth.User{}, orExpired(err)
	}
	if s.user != "" {
		if in.User, err = f.Users.Get(ctx, f.DB, s.user); err != nil {
			return ctx, auth.User{}, err
		}
	}
	return context.WithValue(ctx, threadKey{}, in), in.User, nil
}

func orExpired(err error) error {
	if err == nil || err == auth.ErrNotFound {
		return auth.ErrExpired
	}
	return err
}
