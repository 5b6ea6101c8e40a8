package notice_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor/factortest"
	"sallyport/internal/factor/onetime"
	"sallyport/internal/notice"
	"sallyport/internal/notify"
	"sallyport/internal/notify/wording"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/visit"
)

// A desk is notices with a clock that a test moves, and an outbox that keeps everything.
type desk struct {
	*notice.Notices
	*factortest.Clock
	t  *testing.T
	db *db.DB
}

// at is a request as a browser sends it.
func (k *desk) at(cookie string) context.Context {
	v := &visit.Visit{Origin: auth.Origin{Face: "page", Address: netip.MustParseAddr("203.0.113.24"),
		Browser: "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0"}}
	if cookie != "" {
		v.Sent = []string{visit.BrowserCookie + "=" + cookie}
	}
	return visit.With(k.t.Context(), v)
}

func each(t *testing.T, test func(*testing.T, *desk)) {
	t.Helper()
	eachWith(t, map[notify.Channel]notify.Carrier{notify.Email: notify.Nowhere{}}, test)
}

func eachWith(t *testing.T, carriers map[notify.Channel]notify.Carrier, test func(*testing.T, *desk)) {
	t.Helper()
	schemas := []fs.FS{user.Schema, throttle.Schema, audit.Schema, notify.Schema, onetime.Schema, notice.Schema}
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		texts, err := wording.Load("", wording.Site{Name: "Sallyport", Host: "id.example.com", Support: "us"})
		if err != nil {
			t.Fatal(err)
		}
		clock := factortest.NewClock()
		trail := audit.New(d, make([]byte, 32), clock.Now)
		outbox := notify.New(notify.Parts{DB: d, Keys: factortest.Keys(t), Texts: texts, Language: "en", Carriers: carriers, Keep: true,
			Clock: clock.Now, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
		n := notice.New(notice.Parts{DB: d, Users: user.NewStore(d), Throttle: throttle.New(d, clock.Now), Trail: trail, Outbox: outbox,
			Contacts: onetime.New(onetime.Parts{DB: d, Users: user.NewStore(d), Outbox: outbox, Rules: onetime.Rules{Countries: []string{"SE"}}, Clock: clock.Now}),
			Roster:   roster.New(policy.Rules{}, factortest.Alone{}, clock.Now), Revoker: factortest.Epochs(d), Site: "https://id.example.com", Freeze: 72 * time.Hour, Clock: clock.Now})
		trail.Watch(n)
		test(t, &desk{n, clock, t, d})
	})
}

func (k *desk) person(name string, role auth.Role) auth.User {
	k.t.Helper()
	u, err := user.New(auth.UserID("id-"+name), name+"@example.com", name, role, k.Now())
	if err != nil {
		k.t.Fatal(err)
	}
	k.tx(func(ctx context.Context, tx auth.Tx) error { return k.Users.Add(ctx, tx, u) })
	return u
}

func (k *desk) tx(f func(context.Context, auth.Tx) error) {
	k.t.Helper()
	if err := k.db.Tx(k.t.Context(), func(tx auth.Tx) error { return f(k.t.Context(), tx) }); err != nil {
		k.t.Fatal(err)
	}
}

// happens records an event from a context.
func (k *desk) happens(ctx context.Context, e auth.Event) {
	k.t.Helper()
	k.tx(func(_ context.Context, tx auth.Tx) error { return k.Trail.Record(ctx, tx, e) })
}

// told are the notices so far, as "text address".
func (k *desk) told() (all []string) {
	k.t.Helper()
	for _, m := range k.mails() {
		all = append(all, m.name+" "+m.To)
	}
	slices.Sort(all)
	return all
}

type mail struct {
	name string
	notify.Letter
}

func (k *desk) mails() (all []mail) {
	k.t.Helper()
	letters, err := k.Outbox.Kept(k.t.Context(), 10_000)
	if err != nil {
		k.t.Fatal(err)
	}
	rows, err := k.db.QueryContext(k.t.Context(), `SELECT message FROM outbox ORDER BY added_at DESC, id DESC`)
	if err != nil {
		k.t.Fatal(err)
	}
	defer rows.Close()
	for i := 0; rows.Next(); i++ {
		all = append(all, mail{Letter: letters[i]})
		if err := rows.Scan(&all[i].name); err != nil {
			k.t.Fatal(err)
		}
	}
	return all
}

func (k *desk) count(table string) (n int) {
	k.t.Helper()
	if err := k.db.QueryRowContext(k.t.Context(), `SELECT COUNT(*) FROM `+table).Scan(&n); err != nil {
		k.t.Fatal(err)
	}
	return n
}

var link = regexp.MustCompile(`https://id\.example\.com/not-me\?token=[\w-]{43}`)

