package secret

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
)

// A Ring holds the keys that seal what the database stores. The newest seals, all open. It is kept apart from the
// database, so that a stolen backup opens nothing; it prints as "[secret]" and an error never shows a part of it.
//
// As text it is one line for each key, oldest first: id, time of creation, 32 bytes in base64.
type Ring struct{ keys []key }

type key struct {
	id      string // also the first bytes of what the key sealed
	created time.Time
	root    func() []byte // a func, because fmt skips Format in an unexported field, and never looks into a func
}

const (
	idSize   = 8
	rootSize = 32
)

func (Ring) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[secret]") }
func (Ring) LogValue() slog.Value       { return slog.StringValue("[secret]") }

// LoadRing reads a ring that its owner alone can read.
func LoadRing(path string) (*Ring, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("load key ring: there is none at %s; make one with `sallyport keys rotate`", path)
	}
	if err != nil {
		return nil, fmt.Errorf("load key ring: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("load key ring: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("load key ring: others can read it; run: chmod 600 %s", path)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("load key ring: %w", err)
	}
	r, err := ParseRing(text)
	if err != nil {
		return nil, fmt.Errorf("load key ring %s: %w", path, err)
	}
	return r, nil
}

// ParseRing reads the text of a ring. Any white space separates, so that a ring fits an environment variable.
func ParseRing(text []byte) (*Ring, error) {
	word := strings.Fields(string(text))
	if len(word) == 0 {
		return nil, errors.New("no key in it")
	}
	if len(word)%3 != 0 {
		return nil, errors.New("a key is three words: id, time, base64")
	}
	r := &Ring{}
	for n := 0; n < len(word); n += 3 {
		k, err := parseKey(word[n], word[n+1], word[n+2])
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", n/3+1, err)
		}
		for _, other := range r.keys {
			if other.id == k.id {
				return nil, fmt.Errorf("key %d: another key has its id", n/3+1)
			}
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}

// parseKey wraps no error: those of time and base64 quote what they read, and a shifted line would show the key.
func parseKey(id, created, root string) (key, error) {
	if len(id) != idSize || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return key{}, fmt.Errorf("the id is not %d letters a-z and digits 2-7", idSize)
	}
	at, err := time.Parse(time.RFC3339, created)
	if err != nil {
		return key{}, errors.New("the time does not look like 2006-01-02T15:04:05Z")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(root)
	if err != nil || len(b) != rootSize {
		return key{}, fmt.Errorf("the last word is not %d bytes in base64", rootSize)
	}
	return key{id, at, func() []byte { return b }}, nil
}

// text is what ParseRing reads.
func (r *Ring) text() []byte {
	var b []byte
	for _, k := range r.keys {
		root := base64.StdEncoding.EncodeToString(k.root())
		b = fmt.Appendf(b, "%s %s %s\n", k.id, k.created.Format(time.RFC3339), root)
	}
	return b
}

func (r *Ring) newest() key { return r.keys[len(r.keys)-1] }
