package notify

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
)

// C9
func TestAMessageExistsExactlyWhenItsTransactionCommits(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		broken := errors.New("something else went wrong")
		err := o.DB.Tx(t.Context(), func(tx auth.Tx) error {
			if err := o.Send(w.Context(), tx, aMail("undone")); err != nil {
				return err
			}
			if s, err := o.State(w.Context(), tx, "undone"); s != Waiting {
				w.Error("inside: ", s, err)
			}
			if s, err := o.State(w.Context(), o.DB, "undone"); s != Unknown || err != nil {
				w.Error("outside, before the commit: ", s, err)
			}
			return broken
		})
		if !errors.Is(err, broken) {
			w.Fatal(err)
		}
		w.is(o, "undone", Unknown, "")
		w.send(o, aMail("done"))
		w.is(o, "done", Waiting, "")
		w.step(o)
		w.is(o, "done", Delivered, "")
		if got := w.ids(); !slices.Equal(got, []string{"done"}) {
			w.Error(got)
		}
	})
}

// A node that runs hears of a commit at once, not with the next look.
func TestACommitWakesTheWorker(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		w.run(o)
		time.Sleep(50 * time.Millisecond) // its first look is over
		start := time.Now()
		w.send(o, aMail("a"), anSMS("b"))
		w.within(look/2, "both", func() bool { return len(w.ids()) == 2 })
		w.Log("carried after", time.Since(start))
	})
}

func TestALetterIsInTheLanguageOfItsRecipient(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		for language, subject := range map[string]string{"de": "K7MQ-3XTP ist Ihr Code für Example", "": "K7MQ-3XTP is your Example code", "tlh": "K7MQ-3XTP is your Example code"} {
			m := aMail("in-" + language)
			m.User.Language = language
			w.send(o, m)
			w.step(o)
			l := w.carried[len(w.carried)-1]
			if l.Mail.Subject != subject || l.To != "ann@example.com" || l.Name != "Ann Example" || !l.At.Equal(noon) || l.Text != "" {
				w.Errorf("%q: %+v", language, l)
			}
		}
		w.send(o, anSMS("sms"))
		w.step(o)
		if l := w.carried[len(w.carried)-1]; l.To != "+46701234567" || !strings.HasPrefix(l.Text, "K7MQ-3XTP is your Example code.") || l.Mail.Subject != "" {
			w.Errorf("%+v", l)
		}
	})
}

// C8
func TestContentsAreSealedWhileTheyWaitAndGoneAfterwards(t *testing.T) {
	secrets := []string{"ann@example.com", "Ann Example", "K7MQ", "3XTP", "+46701234567", "login.example.com"}
	each(t, func(w *world) {
		o := w.node()
		see := func(when string) {
			w.Helper()
			table := w.raw(o)
			for _, s := range secrets {
				if strings.Contains(table, s) {
					w.Errorf("%s, %q stands in the table", when, s)
				}
			}
		}
		w.send(o, aMail("a"), anSMS("b"), aMail("refused"))
		w.answer = func(l Letter) error {
			if l.ID == "refused" {
				return auth.ErrRefused
			}
			return nil
		}
		see("while it waits")
		if w.row(o, "a").sealed == nil {
			w.Error("there is nothing to send")
		}
		w.step(o)
		see("afterwards")
		for _, id := range []string{"a", "b", "refused"} {
			if r := w.row(o, id); r.sealed != nil || !r.due.IsZero() {
				w.Errorf("%s: something is left: %+v", id, r)
			}
		}
		if letters, err := o.Kept(t.Context(), 10); len(letters) != 0 || err != nil {
			w.Error(letters, err)
		}
	})
}

func TestContentsStayOnlyWhereTheyAreKept(t *testing.T) {
	each(t, func(w *world) {
		o := w.node(func(p *Parts) { p.Keep = true })
		w.send(o, aMail("a"))
		w.step(o)
		letters, err := o.Kept(w.Context(), 10)
		if err != nil || len(letters) != 1 || !strings.Contains(letters[0].Mail.Text, "K7MQ-3XTP") {
			w.Error(letters, err)
		}
	})
}

// What was sealed for one row opens in no other: an edited table cannot send a code to somebody else.
func TestARowOpensUnderItsOwnNameAlone(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		other := aMail("b")
		other.To = "bob@example.com"
		w.send(o, aMail("a"), other)
		w.do(o, func(tx auth.Tx) error {
			_, err := tx.ExecContext(w.Context(), `UPDATE outbox SET sealed = (SELECT sealed FROM outbox WHERE id = 'b') WHERE id = 'a'`)
			return err
		})
		w.step(o)
		w.is(o, "a", Failed, "fault")
		w.is(o, "b", Delivered, "")
	})
}

