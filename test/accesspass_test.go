package test

import (
	"regexp"
	"strings"
	"testing"

	"sallyport/test/harness"
)

var printedPass = regexp.MustCompile(`(?m)^ {4}([0-9A-Z]{4}(?:-[0-9A-Z]{4}){3})$`)

// A4, L1: an administrator gives a pass by the command line; it is printed once and stands beside the password.
func TestAnAdministratorGivesAPass(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		s.person(anna)
		harness.AddUser(t, s.Server, berta, password)
		for _, test := range []struct {
			args []string
			code int
			says string
		}{
			{[]string{anna}, 2, "--reason"},
			{[]string{anna, "--reason", " "}, 1, "--reason is empty"},
			{[]string{"nobody@example.com", "--reason", "r"}, 1, "there is nobody with the email nobody@example.com"},
			{[]string{anna, "--reason", "r", "--minutes", "4"}, 1, "minutes must be 5 to 1440"},
			{[]string{anna, "--reason", "r", "--minutes", "1441"}, 1, "minutes must be 5 to 1440"},
			{[]string{anna, "--reason", "r", "--minutes=-60"}, 1, "minutes must be 5 to 1440"},
			{[]string{anna, "--reason", "r", "--minutes", "9223372036854775807"}, 1, "minutes must be 5 to 1440"},
			{[]string{anna, "--reason", "r", "--minutes", "an hour"}, 2, "--minutes"},
			{[]string{berta, "--reason", "r"}, 1, "no second step that an access pass could stand in for"},
		} {
			out, code := s.Run("", append([]string{"user", "access-pass"}, test.args...)...)
			if code != test.code || !strings.Contains(out, test.says) || printedPass.MatchString(out) {
				t.Errorf("%v: exit %d, want %d: %s", test.args, code, test.code, out)
			}
		}
		out := run(t, s.Server, "user", "access-pass", "ANNA@example.com", "--minutes", "5", "--reason", "lost phone, seen in person")
		printed := printedPass.FindAllStringSubmatch(out, -1)
		if len(printed) != 1 || !strings.Contains(out, "after the password") || !strings.Contains(out, "UTC") {
			t.Fatal(out)
		}
		pass := printed[0][1]
		if n := s.number(`SELECT COUNT(*) FROM events WHERE kind = 'pass.given' AND detail LIKE '%lost phone, seen in person%' AND detail LIKE '%5%'`); n != 1 {
			t.Error(n, "rows give the reason")
		}
		if n := s.number(`SELECT COUNT(*) FROM events WHERE detail LIKE '%` + pass[:9] + `%'`); n != 0 {
			t.Error("the record holds the pass")
		}
		if out := run(t, s.Server, "user", "list"); !regexp.MustCompile(`(?m)^anna@example\.com .* active +1 `).MatchString(out) {
			t.Error("the pass counts as a factor: ", out)
		}
		c := s.begun(anna)
		expect(t, "a wrong one", c.Call("POST", "/signin/accesspass", m{"code": "0000-0000-0000-0000"}), "422 wrong")
		expect(t, "the right one", c.Call("POST", "/signin/accesspass", m{"code": strings.ToLower(pass)}), "200")
		expect(t, "a session", c.Call("GET", "/session", nil), "200")
		expect(t, "which changes nothing", c.Call("POST", "/account/totp", nil), "403 step-up")
		expect(t, "again", s.begun(anna).Call("POST", "/signin/accesspass", m{"code": pass}), "422 wrong")

		run(t, s.Server, "user", "disable", anna)
		if out, code := s.Run("", "user", "access-pass", anna, "--reason", "r"); code != 1 || !strings.Contains(out, "disabled") {
			t.Error(code, out)
		}
	})
}

// A3: without mail a reset prints what to hand over, and the password alone opens nothing before it was used.
func TestAResetWithoutMailPrintsAPass(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		s.person(anna)
		out := run(t, s.Server, "user", "reset-mfa", anna, "--reason", "lost phone")
		printed := printedPass.FindAllStringSubmatch(out, -1)
		if len(printed) != 1 || !strings.Contains(out, "hand over") || !strings.Contains(out, "UTC") {
			t.Fatal(out)
		}
		c := s.client()
		if a := harness.SignIn(t, c, anna, password); a["state"] != "second_factor" {
			t.Error(a)
		}
		expect(t, "the password alone sets nothing up", c.Call("POST", "/signin/enrol/totp", nil), "403 forbidden")
		if status, a := c.API("POST", "/signin/accesspass", m{"code": printed[0][1]}); status != 200 || a["state"] != "enrolment" {
			t.Error(status, a)
		}
		if a := harness.SignIn(t, s.client(), anna, password); a["state"] != "second_factor" {
			t.Error("before another second step is set up: ", a)
		}
		// Of two resets the second counts.
		first := printedPass.FindStringSubmatch(run(t, s.Server, "user", "reset-mfa", anna, "--reason", "again"))
		second := printedPass.FindStringSubmatch(run(t, s.Server, "user", "reset-mfa", anna, "--reason", "and again"))
		if first == nil || second == nil {
			t.Fatal("nothing was printed")
		}
		expect(t, "of the first", s.begun(anna).Call("POST", "/signin/accesspass", m{"code": first[1]}), "422 wrong")
		expect(t, "of the second", s.begun(anna).Call("POST", "/signin/accesspass", m{"code": second[1]}), "200")
	})
}

// A3: where there is mail whoever resets somebody sees no secret.
func TestAResetWithMailPrintsNoPass(t *testing.T) {
	s := open(t, onSQLite(t), "SALLYPORT_MAIL_HOST=outbox")
	s.person(anna)
	out := run(t, s.Server, "user", "reset-mfa", anna, "--reason", "lost phone")
	if !strings.Contains(out, "a link was mailed to a•••@example.com") || regexp.MustCompile(`[0-9A-Z]{4}-[0-9A-Z]{4}`).MatchString(out) || strings.Contains(out, "token") {
		t.Error(out)
	}
	if n := s.number(`SELECT COUNT(*) FROM outbox WHERE message = 'reset-link'`); n != 1 {
		t.Error(n, "mails")
	}
}
