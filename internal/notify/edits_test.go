package notify

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/auth"
)

func (w *world) edit(o *Outbox, language, message string, pairs ...string) error {
	w.Helper()
	lines := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		lines[pairs[i]] = pairs[i+1]
	}
	return o.DB.Tx(w.Context(), func(tx auth.Tx) error { return o.Edits.Save(w.Context(), tx, language, message, lines) })
}

func (w *world) last() Letter {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.carried) == 0 {
		w.Fatal("nothing was sent")
	}
	return w.carried[len(w.carried)-1]
}

// A6: a message says what is true when it is sent, not when it was made, and the original is one act away.
func TestAMessageSaysWhatWasEditedBeforeItIsSent(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		w.send(o, aMail("before"), anSMS("sms"))
		w.must(w.edit(o, "en", "code-signin", "subject", "{code}: welcome", "sms", "Welcome {code}"))
		w.step(o)
		if l := w.last(); l.Text != "Welcome K7MQ-3XTP\n\n@login.example.com #K7MQ-3XTP" {
			w.Errorf("%q", l.Text)
		}
		if w.carried[0].Mail.Subject != "K7MQ-3XTP: welcome" || !strings.Contains(w.carried[0].Mail.Text, "Your sign-in code") {
			w.Errorf("%+v", w.carried[0].Mail)
		}
		w.must(o.DB.Tx(w.Context(), func(tx auth.Tx) error {
			changed, err := o.Edits.Restore(w.Context(), tx, "en", "code-signin")
			if !changed {
				w.Error("nothing was there to take back")
			}
			return err
		}))
		w.send(o, aMail("after"))
		w.step(o)
		if l := w.last(); l.Mail.Subject != "K7MQ-3XTP is your Example code" {
			w.Error(l.Mail.Subject)
		}
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// What is saved as it was is not kept: it follows when that changes.
func TestOnlyWhatDiffersIsKept(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		lines := o.Edits.Original().Lines("en", "test")
		count := func() (n int) {
			w.must(o.DB.QueryRowContext(w.Context(), `SELECT COUNT(*) FROM texts`).Scan(&n))
			return n
		}
		pairs := func(title string) (all []string) {
			for key, words := range lines {
				if key == "title" {
					words = title
				}
				all = append(all, key, words)
			}
			return all
		}
		w.must(w.edit(o, "en", "test", pairs("Mine")...))
		if n := count(); n != 1 {
			w.Errorf("%d rows for one changed text", n)
		}
		changed, err := o.Edits.Changed(w.Context(), "en")
		if err != nil || len(changed) != 1 || !changed["test"].Equal(noon) {
			w.Error(changed, err)
		}
		w.pass(time.Hour)
		w.must(w.edit(o, "en", "test", pairs("Mine")...)) // pressed twice
		if changed, _ := o.Edits.Changed(w.Context(), "en"); !changed["test"].Equal(noon) {
			w.Error("what did not change has another time: ", changed)
		}
		w.must(w.edit(o, "en", "test", pairs(lines["title"])...))
		if n := count(); n != 0 {
			w.Errorf("%d rows for none", n)
		}
	})
}

func TestAnEditThatCannotStandIsNotSaved(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		for _, bad := range [][]string{
			{"en", "test", "subject", "a\r\nBcc: eve@example.net"},
			{"en", "notice-email", "lead", "{agent.email}"},
			{"en", "code-signin", "sms", "no code"},
			{"en", "nothing", "subject", "x"},
			{"xx", "test", "subject", "x"},
		} {
			if w.edit(o, bad[0], bad[1], bad[2:]...) == nil {
				w.Errorf("%q was saved", bad)
			}
		}
		if changed, err := o.Edits.Changed(w.Context(), "en"); err != nil || len(changed) != 0 {
			w.Error(changed, err)
		}
	})
}

// A6: every node says it within a second, one that cannot hear at once, and a node that listens reads nothing twice.
func TestEveryNodeHearsOfAnEdit(t *testing.T) {
	each(t, func(w *world) {
		deaf, near, far := w.node(), w.node(), w.node()
		ctx, stop := context.WithCancel(w.Context())
		ended := make(chan struct{}, 2)
		for _, o := range []*Outbox{near, far} {
			go func() { o.DB.Listen(ctx); ended <- struct{}{} }()
		}
		w.Cleanup(func() { stop(); <-ended; <-ended })
		w.within(10*time.Second, "both listen", func() bool { return near.DB.Hears() && far.DB.Hears() })
		title := func(o *Outbox) string { return o.Edits.Texts(w.Context()).Lines("en", "test")["title"] }
		before := title(far)
		if title(deaf) != before {
			w.Error("two nodes differ")
		}
		if far.Edits.Texts(w.Context()) != far.Edits.Texts(w.Context()) {
			w.Error("what a node that hears has read it reads again")
		}
		w.must(w.edit(near, "en", "test", "title", "Now"))
		if title(near) != "Now" || title(deaf) != "Now" {
			w.Error("the node itself, or one that is deaf, does not know")
		}
		w.within(time.Second, "the other node knows", func() bool { return title(far) == "Now" })
		w.must(near.DB.Tx(w.Context(), func(tx auth.Tx) error { _, err := near.Edits.Restore(w.Context(), tx, "en", "test"); return err }))
		w.within(time.Second, "the other node knows that it was taken back", func() bool { return title(far) == before })
	})
}

