package password

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor/factortest"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

var schemas = []fs.FS{user.Schema, throttle.Schema, audit.Schema, Schema}

// cheap hashes leave time for many tests; dear ones cost more, which is all that matters here.
var (
	cheap = secret.Params{Memory: 8, Passes: 1, Lanes: 1}
	dear  = secret.Params{Memory: 16, Passes: 1, Lanes: 1}
)

const right = auth.Secret("correct horse battery")

// A desk has our factor on a database, a clock, and counts how often a password was hashed.
type desk struct {
	*Password
	users   *user.Store
	mu      sync.Mutex
	clock   time.Time
	asked   int
	revoked []auth.SessionID // whom the sessions of were ended, but for this one
}

// served is asked by the hasher before and after each hash, in the slot that does it.
func (k *desk) served() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	return 0
}

func (k *desk) now() time.Time { return k.clock }

// hashes is how many there were since the last time it was asked.
func (k *desk) hashes() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.asked / 2
	k.asked = 0
	return n
}

// RevokeOthers is auth.Revoker where there are no sessions.
func (k *desk) RevokeOthers(ctx context.Context, tx auth.Tx, u auth.UserID, keep auth.SessionID) error {
	k.revoked = append(k.revoked, keep)
	_, err := k.users.Bump(ctx, tx, u)
	return err
}

func (k *desk) hasher(p secret.Params) *secret.Hasher {
	return secret.NewHasher(p, 50, time.Minute, k.served)
}

func each(t *testing.T, test func(t *testing.T, k *desk)) {
	t.Helper()
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		k := &desk{users: user.NewStore(d), clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
		k.Password = New(Parts{DB: d, Hasher: k.hasher(cheap), Trail: audit.New(d, make([]byte, 32), k.now), Throttle: throttle.New(d, k.now),
			Revoker: k, Rules: Rules{Least: 12, Context: []string{"Sallyport"}}, Clock: k.now})
		for _, name := range []string{"ann", "bob", "carl"} { // carl has no password
			u, err := user.New(auth.UserID("id-"+name), name+"@example.com", name, auth.Member, k.clock)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Tx(t.Context(), func(tx auth.Tx) error { return k.users.Add(t.Context(), tx, u) }); err != nil {
				t.Fatal(err)
			}
			if name != "carl" {
				k.set(t, name, right)
			}
		}
		k.hashes()
		test(t, k)
	})
}

