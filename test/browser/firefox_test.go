package browser

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/db/dbtest"
	"sallyport/test/harness"
)

// A fox is one person at a Firefox of their own. It knows less than a [tab]: it is there for what differs between browsers.
// It speaks Marionette, which WebDriver is made of: https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html
type fox struct {
	*testing.T
	origin string
	label  string // of screenshots
	conn   net.Conn
	reader *bufio.Reader
	last   int // number of the last command
}

// settings keep Firefox off the network and off pages of its own; Marionette sets what else a test wants. Port 0 is any that
// is free. Saved passwords are on because passkeys stand in the same list below an input.
var settings = []string{
	`"marionette.port", 0`, `"app.normandy.enabled", false`, `"app.update.disabledForTesting", true`, `"extensions.update.enabled", false`,
	`"browser.aboutwelcome.enabled", false`, `"browser.startup.page", 0`, `"browser.startup.homepage_override.mstone", "ignore"`,
	`"browser.safebrowsing.downloads.remote.enabled", false`, `"browser.safebrowsing.provider.mozilla.updateURL", ""`,
	`"browser.safebrowsing.provider.google4.updateURL", ""`, `"browser.safebrowsing.malware.enabled", false`,
	`"browser.safebrowsing.phishing.enabled", false`, `"browser.region.network.url", ""`, `"dom.push.connection.enabled", false`,
	`"datareporting.policy.dataSubmissionEnabled", false`, `"toolkit.telemetry.server", ""`, `"media.gmp-manager.updateEnabled", false`,
	`"network.captive-portal-service.enabled", false`, `"network.connectivity-service.enabled", false`,
	`"services.settings.server", "data:,#remote-settings-dummy/v1"`, `"signon.rememberSignons", true`, `"signon.autofillForms", false`,
	`"security.webauth.webauthn_enable_softtoken", true`, `"security.webauth.webauthn_enable_usbtoken", false`,
}

// openFox starts a Firefox that nobody has used, at a server.
func openFox(t *testing.T, origin, label string) *fox {
	t.Helper()
	path, err := exec.LookPath("firefox-esr")
	if err != nil { // its name where it is not Debian's
		path, err = exec.LookPath("firefox")
	}
	if err != nil {
		dbtest.Missing(t, "firefox-esr, the other browser: apt-get install firefox-esr")
	}
	f, home := &fox{T: t, origin: origin, label: label}, t.TempDir()
	f.must(os.WriteFile(filepath.Join(home, "user.js"), []byte("user_pref("+strings.Join(settings, ");\nuser_pref(")+");\n"), 0o600))
	c := exec.Command(path, "--headless", "--no-remote", "--marionette", "--remote-allow-system-access", "--profile", home)
	c.Env = append(os.Environ(), "HOME="+home, "TMPDIR="+home, "MOZ_HEADLESS=1", "MOZ_CRASHREPORTER_DISABLE=1")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that its children can be ended with it
	f.must(c.Start())
	gone := make(chan struct{})
	go func() { c.Wait(); close(gone) }()
	t.Cleanup(func() { f.quit(c.Process.Pid, gone) })
	f.connect(filepath.Join(home, "MarionetteActivePort"))
	f.call("WebDriver:NewSession", object{"timeouts": object{"script": patience.Milliseconds(), "pageLoad": patience.Milliseconds()}})
	return f
}

// connect waits for the port that Firefox has chosen, and for its greeting.
func (f *fox) connect(file string) {
	f.Helper()
	for end := time.Now().Add(time.Minute); f.conn == nil; time.Sleep(20 * time.Millisecond) {
		port, err := os.ReadFile(file)
		if err == nil {
			f.conn, err = net.Dial("tcp", "127.0.0.1:"+string(port))
		}
		if err != nil && time.Now().After(end) {
			f.Fatal("start firefox: ", err)
		}
	}
	f.reader = bufio.NewReader(f.conn)
	f.must(f.read(new(any)))
}

// quit asks Firefox to end. Whatever is left of it after that is killed.
func (f *fox) quit(group int, gone <-chan struct{}) {
	if f.conn != nil {
		f.command("Marionette:Quit", object{"flags": []string{"eForceQuit"}}, nil) // it may be gone before it answers
		f.conn.Close()
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
		}
	}
	syscall.Kill(-group, syscall.SIGKILL) // an error means that all of it has ended
	<-gone
}

