package main

import "fmt"

// growth asks whether anything costs more with very many people than with a few. Its numbers are milliseconds, so that
// a ratio above 1 is what growth costs.
func growth(b *bench) error {
	if err := growthOfPasskeys(b); err != nil {
		return err
	}
	few, err := b.world("few", b.few())
	if err != nil {
		return err
	}
	many, err := b.world("many", b.many())
	if err != nil {
		return err
	}
	small, err := b.start(few)
	if err != nil {
		return err
	}
	defer small.stop()
	large, err := b.start(many)
	if err != nil {
		return err
	}
	defer large.stop()

	compare := func(what string, pairs int, of func(*node, *world) (func() ([]float64, error), func(), error)) error {
		inLarge, done, err := of(large, many)
		if err != nil {
			return err
		}
		defer done()
		inSmall, done, err := of(small, few)
		if err != nil {
			return err
		}
		defer done()
		found, err := alternate(pairs, inverse(inLarge), inverse(inSmall))
		if err != nil {
			return err
		}
		b.table.compare(fmt.Sprintf("%s, %d users against %d", what, many.users, few.users), found[0], "ms", atMost(1.1))
		return nil
	}
	err = compare("session check", b.size.pairs, func(n *node, w *world) (func() ([]float64, error), func(), error) {
		requests := w.checks(n.address, len(few.sessions)/2) // as many in both
		if _, err := warm(n, requests); err != nil {
			return nil, nil, err
		}
		l, err := newLoad(n.address, 16, requests)
		if err != nil {
			return nil, nil, err
		}
		return b.runs(l), l.close, nil
	})
	if err != nil {
		return err
	}
	err = compare("authenticator step", b.size.pairs, func(n *node, w *world) (func() ([]float64, error), func(), error) {
		s, err := newSteppers(n, w, 1)
		if err != nil {
			return nil, nil, err
		}
		return func() ([]float64, error) { return s.run(b.size.slice, len(few.pending)/b.size.pairs) }, s.close, nil
	})
	if err != nil {
		return err
	}
	return compare("password sign-in", b.size.pairs, func(n *node, w *world) (func() ([]float64, error), func(), error) {
		s, err := newSigners(n, w, 2)
		if err != nil {
			return nil, nil, err
		}
		return func() ([]float64, error) { return s.run(b.size.hashing) }, s.close, nil
	})
}

// inverse turns a rate into the milliseconds of one.
func inverse(run func() ([]float64, error)) func() ([]float64, error) {
	return func() ([]float64, error) {
		found, err := run()
		if err != nil {
			return nil, err
		}
		return []float64{1000 / found[0]}, nil
	}
}
