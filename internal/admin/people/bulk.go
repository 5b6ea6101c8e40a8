package people

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/policy"
	"sallyport/internal/web"
	"sallyport/internal/workgroup"
)

const (
	most     = 1000             // people that one request changes
	inTime   = 20 * time.Second // whoever it has not come by until then waits for another one
	allNames = 8                // named with one reason
)

type (
	// Chosen is whom an act is for: those named, or all whom a filter finds.
	Chosen struct {
		IDs       []string         `json:"ids,omitempty" max:"64" doc:"of people"`
		All       bool             `json:"all,omitempty" doc:"everybody whom the filter finds, in place of ids"`
		Search    string           `json:"q,omitempty" max:"200" doc:"as for the list"`
		Factor    string           `json:"mfa,omitempty" max:"32"`
		Role      string           `json:"role,omitempty" max:"32"`
		Status    string           `json:"status,omitempty" max:"32"`
		Workgroup auth.WorkgroupID `json:"workgroup,omitempty" max:"64"`
		Act       string           `json:"act,omitempty" max:"80" doc:"mfa:off, mfa:email, mfa:sms, mfa:required, sign-out, disable, enable, move:ID of a workgroup or move:none"`
		Count     int              `json:"count,omitempty" max:"1000000000" doc:"of the preview"`
		Seen      string           `json:"seen,omitempty" max:"64" doc:"of the preview; with all, nothing is done for others than it had"`
	}
	// Many is what an act on many people would do, or what it did.
	Many struct {
		Act     string   `json:"act"`
		Says    string   `json:"says" doc:"the act in words"`
		State   string   `json:"state" enum:"preview,changed meanwhile,done" doc:"changed meanwhile: the filter finds others than it did, so nothing was done"`
		Count   int      `json:"count" doc:"people"`
		Seen    string   `json:"seen" doc:"to be sent back"`
		Refused string   `json:"refused,omitempty" doc:"why nothing can be done at all"`
		Results []Result `json:"results"`
		Was     int      `json:"-"` // the count of the preview before
		Chosen  Chosen   `json:"-"`
		Back    string   `json:"-"`
	}
	// A Result is what comes of one person.
	Result struct {
		ID   auth.UserID `json:"id"`
		Name string      `json:"name,omitempty" doc:"if you may see them"`
		Done bool        `json:"done" doc:"changed, or would be"`
		So   bool        `json:"so,omitempty" doc:"it is so already"`
		Code string      `json:"code,omitempty"`
		Why  string      `json:"why,omitempty"`
	}
	// A Reason is why some people are not changed.
	Reason struct {
		Why   string
		Names []string
		More  int // who are not named
	}
)

func (c Chosen) filter() Filter { return Filter{c.Search, c.Factor, c.Role, c.Status, c.Workgroup} }

// Fields are what a form sends on to say the same again.
func (c Chosen) Fields() map[string]string {
	if !c.All {
		return nil
	}
	fields := c.filter().fields()
	fields["all"] = "on"
	return fields
}

// A deed is one act, on one person at a time.
type deed struct {
	says  string
	is    func(auth.User) bool // it is so already; nil: nobody knows
	apply func(context.Context, auth.Tx, Actor, auth.UserID) error
}

// acts are what somebody may choose from.
func acts(a Actor, groups []workgroup.Workgroup) []web.Option {
	all := []web.Option{{Value: "", Text: "Choose what to do"}}
	for _, m := range methods {
		all = append(all, web.Option{Value: "mfa:" + Said(m.method), Text: "Set MFA to " + m.text})
	}
	all = append(all, web.Option{Value: "sign-out", Text: "Sign out everywhere"}, web.Option{Value: "disable", Text: "Disable"}, web.Option{Value: "enable", Text: "Enable"})
	if a.Role.Reaches(auth.Admin) {
		for _, g := range groups {
			all = append(all, web.Option{Value: "move:" + string(g.ID), Text: "Move to " + g.Name})
		}
		all = append(all, web.Option{Value: "move:" + none, Text: "Take out of their workgroup"})
	}
	return all
}

