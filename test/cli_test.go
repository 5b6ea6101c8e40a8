package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/test/harness"
)

func TestUserAddSaysWhatItRefuses(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		add := func(email, name, password string, more ...string) (string, int) {
			return s.Run(password, append([]string{"user", "add", "--email", email, "--name", name, "--password-stdin"}, more...)...)
		}
		if out, code := add(anna, "Anna", password+"\n", "--role", "owner"); code != 0 || !strings.Contains(out, "added anna@example.com as owner") {
			t.Fatal(code, out)
		}
		for _, test := range []struct {
			email, name, password string
			more                  []string
			code                  int
			says                  string
		}{
			{"anna", "N", password, nil, 1, "email must be an email address"},
			{"", "N", password, nil, 1, "email must be an email address"},
			{"Anna <anna2@example.com>", "N", password, nil, 1, "email must be an email address"},
			{"a@example.com\nb@example.com", "N", password, nil, 1, "email must be an email address"},
			{anna, "N", password, nil, 1, "email belongs to somebody already"},
			{"ANNA@Example.com", "N", password, nil, 1, "email belongs to somebody already"},
			{berta, " ", password, nil, 1, "name is missing"},
			{berta, "two\nlines", password, nil, 1, "name must stand on one line"},
			{berta, strings.Repeat("n", 101), password, nil, 1, "name is longer than 100"},
			{berta, "N", "", nil, 1, "standard input is empty"},
			{berta, "N", "eleven char", nil, 1, "password is shorter than 12"},
			{berta, "N", strings.Repeat("x9 ", 86), nil, 1, "password "},
			{berta, "N", "123456789012", nil, 1, "password is one that many people use"},
			{berta, "N", "abcabcabcabcabc", nil, 1, "password repeats itself"},
			{berta, "Bertalina Longname", "bertalina longname", nil, 1, "password is little more than a name"},
			{berta, "N", password, []string{"--role", "king"}, 2, "--role must be one of"},
			{berta, "N", password, []string{"--frobnicate"}, 2, "unknown flag"},
		} {
			out, code := add(test.email, test.name, test.password, test.more...)
			if code != test.code || !strings.Contains(out, test.says) {
				t.Errorf("%q %q: exit %d, want %d: %s, want %q", test.email, test.name, code, test.code, out, test.says)
			}
			if test.password != "" && strings.Contains(out, test.password) {
				t.Error("the password is repeated: ", out)
			}
		}
		if n := s.number(`SELECT COUNT(*) FROM users`); n != 1 {
			t.Error(n, "users")
		}
		if out, code := s.Run(password, "user", "add", "--email", berta, "--name", "B"); code != 2 || !strings.Contains(out, "--password-stdin") {
			t.Error("a password must come from standard input:", code, out)
		}
		// A line end belongs to the line, every other space to the password.
		if out, code := add(berta, "Berta", " seven quiet otters \r\n"); code != 0 {
			t.Error(out)
		}
		expect(t, "exact", s.client().Call("POST", "/signin", m{"login": berta, "password": " seven quiet otters "}), "200")
		expect(t, "trimmed", s.client().Call("POST", "/signin", m{"login": berta, "password": "seven quiet otters"}), "422 wrong")
	})
}

func TestUserListDisableAndReset(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		s.person(anna)
		harness.AddUser(t, s.Server, berta, password)
		list := func() string { return run(t, s.Server, "user", "list") }
		line := func(email string) string {
			for l := range strings.Lines(list()) {
				if strings.HasPrefix(l, email) {
					return strings.Join(strings.Fields(l), " ")
				}
			}
			return ""
		}
		today := time.Now().UTC().Format(time.DateOnly)
		if got := line(anna); got != anna+" Some Body member active 1 "+today {
			t.Error(got)
		}
		if out := run(t, s.Server, "user", "reset-mfa", "ANNA@example.com", "--reason", "lost phone"); !strings.Contains(out, "no second factor is left") {
			t.Error(out)
		}
		if got := line(anna); !strings.Contains(got, "active 0") {
			t.Error(got)
		}
		if n := s.number(`SELECT COUNT(*) FROM events WHERE kind = 'mfa.reset' AND detail LIKE '%lost phone%'`); n != 1 {
			t.Error(n, "rows give the reason")
		}
		run(t, s.Server, "user", "disable", berta)
		if got := line(berta); !strings.Contains(got, "disabled") {
			t.Error(got)
		}
		for _, test := range []struct {
			args []string
			code int
			says string
		}{
			{[]string{"user", "disable", "nobody@example.com"}, 1, "there is nobody with the email nobody@example.com"},
			{[]string{"user", "reset-mfa", "nobody@example.com", "--reason", "r"}, 1, "there is nobody"},
			{[]string{"user", "reset-mfa", anna, "--reason", " "}, 1, "--reason is empty"},
			{[]string{"user", "reset-mfa", anna}, 2, "--reason"},
			{[]string{"user"}, 2, "list"},
			{[]string{"frobnicate"}, 2, "frobnicate"},
			{[]string{"user", "list", "--config", "/nowhere.toml"}, 2, "/nowhere.toml"},
		} {
			if out, code := s.Run("", test.args...); code != test.code || !strings.Contains(out, test.says) {
				t.Errorf("%v: exit %d, want %d: %s", test.args, code, test.code, out)
			}
		}
	})
}

