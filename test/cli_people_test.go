package test

import (
	"regexp"
	"strings"
	"testing"

	"sallyport/test/harness"
)

var printedLink = regexp.MustCompile(`(?m)^ {4}http\S+(/forgot/[\w-]+)$`)

// A2, A3, A5, W1: what the pages do to one person, the command line does too, and refuses in the same words.
func TestTheCommandLineLooksAfterPeople(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := harness.Start(t, harness.Options{Database: address})
		harness.AddUser(t, s, anna, password)
		out := run(t, s, "user", "add", "--email", berta, "--name", "Berta", "--invite")
		link := printedLink.FindStringSubmatch(out)
		if link == nil {
			t.Fatal(out)
		}
		c := harness.NewClient(t, s.URL)
		if status, a := c.API("POST", link[1], map[string]any{"password": password}); status != 204 {
			t.Fatal(status, a)
		}
		for _, step := range []struct {
			line string
			code int
			says string
		}{
			{"explain --user " + berta, 0, "they have set up no second step"},
			{"explain --user " + berta + " --via passkey", 0, "They have no passkey"},
			{"explain --user " + berta + " --via sso", 1, "no connection is set up"},
			{"explain --user nobody@example.com", 1, "there is nobody"},
			{"user mfa " + berta + " required", 0, ""},
			{"explain --user " + berta + " --browser trusted", 0, "set by an administrator on this person"},
			{"user role " + berta + " support", 0, "role: support"},
			{"user role " + berta + " king", 2, "must be one of"},
			{"user move " + berta + " --workgroup Nowhere", 1, "there is no workgroup"},
			{"user invite " + berta, 1, "has a password"},
			{"user disable " + berta, 0, "disabled"},
			{"user enable " + berta, 0, "enabled"},
			{"user delete " + berta, 0, "deleted"},
			{"user delete " + berta, 1, "there is nobody"},
		} {
			if out, code := s.Run("", strings.Fields(step.line)...); code != step.code || !strings.Contains(out, step.says) {
				t.Errorf("%s: %d %s", step.line, code, out)
			}
		}
		run(t, s, "user", "role", anna, "owner")
		for _, line := range []string{"user role " + anna + " member", "user disable " + anna, "user delete " + anna} {
			if out, code := s.Run("", strings.Fields(line)...); code != 1 || !strings.Contains(out, "last owner") {
				t.Errorf("%s: %d %s", line, code, out)
			}
		}
	})
}
