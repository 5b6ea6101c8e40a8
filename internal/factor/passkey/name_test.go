package passkey

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/auth"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor/factortest"
	"sallyport/internal/factor/softkey"
	"sallyport/internal/visit"
)

// A listed credential is one of allowCredentials.
type listed struct {
	Type       string
	ID         string
	Transports []string
}

// allowedFor is what a browser without a cookie is told of a name.
func allowedFor(t *testing.T, p *Passkey, login string) []listed {
	t.Helper()
	c, err := p.Challenge(visit.With(t.Context(), from("one browser")), login)
	if err != nil {
		t.Fatal(err)
	}
	var options struct{ AllowCredentials []listed }
	if err := json.Unmarshal(c.JSON, &options); err != nil {
		t.Fatal(err)
	}
	return options.AllowCredentials
}

func (d *door) disable(t *testing.T, u auth.User) {
	t.Helper()
	if err := d.DB.Tx(t.Context(), func(tx auth.Tx) error { return d.Users.Disable(t.Context(), tx, u.ID) }); err != nil {
		t.Fatal(err)
	}
}

// real is true of what phones and password managers, laptops and keys make.
func real(size int, transports []string) bool {
	switch strings.Join(transports, " ") {
	case "hybrid internal":
		return slices.Contains([]int{16, 20, 32}, size)
	case "internal":
		return size == 32
	case "nfc usb":
		return size == 48
	}
	return false
}

// S10: whoever asks for a name learns nothing of it, however often they ask, and whichever node.
func TestANameThatNobodyHasGetsAPasskeyThatNobodyHas(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		node, err := New(d.Parts)
		if err != nil {
			t.Fatal(err)
		}
		strangers := d.Parts
		strangers.Keys = factortest.Keys(t)
		elsewhere, err := New(strangers)
		if err != nil {
			t.Fatal(err)
		}
		anns := d.registered(t, d.ann, func(k *softkey.Key) { k.Transports = []string{"internal", "hybrid"} })
		if got := allowedFor(t, d.Passkey, "ANN@example.com"); len(got) != 1 || !strings.Contains(string(answer(t, anns, d.asked(t, second.as(t, d.ann)))), got[0].ID) {
			t.Errorf("ann: %+v", got)
		}
		seen, sizes := map[string]string{}, map[int]int{}
		for i := range 200 {
			login := fmt.Sprintf("somebody%d@example.com", i)
			one := allowedFor(t, d.Passkey, login)
			if len(one) != 1 || one[0].Type != "public-key" {
				t.Fatalf("%s: %+v", login, one)
			}
			for who, again := range map[string][]listed{"asked again": allowedFor(t, d.Passkey, login), "another node": allowedFor(t, node, login),
				"in capitals": allowedFor(t, d.Passkey, strings.ToUpper(login)), "with spaces": allowedFor(t, d.Passkey, " "+login+" ")} {
				if fmt.Sprint(again) != fmt.Sprint(one) {
					t.Errorf("%s, %s: %+v, then %+v", login, who, one, again)
				}
			}
			if other := allowedFor(t, elsewhere, login); other[0].ID == one[0].ID {
				t.Errorf("%s: a stranger with other keys knows it", login)
			}
			if before := seen[one[0].ID]; before != "" {
				t.Errorf("%s has what %s has", login, before)
			}
			seen[one[0].ID] = login
			id, err := decode(one[0].ID)
			if err != nil || !real(len(id), one[0].Transports) {
				t.Errorf("%s: %d bytes, %v, %v: of no real shape", login, len(id), one[0].Transports, err)
			}
			sizes[len(id)]++
		}
		if len(sizes) < 3 {
			t.Error("all look alike: ", sizes)
		}
	})
}

// S10: nor who is disabled, or has none, or none that works.
func TestAPersonWhoCannotUseAPasskeyLooksLikeNobody(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		nobody := func(login string) []listed {
			out := d.fake(login)
			one := listed{Type: "public-key", ID: b64(out.CredentialID)}
			for _, t := range out.Transport {
				one.Transports = append(one.Transports, string(t))
			}
			return []listed{one}
		}
		looks := func(u auth.User, why string) {
			t.Helper()
			for _, login := range []string{u.Login, strings.ToUpper(u.Login)} {
				if got, want := allowedFor(t, d.Passkey, login), nobody(u.Login); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s: %+v, want %+v", why, got, want)
				}
			}
		}
		looks(d.bob, "bob has none")
		k := d.registered(t, d.bob)
		if fmt.Sprint(allowedFor(t, d.Passkey, d.bob.Login)) == fmt.Sprint(nobody(d.bob.Login)) {
			t.Error("bob has one, and is told of another")
		}
		d.disable(t, d.bob)
		looks(d.bob, "bob is disabled")
		d.registered(t, d.ann)
		d.Party.ID = "example.org" // the site moved, and her passkey with it
		looks(d.ann, "the passkey of ann is void")
		d.Party.ID = "example.com"
		if _, err := k.Get([]byte(`{"rpId":"example.com","challenge":"AAE","allowCredentials":[{"type":"public-key","id":"` + nobody(d.bob.Login)[0].ID + `"}]}`)); err == nil {
			t.Error("somebody has what nobody has")
		}
	})
}

