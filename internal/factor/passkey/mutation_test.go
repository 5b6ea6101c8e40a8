package passkey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/auth"
	"sallyport/internal/factor/softkey"
)

// A mutation is one lie in an answer that is true otherwise, and signed as if it were.
type mutation struct {
	name string
	lie  softkey.Lie
	why  refusal
	key  func(*softkey.Key) // what the key is like that lies; nil: as softkey.New
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

func stranger() crypto.Signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

func onOneDevice(k *softkey.Key) { k.BE, k.BS = false, false }

// client is a lie in what the browser says.
func client(change func(*softkey.ClientData)) softkey.Lie {
	return func(s *softkey.Said) { change(&s.ClientData) }
}

func origin(o string) softkey.Lie { return client(func(c *softkey.ClientData) { c.Origin = o }) }

// rpid is a lie about which relying party an answer is for.
func rpid(id string) softkey.Lie {
	return func(s *softkey.Said) { s.RPIDHash = sha256.Sum256([]byte(id)) }
}

func set(flags byte) softkey.Lie   { return func(s *softkey.Said) { s.Flags |= flags } }
func unset(flags byte) softkey.Lie { return func(s *softkey.Said) { s.Flags &^= flags } }

// outside is a lie in the JSON around an answer.
func outside(change func(m map[string]any)) softkey.Lie {
	return func(s *softkey.Said) { s.JSON = change }
}

func member(name string, value any) softkey.Lie {
	return outside(func(m map[string]any) { m[name] = value })
}

func response(name string, value any) softkey.Lie {
	return outside(func(m map[string]any) { m["response"].(map[string]any)[name] = value })
}

// replaced puts another text in the place of one that was signed.
func replaced(name string, change func([]byte) []byte) softkey.Lie {
	return outside(func(m map[string]any) {
		said := m["response"].(map[string]any)
		b, err := base64.RawURLEncoding.DecodeString(said[name].(string))
		if err != nil {
			panic(err)
		}
		said[name] = b64(change(b))
	})
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b = slices.Clone(b)
		b[(at+len(b))%len(b)] ^= 1
		return b
	}
}

func nothing([]byte) []byte { return []byte{} }

