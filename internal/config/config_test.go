package config_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/config"
)

func none(string) string { return "" }

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func file(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sallyport.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheDefaultsAreFineOnOnesOwnMachine(t *testing.T) {
	c, err := config.Load("", none)
	if err != nil || c.Check() != nil {
		t.Fatal(err, c.Check())
	}
	c.Keys = ring(t)
	if reasons := c.Unsafe(); len(reasons) > 0 {
		t.Error(reasons)
	}
}

func TestAFileSetsWhatItNames(t *testing.T) {
	c, err := config.Load(file(t, "url = 'https://login.example.com'\nreturn_to = ['https://app.example.com']\n[policy]\nmfa = 'required'\ngrace_days = 7\n[session]\nidle_minutes = 15\n"), none)
	if err != nil {
		t.Fatal(err)
	}
	if c.URL != "https://login.example.com" || c.Policy.MFA != "required" || c.Policy.GraceDays != 7 || len(c.ReturnTo) != 1 || c.Session.Idle() != 15*time.Minute {
		t.Errorf("%+v", c)
	}
	if c.Session.Absolute() != 24*time.Hour || c.Policy.LastFactor != "refuse" || c.Listen != "localhost:8080" {
		t.Errorf("what it does not name changed: %+v", c)
	}
}

// A misspelt setting must not be one that silently does nothing.
func TestAnUnknownOrBrokenSettingIsRefused(t *testing.T) {
	for text, says := range map[string]string{
		"urll = 'x'":                             "urll",
		"[policy]\nmfaa = 'required'":            "policy.mfaa",
		"[polcy]\nmfa = 'required'":              "polcy",
		"\n\nfoo = 1":                            "line 3",
		"policy.mfa.x = 1":                       "line 1",
		"url = 5":                                "line 1",
		"connections = 'many'":                   "line 1",
		"connections = 1.5":                      "line 1",
		"connections = 99999999999999999999":     "line 1",
		"return_to = 'https://x'":                "line 1",
		"return_to = [1]":                        "line 1",
		"url = 'a'\nurl = 'b'":                   "line",
		"url":                                    "line 1",
		"[policy":                                "line 1",
		"url = 'x":                               "line 1",
		"url = \"\xff\"":                         "",
		"\x00":                                   "",
		"database = 'postgres://u:hunter2@h'\nx": "line 2",
	} {
		_, err := config.Load(file(t, text), none)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want a word about %q", text, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error repeats a password: %v", text, err)
		}
	}
	if _, err := config.Load(filepath.Join(t.TempDir(), "missing.toml"), none); err == nil {
		t.Error("a file that is not there is passed over")
	}
}

