package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

// algorithms are what keys may sign with, the ones we like best first. The library checks the answer against them.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES384},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES512},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

var errKnown = auth.ConflictError{Code: "passkey-known", Why: "This passkey is in use already."}

var errClosed = auth.ConflictError{Code: "passkeys-closed", Why: "Passkeys cannot be added here."}

// useOf is what passkeys are to a person: their workgroup may be stricter than this instance (P8).
func (p *Passkey) useOf(ctx context.Context, from auth.Reader, who auth.User) (Use, error) {
	rules, err := p.Roster.RulesOf(ctx, from, who)
	switch {
	case err != nil, p.Rules.Use == Disabled, !slices.Contains(rules.Factors, Kind):
		return Disabled, err
	case p.Rules.Use != Enabled, !slices.Contains(rules.Addable(), Kind):
		return UseOnly, nil
	}
	return Enabled, nil
}

// open is nil where a person may add passkeys.
func (p *Passkey) open(ctx context.Context, from auth.Reader, who auth.User) error {
	use, err := p.useOf(ctx, from, who)
	if err == nil && use != Enabled {
		err = errClosed
	}
	return err
}

// options are for navigator.credentials.create().
func (p *Passkey) options(ctx context.Context, to purpose) (web.Challenge, error) {
	who := visit.Of(ctx).Person()
	if err := p.open(ctx, p.DB, who); err != nil {
		return web.Challenge{}, err
	}
	handle, err := p.handle(ctx, who.ID)
	if err != nil {
		return web.Challenge{}, err
	}
	has, err := p.descriptors(ctx, who.ID)
	if err != nil {
		return web.Challenge{}, err
	}
	challenge, issued := p.ask(ctx, ceremony{to, who.ID})
	us := person{handle: handle, login: who.Login, name: who.Name}
	b, err := json.Marshal(protocol.PublicKeyCredentialCreationOptions{
		RelyingParty: protocol.RelyingPartyEntity{ID: p.Party.ID, CredentialEntity: protocol.CredentialEntity{Name: p.Party.Name}},
		User: protocol.UserEntity{ID: protocol.URLEncodedBase64(handle), DisplayName: us.WebAuthnDisplayName(),
			CredentialEntity: protocol.CredentialEntity{Name: us.WebAuthnName()}},
		Challenge: challenge, Parameters: algorithms, Timeout: int(challengeLife.Milliseconds()), CredentialExcludeList: has,
		// Preferred, not required: a key that cannot keep an account or ask for a PIN is a second step all the same.
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred},
		Attestation:            p.party.making.Config.AttestationPreference,
	})
	return web.Challenge{Cookies: issued, JSON: b}, err
}

// A creation is a new passkey, with what it was made for and how.
type creation struct {
	passkey
	asked []byte // the challenge
	by    purpose
	flags protocol.AuthenticatorFlags
}

// made checks what an authenticator made: Web Authentication Level 3, section 7.1, and what this instance accepts.
func (p *Passkey) made(ctx context.Context, who auth.User, response auth.Secret) (m creation, err error) {
	said, err := protocol.ParseCredentialCreationResponseBytes([]byte(response))
	if err != nil {
		return m, unreadable
	}
	client := said.Response.CollectedClientData
	if m.asked, err = decode(client.Challenge); err != nil {
		return m, unreadable
	}
	if m.by, err = p.createdBy(ctx, who, m.asked); err != nil {
		return m, err
	}
	if !slices.Contains(p.origins, client.Origin) {
		return m, elsewhere
	}
	handle, err := p.handle(ctx, who.ID)
	if err != nil {
		return m, err
	}
	session := webauthn.SessionData{Challenge: client.Challenge, RelyingPartyID: p.Party.ID, UserID: handle,
		UserVerification: protocol.VerificationPreferred, CredParams: algorithms}
	if m.by == upgrading { // nobody touches anything then
		session.Mediation = protocol.MediationConditional
	}
	made, err := p.party.making.CreateCredential(person{handle: handle}, session, said)
	switch {
	case err != nil && notApproved(err):
		return m, errNotApproved
	case err != nil, len(made.ID) > mostID, !sound(made.PublicKey):
		return m, invalid
	}
	if p.isFake(made.ID) {
		return m, errKnown
	}
	m.flags = said.Response.AttestationObject.AuthData.Flags
	m.passkey = passkey{id: auth.EnrolmentID(secret.NewID()), owner: who, credential: made.ID, key: made.PublicKey, party: p.Party.ID,
		aaguid: made.Authenticator.AAGUID, format: made.AttestationFormat, attestation: made.AttestationType,
		transports: transports(made.Transport), count: int64(made.Authenticator.SignCount),
		quiet:    !p.Rules.TurnsMFAOn || m.by == upgrading,
		eligible: m.flags.HasBackupEligible(), backedUp: m.flags.HasBackupState(), added: p.Clock()}
	return m, p.approves(made)
}