type object = map[string]any

// command sends [0, number, name, parameters], and reads [1, number, error, result].
func (f *fox) command(name string, params object, value any) error {
	f.last++
	message, err := json.Marshal([]any{0, f.last, name, params})
	if err != nil {
		return err
	}
	f.conn.SetDeadline(time.Now().Add(2 * patience))    // Firefox gives up first, and says of what
	fmt.Fprintf(f.conn, "%d:%s", len(message), message) // an error comes again at the read
	var refused *struct{ Error, Message string }
	if err := f.read(&[]any{new(int), new(int), &refused, &struct{ Value any }{value}}); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if refused != nil {
		return fmt.Errorf("%s: %s: %s", name, refused.Error, refused.Message)
	}
	return nil
}

// read is one message: its length in bytes, a colon, JSON.
func (f *fox) read(message any) error {
	var length int64
	if _, err := fmt.Fscanf(f.reader, "%d:", &length); err != nil {
		return err
	}
	return json.NewDecoder(io.LimitReader(f.reader, length)).Decode(message)
}

func (f *fox) call(name string, params object) {
	f.Helper()
	f.must(f.command(name, params, nil))
}

func (f *fox) must(err error) {
	f.Helper()
	if err != nil {
		f.shoot("failed")
		f.Fatal(err)
	}
}

// ask is [eval] in Firefox.
func ask[T any](f *fox, script string, args ...any) T {
	f.Helper()
	value, err := askOnce[T](f, script, args...)
	f.must(err)
	return value
}

// askOnce is ask for a page that may be leaving just now. The arguments become a, b, c in the script.
func askOnce[T any](f *fox, script string, args ...any) (value T, err error) {
	declared := ""
	for i := range args {
		declared += fmt.Sprintf("const %c = arguments[%d]; ", 'a'+i, i)
	}
	err = f.command("WebDriver:ExecuteScript", object{"script": helpers + declared + script, "args": append([]any{}, args...)}, &value)
	return value, err
}

// wait asks again until it is so.
func (f *fox) wait(what string, so func() (bool, error)) {
	f.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(15 * time.Millisecond) {
		ok, err := so()
		if ok && err == nil {
			return
		}
		if time.Now().After(end) {
			f.shoot("failed")
			text, _ := askOnce[string](f, `return location.pathname + '\n' + document.body.innerText`)
			f.Fatalf("waited in vain for %s (%v); the page shows %s", what, err, text)
		}
	}
}

// until waits for a script to be true.
func (f *fox) until(what, script string, args ...any) {
	f.Helper()
	f.wait(what, func() (bool, error) { return askOnce[bool](f, script, args...) })
}

// element waits for what a script finds by its name.
func (f *fox) element(name, script string) (id string) {
	f.Helper()
	f.wait(fmt.Sprintf("%q", name), func() (bool, error) {
		found, err := askOnce[map[string]string](f, script, name)
		id = found["element-6066-11e4-a52e-4f735466cecf"] // WebDriver, section 12.1: the web element identifier
		return id != "", err
	})
	return id
}

// visit opens an address of the server, and waits for the page.
func (f *fox) visit(path string) {
	f.Helper()
	f.call("WebDriver:Navigate", object{"url": f.origin + path})
}

// at is the path of the page, text what it shows.
func (f *fox) at() string   { f.Helper(); return ask[string](f, `return location.pathname`) }
func (f *fox) text() string { f.Helper(); return ask[string](f, `return document.body.innerText`) }

// title waits for the first heading of the page or dialog in front, past the page where a sign-in by two steps ends.
func (f *fox) title(want string) {
	f.Helper()
	if want != arrived {
		f.until(fmt.Sprintf("the heading %q", want), `const h = front().querySelector('h1'); return !!h && (words(h) === a || words(h) === b)`, want, arrived)
		if there, _ := askOnce[bool](f, `return words(front().querySelector('h1')) === a`, arrived); there {
			f.press("Continue")
		}
	}
	f.until(fmt.Sprintf("the heading %q", want), `const h = front().querySelector('h1'); return !!h && words(h) === a`, want)
}

