// Package app makes parts from configuration and joins them. It is the only place that knows them all.
package app

import (
	"cmp"
	"context"
	"crypto/hmac"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/account"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/db"
	"sallyport/internal/factor/accesspass"
	"sallyport/internal/factor/backupcode"
	"sallyport/internal/factor/onetime"
	"sallyport/internal/factor/passkey"
	"sallyport/internal/factor/password"
	"sallyport/internal/factor/totp"
	"sallyport/internal/notice"
	"sallyport/internal/notify"
	"sallyport/internal/policy"
	"sallyport/internal/recovery"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/session"
	"sallyport/internal/setup"
	"sallyport/internal/signin"
	"sallyport/internal/stepup"
	"sallyport/internal/throttle"
	"sallyport/internal/trust"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

// An App is the whole server with the parts the command line works with.
type App struct {
	Site      *web.Site
	DB        *db.DB
	Users     *user.Store
	Passwords *password.Password
	Roster    *roster.Roster
	Sessions  *session.Store
	Throttle  *throttle.Throttle
	Trail     *audit.Trail
	Setup     *setup.Setup
	Outbox    *notify.Outbox
	Settings  *account.Account
	Recovery  *recovery.Recovery
	Config    config.Config

	log    *slog.Logger
	sweeps []func(context.Context) error
}

//go:embed schema
var embedded embed.FS

var ownSchema, _ = fs.Sub(embedded, "schema")

// Schemas are the tables of all folders.
var Schemas = []fs.FS{
	user.Schema, throttle.Schema, audit.Schema, notify.Schema,
	password.Schema, totp.Schema, passkey.Schema, onetime.Schema, backupcode.Schema, accesspass.Schema,
	session.Schema, trust.Schema,
	signin.Schema, setup.Schema, notice.Schema, recovery.Schema,
	ownSchema,
}

// hashWait is how long a sign-in may wait for its turn to be hashed.
const hashWait = time.Second

// New opens the database, brings its schema up to date and joins the parts.
func New(ctx context.Context, c config.Config, clock func() time.Time, log *slog.Logger, metrics prometheus.Registerer) (_ *App, err error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	rules := Rules(c)
	if err := rules.Check([]auth.Kind{passkey.Kind, totp.Kind, onetime.Email, onetime.SMS, backupcode.Kind}); err != nil {
		return nil, err
	}
	if rules.MFA != policy.Off && len(rules.Factors) == 0 && len(c.Policy.Factors) > 0 {
		return nil, errors.New("passkeys.use is disabled and policy.factors names nothing else, so passwords alone would open the accounts of people with passkeys: name another factor, or set policy.mfa to off")
	}
	keys, err := secret.OpenKeys(c.KeysPath())
	if err != nil {
		return nil, err
	}
	d, err := db.Open(ctx, c.DatabaseAddress(), c.Connections)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if err := d.Migrate(ctx, Schemas...); err != nil {
		return nil, err
	}
	if err := sameKeys(ctx, d, keys.MAC("belongs", nil)); err != nil {
		return nil, fmt.Errorf("%s: %w", c.KeysPath(), err)
	}
	address, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	var (
		sites    = visit.Sites{Home: "/account", Others: c.ReturnTo}
		served   atomic.Int64
		trail    = audit.New(d, keys.MAC("audit", nil), clock)
		users    = user.NewStore(d)
		throttle = throttle.New(d, clock)
		ros      = roster.New(rules, clock)
		sessions = session.New(session.Config{Idle: c.Session.Idle(), Absolute: c.Session.Absolute()}, d, users, trail, clock)
		words    = password.New(password.Parts{DB: d, Hasher: hasher(c.Password, served.Load), Trail: trail, Throttle: throttle, Revoker: sessions,
			Rules: password.Rules{Least: least(rules.MFA), Context: []string{c.Site.Name}}, Mailed: rules.Recovery, Clock: clock})
		codes = totp.New(totp.Parts{DB: d, Keys: keys, Trail: trail, Throttle: throttle, Roster: ros, Revoker: sessions, Issuer: c.Site.Name, Clock: clock})
	)
	passkeys, err := passkey.New(passkey.Parts{DB: d, Keys: keys, Users: users, Trail: trail, Throttle: throttle, Roster: ros, Revoker: sessions,
		Party: party(c, address), Rules: passkeyRules(c), Sites: sites, Clock: clock})
	if err != nil {
		return nil, err
	}
	outbox, err := newOutbox(c, d, keys, clock, log, metrics)
	if err != nil {
		return nil, err
	}
	mailed := onetime.New(onetime.Parts{DB: d, Keys: keys, Users: users, Outbox: outbox, Trail: trail, Throttle: throttle, Roster: ros, Revoker: sessions,
		Rules: codeRules(c), Clock: clock})
	metrics.MustRegister(mailed)
	seconds := []auth.Factor{passkeys, codes}
	sent, err := mailed.Factors(ctx)
	if err != nil {
		return nil, err
	}
	spare := backupcode.New(backupcode.Parts{DB: d, Keys: keys, Users: users, Trail: trail, Roster: ros, Revoker: sessions,
		Name: c.Site.Name, Site: address.Scheme + "://" + address.Host, Sites: sites, Clock: clock})
	passes := accesspass.New(accesspass.Parts{DB: d, Keys: keys, Clock: clock})
	ros.Add(words, append(append(seconds, sent...), passes, spare)...)
	back := recovery.New(recovery.Parts{DB: d, Keys: keys, Users: users, Roster: ros, Passwords: words, Contacts: mailed, Passes: passes, Outbox: outbox, Throttle: throttle, Trail: trail, Revoker: sessions,
		Site: address.Scheme + "://" + address.Host, Clock: clock})
	notices := notice.New(notice.Parts{DB: d, Users: users, Outbox: outbox, Throttle: throttle, Trail: trail, Roster: ros, Contacts: mailed, Revoker: sessions, Recovery: back,
		Site: address.Scheme + "://" + address.Host, Freeze: time.Duration(c.Policy.RecoveryDays) * 24 * time.Hour, Clock: clock})
	trusted := trust.New(trust.Parts{DB: d, Trail: trail, Rules: rules, Sites: sites, Clock: clock})
	trail.Watch(trusted)
	trail.Watch(back)
	trail.Watch(mailed)
	trail.Watch(notices)
	if err := passkeys.Stranded(ctx); err != nil {
		return nil, err
	}
	if err := stranded(ctx, users, rules); err != nil {
		return nil, err
	}
	var (
		signIn = signin.New(signin.Parts{DB: d, Keys: keys, Users: users, Roster: ros, Sessions: sessions, Throttle: throttle, Trust: trusted, Trail: trail,
			Sites: sites, Arrivals: []signin.Arriver{back, notices, passes}, Detours: []signin.Detour{spare, passkeys, trusted}, Mailed: opening(c, mailed),
			Forgot: back.Page(), Clock: clock})
		stepUp   = stepup.New(stepup.Parts{DB: d, Users: users, Roster: ros, Sessions: sessions, Throttle: throttle, Trail: trail, Clock: clock})
		settings = account.New(account.Parts{DB: d, Users: users, Roster: ros, Throttle: throttle, Trail: trail, Revoker: sessions,
			Cards: offered(passkeys, codes, mailed, spare, words, sessions, trusted), Region: c.SMS.Country, Languages: outbox.Texts.Languages()})
		first = setup.New(setup.Parts{DB: d, Users: users, Passwords: words, Trail: trail, Clock: clock})
	)
	proxies, err := c.Proxies()
	if err != nil {
		return nil, err
	}
	site, err := web.New(web.Config{
		URL:   &url.URL{Scheme: address.Scheme, Host: address.Host},
		Brand: web.Brand{Name: c.Site.Name, Support: c.Site.Support, Accent: c.Site.Accent},
		Guards: map[visit.Guard]visit.Keeper{
			visit.Public:    func(*http.Request, *visit.Visit) error { return nil },
			visit.Arriving:  signIn.KeepArriving,
			visit.Pending:   signIn.Keep,
			visit.Enrolling: notice.Unfrozen(signIn.KeepEnrolling, clock),
			visit.SignedIn:  sessions.Keep,
			visit.Fresh:     notice.Unfrozen(stepUp.Keep, clock),
			visit.Offered: notice.Unfrozen(func(r *http.Request, v *visit.Visit) error {
				if err := sessions.Keep(r, v); err != nil {
					return err
				}
				return passkeys.KeepOffered(r, v)
			}, clock),
		},
		SignIn: "/signin", StepUp: "/stepup", Home: sites.Home,
		Redirects: map[string]string{"/{$}": "/account", "/.well-known/change-password": "/account/password"},
		Documents: passkeys.Documents(),
		Scripts:   []web.Script{passkey.Script()},
		Ready:     (&heartbeat{db: d, clock: clock}).beat,
		Proxies:   proxies, Served: &served, Clock: clock, Log: log, Metrics: metrics,
	},
		first.Routes(), signIn.Routes(), sessions.Routes(), trusted.Routes(), stepUp.Routes(), settings.Routes(),
		words.Routes(), passkeys.Routes(), codes.Routes(), mailed.Routes(), spare.Routes(), passes.Routes(),
		notices.Routes(), back.Routes(),
	)
	if err != nil {
		return nil, err
	}
	return &App{Site: site, DB: d, Users: users, Passwords: words, Roster: ros, Sessions: sessions, Throttle: throttle, Trail: trail,
		Setup: first, Outbox: outbox, Settings: settings, Recovery: back, Config: c,
		log: log, sweeps: []func(context.Context) error{
			sessions.Sweep, trusted.Sweep, signIn.Sweep, throttle.Sweep, outbox.Sweep,
			codes.Sweep, passkeys.Sweep, mailed.Sweep, passes.Sweep,
			notices.Sweep, back.Sweep,
		}}, nil
}

// offered are the places on the Security page of what there is here, in order.
func offered(all ...account.Carder) []account.Carder {
	return slices.DeleteFunc(all, func(c account.Carder) bool {
		o, ok := c.(interface{ Offered() bool })
		return ok && !o.Offered()
	})
}

// sameKeys refuses a key ring that is not the one this database began with: nothing sealed would open, and every event
// it signed would look forged for good.
func sameKeys(ctx context.Context, d *db.DB, mac []byte) error {
	return d.Tx(ctx, func(tx auth.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO key_check (id, mac) VALUES (1, $1) ON CONFLICT DO NOTHING`, mac); err != nil {
			return err
		}
		var first []byte
		if err := tx.QueryRowContext(ctx, `SELECT mac FROM key_check WHERE id = 1`).Scan(&first); err != nil {
			return err
		}
		if !hmac.Equal(first, mac) {
			return errors.New("this key ring does not belong to this database: put the one it began with in its place")
		}
		return nil
	})
}

// Rules are the policy of a configuration.
func Rules(c config.Config) policy.Rules {
	p := c.Policy
	r := policy.Rules{MFA: policy.MFA(p.MFA), Closed: []auth.Kind{backupcode.Kind}, Given: []auth.Kind{accesspass.Kind}, Grace: time.Duration(p.GraceDays) * 24 * time.Hour,
		LastFactor: policy.LastFactor(p.LastFactor), StepUp: time.Duration(p.StepUpMinutes) * time.Minute, Trust: time.Duration(p.TrustDays) * 24 * time.Hour, Recovery: time.Duration(p.RecoveryDays) * 24 * time.Hour}
	if c.Passkeys.Use != string(passkey.Enabled) {
		r.Closed = append(r.Closed, passkey.Kind)
	}
	for _, f := range p.Factors {
		if auth.Kind(f) == passkey.Kind && c.Passkeys.Use == string(passkey.Disabled) {
			continue
		}
		r.Factors = append(r.Factors, auth.Kind(f))
	}
	for _, way := range p.Recovery {
		r.Given = append(r.Given, auth.Kind(way))
	}
	return r
}

// party is who we are to authenticators.
func party(c config.Config, address *url.URL) passkey.Party {
	return passkey.Party{ID: cmp.Or(c.Passkeys.RPID, address.Hostname()), Name: c.Site.Name, Origin: address.Scheme + "://" + address.Host,
		Related: c.Passkeys.RelatedOrigins}
}

// passkeyRules are what a configuration says of passkeys. Where they do not count as a factor, there are none.
func passkeyRules(c config.Config) passkey.Rules {
	k := c.Passkeys
	r := passkey.Rules{Use: passkey.Use(k.Use), AtSignIn: k.AddAt == "signin", AlsoPassword: k.AlsoPassword, TurnsMFAOn: k.TurnsMFAOn, Offers: k.Offer,
		Allowed: k.AllowedAAGUIDs, Denied: k.DeniedAAGUIDs, Metadata: k.Metadata, Root: k.MetadataRoot}
	if !slices.Contains(c.Policy.Factors, string(passkey.Kind)) {
		r.Use = passkey.Disabled
	}
	return r
}

// least is how long a password must be. Source: security.md, "Passwords": longer where it alone signs in.
func least(m policy.MFA) int {
	switch m {
	case policy.Off:
		return 15
	case policy.Required:
		return 8
	}
	return 12
}

func hasher(c config.Password, served func() int64) *secret.Hasher {
	slots := c.AtOnce
	if slots == 0 {
		slots = runtime.NumCPU()
	}
	return secret.NewHasher(secret.Params{Memory: uint32(c.MemoryKiB), Passes: uint32(c.Iterations), Lanes: 1}, slots, hashWait, served)
}

// Run does what happens beside requests, until ctx ends.
func (a *App) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { a.DB.Listen(ctx) })
	all.Go(func() { a.Sessions.Run(ctx) })
	all.Go(func() { a.Trail.Run(ctx, a.log) })
	all.Go(func() { a.Outbox.Run(ctx) })
	all.Go(func() { a.sweep(ctx) })
	all.Wait()
}

// sweep removes what is over, on every node: who finds nothing has lost nothing.
func (a *App) sweep(ctx context.Context) {
	for tick := time.NewTicker(5 * time.Minute); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		for _, sweep := range a.sweeps {
			if err := sweep(ctx); err != nil && ctx.Err() == nil {
				a.log.Error("sweep", "error", err)
			}
		}
	}
}

// Close lets go of the database.
func (a *App) Close() error { return a.DB.Close() }

// A heartbeat is a write that shows whether the database takes one. Whoever asks while one is under way shares it, so
// asking costs no more than a few writes a second.
type heartbeat struct {
	db    *db.DB
	clock func() time.Time

	mu   sync.Mutex
	last time.Time
}

func (h *heartbeat) beat(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clock()
	if now.Sub(h.last) < 200*time.Millisecond {
		return nil
	}
	err := h.db.Tx(ctx, func(tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO heartbeat (id, at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET at = excluded.at`, db.Micros(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("readiness: %w", err)
	}
	h.last = now
	return nil
}
