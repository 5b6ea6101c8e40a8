// Package passkey is passkeys and security keys: a second factor, a way to sign in without name and password, and the
// pages to keep one's own.
//
// A response counts once, in the browser and the sign-in or session that asked for it, within five minutes. It comes
// from exactly one of our origins, from a key that was never shared between people. A passkey that verified its user is
// two factors, one that was merely touched is one (P7). What does not verify in any way is wrong, and says no more.
package passkey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/visit"
)

// Kind is how the rest of the product calls this factor.
const Kind auth.Kind = "passkey"

// Passkey verifies passkeys and keeps them.
type Passkey struct {
	Parts
	party   relying // empty where passkeys are disabled
	origins []string
	answers func(ctx context.Context, c ceremony, challenge []byte) error // see accepts
}

// Parts are what the factor is made with.
type Parts struct {
	DB       *db.DB
	Keys     *secret.Keys
	Users    *user.Store
	Trail    *audit.Trail
	Throttle *throttle.Throttle
	Roster   *roster.Roster
	Revoker  auth.Revoker
	Party    Party
	Rules    Rules
	Sites    visit.Sites // where an offer may lead on
	Clock    func() time.Time
}

// New refuses a relying party that no browser would accept.
func New(p Parts) (*Passkey, error) {
	party, err := p.Party.open(p.Rules)
	if err != nil {
		return nil, err
	}
	k := &Passkey{Parts: p, party: party, origins: p.Party.origins()}
	k.answers = k.accepts
	return k, nil
}

func (p *Passkey) Kind() auth.Kind { return Kind }

// Enrolments lists passkeys. Those of another relying party are void.
func (p *Passkey) Enrolments(ctx context.Context, from auth.Reader, u auth.UserID) ([]auth.Enrolment, error) {
	all, err := p.all(ctx, from, u)
	some := make([]auth.Enrolment, len(all))
	for i, k := range all {
		some[i] = auth.Enrolment{ID: k.id, Kind: Kind, Name: k.name, Added: k.added, LastUsed: k.used}
		if !p.works(k) {
			some[i].State = auth.Void
		}
		if k.quiet {
			some[i].Standing = auth.Quiet
		}
	}
	return some, err
}

// works is false for a passkey that was made for a relying party we are no more.
func (p *Passkey) works(k passkey) bool { return k.party == p.Party.ID }

// A finding is a response that was read, with the passkey it names: the zero one if there is none.
type finding struct {
	said *protocol.ParsedCredentialAssertionData
	key  passkey
}

type foundKey struct{}

// Find says whose passkey a response claims to come from.
func (p *Passkey) Find(ctx context.Context, response auth.Secret) (context.Context, auth.User, error) {
	f, err := p.find(ctx, response)
	if errors.Is(err, auth.ErrWrong) || err == nil && f.key.id == "" {
		err = auth.ErrNotFound
	}
	return context.WithValue(ctx, foundKey{}, f), f.key.owner, err
}

func (p *Passkey) find(ctx context.Context, response auth.Secret) (f finding, err error) {
	if f, ok := ctx.Value(foundKey{}).(finding); ok {
		return f, nil
	}
	if f.said, err = protocol.ParseCredentialRequestResponseBytes([]byte(response)); err != nil {
		return f, unreadable
	}
	if f.key, err = p.byCredential(ctx, f.said.RawID); errors.Is(err, auth.ErrNotFound) {
		err = nil
	}
	return f, err
}

// Verify checks a response: the steps of Web Authentication Level 3, section 7.2, with what security.md adds. The claim
// notes the challenge as answered. A wrong response uses it up as well.
func (p *Passkey) Verify(ctx context.Context, a auth.Attempt, response auth.Secret) (auth.Claim, error) {
	f, err := p.find(ctx, response)
	if err != nil {
		return nil, err
	}
	asked, err := decode(f.said.Response.CollectedClientData.Challenge)
	if err != nil {
		return nil, unreadable
	}
	if err := p.answers(ctx, ceremony{asserting, a.User.ID}, asked); err != nil {
		return nil, err
	}
	if wrong := p.verify(ctx, a.User, f); wrong != nil {
		return nil, p.burn(ctx, asked, wrong)
	}
	shown, now := f.said.Response.AuthenticatorData, p.Clock()
	return func(ctx context.Context, tx auth.Tx) (auth.Proof, error) {
		if err := p.answer(ctx, tx, asked); err != nil {
			return auth.Proof{}, err
		}
		return prove(f.key.id, shown.Flags, now), p.use(ctx, tx, f.key.id, shown, now)
	}, nil
}