func (k *desk) person(t *testing.T, name string) auth.User {
	t.Helper()
	u, err := k.users.Get(t.Context(), k.DB, auth.UserID("id-"+name))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (k *desk) set(t *testing.T, name string, password auth.Secret) {
	t.Helper()
	hashed, err := k.Prepare(t.Context(), k.person(t, name), password)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.DB.Tx(t.Context(), func(tx auth.Tx) error { return k.Set(t.Context(), tx, auth.UserID("id-"+name), hashed) }); err != nil {
		t.Fatal(err)
	}
}

func (k *desk) hash(t *testing.T, name string) string {
	t.Helper()
	s, err := k.stored(t.Context(), k.DB, auth.UserID("id-"+name))
	if err != nil {
		t.Fatal(err)
	}
	return s.hash
}

func (k *desk) verify(ctx context.Context, u auth.User, password auth.Secret) (auth.Claim, error) {
	return k.Verify(ctx, auth.Attempt{User: u}, password)
}

func (k *desk) spend(t *testing.T, claim auth.Claim) {
	t.Helper()
	err := k.DB.Tx(t.Context(), func(tx auth.Tx) error {
		_, err := claim(t.Context(), tx)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestThePasswordKeepsTheContractOfAFactor(t *testing.T) {
	factortest.Run(t, factortest.Subject{
		Schemas: []fs.FS{throttle.Schema, audit.Schema, Schema},
		New: func(t *testing.T, d *db.DB, clock func() time.Time) auth.Factor {
			k := &desk{users: user.NewStore(d)}
			return New(Parts{DB: d, Hasher: k.hasher(cheap), Rules: Rules{Least: 12}, Clock: clock})
		},
		Enrol: func(t *testing.T, f auth.Factor, u auth.User) func() auth.Secret {
			chosen := "the password of " + auth.Secret(u.ID)
			k := &desk{Password: f.(*Password), users: user.NewStore(f.(*Password).DB)}
			k.set(t, strings.TrimPrefix(string(u.ID), "id-"), chosen)
			return func() auth.Secret { return chosen }
		},
		Next:     time.Minute,
		Wrong:    []auth.Secret{"The password of id-ann", "the password of id-ann ", "the password of", "the  password of id-ann", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"},
		Proof:    auth.Proof{Kind: Kind, AMR: "pwd", Level: auth.OneFactor},
		Reusable: true,
	})
}

// S10: same error, same work, for whoever is not let in.
func TestNobodyTellsAnUnknownNameFromAWrongPassword(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		disabled := k.person(t, "bob")
		disabled.Disabled = true
		for name, c := range map[string]struct {
			who      auth.User
			password auth.Secret
		}{
			"a wrong password":                     {k.person(t, "ann"), "wrong horse battery"},
			"a wrong password that is too short":   {k.person(t, "ann"), "x"},
			"no password at all":                   {k.person(t, "ann"), ""},
			"what nobody can type":                 {k.person(t, "ann"), "correct horse\x00battery"},
			"an unknown name":                      {auth.User{}, right},
			"an unknown name, unreadable password": {auth.User{}, "\xff\xff"},
			"a name whose row is gone":             {auth.User{ID: "id-dora"}, right},
			"disabled, right password":             {disabled, right},
			"disabled, wrong password":             {disabled, "wrong horse battery"},
			"somebody who has no password":         {k.person(t, "carl"), right},
			"somebody without one who types none":  {k.person(t, "carl"), ""},
		} {
			claim, err := k.verify(t.Context(), c.who, c.password)
			if claim != nil || err != auth.ErrWrong {
				t.Errorf("%s: a claim %v, error %v", name, claim != nil, err)
			}
			if n := k.hashes(); n != 1 {
				t.Errorf("%s: %d hashes, want 1", name, n)
			}
		}
	})
}

func TestARightPasswordIsHashedOnce(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		claim, err := k.verify(t.Context(), k.person(t, "ann"), "correct\u00a0horse\u00a0battery") // as some keyboards write a space
		if err != nil {
			t.Fatal(err)
		}
		k.spend(t, claim)
		if n := k.hashes(); n != 1 {
			t.Error(n, "hashes")
		}
	})
}

// security.md, "Passwords": rehash on sign-in.
func TestAHashOfAnotherPriceIsReplacedAtSignIn(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		ann := k.person(t, "ann")
		old, bobs := k.hash(t, "ann"), k.hash(t, "bob")
		before, _ := k.stored(t.Context(), k.DB, ann.ID)
		k.Hasher = k.hasher(dear)
		k.clock = k.clock.Add(time.Hour)

		if _, err := k.verify(t.Context(), ann, "wrong horse battery"); err != auth.ErrWrong {
			t.Error(err)
		}
		claim, err := k.verify(t.Context(), ann, right)
		if err != nil {
			t.Fatal(err)
		}
		if k.hash(t, "ann") != old {
			t.Error("replaced before the claim was spent")
		}
		oops := errors.New("oops")
		err = k.DB.Tx(t.Context(), func(tx auth.Tx) error {
			_, err := claim(t.Context(), tx)
			return errors.Join(err, oops)
		})
		if !errors.Is(err, oops) || k.hash(t, "ann") != old {
			t.Error("replaced by a transaction that was rolled back: ", err)
		}
		k.spend(t, claim)
		after, _ := k.stored(t.Context(), k.DB, ann.ID)
		if after.hash == old || !strings.Contains(after.hash, "m=16,") {
			t.Error(after.hash)
		}
		if !after.changed.Equal(before.changed) {
			t.Error("the person did not change it, the record says so")
		}
		if k.hash(t, "bob") != bobs {
			t.Error("the hash of somebody else was replaced")
		}
		k.hashes()
		claim, err = k.verify(t.Context(), ann, right)
		if err != nil {
			t.Fatal(err)
		}
		k.spend(t, claim)
		if n := k.hashes(); n != 1 || k.hash(t, "ann") != after.hash {
			t.Error(n, "hashes once it is at today's price")
		}
	})
}

