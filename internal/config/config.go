// Package config is what a deployment may set: a TOML file, then the environment over it.
//
// It refuses a key it does not know, and [Config.Unsafe] says of each setting that would be dangerous in production
// what is wrong and how to mend it.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"sallyport/internal/db"
)

// A Config is all settings. The doc tags become docs/reference/config.md.
type Config struct {
	URL            string   `toml:"url" doc:"Where people reach this server. Other Host headers are refused."`
	Listen         string   `toml:"listen" doc:"Address to listen on."`
	Data           string   `toml:"data" doc:"Folder of the SQLite database and the key ring, unless these are set."`
	Database       string   `toml:"database" doc:"postgres://user:password@host/name, or the path of a SQLite file."`
	Connections    int      `toml:"connections" doc:"Database connections at most, on this node; one more listens for signals."`
	Keys           string   `toml:"keys" doc:"File of the key ring, mode 0600. Every node needs the same."`
	TLSCert        string   `toml:"tls_cert" doc:"Certificate chain, PEM; without one a proxy in front must do TLS."`
	TLSKey         string   `toml:"tls_key" doc:"Private key of the certificate, PEM."`
	TrustedProxies []string `toml:"trusted_proxies" doc:"Ranges whose X-Forwarded-For is believed: [\"10.0.0.0/8\"]."`
	ReturnTo       []string `toml:"return_to" doc:"Origins a sign-in may lead to beside this site: [\"https://app.example.com\"]."`
	MetricsListen  string   `toml:"metrics_listen" doc:"Address of /metrics, apart from the pages; off: none."`
	LogLevel       string   `toml:"log_level" doc:"debug, info, warn or error."`
	Site           Site     `toml:"site"`
	Policy         Policy   `toml:"policy"`
	Passkeys       Passkeys `toml:"passkeys"`
	Session        Session  `toml:"session"`
	Password       Password `toml:"password"`
	Codes          Codes    `toml:"codes"`
	Mail           Mail     `toml:"mail"`
	SMS            SMS      `toml:"sms"`
	Messages       Messages `toml:"messages"`
}

// Site is how the pages look.
type Site struct {
	Name    string `toml:"name" doc:"Name of the product, on pages and in authenticator apps."`
	Support string `toml:"support" doc:"Where people get help: https://, mailto:, or plain words."`
	Accent  string `toml:"accent" doc:"Accent colour, #rrggbb; empty: ours."`
}

// Policy is what is asked of everybody.
type Policy struct {
	MFA           string   `toml:"mfa" doc:"off, optional (who has a second factor is asked for it) or required (everybody sets one up)."`
	Factors       []string `toml:"factors" doc:"Second factors that count, of passkey, totp, email, sms and backupcode. email and sms need [mail] and [sms]; backup codes only stand in for one of the others."`
	GraceDays     int      `toml:"grace_days" doc:"With required: days from the first sign-in without a second factor until it is enforced."`
	LastFactor    string   `toml:"last_factor" doc:"refuse or warn when somebody removes their last second factor."`
	StepUpMinutes int      `toml:"step_up_minutes" doc:"How long a fresh proof stays fresh, 1 to 60."`
	TrustDays     int      `toml:"trust_days" doc:"Days, 1 to 365, for which a browser skips the second step once its person trusts it; 0: none does."`
	Recovery      []string `toml:"recovery" doc:"What may stand in for a second step that is lost, beside backup codes and access passes: email, a code to the address of the account."`
	RecoveryDays  int      `toml:"recovery_days" doc:"Days, 1 to 30, that whoever came in by such a code or by an access pass waits until they may change factors; and for which nothing that secures an account can be changed after its person answered a notice with This wasn't me; and for which a password chosen by a mailed link proves no more than the mailbox."`
}

