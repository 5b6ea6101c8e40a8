package directory

import (
	"bytes"
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"sallyport/internal/auth"
)

// A Sort is what a list is in order of.
type Sort string

const (
	ByName   Sort = "name"
	ByLogin  Sort = "email"
	ByAdded  Sort = "added"
	BySignIn Sort = "last sign-in"
)

// Sorts are all there are, in the order of keys.
var Sorts = []Sort{ByName, ByLogin, ByAdded, BySignIn}

var columns = []string{"by_name", "by_login", "by_added", "by_seen"}

// Filters that are no single factor, role or workgroup.
const (
	NoFactor auth.Kind = "none"      // no second step is asked for
	SMSOnly  auth.Kind = "sms only"  // and this one of nothing better
	AnyAdmin auth.Role = "any admin" // whoever is not a member
)

// A Query is whom to list, in which order, from where. The zero value is everybody by name.
type Query struct {
	Search    string           // beginnings of words of name and addresses, all of which must be there; or a whole login
	Factor    auth.Kind        // one that counts, NoFactor, SMSOnly; empty: whatever they have
	Role      auth.Role        // or AnyAdmin; empty: any
	Status    Status           // empty: any
	Workgroup auth.WorkgroupID // empty: any

	// Within is the workgroup that an administrator may see, whatever else is asked for; empty: nobody. Nil: all.
	Within *auth.WorkgroupID

	Sort       Sort // empty: ByName
	Descending bool
	After      string // a cursor: the page after it
	Before     string // or the page before it
	Limit      int    // 0: 50; 1000 at most
}

// A Page is some people of a list.
type Page struct {
	People   []Person
	Next     string // cursor for After; empty: the list ends here
	Previous string // cursor for Before; empty: it begins here
	Count    int    // people on all pages
	More     bool   // there are more than Count
}

const (
	usual = 50
	most  = 1000
)

// An order is how a list is walked: forward, or backward from a cursor.
type order struct {
	sort       int // in Sorts
	column     string
	descending bool
}

func (o order) beyond() string {
	if o.descending {
		return "<"
	}
	return ">"
}

func (o order) direction() string {
	if o.descending {
		return " DESC"
	}
	return ""
}

// begin stands before every key.
func (o order) begin() []byte {
	if o.descending {
		return []byte{0xff}
	}
	return []byte{0}
}

// compare says which key comes first.
func (o order) compare(a, b []byte) int {
	if o.descending {
		a, b = b, a
	}
	return bytes.Compare(a, b)
}

// A plan is a query that was understood.
type plan struct {
	order
	from      []byte
	backward  bool
	limit     int
	workgroup auth.WorkgroupID // empty: all
	classes   []class          // that the filters let through
	all       int              // people in them
	searching bool
	typed     []string // words
	whole     *key     // the one person whose login was typed
	nobody    bool
}

// plan checks what was asked for. Its errors about that are auth.InvalidError.
func (d *Directory) plan(ctx context.Context, q Query) (p plan, err error) {
	if p, err = q.read(); err != nil || p.nobody {
		return p, err
	}
	all, err := classes(ctx, d.DB, p.workgroup)
	if err != nil {
		return p, err
	}
	for _, c := range all {
		if q.admits(c) {
			p.classes, p.all = append(p.classes, c), p.all+c.n
		}
	}
	p.nobody = len(p.classes) == 0
	if p.searching && !p.nobody && strings.Contains(q.Search, "@") {
		p.whole, err = d.withLogin(ctx, p, q.Search)
	}
	return p, err
}

