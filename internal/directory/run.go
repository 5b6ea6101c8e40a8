package directory

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/workgroup"
)

// few is how many people are looked at in one transaction.
const few = 20

// Run keeps the rows up to date until ctx ends. All nodes do the same work; who comes second finds nothing to do.
func (d *Directory) Run(ctx context.Context, log *slog.Logger) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	mended := time.Time{}
	for failed := false; ctx.Err() == nil; {
		err := d.CatchUp(ctx)
		if now := d.Clock(); err == nil && now.Sub(mended) >= 5*time.Minute {
			err, mended = d.Mend(ctx), now
		}
		if err != nil && !failed && ctx.Err() == nil {
			log.Error("the directory stays behind", "error", err) // once, not every second
		}
		failed = err != nil
		select {
		case <-second.C:
		case <-ctx.Done():
		}
	}
}

// CatchUp looks at everybody who is due, and goes on with the rounds.
func (d *Directory) CatchUp(ctx context.Context) error {
	for ctx.Err() == nil {
		people, err := due(ctx, d.DB, d.Clock())
		if err != nil {
			return err
		}
		if len(people) == 0 {
			break
		}
		if err := d.DB.Tx(ctx, func(tx auth.Tx) error { return d.Refresh(ctx, tx, people...) }); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		r, some, err := rounds.Any(ctx, d.DB)
		if err != nil || !some {
			return err
		}
		if err := d.goOn(ctx, r); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// goOn is the next page of a round. If that began anew meanwhile, it does not move.
func (d *Directory) goOn(ctx context.Context, r workgroup.Round) error {
	found, next, err := members(ctx, d.DB, r)
	if err != nil {
		return err
	}
	if err := d.refreshAll(ctx, found); err != nil {
		return err
	}
	return d.DB.Tx(ctx, func(tx auth.Tx) error { return db.NoneMeans(nil, rounds.Advance(ctx, tx, r, next)) })
}

// Mend makes rows for whoever has none and takes out rows of people who are gone, so that it does not matter how they
// came and went: people of an older version, an import, a statement by hand. It begins a round of everybody if the rows were made
// under other rules, and writes down how people sign in today.
func (d *Directory) Mend(ctx context.Context) error {
	rules := fmt.Sprint(d.Roster.Rules())
	old, err := madeUnder(ctx, d.DB)
	if err != nil {
		return err
	}
	if old != rules {
		if err := d.DB.Tx(ctx, func(tx auth.Tx) error { return adoptRules(ctx, tx, old, rules) }); err != nil {
			return err
		}
	}
	if same, err := sameCounts(ctx, d.DB); err != nil {
		return err
	} else if !same {
		for _, page := range []func(context.Context, auth.Reader, string) ([]auth.UserID, string, error){strangers, departed} {
			if err := d.mendWith(ctx, page); err != nil {
				return err
			}
		}
	}
	return d.DB.Tx(ctx, func(tx auth.Tx) error { return adopted(ctx, tx, d.Clock()) })
}

// mendWith goes along a table page by page, to refresh whom each page finds.
func (d *Directory) mendWith(ctx context.Context, page func(context.Context, auth.Reader, string) ([]auth.UserID, string, error)) error {
	for after, more := "", true; more; {
		found, next, err := page(ctx, d.DB, after)
		if err != nil {
			return err
		}
		if err := d.refreshAll(ctx, found); err != nil {
			return err
		}
		after, more = next, next != ""
	}
	return nil
}

// refreshAll takes a few at a time and rests as long as they took, so that nobody waits for long and whoever signs in has
// the only writer of SQLite for half of the time.
func (d *Directory) refreshAll(ctx context.Context, people []auth.UserID) error {
	for some := range slices.Chunk(people, few) {
		began := time.Now()
		if err := d.DB.Tx(ctx, func(tx auth.Tx) error { return d.Refresh(ctx, tx, some...) }); err != nil {
			return err
		}
		select {
		case <-time.After(time.Since(began)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
