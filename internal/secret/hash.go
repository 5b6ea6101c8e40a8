package secret

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"sallyport/internal/auth"
)

// A Hasher turns passwords into hashes that are slow to guess. Every method waits for a slot: it returns an
// [auth.BusyError] where none will be free in time, or the error of ctx. A hash that has begun runs to its end.
type Hasher struct {
	params Params
	nobody string // the hash of no password, at today's price
	queue  *queue
}

const (
	saltSize = 16 // RFC 9106 section 3.1 recommends 16 bytes
	keySize  = 32
)

// NewHasher works on as many hashes at once as there are slots; more than one for each core only costs memory.
// Others wait their turn, at most as long as wait. The count of all requests served so far tells it when to make room
// for them.
func NewHasher(p Params, slots int, wait time.Duration, served func() int64) *Hasher {
	return &Hasher{
		params: p,
		nobody: phc{p, make([]byte, saltSize), make([]byte, keySize)}.String(),
		queue:  newQueue(slots, wait, served),
	}
}

// Admit waits for a slot and keeps it for all that is hashed with the context it returns, until leave is called. So a
// caller knows that a password will be checked before it counts the guess.
func (h *Hasher) Admit(ctx context.Context) (admitted context.Context, leave func(), err error) {
	leave, err = h.queue.enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	return context.WithValue(ctx, slot{}, h), sync.OnceFunc(leave), nil
}

// slot marks a context whose caller has one.
type slot struct{}

// Hash returns what to store of a new password.
func (h *Hasher) Hash(ctx context.Context, password auth.Secret) (string, error) {
	n := phc{h.params, make([]byte, saltSize), make([]byte, keySize)}
	rand.Read(n.salt)
	key, err := h.derive(ctx, n, password)
	if err != nil {
		return "", err
	}
	n.key = key
	return n.String(), nil
}

// Verify says whether the password made the stored hash, and whether that is stale: a right password should then be
// hashed again, at today's price.
func (h *Hasher) Verify(ctx context.Context, stored string, password auth.Secret) (ok, stale bool, err error) {
	was, err := parsePHC(stored)
	if err != nil {
		return false, false, err
	}
	key, err := h.derive(ctx, was, password)
	if err != nil {
		return false, false, err
	}
	ok = subtle.ConstantTimeCompare(key, was.key) == 1
	today := was.Params == h.params && len(was.salt) == saltSize && len(was.key) == keySize
	return ok, ok && !today, nil
}

// VerifyNothing does the work of Verify for a name that nobody has, so that the answer takes as long.
func (h *Hasher) VerifyNothing(ctx context.Context, password auth.Secret) error {
	_, _, err := h.Verify(ctx, h.nobody, password)
	return err
}

// derive computes a key with the price, salt and length of n.
func (h *Hasher) derive(ctx context.Context, n phc, password auth.Secret) (key []byte, err error) {
	work := func() {
		key = argon2.IDKey([]byte(password), n.salt, n.Passes, n.Memory, n.Lanes, uint32(len(n.key)))
	}
	if ctx.Value(slot{}) == h {
		work()
		return key, nil
	}
	err = h.queue.do(ctx, work)
	return key, err
}
