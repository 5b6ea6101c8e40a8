package password

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport/internal/auth"
)

var ann = auth.User{ID: "id-ann", Login: "ann.archer@example.com", Name: "Ann Archer"}

// good has some length in code points, and nothing against it.
func good(length int, letters string) auth.Secret {
	letter := []rune(letters)
	text := make([]rune, length)
	for i := range text {
		text[i] = letter[(i*i+i/3)%len(letter)]
	}
	return auth.Secret(string(text))
}

func TestAPasswordIsAsLongAsItsCodePoints(t *testing.T) {
	rules := Rules{Least: 12}
	for name, c := range map[string]struct {
		password auth.Secret
		fine     bool
	}{
		"nothing":                         {"", false},
		"11 letters":                      {good(11, "abcdefghijk"), false},
		"12 letters":                      {good(12, "abcdefghijk"), true},
		"256 letters":                     {good(256, "abcdefghijk"), true},
		"257 letters":                     {good(257, "abcdefghijk"), false},
		"11 emoji":                        {good(11, "😀🎉🔑🐎🔋📎🦊"), false},
		"12 emoji":                        {good(12, "😀🎉🔑🐎🔋📎🦊"), true},
		"256 emoji":                       {good(256, "😀🎉🔑🐎🔋📎🦊"), true}, // 1024 bytes
		"257 emoji":                       {good(257, "😀🎉🔑🐎🔋📎🦊"), false},
		"11 letters and a combining mark": {good(10, "abcdefghijk") + "u\u0308", false}, // one character when composed
		"12 letters, one of two parts":    {good(11, "abcdefghijk") + "u\u0308", true},
		"12 blanks":                       {"            ", false}, // repeats itself
		"blanks around":                   {"  correct horse  ", true},
		"a megabyte":                      {auth.Secret(strings.Repeat("ab1", 1<<19)), false},
		"a line break":                    {"correct horse\n", false},
		"NUL":                             {"correct horse\x00", false},
		"a tab":                           {"correct\thorse battery", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rules.check(ann, c.password)
			var invalid auth.InvalidError
			if c.fine && err != nil || !c.fine && (!errors.As(err, &invalid) || invalid.Field != "password") {
				t.Error(err)
			}
			if err != nil && len(c.password) > 3 && strings.Contains(err.Error(), string(c.password)) {
				t.Error("the error repeats the password")
			}
		})
	}
}

// All that is not UTF-8 becomes the same replacement character, so one of two such passwords would open what the other
// closed; and what the command line takes could never be typed on a page.
func TestWhatIsNotUTF8IsNoPassword(t *testing.T) {
	for _, typed := range []auth.Secret{"correct horse \xff\xfe", "\xc3\x28 correct horse", "correct horse \xed\xa0\x80"} {
		if got, err := (Rules{Least: 12}).check(ann, typed); err == nil {
			t.Errorf("%q became %q", string(typed), string(got))
		}
	}
}

// RFC 8265 section 4.2: OpaqueString composes and makes spaces alike. It does not trim, fold case or width.
func TestTheSameKeysOnAnotherKeyboardAreTheSamePassword(t *testing.T) {
	for name, c := range map[string]struct {
		one, other string
		same       bool
	}{
		"composed and not":            {"B\u00fccher und Pferde", "Bu\u0308cher und Pferde", true},
		"Hangul syllable and jamo":    {"\uac01 and some more", "\u1100\u1161\u11a8 and some more", true},
		"the ohm sign is an omega":    {"\u2126 resistance", "\u03a9 resistance", true},
		"no-break space":              {"correct\u00a0horse", "correct horse", true},
		"ideographic space":           {"correct\u3000horse", "correct horse", true},
		"case":                        {"Correct horse", "correct horse", false},
		"a space before":              {" correct horse", "correct horse", false},
		"a space after":               {"correct horse ", "correct horse", false},
		"two spaces within":           {"correct  horse", "correct horse", false},
		"full width":                  {"ｃｏｒｒｅｃｔ horse", "correct horse", false},
		"a ligature":                  {"ﬁrst horse", "first horse", false},
		"sharp s":                     {"straße und so", "strasse und so", false},
		"dotless i":                   {"correct ırıs", "correct iris", false},
		"superscript":                 {"10² horses", "102 horses", false},
		"hyphen and dash":             {"horse-battery", "horse–battery", false},
		"cut after 72 bytes":          {strings.Repeat("abc ", 18) + "x", strings.Repeat("abc ", 18) + "y", false},
		"cut at a NUL of other tools": {"correct horse%00x", "correct horse%00y", false},
	} {
		t.Run(name, func(t *testing.T) {
			one, err := normal(auth.Secret(c.one))
			other, err2 := normal(auth.Secret(c.other))
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			if (one == other) != c.same {
				t.Errorf("%q and %q", string(one), string(other))
			}
		})
	}
}

