package passkey

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"sallyport/internal/auth"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/factor/softkey"
)

func TestARelyingPartyIsAHostOrADomainAboveIt(t *testing.T) {
	for name, c := range map[string]struct {
		Party
		says string // part of what is wrong; empty: nothing is
	}{
		"the host":                    {Party{ID: "login.example.com", Origin: here}, ""},
		"the domain":                  {Party{ID: "example.com", Origin: here}, ""},
		"with a port":                 {Party{ID: "example.com", Origin: here + ":8443"}, ""},
		"this machine":                {Party{ID: "localhost", Origin: "http://localhost:8080"}, ""},
		"under this machine":          {Party{ID: "login.localhost", Origin: "http://login.localhost:8080"}, ""},
		"related to another domain":   {Party{ID: "example.com", Origin: here, Related: []string{"https://example.org"}}, ""},
		"related to many, of one":     {Party{ID: "example.com", Origin: here, Related: strings.Fields(strings.Repeat("https://example.org https://a.example.org ", 9))}, ""},
		"of another that lists us":    {Party{ID: "example.org", Origin: here, Related: []string{here, "https://example.org"}}, ""},
		"nothing":                     {Party{Origin: here}, "passkeys.rp_id"},
		"a URL":                       {Party{ID: "https://example.com", Origin: here}, "passkeys.rp_id"},
		"a URL of another":            {Party{ID: "https://example.org", Origin: here, Related: []string{here}}, "passkeys.rp_id"},
		"a host with a port":          {Party{ID: "login.example.com:8443", Origin: here + ":8443"}, "passkeys.rp_id"},
		"a path":                      {Party{ID: "login.example.com/x", Origin: here}, "passkeys.rp_id"},
		"a path of another":           {Party{ID: "example.org/x", Origin: here, Related: []string{here}}, "passkeys.rp_id"},
		"a host below":                {Party{ID: "www.login.example.com", Origin: here}, "passkeys.rp_id"},
		"a host beside":               {Party{ID: "www.example.com", Origin: here}, "passkeys.rp_id"},
		"another domain":              {Party{ID: "example.org", Origin: here}, "passkeys.rp_id"},
		"another that lists others":   {Party{ID: "example.org", Origin: here, Related: []string{"https://example.net"}}, "passkeys.rp_id"},
		"the end of a name":           {Party{ID: "ample.com", Origin: here}, "passkeys.rp_id"},
		"the domain, and a dot":       {Party{ID: "example.com.", Origin: here}, "passkeys.rp_id"},
		"a dot, and the domain":       {Party{ID: ".example.com", Origin: here}, "passkeys.rp_id"},
		"the domain in capitals":      {Party{ID: "EXAMPLE.com", Origin: here}, "passkeys.rp_id"},
		"a top-level domain":          {Party{ID: "com", Origin: here}, "top-level"},
		"an address":                  {Party{ID: "192.0.2.7", Origin: "https://192.0.2.7"}, "url is the address 192.0.2.7"},
		"an address with a port":      {Party{ID: "192.0.2.7", Origin: "https://192.0.2.7:8443"}, "url is the address 192.0.2.7"},
		"an IPv6 address":             {Party{ID: "2001:db8::7", Origin: "https://[2001:db8::7]"}, "url is the address 2001:db8::7"},
		"this machine by its address": {Party{ID: "localhost", Origin: "http://127.0.0.1:8080"}, "url is the address 127.0.0.1"},
		"related over http":           {Party{ID: "example.com", Origin: here, Related: []string{"http://example.org"}}, "passkeys.related_origins"},
		"related to a name":           {Party{ID: "example.com", Origin: here, Related: []string{"example.org"}}, "passkeys.related_origins"},
		"related to nothing":          {Party{ID: "example.com", Origin: here, Related: []string{""}}, "passkeys.related_origins"},
		"related to a scheme":         {Party{ID: "example.com", Origin: here, Related: []string{"https://"}}, "passkeys.related_origins"},
		"related to a port":           {Party{ID: "example.com", Origin: here, Related: []string{"https://:8443"}}, "passkeys.related_origins"},
		"related to a page":           {Party{ID: "example.com", Origin: here, Related: []string{"https://example.org/signin"}}, "passkeys.related_origins"},
		"related to a person":         {Party{ID: "example.com", Origin: here, Related: []string{"https://ann@example.org"}}, "passkeys.related_origins"},
		"related in capitals":         {Party{ID: "example.com", Origin: here, Related: []string{"https://EXAMPLE.org"}}, "passkeys.related_origins"},
		"related with the usual port": {Party{ID: "example.com", Origin: here, Related: []string{"https://example.org:443"}}, "passkeys.related_origins"},
		"related to garbage":          {Party{ID: "example.com", Origin: here, Related: []string{"https://exa mple.org"}}, "passkeys.related_origins"},
		"related to an app":           {Party{ID: "example.com", Origin: here, Related: []string{"android:apk-key-hash:AAAA"}}, "passkeys.related_origins"},
		"the second of the related":   {Party{ID: "example.com", Origin: here, Related: []string{"https://example.org", "http://example.net"}}, "passkeys.related_origins"},
		"more than browsers ask for": {Party{ID: "example.com", Origin: here, Related: []string{"https://a.example", "https://b.example", "https://c.example",
			"https://d.example", "https://e.example", "https://f.example"}}, "passkeys.related_origins"},
	} {
		switch err := c.check(); {
		case c.says == "" && err != nil, c.says != "" && err == nil:
			t.Errorf("%s: %v", name, err)
		case err != nil && !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %q does not speak of %q", name, err, c.says)
		}
		if _, err := c.open(Rules{Use: Disabled}); err != nil {
			t.Errorf("%s: where there are no passkeys: %v", name, err)
		}
		if _, err := c.open(Rules{Use: UseOnly}); (err == nil) != (c.says == "") {
			t.Errorf("%s: where those that exist are used: %v", name, err)
		}
	}
}

