package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	admin "sallyport/internal/admin/groups"
	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/visit"
)

// enforcement requires a second step of a workgroup: how long the preview and saving take, what sign-ins notice of it, and
// how soon a live session is asked by a node that hears of it from another.
func enforcement(b *bench) error {
	size := people{users: b.size.many / 2, sessions: b.size.few}
	w, err := b.world("enforce", size)
	if err == nil {
		err = enforceOn(b, w, "sqlite")
	}
	if err != nil || postgres() == "" {
		return err
	}
	size.postgres = true
	if w, err = b.world("enforce_postgres", size); err != nil {
		return err
	}
	return enforceOn(b, w, "postgres")
}

const group auth.WorkgroupID = "bench"

func enforceOn(b *bench, w *world, engine string) error {
	n, err := b.start(w)
	if err != nil {
		return err
	}
	defer n.stop()
	c := config.Default()
	c.Database, c.Data, c.Keys = w.database, filepath.Dir(w.keys), w.keys
	a, err := app.New(b.ctx, c, time.Now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer a.Close()
	if err := gather(b.ctx, a); err != nil {
		return err
	}
	signers, err := newSigners(n, w, 2)
	if err != nil {
		return err
	}
	defer signers.close()
	var previews, saves []float64
	optional, next := admin.Options{}, admin.Options{Require: true, When: "next", Grace: 7}
	busy := func() ([]float64, error) {
		stop := make(chan struct{})
		done := make(chan error, 1)
		go func() {
			for o := next; ; {
				select {
				case <-stop:
					done <- nil
					return
				case <-time.After(200 * time.Millisecond):
				}
				began := time.Now()
				if _, err := a.Groups.Try(b.ctx, a.DB, group, o); err != nil {
					done <- err
					return
				}
				previews = append(previews, float64(time.Since(began).Milliseconds()))
				began = time.Now()
				if _, err := a.Groups.Save(b.ctx, group, o, nil); err != nil {
					done <- err
					return
				}
				saves = append(saves, float64(time.Since(began).Milliseconds()))
				if o = next; len(saves)%2 == 1 {
					o = optional
				}
			}
		}()
		found, err := signers.run(b.size.hashing)
		close(stop)
		return found, errors.Join(err, <-done)
	}
	found, err := alternate(b.size.rounds, busy, func() ([]float64, error) { return signers.run(b.size.hashing) })
	if err != nil {
		return err
	}
	many := fmt.Sprintf(", %d people, %s", w.users, engine)
	b.table.add("preview of a workgroup, median"+many, median(previews), "ms", below(2000))
	b.table.add("saving what it requires, median"+many, median(saves), "ms", below(2000))
	b.table.compare("sign-ins while it is saved again and again, "+engine, found[0], "/s", atLeast(0.8))
	if _, err := a.Groups.Save(b.ctx, group, optional, nil); err != nil {
		return err
	}
	for some := true; some; time.Sleep(time.Second) { // the rows of these people are made anew after each change; of those that meet, one is enough
		if err := a.DB.QueryRowContext(b.ctx, `SELECT EXISTS (SELECT 1 FROM directory_rounds)`).Scan(&some); err != nil {
			return err
		}
	}
	return asked(b, a, n, w, engine)
}

// asked is how long a session goes on that another node has in memory.
func asked(b *bench, a *app.App, n *node, w *world, engine string) error {
	c, err := call(n.address, "")
	if err != nil {
		return err
	}
	defer c.close()
	ask := get(n.address, "/api/v1/session", cookie(visit.SessionCookie, w.sessions[0]))
	if err := c.expect(200, ask); err != nil {
		return err
	}
	began := time.Now()
	if _, err := a.Groups.Save(b.ctx, group, admin.Options{Require: true, When: "once"}, nil); err != nil {
		return err
	}
	for c.status != 401 {
		if time.Since(began) > 10*time.Second {
			return errors.New("a live session was not asked")
		}
		time.Sleep(time.Millisecond)
		if err := c.ask(ask); err != nil {
			return err
		}
	}
	b.table.add("required at once, until another node asks a session, "+engine, float64(time.Since(began).Milliseconds()), "ms", below(5000))
	return nil
}

// gather puts everybody into one workgroup, and makes their rows in the directory.
func gather(ctx context.Context, a *app.App) error {
	err := a.DB.Tx(ctx, func(tx auth.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO workgroups (id, name, name_key, level, added_at) VALUES ($1, 'Everybody', 'everybody', '{}', 1)`, group); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE users SET workgroup_id = $1, joined_at = 1`, group)
		return err
	})
	return errors.Join(err, a.Directory.CatchUp(ctx), a.Directory.Mend(ctx))
}
