package groups

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/visit"
	"sallyport/internal/web"
	"sallyport/internal/workgroup"
)

const (
	list   = "/admin/workgroups"
	single = list + "/{id}"
	whole  = "/admin/policy"
)

// Routes are the Workgroups pages and the Policy page, on both faces.
func (g *Groups) Routes() []web.Route {
	page := web.Desk(files, "workgroup.html", "options.html")
	all := web.Desk(files, "policy.html", "options.html")
	return []web.Route{
		web.On(visit.Steward, "GET "+list, g.list, web.About{Does: "List the workgroups by name; a workgroup admin sees their own", Page: web.Desk(files, "workgroups.html")}),
		web.On(visit.Administrator, "GET "+list+"/new", nothing, web.About{Does: "Begin a workgroup", Page: web.DeskDialog(files, "new.html")}),
		web.On(visit.AdministratorFresh, "POST "+list, g.add, web.About{Does: "Add a workgroup", Then: "/admin/workgroups/{id}", On: list + "/new"}),

		web.On(visit.Steward, "GET "+single, g.show, web.About{Does: "Show a workgroup, what it asks of its people, and what that means for whom", Page: page}),
		web.On(visit.StewardFresh, "POST "+single, g.save, web.About{Does: "Change what a workgroup asks of its people", Then: single}),
		web.On(visit.Steward, "GET "+single+"/preview", g.now, web.About{Does: "Say what holds for whom in a workgroup"}),
		web.On(visit.Steward, "POST "+single+"/preview", g.try, web.About{Does: "Say what options would do to the people of a workgroup; nothing is stored", Page: page, On: single}),
		web.On(visit.Administrator, "GET "+single+"/name", g.named, web.About{Does: "Show the name of a workgroup", Page: web.DeskDialog(files, "rename.html")}),
		web.On(visit.AdministratorFresh, "POST "+single+"/name", g.rename, web.About{Does: "Rename a workgroup", Then: single}),
		web.On(visit.AdministratorFresh, "GET "+single+"/remove", g.beforeRemoval, web.About{Does: "Say whether a workgroup may be removed", Page: web.DeskDialog(files, "remove.html"), On: single}),
		web.On(visit.AdministratorFresh, "DELETE "+single, g.remove, web.About{Does: "Remove a workgroup that nobody is in", Then: list, On: single}),

		web.On(visit.Administrator, "GET "+whole, g.showAll, web.About{Does: "Show what the instance asks of everybody, within what is configured", Page: all}),
		web.On(visit.AdministratorFresh, "POST "+whole, g.saveAll, web.About{Does: "Change what the instance asks of everybody", Then: whole}),
		web.On(visit.Administrator, "GET "+whole+"/preview", g.nowAll, web.About{Does: "Say what holds for whom in the instance"}),
		web.On(visit.Administrator, "POST "+whole+"/preview", g.tryAll, web.About{Does: "Say what options would do to everybody; nothing is stored", Page: all, On: whole}),
	}
}

