// Package signin is the way from the first page to a session. It owns pending sign-ins.
//
// A pending sign-in is not a session (S2): it has its own table, cookie and type, and opens nothing but its next step.
// It becomes a session in one transaction: the response is spent, the pending row deleted, the session begun.
package signin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/session"
	"sallyport/internal/throttle"
	"sallyport/internal/trust"
	"sallyport/internal/user"
	"sallyport/internal/visit"
)

// lifetime of a pending sign-in (S6).
const lifetime = 10 * time.Minute

// SignIn leads people in.
type SignIn struct {
	Parts
}

// Parts are what sign-in is made with.
type Parts struct {
	DB       *db.DB
	Keys     *secret.Keys
	Users    *user.Store
	Roster   *roster.Roster
	Sessions *session.Store
	Throttle *throttle.Throttle
	Trust    *trust.Trust
	Trail    *audit.Trail
	Sites    visit.Sites // where a sign-in may lead
	Arrivals []Arriver
	Detours  []Detour
	Mailed   Mailed // begins a sign-in with a code by mail; nil: none does
	Forgot   string // page for whoever forgot their password; empty: there is none
	Clock    func() time.Time
}

func New(p Parts) *SignIn { return &SignIn{p} }

// Keep stands at visit.Pending.
func (s *SignIn) Keep(r *http.Request, v *visit.Visit) error {
	token := visit.Cookie(r, visit.PendingCookie)
	if token == "" {
		return auth.ErrExpired
	}
	p, err := s.find(r.Context(), secret.Digest(token))
	v.Pending.ReturnTo = p.ReturnTo // an expired one still says where it was going
	if err != nil {
		return err
	}
	v.Pending, v.Token = p, token
	return nil
}

// KeepArriving stands at visit.Arriving.
func (s *SignIn) KeepArriving(r *http.Request, v *visit.Visit) error {
	if err := s.Keep(r, v); err != nil && !errors.Is(err, auth.ErrExpired) {
		return err
	}
	return nil
}

// KeepEnrolling stands at visit.Enrolling. Who has a factor must use it: to add another in its place would be a way
// around it.
func (s *SignIn) KeepEnrolling(r *http.Request, v *visit.Visit) error {
	if err := s.Keep(r, v); err != nil {
		return err
	}
	f, err := s.Roster.Facts(r.Context(), s.DB, v.Pending.User, v.Pending.Proofs)
	if err != nil {
		return err
	}
	if policy.Next(f).Need != policy.Enrolling {
		return auth.ErrForbidden
	}
	return nil
}

// begin goes on from a first proof: to a session, or to what is still needed.
func (s *SignIn) begin(ctx context.Context, a auth.Attempt, claim auth.Claim, returnTo string) (Answer, error) {
	var answer Answer
	err := s.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := s.before(ctx, tx, a.User, false); err != nil {
			return err
		}
		proof, err := claim(ctx, tx)
		if err != nil {
			return err
		}
		if err := s.Throttle.Succeeded(ctx, tx, a); err != nil {
			return err
		}
		answer, err = s.next(ctx, tx, a.User, []auth.Proof{proof}, returnTo)
		return err
	})
	return answer, err
}

// before takes the person's row ahead of anything that hangs on them, where a sign-in may change it: it begins or ends the
// wait of somebody who lost their second step (L3). All others leave the row alone.
func (s *SignIn) before(ctx context.Context, tx auth.Tx, u auth.User, standsIn bool) error {
	if u.Recovers.IsZero() && !standsIn {
		return nil
	}
	return s.Users.Lock(ctx, tx, u.ID)
}

// next asks policy what a sign-in with these proofs needs, and does it.
func (s *SignIn) next(ctx context.Context, tx auth.Tx, u auth.User, proofs []auth.Proof, returnTo string) (Answer, error) {
	rules, err := s.Roster.RulesOf(ctx, tx, u)
	if err != nil {
		return Answer{}, err
	}
	f := policy.Facts{Now: s.Clock(), Rules: rules, User: u, Proofs: proofs}
	if !policy.Proved(f) { // else what they have set up does not matter any more
		if f, err = s.Roster.Gather(ctx, tx, f); err != nil {
			return Answer{}, err
		}
		f.Bare = len(s.enrollers(u, rules)) == 0
	}
	switch step := policy.Next(f); step.Need {
	case policy.Nothing:
		if step.Begins {
			if err := s.Users.BeginGrace(ctx, tx, u.ID, step.Due); err != nil {
				return Answer{}, err
			}
		}
		return s.finish(ctx, tx, u, proofs, returnTo, nil)
	case policy.Second:
		if cookies, err := s.trusted(ctx, tx, f); cookies != nil || err != nil {
			if err != nil {
				return Answer{}, err
			}
			return s.finish(ctx, tx, u, proofs, returnTo, cookies)
		}
		opens := step.Accepts[0].Kind
		answer, p, err := s.hold(ctx, tx, f, Answer{State: "second_factor", Factors: roster.Offers(step.Accepts), Next: "/signin/" + string(opens)}, returnTo)
		if err != nil {
			return answer, err
		}
		if step.Accepts[0].Given && len(step.Accepts) > 1 { // what stands in is asked for by who needs it
			return answer, nil
		}
		return answer, s.sendUnasked(ctx, tx, opens, p)
	case policy.Enrolling:
		answer, _, err := s.hold(ctx, tx, f, Answer{State: "enrolment", Factors: s.enrollable(u, rules), Next: "/signin/enrol"}, returnTo)
		return answer, err
	case policy.Blocked:
		return Answer{}, auth.ErrBlocked
	case policy.Denied:
		return Answer{}, auth.ErrWrong
	}
	return Answer{}, errors.New("policy needs something that sign-in does not know")
}

