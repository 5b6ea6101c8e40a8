package passkey

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

// A vector is one example of the specification: a passkey that is made and then used. See testdata/SOURCE.md.
type vector struct {
	ID                           string
	Registration, Authentication parts16
}

// parts16 are the byte strings of one ceremony.
type parts16 map[string][]byte

func (p *parts16) UnmarshalJSON(text []byte) error {
	var said map[string]string
	if err := json.Unmarshal(text, &said); err != nil {
		return err
	}
	*p = parts16{}
	for name, digits := range said {
		b, err := hex.DecodeString(digits)
		if err != nil {
			return err
		}
		(*p)[name] = b
	}
	return nil
}

// with is the same with one part changed.
func (p parts16) with(name string, b []byte) parts16 {
	other := parts16{}
	for n, b := range p {
		other[n] = b
	}
	other[name] = b
	return other
}

func (p parts16) response(credential []byte, names ...string) []byte {
	said := map[string]string{}
	for _, name := range names {
		said[name] = b64(p[name])
	}
	id := b64(credential)
	text, err := json.Marshal(map[string]any{"id": id, "rawId": id, "type": "public-key", "response": said, "clientExtensionResults": map[string]any{}})
	if err != nil {
		panic(err)
	}
	return text
}

func (p parts16) created() []byte {
	return p.response(p["credential_id"], "clientDataJSON", "attestationObject")
}

func (p parts16) used() []byte {
	return p.response(p["credential_id"], "clientDataJSON", "authenticatorData", "signature")
}

// vectors are all that are made and used by a browser.
func vectors(t *testing.T) (some []vector) {
	t.Helper()
	b, err := os.ReadFile("testdata/webauthn-l3-test-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Vectors []json.RawMessage }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for _, text := range all.Vectors {
		var v vector
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		if v.Registration == nil { // a certificate, and a vector of CTAP that no server sees
			continue
		}
		v.ID = strings.TrimPrefix(v.ID, "sctn-test-vectors-")
		v.Authentication = v.Authentication.with("credential_id", v.Registration["credential_id"])
		some = append(some, v)
	}
	if len(some) != 15 {
		t.Fatal(len(some), "vectors")
	}
	return some
}

// Which of them we refuse, and rightly so.
var notOurs = map[string]string{
	"none-es256-crossOrigin": "we are in nobody's frame",
	"none-es256-topOrigin":   "we are in nobody's frame",
	"packed-ed448":           "the library has no Ed448, so we do not offer it",
}

// Which of them are attested by a maker who does not exist. The library knows the makers of these formats. Without the
// attestation they are as good as any.
var nobodysMake = []string{"tpm-es256", "android-key-es256", "apple-es256"}

// unattested is the same, as browsers hand it on to whom the maker is none of their business.
func (v vector) unattested() vector {
	object := v.Registration["attestationObject"]
	name := []byte("\x68authData") // with what follows it is the end of the map
	object = slices.Concat([]byte("\xa3\x63fmt\x64none\x67attStmt\xa0"), object[bytes.LastIndex(object, name):])
	v.Registration = v.Registration.with("attestationObject", object)
	return v
}

// example is a door of the specification's example.org, where the challenge is that of the vector.
func example(t *testing.T, data *db.DB) *door {
	return opened(t, data, func(p *Parts) { p.Party = Party{ID: "example.org", Name: "Example", Origin: "https://example.org"} })
}

func (d *door) expect(challenge []byte) {
	d.answers = func(_ context.Context, c ceremony, said []byte) error {
		if !bytes.Equal(said, challenge) || c.purpose == upgrading {
			return unasked
		}
		return nil
	}
}

// run registers a vector and proves with it.
func (d *door) run(t *testing.T, v vector) error {
	t.Helper()
	ctx := second.as(t, d.ann)
	d.expect(v.Registration["challenge"])
	if _, err := d.register(ctx, v.Registration.created()); err != nil {
		return err
	}
	d.expect(v.Authentication["challenge"])
	proof, err := d.prove(ctx, v.Authentication.used())
	if err == nil && proof.Kind != Kind {
		err = errors.New("no proof")
	}
	return err
}

