package softkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// The flags of authenticator data, WebAuthn section 6.1.
const (
	UP = 1 << 0 // the user is present
	UV = 1 << 2 // the user is verified
	BE = 1 << 3 // the credential may be backed up
	BS = 1 << 4 // and is
	AT = 1 << 6 // attested credential data follow
	ED = 1 << 7 // extension data follow
)

// A Lie changes one part of an answer, before that is encoded and signed.
type Lie func(*Said)

// Said is an answer in its parts. Each is true until a Lie changes it, and then no other changes with it: to take AT
// out of Flags leaves the attested credential data where they are.
type Said struct {
	ClientData ClientData

	// Authenticator data. Without a PublicKey, a Map or Encoded, there are no attested credential data: so it is in Get.
	RPIDHash     [32]byte
	Flags        byte
	Counter      uint32
	AAGUID       [16]byte
	CredentialID []byte // and in JSON
	PublicKey    any

	UserHandle []byte // of Get; nil leaves it out

	// The attestation of Create. AttStmt is a Map or Encoded instead of the statement made of AttAlg, X5C and the
	// signature; it is nil in the truth.
	Format  string
	AttAlg  int
	X5C     []any // DER as []byte, the leaf first
	AttStmt any

	SignWith crypto.Signer // the credential, or the key of the attestation certificate

	// What is done to the parts once encoded; nil does nothing. Signatures fit what ClientDataJSON and AuthData return.
	ClientDataJSON, AuthData, Signature, AttestationObject func([]byte) []byte

	// JSON comes last, for whatever else is in the answer: id, rawId, type, response and so on.
	JSON func(map[string]any)
}

// ClientData is what the browser says, in the order of WebAuthn section 5.8.1.1.
type ClientData struct {
	Type        string `json:"type"`
	Challenge   string `json:"challenge"` // base64url
	Origin      string `json:"origin"`
	CrossOrigin *bool  `json:"crossOrigin,omitempty"`
	TopOrigin   string `json:"topOrigin,omitempty"`
	Extra       string `json:"-"` // stands before the last brace: `,"more":1`
}

// Cut takes away the last n bytes of an encoded part.
func Cut(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }

// Tail adds bytes to an encoded part.
func Tail(tail ...byte) func([]byte) []byte {
	return func(b []byte) []byte { return slices.Concat(b, tail) }
}

func edit(f func([]byte) []byte, b []byte) []byte {
	if f == nil {
		return b
	}
	return f(b)
}

// encode tells the lies.
func (s *Said) encode(lies []Lie) (clientData, authData, sig []byte) {
	for _, lie := range lies {
		lie(s)
	}
	text := must(json.Marshal(s.ClientData))
	clientData = edit(s.ClientDataJSON, slices.Concat(text[:len(text)-1], []byte(s.ClientData.Extra), []byte("}")))

	authData = binary.BigEndian.AppendUint32(append(s.RPIDHash[:], s.Flags), s.Counter)
	if s.PublicKey != nil { // attested credential data, WebAuthn section 6.5.2
		authData = binary.BigEndian.AppendUint16(append(authData, s.AAGUID[:]...), uint16(len(s.CredentialID)))
		authData = slices.Concat(authData, s.CredentialID, CBOR(s.PublicKey))
	}
	authData = edit(s.AuthData, authData)

	hash, digest := crypto.SHA256, sha256.Sum256(clientData)
	switch public := s.SignWith.Public().(type) {
	case ed25519.PublicKey:
		hash = 0 // it signs the message itself
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P384() {
			hash = crypto.SHA384
		}
	}
	sig = must(crypto.SignMessage(s.SignWith, rand.Reader, slices.Concat(authData, digest[:]), hash))
	return clientData, authData, edit(s.Signature, sig)
}

// COSE algorithms, RFC 9053 and RFC 8812.
const es256, edDSA, es384, rs256 = -7, -8, -35, -257

// generate makes a key and its COSE form, RFC 9053 section 7 and RFC 8230 section 4.
func generate(alg int) (crypto.Signer, Map) {
	switch alg {
	case es256:
		return generateEC(alg, 1, elliptic.P256())
	case es384:
		return generateEC(alg, 2, elliptic.P384())
	case edDSA:
		public, key, err := ed25519.GenerateKey(rand.Reader)
		return must(key, err), Map{1: 1, 3: alg, -1: 6, -2: []byte(public)}
	case rs256:
		key := must(rsa.GenerateKey(rand.Reader, 2048))
		return key, Map{1: 3, 3: alg, -1: key.N.Bytes(), -2: big.NewInt(int64(key.E)).Bytes()}
	}
	panic(fmt.Sprintf("softkey: no algorithm %d", alg))
}

func generateEC(alg, crv int, curve elliptic.Curve) (crypto.Signer, Map) {
	key := must(ecdsa.GenerateKey(curve, rand.Reader))
	point := must(key.PublicKey.Bytes())[1:] // x, y
	return key, Map{1: 2, 3: alg, -1: crv, -2: point[:len(point)/2], -3: point[len(point)/2:]}
}

// A CA signs the certificates by which a maker of authenticators attests them. Root.Raw is its own, in DER.
type CA struct {
	Root *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes a CA with a root of its own.
func NewCA() *CA {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	root := certificate("Softkey Root")
	root.IsCA, root.KeyUsage = true, x509.KeyUsageCertSign
	der := must(x509.CreateCertificate(rand.Reader, root, root, key.Public(), key))
	return &CA{must(x509.ParseCertificate(der)), key}
}

// PEM is the root.
func (c *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Root.Raw})
}

// issue makes an attestation certificate, WebAuthn section 8.2.1.
func (c *CA) issue(aaguid [16]byte) (der []byte, key crypto.Signer) {
	key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	cert := certificate("Softkey Attestation")
	cert.Subject.OrganizationalUnit = []string{"Authenticator Attestation"}
	model := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4} // id-fido-gen-ce-aaguid
	cert.ExtraExtensions = []pkix.Extension{{Id: model, Value: must(asn1.Marshal(aaguid[:]))}}
	return must(x509.CreateCertificate(rand.Reader, cert, c.Root, key.Public(), c.key)), key
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{Country: []string{"SE"}, Organization: []string{"Softkey"}, CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true,
	}
}
