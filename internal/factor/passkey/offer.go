package passkey

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

// P9: who just signed in with something weaker is offered a passkey, once and then not for a while. The sign-in they come
// from stands for the step-up: the offer belongs to the session it began, for ten minutes, and is taken up once.
const (
	offerLife  = 10 * time.Minute
	offerQuiet = 30 * 24 * time.Hour
)

// capableCookie is set by passkey.js in a browser that can make passkeys. It is a hint, worth nothing else.
const capableCookie = "passkeys"

// Detour is signin.Detour: the page with the offer.
func (p *Passkey) Detour(ctx context.Context, tx auth.Tx, began auth.Session, to string) (string, error) {
	byPasskey := slices.ContainsFunc(began.Proofs, func(proof auth.Proof) bool { return proof.Kind == Kind })
	if p.Rules.Use != Enabled || !p.Rules.Offers || byPasskey || visit.Of(ctx).Cookie(capableCookie) == "" {
		return "", nil
	}
	if err := p.open(ctx, tx, began.User); errors.Is(err, errClosed) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	if err := p.stands(ctx, tx, began); errors.Is(err, auth.ErrForbidden) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	err := p.offer(ctx, tx, began, began.Started.Add(offerLife), began.Started.Add(offerQuiet))
	if errors.Is(err, auth.ErrNotFound) { // they are to be left alone
		return "", nil
	}
	return "/account/passkeys/offer?" + url.Values{"return_to": {to}}.Encode(), err
}

// KeepOffered stands at visit.Offered, after whoever keeps sessions.
func (p *Passkey) KeepOffered(r *http.Request, v *visit.Visit) error {
	if err := p.offered(r.Context(), v.Session); err != nil {
		return err
	}
	return p.stands(r.Context(), p.DB, v.Session) // they may have set something up since
}

// stands is nil if the sign-in that began a session may stand for a step-up, or auth.ErrForbidden: whoever has something
// stronger than they showed proves that first, as at any step-up (U2, security R7), even if it is switched off.
func (p *Passkey) stands(ctx context.Context, from auth.Reader, began auth.Session) error {
	f, err := p.Roster.Facts(ctx, from, began.User, began.Proofs)
	if err != nil {
		return err
	}
	strong := slices.ContainsFunc(began.Proofs, func(p auth.Proof) bool { return !p.Weak })
	if !strong || policy.StepUp(f, time.Time{}, nil).Need == policy.Blocked { // a mailed code alone sets nothing up
		return auth.ErrForbidden
	}
	if policy.LevelOf(began.Proofs) < auth.MultiFactor && len(policy.StepUp(f, time.Time{}, nil).Accepts) > 0 {
		return auth.ErrForbidden
	}
	return nil
}

type (
	Offer struct {
		ReturnTo string `json:"return_to"`
		Turns    bool   `json:"turns_mfa_on" doc:"signing in with the password asks for the passkey, too, from then on"`
	}
	Mediation struct {
		Conditional bool `json:"conditional,omitempty" doc:"for a browser that makes it without asking, after it filled in the password"`
	}
	Declined struct {
		ReturnTo string `json:"return_to,omitempty" max:"2048"`
		Never    bool   `json:"never,omitempty" doc:"for good"`
	}
)

func (p *Passkey) offering(_ context.Context, in web.Leading) (Offer, error) {
	return Offer{p.Sites.Safe(in.ReturnTo), p.Rules.TurnsMFAOn}, nil
}

func (p *Passkey) takeUp(ctx context.Context, in Addition) (Added, error) {
	now := visit.Of(ctx).Session
	out, err := p.add(ctx, in, func(tx auth.Tx) error { return p.take(ctx, tx, now, p.Clock().Add(offerQuiet)) }, p.revoke)
	out.Next = p.Sites.Safe(in.ReturnTo)
	return out, err
}

func (p *Passkey) decline(ctx context.Context, in Declined) (web.Onward, error) {
	quiet := p.Clock().Add(offerQuiet)
	if in.Never {
		quiet = p.Clock().AddDate(100, 0, 0)
	}
	err := p.DB.Tx(ctx, func(tx auth.Tx) error { return p.refuse(ctx, tx, visit.Of(ctx).Session, quiet) })
	if errors.Is(err, auth.ErrForbidden) { // it was answered before
		err = nil
	}
	return web.Onward{Next: p.Sites.Safe(in.ReturnTo)}, err
}
