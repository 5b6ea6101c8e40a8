package signin

import (
	"context"
	"errors"

	"sallyport/internal/auth"
	"sallyport/internal/roster"
	"sallyport/internal/throttle"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

type (
	// Opening is a response to a factor that begins a sign-in, or finishes the one under way.
	Opening struct {
		Response auth.Secret `json:"*"`
		ReturnTo string      `json:"return_to,omitempty" max:"2048" doc:"where a new sign-in leads: on this site, or registered"`
		Anew     bool        `json:"anew,omitempty" doc:"begin a new sign-in, though one may be under way"`
	}
	Invitation struct {
		Login string `json:"login,omitempty" max:"254" doc:"to narrow a new sign-in to one person"`
		Anew  bool   `json:"anew,omitempty" doc:"for a new sign-in, though one may be under way"`
	}
)

// open is a factor that knows whom a response comes from (S4): it begins a sign-in, and finishes one.
func (s *SignIn) open(f web.Opener, title string, about web.About) []web.Route {
	path := "POST /signin/" + string(f.Kind())
	about.Does = "Begin a sign-in, or finish the one under way: " + title
	return []web.Route{
		web.On(visit.Arriving, path+"/options", func(ctx context.Context, in Invitation) (web.Challenge, error) {
			underWay, err := underWay(ctx, in.Anew)
			switch {
			case err != nil:
				return web.Challenge{}, err
			case underWay:
				return f.Challenge(ctx, "")
			}
			return f.Challenge(ctx, in.Login)
		}, web.About{Does: "Give what the browser needs for that: " + title}),
		web.On(visit.Arriving, path, func(ctx context.Context, in Opening) (Answer, error) {
			underWay, err := underWay(ctx, in.Anew)
			switch {
			case err != nil:
				return Answer{}, err
			case underWay:
				return s.second(ctx, f, in.Response)
			}
			return s.opened(ctx, f, in)
		}, about),
	}
}

// underWay says whether this visit goes on with a sign-in. One that ended meanwhile is not begun anew unasked: the
// person stands at its second step.
func underWay(ctx context.Context, anew bool) (bool, error) {
	v := visit.Of(ctx)
	if anew {
		v.Pending = auth.Pending{}
	}
	if v.Pending.ID == "" && !anew && v.Cookie(visit.PendingCookie) != "" {
		return false, auth.ErrExpired
	}
	return v.Pending.ID != "", nil
}

// opened is a first step without a name. It counts against the address alone: whose it claims to be is no secret, and
// strangers must not be able to use up somebody's guesses. What begins a sign-in so is not guessed in thirty tries.
func (s *SignIn) opened(ctx context.Context, f web.Opener, in Opening) (Answer, error) {
	found, who, err := f.Find(ctx, in.Response)
	if errors.Is(err, auth.ErrNotFound) {
		found, err = ctx, nil
	}
	if err != nil {
		return Answer{}, err
	}
	attempt, claim, err := roster.Attempt(found, f, in.Response, func(ctx context.Context) (auth.Attempt, error) {
		return s.Throttle.Take(ctx, who, throttle.FirstByAddress.ForAddress(visit.Of(ctx).Address))
	})
	if err != nil {
		return Answer{}, s.failed(ctx, attempt, f.Kind(), err)
	}
	answer, err := s.begin(ctx, attempt, claim, s.Sites.Safe(in.ReturnTo))
	return answer, s.failed(ctx, attempt, f.Kind(), err)
}
