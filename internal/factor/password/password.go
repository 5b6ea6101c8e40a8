// Package password is what only its owner knows: the factor a sign-in begins with, and the page to change it.
//
// An unknown name, a disabled account and a wrong password are told apart by nobody: same words, same work (S10).
package password

import (
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
)

// Kind is how the rest of the product calls this factor.
const Kind auth.Kind = "password"

// Password verifies passwords and keeps their hashes.
type Password struct {
	Parts
}

// Parts are what the factor is made with.
type Parts struct {
	DB       *db.DB
	Hasher   *secret.Hasher
	Trail    *audit.Trail
	Throttle *throttle.Throttle
	Revoker  auth.Revoker
	Rules    Rules
	Mailed   time.Duration // how long a password that was chosen by a link in a mail proves no more than the mailbox
	Clock    func() time.Time
}

func New(p Parts) *Password { return &Password{p} }

func (p *Password) Kind() auth.Kind { return Kind }

// Enrolments is one, if the person has a password.
func (p *Password) Enrolments(ctx context.Context, from auth.Reader, u auth.UserID) ([]auth.Enrolment, error) {
	stored, err := p.stored(ctx, from, u)
	if err != nil || stored.hash == "" {
		return nil, err
	}
	return []auth.Enrolment{Enrolment(stored.changed)}, nil
}

// Enrolment is how a password stands among other factors.
func Enrolment(changed time.Time) auth.Enrolment {
	return auth.Enrolment{ID: auth.EnrolmentID(Kind), Kind: Kind, Name: "Password", Added: changed}
}

// Admit is auth.Admitter.
func (p *Password) Admit(ctx context.Context) (context.Context, func(), error) {
	return p.Hasher.Admit(ctx)
}

// Verify takes the password of the person, or of nobody if the user is empty or disabled. The claim stores a hash that
// was made with older parameters anew.
func (p *Password) Verify(ctx context.Context, a auth.Attempt, response auth.Secret) (auth.Claim, error) {
	stored, err := p.stored(ctx, p.DB, a.User.ID)
	if err != nil {
		return nil, err
	}
	typed, err := normal(response)
	if err != nil || stored.hash == "" || a.User.Disabled {
		if err := p.Hasher.VerifyNothing(ctx, response); err != nil {
			return nil, err
		}
		return nil, auth.ErrWrong
	}
	ok, stale, err := p.Hasher.Verify(ctx, stored.hash, typed)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, auth.ErrWrong
	}
	proof := p.proof(stored)
	fresh := ""
	if stale {
		if fresh, err = p.Hasher.Hash(ctx, typed); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, tx auth.Tx) (auth.Proof, error) {
		if fresh == "" {
			return proof, nil
		}
		return proof, p.upgrade(ctx, tx, a.User.ID, stored.hash, fresh)
	}, nil
}

// Proof is what the right password of somebody proves now, or auth.ErrNotFound if they have none.
func (p *Password) Proof(ctx context.Context, from auth.Reader, u auth.UserID) (auth.Proof, error) {
	stored, err := p.stored(ctx, from, u)
	if err == nil && stored.hash == "" {
		err = auth.ErrNotFound
	}
	return p.proof(stored), err
}

func (p *Password) proof(s stored) auth.Proof {
	return auth.Proof{Kind: Kind, Enrolment: auth.EnrolmentID(Kind), AMR: "pwd", Level: auth.OneFactor, Mailed: p.byMail(s), At: p.Clock()}
}

// byMail is true while a password proves no more than that somebody read a mailbox lately. Then whoever it belongs to has
// been told, and has had the time to take the account back.
func (p *Password) byMail(s stored) bool {
	return !s.mailed.IsZero() && p.Clock().Before(s.mailed.Add(p.Mailed))
}

// A Hashed password is one that may be stored: the rules allow it.
type Hashed struct{ phc string }

// Prepare checks a new password against the rules and hashes it, which is slow: do it outside a transaction.
func (p *Password) Prepare(ctx context.Context, u auth.User, chosen auth.Secret) (Hashed, error) {
	typed, err := p.Rules.check(u, chosen)
	if err != nil {
		return Hashed{}, err
	}
	phc, err := p.Hasher.Hash(ctx, typed)
	return Hashed{phc}, err
}

// normal is the OpaqueString profile (RFC 8265 section 4.2): composed, spaces alike, nothing trimmed or folded. It makes
// the same keys on another keyboard the same password.
func normal(s auth.Secret) (auth.Secret, error) {
	if !utf8.ValidString(string(s)) {
		return "", errors.New("not UTF-8")
	}
	text, err := precis.OpaqueString.String(string(s))
	return auth.Secret(text), err
}