func TestTheEnvironmentWinsOverTheFile(t *testing.T) {
	c, err := config.Load(file(t, "url = 'https://file.example.com'\n[policy]\nmfa = 'off'\n"), env(
		"SALLYPORT_URL", "https://env.example.com", "SALLYPORT_POLICY_GRACE_DAYS", "3", "SALLYPORT_POLICY_FACTORS", "totp, passkey",
		"SALLYPORT_TRUSTED_PROXIES", "10.0.0.0/8,192.0.2.1", "SALLYPORT_SITE_NAME", "Ünïcode"))
	if err != nil {
		t.Fatal(err)
	}
	if c.URL != "https://env.example.com" || c.Policy.MFA != "off" || c.Policy.GraceDays != 3 || fmt.Sprint(c.Policy.Factors) != "[totp passkey]" ||
		fmt.Sprint(c.TrustedProxies) != "[10.0.0.0/8 192.0.2.1]" || c.Site.Name != "Ünïcode" {
		t.Errorf("%+v", c)
	}
	for _, bad := range []string{"x", "1.5", "", " 3", "0x10", "1e3", "99999999999999999999"} {
		_, err := config.Load("", env("SALLYPORT_CONNECTIONS", bad))
		if bad != "" && (err == nil || !strings.Contains(err.Error(), "SALLYPORT_CONNECTIONS")) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// For secrets: NAME_FILE names a file that holds the value, without its last line break.
func TestASecretMayStandInAFile(t *testing.T) {
	path := file(t, "postgres://u:hunter2@h/d\n")
	c, err := config.Load("", env("SALLYPORT_DATABASE", "ignored", "SALLYPORT_DATABASE_FILE", path))
	if err != nil || c.Database != "postgres://u:hunter2@h/d" {
		t.Errorf("%q, %v", c.Database, err)
	}
	_, err = config.Load("", env("SALLYPORT_DATABASE_FILE", path+".missing"))
	if err == nil || !strings.Contains(err.Error(), "SALLYPORT_DATABASE_FILE") {
		t.Error(err)
	}
	_, err = config.Load("", env("SALLYPORT_CONNECTIONS_FILE", path))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error("the error repeats what stands there: ", err)
	}
}

func with(change func(*config.Config)) config.Config {
	c := config.Default()
	change(&c)
	return c
}

func TestWhatCannotWorkIsRefusedWithTheSettingThatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*config.Config)
		about  string // empty: it works
	}{
		"a site":                 {func(c *config.Config) { c.URL = "https://login.example.com" }, ""},
		"a site with a slash":    {func(c *config.Config) { c.URL = "https://login.example.com/" }, ""},
		"a port":                 {func(c *config.Config) { c.URL = "https://login.example.com:8443" }, ""},
		"no url":                 {func(c *config.Config) { c.URL = "" }, "url"},
		"a url without a scheme": {func(c *config.Config) { c.URL = "login.example.com" }, "url"},
		"a url without a host":   {func(c *config.Config) { c.URL = "https://" }, "url"},
		"another scheme":         {func(c *config.Config) { c.URL = "ftp://login.example.com" }, "url"},
		"a url with a path":      {func(c *config.Config) { c.URL = "https://example.com/login" }, "url"},
		"a url with a query":     {func(c *config.Config) { c.URL = "https://example.com?x" }, "url"},
		"a url with a user":      {func(c *config.Config) { c.URL = "https://u:p@example.com" }, "url"},
		"a url that is broken":   {func(c *config.Config) { c.URL = "https://[::1" }, "url"},
		"one connection":         {func(c *config.Config) { c.Connections = 1 }, "connections"},
		"a negative number":      {func(c *config.Config) { c.Connections = -16 }, "connections"},
		"an unknown level":       {func(c *config.Config) { c.LogLevel = "loud" }, "log_level"},
		"no level":               {func(c *config.Config) { c.LogLevel = "" }, "log_level"},
		"a colour":               {func(c *config.Config) { c.Site.Accent = "#0f766e" }, ""},
		"a colour by name":       {func(c *config.Config) { c.Site.Accent = "red" }, "site.accent"},
		"a colour that is CSS":   {func(c *config.Config) { c.Site.Accent = "#0f766e;}body{display:none" }, "site.accent"},
		"a colour and a line":    {func(c *config.Config) { c.Site.Accent = "#0f766e\n" }, "site.accent"},
		"no name":                {func(c *config.Config) { c.Site.Name = "" }, "site.name"},
		"a name on two lines":    {func(c *config.Config) { c.Site.Name = "a\r\nb" }, "site.name"},
		"no support":             {func(c *config.Config) { c.Site.Support = "" }, "site.support"},
		"no idle time":           {func(c *config.Config) { c.Session.IdleMinutes = 0 }, "session.idle_minutes"},
		"a negative end":         {func(c *config.Config) { c.Session.AbsoluteHours = -1 }, "session.absolute_hours"},
		"a certificate alone":    {func(c *config.Config) { c.TLSCert = "x" }, "tls_cert"},
		"a private key alone":    {func(c *config.Config) { c.TLSKey = "x" }, "tls_key"},
		"hashes below none":      {func(c *config.Config) { c.Password.AtOnce = -1 }, "password.at_once"},
		"no days to recover":     {func(c *config.Config) { c.Policy.RecoveryDays = 0 }, "policy.recovery_days"},
		"two months to recover":  {func(c *config.Config) { c.Policy.RecoveryDays = 60 }, "policy.recovery_days"},
		"an origin":              {func(c *config.Config) { c.ReturnTo = []string{"https://app.example.com", "http://localhost:3000"} }, ""},
		"an origin with a path":  {func(c *config.Config) { c.ReturnTo = []string{"https://app.example.com/x"} }, "return_to"},
		"an origin with a slash": {func(c *config.Config) { c.ReturnTo = []string{"https://app.example.com/"} }, "return_to"},
		"an origin with a user":  {func(c *config.Config) { c.ReturnTo = []string{"https://u@app.example.com"} }, "return_to"},
		"an origin without host": {func(c *config.Config) { c.ReturnTo = []string{"https://"} }, "return_to"},
		"a host as origin":       {func(c *config.Config) { c.ReturnTo = []string{"app.example.com"} }, "return_to"},
		"an empty origin":        {func(c *config.Config) { c.ReturnTo = []string{""} }, "return_to"},
		"every origin":           {func(c *config.Config) { c.ReturnTo = []string{"*"} }, "return_to"},
		"the second of two":      {func(c *config.Config) { c.ReturnTo = []string{"https://a.example", "b.example"} }, "return_to"},
		"proxies":                {func(c *config.Config) { c.TrustedProxies = []string{"10.0.0.0/8", "192.0.2.1", "::1", "fd00::/8"} }, ""},
		"a proxy by name":        {func(c *config.Config) { c.TrustedProxies = []string{"proxy.example.com"} }, "trusted_proxies"},
		"a range that is none":   {func(c *config.Config) { c.TrustedProxies = []string{"10.0.0.0/33"} }, "trusted_proxies"},
		"an empty proxy":         {func(c *config.Config) { c.TrustedProxies = []string{""} }, "trusted_proxies"},
	} {
		t.Run(name, func(t *testing.T) {
			err := with(c.change).Check()
			if c.about == "" && err != nil {
				t.Error(err)
			}
			if c.about != "" && (err == nil || !strings.Contains(err.Error(), c.about)) {
				t.Errorf("%v, want a word about %s", err, c.about)
			}
		})
	}
}

