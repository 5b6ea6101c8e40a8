// Package groups is the administration of workgroups and of policy: what a workgroup asks of its people, what the instance
// asks of everybody, and what would happen to whom if that were another.
//
// It promises: before anything is saved, the page says who has no factor that counts and what happens to them, by the
// same policy.Next that a sign-in asks (W3); what would lock somebody out is refused, with their names (W4); a workgroup
// admin sees and changes their own workgroup alone. It refuses to loosen: what stands above is stricter or the same.
//
// Who has what it reads from the directory, which may be a second behind. Nobody gets in by that: each sign-in decides anew.
package groups

import (
	"context"
	"embed"
	"errors"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/factor/backupcode"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/user"
	"sallyport/internal/workgroup"
)

//go:embed *.html
var files embed.FS

// Groups is the workgroups and their rules.
type Groups struct{ Parts }

// Parts are what Groups is made with.
type Parts struct {
	DB         *db.DB
	Users      *user.Store
	Workgroups *workgroup.Store
	Roster     *roster.Roster
	People     *directory.Directory
	Trail      *audit.Trail
	Clock      func() time.Time
}

func New(p Parts) *Groups { return &Groups{p} }

// A May says in a transaction, before all else, whether somebody may do a thing now, and keeps it so. Whoever runs the
// server may: nil.
type May func(context.Context, auth.Tx) error

func (may May) check(ctx context.Context, tx auth.Tx) error {
	if may == nil {
		return nil
	}
	return may(ctx, tx)
}

// Add makes a workgroup that asks for nothing yet.
func (g *Groups) Add(ctx context.Context, name string, may May) (auth.WorkgroupID, error) {
	w := workgroup.Workgroup{ID: auth.WorkgroupID(secret.NewID()), Name: name, Added: g.Clock()}
	return w.ID, g.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := may.check(ctx, tx); err != nil {
			return err
		}
		if err := g.Workgroups.Add(ctx, tx, w); err != nil {
			return err
		}
		return g.record(ctx, tx, auth.WorkgroupAdded, w, nil)
	})
}

// Rename changes how a workgroup is called.
func (g *Groups) Rename(ctx context.Context, id auth.WorkgroupID, name string, may May) error {
	return g.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := may.check(ctx, tx); err != nil {
			return err
		}
		w, err := g.locked(ctx, tx, id)
		if err != nil || w.Name == name {
			return err
		}
		if err := g.Workgroups.Rename(ctx, tx, id, name); err != nil {
			return err
		}
		old := map[string]string{"old": w.Name}
		w.Name = name
		return g.record(ctx, tx, auth.WorkgroupRenamed, w, old)
	})
}

// Remove forgets a workgroup that nobody is in.
func (g *Groups) Remove(ctx context.Context, id auth.WorkgroupID, may May) error {
	return g.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := may.check(ctx, tx); err != nil {
			return err
		}
		w, err := g.locked(ctx, tx, id)
		if err != nil {
			return err
		}
		some, err := g.Users.AnyIn(ctx, tx, id)
		if err != nil {
			return err
		}
		if some {
			return errNotEmpty
		}
		if err := g.Workgroups.Remove(ctx, tx, id); err != nil {
			return err
		}
		return g.record(ctx, tx, auth.WorkgroupRemoved, w, nil)
	})
}

var errNotEmpty = auth.ConflictError{Code: "workgroup-not-empty", Why: "There are people in this workgroup. Move them to another first."}

// locked is a workgroup as it is, and stays until the transaction ends. The instance is none.
func (g *Groups) locked(ctx context.Context, tx auth.Tx, id auth.WorkgroupID) (workgroup.Workgroup, error) {
	if id == workgroup.Instance {
		return workgroup.Workgroup{}, auth.ErrNotFound
	}
	if err := g.Workgroups.Lock(ctx, tx, id); err != nil {
		return workgroup.Workgroup{}, err
	}
	return g.Workgroups.Get(ctx, tx, id)
}

