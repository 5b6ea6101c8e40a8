package browser

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"sallyport/test/harness"
)

// A kind is what an authenticator can do, and what the person in front of it does.
type kind webauthn.VirtualAuthenticatorOptions

var (
	// platform is built into the computer, and knows its person.
	platform = kind{Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21,
		Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true, IsUserVerified: true,
		AutomaticPresenceSimulation: true}
	// synced is the same with passkeys that are copied to other devices.
	synced = platform.backedUp()
	// roaming is a security key that is touched and asks for nothing. Chromium refuses to make a discoverable credential
	// where nobody is verified, so this one can make a credential only if none is wished for (residentKey: discouraged).
	roaming = kind{Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap20,
		Transport: webauthn.AuthenticatorTransportUsb, HasResidentKey: true, AutomaticPresenceSimulation: true}
)

func (k kind) backedUp() kind {
	k.DefaultBackupEligibility, k.DefaultBackupState = true, true
	return k
}

// withoutResidentKey has no place for credentials: it finds one again by the id it is shown.
func (k kind) withoutResidentKey() kind { k.HasResidentKey = false; return k }

// untouched leaves every request hanging.
func (k kind) untouched() kind { k.AutomaticPresenceSimulation = false; return k }

// unverified does not recognise the person: a wrong finger, a wrong PIN.
func (k kind) unverified() kind { k.IsUserVerified = false; return k }

// over reaches the browser another way: usb, nfc, ble, hybrid (a phone beside it), internal. A tab has one internal.
func (k kind) over(t webauthn.AuthenticatorTransport) kind { k.Transport = t; return k }

// An authenticator is plugged into one tab. It answers whatever is asked of any page there, at once. Of several, the first
// to answer decides, and one that has nothing to offer answers too, with a refusal: see touch.
type authenticator struct {
	b  *tab
	id webauthn.AuthenticatorID

	mu   sync.Mutex
	told []happening // and not yet waited for
}

// A happening is what an authenticator tells of a credential: that it was added, asserted, updated or deleted.
type happening struct {
	what          string
	id            []byte
	name, display string // of the user; empty if it was deleted
}

// plug adds an authenticator, beside those that are there.
func (b *tab) plug(k kind) *authenticator {
	b.Helper()
	call(b, webauthn.Enable, webauthn.EnableParams{}) // once more changes nothing
	options := webauthn.VirtualAuthenticatorOptions(k)
	a := &authenticator{b: b}
	a.id = call(b, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &options}).AuthenticatorID
	b.must(chromedp.Listen(b.ctx, a.listen))
	return a
}

func (a *authenticator) listen(event any) {
	switch e := event.(type) {
	case *webauthn.EventCredentialAdded:
		a.note(e.AuthenticatorID, "added", e.Credential)
	case *webauthn.EventCredentialAsserted:
		a.note(e.AuthenticatorID, "asserted", e.Credential)
	case *webauthn.EventCredentialUpdated:
		a.note(e.AuthenticatorID, "updated", e.Credential)
	case *webauthn.EventCredentialDeleted:
		a.note(e.AuthenticatorID, "deleted", &webauthn.Credential{CredentialID: e.CredentialID})
	}
}

func (a *authenticator) note(of webauthn.AuthenticatorID, what string, c *webauthn.Credential) {
	if of != a.id {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = append(a.told, happening{what, c.CredentialID, c.UserName, c.UserDisplayName})
}

// wait is the first happening of a sort that nobody has waited for yet.
func (a *authenticator) wait(what string) happening {
	a.b.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if h, ok := a.next(what); ok {
			return h
		}
	}
	a.b.shoot("failed")
	a.b.Fatalf("waited in vain for a credential to be %s", what)
	panic("unreachable")
}

func (a *authenticator) next(what string) (happening, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := slices.IndexFunc(a.told, func(h happening) bool { return h.what == what })
	if n < 0 {
		return happening{}, false
	}
	h := a.told[n]
	a.told = slices.Delete(a.told, n, n+1)
	return h, true
}