// Passkeys is what may be done with passkeys, and which ones are accepted.
type Passkeys struct {
	Use            string   `toml:"use" doc:"enabled, use only (existing ones sign in and can be removed, none is added) or disabled."`
	RPID           string   `toml:"rp_id" doc:"Domain that passkeys belong to, for good: the host of url, or a domain above it. Empty: the host of url. See operate/relying-party.md."`
	RelatedOrigins []string `toml:"related_origins" doc:"Origins of other domains where the same passkeys may be used: [\"https://login.example.org\"]."`
	AddAt          string   `toml:"add_at" doc:"anywhere (Settings, and while signing in) or signin (only there)."`
	AlsoPassword   bool     `toml:"also_password" doc:"Adding one in Settings asks for the current password besides the step-up."`
	TurnsMFAOn     bool     `toml:"turns_mfa_on" doc:"The first passkey switches MFA on, where it is optional."`
	Offer          bool     `toml:"offer" doc:"Offer one, at most every 30 days, to people who signed in with something weaker."`
	AllowedAAGUIDs []string `toml:"allowed_aaguids" doc:"Models of authenticators that are accepted; empty: all. Without metadata an authenticator may lie about its model."`
	DeniedAAGUIDs  []string `toml:"denied_aaguids" doc:"Models that are not accepted."`
	Metadata       string   `toml:"metadata" doc:"File of the FIDO Metadata Service (MDS3). With it only authenticators are added that prove to be in it and are in good standing."`
	MetadataRoot   string   `toml:"metadata_root" doc:"Certificate that signs the file, base64 of its DER; empty: FIDO's own."`
}

// Session is how long sessions last.
type Session struct {
	IdleMinutes   int `toml:"idle_minutes" doc:"A session ends after this long without a request."`
	AbsoluteHours int `toml:"absolute_hours" doc:"A session ends after this long whatever happens."`
}

// Password is what a hash costs. The default is the one of OWASP's equivalent pairs that takes us the least time and
// memory; others only if they cost at least as much.
type Password struct {
	MemoryKiB  int `toml:"memory_kib" doc:"Argon2id memory of one hash."`
	Iterations int `toml:"iterations" doc:"Argon2id passes."`
	AtOnce     int `toml:"at_once" doc:"Hashes at once; 0: one for each core."`
}

// Codes is how codes by email and SMS are used.
type Codes struct {
	Delivery string `toml:"delivery" doc:"preferred (a sign-in sends to the channel its person prefers), choose (they pick one, then it is sent) or all (each channel gets one)."`
	SignIn   bool   `toml:"sign_in" doc:"A sign-in may begin with a code by email in place of the password: Email me a code."`
}

// Mail is the SMTP server that takes our mail. Without one there are no codes by email and no security notices.
type Mail struct {
	Host     string `toml:"host" doc:"SMTP server, host:port. outbox: mail is kept to be looked at, on a machine to develop on. Empty: there is no mail."`
	TLS      string `toml:"tls" doc:"starttls, tls (from the first byte) or none (for a relay on this machine)."`
	User     string `toml:"user" doc:"Login at the server; empty: none."`
	Password string `toml:"password" doc:"Password of the login; better in SALLYPORT_MAIL_PASSWORD_FILE."`
	From     string `toml:"from" doc:"Sender: Example <no-reply@example.com>."`
	ReplyTo  string `toml:"reply_to" doc:"Where answers go; empty: to the sender."`
	Hello    string `toml:"hello" doc:"How we greet the server; empty: the domain of from."`
	PerHour  int    `toml:"per_hour" doc:"Codes by email in an hour, of everybody together, evenly: so many at once after a quiet time, and as many again over an hour."`
}

// SMS is the provider that takes our SMS.
type SMS struct {
	Provider  string   `toml:"provider" doc:"twilio, vonage, sns, webhook or smpp. outbox: SMS are kept to be looked at. Empty: there is no SMS. See operate/messages.md for what each needs."`
	URL       string   `toml:"url" doc:"Address of the provider, if not its usual one; needed for webhook and smpp."`
	Account   string   `toml:"account" doc:"Account SID, API key, access key id or system_id."`
	Secret    string   `toml:"secret" doc:"What proves it; better in SALLYPORT_SMS_SECRET_FILE."`
	From      string   `toml:"from" doc:"Sender that phones show."`
	Region    string   `toml:"region" doc:"Of AWS: eu-north-1."`
	Token     string   `toml:"token" doc:"Session token of temporary AWS credentials."`
	Countries []string `toml:"countries" doc:"Countries that SMS may go to, ISO 3166-1: [\"SE\", \"FI\"]. No others."`
	Country   string   `toml:"country" doc:"Country of numbers that are typed without one."`
	PerHour   int      `toml:"per_hour" doc:"SMS with codes in an hour, of everybody together, evenly; half of them to one country."`
}

