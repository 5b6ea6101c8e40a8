// Package accesspass is a second step that an administrator gives to somebody who is locked out: once, and not for long.
//
// A pass stands beside the password and never in its place, so nobody who can give passes can sign in as somebody (A4). It
// is kept as a MAC, belongs to one person, who has one at a time, and works once. It opens, but it steps up to nothing.
//
// A pass that is left by a reset binds the account (A3): the password alone neither opens it nor sets anything up before
// somebody came in by the pass. Once its time is over the account stays shut, until an administrator helps again. One that
// went out by mail is worth what a mailed code is: nothing beside a password that came by mail, too.
package accesspass

import (
	"context"
	"crypto/hmac"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/secret"
)

// Kind is how the rest of the product calls this factor.
const Kind auth.Kind = "accesspass"

// Passes gives passes and verifies them.
type Passes struct {
	Parts
}

// Parts are what the factor is made with.
type Parts struct {
	DB    *db.DB
	Keys  *secret.Keys
	Clock func() time.Time
}

func New(p Parts) *Passes { return &Passes{p} }

func (p *Passes) Kind() auth.Kind { return Kind }

// A Pass as it is given, once: nobody can read it again.
type Pass struct {
	Code  auth.Secret
	Until time.Time
}

// Issued is the pass that a reset left.
type Issued struct {
	Pass Pass   // empty: none is needed, nothing but the password is asked of them; without Code: it was mailed
	To   string // where the pass was mailed, masked
}

// Bound is how long whoever was reset may take to come back.
const Bound = 72 * time.Hour

// Give makes a pass; the one before is dead then. An account that is bound to one is bound to this one.
func (p *Passes) Give(ctx context.Context, tx auth.Tx, u auth.UserID, life time.Duration) (Pass, error) {
	return p.issue(ctx, tx, row{user: u}, life)
}

// Bind makes a pass without which an account that was reset opens no more; mailed says that it goes out by mail.
func (p *Passes) Bind(ctx context.Context, tx auth.Tx, u auth.UserID, mailed bool) (Pass, error) {
	return p.issue(ctx, tx, row{user: u, binding: true, mailed: mailed}, Bound)
}

func (p *Passes) issue(ctx context.Context, tx auth.Tx, r row, life time.Duration) (Pass, error) {
	code := secret.NewLetters(length)
	r.id, r.mac, r.added = auth.EnrolmentID(secret.NewID()), p.mac(code), p.Clock()
	r.expires = r.added.Add(life)
	return Pass{group(code), r.expires}, p.put(ctx, tx, r)
}

// Enrolments is the pass that somebody has. One that binds is there even when it works no more.
func (p *Passes) Enrolments(ctx context.Context, from auth.Reader, u auth.UserID) ([]auth.Enrolment, error) {
	r, err := p.of(ctx, from, u)
	if err == auth.ErrNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e := auth.Enrolment{ID: r.id, Kind: Kind, Name: "Access pass", Added: r.added, Standing: auth.Spare, Weak: r.mailed, Given: true, Last: true}
	if r.binding {
		e.Standing = auth.Full
	}
	if !r.lives(p.Clock()) {
		if e.State = auth.Blocked; !r.binding {
			return nil, nil
		}
	}
	return []auth.Enrolment{e}, nil
}

// Verify takes the pass of the person. The claim uses it up.
func (p *Passes) Verify(ctx context.Context, a auth.Attempt, response auth.Secret) (auth.Claim, error) {
	code, err := parse(response)
	if err != nil {
		return nil, err
	}
	r, err := p.of(ctx, p.DB, a.User.ID)
	now := p.Clock()
	switch {
	case err == auth.ErrNotFound:
		return nil, auth.ErrWrong
	case err != nil:
		return nil, err
	case !r.lives(now) || now.Sub(r.used) < inHand || !hmac.Equal(r.mac, p.mac(code)):
		return nil, auth.ErrWrong
	}
	return func(ctx context.Context, tx auth.Tx) (auth.Proof, error) {
		return auth.Proof{Kind: Kind, Enrolment: r.id, AMR: "otp", Level: auth.OneFactor, Weak: r.mailed, Given: true, At: now}, p.spend(ctx, tx, r)
	}, nil
}

// Reset is auth.Resetter.
func (p *Passes) Reset(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	return p.remove(ctx, tx, u)
}

// mac is how a pass is stored. It does not depend on the person: a link holds nothing else to find it by.
func (p *Passes) mac(code string) []byte { return p.Keys.MAC("access pass", []byte(code)) }

// length of a pass: 80 bits.
const length = 16

// group is a pass as people read it aloud.
func group(code string) auth.Secret {
	return auth.Secret(code[:4] + "-" + code[4:8] + "-" + code[8:12] + "-" + code[12:])
}

// parse takes a pass as people type it.
func parse(typed auth.Secret) (string, error) {
	code := secret.ReadLetters(typed, length)
	if code == "" {
		return "", auth.InvalidError{Field: "code", Why: "must have 16 letters and digits"}
	}
	return code, nil
}
