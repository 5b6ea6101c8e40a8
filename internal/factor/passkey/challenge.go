package passkey

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"

	"sallyport/internal/auth"
	"sallyport/internal/secret"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

// A challenge is not stored: every page that could sign somebody in asks for one, and strangers must not fill a table.
// It says until when it holds and is signed for what it may be used for, so any node can tell its own. Only those that
// were answered are noted, so that each is answered once.
//
//	4 bytes: the second it ends, 12 random bytes, 16 bytes of HMAC-SHA-256

// challengeLife is how long a challenge may be answered.
const challengeLife = 5 * time.Minute

// A purpose is what a challenge may be used for, besides whom and where.
type purpose string

const (
	asserting purpose = "assert"  // with a passkey somebody has
	creating  purpose = "create"  // a passkey, by somebody who asked for it
	upgrading purpose = "upgrade" // the same, by the browser alone after it filled in a password
)

// A ceremony is what a challenge belongs to, beside the visit it was made in. User is empty for a sign-in without a name.
type ceremony struct {
	purpose purpose
	user    auth.UserID
}

// browserCookie names a browser that begins to sign in, for five minutes at a time.
const browserCookie = "__Host-passkey"

// thread is what a ceremony is finished in: the session, the sign-in under way, or else the same browser. Issued is a
// cookie that such a browser needs.
func thread(v *visit.Visit) (name string, issued visit.Cookies) {
	if name = v.Thread(); name != "" {
		return name, nil
	}
	browser := v.Cookie(browserCookie)
	if browser == "" {
		browser = secret.NewToken()
		issued = visit.Cookies{visit.Issue(browserCookie, browser)}
	}
	return "browser " + string(browser), issued
}

// ask makes a challenge for a ceremony of this visit.
func (p *Passkey) ask(ctx context.Context, c ceremony) (challenge []byte, issued visit.Cookies) {
	name, issued := thread(visit.Of(ctx))
	challenge = binary.BigEndian.AppendUint32(nil, uint32(p.Clock().Add(challengeLife).Unix()))
	challenge = append(challenge, make([]byte, 12)...)
	rand.Read(challenge[4:]) // never fails
	return append(challenge, p.mark(c, name, challenge)...), issued
}

func (p *Passkey) mark(c ceremony, thread string, challenge []byte) []byte {
	said := strings.Join([]string{string(c.purpose), string(c.user), thread, string(challenge)}, "\x00")
	return p.Keys.MAC("passkey challenge", []byte(said))[:16]
}

// accepts is nil for a challenge that was made for this ceremony and visit and is not over its time. A sign-in without a
// name is asked of nobody and answered by somebody.
func (p *Passkey) accepts(ctx context.Context, c ceremony, challenge []byte) error {
	v := visit.Of(ctx)
	if v.Thread() == "" {
		c.user = ""
	}
	name, _ := thread(v)
	if len(challenge) != 32 || !hmac.Equal(p.mark(c, name, challenge[:16]), challenge[16:]) {
		return unasked
	}
	if end := int64(binary.BigEndian.Uint32(challenge)); p.Clock().Unix() >= end {
		return late
	}
	return nil
}

// decode takes the one spelling that browsers give a challenge.
func decode(challenge string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(challenge)
	if base64.RawURLEncoding.EncodeToString(b) != challenge {
		return nil, unreadable
	}
	return b, err
}

// Challenge is web.Challenger: the options for navigator.credentials.get().
func (p *Passkey) Challenge(ctx context.Context, login string) (web.Challenge, error) {
	if p.Rules.Use == Disabled {
		return web.Challenge{}, auth.ErrNotFound
	}
	v := visit.Of(ctx)
	options := protocol.PublicKeyCredentialRequestOptions{RelyingPartyID: p.Party.ID, UserVerification: protocol.VerificationRequired,
		Timeout: int(challengeLife.Milliseconds())}
	who := v.Person().ID
	if v.Pending.ID != "" { // the password came before, so presence is enough
		options.UserVerification = protocol.VerificationPreferred
	}
	var err error
	switch {
	case who != "":
		options.AllowedCredentials, err = p.descriptors(ctx, who)
		if err == nil && len(options.AllowedCredentials) == 0 {
			err = auth.ErrNotFound
		}
	case login != "":
		options.AllowedCredentials, err = p.allowed(ctx, login)
	}
	if err != nil {
		return web.Challenge{}, err
	}
	challenge, issued := p.ask(ctx, ceremony{asserting, who})
	options.Challenge = challenge
	b, err := json.Marshal(options)
	return web.Challenge{Cookies: issued, JSON: b}, err
}

// descriptors are the passkeys of a person that work, as browsers are told of them.
func (p *Passkey) descriptors(ctx context.Context, u auth.UserID) (some []protocol.CredentialDescriptor, err error) {
	all, err := p.all(ctx, p.DB, u)
	for _, k := range all {
		if p.works(k) {
			some = append(some, k.descriptor())
		}
	}
	return some, err
}

// allowed is what a name may answer with. Whoever is unknown, disabled or without a passkey gets one that does not
// exist, always the same, found with the same work (S10).
func (p *Passkey) allowed(ctx context.Context, login string) ([]protocol.CredentialDescriptor, error) {
	u, err := p.Users.Find(ctx, login)
	if err != nil && !errors.Is(err, auth.ErrNotFound) {
		return nil, err
	}
	if u.Disabled {
		u.ID = ""
	}
	some, err := p.descriptors(ctx, u.ID)
	fake := p.fake(login)
	if len(some) == 0 {
		some = append(some, fake)
	}
	return some, err
}

// fake is a passkey that nobody has, of one of the shapes that are common. Its end says to us alone that we made it up.
func (p *Passkey) fake(login string) protocol.CredentialDescriptor {
	key := []byte(user.Key(login))
	pick := p.Keys.MAC("passkey shape", key)
	shape := shapes[int(pick[0])%len(shapes)]
	id := append(p.Keys.MAC("passkey id", key), p.Keys.MAC("passkey id, more", key)...)[:shape.size-markSize]
	return protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: append(id, p.fakeMark(id)...), Transport: shape.transports}
}

const markSize = 8

func (p *Passkey) fakeMark(id []byte) []byte { return p.Keys.MAC("passkey fake", id)[:markSize] }

// isFake is true for an id that we made up. Whoever uses one hears what they would hear of a real one.
func (p *Passkey) isFake(id []byte) bool {
	end := len(id) - markSize
	return end > 0 && hmac.Equal(p.fakeMark(id[:end]), id[end:])
}

// shapes are how many bytes ids have, and what their passkeys speak: phones and password managers, laptops, keys.
// Browsers name transports in the order of the alphabet.
var shapes = []struct {
	size       int
	transports []protocol.AuthenticatorTransport
}{
	{20, []protocol.AuthenticatorTransport{protocol.Hybrid, protocol.Internal}},
	{32, []protocol.AuthenticatorTransport{protocol.Hybrid, protocol.Internal}},
	{16, []protocol.AuthenticatorTransport{protocol.Hybrid, protocol.Internal}},
	{32, []protocol.AuthenticatorTransport{protocol.Internal}},
	{48, []protocol.AuthenticatorTransport{protocol.NFC, protocol.USB}},
}
