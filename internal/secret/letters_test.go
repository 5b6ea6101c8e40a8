package secret

import (
	"strings"
	"testing"

	"sallyport/internal/auth"
)

func TestLettersAreReadAsPeopleTypeThem(t *testing.T) {
	for typed, want := range map[auth.Secret]string{
		"0123ABCD": "0123ABCD", "0123-abcd": "0123ABCD", " 01 23\tAB\r\nCD ": "0123ABCD", "oI2l-xyz9": "0121XYZ9", "--0123ABCD--": "0123ABCD",
		"": "", "0123ABC": "", "0123ABCDE": "", "0123ABCU": "", "0123ABC!": "", "0123ABC\x00": "", "0123ABC\u00a0D": "", "０123ABCD": "", "0123ABCÀ": "",
		auth.Secret(strings.Repeat("A", 1000)): "", auth.Secret(strings.Repeat(" ", 1000)): "",
	} {
		if got := ReadLetters(typed, 8); got != want {
			t.Errorf("%q is read as %q, want %q", string(typed), got, want)
		}
	}
}

func TestLettersAreEven(t *testing.T) {
	count := map[rune]int{}
	for range 2000 {
		made := NewLetters(16)
		if ReadLetters(auth.Secret(made), 16) != made {
			t.Fatal(made)
		}
		for _, r := range made {
			count[r]++
		}
	}
	for _, r := range alphabet { // 1000 each, give or take 31
		if n := count[r]; n < 800 || n > 1200 {
			t.Errorf("%c came %d times", r, n)
		}
	}
}

func FuzzReadLetters(f *testing.F) {
	f.Add("7KQM-3XTP", 8)
	f.Fuzz(func(t *testing.T, typed string, n int) {
		if n < 0 || n > 64 {
			return
		}
		got := ReadLetters(auth.Secret(typed), n)
		if got != "" && (len(got) != n || strings.Trim(got, alphabet) != "" || ReadLetters(auth.Secret(got), n) != got) {
			t.Errorf("%q is read as %q", typed, got)
		}
	})
}