// Every command finds its data by --data, by --config, or in the environment, and makes none by being pointed at nothing.
func TestCommandsFindTheirData(t *testing.T) {
	s := harness.Start(t, harness.Options{Env: cheap})
	harness.AddUser(t, s, anna, password)
	file := filepath.Join(t.TempDir(), "sallyport.toml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "data = %q\n", s.Data), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, place := range [][]string{{"--data", s.Data}, {"--config", file}} {
		for _, command := range [][]string{{"user", "list"}, {"check"}, {"audit", "verify"}, {"routes"}, {"keys", "rotate"}} {
			out, code := harness.Command(t, nil, "", append(slices.Clone(command), place...)...)
			if code != 0 || command[1%len(command)] == "list" && !strings.Contains(out, anna) {
				t.Error(command, place, code, out)
			}
		}
	}
	if out, code := harness.Command(t, nil, "", "user", "list", "--data", s.Data, "--config", file); code != 2 {
		t.Error(code, out)
	}
	nothing := filepath.Join(t.TempDir(), "nothing")
	for _, command := range [][]string{{"user", "list"}, {"check"}, {"audit", "verify"}, {"serve"}} {
		if out, code := harness.Command(t, nil, "", append(command, "--data", nothing)...); code != 1 {
			t.Error(command, code, out)
		}
		if _, err := os.Stat(nothing); err == nil {
			t.Fatal(command, "made the folder")
		}
	}
	away := []string{"SALLYPORT_DATA=" + s.Data, "SALLYPORT_DATABASE=postgres://u:geheim@127.0.0.1:1/x"}
	if out, code := harness.Command(t, away, "", "check"); code != 1 || !strings.Contains(out, "open database") || strings.Contains(out, "geheim") {
		t.Error("the database is away:", code, out)
	}
	if out, code := harness.Command(t, nil, "", "version"); code != 0 || !strings.HasPrefix(out, "sallyport ") {
		t.Error(code, out)
	}
	if out, code := harness.Command(t, nil, "", "--help"); code != 0 || !strings.Contains(out, "serve") {
		t.Error(code, out)
	}
}

func TestRoutesStateTheirGuards(t *testing.T) {
	out, code := harness.Command(t, nil, "", "routes", "--json")
	var routes []struct{ Method, API, Page, Guard, Throttle, Does string }
	if err := json.Unmarshal([]byte(out), &routes); err != nil || code != 0 {
		t.Fatal(code, err, out)
	}
	guards := map[string]string{}
	for _, r := range routes {
		if r.Guard == "" || r.Does == "" || !strings.HasPrefix(r.API, "/api/v1/") {
			t.Error(r)
		}
		guards[r.Method+" "+r.API] = r.Guard
	}
	for route, guard := range map[string]string{
		"POST /api/v1/signin": "public", "POST /api/v1/signin/totp": "pending", "GET /api/v1/session": "signed in",
		"POST /api/v1/account/totp": "fresh", "DELETE /api/v1/account/totp/{id}": "fresh",
	} {
		if guards[route] != guard {
			t.Errorf("%s stands behind %q, want %q", route, guards[route], guard)
		}
	}
}

