package app_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/secret"
)

type outcome struct {
	State, Seen, Refused, Says string
	Status, Count              int
	Results                    []struct {
		ID, Name, Code, Why string
		Done, So            bool
	}
}

// bulk is an act on many as a program asks for it.
func (b *browser) bulk(t *testing.T, path string, fields map[string]any) (o outcome) {
	t.Helper()
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	a := b.send("POST", "/api/v1/admin/users/bulk"+path, "application/json", string(body))
	if err := json.Unmarshal([]byte(a.body), &o); err != nil {
		t.Fatal(err, a)
	}
	return o
}

// said is one word for each result, by name.
func (h *hall) said(o outcome) string {
	var all []string
	for _, r := range o.Results {
		name := "?"
		for first, id := range h.ids {
			if string(id) == r.ID {
				name = first
			}
		}
		what := r.Code
		switch {
		case r.Done:
			what = "done"
		case r.So:
			what = "so"
		}
		if r.Name == "" {
			name = "(" + name + ")"
		}
		all = append(all, name+" "+what)
	}
	return strings.Join(all, ", ")
}

func (h *hall) named(first ...string) (ids []string) {
	for _, f := range first {
		ids = append(ids, string(h.ids[f]))
	}
	return ids
}

// methods are what administrators chose for people.
func (h *hall) methods(t *testing.T) string {
	t.Helper()
	var all []string
	for first, id := range h.ids {
		if u, err := h.Users.Get(visitless, h.DB, id); err == nil && (u.Method != auth.AnyMethod || u.Disabled) {
			all = append(all, fmt.Sprint(first, " ", u.Method, map[bool]string{true: "disabled"}[u.Disabled]))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// A2, A3, A5: an act on many does to each what it does to one, and no more: nobody above, nobody elsewhere, nobody without
// what it needs. The preview says so and changes nothing, and to send it twice does nothing twice.
func TestAnActOnManyIsOneForEach(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		h := w.hall(t)
		h.person(t, "Gone Nord", "", auth.Member, h.north)
		h.do(t, func(tx auth.Tx) error { return h.Users.SetMethod(visitless, tx, h.ids["nick"], auth.BySMS) })
		b := h.as(t, "nora")
		act := map[string]any{"act": "mfa:sms", "ids": append(h.named("nils", "nina", "nat", "sam", "nick", "nora", "nils", "gone"), "nobody")}
		want := "nils done, nina invalid, nat above-you, (sam) not-found, nick so, nora yourself, gone invalid, (?) not-found"
		before := h.methods(t)
		o := b.bulk(t, "/preview", act)
		if got := h.said(o); got != want || o.State != "preview" || o.Count != 8 {
			t.Errorf("%s %s, want %s", o.State, got, want)
		}
		if now := h.methods(t); now != before || len(h.events(t, h.ids["nils"], auth.MethodSet)) > 0 {
			t.Errorf("a preview changed %s to %s", before, now)
		}
		h.do(t, func(tx auth.Tx) error { return h.Users.Remove(visitless, tx, h.ids["gone"]) })
		o = b.bulk(t, "", act)
		if got := h.said(o); got != strings.Replace(want, "gone invalid", "(gone) not-found", 1) || o.State != "done" {
			t.Errorf("%s %s", o.State, got)
		}
		if now := h.methods(t); now != "nick sms, nils sms" {
			t.Error(now)
		}
		if o := b.bulk(t, "", act); strings.Contains(h.said(o), "done") || len(h.events(t, h.ids["nils"], auth.MethodSet)) != 1 {
			t.Errorf("sent twice: %s", h.said(o))
		}
		if l, _ := b.list(t, "?mfa=sms"); l.names() != "" { // their numbers are not proved
			t.Error(l.names())
		}
		h.everyAct(t)
	}, coded)
}

// everyAct does each act once, as an admin.
func (h *hall) everyAct(t *testing.T) {
	t.Helper()
	h.do(t, func(tx auth.Tx) error { return h.Users.SetMethod(visitless, tx, h.ids["nils"], auth.AnyMethod) })
	b, nina, nils := h.as(t, "adam"), h.as(t, "nina"), h.as(t, "nils")
	both := h.named("nils", "nina", "olga")
	for _, c := range []struct{ act, want string }{
		{"sign-out", "nils done, nina done, olga above-you"},
		{"disable", "nils done, nina done, olga above-you"}, {"disable", "nils so, nina so, olga above-you"},
		{"enable", "nils done, nina done, olga above-you"},
		{"mfa:required", "nils done, nina done, olga above-you"}, {"mfa:email", "nils done, nina done, olga above-you"}, {"mfa:off", "nils done, nina done, olga above-you"},
		{"move:" + string(h.south), "nils done, nina done, olga above-you"}, {"move:none", "nils done, nina done, olga above-you"},
	} {
		if o := b.bulk(t, "/preview", map[string]any{"act": c.act, "ids": both}); h.said(o) != c.want {
			t.Errorf("%s, before: %s", c.act, h.said(o))
		}
		if c.act == "sign-out" && nina.api("GET", "/account").status != 200 {
			t.Error("a preview signs out")
		}
		if o := b.bulk(t, "", map[string]any{"act": c.act, "ids": both}); h.said(o) != c.want {
			t.Errorf("%s: %s", c.act, h.said(o))
		}
		if nina.api("GET", "/account").status != 401 || nils.api("GET", "/account").status != 401 {
			t.Error("still signed in")
		}
		status := map[bool]string{true: "?status=disabled"}[c.act == "disable"]
		if l, _ := b.list(t, status); status != "" && l.names() != "Nils Nina" {
			t.Errorf("after %s: %s", c.act, l.names())
		}
	}
	if l, _ := b.list(t, "?workgroup="+string(h.north)); l.names() != "Gone Nat Nick Nora" { // nobody told the list of Gone
		t.Errorf("after they moved: %s", l.names())
	}
	for _, c := range []struct{ first, act string }{{"adam", "mfa:passkey"}, {"adam", "mfa:"}, {"adam", "remove"}, {"adam", "move:"}, {"adam", "move:x"}, {"nora", "move:" + string(h.south)}, {"nora", "move:none"}} {
		want := map[string]int{"adam": 422, "nora": 403}[c.first]
		if o := h.as(t, c.first).bulk(t, "/preview", map[string]any{"act": c.act, "ids": both}); o.Status != want || strings.Contains(o.Says, "South") {
			t.Errorf("%s: %+v", c.act, o)
		}
	}
}

// A2, A5: all whom a filter finds are those whom the preview had, or nothing is done; and never somebody of another
// workgroup.
func TestAnActOnAllWhoMatchIsForThoseWhoWereSeen(t *testing.T) {
	inWorlds(t, func(t *testing.T, w *world) {
		h := w.hall(t)
		b := h.as(t, "nora")
		act := map[string]any{"act": "mfa:required", "all": true, "q": "n", "role": "member"}
		o := b.bulk(t, "/preview", act)
		if h.said(o) != "nick done, nils done, nina done" {
			t.Fatalf("%+v", o)
		}
		if unseen := b.bulk(t, "", act); unseen.State != "preview" || h.methods(t) != "" {
			t.Errorf("nobody looked: %+v", unseen)
		}
		act["seen"], act["count"] = o.Seen, o.Count
		h.person(t, "Nell Nord", "", auth.Member, h.north)
		h.do(t, func(tx auth.Tx) error {
			if err := h.Users.Remove(visitless, tx, h.ids["nick"]); err != nil {
				return err
			}
			return h.Directory.Refresh(visitless, tx, h.ids["nick"])
		})
		changed := b.bulk(t, "", act)
		if changed.State != "changed meanwhile" || changed.Count != o.Count || h.methods(t) != "" {
			t.Errorf("as many as before, but others: %+v", changed)
		}
		form := url.Values{"act": {"mfa:required"}, "all": {"on"}, "q": {"n"}, "role": {"member"}, "seen": {o.Seen}, "count": {"7"}}
		if a := b.send("POST", "/admin/users/bulk", "application/x-www-form-urlencoded", form.Encode()); a.status != 200 || !strings.Contains(a.body, "There are 3 now; you saw 7") || h.methods(t) != "" {
			t.Error(a.body)
		}
		act["seen"] = changed.Seen
		if o := b.bulk(t, "", act); o.State != "done" || h.methods(t) != "nell required, nils required, nina required" {
			t.Errorf("%+v", o)
		}
		for _, forged := range []map[string]any{
			{"act": "disable", "all": true, "workgroup": h.south}, {"act": "disable", "all": true, "q": "sam@example.com"}, {"act": "disable"}, {"act": "disable", "ids": []string{}},
		} {
			if o := b.bulk(t, "/preview", forged); o.Count != 0 || o.Refused == "" {
				t.Errorf("%v: %+v", forged, o)
			}
		}
		if o := b.bulk(t, "/preview", map[string]any{"ids": h.named("nils")}); o.Refused == "" {
			t.Errorf("%+v", o)
		}
		if o := h.as(t, "willy").bulk(t, "/preview", map[string]any{"act": "disable", "all": true}); o.Count != 0 {
			t.Errorf("who looks after no workgroup chose %d", o.Count)
		}
		if o := h.as(t, "sue").bulk(t, "", map[string]any{"act": "disable", "ids": h.named("nils")}); o.Status != 403 {
			t.Errorf("%+v", o)
		}
		// A demotion and the end of a session hold at once, for acts that begin after it.
		h.do(t, func(tx auth.Tx) error { return h.Users.SetRole(visitless, tx, h.ids["nora"], auth.Support) })
		if o := b.bulk(t, "", map[string]any{"act": "disable", "ids": h.named("nils")}); o.Status != 403 || strings.Contains(h.methods(t), "disabled") {
			t.Errorf("%+v", o)
		}
	}, coded)
}

// A2: so many as one request may name fit into it, and into the form that waits for a proof; more are refused in words.
func TestAnActOnManyHasAnEnd(t *testing.T) {
	w := inSQLite(t, coded)
	h := w.hall(t)
	b := h.as(t, "olga")
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = secret.NewID()
	}
	ids[999] = string(h.ids["mo"])
	if o := b.bulk(t, "", map[string]any{"act": "mfa:required", "ids": ids}); o.State != "done" || !o.Results[999].Done {
		t.Errorf("%s %d", o.State, o.Status)
	}
	if o := b.bulk(t, "/preview", map[string]any{"act": "disable", "ids": append(ids, "x")}); o.Status != 422 {
		t.Errorf("%+v", o)
	}
	form := url.Values{"act": {"mfa:off"}, "ids": ids, "seen": {strings.Repeat("x", 24)}, "count": {"1000"}}.Encode()
	w.wait(6 * time.Minute)
	late := h.browser()
	late.signIn(t, "adam@example.com", annsPassword, "signed_in")
	w.wait(6 * time.Minute)
	late.api("GET", "/account")
	asked := late.send("POST", "/admin/users/bulk", "application/x-www-form-urlencoded", form)
	if asked.status != 403 || !strings.Contains(asked.body, "Confirm it’s you") {
		t.Fatal(asked)
	}
	held := url.Values{"held_act": {"POST /admin/users/bulk"}, "held_form": {form}, "held_back": {"/admin/users"}, "password": {string(annsPassword)}}
	if a := late.send("POST", "/stepup/password", "application/x-www-form-urlencoded", held.Encode()); a.status != 200 || !strings.Contains(a.body, "Done for 1 of 1,000 people") {
		t.Error(a)
	}
	h.do(t, func(tx auth.Tx) error {
		for i := range 1000 {
			id := auth.UserID(fmt.Sprint("p", i))
			if err := h.Users.Add(visitless, tx, auth.User{ID: id, Login: fmt.Sprint(id, "@example.com"), Email: fmt.Sprint(id, "@example.com"), Name: "Many", Role: auth.Member, Added: w.now()}); err != nil {
				return err
			}
			if err := h.Directory.Refresh(visitless, tx, id); err != nil {
				return err
			}
		}
		return nil
	})
	b = h.as(t, "olga")
	if o := b.bulk(t, "/preview", map[string]any{"act": "sign-out", "all": true, "role": "member"}); !strings.Contains(o.Refused, "more than 1,000") || len(o.Results) > 0 {
		t.Errorf("%+v", o.Refused)
	}
	if o := b.bulk(t, "", map[string]any{"act": "sign-out", "all": true, "q": "many"}); o.State != "preview" || o.Count != 1000 || len(o.Results) != 1000 {
		t.Errorf("%s %d", o.State, o.Count)
	}
}
