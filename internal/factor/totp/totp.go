// Package totp is the authenticator app: a factor, and the pages to keep one's authenticators.
//
// An authenticator that was never confirmed with a code does not exist for sign-in (T3), and a time step counts once
// per authenticator, over all pages, calls and nodes (T5).
package totp

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
)

// Kind is how the rest of the product calls this factor.
const Kind auth.Kind = "totp"

// TOTP verifies codes and keeps authenticators.
type TOTP struct {
	Parts
}

// Parts are what the factor is made with.
type Parts struct {
	DB       *db.DB
	Keys     *secret.Keys
	Trail    *audit.Trail
	Throttle *throttle.Throttle
	Roster   *roster.Roster
	Revoker  auth.Revoker
	Issuer   string // how apps call this site
	Clock    func() time.Time
}

func New(p Parts) *TOTP { return &TOTP{p} }

func (t *TOTP) Kind() auth.Kind { return Kind }

// Enrolments lists confirmed authenticators.
func (t *TOTP) Enrolments(ctx context.Context, from auth.Reader, u auth.UserID) ([]auth.Enrolment, error) {
	all, err := t.all(ctx, from, u)
	some := make([]auth.Enrolment, len(all))
	for i, a := range all {
		some[i] = auth.Enrolment{ID: a.id, Kind: Kind, Name: a.name, Added: a.added, LastUsed: a.lastUsed}
	}
	return some, err
}

// Verify takes a code of any confirmed authenticator of the person. The claim burns its time step.
func (t *TOTP) Verify(ctx context.Context, a auth.Attempt, response auth.Secret) (auth.Claim, error) {
	code, err := parseCode(response)
	if err != nil {
		return nil, err
	}
	all, err := t.all(ctx, t.DB, a.User.ID)
	if err != nil {
		return nil, err
	}
	now := t.Clock()
	var broken error // one that cannot be opened must not keep out who has another
	for _, one := range all {
		secret, err := t.open(one)
		if err != nil {
			broken = err
			continue
		}
		if step := match(secret, code, now, one.lastStep); step > 0 {
			return func(ctx context.Context, tx auth.Tx) (auth.Proof, error) {
				if err := t.spend(ctx, tx, one.id, step, now); err != nil {
					return auth.Proof{}, err
				}
				return prove(one.id, now), t.reseal(ctx, tx, one, secret)
			}, nil
		}
	}
	if broken != nil {
		return nil, broken
	}
	return nil, auth.ErrWrong
}

// Reset is auth.Resetter.
func (t *TOTP) Reset(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	return t.removeAll(ctx, tx, u)
}

func prove(id auth.EnrolmentID, now time.Time) auth.Proof {
	return auth.Proof{Kind: Kind, Enrolment: id, AMR: "otp", Level: auth.OneFactor, At: now}
}

// secretSize is 160 bits: RFC 4226 section 4, R6.
const secretSize = 20

func newSecret() []byte {
	b := make([]byte, secretSize)
	rand.Read(b) // never fails
	return b
}

func base32Of(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}

const period = 30 // seconds; RFC 6238 section 5.2

// match returns the step of a code, or 0. Steps -1, 0 and +1 count, none at or before the last used.
func match(secret []byte, code string, now time.Time, last int64) int64 {
	today := now.Unix() / period
	for step := today - 1; step <= today+1; step++ {
		if step > last && hmac.Equal([]byte(at(secret, step, 6)), []byte(code)) {
			return step
		}
	}
	return 0
}

// at is the code of one step: RFC 6238 with SHA-1; the truncation is RFC 4226 section 5.3.
func at(secret []byte, step int64, digits int) string {
	mac := hmac.New(sha1.New, secret)
	binary.Write(mac, binary.BigEndian, step)
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[19]&15:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", digits, n%pow10[digits])
}

var pow10 = [...]uint32{6: 1e6, 8: 1e8}

// parseCode accepts "123 456" and "123-456", ASCII digits only.
func parseCode(s auth.Secret) (string, error) {
	code := strings.NewReplacer(" ", "", "-", "").Replace(string(s))
	if len(code) != 6 || strings.Trim(code, "0123456789") != "" {
		return "", auth.InvalidError{Field: "code", Why: "must have 6 digits"}
	}
	return code, nil
}
