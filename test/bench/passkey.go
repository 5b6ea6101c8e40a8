package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sallyport/internal/factor/softkey"
)

// passkeys compares a whole sign-in without a name, two requests by a browser that was never here, to what it cannot do
// without: one verification of a signature, and one durable commit. The slower of these bounds it.
func passkeys(b *bench) error {
	w, err := b.world("passkeys", people{users: b.size.passkeys, passkeys: b.size.passkeys})
	if err != nil {
		return err
	}
	verifications, err := b.limit("verifications")
	if err != nil {
		return err
	}
	defer verifications.stop()
	commits, err := b.limit("sqlite", filepath.Join(b.dir, "limit of passkeys.db"))
	if err != nil {
		return err
	}
	defer commits.stop()
	if err := passkeysOn(b, w, verifications, commits, "SQLite"); err != nil {
		return err
	}
	if postgres() == "" {
		b.say("  no PostgreSQL: SALLYPORT_TEST_POSTGRES is not set")
		return nil
	}
	if w, err = b.world("passkeys_postgres", people{postgres: true, users: b.size.passkeys, passkeys: b.size.passkeys}); err != nil {
		return err
	}
	bare, err := b.limit("postgres", w.database)
	if err != nil {
		return err
	}
	defer bare.stop()
	return passkeysOn(b, w, verifications, bare, "PostgreSQL")
}

func passkeysOn(b *bench, w *world, verifications, commits *limit, engine string) error {
	n, err := b.start(w)
	if err != nil {
		return err
	}
	defer n.stop()
	for _, callers := range []int{1, 16} {
		ours, err := newBrowsers(n, w, callers)
		if err != nil {
			return err
		}
		defer ours.close()
		if _, err := ours.run(b.size.slice); err != nil { // statements are prepared, connections open
			return err
		}
		found, err := alternate(b.size.pairs,
			withCPU(n.pid, func() ([]float64, error) { return ours.run(b.size.slice) }),
			func() ([]float64, error) { return slower(verifications, commits, callers, b.size.slice) })
		if err != nil {
			return err
		}
		name := fmt.Sprintf("passkey sign-in, whole two requests, %s, %d callers", engine, callers)
		if callers == 1 {
			name = "passkey sign-in, whole two requests, " + engine + ", 1 caller"
		}
		b.table.compare(name, found[0], "/s", atLeast(0.4))
		b.table.compare(name+", core time", found[1], "us", nil)
	}
	return nil
}

// slower runs both limits and returns the smaller rate, and what one piece of both costs in microseconds of a core.
func slower(a, b *limit, callers int, d time.Duration) ([]float64, error) {
	var found [2][]float64
	for i, l := range []*limit{a, b} {
		var err error
		found[i], err = withCPU(l.cmd.Process.Pid, func() ([]float64, error) { return l.run(callers, d) })()
		if err != nil {
			return nil, err
		}
	}
	return []float64{min(found[0][0], found[1][0]), found[0][1] + found[1][1]}, nil
}

// growthOfPasskeys is a sign-in among as many passkeys as there are users, against a few.
func growthOfPasskeys(b *bench) error {
	var sides []func() ([]float64, error)
	for _, users := range []int{b.size.many, b.size.few} {
		w, err := b.world(fmt.Sprintf("passkeys of %d", users), people{users: users, passkeys: users})
		if err != nil {
			return err
		}
		n, err := b.start(w)
		if err != nil {
			return err
		}
		defer n.stop()
		s, err := newBrowsers(n, w, 1)
		if err != nil {
			return err
		}
		defer s.close()
		if _, err := s.run(b.size.slice); err != nil {
			return err
		}
		sides = append(sides, inverse(func() ([]float64, error) { return s.run(b.size.slice) }))
	}
	found, err := alternate(b.size.pairs, sides[0], sides[1])
	if err != nil {
		return err
	}
	b.table.compare(fmt.Sprintf("passkey sign-in, %d passkeys against %d", b.size.many, b.size.few), found[0], "ms", atMost(1.1))
	return nil
}

// browsers are callers who sign in with a passkey, each time that of another person. Each comes from an address of its
// own: they are not one office.
type browsers struct {
	callers    []*caller
	host       string
	world      *world
	authData   []byte // the same for all: nothing counts, and everybody is verified
	clientData string // what follows the challenge
	next       atomic.Int64
}

func newBrowsers(n *node, w *world, callers int) (*browsers, error) {
	party := sha256.Sum256([]byte("localhost"))
	s := &browsers{host: n.address, world: w, clientData: `","origin":"http://` + n.address + `","crossOrigin":false}`,
		// Web Authentication Level 3, section 6.1: the hash of the rp id, the flags, a counter of zero.
		authData: append(party[:], softkey.UP|softkey.UV|softkey.BE|softkey.BS, 0, 0, 0, 0)}
	for i := range callers {
		c, err := call(n.address, fmt.Sprintf("127.0.2.%d", i+1))
		if err != nil {
			return nil, err
		}
		s.callers = append(s.callers, c)
	}
	return s, nil
}

func (s *browsers) close() {
	for _, c := range s.callers {
		c.close()
	}
}

// run returns sign-ins a second.
func (s *browsers) run(d time.Duration) ([]float64, error) {
	for _, c := range s.callers {
		c.conn.SetDeadline(time.Now().Add(d + patience))
	}
	perSecond, err := rate(len(s.callers), d, func(i int) (bool, error) {
		return true, s.signIn(s.callers[i], int(s.next.Add(1))%s.world.passkeys)
	})
	return []float64{perSecond}, err
}

var errNoChallenge = errors.New("the options have no challenge or no cookie")

// signIn is both requests.
func (s *browsers) signIn(c *caller, person int) error {
	if err := c.expect(200, post(s.host, "/api/v1/signin/passkey/options", "", "{}")); err != nil {
		return err
	}
	_, rest, _ := bytes.Cut(c.body, []byte(`"challenge":"`))
	challenge, _, found := bytes.Cut(rest, []byte{'"'})
	browser, _, _ := strings.Cut(c.header("Set-Cookie"), ";")
	if !found || browser == "" {
		return errNoChallenge
	}
	said := []byte(`{"type":"webauthn.get","challenge":"` + string(challenge) + s.clientData)
	hash := sha256.Sum256(said)
	digest := sha256.Sum256(slices.Concat(s.authData, hash[:]))
	signature, err := ecdsa.SignASN1(rand.Reader, s.world.key, digest[:])
	if err != nil {
		return err
	}
	id, b64 := credential(person), base64.RawURLEncoding.EncodeToString
	err = c.expect(200, post(s.host, "/api/v1/signin/passkey", browser, `{"credential":{"id":"`+b64(id)+`","rawId":"`+b64(id)+
		`","type":"public-key","authenticatorAttachment":"platform","clientExtensionResults":{},"response":{"clientDataJSON":"`+b64(said)+
		`","authenticatorData":"`+b64(s.authData)+`","signature":"`+b64(signature)+`","userHandle":"`+b64(handle(person))+`"}}}`))
	if err == nil && !bytes.Contains(c.body, []byte(`"signed_in"`)) {
		err = fmt.Errorf("not signed in: %s", c.body)
	}
	return err
}
