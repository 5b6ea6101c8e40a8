package user

import (
	"strings"
	"unicode/utf8"
)

// MaskEmail shows enough of an address to recognise it, and no more (C6): "m•••@example.com".
func MaskEmail(to string) string {
	at := strings.LastIndexByte(to, '@')
	if at < 1 {
		return "•••"
	}
	_, first := utf8.DecodeRuneInString(to)
	return to[:first] + "•••" + to[at:]
}

// MaskPhone is the same for a number: "•••• 1234". Of no number it is empty.
func MaskPhone(to string) string {
	if to == "" {
		return ""
	}
	return "•••• " + to[max(0, len(to)-4):]
}
