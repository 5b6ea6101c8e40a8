package harness

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db/dbtest"
)

// The names of the cookies.
const (
	SessionCookie = "__Host-session"
	PendingCookie = "__Host-signin"
)

// Code is what an authenticator app shows at a time. It comes from oathtool, which shares no code with us.
func Code(t testing.TB, secret string, at time.Time) string {
	t.Helper()
	path, err := exec.LookPath("oathtool")
	if err != nil {
		t, ok := t.(*testing.T)
		if !ok {
			panic("oathtool is missing")
		}
		dbtest.Missing(t, "oathtool, a generator of codes: apt-get install oathtool")
	}
	out, err := exec.Command(path, "--totp", "--base32", "--now", at.UTC().Format("2006-01-02 15:04:05 UTC"), secret).Output()
	if err != nil {
		t.Error("oathtool:", err)
	}
	return strings.TrimSpace(string(out))
}

// AddUser adds a member from the command line.
func AddUser(t testing.TB, s *Server, email, password string) {
	t.Helper()
	if out, code := s.Run(password+"\n", "user", "add", "--email", email, "--name", "Some Body", "--password-stdin"); code != 0 {
		t.Fatal("user add: ", out)
	}
}

// SignIn is the first step; the answer says whether a second one is due.
func SignIn(t testing.TB, c *Client, email, password string) (answer map[string]any) {
	t.Helper()
	status, answer := c.API("POST", "/signin", map[string]any{"login": email, "password": password})
	if status != 200 {
		t.Fatal("sign-in: ", status, answer)
	}
	return answer
}

// Enrol adds an authenticator to the account that is signed in, with a step-up if one is due, and returns its secret.
// It confirms with the code before the current one: a step counts once, so the current and the next code remain.
func Enrol(t testing.TB, c *Client, password string) (secret string) {
	t.Helper()
	status, waiting := c.API("POST", "/account/totp", nil)
	if status == 403 {
		if status, answer := c.API("POST", "/stepup/password", map[string]any{"password": password}); status != 200 {
			t.Fatal("step-up: ", status, answer)
		}
		status, waiting = c.API("POST", "/account/totp", nil)
	}
	if status != 200 {
		t.Fatal("enrolment: ", status, waiting)
	}
	secret = waiting["secret"].(string)
	confirm := func() (int, map[string]any) {
		return c.API("POST", "/account/totp/"+waiting["id"].(string),
			map[string]any{"code": Code(t, secret, time.Now().Add(-30*time.Second)), "name": "phone"})
	}
	status, answer := confirm()
	if status == 422 { // the step went by on the way
		status, answer = confirm()
	}
	if status != 200 {
		t.Fatal("confirmation: ", status, answer)
	}
	return secret
}
