package overview

import (
	"context"
	"embed"
	"fmt"
	"math"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/notify"
	"sallyport/internal/visit"
	"sallyport/internal/web"
	"sallyport/internal/web/chart"
)

//go:embed *.html
var files embed.FS

// Routes are the page and its numbers.
func (o *Overview) Routes() []web.Route {
	return []web.Route{
		web.On(visit.Administrator, "GET /admin", o.show, web.About{Does: "Shows how people sign in, what fails and what is sent, over time", Page: web.Desk(files, "overview.html")}),
	}
}

type (
	Span struct {
		Days int `json:"days,omitempty" max:"365" doc:"30, 182 or 365; 30 if it is missing"`
	}
	Page struct {
		Until     time.Time `json:"until"`
		Days      int       `json:"days"`
		Today     Today     `json:"today" doc:"the day in UTC, so far"`
		Adoption  Numbers   `json:"adoption" doc:"people by their strongest factor, at the end of each point"`
		SignIns   Numbers   `json:"sign_ins"`
		Failures  Numbers   `json:"failures"`
		Messages  Numbers   `json:"messages"`
		Strongest string    `json:"-"` // what the factor on top is called
		Periods   []period  `json:"-"`
	}
	Today struct {
		People    int `json:"people"`
		MFA       int `json:"mfa" doc:"people whose sign-in asks for a second step"`
		Strongest int `json:"strongest" doc:"people with the strongest factor there is"`
		SignIns   int `json:"sign_ins"`
		Refused   int `json:"refused" doc:"wrong answers at a sign-in"`
		Mails     int `json:"mails"`
		SMS       int `json:"sms"`
	}
	// Numbers are some series over the same points, each of which is a day or a week.
	Numbers struct {
		From   []string `json:"from" doc:"the first day of each point"`
		Series []Series `json:"series"`
	}
	Series struct {
		Name   string `json:"name"`
		Values []int  `json:"values"`
	}
)

// A period is a link to another one.
type period struct {
	Days int
	Name string
}

var periods = []period{{30, "30 days"}, {182, "6 months"}, {365, "1 year"}}

// A ruler puts days into points.
type ruler struct {
	first  time.Time // a day in UTC
	points int
	each   int // days
}

// along is a ruler whose last point ends with a day: of days for a month, of weeks for longer.
func along(days int, last time.Time) ruler {
	r := ruler{points: days, each: 1}
	if days > 31 {
		r.points, r.each = (days+6)/7, 7
	}
	r.first = last.AddDate(0, 0, 1-r.points*r.each)
	return r
}

// at is the point of a day, or -1.
func (r ruler) at(day time.Time) int {
	past := int(math.Floor(day.Sub(r.first).Hours() / 24))
	if i := past / r.each; past >= 0 && i < r.points {
		return i
	}
	return -1
}

func (r ruler) days() (from []string) {
	for i := range r.points {
		from = append(from, r.first.AddDate(0, 0, i*r.each).Format(time.DateOnly))
	}
	return from
}

func (r ruler) numbers(names ...string) Numbers {
	n := Numbers{From: r.days()}
	for _, name := range names {
		n.Series = append(n.Series, Series{name, make([]int, r.points)})
	}
	return n
}

func (o *Overview) show(ctx context.Context, in Span) (out Page, err error) {
	if in.Days == 0 {
		in.Days = periods[0].Days
	}
	if in.Days != 30 && in.Days != 182 && in.Days != 365 {
		return out, auth.InvalidError{Field: "days", Why: "must be 30, 182 or 365"}
	}
	now := o.Clock().UTC()
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	r := along(in.Days, today)
	out = Page{Until: now, Days: in.Days, Strongest: o.Factors[0].Name, Periods: periods}
	if err := o.fromRecord(ctx, r, today, &out); err != nil {
		return out, err
	}
	if err := o.fromOutbox(ctx, r, today, &out); err != nil {
		return out, err
	}
	return out, o.fromPeople(ctx, r, &out)
}

