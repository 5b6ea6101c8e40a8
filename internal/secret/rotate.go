package secret

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// CreateRing writes a ring of one key. It never replaces a file: the keys in there may be the only ones.
func CreateRing(path string, now time.Time) error {
	// Written aside and linked when whole, so that who starts at the same time never reads half of it.
	f, err := os.CreateTemp(filepath.Dir(path), ".keys") // mode 0600
	if err != nil {
		return fmt.Errorf("create key ring: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := save(f, &Ring{[]key{newKey(now)}}); err != nil {
		return fmt.Errorf("create key ring: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil {
		return fmt.Errorf("create key ring: %w", err)
	}
	return syncFolder(path)
}

// Rotate adds a key to the file; whoever loads the ring from then on seals with it. A crash leaves the old ring or the
// new one, never half of it.
func Rotate(path string, now time.Time) error {
	// The new file is the lock, too: of two rotations at once, the slower would drop the key of the faster.
	f, err := createPrivate(path + ".new")
	if err != nil {
		return fmt.Errorf("rotate key ring (remove that file if no other rotation runs): %w", err)
	}
	defer f.Close()
	if err := replace(path, f, now); err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("rotate key ring: %w", err)
	}
	return syncFolder(path)
}

// replace puts the ring at path and one more key into f, and f in its place.
func replace(path string, f *os.File, now time.Time) error {
	r, err := LoadRing(path)
	if err != nil {
		return err
	}
	r.keys = append(r.keys, newKey(now))
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	// An administrator may rotate what the server, another user, has to read.
	owner := info.Sys().(*syscall.Stat_t)
	if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
		return err
	}
	if err := save(f, r); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func newKey(now time.Time) key {
	root := make([]byte, rootSize)
	rand.Read(root)
	return key{NewID()[:idSize], now.UTC(), func() []byte { return root }}
}

func createPrivate(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// save returns once the ring is on disk. A key that seals and is then lost takes the sealed values with it.
func save(f *os.File, r *Ring) error {
	if _, err := f.Write(r.text()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return syncFolder(f.Name())
}

func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
