package browser

import (
	"testing"
	"time"

	"sallyport/test/harness"
)

// A8, ux 23: the overview has charts with a table under each, and is decent while there is nothing to show.
func TestAnAdministratorLooksAtTheOverview(t *testing.T) {
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			s, b := begin(t, harness.Options{Env: outbox}, l, "overview")
			harness.AddUser(t, s, "jonas@example.com", "another boat on a long river")
			b.visit("/admin")
			b.title("Overview")
			b.see("Days begin at midnight UTC.", "Nothing to show yet.")
			b.inspect("begun")
			stranger := harness.NewClient(t, s.URL)
			for range 3 {
				stranger.API("POST", "/signin", map[string]any{"login": "jonas@example.com", "password": "not the right one"})
			}
			harness.SignIn(t, stranger, "jonas@example.com", "another boat on a long river")
			for range 50 { // it follows by about a second
				if b.visit("/admin"); eval[bool](b, `return document.body.innerText.includes('40 % succeeded')`) {
					break
				}
				time.Sleep(200 * time.Millisecond)
			}
			b.see("Sign-ins today", "40 % succeeded")
			b.press("Show as table")
			b.inspect("charts")
			b.follow("1 year")
			b.see("per week")
			b.inspect("year")
		})
	}
}
