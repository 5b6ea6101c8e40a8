package audit

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// What can be decoded again was unambiguous.
func FuzzTwoDifferentEventsNeverEncodeTheSame(f *testing.F) {
	f.Add("id", "kind", "user", "actor", "face", "request", "address", "browser", "{}", int64(1))
	f.Add("", "a", "", "\x01b", "\x00", "\xff", strings.Repeat("x", 127), strings.Repeat("y", 128), "", int64(-1))
	f.Fuzz(func(t *testing.T, a, b, c, d, e, f, g, h, i string, at int64) {
		r := row{a, at, b, c, d, e, f, g, h, i, nil, 0, false}
		code, moved := r.encode(), row{a + b, at, "", c, d, e, f, g, h, i, nil, 0, false}
		if got := decode(t, code); !reflect.DeepEqual(got, r) {
			t.Errorf("%+v came back as %+v", r, got)
		}
		if b != "" && string(code) == string(moved.encode()) {
			t.Errorf("%+v encodes like %+v", r, moved)
		}
	})
}

func decode(t *testing.T, b []byte) (r row) {
	b = b[len("event"):]
	r.at = int64(binary.BigEndian.Uint64(b))
	b = b[8:]
	for _, s := range r.texts() {
		n, size := binary.Uvarint(b)
		*s, b = string(b[size:size+int(n)]), b[size+int(n):]
	}
	if len(b) > 0 {
		t.Errorf("%d bytes left", len(b))
	}
	return r
}

func TestAnEscapeCannotBePretended(t *testing.T) {
	for text, want := range map[string]string{"a\nb": `a\nb`, `a\nb`: `a\\nb`, "a\u202eb": `a\u202eb`, "a\xffb": "a\ufffdb", "a'\"b": `a'"b`, "é": "é"} {
		if got := printable(text, mostText); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func FuzzForeignTextStaysOnOneShortLine(f *testing.F) {
	for _, s := range []string{"Mozilla/5.0", "a\r\nb", "\x00\xff\\", "\u202e", strings.Repeat("\U000e0001", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := printable(s, mostText)
		if !utf8.ValidString(p) || utf8.RuneCountInString(p) > mostText || strings.ContainsFunc(p, unprintable) {
			t.Errorf("%q became %q", s, p)
		}
		if plain(s) && len(s) <= mostText && p != s {
			t.Errorf("%q became %q for no reason", s, p)
		}
	})
}