// record writes an event of a workgroup, or of the instance. The id is for programs, the name for who reads it later.
func (g *Groups) record(ctx context.Context, tx auth.Tx, kind auth.EventKind, w workgroup.Workgroup, more map[string]string) error {
	detail := map[string]string{"workgroup": string(w.ID), "name": w.Name}
	for name, value := range more {
		detail[name] = value
	}
	return g.Trail.Record(ctx, tx, auth.Event{Kind: kind, Detail: detail})
}

// A Case is what would hold for a workgroup or the instance, and what it would do.
type Case struct {
	Workgroup workgroup.Workgroup
	Above     policy.Rules // that the level makes stricter
	Level     policy.Level
	Preview   Preview
}

// Options are what the case is about, as a form says it.
func (c Case) Options() Options { return optionsOf(c.Above, c.Level) }

// shownNames is how many people without a factor a page names.
const shownNames = 10

// Try says what options would do if they were saved now. Nothing is stored.
func (g *Groups) Try(ctx context.Context, from auth.Reader, id auth.WorkgroupID, o Options) (Case, error) {
	return g.weigh(ctx, from, id, &o)
}

// Now says the same of what holds.
func (g *Groups) Now(ctx context.Context, from auth.Reader, id auth.WorkgroupID) (Case, error) {
	return g.weigh(ctx, from, id, nil)
}

func (g *Groups) weigh(ctx context.Context, from auth.Reader, id auth.WorkgroupID, o *Options) (c Case, err error) {
	if c.Workgroup, err = g.Workgroups.Get(ctx, from, id); err != nil {
		return c, err
	}
	c.Above, c.Level = g.Roster.Rules(), c.Workgroup.Level
	if id != workgroup.Instance {
		instance, err := g.Workgroups.Get(ctx, from, workgroup.Instance)
		if err != nil {
			return c, err
		}
		c.Above = c.Above.Under(instance.Level)
	}
	if o != nil {
		if c.Level, err = o.level(c.Above, c.Workgroup.Level, g.Clock()); err != nil {
			return c, err
		}
		if err := c.Above.Bears(c.Level, backupcode.Kind); err != nil {
			return c, err
		}
	}
	parts, err := g.parts(ctx, from, c.Workgroup, c.Above, c.Level)
	if err != nil {
		return c, err
	}
	if o != nil {
		for _, p := range parts {
			if err := p.then.Holds(backupcode.Kind); err != nil {
				return c, within(p, err)
			}
		}
	}
	c.Preview, err = g.foresee(ctx, from, parts, c.Level, shownNames)
	return c, err
}

// within says in which workgroup a change of the instance would be too much.
func within(p part, err error) error {
	if too := (auth.ConflictError{}); p.workgroup != workgroup.Instance && errors.As(err, &too) {
		too.Why = "In workgroup " + p.name + ", which asks for more: " + too.Why
		return too
	}
	return err
}

// Save stores what a workgroup, or the instance, asks for from now on: one row. What it does to people is asked again in the
// transaction, while nobody else changes what is asked for.
func (g *Groups) Save(ctx context.Context, id auth.WorkgroupID, o Options, may May) (c Case, err error) {
	err = g.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := may.check(ctx, tx); err != nil {
			return err
		}
		for _, one := range slices.Compact([]auth.WorkgroupID{workgroup.Instance, id}) { // what stands above stays as it is meanwhile
			if err := g.Workgroups.Lock(ctx, tx, one); err != nil {
				return err
			}
		}
		if c, err = g.Try(ctx, tx, id, o); err != nil {
			return err
		}
		if c.Preview.Refused != "" {
			return auth.ConflictError{Code: "locks-out", Why: c.Preview.Refused}
		}
		changed := g.changed(c.Workgroup.Level, c.Level)
		if changed == "" {
			return nil
		}
		if err := g.Workgroups.SetLevel(ctx, tx, id, c.Level); err != nil {
			return err
		}
		return g.record(ctx, tx, auth.PolicyChanged, c.Workgroup, map[string]string{"changed": changed})
	})
	return c, err
}