// touch says whether somebody touches it when a request comes. A request that hangs already goes on hanging.
func (a *authenticator) touch(on bool) {
	a.b.Helper()
	call(a.b, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: a.id, Enabled: on})
}

// verify says whether it recognises the person.
func (a *authenticator) verify(on bool) {
	a.b.Helper()
	call(a.b, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: a.id, IsUserVerified: on})
}

// lie makes its answers wrong from now on: a bogus signature, or the flags UP and UV not set. Nothing named ends that.
func (a *authenticator) lie(p webauthn.SetResponseOverrideBitsParams) {
	a.b.Helper()
	p.AuthenticatorID = a.id
	call(a.b, webauthn.SetResponseOverrideBits, p)
}

// credentials are all that it holds, with their private keys.
func (a *authenticator) credentials() []*webauthn.Credential {
	a.b.Helper()
	return call(a.b, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id}).Credentials
}

// remove is the person at the settings of the authenticator. It tells of it as "deleted".
func (a *authenticator) remove(id []byte) {
	a.b.Helper()
	call(a.b, webauthn.RemoveCredential, webauthn.RemoveCredentialParams{AuthenticatorID: a.id, CredentialID: id})
}

// count sets the signature counter of a credential, as on a copy of it.
func (a *authenticator) count(id []byte, n float64) {
	a.b.Helper()
	call(a.b, webauthn.SetCredentialProperties, webauthn.SetCredentialPropertiesParams{AuthenticatorID: a.id, CredentialID: id, SignCount: &n})
}

// receive takes over a credential of another authenticator, as synced passkeys arrive on another device.
func (a *authenticator) receive(c *webauthn.Credential) {
	a.b.Helper()
	// webauthn.Credential cannot be sent back: it always names generateCmtgKeyOnNextOperation, which Chromium refuses here.
	params := map[string]any{"authenticatorId": a.id, "credential": map[string]any{
		"credentialId": c.CredentialID, "isResidentCredential": c.IsResidentCredential, "rpId": c.RpID, "privateKey": c.PrivateKey,
		"userHandle": c.UserHandle, "userName": c.UserName, "userDisplayName": c.UserDisplayName, "signCount": c.SignCount,
		"backupEligibility": c.BackupEligibility, "backupState": c.BackupState}}
	call(a.b, cdp.Command[map[string]any, cdp.Empty]{Method: webauthn.CommandAddCredential}, params)
}

// unplug takes it away, with all that it holds.
func (a *authenticator) unplug() {
	a.b.Helper()
	call(a.b, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: a.id})
}

// passwordManager stands in, on every page from now on, for what Chromium leaves out when authenticators are virtual. A
// conditional get would be answered at once, so it is held until pick, as if a list of passkeys hung below the input. A
// conditional create would hang, so the authenticator is asked in the common way.
func (b *tab) passwordManager() {
	b.Helper()
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `{
		const credentials = navigator.credentials, get = credentials.get.bind(credentials), create = credentials.create.bind(credentials);
		const busy = () => Promise.reject(new DOMException('A request is already pending.', 'OperationError'));
		const held = (o) => new Promise((resolve, reject) => {
			const end = () => { delete window.pickPasskey; reject(o.signal.reason); };
			if (o.signal && o.signal.aborted) return end();
			if (o.signal) o.signal.addEventListener('abort', end);
			window.pickPasskey = () => { delete window.pickPasskey; get(o).then(resolve, reject); };
		});
		credentials.get = (o) => window.pickPasskey ? busy() : o && o.mediation === 'conditional' ? held(o) : get(o);
		credentials.create = (o) => window.pickPasskey ? busy() : create({...o, mediation: undefined});
	}`})
}

// pick takes a passkey from the list, once the page has asked for one. It needs passwordManager.
func (b *tab) pick() {
	b.Helper()
	b.until("a list of passkeys", `return 'pickPasskey' in window`)
	eval[bool](b, `window.pickPasskey(); return true`)
}

