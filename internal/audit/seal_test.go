package audit

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

func TestNodesThatSealAtOnceMakeOneChain(t *testing.T) {
	dbtest.EachAddress(t, schema, func(t *testing.T, address string) {
		const nodes, rounds, rows = 4, 25, 8
		var trails []*Trail
		var files []*db.DB
		for range nodes {
			d := dbtest.Open(t, address)
			files, trails = append(files, d), append(trails, New(d, key, time.Now))
		}
		var sealed, wins atomic.Int64
		for round := range rounds {
			start := make(chan struct{})
			var all sync.WaitGroup
			for i, trail := range trails {
				all.Go(func() { // late rows come in while others seal
					<-start
					for range rows / nodes {
						record(t, files[i], trail, request, auth.Event{Kind: auth.SessionStarted, User: auth.UserID(fmt.Sprint(round))})
					}
				})
				all.Go(func() {
					<-start
					for range 3 {
						n, err := trail.Seal(t.Context())
						if err != nil {
							t.Error(err)
						}
						if n > 0 {
							wins.Add(1)
						}
						sealed.Add(int64(n))
					}
				})
			}
			close(start)
			all.Wait()
		}
		n, err := trails[0].Seal(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			wins.Add(1)
		}
		report, found := verify(t, trails[1], "")
		if len(found) > 0 || report.Rows != rounds*rows || report.Unsealed != 0 || report.Seals != wins.Load() || sealed.Load()+int64(n) != rounds*rows {
			t.Errorf("%d sealed in %d: %+v %v", sealed.Load()+int64(n), wins.Load(), report, found)
		}
	})
}

func TestSealingTakesOneBatchAtATimeOldestFirst(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail := New(d, key, ticking())
		record(t, d, trail, request, make([]auth.Event, batch+2)...)
		for _, want := range []int{batch, 2, 0, 0} {
			if n, err := trail.Seal(t.Context()); n != want || err != nil {
				t.Error(n, err, "want", want)
			}
		}
		if n := count(t, d, `SELECT COUNT(*) FROM events WHERE seal = 2 AND at > (SELECT MAX(at) FROM events WHERE seal = 1)`); n != 2 {
			t.Error("the newest were not the last")
		}
		if report, found := verify(t, trail, ""); len(found) > 0 || report.Rows != batch+2 || report.Seals != 2 {
			t.Error(report, found)
		}
	})
}

func TestNothingToSealBeginsNoTransaction(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t, schema))
	trail := New(d, key, ticking())
	err := d.Tx(t.Context(), func(auth.Tx) error { // keeps the only writer
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		_, err := trail.Seal(ctx)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRunSealsWhatIsLeftAndLogsAHeadThatAnchors(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail := New(d, key, time.Now)
		ctx, stop := context.WithCancel(t.Context())
		var log strings.Builder
		var all sync.WaitGroup
		record(t, d, trail, request, auth.Event{Kind: auth.SessionStarted})
		all.Go(func() { trail.Run(ctx, slog.New(slog.NewTextHandler(&log, nil))) })
		for count(t, d, `SELECT COUNT(*) FROM event_seals`) == 0 {
			time.Sleep(time.Millisecond)
		}
		record(t, d, trail, request, auth.Event{Kind: auth.SessionEnded})
		stop()
		all.Wait()
		heads := regexp.MustCompile(`level=INFO .*head=(\d+:[0-9a-f]{64})\n`).FindAllStringSubmatch(log.String(), -1)
		if len(heads) == 0 || len(heads) != strings.Count(log.String(), "\n") {
			t.Fatal(log.String())
		}
		for _, head := range heads {
			report, found := verify(t, trail, head[1])
			if len(found) > 0 || report.Unsealed != 0 {
				t.Error(head[1], report, found)
			}
		}
	})
}

func TestAMissingDatabaseIsLoggedOnce(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t, schema))
	trail := New(d, key, time.Now)
	d.Close()
	ctx, stop := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer stop()
	var log strings.Builder
	trail.Run(ctx, slog.New(slog.NewTextHandler(&log, nil)))
	if n := strings.Count(log.String(), `"events wait for their seal"`); n != 1 {
		t.Error(log.String())
	}
}