// L2: for a while a password out of a mailbox says so, until it is changed by somebody who is signed in. A better hash of
// it changes nothing about that.
func TestAPasswordThatCameByMailSaysSoForAWhile(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		k.Mailed = 72 * time.Hour
		ann, bob := k.person(t, "ann"), k.person(t, "bob")
		mailed := func(u auth.User) bool {
			t.Helper()
			claim, err := k.verify(t.Context(), u, right)
			if err != nil {
				t.Fatal(err)
			}
			var p auth.Proof
			if err := k.DB.Tx(t.Context(), func(tx auth.Tx) (err error) { p, err = claim(t.Context(), tx); return err }); err != nil {
				t.Fatal(err)
			}
			return p.Mailed
		}
		if mailed(ann) {
			t.Error("one that did not")
		}
		byMail := func() {
			t.Helper()
			hashed, err := k.Prepare(t.Context(), ann, right)
			if err != nil {
				t.Fatal(err)
			}
			if err := k.DB.Tx(t.Context(), func(tx auth.Tx) error { return k.SetByMail(t.Context(), tx, ann.ID, hashed) }); err != nil {
				t.Fatal(err)
			}
		}
		byMail()
		k.Hasher = k.hasher(dear)
		if !mailed(ann) || mailed(bob) {
			t.Error("at once")
		}
		k.clock = k.clock.Add(72*time.Hour - time.Second)
		if !mailed(ann) {
			t.Error("a second before the end")
		}
		k.clock = k.clock.Add(time.Second)
		if mailed(ann) {
			t.Error("at the end")
		}
		byMail()
		k.set(t, "ann", right)
		if mailed(ann) {
			t.Error("after another change")
		}
	})
}

// A slow sign-in must not bring back the password that was changed meanwhile.
func TestAReplacedHashNeverOverwritesANewPassword(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		k.Hasher = k.hasher(dear)
		claim, err := k.verify(t.Context(), k.person(t, "ann"), right)
		if err != nil {
			t.Fatal(err)
		}
		k.set(t, "ann", "another horse battery")
		changed := k.hash(t, "ann")
		k.spend(t, claim)
		if k.hash(t, "ann") != changed {
			t.Error("the old password is back")
		}
		if _, err := k.verify(t.Context(), k.person(t, "ann"), right); err != auth.ErrWrong {
			t.Error("the old password: ", err)
		}
	})
}

// R6: a hash that cannot be read is a fault of ours, and opens nothing.
func TestAnUnreadableHashLetsNobodyIn(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		for _, hash := range []string{"correct horse battery", "$argon2id$v=19$m=8,t=1,p=1$$", "$2a$10$abcdefghijklmnopqrstuv"} {
			err := k.DB.Tx(t.Context(), func(tx auth.Tx) error {
				_, err := tx.ExecContext(t.Context(), `UPDATE passwords SET hash = $1 WHERE user_id = 'id-ann'`, hash)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			claim, err := k.verify(t.Context(), k.person(t, "ann"), right)
			if claim != nil || err == nil || strings.Contains(err.Error(), hash) {
				t.Errorf("a claim %v, error %v", claim != nil, err)
			}
		}
	})
}

// Who finds no slot in time is told so; nobody is let in, or called wrong, because we are busy.
func TestBusyIsNeitherRightNorWrong(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		ann := k.person(t, "ann")
		ctx, stop := context.WithCancel(t.Context())
		k.Hasher = secret.NewHasher(cheap, 0, time.Millisecond, k.served)
		for name, who := range map[string]auth.User{"known": ann, "unknown": {}} {
			claim, err := k.verify(ctx, who, right)
			if claim != nil || !errors.As(err, new(auth.BusyError)) {
				t.Errorf("%s: a claim %v, error %v", name, claim != nil, err)
			}
		}
		stop()
		if claim, err := k.verify(ctx, ann, right); claim != nil || err == nil || errors.Is(err, auth.ErrWrong) {
			t.Errorf("a request that went away: a claim %v, error %v", claim != nil, err)
		}
	})
}