// ceremonies are a page that asks for a passkey, in short. What is refused is told as the name of the error.
const ceremonies = `
const pk = (o) => ({publicKey: {challenge: new Uint8Array(32), timeout: 1000, ...o}});
const told = (p) => p.then((c) => c.id, (e) => e.name);
const create = (name, selection, o) => navigator.credentials.create({...o, ...pk({
	rp: {name: 'x'}, user: {id: new TextEncoder().encode(name), name, displayName: name}, authenticatorSelection: selection,
	pubKeyCredParams: [-7, -257].map((alg) => ({type: 'public-key', alg}))})});
const get = (uv, o) => navigator.credentials.get({...o, ...pk({userVerification: uv})});
`

// What the other tests take for granted of Chromium.
func TestVirtualAuthenticatorsBehave(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	b := open(t, s.URL, desk, "authenticators")
	b.passwordManager()
	b.visit(strings.TrimPrefix(s.SetupLink, s.URL)) // which asks for no passkey of its own
	is := func(want, what string) {
		t.Helper()
		if got := eval[string](b, ceremonies+`return told(`+what+`)`); got != want {
			t.Errorf("%s: %s, not %s", what, got, want)
		}
	}
	laptop, key := b.plug(synced), b.plug(roaming.withoutResidentKey().untouched())
	id := eval[string](b, ceremonies+`return told(create('maya', {residentKey: 'required', userVerification: 'required'}))`)
	if c := laptop.credentials(); len(c) != 1 || !c[0].IsResidentCredential || !c[0].BackupState || len(key.credentials()) != 0 {
		t.Fatalf("the laptop holds %v, the key %v", c, key.credentials())
	}
	laptop.wait("added")
	is(id, `get('required')`)
	laptop.wait("asserted")
	laptop.verify(false)
	is("NotAllowedError", `get('required')`)
	laptop.verify(true)
	laptop.touch(false)
	is("NotAllowedError", `get('required')`) // by the timeout
	key.touch(true)
	eval[string](b, ceremonies+`return told(create('maya', {residentKey: 'preferred', userVerification: 'discouraged'}))`)
	if c := key.credentials(); len(c) != 1 || c[0].IsResidentCredential {
		t.Errorf("the key holds %v", c)
	}
	key.unplug()
	laptop.touch(true)

	eval[bool](b, ceremonies+`told(get('required', {mediation: 'conditional'})).then((x) => { document.title = x; }); return true`)
	is("OperationError", `get('required')`)
	b.pick()
	b.until("the passkey picked", `return document.title === a`, id)

	yes := true
	laptop.lie(webauthn.SetResponseOverrideBitsParams{IsBadUP: &yes, IsBadUV: &yes}) // as nobody is there when a password is replaced
	flags := `return create('another', {}, {mediation: 'conditional'}).then((c) => new Uint8Array(c.response.getAuthenticatorData())[32])`
	if got := eval[int](b, ceremonies+flags); got&0b101 != 0 { // Web Authentication, section 6.1: UP is bit 0, UV is bit 2
		t.Errorf("the flags of a passkey made in passing are %b", got)
	}
	laptop.lie(webauthn.SetResponseOverrideBitsParams{})
	for _, c := range laptop.credentials() {
		if c.UserName == "another" {
			laptop.remove(c.CredentialID)
		}
	}
	laptop.wait("deleted")

	eval[bool](b, `return PublicKeyCredential.signalCurrentUserDetails({rpId: 'localhost', userId: 'bWF5YQ', name: 'm', displayName: 'Maya'}).then(() => true)`)
	if h := laptop.wait("updated"); h.name != "m" || h.display != "Maya" {
		t.Errorf("the names became %+v", h)
	}
	kept := laptop.credentials()[0]
	eval[bool](b, `return PublicKeyCredential.signalUnknownCredential({rpId: 'localhost', credentialId: a}).then(() => true)`, id)
	laptop.wait("deleted")
	laptop.receive(kept)
	laptop.count(kept.CredentialID, 100)
	is(id, `get('required')`)
	if c := laptop.credentials(); len(c) != 1 || c[0].SignCount <= 100 || !c[0].BackupEligibility {
		t.Errorf("it received %v", c)
	}
}