func (o *Overview) fromRecord(ctx context.Context, r ruler, today time.Time, out *Page) error {
	all, err := tallies(ctx, o.DB, r.first)
	out.SignIns = r.numbers("Sign-ins", "With "+strings.ToLower(o.Factors[0].Name))
	out.Failures = r.numbers("Password", "Second factor")
	for _, t := range all {
		at := r.at(t.day)
		if at < 0 {
			continue
		}
		switch t.what {
		case signIns:
			out.SignIns.Series[0].Values[at] += t.n
		case byStrong:
			out.SignIns.Series[1].Values[at] += t.n
		case wrongPassword:
			out.Failures.Series[0].Values[at] += t.n
		case wrongSecond:
			out.Failures.Series[1].Values[at] += t.n
		}
		if t.day.Equal(today) && t.what == signIns {
			out.Today.SignIns = t.n
		}
		if t.day.Equal(today) && t.what == refusedSignIns {
			out.Today.Refused = t.n
		}
	}
	return err
}

func (o *Overview) fromOutbox(ctx context.Context, r ruler, today time.Time, out *Page) error {
	all, err := o.Messages.Days(ctx, r.first)
	out.Messages = r.numbers("Mails sent", "SMS sent", "Mails failed", "SMS failed")
	for _, d := range all {
		at, i := r.at(d.Day), 0
		if d.Channel == notify.SMS {
			i = 1
		}
		if d.Day.Equal(today) && d.Result == notify.Delivered {
			*[]*int{&out.Today.Mails, &out.Today.SMS}[i] += d.N
		}
		if d.Result == notify.Failed {
			i += 2
		}
		if at >= 0 {
			out.Messages.Series[i].Values[at] += d.N
		}
	}
	return err
}

// nothing is what people have who have no second step.
const nothing = "None"

func (o *Overview) fromPeople(ctx context.Context, r ruler, out *Page) error {
	all, err := o.Adoption.Adoption(ctx, r.first)
	var names []string
	place := map[auth.Kind]int{}
	for i, f := range o.Factors {
		names, place[f.Kind] = append(names, f.Name), i
	}
	place[""] = len(names)
	out.Adoption = r.numbers(append(names, nothing)...)
	latest := make([]time.Time, r.points) // of a week, its last day counts
	for _, a := range all {
		at := r.at(a.Day)
		i, known := place[a.Strongest]
		if at < 0 || !known {
			continue
		}
		if a.Day.After(latest[at]) {
			latest[at] = a.Day
			for _, s := range out.Adoption.Series {
				s.Values[at] = 0
			}
		}
		out.Adoption.Series[i].Values[at] += a.People
	}
	if at, people := out.Adoption.newest(); people > 0 {
		out.Today.People = people
		out.Today.MFA = people - out.Adoption.Series[place[""]].Values[at]
		out.Today.Strongest = out.Adoption.Series[0].Values[at]
	}
	return err
}

// newest is the last point that has anybody, and how many.
func (n Numbers) newest() (at, people int) {
	for at = len(n.From) - 1; at >= 0 && people == 0; at-- {
		people = n.sum(at)
	}
	return at + 1, people
}

// oldest is the first point that has anybody.
func (n Numbers) oldest() int {
	for at := range n.From {
		if n.sum(at) > 0 {
			return at
		}
	}
	return 0
}

func (n Numbers) sum(at int) (all int) {
	for _, s := range n.Series {
		all += s.Values[at]
	}
	return all
}

// Since says how the share of the strongest factor has changed.
func (p Page) Since() string {
	at, people := p.Adoption.newest()
	from := p.Adoption.oldest()
	if people == 0 || at == from {
		return ""
	}
	was, is := percent(p.Adoption.Series[0].Values[from], p.Adoption.sum(from)), percent(p.Today.Strongest, people)
	switch {
	case math.Round(is) > math.Round(was):
		return fmt.Sprintf("up from %.0f %% on %s", was, short(p.Adoption.From[from]))
	case math.Round(is) < math.Round(was):
		return fmt.Sprintf("down from %.0f %% on %s", was, short(p.Adoption.From[from]))
	}
	return "as on " + short(p.Adoption.From[from])
}

