package main

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"
)

// passwords compares two callers who sign in with a password, again and again as other people, to bare argon2id on two
// goroutines.
func passwords(b *bench) error {
	w, err := b.world("few", b.few())
	if err != nil {
		return err
	}
	n, err := b.start(w)
	if err != nil {
		return err
	}
	defer n.stop()
	limit, err := b.limit("hashes")
	if err != nil {
		return err
	}
	defer limit.stop()
	ours, err := newSigners(n, w, 2)
	if err != nil {
		return err
	}
	defer ours.close()
	found, err := alternate(b.size.pairs,
		func() ([]float64, error) { return ours.run(b.size.hashing) },
		func() ([]float64, error) { return limit.run(2, b.size.hashing) })
	if err != nil {
		return err
	}
	b.table.compare("password sign-in, 2 callers", found[0], "/s", atLeast(0.95))
	return nil
}

// signers are callers who sign in with a password. Each comes from an address of its own and is another person every
// time, so that no throttle has a reason.
type signers struct {
	callers  []*caller
	requests [][]byte
	next     atomic.Int64
}

func newSigners(n *node, w *world, callers int) (*signers, error) {
	s := &signers{}
	for i := range w.users - len(w.pending) {
		body, err := json.Marshal(map[string]string{"login": login(i), "password": thePassword})
		if err != nil {
			return nil, err
		}
		s.requests = append(s.requests, post(n.address, "/api/v1/signin", "", string(body)))
	}
	for i := range callers {
		c, err := call(n.address, fmt.Sprintf("127.0.1.%d", i+1))
		if err != nil {
			return nil, err
		}
		s.callers = append(s.callers, c)
	}
	return s, nil
}

func (s *signers) close() {
	for _, c := range s.callers {
		c.close()
	}
}

// request is for somebody who was not asked for lately.
func (s *signers) request() []byte { return s.requests[int(s.next.Add(1))%len(s.requests)] }

// run returns sign-ins a second.
func (s *signers) run(d time.Duration) ([]float64, error) {
	for _, c := range s.callers {
		c.conn.SetDeadline(time.Now().Add(d + patience))
	}
	perSecond, err := rate(len(s.callers), d, func(i int) (bool, error) { return true, s.callers[i].expect(200, s.request()) })
	return []float64{perSecond}, err
}
