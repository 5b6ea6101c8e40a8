// Package secret makes and keeps what nobody else may know: random tokens, password hashes, and the sealing of
// secrets that the database stores.
//
// It promises that checking an unknown name costs what checking a known one does, that a burst of sign-ins is refused
// promptly rather than served late, and that a sealed value opens only in the row and column it was sealed for.
// It never puts a secret into an error, and refuses a key ring that others on the machine can read.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"sallyport/internal/auth"
)

// NewToken is 256 random bits as text that fits a URL, a header and a cookie.
func NewToken() auth.Secret {
	var b [32]byte
	rand.Read(b[:])
	return auth.Secret(base64.RawURLEncoding.EncodeToString(b[:]))
}

// Digest is what we store of a token. A plain hash is enough: nobody searches 256 random bits, so salt and slowness
// would protect nothing. A password is not a token.
func Digest(token auth.Secret) [sha256.Size]byte {
	var b [64]byte // room for ours; it spares a session check an allocation
	if len(token) <= len(b) {
		return sha256.Sum256(b[:copy(b[:], token)])
	}
	return sha256.Sum256([]byte(token))
}

// NewID names a row: 130 random bits, so nobody guesses a neighbour, in letters that survive any file system and URL.
func NewID() string { return strings.ToLower(rand.Text()) }
