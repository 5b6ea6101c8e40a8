package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
)

// A table is what was found. Lines are added in the order they were measured.
type table struct{ Lines []line }

// A line compares ours to what limits it, or to a number that was promised. Some only inform: they have no goal.
type line struct {
	Name  string   `json:"name"`
	Ours  float64  `json:"ours"`
	Unit  string   `json:"unit"`
	Limit *float64 `json:"limit,omitempty"`
	Ratio *float64 `json:"ratio,omitempty"`
	Goal  string   `json:"goal,omitempty"`
	Met   *bool    `json:"met,omitempty"`
}

// A goal bounds the ratio of a line that has one, and otherwise our own number.
type goal struct {
	sign  string
	bound float64
}

func atLeast(x float64) *goal { return &goal{">=", x} }
func atMost(x float64) *goal  { return &goal{"<=", x} }
func below(x float64) *goal   { return &goal{"<", x} }

func (g goal) met(x float64) bool {
	switch g.sign {
	case ">=":
		return x >= g.bound
	case "<":
		return x < g.bound
	}
	return x <= g.bound
}

// add leaves a line without a limit. A nil goal only informs.
func (t *table) add(name string, ours float64, unit string, g *goal) {
	l := line{Name: name, Ours: ours, Unit: unit}
	if g != nil {
		met := g.met(ours)
		l.Goal, l.Met = g.sign+" "+number(g.bound)+" "+unit, &met
	}
	t.append(l)
}

// compare leaves a line with a limit.
func (t *table) compare(name string, c comparison, unit string, g *goal) {
	l := line{Name: name, Ours: c.ours, Unit: unit, Limit: &c.limit, Ratio: &c.ratio}
	if g != nil {
		met := g.met(c.ratio)
		l.Goal, l.Met = g.sign+" "+number(g.bound), &met
	}
	t.append(l)
}

func (t *table) append(l line) {
	t.Lines = append(t.Lines, l)
	fmt.Fprintf(os.Stderr, "  %s: %s %s, ratio %s\n", l.Name, number(l.Ours), l.Unit, orDash(l.Ratio, "%.2f"))
}

func (t *table) print(to io.Writer) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tOURS\tLIMIT\tRATIO\tGOAL\tMET")
	for _, l := range t.Lines {
		limit := "-"
		if l.Limit != nil {
			limit = number(*l.Limit)
		}
		met := "-"
		if l.Met != nil {
			met = map[bool]string{true: "yes", false: "NO"}[*l.Met]
		}
		goal := l.Goal
		if goal == "" {
			goal = "-"
		}
		fmt.Fprintf(w, "%s\t%s %s\t%s\t%s\t%s\t%s\n", l.Name, number(l.Ours), l.Unit, limit, orDash(l.Ratio, "%.2f"), goal, met)
	}
	w.Flush()
}

func (t *table) save(path string) error {
	b, err := json.MarshalIndent(t.Lines, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

func orDash(x *float64, format string) string {
	if x == nil {
		return "-"
	}
	return fmt.Sprintf(format, *x)
}

// number has three digits or more, as many as mean something here.
func number(x float64) string {
	switch {
	case x >= 100 || x == float64(int64(x)):
		return strconv.FormatFloat(x, 'f', 0, 64)
	case x >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}
