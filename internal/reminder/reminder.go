// Package reminder tells people in time that they must set up a second step: whoever looks after them requires one and
// gave them a grace period.
//
// It promises: each of them is mailed when the period begins, three days and one day before it ends, once for each period
// whatever crashes and however many nodes look, and once a day at most; and nobody who has a factor by then. After a sign-in a page says who asks,
// and until when. It refuses to hurry: people are passed a few at a time, and a sign-in never waits for it.
//
// Where there is no mail, the page is all there is.
package reminder

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/notify"
	"sallyport/internal/notify/wording"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/workgroup"
)

// Reminders tells people.
type Reminders struct{ Parts }

// Parts are what Reminders is made with.
type Parts struct {
	DB         *db.DB
	Users      *user.Store
	Workgroups *workgroup.Store
	Roster     *roster.Roster
	Outbox     *notify.Outbox
	Throttle   *throttle.Throttle
	Sites      visit.Sites
	Site       string // scheme and host, for links
	Name       string // of the site
	Clock      func() time.Time
}

func New(p Parts) *Reminders { return &Reminders{p} }

type stageName string

// stages are the mails of one period: when it begins, and before its end.
var stages = []struct {
	name   stageName
	before time.Duration // its end; 0: when it begins
}{{"begun", 0}, {"days", 3 * 24 * time.Hour}, {"day", 24 * time.Hour}}

const (
	// few is how many people are told in one transaction.
	few = 50
	// lifetime is how long a reminder is worth sending.
	lifetime = 24 * time.Hour
)

// Happened is auth.Watcher: what a level asks for has changed, or somebody came under one.
func (r *Reminders) Happened(ctx context.Context, tx auth.Tx, e auth.Event) error {
	if !r.Outbox.Has(notify.Email) {
		return nil
	}
	switch e.Kind {
	case auth.PolicyChanged:
		return rounds.Begin(ctx, tx, auth.WorkgroupID(e.Detail["workgroup"]))
	case auth.UserAdded, auth.UserInvited, auth.UserMoved:
		return r.came(ctx, tx, e.User)
	}
	return nil
}

func (r *Reminders) came(ctx context.Context, tx auth.Tx, id auth.UserID) error {
	u, err := r.Users.Get(ctx, tx, id)
	if err != nil {
		return err
	}
	for _, w := range []auth.WorkgroupID{workgroup.Instance, u.Workgroup} {
		g, err := r.Workgroups.Get(ctx, tx, w)
		if errors.Is(err, auth.ErrNotFound) || err == nil && !gives(g.Level) {
			continue
		}
		if err == nil {
			err = plan(ctx, tx, g, theOne, string(id), string(id), r.Clock())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// gives is true of a level that requires a second step and leaves time for it.
func gives(l policy.Level) bool { return l.MFA == policy.Required && l.Grace > 0 }

// Run tells people until ctx ends. All nodes do the same work; who comes second finds nothing to do.
func (r *Reminders) Run(ctx context.Context, log *slog.Logger) {
	if !r.Outbox.Has(notify.Email) {
		return
	}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for failed := false; ctx.Err() == nil; {
		err := r.CatchUp(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			log.Error("reminders wait", "error", err) // once, not every second
		}
		failed = err != nil
		select {
		case <-second.C:
		case <-ctx.Done():
		}
	}
}

// CatchUp goes on with the rounds and sends what is due. After each page it rests as long as that took, so that whoever
// signs in has half of the machine at least.
func (r *Reminders) CatchUp(ctx context.Context) error {
	for _, step := range []func(context.Context) (bool, error){r.walk, r.tell} {
		for more := true; more; {
			began := time.Now()
			var err error
			if more, err = step(ctx); err != nil {
				return err
			}
			select {
			case <-time.After(min(time.Since(began), time.Second)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// walk is the next page of a round. Of two nodes one does it.
func (r *Reminders) walk(ctx context.Context) (more bool, err error) {
	at, some, err := rounds.Any(ctx, r.DB)
	if err != nil || !some {
		return false, err
	}
	err = r.DB.Tx(ctx, func(tx auth.Tx) error {
		g, err := r.Workgroups.Get(ctx, tx, at.Workgroup)
		if err != nil && !errors.Is(err, auth.ErrNotFound) {
			return err
		}
		if err != nil || !gives(g.Level) {
			return rounds.Advance(ctx, tx, at, "")
		}
		end, err := pageEnd(ctx, tx, at.After)
		if err != nil {
			return err
		}
		if err := rounds.Advance(ctx, tx, at, end); err != nil || end == "" {
			return err
		}
		return plan(ctx, tx, g, thePage, at.After, end, r.Clock())
	})
	return true, db.NoneMeans(nil, err)
}

// tell sends a few of the reminders that are due. Who needs one is looked up before the transaction that sends it.
func (r *Reminders) tell(ctx context.Context) (more bool, err error) {
	tasks, err := due(ctx, r.DB, r.Clock())
	if err != nil || len(tasks) == 0 {
		return false, err
	}
	var messages []*notify.Message
	for _, t := range tasks {
		m, err := r.message(ctx, t)
		if err != nil {
			return false, err
		}
		messages = append(messages, m)
	}
	return true, r.DB.Tx(ctx, func(tx auth.Tx) error {
		for i, t := range tasks {
			err := take(ctx, tx, t)
			if err == nil && messages[i] != nil {
				err = r.send(ctx, tx, t, *messages[i])
			}
			if db.NoneMeans(nil, err) != nil {
				return err
			}
		}
		return nil
	})
}

// daily is what one person is mailed because of one workgroup, however often its period begins anew: whoever looks after it
// switches that on and off as they like. It is a little less than a day, so that a mail that came late takes no other's place.
var daily = throttle.Budget{Name: "reminder", Most: 1, Every: 23 * time.Hour}

// send leaves a reminder out that comes too soon.
func (r *Reminders) send(ctx context.Context, tx auth.Tx, t task, m notify.Message) error {
	soon := auth.ThrottledError{}
	switch err := r.Throttle.Spend(ctx, tx, daily.For(string(t.user)+" "+string(t.workgroup))); {
	case errors.As(err, &soon):
		return nil
	case err != nil:
		return err
	}
	return r.Outbox.Send(ctx, tx, m)
}

// message is what somebody is told, or nil: the level went or is another, or they have a factor, or it is too late.
func (r *Reminders) message(ctx context.Context, t task) (*notify.Message, error) {
	u, err := r.Users.Get(ctx, r.DB, t.user)
	if errors.Is(err, auth.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	g, err := r.Workgroups.Get(ctx, r.DB, t.workgroup)
	if errors.Is(err, auth.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if u.Disabled || u.Email == "" || !gives(g.Level) || !g.Level.Since.Equal(t.since) || g.Level.Group && u.Workgroup != g.ID {
		return nil, nil
	}
	f, err := r.Roster.Facts(ctx, r.DB, u, nil)
	if err != nil {
		return nil, err
	}
	until := policy.Due(f)
	if !f.Now.Before(until) {
		return nil, nil
	}
	by := g.Name
	if by == "" {
		by = r.Name
	}
	return &notify.Message{ID: secret.NewID(), User: u, Channel: notify.Email, To: u.Email, Name: "enrol-by", Lifetime: min(lifetime, until.Sub(f.Now)),
		Facts: wording.Facts{At: f.Now, Until: until, Link: r.Site + "/account/security", Tags: map[string]string{
			"agent.name": u.Name, "agent.email": u.Email, "agent.workphone": u.Phone, "to": u.Email, "workgroup": by}}}, nil
}
