package harness

import (
	"encoding/json"
	"maps"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor/softkey"
)

// The names of the cookies.
const (
	SessionCookie = "__Host-session"
	PendingCookie = "__Host-signin"
	BrowserCookie = "__Host-passkey" // of a browser that was asked for a passkey
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

// Ask is the options of the ceremony at a path.
func Ask(t testing.TB, c *Client, path string, fields map[string]any) (options []byte) {
	t.Helper()
	if fields == nil {
		fields = map[string]any{}
	}
	a := c.Call("POST", path+"/options", fields)
	if a.Status != 200 {
		t.Fatal("options at ", path, ": ", a)
	}
	return []byte(a.Body)
}

// Respond is what a key makes of options: a body to send, as often as wanted, with other fields beside the credential.
func Respond(t testing.TB, k *softkey.Key, options []byte, fields map[string]any, lies ...softkey.Lie) (body map[string]any) {
	t.Helper()
	var create struct{ PubKeyCredParams []any }
	if err := json.Unmarshal(options, &create); err != nil {
		t.Fatal(err)
	}
	act := k.Get
	if create.PubKeyCredParams != nil {
		act = k.Create
	}
	credential, err := act(options, lies...)
	if err != nil {
		t.Fatal(err)
	}
	body = map[string]any{"credential": json.RawMessage(credential)}
	maps.Copy(body, fields)
	return body
}

// Response is all of a ceremony but its last request.
func Response(t testing.TB, c *Client, k *softkey.Key, path string, fields map[string]any, lies ...softkey.Lie) (body map[string]any) {
	t.Helper()
	return Respond(t, k, Ask(t, c, path, nil), fields, lies...)
}

// Ceremony is the whole of it.
func Ceremony(t testing.TB, c *Client, k *softkey.Key, path string, fields map[string]any, lies ...softkey.Lie) Answer {
	t.Helper()
	return c.Call("POST", path, Response(t, c, k, path, fields, lies...))
}

// AddPasskey adds one to the account that is signed in, with a step-up if one is due.
func AddPasskey(t testing.TB, c *Client, k *softkey.Key, password string) (id string) {
	t.Helper()
	if a := c.Call("POST", "/account/passkeys/options", map[string]any{}); a.Status == 403 {
		if status, answer := c.API("POST", "/stepup/password", map[string]any{"password": password}); status != 200 {
			t.Fatal("step-up: ", status, answer)
		}
	}
	a := Ceremony(t, c, k, "/account/passkeys", map[string]any{"name": "passkey"})
	var added struct{ ID string }
	if err := json.Unmarshal([]byte(a.Body), &added); err != nil || a.Status != 200 || added.ID == "" {
		t.Fatal("enrolment: ", a)
	}
	return added.ID
}
