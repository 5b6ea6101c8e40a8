package people

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/directory"
	"sallyport/internal/visit"
	"sallyport/internal/web"
	"sallyport/internal/workgroup"
)

// Users is the page that lists everybody (A1), and what is done to many at once (A2). Each of them is changed by the
// same function as on their own page, so this page lets nobody do more than that one.
type Users struct {
	*People
}

// NewUsers makes the page from the acts on one person.
func NewUsers(p *People) *Users { return &Users{p} }

const bulk = list + "/bulk"

// Routes are the list, its export, and the acts on many, on both faces.
func (l *Users) Routes() []web.Route {
	many := web.Desk(files, "bulk.html")
	return []web.Route{
		web.On(visit.Staff, "GET "+list, l.page, web.About{
			Does: "List people: by words of name and email, by filters, in order, a page at a time; a workgroup admin sees their own workgroup",
			Page: web.Desk(files, "users.html"),
		}),
		web.On(visit.Steward, "GET "+list+"/export", l.export, web.About{Does: "The same list as CSV, all pages of it"}),
		web.On(visit.Steward, "POST "+bulk+"/preview", l.preview, web.About{
			Does: "Say who of many people would change by an act, and who would not and why; nothing is changed",
			Page: many,
			On:   list,
		}),
		web.On(visit.StewardFresh, "POST "+bulk, l.apply, web.About{
			Does: "Do something to many people, each by themselves, and say of each what came of it",
			Page: many,
			On:   list,
		}),
	}
}

// A Filter says whom a list shows, as the address says it.
type Filter struct {
	Search, Factor, Role, Status string
	Workgroup                    auth.WorkgroupID
}

type (
	// Wanted is what the address of the list says.
	Wanted struct {
		Search    string           `json:"q,omitempty" max:"200" doc:"beginnings of words of name and email, or a whole login"`
		Factor    string           `json:"mfa,omitempty" max:"32" doc:"none: no second step; sms-only: nothing better; or a kind of factor that counts"`
		Role      string           `json:"role,omitempty" max:"32" doc:"a role, or admins: whoever looks after others"`
		Status    string           `json:"status,omitempty" max:"32" doc:"active, invited, locked or disabled"`
		Workgroup auth.WorkgroupID `json:"workgroup,omitempty" max:"64"`
		Sort      string           `json:"sort,omitempty" max:"16" doc:"name, email, added or last-sign-in; with - before it the other way round"`
		After     string           `json:"after,omitempty" max:"2048" doc:"next of a page: what comes after it"`
		Before    string           `json:"before,omitempty" max:"2048" doc:"previous of a page: what comes before it"`
	}
	// Exported is the same without a place in it.
	Exported struct {
		Search    string           `json:"q,omitempty" max:"200" doc:"as for the list"`
		Factor    string           `json:"mfa,omitempty" max:"32"`
		Role      string           `json:"role,omitempty" max:"32"`
		Status    string           `json:"status,omitempty" max:"32"`
		Workgroup auth.WorkgroupID `json:"workgroup,omitempty" max:"64"`
		Sort      string           `json:"sort,omitempty" max:"16"`
	}
	// Everybody is a page of the list.
	Everybody struct {
		People   []Row  `json:"people"`
		Count    int    `json:"count" doc:"on all pages"`
		More     bool   `json:"more,omitempty" doc:"there are more than count: so many match that nobody counted them"`
		Next     string `json:"next,omitempty"`
		Previous string `json:"previous,omitempty"`
		All      int    `json:"all" doc:"whom you may see, whatever the filter"`
		Shown    Shown  `json:"-"`
	}
	// A Row is one person.
	Row struct {
		ID        auth.UserID      `json:"id"`
		Name      string           `json:"name"`
		Login     string           `json:"login"`
		Role      auth.Role        `json:"role"`
		Status    directory.Status `json:"status" enum:"active,invited,locked,disabled"`
		Workgroup auth.WorkgroupID `json:"workgroup,omitempty"`
		Group     string           `json:"workgroup_name,omitempty"`
		Factors   []auth.Kind      `json:"factors" doc:"that the next sign-in asks for, the strongest first; none: it asks for none"`
		Added     time.Time        `json:"added_at"`
		LastIn    *time.Time       `json:"last_signed_in_at,omitempty"`
		Signs     []web.Sign       `json:"-"`
	}
)

func (w Wanted) filter() Filter { return Filter{w.Search, w.Factor, w.Role, w.Status, w.Workgroup} }

func (w Exported) filter() Filter { return Filter{w.Search, w.Factor, w.Role, w.Status, w.Workgroup} }

// Filters in the address that are no role and no factor.
const (
	noFactor = "none"
	smsOnly  = "sms-only"
	admins   = "admins"
)

// sorts are the words of the address; the directory has its own.
var sorts = map[string]directory.Sort{"": directory.ByName, "name": directory.ByName, "email": directory.ByLogin, "added": directory.ByAdded, "last-sign-in": directory.BySignIn}

