package backupcode

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor/factortest"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

var schemas = []fs.FS{user.Schema, audit.Schema, Schema}

// owned is a factor that everybody has set up, or nobody has.
type owned struct{ has bool }

func (owned) Kind() auth.Kind { return "totp" }
func (o owned) Enrolments(context.Context, auth.Reader, auth.UserID) ([]auth.Enrolment, error) {
	if !o.has {
		return nil, nil
	}
	return []auth.Enrolment{{ID: "phone", Kind: "totp"}}, nil
}
func (owned) Verify(context.Context, auth.Attempt, auth.Secret) (auth.Claim, error) {
	return nil, auth.ErrWrong
}

func newCodes(t *testing.T, d *db.DB, clock func() time.Time, has bool) *Codes {
	t.Helper()
	ros := roster.New(policy.Rules{MFA: policy.Optional, Factors: []auth.Kind{"totp", Kind}, LastFactor: policy.Refuse, StepUp: 10 * time.Minute}, factortest.Alone{}, clock)
	c := New(Parts{DB: d, Keys: factortest.Keys(t), Users: user.NewStore(d), Trail: audit.New(d, make([]byte, 32), clock), Roster: ros,
		Revoker: factortest.Epochs(d), Name: "Sally & Sons #1", Site: "https://id.example.com", Sites: visit.Sites{Home: "/account"}, Clock: clock})
	ros.Add(nil, owned{has}, c)
	return c
}

func as(ctx context.Context, u auth.User) context.Context {
	return visit.With(ctx, &visit.Visit{Session: auth.Session{ID: "s", User: u}})
}

