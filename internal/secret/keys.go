package secret

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Keys is the ring in a file, read again when something turns up that none of its keys sealed: after a rotation on
// another node, whose ring was copied here, this one goes on without a restart.
type Keys struct {
	path string
	ring atomic.Pointer[Ring]

	mu     sync.Mutex
	looked time.Time // when the file was last read again
}

// OpenKeys reads the ring at a path.
func OpenKeys(path string) (*Keys, error) {
	r, err := LoadRing(path)
	if err != nil {
		return nil, err
	}
	k := &Keys{path: path}
	k.ring.Store(r)
	return k, nil
}

func (*Keys) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[secret]") }
func (*Keys) LogValue() slog.Value       { return slog.StringValue("[secret]") }

// Seal is Ring.Seal with the newest key.
func (k *Keys) Seal(plain []byte, table, row, column string) []byte {
	return k.ring.Load().Seal(plain, table, row, column)
}

// Open is Ring.Open.
func (k *Keys) Open(blob []byte, table, row, column string) ([]byte, error) {
	r := k.ring.Load()
	plain, err := r.Open(blob, table, row, column)
	if errors.Is(err, errNoKey) {
		if newer := k.newerThan(r); newer != nil {
			return newer.Open(blob, table, row, column)
		}
	}
	return plain, err
}

// NeedsReseal is Ring.NeedsReseal.
func (k *Keys) NeedsReseal(blob []byte) bool { return k.ring.Load().NeedsReseal(blob) }

// MAC is Ring.MAC.
func (k *Keys) MAC(purpose string, message []byte) []byte { return k.ring.Load().MAC(purpose, message) }

// newerThan reads the file again, at most once a second: a row that no key opens must not keep us reading. It is nil if
// there is nothing newer than old.
func (k *Keys) newerThan(old *Ring) *Ring {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := k.ring.Load(); r != old { // somebody else was here while we waited
		return r
	}
	if time.Since(k.looked) < time.Second {
		return nil
	}
	k.looked = time.Now()
	r, err := LoadRing(k.path)
	if err != nil {
		return nil // the ring we have is still good
	}
	k.ring.Store(r)
	return r
}
