package web

import (
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"

	"sallyport/internal/auth"
)

// Desk is a page of the administration, with its navigation.
func Desk(from fs.FS, files ...string) *Page { return page("desk", from, files) }

// DeskDialog is a [Dialog] over a page of the administration.
func DeskDialog(from fs.FS, files ...string) *Page { return page("desk-dialog", from, files) }

// desk is where all of the administration stands.
const desk = "/admin"

// A place is an entry of the navigation of the administration.
type place struct {
	Path, Icon, Name string
	Here             bool
	opens            auth.Role // the lowest role that gets in; the guards of its routes say the same
}

var places = []place{
	{Path: desk, Icon: "chart", Name: "Overview", opens: auth.Admin},
	{Path: desk + "/users", Icon: "users", Name: "Users", opens: auth.Support},
	{Path: desk + "/workgroups", Icon: "group", Name: "Workgroups", opens: auth.WorkgroupAdmin},
	{Path: desk + "/events", Icon: "list", Name: "Events", opens: auth.WorkgroupAdmin},
	{Path: desk + "/policy", Icon: "sliders", Name: "Policy", opens: auth.Admin},
	{Path: desk + "/messages", Icon: "mail", Name: "Message templates", opens: auth.Admin},
}

// Places is the navigation of the administration, as far as the person gets in.
func (v View) Places() (open []place) {
	at := v.stands()
	for _, p := range places {
		if v.Who.Role.Reaches(p.opens) {
			p.Here = at == p.Path || p.Path != desk && strings.HasPrefix(at, p.Path+"/")
			open = append(open, p)
		}
	}
	return open
}

// Administers is true for whoever finds something to do in the administration.
func (v View) Administers() bool { return v.Who.Role.Reaches(auth.Support) }

// AtDesk is true for a page of the administration, and for one that was asked for there.
func (v View) AtDesk() bool {
	return v.Administers() && (v.stands() == desk || strings.HasPrefix(v.stands(), desk+"/"))
}

// stands is where in the navigation a page belongs: to prove again, where the act is that waits.
func (v View) stands() string {
	if _, act, waits := strings.Cut(v.Held.Act, " "); waits {
		path, _, _ := strings.Cut(act, "?")
		return path
	}
	return v.Path
}

// Asked is what the address of the page says of one field: a filter, or a word to look for.
func (v View) Asked(name string) string { return v.asked[name].text }

// Has is true if a list names a value: among what was typed if the form is shown again, else in the address.
func (v View) Has(name, value string) bool {
	from := v.asked
	if v.Kept != nil {
		from = v.Kept
	}
	return slices.Contains(from[name].list, value)
}

// With is the address of the page with some of its fields changed, named and given in turn; "" takes one out. A list
// is left as it is or replaced by one value.
func (v View) With(changes ...string) string {
	query := url.Values{}
	for name, s := range v.asked {
		query[name] = s.list
	}
	for change := range slices.Chunk(changes, 2) {
		query.Set(change[0], change[1])
	}
	for name, values := range query {
		values = slices.DeleteFunc(slices.Clone(values), func(s string) bool { return s == "" })
		if query[name] = values; len(values) == 0 {
			delete(query, name)
		}
	}
	if len(query) == 0 {
		return v.Path
	}
	return v.Path + "?" + query.Encode()
}

// A turn is a way through the pages of a list; To is empty at its end.
type turn struct{ Name, To string }

// pages is what the piece "pager" is made from.
type pages struct {
	Said     string // "1–50 of 1,284"
	Back, On turn
}

// Pages leads through a list that its address pages by two cursors: the rows before one, or those after one. Without a
// cursor there is nothing in that direction.
func (v View) Pages(said, back, before, on, after string) pages {
	p := pages{Said: said, Back: turn{Name: back}, On: turn{Name: on}}
	if before != "" {
		p.Back.To = v.With("before", before, "after", "")
	}
	if after != "" {
		p.On.To = v.With("after", after, "before", "")
	}
	return p
}

// A Sign is a thing that a page says by an icon alone.
type Sign struct{ Icon, Title string }

// Signs are the factors that people are asked for, by kind.
func Signs(factors ...auth.Factor) map[auth.Kind]Sign {
	all := map[auth.Kind]Sign{}
	for _, f := range factors {
		if p, ok := f.(Prompter); ok {
			all[f.Kind()] = Sign{p.Prompt().Icon, p.Prompt().Title}
		}
	}
	return all
}

// An Option is one entry of a select.
type Option struct{ Value, Text string }

// A choice is what the pieces "select" and "filter" are made from.
type choice struct {
	inputState
	Label, Chosen string
	Options       []Option
	Alone         bool // no label stands beside it
}

// Filter is the same without a label beside it.
func (c choice) Filter() choice {
	c.Alone = true
	return c
}

func choose(field inputState, label string, chosen any, options []Option) choice {
	return choice{inputState: field, Label: label, Chosen: fmt.Sprint(chosen), Options: options}
}