// deed is what an act means. Whether it may be done to somebody is asked of each.
func (l *Users) deed(ctx context.Context, a Actor, act string) (deed, error) {
	kind, with, _ := strings.Cut(act, ":")
	unknown := auth.InvalidError{Field: "act", Why: "must be chosen from what there is"}
	switch {
	case act == "sign-out":
		return deed{"Sign out everywhere", nil, l.SignOut}, nil
	case act == "disable":
		return deed{"Disable", func(u auth.User) bool { return u.Disabled }, l.Disable}, nil
	case act == "enable":
		return deed{"Enable", func(u auth.User) bool { return !u.Disabled }, l.Enable}, nil
	case kind == "mfa":
		m := Method(with)
		for _, known := range methods {
			if known.method == m && Said(m) == with {
				return deed{"Set MFA to " + known.text, func(u auth.User) bool { return u.Method == m }, l.saving(Change{Method: &m})}, nil
			}
		}
		return deed{}, unknown
	case kind != "move":
		return deed{}, unknown
	case !a.Role.Reaches(auth.Admin): // nor do they hear what another workgroup is called
		return deed{}, auth.ErrForbidden
	}
	to, says := auth.WorkgroupID(with), "Take out of their workgroup"
	if with == none {
		to = ""
	} else if g, err := l.Groups.Get(ctx, l.DB, to); errors.Is(err, auth.ErrNotFound) || to == workgroup.Instance {
		return deed{}, unknown
	} else if err != nil {
		return deed{}, err
	} else {
		says = "Move to " + g.Name
	}
	return deed{says, func(u auth.User) bool { return u.Workgroup == to }, l.saving(Change{Workgroup: &to})}, nil
}

func (l *Users) saving(c Change) func(context.Context, auth.Tx, Actor, auth.UserID) error {
	return func(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID) error { return l.Save(ctx, tx, a, id, c) }
}

// preview says what an act would do.
func (l *Users) preview(ctx context.Context, in Chosen) (Many, error) { return l.many(ctx, in, false) }

// apply does it. What a filter finds must still be what the preview had.
func (l *Users) apply(ctx context.Context, in Chosen) (Many, error) { return l.many(ctx, in, true) }

func (l *Users) many(ctx context.Context, in Chosen, really bool) (Many, error) {
	a, err := l.asking(ctx, auth.WorkgroupAdmin)
	if err != nil {
		return Many{}, err
	}
	f := in.filter()
	out := Many{Act: in.Act, State: "preview", Results: []Result{}, Was: in.Count, Chosen: in, Back: f.address(list, "")}
	ids, err := l.choose(ctx, a, in)
	if err != nil {
		return out, err
	}
	out.Count, out.Seen = len(ids), seen(ids)
	switch {
	case len(ids) == 0:
		out.Refused = "You chose nobody. Tick whom it is for."
		return out, nil
	case in.Act == "":
		out.Refused = "You did not choose what to do."
		return out, nil
	case len(ids) > most:
		out.Refused = "These are more than 1,000 people, and so many are not changed at once. Narrow the list; or, to ask MFA of a whole workgroup, use its Security options."
		return out, nil
	}
	d, err := l.deed(ctx, a, in.Act)
	if err != nil {
		return out, err
	}
	if out.Says = d.says; really && in.All && in.Seen != out.Seen {
		really = false
		if in.Seen != "" {
			out.State = "changed meanwhile"
		}
	}
	if really {
		out.State = "done"
	}
	out.Results, err = l.each(ctx, Acting(ctx), ids, d, really)
	return out, err
}

