package sms

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

func TestATextTravelsInAsFewSegmentsAsItsCharactersAllow(t *testing.T) {
	x := strings.Repeat
	for _, c := range []struct {
		text string
		want int
	}{
		{"a", 1}, {x("a", 160), 1}, {x("a", 161), 2}, {x("a", 306), 2}, {x("a", 307), 3}, {x("a", 1530), 10}, {x("a", 1531), 11},
		{x("€", 80), 1}, {x("€", 80) + "a", 2}, // 160 and 161 septets
		{x("a", 152) + "€" + x("a", 152), 3}, // 306 septets, yet the pair would be cut
		{x("a", 151) + "€" + x("a", 153), 2},
		{x("ж", 70), 1}, {x("ж", 71), 2}, {x("ж", 134), 2}, {x("ж", 135), 3},
		{x("a", 69) + "ж", 1}, {x("a", 70) + "ж", 2}, // one character makes all of it UCS-2
		{x("😀", 35), 1}, {x("😀", 36), 2}, {x("😀", 66), 2}, {x("😀", 67), 3}, // 33 to a part: the 67th unit stays free
		{x("à", 160), 1}, {x("á", 70), 1}, {x("á", 71), 2}, {x("`", 70), 1}, {x("`", 71), 2},
	} {
		if got := Segments(c.text); got != c.want {
			t.Errorf("%.8q... of %d characters: %d, want %d", c.text, utf8.RuneCountInString(c.text), got, c.want)
		}
	}
}

// 3GPP TS 23.038 section 6.2.1 and 6.2.1.1: corners of both tables.
func TestCodesOfGSM(t *testing.T) {
	for text, want := range map[string]string{
		"@": "\x00", "$": "\x02", "\n": "\x0a", "\r": "\x0d", "_": "\x11", "Δ": "\x10", "Ξ": "\x1a", "Æ": "\x1c", "É": "\x1f", " ": " ", "¤": "\x24", "?": "?",
		"¡": "\x40", "A": "A", "Z": "Z", "Ä": "\x5b", "§": "\x5f", "¿": "\x60", "a": "a", "z": "z", "ä": "\x7b", "à": "\x7f", "Ç": "\x09",
		"€": "\x1be", "[": "\x1b<", "\\": "\x1b/", "]": "\x1b>", "^": "\x1b\x14", "{": "\x1b(", "|": "\x1b@", "}": "\x1b)", "~": "\x1b=", "\f": "\x1b\x0a",
		"#123456": "#123456", "@h #1": "\x00h #1",
	} {
		coding, parts := encode(text)
		if coding != gsm || len(parts) != 1 || string(parts[0]) != want {
			t.Errorf("%q: %v, %x", text, coding, parts)
		}
	}
	if n := utf8.RuneCountInString(basic); n != 128 {
		t.Error("the alphabet has", n)
	}
}

func TestWhatGSMDoesNotHaveIsUCS2(t *testing.T) {
	for text, want := range map[string]string{
		"ж": "\x04\x36", "ç": "\x00\xe7", "\t": "\x00\x09", "\x00": "\x00\x00", "\x1b": "\x00\x1b", "a\x1be": "\x00a\x00\x1b\x00e", "`": "\x00\x60",
		"“": "\x20\x1c", "’": "\x20\x19", "\u00a0": "\x00\xa0", "😀": "\xd8\x3d\xde\x00", "\u2028": "\x20\x28",
	} {
		coding, parts := encode(text)
		if coding != ucs2 || len(parts) != 1 || string(parts[0]) != want {
			t.Errorf("%q: %v, %x", text, coding, parts)
		}
	}
}

// decode reads both codings back, independently of the tables' direction.
func decode(c coding, octets []byte) string {
	if c == ucs2 {
		var units []uint16
		for i := 0; i+1 < len(octets); i += 2 {
			units = append(units, uint16(octets[i])<<8|uint16(octets[i+1]))
		}
		return string(utf16.Decode(units))
	}
	table := []rune(basic)
	var text []rune
	for i := 0; i < len(octets); i++ {
		if octets[i] != toExtension {
			text = append(text, table[octets[i]])
			continue
		}
		i++
		for r, code := range extension {
			if code == octets[i] {
				text = append(text, r)
			}
		}
	}
	return string(text)
}

func FuzzEncode(f *testing.F) {
	for _, text := range append(weird, "Code 123456", strings.Repeat("€", 200), strings.Repeat("😀", 100)) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return // Open's provider refuses it
		}
		coding, parts := encode(text)
		size := map[bool]int{true: 160, false: 153}[len(parts) == 1]
		if coding == ucs2 {
			size = map[bool]int{true: 140, false: 134}[len(parts) == 1]
		}
		for _, part := range parts {
			if len(part) > size {
				t.Fatalf("a part of %d", len(part))
			}
			if alone := decode(coding, part); !utf8.ValidString(alone) || strings.ContainsRune(alone, utf8.RuneError) && !strings.ContainsRune(text, utf8.RuneError) {
				t.Fatalf("a character is cut: %q", alone)
			}
		}
		if back := decode(coding, bytes.Join(parts, nil)); back != text {
			t.Fatalf("%q came back as %q", text, back)
		}
	})
}
