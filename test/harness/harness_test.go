package harness_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestAServerStartsStopsAndStartsAgainWithItsData(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		data := t.TempDir()
		for _, command := range []string{"dev", "serve"} {
			s := harness.Start(t, harness.Options{Database: address, Data: data, Command: command, Config: "log_level = 'debug'\n"})
			email := command + "@example.com"
			harness.AddUser(t, s, email, "correct horse battery")
			c := harness.NewClient(t, s.URL)
			harness.SignIn(t, c, email, "correct horse battery")
			secret := harness.Enrol(t, c, "correct horse battery")
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			if status, answer := c.API("GET", "/session", nil); status != 200 {
				t.Error(status, answer)
			}
			other := harness.NewClient(t, s.URL)
			harness.SignIn(t, other, email, "correct horse battery")
			if status, answer := other.API("POST", "/signin/totp", map[string]any{"code": harness.Code(t, secret, time.Now())}); status != 200 {
				t.Error(status, answer)
			}
			s.Stop()
		}
	})
}

func TestDevPrintsTheSetupLink(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	if !strings.HasPrefix(s.SetupLink, s.URL+"/setup?token=") {
		t.Error(s.Log())
	}
	path := strings.TrimPrefix(s.SetupLink, s.URL)
	if a := harness.NewClient(t, s.URL).Page("GET", path, nil); a.Status != 200 {
		t.Error(a)
	}
}
