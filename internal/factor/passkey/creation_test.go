package passkey

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/factor/softkey"
)

func signsWith(alg int) func(*softkey.Key) { return func(k *softkey.Key) { k.Alg = alg } }

const es256, edDSA, es384, rs256 = -7, -8, -35, -257

// key is a lie about the public key: members of its COSE map, nil to leave one out.
func key(change softkey.Map) softkey.Lie {
	return func(s *softkey.Said) {
		m := s.PublicKey.(softkey.Map)
		for name, value := range change {
			if m[name] = value; value == nil {
				delete(m, name)
			}
		}
	}
}

// bent is a lie about one byte string in the public key.
func bent(member int, change func([]byte) []byte) softkey.Lie {
	return func(s *softkey.Said) {
		m := s.PublicKey.(softkey.Map)
		m[member] = change(m[member].([]byte))
	}
}

func statement(v any) softkey.Lie { return func(s *softkey.Said) { s.AttStmt = v } }

func creationLies() []mutation {
	itself := func(k *softkey.Key) { k.SelfAttest = true }
	ca := softkey.NewCA()
	byMaker := func(k *softkey.Key) { k.CA, k.AAGUID = ca, [16]byte{7} }
	encoded := func(b ...byte) softkey.Lie { return func(s *softkey.Said) { s.PublicKey = softkey.Encoded(b) } }
	object := func(f func([]byte) []byte) softkey.Lie { return func(s *softkey.Said) { s.AttestationObject = f } }
	lies := append(clientLies("webauthn.get"), []mutation{
		{"no credential data", unset(softkey.AT), unreadable, nil},
		{"no credential data at all", func(s *softkey.Said) { s.Flags &^= softkey.AT; s.PublicKey = nil }, unreadable, nil},
		{"an id of 1024 bytes", func(s *softkey.Said) { s.CredentialID = random(1024) }, unreadable, nil},
		{"an id of nothing", func(s *softkey.Said) { s.CredentialID = nil }, unreadable, nil},
		{"an id of nothing, hidden", func(s *softkey.Said) {
			id := b64(s.CredentialID)
			s.CredentialID, s.JSON = nil, func(m map[string]any) { m["id"], m["rawId"] = id, id }
		}, invalid, nil},
		{"another id than the attested", outside(func(m map[string]any) { m["id"] = b64([]byte("x")); m["rawId"] = m["id"] }), invalid, nil},

		{"PS256, not offered", key(softkey.Map{3: -37}), invalid, signsWith(rs256)},
		{"RS1, not offered", key(softkey.Map{3: -65535}), invalid, signsWith(rs256)},
		{"ES256K, not offered", key(softkey.Map{3: -47, -1: 8}), invalid, signsWith(es256)},
		{"ESP256, not offered", key(softkey.Map{3: -9}), invalid, signsWith(es256)},
		{"Ed25519 by its newer name, not offered", key(softkey.Map{3: -19}), invalid, signsWith(edDSA)},
		{"no algorithm", key(softkey.Map{3: nil}), invalid, nil},
		{"an elliptic key for EdDSA", key(softkey.Map{3: edDSA}), invalid, signsWith(es256)},
		{"an elliptic key for RSA", key(softkey.Map{3: rs256}), invalid, signsWith(es256)},
		{"an elliptic key for another curve", key(softkey.Map{3: es384}), invalid, signsWith(es256)},
		{"an Edwards key for ES256", key(softkey.Map{3: es256}), invalid, signsWith(edDSA)},
		{"an RSA key for ES256", key(softkey.Map{3: es256}), invalid, signsWith(rs256)},
		{"an algorithm that is text", key(softkey.Map{3: "ES256"}), invalid, nil},
		{"no kind of key", key(softkey.Map{1: nil}), invalid, nil},
		{"a symmetric key", key(softkey.Map{1: 4}), invalid, nil},
		{"a point that is not on its curve", bent(-3, flip(-1)), invalid, signsWith(es256)},
		{"the point zero", key(softkey.Map{-2: make([]byte, 32), -3: make([]byte, 32)}), invalid, signsWith(es256)},
		{"a point cut short", bent(-2, softkey.Cut(1)), invalid, signsWith(es256)},
		{"a point without y", key(softkey.Map{-3: nil}), invalid, signsWith(es256)},
		{"the wrong curve", key(softkey.Map{-1: 2}), invalid, signsWith(es256)},
		{"no curve", key(softkey.Map{-1: nil}), invalid, signsWith(es256)},
		{"an Edwards key cut short", bent(-2, softkey.Cut(1)), invalid, signsWith(edDSA)},
		{"an Edwards key and more", bent(-2, softkey.Tail(0)), invalid, signsWith(edDSA)},
		{"an Edwards key for agreement", key(softkey.Map{-1: 4}), invalid, signsWith(edDSA)},
		{"RSA of 1024 bits", bent(-1, softkey.Cut(128)), invalid, signsWith(rs256)},
		{"RSA of 2040 bits", bent(-1, softkey.Cut(1)), invalid, signsWith(rs256)},
		{"RSA of 1024 bits, padded", bent(-1, func(n []byte) []byte { return slices.Concat(make([]byte, 128), n[:127], []byte{1}) }), invalid, signsWith(rs256)},
		{"RSA of nothing", key(softkey.Map{-1: []byte{}}), invalid, signsWith(rs256)},
		{"RSA with an even modulus", bent(-1, flip(-1)), invalid, signsWith(rs256)},
		{"RSA with the exponent 1", key(softkey.Map{-2: []byte{1}}), invalid, signsWith(rs256)},
		{"RSA with the exponent 2", key(softkey.Map{-2: []byte{2}}), invalid, signsWith(rs256)},
		{"RSA with an exponent of 33 bits", key(softkey.Map{-2: []byte{1, 0, 0, 0, 1}}), invalid, signsWith(rs256)},
		{"RSA without an exponent", key(softkey.Map{-2: nil}), invalid, signsWith(rs256)},
		{"a key that is a number", encoded(7), invalid, nil},
		{"a key that is an empty map", encoded(0xa0), invalid, nil},
		{"a key that is a list", encoded(0x80), invalid, nil},
		{"a key of unknown length", encoded(0xbf, 0xff), unreadable, nil},
		{"a key that says a member twice", encoded(0xa2, 1, 2, 1, 3), unreadable, nil},
		{"a key with a tag", encoded(0xc1, 0xa0), unreadable, nil},
		{"a deep key", encoded(bytes.Repeat([]byte{0x81}, 1000)...), unreadable, nil},
		{"no key", encoded(), unreadable, nil},

		{"a tail on the attestation object", object(softkey.Tail(0)), unreadable, nil},
		{"an attestation object twice", object(func(b []byte) []byte { return slices.Concat(b, b) }), unreadable, nil},
		{"an attestation object that is empty", object(nothing), unreadable, nil},
		{"an attestation object that is an empty map", object(func([]byte) []byte { return []byte{0xa0} }), unreadable, nil},
		{"an attestation object that is JSON", object(func([]byte) []byte { return []byte("{}") }), unreadable, nil},
		{"a deep attestation object", object(func([]byte) []byte { return bytes.Repeat([]byte{0x81}, 5000) }), unreadable, nil},
		{"an attestation object that is a number", response("attestationObject", 7), unreadable, nil},
		{"transports that are text", response("transports", "usb"), unreadable, nil},
		{"an algorithm that is a list", response("publicKeyAlgorithm", []int{-7}), unreadable, nil},

		{"no format", func(s *softkey.Said) { s.Format = "" }, invalid, nil},
		{"an unknown format", func(s *softkey.Said) { s.Format = "made-up" }, invalid, nil},
		{"no attestation, and a statement", statement(softkey.Map{"sig": []byte{1}}), invalid, nil},
		{"attested in many ways, by no list of them", func(s *softkey.Said) { s.Format = "compound" }, unreadable, itself},
		{"a statement that is a number", statement(softkey.Encoded{7}), unreadable, nil},
		{"attested without a statement", func(s *softkey.Said) { s.Format, s.AttStmt = "packed", softkey.Map{} }, invalid, nil},
		{"attested by itself, a bit flipped", func(s *softkey.Said) { s.Signature = flip(-1) }, invalid, itself},
		{"attested by itself, no signature", func(s *softkey.Said) { s.Signature = nothing }, invalid, itself},
		{"attested by itself, with another key", func(s *softkey.Said) { s.SignWith = stranger() }, invalid, itself},
		{"attested by itself, as another algorithm", func(s *softkey.Said) { s.AttAlg = rs256 }, invalid, itself},
		{"attested by itself, for another challenge", replaced("clientDataJSON", func(b []byte) []byte { return append(b, ' ') }), invalid, itself},
		{"attested by its maker, a bit flipped", func(s *softkey.Said) { s.Signature = flip(-1) }, invalid, byMaker},
		{"attested by its maker, with another key", func(s *softkey.Said) { s.SignWith = stranger() }, invalid, byMaker},
		{"attested by its maker, as another model", func(s *softkey.Said) { s.AAGUID = [16]byte{8} }, invalid, byMaker},
		{"attested by its maker, by the root itself", func(s *softkey.Said) { s.X5C = []any{ca.Root.Raw} }, invalid, byMaker},
		{"attested by its maker, with no certificate", func(s *softkey.Said) { s.X5C = []any{} }, invalid, byMaker},
		{"attested by its maker, with text for a certificate", func(s *softkey.Said) { s.X5C = []any{"x"} }, invalid, byMaker},
		{"attested by its maker, with a broken certificate", func(s *softkey.Said) { s.X5C = []any{[]byte{1, 2, 3}} }, invalid, byMaker},
		{"attested by its maker, as another algorithm", func(s *softkey.Said) { s.AttAlg = es384 }, invalid, byMaker},
	}...)
	for _, format := range []string{"tpm", "android-key", "android-safetynet", "apple", "fido-u2f"} {
		lies = append(lies, mutation{"attested as " + format + ", with another statement", func(s *softkey.Said) { s.Format = format }, invalid, itself},
			mutation{"attested as " + format + ", with none", func(s *softkey.Said) { s.Format = format }, invalid, nil})
	}
	return lies
}

