package trust

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sallyport/internal/factor/factortest"
	"sallyport/internal/roster"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/policy"
	"sallyport/internal/secret"
	"sallyport/internal/user"
	"sallyport/internal/visit"
)

const month = 30 * 24 * time.Hour

// A node has our trusted browsers on a database, and a clock.
type node struct {
	*Trust
	users *user.Store
	now   time.Time
}

func each(t *testing.T, test func(t *testing.T, n *node)) {
	t.Helper()
	dbtest.Each(t, []fs.FS{user.Schema, audit.Schema, Schema}, func(t *testing.T, d *db.DB) {
		n := &node{users: user.NewStore(d), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
		clock := func() time.Time { return n.now }
		n.Trust = New(Parts{DB: d, Trail: audit.New(d, make([]byte, 32), clock), Roster: roster.New(policy.Rules{Trust: month, Factors: []auth.Kind{"totp"}}, factortest.Alone{}, clock), Clock: clock})
		for _, name := range []string{"ann", "bob"} {
			u, err := user.New(auth.UserID("id-"+name), name+"@example.com", name, auth.Member, n.now)
			if err != nil {
				t.Fatal(err)
			}
			n.tx(t, func(tx auth.Tx) error { return n.users.Add(t.Context(), tx, u) })
		}
		test(t, n)
	})
}

func (n *node) tx(t *testing.T, f func(auth.Tx) error) {
	t.Helper()
	if err := n.DB.Tx(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func (n *node) person(t *testing.T, name string) auth.User {
	t.Helper()
	u, err := n.users.Get(t.Context(), n.DB, auth.UserID("id-"+name))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// with is a visit of a browser that holds a token.
func with(token auth.Secret, s auth.Session) context.Context {
	v := &visit.Visit{Session: s, Origin: auth.Origin{Browser: "Firefox"}}
	if token != "" {
		v.Sent = []string{visit.TrustCookie + "=" + string(token)}
	}
	return visit.With(context.Background(), v)
}

// began is a session that ended a sign-in by two steps, and was offered to trust its browser.
func (n *node) began(t *testing.T, u auth.User, token auth.Secret) auth.Session {
	t.Helper()
	s := auth.Session{ID: auth.SessionID(secret.NewID()), User: u, Started: n.now,
		Proofs: []auth.Proof{{Kind: "password", Enrolment: "p", Level: 1}, {Kind: "totp", Enrolment: "t", Level: 1}}}
	n.tx(t, func(tx auth.Tx) error {
		to, err := n.Detour(with(token, s), tx, s, "/account")
		if err == nil && to != "/signin/done?return_to=%2Faccount" {
			err = errors.New("no offer: " + to)
		}
		return err
	})
	return s
}

// trusts remembers a browser and returns its new token.
func (n *node) trusts(t *testing.T, u auth.User, token auth.Secret) (next auth.Secret) {
	t.Helper()
	s := n.began(t, u, token)
	n.tx(t, func(tx auth.Tx) error {
		cookies, err := n.remember(with(token, s), tx)
		if err == nil {
			next = auth.Secret(cookies[0].Value)
		}
		return err
	})
	return next
}

// use is the next token, or "" if the browser is not trusted.
func (n *node) use(t *testing.T, u auth.User, token auth.Secret) (next auth.Secret) {
	t.Helper()
	n.tx(t, func(tx auth.Tx) error {
		cookies, err := n.Use(with(token, auth.Session{}), tx, u)
		if next = ""; len(cookies) > 0 {
			next = auth.Secret(cookies[0].Value)
		}
		return err
	})
	return next
}

// R2
func TestATokenIsReplacedByItsUse(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		ann, bob := n.person(t, "ann"), n.person(t, "bob")
		first := n.trusts(t, ann, "")
		if n.use(t, bob, first) != "" || n.use(t, ann, "") != "" || n.use(t, auth.User{}, first) != "" {
			t.Error("it is worth something to somebody else")
		}
		second := n.use(t, ann, first)
		if second == "" || second == first || n.use(t, ann, first) != "" {
			t.Error("the first token lives on")
		}
		if third := n.use(t, ann, second); third == "" || third == second {
			t.Error("the second is worth nothing")
		}
		var all string
		if err := n.DB.QueryRowContext(t.Context(), `SELECT id || browser || address FROM trusted_browsers`).Scan(&all); err != nil || strings.Contains(all, string(first)) {
			t.Error("the token itself is stored", err)
		}
	})
}

// R2: what a sign-in that failed took is given back.
func TestAUseThatIsRolledBackSpendsNothing(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		ann := n.person(t, "ann")
		token := n.trusts(t, ann, "")
		undo := errors.New("undo")
		err := n.DB.Tx(t.Context(), func(tx auth.Tx) error {
			_, err := n.Use(with(token, auth.Session{}), tx, ann)
			return errors.Join(err, undo)
		})
		if !errors.Is(err, undo) || n.use(t, ann, token) == "" {
			t.Error(err)
		}
	})
}

