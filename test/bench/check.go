package main

import "fmt"

// checks compares GET /session with a valid cookie, of one of very many sessions, to a handler that only writes those
// bytes.
func checks(b *bench) error {
	w, err := b.world("many", b.many())
	if err != nil {
		return err
	}
	n, err := b.start(w)
	if err != nil {
		return err
	}
	defer n.stop()
	requests := w.checks(n.address, len(w.sessions))
	body, err := warm(n, requests)
	if err != nil {
		return err
	}
	bare, err := b.limit("handler", string(body))
	if err != nil {
		return err
	}
	defer bare.stop()
	for _, callers := range []int{1, 16, 64} {
		ours, err := newLoad(n.address, callers, requests)
		if err != nil {
			return err
		}
		defer ours.close()
		limit, err := newLoad(bare.opened, callers, requests)
		if err != nil {
			return err
		}
		defer limit.close()
		found, err := alternate(b.size.pairs, withCPU(n.pid, b.runs(ours)), withCPU(bare.cmd.Process.Pid, b.runs(limit)))
		if err != nil {
			return err
		}
		name := fmt.Sprintf("session check, %d connections", callers)
		if callers == 1 {
			name = "session check, 1 connection"
		}
		b.table.compare(name, found[0], "/s", atLeast(0.85))
		b.table.compare(name+", p99", found[1], "ms", atMost(1.5))
		b.table.compare(name+", core time", found[2], "us", nil)
	}
	rss, err := n.memory("VmRSS")
	b.table.add(fmt.Sprintf("memory with %d sessions in use", len(requests)), rss, "MB", nil)
	return err
}

func (b *bench) many() people {
	return people{users: b.size.many, sessions: b.size.sessions, codes: b.size.few}
}

func (b *bench) few() people {
	return people{users: b.size.few, sessions: b.size.few, codes: b.size.few * 7 / 10}
}

func (b *bench) runs(l *load) func() ([]float64, error) {
	return func() ([]float64, error) { return l.run(b.size.slice) }
}

// warm asks for every session once, so that the server has them in memory, and returns an answer.
func warm(n *node, requests [][]byte) ([]byte, error) {
	l, err := newLoad(n.address, 16, requests)
	if err != nil {
		return nil, err
	}
	defer l.close()
	if err := l.each(); err != nil {
		return nil, err
	}
	_, err = l.run(0)
	return append([]byte(nil), l.callers[0].body...), err
}