// Web Authentication Level 3, section "Test Vectors".
func TestTheVectorsOfTheSpecification(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, data *db.DB) {
		d := example(t, data)
		for _, v := range vectors(t) {
			t.Run(v.ID, func(t *testing.T) {
				err := d.run(t, v)
				if slices.Contains(nobodysMake, v.ID) {
					refused(t, err, invalid)
					d.unheard(t)
					err = d.run(t, v.unattested())
				}
				if notOurs[v.ID] != "" {
					refused(t, err, invalid)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// ours are the vectors that we accept, as we accept them.
func ours(t *testing.T) (some []vector) {
	t.Helper()
	for _, v := range vectors(t) {
		if slices.Contains(nobodysMake, v.ID) {
			v = v.unattested()
		}
		if notOurs[v.ID] == "" {
			some = append(some, v)
		}
	}
	return some
}

// mutants are a part with the lowest bit of each byte flipped in turn, with the end cut off, and with a byte more.
func mutants(b []byte) (some [][]byte, where []string) {
	for i := range b {
		some, where = append(some, flip(i)(b)), append(where, fmt.Sprint("bit flipped at ", i))
	}
	return append(some, b[:len(b)-1], append(slices.Clone(b), 0)), append(where, "cut", "longer")
}

// unheard forgets all failures and answers, so that only what is right or wrong with a response decides.
func (d *door) unheard(t *testing.T) {
	t.Helper()
	d.calm(t)
	err := d.DB.Tx(t.Context(), func(tx auth.Tx) error {
		_, err := tx.ExecContext(t.Context(), `DELETE FROM passkey_answers`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// No bit of an assertion may change, nor of the key that it is held against. This asks the library and us, not the
// database, so one will do.
func TestABentVectorProvesNothing(t *testing.T) {
	d := example(t, dbtest.Open(t, dbtest.SQLite(t, schemas)))
	ctx := second.as(t, d.ann)
	tried := 0
	for _, v := range ours(t) {
		if err := d.run(t, v); err != nil {
			t.Fatal(err)
		}
		d.unheard(t)
		for _, part := range []string{"clientDataJSON", "authenticatorData", "signature", "credential_id"} {
			some, where := mutants(v.Authentication[part])
			for i, m := range some {
				if claim, err := d.claim(ctx, v.Authentication.with(part, m).used()); claim != nil || !errors.Is(err, auth.ErrWrong) {
					t.Errorf("%s, %s, %s: %v", v.ID, part, where[i], err)
				}
				tried++
			}
		}
		for bit := range 8 {
			said := v.Authentication.with("authenticatorData", bits(v.Authentication["authenticatorData"], 32, bit))
			if claim, err := d.claim(ctx, said.used()); claim != nil || !errors.Is(err, auth.ErrWrong) {
				t.Errorf("%s, flag %d: %v", v.ID, bit, err)
			}
		}
		k, err := d.byCredential(ctx, v.Registration["credential_id"])
		if err != nil {
			t.Fatal(err)
		}
		some, where := mutants(k.key)
		for i, m := range some {
			d.stored(t, k.id, m)
			if claim, err := d.claim(ctx, v.Authentication.used()); claim != nil || !errors.Is(err, auth.ErrWrong) {
				t.Errorf("%s, public key, %s: %v", v.ID, where[i], err)
			}
			tried++
		}
		d.stored(t, k.id, k.key)
		d.unheard(t)
		if _, err := d.prove(ctx, v.Authentication.used()); err != nil {
			t.Errorf("%s, the truth: %v", v.ID, err)
		}
	}
	if tried < 4000 {
		t.Error("only", tried, "mutants")
	}
}

func bits(b []byte, at, bit int) []byte {
	b = slices.Clone(b)
	b[at] ^= 1 << bit
	return b
}

func (d *door) stored(t *testing.T, id auth.EnrolmentID, key []byte) {
	t.Helper()
	err := d.DB.Tx(t.Context(), func(tx auth.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE passkeys SET public_key = $2 WHERE id = $1`, id, key)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// No bit of a registration may change unnoticed: either it is refused, or the passkey does not work afterwards. What
// nobody can notice is named here.
func TestABentRegistrationIsWorthNothing(t *testing.T) {
	d := example(t, dbtest.Open(t, dbtest.SQLite(t, schemas)))
	ctx, tried := second.as(t, d.ann), 0
	for _, v := range ours(t) {
		for _, part := range []string{"clientDataJSON", "attestationObject", "credential_id"} {
			whole := v.Registration[part]
			some, where := mutants(whole)
			for i, m := range some {
				tried++
				bent := v
				bent.Registration = v.Registration.with(part, m)
				d.expect(v.Registration["challenge"])
				_, err := d.made(ctx, d.ann, auth.Secret(bent.Registration.created()))
				if errors.Is(err, auth.ErrWrong) || unnoticed(v, part, i) != "" {
					continue
				}
				d.unheard(t)
				if err := d.run(t, bent); !errors.Is(err, auth.ErrWrong) {
					t.Errorf("%s, %s, %s (%q): %v", v.ID, part, where[i], whole[max(0, i-12):min(len(whole), i+12)], err)
				}
				if err := d.DB.Tx(t.Context(), func(tx auth.Tx) error { return d.Reset(t.Context(), tx, d.ann.ID) }); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if tried < 5000 {
		t.Error("only", tried, "mutants")
	}
}

// unnoticed says why a flipped bit makes no difference to a registration.
func unnoticed(v vector, part string, at int) string {
	whole := v.Registration[part]
	from := func(mark string) int { // where it ends
		if start := bytes.Index(whole, []byte(mark)); start >= 0 {
			return start + len(mark)
		}
		return len(whole)
	}
	aaguid := from(string(v.Registration["aaguid"])) - 16
	attested := bytes.Contains(v.Registration["attestationObject"], []byte("\x63sig"))
	certificate := from("\x63x5c\x81\x59") + 2
	switch {
	case attested && at >= certificate && at < certificate+int(binary.BigEndian.Uint16(whole[certificate-2:])):
		return "without metadata nobody asks who signed the certificate of a maker"
	case part == "attestationObject" && at >= aaguid && at < aaguid+16 && (!attested || v.ID == "fido-u2f-es256"):
		return "nothing signs the AAGUID, as U2F has none"
	case attested:
		return ""
	case part == "clientDataJSON" && at >= from(`"https://example.org",`):
		return "nothing signs the client data, and what follows here has no meaning"
	case part == "attestationObject" && at >= from("none") && at < from("\x67attStmt"):
		return "a statement of another name is none, as there should be"
	}
	return ""
}
