// Package events shows the record to those who look after others: what happened, to whom, from where (A7).
//
// It promises: nothing here changes or removes an event; whoever looks after one workgroup sees events about people who
// are in it now and what they did themselves, on both faces and in every file; and a page takes no longer than a person
// waits, however long the record is.
//
// It refuses to say that the record is whole. It shows what the latest check found (audit.Check), and when that was.
package events

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/audit/plain"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/policy"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
	"sallyport/internal/workgroup"
)

// A Searcher finds people by some text, at most so many, and says whether there are more. Within is the workgroup that the
// viewer may see; nil: everybody.
type Searcher interface {
	Matching(ctx context.Context, text string, within *auth.WorkgroupID, most int) (people []auth.UserID, more bool, err error)
}

// Parts are what Events stand on.
type Parts struct {
	DB     *db.DB
	Trail  *audit.Trail
	Users  *user.Store
	Groups *workgroup.Store
	People Searcher
	Signs  map[auth.Kind]web.Sign // of factors
	Clock  func() time.Time
}

// Events are the pages of the record.
type Events struct{ Parts }

func New(p Parts) *Events { return &Events{p} }

// perPage is how many events stand on a page.
const perPage = 50

// Asked is a filter as it stands in an address.
type Asked struct{ Q, Person, Kind, Address, Workgroup, When, From, To string }

// periods are what When may say.
var periods = []web.Option{{Value: "", Text: "Any time"}, {Value: "1", Text: "Last 24 hours"}, {Value: "7", Text: "7 days"}, {Value: "30", Text: "30 days"}, {Value: "365", Text: "1 year"}}

// scope is what the viewer may see; nil: everything.
func scope(viewer auth.User) *audit.Scope {
	if viewer.Role.Reaches(auth.Admin) {
		return nil
	}
	return &audit.Scope{Workgroup: viewer.Workgroup, Viewer: viewer.ID}
}

// filter makes a filter of what was asked for. More is true if it names only some of the people who match.
func (v *Events) filter(ctx context.Context, viewer auth.User, in Asked) (f audit.Filter, more bool, err error) {
	f.Within = scope(viewer)
	if f.Within == nil && in.Workgroup != "" {
		f.Within = &audit.Scope{Workgroup: auth.WorkgroupID(in.Workgroup)}
	}
	if in.Kind != "" {
		if f.Kinds = plain.Kinds(in.Kind); f.Kinds == nil {
			return f, false, auth.InvalidError{Field: "kind", Why: "is no kind of event"}
		}
	}
	if err := v.period(in, &f); err != nil {
		return f, false, err
	}
	if in.Address != "" {
		if f.Address, f.Range, err = audit.Searchable(in.Address); err != nil {
			return f, false, err
		}
	}
	if in.Person != "" {
		f.People, err = v.visible(ctx, viewer, auth.UserID(in.Person))
		return f, false, err
	}
	if in.Q == "" {
		return f, false, nil
	}
	if address, within, err := audit.Searchable(in.Q); err == nil && in.Address == "" {
		f.Address, f.Range = address, within
		return f, false, nil
	}
	var own *auth.WorkgroupID
	if !viewer.Role.Reaches(auth.Admin) {
		own = &viewer.Workgroup
	}
	f.People, more, err = v.People.Matching(ctx, in.Q, own, audit.MostPeople)
	if f.People == nil {
		f.People = []auth.UserID{} // nobody, which is not whoever
	}
	return f, more, err
}

func (v *Events) period(in Asked, f *audit.Filter) error {
	if in.When != "" {
		days := map[string]int{"1": 1, "7": 7, "30": 30, "365": 365}[in.When]
		if days == 0 {
			return auth.InvalidError{Field: "when", Why: "must be 1, 7, 30 or 365"}
		}
		f.From = v.Clock().Add(-time.Duration(days) * 24 * time.Hour)
	}
	for _, end := range []struct {
		name, text string
		to         *time.Time
		plus       int
	}{{"from", in.From, &f.From, 0}, {"to", in.To, &f.To, 1}} {
		if end.text == "" {
			continue
		}
		day, err := time.Parse(time.DateOnly, end.text)
		if err != nil || day.Year() < 1971 {
			return auth.InvalidError{Field: end.name, Why: "must be a day, as 2026-01-31"}
		}
		*end.to = day.AddDate(0, 0, end.plus)
	}
	return nil
}

