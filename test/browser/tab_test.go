package browser

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"sallyport/internal/db/dbtest"
	"sallyport/test/harness"
)

// A look is how wide the window is and which theme the system asks for.
type look struct {
	width, height int64
	theme         string
}

func (l look) String() string { return fmt.Sprintf("%d-%s", l.width, l.theme) }

var (
	phone = look{320, 720, "dark"}
	desk  = look{1280, 900, "light"}
	looks = []look{{320, 720, "light"}, phone, desk, {1280, 900, "dark"}}
)

// patience is how long a page may take to show what is expected of it. The machine may be busy.
const patience = 20 * time.Second

// A journey mostly waits, for a process of ours, for the browser or for the next code, so more of them run beside each other
// than there are processors.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", strconv.Itoa(2*goruntime.GOMAXPROCS(0))) // -parallel, which is read later, wins
	harness.Main(m)
}

// chromium is the one browser of this package. It runs while there is a tab.
var chromium struct {
	sync.Mutex
	tabs int
	ctx  context.Context
	stop func()
}

// running is the browser, until the test ends.
func running(t *testing.T) context.Context {
	t.Helper()
	chromium.Lock()
	defer chromium.Unlock()
	if chromium.tabs == 0 {
		start(t)
	}
	chromium.tabs++
	t.Cleanup(func() {
		chromium.Lock()
		defer chromium.Unlock()
		if chromium.tabs--; chromium.tabs == 0 {
			chromium.stop()
		}
	})
	return chromium.ctx
}

func start(t *testing.T) {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		dbtest.Missing(t, "chromium, the browser: apt-get install chromium")
	}
	alone, stopAllocator := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("disable-features", "WebUIOmniboxPopup,WebUIOmniboxAimPopup"), // of every window, in a process of its own
		chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("lang", "en-GB"), chromedp.WSURLReadTimeout(time.Minute))
	ctx, stop := chromedp.NewContext(alone)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal("start chromium: ", err)
	}
	chromium.ctx = ctx
	chromium.stop = func() {
		chromedp.Cancel(ctx) // waits, so that its folder is gone
		stop()
		stopAllocator()
	}
}

// A tab is one person at one browser. Whatever it shows is inspected: see [tab.inspect].
type tab struct {
	*testing.T
	ctx    context.Context
	origin string
	site   string // its name
	login  string
	look   look
	label  string // of screenshots
	script bool

	mu         sync.Mutex
	complaints []string // of the browser, since the last inspection
	shots      int
}

// open starts a browser window that nobody has used, at a server.
func open(t *testing.T, origin string, l look, label string) *tab {
	t.Helper()
	b := &tab{T: t, origin: origin, site: "Sallyport", login: email, look: l, label: label, script: true}
	ctx, stop := chromedp.NewContext(running(t), chromedp.WithNewBrowserContext(), chromedp.WithListener(b.listen))
	t.Cleanup(stop)
	t.Cleanup(func() { b.quiet("at the end") })
	b.ctx = ctx
	b.must(chromedp.Do(ctx))
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}) // there are other windows
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.theme}}})
	return b
}

// withoutScript turns JavaScript off for every page from now on.
func (b *tab) withoutScript() *tab {
	b.Helper()
	b.script = false
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	return b
}

func call[P, R any](b *tab, c cdp.Command[P, R], params P) R {
	b.Helper()
	r, err := chromedp.Call(b.ctx, c, params)
	b.must(err)
	return r
}

func (b *tab) must(err error) {
	b.Helper()
	if err != nil {
		b.shoot("failed")
		b.Fatal(err)
	}
}

// listen notes what the browser has to complain about, and every request that leaves this server's origin.
func (b *tab) listen(event any) {
	said := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		refusal := e.Entry.Source == log.EntrySourceNetwork && strings.HasPrefix(e.Entry.URL, b.origin) && refused(e.Entry.Text)
		if (e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning) && !refusal {
			said = fmt.Sprintf("console, %s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		said = fmt.Sprintf("console.%s was called", e.Type)
	case *runtime.EventExceptionThrown:
		said = "exception: " + e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			said += " " + e.ExceptionDetails.Exception.Description
		}
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.origin+"/") && !strings.HasPrefix(e.Request.URL, "data:") {
			said = "request to another origin: " + e.Request.URL
		}
	}
	if said != "" {
		b.mu.Lock()
		b.complaints = append(b.complaints, said)
		b.mu.Unlock()
	}
}

