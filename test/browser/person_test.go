package browser

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"

	"sallyport/internal/db/dbtest"
	"sallyport/test/harness"
)

const (
	email    = "maya@example.com"
	password = "a blue boat on a long river"
)

// An app is somebody's authenticator on their phone: oathtool. A code works once, so it shows the first that is left.
type app struct {
	t      *testing.T
	secret string
	used   int64 // time step
}

func (a *app) code() string {
	a.t.Helper()
	const period = 30
	now := time.Now().Unix() / period
	oldest := now - 1 // it leaves most codes for later
	if time.Now().Unix()%period > 15 {
		oldest = now // the one before might be over by the time it is sent
	}
	step := max(a.used+1, oldest)
	for time.Now().Unix()/period < step-1 { // more than one step ahead of the server's clock is refused
		time.Sleep(200 * time.Millisecond)
	}
	a.used = step
	return harness.Code(a.t, a.secret, time.Unix(step*period, 0))
}

// wrongCode is not what the app shows at any time near now.
func (a *app) wrongCode() string {
	a.t.Helper()
	right := map[string]bool{}
	for _, d := range []time.Duration{-60, -30, 0, 30, 60} {
		right[harness.Code(a.t, a.secret, time.Now().Add(d*time.Second))] = true
	}
	for _, code := range []string{"000000", "111111", "222222", "333333", "444444", "555555"} {
		if !right[code] {
			return code
		}
	}
	panic("unreachable: there are more than five")
}

// scan reads the QR code off the screen, as a phone does, and is the app that knows its secret.
func (b *tab) scan() *app {
	b.Helper()
	box := eval[[]float64](b, `
		const e = document.querySelector('svg.qr');
		e.scrollIntoView({block: 'center', behavior: 'instant'});
		const r = e.getBoundingClientRect();
		return [r.x + scrollX, r.y + scrollY, r.width, r.height]`)
	beyond := true
	picture := call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &beyond,
		Clip: &page.Viewport{X: box[0], Y: box[1], Width: box[2], Height: box[3], Scale: 2}})
	file := filepath.Join(b.TempDir(), "qr.png")
	b.must(os.WriteFile(file, picture.Data, 0o600))
	zbar, err := exec.LookPath("zbarimg")
	if err != nil {
		dbtest.Missing(b.T, "zbarimg, a reader of QR codes: apt-get install zbar-tools")
	}
	out, err := exec.Command(zbar, "--raw", "--quiet", file).Output()
	if err != nil {
		b.shoot("failed")
		b.Fatalf("zbarimg reads nothing: %v", err)
	}
	uri, err := url.Parse(strings.TrimSpace(string(out)))
	b.must(err)
	if uri.Scheme != "otpauth" || uri.Host != "totp" || uri.Query().Get("issuer") != b.site || uri.Path != "/"+b.site+":"+b.login {
		b.Errorf("the QR code says %s", uri)
	}
	typed := eval[string](b, `return document.getElementById('secret').textContent.replace(/\s/g, '')`)
	if got := uri.Query().Get("secret"); got != typed || len(got) != 32 { // T2: 160 bits
		b.Errorf("the QR code holds %q, the page shows %q", got, typed)
	}
	return &app{t: b.T, secret: typed}
}

// createOwner follows the link that dev prints.
func (b *tab) createOwner(s *harness.Server) {
	b.Helper()
	b.visit(strings.TrimPrefix(s.SetupLink, s.URL))
	b.title("Welcome to Sallyport")
	b.inspect("setup")
	b.fill("Name", "Maya Lindqvist")
	b.fill("Email", email)
	b.fill("Password", password)
	b.follow("Create owner")
	b.title("Sign in to Sallyport")
}

// signIn is the first step, from the sign-in page.
func (b *tab) signIn(password string) {
	b.Helper()
	b.title("Sign in to " + b.site)
	b.fill("Email", b.login)
	b.fill("Password", password)
	b.follow("Sign in")
}

// notNow declines the passkey that is offered after the first sign-in, and not again for a while (P9).
func (b *tab) notNow() {
	b.Helper()
	b.title("Sign in faster next time")
	b.follow("Not now")
}

// onSQLite runs a test on SQLite alone: that what it does works on both databases is shown below the pages.
func onSQLite(t *testing.T, test func(t *testing.T, address string)) {
	t.Helper()
	test(t, filepath.Join(t.TempDir(), "test.db"))
}

// begin is a server with Maya as its owner, signed in on her Security page.
func begin(t *testing.T, o harness.Options, l look, label string) (*harness.Server, *tab) {
	t.Helper()
	s := harness.Start(t, o)
	add(t, s)
	b := open(t, s.URL, l, label)
	b.visit("/account/security")
	b.signIn(password)
	b.notNow()
	b.title("Security") // S7: where she was going
	return s, b
}

func add(t *testing.T, s *harness.Server) {
	t.Helper()
	out, code := s.Run(password+"\n", "user", "add", "--email", email, "--name", "Maya Lindqvist", "--role", "owner", "--password-stdin")
	if code != 0 {
		t.Fatal(out)
	}
}

// addAuthenticator goes from the Security page through step-up by password, and back to it.
func (b *tab) addAuthenticator(name string) *app {
	b.Helper()
	b.press("Add authenticator")
	b.title("Confirm it’s you")
	b.fill("Password", password)
	b.follow("Continue")
	return b.finishAuthenticator(name, "Add authenticator")
}

func (b *tab) finishAuthenticator(name, button string) *app {
	b.Helper()
	b.title("Add authenticator")
	a := b.scan()
	b.fill("6-digit code", a.code())
	b.fill("Name of this authenticator", name)
	b.follow(button)
	return a
}