type (
	Which struct {
		ID auth.WorkgroupID `path:"id"`
	}
	Listing struct {
		After string `json:"after,omitempty" max:"60" doc:"the name to go on after"`
	}
	Name struct {
		Name string `json:"name" max:"60"`
	}
	NewName struct {
		ID   auth.WorkgroupID `path:"id"`
		Name string           `json:"name" max:"60"`
	}
	Named struct {
		ID   auth.WorkgroupID `json:"id"`
		Name string           `json:"name"`
	}
	Workgroups struct {
		Workgroups []Row  `json:"workgroups"`
		After      string `json:"after,omitempty" doc:"there are more after this name"`
		All        bool   `json:"-"` // they may add one
	}
	// A Row is one workgroup in the list.
	Row struct {
		ID       auth.WorkgroupID `json:"id"`
		Name     string           `json:"name"`
		People   int              `json:"people"`
		Admins   int              `json:"admins"`
		Requires bool             `json:"requires" doc:"it asks for a second step"`
		Asks     string           `json:"asks" doc:"in words; empty: nothing of its own"`
		Ready    int              `json:"ready" doc:"people who have an accepted factor, or a verified place for codes"`
	}
	// Wanted is Options in a request.
	Wanted struct {
		ID       auth.WorkgroupID `path:"id"`
		Require  bool             `json:"require,omitempty" doc:"everybody uses a second step"`
		When     string           `json:"when,omitempty" doc:"next: from their next sign-in; once: live sessions are asked, too"`
		Factors  string           `json:"factors,omitempty" doc:"which count: strong (passkey or authenticator), passkey, own; empty: as above"`
		Kinds    []string         `json:"kinds,omitempty" max:"32" doc:"with own: these"`
		Channels string           `json:"channels,omitempty" doc:"that codes may go by: email, sms, none; empty: as above"`
		Passkeys string           `json:"passkeys,omitempty" doc:"use only, disabled; empty: as above"`
		Grace    int              `json:"grace_days,omitempty" max:"365" doc:"how long somebody without a factor may go on"`
		Trust    string           `json:"trust,omitempty" max:"4" doc:"days that a browser may be trusted, or none; empty: as above"`
		Seen     string           `json:"seen,omitempty" max:"64" doc:"of the preview that was looked at; pages send it"`
	}
	// WantedAll is the same of the instance, which has no id.
	WantedAll struct {
		Require  bool     `json:"require,omitempty" doc:"everybody uses a second step"`
		When     string   `json:"when,omitempty" doc:"next: from their next sign-in; once: live sessions are asked, too"`
		Factors  string   `json:"factors,omitempty" doc:"which count: strong (passkey or authenticator), passkey, own; empty: as configured"`
		Kinds    []string `json:"kinds,omitempty" max:"32" doc:"with own: these"`
		Channels string   `json:"channels,omitempty" doc:"that codes may go by: email, sms, none; empty: as configured"`
		Passkeys string   `json:"passkeys,omitempty" doc:"use only, disabled; empty: as configured"`
		Grace    int      `json:"grace_days,omitempty" max:"365" doc:"how long somebody without a factor may go on"`
		Trust    string   `json:"trust,omitempty" max:"4" doc:"days that a browser may be trusted, or none; empty: as configured"`
		Seen     string   `json:"seen,omitempty" max:"64" doc:"of the preview that was looked at; pages send it"`
	}
	// A View is one workgroup, or the instance.
	View struct {
		ID      auth.WorkgroupID `json:"id"`
		Name    string           `json:"name"`
		Options Options          `json:"options"`
		Since   *time.Time       `json:"required_since,omitempty"`
		Preview Preview          `json:"preview"`
		Admins  []Steward        `json:"admins"`
		Form    Form             `json:"-"`
		Tried   bool             `json:"-"` // the options are not stored
		Seen    string           `json:"-"`
		Save    string           `json:"-"` // where the form goes
		Manages bool             `json:"-"` // they may rename and remove it
		Fixed   []Fixed          `json:"-"`
	}
	// A Steward is a workgroup admin.
	Steward struct {
		ID   auth.UserID `json:"id"`
		Name string      `json:"name"`
	}
	// Fixed is what the configuration says of one thing.
	Fixed struct{ What, Is string }
)

func (w Wanted) options() Options {
	return Options{w.Require, w.When, w.Factors, w.Kinds, w.Channels, w.Passkeys, w.Grace, w.Trust}
}

func (w WantedAll) wanted() Wanted {
	return Wanted{workgroup.Instance, w.Require, w.When, w.Factors, w.Kinds, w.Channels, w.Passkeys, w.Grace, w.Trust, w.Seen}
}

