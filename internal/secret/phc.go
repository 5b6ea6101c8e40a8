package secret

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Params is what one Argon2id hash costs.
type Params struct {
	Memory uint32 // KiB
	Passes uint32
	Lanes  uint8
}

// A phc is a stored password hash: "$argon2id$v=19$m=19456,t=2,p=1$salt$key".
// https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md
type phc struct {
	Params
	salt, key []byte
}

var errPHC = errors.New("not an argon2id hash that we accept")

func (h phc) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, h.Memory, h.Passes, h.Lanes, b64(h.salt), b64(h.key))
}

// parsePHC accepts the one spelling that String gives, and bounds what a row of the database may make us spend.
func parsePHC(s string) (h phc, err error) {
	part := strings.Split(s, "$")
	if len(part) != 6 {
		return phc{}, errPHC
	}
	_, err = fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &h.Memory, &h.Passes, &h.Lanes)
	if err != nil {
		return phc{}, errPHC
	}
	if h.salt, err = base64.RawStdEncoding.DecodeString(part[4]); err != nil {
		return phc{}, errPHC
	}
	if h.key, err = base64.RawStdEncoding.DecodeString(part[5]); err != nil {
		return phc{}, errPHC
	}
	// One comparison refuses every other algorithm and version, leading zeros, signs, spaces, stray bits and line breaks.
	if h.String() != s || !h.acceptable() {
		return phc{}, errPHC
	}
	return h, nil
}

// acceptable leaves room for hashes from elsewhere: 256 MiB is four times the smaller choice of RFC 9106 section 4.
func (h phc) acceptable() bool {
	return h.Lanes >= 1 && h.Lanes <= 16 &&
		h.Passes >= 1 && h.Passes <= 64 &&
		h.Memory >= 8*uint32(h.Lanes) && h.Memory <= 256<<10 && // RFC 9106 section 3.1: at least 8 blocks a lane
		len(h.salt) >= 8 && len(h.salt) <= 64 &&
		len(h.key) >= 16 && len(h.key) <= 64
}
