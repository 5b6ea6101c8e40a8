// Package softkey is an authenticator, and the browser it is plugged into, in software and for tests only.
//
// It answers the options of a WebAuthn ceremony as a browser does, and can lie in any one part of its answer: the rest
// stays true, and the signature is made over the lie, so a server that accepts it has missed exactly that part.
//
// It shares no code with the server it tests, nor with the WebAuthn library of that. Unlike a browser it refuses no
// rp id for its origin and no options for want of a fingerprint: the server has to. A Key is for one goroutine.
package softkey

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
)

// ErrExcluded is the InvalidStateError of browsers: the key holds a credential of excludeCredentials.
var ErrExcluded = errors.New("InvalidStateError: the key holds a credential of excludeCredentials")

// A Key is one authenticator with the browser it is plugged into.
type Key struct {
	Origin        string // where the browser is: "https://login.example.com"
	AAGUID        [16]byte
	UV, BE, BS    bool     // the flags it sets, beside UP
	Transports    []string // what the browser tells of it
	Attachment    string
	Counting      bool // counts the uses of a credential, its creation being the first; else the counter stays 0
	Alg           int  // COSE algorithm of new credentials, offered or not; 0 is the first offered that it knows
	IgnoreExclude bool // makes a second credential for the same account
	SelfAttest    bool // attests as "packed" by the credential itself, asked or not
	CA            *CA  // attests as "packed" by a certificate of the CA, asked or not; may be nil

	credentials []credential
}

type credential struct {
	id, user     []byte
	rpID         string
	key          crypto.Signer
	discoverable bool
	counter      uint32
}

// New makes a platform authenticator that verifies its user, syncs and does not count, as phones and laptops are.
func New(origin string) *Key {
	return &Key{Origin: origin, UV: true, BE: true, BS: true, Transports: []string{"internal"}, Attachment: "platform"}
}

// Clone is a second authenticator with the same credentials and counters, as a thief would make it.
func (k *Key) Clone() *Key {
	twin := *k
	twin.Transports, twin.credentials = slices.Clone(k.Transports), slices.Clone(k.credentials)
	return &twin
}

// Create answers PublicKeyCredentialCreationOptionsJSON with the RegistrationResponseJSON that toJSON makes.
// The credential is discoverable if the options want that, or if the key syncs.
func (k *Key) Create(options []byte, lies ...Lie) ([]byte, error) {
	o, err := k.read(options)
	if err != nil {
		return nil, err
	}
	if n := len(o.User.ID); n < 1 || n > 64 {
		return nil, fmt.Errorf("TypeError: user.id of %d bytes, must be 1 to 64", n)
	}
	excluded := func(c credential) bool { return c.rpID == o.RPID && have(o.ExcludeCredentials, c.id) }
	if !k.IgnoreExclude && slices.ContainsFunc(k.credentials, excluded) {
		return nil, ErrExcluded
	}
	alg := k.Alg
	for _, p := range o.PubKeyCredParams {
		if alg == 0 && p.Type == "public-key" && slices.Contains([]int{es256, edDSA, es384, rs256}, p.Alg) {
			alg = p.Alg
		}
	}
	if alg == 0 {
		return nil, errors.New("NotSupportedError: the key knows no algorithm of pubKeyCredParams")
	}
	key, public := generate(alg)
	c := credential{id: make([]byte, 32), user: o.User.ID, rpID: o.RPID, key: key}
	rand.Read(c.id)
	want := o.AuthenticatorSelection
	c.discoverable = k.BE || want.RequireResidentKey || want.ResidentKey == "required" || want.ResidentKey == "preferred"

	s := k.say("webauthn.create", o, &c)
	s.Flags |= AT
	s.AAGUID, s.PublicKey, s.Format = k.AAGUID, public, "none"
	if k.SelfAttest || k.CA != nil {
		s.Format, s.AttAlg = "packed", alg
	}
	if k.CA != nil {
		cert, certKey := k.CA.issue(k.AAGUID)
		s.AttAlg, s.X5C, s.SignWith = es256, []any{cert}, certKey
	}
	clientData, authData, sig := s.encode(lies)
	stmt := Map{}
	if k.SelfAttest || k.CA != nil { // WebAuthn section 8.2
		stmt["alg"], stmt["sig"] = s.AttAlg, sig
		if s.X5C != nil {
			stmt["x5c"] = s.X5C
		}
	}
	if s.AttStmt == nil {
		s.AttStmt = stmt
	}
	object := CBOR(Map{"fmt": s.Format, "attStmt": s.AttStmt, "authData": authData})

	c.id = s.CredentialID // it signs in as what it said it is
	k.credentials = append(k.credentials, c)
	results := map[string]any{}
	if o.Extensions.CredProps {
		results["credProps"] = map[string]any{"rk": c.discoverable}
	}
	return k.answer(s, results, map[string]any{
		"clientDataJSON":     b64(clientData),
		"attestationObject":  b64(edit(s.AttestationObject, object)),
		"authenticatorData":  b64(authData),
		"transports":         k.Transports,
		"publicKey":          b64(must(x509.MarshalPKIXPublicKey(key.Public()))),
		"publicKeyAlgorithm": alg,
	})
}

