package secret

import (
	"crypto/rand"
	"strings"

	"sallyport/internal/auth"
)

// alphabet is Crockford's base32: no letter looks like a digit, and few make a word. https://www.crockford.com/base32.html
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewLetters is a secret that people type: n letters and digits, five random bits each.
func NewLetters(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	for i := range b {
		b[i] = alphabet[b[i]%32] // even: 32 divides 256
	}
	return string(b)
}

// ReadLetters is what was typed of n letters, as NewLetters makes them: in any case, with spaces and hyphens anywhere, O for
// 0, and I or L for 1. It is "" if it can be none.
func ReadLetters(typed auth.Secret, n int) string {
	if len(typed) > 4*n { // more than anybody types
		return ""
	}
	b := make([]byte, 0, n)
	for i := range len(typed) {
		c := typed[i]
		if strings.IndexByte(" -\t\r\n", c) >= 0 {
			continue
		}
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		switch c {
		case 'O':
			c = '0'
		case 'I', 'L':
			c = '1'
		}
		if len(b) == n || strings.IndexByte(alphabet, c) < 0 {
			return ""
		}
		b = append(b, c)
	}
	if len(b) < n {
		return ""
	}
	return string(b)
}
