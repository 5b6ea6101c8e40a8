package secret

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/auth"
)

// Time in these tests is synctest's: it moves only when everybody waits.

func idle() int64 { return 0 }

func work() { time.Sleep(49 * time.Millisecond) }

func testQueue() *queue { return newQueue(2, time.Second, idle) }

func TestNoMoreThanSlotsWorkAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := testQueue()
		var lock sync.Mutex
		atWork, most := 0, 0
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				err := q.do(t.Context(), func() {
					lock.Lock()
					atWork++
					most = max(most, atWork)
					lock.Unlock()
					work()
					lock.Lock()
					atWork--
					lock.Unlock()
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if most != 2 {
			t.Errorf("%d worked at once", most)
		}
	})
}

func TestQueueServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, time.Second, idle)
		var served []int
		var all sync.WaitGroup
		for n := range 10 {
			all.Go(func() { q.do(t.Context(), func() { served = append(served, n); work() }) })
			synctest.Wait() // so that n stands before n+1
		}
		all.Wait()
		if !slices.IsSorted(served) || len(served) != 10 {
			t.Errorf("served %v", served)
		}
	})
}

func TestSurplusIsRefusedAtOnceAndNobodyIsServedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := testQueue()
		start := time.Now()
		var lock sync.Mutex
		served, refused := 0, 0
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				err := q.do(t.Context(), work)
				lock.Lock()
				defer lock.Unlock()
				switch took := time.Since(start); {
				case err == nil && took <= 1050*time.Millisecond:
					served++
				case errors.Is(err, auth.BusyError{After: time.Second}) && took == 0:
					refused++
				default:
					t.Errorf("%v after %v", err, took)
				}
			})
		}
		all.Wait()
		if served != 42 || refused != 22 { // two work, and 2 x 20 can follow within a second
			t.Errorf("served %d, refused %d", served, refused)
		}
	})
}

func TestNobodyWaitsLongerThanTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := testQueue()
		var all sync.WaitGroup
		defer all.Wait()
		for range 2 { // slower than the queue had learned
			all.Go(func() { q.do(t.Context(), func() { time.Sleep(time.Minute) }) })
		}
		synctest.Wait()
		start := time.Now()
		err := q.do(t.Context(), func() { t.Error("it was served") })
		if took := time.Since(start); !errors.Is(err, auth.BusyError{After: time.Second}) || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if n := q.inside.Load(); n != 2 {
			t.Errorf("%d inside", n)
		}
	})
}

func TestSlowWorkShortensTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := testQueue()
		for range 40 {
			q.do(t.Context(), func() { time.Sleep(time.Second) })
		}
		if got := q.room(); got != 4 {
			t.Errorf("room for %d", got)
		}
	})
}

func TestCancelledCallerLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, time.Second, idle)
		var all sync.WaitGroup
		defer all.Wait()
		all.Go(func() { q.do(t.Context(), work) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := q.do(ctx, func() { t.Error("it was served") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if n := q.inside.Load(); n != 1 {
			t.Errorf("%d inside", n)
		}
	})
}

func TestCancelledCallerTakesNoFreeSlot(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if err := testQueue().do(ctx, func() { t.Error("it was served") }); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

func TestSlotRestsForOtherRequests(t *testing.T) {
	for name, c := range map[string]struct {
		requests int64
		want     time.Duration // from one start to the next
	}{
		"none":              {0, 49 * time.Millisecond},
		"a few":             {20, 51 * time.Millisecond},
		"never over a half": {1 << 40, 98 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			var served int64
			q := newQueue(1, time.Second, func() int64 { return served })
			start := time.Now()
			q.do(t.Context(), func() { work(); served += c.requests })
			if answered := time.Since(start); answered != 49*time.Millisecond {
				t.Errorf("%s: the caller waits for the rest, %v", name, answered)
			}
			if err := q.do(t.Context(), func() {
				if got := time.Since(start); got != c.want {
					t.Errorf("%s: the next began after %v", name, got)
				}
			}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestRestsShortenTheQueueToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var served int64
		q := newQueue(1, time.Second, func() int64 { return served })
		for range 40 {
			q.do(t.Context(), func() { time.Sleep(100 * time.Millisecond); served += 1000 })
		}
		if got := q.room(); got != 6 { // half of what 100 ms without a rest would give
			t.Errorf("room for %d", got)
		}
	})
}
