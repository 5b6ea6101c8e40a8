package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"sallyport/test/harness"
)

// Backup codes from the card to the sign-in that uses one, and to the page that says that few are left.
//
// B1, B2, B3, B4, B5, B6, S3, U1, ux 14
func TestBackupCodes(t *testing.T) {
	t.Parallel()
	for _, l := range []look{phone} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			_, b := begin(t, harness.Options{}, l, "backup")
			b.see("No backup codes yet.", "Set up a passkey or an authenticator first.")
			b.lacks("Generate codes")
			app := b.addAuthenticator("Pixel 9")
			b.inspect("none-yet")
			b.signOut()
			b.signIn(password)
			b.fill("6-digit code", app.code())
			b.follow("Continue")
			b.title("Profile")
			b.follow("Security")
			b.press("Generate codes")
			b.title("Confirm it’s you")
			b.fill("Password", password) // the session has both
			b.follow("Continue")
			old := b.sheet()
			b.copied(old)
			b.staysUntilTicked()
			b.tick("I have saved these codes", true)
			b.follow("Done")
			b.title("Security")
			b.see("10 of 10", "Generated today", "Generated backup codes")
			b.inspect("ten")
			b.visit("/account/backupcode") // as somebody who reloads in the address line
			b.title("Security")
			b.see("10 of 10")
			b.follow("Regenerate")
			codes := b.sheet()
			b.see("The codes of your older sheet no longer work.")
			b.tick("I have saved these codes", true)
			b.follow("Done")
			b.byCode(old[0], false)
			b.see("This code is not right")
			b.inspect("second-wrong")
			b.fill("Backup code", codes[0])
			b.follow("Continue")
			b.title("Profile")
			b.follow("Security")
			b.see("9 of 10", "Signed in with password and backup code")
			for i, code := range codes[1:7] {
				if i > 0 {
					b.title("Profile") // past the page where the one before ended
				}
				b.byCode(strings.ToLower(strings.ReplaceAll(code, "-", "")), false)
			}
			b.title("Only 3 backup codes are left")
			b.inspect("few")
			b.follow("Generate new codes")
			b.title("Security")
			b.see("3 of 10", "Few are left.")
			b.inspect("three")
		})
	}
}

// The same with JavaScript off: what it is for is not there, and the file is.
func TestBackupCodesWithoutJavaScript(t *testing.T) {
	t.Parallel()
	for _, l := range []look{desk} {
		t.Run(l.String(), func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, harness.Options{})
			add(t, s)
			b := open(t, s.URL, l, "backup-noscript").withoutScript()
			b.visit("/account/security")
			b.signIn(password)
			app := b.enrolOnSecurity()
			b.signOut()
			b.signIn(password)
			b.fill("6-digit code", app.code())
			b.follow("Continue")
			b.visit("/account/security")
			b.follow("Generate codes")
			b.title("Confirm it’s you")
			b.fill("Password", password) // the session has both
			b.follow("Continue")
			codes := b.sheet()
			b.lacks("Copy")
			b.lacks("Print")
			b.press("Done") // without the tick the browser stays
			time.Sleep(200 * time.Millisecond)
			b.title("Your backup codes")
			b.tick("I have saved these codes", true)
			b.follow("Done")
			b.title("Security")
			b.see("10 of 10")
			b.byCode(codes[3], true)
			b.visit("/account/security")
			b.see("9 of 10")
			b.follow("Remove backup codes")
			b.title("Confirm it’s you")
		})
	}
}

// enrolOnSecurity adds an authenticator where every dialog is a page.
func (b *tab) enrolOnSecurity() *app {
	b.Helper()
	b.follow("Add authenticator")
	b.fill("Password", password)
	b.follow("Continue")
	return b.finishAuthenticator("Pixel 9", "Add authenticator")
}