// refused is true for what the console says when the server turned a person down, which is no fault of the page.
func refused(text string) bool {
	for _, status := range []string{"401", "403", "409", "422", "429"} {
		if strings.Contains(text, "responded with a status of "+status) {
			return true
		}
	}
	return false
}

// eval runs a script in the page and reads its answer.
func eval[T any](b *tab, script string, args ...any) T {
	b.Helper()
	value, err := try[T](b, script, args...)
	b.must(err)
	return value
}

// try is eval for a page that may be leaving just now. The arguments become a, b, c in the script.
func try[T any](b *tab, script string, args ...any) (value T, err error) {
	declared := ""
	for i, a := range args {
		text, err := json.Marshal(a)
		if err != nil {
			return value, err
		}
		declared += fmt.Sprintf("const %c = %s; ", 'a'+i, text)
	}
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	return chromedp.Run(ctx, chromedp.Evaluate[T]("(() => { "+helpers+declared+script+" })()", chromedp.EvalAwaitPromise))
}

// helpers are what people do with their eyes: what is shown, what a thing is called, which page is in front.
const helpers = `
const shown = (e) => e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length > 0 && !e.closest('[inert]');
const words = (e) => (e.getAttribute('aria-label') || e.textContent).replace(/\s+/g, ' ').trim();
const front = () => document.querySelector('dialog[open]') || document;
const all = (what) => [...front().querySelectorAll(what)].filter(shown);
const named = (e, name) => words(e) === name || e.matches('.choice') && words(e.querySelector('.strong')) === name;
const pressable = (name) => all('a[href], button, summary').find((e) => named(e, name));
const labelled = (name) => { const l = all('label').find((e) => words(e) === name); return l && l.control; };
`

// until waits for a script to be true, and says what was waited for if it never is.
func (b *tab) until(what, script string, args ...any) {
	b.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(15 * time.Millisecond) {
		ok, err := try[bool](b, script, args...)
		if ok && err == nil {
			return
		}
		if time.Now().After(end) {
			b.shoot("failed")
			text, _ := try[string](b, `return location.pathname + '\n' + document.body.innerText`)
			b.Fatalf("waited in vain for %s (%v); the page shows %s", what, err, text)
		}
	}
}

// visit opens an address of the server.
func (b *tab) visit(path string) {
	b.Helper()
	b.must(chromedp.Do(b.ctx, chromedp.Navigate(b.origin+path)))
	b.settle()
}

// leave does something that leads to another page, and waits for that.
func (b *tab) leave(act func()) {
	b.Helper()
	before := call(b, page.GetFrameTree, cdp.Empty{}).FrameTree.Frame.LoaderID
	act()
	for end := time.Now().Add(patience); call(b, page.GetFrameTree, cdp.Empty{}).FrameTree.Frame.LoaderID == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.shoot("failed")
			b.Fatalf("no other page came; still at %s", b.at())
		}
	}
	b.settle()
}

func (b *tab) settle() {
	b.Helper()
	b.until("the page to be complete", `return document.readyState === 'complete' && location.protocol !== 'about:'`)
}

// at is the path of the page.
func (b *tab) at() string { return eval[string](b, `return location.pathname`) }

// see waits for words on the page, or in the dialog in front of it.
func (b *tab) see(texts ...string) {
	b.Helper()
	for _, text := range texts {
		b.until(fmt.Sprintf("%q", text), `
			const root = front() === document ? document.body : front();
			return root.innerText.replace(/\s+/g, ' ').includes(a)`, text)
	}
}

// closed waits until no dialog is left, and what its end sets off has happened.
func (b *tab) closed() {
	b.Helper()
	b.until("the dialog to close", `return !document.querySelector('dialog')`)
}

// arrived is the heading of the page where a sign-in by two steps ends (R1).
const arrived = "You’re signed in"