// P10: what works at a related origin, works there alone and as exactly.
func TestAPasskeyWorksAtRelatedOrigins(t *testing.T) {
	d := opened(t, dbtest.Open(t, dbtest.SQLite(t, schemas)), func(p *Parts) { p.Party.Related = []string{"https://example.org", here} })
	k := d.registered(t, d.ann)
	ctx := second.as(t, d.ann)
	if _, err := d.prove(ctx, answer(t, k, d.asked(t, ctx), origin("https://example.org"))); err != nil {
		t.Error(err)
	}
	for _, o := range []string{"https://EXAMPLE.org", "https://example.org:443", "https://www.example.org", "http://example.org", "https://example.net"} {
		_, err := d.prove(ctx, answer(t, k, d.asked(t, ctx), origin(o)))
		refused(t, err, elsewhere)
	}
}

// P10
func TestDocumentsForBrowsers(t *testing.T) {
	const endpoints, related = "/.well-known/passkey-endpoints", "/.well-known/webauthn"
	for name, c := range map[string]struct {
		rules  Rules
		others []string
		want   map[string]string
	}{
		"enabled": {Rules{Use: Enabled}, nil, map[string]string{
			endpoints: `{"enroll":"` + here + `/account/passkeys/new","manage":"` + here + `/account/security"}`}},
		"added at a sign-in": {Rules{Use: Enabled, AtSignIn: true}, nil, map[string]string{
			endpoints: `{"enroll":"` + here + `/account/security","manage":"` + here + `/account/security"}`}},
		"use only": {Rules{Use: UseOnly}, nil, map[string]string{
			endpoints: `{"enroll":"` + here + `/account/security","manage":"` + here + `/account/security"}`}},
		"related": {Rules{Use: Enabled}, []string{"https://example.org"}, map[string]string{
			endpoints: `{"enroll":"` + here + `/account/passkeys/new","manage":"` + here + `/account/security"}`,
			related:   `{"origins":["` + here + `","https://example.org"]}`}},
		"related, and we are on the list": {Rules{Use: UseOnly}, []string{"https://example.org", here}, map[string]string{
			endpoints: `{"enroll":"` + here + `/account/security","manage":"` + here + `/account/security"}`,
			related:   `{"origins":["` + here + `","https://example.org"]}`}},
		"disabled":              {Rules{Use: Disabled}, nil, map[string]string{}},
		"disabled, and related": {Rules{Use: Disabled}, []string{"https://example.org"}, map[string]string{}},
	} {
		p := parts(t, nil, nil)
		p.Rules, p.Party.Related = c.rules, c.others
		got := made(t, p).Documents()
		if len(got) != len(c.want) {
			t.Errorf("%s: %d documents, want %d", name, len(got), len(c.want))
		}
		for path, want := range c.want {
			if text := string(got[path]); text != want || !json.Valid(got[path]) {
				t.Errorf("%s: %s is %s, want %s", name, path, text, want)
			}
		}
	}
}

// model is an authenticator of some make.
func model(n byte, more ...func(*softkey.Key)) func(*softkey.Key) {
	return func(k *softkey.Key) {
		k.AAGUID = [16]byte{n}
		for _, m := range more {
			m(k)
		}
	}
}

