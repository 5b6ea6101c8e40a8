package stepup

import (
	"context"
	"net/http"
	"slices"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/visit"
)

// KeepStaff stands at the pages of people who look after others: their role is at least as high as one (A5). Whoever has a
// second step has proved it in this session: a trusted browser does not open these pages (R2).
func (s *StepUp) KeepStaff(least auth.Role) visit.Keeper {
	return func(r *http.Request, v *visit.Visit) error {
		if err := s.role(r, v, least); err != nil {
			return err
		}
		return s.proven(r.Context(), v.Session)
	}
}

// proven is nil for a session that shows all that its person's sign-in asks for in a browser that nobody trusts.
func (s *StepUp) proven(ctx context.Context, now auth.Session) error {
	f, first, err := s.facts(ctx, s.DB, now)
	if err != nil {
		return err
	}
	if policy.Next(f).Need != policy.Second {
		return nil
	}
	stronger := slices.DeleteFunc(policy.StepUp(f, time.Time{}, first).Accepts, func(e auth.Enrolment) bool { return e.Kind == s.Roster.First().Kind() })
	switch {
	case len(stronger) == 0: // a mailed code, which is asked for at the sign-in alone
		return auth.ErrNotSignedIn
	case s.Clock().Before(now.FreshUntil): // it was set up a moment ago, after a fresh proof
		return nil
	}
	return auth.StepUpError{Accepts: roster.Offers(stronger)}
}

// KeepStaffFresh stands at what they change (U1).
func (s *StepUp) KeepStaffFresh(least auth.Role) visit.Keeper {
	return func(r *http.Request, v *visit.Visit) error {
		if err := s.role(r, v, least); err != nil {
			return err
		}
		if err := s.proven(r.Context(), v.Session); err != nil {
			return err
		}
		return s.fresh(r.Context(), v.Session)
	}
}

// role comes first: nobody is asked for a proof of what they may not do anyway.
func (s *StepUp) role(r *http.Request, v *visit.Visit, least auth.Role) error {
	if err := s.Sessions.Keep(r, v); err != nil {
		return err
	}
	if !v.Session.User.Role.Reaches(least) {
		return auth.ErrForbidden
	}
	return nil
}