// A browser sends the Host in lower case and without the port that the scheme implies. What it will never send cannot be
// the one Host we answer to: every request would be refused.
func TestAnAddressThatNoBrowserSendsIsRefused(t *testing.T) {
	for _, url := range []string{"https://Login.Example.com", "https://login.example.com:443", "http://localhost:80", "https://login.example.com:"} {
		if err := with(func(c *config.Config) { c.URL = url }).Check(); err == nil {
			t.Errorf("url %s would answer nobody", url)
		}
	}
	for _, origin := range []string{"https://App.Example.com", "https://app.example.com:443", "javascript://app", "ftp://app.example.com"} {
		if err := with(func(c *config.Config) { c.ReturnTo = []string{origin} }).Check(); err == nil {
			t.Errorf("return_to %s is no origin that a browser goes to", origin)
		}
	}
}

// A price that no hash can have would make every sign-in a fault of ours, or the server run out of memory.
func TestAPriceThatNoHashCanHaveIsRefused(t *testing.T) {
	for _, p := range []config.Password{
		{MemoryKiB: 0, Iterations: 2}, {MemoryKiB: 19456, Iterations: 0}, {MemoryKiB: -1, Iterations: 2}, {MemoryKiB: 19456, Iterations: -1}, {MemoryKiB: 7, Iterations: 1},
		{MemoryKiB: 256<<10 + 1, Iterations: 2}, {MemoryKiB: 19456, Iterations: 65}, {MemoryKiB: 1 << 40, Iterations: 1},
	} {
		if err := with(func(c *config.Config) { c.Password = p }).Check(); err == nil {
			t.Errorf("%+v", p)
		}
	}
}