// Whoever does not exist costs a row like everybody else, and gets nothing.
func TestNothingForNobodyIsEverCarried(t *testing.T) {
	each(t, func(w *world) {
		o := w.node(func(p *Parts) { p.Keep = true })
		nobody := aMail("nobody")
		nobody.User = auth.User{}
		w.send(o, nobody, aMail("a"))
		length := len(w.row(o, "nobody").sealed)
		named := aMail("named")
		named.User = auth.User{ID: "x"}
		w.send(o, named)
		if length == 0 || length != len(w.row(o, "named").sealed) {
			w.Error(length, "bytes are sealed for nobody and", len(w.row(o, "named").sealed), "for somebody")
		}
		for range 20 {
			w.step(o)
			w.pass(lease)
		}
		if got := w.ids(); len(got) != 2 || slices.Contains(got, "nobody") {
			w.Error(got)
		}
		w.is(o, "nobody", Failed, "nobody")
		body, err := w.keys.Open(w.row(o, "nobody").sealed, "outbox", "nobody", "sealed")
		if err != nil || strings.Trim(string(body), "\x00") != "" {
			w.Errorf("%q %v", body, err)
		}
	})
}

// A dead code is not tried again; what the other side took is not taken back.
func TestCancelTakesBackWhatNobodyHasTaken(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		cancel := func(id string) {
			w.Helper()
			w.do(o, func(tx auth.Tx) error { return o.Cancel(w.Context(), tx, id) })
		}
		w.send(o, aMail("waiting"))
		cancel("waiting")
		w.is(o, "waiting", Unknown, "")

		w.send(o, aMail("sending"))
		mine, err := o.claim(w.Context(), Email, 1)
		if err != nil || len(mine) != 1 {
			w.Fatal(mine, err)
		}
		cancel("sending")
		w.is(o, "sending", Unknown, "")
		o.carry(w.Context(), mine[0]) // the try under way changes nothing
		w.is(o, "sending", Unknown, "")

		w.send(o, aMail("delivered"))
		w.step(o)
		cancel("delivered")
		w.is(o, "delivered", Delivered, "")

		w.answer = func(Letter) error { return errors.New("busy") }
		w.send(o, aMail("tried"))
		w.step(o)
		cancel("tried")
		w.is(o, "tried", Unknown, "")

		cancel("never heard of")
		if got := w.ids(); !slices.Equal(got, []string{"sending", "delivered", "tried"}) {
			w.Error(got)
		}
	})
}

func TestSweepRemovesWhatIsLongOverAndNothingElse(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		w.send(o, aMail("old"))
		w.step(o)
		w.pass(kept - time.Hour)
		long := aMail("waits")
		long.Lifetime = 100 * 24 * time.Hour
		w.send(o, long, aMail("new"))
		sweep := func() {
			w.Helper()
			if err := o.Sweep(w.Context()); err != nil {
				w.Fatal(err)
			}
		}
		sweep()
		w.is(o, "old", Delivered, "")
		w.pass(time.Hour + time.Second)
		sweep()
		w.is(o, "old", Unknown, "")
		w.is(o, "waits", Waiting, "")
		w.is(o, "new", Failed, "expired")
		w.pass(kept)
		sweep()
		w.is(o, "new", Unknown, "")
		w.is(o, "waits", Waiting, "")
	})
}

// A channel that was taken out of the settings leaves nothing readable behind, and nothing that waits for good.
func TestMessagesOfAChannelThatIsGoneAreGivenUp(t *testing.T) {
	each(t, func(w *world) {
		w.send(w.node(), anSMS("a"))
		o := w.node(func(p *Parts) { delete(p.Carriers, SMS) })
		if o.Has(SMS) || !o.Has(Email) {
			w.Error("channels")
		}
		stop := w.run(o)
		time.Sleep(50 * time.Millisecond)
		w.pass(10*time.Minute + lease)
		if err := o.Sweep(w.Context()); err != nil {
			w.Fatal(err)
		}
		w.is(o, "a", Waiting, "") // somebody may just be trying
		w.pass(time.Second)
		if err := o.Sweep(w.Context()); err != nil {
			w.Fatal(err)
		}
		stop()
		w.is(o, "a", Failed, "expired")
		if w.row(o, "a").sealed != nil {
			w.Error("its content is still there")
		}
		if n := o.waiting(); n != 0 {
			w.Error(n, "wait")
		}
	})
}