// visible is the person, or nobody if the viewer may not know of them: who did something to one's own people would come
// out by asking for each administrator in turn.
func (v *Events) visible(ctx context.Context, viewer auth.User, id auth.UserID) ([]auth.UserID, error) {
	if viewer.Role.Reaches(auth.Admin) || id == viewer.ID {
		return []auth.UserID{id}, nil
	}
	u, err := v.Users.Get(ctx, v.DB, id)
	if errors.Is(err, auth.ErrNotFound) || err == nil && policy.MaySee(viewer, u) != nil {
		return []auth.UserID{}, nil
	}
	return []auth.UserID{id}, err
}

// A Line is an event as a viewer is told of it.
type Line struct {
	ID         string         `json:"id"`
	At         time.Time      `json:"at"`
	Kind       auth.EventKind `json:"kind"`
	What       string         `json:"what" doc:"the kind in words"`
	More       string         `json:"more" doc:"of what it says besides"`
	Person     auth.UserID    `json:"person" doc:"whom it is about; empty: nobody we know"`
	PersonName string         `json:"person_name" doc:"empty: they are gone"`
	Actor      auth.UserID    `json:"actor" doc:"who did it, if somebody else; empty also if they are not yours to know"`
	ActorName  string         `json:"actor_name"`
	Address    string         `json:"address"`
	Browser    string         `json:"browser"`

	Icon string `json:"-"`
	Tone string `json:"-"`
	Face string `json:"-"`

	Hidden bool `json:"-"` // whose doing it was
}

// find is Trail.Find as far as the viewer may see. What was found by an address that the viewer may not see is left out: else
// it would come out by asking for one after the other.
func (v *Events) find(ctx context.Context, viewer auth.User, f audit.Filter, most int) (audit.Found, []Line, error) {
	found, err := v.Trail.Find(ctx, f, most)
	if err != nil {
		return found, nil, err
	}
	lines, seen, err := v.lines(ctx, viewer, found.Entries)
	if err != nil || f.Address == "" && !f.Range.IsValid() {
		found.Entries = seen
		return found, lines, err
	}
	found.Entries = nil
	kept := []Line{}
	for i, l := range lines {
		if !l.Hidden {
			found.Entries, kept = append(found.Entries, seen[i]), append(kept, l)
		}
	}
	return found, kept, nil
}

// lines says events to a viewer, beside the events as the viewer may see them.
func (v *Events) lines(ctx context.Context, viewer auth.User, some []audit.Entry) ([]Line, []audit.Entry, error) {
	var ids []auth.UserID
	for _, e := range some {
		for _, id := range []auth.UserID{e.User, e.Actor} {
			if id != "" {
				ids = append(ids, id)
			}
		}
	}
	known, err := v.Users.Some(ctx, v.DB, ids...)
	if err != nil {
		return nil, nil, err
	}
	own, err := v.own(ctx, viewer)
	all, seen := make([]Line, len(some)), make([]audit.Entry, len(some))
	for i, whole := range some {
		e, hidden := plain.Seen(viewer, own, whole, known[whole.Actor])
		seen[i] = e
		said := plain.Words(e, v.Signs)
		all[i] = Line{ID: e.ID, At: e.At, Kind: e.Kind, What: said.Title, More: said.More, Person: e.User, PersonName: known[e.User].Name,
			Actor: e.Actor, ActorName: known[e.Actor].Name, Address: e.Address, Browser: e.Browser, Icon: said.Icon, Tone: said.Tone, Face: e.Face}
		if all[i].Hidden = hidden; hidden {
			all[i].ActorName = plain.Somebody
		}
	}
	return all, seen, err
}

// own is what the workgroup of somebody is called who looks after one.
func (v *Events) own(ctx context.Context, viewer auth.User) (string, error) {
	if viewer.Role != auth.WorkgroupAdmin || viewer.Workgroup == "" {
		return "", nil
	}
	g, err := v.Groups.Get(ctx, v.DB, viewer.Workgroup)
	return g.Name, db.NoneMeans(nil, err)
}

// Who is whose doing it was, as far as it is known.
func (l Line) Who() string {
	switch {
	case l.ActorName != "":
		return l.ActorName
	case l.Actor != "":
		return gone(l.Actor)
	case l.PersonName != "" && l.Face != "cli":
		return l.PersonName
	case l.Face == "cli":
		return "Command line"
	case l.Person != "":
		return gone(l.Person)
	}
	return "Unknown"
}

// About is whom it was done to, if that is not who did it.
func (l Line) About() string {
	if l.Person == "" || l.Actor == "" && l.ActorName == "" && l.Face != "cli" {
		return ""
	}
	if l.PersonName == "" {
		return gone(l.Person)
	}
	return l.PersonName
}

func gone(id auth.UserID) string { return "Removed user " + string(id) }

func viewer(ctx context.Context) auth.User { return visit.Of(ctx).Session.User }
