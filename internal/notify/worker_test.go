package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/auth"
)

// Two nodes share the work of 10 000 messages: each is carried once.
func TestTwoNodesCarryEachMessageOnce(t *testing.T) {
	const n = 10_000
	each(t, func(w *world) {
		a, b := w.node(), w.node()
		var by [2]atomic.Int64
		for i, o := range []*Outbox{a, b} {
			o.Carriers = map[Channel]Carrier{Email: counting{w, &by[i]}, SMS: counting{w, &by[i]}}
		}
		stop := []func(){w.run(a), w.run(b)}
		start := time.Now()
		for i := range 20 { // while they carry
			from := []*Outbox{a, b}[i%2]
			w.do(from, func(tx auth.Tx) error {
				for j := range n / 20 {
					m := aMail(fmt.Sprint("m", i, "-", j))
					if j%2 == 1 {
						m.Channel = SMS
					}
					if err := from.Send(w.Context(), tx, m); err != nil {
						return err
					}
				}
				return nil
			})
		}
		w.within(time.Minute, "all of them", func() bool { return a.waiting() == 0 })
		w.Logf("%d messages in %v, %d by one node and %d by the other", n, time.Since(start), by[0].Load(), by[1].Load())
		for _, s := range stop {
			s()
		}
		times := map[string]int{}
		for _, id := range w.ids() {
			times[id]++
		}
		if len(times) != n || len(w.ids()) != n {
			w.Errorf("%d messages were carried in %d letters", len(times), len(w.ids()))
		}
		if by[0].Load() == 0 || by[1].Load() == 0 {
			w.Error("one of them did nothing")
		}
		var delivered int
		if err := a.DB.QueryRowContext(w.Context(), `SELECT COUNT(*) FROM outbox WHERE state = 'delivered' AND sealed IS NULL`).Scan(&delivered); err != nil || delivered != n {
			w.Error(delivered, "are noted as delivered", err)
		}
	})
}

// counting counts what one node hands over.
type counting struct {
	*world
	n *atomic.Int64
}

func (c counting) Carry(ctx context.Context, l Letter) error {
	c.n.Add(1)
	return c.world.Carry(ctx, l)
}

func TestAnErrorIsTriedAgainLaterAndLater(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		w.answer = func(Letter) error { return errors.New("busy") }
		m := aMail("a")
		m.Lifetime = 24 * time.Hour
		w.send(o, m)
		for i, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300} {
			pause *= time.Second
			w.step(o)
			if got := len(w.ids()); got != i+1 {
				w.Fatalf("%d tries, want %d", got, i+1)
			}
			w.is(o, "a", Waiting, "")
			wait := w.row(o, "a").due.Sub(w.clock())
			if wait < pause*4/5 || wait > pause*6/5 {
				w.Errorf("after %d tries it waits %v, want about %v", i+1, wait, pause)
			}
			w.pass(wait - time.Microsecond)
			w.step(o)
			if len(w.ids()) != i+1 {
				w.Error("tried too early")
			}
			w.pass(time.Microsecond)
		}
		w.answer = nil
		w.step(o)
		w.is(o, "a", Delivered, "")
		w.pass(time.Hour)
		w.step(o)
		if len(w.ids()) != 13 {
			w.Error(len(w.ids()), "tries")
		}
	})
}

func TestBackoffScattersMessages(t *testing.T) {
	for tries := 1; tries < 100; tries++ {
		seen := map[time.Duration]bool{}
		for range 50 {
			pause := backoff(tries)
			seen[pause] = true
			if pause < 800*time.Millisecond || pause > 6*time.Minute {
				t.Fatalf("after %d tries: %v", tries, pause)
			}
		}
		if len(seen) < 10 {
			t.Errorf("after %d tries, all at the same time: %v", tries, seen)
		}
	}
}

func TestRefusedIsFinal(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		w.answer = func(Letter) error { return fmt.Errorf("no such mailbox: %w", auth.ErrRefused) }
		w.send(o, aMail("a"))
		w.step(o)
		w.is(o, "a", Failed, "refused")
		w.answer = nil
		for range 10 {
			w.pass(lease)
			w.step(o)
		}
		if len(w.ids()) != 1 {
			w.Error(len(w.ids()), "tries")
		}
	})
}