func (c *Codes) generated(t *testing.T, u auth.User) Sheet {
	t.Helper()
	s, err := c.generate(as(t.Context(), u), web.None{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// B2, R2
func TestBackupCodesAreAFactor(t *testing.T) {
	factortest.Run(t, factortest.Subject{
		Schemas: []fs.FS{audit.Schema, Schema},
		New: func(t *testing.T, d *db.DB, clock func() time.Time) auth.Factor {
			return newCodes(t, d, clock, true)
		},
		Enrol: func(t *testing.T, f auth.Factor, u auth.User) func() auth.Secret {
			c := f.(*Codes)
			left := c.generated(t, u).Codes
			// The first that is left: asked again, the same is right as long as nobody used it.
			return func() auth.Secret {
				for _, code := range left {
					if claim, err := c.Verify(context.Background(), auth.Attempt{User: u}, auth.Secret(code)); claim != nil || err != nil && !errors.Is(err, auth.ErrWrong) {
						return auth.Secret(code)
					}
				}
				return auth.Secret(left[0])
			}
		},
		Wrong: []auth.Secret{"0000000000000", "UUUU-UUUU-UUUUU", "7K3M-Q9XT-2HWP", "7K3M-Q9XT-2HWPBB", "7K3M-Q9XT-2HWP\n", "７K3M-Q9XT-2HWPB",
			"-------------", "             ", "ıııı-ıııı-ııııı", "7K3M–Q9XT–2HWPB", "7K3M\u00a0Q9XT\u00a02HWPB"},
		Proof: auth.Proof{Kind: Kind, AMR: "otp", Level: auth.OneFactor},
	})
}

// B2, security "Backup codes"
func TestACodeIsReadAsPeopleTypeIt(t *testing.T) {
	for typed, want := range map[auth.Secret]string{
		"7K3M-Q9XT-2HWPB":                  "7K3MQ9XT2HWPB",
		"7k3m-q9xt-2hwpb":                  "7K3MQ9XT2HWPB",
		"7k3mQ9xt2hwpB":                    "7K3MQ9XT2HWPB",
		" 7 K 3 M Q 9 X T 2 H W P B ":      "7K3MQ9XT2HWPB",
		"--7K3MQ9XT2HWPB--":                "7K3MQ9XT2HWPB",
		"OoIiLl-0000000":                   "0011110000000",
		"ABCDEFGHJKMNP":                    "ABCDEFGHJKMNP",
		"QRSTVWXYZ0123":                    "QRSTVWXYZ0123",
		"":                                 "",
		"-":                                "",
		"7K3MQ9XT2HWP":                     "",
		"7K3MQ9XT2HWPBB":                   "",
		"UK3MQ9XT2HWPB":                    "",
		"uk3mq9xt2hwpb":                    "",
		"7K3M_Q9XT_2HWPB":                  "",
		"7K3M-Q9XT-2HWP!":                  "",
		"7K3M-Q9XT-2HWP\x00":               "",
		"7K3M-Q9XT-2HWPB\n":                "7K3MQ9XT2HWPB",
		"7K3M\tQ9XT\t2HWPB":                "7K3MQ9XT2HWPB",
		"ſK3MQ9XT2HWP":                     "", // folds to S
		"\u212a3MQ9XT2HWP":                 "", // the sign for kelvin folds to K
		"７K3MQ9XT2HWPB":                    "",
		"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8": "",
		"7K3M‑Q9XT‑2HWPB":                  "", // hyphens that do not break
	} {
		got, err := parse(typed)
		var invalid auth.InvalidError
		if got != want || (err == nil) != (want != "") || err != nil && (!errors.As(err, &invalid) || invalid.Field != "code") {
			t.Errorf("%q: %q, %v; want %q", string(typed), got, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("7K3M-Q9XT-2HWPB")
	f.Add("oil")
	f.Fuzz(func(t *testing.T, typed string) {
		code, err := parse(auth.Secret(typed))
		if err != nil && code != "" || err == nil && (secret.ReadLetters(auth.Secret(code), size) != code) {
			t.Fatalf("%q: %q, %v", typed, code, err)
		}
		if again, err2 := parse(auth.Secret(code)); err == nil && (again != code || err2 != nil) {
			t.Fatalf("%q: %q is read as %q", typed, code, again)
		}
	})
}

// security "Backup codes": 65 bits, every letter as likely as any other, none that is misread.
func TestCodesHave65EvenBits(t *testing.T) {
	seen, count := map[string]bool{}, map[rune]int{}
	const sheets = 800
	for range sheets {
		codes := draw()
		if len(codes) != 10 {
			t.Fatal(codes)
		}
		for _, code := range codes {
			if len(code) != 13 || seen[code] {
				t.Fatalf("%q, seen before %v", code, seen[code])
			}
			seen[code] = true
			for _, r := range code {
				count[r]++
			}
			if back, err := parse(auth.Secret(grouped(code))); back != code || err != nil {
				t.Fatalf("%s is read as %s", grouped(code), back)
			}
		}
	}
	if len(count) != 32 {
		t.Errorf("%d letters", len(count))
	}
	const mean = sheets * 10 * 13 / 32 // 3250, with a standard deviation of 56
	for r, n := range count {
		if !strings.ContainsRune("0123456789ABCDEFGHJKMNPQRSTVWXYZ", r) || n < mean-400 || n > mean+400 {
			t.Errorf("%q: %d times, want about %d", r, n, mean)
		}
	}
}

// security "Backup codes": what is stored is worth nothing without the key, for another person or for another sheet.
func TestACodeIsStoredForItsPersonAndSheetAlone(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		clock := factortest.NewClock()
		c := newCodes(t, d, clock.Now, true)
		ann, bob := factortest.Person(t, d, "ann", clock.Now()), factortest.Person(t, d, "bob", clock.Now())
		anns, bobs := c.generated(t, ann), c.generated(t, bob)
		code, err := parse(auth.Secret(anns.Codes[0]))
		if err != nil {
			t.Fatal(err)
		}
		for name, other := range map[string][]byte{"bob": c.mac(bob.ID, anns.ID, code), "another sheet": c.mac(ann.ID, bobs.ID, code), "other keys": newCodes(t, d, clock.Now, true).mac(ann.ID, anns.ID, code)} {
			if string(other) == string(c.mac(ann.ID, anns.ID, code)) {
				t.Error("the same for ", name)
			}
		}
		for _, column := range []string{"mac", "sheet_id"} {
			var n int
			if err := d.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM backup_codes WHERE CAST(`+column+` AS TEXT) LIKE $1`, "%"+code+"%").Scan(&n); err != nil || n > 0 {
				t.Errorf("the code stands in %s: %v", column, err)
			}
		}
		// A row moved over to another sheet, as whoever writes to the table could.
		if err := d.Tx(t.Context(), func(tx auth.Tx) error {
			_, err := tx.ExecContext(t.Context(), `UPDATE backup_codes SET sheet_id = $1 WHERE sheet_id = $2`, bobs.ID, anns.ID)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Verify(t.Context(), auth.Attempt{User: bob}, auth.Secret(anns.Codes[0])); !errors.Is(err, auth.ErrWrong) {
			t.Error(err)
		}
		if err := d.Tx(t.Context(), func(tx auth.Tx) error { return c.Remove(t.Context(), tx, bob.ID, anns.ID) }); !errors.Is(err, auth.ErrNotFound) {
			t.Error("removed by another: ", err)
		}
	})
}

// B1: for nobody without something strong; and then nothing has changed.
func TestNoSheetForWhoHasNothingItCouldStandInFor(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		clock := factortest.NewClock()
		c := newCodes(t, d, clock.Now, false)
		ann := factortest.Person(t, d, "ann", clock.Now())
		var no auth.ConflictError
		if s, err := c.generate(as(t.Context(), ann), web.None{}); !errors.As(err, &no) || len(s.Codes) > 0 {
			t.Error(s, err)
		}
		u, err := c.Users.Get(t.Context(), d, ann.ID)
		if err != nil || u.Epoch != ann.Epoch {
			t.Error("a new epoch, though nothing changed: ", u.Epoch, err)
		}
		if s, err := c.state(as(t.Context(), ann), web.None{}); err != nil || s.May || s.Why == "" || s.ID != "" {
			t.Error(s, err)
		}
	})
}

// B2: ten, and not an eleventh; then nothing is left to offer.
func TestASheetEndsWithItsTenthCode(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		clock := factortest.NewClock()
		c := newCodes(t, d, clock.Now, true)
		ann := factortest.Person(t, d, "ann", clock.Now())
		sheet := c.generated(t, ann)
		for i, code := range sheet.Codes {
			some, err := c.Enrolments(t.Context(), d, ann.ID)
			if err != nil || len(some) != 1 || some[0].Standing != auth.Spare || !some[0].Last || some[0].Name != "Backup codes" || some[0].ID != sheet.ID {
				t.Fatal(some, err)
			}
			if err := c.spendOne(t.Context(), ann, code); err != nil {
				t.Fatal(i, err)
			}
			if s, err := c.state(as(t.Context(), ann), web.None{}); err != nil || s.Remaining != 9-i || s.LastUsed == nil {
				t.Error(s, err)
			}
		}
		if some, err := c.Enrolments(t.Context(), d, ann.ID); err != nil || len(some) > 0 {
			t.Error(some, err)
		}
		for _, code := range sheet.Codes {
			if err := c.spendOne(t.Context(), ann, code); !errors.Is(err, auth.ErrWrong) {
				t.Error(err)
			}
		}
	})
}

func (c *Codes) spendOne(ctx context.Context, u auth.User, code string) error {
	claim, err := c.Verify(ctx, auth.Attempt{User: u}, auth.Secret(code))
	if err != nil {
		return err
	}
	return c.DB.Tx(ctx, func(tx auth.Tx) error {
		_, err := claim(ctx, tx)
		return err
	})
}

// B3: the text to keep has all of it, in an address that nothing in a name can break out of.
func TestTheFileHasTheWholeSheet(t *testing.T) {
	s := Sheet{Codes: []string{"7K3M-Q9XT-2HWPB", "0GTA-5XPK-W1QH9"}, Login: `a"'<b>&#%?@example.com`, Name: "Sally & Sons #1", Site: "https://id.example.com",
		Generated: time.Date(2026, 11, 21, 23, 59, 0, 0, time.UTC)}
	address := string(s.File())
	if strings.ContainsAny(strings.TrimPrefix(address, "data:text/plain;charset=utf-8,"), "\"'<># \n;,") {
		t.Error(address)
	}
	text, err := url.PathUnescape(strings.TrimPrefix(address, "data:text/plain;charset=utf-8,"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{s.Codes[0] + "\n", s.Codes[1] + "\n", s.Login, s.Name, s.Site, "21 November 2026", "Cross out"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

var shape = regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{5}$`)

// B5: two at once leave one sheet, one of the two that were shown.
func TestOfTwoNewSheetsAtOnceOneIsLeft(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		clock := factortest.NewClock()
		c := newCodes(t, d, clock.Now, true)
		ann := factortest.Person(t, d, "ann", clock.Now())
		for range 10 {
			var sheets [2]Sheet
			var errs [2]error
			var all sync.WaitGroup
			for i := range sheets {
				all.Go(func() { sheets[i], errs[i] = c.generate(as(t.Context(), ann), web.None{}) })
			}
			all.Wait()
			if err := errors.Join(errs[:]...); err != nil {
				t.Fatal(err)
			}
			some, err := c.Enrolments(t.Context(), d, ann.ID)
			if err != nil || len(some) != 1 {
				t.Fatal(some, err)
			}
			for _, s := range sheets {
				for _, code := range s.Codes {
					_, err := c.Verify(t.Context(), auth.Attempt{User: ann}, auth.Secret(code))
					if !shape.MatchString(code) || (err == nil) != (s.ID == some[0].ID) {
						t.Errorf("%v: of the sheet that is left %v, %v", code, s.ID == some[0].ID, err)
					}
				}
			}
		}
		if n := c.rows(t, "backup_sheets"); n != 1 {
			t.Error(n, " sheets")
		}
		if n := c.rows(t, "backup_codes"); n != 10 {
			t.Error(n, " codes")
		}
	})
}

func (c *Codes) rows(t *testing.T, table string) (n int) {
	t.Helper()
	if err := c.DB.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// B2, B5: whoever reads meanwhile sees one sheet, with ten codes or nine, and a use that won was of the sheet that was
// valid then: after the new one none of the old works.
func TestANewSheetAgainstAUseOfTheOld(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		clock := factortest.NewClock()
		c := newCodes(t, d, clock.Now, true)
		ann := factortest.Person(t, d, "ann", clock.Now())
		old := c.generated(t, ann)
		won, lost := 0, 0
		for range 25 {
			claims := make([]auth.Claim, 4)
			for i := range claims {
				claim, err := c.Verify(t.Context(), auth.Attempt{User: ann}, auth.Secret(old.Codes[i/2])) // each code twice
				if err != nil {
					t.Fatal(err)
				}
				claims[i] = claim
			}
			var (
				all   sync.WaitGroup
				start = make(chan struct{})
				errs  = make([]error, len(claims))
				ids   = make([]auth.EnrolmentID, len(claims)) // of the sheet that stood, as the use saw it
				next  Sheet
				bad   error
			)
			for i, claim := range claims {
				all.Go(func() {
					<-start
					errs[i] = d.Tx(t.Context(), func(tx auth.Tx) error {
						if _, err := claim(t.Context(), tx); err != nil {
							return err
						}
						s, err := c.sheet(t.Context(), tx, ann.ID)
						ids[i] = s.id
						return err
					})
				})
			}
			all.Go(func() { <-start; next, bad = c.generate(as(t.Context(), ann), web.None{}) })
			all.Go(func() {
				<-start
				for range 20 {
					if s, err := c.sheet(t.Context(), d, ann.ID); err != nil || s.left < 8 || s.left > 10 {
						t.Error("neither, or not whole: ", s, err)
					}
				}
			})
			close(start)
			all.Wait()
			if bad != nil {
				t.Fatal(bad)
			}
			for i, err := range errs {
				switch {
				case err == nil:
					won++
					if ids[i] != old.ID {
						t.Error("a use of a sheet that was none any more")
					}
				case errors.Is(err, auth.ErrWrong):
					lost++
				default:
					t.Error(err)
				}
			}
			if errs[0] == nil && errs[1] == nil || errs[2] == nil && errs[3] == nil {
				t.Error("one code was used twice")
			}
			if s, err := c.sheet(t.Context(), d, ann.ID); err != nil || s.id != next.ID || s.left != 10 {
				t.Error("the new sheet: ", s, err)
			}
			for _, code := range old.Codes {
				if err := c.spendOne(t.Context(), ann, code); !errors.Is(err, auth.ErrWrong) {
					t.Error("a code of the old sheet: ", err)
				}
			}
			old = next
		}
		t.Logf("%d uses won, %d lost", won, lost)
	})
}
