package people

import (
	"cmp"
	"context"
	"net/url"
	"strings"

	"sallyport/internal/auth"
	"sallyport/internal/directory"
	"sallyport/internal/web"
	"sallyport/internal/workgroup"
)

type (
	// Shown is what stands around the list on the page.
	Shown struct {
		First, Last int
		Chips       []Chip
		Groups      []web.Option // none: there is nothing to choose from
		Statuses    []web.Option
		Acts        []web.Option // none: whoever looks changes nobody
		Steward     bool         // they export and add people
		Sorted      string       // "name", for who does not see the arrow
		Name        Head
		Email       Head
		LastIn      Head
		Export      string
		Keep        map[string]string // what a search leaves as it is
		Filter      map[string]string
		Nobody      string // why the list is empty
		Filtered    bool
	}
	// A Chip is a filter that stands ready, with how many it finds.
	Chip struct {
		Name                 string
		Factor, Role, Status string
		To                   string
		Count                int
		Here                 bool
	}
	// A Head is what a list can be sorted by.
	Head struct {
		Name string
		To   string // where a press leads
		Aria string // "ascending", "descending", or empty: it is sorted by something else
	}
)

// Arrow shows the direction.
func (h Head) Arrow() string {
	return map[string]string{"ascending": "↑", "descending": "↓"}[h.Aria]
}

// In is the direction of a column that can be sorted by two things.
func (h Head) In(other Head) string { return cmp.Or(h.Aria, other.Aria) }

var chips = []Chip{
	{Name: "All"},
	{Name: "No MFA", Factor: noFactor},
	{Name: "SMS only", Factor: smsOnly},
	{Name: "Admins", Role: admins},
	{Name: "Locked", Status: string(directory.Locked)},
}

var statuses = []web.Option{{Value: "", Text: "Any status"}, {Value: string(directory.Active), Text: "Active"}, {Value: string(directory.Invited), Text: "Invited"},
	{Value: string(directory.Locked), Text: "Locked"}, {Value: string(directory.Disabled), Text: "Disabled"}}

func (l *Users) shown(ctx context.Context, a Actor, in Wanted, q directory.Query, groups []workgroup.Workgroup) (Shown, error) {
	f := in.filter()
	out := Shown{Statuses: statuses, Steward: a.Role.Reaches(auth.WorkgroupAdmin), Export: f.address(list+"/export", in.Sort), Filtered: f != Filter{}}
	out.Filter, out.Keep = f.fields(), Filter{Factor: f.Factor, Role: f.Role}.fields()
	if in.Sort != "" {
		out.Keep["sort"] = in.Sort
	}
	for _, c := range chips {
		c.Here = c.Factor == f.Factor && c.Role == f.Role && c.Status == f.Status
		c.To = Filter{f.Search, c.Factor, c.Role, c.Status, f.Workgroup}.address(list, in.Sort)
		by, err := l.query(a, Filter{Factor: c.Factor, Role: c.Role, Status: c.Status, Workgroup: f.Workgroup}, "")
		if err != nil {
			return out, err
		}
		if c.Count, err = l.Directory.Count(ctx, by); err != nil {
			return out, err
		}
		out.Chips = append(out.Chips, c)
	}
	if a.Role != auth.WorkgroupAdmin && len(groups) > 0 {
		out.Groups = []web.Option{{Value: "", Text: "All workgroups"}}
		for _, g := range groups {
			out.Groups = append(out.Groups, web.Option{Value: string(g.ID), Text: g.Name})
		}
	}
	if out.Steward {
		out.Acts = acts(a, groups)
	}
	by, down := strings.CutPrefix(in.Sort, "-")
	by = cmp.Or(by, "name")
	out.Sorted = map[string]string{"name": "name", "email": "email", "added": "when they were added", "last-sign-in": "last sign-in"}[by]
	out.Name, out.Email, out.LastIn = f.head("Name", "name", by, down), f.head("Email", "email", by, down), f.head("Last sign-in", "last-sign-in", by, down)
	if out.Nobody = nobody(f, named(groups)); a.Role == auth.WorkgroupAdmin && a.Workgroup == "" {
		out.Nobody, out.Filtered = "You look after no workgroup.", false
	}
	return out, nil
}

// head turns around what the list is sorted by. Times begin with the latest.
func (f Filter) head(name, of, by string, down bool) Head {
	switch {
	case of != by && of == "last-sign-in":
		return Head{name, f.address(list, "-"+of), ""}
	case of != by:
		return Head{name, f.address(list, of), ""}
	case down:
		return Head{name, f.address(list, of), "descending"}
	}
	return Head{name, f.address(list, "-"+of), "ascending"}
}

// address is a page or a file for those whom a filter finds.
func (f Filter) address(path, sort string) string {
	query := url.Values{}
	for name, value := range f.fields() {
		query.Set(name, value)
	}
	if sort != "" {
		query.Set("sort", sort)
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// fields are those that say something.
func (f Filter) fields() map[string]string {
	all := map[string]string{"q": f.Search, "mfa": f.Factor, "role": f.Role, "status": f.Status, "workgroup": string(f.Workgroup)}
	for name, value := range all {
		if value == "" {
			delete(all, name)
		}
	}
	return all
}

// nobody says in a sentence whom there is none of.
func nobody(f Filter, groups map[auth.WorkgroupID]string) string {
	var is []string
	switch f.Factor {
	case "":
	case noFactor:
		is = append(is, "is without MFA")
	case smsOnly:
		is = append(is, "has SMS only")
	default:
		is = append(is, "has that second step")
	}
	switch f.Role {
	case "":
	case admins:
		is = append(is, "is an administrator")
	default:
		is = append(is, "has the role "+f.Role)
	}
	if f.Status != "" {
		is = append(is, "is "+f.Status)
	}
	if f.Workgroup != "" {
		is = append(is, "is in "+cmp.Or(groups[f.Workgroup], "that workgroup"))
	}
	called := ""
	if f.Search != "" {
		called = " called “" + f.Search + "”"
	}
	if len(is) == 0 {
		is = []string{"is here"}
	}
	return "No one" + called + " " + strings.Join(is, " and ") + "."
}
