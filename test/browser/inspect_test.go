package browser

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/emulation"
)

// axe is the source of axe-core, which `make test` fetches.
var axe = sync.OnceValues(func() (string, error) {
	b, err := os.ReadFile(os.Getenv("SALLYPORT_TEST_AXE"))
	return string(b), err
})

// levels are what axe is asked for: WCAG 2.2 up to AA, and what it calls good practice. Target size (2.5.8) is off
// unless named.
const levels = `{
	runOnly: {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']},
	rules: {'target-size': {enabled: true}},
	preload: false,
}`

// inspect claims of whatever is shown now that axe finds nothing, that the browser has nothing to complain about (an
// error, a refused script or style, a request elsewhere), and that a phone need not scroll sideways. It keeps a picture.
func (b *tab) inspect(name string) {
	b.Helper()
	b.until("colours to come to rest", `return document.getAnimations().every((a) => a.playState === 'finished')`)
	b.shot(name)
	for _, found := range b.violations() {
		b.Errorf("%s, %s: axe: %s", name, b.look, found)
	}
	if wide := eval[float64](b, `return document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
		b.Errorf("%s, %s: the page is %v px wider than the window: %s", name, b.look, wide, eval[string](b, `
			const e = [...document.querySelectorAll('body *')].filter((e) => shown(e) && e.getBoundingClientRect().right > document.documentElement.clientWidth);
			return e.map((e) => e.outerHTML.slice(0, 120)).join('\n')`))
	}
	if torn := eval[string](b, `
		const d = document.querySelector('dialog[open]');
		return d && d.scrollWidth > d.clientWidth ? 'the dialog scrolls sideways' : ''`); torn != "" {
		b.Errorf("%s, %s: %s", name, b.look, torn)
	}
	if titled := eval[string](b, `return document.title`); strings.TrimSpace(titled) == "" || !strings.Contains(titled, "·") {
		b.Errorf("%s: the title is %q: it must name the page and the product", name, titled)
	}
	b.quiet(name)
}

// quiet claims that the browser has complained of nothing since the last time.
func (b *tab) quiet(name string) {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.Errorf("%s, %s: %s", name, b.look, c)
	}
	b.complaints = nil
}

// violations asks axe, which needs JavaScript. Where it is off it is let in for this alone: the page has been built
// without, and none of its scripts are there to run.
func (b *tab) violations() (all []string) {
	b.Helper()
	source, err := axe()
	if err != nil && os.Getenv("SALLYPORT_TEST_ALL") != "" {
		b.Fatal("missing: axe-core: SALLYPORT_TEST_AXE does not name axe.min.js; `make test` fetches it")
	}
	if err != nil { // the journey is worth going on with
		b.Log("missing: axe-core: SALLYPORT_TEST_AXE does not name axe.min.js; `make test` fetches it")
		return nil
	}
	if !b.script {
		call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: false})
		defer call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	}
	if !eval[bool](b, `return 'axe' in window`) {
		eval[bool](b, source+"\n;return true")
	}
	type finding struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	for _, f := range eval[[]finding](b, `return axe.run(document, `+levels+`).then((r) => r.violations)`) {
		said := f.ID + ": " + f.Help
		for _, n := range f.Nodes {
			said += fmt.Sprintf("\n\t%s\n\t%s", n.HTML, strings.ReplaceAll(n.FailureSummary, "\n", "\n\t"))
		}
		all = append(all, said)
	}
	return all
}
