package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"sallyport/test/harness"
)

// Some people double-click everything: one dialog opens, and one act is done.
func TestADoubleClickIsAClick(t *testing.T) {
	t.Parallel()
	_, b := begin(t, harness.Options{}, desk, "twice")
	b.twice("Add authenticator")
	b.title("Confirm it’s you")
	b.oneDialog()
	b.fill("Password", password)
	b.leave(func() { b.keys(kb.Enter + kb.Enter) })
	b.finishAuthenticator("Pixel 9", "Add authenticator")
	b.title("Security")
	b.twice("Rename Pixel 9")
	b.title("Rename “Pixel 9”")
	b.oneDialog()
	b.press("Cancel")
	b.closed()
	b.leave(func() { b.twice("Add authenticator") }) // proved a moment ago
	b.finishAuthenticator("Tablet", "Add authenticator")
	b.title("Security")
	if added := eval[string](b, `return document.body.innerText`); strings.Count(added, "Added “") != 2 {
		t.Errorf("what was added: %s", added)
	}
}

// A code counts once, so sending it twice in a hurry must not look like a guess. T5
func TestACodeEnteredTwiceInAHurryIsNoGuess(t *testing.T) {
	t.Parallel()
	_, b := begin(t, harness.Options{}, desk, "twice")
	phone := b.addAuthenticator("Pixel 9")
	b.follow("Sign out")
	b.signIn(password)
	b.fill("6-digit code", phone.code())
	b.leave(func() { b.keys(kb.Enter + kb.Enter) })
	b.title("Profile")
	b.visit("/account/security")
	b.press("Disable MFA")
	b.title("Confirm it’s you")
	b.fill("6-digit code", phone.code())
	b.keys(kb.Enter + kb.Enter)
	b.title("Disable MFA?")
	b.visit("/account/security")
	if log := eval[string](b, `return document.body.innerText`); strings.Contains(log, "Wrong code") {
		t.Error("a code sent twice stands in the record as a wrong one")
	}
}

func (b *tab) twice(name string) {
	b.Helper()
	at := eval[[]float64](b, `const r = pressable(a).getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]`, name)
	b.must(chromedp.Do(b.ctx, chromedp.MouseClickXY(at[0], at[1]), chromedp.MouseClickXY(at[0], at[1], chromedp.ClickCount(2))))
}

func (b *tab) oneDialog() {
	b.Helper()
	// What a second click sets off asks the server first, as the first did; afterwards it would be there.
	eval[bool](b, `return fetch('/api/v1/stepup').then(() => fetch('/stepup')).then((r) => r.text()).then(() => true)`)
	if n := eval[int](b, `return document.querySelectorAll('dialog').length`); n != 1 {
		b.Errorf("%d dialogs stand on top of each other", n)
	}
}
