package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const root = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func TestRingReadsWhatItWrites(t *testing.T) {
	r := testRing(3)
	text := r.text()
	got, err := ParseRing(text)
	if err != nil || !bytes.Equal(got.text(), text) || len(got.keys) != 3 {
		t.Errorf("%d keys, %v", len(got.keys), err)
	}
}

func TestRingFitsOneLine(t *testing.T) {
	r := testRing(2)
	got, err := ParseRing(bytes.ReplaceAll(r.text(), []byte("\n"), []byte(" ")))
	if err != nil || !bytes.Equal(got.text(), r.text()) {
		t.Error(err)
	}
}

func TestRingRefuses(t *testing.T) {
	const line = "abcdefg2 2026-11-21T20:00:00Z " + root + "\n"
	if _, err := ParseRing([]byte(line)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":         "",
		"white space":     " \n\t",
		"a missing word":  strings.Replace(line, "abcdefg2 ", "", 1),
		"a torn line":     line + "abcdefg3 2026-11-21T20:00:00Z",
		"one id twice":    line + line,
		"a short id":      strings.Replace(line, "abcdefg2", "abcdefg", 1),
		"a long id":       strings.Replace(line, "abcdefg2", "abcdefg22", 1),
		"a capital id":    strings.Replace(line, "abcdefg2", "Abcdefg2", 1),
		"a bad digit":     strings.Replace(line, "abcdefg2", "abcdefg1", 1),
		"no time":         strings.Replace(line, "2026-11-21T20:00:00Z", "yesterday", 1),
		"a short key":     strings.Replace(line, root, root[:40]+"HQ==", 1),
		"a long key":      strings.Replace(line, root, root[:40]+"HR4fIA==", 1),
		"no padding":      strings.Replace(line, root, root[:43], 1),
		"stray bits":      strings.Replace(line, root, root[:42]+"9=", 1),
		"swapped words":   "abcdefg2 " + root + " 2026-11-21T20:00:00Z",
		"a key for an id": root + " 2026-11-21T20:00:00Z abcdefg2",
	} {
		_, err := ParseRing([]byte(text))
		if err == nil {
			t.Errorf("%s is accepted", name)
		} else if strings.Contains(err.Error(), root[:8]) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

func FuzzRing(f *testing.F) {
	f.Add(testRing(1).text())
	f.Add(testRing(2).text())
	f.Add([]byte("abcdefg2 2026-11-21T20:00:00+01:00 " + root))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRing(text)
		if err != nil {
			return
		}
		again, err := ParseRing(r.text())
		if err != nil || !bytes.Equal(again.text(), r.text()) {
			t.Errorf("%q changes on its second reading: %v", text, err)
		}
	})
}

func TestRingDoesNotPrint(t *testing.T) {
	r := testRing(2)
	for _, k := range r.keys {
		copy(k.root(), "a key that nobody may ever see!!")
	}
	wrapped := struct {
		Pointer *Ring
		Value   Ring
		inner   *Ring
		copied  Ring
	}{r, *r, r, *r}
	var out bytes.Buffer
	for _, verb := range append(verbs, "%p", "%t", "%b", "%o", "%U", "%e", "%c") {
		for _, v := range []any{r, *r} {
			if got := fmt.Sprintf(verb, v); got != "[secret]" && verb != "%p" {
				t.Errorf("%s prints %s", verb, got)
			}
		}
		fmt.Fprintf(&out, verb+verb+verb, wrapped, &wrapped, []Ring{*r})
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "pointer", r, "value", *r, "wrapped", wrapped)
	}
	if n := strings.Count(out.String(), "[secret] value=[secret]"); n != 1 {
		t.Error("the log does not say that something is left out")
	}
	json.NewEncoder(&out).Encode(wrapped)
	root := r.keys[0].root()
	for _, form := range []string{
		string(root), hex.EncodeToString(root), strings.ToUpper(hex.EncodeToString(root)),
		base64.StdEncoding.EncodeToString(root), strings.Trim(fmt.Sprint(root), "[]"), "0x61, 0x20",
	} {
		if bytes.Contains(out.Bytes(), []byte(form)) {
			t.Errorf("%q got out", form)
		}
	}
}

func ringFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ring")
	if err := CreateRing(path, day); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustLoad(t *testing.T, path string) *Ring {
	t.Helper()
	r, err := LoadRing(path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRingFileIsForItsOwnerAlone(t *testing.T) {
	path := ringFile(t)
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666} {
		os.Chmod(path, mode)
		if _, err := LoadRing(path); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("%v: %v", mode, err)
		}
		if err := Rotate(path, day); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("rotate %v: %v", mode, err)
		}
	}
	for _, mode := range []os.FileMode{0o600, 0o400} {
		os.Chmod(path, mode)
		mustLoad(t, path)
	}
}

func TestCreatedAndRotatedFilesArePrivate(t *testing.T) {
	path := ringFile(t)
	for range 2 {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		if err := Rotate(path, day); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCreateNeverReplacesARing(t *testing.T) {
	path := ringFile(t)
	before, _ := os.ReadFile(path)
	if err := CreateRing(path, day); err == nil {
		t.Error("it was created twice")
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the ring changed")
	}
}

func TestMissingRingIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ring")
	if _, err := LoadRing(path); err == nil {
		t.Error("loaded")
	}
	if err := Rotate(path, day); err == nil {
		t.Error("rotated")
	}
	if left, _ := filepath.Glob(path + "*"); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestRotationKeepsEveryKeyAndSealsWithTheNewest(t *testing.T) {
	path := ringFile(t)
	old := mustLoad(t, path)
	if err := Rotate(path, day.AddDate(0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	r := mustLoad(t, path)
	if _, err := r.Open(sealed(old), "totp", "7", "secret"); err != nil {
		t.Error(err)
	}
	if _, err := old.Open(sealed(r), "totp", "7", "secret"); err == nil {
		t.Error("the old key still seals")
	}
	if !bytes.HasPrefix(r.text(), old.text()) {
		t.Error("the old key changed")
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestRotatedFileStaysWithItsOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	path := ringFile(t)
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := Rotate(path, day); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid != 65534 || owner.Gid != 65534 {
		t.Errorf("it belongs to %d:%d", owner.Uid, owner.Gid)
	}
}

func TestRotationsAtOnceLoseNoKey(t *testing.T) {
	path := ringFile(t)
	var lock sync.Mutex
	done := 0
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if Rotate(path, day) == nil {
				lock.Lock()
				done++
				lock.Unlock()
			}
		})
	}
	all.Wait()
	if got := len(mustLoad(t, path).keys); got != done+1 || done == 0 {
		t.Errorf("%d rotations made %d keys", done, got)
	}
}

func TestLeftoverOfACrashStopsRotationAndKeepsTheRing(t *testing.T) {
	path := ringFile(t)
	os.WriteFile(path+".new", []byte("half a r"), 0o600)
	if err := Rotate(path, day); err == nil || !strings.Contains(err.Error(), path+".new") {
		t.Error(err)
	}
	mustLoad(t, path)
}