// Each event that somebody should hear of leads to one mail, to the address it should, and has a link that works if it may
// have been somebody else. F4
func TestEachEventIsToldOnce(t *testing.T) {
	before := auth.User{Email: "old@example.com", Phone: "+46701740605"}
	same := auth.User{Email: "ANN@example.com"}
	factor := map[string]string{"factor": "passkey", "name": "Laptop", "old": "Key 1", "id": "k1"}
	for name, c := range map[string]struct {
		e      auth.Event
		want   []string
		linked bool
		says   []string
	}{
		"a factor added":            {auth.Event{Kind: auth.FactorAdded, Detail: factor}, []string{"notice-factor-added ann@example.com"}, true, []string{"Laptop", "Passkey added"}},
		"a factor removed":          {auth.Event{Kind: auth.FactorRemoved, Detail: factor}, []string{"notice-factor-removed ann@example.com"}, true, []string{"Laptop"}},
		"a factor renamed":          {auth.Event{Kind: auth.FactorRenamed, Detail: factor}, []string{"notice-factor-renamed ann@example.com"}, true, []string{"Key 1", "Laptop"}},
		"a password":                {auth.Event{Kind: auth.PasswordChanged}, []string{"notice-password ann@example.com"}, true, nil},
		"MFA off":                   {auth.Event{Kind: auth.MFADisabled}, []string{"notice-mfa-off ann@example.com"}, true, nil},
		"MFA on":                    {auth.Event{Kind: auth.MFAEnabled}, []string{"notice-mfa-on ann@example.com"}, true, nil},
		"MFA reset":                 {auth.Event{Kind: auth.MFAReset}, []string{"notice-mfa-reset ann@example.com"}, true, nil},
		"an access pass":            {auth.Event{Kind: auth.PassGiven}, []string{"notice-pass ann@example.com"}, true, []string{"access pass"}},
		"a method":                  {auth.Event{Kind: auth.MethodSet, Detail: map[string]string{"factor": "sms"}}, []string{"notice-method ann@example.com"}, true, []string{"codes by SMS"}},
		"an email":                  {auth.Event{Kind: auth.ContactChanged, Before: &before, Detail: map[string]string{"field": "email"}}, []string{"notice-email ann@example.com", "notice-email old@example.com"}, true, []string{"o•••@example.com", "a•••@example.com"}},
		"an email in other case":    {auth.Event{Kind: auth.ContactChanged, Before: &same, Detail: map[string]string{"field": "email"}}, []string{"notice-email ann@example.com"}, true, nil},
		"a phone":                   {auth.Event{Kind: auth.ContactChanged, Before: &before, Detail: map[string]string{"field": "phone"}}, []string{"notice-phone ann@example.com"}, true, []string{"•••• 0605"}},
		"a shared address":          {auth.Event{Kind: auth.ContactBlocked, Detail: map[string]string{"factor": "email"}}, []string{"notice-blocked ann@example.com", "notice-blocked-admin adm@example.com", "notice-blocked-admin own@example.com"}, false, nil},
		"five wrong second factors": {auth.Event{Kind: auth.SignInFailed, Failures: 5}, []string{"notice-failures ann@example.com"}, true, nil},
		"six at a step-up":          {auth.Event{Kind: auth.StepUpFailed, Failures: 6}, []string{"notice-failures ann@example.com"}, true, nil},
		"four wrong ones":           {auth.Event{Kind: auth.SignInFailed, Failures: 4}, nil, false, nil},
		"a wrong password":          {auth.Event{Kind: auth.SignInFailed}, nil, false, nil},
		"a session":                 {auth.Event{Kind: auth.SessionStarted}, nil, false, nil},
		"a name":                    {auth.Event{Kind: auth.UserRenamed}, nil, false, nil},
		"a new account":             {auth.Event{Kind: auth.UserAdded}, nil, false, nil},
		"a proof":                   {auth.Event{Kind: auth.StepUpDone}, nil, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, k *desk) {
				k.person("ann", auth.Member)
				k.person("bob", auth.Member)
				k.person("adm", auth.Admin)
				k.person("own", auth.Owner)
				c.e.User = "id-ann"
				k.happens(k.at(""), c.e)
				if got := k.told(); fmt.Sprint(got) != fmt.Sprint(c.want) {
					t.Fatalf("%v, want %v", got, c.want)
				}
				for _, m := range k.mails() {
					for _, part := range []string{m.Mail.Text, m.Mail.HTML} {
						if link.MatchString(part) != c.linked {
							t.Errorf("%s: a link: %v", m.name, !c.linked)
						}
						for _, words := range c.says {
							if !strings.Contains(part, words) {
								t.Errorf("%s does not say %q:\n%s", m.name, words, m.Mail.Text)
							}
						}
						for _, secret := range []string{"old@example.com", "+46701740605"} {
							if strings.Contains(part, secret) && m.To != secret {
								t.Errorf("%s says %s", m.name, secret)
							}
						}
					}
				}
			})
		})
	}
}

