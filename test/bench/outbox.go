package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/notify"
	"sallyport/internal/notify/wording"
	"sallyport/internal/secret"
)

// outboxes compares how fast a node hands over mail that waits, to a server that takes it at once, to bare commits: each
// message is noted by itself once it is taken, so that no other is repeated.
func outboxes(b *bench) error {
	w, err := b.world("outbox", people{users: 1})
	if err != nil {
		return err
	}
	commits, err := b.limit("sqlite", filepath.Join(b.dir, "limit of outbox.db"))
	if err != nil {
		return err
	}
	defer commits.stop()
	if err := outboxOn(b, w, commits, "SQLite"); err != nil {
		return err
	}
	if postgres() == "" {
		b.say("  no PostgreSQL: SALLYPORT_TEST_POSTGRES is not set")
		return nil
	}
	if w, err = b.world("outbox_postgres", people{postgres: true, users: 1}); err != nil {
		return err
	}
	bare, err := b.limit("postgres", w.database)
	if err != nil {
		return err
	}
	defer bare.stop()
	return outboxOn(b, w, bare, "PostgreSQL")
}

// carried counts what it takes, and takes everything.
type carried struct{ atomic.Int64 }

func (c *carried) Carry(context.Context, notify.Letter) error {
	c.Add(1)
	return nil
}

func outboxOn(b *bench, w *world, commits *limit, engine string) error {
	d, err := db.Open(b.ctx, w.database, 16)
	if err != nil {
		return err
	}
	defer d.Close()
	keys, err := secret.OpenKeys(w.keys)
	if err != nil {
		return err
	}
	texts, err := wording.Load("", wording.Site{Name: "Bench", Host: "localhost", Support: "nobody"})
	if err != nil {
		return err
	}
	all := &carried{}
	o := notify.New(notify.Parts{DB: d, Keys: keys, Texts: texts, Language: "en", Carriers: map[notify.Channel]notify.Carrier{notify.Email: all},
		Clock: time.Now, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	if err := fillOutbox(b.ctx, d, o, b.size.messages); err != nil {
		return err
	}
	ours := func() ([]float64, error) {
		ctx, stop := context.WithTimeout(b.ctx, b.size.slice)
		defer stop()
		before, start := all.Load(), time.Now()
		o.Run(ctx)
		return []float64{float64(all.Load()-before) / time.Since(start).Seconds()}, nil
	}
	if _, err := ours(); err != nil { // statements are prepared, connections open
		return err
	}
	found, err := alternate(b.size.pairs, ours, func() ([]float64, error) { return commits.run(16, b.size.slice) })
	if err != nil {
		return err
	}
	if all.Load() == int64(b.size.messages) {
		b.say("  the outbox was empty before the end: its rate is too low")
	}
	b.table.compare("outbox, messages handed over, "+engine, found[0], "/s", nil)
	return nil
}

func fillOutbox(ctx context.Context, d *db.DB, o *notify.Outbox, n int) error {
	const perTx = 1000
	for from := 0; from < n; from += perTx {
		err := d.Tx(ctx, func(tx auth.Tx) error {
			for i := from; i < min(from+perTx, n); i++ {
				f := wording.Sample("code-signin")
				if err := o.Send(ctx, tx, notify.Message{ID: secret.NewID(), User: auth.User{ID: "u", Name: "Somebody"}, Channel: notify.Email,
					To: fmt.Sprintf("u%d@example.com", i), Name: "code-signin", Facts: f, Lifetime: time.Hour}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
