package user_test

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/user"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestALoginIsComparedWithoutCaseAndComposition(t *testing.T) {
	for name, c := range map[string]struct {
		one, other string
		same       bool
	}{
		"case":                               {"Ann@Example.COM", "ann@example.com", true},
		"blanks around":                      {" ann@example.com\t", "ann@example.com", true},
		"composed and not":                   {"j\u00f6rg@example.com", "jo\u0308rg@example.com", true},
		"composed and not, in capitals":      {"J\u00d6RG@example.com", "jo\u0308rg@example.com", true},
		"sharp s and ss":                     {"stra\u00dfe@example.com", "STRASSE@example.com", true},
		"capital sharp s":                    {"stra\u1e9ee@example.com", "stra\u00dfe@example.com", true},
		"an accent after an iota below":      {"\u1fb3\u0301@example.gr", "\u1fb4@example.gr", true}, // folding first would reorder them
		"final sigma":                        {"Σίσυφος@example.gr", "ΣΊΣΥΦΟΣ@EXAMPLE.GR", true},
		"the kelvin sign":                    {"\u212aelvin@example.com", "kelvin@example.com", true},
		"Turkish capital I with dot, itself": {"\u0130nci@example.com", "i\u0307nci@example.com", true},
		"Turkish capital I with dot and i":   {"\u0130nci@example.com", "inci@example.com", false},
		"Turkish dotless i and i":            {"\u0131nci@example.com", "inci@example.com", false},
		"dots of a mail provider":            {"a.nn@example.com", "ann@example.com", false},
		"a plus address":                     {"ann+x@example.com", "ann@example.com", false},
		"a blank within":                     {"an n@example.com", "ann@example.com", false},
		"Cyrillic a":                         {"\u0430nn@example.com", "ann@example.com", false},
		"full width":                         {"ａｎｎ@example.com", "ann@example.com", false},
		"a zero width space":                 {"an\u200bn@example.com", "ann@example.com", false},
		"accents":                            {"jörg@example.com", "jorg@example.com", false},
		"NUL":                                {"ann@example.com\x00", "ann@example.com", false},
	} {
		if got := user.Key(c.one) == user.Key(c.other); got != c.same {
			t.Errorf("%s: %q and %q", name, user.Key(c.one), user.Key(c.other))
		}
	}
}

func TestAKeyIsTheSameHoweverALoginIsComposed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		login := rapid.String().Draw(t, "login")
		if user.Key(norm.NFC.String(login)) != user.Key(norm.NFD.String(login)) {
			t.Fatalf("%q: %q, %q", login, user.Key(norm.NFC.String(login)), user.Key(norm.NFD.String(login)))
		}
	})
}

func FuzzKey(f *testing.F) {
	for _, s := range []string{"Ann@Example.com", "stra\u00dfe", "\u0130", "jo\u0308rg", "\xff", "\u0345\u0301"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, login string) {
		key := user.Key(login)
		if key != user.Key(" "+login+" ") {
			t.Fatalf("%q: blanks around change it", login)
		}
		if key != norm.NFC.String(key) {
			t.Fatalf("%q is not composed", key)
		}
	})
}