// seen names options. A page sends it back, so that nobody saves what they have not seen the consequences of (W3).
func (o Options) seen() string {
	if o.When == next {
		o.When = ""
	}
	b, _ := json.Marshal(o) // strings and numbers
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

var errUnseen = auth.ConflictError{Code: "preview-first", Why: "These options are not the ones whose consequences you saw. See what they do, then save."}

func nothing(context.Context, web.None) (web.None, error) { return web.None{}, nil }

// asks is who answers for a request.
func asks(ctx context.Context) auth.User { return visit.Of(ctx).Session.User }

// least is the lowest role that looks after a workgroup, or the instance.
func least(id auth.WorkgroupID) auth.Role {
	if id == workgroup.Instance {
		return auth.Admin
	}
	return auth.WorkgroupAdmin
}

// mine is auth.ErrNotFound for a workgroup that somebody does not look after.
func mine(u auth.User, id auth.WorkgroupID) error {
	if u.Role == auth.WorkgroupAdmin && (u.Workgroup == "" || u.Workgroup != id) {
		return auth.ErrNotFound
	}
	return nil
}

// sees says whether whoever asks may look at a workgroup. They are read anew: they may have been moved.
func (g *Groups) sees(ctx context.Context, id auth.WorkgroupID) error {
	u, err := g.Users.Get(ctx, g.DB, asks(ctx).ID)
	switch {
	case err != nil:
		return err
	case u.Disabled || !u.Role.Reaches(least(id)):
		return auth.ErrForbidden
	}
	return mine(u, id)
}

// changes says the same of a change, with their row locked.
func (g *Groups) changes(id auth.WorkgroupID) May {
	return func(ctx context.Context, tx auth.Tx) error {
		u, err := g.Users.LockActs(ctx, tx, asks(ctx), least(id), g.Clock())
		if err != nil {
			return err
		}
		return mine(u, id)
	}
}

// manages is true of those who add, rename and remove workgroups.
func (g *Groups) manages(ctx context.Context, tx auth.Tx) error {
	_, err := g.Users.LockActs(ctx, tx, asks(ctx), auth.Admin, g.Clock())
	return err
}

// inList is how many workgroups stand on one page.
const inList = 50

func (g *Groups) list(ctx context.Context, in Listing) (Workgroups, error) {
	me, err := g.Users.Get(ctx, g.DB, visit.Of(ctx).Session.User.ID)
	if err != nil {
		return Workgroups{}, err
	}
	out := Workgroups{Workgroups: []Row{}, All: me.Role.Reaches(auth.Admin)}
	all, err := g.Workgroups.All(ctx, g.DB)
	if err != nil {
		return out, err
	}
	if !out.All {
		all = slices.DeleteFunc(all, func(w workgroup.Workgroup) bool { return w.ID != me.Workgroup })
	}
	if i := slices.IndexFunc(all, func(w workgroup.Workgroup) bool { return w.Name == in.After }); i >= 0 {
		all = all[i+1:]
	}
	if len(all) > inList {
		all, out.After = all[:inList], all[inList-1].Name
	}
	instance, err := g.Workgroups.Get(ctx, g.DB, workgroup.Instance)
	if err != nil {
		return out, err
	}
	above := g.Roster.Rules().Under(instance.Level)
	for _, w := range all {
		row, err := g.row(ctx, w, above)
		if err != nil {
			return out, err
		}
		out.Workgroups = append(out.Workgroups, row)
	}
	return out, nil
}

func (g *Groups) row(ctx context.Context, w workgroup.Workgroup, above policy.Rules) (Row, error) {
	parts, err := g.parts(ctx, g.DB, w, above, w.Level)
	if err != nil {
		return Row{}, err
	}
	p, err := g.foresee(ctx, g.DB, parts, w.Level, 0)
	if err != nil {
		return Row{}, err
	}
	admins, err := g.Users.Stewards(ctx, g.DB, w.ID)
	return Row{w.ID, w.Name, p.People, len(admins), w.Level.MFA == policy.Required, g.changed(policy.Level{}, w.Level), p.Ready + p.Codes}, err
}

func (g *Groups) add(ctx context.Context, in Name) (Named, error) {
	id, err := g.Add(ctx, in.Name, g.manages)
	return Named{id, in.Name}, err
}

func (g *Groups) named(ctx context.Context, in Which) (Named, error) {
	if in.ID == workgroup.Instance {
		return Named{}, auth.ErrNotFound
	}
	w, err := g.Workgroups.Get(ctx, g.DB, in.ID)
	return Named{w.ID, w.Name}, err
}

func (g *Groups) rename(ctx context.Context, in NewName) (web.None, error) {
	return web.None{}, g.Rename(ctx, in.ID, in.Name, g.manages)
}

func (g *Groups) beforeRemoval(ctx context.Context, in Which) (Named, error) {
	out, err := g.named(ctx, in)
	if err != nil {
		return out, err
	}
	if some, err := g.Users.AnyIn(ctx, g.DB, in.ID); err != nil || some {
		if err == nil {
			err = errNotEmpty
		}
		return out, err
	}
	return out, nil
}

func (g *Groups) remove(ctx context.Context, in Which) (web.None, error) {
	return web.None{}, g.Remove(ctx, in.ID, g.manages)
}

func (g *Groups) show(ctx context.Context, in Which) (View, error) {
	if in.ID == workgroup.Instance {
		return View{}, auth.ErrNotFound
	}
	return g.view(ctx, in.ID, nil)
}

func (g *Groups) now(ctx context.Context, in Which) (Preview, error) {
	v, err := g.show(ctx, in)
	return v.Preview, err
}

func (g *Groups) try(ctx context.Context, in Wanted) (View, error) {
	if in.ID == workgroup.Instance {
		return View{}, auth.ErrNotFound
	}
	o := in.options()
	return g.view(ctx, in.ID, &o)
}

func (g *Groups) save(ctx context.Context, in Wanted) (View, error) {
	if in.ID == workgroup.Instance {
		return View{}, auth.ErrNotFound
	}
	return g.saved(ctx, in)
}

func (g *Groups) showAll(ctx context.Context, _ web.None) (View, error) {
	return g.view(ctx, workgroup.Instance, nil)
}

func (g *Groups) nowAll(ctx context.Context, _ web.None) (Preview, error) {
	v, err := g.view(ctx, workgroup.Instance, nil)
	return v.Preview, err
}

func (g *Groups) tryAll(ctx context.Context, in WantedAll) (View, error) {
	o := in.wanted().options()
	return g.view(ctx, workgroup.Instance, &o)
}

func (g *Groups) saveAll(ctx context.Context, in WantedAll) (View, error) {
	return g.saved(ctx, in.wanted())
}

func (g *Groups) saved(ctx context.Context, in Wanted) (View, error) {
	o := in.options()
	if (in.Seen != "" || visit.Of(ctx).Face == "page") && in.Seen != o.seen() {
		return View{}, errUnseen
	}
	if _, err := g.Save(ctx, in.ID, o, g.changes(in.ID)); err != nil {
		return View{}, err
	}
	return g.view(ctx, in.ID, nil)
}

// view is one page: of what holds, or of options that are tried.
func (g *Groups) view(ctx context.Context, id auth.WorkgroupID, o *Options) (View, error) {
	if err := g.sees(ctx, id); err != nil {
		return View{}, err
	}
	c, err := g.weigh(ctx, g.DB, id, o)
	if err != nil {
		return View{}, err
	}
	v := View{ID: id, Name: c.Workgroup.Name, Options: optionsOf(c.Above, c.Level), Preview: c.Preview, Admins: []Steward{}, Save: whole,
		Manages: visit.Of(ctx).Session.User.Role.Reaches(auth.Admin)}
	if o != nil {
		v.Options, v.Tried, v.Seen = *o, true, o.seen()
	} else if at := c.Level.Since; !at.IsZero() {
		v.Since = &at
	}
	v.Form = g.formOf(c.Above, v.Options, id != workgroup.Instance)
	if id == workgroup.Instance {
		v.Fixed = g.fixed()
		return v, nil
	}
	v.Save = list + "/" + string(id)
	admins, err := g.Users.Stewards(ctx, g.DB, id)
	for _, u := range admins {
		v.Admins = append(v.Admins, Steward{u.ID, u.Name})
	}
	return v, err
}

// fixed is what the file says, which nothing on a page opens.
func (g *Groups) fixed() []Fixed {
	r := g.Roster.Rules()
	factors, grace := "", "None"
	for i, k := range r.Factors {
		if i > 0 {
			factors += ", "
		}
		factors += g.title(k)
	}
	if n := int(r.Grace / day); n > 0 {
		grace = days(n)
	}
	return []Fixed{
		{"Second step", map[policy.MFA]string{policy.Off: "Off: nobody is asked for one, unless you require it", policy.Optional: "Each person’s choice", policy.Required: "Required of everybody"}[r.MFA]},
		{"Factors that may count", factors},
		{"Grace period", grace},
		{"Trusted browsers", trustWords(r.Trust)},
		{"Last factor", map[policy.LastFactor]string{policy.Refuse: "Cannot be removed while a second step is on", policy.Warn: "Can be removed, with a warning"}[r.LastFactor]},
		{"A fresh proof lasts", fmt.Sprintf("%.0f minutes", r.StepUp.Minutes())},
	}
}
