package test

import (
	"strings"
	"testing"

	"sallyport/test/harness"
)

// A2, C1, C4, W4: what an administrator sets for one person is refused where it would lock them out, and holds where not.
func TestAnAdministratorSetsAMethod(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		p := startPhones(t)
		s := with(t, harness.Options{Database: address, Env: p.env()}, address)
		harness.AddUser(t, s.Server, anna, password)
		harness.AddUser(t, s.Server, berta, password)
		for _, step := range []struct {
			line string
			code int
			says string
		}{
			{"user mfa " + anna + " email", 1, "codes by email do not count (the configuration: policy.factors)"},
			{"user mfa " + anna + " sms", 1, "phone is needed"},
			{"user mfa " + anna + " pigeon", 2, "must be one of"},
			{"user mfa nobody@example.com required", 1, "there is nobody with the email"},
			{"user contact " + anna + " --phone 12", 1, "phone must be a phone number"},
			{"user contact " + anna + " --phone +358401234567", 0, "contact stored"},
			{"user mfa " + anna + " sms", 1, "(sms.countries)"},
			{"user contact " + anna + " --email nonsense", 1, "email must be an email address"},
			{"user contact " + anna + " --language tlh", 1, "there are no messages in"},
			{"user contact " + anna + " --language de --phone " + number, 0, "contact stored"},
			{"user contact " + berta + " --phone " + number, 0, "contact stored"},
			{"user mfa " + anna + " sms", 1, "is somebody else’s too"},
			{"user contact " + berta + " --phone=", 0, "contact stored"},
			{"user mfa " + anna + " sms", 0, "second step: sms"},
			{"user contact " + anna + " --phone=", 1, "is needed: MFA is set to SMS"},
			{"user unfreeze " + anna, 2, "--reason"},
			{"user unfreeze " + anna + " --reason asked", 0, ""},
		} {
			out, code := s.Run("", strings.Fields(step.line)...)
			if code != step.code || !strings.Contains(out, step.says) {
				t.Errorf("%s: exit %d, want %d: %s", step.line, code, step.code, out)
			}
		}
		c := s.client()
		if a := harness.SignIn(t, c, anna, password); a["state"] != "enrolment" {
			t.Error(a)
		}
		expect(t, "the proof begins", c.Call("POST", "/signin/enrol/sms", nil), "200")
		expect(t, "and ends", c.Call("POST", "/signin/enrol/sms/code", m{"code": p.code(number)}), "200")
		if out, code := s.Run("", "user", "mfa", anna, "off"); code != 0 {
			t.Error(out)
		}
	})
}
