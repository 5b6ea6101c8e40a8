package app_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"sallyport/internal/admin/groups"
	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/db/dbtest"
)

// listening has a world hear of what other nodes do, as a server does.
func (w *world) listening(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { w.DB.Listen(ctx) })
	t.Cleanup(func() { stop(); done.Wait() })
	for !w.DB.Hears() {
		time.Sleep(time.Millisecond)
	}
}

// W3: at once holds on every node, within five seconds, for a session that the other node has in memory.
func TestAtOnceHoldsOnAnotherNode(t *testing.T) {
	dbtest.EachAddress(t, app.Schemas, func(t *testing.T, address string) {
		here := worldOn(t, address)
		there := worldOn(t, address, func(c *config.Config) { c.Data = here.config.Data })
		here.listening(t)
		there.listening(t)
		id := here.group(t, "Field sales")
		here.inGroup(t, "ann@example.com", id)
		b := there.browser()
		b.signIn(t, "ann@example.com", thePassword, "signed_in")
		for range 3 {
			if a := b.session(); a.status != 200 {
				t.Fatal(a)
			}
		}
		here.asks(t, id, groups.Options{Require: true, When: "once"})
		began := time.Now()
		for b.session().status != 401 {
			if time.Since(began) > 5*time.Second {
				t.Fatal("it goes on after five seconds")
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
}

// W3, W4: while what a workgroup asks for changes back and forth, people sign in and set factors up. Nobody ends with less
// than what held at their sign-in or holds now, and nothing fails but for a reason that a person is told.
func TestSavingBesideSignInsAndEnrolments(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		id := w.group(t, "Field sales")
		for _, name := range []string{"ann", "bob", "eve"} {
			w.inGroup(t, name+"@example.com", id)
		}
		w.looked(t)
		var all sync.WaitGroup
		over := make(chan struct{})
		all.Go(func() {
			defer close(over)
			for i := range 20 {
				if _, err := w.Groups.Save(visitless, id, groups.Options{Require: i%2 == 0, When: "once"}, nil); err != nil {
					t.Error(err)
				}
			}
			if _, err := w.Groups.Save(visitless, id, groups.Options{Require: true, When: "once"}, nil); err != nil {
				t.Error(err)
			}
		})
		for _, name := range []string{"ann", "bob"} {
			all.Go(func() {
				for going := true; going; {
					select {
					case <-over:
						going = false
					default:
					}
					b := w.browser()
					a := b.api("POST", "/signin", "login", name+"@example.com", "password", thePassword)
					switch a.field("state") {
					case "signed_in", "enrolment":
					default:
						t.Error(a)
					}
				}
			})
		}
		eve := w.browser()
		all.Go(func() {
			<-over
			eve.signIn(t, "eve@example.com", thePassword, "enrolment")
			eve.enrol(t, "/signin/enrol")
			if a := eve.session(); a.status != 200 {
				t.Error(a)
			}
		})
		all.Wait()
		w.browser().signIn(t, "eve@example.com", thePassword, "second_factor")
		w.browser().signIn(t, "ann@example.com", thePassword, "enrolment")
	})
}

// Of two administrators who save at once, each sees what the other did: nobody is locked out by the two together.
func TestTwoSaveAtOnce(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		id := w.group(t, "Field sales")
		w.inGroup(t, "ann@example.com", id)
		w.looked(t)
		for range 10 {
			var both sync.WaitGroup
			errs := make([]error, 2)
			both.Go(func() {
				_, errs[0] = w.Groups.Save(visitless, "", groups.Options{Factors: "own", Kinds: []string{"totp", "sms"}}, nil)
			})
			both.Go(func() {
				_, errs[1] = w.Groups.Save(visitless, id, groups.Options{Require: true, Factors: "own", Kinds: []string{"sms", "passkey"}}, nil)
			})
			both.Wait()
			refused := auth.ConflictError{}
			if errs[0] == nil && errs[1] == nil || !errors.As(errors.Join(errs...), &refused) && !errors.As(errors.Join(errs...), new(auth.InvalidError)) {
				t.Fatal(errs)
			}
			w.asks(t, id, groups.Options{})
			w.asks(t, "", groups.Options{})
		}
	}, coded)
}
