package notify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/auth"

	"sallyport/internal/db/dbtest"
	"sallyport/internal/notify/wording"
	"sallyport/internal/secret"
)

var (
	schema = []fs.FS{Schema}
	noon   = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	ann    = auth.User{ID: "ann", Name: "Ann Example", Email: "ann@example.com"}
)

// A world is a database with any number of nodes on it. Its clock stands still unless it is moved.
type world struct {
	*testing.T
	address string
	keys    *secret.Keys
	metrics *prometheus.Registry

	mu      sync.Mutex
	now     time.Time
	log     strings.Builder
	carried []Letter
	answer  func(Letter) error // of the other side, to every letter; nil: it takes it
}

func each(t *testing.T, test func(w *world)) {
	t.Helper()
	dbtest.EachAddress(t, schema, func(t *testing.T, address string) {
		ring := filepath.Join(t.TempDir(), "keys")
		if err := secret.CreateRing(ring, noon); err != nil {
			t.Fatal(err)
		}
		keys, err := secret.OpenKeys(ring)
		if err != nil {
			t.Fatal(err)
		}
		test(&world{T: t, address: address, keys: keys, metrics: prometheus.NewRegistry(), now: noon})
	})
}

// Carry makes the world the other side of every channel.
func (w *world) Carry(ctx context.Context, l Letter) error {
	w.mu.Lock()
	w.carried = append(w.carried, l)
	answer := w.answer
	w.mu.Unlock()
	if answer != nil {
		if err := answer(l); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// node is an outbox with a connection of its own. Change alters what it is made with.
func (w *world) node(change ...func(*Parts)) *Outbox {
	w.Helper()
	texts, err := wording.Load("", wording.Site{Name: "Example", Host: "login.example.com", Support: "the desk"})
	if err != nil {
		w.Fatal(err)
	}
	p := Parts{DB: dbtest.Open(w.T, w.address), Keys: w.keys, Texts: texts, Language: "en", Carriers: map[Channel]Carrier{Email: w, SMS: w},
		Clock: w.clock, Log: slog.New(slog.NewTextHandler(w, nil)), Metrics: w.metrics}
	for _, c := range change {
		c(&p)
	}
	w.metrics = prometheus.NewRegistry() // the next node is another process
	return New(p)
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// Write takes the log.
func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

// ids are those of all letters that the other side was given, in order.
func (w *world) ids() (ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.carried {
		ids = append(ids, l.ID)
	}
	return ids
}

// aMail is a code on its way to somebody.
func aMail(id string) Message {
	return Message{ID: id, User: ann, Channel: Email, To: "ann@example.com", Name: "code-signin", Lifetime: 10 * time.Minute,
		Facts: wording.Facts{At: noon, Until: noon.Add(10 * time.Minute), Tags: map[string]string{"code": "K7MQ-3XTP", "to": "ann@example.com"}}}
}

func anSMS(id string) Message {
	m := aMail(id)
	m.Channel, m.To = SMS, "+46701234567"
	return m
}

// send commits messages, each in its own transaction.
func (w *world) send(o *Outbox, all ...Message) {
	w.Helper()
	for _, m := range all {
		w.do(o, func(tx auth.Tx) error { return o.Send(w.Context(), tx, m) })
	}
}

func (w *world) do(o *Outbox, f func(auth.Tx) error) {
	w.Helper()
	if err := o.DB.Tx(w.Context(), f); err != nil {
		w.Fatal(err)
	}
}

// step carries what is due now, and returns once that is noted.
func (w *world) step(o *Outbox) {
	w.Helper()
	for _, c := range []Channel{Email, SMS} {
		for {
			mine, err := o.claim(w.Context(), c, batch)
			if err != nil {
				w.Fatal(err)
			}
			if len(mine) == 0 {
				break
			}
			for _, r := range mine {
				o.carry(w.Context(), r)
			}
		}
	}
}

// run lets a node work by itself until the test or stop ends it.
func (w *world) run(o *Outbox) (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan struct{})
	go func() { o.Run(ctx); close(ended) }()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	w.Cleanup(stop)
	return stop
}

// is claims how far a message has come, and why.
func (w *world) is(o *Outbox, id string, state State, why string) {
	w.Helper()
	got, err := o.State(w.Context(), o.DB, id)
	if err != nil || got != state {
		w.Errorf("%s is %q (%v), want %q", id, got, err, state)
	}
	if state == Unknown {
		return
	}
	if r := w.row(o, id); r.why != why {
		w.Errorf("%s: why is %q, want %q", id, r.why, why)
	}
}

func (w *world) row(o *Outbox, id string) row {
	w.Helper()
	r, err := o.one(w.Context(), id)
	if err != nil {
		w.Fatal(id, err)
	}
	return r
}

// raw is the whole table as whoever steals it reads it.
func (w *world) raw(o *Outbox) string {
	w.Helper()
	rows, err := o.DB.QueryContext(w.Context(), `SELECT * FROM outbox`)
	if err != nil {
		w.Fatal(err)
	}
	names, err := rows.Columns()
	if err != nil {
		w.Fatal(err)
	}
	if !slices.Contains(names, "sealed") {
		w.Fatal(names)
	}
	var b strings.Builder
	for rows.Next() {
		values := make([]any, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			w.Fatal(err)
		}
		for _, v := range values {
			if bytes, ok := v.([]byte); ok {
				v = string(bytes)
			}
			fmt.Fprintln(&b, v)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		w.Fatal(err)
	}
	return b.String()
}

// within polls until ok.
func (w *world) within(limit time.Duration, what string, ok func() bool) {
	w.Helper()
	for late := time.Now().Add(limit); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			w.Fatalf("%s: not within %v", what, limit)
		}
	}
}