// A code that nobody could take any more is not sent, and people are told that it did not work.
func TestNothingIsSentAfterItsEndAndThatIsTold(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		end := noon.Add(10 * time.Minute)
		w.answer = func(l Letter) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if !w.now.Before(end) {
				w.Errorf("%s was sent at %v", l.ID, w.now)
			}
			return errors.New("busy")
		}
		w.send(o, aMail("tried"), anSMS("tried too"))
		for w.clock().Before(end.Add(time.Hour)) {
			w.step(o)
			w.pass(time.Second)
		}
		w.is(o, "tried", Failed, "expired")
		w.is(o, "tried too", Failed, "expired")
		if n := len(w.ids()); n < 10 {
			w.Error("only", n, "tries")
		}
		if w.row(o, "tried").sealed != nil {
			w.Error("its content is still there")
		}

		brief := aMail("brief")
		brief.Lifetime = 500 * time.Millisecond // less than the pause before another try, so that is told at once
		end = w.clock().Add(time.Hour)
		w.send(o, brief)
		w.step(o)
		w.is(o, "brief", Failed, "expired")

		end = w.clock().Add(10 * time.Minute)
		w.send(o, aMail("in time"), aMail("never looked at")) // while no node runs
		w.pass(10*time.Minute - time.Microsecond)
		mine, err := o.claim(w.Context(), Email, 1)
		if err != nil || len(mine) != 1 {
			w.Fatal(mine, err)
		}
		w.answer = nil
		o.carry(w.Context(), mine[0])
		w.is(o, mine[0].id, Delivered, "")
		w.pass(time.Microsecond) // the end itself is too late
		before := len(w.ids())
		w.step(o)
		if len(w.ids()) != before {
			w.Error("sent at its end")
		}
		var expired int
		if err := o.DB.QueryRowContext(w.Context(), `SELECT COUNT(*) FROM outbox WHERE why = 'expired'`).Scan(&expired); err != nil || expired != 4 {
			w.Error(expired, "expired", err)
		}
	})
}

// The other side hangs in 15 of 16 hands.
func TestASlowOtherSideHoldsUpNobodyElse(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		release := make(chan struct{})
		var hang atomic.Int64
		w.answer = func(l Letter) error {
			if strings.HasPrefix(l.ID, "slow") {
				hang.Add(1)
				<-release
			}
			return nil
		}
		defer sync.OnceFunc(func() { close(release) })()
		w.run(o)
		for i := range hands - 1 {
			w.send(o, aMail(fmt.Sprint("slow", i)))
		}
		w.within(5*time.Second, "all but one hand", func() bool { return hang.Load() == hands-1 })
		for i := range 100 {
			w.send(o, aMail(fmt.Sprint("mail", i)), anSMS(fmt.Sprint("sms", i)))
		}
		w.within(10*time.Second, "everything else", func() bool {
			var n int
			err := o.DB.QueryRowContext(w.Context(), `SELECT COUNT(*) FROM outbox WHERE state = 'delivered'`).Scan(&n)
			return err == nil && n == 200
		})
		w.is(o, "slow0", Sending, "")
		go func() { time.Sleep(20 * time.Millisecond); release <- struct{}{} }()
		w.within(5*time.Second, "the first of the slow", func() bool { return hang.Load() == hands-1 && o.waiting() == hands-2 })
	})
}

// What is under way when a node is asked to end is finished and noted.
func TestANodeThatEndsFinishesWhatItBegan(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		begun, release := make(chan struct{}), make(chan struct{})
		w.answer = func(Letter) error { close(begun); <-release; return nil }
		stop := w.run(o)
		w.send(o, aMail("a"))
		<-begun
		go func() { time.Sleep(50 * time.Millisecond); close(release) }()
		stop()
		w.is(o, "a", Delivered, "")
	})
}

func TestTheMessagesOfADeadNodeAreTakenOverAfterTheLeaseAndNotBefore(t *testing.T) {
	each(t, func(w *world) {
		dead, o := w.node(), w.node()
		w.send(o, aMail("a"))
		mine, err := dead.claim(w.Context(), Email, batch) // and kill -9
		if err != nil || len(mine) != 1 {
			w.Fatal(mine, err)
		}
		w.step(o)
		w.pass(lease - time.Microsecond)
		w.step(o)
		if len(w.ids()) != 0 {
			w.Error("taken too early")
		}
		w.is(o, "a", Sending, "")
		w.pass(time.Microsecond)
		w.step(o)
		w.is(o, "a", Delivered, "")
		if len(w.ids()) != 1 {
			w.Error(w.ids())
		}
	})
}

