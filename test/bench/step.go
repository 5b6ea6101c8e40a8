package main

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"sallyport/internal/visit"
)

// steps compares a sign-in's last step, a right code of an authenticator, to as many durable commits of one row each.
func steps(b *bench) error {
	w, err := b.world("codes", people{users: b.size.codes + 1, codes: b.size.codes})
	if err != nil {
		return err
	}
	limit, err := b.limit("sqlite", filepath.Join(b.dir, "limit.db"))
	if err != nil {
		return err
	}
	defer limit.stop()
	if err := stepsOn(b, w, limit, "SQLite"); err != nil {
		return err
	}
	if postgres() == "" {
		b.say("  no PostgreSQL: SALLYPORT_TEST_POSTGRES is not set")
		return nil
	}
	if w, err = b.world("postgres", b.onPostgres()); err != nil {
		return err
	}
	bare, err := b.limit("postgres", w.database)
	if err != nil {
		return err
	}
	defer bare.stop()
	return stepsOn(b, w, bare, "PostgreSQL")
}

func stepsOn(b *bench, w *world, limit *limit, engine string) error {
	n, err := b.start(w)
	if err != nil {
		return err
	}
	defer n.stop()
	sides := []int{1, 16}
	most := len(w.pending) / len(sides) / b.size.pairs
	for _, callers := range sides {
		ours, err := newSteppers(n, w, callers)
		if err != nil {
			return err
		}
		defer ours.close()
		found, err := alternate(b.size.pairs,
			withCPU(n.pid, func() ([]float64, error) { return ours.run(b.size.slice, most) }),
			withCPU(limit.cmd.Process.Pid, func() ([]float64, error) { return limit.run(callers, b.size.slice) }))
		if err != nil {
			return err
		}
		name := fmt.Sprintf("authenticator step, %s, %d callers", engine, callers)
		if callers == 1 {
			name = "authenticator step, " + engine + ", 1 caller"
		}
		b.table.compare(name, found[0], "/s", atLeast(0.4))
		b.table.compare(name+", core time", found[1], "us", nil)
	}
	return nil
}

// steppers are callers who each time finish another person's sign-in.
type steppers struct {
	callers []*caller
	host    string
	world   *world
}

func newSteppers(n *node, w *world, callers int) (*steppers, error) {
	s := &steppers{host: n.address, world: w}
	for range callers {
		c, err := call(n.address, "")
		if err != nil {
			return nil, err
		}
		s.callers = append(s.callers, c)
	}
	return s, nil
}

func (s *steppers) close() {
	for _, c := range s.callers {
		c.close()
	}
}

// run returns steps a second. It ends early after most steps.
func (s *steppers) run(d time.Duration, most int) ([]float64, error) {
	for _, c := range s.callers {
		c.conn.SetDeadline(time.Now().Add(d + patience))
	}
	left := atomic.Int64{}
	left.Store(int64(most - len(s.callers)))
	perSecond, err := rate(len(s.callers), d, func(i int) (bool, error) {
		request, err := s.request()
		if err != nil {
			return false, err
		}
		return left.Add(-1) >= 0, s.callers[i].expect(200, request)
	})
	return []float64{perSecond}, err
}

// request is the code of somebody who has not signed in yet.
func (s *steppers) request() ([]byte, error) {
	n := s.world.used.Add(1) - 1
	if n >= int64(len(s.world.pending)) {
		return nil, fmt.Errorf("all %d sign-ins are used up", n)
	}
	return post(s.host, "/api/v1/signin/totp", cookie(visit.PendingCookie, s.world.pending[n]), `{"code":"`+code(time.Now())+`"}`), nil
}

// seed is everybody's secret here. It is sealed for each row.
var seed = []byte("twenty bytes of seed")

// code is RFC 6238 with SHA-1, 6 digits and 30 seconds.
func code(now time.Time) string {
	mac := hmac.New(sha1.New, seed)
	binary.Write(mac, binary.BigEndian, now.Unix()/30)
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1e6)
}