// R2: at the same instant one of each person's wins, and nobody takes it from the other.
func TestOfTwoUsesAtOnceOneWins(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		people := []auth.User{n.person(t, "ann"), n.person(t, "bob")}
		token := n.trusts(t, people[1], n.trusts(t, people[0], ""))
		for round := range 5 {
			var all sync.WaitGroup
			won := [2]chan auth.Secret{make(chan auth.Secret, 4), make(chan auth.Secret, 4)}
			for i := range 8 {
				all.Go(func() {
					if next := n.use(t, people[i%2], token); next != "" {
						won[i%2] <- next
					}
				})
			}
			all.Wait()
			if len(won[0]) != 1 || len(won[1]) != 1 {
				t.Fatalf("round %d: %d and %d won", round, len(won[0]), len(won[1]))
			}
			hers, his := n.use(t, people[0], <-won[0]), n.use(t, people[1], <-won[1])
			if hers == "" || his == "" {
				t.Fatal("what won is worth nothing")
			}
			if n.use(t, people[1], hers) != "" || n.use(t, people[0], his) != "" {
				t.Error("what was replaced lives on in the other's answer")
			}
			token = n.trusts(t, people[1], hers)
		}
	})
}

// R2: a copy is over with its owner's next sign-in, whatever somebody else does with it in a browser of their own.
func TestNobodyKeepsSomebodyElsesTokenAlive(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		ann, bob := n.person(t, "ann"), n.person(t, "bob")
		hers := n.trusts(t, ann, "")
		row := func() (s string) {
			err := n.DB.QueryRowContext(t.Context(), `SELECT id || used_at || ends_at || added_at || security_epoch FROM trusted_browsers WHERE user_id = 'id-ann'`).Scan(&s)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		before := row()
		n.now = n.now.Add(time.Hour)
		parked := n.trusts(t, bob, hers)
		for range 3 {
			if parked = n.use(t, bob, parked); parked == "" {
				t.Fatal("his own is worth nothing")
			}
		}
		if parked = n.trusts(t, bob, n.unoffered(t, bob, parked)); row() != before {
			t.Error("what he did changed hers: ", before, row())
		}
		if len(held(parked)) != 2 || held(parked)[0] != held(hers)[0] {
			t.Error("hers is not what it was: ", len(held(parked)))
		}
		if hers = n.use(t, ann, hers); hers == "" {
			t.Fatal("what he did made hers worth nothing")
		}
		if n.use(t, ann, parked) != "" {
			t.Error("the copy outlives her sign-in")
		}
		if n.use(t, bob, parked) == "" || n.use(t, ann, hers) == "" {
			t.Error("the others are gone")
		}
	})
}

// R2: five people may trust a browser. Of a sixth the oldest makes room; none of them is in it twice.
func TestABrowserHoldsFiveTokens(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		var people []auth.User
		var token auth.Secret
		for i := range mostInOne + 1 {
			name := fmt.Sprint("p", i)
			u, err := user.New(auth.UserID("id-"+name), name+"@example.com", name, auth.Member, n.now)
			if err != nil {
				t.Fatal(err)
			}
			n.tx(t, func(tx auth.Tx) error { return n.users.Add(t.Context(), tx, u) })
			people = append(people, n.person(t, name))
			token = n.trusts(t, people[i], token)
			token = n.trusts(t, people[i], n.unoffered(t, people[i], token))
			if got, want := len(held(token)), min(i+1, mostInOne); got != want {
				t.Fatalf("%d tokens, want %d", got, want)
			}
			if len(token) > longest {
				t.Error(len(token))
			}
		}
		if n.use(t, people[0], token) != "" {
			t.Error("the first of six is in it still")
		}
		for _, u := range people[1:] {
			if token = n.use(t, u, token); token == "" {
				t.Error(u.Name, " is not")
			}
		}
	})
}

