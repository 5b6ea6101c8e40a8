package onetime

import (
	"errors"
	"io/fs"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor/factortest"
	"sallyport/internal/notify"
	"sallyport/internal/notify/wording"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/web"
)

var schemas = []fs.FS{throttle.Schema, audit.Schema, notify.Schema, Schema}

func made(t *testing.T, d *db.DB, clock func() time.Time) *Codes {
	t.Helper()
	texts, err := wording.Load("", wording.Site{Name: "Sallyport", Host: "login.example.com", Support: "help"})
	if err != nil {
		t.Fatal(err)
	}
	keys := factortest.Keys(t)
	rules := policy.Rules{MFA: policy.Optional, Factors: []auth.Kind{Email, SMS}, LastFactor: policy.Refuse, StepUp: 10 * time.Minute}
	c := New(Parts{DB: d, Keys: keys, Users: user.NewStore(d), Trail: audit.New(d, make([]byte, 32), clock), Throttle: throttle.New(d, clock),
		Roster: roster.New(rules, factortest.Alone{}, clock), Revoker: factortest.Epochs(d),
		Outbox: notify.New(notify.Parts{DB: d, Keys: keys, Texts: texts, Language: "en", Clock: clock, Log: slog.New(slog.DiscardHandler),
			Carriers: map[notify.Channel]notify.Carrier{notify.Email: notify.Nowhere{}, notify.SMS: notify.Nowhere{}}, Metrics: prometheus.NewRegistry()}),
		Rules: Rules{Delivery: Preferred, Countries: []string{"SE"}, Email: 1000, SMS: 1000}, Clock: clock})
	c.Roster.Add(nil, c.sms, c.email)
	return c
}

var inMessage = regexp.MustCompile(`(?m)^\s*([0-9A-Z]{4}-[0-9A-Z]{4})\s*$|#([0-9]{6})$`)

