// Package trust is the browsers on which somebody is not asked for a second step.
//
// It promises: a browser becomes one only right after a second step was proved in it, and because its person ticked the
// box (R1); it is trusted by that person alone, until a moment that no use moves (R2), or until their security epoch moves
// on (R4), whichever comes first; and shorter rules hold for what was trusted before them.
//
// Only the hash of a token is stored. A token is worth one sign-in: it is replaced in the transaction of the session that
// it helped to begin, so of two uses at once one wins and a copy is worth nothing after that. Of people who share a browser
// each has a token of their own, and nothing that one of them does changes what another's is worth. It is no proof: such a
// session has one factor, and what asks for a fresh proof asks for the stronger one.
package trust

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

// Trust is all trusted browsers.
type Trust struct {
	Parts
}

// Parts are what it is made with.
type Parts struct {
	DB     *db.DB
	Trail  *audit.Trail
	Roster *roster.Roster
	Sites  visit.Sites
	Clock  func() time.Time
}

func New(p Parts) *Trust { return &Trust{p} }

// life is for how long a person's browser may skip the second step, by the rules of now; 0: none may (R5).
func (t *Trust) life(ctx context.Context, from auth.Reader, u auth.User) (time.Duration, error) {
	rules, err := t.Roster.RulesOf(ctx, from, u)
	return rules.Trust, err
}

const (
	// offerLife is how long after a sign-in its browser can be trusted.
	offerLife = 10 * time.Minute
	// mostOfOne is how many browsers one person may trust. Each has guesses of its own at the password, so it is a bound on
	// those too.
	mostOfOne = 20
)

// Of is the id by which this visit's browser is trusted by somebody, or "". It costs the same for nobody as for somebody.
func (t *Trust) Of(ctx context.Context, from auth.Reader, u auth.User) (id string, err error) {
	has := held(visit.Of(ctx).Cookie(visit.TrustCookie))
	if len(has) == 0 {
		return "", nil
	}
	life, err := t.life(ctx, from, u)
	if err != nil {
		return "", err
	}
	id, _, err = t.find(ctx, from, u, life, has.keys())
	if errors.Is(err, auth.ErrNotFound) {
		return "", nil
	}
	return id, err
}

// Use spends the token of this visit's browser, if the person trusts it, and hands out the next: none if they do not.
func (t *Trust) Use(ctx context.Context, tx auth.Tx, u auth.User) (visit.Cookies, error) {
	has := held(visit.Of(ctx).Cookie(visit.TrustCookie))
	if len(has) == 0 {
		return nil, nil
	}
	next := secret.NewToken()
	life, err := t.life(ctx, tx, u)
	if err != nil {
		return nil, err
	}
	_, old, err := t.find(ctx, tx, u, life, has.keys())
	var ends time.Time
	if err == nil {
		ends, err = t.rotate(ctx, tx, u, life, old, secret.Digest(next))
	}
	if errors.Is(err, auth.ErrNotFound) {
		return nil, nil
	}
	return visit.Cookies{t.cookie(has.renewed(next, old), ends)}, err
}

// Detour is signin.Detour: the page with the box to tick.
func (t *Trust) Detour(ctx context.Context, tx auth.Tx, began auth.Session, to string) (string, error) {
	rules, err := t.Roster.RulesOf(ctx, tx, began.User)
	if err != nil || !policy.MayTrust(policy.Facts{Rules: rules, User: began.User, Proofs: began.Proofs}) {
		return "", err
	}
	if id, err := t.Of(ctx, tx, began.User); id != "" || err != nil {
		return "", err
	}
	return "/signin/done?" + url.Values{"return_to": {to}}.Encode(), t.offer(ctx, tx, began)
}

// Happened is auth.Watcher. What an administrator chose for somebody begins no new security epoch, and ends trust (R4),
// also what was only offered.
func (t *Trust) Happened(ctx context.Context, tx auth.Tx, e auth.Event) error {
	if e.Kind != auth.MethodSet {
		return nil
	}
	if err := t.withdraw(ctx, tx, e.User); err != nil {
		return err
	}
	_, err := t.removeAll(ctx, tx, e.User)
	return err
}

// remember trusts this visit's browser from now on. The token is another one than before, so that nobody knows it who put
// one there; those of others who trust this browser stay as they are.
func (t *Trust) remember(ctx context.Context, tx auth.Tx) (visit.Cookies, error) {
	v, now, token := visit.Of(ctx), t.Clock(), secret.NewToken()
	life, err := t.life(ctx, tx, v.Session.User)
	if err == nil && life <= 0 { // it was when it was offered
		err = auth.ErrForbidden
	}
	if err != nil {
		return nil, err
	}
	if err := t.take(ctx, tx, v.Session); err != nil {
		return nil, err
	}
	has := held(v.Cookie(visit.TrustCookie))
	b := browser{ID: secret.NewID(), Browser: v.Agent(), Address: v.Address.String(), Added: now, Used: now, Ends: now.Add(life)}
	gone, err := t.insert(ctx, tx, v.Session.User, has.keys(), secret.Digest(token), b)
	if err != nil {
		return nil, err
	}
	return visit.Cookies{t.cookie(has.renewed(token, gone...), b.Ends)}, t.Trail.Record(ctx, tx, auth.Event{Kind: auth.BrowserTrusted, User: v.Session.User.ID,
		Detail: map[string]string{"name": web.BrowserName(b.Browser), "id": b.ID}})
}

// cookie lasts as long as its latest token, or as any of another may be worth something.
func (t *Trust) cookie(has ring, ends time.Time) http.Cookie {
	c := visit.Issue(visit.TrustCookie, has.cookie())
	if len(has) > 1 {
		ends = t.Clock().Add(t.Roster.Rules().Trust)
	}
	c.MaxAge = max(int(ends.Sub(t.Clock()).Seconds()), 1)
	return c
}
