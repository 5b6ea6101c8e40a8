package account

import (
	"context"
	"slices"
	"strings"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

// A Holder is a factor that people remove here, all in the same way.
type Holder interface {
	auth.Factor
	Holding() web.Holding
	Remove(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.EnrolmentID) error // or auth.ErrNotFound
}

// A Renamer is one of which they have several, by name.
type Renamer interface {
	Holder
	Rename(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.EnrolmentID, name string) error // or auth.ErrNotFound
}

// hold is the routes of one Holder.
func (a *Account) hold(h Holder) []web.Route {
	about, noun := h.Holding(), h.Holding().Noun
	var routes []web.Route
	if r, ok := h.(Renamer); ok {
		routes = append(routes,
			web.On(visit.SignedIn, "GET "+about.Path+"/{id}/name", func(ctx context.Context, in Naming) (Held, error) {
				e, err := a.held(ctx, a.DB, h, in.ID)
				return Held{e.ID, e.Name, in.New, about}, err
			}, web.About{Does: "Show the name of one " + noun, Page: web.Dialog(files, "rename.html")}),
			web.On(visit.SignedIn, "POST "+about.Path+"/{id}/name", func(ctx context.Context, in NewName) (web.None, error) {
				return web.None{}, a.renameHeld(ctx, r, in)
			}, web.About{Does: "Rename one " + noun, Then: "/account/security"}))
	}
	return append(routes,
		web.On(visit.Fresh, "GET "+about.Path+"/{id}/remove", func(ctx context.Context, in Which) (Removal, error) {
			return a.beforeRemoval(ctx, h, in.ID)
		}, web.About{Does: "Say what follows from removing one " + noun, Page: web.Dialog(files, "remove.html"), On: "/account/security"}),
		web.On(visit.Fresh, "DELETE "+about.Path+"/{id}", func(ctx context.Context, in Which) (web.None, error) {
			return web.None{}, a.remove(ctx, h, in.ID)
		}, web.About{Does: "Remove one " + noun + "; all other sessions end", Then: "/account/security", On: "/account/security"}))
}

type (
	Which struct {
		ID auth.EnrolmentID `path:"id"`
	}
	Naming struct {
		ID  auth.EnrolmentID `path:"id"`
		New bool             `json:"new,omitempty" doc:"it was added just now"`
	}
	NewName struct {
		ID   auth.EnrolmentID `path:"id"`
		Name string           `json:"name" max:"60"`
	}
	Held struct {
		ID      auth.EnrolmentID `json:"id"`
		Name    string           `json:"name"`
		New     bool             `json:"-"`
		Holding web.Holding      `json:"-"`
	}
	Removal struct {
		ID      auth.EnrolmentID `json:"id"`
		Name    string           `json:"name"`
		Left    []string         `json:"left" doc:"what the next sign-in asks for instead; empty: nothing but the password"`
		Holding web.Holding      `json:"-"`
	}
)

// held is one thing of the person who asks, or auth.ErrNotFound.
func (a *Account) held(ctx context.Context, from auth.Reader, h Holder, id auth.EnrolmentID) (auth.Enrolment, error) {
	all, err := h.Enrolments(ctx, from, visit.Of(ctx).Session.User.ID)
	if err != nil {
		return auth.Enrolment{}, err
	}
	i := slices.IndexFunc(all, func(e auth.Enrolment) bool { return e.ID == id && !e.Given })
	if i < 0 {
		return auth.Enrolment{}, auth.ErrNotFound
	}
	return all[i], nil
}

func (a *Account) renameHeld(ctx context.Context, h Renamer, in NewName) error {
	name := strings.TrimSpace(in.Name)
	switch {
	case name == "":
		return auth.InvalidError{Field: "name", Why: "is missing"}
	case !auth.OneLine(name):
		return auth.InvalidError{Field: "name", Why: "must stand on one line"}
	}
	u := visit.Of(ctx).Session.User.ID
	return a.DB.Tx(ctx, func(tx auth.Tx) error {
		before, err := a.held(ctx, tx, h, in.ID)
		if err != nil {
			return err
		}
		if err := h.Rename(ctx, tx, u, in.ID, name); err != nil {
			return err
		}
		return a.Trail.Record(ctx, tx, auth.Event{Kind: auth.FactorRenamed, User: u,
			Detail: map[string]string{"factor": string(h.Kind()), "name": name, "old": before.Name}})
	})
}

func (a *Account) beforeRemoval(ctx context.Context, h Holder, id auth.EnrolmentID) (Removal, error) {
	e, err := a.held(ctx, a.DB, h, id)
	if err != nil {
		return Removal{}, err
	}
	f, err := a.facts(ctx, a.DB)
	if err != nil {
		return Removal{}, err
	}
	left := []string{}
	for _, other := range policy.Left(f, id) {
		left = append(left, other.Name)
	}
	return Removal{id, e.Name, left, h.Holding()}, policy.MayRemove(f, id)
}

// remove takes one away (F1, F2). The new security epoch comes first: it locks the person's row, so that of two
// removals at once the second sees what the first left.
func (a *Account) remove(ctx context.Context, h Holder, id auth.EnrolmentID) error {
	now := visit.Of(ctx).Session
	return a.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := a.Revoker.RevokeOthers(ctx, tx, now.User.ID, now.ID); err != nil {
			return err
		}
		e, err := a.held(ctx, tx, h, id)
		if err != nil {
			return err
		}
		f, err := a.facts(ctx, tx)
		if err != nil {
			return err
		}
		if err := policy.MayRemove(f, id); err != nil {
			return err
		}
		if err := h.Remove(ctx, tx, now.User.ID, id); err != nil {
			return err
		}
		return a.Trail.Record(ctx, tx, auth.Event{Kind: auth.FactorRemoved, User: now.User.ID,
			Detail: map[string]string{"factor": string(h.Kind()), "name": e.Name}})
	})
}