// Messages is what mail and SMS say.
type Messages struct {
	Language string `toml:"language" doc:"Of messages to people who chose none: en, de, fr, es, fi, or one of yours."`
	Texts    string `toml:"texts" doc:"Folder with texts of yours, LANGUAGE.toml; see operate/messages.md. Empty: ours."`
	TimeZone string `toml:"time_zone" doc:"Zone of the times in messages: Europe/Helsinki."`
}

// Outbox as mail.host or sms.provider keeps messages to be looked at.
const Outbox = "outbox"

// Default is what `sallyport dev` runs with.
func Default() Config {
	return Config{
		URL: "http://localhost:8080", Listen: "localhost:8080", Data: "./data", Connections: 16,
		TrustedProxies: []string{}, ReturnTo: []string{}, MetricsListen: "localhost:9464", LogLevel: "info",
		Site:     Site{Name: "Sallyport", Support: "your administrator"},
		Policy:   Policy{MFA: "optional", Factors: []string{"passkey", "totp", "backupcode"}, LastFactor: "refuse", StepUpMinutes: 10, TrustDays: 30, Recovery: []string{}, RecoveryDays: 3},
		Passkeys: Passkeys{Use: "enabled", RelatedOrigins: []string{}, AddAt: "anywhere", TurnsMFAOn: true, Offer: true, AllowedAAGUIDs: []string{}, DeniedAAGUIDs: []string{}},
		Session:  Session{IdleMinutes: 60, AbsoluteHours: 24},
		Password: Password{MemoryKiB: 7168, Iterations: 5},
		Codes:    Codes{Delivery: "preferred"},
		Mail:     Mail{TLS: "starttls", PerHour: 2000},
		SMS:      SMS{Countries: []string{}, PerHour: 200},
		Messages: Messages{Language: "en", TimeZone: "UTC"},
	}
}

// Load reads a file, if path is not empty, and the environment.
func Load(path string, getenv func(string) string) (Config, error) {
	c := Default()
	if path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return c, err
		}
		d := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			return c, fmt.Errorf("%s: %w", path, readable(err))
		}
	}
	if err := fromEnv(reflect.ValueOf(&c).Elem(), "SALLYPORT", getenv); err != nil {
		return c, err
	}
	return c, nil
}

// readable names the line and key; go-toml's own text is the surrounding lines, which may hold a password.
func readable(err error) error {
	var strict *toml.StrictMissingError
	var decode *toml.DecodeError
	switch {
	case errors.As(err, &strict):
		row, _ := strict.Errors[0].Position()
		return fmt.Errorf("line %d: there is no setting %q", row, strings.Join(strict.Errors[0].Key(), "."))
	case errors.As(err, &decode):
		row, _ := decode.Position()
		return fmt.Errorf("line %d cannot be read: %w", row, decode)
	}
	return err
}

// fromEnv sets SALLYPORT_POLICY_MFA and the like. NAME_FILE names a file that holds the value, for secrets.
func fromEnv(v reflect.Value, prefix string, getenv func(string) string) error {
	for i := range v.NumField() {
		name := prefix + "_" + strings.ToUpper(v.Type().Field(i).Tag.Get("toml"))
		field := v.Field(i)
		if field.Kind() == reflect.Struct {
			if err := fromEnv(field, name, getenv); err != nil {
				return err
			}
			continue
		}
		text := getenv(name)
		if path := getenv(name + "_FILE"); path != "" {
			b, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("%s_FILE: %w", name, err)
			}
			text = strings.TrimSpace(string(b))
		}
		if text == "" {
			continue
		}
		switch field.Kind() {
		case reflect.String:
			field.SetString(text)
		case reflect.Int:
			n, err := strconv.Atoi(text)
			if err != nil {
				return fmt.Errorf("%s must be a whole number", name)
			}
			field.SetInt(int64(n))
		case reflect.Bool:
			on, err := strconv.ParseBool(text)
			if err != nil {
				return fmt.Errorf("%s must be true or false", name)
			}
			field.SetBool(on)
		case reflect.Slice:
			list := []string{}
			for one := range strings.SplitSeq(text, ",") {
				list = append(list, strings.TrimSpace(one))
			}
			field.Set(reflect.ValueOf(list))
		default:
			panic("config: no way to set " + name) // a new kind of setting: teach this
		}
	}
	return nil
}