// Somebody who is known is told of theirs, or that there are none: they have proved who they are.
func TestAPersonWhoIsKnownIsAskedForTheirOwn(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		for _, w := range []way{second, stepUp} {
			if _, err := d.Challenge(w.as(t, d.ann), "bob@example.com"); err != auth.ErrNotFound {
				t.Errorf("%s: %v", w.name, err)
			}
		}
		d.registered(t, d.ann)
		d.registered(t, d.bob)
		for _, w := range []way{second, stepUp} {
			var options struct {
				AllowCredentials []listed
				UserVerification string
				RPID             string
				Timeout          int
			}
			c, err := d.Challenge(w.as(t, d.ann), "bob@example.com")
			if err == nil {
				err = json.Unmarshal(c.JSON, &options)
			}
			ann, err2 := d.all(t.Context(), d.DB, d.ann.ID)
			if err != nil || err2 != nil || len(options.AllowCredentials) != 1 || options.AllowCredentials[0].ID != b64(ann[0].credential) {
				t.Errorf("%s: %+v, %v, %v", w.name, options, err, err2)
			}
			if want := map[string]string{second.name: "preferred", stepUp.name: "required"}[w.name]; options.UserVerification != want || options.RPID != "example.com" || options.Timeout != 300_000 {
				t.Errorf("%s: %+v", w.name, options)
			}
		}
		c, err := d.Challenge(nameless.as(t, auth.User{}), "")
		if text := string(c.JSON); err != nil || strings.Contains(text, "allowCredentials") || !strings.Contains(text, `"userVerification":"required"`) {
			t.Error(text, err)
		}
		one, err := softkey.Challenge(c.JSON)
		if err != nil || len(one) != 32 {
			t.Error(len(one), err)
		}
	})
}

// P8: where passkeys are disabled those that exist prove nothing, not even what was asked before.
func TestADisabledPasskeyProvesNothing(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		k := d.registered(t, d.ann)
		var asked [][]byte
		for _, w := range ways {
			asked = append(asked, answer(t, k, d.asked(t, w.as(t, d.ann))))
		}
		off := d.Parts
		off.Rules.Use = Disabled
		now := &door{Passkey: made(t, off), ann: d.ann, bob: d.bob, clock: d.clock}
		for i, w := range ways {
			ctx := w.as(t, d.ann)
			if _, err := now.Challenge(ctx, ""); err == nil {
				t.Errorf("%s: asked", w.name)
			}
			before := d.kept(t)
			_, err := now.prove(ctx, asked[i])
			refused(t, err, unknown)
			if after := d.kept(t); after != before {
				t.Errorf("it was %s and is %s", before, after)
			}
		}
		if _, err := now.options(stepUp.as(t, d.ann), creating); err != error(errClosed) {
			t.Error("options: ", err)
		}
		if _, err := now.register(stepUp.as(t, d.ann), d.creation(t, stepUp.as(t, d.ann), creating, softkey.New(here))); err != error(errClosed) {
			t.Error("added: ", err)
		}
	})
}

// P8
func TestWhereTheyAreOnlyUsedNoneIsAdded(t *testing.T) {
	d := opened(t, dbtest.Open(t, dbtest.SQLite(t, schemas)), func(*Parts) {})
	k := d.registered(t, d.ann)
	said := d.creation(t, stepUp.as(t, d.ann), creating, softkey.New(here))
	d.Rules.Use = UseOnly
	for _, w := range ways {
		d.honest(t, w.as(t, d.ann), k)
	}
	for _, to := range []purpose{creating, upgrading} {
		if _, err := d.options(stepUp.as(t, d.ann), to); err != error(errClosed) {
			t.Error(to, err)
		}
	}
	if _, err := d.register(stepUp.as(t, d.ann), said); err != error(errClosed) {
		t.Error("asked for before: ", err)
	}
}
