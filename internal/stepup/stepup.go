// Package stepup asks a signed-in person for fresh proof before a dangerous act. The act itself waits in web (resume.go).
package stepup

import (
	"context"
	"embed"
	"net/http"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/session"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html
var files embed.FS

// StepUp raises sessions.
type StepUp struct {
	Parts
}

// Parts are what step-up is made with.
type Parts struct {
	DB       *db.DB
	Users    *user.Store
	Roster   *roster.Roster
	Sessions *session.Store
	Throttle *throttle.Throttle
	Trail    *audit.Trail
	Clock    func() time.Time
}

func New(p Parts) *StepUp { return &StepUp{p} }

// Keep stands at visit.Fresh.
func (s *StepUp) Keep(r *http.Request, v *visit.Visit) error {
	if err := s.Sessions.Keep(r, v); err != nil {
		return err
	}
	return s.fresh(r.Context(), v.Session)
}

// fresh is nil for a session that needs no proof now (U1).
func (s *StepUp) fresh(ctx context.Context, now auth.Session) error {
	step, err := s.next(ctx, s.DB, now)
	switch {
	case err != nil:
		return err
	case step.Need == policy.Nothing:
		return nil
	case step.Need == policy.Second:
		return auth.StepUpError{Accepts: roster.Offers(step.Accepts)}
	case step.Need == policy.Blocked:
		return auth.ErrBlocked
	}
	return auth.ErrForbidden
}

// next asks policy what a dangerous act needs in this session (U2, U3).
func (s *StepUp) next(ctx context.Context, from auth.Reader, now auth.Session) (policy.Step, error) {
	f, first, err := s.facts(ctx, from, now)
	return policy.StepUp(f, now.FreshUntil, first), err
}

// facts are of this moment where somebody waits for what they lost: that may have been cancelled on another node.
func (s *StepUp) facts(ctx context.Context, from auth.Reader, now auth.Session) (f policy.Facts, first []auth.Enrolment, err error) {
	if !now.User.Recovers.IsZero() {
		if now.User, err = s.Users.Get(ctx, from, now.User.ID); err != nil {
			return policy.Facts{}, nil, err
		}
	}
	if f, err = s.Roster.Facts(ctx, from, now.User, now.Proofs); err != nil {
		return policy.Facts{}, nil, err // which policy denies
	}
	first, err = s.Roster.First().Enrolments(ctx, from, now.User.ID)
	return f, first, err
}

// Routes is one proof for every factor, on both faces.
func (s *StepUp) Routes() []web.Route {
	routes := []web.Route{web.On(visit.SignedIn, "GET /stepup", s.state, web.About{
		Does: "Say whether a fresh proof is needed, and by which factors",
		Page: web.Dialog(files, "stepup.html"),
	})}
	for _, f := range s.factors() {
		prompt := f.Prompt()
		if c, ok := f.(web.Challenger); ok {
			challenge := func(ctx context.Context, _ web.None) (web.Challenge, error) { return c.Challenge(ctx, "") }
			routes = append(routes, web.On(visit.SignedIn, "POST /stepup/"+string(f.Kind())+"/options", challenge, web.About{
				Does: "Give what the browser needs to prove again: " + prompt.Title,
			}))
		}
		if sender, ok := f.(web.Sender); ok {
			send := func(ctx context.Context, _ web.None) (web.Sent, error) { return s.send(ctx, sender) }
			routes = append(routes, web.On(visit.SignedIn, "POST /stepup/"+string(f.Kind())+"/send", send, web.About{
				Does: "Send a code to prove again with, or another one; the one before is dead then: " + prompt.Title,
				Then: web.SamePage,
				On:   "/stepup",
			}))
		}
		prove := func(ctx context.Context, in Response) (Raised, error) { return s.prove(ctx, f, in.Response) }
		label := "code"
		if f == s.Roster.First() {
			label = "inside"
		}
		routes = append(routes, web.On(visit.SignedIn, "POST /stepup/"+string(f.Kind()), prove, web.About{
			Does:     "Prove again: " + prompt.Title,
			On:       "/stepup",
			Then:     web.HeldAct,
			Throttle: label,
			Asks:     &prompt.Reply,
			Words:    prompt.Words,
		}))
	}
	return routes
}

type (
	State struct {
		Fresh    bool         `json:"fresh"`
		Until    time.Time    `json:"fresh_until"`
		Accepts  []auth.Offer `json:"accepts" doc:"what counts as proof"`
		Recovers *time.Time   `json:"recovers_at,omitempty" doc:"what is asked for counts as lost: from then on the password does, after a sign-in by what stood in for it"`
		Lost     bool         `json:"-"` // the password does not do: somebody may have to say that the rest is lost
		Window   int          `json:"-"`
		Asks     []Ask        `json:"-"`
	}
	// An Ask is one accepted factor on the page.
	Ask struct {
		Kind auth.Kind
		*web.Prompt
		Lead, Form web.Part
		Sent       *web.Sent // of a factor whose response is sent to the person
	}
	Response struct {
		Response auth.Secret `json:"*"`
	}
	Raised struct {
		visit.Cookies `json:"-"`
		Until         time.Time `json:"fresh_until"`
	}
)

func (s *StepUp) state(ctx context.Context, _ web.None) (State, error) {
	now := visit.Of(ctx).Session
	f, first, err := s.facts(ctx, s.DB, now)
	if err != nil {
		return State{}, err
	}
	step := policy.StepUp(f, time.Time{}, first)
	out := State{Fresh: policy.StepUp(f, now.FreshUntil, first).Need == policy.Nothing, Until: now.FreshUntil,
		Accepts: roster.Offers(step.Accepts), Window: int(s.Roster.Rules().StepUp.Minutes())}
	out.Lost = step.Need == policy.Second && len(roster.Of(s.Roster.First().Kind(), step.Accepts)) == 0
	if policy.Recovering(f.User, f.Now) {
		out.Recovers = &f.User.Recovers
	}
	for _, f := range s.factors() {
		if some := roster.Of(f.Kind(), step.Accepts); len(some) > 0 {
			prompt := f.Prompt()
			ask := Ask{f.Kind(), prompt, prompt.Lead(some), prompt.Fields(some), nil}
			if sender, ok := f.(web.Sender); ok {
				sent, err := sender.Sent(ctx, web.ThreadOf(visit.Of(ctx)))
				if err != nil {
					return State{}, err
				}
				ask.Sent = &sent
			}
			out.Asks = append(out.Asks, ask)
		}
	}
	return out, nil
}

// accepts is an auth.StepUpError unless a kind of factor counts as fresh proof here.
func (s *StepUp) accepts(ctx context.Context, from auth.Reader, now auth.Session, kind auth.Kind) error {
	step, err := s.next(ctx, from, now)
	if err == nil && !slices.ContainsFunc(step.Accepts, func(e auth.Enrolment) bool { return e.Kind == kind }) {
		err = auth.StepUpError{Accepts: roster.Offers(step.Accepts)}
	}
	return err
}

// send sends a code to prove again with.
func (s *StepUp) send(ctx context.Context, f web.Sender) (web.Sent, error) {
	v := visit.Of(ctx)
	now := v.Session
	now.FreshUntil = time.Time{}
	if err := s.accepts(ctx, s.DB, now, f.Kind()); err != nil {
		return web.Sent{}, err
	}
	in := web.ThreadOf(v)
	if err := s.DB.Tx(ctx, func(tx auth.Tx) error { return f.Send(ctx, tx, in) }); err != nil {
		return web.Sent{}, err
	}
	return f.Sent(ctx, in)
}

func (s *StepUp) prove(ctx context.Context, f auth.Factor, response auth.Secret) (Raised, error) {
	v := visit.Of(ctx)
	now := v.Session
	now.FreshUntil = time.Time{}
	if err := s.accepts(ctx, s.DB, now, f.Kind()); err != nil {
		return Raised{}, err
	}
	rule := throttle.CodeByAccount
	if _, ok := f.(web.Challenger); ok {
		rule = rule.Lockless()
	}
	if f == s.Roster.First() {
		rule = throttle.FirstInside
	}
	attempt, claim, err := roster.Attempt(ctx, f, response, func(ctx context.Context) (auth.Attempt, error) {
		return s.Throttle.Take(ctx, now.User, rule.For(string(now.User.ID)))
	})
	if err != nil {
		return Raised{}, s.failed(ctx, now.User, attempt, f.Kind(), err)
	}
	until := s.Clock().Add(s.Roster.Rules().StepUp)
	raised := Raised{Until: until}
	err = s.DB.Tx(ctx, func(tx auth.Tx) error {
		if !now.User.Recovers.IsZero() { // this may end it, so the person's row comes first
			if err := s.Users.Lock(ctx, tx, now.User.ID); err != nil {
				return err
			}
			if err := s.accepts(ctx, tx, now, f.Kind()); err != nil { // it may have ended while the password was hashed
				return err
			}
		}
		proof, err := claim(ctx, tx)
		if err != nil {
			return err
		}
		if err := s.Throttle.Succeeded(ctx, tx, attempt); err != nil {
			return err
		}
		// Recorded first: it may end the fresh proofs of all sessions, and this one is fresh by what it ended them for.
		done := auth.Event{Kind: auth.StepUpDone, User: now.User.ID, Detail: map[string]string{"factor": string(f.Kind())}}
		if err := s.Trail.Record(ctx, tx, done); err != nil {
			return err
		}
		raised.Cookies, err = s.Sessions.Raise(ctx, tx, proof, until)
		return err
	})
	return raised, s.failed(ctx, now.User, attempt, f.Kind(), err)
}

func (s *StepUp) failed(ctx context.Context, who auth.User, a auth.Attempt, kind auth.Kind, err error) error {
	e := audit.Wrong(auth.StepUpFailed, who.ID, kind, err)
	e.Failures = a.Failures
	return s.Trail.Missed(ctx, e, err)
}

// factors are all that count as a fresh proof, the second ones first.
func (s *StepUp) factors() (some []web.Prompter) {
	for _, f := range append(slices.Clone(s.Roster.Second()), s.Roster.First()) {
		if p, ok := f.(web.Prompter); ok && !p.Prompt().SignInOnly {
			some = append(some, p)
		}
	}
	return some
}
