package signin

import (
	"context"
	"errors"

	"sallyport/internal/auth"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

// sendUnasked sends a response to who will be asked for it first, where that is how it is done. A budget that is used up
// ends no sign-in: there may be another way.
func (s *SignIn) sendUnasked(ctx context.Context, tx auth.Tx, kind auth.Kind, p auth.Pending) error {
	for _, f := range s.Roster.Second() {
		sender, ok := f.(web.Sender)
		if !ok || f.Kind() != kind || !sender.Unasked() {
			continue
		}
		err := sender.Send(ctx, tx, web.Thread{User: p.User, ID: p.ID, Purpose: web.ToSignIn, Until: p.Expires})
		var wait auth.ThrottledError
		if errors.As(err, &wait) {
			return nil
		}
		return err
	}
	return nil
}

// send is the route of Send code and Resend.
func (s *SignIn) send(f web.Sender, title string) web.Route {
	path := "/signin/" + string(f.Kind())
	return web.On(visit.Pending, "POST "+path+"/send", func(ctx context.Context, _ web.None) (web.Sent, error) {
		in := web.ThreadOf(visit.Of(ctx))
		if _, err := s.show(ctx, f.Kind()); err != nil { // it is none of theirs, or policy wants another
			return web.Sent{}, err
		}
		if err := s.DB.Tx(ctx, func(tx auth.Tx) error { return f.Send(ctx, tx, in) }); err != nil {
			return web.Sent{}, err
		}
		return f.Sent(ctx, in)
	}, web.About{Does: "Send a code, or another one; the one before is dead then: " + title, Then: path, On: path})
}

// sent says what is under way, for a factor that is sent.
func (s *SignIn) sent(ctx context.Context, f auth.Factor) (*web.Sent, error) {
	sender, ok := f.(web.Sender)
	if !ok {
		return nil, nil
	}
	sent, err := sender.Sent(ctx, web.ThreadOf(visit.Of(ctx)))
	return &sent, err
}