func (q Query) read() (p plan, err error) {
	i := 0
	if q.Sort != "" {
		i = slices.Index(Sorts, q.Sort)
	}
	switch {
	case i < 0:
		return p, auth.InvalidError{Field: "sort", Why: "is none of those there are"}
	case q.After != "" && q.Before != "":
		return p, auth.InvalidError{Field: "before", Why: "cannot stand beside after"}
	case q.Status != "" && !slices.Contains(Statuses, q.Status):
		return p, auth.InvalidError{Field: "status", Why: "is none of those there are"}
	case q.Role != "" && q.Role != AnyAdmin && !q.Role.Valid():
		return p, auth.InvalidError{Field: "role", Why: "is none of those there are"}
	}
	p.backward = q.Before != ""
	p.order = order{sort: i, column: columns[i], descending: q.Descending != p.backward}
	p.from = p.begin()
	if cursor := q.After + q.Before; cursor != "" {
		b, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil || len(b) < 2 || int(b[0]) != i {
			return p, auth.InvalidError{Field: "after", Why: "belongs to another list"}
		}
		p.from = b[1:]
	}
	p.limit = q.Limit
	if p.limit <= 0 {
		p.limit = usual
	}
	p.limit = min(p.limit, most)
	if p.workgroup = q.Workgroup; q.Within != nil {
		p.workgroup = *q.Within
		p.nobody = *q.Within == "" || q.Workgroup != "" && q.Workgroup != *q.Within
	}
	if strings.TrimSpace(q.Search) != "" {
		p.searching = true
		if len(q.Search) <= mostSearch {
			p.typed = split(fold(q.Search))
		}
		p.nobody = p.nobody || len(p.typed) == 0 || len(p.typed) > mostWords
	}
	return p, nil
}

// admits says whether the filters let a class through.
func (q Query) admits(c class) bool {
	return (q.Status == "" || q.Status == c.status) &&
		(q.Role == "" || q.Role == c.role || q.Role == AnyAdmin && c.role != auth.Member) &&
		(q.Factor == "" || slices.Contains(c.factors, q.Factor) ||
			q.Factor == NoFactor && len(c.factors) == 0 ||
			q.Factor == SMSOnly && len(c.factors) == 1 && c.factors[0] == "sms")
}

func (p plan) class(id int64) bool {
	return slices.ContainsFunc(p.classes, func(c class) bool { return c.id == id })
}

// cursor is a place in the list, as clients hold it.
func (p plan) cursor(k key) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{byte(p.sort)}, k.at...))
}

// List is a page of people.
func (d *Directory) List(ctx context.Context, q Query) (Page, error) {
	p, err := d.plan(ctx, q)
	if err != nil || p.nobody {
		return Page{}, err
	}
	f, err := d.find(ctx, p)
	if err != nil {
		return Page{}, err
	}
	more := len(f.keys) > p.limit
	f.keys = f.keys[:min(len(f.keys), p.limit)]
	if p.backward {
		slices.Reverse(f.keys)
	}
	page := Page{Count: f.count, More: f.more}
	if len(f.keys) > 0 {
		if more || p.backward {
			page.Next = p.cursor(f.keys[len(f.keys)-1])
		}
		if p.backward && more || q.After != "" {
			page.Previous = p.cursor(f.keys[0])
		}
	}
	page.People, err = people(ctx, d.DB, f.keys)
	return page, err
}

// Count is how many people a query without a search has on all its pages, from the tallies.
func (d *Directory) Count(ctx context.Context, q Query) (int, error) {
	q.Search = ""
	p, err := d.plan(ctx, q)
	return p.all, err
}

// Each calls f for everybody whom a query has, in order and from the beginning, in constant memory. An error of f ends it.
func (d *Directory) Each(ctx context.Context, q Query, f func(Person) error) error {
	q.After, q.Before = "", ""
	p, err := d.plan(ctx, q)
	if err != nil || p.nobody {
		return err
	}
	next, err := d.all(ctx, p)
	if err != nil {
		return err
	}
	for {
		keys, err := next(most / 2)
		if err != nil || len(keys) == 0 {
			return err
		}
		page, err := people(ctx, d.DB, keys)
		if err != nil {
			return err
		}
		for _, one := range page {
			if err := f(one); err != nil {
				return err
			}
		}
	}
}
