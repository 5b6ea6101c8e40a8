package softkey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

const origin = "https://login.example.com"

var (
	creation = []byte(`{"rp":{"id":"example.com","name":"x"},"user":{"id":"_2Fubg","name":"ann","displayName":"Ann"},"challenge":"_-8",
		"pubKeyCredParams":[{"type":"public-key","alg":-999},{"type":"public-key","alg":-7}],"hints":["new"]}`)
	request = []byte(`{"rpId":"example.com","challenge":"AAE"}`)
)

// An answer is either kind of answer, as a server reads it.
type answer struct {
	ID, Type string
	RawID    base64url
	Response struct {
		ClientDataJSON, AttestationObject, AuthenticatorData, Signature, PublicKey, UserHandle base64url
	}
}

// read is for the two results of Create and Get.
func read(t *testing.T) func([]byte, error) answer {
	return func(text []byte, err error) (a answer) {
		t.Helper()
		if err := errors.Join(err, json.Unmarshal(text, &a)); err != nil {
			t.Fatal(err)
		}
		return a
	}
}

// signed says whether an ES256 credential signed an answer.
func signed(spki []byte, a answer) bool {
	hash := sha256.Sum256(a.Response.ClientDataJSON)
	digest := sha256.Sum256(slices.Concat(a.Response.AuthenticatorData, hash[:]))
	return ecdsa.VerifyASN1(must(x509.ParsePKIXPublicKey(spki)).(*ecdsa.PublicKey), digest[:], a.Response.Signature)
}

type ann struct{ credentials []webauthn.Credential }

func (ann) WebAuthnID() []byte                           { return []byte("\xffann") }
func (ann) WebAuthnName() string                         { return "ann" }
func (ann) WebAuthnDisplayName() string                  { return "Ann" }
func (u ann) WebAuthnCredentials() []webauthn.Credential { return u.credentials }

// TestJudgeTakesTheTruth asks go-webauthn, which shares no code with a Key.
func TestJudgeTakesTheTruth(t *testing.T) {
	rp := must(webauthn.New(&webauthn.Config{RPID: "example.com", RPDisplayName: "x", RPOrigins: []string{origin}}))
	ca := NewCA()
	for _, alg := range []int{0, es256, es384, edDSA, rs256} {
		for format, attest := range map[string]func(*Key){
			"none":            func(*Key) {},
			"basic_surrogate": func(k *Key) { k.SelfAttest = true },
			"basic_full":      func(k *Key) { k.CA, k.AAGUID = ca, [16]byte{7} },
		} {
			k := New(origin)
			k.Alg, k.Counting = alg, true
			attest(k)
			options, session, err := rp.BeginRegistration(ann{})
			if err != nil {
				t.Fatal(err)
			}
			made := must(protocol.ParseCredentialCreationResponseBytes(must(k.Create(must(json.Marshal(options.Response))))))
			c, err := rp.CreateCredential(ann{}, *session, made)
			if err != nil || c.AttestationType != format {
				t.Fatalf("%d %s: %+v, %v", alg, format, c, err)
			}
			request, session, err := rp.BeginDiscoverableLogin()
			if err != nil {
				t.Fatal(err)
			}
			got := must(protocol.ParseCredentialRequestResponseBytes(must(k.Get(must(json.Marshal(request.Response))))))
			find := func(id, handle []byte) (webauthn.User, error) { return ann{[]webauthn.Credential{*c}}, nil }
			if c, err := rp.ValidateDiscoverableLogin(find, *session, got); err != nil || c.Authenticator.SignCount != 2 {
				t.Errorf("%d %s: %+v, %v", alg, format, c, err)
			}
		}
	}
}

func TestAuthenticatorDataHaveTheirPlaces(t *testing.T) {
	k := New(origin)
	k.AAGUID, k.Counting = [16]byte{1, 2, 3}, true
	a := read(t)(k.Create(creation))
	data, rp := a.Response.AuthenticatorData, sha256.Sum256([]byte("example.com"))
	if !bytes.Equal(data[:32], rp[:]) || data[32] != UP|UV|BE|BS|AT || binary.BigEndian.Uint32(data[33:]) != 1 {
		t.Errorf("%x", data[:37])
	}
	if !bytes.Equal(data[37:53], k.AAGUID[:]) || binary.BigEndian.Uint16(data[53:]) != 32 || !bytes.Equal(data[55:87], a.RawID) {
		t.Errorf("%x", data[37:87])
	}
	// {1: 2, 3: -7, -1: 1, -2: 32 bytes, -3: 32 bytes}
	if key := data[87:]; len(key) != 77 || !bytes.HasPrefix(key, []byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32}) {
		t.Errorf("%x", key)
	}
	if object := a.Response.AttestationObject; !bytes.HasPrefix(object, []byte("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58\xa4")) {
		t.Errorf("%q", object)
	}
	for _, key := range []*Key{k.Clone(), k} { // the clone counts on its own
		if data := read(t)(key.Get(request)).Response.AuthenticatorData; len(data) != 37 || data[36] != 2 || data[32] != UP|UV|BE|BS {
			t.Errorf("%x", data[32:])
		}
	}
}

