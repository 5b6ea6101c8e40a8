package totp

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
)

func vectors(t *testing.T, file string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// T2
func TestCodesAreThoseOfRFC6238(t *testing.T) {
	var file struct {
		Vectors []struct {
			Unix      int64
			Alg, TOTP string
			Digits    int
			SecretHex string `json:"secret_hex"`
			SecretB32 string `json:"secret_b32"`
		}
	}
	vectors(t, "rfc6238-appendix-b.json", &file)
	tried := 0
	for _, v := range file.Vectors {
		if v.Alg != "SHA1" {
			continue
		}
		tried++
		secret := unhex(t, v.SecretHex)
		if got := at(secret, v.Unix/period, v.Digits); got != v.TOTP {
			t.Errorf("at %d: %s, want %s", v.Unix, got, v.TOTP)
		}
		if got := at(secret, v.Unix/period, 6); got != v.TOTP[2:] {
			t.Errorf("at %d, six digits: %s, want %s", v.Unix, got, v.TOTP[2:])
		}
		if step := match(secret, v.TOTP[2:], time.Unix(v.Unix, 0), 0); step != v.Unix/period {
			t.Errorf("at %d: step %d, want %d", v.Unix, step, v.Unix/period)
		}
		if got := base32Of(secret); got != v.SecretB32 {
			t.Errorf("%s, want %s", got, v.SecretB32)
		}
	}
	if tried != 6 {
		t.Errorf("%d vectors, want 6", tried)
	}
}

// T2
func TestCodesAreThoseOfRFC4226(t *testing.T) {
	var file struct {
		Secret string `json:"secret_hex"`
		Digits int
		HOTP   []struct {
			Counter int64
			Value   string
		}
	}
	vectors(t, "rfc4226-appendix-d.json", &file)
	for _, v := range file.HOTP {
		if got := at(unhex(t, file.Secret), v.Counter, file.Digits); got != v.Value {
			t.Errorf("%d: %s, want %s", v.Counter, got, v.Value)
		}
	}
	if len(file.HOTP) != 10 {
		t.Errorf("%d vectors, want 10", len(file.HOTP))
	}
}

// T2: authenticator apps stumble over padding, so we leave it out.
func TestBase32IsThatOfRFC4648WithoutPadding(t *testing.T) {
	var file struct{ Base32 [][2]string }
	vectors(t, "rfc4648-base32.json", &file)
	for _, v := range file.Base32 {
		if got, want := base32Of([]byte(v[0])), strings.TrimRight(v[1], "="); got != want {
			t.Errorf("%q: %s, want %s", v[0], got, want)
		}
	}
	if len(file.Base32) != 7 {
		t.Errorf("%d vectors, want 7", len(file.Base32))
	}
}

// T2
func TestASecretHas160BitsAndIsNewEachTime(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		s := newSecret()
		if len(s) != 20 || seen[string(s)] {
			t.Fatalf("%d bytes, seen before %v", len(s), seen[string(s)])
		}
		seen[string(s)] = true
	}
}

// T5
func TestOneStepToEitherSideCounts(t *testing.T) {
	secret := []byte("12345678901234567890")
	for _, second := range []int64{0, 1, 29} { // of the step
		now := time.Unix(1_000_000*period+second, 0)
		today := now.Unix() / period
		for off := int64(-5); off <= 5; off++ {
			want := int64(0)
			if off >= -1 && off <= 1 {
				want = today + off
			}
			if got := match(secret, at(secret, today+off, 6), now, 0); got != want {
				t.Errorf("second %d, step %+d: %d, want %d", second, off, got, want)
			}
		}
	}
}

// T5
func TestNoStepAtOrBeforeTheLastUsedCounts(t *testing.T) {
	secret := []byte("12345678901234567890")
	now := time.Unix(1_000_000*period+15, 0)
	today := now.Unix() / period
	for last := today - 3; last <= today+3; last++ {
		for step := today - 1; step <= today+1; step++ {
			want := int64(0)
			if step > last {
				want = step
			}
			if got := match(secret, at(secret, step, 6), now, last); got != want {
				t.Errorf("step %+d, last used %+d: %d, want %d", step-today, last-today, got, want)
			}
		}
	}
}

