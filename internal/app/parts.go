package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/account"
	"sallyport/internal/admin/events"
	"sallyport/internal/admin/groups"
	"sallyport/internal/admin/overview"
	"sallyport/internal/admin/people"
	"sallyport/internal/admin/texts"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
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
	"sallyport/internal/policy"
	"sallyport/internal/recovery"
	"sallyport/internal/reminder"
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
	"sallyport/internal/workgroup"
)

// parts are what a server is joined from, floor by floor.
type parts struct {
	config config.Config
	rules  policy.Rules
	site   *url.URL // scheme and host
	sites  visit.Sites
	keys   *secret.Keys
	db     *db.DB
	clock  func() time.Time
	served atomic.Int64 // requests, for the hasher, which leaves them room

	users    *user.Store
	throttle *throttle.Throttle
	trail    *audit.Trail
	groups   *workgroup.Store
	roster   *roster.Roster
	sessions *session.Store
	outbox   *notify.Outbox

	words    *password.Password
	apps     *totp.TOTP
	passkeys *passkey.Passkey
	mailed   *onetime.Codes
	passes   *accesspass.Passes
	sheets   *backupcode.Codes

	directory *directory.Directory

	trust    *trust.Trust
	signIn   *signin.SignIn
	stepUp   *stepup.StepUp
	settings *account.Account
	setup    *setup.Setup
	notices  *notice.Notices
	recovery *recovery.Recovery
	people   *people.People
	policies *groups.Groups
	reminder *reminder.Reminders
	everyone *people.Users
	texts    *texts.Templates
	events   *events.Events
	overview *overview.Overview
}

// services are what the factors stand on. Sessions are above them and they end sessions, so those come first.
func (p *parts) services(log *slog.Logger, metrics prometheus.Registerer) (err error) {
	c := p.config
	p.sites = visit.Sites{Home: "/account", Others: c.ReturnTo}
	p.trail = audit.New(p.db, p.keys.MAC("audit", nil), p.clock)
	p.users = user.NewStore(p.db)
	p.throttle = throttle.New(p.db, p.clock)
	p.groups = workgroup.NewStore(p.db)
	p.roster = roster.New(p.rules, p.groups, p.clock)
	p.sessions = session.New(session.Config{Idle: c.Session.Idle(), Absolute: c.Session.Absolute()}, p.db, p.users, p.roster, p.trail, p.clock)
	p.outbox, err = newOutbox(c, p.db, p.keys, p.clock, log, metrics)
	return err
}

// factors are made and told to the roster, strongest first.
func (p *parts) factors(ctx context.Context, metrics prometheus.Registerer) (err error) {
	c := p.config
	p.words = password.New(password.Parts{DB: p.db, Hasher: hasher(c.Password, p.served.Load), Trail: p.trail, Throttle: p.throttle, Revoker: p.sessions,
		Rules: password.Rules{Least: least(p.rules.MFA), Context: []string{c.Site.Name}}, Mailed: p.rules.Recovery, Clock: p.clock})
	p.apps = totp.New(totp.Parts{DB: p.db, Keys: p.keys, Trail: p.trail, Throttle: p.throttle, Roster: p.roster, Revoker: p.sessions, Issuer: c.Site.Name, Clock: p.clock})
	p.passkeys, err = passkey.New(passkey.Parts{DB: p.db, Keys: p.keys, Users: p.users, Trail: p.trail, Throttle: p.throttle, Roster: p.roster, Revoker: p.sessions,
		Party: party(c, p.site), Rules: passkeyRules(c), Sites: p.sites, Clock: p.clock})
	if err != nil {
		return err
	}
	p.mailed = onetime.New(onetime.Parts{DB: p.db, Keys: p.keys, Users: p.users, Outbox: p.outbox, Trail: p.trail, Throttle: p.throttle, Roster: p.roster,
		Revoker: p.sessions, Rules: codeRules(c), Clock: p.clock})
	metrics.MustRegister(p.mailed)
	p.passes = accesspass.New(accesspass.Parts{DB: p.db, Keys: p.keys, Clock: p.clock})
	p.sheets = backupcode.New(backupcode.Parts{DB: p.db, Keys: p.keys, Users: p.users, Trail: p.trail, Roster: p.roster, Revoker: p.sessions,
		Name: c.Site.Name, Site: p.site.String(), Sites: p.sites, Clock: p.clock})
	sent, err := p.mailed.Factors(ctx)
	if err != nil {
		return err
	}
	p.roster.Add(p.words, slices.Concat([]auth.Factor{p.passkeys, p.apps}, sent, []auth.Factor{p.passes, p.sheets})...)
	return nil
}

