package main

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// crowd has 64 callers sign in with a password at once, over and over; who is sent away waits as told. Beside them run
// session checks, which are compared to the same checks undisturbed.
func crowd(b *bench) error {
	w, err := b.world("few", b.few())
	if err != nil {
		return err
	}
	n, err := b.start(w)
	if err != nil {
		return err
	}
	defer n.stop()
	requests := w.checks(n.address, len(w.sessions)/2) // the others may have been ended
	if _, err := warm(n, requests); err != nil {
		return err
	}
	beside, err := newLoad(n.address, 16, requests)
	if err != nil {
		return err
	}
	defer beside.close()
	everybody, err := newSigners(n, w, 64)
	if err != nil {
		return err
	}
	defer everybody.close()
	var (
		c    throng
		long = 2 * b.size.hashing
	)
	found, err := alternate(b.size.rounds,
		func() ([]float64, error) {
			leave, err := c.come(everybody)
			if err != nil {
				return nil, err
			}
			time.Sleep(b.size.slice) // until the queue is full
			checked, err := beside.run(long)
			if failed := leave(); err == nil {
				err = failed
			}
			return checked, err
		},
		func() ([]float64, error) { return beside.run(long / 2) })
	if err != nil {
		return err
	}
	peak, err := n.memory("VmHWM")
	if err != nil {
		return err
	}
	b.table.compare("session check beside 64 sign-ins", found[0], "/s", atLeast(0.5))
	b.table.add("64 sign-ins at once, memory at most", peak, "MB", below(150))
	b.table.add("64 sign-ins at once, longest until a 503", time.Duration(c.longest.Load()).Seconds(), "s", atMost(2))
	b.table.add("64 sign-ins at once, 503 without Retry-After", float64(c.bare.Load()), "answers", atMost(0))
	b.table.add("64 sign-ins at once, neither served nor 503", float64(c.other.Load()), "answers", atMost(0))
	b.table.add("64 sign-ins at once, served", float64(c.served.Load())/c.while.Seconds(), "/s", nil)
	b.table.add("64 sign-ins at once, told to come back", float64(c.refused.Load())/c.while.Seconds(), "/s", nil)
	return nil
}

// A throng counts what became of a crowd.
type throng struct {
	served, refused, bare, other atomic.Int64
	longest                      atomic.Int64 // nanoseconds until somebody was refused
	while                        time.Duration
}

// come lets everybody in; leave sees them out.
func (t *throng) come(s *signers) (leave func() error, err error) {
	var (
		over  = make(chan struct{})
		all   sync.WaitGroup
		fault atomic.Pointer[error]
		since = time.Now()
	)
	for _, c := range s.callers {
		c.conn.SetDeadline(since.Add(3 * patience))
		all.Go(func() {
			for {
				wait, err := t.try(c, s.request())
				if err != nil {
					fault.Store(&err)
					return
				}
				select {
				case <-over:
					return
				case <-time.After(wait):
				}
			}
		})
	}
	return func() error {
		close(over)
		all.Wait()
		t.while += time.Since(since)
		if err := fault.Load(); err != nil {
			return *err
		}
		return nil
	}, nil
}

// try signs in once and says how long to wait until the next time.
func (t *throng) try(c *caller, request []byte) (wait time.Duration, err error) {
	start := time.Now()
	if err := c.ask(request); err != nil {
		return 0, err
	}
	took := int64(time.Since(start))
	switch c.status {
	case 200:
		t.served.Add(1)
		return 0, nil
	case 503:
		t.refused.Add(1)
		for old := t.longest.Load(); took > old && !t.longest.CompareAndSwap(old, took); old = t.longest.Load() {
		}
		seconds, err := strconv.Atoi(c.header("Retry-After"))
		if err != nil {
			t.bare.Add(1)
		}
		return min(max(time.Duration(seconds)*time.Second, 100*time.Millisecond), time.Second), nil
	}
	t.other.Add(1)
	return time.Second, nil
}