func aaguid(n byte) string { return uuid.UUID{n}.String() }

// notAllowed fails unless somebody is told that their authenticator is not accepted. It is no wrong response.
func (d *door) notAllowed(t *testing.T, name string, change func(*softkey.Key)) {
	t.Helper()
	k := softkey.New(here)
	change(k)
	before := d.kept(t)
	_, err := d.register(stepUp.as(t, d.ann), d.creation(t, stepUp.as(t, d.ann), creating, k))
	var no auth.ConflictError
	if !errors.As(err, &no) || no.Code != "passkey-not-allowed" {
		t.Errorf("%s: %v", name, err)
	}
	if rows, _ := d.failures(t); d.kept(t) != before || rows > 0 {
		t.Errorf("%s: it was %s and is %s, %d rows", name, before, d.kept(t), rows)
	}
}

func TestOnlyAllowedModelsAreAdded(t *testing.T) {
	for name, c := range map[string]struct {
		rules   Rules
		yes, no []byte
	}{
		"all":                    {Rules{}, []byte{0, 1, 2}, nil},
		"allowed":                {Rules{Allowed: []string{aaguid(1), aaguid(2)}}, []byte{1, 2}, []byte{0, 3}},
		"denied":                 {Rules{Denied: []string{aaguid(1), aaguid(0)}}, []byte{2, 3}, []byte{0, 1}},
		"allowed, then denied":   {Rules{Allowed: []string{aaguid(1), aaguid(2)}, Denied: []string{aaguid(2)}}, []byte{1}, []byte{0, 2, 3}},
		"written in capitals":    {Rules{Allowed: []string{strings.ToUpper(aaguid(0xab))}}, []byte{0xab}, []byte{1}},
		"written without dashes": {Rules{Denied: []string{strings.ReplaceAll(aaguid(0xab), "-", "")}}, []byte{1}, []byte{0xab}},
	} {
		t.Run(name, func(t *testing.T) {
			c.rules.Use = Enabled
			d := opened(t, dbtest.Open(t, dbtest.SQLite(t, schemas)), func(p *Parts) { p.Rules = c.rules })
			for _, n := range c.yes {
				d.honest(t, second.as(t, d.ann), d.registered(t, d.ann, model(n)))
			}
			for _, n := range c.no {
				d.notAllowed(t, name, model(n))
			}
		})
	}
	for _, bad := range []string{"", "x", "YubiKey", aaguid(1)[1:], aaguid(1) + "0", "*"} {
		for name, rules := range map[string]Rules{"allowed": {Use: Enabled, Allowed: []string{aaguid(1), bad}}, "denied": {Use: UseOnly, Denied: []string{bad}}} {
			if _, err := party.open(rules); err == nil || !strings.Contains(err.Error(), "passkeys."+name+"_aaguids") {
				t.Errorf("%s %q: %v", name, bad, err)
			}
		}
	}
}

// The metadata are FIDO's, in the form of https://fidoalliance.org/specs/mds/fido-metadata-service-v3.1-ps-20250521.html.
func TestWhereThereAreMetadataOnlyAttestedModelsAreAdded(t *testing.T) {
	by, other, signer := softkey.NewCA(), softkey.NewCA(), newSigner(t)
	path := signer.write(t, entry(1, by, "FIDO_CERTIFIED", "basic_full"), entry(2, by, "REVOKED", "basic_full"),
		entry(3, by, "FIDO_CERTIFIED", "basic_surrogate"), entry(4, other, "NOT_FIDO_CERTIFIED", "basic_full"), entry(5, by, "ATTESTATION_KEY_COMPROMISE", "basic_full"))
	d := opened(t, dbtest.Open(t, dbtest.SQLite(t, schemas)), func(p *Parts) {
		p.Rules.Metadata, p.Rules.Root = path, signer.root
	})
	attested := func(ca *softkey.CA) func(*softkey.Key) { return func(k *softkey.Key) { k.CA = ca } }
	itself := func(k *softkey.Key) { k.SelfAttest = true }
	good := d.registered(t, d.ann, model(1, attested(by)))
	for _, w := range ways {
		d.honest(t, w.as(t, d.ann), good)
	}
	for name, change := range map[string]func(*softkey.Key){
		"not attested":                           model(1),
		"not attested, of no model":              model(0),
		"attested by itself":                     model(1, itself),
		"attested by itself, as its maker says":  model(3, itself),
		"attested by itself, of no model":        model(0, itself),
		"attested, of no model":                  model(0, attested(by)),
		"attested by the maker of others":        model(1, attested(other)),
		"attested by nobody we know":             model(1, attested(softkey.NewCA())),
		"a model that is not in it":              model(9, attested(by)),
		"a model that attests by itself":         model(3, attested(by)),
		"another model of an attested maker":     model(4, attested(by)),
		"revoked":                                model(2, attested(by)),
		"of a maker whose keys were compromised": model(5, attested(by)),
	} {
		d.notAllowed(t, name, change)
	}
	k, ctx := softkey.New(here), stepUp.as(t, d.ann) // a lie is a lie still
	k.CA, k.AAGUID = by, [16]byte{1}
	_, err := d.register(ctx, d.creation(t, ctx, creating, k, func(s *softkey.Said) { s.Signature = flip(-1) }))
	refused(t, err, invalid)
	_, err = d.register(ctx, d.creation(t, ctx, creating, k, func(s *softkey.Said) { s.AAGUID = [16]byte{4} }))
	refused(t, err, invalid)
	if c, err := d.options(ctx, creating); err != nil || !strings.Contains(string(c.JSON), `"attestation":"direct"`) {
		t.Errorf("%s, %v", c.JSON, err)
	}
}

