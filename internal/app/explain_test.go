package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/internal/admin/people"
	"sallyport/internal/auth"
	"sallyport/internal/policy"
)

// W1, A2: what the page says that a sign-in would ask for is what a sign-in asks for, whatever somebody set up and whoever
// decides.
func TestExplainSaysWhatASignInAsks(t *testing.T) {
	w := inSQLite(t, coded)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		login := fmt.Sprintf("p%d@example.com", n)
		u := w.add(t, login, annsPassword)
		level := policy.Level{
			MFA:     rapid.SampledFrom([]policy.MFA{"", policy.Optional, policy.Required}).Draw(t, "mfa"),
			Factors: rapid.SampledFrom([][]auth.Kind{nil, {"passkey"}, {"totp"}, {"sms", "email"}, {"totp", "backupcode"}}).Draw(t, "factors"),
			Closed:  rapid.SampledFrom([][]auth.Kind{nil, {"passkey"}}).Draw(t, "closed"),
			Grace:   rapid.SampledFrom([]time.Duration{0, 24 * time.Hour}).Draw(t, "grace"),
			Trust:   rapid.SampledFrom([]policy.Trust{{}, {Set: true}}).Draw(t, "trust"),
			Since:   w.now(),
		}
		if rapid.Bool().Draw(t, "phone") {
			w.contact(t, u, login, fmt.Sprintf("+4670174%04d", n%10000))
		}
		b := w.browser()
		b.signIn(t, login, annsPassword, "signed_in")
		b.stepUp(t, "password", "password", annsPassword)
		key, trusting := "", false
		if rapid.Bool().Draw(t, "app") {
			_, key = b.enrol(t, "/account")
			w.wait(time.Minute)
			if rapid.Bool().Draw(t, "trusts") {
				b = w.browser()
				b.signIn(t, login, annsPassword, "second_factor")
				b.api("POST", "/signin/totp", "code", codeAt(key, w.now()))
				trusting = b.send("POST", "/api/v1/signin/done", "application/json", `{"trust":true}`).status == 200
			}
			if rapid.Bool().Draw(t, "off") {
				b.stepUp(t, "totp", "code", auth.Secret(codeAt(key, w.now().Add(30*time.Second))))
				b.api("POST", "/account/mfa/disable", "password", string(annsPassword))
				trusting = false
			}
		}
		w.becomes(t, u, auth.Member, w.groupUnder(t, fmt.Sprintf("group %d", n), level))
		if m := rapid.SampledFrom([]auth.Method{"", "", auth.ByEmail, auth.MustHaveOne}).Draw(t, "method"); m != "" {
			w.requires(t, u.ID, m)
			trusting = false // R4
		}
		if rapid.IntRange(0, 9).Draw(t, "disabled") == 0 {
			w.disable(t, u.ID)
		}
		who := w.find(t, login)
		for _, trusted := range []bool{false, trusting} {
			why, err := w.People.Explain(visitless, w.DB, who, people.How{Via: "password", Trusted: trusted})
			if err != nil {
				t.Fatalf("%v", err)
			}
			from := w.browser()
			if trusted {
				from = b
			}
			a := from.api("POST", "/signin", "login", login, "password", string(annsPassword))
			asked := map[string]policy.Need{"signed_in": policy.Nothing, "second_factor": policy.Second, "enrolment": policy.Enrolling}[a.field("state")]
			if a.problem() == "wrong" {
				asked = policy.Denied
			}
			if a.problem() == "factor-blocked" {
				asked = policy.Blocked
			}
			var kinds []string
			for _, f := range why.Factors {
				kinds = append(kinds, string(f.Kind))
			}
			slices.Sort(kinds)
			if asked != why.Need || asked != policy.Nothing && asked != policy.Denied && a.kinds() != strings.Join(kinds, " ") {
				t.Fatalf("trusted %v: explained as %+v, asked %v", trusted, why, a)
			}
			if why.Says == "" {
				t.Errorf("it says nothing: %+v", why)
			}
		}
	})
}
