package app_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/policy"
)

// What the Security page offers to people of a workgroup is what their workgroup accepts, and it opens whatever that is.
// W1, B1, R5
func TestTheSecurityPageFitsTheWorkgroup(t *testing.T) {
	signs := map[auth.Kind]string{ // by which the page offers to add one
		"passkey":    "/account/passkeys/new",
		"totp":       `action="/account/totp"`,
		"email":      `name="channel" value="email"`,
		"sms":        `name="channel" value="sms"`,
		"backupcode": ">Backup codes<",
	}
	all := []auth.Kind{"passkey", "totp", "email", "sms", "backupcode"}
	cases := map[string]struct {
		level policy.Level
		shown []auth.Kind
	}{
		"open":               {policy.Level{}, all},
		"passkey":            {policy.Level{Factors: []auth.Kind{"passkey"}}, []auth.Kind{"passkey"}},
		"passkey and app":    {policy.Level{Factors: []auth.Kind{"passkey", "totp"}}, []auth.Kind{"passkey", "totp"}},
		"app":                {policy.Level{Factors: []auth.Kind{"totp"}}, []auth.Kind{"totp"}},
		"all by name":        {policy.Level{Factors: all}, all},
		"no messages":        {policy.Level{Refused: []auth.Kind{"email", "sms"}}, []auth.Kind{"passkey", "totp", "backupcode"}},
		"no sheet":           {policy.Level{Refused: []auth.Kind{"backupcode"}}, []auth.Kind{"passkey", "totp", "email", "sms"}},
		"no trust":           {policy.Level{Trust: policy.Trust{Set: true}}, all},
		"required and trust": {policy.Level{MFA: policy.Required, Grace: 24 * time.Hour, Factors: []auth.Kind{"totp"}, Trust: policy.Trust{Set: true, For: 48 * time.Hour}}, []auth.Kind{"totp"}},
	}
	inWorlds(t, func(t *testing.T, w *world) {
		for name, c := range cases {
			c.level.Since = w.now()
			group := w.groupUnder(t, name, c.level)
			_, b := w.staff(t, strings.ReplaceAll(name, " ", "")+"@example.com", auth.Member, group)
			page := b.form("GET", "/account/security")
			if page.status != http.StatusOK {
				t.Errorf("%s: the page says %d %s", name, page.status, page.body)
				continue
			}
			for kind, sign := range signs {
				if got, want := strings.Contains(page.body, sign), slices.Contains(c.shown, kind); got != want {
					t.Errorf("%s: %s is shown: %v, want %v", name, kind, got, want)
				}
			}
			if closed := strings.Contains(page.body, "Not allowed by workgroup"); closed != (name == "no trust") {
				t.Errorf("%s: trusted browsers: %v", name, closed)
			}
			for _, path := range []string{"/account/security", "/account/passkeys", "/account/totp", "/account/codes", "/account/backupcode", "/account/trusted", "/account/sessions"} {
				if a := b.api("GET", path); a.status != http.StatusOK {
					t.Errorf("%s: %s says %d %s", name, path, a.status, a.body)
				}
			}
			made := b.api("POST", "/account/backupcode") // without a factor it is refused anyway: the words differ
			if closed := strings.Contains(made.body, "backupcodes-closed"); made.status != http.StatusConflict || closed == slices.Contains(c.shown, "backupcode") {
				t.Errorf("%s: a sheet: %d %s", name, made.status, made.body)
			}
			want := http.StatusOK
			if !slices.Contains(c.shown, "passkey") {
				want = http.StatusConflict
			}
			for face, a := range map[string]answer{"page": b.form("GET", "/account/passkeys/new"), "JSON": b.api("GET", "/account/passkeys/new")} {
				if a.status != want {
					t.Errorf("%s: the %s to add a passkey says %d, want %d", name, face, a.status, want)
				}
			}
		}
	}, coded, func(c *config.Config) { c.Passkeys.AlsoPassword = true })
}

// Whoever comes to a workgroup with what it does not accept sees it, can remove it, and is offered no more of it. W1, B1
func TestWhatAWorkgroupDoesNotAcceptCanBeRemoved(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		keys := w.groupUnder(t, "Keys alone", policy.Level{Factors: []auth.Kind{"passkey"}})
		b, _ := w.withSheet(t, annsLogin)
		w.becomes(t, w.find(t, annsLogin), auth.Member, keys)
		page := b.form("GET", "/account/security")
		for _, want := range []string{"Authenticator apps are not used here.", "Backup codes are not used here.", "Codes remaining", "/remove"} {
			if page.status != http.StatusOK || !strings.Contains(page.body, want) {
				t.Errorf("%d, without %q", page.status, want)
			}
		}
		for _, not := range []string{"Regenerate", "Add authenticator", "Generate new ones", "Codes by email and SMS"} {
			if strings.Contains(page.body, not) {
				t.Errorf("it says %q", not)
			}
		}
		if a := b.api("GET", sheetPath); a.status != http.StatusOK || a.fields["may_generate"] != false || a.field("reason") == "" {
			t.Error(a)
		}
	}, coded)
}

// In the middle of a sign-in there is only what the workgroup accepts, also by its address. W1
func TestAnEnrolmentAtSignInFitsTheWorkgroup(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		apps := w.groupUnder(t, "Apps alone", policy.Level{MFA: policy.Required, Since: w.now(), Factors: []auth.Kind{"totp"}})
		w.becomes(t, w.add(t, annsLogin, annsPassword), auth.Member, apps)
		b := w.browser()
		if a := b.signIn(t, annsLogin, annsPassword, "enrolment"); a.kinds() != "totp" {
			t.Error("the sign-in asks for ", a.kinds())
		}
		if a := b.form("GET", "/signin/enrol"); a.status != http.StatusOK || strings.Contains(a.body, "/signin/enrol/passkey") || !strings.Contains(a.body, "/signin/enrol/totp") {
			t.Error(a)
		}
		for _, a := range []answer{b.form("GET", "/signin/enrol/passkey"), b.api("GET", "/signin/enrol/passkey"), b.api("POST", "/signin/enrol/passkey/options"), b.api("POST", "/signin/enrol/email")} {
			if a.status != http.StatusConflict && a.status != http.StatusForbidden {
				t.Error(a)
			}
		}
		b.enrol(t, "/signin/enrol")
	}, coded)
}