func TestMetadataThatAreNotSignedAreRefused(t *testing.T) {
	signer, stranger := newSigner(t), newSigner(t)
	path := signer.write(t, entry(1, softkey.NewCA(), "FIDO_CERTIFIED", "basic_full"))
	blob, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Split(string(blob), ".")
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "blob.jwt")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]Rules{
		"by another root":             {Metadata: path, Root: stranger.root},
		"by FIDO":                     {Metadata: path},
		"by a root that is no root":   {Metadata: path, Root: "AAAA"},
		"by a root that is no base64": {Metadata: path, Root: "%"},
		"by a certificate of its own": {Metadata: file(stranger.blob(t, stranger.leaf, stranger.root)), Root: signer.root},
		"by one certificate":          {Metadata: file(signer.blob(t, signer.leaf)), Root: signer.root},
		"by another leaf":             {Metadata: file(signer.blob(t, stranger.leaf, signer.root)), Root: signer.root},
		"with another payload":        {Metadata: file(text[0] + "." + b64([]byte(`{"no":1,"nextUpdate":"2099-01-01","entries":[]}`)) + "." + text[2]), Root: signer.root},
		"without a signature":         {Metadata: file(text[0] + "." + text[1] + "."), Root: signer.root},
		"by the algorithm none":       {Metadata: file(b64([]byte(`{"alg":"none"}`)) + "." + text[1] + "."), Root: signer.root},
		"an empty file":               {Metadata: file(""), Root: signer.root},
		"the payload alone":           {Metadata: file(text[1]), Root: signer.root},
		"a file that is not there":    {Metadata: filepath.Join(t.TempDir(), "nothing"), Root: signer.root},
		"a folder":                    {Metadata: t.TempDir(), Root: signer.root},
	} {
		p := parts(t, nil, nil)
		p.Rules = c
		p.Rules.Use = Enabled
		if _, err := New(p); err == nil || !strings.Contains(err.Error(), "passkeys.metadata "+c.Metadata) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := parts(t, nil, nil)
	p.Rules.Metadata, p.Rules.Root = path, signer.root
	if _, err := New(p); err != nil {
		t.Error("the truth: ", err)
	}
}

// What was made before the metadata were there goes on working, unless its model has lost its good standing.
func TestMetadataStopOnlyWhatWasRevoked(t *testing.T) {
	signer, by := newSigner(t), softkey.NewCA()
	d := opened(t, dbtest.Open(t, dbtest.SQLite(t, schemas)), func(*Parts) {})
	attested := func(k *softkey.Key) { k.CA = by }
	keep := []*softkey.Key{d.registered(t, d.ann, model(1)), d.registered(t, d.ann, model(9, attested)),
		d.registered(t, d.ann, model(8, func(k *softkey.Key) { k.SelfAttest = true }))}
	revoked := d.registered(t, d.ann, model(2, attested))
	d.Rules.Metadata, d.Rules.Root = signer.write(t, entry(1, by, "FIDO_CERTIFIED", "basic_full"), entry(2, by, "REVOKED", "basic_full")), signer.root
	var err error
	if d.Passkey, err = New(d.Parts); err != nil {
		t.Fatal(err)
	}
	for _, k := range keep {
		d.honest(t, nameless.as(t, d.ann), k)
	}
	ctx := nameless.as(t, d.ann)
	_, err = d.prove(ctx, answer(t, revoked, d.asked(t, ctx)))
	refused(t, err, invalid)
}