// query is what a filter asks the directory for, as far as whoever asks may see.
func (l *Users) query(a Actor, f Filter, sort string) (directory.Query, error) {
	by, down := strings.CutPrefix(sort, "-")
	order, known := sorts[by]
	if !known {
		return directory.Query{}, auth.InvalidError{Field: "sort", Why: "must be name, email, added or last-sign-in"}
	}
	q := directory.Query{Search: f.Search, Factor: auth.Kind(f.Factor), Role: auth.Role(f.Role), Status: directory.Status(f.Status),
		Workgroup: f.Workgroup, Sort: order, Descending: down}
	switch f.Factor {
	case noFactor:
		q.Factor = directory.NoFactor
	case smsOnly:
		q.Factor = directory.SMSOnly
	case "":
	default:
		if _, known := web.Signs(l.Roster.Second()...)[q.Factor]; !known {
			return q, auth.InvalidError{Field: "mfa", Why: "must be none, sms-only or a kind of factor"}
		}
	}
	if f.Role == admins {
		q.Role = directory.AnyAdmin
	} else if q.Role != "" && !q.Role.Valid() {
		return q, auth.InvalidError{Field: "role", Why: "must be a role or admins"}
	}
	if a.Role == auth.WorkgroupAdmin {
		q.Within = &a.Workgroup
	}
	return q, nil
}

// asking is who asks, as they are now: a session may remember a workgroup that they look after no more.
func (l *Users) asking(ctx context.Context, least auth.Role) (Actor, error) {
	a := Acting(ctx)
	u, err := l.Users.Get(ctx, l.DB, a.ID)
	if err == nil && !u.Role.Reaches(least) {
		err = auth.ErrForbidden
	}
	return Actor{u, a.Session}, err
}

// A place in the list is a cursor of the directory, after the number of people before it: that is for people to read
// and nothing goes by it.
func place(cursor string) (people int, of string, err error) {
	if cursor == "" {
		return 0, "", nil
	}
	number, of, found := strings.Cut(cursor, ".")
	people, wrong := strconv.Atoi(number)
	if !found || of == "" || wrong != nil || people < 0 {
		err = auth.InvalidError{Field: "after", Why: "belongs to another list"}
	}
	return people, of, err
}

// page is a page of the list.
func (l *Users) page(ctx context.Context, in Wanted) (Everybody, error) {
	a, err := l.asking(ctx, auth.Support)
	if err != nil {
		return Everybody{}, err
	}
	q, err := l.query(a, in.filter(), in.Sort)
	if err != nil {
		return Everybody{}, err
	}
	passed, after, err := place(in.After)
	if err != nil {
		return Everybody{}, err
	}
	upTo, before, err := place(in.Before)
	if err != nil {
		return Everybody{}, err
	}
	q.After, q.Before = after, before
	found, err := l.Directory.List(ctx, q)
	if err != nil {
		return Everybody{}, err
	}
	groups, err := l.groups(ctx, a)
	if err != nil {
		return Everybody{}, err
	}
	out := Everybody{People: l.rows(found.People, groups), Count: found.Count, More: found.More}
	if before != "" {
		passed = max(0, upTo-len(out.People))
	}
	if found.Previous == "" {
		passed = 0
	}
	last := passed + len(out.People)
	if found.Next != "" {
		out.Next = strconv.Itoa(last) + "." + found.Next
	}
	if found.Previous != "" {
		out.Previous = strconv.Itoa(passed) + "." + found.Previous
	}
	if out.All, err = l.Directory.Count(ctx, directory.Query{Within: q.Within}); err != nil {
		return out, err
	}
	out.Shown, err = l.shown(ctx, a, in, q, groups)
	out.Shown.First, out.Shown.Last = passed+1, last
	return out, err
}

// groups are the workgroups that somebody may see, by name.
func (l *Users) groups(ctx context.Context, a Actor) ([]workgroup.Workgroup, error) {
	if a.Role != auth.WorkgroupAdmin {
		return l.Groups.All(ctx, l.DB)
	}
	if a.Workgroup == "" {
		return nil, nil
	}
	g, err := l.Groups.Get(ctx, l.DB, a.Workgroup)
	if errors.Is(err, auth.ErrNotFound) { // it was removed a moment ago
		return nil, nil
	}
	return []workgroup.Workgroup{g}, err
}

func (l *Users) rows(some []directory.Person, groups []workgroup.Workgroup) []Row {
	signs, names, rows := web.Signs(l.Roster.Second()...), named(groups), make([]Row, len(some))
	for i, p := range some {
		r := Row{ID: p.ID, Name: p.Name, Login: p.Login, Role: p.Role, Status: p.Status, Workgroup: p.Workgroup, Group: names[p.Workgroup],
			Factors: append([]auth.Kind{}, p.Factors...), Added: p.Added}
		if !p.LastSignIn.IsZero() {
			r.LastIn = &some[i].LastSignIn
		}
		for _, k := range p.Factors {
			if s, known := signs[k]; known {
				r.Signs = append(r.Signs, s)
			}
		}
		rows[i] = r
	}
	return rows
}

func named(groups []workgroup.Workgroup) map[auth.WorkgroupID]string {
	names := map[auth.WorkgroupID]string{}
	for _, g := range groups {
		names[g.ID] = g.Name
	}
	return names
}