// A rotation takes nothing away: what older keys sealed still opens.
func TestAuthenticatorsOutliveKeyRotations(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		_, old := s.person(anna)
		for range 2 {
			if out := run(t, s.Server, "keys", "rotate"); !strings.Contains(out, "added a key") {
				t.Error(out)
			}
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
		}
		_, young := s.person(berta)
		for email, secret := range map[string]string{anna: old, berta: young} {
			expect(t, email, s.begun(email).Call("POST", "/signin/totp", m{"code": harness.Code(t, secret, time.Now())}), "200")
		}
		run(t, s.Server, "audit", "verify")
		keys := filepath.Join(s.Data, "keys")
		if info, err := os.Stat(keys); err != nil || info.Mode().Perm() != 0o600 {
			t.Error(err, info.Mode())
		}
		if err := os.Remove(keys); err != nil {
			t.Fatal(err)
		}
		if out, code := s.Run("", "user", "list"); code != 1 || !strings.Contains(out, "key ring") {
			t.Error("without its keys:", code, out)
		}
	})
}

func TestAuditVerifyFindsEveryEdit(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		s := open(t, address)
		s.person(anna)
		verify := func() (string, int) { return s.Run("", "audit", "verify") }
		within(t, 5*time.Second, "the seals", func() bool { return s.number(`SELECT COUNT(*) FROM events WHERE seal IS NULL`) == 0 })
		clean, code := verify()
		if code != 0 {
			t.Fatal(clean)
		}
		for name, edit := range map[string][2]string{
			"a row":       {`UPDATE events SET address = '192.0.2.66' WHERE kind = 'factor.added'`, `UPDATE events SET address = '127.0.0.1' WHERE kind = 'factor.added'`},
			"a seal":      {`UPDATE event_seals SET rows = rows + 1 WHERE seq = 1`, `UPDATE event_seals SET rows = rows - 1 WHERE seq = 1`},
			"whose it is": {`UPDATE events SET user_id = 'x' || user_id WHERE kind = 'stepup.done'`, `UPDATE events SET user_id = substr(user_id, 2) WHERE kind = 'stepup.done'`},
		} {
			s.do(edit[0])
			if out, code := verify(); code != 1 || !strings.Contains(out, "the record was changed") {
				t.Error(name, code, out)
			}
			s.do(edit[1])
			if out, code := verify(); code != 0 {
				t.Error(name, "put back:", out)
			}
		}
		s.begun(anna).Call("POST", "/signin/totp", m{"code": "000000"})
		within(t, 5*time.Second, "another seal", func() bool { return s.number(`SELECT COUNT(*) FROM events WHERE seal IS NULL`) == 0 })
		clean, _ = verify()
		_, head, _ := strings.Cut(strings.TrimSpace(clean), "head ")
		if out, code := s.Run("", "audit", "verify", "--anchor", head); code != 0 {
			t.Error(out)
		}
		s.Stop()
		s.do(`DELETE FROM events WHERE seal >= (SELECT MAX(seq) FROM event_seals)`)
		s.do(`DELETE FROM event_seals WHERE seq = (SELECT MAX(seq) FROM event_seals)`)
		if out, code := s.Run("", "audit", "verify", "--anchor", head); code != 1 {
			t.Error("the end was removed:", out)
		}
		s.do(`DELETE FROM events WHERE kind = 'user.added'`)
		if out, code := verify(); code != 1 {
			t.Error("a row was removed:", out)
		}
	})
}

