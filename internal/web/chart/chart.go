// Package chart draws series of numbers as SVG that the sheet of the pages colours: lines and bars.
//
// It promises pure functions whose result is safe in HTML whatever the series are called, axes that begin at zero and
// end on a round number, and a decent answer to having no data. It refuses to guess what a number means.
package chart

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// A Chart is some series over the same points. It has at most four of them, for which there are colours.
type Chart struct {
	Title  string   // "Adoption by factor"
	Says   string   // what it shows, in a sentence or two, for whoever does not see it
	Each   string   // what a point is, as the head of a column: "Month"
	Labels []string // of the points, in order
	Unit   string   // behind every number: "%"; may be empty
	Series []Series
}

// A Series is one value for each label. What is not a number leaves a gap; none is below zero.
type Series struct {
	Name   string
	Values []float64
	Colour int // 1 to 4; 0: the one of its place
}

// Class names the colour of a series.
func (c Chart) Class(i int) string {
	colour := c.Series[i].Colour
	if colour == 0 {
		colour = i%4 + 1
	}
	return "c" + strconv.Itoa(colour)
}

// Cell is one value in words, or a dash.
func (c Chart) Cell(series, point int) string {
	v, ok := c.Series[series].at(point)
	if !ok {
		return "–"
	}
	return c.said(v)
}

// Latest is the last value of a series in words, or "".
func (c Chart) Latest(series int) string {
	v, ok := c.Series[series].at(len(c.Labels) - 1)
	if !ok {
		return ""
	}
	return c.said(v)
}

// Empty is true if there is nothing to draw.
func (c Chart) Empty() bool {
	for _, s := range c.Series {
		for i := range c.Labels {
			if _, ok := s.at(i); ok {
				return false
			}
		}
	}
	return true
}

func (s Series) at(i int) (float64, bool) {
	if i < 0 || i >= len(s.Values) || math.IsNaN(s.Values[i]) || math.IsInf(s.Values[i], 0) {
		return 0, false
	}
	return max(0, s.Values[i]), true
}

// Lines draws a line for each series, the first on top.
func (c Chart) Lines() template.HTML {
	highest := 0.0
	for _, s := range c.Series {
		for i := range c.Labels {
			v, _ := s.at(i)
			highest = max(highest, v)
		}
	}
	a := axisTo(highest, 5)
	var drawn strings.Builder
	for i := len(c.Series) - 1; i >= 0; i-- {
		fmt.Fprintf(&drawn, `<path class="%s" d="%s"/>`, c.Class(i), c.line(c.Series[i], a))
	}
	return c.plot(a, drawn.String())
}

func (c Chart) line(s Series, a axis) string {
	var d strings.Builder
	pen := "M"
	for i := range c.Labels {
		v, ok := s.at(i)
		if !ok {
			pen = "M"
			continue
		}
		x, y := 0.0, a.y(v)
		if last := len(c.Labels) - 1; last > 0 {
			x = float64(i) / float64(last) * 100
		}
		d.WriteString(pen + short(x) + " " + short(y))
		if pen == "M" {
			d.WriteString("h.01") // so that a point between two gaps is seen
		}
		if pen = "L"; len(c.Labels) == 1 {
			d.WriteString("H100")
		}
	}
	return d.String()
}

// Bars draws a bar for each label, with the series on top of each other.
func (c Chart) Bars() template.HTML {
	highest := 0.0
	for i := range c.Labels {
		highest = max(highest, c.sum(i, len(c.Series)))
	}
	a := axisTo(highest, 2)
	slot := 100 / float64(max(1, len(c.Labels)))
	var drawn strings.Builder
	for n, s := range c.Series {
		fmt.Fprintf(&drawn, `<g class="%s">`, c.Class(n))
		for i := range c.Labels {
			v, _ := s.at(i)
			if v == 0 {
				continue
			}
			below, top := a.y(c.sum(i, n)), a.y(c.sum(i, n)+v)
			top = min(top, below-.5) // few are not none
			fmt.Fprintf(&drawn, `<rect x="%s" y="%s" width="%s" height="%s"/>`, short((float64(i)+.18)*slot), short(top), short(.64*slot), short(below-top))
		}
		drawn.WriteString("</g>")
	}
	return c.plot(a, drawn.String())
}

// sum adds up one point of the first n series.
func (c Chart) sum(point, n int) (total float64) {
	for _, s := range c.Series[:n] {
		v, _ := s.at(point)
		total += v
	}
	return total
}

func (c Chart) plot(a axis, drawn string) template.HTML {
	if c.Empty() {
		return `<p class="muted">Nothing to show yet.</p>`
	}
	var up, grid, along strings.Builder
	for i := range a.steps + 1 {
		said := number(a.step * float64(a.steps-i))
		if i == 0 && c.Unit != "" {
			said += " " + c.Unit // once is enough on an axis
		}
		up.WriteString("<li>" + template.HTMLEscapeString(said) + "</li>")
		grid.WriteString("M0 " + short(float64(i)/float64(a.steps)*100) + "H100")
	}
	for _, l := range few(c.Labels) {
		along.WriteString("<li>" + template.HTMLEscapeString(l) + "</li>")
	}
	return template.HTML(`<div class="plot"><ul aria-hidden="true">` + up.String() + `</ul>` +
		`<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="` + template.HTMLEscapeString(c.Says) + `">` +
		`<path class="grid" d="` + grid.String() + `"/>` + drawn + `</svg>` +
		`<ul aria-hidden="true">` + along.String() + `</ul></div>`)
}

// few are labels that have room below a plot, evenly spread: up to seven, or else the first, the middle and the last.
func few(labels []string) []string {
	if len(labels) <= 7 {
		return labels
	}
	return []string{labels[0], labels[len(labels)/2], labels[len(labels)-1]}
}

// An axis goes up from zero in equal steps.
type axis struct {
	step  float64
	steps int
}

// axisTo is an axis that ends at or above the highest value, on a round number, after at most so many steps.
func axisTo(highest float64, most int) axis {
	least := max(highest/float64(most), 1) // a step below one would ask for fractions
	ten := math.Pow10(int(math.Floor(math.Log10(least))))
	for _, round := range []float64{1, 2, 3, 4, 5, 10} {
		if step := round * ten; step >= least {
			return axis{step, max(1, int(math.Ceil(highest/step)))}
		}
	}
	return axis{10 * ten, max(1, int(math.Ceil(highest/(10*ten))))}
}

// y is how far down from the top of a plot a value stands, of 100.
func (a axis) y(v float64) float64 { return 100 - v/(a.step*float64(a.steps))*100 }

// said is a value in words.
func (c Chart) said(v float64) string {
	if c.Unit == "" {
		return number(v)
	}
	return number(v) + " " + c.Unit
}

// number has thousands separators and at most one digit behind the point.
func number(v float64) string {
	whole, rest, _ := strings.Cut(strconv.FormatFloat(v, 'f', 1, 64), ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest == "0" {
		return whole
	}
	return whole + "." + rest
}

// short is a coordinate: a hundredth of a percent is less than a pixel.
func short(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0"), ".")
}