// Both ceremonies read the same client data. Type stands in for the other ceremony.
func clientLies(other string) []mutation {
	lies := []mutation{
		{"another challenge", client(func(c *softkey.ClientData) { c.Challenge = b64(random(32)) }), unasked, nil},
		{"a challenge of zeros", client(func(c *softkey.ClientData) { c.Challenge = b64(make([]byte, 32)) }), unasked, nil},
		{"no challenge", client(func(c *softkey.ClientData) { c.Challenge = "" }), unasked, nil},
		{"a challenge cut short", client(func(c *softkey.ClientData) { c.Challenge = c.Challenge[:len(c.Challenge)-3] }), unasked, nil},
		{"half a challenge", client(func(c *softkey.ClientData) { c.Challenge = c.Challenge[:24] }), unasked, nil},
		{"a challenge and more", client(func(c *softkey.ClientData) { c.Challenge += "AAAA" }), unasked, nil},
		{"a padded challenge", client(func(c *softkey.ClientData) { c.Challenge += "=" }), unreadable, nil},
		{"a challenge in plain base64", client(func(c *softkey.ClientData) { c.Challenge = "+/" + c.Challenge[2:] }), unreadable, nil},
		{"a challenge on two lines", client(func(c *softkey.ClientData) { c.Challenge = c.Challenge[:9] + "\n" + c.Challenge[9:] }), unreadable, nil},
		{"a challenge in another spelling", client(func(c *softkey.ClientData) { c.Challenge = respelled(c.Challenge) }), unreadable, nil},
		{"cross-origin", client(func(c *softkey.ClientData) { c.CrossOrigin = new(true) }), invalid, nil},
		{"cross-origin at a page of ours", client(func(c *softkey.ClientData) { c.CrossOrigin, c.TopOrigin = new(true), here }), invalid, nil},
		{"cross-origin elsewhere", client(func(c *softkey.ClientData) { c.CrossOrigin, c.TopOrigin = new(true), "https://evil.example" }), invalid, nil},
		{"a top origin alone", client(func(c *softkey.ClientData) { c.TopOrigin = here }), invalid, nil},
		{"the other ceremony", client(func(c *softkey.ClientData) { c.Type = other }), invalid, nil},
		{"an unknown ceremony", client(func(c *softkey.ClientData) { c.Type = "payment.get" }), invalid, nil},
		{"no ceremony", client(func(c *softkey.ClientData) { c.Type = "" }), invalid, nil},
		{"the ceremony in capitals", client(func(c *softkey.ClientData) { c.Type = strings.ToUpper(c.Type) }), invalid, nil},
		{"a second type", client(func(c *softkey.ClientData) { c.Extra = fmt.Sprintf(`,"type":%q`, other) }), invalid, nil},
		{"a second origin", client(func(c *softkey.ClientData) { c.Extra = `,"origin":"https://evil.example"` }), elsewhere, nil},
		{"a made-up token binding", client(func(c *softkey.ClientData) { c.Extra = `,"tokenBinding":{"status":"x"}` }), invalid, nil},
		{"the hash of our host", rpid("login.example.com"), invalid, nil},
		{"the hash of another site", rpid("example.org"), invalid, nil},
		{"a hash of zeros", func(s *softkey.Said) { s.RPIDHash = [32]byte{} }, invalid, nil},
		{"nobody present", unset(softkey.UP), invalid, nil},
		{"synced, but cannot sync", set(softkey.BS), invalid, onOneDevice},
		{"extensions that are not there", set(softkey.ED), unreadable, nil},
		{"a tail on the client data", func(s *softkey.Said) { s.ClientDataJSON = softkey.Tail('x') }, unreadable, nil},
		{"client data twice", func(s *softkey.Said) { s.ClientDataJSON = func(b []byte) []byte { return slices.Concat(b, b) } }, unreadable, nil},
		{"client data cut short", func(s *softkey.Said) { s.ClientDataJSON = softkey.Cut(1) }, unreadable, nil},
		{"no client data", func(s *softkey.Said) { s.ClientDataJSON = nothing }, unreadable, nil},
		{"client data that are null", func(s *softkey.Said) { s.ClientDataJSON = func([]byte) []byte { return []byte("null") } }, unasked, nil},
		{"client data that are a list", func(s *softkey.Said) {
			s.ClientDataJSON = func(b []byte) []byte { return slices.Concat([]byte("["), b, []byte("]")) }
		}, unreadable, nil},
		{"deep client data", client(func(c *softkey.ClientData) { c.Extra = `,"more":` + strings.Repeat("[", 20000) }), unreadable, nil},
		{"a tail on the authenticator data", func(s *softkey.Said) { s.AuthData = softkey.Tail(0) }, unreadable, nil},
		{"no authenticator data", func(s *softkey.Said) { s.AuthData = nothing }, unreadable, nil},
		{"no id", member("id", nil), unreadable, nil},
		{"an empty id", outside(func(m map[string]any) { m["id"], m["rawId"] = "", "" }), unreadable, nil},
		{"an id that is a number", member("id", 7), unreadable, nil},
		{"an id that is not the raw id", member("id", b64(random(32))), unreadable, nil},
		{"a raw id that is not the id", member("rawId", b64(random(32))), unreadable, nil},
		{"a raw id that is a list", member("rawId", []int{1, 2}), unreadable, nil},
		{"no type", member("type", nil), unreadable, nil},
		{"the type of a password", member("type", "password"), unreadable, nil},
		{"a response that is a list", member("response", []any{}), unreadable, nil},
		{"a response that is text", member("response", "x"), unreadable, nil},
		{"no response", member("response", nil), unreadable, nil},
		{"client data that are an object", response("clientDataJSON", map[string]any{}), unreadable, nil},
		{"client data that are no base64", response("clientDataJSON", "%%%"), unreadable, nil},
		{"results that are text", member("clientExtensionResults", "x"), unreadable, nil},
	}
	for _, o := range []string{"https://evil.example", "https://example.com", "https://www.login.example.com", "https://login.example.com.evil.example",
		"http://login.example.com", "ftp://login.example.com", "//login.example.com", "login.example.com", "https://login.example.com:443", "https://login.example.com:8443",
		"https://LOGIN.example.com", "HTTPS://login.example.com", "https://login.example.com.", "https://ann@login.example.com", "https://login.example.com/",
		"https://login.example.com/signin", "https://login.example.com?x", "https://login.example.com#x", " " + here, here + "\x00", here + "," + here, "null", "",
		"https://lоgin.example.com", "android:apk-key-hash:AAAA", "file://"} {
		lies = append(lies, mutation{fmt.Sprintf("the origin %q", o), origin(o), elsewhere, nil})
	}
	return lies
}