// What is stored must be what is compared: the normal form has itself as normal form.
func TestTheNormalFormIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typed := rapid.String().Draw(t, "typed")
		one, err := normal(auth.Secret(typed))
		if err != nil {
			return
		}
		if two, err := normal(one); err != nil || two != one {
			t.Fatalf("%q, then %q, %v", string(one), string(two), err)
		}
	})
}

func TestWhatEverybodyTriesFirstIsRefused(t *testing.T) {
	rules := Rules{Least: 8, Context: []string{"Sallyport"}}
	for name, c := range map[string]struct {
		password auth.Secret
		fine     bool
	}{
		"on the list":                    {"password1", false},
		"on the list, in capitals":       {"PASSWORD1", false},
		"on the list, in mixed case":     {"iLoveYou1", false},
		"on the list, longer":            {"1q2w3e4r5t6y", false},
		"one letter beside the list":     {"pazzword1 and more", true},
		"one letter, over and over":      {"aaaaaaaaaaaa", false},
		"two letters, over and over":     {"abababababab", false},
		"two letters, cut off":           {"abababababa", false},
		"four letters, over and over":    {"abcdabcdabcd", false},
		"in mixed case":                  {"AbaBAbABaBaB", false},
		"an emoji, over and over":        {"🔑🔑🔑🔑🔑🔑🔑🔑", false},
		"five letters, over and over":    {"abcdeabcdeabcde", true},
		"the site":                       {"sallyport", false},
		"the site and a year":            {"Sallyport2026", false},
		"the site in a sentence":         {"open the sallyport slowly", true},
		"the login":                      {"ann.archer@example.com", false},
		"the login and a number":         {"ann.archer@example.com1", false},
		"the local part":                 {"ann.archer99", false},
		"the domain":                     {"example.com!", false},
		"the name":                       {"Ann Archer 1", false},
		"the last name":                  {"Archer123", false},
		"the first name twice":           {"annannann", false},
		"a name of three letters within": {"planning a cannon", true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rules.check(ann, c.password)
			if c.fine != (err == nil) {
				t.Error(err)
			}
		})
	}
}

// The password is composed before it is compared, so the names must be too: macOS writes "é" in two parts.
func TestANameInTwoPartsIsRefusedToo(t *testing.T) {
	u := auth.User{Login: "j@example.com", Name: "Jose\u0301phine"}
	for _, typed := range []auth.Secret{"Jos\u00e9phine1", "Jose\u0301phine1"} {
		if _, err := (Rules{Least: 8}).check(u, typed); err == nil {
			t.Errorf("%q", string(typed))
		}
	}
}

// An empty or short name of somebody must not refuse all passwords.
func TestAShortNameRefusesNothing(t *testing.T) {
	for _, u := range []auth.User{{}, {Name: "X Æ"}, {Name: "  ", Login: "@"}, {Name: "Li", Login: "a@b"}} {
		if _, err := (Rules{Least: 12, Context: []string{"", "x"}}).check(u, "correct horse battery"); err != nil {
			t.Errorf("%+v: %v", u, err)
		}
	}
}

// The list is one entry per line, in lower case, as check compares.
func TestTheListIsAsCheckReadsIt(t *testing.T) {
	if len(common()) < 10_000 {
		t.Error(len(common()), "entries")
	}
	for word := range common() {
		if word != strings.ToLower(strings.TrimSpace(word)) || word == "" {
			t.Errorf("%q", word)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{"", "correct horse battery", "aaaaaaaaaaaa", "u\u0308u\u0308u\u0308u\u0308", "\xff", "😀😀😀😀😀😀😀😀😀😀😀😀"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		got, err := (Rules{Least: 12, Context: []string{"Sallyport"}}).check(ann, auth.Secret(typed))
		if err != nil {
			if got != "" || !errors.As(err, new(auth.InvalidError)) {
				t.Fatalf("%q, %v", string(got), err)
			}
			return
		}
		if n := len([]rune(string(got))); n < 12 || n > Most || len(got) > 1024 {
			t.Fatalf("%d code points, %d bytes", n, len(got))
		}
		if again, err := (Rules{Least: 12}).check(ann, got); err != nil || again != got {
			t.Fatalf("%q is not the normal form of itself: %v", string(got), err)
		}
	})
}
