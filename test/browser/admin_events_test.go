package browser

import (
	"testing"
	"time"

	"sallyport/test/harness"
)

// A7: an administrator finds what happened, reads one event, filters, and has the chain verified.
func TestAnAdministratorReadsTheRecord(t *testing.T) {
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			s, b := begin(t, harness.Options{Env: outbox}, l, "events")
			harness.AddUser(t, s, "jonas@example.com", "another boat on a long river")
			b.addAuthenticator("Pixel 9")
			stranger := harness.NewClient(t, s.URL)
			for range 3 {
				stranger.API("POST", "/signin", map[string]any{"login": "jonas@example.com", "password": "not the right one"})
			}
			b.visit("/admin/events")
			b.title("Events")
			b.see("Append-only.", "Signed in", "Factor added", "Sign-in failed", "User added")
			b.inspect("list")

			b.visit("/admin/events?kind=failures")
			b.see("Sign-in failed", "Some Body")
			if n := eval[int](b, `return document.querySelectorAll('tbody tr').length`); n != 3 {
				t.Errorf("%d failures", n)
			}
			b.inspect("failures")
			b.follow("Sign-in failed")
			b.title("Sign-in failed")
			b.see("signin.failed", "Some Body", "password")
			b.inspect("one")
			b.follow("Some Body")
			b.see("About or by Some Body", "Show everybody")
			b.inspect("of one person")
			b.follow("Show everybody")

			b.visit("/admin/events?from=2001-01-01&to=2001-01-02")
			b.see("Nothing like that is in the record.")
			b.inspect("none")
			b.visit("/admin/events?address=here")
			b.see("must be an address")

			b.visit("/admin/events")
			b.follow("Verify now") // it is fresh: the authenticator was added just now
			b.title("Events")
			for range 50 {
				if b.visit("/admin/events"); eval[bool](b, `return document.querySelector('.lead').textContent.includes('Chain verified')`) {
					break
				}
				time.Sleep(200 * time.Millisecond)
			}
			b.see("Chain verified")
			b.inspect("verified")
		})
	}
}