// What was read before an edit is not kept after it, however the two meet.
func TestWhatWasReadBeforeAnEditIsNotKept(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		ctx, stop := context.WithCancel(w.Context())
		var all sync.WaitGroup
		all.Go(func() { o.DB.Listen(ctx) })
		w.Cleanup(func() { stop(); all.Wait() })
		w.within(10*time.Second, "it listens", o.DB.Hears)
		read, _, err := o.Edits.Read(w.Context())
		w.must(err)
		age := o.Edits.forgets
		w.must(w.edit(o, "en", "test", "title", "Now"))
		o.Edits.keep(read, age) // by somebody who was slow
		if title := o.Edits.Texts(w.Context()).Lines("en", "test")["title"]; title != "Now" {
			w.Errorf("%q", title)
		}
	})
}

// A row that makes no sense, by whatever way it came there, is as if it were not there. So is a table that is not.
func TestABrokenEditDoesNotKeepMessagesFromBeingSent(t *testing.T) {
	for name, row := range map[string][]any{
		"a tag that is gone":    {"en", "code-signin", "subject", "{agent.fax}"},
		"a line break":          {"en", "code-signin", "sms", "{code}\n\n@evil.example #1"},
		"a text of no message":  {"en", "code-signin", "body", "x"},
		"a message that is not": {"en", "code-of-old", "subject", "x"},
		"a language that is no": {"tlh", "code-signin", "subject", "x"},
		"no words":              {"en", "code-signin", "lead", ""},
		"nonsense":              {"", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				o := w.node()
				w.must(w.edit(o, "en", "test", "subject", "Still edited"))
				w.do(o, func(tx auth.Tx) error {
					_, err := tx.ExecContext(w.Context(), `INSERT INTO texts (language, message, part, words, changed_at) VALUES ($1, $2, $3, $4, 1)`, row...)
					return err
				})
				test := aMail("test")
				test.Name = "test"
				w.send(o, aMail("mail"), anSMS("sms"), test)
				w.step(o)
				for _, id := range []string{"mail", "sms", "test"} {
					w.is(o, id, Delivered, "")
				}
				if w.carried[0].Mail.Subject != "K7MQ-3XTP is your Example code" || w.carried[1].Mail.Subject != "Still edited" ||
					!strings.HasSuffix(w.last().Text, "\n\n@login.example.com #K7MQ-3XTP") {
					w.Errorf("%+v", w.carried)
				}
				if !strings.Contains(w.log.String(), "edited text cannot be used") {
					w.Error("the log does not say so")
				}
			})
		})
	}
	t.Run("no table", func(t *testing.T) {
		each(t, func(w *world) {
			o := w.node()
			w.send(o, aMail("mail"))
			w.do(o, func(tx auth.Tx) error { _, err := tx.ExecContext(w.Context(), `DROP TABLE texts`); return err })
			w.step(o)
			w.is(o, "mail", Delivered, "")
		})
	})
}

// C8: how a message fares is told to whom it is for, and of no other text than was asked for.
func TestProgressIsToldToItsPersonAlone(t *testing.T) {
	each(t, func(w *world) {
		o := w.node()
		m := aMail("mine")
		m.Name = "test"
		w.send(o, m, aMail("code"))
		if p, err := o.Progress(w.Context(), "mine", "test", ann.ID); err != nil || p.State != Waiting || p.Channel != Email || p.Tries != 0 {
			w.Error(p, err)
		}
		for _, c := range [][3]string{{"mine", "test", "eve"}, {"mine", "test", ""}, {"code", "test", "ann"}, {"nothing", "test", "ann"}} {
			if _, err := o.Progress(w.Context(), c[0], c[1], auth.UserID(c[2])); err != auth.ErrNotFound {
				w.Error(c, err)
			}
		}
		w.answer = func(Letter) error { return auth.ErrRefused }
		w.step(o)
		if p, err := o.Progress(w.Context(), "mine", "test", ann.ID); err != nil || p.State != Failed || p.Why != "refused" || p.Tries != 1 {
			w.Error(p, err)
		}
	})
}
