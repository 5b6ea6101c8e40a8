package browser

import (
	"fmt"
	"net/http"
	"testing"

	"sallyport/internal/auth"
	"sallyport/internal/db/dbtest"
	"sallyport/test/harness"
)

// S10: a wrong password and an unknown name look the same, and the name stays in its field.
func TestAWrongPasswordAndAnUnknownNameLookTheSame(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	add(t, s)
	var pages []string
	for _, login := range []string{email, "nobody@example.com"} {
		b := open(t, s.URL, phone, "refused")
		b.visit("/signin")
		b.fill("Email", login)
		b.fill("Password", "not this one")
		b.follow("Sign in")
		b.see("Email or password is not right.")
		b.inspect("wrong-password")
		if kept := eval[[]string](b, `return [labelled('Email').value, labelled('Password').value]`); kept[0] != login || kept[1] != "" {
			t.Errorf("the fields hold %q after a refusal", kept)
		}
		if at := b.focus(); at != "Password" {
			t.Errorf("the focus is on %q after a refusal", at)
		}
		pages = append(pages, eval[string](b, `return document.body.innerText`))
	}
	if pages[0] != pages[1] {
		t.Errorf("a known name: %s\nan unknown one: %s", pages[0], pages[1])
	}
}

// Five wrong codes end a sign-in, and the page counts them down. S3, S6
func TestAWrongCodeSaysHowManyTriesAreLeft(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			_, b := begin(t, harness.Options{}, l, "refused")
			app := b.addAuthenticator("Pixel 9")
			b.follow("Sign out")
			b.signIn(password)
			for left := 4; left > 0; left-- {
				b.fill("6-digit code", app.wrongCode())
				b.follow("Continue")
				tries := fmt.Sprintf("%d tries left.", left)
				if left == 1 {
					tries = "1 try left."
				}
				b.see("This code is not right.", tries)
				if at := b.focus(); at != "6-digit code" {
					t.Errorf("the focus is on %q after a refusal", at)
				}
			}
			b.inspect("wrong-code")
			b.fill("6-digit code", app.wrongCode())
			b.follow("Continue")
			b.title("Sign in to Sallyport")
			b.see("Too many wrong tries. Please sign in again.")
			b.inspect("used-up")
			b.signIn(password)
			b.fill("6-digit code", app.code())
			b.follow("Continue")
			b.title("Profile")
		})
	}
}

// Something that is no code is told from a wrong one, and counts for nothing.
func TestALetterIsNoCode(t *testing.T) {
	t.Parallel()
	_, b := begin(t, harness.Options{}, phone, "refused")
	app := b.addAuthenticator("Pixel 9")
	b.follow("Sign out")
	b.signIn(password)
	b.fill("6-digit code", "12345")
	b.follow("Continue")
	b.see("must have 6 digits")
	b.inspect("no-code")
	b.fill("6-digit code", app.code())
	b.follow("Continue")
	b.title("Profile")
}

// S6: a sign-in that took too long says so, starts over, and still knows where it was going.
func TestAnExpiredSignInStartsOver(t *testing.T) {
	t.Parallel()
	onSQLite(t, func(t *testing.T, address string) {
		_, b := begin(t, harness.Options{Database: address}, phone, "expired")
		app := b.addAuthenticator("Pixel 9")
		b.follow("Sign out")
		b.visit("/account/security")
		b.signIn(password)
		b.title("Enter the code from your app")
		err := dbtest.Open(t, address).Tx(t.Context(), func(tx auth.Tx) error {
			_, err := tx.ExecContext(t.Context(), `UPDATE signins SET expires_at = 1`)
			return err
		})
		b.must(err)
		b.fill("6-digit code", app.code())
		b.follow("Continue")
		b.title("Sign in to Sallyport")
		b.see("Your sign-in took too long. Please start again.")
		b.inspect("expired")
		b.signIn(password)
		b.fill("6-digit code", app.code())
		b.follow("Continue")
		b.title("Security")
	})
}

// Too many wrong passwords: the page says how long to wait. S1, S9
func TestAThrottledSignInSaysTheWait(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone, desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{})
			add(t, s)
			guess := harness.NewClient(t, s.URL)
			for n := 0; ; n++ {
				status, answer := guess.API(http.MethodPost, "/signin", map[string]any{"login": email, "password": "not this one"})
				if status == http.StatusTooManyRequests {
					break
				}
				if n > 20 {
					t.Fatal("never throttled: ", answer)
				}
			}
			b := open(t, s.URL, l, "throttled")
			b.visit("/signin")
			b.signIn(password)
			b.see("Too many tries. Wait", "You can try again at")
			b.inspect("throttled")
		})
	}
}

// An address with nothing behind it is a page of ours too.
func TestAnUnknownAddressIsAPage(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	for _, l := range []look{phone, desk} {
		b := open(t, s.URL, l, "unknown")
		b.visit("/nothing/here")
		b.title("There is nothing here")
		b.mu.Lock()
		b.complaints = nil // the console notes the 404 we asked for
		b.mu.Unlock()
		b.inspect("404")
	}
}
