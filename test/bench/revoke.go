package main

import (
	"sync/atomic"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/visit"
)

// revocation signs out while others use the same session: here no request that begins after the answer may still be let
// through; on another node it takes as long as it takes to hear of it.
func revocation(b *bench) error {
	w, err := b.world("few", b.few())
	if err != nil {
		return err
	}
	n, err := b.start(w)
	if err != nil {
		return err
	}
	defer n.stop()
	stale, err := staleHere(n, w.sessions[len(w.sessions)-b.size.revoked:])
	if err != nil {
		return err
	}
	b.table.add("signed out here, yet let through", float64(stale), "requests", atMost(0))
	if postgres() == "" {
		b.say("  no second node: SALLYPORT_TEST_POSTGRES is not set")
		return nil
	}
	if w, err = b.world("postgres", b.onPostgres()); err != nil {
		return err
	}
	here, err := b.start(w)
	if err != nil {
		return err
	}
	defer here.stop()
	there, err := b.start(w)
	if err != nil {
		return err
	}
	defer there.stop()
	late, err := lateThere(here, there, w.sessions[len(w.sessions)-b.size.revoked:])
	if err != nil {
		return err
	}
	b.table.add("signed out on another node, until it counts, median", median(late), "ms", below(1000))
	longest := 0.0
	for _, ms := range late {
		longest = max(longest, ms)
	}
	b.table.add("signed out on another node, until it counts, longest", longest, "ms", below(1000))
	return nil
}

func (b *bench) onPostgres() people {
	return people{postgres: true, users: b.size.codes + 1, sessions: b.size.few, codes: b.size.codes}
}

// staleHere counts requests that began after a sign-out was answered and were let through all the same.
func staleHere(n *node, tokens []auth.Secret) (int64, error) {
	const beside = 4
	callers := make([]*caller, beside+1)
	for i := range callers {
		c, err := call(n.address, "")
		if err != nil {
			return 0, err
		}
		defer c.close()
		callers[i] = c
	}
	var stale atomic.Int64
	for _, token := range tokens {
		ask := get(n.address, "/api/v1/session", cookie(visit.SessionCookie, token))
		for _, c := range callers {
			c.conn.SetDeadline(time.Now().Add(patience))
			if err := c.expect(200, ask); err != nil {
				return 0, err
			}
		}
		var over, stop atomic.Bool
		err := together(len(callers), func(i int) error {
			c := callers[i]
			if i == beside {
				defer stop.Store(true)
				time.Sleep(time.Millisecond)
				if err := c.expect(204, remove(n.address, "/api/v1/session", cookie(visit.SessionCookie, token))); err != nil {
					return err
				}
				over.Store(true)
				time.Sleep(2 * time.Millisecond)
				return nil
			}
			for !stop.Load() {
				after := over.Load()
				if err := c.ask(ask); err != nil {
					return err
				}
				if after && c.status == 200 {
					stale.Add(1)
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return stale.Load(), nil
}

// lateThere is, for each session, the time from the answer of a sign-out on one node to the first 401 of another that
// had it in memory, in milliseconds.
func lateThere(here, there *node, tokens []auth.Secret) (late []float64, err error) {
	a, err := call(here.address, "")
	if err != nil {
		return nil, err
	}
	defer a.close()
	b, err := call(there.address, "")
	if err != nil {
		return nil, err
	}
	defer b.close()
	for _, token := range tokens {
		value := cookie(visit.SessionCookie, token)
		ask := get(there.address, "/api/v1/session", value)
		a.conn.SetDeadline(time.Now().Add(patience))
		b.conn.SetDeadline(time.Now().Add(patience))
		for range 3 {
			if err := b.expect(200, ask); err != nil {
				return nil, err
			}
		}
		if err := a.expect(204, remove(here.address, "/api/v1/session", value)); err != nil {
			return nil, err
		}
		ended := time.Now()
		for b.status == 200 {
			if err := b.ask(ask); err != nil {
				return nil, err
			}
		}
		late = append(late, time.Since(ended).Seconds()*1000)
	}
	return late, nil
}
