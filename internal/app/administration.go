package app

import (
	"context"
	"time"

	"sallyport/internal/admin/events"
	"sallyport/internal/admin/groups"
	"sallyport/internal/admin/overview"
	"sallyport/internal/admin/people"
	"sallyport/internal/admin/texts"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/directory"
	"sallyport/internal/factor/accesspass"
	"sallyport/internal/factor/backupcode"
	"sallyport/internal/notify"
	"sallyport/internal/web"
)

// administration is what those see and do who look after others. Who follows the record is fed here.
func (p *parts) administration() {
	p.directory = directory.New(directory.Parts{
		DB:       p.db,
		Users:    p.users,
		Roster:   p.roster,
		Throttle: p.throttle,
		Trail:    p.trail,
		Clock:    p.clock,
	})
	p.policies = groups.New(groups.Parts{DB: p.db, Users: p.users, Workgroups: p.groups, Roster: p.roster, People: p.directory, Trail: p.trail, Clock: p.clock})
	p.people = people.New(people.Parts{DB: p.db, Users: p.users, Groups: p.groups, Roster: p.roster, Passwords: p.words, Contacts: p.mailed,
		Sessions: p.sessions, Trust: p.trust, Trail: p.trail, Revoker: p.sessions, Throttle: p.throttle, Directory: p.directory, Settings: p.settings, Recovery: p.recovery,
		Mails: p.outbox.Has(notify.Email), Region: p.config.SMS.Country, Clock: p.clock})
	p.texts = texts.New(texts.Parts{DB: p.db, Outbox: p.outbox, Users: p.users, Throttle: p.throttle, Trail: p.trail,
		Countries: p.config.SMS.Countries, Clock: p.clock})
	p.everyone = people.NewUsers(p.people)
	p.events = events.New(events.Parts{DB: p.db, Trail: p.trail, Users: p.users, Groups: p.groups, People: matching{p.directory},
		Signs: web.Signs(append(p.roster.Second(), p.roster.First())...), Clock: p.clock})
	p.overview = overview.New(overview.Parts{DB: p.db, Adoption: adoption{p.directory}, Messages: p.outbox, Factors: p.adoptable(), Password: p.words.Kind(), Clock: p.clock})
	for _, f := range []audit.Follower{p.directory, p.overview} {
		p.trail.Feed(f)
	}
}

// adoptable are the factors that can be somebody's strongest: their own, and no stand-in.
func (p *parts) adoptable() (all []overview.Factor) {
	for _, f := range p.roster.Second() {
		if a, ok := f.(web.Prompter); ok && f.Kind() != accesspass.Kind && f.Kind() != backupcode.Kind {
			all = append(all, overview.Factor{Kind: f.Kind(), Name: a.Prompt().Title})
		}
	}
	return all
}

// adoption is what the directory knows of people's strongest factors, for the overview.
type adoption struct{ *directory.Directory }

func (a adoption) Adoption(ctx context.Context, since time.Time) (all []overview.Adopted, err error) {
	some, err := a.Directory.Adoption(ctx, since)
	for _, one := range some {
		all = append(all, overview.Adopted(one))
	}
	return all, err
}

// matching finds people for whoever searches the record.
type matching struct{ *directory.Directory }

func (m matching) Matching(ctx context.Context, text string, within *auth.WorkgroupID, most int) (people []auth.UserID, more bool, err error) {
	page, err := m.List(ctx, directory.Query{Search: text, Within: within, Limit: most})
	for _, one := range page.People {
		people = append(people, one.ID)
	}
	return people, page.Next != "", err
}