func TestAttestationChainsToTheCA(t *testing.T) {
	k := New(origin)
	k.CA = NewCA()
	read(t)(k.Create(creation, func(s *Said) {
		if err := must(x509.ParseCertificate(s.X5C[0].([]byte))).CheckSignatureFrom(k.CA.Root); err != nil {
			t.Error(err)
		}
	}))
}

func TestALieIsSignedAndAlone(t *testing.T) {
	k := New(origin)
	made := read(t)(k.Create(creation))
	for name, lie := range map[string]Lie{
		"flags":       func(s *Said) { s.Flags &^= UV },
		"client data": func(s *Said) { s.ClientData.Extra = `,"type":"webauthn.create"` },
		"id":          func(s *Said) { s.CredentialID[0]++ },
		"a tail":      func(s *Said) { s.AuthData = Tail(0) },
		"a cut":       func(s *Said) { s.ClientDataJSON = Cut(1) },
		"JSON":        func(s *Said) { s.JSON = func(m map[string]any) { m["id"] = "AAAA" } },
	} {
		a, truth := read(t)(k.Get(request, lie)), read(t)(k.Get(request)) // a lie leaves no trace in the key
		if !signed(made.Response.PublicKey, a) {
			t.Errorf("%s: the signature does not fit the lie", name)
		}
		differ := map[bool]int{}
		differ[a.ID != truth.ID]++
		differ[!bytes.Equal(a.Response.ClientDataJSON, truth.Response.ClientDataJSON)]++
		differ[!bytes.Equal(a.Response.AuthenticatorData, truth.Response.AuthenticatorData)]++
		if differ[true] != 1 {
			t.Errorf("%s: %d parts differ from the truth, want 1", name, differ[true])
		}
	}
	a := read(t)(k.Get(request, func(s *Said) { s.Signature = func(b []byte) []byte { b[len(b)-1]++; return b } }))
	if signed(made.Response.PublicKey, a) {
		t.Error("a lie about the signature fits")
	}
}

func TestKeyRefuses(t *testing.T) {
	k := New(origin)
	id := read(t)(k.Create(creation)).ID
	exclude := strings.Replace(string(creation), `"hints"`, `"excludeCredentials":[{"type":"public-key","id":"`+id+`"}],"hints"`, 1)
	if _, err := k.Create([]byte(exclude)); !errors.Is(err, ErrExcluded) {
		t.Error(err)
	}
	for _, options := range []string{`{"rpId":"example.org","challenge":"AAE"}`, `{"rpId":"example.com"}`, `{"challenge":"AAE="}`, "{",
		`{"rpId":"example.com","challenge":"AAE","allowCredentials":[{"type":"public-key","id":"AAAA"}]}`} {
		if _, err := k.Get([]byte(options)); err == nil {
			t.Errorf("%s: got an answer", options)
		}
	}
	for old, bad := range map[string]string{`_2Fubg`: ``, `"alg":-7`: `"alg":-36`, `"_-8"`: `"/+8"`} {
		if _, err := k.Create([]byte(strings.Replace(string(creation), old, bad, 1))); err == nil {
			t.Errorf("%s instead of %s: got an answer", bad, old)
		}
	}
}

// TestCBOR is RFC 8949 appendix A, and the order of keys in CTAP2.
func TestCBOR(t *testing.T) {
	for want, v := range map[string]any{
		"00": 0, "17": 23, "1818": 24, "1864": 100, "1903e8": 1000, "1a000f4240": 1000000, "20": -1, "29": -10, "3863": -100, "3903e7": -1000,
		"40": []byte{}, "4401020304": []byte{1, 2, 3, 4}, "60": "", "6449455446": "IETF", "62c3bc": "ü", "80": []any{},
		"8301820203820405": []any{1, []any{2, 3}, []any{4, 5}}, "a0": Map{}, "a201020304": Map{1: 2, 3: 4}, "a26161016162820203": Map{"b": []any{2, 3}, "a": 1},
		"a5010203262001617a0062616100": Map{"aa": 0, "z": 0, -1: 1, 3: -7, 1: 2}, "8101": []any{Encoded{1}},
	} {
		if got := hex.EncodeToString(CBOR(v)); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
