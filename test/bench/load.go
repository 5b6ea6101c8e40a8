package main

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// A comparison is ours and the limit's, each the median of its slices, and the median of the ratios of neighbours.
type comparison struct{ ours, limit, ratio float64 }

// alternate measures ours and the limit in turns. Each returns one or more numbers; the comparisons are in their order.
func alternate(pairs int, ours, limit func() ([]float64, error)) ([]comparison, error) {
	var a, b [][]float64
	for i := range pairs {
		first, second, into, then := ours, limit, &a, &b
		if i%2 == 1 { // who comes first changes, so that no side profits from the other's wake
			first, second, into, then = limit, ours, &b, &a
		}
		x, err := first()
		if err != nil {
			return nil, err
		}
		y, err := second()
		if err != nil {
			return nil, err
		}
		*into, *then = append(*into, x), append(*then, y)
	}
	found := make([]comparison, len(a[0]))
	for n := range found {
		var us, they, ratio []float64
		for i := range a {
			us, they = append(us, a[i][n]), append(they, b[i][n])
			ratio = append(ratio, a[i][n]/b[i][n])
		}
		found[n] = comparison{median(us), median(they), median(ratio)}
	}
	return found, nil
}

func median[T cmp.Ordered](x []T) T {
	x = slices.Clone(x)
	slices.Sort(x)
	return x[len(x)/2]
}

// together runs f for each of n at once and returns the first error.
func together(n int, f func(i int) error) error {
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		all.Go(func() { errs[i] = f(i) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// rate is how often n workers do something in a second. Each works until the time is over, and counts up to the end of
// the last piece that it began, so that slow pieces are not cut. A piece that returns false was the last.
func rate(n int, d time.Duration, piece func(worker int) (bool, error)) (perSecond float64, err error) {
	rates := make([]float64, n)
	err = together(n, func(i int) error {
		start := time.Now()
		for done := 0; ; {
			more, err := piece(i)
			if err != nil {
				return err
			}
			done++
			if took := time.Since(start); took >= d || !more {
				rates[i] = float64(done) / took.Seconds()
				return nil
			}
		}
	})
	for _, r := range rates {
		perSecond += r
	}
	return perSecond, err
}

// A load is callers that ask a server for one of many things at random.
type load struct {
	callers  []*caller
	requests [][]byte
	took     [][]time.Duration
}

func newLoad(address string, callers int, requests [][]byte) (*load, error) {
	l := &load{requests: requests, took: make([][]time.Duration, callers)}
	for range callers {
		c, err := call(address, "")
		if err != nil {
			return nil, err
		}
		l.callers = append(l.callers, c)
	}
	return l, nil
}

func (l *load) close() {
	for _, c := range l.callers {
		c.close()
	}
}

// run returns requests a second and the 99th percentile in milliseconds.
func (l *load) run(d time.Duration) ([]float64, error) {
	late := time.Now().Add(d + patience)
	for i, c := range l.callers {
		c.conn.SetDeadline(late)
		l.took[i] = l.took[i][:0]
	}
	perSecond, err := rate(len(l.callers), d, func(i int) (bool, error) {
		start := time.Now()
		err := l.callers[i].expect(200, l.requests[rand.IntN(len(l.requests))])
		l.took[i] = append(l.took[i], time.Since(start))
		return true, err
	})
	if err != nil {
		return nil, err
	}
	all := slices.Concat(l.took...)
	slices.Sort(all)
	return []float64{perSecond, all[len(all)*99/100].Seconds() * 1000}, nil
}

// each asks for everything once.
func (l *load) each() error {
	for _, c := range l.callers {
		c.conn.SetDeadline(time.Now().Add(5 * patience))
	}
	return together(len(l.callers), func(i int) error {
		for n := i; n < len(l.requests); n += len(l.callers) {
			if err := l.callers[i].expect(200, l.requests[n]); err != nil {
				return err
			}
		}
		return nil
	})
}