// byCode signs in anew, by a code of the sheet.
func (b *tab) byCode(code string, look bool) {
	b.Helper()
	b.signOut()
	b.signIn(password)
	b.title("Enter the code from your app")
	b.press("Try another way")
	b.follow("Backup code")
	b.title("Use a backup code")
	if look {
		b.inspect("second")
	}
	b.fill("Backup code", code)
	b.follow("Continue")
}

// sheet reads the codes off the page, compares them with the file, and looks at the page as it is printed.
func (b *tab) sheet() (codes []string) {
	b.Helper()
	b.title("Your backup codes")
	b.see("Do not mail them to yourself.")
	codes = eval[[]string](b, `return [...document.querySelectorAll('.codes li')].map((e) => e.textContent)`)
	if len(codes) != 10 || !regexp.MustCompile(`^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{5}$`).MatchString(codes[9]) {
		b.Fatalf("the sheet has %q", codes)
	}
	b.inspect("sheet")
	text := b.download("Download", "backup-codes.txt")
	at := 0
	for _, want := range append(slices.Clone(codes), b.origin) {
		i := strings.Index(text[at:], want)
		if i < 0 {
			b.Fatalf("no %q, or not in its place, in the file: %s", want, text)
		}
		at += i
	}
	if !strings.Contains(text, b.login) {
		b.Errorf("the file does not say whose it is: %s", text)
	}
	b.print(codes)
	return codes
}

// download presses a link and reads the file that it leaves.
func (b *tab) download(name, file string) string {
	b.Helper()
	folder := b.TempDir()
	_, err := chromedp.CallBrowser(b.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow,
		BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID, DownloadPath: folder})
	b.must(err)
	b.press(name)
	path := filepath.Join(folder, file)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if text, err := os.ReadFile(path); err == nil && len(text) > 0 {
			return string(text)
		}
	}
	b.shoot("failed")
	b.Fatalf("no file %s came", file)
	return ""
}

// print claims of the page as a printer gets it that it is a clean sheet: the codes, whose they are and where they work,
// and nothing to press.
func (b *tab) print(codes []string) {
	b.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: b.look.theme}}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print", Features: features})
	b.shot("printed")
	text := eval[string](b, `return document.body.innerText`)
	for _, want := range append([]string{b.site + " · " + b.login, time.Now().UTC().Format("2 January 2006"), b.origin, "Cross out what you have used"}, codes...) {
		if !strings.Contains(text, want) {
			b.Errorf("no %q on paper: %s", want, text)
		}
	}
	for _, unwanted := range []string{"Download", "Print", "I have saved", "Done", "Sign out", "Settings", "Security", "Help", "only time"} {
		if strings.Contains(text, unwanted) {
			b.Errorf("%q on paper: %s", unwanted, text)
		}
	}
	if dark := eval[string](b, `return getComputedStyle(document.body).backgroundColor`); dark != "rgb(255, 255, 255)" {
		b.Errorf("the paper is %s", dark)
	}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
}

// copied claims that Copy takes the codes, one a line.
func (b *tab) copied(codes []string) {
	b.Helper()
	eval[bool](b, `navigator.clipboard.writeText = (text) => { window.taken = text; return Promise.resolve(); }; window.print = () => { window.printed = true; }; return true`)
	b.press("Copy")
	b.see("Copied")
	if got, want := eval[string](b, `return window.taken`), strings.Join(codes, "\n"); got != want {
		b.Errorf("copied %q, not %q", got, want)
	}
	b.press("Print")
	b.until("the printer", `return window.printed === true`)
}

// staysUntilTicked claims that whoever leaves is asked, and that no is no.
func (b *tab) staysUntilTicked() {
	b.Helper()
	asked := make(chan string, 4)
	b.must(chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*page.EventJavascriptDialogOpening); ok {
			asked <- fmt.Sprint(e.Type)
			go chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: false})
		}
	}))
	b.press("Security")
	select {
	case kind := <-asked:
		if kind != "beforeunload" {
			b.Errorf("a dialog of the type %s", kind)
		}
	case <-time.After(patience):
		b.Fatal("nobody asked")
	}
	b.title("Your backup codes")
}
