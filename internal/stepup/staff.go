package stepup

import (
	"net/http"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/visit"
)

// KeepStaff stands at the pages of people who look after others: their role is at least as high as one (A5). Whoever has a
// second step has proved it in this session: a trusted browser does not open these pages (R2).
func (s *StepUp) KeepStaff(least auth.Role) visit.Keeper {
	return func(r *http.Request, v *visit.Visit) error {
		if err := s.role(r, v, least); err != nil {
			return err
		}
		f, err := s.Roster.Facts(r.Context(), s.DB, v.Session.User, v.Session.Proofs)
		if err != nil {
			return err
		}
		if policy.Next(f).Need == policy.Nothing || !v.Session.FreshUntil.IsZero() { // or it stepped up once
			return nil
		}
		return s.fresh(r.Context(), v.Session)
	}
}

// KeepStaffFresh stands at what they change (U1).
func (s *StepUp) KeepStaffFresh(least auth.Role) visit.Keeper {
	return func(r *http.Request, v *visit.Visit) error {
		if err := s.role(r, v, least); err != nil {
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