// see waits for words on the page.
func (f *fox) see(text string) {
	f.Helper()
	f.until(fmt.Sprintf("%q", text), `return document.body.innerText.replace(/\s+/g, ' ').includes(a)`, text)
}

// press clicks what is called name. Firefox waits for a page that this leads to.
func (f *fox) press(name string) {
	f.Helper()
	f.call("WebDriver:ElementClick", object{"id": f.element(name, `const e = pressable(a); return e && !e.disabled ? e : null`)})
}

// fill types into the input with this label, in place of what stands there.
func (f *fox) fill(label, text string) {
	f.Helper()
	id := f.element(label, `return labelled(a) || null`)
	f.call("WebDriver:ElementClear", object{"id": id})
	f.call("WebDriver:ElementSendKeys", object{"id": id, "text": text})
}

// pick takes the first passkey from the list below an input, once the page has asked for one.
func (f *fox) pick(label string) {
	f.Helper()
	id := f.element(label, `const e = labelled(a); if (e) e.blur(); return e || null`) // the list comes with the focus
	f.call("WebDriver:ElementClick", object{"id": id})
	f.wait("a list of passkeys", func() (bool, error) {
		f.call("Marionette:SetContext", object{"value": "chrome"})
		defer f.call("Marionette:SetContext", object{"value": "content"})
		return askOnce[bool](f, `const list = document.getElementById('PopupAutoComplete');
			return list?.state === 'open' && list.textContent.includes('Passkey for')`)
	})
	f.call("WebDriver:ElementSendKeys", object{"id": id, "text": "\ue015\ue007"}) // WebDriver, section 17.4.2: down, enter
}

// addAuthenticator plugs one in, and is its id. One is enough: where two credentials would do Firefox waits for somebody to
// choose; on Linux it refuses the attachment platform and lets any answer for cross-platform; an untouched one refuses.
func (f *fox) addAuthenticator(k kind) (id string) {
	f.Helper()
	f.must(f.command("WebAuthn:AddVirtualAuthenticator", object{"protocol": "ctap2_1", "transport": k.Transport,
		"hasResidentKey": k.HasResidentKey, "hasUserVerification": k.HasUserVerification,
		"isUserVerified": k.IsUserVerified, "isUserConsenting": k.AutomaticPresenceSimulation}, &id))
	return id
}

// verify says whether an authenticator recognises the person.
func (f *fox) verify(id string, on bool) {
	f.Helper()
	f.call("WebAuthn:SetUserVerified", object{"authenticatorId": id, "isUserVerified": on})
}

func (f *fox) shoot(name string) {
	dir := os.Getenv("SALLYPORT_TEST_SHOTS")
	if dir == "" || f.conn == nil {
		return
	}
	var picture []byte
	err := f.command("WebDriver:TakeScreenshot", object{"full": true}, &picture)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s-firefox.png", f.label, name)), picture, 0o644)
	}
	if err != nil {
		f.Errorf("keep a picture: %v", err)
	}
}

// What the other tests take for granted of Firefox.
func TestFirefoxBehaves(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	f := openFox(t, s.URL, "firefox")
	f.visit("/signin")
	f.title("Sign in to Sallyport")
	f.fill("Email", email)
	f.fill("Password", password)
	f.press("Sign in")
	f.see("Email or password is not right.")

	f.visit(strings.TrimPrefix(s.SetupLink, s.URL)) // which asks for no passkey of its own
	laptop := f.addAuthenticator(platform)
	is := func(want, what string) {
		t.Helper()
		if got := ask[string](f, ceremonies+`return told(`+what+`)`); got != want {
			t.Errorf("%s: %s, not %s", what, got, want)
		}
	}
	id := ask[string](f, ceremonies+`return told(create('maya', {residentKey: 'required', userVerification: 'required'}))`)
	is(id, `get('required')`)
	ask[bool](f, ceremonies+`document.body.innerHTML = '<form><label>Email <input autocomplete="username webauthn"></label><input type="password"></form>';
		told(get('required', {mediation: 'conditional'})).then((x) => { document.title = x; }); return true`)
	f.pick("Email")
	f.until("the passkey picked", `return document.title === a`, id)
	f.verify(laptop, false)
	is("NotAllowedError", `get('required')`)
}
