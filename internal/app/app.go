// Package app makes parts from configuration and joins them. It is the only place that knows them all.
package app

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/account"
	"sallyport/internal/admin/groups"
	"sallyport/internal/admin/overview"
	"sallyport/internal/admin/people"
	"sallyport/internal/audit"
	"sallyport/internal/config"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/factor/accesspass"
	"sallyport/internal/factor/backupcode"
	"sallyport/internal/factor/onetime"
	"sallyport/internal/factor/passkey"
	"sallyport/internal/factor/password"
	"sallyport/internal/factor/totp"
	"sallyport/internal/notice"
	"sallyport/internal/notify"
	"sallyport/internal/recovery"
	"sallyport/internal/reminder"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/session"
	"sallyport/internal/setup"
	"sallyport/internal/signin"
	"sallyport/internal/throttle"
	"sallyport/internal/trust"
	"sallyport/internal/user"
	"sallyport/internal/web"
	"sallyport/internal/workgroup"
)

// An App is the whole server with the parts the command line works with.
type App struct {
	Site       *web.Site
	DB         *db.DB
	Users      *user.Store
	Passwords  *password.Password
	Roster     *roster.Roster
	Sessions   *session.Store
	Throttle   *throttle.Throttle
	Trail      *audit.Trail
	Setup      *setup.Setup
	Outbox     *notify.Outbox
	Settings   *account.Account
	Recovery   *recovery.Recovery
	Directory  *directory.Directory
	People     *people.People
	Groups     *groups.Groups
	Workgroups *workgroup.Store
	Reminders  *reminder.Reminders
	Config     config.Config

	log    *slog.Logger
	sweeps []func(context.Context) error
}

//go:embed schema
var embedded embed.FS

var ownSchema, _ = fs.Sub(embedded, "schema")

// Schemas are the tables of all folders.
var Schemas = []fs.FS{
	user.Schema, workgroup.Schema, throttle.Schema, audit.Schema, notify.Schema,
	password.Schema, totp.Schema, passkey.Schema, onetime.Schema, backupcode.Schema, accesspass.Schema,
	session.Schema, trust.Schema, directory.Schema,
	signin.Schema, setup.Schema, notice.Schema, recovery.Schema, reminder.Schema,
	overview.Schema,
	ownSchema,
}

// New opens the database, brings its schema up to date and joins the parts.
func New(ctx context.Context, c config.Config, clock func() time.Time, log *slog.Logger, metrics prometheus.Registerer) (_ *App, err error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	rules := Rules(c)
	if err := checkRules(c, rules); err != nil {
		return nil, err
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
	p := &parts{config: c, rules: rules, site: &url.URL{Scheme: address.Scheme, Host: address.Host}, keys: keys, db: d, clock: clock}
	if err := p.services(log, metrics); err != nil {
		return nil, err
	}
	if err := p.factors(ctx, metrics); err != nil {
		return nil, err
	}
	if err := p.stranded(ctx); err != nil {
		return nil, err
	}
	p.journeys()
	p.administration()
	site, err := p.pages(log, metrics)
	if err != nil {
		return nil, err
	}
	return &App{Site: site, DB: d, Users: p.users, Passwords: p.words, Roster: p.roster, Sessions: p.sessions, Throttle: p.throttle, Trail: p.trail,
		Setup: p.setup, Outbox: p.outbox, Settings: p.settings, Recovery: p.recovery, Directory: p.directory, People: p.people, Groups: p.policies, Workgroups: p.groups, Reminders: p.reminder, Config: c, log: log, sweeps: p.sweeps()}, nil
}

// Run does what happens beside requests, until ctx ends.
func (a *App) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { a.DB.Listen(ctx) })
	all.Go(func() { a.Sessions.Run(ctx) })
	all.Go(func() { a.Trail.Run(ctx, a.log) })
	all.Go(func() { a.Directory.Run(ctx, a.log) })
	all.Go(func() { a.Trail.RunChecks(ctx, a.log) })
	all.Go(func() { a.Outbox.Run(ctx) })
	all.Go(func() { a.Reminders.Run(ctx, a.log) })
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