// respelled has the same bytes in other text: the last character of 43 carries two bits that mean nothing.
func respelled(challenge string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(challenge) - 1
	return challenge[:last] + string(alphabet[strings.IndexByte(alphabet, challenge[last])^1])
}

func assertionLies() []mutation {
	return append(clientLies("webauthn.create"), []mutation{
		{"never synced, but able to", set(softkey.BE), invalid, onOneDevice},
		{"never synced, but synced", set(softkey.BE | softkey.BS), invalid, onOneDevice},
		{"able to sync, but no more", unset(softkey.BE | softkey.BS), invalid, nil},
		{"able to sync no more, but synced", unset(softkey.BE), invalid, nil},
		{"credential data that are not there", set(softkey.AT), unreadable, nil},
		{"credential data unannounced", func(s *softkey.Said) { s.PublicKey = softkey.Map{1: 2} }, unreadable, nil},
		{"an unknown credential", func(s *softkey.Said) { s.CredentialID = random(32) }, unknown, nil},
		{"a credential with a byte less", func(s *softkey.Said) { s.CredentialID = s.CredentialID[:31] }, unknown, nil},
		{"a credential with a byte more", func(s *softkey.Said) { s.CredentialID = append(s.CredentialID, 0) }, unknown, nil},
		{"a credential id of 1024 bytes", func(s *softkey.Said) { s.CredentialID = random(1024) }, unknown, nil},
		{"a credential id of nothing", func(s *softkey.Said) { s.CredentialID = nil }, unreadable, nil},
		{"the handle of nobody", func(s *softkey.Said) { s.UserHandle = random(64) }, invalid, nil},
		{"a handle cut short", func(s *softkey.Said) { s.UserHandle = s.UserHandle[:63] }, invalid, nil},
		{"a handle that is a number", response("userHandle", 7), unreadable, nil},
		{"a signature with a bit flipped", func(s *softkey.Said) { s.Signature = flip(-1) }, invalid, nil},
		{"a signature of the first bit flipped", func(s *softkey.Said) { s.Signature = flip(0) }, invalid, nil},
		{"an empty signature", func(s *softkey.Said) { s.Signature = nothing }, invalid, nil},
		{"a signature of zeros", func(s *softkey.Said) { s.Signature = func(b []byte) []byte { return make([]byte, len(b)) } }, invalid, nil},
		{"a signature cut short", func(s *softkey.Said) { s.Signature = softkey.Cut(1) }, invalid, nil},
		{"a signature with a tail", func(s *softkey.Said) { s.Signature = softkey.Tail(0) }, invalid, nil},
		{"no signature", response("signature", nil), invalid, nil},
		{"a signature that is true", response("signature", true), unreadable, nil},
		{"the signature of another key", func(s *softkey.Said) { s.SignWith = stranger() }, invalid, nil},
		{"the signature of another key of the same kind", func(s *softkey.Said) { s.SignWith = stranger() }, invalid, func(k *softkey.Key) { k.Alg = -7 }},
		{"an ECDSA signature with a tail", func(s *softkey.Said) { s.Signature = softkey.Tail(0) }, invalid, func(k *softkey.Key) { k.Alg = -7 }},
		{"an ECDSA signature of zeros", func(s *softkey.Said) { s.Signature = func([]byte) []byte { return []byte{0x30, 6, 2, 1, 0, 2, 1, 0} } }, invalid, func(k *softkey.Key) { k.Alg = -7 }},
		{"an RSA signature with a bit flipped", func(s *softkey.Said) { s.Signature = flip(100) }, invalid, func(k *softkey.Key) { k.Alg = -257 }},
		{"a signature of other client data", replaced("clientDataJSON", func(b []byte) []byte { return append(b, ' ') }), invalid, nil},
		{"a signature of other authenticator data", replaced("authenticatorData", flip(36)), invalid, nil},
		{"authenticator data that are false", response("authenticatorData", false), unreadable, nil},
	}...)
}

// R2, R5, R6: each lie alone is wrong and nothing else, in each of the three ways, and leaves no trace: the truth right
// after it is accepted.
func TestALieProvesNothing(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		plain := d.registered(t, d.ann)
		for _, m := range assertionLies() {
			t.Run(m.name, func(t *testing.T) {
				k := plain
				if m.key != nil {
					k = d.registered(t, d.ann, m.key)
				}
				for _, w := range ways {
					ctx, before := w.as(t, d.ann), d.kept(t)
					_, err := d.prove(ctx, answer(t, k, d.asked(t, ctx), m.lie))
					refused(t, err, m.why)
					if after := d.kept(t); after != before {
						t.Errorf("%s: it was %s and is %s", w.name, before, after)
					}
					d.honest(t, ctx, k)
				}
			})
		}
	})
}