// as is a visit of ann in one of her sessions.
func (k *desk) as(t *testing.T, name, session string) context.Context {
	return visit.With(t.Context(), &visit.Visit{Session: auth.Session{ID: auth.SessionID(session), User: k.person(t, name)}})
}

const another = auth.Secret("another horse battery")

// security.md, "Sessions and browsers": a change of credentials ends all other sessions.
func TestAChangeEndsAllOtherSessions(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		before := k.person(t, "ann")
		if _, err := k.change(k.as(t, "ann", "this one"), Change{Current: right, Password: another}); err != nil {
			t.Fatal(err)
		}
		if len(k.revoked) != 1 || k.revoked[0] != "this one" || k.person(t, "ann").Epoch != before.Epoch+1 {
			t.Error(k.revoked, "kept, epoch", k.person(t, "ann").Epoch)
		}
		if _, err := k.verify(t.Context(), before, another); err != nil {
			t.Error("the new one: ", err)
		}
		if _, err := k.verify(t.Context(), before, right); err != auth.ErrWrong {
			t.Error("the old one: ", err)
		}
		if _, err := k.verify(t.Context(), k.person(t, "bob"), right); err != nil {
			t.Error("of somebody else: ", err)
		}
	})
}

func TestARefusedChangeChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		hash := k.hash(t, "ann")
		for name, in := range map[string]Change{
			"a wrong current one":          {Current: "wrong horse battery", Password: another},
			"none":                         {Password: another},
			"the new one as current one":   {Current: another, Password: another},
			"a short new one":              {Current: right, Password: "short"},
			"a common new one":             {Current: right, Password: "1q2w3e4r5t6y"},
			"no new one":                   {Current: right},
			"a new one that is the login":  {Current: right, Password: "ann@example.com"},
			"a new one nobody can type":    {Current: right, Password: "another\x00horse"},
			"a new one of 257 code points": {Current: right, Password: good(257, "abcdefghijk")},
		} {
			_, err := k.change(k.as(t, "ann", "s"), in)
			if err == nil || k.hash(t, "ann") != hash || len(k.revoked) > 0 {
				t.Errorf("%s: %v, revoked %v", name, err, k.revoked)
			}
		}
	})
}

// R3: the page to change a password is no place to guess it.
func TestAWrongCurrentPasswordIsCounted(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		ctx := k.as(t, "ann", "s")
		for range 30 { // what the rules refuse is no guess
			if _, err := k.change(ctx, Change{Current: "wrong horse battery", Password: "short"}); !errors.As(err, new(auth.InvalidError)) {
				t.Fatal(err)
			}
		}
		if n := k.hashes(); n != 0 {
			t.Error(n, "hashes for what the rules refuse")
		}
		for range 10 {
			if _, err := k.change(ctx, Change{Current: "wrong horse battery", Password: another}); err != auth.ErrWrong {
				t.Fatal(err)
			}
		}
		if _, err := k.change(ctx, Change{Current: right, Password: another}); !errors.As(err, new(auth.ThrottledError)) {
			t.Error("after ten wrong ones: ", err)
		}
		if _, err := k.Throttle.Take(t.Context(), auth.User{}, throttle.FirstInside.For("id-ann")); !errors.As(err, new(auth.ThrottledError)) {
			t.Error("step-up counts apart from it: ", err)
		}
		if _, err := k.change(k.as(t, "bob", "s"), Change{Current: right, Password: another}); err != nil {
			t.Error("of somebody else: ", err)
		}
		k.clock = k.clock.Add(time.Minute)
		if _, err := k.change(ctx, Change{Current: right, Password: another}); err != nil {
			t.Error("after the wait: ", err)
		}
	})
}

// The page says when it was changed and what a new one must be, and nothing about the hash.
func TestThePageShowsNoHash(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		s, err := k.state(k.as(t, "ann", "s"), web.None{})
		if err != nil || s.Least != 12 || !s.Changed.Equal(k.clock) || s.Login != "ann@example.com" {
			t.Errorf("%+v, %v", s, err)
		}
	})
}