// DatabaseAddress is the database that is meant.
func (c Config) DatabaseAddress() string {
	if c.Database != "" {
		return c.Database
	}
	return filepath.Join(c.Data, "sallyport.db")
}

// KeysPath is the file of the key ring that is meant.
func (c Config) KeysPath() string {
	if c.Keys != "" {
		return c.Keys
	}
	return filepath.Join(c.Data, "keys")
}

var (
	colour = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	levels = map[string]bool{"debug": true, "info": true, "warn": true, "error": true}
)

// Check says what cannot work at all.
func (c Config) Check() error {
	switch {
	case !isOrigin(strings.TrimSuffix(c.URL, "/")):
		return fmt.Errorf("url is %q: set it to scheme and host as browsers write them, https://login.example.com or, on this machine, http://localhost:8080", c.URL)
	case c.Connections < 2:
		return fmt.Errorf("connections is %d: set it to 2 or more", c.Connections)
	case !levels[c.LogLevel]:
		return fmt.Errorf("log_level is %q: set it to debug, info, warn or error", c.LogLevel)
	case c.Site.Accent != "" && !colour.MatchString(c.Site.Accent):
		return fmt.Errorf("site.accent is %q: set it to a colour like #0f766e", c.Site.Accent)
	case c.Site.Name == "" || strings.ContainsAny(c.Site.Name, "\r\n"):
		return errors.New("site.name is empty or has a line break: set it to the name of your product")
	case c.Site.Support == "":
		return errors.New("site.support is empty: set it to where people get help, an address or words")
	case c.Session.IdleMinutes < 1 || c.Session.AbsoluteHours < 1:
		return errors.New("session.idle_minutes and session.absolute_hours must be 1 or more")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("tls_cert and tls_key go together: set both or none")
	case c.Password.MemoryKiB < 8 || c.Password.MemoryKiB > 256<<10 || c.Password.Iterations < 1 || c.Password.Iterations > 64:
		return errors.New("password.memory_kib must be 8 to 262144 and password.iterations 1 to 64")
	case !slices.Contains([]string{"enabled", "use only", "disabled"}, c.Passkeys.Use):
		return fmt.Errorf("passkeys.use is %q: set it to enabled, use only or disabled", c.Passkeys.Use)
	case c.Passkeys.AddAt != "anywhere" && c.Passkeys.AddAt != "signin":
		return fmt.Errorf("passkeys.add_at is %q: set it to anywhere or signin", c.Passkeys.AddAt)
	case c.Policy.RecoveryDays < 1 || c.Policy.RecoveryDays > 30:
		return fmt.Errorf("policy.recovery_days is %d: set it to 1 to 30", c.Policy.RecoveryDays)
	case c.Policy.TrustDays < 0 || c.Policy.TrustDays > 365:
		return fmt.Errorf("policy.trust_days is %d: set it to 1 to 365, or to 0 to let no browser skip the second step", c.Policy.TrustDays)
	case c.Password.AtOnce < 0:
		return errors.New("password.at_once is negative: set it to 0 for one hash at a time on each core")
	}
	if err := c.checkMessages(); err != nil {
		return err
	}
	for _, origin := range c.ReturnTo {
		if !isOrigin(origin) {
			return fmt.Errorf("return_to has %q: name origins like https://app.example.com, without a path", origin)
		}
	}
	_, err := c.Proxies()
	return err
}