// unoffered forgets who trusts a browser, so that it can be offered to them again, and leaves what the browser holds.
func (n *node) unoffered(t *testing.T, u auth.User, token auth.Secret) auth.Secret {
	t.Helper()
	n.tx(t, func(tx auth.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE trusted_browsers SET security_epoch = -1 WHERE user_id = $1`, u.ID)
		return err
	})
	return token
}

// What is no cookie of ours is nothing, and costs no more than one.
func TestOnlyTokensAreReadFromACookie(t *testing.T) {
	a, b := secret.NewToken(), secret.NewToken()
	for cookie, want := range map[auth.Secret]int{
		"": 0, ".": 0, "x": 0, a: 1, a + "." + b: 2, "." + a + ".": 1, a + "..x." + b: 2, a + b: 0, a + "!": 0, a[:42]: 0, a[:42] + "\"": 0, a[:42] + "=": 0,
		auth.Secret(strings.Repeat(string(a)+".", 4)) + a: 5, auth.Secret(strings.Repeat(string(a)+".", 5)): 0, auth.Secret(strings.Repeat(string(a)+".", 99)): 0,
		auth.Secret(strings.Repeat(".", longest)): 0, auth.Secret(strings.Repeat("A", 4000)): 0,
	} {
		if got := held(cookie); len(got) != want {
			t.Errorf("%.60q: %d tokens, want %d", string(cookie), len(got), want)
		}
	}
	if held("x").keys() != (keys{}) {
		t.Error("nothing names something")
	}
}

// R4: by whatever way the epoch moves on, and for what was read before it did.
func TestANewEpochEndsTrust(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		before := n.person(t, "ann")
		token, offered := n.trusts(t, before, ""), n.began(t, before, "")
		n.tx(t, func(tx auth.Tx) error { _, err := n.users.Bump(t.Context(), tx, before.ID); return err })
		after := n.person(t, "ann")
		if n.use(t, after, token) != "" {
			t.Error("the token lives on")
		}
		err := n.DB.Tx(t.Context(), func(tx auth.Tx) error { _, err := n.remember(with("", offered), tx); return err })
		if !errors.Is(err, auth.ErrForbidden) {
			t.Error("an offer of before: ", err)
		}
		if all, err := n.list(t.Context(), after, held(token).keys()); err != nil || len(all) != 0 {
			t.Error(all, err)
		}
		if id, err := n.Of(with(token, auth.Session{}), n.DB, after); err != nil || id != "" {
			t.Error(id, err)
		}
		if next := n.trusts(t, after, token); next == token || n.use(t, after, next) == "" {
			t.Error("it cannot be trusted again")
		}
	})
}

// R1
func TestAnOfferIsTakenUpOnceByItsOwnSession(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		ann, bob := n.person(t, "ann"), n.person(t, "bob")
		s := n.began(t, ann, "")
		take := func(s auth.Session) error {
			return n.DB.Tx(t.Context(), func(tx auth.Tx) error { return n.take(t.Context(), tx, s) })
		}
		of := func(change func(*auth.Session)) auth.Session { other := s; change(&other); return other }
		for name, other := range map[string]auth.Session{
			"another session":     of(func(s *auth.Session) { s.ID = "other" }),
			"somebody else":       of(func(s *auth.Session) { s.User = bob }),
			"of an earlier epoch": of(func(s *auth.Session) { s.User.Epoch-- }),
		} {
			if err := take(other); !errors.Is(err, auth.ErrForbidden) {
				t.Errorf("%s: %v", name, err)
			}
		}
		n.now = n.now.Add(offerLife - time.Microsecond)
		var all sync.WaitGroup
		taken := make(chan bool, 4)
		for range 4 {
			all.Go(func() {
				if take(s) == nil {
					taken <- true
				}
			})
		}
		if all.Wait(); len(taken) != 1 {
			t.Errorf("%d took it", len(taken))
		}
		late := n.began(t, ann, "")
		n.now = n.now.Add(offerLife)
		if err := take(late); !errors.Is(err, auth.ErrForbidden) {
			t.Error("late: ", err)
		}
		gone := n.began(t, ann, "")
		n.tx(t, func(tx auth.Tx) error { return n.users.Disable(t.Context(), tx, ann.ID) })
		if err := take(gone); !errors.Is(err, auth.ErrForbidden) {
			t.Error("disabled: ", err)
		}
	})
}

// R1: who trusts a browser already, and who proved one thing, has nothing to choose.
func TestNothingIsOfferedWhereThereIsNothingToChoose(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		ann, bob := n.person(t, "ann"), n.person(t, "bob")
		token := n.trusts(t, ann, "")
		s := n.began(t, bob, token) // it is hers alone
		n.tx(t, func(tx auth.Tx) error {
			for name, one := range map[string]auth.Session{
				"trusted already": {ID: "a", User: ann, Proofs: s.Proofs},
				"one step":        {ID: "b", User: bob, Proofs: s.Proofs[:1]},
			} {
				if to, err := n.Detour(with(token, one), tx, one, "/account"); to != "" || err != nil {
					t.Errorf("%s: %s, %v", name, to, err)
				}
			}
			return nil
		})
		n.Roster = roster.New(policy.Rules{}, factortest.Alone{}, n.Clock)
		n.tx(t, func(tx auth.Tx) error {
			if to, err := n.Detour(with("", s), tx, s, "/account"); to != "" || err != nil {
				t.Error(to, err)
			}
			return nil
		})
		if n.use(t, ann, token) != "" {
			t.Error("it is trusted where none is")
		}
	})
}

// Nobody piles up browsers, and with them guesses.
func TestOnePersonTrustsTwentyBrowsers(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		ann := n.person(t, "ann")
		var tokens []auth.Secret
		for range mostOfOne {
			tokens = append(tokens, n.trusts(t, ann, ""))
			n.now = n.now.Add(time.Second)
		}
		if tokens[0] = n.use(t, ann, tokens[0]); tokens[0] == "" {
			t.Fatal("the first of twenty is gone")
		}
		n.now = n.now.Add(time.Second)
		n.trusts(t, ann, "")
		if all, err := n.list(t.Context(), ann, held(tokens[0]).keys()); err != nil || len(all) != mostOfOne {
			t.Error(len(all), err)
		}
		if n.use(t, ann, tokens[0]) == "" || n.use(t, ann, tokens[1]) != "" {
			t.Error("not the one that was used least lately is gone")
		}
	})
}

// The cookie lasts as long as one of those who share the browser needs it.
func TestACookieLastsForWhoeverNeedsItLongest(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		ann, bob := n.person(t, "ann"), n.person(t, "bob")
		token := n.trusts(t, ann, "")
		n.now = n.now.Add(20 * 24 * time.Hour)
		token = n.trusts(t, bob, token)
		n.tx(t, func(tx auth.Tx) error {
			cookies, err := n.Use(with(token, auth.Session{}), tx, ann)
			if len(cookies) != 1 || cookies[0].MaxAge != int(month.Seconds()) || !cookies[0].Secure || !cookies[0].HttpOnly {
				t.Errorf("%+v", cookies)
			}
			return err
		})
	})
}

func TestTheSweepLeavesWhatLives(t *testing.T) {
	each(t, func(t *testing.T, n *node) {
		rows := func() (s string) {
			var browsers, offers int
			err := n.DB.QueryRowContext(t.Context(), `SELECT (SELECT COUNT(*) FROM trusted_browsers), (SELECT COUNT(*) FROM trust_offers)`).Scan(&browsers, &offers)
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(browsers, " ", offers)
		}
		sweep := func(want string) {
			t.Helper()
			if err := n.Sweep(t.Context()); err != nil || rows() != want {
				t.Errorf("%s, want %s, %v", rows(), want, err)
			}
		}
		ann, bob := n.person(t, "ann"), n.person(t, "bob")
		n.trusts(t, ann, "")
		n.trusts(t, bob, "")
		n.began(t, ann, "")
		n.now = n.now.Add(offerLife - time.Microsecond)
		sweep("2 1")
		n.now = n.now.Add(time.Microsecond)
		sweep("2 0")
		n.tx(t, func(tx auth.Tx) error { _, err := n.users.Bump(t.Context(), tx, bob.ID); return err })
		sweep("1 0")
		n.now = n.now.Add(month - offerLife - time.Microsecond)
		sweep("1 0")
		n.now = n.now.Add(time.Microsecond)
		sweep("0 0")
	})
}

// A name of a browser is cut where it is too long.
func TestABrowsersNameIsBounded(t *testing.T) {
	bounded := func(agent string) string { return auth.Origin{Browser: agent}.Agent() }
	if got := bounded(strings.Repeat("é", 200) + "x"); len(got) > 260 || strings.Contains(bounded(strings.Repeat("x", 255)+"é"), "\xc3") {
		t.Error(len(got))
	}
}
