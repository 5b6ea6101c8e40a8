package trust

import (
	"encoding/base64"
	"slices"
	"strings"

	"sallyport/internal/auth"
	"sallyport/internal/secret"
)

const (
	// mostInOne is how many people may trust one browser.
	mostInOne = 5
	// longest is that many tokens with a dot between.
	longest = mostInOne*44 - 1
)

// A ring is what the cookie of a browser holds: one token for each person who trusts it, the latest last. Each opens a row
// of that person alone, so whoever has a copy of the ring and an account of their own keeps none of the others alive by it.
type ring []auth.Secret

// held reads a cookie. What cannot be one of ours is nothing.
func held(cookie auth.Secret) (r ring) {
	if len(cookie) > longest {
		return nil
	}
	for token := range strings.SplitSeq(string(cookie), ".") {
		if b, err := base64.RawURLEncoding.DecodeString(token); err == nil && len(b) == len(digest{}) {
			r = append(r, auth.Secret(token))
		}
	}
	return r
}

func (r ring) cookie() auth.Secret {
	var all []string
	for _, token := range r {
		all = append(all, string(token))
	}
	return auth.Secret(strings.Join(all, "."))
}

func (r ring) keys() (all keys) {
	for i, token := range r {
		all[i] = secret.Digest(token)
	}
	return all
}

// renewed has a new token in place of some. Where there is no room the oldest falls out.
func (r ring) renewed(next auth.Secret, gone ...digest) ring {
	left := slices.DeleteFunc(slices.Clone(r), func(token auth.Secret) bool { return slices.Contains(gone, secret.Digest(token)) })
	left = append(left, next)
	return left[max(0, len(left)-mostInOne):]
}