func ring(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEachDangerousSettingHasItsReason(t *testing.T) {
	safe := func(c *config.Config) {
		c.URL, c.Listen, c.TLSCert, c.TLSKey = "https://login.example.com", ":443", "cert", "key"
		c.Keys, c.MetricsListen = ring(t), "10.1.2.3:9464"
		c.Database = "postgres://u:hunter2@db.example.com/d?sslmode=verify-full"
	}
	readable := ring(t)
	if err := os.Chmod(readable, 0o640); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*config.Config)
		says   string // empty: nothing is wrong
	}{
		"all is well":      {func(*config.Config) {}, ""},
		"a proxy does TLS": {func(c *config.Config) { c.TLSCert, c.TLSKey, c.TrustedProxies = "", "", []string{"10.0.0.0/8"} }, ""},
		"a proxy on this machine does TLS": {func(c *config.Config) {
			c.TLSCert, c.TLSKey, c.Listen, c.TrustedProxies = "", "", "127.0.0.1:8080", []string{"127.0.0.1"}
		}, ""},
		"no metrics":                      {func(c *config.Config) { c.MetricsListen = "off" }, ""},
		"a database on this machine":      {func(c *config.Config) { c.Database = "postgres://u@localhost/d" }, ""},
		"SQLite":                          {func(c *config.Config) { c.Database = "/var/lib/x.db" }, ""},
		"another price that is fine":      {func(c *config.Config) { c.Password.MemoryKiB, c.Password.Iterations = 47104, 1 }, ""},
		"plain http":                      {func(c *config.Config) { c.URL, c.Listen = "http://login.example.com", "localhost:8080" }, "https://login.example.com"},
		"plain http to everybody":         {func(c *config.Config) { c.URL = "http://localhost:8080" }, "listen"},
		"no TLS":                          {func(c *config.Config) { c.TLSCert, c.TLSKey = "", "" }, "tls_cert"},
		"everybody is a proxy":            {func(c *config.Config) { c.TrustedProxies = []string{"0.0.0.0/0"} }, "0.0.0.0/0"},
		"everybody is a proxy, IPv6":      {func(c *config.Config) { c.TrustedProxies = []string{"10.0.0.0/8", "::/0"} }, "::/0"},
		"metrics to everybody":            {func(c *config.Config) { c.MetricsListen = ":9464" }, "metrics_listen"},
		"metrics to everybody, IPv4":      {func(c *config.Config) { c.MetricsListen = "0.0.0.0:9464" }, "metrics_listen"},
		"metrics to everybody, IPv6":      {func(c *config.Config) { c.MetricsListen = "[::]:9464" }, "metrics_listen"},
		"a database without TLS":          {func(c *config.Config) { c.Database = "postgres://u:hunter2@db.example.com/d" }, "sslmode"},
		"a database with any certificate": {func(c *config.Config) { c.Database = "postgres://u:hunter2@db.example.com/d?sslmode=require" }, "sslmode"},
		"a database, the other scheme":    {func(c *config.Config) { c.Database = "postgresql://u:hunter2@db.example.com/d?sslmode=prefer" }, "sslmode"},
		"cheap hashes":                    {func(c *config.Config) { c.Password.Iterations = 1 }, "password.memory_kib"},
		"hashes of little memory":         {func(c *config.Config) { c.Password.MemoryKiB, c.Password.Iterations = 4096, 60 }, "password.memory_kib"},
		"sessions for ever":               {func(c *config.Config) { c.Session.AbsoluteHours = 24*30 + 1 }, "session.absolute_hours"},
		"no key ring":                     {func(c *config.Config) { c.Keys = "/nowhere/keys" }, "keys rotate"},
		"a key ring that others read":     {func(c *config.Config) { c.Keys = readable }, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			conf := config.Default()
			safe(&conf)
			c.change(&conf)
			if err := conf.Check(); err != nil {
				t.Fatal(err)
			}
			reasons := conf.Unsafe()
			if c.says == "" && len(reasons) > 0 {
				t.Error(reasons)
			}
			if c.says != "" && (len(reasons) != 1 || !strings.Contains(reasons[0], c.says)) {
				t.Errorf("%q, want one about %s", reasons, c.says)
			}
			if strings.Contains(strings.Join(reasons, " "), "hunter2") {
				t.Error("a reason repeats a password")
			}
		})
	}
}

func TestLoopbackIsThisMachineAlone(t *testing.T) {
	for address, want := range map[string]bool{
		"localhost:8080": true, "127.0.0.1:80": true, "[::1]:80": true, "127.9.9.9:1": true, "localhost": true, "::1": true, "[::1]": true,
		":8080": false, "0.0.0.0:80": false, "[::]:80": false, "10.0.0.1:80": false, "localhost.example.com:80": false, "": false, "127.0.0.1.example.com": false,
		"128.0.0.1:80": false, "example.com": false,
	} {
		if config.IsLoopback(address) != want {
			t.Errorf("%q: %v", address, !want)
		}
	}
}

func TestAProxyIsAnAddressOrARange(t *testing.T) {
	c := with(func(c *config.Config) { c.TrustedProxies = []string{"192.0.2.1", "10.1.2.3/8", "2001:db8::1"} })
	ranges, err := c.Proxies()
	if err != nil || fmt.Sprint(ranges) != "[192.0.2.1/32 10.0.0.0/8 2001:db8::1/128]" {
		t.Error(ranges, err)
	}
	if ranges[0].Contains(netip.MustParseAddr("192.0.2.2")) {
		t.Error("a neighbour is trusted")
	}
}

// FuzzLoad: whatever stands in the file, Load answers, Check and Unsafe do not panic on what it let through, and no
// error shows a value.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{"", "url = 'https://x'", "[policy]\nmfa = 'required'\nfactors = ['totp']", "database = 'postgres://u:hunter2@h/d?sslmode=x'",
		"return_to = ['https://a']\ntrusted_proxies = ['10.0.0.0/8']", "listen = ''\nmetrics_listen = ''", "[session]\nidle_minutes = 9223372036854775807", "a.b.c = 1", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "x.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Skip(err)
		}
		c, err := config.Load(path, none)
		if err != nil {
			if strings.Contains(err.Error(), "hunter2") {
				t.Fatal(err)
			}
			return
		}
		if c.Check() == nil {
			c.Unsafe()
		}
	})
}