// Serve refuses what would be dangerous, with one line that says the fix.
func TestServeRefusesUnsafeSettings(t *testing.T) {
	data := t.TempDir()
	if out, code := harness.Command(t, []string{"SALLYPORT_DATA=" + data}, "", "keys", "rotate"); code != 0 {
		t.Fatal(out)
	}
	open := filepath.Join(t.TempDir(), "keys")
	b, err := os.ReadFile(filepath.Join(data, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(open, b, 0o644); err != nil {
		t.Fatal(err)
	}
	safe := []string{"DATA=" + data, "URL=https://id.example.com", "LISTEN=127.0.0.1:1", "METRICS_LISTEN=off", "TRUSTED_PROXIES=127.0.0.1"}
	for _, test := range []struct {
		set string
		fix string // what the line says to do
	}{
		{"URL=http://id.example.com", "set url to https://id.example.com"},
		{"TRUSTED_PROXIES=", "set tls_cert and tls_key, or trusted_proxies"},
		{"LISTEN=0.0.0.0:8080 URL=http://localhost:8080", "set listen to localhost:8080, or url to https"},
		{"TRUSTED_PROXIES=0.0.0.0/0", "name your proxies alone"},
		{"TRUSTED_PROXIES=10.0.0.0/8,::/0", "name your proxies alone"},
		{"METRICS_LISTEN=:9464", "name one address of an inner network, or localhost:9464"},
		{"METRICS_LISTEN=0.0.0.0:9464", "name one address of an inner network, or localhost:9464"},
		{"DATABASE=postgres://u:geheim@db.example.com/x", "add sslmode=verify-full"},
		{"DATABASE=postgres://u:geheim@db.example.com/x?sslmode=require", "add sslmode=verify-full"},
		{"PASSWORD_ITERATIONS=1", "set them to 7168 and 5"},
		{"PASSWORD_MEMORY_KIB=1024", "set them to 7168 and 5"},
		{"SESSION_ABSOLUTE_HOURS=1000", "set it to 24"},
		{"KEYS=/nowhere/keys", "make one with `sallyport keys rotate`"},
		{"KEYS=" + open, "chmod 600"},
		// What cannot work at all.
		{"URL=ftp://id.example.com", "set it to scheme and host"},
		{"URL=https://id.example.com/path", "set it to scheme and host"},
		{"CONNECTIONS=1", "set it to 2 or more"},
		{"CONNECTIONS=many", "must be a whole number"},
		{"LOG_LEVEL=loud", "set it to debug, info, warn or error"},
		{"SITE_ACCENT=red", "set it to a colour like #0f766e"},
		{"TLS_CERT=/x.pem", "set both or none"},
		{"RETURN_TO=https://app.example.com/path", "name origins like https://app.example.com"},
		{"RETURN_TO=//evil.example", "name origins like https://app.example.com"},
		{"TRUSTED_PROXIES=proxy.example.com", "name an address or a range"},
		{"POLICY_MFA=sometimes", "set it to off, optional or required"},
		{"POLICY_FACTORS=carrier-pigeon", "use some of [passkey totp email sms backupcode]"},
		{"POLICY_MFA=required POLICY_FACTORS=,", "policy.factors"},
		{"POLICY_LAST_FACTOR=shrug", "set it to refuse or warn"},
		{"POLICY_STEP_UP_MINUTES=0", "set it to 1 to 60"},
		{"POLICY_GRACE_DAYS=-1", "set it to 0 or more"},
		{"SESSION_IDLE_MINUTES=0", "must be 1 or more"},
	} {
		env := []string{}
		for _, one := range append(slices.Clone(safe), strings.Fields(test.set)...) {
			env = append(env, "SALLYPORT_"+one)
		}
		for _, command := range []string{"serve", "check"} {
			out, code := harness.Command(t, env, "", command)
			lines := 0
			for l := range strings.Lines(out) {
				if strings.Contains(l, test.fix) {
					lines++
				}
			}
			if code != 1 || lines == 0 || command == "serve" && (lines > 1 || strings.Count(out, "\n") > 2) {
				t.Errorf("%s with %s: exit %d, want one line with %q:\n%s", command, test.set, code, test.fix, out)
			}
			if strings.Contains(out, "geheim") {
				t.Error("the password of the database is printed:", out)
			}
		}
	}
	if out, code := harness.Command(t, prefixed(safe), "", "check"); code != 0 {
		t.Error("the safe settings are refused:", out)
	}
	file := filepath.Join(data, "sallyport.toml")
	for text, says := range map[string]string{
		"colour = \"blue\"\n":                                  `line 1: there is no setting "colour"`,
		"[policy]\nmfa = 1\n":                                  "line 2 cannot be read",
		"database = postgres://u:geheim@localhost/x\n":         "line 1 cannot be read",
		"listen = \"localhost:1\"\nlisten = \"localhost:2\"\n": "line 2",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, code := harness.Command(t, prefixed(safe[:1]), "", "serve", "--config", file)
		if code != 1 || !strings.Contains(out, says) || strings.Contains(out, "geheim") {
			t.Errorf("%q: exit %d: %s, want %q", text, code, out, says)
		}
	}
	if out, code := harness.Command(t, prefixed(safe[:1]), "", "dev", "--listen", "0.0.0.0:8080"); code != 1 || !strings.Contains(out, "use serve") {
		t.Error("dev:", code, out)
	}
}

func prefixed(settings []string) (env []string) {
	for _, one := range settings {
		env = append(env, "SALLYPORT_"+one)
	}
	return env
}
