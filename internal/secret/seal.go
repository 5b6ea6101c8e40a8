package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Two failures with different cures: the ring lacks a key, or the database was changed or restored row by row.
var (
	errNoKey   = errors.New("no key of the ring sealed it")
	errChanged = errors.New("it was changed, or moved here from another row or column")
)

// Seal encrypts a value for one column of one row: key id, nonce, AES-256-GCM ciphertext. Nonces are random, so a key
// may seal 2^32 values (NIST SP 800-38D section 8.3).
func (r *Ring) Seal(plain []byte, table, row, column string) []byte {
	k := r.newest()
	return k.aead().Seal([]byte(k.id), nil, plain, place(table, row, column))
}

// Open returns what was sealed for this column of this row.
func (r *Ring) Open(blob []byte, table, row, column string) ([]byte, error) {
	for _, k := range r.keys {
		sealed, ok := bytes.CutPrefix(blob, []byte(k.id))
		if !ok {
			continue
		}
		plain, err := k.aead().Open(nil, nil, sealed, place(table, row, column))
		if err != nil {
			return nil, fmt.Errorf("open sealed %s.%s: %w", table, column, errChanged)
		}
		return plain, nil
	}
	return nil, fmt.Errorf("open sealed %s.%s: %w", table, column, errNoKey)
}

// NeedsReseal says that an older key than the newest sealed it.
func (r *Ring) NeedsReseal(blob []byte) bool { return !bytes.HasPrefix(blob, []byte(r.newest().id)) }

// MAC authenticates a message for one named purpose, with HMAC-SHA-256. Its key comes from the oldest key of the ring,
// so it stays the same over every rotation: unlike a sealed value, an audit chain cannot be made anew.
func (r *Ring) MAC(purpose string, message []byte) []byte {
	h := hmac.New(sha256.New, r.keys[0].derive("mac "+purpose))
	h.Write(message)
	return h.Sum(nil)
}

// place is what a sealed value is bound to. Quoting keeps ("a", "b.c") and ("a.b", "c") apart.
func place(table, row, column string) []byte { return fmt.Appendf(nil, "%q %q %q", table, row, column) }

func (k key) aead() cipher.AEAD {
	block, err := aes.NewCipher(k.derive("seal"))
	if err != nil {
		panic(err) // a derived key always has 32 bytes
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES always has the block size of GCM
	}
	return aead
}

// derive gives each use a key of its own, so that no two of them can be played against each other.
func (k key) derive(use string) []byte {
	derived, err := hkdf.Key(sha256.New, k.root(), nil, "sallyport "+use, 32)
	if err != nil {
		panic(err) // HKDF with SHA-256 gives up to 8160 bytes
	}
	return derived
}