// journeys are what people do. Who watches the record hears of an event in this order.
func (p *parts) journeys() {
	p.trust = trust.New(trust.Parts{DB: p.db, Trail: p.trail, Roster: p.roster, Sites: p.sites, Clock: p.clock})
	p.recovery = recovery.New(recovery.Parts{DB: p.db, Keys: p.keys, Users: p.users, Roster: p.roster, Passwords: p.words, Contacts: p.mailed, Passes: p.passes,
		Outbox: p.outbox, Throttle: p.throttle, Trail: p.trail, Revoker: p.sessions, Sessions: p.sessions, Site: p.site.String(), Clock: p.clock})
	p.notices = notice.New(notice.Parts{DB: p.db, Users: p.users, Outbox: p.outbox, Throttle: p.throttle, Trail: p.trail, Roster: p.roster, Contacts: p.mailed,
		Revoker: p.sessions, Recovery: p.recovery, Site: p.site.String(), Freeze: p.rules.Recovery, Clock: p.clock})
	p.recovery.Addresses = p.notices // each asks the other
	p.reminder = reminder.New(reminder.Parts{DB: p.db, Users: p.users, Workgroups: p.groups, Roster: p.roster, Outbox: p.outbox, Throttle: p.throttle, Sites: p.sites,
		Site: p.site.String(), Name: p.config.Site.Name, Clock: p.clock})
	for _, w := range []auth.Watcher{p.trust, p.recovery, p.mailed, p.notices, p.reminder} {
		p.trail.Watch(w)
	}
	p.signIn = signin.New(signin.Parts{DB: p.db, Keys: p.keys, Users: p.users, Roster: p.roster, Sessions: p.sessions, Throttle: p.throttle, Trust: p.trust,
		Trail: p.trail, Sites: p.sites, Mailed: p.opening(), Forgot: p.recovery.Page(), Clock: p.clock,
		Arrivals: []signin.Arriver{p.recovery, p.notices, p.passes}, // recovery first: it takes the person's row
		Detours:  []signin.Detour{p.sheets, p.passkeys, p.reminder, p.trust}})
	p.stepUp = stepup.New(stepup.Parts{DB: p.db, Users: p.users, Roster: p.roster, Sessions: p.sessions, Throttle: p.throttle, Trail: p.trail, Clock: p.clock})
	p.settings = account.New(account.Parts{DB: p.db, Users: p.users, Roster: p.roster, Throttle: p.throttle, Trail: p.trail, Revoker: p.sessions,
		Cards:  offered(p.passkeys, p.apps, p.mailed, p.sheets, p.words, p.sessions, p.trust),
		Region: p.config.SMS.Country, Languages: p.outbox.Texts.Languages()})
	p.setup = setup.New(setup.Parts{DB: p.db, Users: p.users, Passwords: p.words, Trail: p.trail, Clock: p.clock})
}

// pages are the routes of all parts behind their guards.
func (p *parts) pages(log *slog.Logger, metrics prometheus.Registerer) (*web.Site, error) {
	proxies, err := p.config.Proxies()
	if err != nil {
		return nil, err
	}
	look := p.config.Site
	return web.New(web.Config{
		URL: p.site, Brand: web.Brand{Name: look.Name, Support: look.Support, Accent: look.Accent},
		Guards: p.guards(), SignIn: "/signin", StepUp: "/stepup", Home: p.sites.Home,
		Redirects: map[string]string{"/{$}": "/account", "/.well-known/change-password": "/account/password"},
		Documents: p.passkeys.Documents(),
		Scripts:   []web.Script{passkey.Script()},
		Ready:     (&heartbeat{db: p.db, clock: p.clock}).beat,
		Proxies:   proxies, Served: &p.served, Clock: p.clock, Log: log, Metrics: metrics,
	},
		p.setup.Routes(), p.signIn.Routes(), p.sessions.Routes(), p.trust.Routes(), p.stepUp.Routes(), p.settings.Routes(),
		p.words.Routes(), p.passkeys.Routes(), p.apps.Routes(), p.mailed.Routes(), p.sheets.Routes(), p.passes.Routes(),
		p.notices.Routes(), p.recovery.Routes(),
		p.reminder.Routes(),
		p.overview.Routes(), p.people.Routes(), p.everyone.Routes(), p.policies.Routes(), p.events.Routes(), p.texts.Routes(),
	)
}