// R6: at any length but its own.
func TestAuthenticatorDataCutShortProveNothing(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		k, ctx := d.registered(t, d.ann), second.as(t, d.ann)
		for cut := 1; cut <= 37; cut++ {
			_, err := d.prove(ctx, answer(t, k, d.asked(t, ctx), func(s *softkey.Said) { s.AuthData = softkey.Cut(cut) }))
			refused(t, err, unreadable)
		}
		d.honest(t, ctx, k)
	})
}

// R6
func TestTextThatIsNoResponseProvesNothing(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		k := d.registered(t, d.ann)
		for _, w := range ways {
			ctx := w.as(t, d.ann)
			right := answer(t, k, d.asked(t, ctx))
			for _, text := range [][]byte{nil, []byte("null"), []byte("0"), []byte(`"x"`), []byte("[]"), []byte("{}"), right[1:], right[:len(right)-1],
				slices.Concat(right, right), slices.Concat([]byte("["), right, []byte("]")), append(slices.Clone(right), 0), []byte("\ufeff" + string(right)),
				[]byte(strings.Repeat("[", 1<<20)), []byte(strings.Repeat(`{"response":`, 20000)), bytes.Repeat([]byte{0xff}, 100)} {
				_, err := d.prove(ctx, text)
				refused(t, err, unreadable)
			}
			if _, err := d.prove(ctx, right); err != nil {
				t.Error("the truth, after it was bent: ", err)
			}
		}
	})
}

// P7: what a use without verification is worth depends on what came before it.
func TestPresenceAloneIsASecondStepOnly(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		k := d.registered(t, d.ann)
		for _, w := range ways {
			ctx := w.as(t, d.ann)
			proof, err := d.prove(ctx, answer(t, k, d.asked(t, ctx), unset(softkey.UV)))
			if w.name != second.name {
				refused(t, err, unverified)
			} else if err != nil || proof.Level != auth.OneFactor {
				t.Errorf("%+v, %v", proof, err)
			}
			if p := d.honest(t, ctx, k); p.Level != auth.MultiFactor {
				t.Errorf("%s: %+v", w.name, p)
			}
		}
	})
}

// Where we know who it is, a key that keeps no account need not say it: Web Authentication Level 3, section 7.2, step 6.
func TestAHandleMayBeMissingWhereThePersonIsKnown(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		k := d.registered(t, d.ann)
		for _, w := range []way{second, stepUp} {
			for name, lie := range map[string]softkey.Lie{
				"missing": func(s *softkey.Said) { s.UserHandle = nil },
				"null":    response("userHandle", nil),
			} {
				if _, err := d.prove(w.as(t, d.ann), answer(t, k, d.asked(t, w.as(t, d.ann)), lie)); err != nil {
					t.Errorf("%s, %s: %v", w.name, name, err)
				}
			}
		}
	})
}

// The answer of one person in the name of another.
func TestNobodyAnswersForAnother(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		anns, bobs := d.registered(t, d.ann), d.registered(t, d.bob)
		var id, handle []byte // of bob
		answer(t, bobs, d.asked(t, second.as(t, d.bob)), func(s *softkey.Said) { id, handle = s.CredentialID, s.UserHandle })
		for _, w := range ways {
			whose := foreign
			if w.name == nameless.name {
				whose = invalid // it claims to be bob, and is not
			}
			for name, c := range map[string]struct {
				lie softkey.Lie
				why refusal
			}{
				"the credential":                {func(s *softkey.Said) { s.CredentialID = slices.Clone(id) }, whose},
				"the handle":                    {func(s *softkey.Said) { s.UserHandle = handle }, invalid},
				"the credential and the handle": {func(s *softkey.Said) { s.CredentialID, s.UserHandle = slices.Clone(id), handle }, whose},
			} {
				t.Run(w.name+", "+name, func(t *testing.T) {
					before := d.kept(t)
					_, err := d.prove(w.as(t, d.ann), answer(t, anns, d.asked(t, w.as(t, d.ann)), c.lie))
					refused(t, err, c.why)
					if after := d.kept(t); after != before {
						t.Errorf("it was %s and is %s", before, after)
					}
				})
			}
			d.honest(t, w.as(t, d.ann), anns)
			d.honest(t, w.as(t, d.bob), bobs)
		}
	})
}
