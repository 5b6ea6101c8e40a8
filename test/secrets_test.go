package test

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/test/harness"
)

// markers are what must never be found, with how they came into the world.
type markers map[string]string

// token adds a token in every form it may be written down.
func (all markers) token(what, value string) {
	all[value] = what
	if raw, err := base64.RawURLEncoding.DecodeString(value); err == nil && len(raw) >= 16 {
		all[string(raw)] = what + ", raw"
		all[hex.EncodeToString(raw)] = what + ", hex"
	}
}

var sixDigits = regexp.MustCompile(`^\d{6}$`)

// search looks for every marker. A code is found where it stands alone: six digits are also part of many numbers.
func (all markers) search(t *testing.T, where, text string) {
	t.Helper()
	for marker, what := range all {
		found := strings.Contains(text, marker)
		if sixDigits.MatchString(marker) {
			found = regexp.MustCompile(`(^|[^0-9])` + marker + `([^0-9]|$)`).MatchString(text)
		}
		if found {
			i := strings.Index(text, marker)
			t.Errorf("%s is in %s: %q", what, where, text[max(0, i-60):min(len(text), i+60)])
		}
	}
}

// No secret reaches the log or the database, whatever people do with it. security.md, "Record"
func TestNoSecretIsWrittenDown(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		const first, wrong, changed = "marker-one-Vp4Qx7", "marker-two-Kd93sL", "marker-three-Zt5Wm"
		all := markers{first: "the password", strings.ToLower(first): "the password in lower case", wrong: "a wrong password", changed: "the new password"}
		data := t.TempDir()

		dev := harness.Start(t, harness.Options{Database: address, Data: data, Env: cheap})
		token := dev.SetupLink[strings.Index(dev.SetupLink, "=")+1:]
		all.token("the setup link", token)
		c := harness.NewClient(t, dev.URL)
		c.Page("GET", "/setup?token="+token, nil)
		c.Page("POST", "/setup", url.Values{"token": {token}, "name": {"Anna"}, "email": {anna}, "password": {"short"}})
		expect(t, "setup", c.Page("POST", "/setup", url.Values{"token": {token}, "name": {"Anna"}, "email": {anna}, "password": {first}}), "303")
		dev.Stop()
		printed := dev.Log()
		all.search(t, "what dev prints", strings.Replace(printed, dev.SetupLink, "", 1)) // there it belongs

		s := with(t, harness.Options{Database: address, Data: data, Command: "serve", Config: "log_level = \"debug\"\n"}, address)
		c = harness.NewClient(t, s.URL)
		keep := func() {
			for _, name := range []string{harness.SessionCookie, harness.PendingCookie} {
				if v := c.Cookie(name); v != "" {
					all.token("the cookie "+name, v)
				}
			}
		}
		try := func(body m) { c.Call("POST", "/signin", body) }
		try(m{"login": anna, "password": wrong})
		try(m{"login": "nobody@example.com", "password": wrong})
		try(m{"login": first, "password": wrong}) // typed into the wrong field, as everybody does once
		try(m{"login": anna, "password": []string{first}})
		try(m{"login": anna, "password": first, first: first})
		c.Call("POST", "/signin", `{"login": "`+anna+`", "password": "`+first+`"`)
		c.Call("POST", "/signin?password="+first, nil)
		c.Page("GET", "/signin?password="+first+"&return_to=/"+first, nil)
		c.Page("POST", "/signin", url.Values{"login": {anna}, "password": {first, first}})
		c.Page("POST", "/signin", url.Values{"login": {anna}, first: {first}})
		c.Page("GET", "/"+first, nil)
		c.Send("GET", "/account", http.Header{"User-Agent": {"agent"}, "Cookie": {harness.SessionCookie + "=" + first}, "Authorization": {"Bearer " + first}}, nil)
		c.Send("GET", "/", http.Header{"Host": {first}}, nil)

		harness.SignIn(t, c, anna, first)
		keep()
		c.Call("POST", "/stepup/password", m{"password": wrong})
		secret := harness.Enrol(t, c, first)
		keep()
		raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
		if err != nil {
			t.Fatal(err)
		}
		all[secret], all[string(raw)], all[hex.EncodeToString(raw)] = "the TOTP secret", "the TOTP secret, raw", "the TOTP secret, hex"
		all[base64.StdEncoding.EncodeToString(raw)] = "the TOTP secret, base64"
		for step := range 4 {
			all[harness.Code(t, secret, time.Now().Add(time.Duration(step-2)*30*time.Second))] = "a code"
		}
		c.Page("POST", "/account/password", url.Values{"current": {wrong}, "password": {changed}})
		expect(t, "new password", c.Call("POST", "/account/password", m{"current": first, "password": changed}), "204")
		c.Call("DELETE", "/session", nil)
		harness.SignIn(t, c, anna, changed)
		keep()
		bad := other(t, secret)
		all[bad] = "a wrong code"
		c.Call("POST", "/signin/totp", m{"code": bad})
		c.Page("POST", "/signin/totp", url.Values{"code": {bad}})
		c.Call("POST", "/signin/totp", m{"code": wrong})
		expect(t, "code", c.Call("POST", "/signin/totp", m{"code": harness.Code(t, secret, time.Now())}), "200")
		keep()
		// An act that waits for step-up travels with its form, without what is secret in it.
		page := c.Page("POST", "/account/password", url.Values{"current": {changed}, "password": {first}})
		if strings.Contains(page.Body, changed) || strings.Contains(page.Body, first) {
			t.Error("the step-up page holds the password")
		}
		c.Call("POST", "/stepup/password", m{"password": changed})
		keep()
		for _, out := range []string{run(t, s.Server, "user", "list"), run(t, s.Server, "check"), run(t, s.Server, "audit", "verify"), run(t, s.Server, "routes")} {
			all.search(t, "what a command prints", out)
		}
		out, _ := s.Run(wrong+"\n", "user", "add", "--email", anna, "--name", "N", "--password-stdin")
		all.search(t, "what user add prints", out)

		keys, err := os.ReadFile(filepath.Join(data, "keys"))
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(string(keys))
		root, _ := base64.StdEncoding.DecodeString(words[2])
		all[words[2]], all[string(root)], all[hex.EncodeToString(root)] = "the key", "the key, raw", "the key, hex"

		if !strings.Contains(s.Log(), "request_id") {
			t.Error("the log is empty: ", s.Log())
		}
		all.search(t, "the log", s.Log())
		for _, row := range s.rows() {
			all.search(t, "the database", row)
		}
		for _, path := range append(glob(t, data), glob(t, filepath.Dir(address))...) { // no folder is named like PostgreSQL
			b, err := os.ReadFile(path)
			if err != nil || filepath.Base(path) == "keys" {
				continue
			}
			all.search(t, filepath.Base(path), string(b))
		}
		s.Stop()
		all.search(t, "the log at the end", s.Log())
	})
}

