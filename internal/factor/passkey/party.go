package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/metadata/providers/memory"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"sallyport/internal/auth"
)

// A Party is who we are to authenticators: the relying party. A passkey works for its id alone and for good.
type Party struct {
	ID      string   // the host people sign in at, or a domain above it
	Name    string   // how authenticators call us
	Origin  string   // "https://login.example.com"
	Related []string // origins of other domains where our passkeys may be used
}

// Use says what may be done with passkeys.
type Use string

const (
	Enabled  Use = "enabled"
	UseOnly  Use = "use only" // those that exist sign in and can be removed; none is added
	Disabled Use = "disabled"
)

// Rules are what an instance decides about passkeys.
type Rules struct {
	Use          Use
	AtSignIn     bool     // they are added at a sign-in only, not in Settings
	AlsoPassword bool     // adding one in Settings asks for the current password as well
	TurnsMFAOn   bool     // the first one switches MFA on (P4)
	Offers       bool     // who signed in with something weaker is offered one (P9)
	Allowed      []string // AAGUIDs; empty: all
	Denied       []string // AAGUIDs
	Metadata     string   // file of the FIDO Metadata Service; then only keys attested as what stands in it are added
	Root         string   // certificate that signs the file, base64 DER; empty: FIDO's own
}

// A relying party as the library has it, twice: what is made may have to prove more than what is used.
type relying struct{ making, using *webauthn.WebAuthn }

// open says what is wrong with a party, in words for who configures it.
func (p Party) open(r Rules) (both relying, err error) {
	if r.Use == Disabled {
		return both, nil
	}
	if err := p.check(); err != nil {
		return both, err
	}
	making := webauthn.Config{RPID: p.ID, RPDisplayName: p.Name, RPOrigins: p.origins(),
		AttestationPreference: protocol.PreferNoAttestation,
		// Browsers and password managers add outputs that nobody asked for.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	}
	if _, err := ids(r.Allowed); err != nil {
		return both, fmt.Errorf("passkeys.allowed_aaguids: %w", err)
	}
	if _, err := ids(r.Denied); err != nil {
		return both, fmt.Errorf("passkeys.denied_aaguids: %w", err)
	}
	using := making
	if r.Metadata != "" {
		if making.MDS, using.MDS, err = readMetadata(r.Metadata, r.Root); err != nil {
			return both, fmt.Errorf("passkeys.metadata %s: %w", r.Metadata, err)
		}
		making.AttestationPreference = protocol.PreferDirectAttestation
	}
	if both.making, err = webauthn.New(&making); err == nil {
		both.using, err = webauthn.New(&using)
	}
	return both, err
}

// origins are all that a passkey of ours may be used at.
func (p Party) origins() []string {
	return append([]string{p.Origin}, slices.DeleteFunc(slices.Clone(p.Related), func(o string) bool { return o == p.Origin })...)
}

func (p Party) check() error {
	for i, origin := range p.origins() {
		u, err := url.Parse(origin)
		if err != nil || u.Hostname() == "" || origin != strings.ToLower(u.Scheme+"://"+u.Host) || i > 0 && u.Port() == "443" {
			return fmt.Errorf("passkeys.related_origins has %q: name origins like https://example.org", origin)
		}
		host := u.Hostname()
		switch {
		case i > 0 && u.Scheme != "https":
			return fmt.Errorf("passkeys.related_origins has %q: browsers want https there", origin)
		case i > 0: // of another domain; the browser asks /.well-known/webauthn of the relying party id
		case net.ParseIP(host) != nil:
			return fmt.Errorf("url is the address %s, but passkeys belong to a name: reach this server by name, or set passkeys.use to disabled", host)
		case slices.Contains(p.Related, p.Origin): // passkeys of another domain, which lists us
		case host != p.ID && !strings.HasSuffix(host, "."+p.ID):
			return fmt.Errorf("passkeys.rp_id is %q, but people sign in at %s: set it to that host or a domain above it, see docs/operate/relying-party.md", p.ID, host)
		case host != p.ID && !strings.Contains(p.ID, "."):
			return fmt.Errorf("passkeys.rp_id is %q: no browser takes a whole top-level domain", p.ID)
		}
	}
	if err := protocol.ValidateRPID(p.ID); err != nil {
		return fmt.Errorf("passkeys.rp_id is %q: set it to a domain, without scheme and port", p.ID)
	}
	if _, err := protocol.NewRelatedOrigins(p.origins()...); len(p.Related) > 0 && err != nil {
		return fmt.Errorf("passkeys.related_origins: %w", err)
	}
	return nil
}

func ids(texts []string) (all []uuid.UUID, err error) {
	for _, text := range texts {
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no AAGUID", text)
		}
		all = append(all, id)
	}
	return all, nil
}