// title waits for the first heading of the page or dialog in front. Whoever does not ask for the page where a sign-in ends
// goes on from it.
func (b *tab) title(want string) {
	b.Helper()
	if want != arrived {
		b.until(fmt.Sprintf("the heading %q", want), `const h = front().querySelector('h1'); return !!h && (words(h) === a || words(h) === b)`, want, arrived)
		if there, _ := try[bool](b, `return words(front().querySelector('h1')) === a`, arrived); there {
			b.follow("Continue")
		}
	}
	b.until(fmt.Sprintf("the heading %q", want), `const h = front().querySelector('h1'); return !!h && words(h) === a`, want)
}

// press clicks what is called name, where a person would: what covers it would be hit instead.
func (b *tab) press(name string) {
	b.Helper()
	b.until(fmt.Sprintf("%q to press", name), `const e = pressable(a); return !!e && !e.disabled`, name)
	at := eval[[]float64](b, `
		const e = pressable(a);
		e.scrollIntoView({block: 'center', behavior: 'instant'});
		const r = e.getClientRects()[0], x = r.x + r.width / 2, y = r.y + r.height / 2;
		const hit = document.elementFromPoint(x, y);
		return hit && (e.contains(hit) || hit.contains(e)) ? [x, y] : [];`, name)
	if len(at) == 0 {
		b.shoot("failed")
		b.Fatalf("something covers %q", name)
	}
	b.must(chromedp.Do(b.ctx, chromedp.MouseClickXY(at[0], at[1])))
}

// follow presses what leads to another page.
func (b *tab) follow(name string) {
	b.Helper()
	b.leave(func() { b.Helper(); b.press(name) })
}

// fill writes into the input with this label, in place of what stands there: all but the last letter in one go, as a password
// manager does. Letter by letter takes a browser ten times as long, and is for tests about the keyboard.
func (b *tab) fill(label, text string) {
	b.Helper()
	b.until(fmt.Sprintf("the input %q", label), `return !!labelled(a)`, label)
	eval[bool](b, `const e = labelled(a); e.focus(); e.select(); return true`, label)
	b.keys(kb.Delete)
	last := len(text)
	if text != "" {
		_, size := utf8.DecodeLastRuneInString(text)
		last -= size
		call(b, input.InsertText, input.InsertTextParams{Text: text[:last]})
	}
	b.keys(text[last:])
}

// keys types, wherever the focus is. A key goes down together with its letter, as on a keyboard: sent apart, the letter
// would go to whatever the key has moved the focus to.
func (b *tab) keys(text string) {
	b.Helper()
	for _, r := range text {
		events := kb.Encode(r)
		down, up := *events[0], *events[len(events)-1]
		if len(events) == 3 {
			down.Text, down.UnmodifiedText = events[1].Text, events[1].UnmodifiedText
		}
		call(b, input.DispatchKeyEvent, down)
		call(b, input.DispatchKeyEvent, up)
	}
}

// focus is what the keyboard acts on, by its label or its words. A page that has just come may take a moment to set it.
func (b *tab) focus() (at string) {
	b.Helper()
	for range 50 {
		if at = b.focusNow(); at != "" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return at
}

func (b *tab) focusNow() string {
	b.Helper()
	return eval[string](b, `
		const e = document.activeElement;
		if (!e || e === document.body) return '';
		return e.labels && e.labels.length ? words(e.labels[0]) : words(e);`)
}

// shot keeps a picture of a whole page, or of the window if a dialog stands in front.
func (b *tab) shot(name string) {
	b.Helper()
	b.shots++
	if b.label == "" { // of the gallery, where each page has one name
		b.shoot(name)
		return
	}
	b.shoot(fmt.Sprintf("%02d-%s", b.shots, name))
}

func (b *tab) shoot(name string) {
	dir := os.Getenv("SALLYPORT_TEST_SHOTS")
	if dir == "" {
		return
	}
	params := page.CaptureScreenshotParams{}
	height, err := try[float64](b, `return document.querySelector('dialog[open]') ? 0 : document.documentElement.scrollHeight`)
	if err == nil && height > float64(b.look.height) {
		whole := true
		params.CaptureBeyondViewport = &whole
		params.Clip = &page.Viewport{Width: float64(b.look.width), Height: height, Scale: 1}
	}
	picture, err := chromedp.Call(b.ctx, page.CaptureScreenshot, params)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, strings.TrimPrefix(fmt.Sprintf("%s-%s-%s.png", b.label, name, b.look), "-")), picture.Data, 0o644)
	}
	if err != nil {
		b.Errorf("keep a picture: %v", err)
	}
}