func TestANewUserHasAnAddressANameAndARole(t *testing.T) {
	long := strings.Repeat("x", 64)
	for name, c := range map[string]struct {
		login, name string
		role        auth.Role
		about       string // the field that is refused
	}{
		"plain":                 {"ann@example.com", "Ann", auth.Member, ""},
		"blanks around":         {" ann@example.com ", "  Ann  ", auth.Owner, ""},
		"a plus address":        {"ann+x@example.com", "Ann", auth.Admin, ""},
		"not ASCII":             {"jörg@bücher.example", "Jörg 😀", auth.Member, ""},
		"no domain with dots":   {"root@localhost", "Root", auth.Member, ""},
		"a name of 100 emoji":   {"ann@example.com", strings.Repeat("😀", 100), auth.Member, ""},
		"no login":              {"", "Ann", auth.Member, "email"},
		"no at":                 {"ann", "Ann", auth.Member, "email"},
		"two at":                {"ann@b@c", "Ann", auth.Member, "email"},
		"nothing before":        {"@example.com", "Ann", auth.Member, "email"},
		"nothing after":         {"ann@", "Ann", auth.Member, "email"},
		"with a name":           {"Ann <ann@example.com>", "Ann", auth.Member, "email"},
		"in brackets":           {"<ann@example.com>", "Ann", auth.Member, "email"},
		"two":                   {"ann@example.com, bob@example.com", "Ann", auth.Member, "email"},
		"with a comment":        {"ann@example.com (Ann)", "Ann", auth.Member, "email"},
		"a blank within":        {"an n@example.com", "Ann", auth.Member, "email"},
		"quoted":                {`"a b"@example.com`, "Ann", auth.Member, "email"},
		"a line break":          {"ann@example.com\nBcc: x@example.com", "Ann", auth.Member, "email"},
		"NUL":                   {"ann\x00@example.com", "Ann", auth.Member, "email"},
		"not UTF-8":             {"ann\xff@example.com", "Ann", auth.Member, "email"},
		"255 bytes":             {long + "@" + strings.Repeat(long+".", 3)[:190], "Ann", auth.Member, "email"},
		"no name":               {"ann@example.com", "", auth.Member, "name"},
		"a blank name":          {"ann@example.com", " \t ", auth.Member, "name"},
		"a name of 101":         {"ann@example.com", strings.Repeat("é", 101), auth.Member, "name"},
		"a name on two lines":   {"ann@example.com", "Ann\nBob", auth.Member, "name"},
		"a name with an escape": {"ann@example.com", "\x1b[31mAnn", auth.Member, "name"},
		"a name with NUL":       {"ann@example.com", "Ann\x00", auth.Member, "name"},
		"no role":               {"ann@example.com", "Ann", "", "role"},
		"an unknown role":       {"ann@example.com", "Ann", "god", "role"},
		"a role in capitals":    {"ann@example.com", "Ann", "Owner", "role"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := user.New("id", c.login, c.name, c.role, now)
			var invalid auth.InvalidError
			if c.about != "" {
				if !errors.As(err, &invalid) || invalid.Field != c.about || u != (auth.User{}) {
					t.Errorf("%+v, %v, want a word about %s", u, err, c.about)
				}
				return
			}
			if err != nil || u.ID != "id" || u.Epoch != 1 || u.Disabled || u.MFAOff || !u.MFADue.IsZero() || !u.Added.Equal(now) ||
				u.Login != strings.TrimSpace(c.login) || u.Name != strings.TrimSpace(c.name) {
				t.Errorf("%+v, %v", u, err)
			}
		})
	}
}

func each(t *testing.T, test func(t *testing.T, s *user.Store, d *db.DB, tx func(func(auth.Tx) error) error)) {
	t.Helper()
	dbtest.Each(t, []fs.FS{user.Schema}, func(t *testing.T, d *db.DB) {
		test(t, user.NewStore(d), d, func(f func(auth.Tx) error) error { return d.Tx(t.Context(), f) })
	})
}

