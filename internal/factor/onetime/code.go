package onetime

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/secret"
	"sallyport/internal/user"
)

// lifetime of a code. Source: security.md, "Codes".
var lifetime = map[auth.Kind]time.Duration{Email: 10 * time.Minute, SMS: 5 * time.Minute}

// newCode is 6 digits for SMS, 8 characters (40 bits) for mail.
func newCode(kind auth.Kind) string {
	if kind == SMS {
		n, _ := rand.Int(rand.Reader, big.NewInt(1e6)) // never fails
		return fmt.Sprintf("%06d", n)
	}
	return secret.NewLetters(8)
}

// shown is a code as people read it.
func shown(kind auth.Kind, code string) string {
	if kind == SMS {
		return code
	}
	return code[:4] + "-" + code[4:]
}

// parse tells by its shape which channel a code came by. Case, spaces and hyphens do not matter, nor letters that look
// like digits.
func parse(response auth.Secret) (auth.Kind, string, error) {
	code := strings.NewReplacer(" ", "", "-", "").Replace(string(response))
	if len(code) == 6 && strings.Trim(code, "0123456789") == "" {
		return SMS, code, nil
	}
	if code = secret.ReadLetters(response, 8); code == "" {
		return "", "", auth.InvalidError{Field: "code", Why: "must have the 6 digits or 8 characters that we sent"}
	}
	return Email, code, nil
}

// mask shows enough of a destination to recognise it (C6).
func mask(kind auth.Kind, to string) string {
	if kind == SMS {
		return user.MaskPhone(to)
	}
	return user.MaskEmail(to)
}