func glob(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func run(t *testing.T, s *harness.Server, args ...string) string {
	t.Helper()
	out, code := s.Run("", args...)
	if code != 0 {
		t.Errorf("%v: %s", args, out)
	}
	return out
}

// rows is every row of every table as text, with bytes both as they are and in hex.
func (s site) rows() (all []string) {
	s.t.Helper()
	list := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if strings.HasPrefix(s.address, "postgres") {
		list = `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`
	}
	for _, table := range s.column(list) {
		rows, err := s.db.QueryContext(s.t.Context(), `SELECT * FROM `+table)
		if err != nil {
			s.t.Fatal(err)
		}
		names, _ := rows.Columns()
		for rows.Next() {
			values := make([]any, len(names))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				s.t.Fatal(err)
			}
			var row strings.Builder
			row.WriteString(table)
			for _, v := range values {
				switch v := (*v.(*any)).(type) {
				case []byte:
					row.WriteString(" " + string(v) + " " + hex.EncodeToString(v))
				case string:
					row.WriteString(" " + v)
				}
			}
			all = append(all, row.String())
		}
		rows.Close()
	}
	slices.Sort(all)
	return all
}

func (s site) column(query string) (all []string) {
	s.t.Helper()
	rows, err := s.db.QueryContext(s.t.Context(), query)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}