// readMetadata reads what the FIDO alliance says of authenticators: https://fidoalliance.org/metadata/. Making asks for
// proof of a model that is known and in good standing. Using asks only that a model that is known has not lost it, so that
// keys from before this mode go on working.
func readMetadata(path, root string) (making, using metadata.Provider, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	options := []metadata.DecoderOption{metadata.WithIgnoreEntryParsingErrors()}
	if root != "" {
		options = append(options, metadata.WithRootCertificate(root))
	}
	d, err := metadata.NewDecoder(options...)
	if err != nil {
		return nil, nil, err
	}
	payload, err := d.DecodeBytes(b)
	if err != nil {
		return nil, nil, fmt.Errorf("it is not signed by FIDO, or is broken: %w", err)
	}
	known, err := d.Parse(payload)
	if err != nil {
		return nil, nil, err
	}
	strict := func(yes bool) (metadata.Provider, error) {
		return memory.New(memory.WithMetadata(known.ToMap()), memory.WithValidateStatus(true), memory.WithValidateEntry(yes),
			memory.WithValidateEntryPermitZeroAAGUID(!yes), memory.WithValidateTrustAnchor(yes), memory.WithValidateAttestationTypes(yes))
	}
	if making, err = strict(true); err == nil {
		using, err = strict(false)
	}
	return making, using, err
}

// Documents are what browsers and password managers ask of a site about passkeys.
func (p *Passkey) Documents() map[string][]byte {
	all := map[string][]byte{}
	add := func(path string, v any) { all[path], _ = json.Marshal(v) } // maps of strings
	if p.Rules.Use != Disabled {
		manage := p.Party.Origin + "/account/security"
		enroll := p.Party.Origin + "/account/passkeys/new"
		if p.Rules.Use != Enabled || p.Rules.AtSignIn {
			enroll = manage
		}
		add("/.well-known/passkey-endpoints", map[string]string{"enroll": enroll, "manage": manage})
		if len(p.Party.Related) > 0 {
			add("/.well-known/webauthn", map[string][]string{"origins": p.origins})
		}
	}
	return all
}

// Stranded is why this relying party must not be, or nil: people would lose the only second step they have, because
// theirs was made for another one.
func (p *Passkey) Stranded(ctx context.Context) error {
	if p.Rules.Use == Disabled { // theirs do not work anyway
		return nil
	}
	people, party, err := p.astray(ctx)
	if err != nil {
		return err
	}
	lost := 0
	for _, u := range people {
		f, err := p.Roster.Facts(ctx, p.DB, auth.User{ID: u}, nil)
		if err != nil {
			return err
		}
		counts := func(e auth.Enrolment) bool {
			return e.State == auth.Usable && !e.Given && slices.Contains(f.Rules.Factors, e.Kind)
		}
		if !slices.ContainsFunc(f.Enrolled, counts) {
			lost++
		}
	}
	who := fmt.Sprintf("%d people have", lost)
	if lost == 1 {
		who = "1 person has"
	}
	if lost > 0 {
		return fmt.Errorf("passkeys.rp_id is %q, but %s nothing but passkeys for %q, which would stop working: set it back, see docs/operate/relying-party.md", p.Party.ID, who, party)
	}
	return nil
}

var errNotApproved = auth.ConflictError{Code: "passkey-not-allowed",
	Why: "This kind of passkey or security key is not accepted here. Try another one, or ask your administrator which ones are."}

// approves refuses authenticators that this instance does not accept.
func (p *Passkey) approves(made *webauthn.Credential) error {
	id, err := uuid.FromBytes(made.Authenticator.AAGUID)
	if err != nil {
		return invalid
	}
	allowed, _ := ids(p.Rules.Allowed) // New has read them
	denied, _ := ids(p.Rules.Denied)
	attested := made.AttestationType != "none" && made.AttestationType != string(metadata.BasicSurrogate) && made.AttestationType != ""
	switch {
	case slices.Contains(denied, id), len(allowed) > 0 && !slices.Contains(allowed, id), p.Rules.Metadata != "" && !attested:
		return errNotApproved
	}
	return nil
}

// notApproved tells a refusal by the metadata from a response that does not verify.
func notApproved(err error) bool {
	var p *protocol.Error
	for errors.As(err, &p) {
		if p.Type == protocol.ErrMetadata.Type {
			return true
		}
		err = p.Err // the library wraps one of its errors in another
	}
	return false
}
