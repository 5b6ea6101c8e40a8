package events

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/web"
)

// perRead is how many events an export has in memory.
const perRead = 500

type Export struct {
	Q         string `json:"q,omitempty" max:"200" doc:"a network address or range, or else words of a person's name or address"`
	Person    string `json:"person,omitempty" max:"64" doc:"an id: about them or by them"`
	Kind      string `json:"kind,omitempty" max:"64" doc:"a kind, or a group of them: sign-ins, failures, factors, accounts, admin, exports"`
	Address   string `json:"address,omitempty" max:"64" doc:"a network address, or a range such as 192.0.2.0/24"`
	Workgroup string `json:"workgroup,omitempty" max:"64" doc:"an id: about people who are in it now"`
	When      string `json:"when,omitempty" max:"3" doc:"the last so many days: 1, 7, 30 or 365"`
	From      string `json:"from,omitempty" max:"10" doc:"a day in UTC: 2006-01-02"`
	To        string `json:"to,omitempty" max:"10" doc:"a day in UTC, included"`
	Format    string `json:"format,omitempty" max:"5" doc:"csv, or json for a JSON object on each line; csv if it is missing"`
}

func (in Export) asked() Asked {
	return Asked{in.Q, in.Person, in.Kind, in.Address, in.Workgroup, in.When, in.From, in.To}
}

// An exported event, as a line of JSON. Its names are those of the columns of CSV.
type exported struct {
	ID         string            `json:"id"`
	At         time.Time         `json:"at"`
	Kind       auth.EventKind    `json:"kind"`
	What       string            `json:"what"`
	Person     auth.UserID       `json:"person"`
	PersonName string            `json:"person_name"`
	Actor      auth.UserID       `json:"actor"`
	ActorName  string            `json:"actor_name"`
	Face       string            `json:"face"`
	Request    string            `json:"request"`
	Address    string            `json:"address"`
	Browser    string            `json:"browser"`
	Detail     map[string]string `json:"detail"`
	Seal       int64             `json:"seal"`
}

var columns = []string{"id", "at", "kind", "what", "person", "person_name", "actor", "actor_name", "face", "request", "address", "browser", "detail"}

func (v *Events) export(ctx context.Context, in Export) (out web.Download, err error) {
	who := viewer(ctx)
	f, _, err := v.filter(ctx, who, in.asked())
	if err != nil {
		return out, err
	}
	now := v.Clock()
	if f.To.IsZero() || f.To.After(now) {
		f.To = now // it does not grow while it is read
	}
	out.Name = "events-" + now.UTC().Format(time.DateOnly)
	var row func(io.Writer) (each func(exported) error, end func() error)
	switch in.Format {
	case "", "csv":
		in.Format, row = "csv", asCSV
		out.Name, out.Type = out.Name+".csv", "text/csv; charset=utf-8"
	case "json":
		row = asJSON
		out.Name, out.Type = out.Name+".jsonl", "application/jsonl"
	default:
		return out, auth.InvalidError{Field: "format", Why: "must be csv or json"}
	}
	err = v.DB.Tx(ctx, func(tx auth.Tx) error {
		return v.Trail.Record(ctx, tx, auth.Event{Kind: auth.EventsExported, User: who.ID, Detail: map[string]string{"format": in.Format, "by": in.asked().by()}})
	})
	out.Write = func(ctx context.Context, to io.Writer) error {
		each, end := row(to)
		if err := v.each(ctx, who, f, each); err != nil {
			return err
		}
		return end()
	}
	return out, err
}

// by names the filters, not what they say: that may be somebody's address.
func (a Asked) by() string {
	var set []string
	for _, f := range [][2]string{{"q", a.Q}, {"person", a.Person}, {"kind", a.Kind}, {"address", a.Address}, {"workgroup", a.Workgroup}, {"when", a.When}, {"from", a.From}, {"to", a.To}} {
		if f[1] != "" {
			set = append(set, f[0])
		}
	}
	if set == nil {
		return "everything"
	}
	return strings.Join(set, " ")
}

// each reads the record in pages. Before each of them it asks whether whoever reads may still: a file can be long, and an
// error breaks the connection, so that nobody takes a part for the whole.
func (v *Events) each(ctx context.Context, who auth.User, f audit.Filter, give func(exported) error) error {
	for {
		if err := v.still(ctx, who); err != nil {
			return err
		}
		found, lines, err := v.find(ctx, who, f, perRead)
		if err != nil {
			return err
		}
		for i, l := range lines {
			e := found.Entries[i]
			err := give(exported{l.ID, l.At, l.Kind, l.What, l.Person, l.PersonName, l.Actor, l.ActorName, e.Face, e.Request, l.Address, l.Browser, e.Detail, e.Seal})
			if err != nil {
				return err
			}
		}
		if f.Before = found.Next; f.Before == "" {
			return nil
		}
	}
}

// still is auth.ErrForbidden once somebody is not whom a file was begun for.
func (v *Events) still(ctx context.Context, who auth.User) error {
	now, err := v.Users.Get(ctx, v.DB, who.ID)
	if err == nil && (now.Disabled || now.Epoch != who.Epoch || now.Role != who.Role || now.Workgroup != who.Workgroup) {
		err = auth.ErrForbidden
	}
	return db.NoneMeans(auth.ErrForbidden, err)
}

func asCSV(to io.Writer) (func(exported) error, func() error) {
	t := web.CSV(to)
	err := t.Row(columns...)
	return func(e exported) error {
		if err != nil {
			return err
		}
		detail, err := json.Marshal(e.Detail)
		if err != nil {
			return err
		}
		return t.Row(e.ID, e.At.Format(time.RFC3339Nano), string(e.Kind), e.What, string(e.Person), e.PersonName, string(e.Actor), e.ActorName,
			e.Face, e.Request, e.Address, e.Browser, string(detail))
	}, t.Flush
}

func asJSON(to io.Writer) (func(exported) error, func() error) {
	lines := json.NewEncoder(to)
	return func(e exported) error { return lines.Encode(e) }, func() error { return nil }
}
