package events

import (
	"context"
	"embed"
	"errors"
	"slices"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/audit/plain"
	"sallyport/internal/auth"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html
var files embed.FS

// Routes are all pages of the record.
func (v *Events) Routes() []web.Route {
	return []web.Route{
		web.On(visit.Steward, "GET /admin/events", v.list, web.About{Does: "Lists events, newest first", Page: web.Desk(files, "events.html")}),
		web.On(visit.Steward, "GET /admin/events/{id}", v.one, web.About{Does: "Shows one event", Page: web.Desk(files, "event.html")}),
		web.On(visit.Steward, "GET /admin/events/export", v.export, web.About{Does: "Exports events as CSV or JSON lines"}),
		web.On(visit.AdministratorFresh, "POST /admin/events/check", v.checkNow, web.About{Does: "Begins to check the chain of the record", Then: "/admin/events", On: "/admin/events"}),
	}
}

type (
	Listed struct {
		Q         string `json:"q,omitempty" max:"200" doc:"a network address or range, or else words of a person's name or address"`
		Person    string `json:"person,omitempty" max:"64" doc:"an id: about them or by them"`
		Kind      string `json:"kind,omitempty" max:"64" doc:"a kind, or a group of them: sign-ins, failures, factors, accounts, admin, exports"`
		Address   string `json:"address,omitempty" max:"64" doc:"a network address, or a range such as 192.0.2.0/24"`
		Workgroup string `json:"workgroup,omitempty" max:"64" doc:"an id: about people who are in it now"`
		When      string `json:"when,omitempty" max:"3" doc:"the last so many days: 1, 7, 30 or 365"`
		From      string `json:"from,omitempty" max:"10" doc:"a day in UTC: 2006-01-02"`
		To        string `json:"to,omitempty" max:"10" doc:"a day in UTC, included"`
		Before    string `json:"before,omitempty" max:"64" doc:"an id: what stands before that one, so is newer"`
		After     string `json:"after,omitempty" max:"64" doc:"an id: what stands after that one, so is older"`
	}
	Listing struct {
		Events []Line    `json:"events"`
		Newer  string    `json:"newer,omitempty" doc:"before= of the page before"`
		Older  string    `json:"older,omitempty" doc:"after= of the next page"`
		Short  bool      `json:"short,omitempty" doc:"the search stopped before the page was full; older or newer goes on"`
		Some   bool      `json:"some,omitempty" doc:"more people match than are searched for"`
		Check  Checked   `json:"check"`
		Until  time.Time `json:"-"` // how far a short search came

		Person  string       `json:"-"`
		Kinds   []web.Option `json:"-"`
		Periods []web.Option `json:"-"`
		Groups  []web.Option `json:"-"`
		Fold    bool         `json:"-"` // no further filter is set

		Wrong auth.InvalidError `json:"-"` // what cannot be looked for
	}
	Checked struct {
		At       time.Time `json:"at,omitzero" doc:"when the record was checked last"`
		Running  bool      `json:"running,omitempty"`
		Findings int64     `json:"findings"`
		First    []string  `json:"first,omitempty" doc:"of the findings"`
		Head     string    `json:"head,omitempty" doc:"of the chain"`
		Failed   string    `json:"failed,omitempty"`
	}
)

func (in Listed) asked() Asked {
	return Asked{in.Q, in.Person, in.Kind, in.Address, in.Workgroup, in.When, in.From, in.To}
}

func (v *Events) list(ctx context.Context, in Listed) (out Listing, err error) {
	who := viewer(ctx)
	f, some, err := v.filter(ctx, who, in.asked())
	if errors.As(err, &out.Wrong) && visit.Of(ctx).Face == "page" { // the form to mend it stands on the page
		out.Kinds, out.Periods = plain.Options(), periods
		return out, v.surround(ctx, who, "", &out)
	}
	if err != nil {
		return out, err
	}
	f.Before, f.After = in.After, in.Before
	found, lines, err := v.find(ctx, who, f, perPage)
	if err != nil {
		return out, err
	}
	out.Events = lines
	out.Short, out.Some, out.Fold = found.Short, some, in.From == "" && in.To == "" && in.Workgroup == "" && in.Address == ""
	if found.Short {
		out.Until = audit.TimeOf(found.Next)
	}
	out.Newer, out.Older = ends(in, found)
	out.Kinds, out.Periods = plain.Options(), periods
	return out, v.surround(ctx, who, in.Person, &out)
}

// ends are where the pages before and after begin. In the direction that the search went it knows; in the other there is
// something if somebody came from there.
func ends(in Listed, found audit.Found) (newer, older string) {
	first, last := in.After, in.Before
	if n := len(found.Entries); n > 0 {
		first, last = found.Entries[0].ID, found.Entries[n-1].ID
	}
	switch {
	case in.Before != "":
		return found.Next, last
	case in.After != "":
		return first, found.Next
	}
	return "", found.Next
}

// surround adds what stands around the list.
func (v *Events) surround(ctx context.Context, who auth.User, person string, out *Listing) error {
	if person != "" {
		out.Person = gone(auth.UserID(person))
		if ids, err := v.visible(ctx, who, auth.UserID(person)); err != nil || len(ids) == 0 {
			out.Person = "somebody you do not look after"
		} else if known, err := v.Users.Some(ctx, v.DB, ids...); err != nil {
			return err
		} else if u, here := known[ids[0]]; here {
			out.Person = u.Name
		}
	}
	if who.Role.Reaches(auth.Admin) {
		groups, err := v.Groups.All(ctx, v.DB)
		if err != nil {
			return err
		}
		out.Groups = []web.Option{{Value: "", Text: "All workgroups"}}
		for _, g := range groups {
			out.Groups = append(out.Groups, web.Option{Value: string(g.ID), Text: g.Name})
		}
	}
	c, err := v.Trail.Checked(ctx)
	out.Check = Checked{At: c.At, Running: c.Running, Findings: c.Findings, Failed: c.Failed}
	if who.Role.Reaches(auth.Admin) { // findings may name events of anybody
		out.Check.First, out.Check.Head = c.First, c.Head
	}
	return err
}

type (
	Which struct {
		ID string `path:"id" max:"64"`
	}
	Whole struct {
		Line
		Through string `json:"face" doc:"page, api or cli"`
		Request string `json:"request" doc:"its id, as the log has it"`
		Detail  []Fact `json:"detail"`
		Seal    int64  `json:"seal" doc:"of the chain, that covers it; 0: not yet"`
	}
	Fact struct {
		Name string `json:"name"`
		Text string `json:"text"`
	}
)

func (v *Events) one(ctx context.Context, in Which) (out Whole, err error) {
	who := viewer(ctx)
	e, err := v.Trail.One(ctx, in.ID, scope(who))
	if err != nil {
		return out, err
	}
	lines, seen, err := v.lines(ctx, who, []audit.Entry{e})
	if err != nil {
		return out, err
	}
	e = seen[0]
	out = Whole{Line: lines[0], Through: e.Face, Request: e.Request, Detail: []Fact{}, Seal: e.Seal}
	for k, text := range e.Detail {
		out.Detail = append(out.Detail, Fact{k, text})
	}
	slices.SortFunc(out.Detail, func(a, b Fact) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// checkNow is recorded before it begins: a check of a long record takes a while of the machine.
func (v *Events) checkNow(ctx context.Context, _ web.None) (web.None, error) {
	err := v.DB.Tx(ctx, func(tx auth.Tx) error {
		return v.Trail.Record(ctx, tx, auth.Event{Kind: auth.RecordChecked, User: viewer(ctx).ID})
	})
	if err == nil {
		v.Trail.CheckSoon()
	}
	return web.None{}, err
}

// Said is the number of findings for the page.
func (c Checked) Said() int { return int(c.Findings) }

// Export is the address of a file of what the page was asked for.
func (Listing) Export(v web.View, format string) string {
	_, query, _ := strings.Cut(v.With("before", "", "after", "", "format", format), "?")
	return "/admin/events/export?" + query
}