// trusted is the next cookie of a browser that the person trusts, where that is enough (R2).
func (s *SignIn) trusted(ctx context.Context, tx auth.Tx, f policy.Facts) (visit.Cookies, error) {
	f.Trusted = true
	if policy.Next(f).Need != policy.Nothing {
		return nil, nil
	}
	return s.Trust.Use(ctx, tx, f.User)
}

// hold stores a pending sign-in.
func (s *SignIn) hold(ctx context.Context, tx auth.Tx, f policy.Facts, a Answer, returnTo string) (Answer, auth.Pending, error) {
	token := secret.NewToken()
	p := auth.Pending{ID: secret.NewID(), User: f.User, Proofs: f.Proofs, ReturnTo: returnTo, Expires: f.Now.Add(lifetime)}
	a.Cookies = visit.Cookies{visit.Issue(visit.PendingCookie, token)}
	return a, p, s.insert(ctx, tx, secret.Digest(token), p)
}

// prove goes on from a second proof. The pending sign-in is spent in the same transaction, so of two right responses
// at once one wins.
func (s *SignIn) prove(ctx context.Context, kind auth.Kind, a auth.Attempt, claim auth.Claim) (Answer, error) {
	v := visit.Of(ctx)
	var answer Answer
	err := s.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := s.before(ctx, tx, v.Pending.User, slices.Contains(s.Roster.Rules().Given, kind)); err != nil {
			return err
		}
		proof, err := claim(ctx, tx)
		if err != nil {
			return err
		}
		if err := s.spend(ctx, tx, secret.Digest(v.Token)); err != nil {
			return err
		}
		if err := s.Throttle.Succeeded(ctx, tx, a); err != nil {
			return err
		}
		answer, err = s.next(ctx, tx, v.Pending.User, append(v.Pending.Proofs, proof), v.Pending.ReturnTo)
		return err
	})
	return answer, err
}

// enrolled goes on from a factor that was set up on the way. The new security epoch voids whatever else was begun with
// the password alone.
func (s *SignIn) enrolled(ctx context.Context, tx auth.Tx, proof auth.Proof) (Answer, error) {
	v := visit.Of(ctx)
	if err := s.spend(ctx, tx, secret.Digest(v.Token)); err != nil {
		return Answer{}, err
	}
	u := v.Pending.User
	var err error
	if u.Epoch, err = s.Users.Bump(ctx, tx, u.ID); err != nil {
		return Answer{}, err
	}
	return s.next(ctx, tx, u, append(v.Pending.Proofs, proof), v.Pending.ReturnTo)
}

// finish begins the session. On the way to where the person was going there may be a detour: the first that wants it.
// Trusted is the cookie of a browser that stood in for a second step.
func (s *SignIn) finish(ctx context.Context, tx auth.Tx, u auth.User, proofs []auth.Proof, returnTo string, trusted visit.Cookies) (Answer, error) {
	began, cookies, err := s.Sessions.Start(ctx, tx, u, proofs, trusted != nil)
	if err != nil {
		return Answer{}, err
	}
	cookies = append(cookies, trusted...)
	for _, a := range s.Arrivals {
		more, err := a.Arrived(ctx, tx, began)
		if err != nil {
			return Answer{}, err
		}
		cookies = append(cookies, more...)
	}
	for _, d := range s.Detours {
		if to, err := d.Detour(ctx, tx, began, returnTo); err != nil || to != "" {
			return Answer{State: "signed_in", Next: to, Cookies: cookies}, err
		}
	}
	return Answer{State: "signed_in", Next: returnTo, Cookies: cookies}, nil
}

// An Arriver hears of every finished sign-in, in its transaction.
type Arriver interface {
	Arrived(ctx context.Context, tx auth.Tx, began auth.Session) (visit.Cookies, error)
}

// A Detour has something to say to a person who just signed in. It returns a page here that leads on to the address, or "".
type Detour interface {
	Detour(ctx context.Context, tx auth.Tx, began auth.Session, to string) (string, error)
}

// failed leaves a row of a wrong response and says how many are left.
func (s *SignIn) failed(ctx context.Context, a auth.Attempt, kind auth.Kind, err error) error {
	if !errors.Is(err, auth.ErrWrong) {
		return err
	}
	pending := visit.Of(ctx).Pending.ID != ""
	recorded := s.DB.Tx(ctx, func(tx auth.Tx) error {
		if pending && a.Left == 0 { // this sign-in is over
			if err := s.spend(ctx, tx, secret.Digest(visit.Of(ctx).Token)); err != nil && !errors.Is(err, auth.ErrExpired) {
				return err
			}
		}
		e := audit.Wrong(auth.SignInFailed, a.User.ID, kind, err)
		e.Failures = a.Failures
		return s.Trail.Record(ctx, tx, e)
	})
	switch {
	case recorded != nil:
		return recorded
	case !pending:
		return err
	case a.Left == 0:
		return errUsedUp
	}
	return auth.WrongError{Left: a.Left, Err: err}
}

// over is a sign-in that ended before its time.
type over string

const (
	errUsedUp over = "the last guess of this sign-in was wrong"
	errOver   over = "this sign-in has no guess left"
)

func (e over) Error() string        { return string(e) }
func (e over) Is(target error) bool { return target == auth.ErrExpired }

func decode(proofs []byte) (some []auth.Proof, err error) { return some, json.Unmarshal(proofs, &some) }
