package directory

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"slices"

	"sallyport/internal/auth"
)

// found is the keys of a page, and one more if there is one.
type found struct {
	keys  []key
	count int
	more  bool // than count
}

// find gets the keys of a page in the way that is quick for it.
func (d *Directory) find(ctx context.Context, p plan) (found, error) {
	if !p.searching {
		w := d.walk(ctx, p, p.from)
		keys, err := w.next(p.limit+1, nil, 0)
		return found{keys: keys, count: p.all}, err
	}
	if p.whole != nil {
		return d.one(ctx, p)
	}
	rarest, n, err := d.rarest(ctx, p, -1)
	switch {
	case err != nil || n == 0:
		return found{}, err
	case n <= min(d.reach.gathered, p.all):
		return d.gather(ctx, p, rarest)
	case p.all <= d.reach.exact:
		return d.sift(ctx, p)
	}
	return d.search(ctx, p, rarest)
}

// search finds a page among very many who match. Where the order is that of words, most who have a frequent one lie together
// there: if few have it elsewhere, those are sorted in. Whoever is scattered is met on the way soon.
func (d *Directory) search(ctx context.Context, p plan, rarest string) (f found, err error) {
	elsewhere, n := "", d.reach.gathered+1
	if p.sort < 2 {
		if elsewhere, n, err = d.rarest(ctx, p, p.sort); err != nil {
			return f, err
		}
	}
	w := d.walk(ctx, p, p.from)
	if n <= d.reach.gathered {
		w = d.walk(ctx, p, p.enter(elsewhere))
		w.until = p.leave(elsewhere)
	}
	f.keys, err = w.next(p.limit+1, p.typed, d.reach.walked)
	switch {
	case errors.Is(err, errFar): // a word is frequent, and all who have it are far away
		return d.gather(ctx, p, rarest)
	case err != nil:
		return f, err
	case n <= d.reach.gathered:
		if f.keys, err = d.sortIn(ctx, p, elsewhere, f.keys); err != nil {
			return f, err
		}
	}
	f.more = len(f.keys) > p.limit || !bytes.Equal(p.from, p.begin())
	f.count = min(len(f.keys), p.limit)
	return f, nil
}

// enter and leave are where those lie whose sort key begins with a word.
func (p plan) enter(word string) []byte {
	if p.descending {
		return p.later(p.from, []byte(word+"\xff"))
	}
	return p.later(p.from, []byte(word))
}

func (p plan) leave(word string) []byte {
	if p.descending {
		return []byte(word)
	}
	return []byte(word + "\xff")
}

func (p plan) later(a, b []byte) []byte {
	if p.compare(a, b) > 0 {
		return a
	}
	return b
}

// sortIn adds to the keys of a page who has the word elsewhere.
func (d *Directory) sortIn(ctx context.Context, p plan, word string, keys []key) ([]key, error) {
	top := top{plan: p}
	for _, k := range keys {
		top.add(k)
	}
	err := d.eachOf(ctx, p, word, p.sort, func(k key) {
		if !bytes.HasPrefix(k.at, []byte(word)) { // who has it in both places is there already
			top.add(k)
		}
	})
	return top.page().keys, err
}

// rarest is the word of those typed that the fewest have, and how many: anywhere, or not where a sort key begins.
func (d *Directory) rarest(ctx context.Context, p plan, without int) (word string, n int, err error) {
	n = d.reach.gathered + 1
	for i, typed := range p.typed {
		many, err := holding(ctx, d.DB, typed, without, n)
		if err != nil {
			return "", 0, err
		}
		if many < n || i == 0 {
			word, n = typed, many
		}
	}
	return word, n, nil
}

// one is the page with the person whose login was typed.
func (d *Directory) one(ctx context.Context, p plan) (found, error) {
	if p.whole.out {
		return found{}, nil
	}
	f := found{count: 1}
	if p.compare(p.whole.at, p.from) > 0 {
		f.keys = []key{*p.whole}
	}
	return f, nil
}

// gather sorts the page out of all who have a word.
func (d *Directory) gather(ctx context.Context, p plan, word string) (found, error) {
	top := top{plan: p}
	err := d.eachOf(ctx, p, word, -1, top.add)
	return top.page(), err
}

// eachOf calls f once for everybody in a plan who has a word, and those typed.
func (d *Directory) eachOf(ctx context.Context, p plan, word string, without int, f func(key)) error {
	seen, admitted := map[int64]bool{}, map[int64]bool{}
	for _, c := range p.classes {
		admitted[c.id] = true
	}
	return eachHolding(ctx, d.DB, p, word, without, func(k key, class int64) {
		if admitted[class] && !seen[k.n] && (len(p.typed) == 1 || begins(k.words, p.typed)) {
			seen[k.n] = true
			f(k)
		}
	})
}

// sift sorts the page out of all whom the filters let through.
func (d *Directory) sift(ctx context.Context, p plan) (found, error) {
	top := top{plan: p}
	w := d.walk(ctx, p, p.begin())
	for {
		keys, err := w.next(most, p.typed, 0)
		if err != nil || len(keys) == 0 {
			return top.page(), err
		}
		for _, k := range keys {
			top.add(k)
		}
	}
}

