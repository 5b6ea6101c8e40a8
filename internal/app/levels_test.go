package app_test

import (
	"testing"
	"time"

	"sallyport/internal/admin/groups"
	"sallyport/internal/auth"
)

// Levels make things stricter, and only that. Somebody who looks after a workgroup cannot use them to get past the second
// step of those above them in it.
//
// security R7, W1, W3, W4, R2, L1
func TestStricterRulesOpenNothing(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		id := w.group(t, "Field sales")
		_, key := withApp(t, w)
		owner := w.find(t, annsLogin)
		w.become(t, owner.ID, auth.Owner, id)
		_, boss := w.staff(t, "boss@example.com", auth.WorkgroupAdmin, id)
		at := "/admin/workgroups/" + string(id)
		for name, options := range map[string]map[string]any{
			"nobody could set one up":  {"factors": "passkey", "passkeys": "use only"},
			"nor by their own choice":  {"factors": "own", "kinds": []string{"passkey", "backupcode"}, "passkeys": "use only"},
			"and where it is required": {"require": true, "factors": "passkey", "passkeys": "use only"},
		} {
			w.looked(t)
			if a := boss.json("POST", at, options); a.status != 409 {
				t.Errorf("%s: %v", name, a)
			}
		}
		w.browser().signIn(t, annsLogin, annsPassword, "second_factor")

		// What counts no more is shown before another takes its place.
		for _, o := range []groups.Options{{Factors: "passkey"}, {Require: true, Factors: "passkey", When: "once"}, {Require: true, Factors: "passkey", Trust: "none"}} {
			w.asks(t, id, o)
			b := w.browser()
			a := b.signIn(t, annsLogin, annsPassword, "second_factor")
			if got := b.api("GET", "/account"); got.status != 401 {
				t.Fatalf("%+v: %v", o, got)
			}
			if got := b.api("POST", "/signin/enrol/passkey/options"); got.status != 403 {
				t.Errorf("%+v: the password alone may set up a passkey: %v, %v", o, got, a)
			}
			w.wait(time.Minute)
			if got := b.api("POST", "/signin/totp", "code", codeAt(key, w.now())); got.field("state") != "enrolment" {
				t.Errorf("%+v: after the code: %v", o, got)
			}
		}
	}, coded)
}

// W3: a session that shows what counts no more is asked, too, where that is wanted at once.
func TestASessionByWhatCountsNoMoreIsAsked(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		id := w.group(t, "Field sales")
		_, key := withApp(t, w)
		w.become(t, w.find(t, annsLogin).ID, auth.Member, id)
		b := w.browser()
		b.signIn(t, annsLogin, annsPassword, "second_factor")
		b.finish(t, "totp", codeAt(key, w.now()))
		w.asks(t, id, groups.Options{Require: true, When: "once"})
		if a := b.api("GET", "/account"); a.status != 200 {
			t.Error("both steps: ", a)
		}
		w.wait(time.Minute)
		w.asks(t, id, groups.Options{Require: true, When: "once", Factors: "passkey"})
		if a := b.api("GET", "/account"); a.status != 401 {
			t.Error("both steps, of which one counts no more: ", a)
		}
	}, coded)
}

// L1, W1: a workgroup that takes passkeys alone is opened by no code to a mailbox, though others may be.
func TestAWorkgroupThatTakesPasskeysAloneTakesNoMail(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		id := w.group(t, "Field sales")
		withKey(t, w)
		ways := func() (all []string) {
			b := w.browser()
			for _, f := range b.signIn(t, annsLogin, annsPassword, "second_factor").fields["factors"].([]any) {
				all = append(all, f.(map[string]any)["kind"].(string))
			}
			return all
		}
		if all := ways(); len(all) != 2 {
			t.Error("before: ", all)
		}
		w.become(t, w.find(t, annsLogin).ID, auth.Member, id)
		w.asks(t, id, groups.Options{Require: true, Factors: "passkey"})
		if all := ways(); len(all) != 1 || all[0] != "passkey" {
			t.Error("after: ", all)
		}
	}, coded, byMail, recovering)
}
