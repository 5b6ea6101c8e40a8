package chart

import (
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"
)

func TestAnAxisEndsOnARoundNumber(t *testing.T) {
	for _, c := range []struct {
		highest float64
		most    int
		step    float64
		steps   int
	}{
		{41.3, 5, 10, 5}, {732, 2, 400, 2}, {71, 2, 40, 2}, {100, 5, 20, 5}, {97, 5, 20, 5}, {0, 5, 1, 1}, {.4, 5, 1, 1}, {1, 2, 1, 1}, {3, 2, 2, 2},
		{5, 5, 1, 5}, {6, 5, 2, 3}, {1000, 5, 200, 5}, {1001, 2, 1000, 2}, {1_284_000, 2, 1_000_000, 2}, {9, 2, 5, 2}, {10, 2, 5, 2}, {11, 2, 10, 2},
	} {
		if a := axisTo(c.highest, c.most); a != (axis{c.step, c.steps}) {
			t.Errorf("up to %v: %v", c.highest, a)
		}
	}
	for v := .1; v < 1e12; v *= 1.07 {
		for _, most := range []int{2, 5} {
			a := axisTo(v, most)
			if top := a.step * float64(a.steps); top < v || a.steps > most || v > 5 && top > 2.5*v {
				t.Errorf("up to %v: %v", v, a)
			}
		}
	}
}

var hostile = Chart{Title: `"><b>`, Says: `"><script>alert(1)</script>`, Each: "<i>", Unit: "<%>", Labels: []string{"<b>", `"`, "&"},
	Series: []Series{{Name: "<s>", Values: []float64{1, 2, 3}}, {Name: "x", Values: []float64{math.NaN(), math.Inf(1), -4, 9}}}}

func TestWhateverSeriesAreCalledIsText(t *testing.T) {
	for _, drawn := range []string{string(hostile.Lines()), string(hostile.Bars())} {
		for _, bad := range []string{"<script", "<b>", "<%>", "NaN", "Inf", "style="} {
			if strings.Contains(drawn, bad) {
				t.Errorf("%s in %s", bad, drawn)
			}
		}
		wellFormed(t, drawn)
	}
}

func wellFormed(t *testing.T, s string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(s)); ; {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, s)
		}
	}
}

func TestLinesAndBars(t *testing.T) {
	c := Chart{Says: "Up.", Labels: []string{"May", "Jun", "Jul"}, Unit: "%", Series: []Series{{Name: "a", Values: []float64{0, 25, 50}}, {Name: "b", Values: []float64{10, math.NaN(), 30}, Colour: 4}}}
	for _, part := range []string{`<path class="c1" d="M0 100h.01L50 50L100 0"/>`, `<path class="c4" d="M0 80h.01M100 40h.01"/>`, "<li>50\u00a0%</li><li>40</li>", "<li>May</li><li>Jun</li><li>Jul</li>", `aria-label="Up."`,
		`d="M0 0H100M0 20H100M0 40H100M0 60H100M0 80H100M0 100H100"`} {
		if got := string(c.Lines()); !strings.Contains(got, part) {
			t.Errorf("no %s in\n%s", part, got)
		}
	}
	// The second stands on the first: 50 + 30 of 80.
	for _, part := range []string{`<g class="c1"><rect x="39.33"`, `<rect x="72.67" y="37.5" width="21.33" height="62.5"/>`, `<rect x="72.67" y="0" width="21.33" height="37.5"/>`} {
		if got := string(c.Bars()); !strings.Contains(got, part) {
			t.Errorf("no %s in\n%s", part, got)
		}
	}
	if c.Cell(1, 1) != "–" || c.Latest(0) != "50\u00a0%" || c.Cell(0, 9) != "–" {
		t.Error(c.Cell(1, 1), c.Latest(0))
	}
}

func TestNothingIsDrawnDecently(t *testing.T) {
	for _, c := range []Chart{{}, {Labels: []string{"a"}}, {Labels: []string{"a"}, Series: []Series{{}}}, {Series: []Series{{Values: []float64{1}}}}, {Labels: []string{"a"}, Series: []Series{{Values: []float64{math.NaN()}}}}} {
		for _, got := range []string{string(c.Lines()), string(c.Bars())} {
			if !c.Empty() || !strings.Contains(got, "Nothing to show yet") {
				t.Error(got)
			}
		}
	}
	zero := Chart{Labels: []string{"a", "b"}, Series: []Series{{Values: []float64{0, 0}}}}
	if got := string(zero.Bars()); strings.Contains(got, "<rect") || !strings.Contains(got, "<li>1</li><li>0</li>") {
		t.Error(got)
	}
	if got := string(zero.Lines()); !strings.Contains(got, `d="M0 100h.01L100 100"`) {
		t.Error(got)
	}
	one := Chart{Labels: []string{"a"}, Series: []Series{{Values: []float64{1}}}}
	if got := string(one.Lines()); !strings.Contains(got, `d="M0 0h.01H100"`) {
		t.Error(got)
	}
	few := Chart{Labels: []string{"a", "b"}, Series: []Series{{Values: []float64{1, 100_000}}}}
	if got := string(few.Bars()); !strings.Contains(got, `height="0.5"`) || !strings.Contains(got, "100,000") {
		t.Error(got)
	}
}

func FuzzAChartIsWellFormed(f *testing.F) {
	f.Add("a", 1.0, 2.0)
	f.Fuzz(func(t *testing.T, s string, a, b float64) {
		s = strings.Map(func(r rune) rune { // what XML has no place for
			if r < ' ' || r > 0xfffd || r == 0xfffd || r == 0xfffe {
				return -1
			}
			return r
		}, s)
		c := Chart{Says: s, Unit: s, Labels: []string{s, s}, Series: []Series{{s, []float64{a, b}, 0}, {s, []float64{b}, 0}}}
		wellFormed(t, string(c.Lines()))
		wellFormed(t, string(c.Bars()))
	})
}