// verify says what is wrong with a response, or nil.
func (p *Passkey) verify(ctx context.Context, who auth.User, f finding) error {
	k, said := f.key, f.said.Response
	switch {
	case p.isFake(f.said.RawID):
		return invalid
	case k.id == "" || !p.works(k):
		return unknown
	case k.owner.ID != who.ID:
		return foreign
	case !slices.Contains(p.origins, said.CollectedClientData.Origin): // the library folds case and ports
		return elsewhere
	}
	if p.Rules.Use == Disabled {
		return unknown
	}
	// Where a workgroup disabled them they begin no sign-in. What else they may be shown for policy knows.
	if use, err := p.useOf(ctx, p.DB, k.owner); err != nil || use == Disabled && visit.Of(ctx).Thread() == "" {
		return cmp.Or(err, error(unknown))
	}
	uv := protocol.VerificationPreferred
	if visit.Of(ctx).Pending.ID == "" { // passwordless or step-up
		uv = protocol.VerificationRequired
		if !said.AuthenticatorData.Flags.HasUserVerified() {
			return unverified
		}
	}
	_, err := p.party.using.ValidateLogin(person{handle: k.handle, keys: []passkey{k}}, webauthn.SessionData{
		Challenge: said.CollectedClientData.Challenge, RelyingPartyID: p.Party.ID, UserID: k.handle, UserVerification: uv}, f.said)
	if err != nil {
		return invalid
	}
	// The library only notes it. Zero means that an authenticator does not count.
	if count := int64(said.AuthenticatorData.Counter); count <= k.count && (count > 0 || k.count > 0) {
		return cloned
	}
	return nil
}

// Reset is auth.Resetter.
func (p *Passkey) Reset(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	return p.removeAll(ctx, tx, u)
}

// prove says what a use was worth. RFC 8176: "swk" for a key that can leave its device, else "hwk".
func prove(id auth.EnrolmentID, f protocol.AuthenticatorFlags, now time.Time) auth.Proof {
	proof := auth.Proof{Kind: Kind, Enrolment: id, AMR: "hwk", Level: auth.OneFactor, At: now}
	if f.HasBackupEligible() {
		proof.AMR = "swk"
	}
	if f.HasUserVerified() {
		proof.Level = auth.MultiFactor
	}
	return proof
}

// A refusal is auth.ErrWrong with the reason, for the record and for the few that a person can do something about.
type refusal string

const (
	unreadable refusal = "no passkey response"
	unasked    refusal = "a challenge that was not made for this"
	late       refusal = "a challenge that is over its time"
	answered   refusal = "a challenge that was answered before"
	unknown    refusal = "an unknown passkey"
	foreign    refusal = "the passkey of somebody else"
	elsewhere  refusal = "another origin"
	unverified refusal = "no user verification"
	invalid    refusal = "a response that does not verify"
	cloned     refusal = "a counter that did not grow"
)

func (r refusal) Error() string        { return fmt.Sprintf("%v: %s", auth.ErrWrong, string(r)) }
func (r refusal) Is(target error) bool { return target == auth.ErrWrong }

// Why is the reason for the record.
func (r refusal) Why() string { return string(r) }

// A person is somebody as the library knows them.
type person struct {
	handle      []byte
	login, name string
	keys        []passkey
}

func (p person) WebAuthnID() []byte          { return p.handle }
func (p person) WebAuthnName() string        { return p.login }
func (p person) WebAuthnDisplayName() string { return cmp.Or(p.name, p.login) }

func (p person) WebAuthnCredentials() (all []webauthn.Credential) {
	for _, k := range p.keys {
		all = append(all, k.record())
	}
	return all
}