// Get answers PublicKeyCredentialRequestOptionsJSON with the AuthenticationResponseJSON of the newest credential that
// is in allowCredentials, or if that is empty of the newest discoverable one.
func (k *Key) Get(options []byte, lies ...Lie) ([]byte, error) {
	o, err := k.read(options)
	if err != nil {
		return nil, err
	}
	for i, c := range slices.Backward(k.credentials) {
		if c.rpID != o.RPID || !have(o.AllowCredentials, c.id) && (len(o.AllowCredentials) > 0 || !c.discoverable) {
			continue
		}
		s := k.say("webauthn.get", o, &k.credentials[i])
		if c.discoverable {
			s.UserHandle = slices.Clone(c.user)
		}
		clientData, authData, sig := s.encode(lies)
		response := map[string]any{
			"clientDataJSON":    b64(clientData),
			"authenticatorData": b64(authData),
			"signature":         b64(sig),
		}
		if s.UserHandle != nil {
			response["userHandle"] = b64(s.UserHandle)
		}
		return k.answer(s, map[string]any{}, response)
	}
	return nil, fmt.Errorf("NotAllowedError: no credential for %s", o.RPID)
}

// say is the truth.
func (k *Key) say(ceremony string, o options, c *credential) *Said {
	flags := byte(UP)
	for flag, set := range map[byte]bool{UV: k.UV, BE: k.BE, BS: k.BS} {
		if set {
			flags |= flag
		}
	}
	if k.Counting {
		c.counter++
	}
	return &Said{
		ClientData:   ClientData{Type: ceremony, Challenge: b64(o.Challenge), Origin: k.Origin, CrossOrigin: new(false)},
		RPIDHash:     sha256.Sum256([]byte(o.RPID)),
		Flags:        flags,
		Counter:      c.counter,
		CredentialID: slices.Clone(c.id),
		SignWith:     c.key,
	}
}

// answer is the PublicKeyCredential around a response.
func (k *Key) answer(s *Said, results, response map[string]any) ([]byte, error) {
	m := map[string]any{
		"id":                     b64(s.CredentialID),
		"rawId":                  b64(s.CredentialID),
		"type":                   "public-key",
		"response":               response,
		"clientExtensionResults": results,
	}
	if k.Attachment != "" {
		m["authenticatorAttachment"] = k.Attachment
	}
	if s.JSON != nil {
		s.JSON(m)
	}
	return json.Marshal(m)
}

// options are what the key reads of either kind of options. It passes over members it does not know.
type options struct {
	Challenge        base64url
	RP               struct{ ID string }
	RPID             string
	User             struct{ ID base64url }
	PubKeyCredParams []struct {
		Type string
		Alg  int
	}
	ExcludeCredentials, AllowCredentials []descriptor
	AuthenticatorSelection               struct {
		ResidentKey        string
		RequireResidentKey bool
	}
	Extensions struct{ CredProps bool }
}

// read takes the host of the origin for an rp id that is not there, as browsers do.
func (k *Key) read(text []byte) (options, error) {
	var o options
	if err := json.Unmarshal(text, &o); err != nil {
		return o, fmt.Errorf("reading the options: %w", err)
	}
	if len(o.Challenge) == 0 {
		return o, errors.New("TypeError: no challenge in the options")
	}
	o.RPID = cmp.Or(o.RPID, o.RP.ID, must(url.Parse(k.Origin)).Hostname())
	return o, nil
}

// Challenge is the challenge in options of either kind.
func Challenge(options []byte) ([]byte, error) {
	o, err := new(Key).read(options)
	return o.Challenge, err
}

type descriptor struct {
	Type string
	ID   base64url
}

func have(list []descriptor, id []byte) bool {
	return slices.ContainsFunc(list, func(d descriptor) bool { return d.Type == "public-key" && bytes.Equal(d.ID, id) })
}

type base64url []byte

// UnmarshalText refuses padding and the alphabet of plain base64, as browsers do.
func (b *base64url) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.DecodeString(string(text))
	return err
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// must is for what fails only if the test does: an origin that is no URL, a key that cannot sign.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