// A top keeps the first keys of a page out of any number, and counts.
type top struct {
	plan
	keys  []key
	count int
}

func (t *top) add(k key) {
	t.count++
	if t.compare(k.at, t.from) <= 0 {
		return
	}
	k.words = nil
	if t.keys = append(t.keys, k); len(t.keys) > 4*(t.limit+1) {
		t.cut()
	}
}

func (t *top) cut() {
	slices.SortFunc(t.keys, func(a, b key) int { return t.compare(a.at, b.at) })
	t.keys = t.keys[:min(len(t.keys), t.limit+1)]
}

func (t *top) page() found {
	t.cut()
	return found{keys: t.keys, count: t.count}
}

// all hands out all keys of a plan, a few at a time.
func (d *Directory) all(ctx context.Context, p plan) (next func(n int) ([]key, error), err error) {
	if p.searching {
		_, n, err := d.rarest(ctx, p, -1)
		if err != nil {
			return nil, err
		}
		if n <= d.reach.gathered || p.whole != nil {
			p.limit = d.reach.gathered
			f, err := d.find(ctx, p)
			return func(n int) (some []key, _ error) {
				n = min(n, len(f.keys))
				some, f.keys = f.keys[:n], f.keys[n:]
				return some, nil
			}, err
		}
	}
	w := d.walk(ctx, p, p.from)
	return func(n int) ([]key, error) { return w.next(n, p.typed, 0) }, nil
}

// A walk merges the classes of a plan in order. Each is read a piece at a time, as large as its share of a page.
type walk struct {
	ctx     context.Context
	from    auth.Reader
	plan    plan
	streams streams
	begun   bool
	until   []byte // it ends before; nil: nowhere
	last    key    // that came out
}

type stream struct {
	class int64
	piece int
	after []byte
	keys  []key
	over  bool
}

// errFar says that a page is further away than it pays to walk.
var errFar = errors.New("too far to walk")

func (d *Directory) walk(ctx context.Context, p plan, from []byte) *walk {
	w := &walk{ctx: ctx, from: d.DB, plan: p, streams: streams{order: p.order}}
	for _, c := range p.classes {
		piece := 2 + (p.limit+1)*c.n*5/4/max(1, p.all)
		w.streams.all = append(w.streams.all, &stream{class: c.id, piece: min(piece, c.n+1), after: from})
	}
	return w
}

// next is the next n keys of people who match what was typed, fewer at the end, or errFar after passing most (0: any number).
func (w *walk) next(n int, typed []string, most int) (keys []key, err error) {
	if !w.begun {
		if err := w.begin(); err != nil {
			return nil, err
		}
	}
	for passed := 0; len(keys) < n && len(w.streams.all) > 0; passed++ {
		if most > 0 && passed > most {
			return nil, errFar
		}
		s := w.streams.all[0]
		k := s.keys[0]
		if w.until != nil && w.plan.compare(k.at, w.until) >= 0 {
			break
		}
		if s.keys = s.keys[1:]; len(s.keys) == 0 {
			if err := w.read(s); err != nil {
				return nil, err
			}
		}
		if len(s.keys) == 0 {
			heap.Pop(&w.streams)
		} else {
			heap.Fix(&w.streams, 0)
		}
		twice := k.n == w.last.n // they changed class between two reads
		if w.last = k; !twice && begins(k.words, typed) {
			k.words = nil
			keys = append(keys, k)
		}
	}
	return keys, nil
}

func (w *walk) begin() error {
	w.begun = true
	for _, s := range w.streams.all {
		if err := w.read(s); err != nil {
			return err
		}
	}
	w.streams.all = slices.DeleteFunc(w.streams.all, func(s *stream) bool { return len(s.keys) == 0 })
	heap.Init(&w.streams)
	return nil
}

// read gets the next piece of a stream. It grows, because who reads on in one class tends to go on.
func (w *walk) read(s *stream) (err error) {
	if s.over {
		return nil
	}
	s.keys, err = streamed(w.ctx, w.from, w.plan, s)
	if s.over = len(s.keys) < s.piece; len(s.keys) > 0 {
		s.after = s.keys[len(s.keys)-1].at
	}
	s.piece = min(2*s.piece, most)
	return err
}

// streams are a heap by the first key of each.
type streams struct {
	order
	all []*stream
}

func (s *streams) Len() int           { return len(s.all) }
func (s *streams) Less(i, j int) bool { return s.compare(s.all[i].keys[0].at, s.all[j].keys[0].at) < 0 }
func (s *streams) Swap(i, j int)      { s.all[i], s.all[j] = s.all[j], s.all[i] }
func (s *streams) Push(x any)         { s.all = append(s.all, x.(*stream)) }
func (s *streams) Pop() any {
	last := s.all[len(s.all)-1]
	s.all = s.all[:len(s.all)-1]
	return last
}