func TestACodeOfAnotherSecretOrLengthDoesNotMatch(t *testing.T) {
	secret, other := []byte("12345678901234567890"), []byte("12345678901234567891")
	now := time.Unix(1_000_000*period, 0)
	today := now.Unix() / period
	right := at(secret, today, 6)
	for name, code := range map[string]string{
		"another secret": at(other, today, 6), "eight digits": at(secret, today, 8), "cut": right[:5], "longer": right + "0", "nothing": "",
	} {
		if step := match(secret, code, now, 0); step != 0 {
			t.Errorf("%s: step %d", name, step)
		}
	}
}

// R6, "Only ASCII digits after removing spaces and hyphens".
func TestACodeIsSixASCIIDigits(t *testing.T) {
	for typed, want := range map[auth.Secret]string{
		"123456":                   "123456",
		"000000":                   "000000",
		"123 456":                  "123456",
		"123-456":                  "123456",
		" 1 2-3 4-5 6 ":            "123456",
		"- 123456 -":               "123456",
		"":                         "",
		" ":                        "",
		"------":                   "",
		"12345":                    "",
		"1234567":                  "",
		"123 4567":                 "",
		"1234567890":               "",
		"12345a":                   "",
		"abcdef":                   "",
		"+12345":                   "",
		"0x1234":                   "",
		"1e0000":                   "",
		"123.456":                  "",
		"123,456":                  "",
		"123_456":                  "",
		"１２３４５６":                   "", // full-width
		"١٢٣٤٥٦":                   "", // Arabic-Indic
		"१२३४५६":                   "", // Devanagari
		"12345６":                   "",
		"①②③④⑤⑥":                   "",
		"𝟏𝟐𝟑𝟒𝟓𝟔":                   "",
		"１２":                       "", // six bytes
		"12345\x00":                "",
		"123456\x00":               "",
		"\x00123456":               "",
		"123\u00a0456":             "", // no-break space
		"123\u2009456":             "", // thin space
		"123\u2011456":             "", // no-break hyphen
		"123\u2013456":             "", // en dash
		"123\t456":                 "",
		"123456\n":                 "",
		"123456\r\n":               "",
		"\u202e123456":             "",
		"\ufeff123456":             "",
		"\xff\xfe\xfd\xfc\xfb\xfa": "",
		"123456'--":                "",
	} {
		got, err := parseCode(typed)
		var invalid auth.InvalidError
		switch {
		case want != "" && (err != nil || got != want):
			t.Errorf("%q: %q, %v", string(typed), got, err)
		case want == "" && (!errors.As(err, &invalid) || invalid.Field != "code" || got != ""):
			t.Errorf("%q: %q, %v", string(typed), got, err)
		}
	}
}

func FuzzParseCode(f *testing.F) {
	for _, s := range []string{"123456", "123 456", "12-34-56", "", "１２３４５６", "12345\x00", "1234567", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, err := parseCode(auth.Secret(typed))
		var invalid auth.InvalidError
		if err != nil {
			if !errors.As(err, &invalid) || code != "" {
				t.Fatalf("%q: %q, %v", typed, code, err)
			}
			if len(typed) >= 4 && strings.Contains(err.Error(), typed) && !strings.Contains("code must have 6 digits", typed) {
				t.Fatalf("the error repeats %q", typed)
			}
			return
		}
		if len(code) != 6 || strings.Trim(code, "0123456789") != "" {
			t.Fatalf("%q became %q", typed, code)
		}
		if again, err := parseCode(auth.Secret(code)); err != nil || again != code {
			t.Fatalf("%q, read again, is %q, %v", code, again, err)
		}
		digits := strings.Map(func(r rune) rune {
			if r == ' ' || r == '-' {
				return -1
			}
			return r
		}, typed)
		if digits != code {
			t.Fatalf("%q became %q", typed, code)
		}
	})
}