// failures counts the rows that tell of a wrong response while a factor was added, and says why the newest one was.
func (d *door) failures(t *testing.T) (rows int, why string) {
	t.Helper()
	if err := d.DB.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM events WHERE kind = $1`, auth.FactorFailed).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	newest, err := d.Trail.Recent(t.Context(), d.ann.ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(newest) > 0 {
		why = newest[0].Detail["why"]
	}
	return rows, why
}

// calm forgets failures, lest the throttle answers in our place.
func (d *door) calm(t *testing.T) {
	t.Helper()
	if err := d.DB.Tx(t.Context(), func(tx auth.Tx) error { return d.Throttle.Forget(t.Context(), tx, d.ann.ID) }); err != nil {
		t.Fatal(err)
	}
}

// wrongly fails unless a response adds nothing, leaves one row, and the truth right after it is accepted.
func (d *door) wrongly(t *testing.T, w way, to purpose, k *softkey.Key, why refusal, lie softkey.Lie) {
	t.Helper()
	d.clock.Wait(time.Second) // rows are in the order of time
	ctx, before := w.as(t, d.ann), d.kept(t)
	rows, _ := d.failures(t)
	proof, err := d.register(ctx, d.creation(t, ctx, to, k, lie))
	if refused(t, err, why); proof != (auth.Proof{}) {
		t.Errorf("%+v", proof)
	}
	if after := d.kept(t); after != before {
		t.Errorf("it was %s and is %s", before, after)
	}
	if now, said := d.failures(t); now != rows+1 || said != why.Why() {
		t.Errorf("%d rows after %d, the newest says %q", now, rows, said)
	}
	if _, err := d.register(ctx, d.creation(t, ctx, to, k)); err != nil {
		t.Fatal("the truth: ", err)
	}
	if err := d.DB.Tx(t.Context(), func(tx auth.Tx) error { return d.Reset(t.Context(), tx, d.ann.ID) }); err != nil {
		t.Fatal(err)
	}
}

// R5, R6: in Settings and in the middle of a sign-in.
func TestALieAddsNothing(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		for i, m := range creationLies() {
			t.Run(m.name, func(t *testing.T) {
				for _, to := range []purpose{creating, upgrading} {
					if m.name == "nobody present" && to == upgrading { // see TestABrowserAloneAddsAPasskey
						continue
					}
					k := softkey.New(here)
					if m.key != nil {
						m.key(k)
					}
					d.wrongly(t, []way{second, stepUp}[i%2], to, k, m.why, m.lie)
				}
			})
		}
	})
}

// R6: at any length but its own.
func TestAnAttestationObjectCutShortAddsNothing(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		ctx := stepUp.as(t, d.ann)
		for name, attest := range map[string]func(*softkey.Key){"none": func(*softkey.Key) {}, "packed": func(k *softkey.Key) { k.SelfAttest = true }} {
			k, long := softkey.New(here), 1
			attest(k)
			for cut := 1; cut <= long; cut++ {
				_, err := d.register(ctx, d.creation(t, ctx, creating, k, func(s *softkey.Said) {
					s.AttestationObject = func(b []byte) []byte { long = len(b); return b[:len(b)-cut] }
				}))
				refused(t, err, unreadable)
				d.calm(t)
			}
			if long < 100 {
				t.Errorf("%s: %d bytes", name, long)
			}
		}
		for cut := 1; cut <= 37+16+2+32+42; cut++ { // an Ed25519 key is 42 bytes long
			_, err := d.register(ctx, d.creation(t, ctx, creating, softkey.New(here), func(s *softkey.Said) { s.AuthData = softkey.Cut(cut) }))
			refused(t, err, unreadable)
			d.calm(t)
		}
		if rows := d.kept(t); rows != "" {
			t.Error(rows)
		}
	})
}

// R6
func TestTextThatIsNoResponseAddsNothing(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		ctx := stepUp.as(t, d.ann)
		right := d.creation(t, ctx, creating, softkey.New(here))
		for _, text := range [][]byte{nil, []byte("null"), []byte("0"), []byte("[]"), []byte("{}"), right[1:], right[:len(right)-1],
			slices.Concat(right, right), append(slices.Clone(right), 0), []byte(strings.Repeat("[", 1<<20)), bytes.Repeat([]byte{0xff}, 100)} {
			_, err := d.register(ctx, text)
			refused(t, err, unreadable)
		}
		if _, err := d.register(ctx, right); err != nil {
			t.Error("the truth, after it was bent: ", err)
		}
	})
}

// P10: a browser makes one by itself after it filled in a password; nobody touches anything then, and only then.
func TestABrowserAloneAddsAPasskey(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		for _, w := range []way{second, stepUp} {
			ctx := w.as(t, d.ann)
			absent := unset(softkey.UP | softkey.UV)
			if proof, err := d.register(ctx, d.creation(t, ctx, upgrading, softkey.New(here), absent)); err != nil || proof.Level != auth.OneFactor {
				t.Errorf("%s: %+v, %v", w.name, proof, err)
			}
			k := softkey.New(here)
			d.wrongly(t, w, creating, k, invalid, absent)
		}
		k := d.registered(t, d.ann)
		for _, w := range ways { // to be used it has to be touched, whoever made it
			_, err := d.prove(w.as(t, d.ann), answer(t, k, d.asked(t, w.as(t, d.ann)), unset(softkey.UP)))
			refused(t, err, invalid)
		}
	})
}

// Web Authentication Level 3, section 7.1, step 26: an id is unique over all people. It is no wrong response, so there is
// no row of one.
func TestACredentialIsRegisteredOnce(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		var id []byte
		k := d.registered(t, d.ann)
		answer(t, k, d.asked(t, second.as(t, d.ann)), func(s *softkey.Said) { id = s.CredentialID })
		before := d.kept(t)
		for _, u := range []auth.User{d.ann, d.bob} {
			for _, w := range []way{second, stepUp} {
				again := d.creation(t, w.as(t, u), creating, softkey.New(here), func(s *softkey.Said) { s.CredentialID = slices.Clone(id) })
				_, err := d.register(w.as(t, u), again)
				var known auth.ConflictError
				if !errors.As(err, &known) || known.Code != "passkey-known" || errors.Is(err, auth.ErrWrong) {
					t.Errorf("%s, %s: %v", u.Name, w.name, err)
				}
			}
		}
		if after := d.kept(t); after != before {
			t.Errorf("it was %s and is %s", before, after)
		}
		if rows, _ := d.failures(t); rows > 0 {
			t.Error(rows, "rows")
		}
		d.honest(t, nameless.as(t, d.ann), k)
	})
}

// An id may be long, up to 1023 bytes, and as short as one.
func TestAnIdMayBeOfAnyLengthWithinLimits(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		for _, n := range []int{1, 16, 1023} {
			k, ctx := softkey.New(here), stepUp.as(t, d.ann)
			if _, err := d.register(ctx, d.creation(t, ctx, creating, k, func(s *softkey.Said) { s.CredentialID = random(n) })); err != nil {
				t.Fatal(n, err)
			}
			d.honest(t, ctx, k)
		}
	})
}

// All four that the key knows of the five we offer.
func TestWhatWeOfferWorks(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		for _, alg := range []int{es256, edDSA, es384, rs256} {
			for name, attest := range map[string]func(*softkey.Key){
				"none": func(*softkey.Key) {}, "self": func(k *softkey.Key) { k.SelfAttest = true }, "maker": func(k *softkey.Key) { k.CA = softkey.NewCA() }} {
				k := d.registered(t, d.ann, signsWith(alg), attest)
				if p := d.honest(t, nameless.as(t, d.ann), k); p.Level != auth.MultiFactor {
					t.Errorf("%d, %s: %+v", alg, name, p)
				}
			}
		}
	})
}

// A key that holds a passkey of theirs makes no second one.
func TestAKeyIsNotAddedTwice(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		k := d.registered(t, d.ann)
		for u, excluded := range map[auth.User]bool{d.ann: true, d.bob: false} {
			c, err := d.options(stepUp.as(t, u), creating)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.Create(c.JSON); errors.Is(err, softkey.ErrExcluded) != excluded {
				t.Errorf("%s: %v", u.Name, err)
			}
		}
	})
}

// R3: wrong responses while a passkey is added are counted, and a right one gives back its own.
func TestWrongResponsesWhileOneIsAddedAreCounted(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		ctx := stepUp.as(t, d.ann)
		for range 40 {
			d.registered(t, d.ann)
		}
		for range 30 {
			_, err := d.register(ctx, []byte("{}"))
			refused(t, err, unreadable)
		}
		right := d.creation(t, ctx, creating, softkey.New(here))
		if _, err := d.register(ctx, right); !errors.As(err, new(auth.ThrottledError)) {
			t.Error("after 30 wrong ones: ", err)
		}
		d.clock.Wait(time.Minute)
		if _, err := d.register(ctx, right); err != nil {
			t.Error("after the wait: ", err)
		}
	})
}

// A wrong response uses its challenge up, as a right one does.
func TestAWrongCreationUsesItsChallengeUp(t *testing.T) {
	each(t, func(t *testing.T, d *door) {
		for _, by := range []purpose{creating, upgrading} {
			ctx, k := stepUp.as(t, d.ann), softkey.New(here)
			options, err := d.options(ctx, by)
			if err != nil {
				t.Fatal(err)
			}
			said := func(lies ...softkey.Lie) []byte {
				response, err := k.Create(options.JSON, lies...)
				if err != nil {
					t.Fatal(err)
				}
				return response
			}
			_, err = d.register(ctx, said(func(s *softkey.Said) { s.RPIDHash[0] ^= 1 }))
			refused(t, err, invalid)
			_, err = d.register(ctx, said())
			refused(t, err, answered)
		}
	})
}
