package secret

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestKeysFollowARotationElsewhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := CreateRing(path, time.Now()); err != nil {
		t.Fatal(err)
	}
	here, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Rotate(path, time.Now()); err != nil {
		t.Fatal(err)
	}
	there, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed := there.Seal([]byte("secret"), "t", "r", "c")
	if plain, err := here.Open(sealed, "t", "r", "c"); err != nil || string(plain) != "secret" {
		t.Error(plain, err)
	}
	if _, err := here.Open(sealed, "t", "other", "c"); err == nil {
		t.Error("it opens in another row")
	}
	if string(here.MAC("audit", nil)) != string(there.MAC("audit", nil)) {
		t.Error("the chain would break at a rotation")
	}
}

func TestKeysThatLackAKeySaySo(t *testing.T) {
	dir := t.TempDir()
	var keys [2]*Keys
	for i, name := range []string{"a", "b"} {
		path := filepath.Join(dir, name)
		if err := CreateRing(path, time.Now()); err != nil {
			t.Fatal(err)
		}
		var err error
		if keys[i], err = OpenKeys(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := keys[0].Open(keys[1].Seal([]byte("x"), "t", "r", "c"), "t", "r", "c"); err == nil || !strings.Contains(err.Error(), "no key") {
		t.Error(err)
	}
	if s := fmt.Sprintf("%v %+v %#v %s", keys[0], keys[0], keys[0], keys[0]); strings.Trim(s, " ") != "[secret] [secret] [secret] [secret]" {
		t.Error(s)
	}
}