// isOrigin is true for an origin as browsers write it: scheme and host alone, in lower case, without the port that the
// scheme implies. What they will never send cannot be the one Host we answer to.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.Scheme+"://"+u.Host == text &&
		text == strings.ToLower(text) && !strings.HasSuffix(u.Host, ":") && u.Port() != map[string]string{"https": "443", "http": "80"}[u.Scheme]
}

// Proxies are the ranges of TrustedProxies.
func (c Config) Proxies() (ranges []netip.Prefix, err error) {
	for _, text := range c.TrustedProxies {
		p, err := netip.ParsePrefix(text)
		if a, single := netip.ParseAddr(text); single == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("trusted_proxies has %q: name an address or a range like 10.0.0.0/8", text)
		}
		ranges = append(ranges, p.Masked())
	}
	return ranges, nil
}

// Unsafe lists settings that are no fault but would be dangerous beyond one's own machine, each with its fix.
func (c Config) Unsafe() (reasons []string) {
	no := func(reason string) { reasons = append(reasons, reason) }
	u, _ := url.Parse(c.URL) // Check has read it
	local := IsLoopback(u.Host)
	if u.Scheme != "https" && !local {
		no("url is plain http, so passwords and cookies could be read on the way: set url to https://" + u.Host)
	}
	if u.Scheme == "https" && c.TLSCert == "" && len(c.TrustedProxies) == 0 {
		no("url is https but nobody does TLS: set tls_cert and tls_key, or trusted_proxies to the address of the proxy that does; without it all clients would share its address, and one could lock out all")
	}
	if u.Scheme != "https" && !IsLoopback(c.Listen) {
		no("listen is " + c.Listen + " but url is plain http: set listen to localhost:8080, or url to https")
	}
	ranges, _ := c.Proxies()
	for _, r := range ranges {
		if r.Bits() == 0 {
			no("trusted_proxies has " + r.String() + ", so anybody could claim any address: name your proxies alone")
		}
	}
	if c.Mail.Host == Outbox || c.SMS.Provider == Outbox {
		no("mail.host or sms.provider is outbox, so nobody would get a message: name your server and provider")
	}
	if c.MetricsListen != "off" && !IsLoopback(c.MetricsListen) && isUnspecified(c.MetricsListen) {
		no("metrics_listen is " + c.MetricsListen + ", open to everybody: name one address of an inner network, or localhost:9464")
	}
	if db.IsPostgres(c.Database) {
		if d, err := url.Parse(c.Database); err == nil && d.Host != "" && !IsLoopback(d.Host) && plain(d.Query().Get("sslmode")) {
			no("database is reached without verified TLS: add sslmode=verify-full to its address")
		}
	}
	if c.Password.MemoryKiB*c.Password.Iterations < 35000 || c.Password.MemoryKiB < 7168 {
		no("password.memory_kib and password.iterations make hashes too cheap: set them to 7168 and 5")
	}
	if c.Session.AbsoluteHours > 24*30 {
		no("session.absolute_hours is more than 30 days: set it to 24")
	}
	if info, err := os.Stat(c.KeysPath()); err != nil {
		no("there is no key ring at " + c.KeysPath() + ": make one with `sallyport keys rotate`, and copy it to every node")
	} else if info.Mode().Perm()&0o077 != 0 {
		no("others on this machine can read the key ring: chmod 600 " + c.KeysPath())
	}
	return reasons
}

func plain(sslmode string) bool { return sslmode != "verify-full" && sslmode != "verify-ca" }

// IsLoopback is true for an address that only this machine reaches.
func IsLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && a.IsLoopback()
}

func isUnspecified(hostport string) bool {
	host, _, _ := net.SplitHostPort(hostport)
	a, err := netip.ParseAddr(host)
	return host == "" || err == nil && a.IsUnspecified()
}

// Idle and Absolute are the session times.
func (s Session) Idle() time.Duration     { return time.Duration(s.IdleMinutes) * time.Minute }
func (s Session) Absolute() time.Duration { return time.Duration(s.AbsoluteHours) * time.Hour }