func percent(part, whole int) float64 { return float64(part) / float64(max(1, whole)) * 100 }

// short is a day as a label: "23 Oct".
func short(day string) string {
	d, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	return d.Format("2 Jan")
}

func (n Numbers) labels() (all []string) {
	for _, d := range n.From {
		all = append(all, short(d))
	}
	return all
}

// Each is what a point is.
func (p Page) Each() string {
	if p.Days > 31 {
		return "Week from"
	}
	return "Day"
}

// Per is how often.
func (p Page) Per() string {
	if p.Days > 31 {
		return "week"
	}
	return "day"
}

func (p Page) span() string {
	return short(p.Adoption.From[0]) + " to " + p.Until.Format("2 January 2006")
}

// Shares is the adoption as lines, of the first four factors that anybody has.
func (p Page) Shares() chart.Chart {
	c := chart.Chart{Title: "Adoption by factor", Each: p.Each(), Unit: "%", Labels: p.Adoption.labels()}
	var said []string
	last, first := len(p.Adoption.Series)-1, p.Adoption.oldest()
	at, people := p.Adoption.newest()
	for _, s := range p.Adoption.Series[:last] {
		had := 0
		line := chart.Series{Name: s.Name}
		for i, n := range s.Values {
			v := math.NaN()
			if all := p.Adoption.sum(i); all > 0 {
				v = math.Round(percent(n, all)*10) / 10
			}
			line.Values, had = append(line.Values, v), had+n
		}
		if had == 0 || len(c.Series) == 4 {
			continue
		}
		c.Series = append(c.Series, line)
		said = append(said, fmt.Sprintf("%s from %.0f to %.0f percent", s.Name, line.Values[first], line.Values[at]))
	}
	if people > 0 && c.Series == nil { // nobody has anything yet
		c.Series = []chart.Series{{Name: nothing, Values: []float64{}}}
	}
	c.Says = "Line chart, " + p.span() + ": " + strings.Join(said, "; ") + "."
	return c
}

// Logins, Wrong and Sent are the other charts.
func (p Page) Logins() chart.Chart {
	n := p.SignIns
	rest := Series{Name: "Other ways", Values: make([]int, len(n.From))}
	for i := range n.From {
		rest.Values[i] = n.Series[0].Values[i] - n.Series[1].Values[i]
	}
	return p.bars("Sign-ins", Numbers{n.From, []Series{{p.Strongest, n.Series[1].Values}, rest}}, 1, 2)
}

func (p Page) Wrong() chart.Chart { return p.bars("Failures", p.Failures, 4, 3) }

func (p Page) Sent() chart.Chart { return p.bars("Messages", p.Messages, 1, 2, 4, 3) }

func (p Page) bars(title string, n Numbers, colours ...int) chart.Chart {
	c := chart.Chart{Title: title, Each: p.Each(), Labels: n.labels()}
	var said []string
	any := false
	for i, s := range n.Series {
		line, sum := chart.Series{Name: s.Name, Colour: colours[i]}, 0
		for _, v := range s.Values {
			line.Values, sum = append(line.Values, float64(v)), sum+v
		}
		c.Series = append(c.Series, line)
		said, any = append(said, fmt.Sprintf("%s %d", s.Name, sum)), any || sum > 0
	}
	if !any {
		c.Series = nil
	}
	c.Says = "Bar chart per " + p.Per() + ", " + p.span() + ". In all: " + strings.Join(said, ", ") + "."
	return c
}

// Tries is how many sign-ins were tried today.
func (t Today) Tries() int { return t.SignIns + t.Refused }

// Messages is how many were sent today.
func (t Today) Messages() int { return t.Mails + t.SMS }