// ux.md 19: browser, address and time of the act stand in a notice of what the person did; what others did for them has
// neither, and least of all that of a stranger with the same address.
func TestANoticeSaysWhereOnesOwnActCameFrom(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		k.person("ann", auth.Member)
		k.person("adm", auth.Admin)
		cli := auth.WithOrigin(t.Context(), &auth.Origin{Face: "cli"})
		for name, c := range map[string]struct {
			ctx context.Context
			e   auth.Event
			own bool
		}{
			"their own":             {k.at(""), auth.Event{Kind: auth.PasswordChanged}, true},
			"of an administrator":   {k.at(""), auth.Event{Kind: auth.MFADisabled, Actor: "id-adm"}, false},
			"on the command line":   {cli, auth.Event{Kind: auth.MFAReset}, false},
			"of whoever has it too": {k.at(""), auth.Event{Kind: auth.ContactBlocked, Detail: map[string]string{"factor": "email"}}, false},
		} {
			k.Wait(time.Hour)
			c.e.User = "id-ann"
			k.happens(c.ctx, c.e)
			for _, m := range k.mails() {
				if !m.At.Equal(k.Now()) {
					continue
				}
				for _, where := range []string{"Firefox on Windows", "203.0.113.24"} {
					if strings.Contains(m.Mail.Text, where) != c.own {
						t.Errorf("%s: it says %s: %v\n%s", name, where, !c.own, m.Mail.Text)
					}
				}
				if !strings.Contains(m.Mail.Text, " UTC") {
					t.Errorf("%s: no time with its zone\n%s", name, m.Mail.Text)
				}
			}
		}
	})
}

// No mailbox is flooded, what happened stands all the same, and neither what changes little nor what strangers do takes the
// room of what matters.
func TestAMailboxIsNotFlooded(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		k.person("ann", auth.Member)
		k.person("adm", auth.Admin)
		n := func(name string) (n int) {
			for _, m := range k.mails() {
				if m.name == name {
					n++
				}
			}
			return n
		}
		happens := func(times int, kind auth.EventKind, detail map[string]string) {
			for range times {
				k.happens(k.at(""), auth.Event{Kind: kind, User: "id-ann", Detail: detail, Failures: 5, Before: &auth.User{Email: "old@example.com"}})
			}
		}
		happens(40, auth.ContactBlocked, map[string]string{"factor": "email"})
		happens(40, auth.FactorRenamed, map[string]string{"name": "x", "old": "y"})
		happens(40, auth.PasswordChanged, nil)
		happens(2, auth.ContactChanged, map[string]string{"field": "email"})
		happens(3, auth.SignInFailed, nil)
		for name, want := range map[string]int{"notice-blocked": 30, "notice-blocked-admin": 30, "notice-factor-renamed": 20, "notice-password": 10,
			"notice-email": 2, "notice-failures": 1} {
			if got := n(name); got != want {
				t.Errorf("%s: %d, want %d", name, got, want)
			}
		}
		if got := k.count("events"); got != 125 {
			t.Error(got, "rows of 125 events")
		}
		k.Wait(time.Hour)
		happens(1, auth.SignInFailed, nil)
		happens(1, auth.PasswordChanged, nil)
		if n("notice-failures") != 2 || n("notice-password") != 11 {
			t.Error("nothing is told an hour later")
		}
	})
}

// Where there is no mail nothing is told, kept or remembered.
func TestWithoutMailThereIsNothing(t *testing.T) {
	eachWith(t, map[notify.Channel]notify.Carrier{notify.SMS: notify.Nowhere{}}, func(t *testing.T, k *desk) {
		u := k.person("ann", auth.Member)
		k.happens(k.at(""), auth.Event{Kind: auth.PasswordChanged, User: u.ID})
		if c := k.arrives(u, ""); c != "" {
			t.Error("a cookie: ", c)
		}
		for _, table := range []string{"outbox", "notice_links", "known_browsers", "budgets"} {
			if n := k.count(table); n > 0 {
				t.Error(n, "rows in", table)
			}
		}
	})
}

// arrives signs somebody in with a cookie and returns the one the browser has then.
func (k *desk) arrives(u auth.User, cookie string) (set string) {
	k.t.Helper()
	ctx := k.at(cookie)
	k.tx(func(_ context.Context, tx auth.Tx) error {
		cookies, err := k.Arrived(ctx, tx, auth.Session{User: u})
		for _, c := range cookies {
			if set = c.Value; c.Name != visit.BrowserCookie || c.MaxAge != 400*24*3600 || !c.HttpOnly || !c.Secure {
				k.t.Errorf("%+v", c)
			}
		}
		return err
	})
	return set
}