func (p *parts) guards() map[visit.Guard]visit.Keeper {
	offered := func(r *http.Request, v *visit.Visit) error {
		if err := p.sessions.Keep(r, v); err != nil {
			return err
		}
		return p.passkeys.KeepOffered(r, v)
	}
	return map[visit.Guard]visit.Keeper{
		visit.Public:    func(*http.Request, *visit.Visit) error { return nil },
		visit.Arriving:  p.signIn.KeepArriving,
		visit.Pending:   p.signIn.Keep,
		visit.Enrolling: notice.Unfrozen(p.signIn.KeepEnrolling, p.clock),
		visit.SignedIn:  p.sessions.Keep,
		visit.Fresh:     notice.Unfrozen(p.stepUp.Keep, p.clock),
		visit.Offered:   notice.Unfrozen(offered, p.clock),

		visit.Staff:              p.stepUp.KeepStaff(auth.Support),
		visit.StaffFresh:         notice.Unfrozen(p.stepUp.KeepStaffFresh(auth.Support), p.clock),
		visit.Steward:            p.stepUp.KeepStaff(auth.WorkgroupAdmin),
		visit.StewardFresh:       notice.Unfrozen(p.stepUp.KeepStaffFresh(auth.WorkgroupAdmin), p.clock),
		visit.Administrator:      p.stepUp.KeepStaff(auth.Admin),
		visit.AdministratorFresh: notice.Unfrozen(p.stepUp.KeepStaffFresh(auth.Admin), p.clock),
	}
}

// sweeps remove what is over.
func (p *parts) sweeps() []func(context.Context) error {
	return []func(context.Context) error{
		p.sessions.Sweep, p.trust.Sweep, p.signIn.Sweep, p.throttle.Sweep, p.outbox.Sweep,
		p.apps.Sweep, p.passkeys.Sweep, p.mailed.Sweep, p.passes.Sweep,
		p.notices.Sweep, p.recovery.Sweep, p.reminder.Sweep,
	}
}

// opening is what a sign-in may begin with by mail, or nil.
func (p *parts) opening() signin.Mailed {
	if !p.config.Codes.SignIn {
		return nil
	}
	return p.mailed.ByMail()
}

// offered are the places on the Security page of what there is here, in order.
func offered(all ...account.Carder) []account.Carder {
	return slices.DeleteFunc(all, func(c account.Carder) bool {
		o, ok := c.(interface{ Offered() bool })
		return ok && !o.Offered()
	})
}

// stranded refuses rules under which people could not sign in who were given a second step (W4).
func (p *parts) stranded(ctx context.Context) error {
	if err := p.passkeys.Stranded(ctx); err != nil {
		return err
	}
	all, err := p.groups.All(ctx, p.db)
	if err != nil {
		return err
	}
	instance, err := p.groups.Get(ctx, p.db, workgroup.Instance)
	if err != nil {
		return err
	}
	for _, g := range append(all, instance) {
		rules := p.rules.Under(instance.Level)
		if g.ID != workgroup.Instance {
			rules = rules.Under(g.Level)
		}
		if err := rules.Holds(backupcode.Kind); err != nil {
			return fmt.Errorf("what was set for %s on its page cannot work with policy.factors as they are: %w", g.Level.Name, err)
		}
	}
	methods, err := p.users.Methods(ctx)
	if err != nil {
		return err
	}
	for m, n := range methods {
		kind := auth.Kind(m)
		if m == auth.MustHaveOne && len(p.rules.Addable()) == 0 {
			return fmt.Errorf("policy.factors names nothing that people can set up, and %d must have a second step: name a factor, or `sallyport user mfa` them off", n)
		}
		if m != auth.MustHaveOne && !slices.Contains(p.rules.Factors, kind) {
			return fmt.Errorf("policy.factors lacks %q, which %d people were given as second step: name it, or `sallyport user mfa` them off", kind, n)
		}
	}
	return nil
}
