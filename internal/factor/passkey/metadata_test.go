package passkey

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sallyport/internal/factor/softkey"
)

// A signer signs metadata as FIDO does: by a certificate under a root. Neither names a list of revoked certificates, so
// that nothing is fetched to verify them.
type signer struct {
	root, leaf string // base64 DER
	key        *ecdsa.PrivateKey
}

func newSigner(t *testing.T) signer {
	t.Helper()
	rootKey, key := stranger().(*ecdsa.PrivateKey), stranger().(*ecdsa.PrivateKey)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Root"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Test Metadata"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature}
	der := func(template, parent *x509.Certificate, public *ecdsa.PublicKey) string {
		b, err := x509.CreateCertificate(rand.Reader, template, parent, public, rootKey)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(b)
	}
	return signer{der(root, root, &rootKey.PublicKey), der(leaf, root, &key.PublicKey), key}
}

// blob is a JWT of these entries, signed by the leaf, with a chain in its header. RFC 7518 section 3.4.
func (s signer) blob(t *testing.T, chain ...string) string { return s.signed(t, chain) }

func (s signer) signed(t *testing.T, chain []string, entries ...map[string]any) string {
	t.Helper()
	text := encoded(t, map[string]any{"alg": "ES256", "typ": "JWT", "x5c": chain}) + "." +
		encoded(t, map[string]any{"legalHeader": "for a test", "no": 1, "nextUpdate": "2099-01-01", "entries": entries})
	sum := sha256.Sum256([]byte(text))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...))
}

func (s signer) write(t *testing.T, entries ...map[string]any) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "blob.jwt")
	if err := os.WriteFile(path, []byte(s.signed(t, []string{s.leaf, s.root}, entries...)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b64(b)
}

// entry is what the metadata say of a model.
func entry(n byte, by *softkey.CA, status string, attests ...string) map[string]any {
	root := base64.StdEncoding.EncodeToString(by.Root.Raw)
	return map[string]any{
		"aaguid":                 aaguid(n),
		"statusReports":          []any{map[string]any{"status": status, "effectiveDate": "2025-01-01"}},
		"timeOfLastStatusChange": "2025-01-01",
		"metadataStatement": map[string]any{"aaguid": aaguid(n), "description": "Softkey", "authenticatorVersion": 1, "protocolFamily": "fido2", "schema": 3,
			"attestationTypes": attests, "attestationRootCertificates": []any{root}},
	}
}
