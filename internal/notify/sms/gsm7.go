package sms

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// GSM 03.38, today 3GPP TS 23.038 section 6.2.1: the place of a character is its code. Code 0x1b leads to a second
// table, whose characters take two septets.
const (
	basic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"

	toExtension = 0x1b
)

var extension = map[rune]byte{'\f': 0x0a, '^': 0x14, '{': 0x28, '}': 0x29, '\\': 0x2f, '[': 0x3c, '~': 0x3d, ']': 0x3e, '|': 0x40, '€': 0x65}

var septets = func() map[rune][]byte {
	all := map[rune][]byte{}
	code := byte(0)
	for _, r := range basic {
		all[r] = []byte{code}
		code++
	}
	delete(all, toExtension) // an escape in a text must not make another character of the one behind it
	for r, code := range extension {
		all[r] = []byte{toExtension, code}
	}
	return all
}()

func isGSM(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return septets[r] == nil })
}

// Segments is in how many short messages a text travels, each of which costs: up to 160 characters of GSM 03.38 in one
// or 153 in each of several, else 70 or 67 units of UTF-16. A character that takes two is never cut.
func Segments(text string) int {
	_, parts := encode(text)
	return len(parts)
}

// A coding is the data_coding of SMPP 3.4, section 5.2.19.
type coding byte

const (
	gsm  coding = 0 // the SMS centre's default alphabet, one septet per octet
	ucs2 coding = 8 // big-endian
)

// encode cuts a text into what fits into one short message each, without header. Empty text is one empty part.
func encode(text string) (coding, [][]byte) {
	if isGSM(text) {
		return gsm, cut(text, 160, 153, func(r rune) []byte { return septets[r] })
	}
	return ucs2, cut(text, 140, 134, func(r rune) []byte {
		var b []byte
		for _, unit := range utf16.AppendRune(nil, r) {
			b = append(b, byte(unit>>8), byte(unit))
		}
		return b
	})
}

// cut fills parts of at most several octets, unless one of at most alone holds everything.
func cut(text string, alone, several int, octets func(rune) []byte) [][]byte {
	whole := make([]byte, 0, utf8.RuneCountInString(text))
	parts := [][]byte{nil}
	for _, r := range text {
		b := octets(r)
		whole = append(whole, b...)
		if last := parts[len(parts)-1]; len(last)+len(b) <= several {
			parts[len(parts)-1] = append(last, b...)
		} else {
			parts = append(parts, b)
		}
	}
	if len(whole) <= alone {
		return [][]byte{whole}
	}
	return parts
}