func person(t *testing.T, id, login string) auth.User {
	t.Helper()
	u, err := user.New(auth.UserID(id), login, "Somebody", auth.Member, now)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestOneLoginBelongsToOnePerson(t *testing.T) {
	each(t, func(t *testing.T, s *user.Store, d *db.DB, tx func(func(auth.Tx) error) error) {
		add := func(id, login string) error {
			return tx(func(tx auth.Tx) error { return s.Add(t.Context(), tx, person(t, id, login)) })
		}
		if err := add("1", "J\u00f6rg@Example.com"); err != nil {
			t.Fatal(err)
		}
		for _, login := range []string{"jörg@example.com", "JO\u0308RG@EXAMPLE.COM", " jörg@example.com"} {
			if err := add("2", login); !errors.As(err, new(auth.InvalidError)) {
				t.Errorf("%q: %v", login, err)
			}
			u, err := s.Find(t.Context(), login)
			if err != nil || u.ID != "1" || u.Login != "Jörg@Example.com" {
				t.Errorf("%q finds %+v, %v", login, u, err)
			}
		}
		for _, login := range []string{"", "jorg@example.com", "%", "jörg@example.com%", "' OR 1=1 --"} {
			if u, err := s.Find(t.Context(), login); !errors.Is(err, auth.ErrNotFound) || u.ID != "" {
				t.Errorf("%q finds %+v, %v", login, u, err)
			}
		}
		if _, err := s.Get(t.Context(), d, "2"); !errors.Is(err, auth.ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestOfManyWhoAreAddedAtOnceOneGetsTheLogin(t *testing.T) {
	each(t, func(t *testing.T, s *user.Store, d *db.DB, tx func(func(auth.Tx) error) error) {
		var (
			all  sync.WaitGroup
			mu   sync.Mutex
			good int
		)
		for i := range 20 {
			u := person(t, string(rune('a'+i)), "ann@example.com")
			all.Go(func() {
				err := tx(func(tx auth.Tx) error { return s.Add(t.Context(), tx, u) })
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					good++
				} else if !errors.As(err, new(auth.InvalidError)) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if good != 1 {
			t.Error(good)
		}
	})
}

// R4: nothing but counting up, one by one, however many do it at once.
func TestAnEpochOnlyCountsUp(t *testing.T) {
	each(t, func(t *testing.T, s *user.Store, d *db.DB, tx func(func(auth.Tx) error) error) {
		u := person(t, "1", "ann@example.com")
		if err := tx(func(tx auth.Tx) error { return s.Add(t.Context(), tx, u) }); err != nil {
			t.Fatal(err)
		}
		var (
			all  sync.WaitGroup
			mu   sync.Mutex
			seen = map[int64]bool{}
		)
		for range 20 {
			all.Go(func() {
				var epoch int64
				err := tx(func(tx auth.Tx) (err error) { epoch, err = s.Bump(t.Context(), tx, "1"); return err })
				mu.Lock()
				defer mu.Unlock()
				if err != nil || seen[epoch] {
					t.Error(epoch, err)
				}
				seen[epoch] = true
			})
		}
		all.Wait()
		if got, err := s.Get(t.Context(), d, "1"); err != nil || got.Epoch != 21 {
			t.Error(got.Epoch, err)
		}
		if err := tx(func(tx auth.Tx) error { _, err := s.Bump(t.Context(), tx, "nobody"); return err }); !errors.Is(err, auth.ErrNotFound) {
			t.Error(err)
		}
		if err := tx(func(tx auth.Tx) error { return s.Disable(t.Context(), tx, "1") }); err != nil {
			t.Error(err)
		}
		if got, _ := s.Get(t.Context(), d, "1"); got.Epoch != 22 || !got.Disabled {
			t.Errorf("%+v", got)
		}
	})
}

// W2: a grace period begins once.
func TestAGracePeriodBeginsOnce(t *testing.T) {
	each(t, func(t *testing.T, s *user.Store, d *db.DB, tx func(func(auth.Tx) error) error) {
		if err := tx(func(tx auth.Tx) error { return s.Add(t.Context(), tx, person(t, "1", "ann@example.com")) }); err != nil {
			t.Fatal(err)
		}
		for _, due := range []time.Time{now.Add(time.Hour), now.Add(48 * time.Hour), now} {
			if err := tx(func(tx auth.Tx) error { return s.BeginGrace(t.Context(), tx, "1", due) }); err != nil {
				t.Fatal(err)
			}
			if u, err := s.Get(t.Context(), d, "1"); err != nil || !u.MFADue.Equal(now.Add(time.Hour)) {
				t.Error(u.MFADue, err)
			}
		}
	})
}

func TestWhoIsNotThereCannotBeChanged(t *testing.T) {
	each(t, func(t *testing.T, s *user.Store, d *db.DB, tx func(func(auth.Tx) error) error) {
		for name, change := range map[string]func(auth.Tx) error{
			"rename":  func(tx auth.Tx) error { return s.Rename(t.Context(), tx, "nobody", "x") },
			"disable": func(tx auth.Tx) error { return s.Disable(t.Context(), tx, "nobody") },
			"mfa":     func(tx auth.Tx) error { return s.SwitchMFA(t.Context(), tx, "nobody", true) },
			"grace":   func(tx auth.Tx) error { return s.BeginGrace(t.Context(), tx, "nobody", now) },
		} {
			if err := tx(change); !errors.Is(err, auth.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