// F4: a browser is told to those to whom it is new, once, but for the first of all.
func TestANewBrowserIsToldOnce(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		ann, bob := k.person("ann", auth.Member), k.person("bob", auth.Member)
		told := func(why string, want int) {
			t.Helper()
			if n := len(k.mails()); n != want {
				t.Errorf("%s: %d notices, want %d: %v", why, n, want, k.told())
			}
			k.Wait(time.Hour)
		}
		first := k.arrives(ann, "")
		told("the first", 0)
		if again := k.arrives(ann, first); again != first {
			t.Error("its token changed")
		}
		told("the first, again", 0)
		second := k.arrives(ann, "")
		told("another", 1)
		k.arrives(ann, second)
		told("that one again", 1)
		bobs := k.arrives(bob, "")
		told("the first of somebody else", 1)
		if got := k.arrives(ann, bobs); got != bobs {
			t.Error("a browser that two people use changed its token: the other would be told each time")
		}
		told("with the cookie of somebody else", 2)
		k.arrives(bob, bobs)
		k.arrives(ann, bobs)
		told("both again", 2)
		if got := k.arrives(ann, "chosen-by-somebody-else"); got == "chosen-by-somebody-else" || len(got) != 43 {
			t.Errorf("a token that we did not make became one of ours: %q", got)
		}
		told("with a cookie that we did not make", 3)
		if m := k.mails(); m[0].name != "notice-browser" || m[0].To != "ann@example.com" || !link.MatchString(m[0].Mail.Text) {
			t.Error(k.told())
		}
		var plain int
		for _, token := range []string{first, second, bobs} {
			if err := k.db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM known_browsers WHERE token_hash = $1`, []byte(token)).Scan(&plain); err != nil || plain > 0 {
				t.Error("a token stands there in plain", err)
			}
		}
	})
}

// A browser is known for 400 days after its last use, and fifty of them of one person.
func TestABrowserIsForgottenInTheEnd(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		const day = 24 * time.Hour
		ann := k.person("ann", auth.Member)
		old := k.arrives(ann, "")
		k.Wait(399 * day)
		used := k.arrives(ann, "") // told: 1
		k.arrives(ann, old)
		k.Wait(399 * day)
		k.arrives(ann, old)
		if n := len(k.mails()); n != 1 {
			t.Error("forgotten though it was used: ", n)
		}
		k.Wait(day + time.Second)
		k.arrives(ann, used)
		if n := len(k.mails()); n != 2 {
			t.Error("known after 400 days without use: ", n)
		}
		k.Wait(400*day + time.Second)
		if err := k.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := k.count("known_browsers") + k.count("notice_links"); n != 0 {
			t.Error(n, "rows stay for good")
		}
		first := k.arrives(ann, "")
		for range 49 {
			k.Wait(time.Hour)
			k.arrives(ann, "")
		}
		if n := k.count("known_browsers"); n != 50 {
			t.Error(n)
		}
		k.arrives(ann, first)
		k.Wait(time.Hour)
		k.arrives(ann, "")
		before := len(k.mails())
		k.Wait(time.Hour)
		if k.arrives(ann, first); len(k.mails()) != before || k.count("known_browsers") != 50 {
			t.Error("the one that was used last went, or none")
		}
	})
}

// A link is stored as its hash, for the person of the event alone, and ends after fourteen days.
func TestALinkIsStoredAsItsHash(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		k.person("ann", auth.Member)
		k.happens(k.at(""), auth.Event{Kind: auth.FactorAdded, User: "id-ann", Detail: map[string]string{"factor": "totp", "name": "Phone", "id": "t1"}})
		_, token, _ := strings.Cut(link.FindString(k.mails()[0].Mail.Text), "token=")
		key := secret.Digest(auth.Secret(token))
		var who, subject string
		var expires int64
		err := k.db.QueryRowContext(t.Context(), `SELECT user_id, subject, expires_at FROM notice_links WHERE token_hash = $1`, key[:]).Scan(&who, &subject, &expires)
		if err != nil || who != "id-ann" || subject != "t1" || !db.Time(expires).Equal(k.Now().Add(14*24*time.Hour)) {
			t.Error(who, subject, db.Time(expires), err)
		}
		var on string
		rows, err := k.db.QueryContext(t.Context(), `SELECT detail FROM events`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			if rows.Scan(&on); strings.Contains(on, token) {
				t.Error("the token is on record: ", on)
			}
		}
	})
}