// mostID is how long the id of a credential may be. Web Authentication Level 3, section 7.1, step 25.
const mostID = 1023

// sound is false for a key that could never verify anything: without an attestation nobody has tried it yet.
func sound(key []byte) bool {
	parsed, err := webauthncose.ParsePublicKey(key)
	if err != nil {
		return false
	}
	switch k := parsed.(type) {
	case webauthncose.OKPPublicKeyData:
		return k.Algorithm == int64(webauthncose.AlgEdDSA)
	case webauthncose.EC2PublicKeyData:
		return slices.Contains([]int64{int64(webauthncose.AlgES256), int64(webauthncose.AlgES384), int64(webauthncose.AlgES512)}, k.Algorithm)
	case webauthncose.RSAPublicKeyData:
		n := new(big.Int).SetBytes(k.Modulus) // which may begin with zeros
		e, err := webauthncose.ParseRSAPublicKeyDataExponent(&k)
		return k.Algorithm == int64(webauthncose.AlgRS256) && n.BitLen() >= 2048 && n.Bit(0) == 1 && err == nil && e > 1 && e%2 == 1 && e < 1<<31
	}
	return false
}

// createdBy says what a challenge for a new passkey was made for.
func (p *Passkey) createdBy(ctx context.Context, who auth.User, challenge []byte) (purpose, error) {
	for _, by := range []purpose{creating, upgrading} {
		switch err := p.answers(ctx, ceremony{by, who.ID}, challenge); {
		case err == nil:
			return by, nil
		case !errors.Is(err, unasked):
			return "", err
		}
	}
	return "", unasked
}

// transports keeps what browsers may be told again.
func transports(said []protocol.AuthenticatorTransport) string {
	var known []string
	for _, t := range said {
		switch t {
		case protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard, protocol.Hybrid, protocol.Internal:
			known = append(known, string(t))
		}
	}
	slices.Sort(known)
	return strings.Join(slices.Compact(known), ",")
}

// add stores a new passkey. Before and done are part of its transaction.
func (p *Passkey) add(ctx context.Context, in Addition, before func(auth.Tx) error, done web.EnrolDone) (Added, error) {
	who := visit.Of(ctx).Person()
	if err := p.open(ctx, p.DB, who); err != nil {
		return Added{}, err
	}
	name, err := cleanName(in.Name)
	if err != nil {
		return Added{}, err
	}
	attempt, err := p.Throttle.Take(ctx, who, throttle.SetupByAccount.For(string(who.ID)))
	if err != nil {
		return Added{}, err
	}
	k, err := p.made(ctx, who, in.Response)
	if errors.Is(err, auth.ErrWrong) && k.by != "" {
		err = p.burn(ctx, k.asked, err)
	}
	if err != nil {
		return Added{}, p.Trail.Failed(ctx, auth.FactorFailed, who.ID, Kind, err)
	}
	if k.name = name; name == "" {
		k.name = k.called(visit.Of(ctx).Browser)
	}
	var out Added
	err = p.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := p.answer(ctx, tx, k.asked); err != nil {
			return err
		}
		if err := before(tx); err != nil {
			return err
		}
		f, err := p.Roster.Facts(ctx, tx, who, nil)
		if err != nil {
			return err
		}
		if err := p.insert(ctx, tx, k.passkey); err != nil {
			return err
		}
		if err := p.Throttle.Succeeded(ctx, tx, attempt); err != nil {
			return err
		}
		added := auth.Event{Kind: auth.FactorAdded, User: who.ID, Detail: map[string]string{"factor": string(Kind), "name": k.name, "id": string(k.id)}}
		if err := p.Trail.Record(ctx, tx, added); err != nil {
			return err
		}
		if err := p.turnOn(ctx, tx, f, k); err != nil {
			return err
		}
		out = Added{Shown: p.shown(k.passkey)}
		out.Onward, err = done(ctx, tx, prove(k.id, k.flags, k.added))
		return err
	})
	return out, p.Trail.Failed(ctx, auth.FactorFailed, who.ID, Kind, err)
}

// turnOn is P4: the first passkey that somebody asks for switches MFA on where they may choose, if policy says so. One
// that the browser made by itself never does, and is quiet: its person may not even know that the password alone would no
// longer do.
func (p *Passkey) turnOn(ctx context.Context, tx auth.Tx, before policy.Facts, k creation) error {
	hasOne := slices.ContainsFunc(roster.Of(Kind, before.Enrolled), func(e auth.Enrolment) bool { return e.Standing == auth.Full })
	if before.Rules.MFA != policy.Optional || !before.User.MFAOff || k.quiet || hasOne {
		return nil
	}
	if err := p.Users.SwitchMFA(ctx, tx, before.User.ID, false); err != nil {
		return err
	}
	return p.Trail.Record(ctx, tx, auth.Event{Kind: auth.MFAEnabled, User: before.User.ID})
}