// choose lists those whom an act is for, each once; one more than may be if there are too many.
func (l *Users) choose(ctx context.Context, a Actor, in Chosen) (ids []auth.UserID, err error) {
	if !in.All {
		for _, id := range in.IDs {
			if !slices.Contains(ids, auth.UserID(id)) {
				ids = append(ids, auth.UserID(id))
			}
		}
		return ids, nil
	}
	q, err := l.query(a, in.filter(), "")
	if err != nil {
		return nil, err
	}
	enough := errors.New("enough")
	err = l.Directory.Each(ctx, q, func(p directory.Person) error {
		if ids = append(ids, p.ID); len(ids) > most {
			return enough
		}
		return nil
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return ids, err
}

// seen names a choice of people, whatever their order.
func seen(ids []auth.UserID) string {
	sorted := slices.Sorted(slices.Values(ids))
	hash := sha256.New()
	for _, id := range sorted {
		hash.Write([]byte(id + "\n"))
	}
	return hex.EncodeToString(hash.Sum(nil)[:12])
}

// Nothing of a transaction is kept that ends with one of these.
var (
	errRehearsed = errors.New("it would have been done")
	errSo        = errors.New("it is so already")
)

// each does an act to one after the other, in a transaction of its own; or it does, and takes it back. It goes on when
// nobody waits for the answer any more: half of it would be harder to understand.
func (l *Users) each(ctx context.Context, a Actor, ids []auth.UserID, d deed, really bool) ([]Result, error) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), inTime)
	defer stop()
	results := make([]Result, len(ids))
	for i, id := range ids {
		name, err := l.one(ctx, a, id, d, really)
		ended := errors.Is(err, auth.ErrNotSignedIn) || errors.Is(err, auth.ErrForbidden)
		late := ctx.Err() != nil || db.Away(err)
		if (ended || late) && i > 0 {
			for j := i; j < len(ids); j++ {
				results[j] = Result{ID: ids[j], Code: "not-reached", Why: "We did not come by them in time. Choose them again."}
				if ended {
					results[j].Code, results[j].Why = "forbidden", "You may not do this any more."
				}
			}
			return results, nil
		}
		if results[i], err = result(id, name, err); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// one does an act to one person.
func (l *Users) one(ctx context.Context, a Actor, id auth.UserID, d deed, really bool) (name string, err error) {
	err = l.DB.Tx(ctx, func(tx auth.Tx) error {
		now, u, err := l.may(ctx, tx, a, id, auth.WorkgroupAdmin)
		if name = ""; u.ID != "" && policy.MaySee(now.User, u) == nil {
			name = u.Name
		}
		switch {
		case err != nil:
			return err
		case d.is != nil && d.is(u):
			return errSo
		}
		if err := d.apply(ctx, tx, a, id); err != nil {
			return err
		}
		if !really {
			return errRehearsed
		}
		return l.Directory.Refresh(ctx, tx, id)
	})
	return name, err
}

// result says an error of one person; what is nobody's fault but ours it returns.
func result(id auth.UserID, name string, err error) (Result, error) {
	r := Result{ID: id, Name: name}
	var (
		conflict auth.ConflictError
		field    auth.InvalidError
	)
	switch {
	case err == nil, errors.Is(err, errRehearsed):
		r.Done = true
	case errors.Is(err, errSo):
		r.So, r.Why = true, "It is so already."
	case errors.As(err, &conflict):
		r.Code, r.Why = conflict.Code, conflict.Why
	case errors.As(err, &field):
		what := map[string]string{"mfa": "MFA", "phone": "A phone number", "email": "The email", "workgroup": "The workgroup"}[field.Field]
		r.Code, r.Why = "invalid", cmp.Or(what, field.Field)+" "+field.Why+"."
	case errors.Is(err, auth.ErrNotFound):
		r.Code, r.Why = "not-found", "They are not here any more, or you do not look after them."
	default:
		return r, err
	}
	return r, nil
}

// Changed are those to whom it is done, or would be.
func (m Many) Changed() (n int) {
	for _, r := range m.Results {
		if r.Done {
			n++
		}
	}
	return n
}

// Reasons are why the others are not, the most frequent first.
func (m Many) Reasons() (all []Reason) {
	for _, r := range m.Results {
		if r.Done {
			continue
		}
		at := slices.IndexFunc(all, func(one Reason) bool { return one.Why == r.Why })
		if at < 0 {
			at, all = len(all), append(all, Reason{Why: r.Why})
		}
		if r.Name == "" || len(all[at].Names) == allNames {
			all[at].More++
		} else {
			all[at].Names = append(all[at].Names, r.Name)
		}
	}
	slices.SortStableFunc(all, func(a, b Reason) int { return b.Count() - a.Count() })
	return all
}

// Count is how many people it is true for.
func (r Reason) Count() int { return len(r.Names) + r.More }

// Who names them.
func (r Reason) Who() string {
	who := strings.Join(r.Names, ", ")
	switch {
	case who == "":
		return ""
	case r.More > 0:
		return who + ", and more"
	}
	return who
}