// A node that was stopped for a while, as a suspended machine is, must not carry what another has by now, nor undo what
// it noted.
func TestANodeThatOversleptItsLeaseTouchesNothing(t *testing.T) {
	each(t, func(w *world) {
		slow, o := w.node(), w.node()
		claim := func(id string) row {
			w.Helper()
			w.send(o, aMail(id))
			mine, err := slow.claim(w.Context(), Email, 1)
			if err != nil || len(mine) != 1 {
				w.Fatal(mine, err)
			}
			return mine[0]
		}
		late := claim("in the queue")
		w.pass(lease - patience + time.Microsecond) // too little is left for a try
		slow.carry(w.Context(), late)
		if len(w.ids()) != 0 {
			w.Error("carried with a lease that ends on the way")
		}
		w.pass(patience)
		w.step(o)
		w.is(o, "in the queue", Delivered, "")

		for _, said := range []struct {
			state State
			why   string
			due   time.Duration
		}{{Failed, "refused", 0}, {Failed, "expired", 0}, {Waiting, "", time.Second}} {
			id := fmt.Sprint("late ", said.state, said.why)
			late := claim(id)
			w.pass(lease)
			theirs, err := o.claim(w.Context(), Email, 1)
			if err != nil || len(theirs) != 1 {
				w.Fatal(theirs, err)
			}
			due := time.Time{}
			if said.due > 0 {
				due = w.clock().Add(said.due)
			}
			if err := slow.note(w.Context(), late, said.state, said.why, due); err != nil {
				w.Fatal(err)
			}
			w.is(o, id, Sending, "")
			o.carry(w.Context(), theirs[0])
			w.is(o, id, Delivered, "")
			if err := slow.note(w.Context(), late, said.state, said.why, due); err != nil {
				w.Fatal(err)
			}
			w.is(o, id, Delivered, "")
		}

		// That it was delivered is true whoever says it.
		late = claim("delivered late")
		w.pass(lease)
		theirs, err := o.claim(w.Context(), Email, 1)
		if err != nil || len(theirs) != 1 {
			w.Fatal(theirs, err)
		}
		if err := slow.note(w.Context(), late, Delivered, "", time.Time{}); err != nil {
			w.Fatal(err)
		}
		if err := o.note(w.Context(), theirs[0], Failed, "refused", time.Time{}); err != nil {
			w.Fatal(err)
		}
		w.is(o, "delivered late", Delivered, "")
	})
}

// C8
func TestWhatTheOtherSideSaysNeverReachesTheTable(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		w.answer = func(l Letter) error {
			err := errors.New("mailbox of ann@example.com: K7MQ-3XTP")
			if l.ID == "for good" {
				err = fmt.Errorf("%w: %w", err, auth.ErrRefused)
			}
			return err
		}
		w.send(o, aMail("for now"), aMail("for good"))
		w.step(o)
		if table := w.raw(o); strings.Contains(table, "ann@") || strings.Contains(table, "K7MQ") || strings.Contains(table, "mailbox") {
			w.Error(table)
		}
		w.is(o, "for now", Waiting, "")
		w.is(o, "for good", Failed, "refused")
	})
}

func TestABrokenRowFailsAlone(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		w.send(o, aMail("a"), aMail("torn"), aMail("empty"), aMail("strange key"), aMail("b"))
		w.do(o, func(tx auth.Tx) error {
			for id, sealed := range map[string][]byte{
				"torn": w.row(o, "a").sealed[:20], "empty": nil, "strange key": append([]byte{0xff, 0xff, 0xff, 0xff, 0xff}, w.row(o, "a").sealed...),
			} {
				if _, err := tx.ExecContext(w.Context(), `UPDATE outbox SET sealed = $2 WHERE id = $1`, id, sealed); err != nil {
					return err
				}
			}
			return nil
		})
		w.run(o)
		w.within(5*time.Second, "the others", func() bool { return o.waiting() == 0 })
		for id, state := range map[string]State{"a": Delivered, "b": Delivered, "torn": Failed, "empty": Failed, "strange key": Failed} {
			why := ""
			if state == Failed {
				why = "fault"
			}
			w.is(o, id, state, why)
		}
	})
}

// While nodes are upgraded one after another, an old one meets messages it has no words for. It leaves them to the others.
func TestAMessageOfANewerProgramWaitsForANodeThatKnowsIt(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		w.send(o, aMail("a"))
		rename := func(name string) {
			w.do(o, func(tx auth.Tx) error {
				_, err := tx.ExecContext(w.Context(), `UPDATE outbox SET message = $1`, name)
				return err
			})
		}
		rename("notice-of-tomorrow")
		w.step(o)
		w.is(o, "a", Waiting, "")
		rename("code-signin") // the next program knows it
		w.pass(2 * time.Second)
		w.step(o)
		w.is(o, "a", Delivered, "")
	})
}

func TestTriesAreCounted(t *testing.T) {
	each(t, func(w *world) {
		metrics := w.metrics
		o := w.node()
		w.answer = func(l Letter) error {
			return map[string]error{"busy": errors.New("busy"), "never": auth.ErrRefused}[l.ID]
		}
		w.send(o, aMail("a"), aMail("b"), aMail("busy"), anSMS("never"))
		w.step(o)
		families, err := metrics.Gather()
		if err != nil {
			w.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			for _, m := range f.Metric {
				name := f.GetName()
				for _, l := range m.Label {
					name += " " + l.GetValue()
				}
				got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		want := map[string]float64{"sallyport_messages_total email delivered": 2, "sallyport_messages_total email later": 1,
			"sallyport_messages_total sms failed": 1, "sallyport_outbox_waiting": 1}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			w.Errorf("%v, want %v", got, want)
		}
	})
}