// enrolled proves a destination for somebody, and sends a code in the sign-in of the suite whenever it may.
func enrolled(t *testing.T, f *Factor, u auth.User) func() auth.Secret {
	t.Helper()
	to := map[auth.Kind]string{Email: u.Login, SMS: "+4670174060" + string(u.ID[3]%10+'0')}[f.kind]
	err := f.DB.Tx(t.Context(), func(tx auth.Tx) error {
		_, err := f.keep(t.Context(), tx, u.ID, f.kind, to, f.Clock())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	in := web.Thread{User: u, ID: "the sign-in of " + string(u.ID), Purpose: web.ToSignIn, Until: f.Clock().Add(24 * time.Hour)}
	return func() auth.Secret {
		var wait auth.ThrottledError
		if err := f.DB.Tx(t.Context(), func(tx auth.Tx) error { return f.Send(t.Context(), tx, in) }); err != nil && !errors.As(err, &wait) {
			t.Fatal(err)
		}
		letters, err := f.Outbox.Kept(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range letters {
			if m := inMessage.FindStringSubmatch(l.Text + l.Mail.Text); m != nil && l.To == to {
				return auth.Secret(m[1] + m[2])
			}
		}
		t.Fatal("no message")
		return ""
	}
}

func TestCodesKeepTheContractOfAFactor(t *testing.T) {
	for kind, proof := range map[auth.Kind]auth.Proof{
		Email: {Kind: Email, AMR: "otp", Level: auth.OneFactor, Weak: true},
		SMS:   {Kind: SMS, AMR: "sms", Level: auth.OneFactor},
	} {
		t.Run(string(kind), func(t *testing.T) {
			factortest.Run(t, factortest.Subject{
				Schemas: schemas,
				New: func(t *testing.T, d *db.DB, clock func() time.Time) auth.Factor {
					c := made(t, d, clock)
					return map[auth.Kind]*Factor{Email: c.email, SMS: c.sms}[kind]
				},
				Enrol: func(t *testing.T, f auth.Factor, u auth.User) func() auth.Secret { return enrolled(t, f.(*Factor), u) },
				Next:  5 * time.Minute,
				Wrong: []auth.Secret{"000000", "0000-0000", "12345", "1234567", "UUUU-UUUU"},
				Proof: proof,
			})
		})
	}
}

func TestACodeIsReadAsPeopleTypeIt(t *testing.T) {
	for typed, want := range map[auth.Secret]string{
		"012345": "sms 012345", " 012 345 ": "sms 012345", "012-345": "sms 012345",
		"K7MQ-3XTP": "email K7MQ3XTP", "k7mq3xtp": "email K7MQ3XTP", "K7MQ 3XTP": "email K7MQ3XTP", "oOiIlL00": "email 00111100",
		"": "", "01234": "", "0123456": "", "K7MQ-3XT": "", "K7MQ-3XTPP": "", "UUUU-UUUU": "", "０１２３４５": "", "K7MQ-3XT\n": "", "K7MQ3XT=": "", "12345a": "",
	} {
		kind, code, err := parse(typed)
		var invalid auth.InvalidError
		if got := strings.TrimSpace(string(kind) + " " + code); got != want || (err == nil) == (want == "") || err != nil && !errors.As(err, &invalid) {
			t.Errorf("%q is read as %q, %v", string(typed), got, err)
		}
	}
}

// Security "Codes": 6 digits, 8 characters of 40 bits; as they are shown they are read.
func TestCodesAreAsLongAsTheyShouldBe(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		for _, kind := range []auth.Kind{SMS, Email} {
			code := newCode(kind)
			back, read, err := parse(auth.Secret(shown(kind, code)))
			if err != nil || back != kind || read != code || len(code) != map[auth.Kind]int{SMS: 6, Email: 8}[kind] {
				t.Fatalf("%s: %q is read as %s %q, %v", kind, code, back, read, err)
			}
			if kind == Email && seen[code] {
				t.Errorf("%q came twice", code)
			}
			seen[code] = true
		}
	}
}

// C6
func TestADestinationIsMasked(t *testing.T) {
	for _, c := range []struct {
		kind     auth.Kind
		to, want string
	}{
		{Email, "maya@example.com", "m•••@example.com"}, {Email, "m@example.com", "m•••@example.com"}, {Email, "örjan@example.com", "ö•••@example.com"},
		{Email, `"a@b"@example.com`, `"•••@example.com`}, {Email, "@example.com", "•••"}, {Email, "", "•••"},
		{SMS, "+46701740605", "•••• 0605"}, {SMS, "+1", "•••• +1"}, {SMS, "", ""},
	} {
		if got := mask(c.kind, c.to); got != c.want {
			t.Errorf("%s becomes %s", c.to, got)
		}
	}
}

// R5: a code is bound to its person and to its destination, beside the thread.
func TestACodeIsBoundToPersonAndDestination(t *testing.T) {
	dbtest.Each(t, append([]fs.FS{user.Schema}, schemas...), func(t *testing.T, d *db.DB) {
		clock := factortest.NewClock()
		c := made(t, d, clock.Now)
		ann, bob := factortest.Person(t, d, "ann", clock.Now()), factortest.Person(t, d, "bob", clock.Now())
		code := enrolled(t, c.email, ann)()
		ctx := factortest.Within(t.Context(), ann)
		if _, err := c.email.Verify(ctx, auth.Attempt{User: bob}, code); !errors.Is(err, auth.ErrWrong) {
			t.Errorf("counted as somebody else's: %v", err)
		}
		claim, err := c.email.Verify(ctx, auth.Attempt{User: ann}, code)
		if err != nil {
			t.Fatal(err)
		}
		moved := errors.New("to be rolled back")
		err = d.Tx(t.Context(), func(tx auth.Tx) error {
			if _, err := c.keep(t.Context(), tx, ann.ID, Email, "ann@example.org", clock.Now()); err != nil {
				return err
			}
			if _, err := claim(ctx, tx); !errors.Is(err, auth.ErrWrong) {
				t.Errorf("a code that went to another address: %v", err)
			}
			return moved
		})
		if !errors.Is(err, moved) {
			t.Error(err)
		}
		if err := d.Tx(t.Context(), func(tx auth.Tx) error { _, err := claim(ctx, tx); return err }); err != nil {
			t.Error(err)
		}
	})
}
