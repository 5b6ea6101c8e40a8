package passkey

import (
	"context"
	"embed"
	"encoding/base64"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/roster"
	"sallyport/internal/throttle"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html passkey.js
var files embed.FS

var part = web.Parts(files, "parts.html")

// Script is what pages need to talk to authenticators.
func Script() web.Script {
	b, _ := files.ReadFile("passkey.js") // it is embedded
	return web.Script{Name: "passkey.js", Body: b}
}

// words are said at every place that takes a response.
var words = web.Words{
	auth.ErrWrong: {ID: "passkey.wrong", Text: "That did not work. Try again, or use another way."},
	unknown:       {ID: "passkey.unknown", Text: "This passkey is not known here any more. It was removed, or belongs to another site."},
	late:          {ID: "passkey.late", Text: "That took too long. Please try again."},
	elsewhere:     {ID: "passkey.elsewhere", Text: "This passkey was used on another site. Open this one by its own address."},
	unverified:    {ID: "passkey.unverified", Text: "Your device did not check that it is you. Set up its screen lock or PIN, or use another way."},
}

// Prompt is how people are asked for a passkey.
func (p *Passkey) Prompt() *web.Prompt {
	return &web.Prompt{
		Reply: web.Reply{
			Field: "credential", Max: 16 << 10, Doc: "AuthenticationResponseJSON: what navigator.credentials.get() gave, by toJSON()", JSON: true,
			Words: words,
		},
		Icon: "passkey", Title: "Passkey", Hint: "Your face, fingerprint, screen lock or security key", Noun: "passkey",
		Ask: "Confirm with your passkey", Button: "Continue with Passkey", Opens: true,
		Lead:   func([]auth.Enrolment) web.Part { return part("lead", nil) },
		Fields: func([]auth.Enrolment) web.Part { return part("get", nil) },
	}
}

// making is how a browser answers when a passkey is made.
var making = &web.Reply{Field: "credential", Max: 32 << 10, JSON: true,
	Doc: "RegistrationResponseJSON: what navigator.credentials.create() gave, by toJSON()"}

// Holding is how pages speak of passkeys.
func (p *Passkey) Holding() web.Holding {
	return web.Holding{Path: "/account/passkeys", Noun: "passkey", Advice: "Also remove it from your password manager or device, if it still offers it."}
}

// Card is the place of passkeys on the Security page (P1, P3).
func (p *Passkey) Card(ctx context.Context) (web.Part, error) {
	all, err := p.list(ctx, web.None{})
	return part("card", all), err
}

// Routes is what people do with passkeys besides using, renaming and removing them.
func (p *Passkey) Routes() []web.Route {
	const at = "/account/passkeys"
	first := p.Roster.First().(web.Prompter).Prompt()
	guesses := "" // where policy does not ask for the password, to begin is no guess
	if p.Rules.AlsoPassword {
		guesses = "inside"
	}
	routes := []web.Route{
		web.On(visit.SignedIn, "GET "+at, p.list, web.About{Does: "List passkeys"}),
		web.On(visit.Fresh, "GET "+at+"/new", p.form, web.About{
			Does: "Say whether a passkey can be added, and what that asks for",
			Page: web.Dialog(files, "add.html", "parts.html"),
			On:   "/account/security",
		}),
		web.On(visit.Fresh, "POST "+at+"/options", p.begin, web.About{
			Does:     "Give what the browser needs to make a passkey",
			Throttle: guesses,
			Asks:     &first.Reply,
			Words:    first.Words,
		}),
		web.On(visit.Fresh, "POST "+at, func(ctx context.Context, in Addition) (Added, error) {
			if p.Rules.AtSignIn { // what was asked for at an offer is no way in here
				return Added{}, errClosed
			}
			out, err := p.add(ctx, in, func(auth.Tx) error { return nil }, p.revoke)
			out.Next = at + "/" + string(out.ID) + "/name?new=true"
			return out, err
		}, about("Add a passkey; all other sessions end", "{next}", "/account/security")),
		web.On(visit.Offered, "GET "+at+"/offer", p.offering, web.About{
			Does: "Offer a passkey to somebody who signed in with something weaker",
			Page: web.Gate(files, "offer.html", "parts.html"),
		}),
		web.On(visit.Offered, "POST "+at+"/offer/options", func(ctx context.Context, in Mediation) (web.Challenge, error) {
			if in.Conditional {
				return p.options(ctx, upgrading)
			}
			return p.options(ctx, creating)
		}, web.About{Does: "Give what the browser needs to make the passkey that was offered"}),
		web.On(visit.Offered, "POST "+at+"/offer", p.takeUp, about("Add the passkey that was offered; all other sessions end", "{next}", "")),
		web.On(visit.SignedIn, "POST "+at+"/offer/later", p.decline, web.About{Does: "Decline the offer of a passkey for a while, or for good", Then: "{next}"}),
	}
	return routes
}

// Enrol is web.Enroller: a passkey that is made in the middle of a sign-in.
func (p *Passkey) Enrol(at string, guard visit.Guard, done web.EnrolDone) []web.Route {
	at += "/" + string(Kind)
	return []web.Route{
		web.On(guard, "GET "+at, p.named, web.About{
			Does: "Say who is to make a passkey",
			Page: web.Gate(files, "enrol.html", "parts.html"),
		}),
		web.On(guard, "POST "+at+"/options", func(ctx context.Context, _ web.None) (web.Challenge, error) { return p.options(ctx, creating) },
			web.About{Does: "Give what the browser needs to make a passkey"}),
		web.On(guard, "POST "+at, func(ctx context.Context, in Addition) (Added, error) {
			return p.add(ctx, in, func(auth.Tx) error { return nil }, done)
		}, about("Add a passkey and go on with the sign-in", "{next}", "")),
	}
}

func about(does, then, on string) web.About {
	return web.About{Does: does, Then: then, On: on, Throttle: "setup", Asks: making, Words: words}
}

type (
	// List has what the browser's signals to password managers need, too.
	List struct {
		Passkeys []Shown  `json:"passkeys"`
		Party    string   `json:"rp_id"`
		Handle   string   `json:"user_handle,omitempty" doc:"base64url; missing before the first passkey"`
		Accepted []string `json:"accepted" doc:"ids of the credentials that work, base64url"`
		Login    string   `json:"login"`
		Name     string   `json:"name"`
		Rules    Rules    `json:"-"`
	}
	Shown struct {
		ID       auth.EnrolmentID `json:"id"`
		Name     string           `json:"name"`
		Provider string           `json:"provider,omitempty" doc:"who keeps it, as far as is known"`
		Synced   bool             `json:"synced" doc:"it is not on one device only"`
		Works    bool             `json:"works" doc:"false: it was made for a domain that this site has left"`
		Added    time.Time        `json:"added_at"`
		LastUsed *time.Time       `json:"last_used_at,omitempty"`
		Icon     string           `json:"-"`
	}
	Form struct {
		AlsoPassword bool     `json:"also_password"`
		Password     web.Part `json:"-"`
	}
	Invite struct {
		Response auth.Secret `json:"*,omitempty"`
	}
	Addition struct {
		Response auth.Secret `json:"*"`
		Name     string      `json:"name,omitempty" max:"60" doc:"so that the person recognises it later"`
		ReturnTo string      `json:"return_to,omitempty" max:"2048" doc:"where an offer leads on"`
	}
	Added struct {
		Shown
		web.Onward
	}
	Named struct {
		Login string `json:"login"`
	}
)

func (p *Passkey) list(ctx context.Context, _ web.None) (List, error) {
	u := visit.Of(ctx).Session.User
	all, err := p.all(ctx, p.DB, u.ID)
	if err != nil {
		return List{}, err
	}
	rules := p.Rules
	if rules.Use, err = p.useOf(ctx, p.DB, u); err != nil {
		return List{}, err
	}
	handle, err := p.known(ctx, u.ID)
	out := List{Passkeys: make([]Shown, len(all)), Party: p.Party.ID, Accepted: []string{},
		Handle: base64.RawURLEncoding.EncodeToString(handle), Login: u.Login, Name: u.Name, Rules: rules}
	for i, k := range all {
		out.Passkeys[i] = p.shown(k)
		if p.works(k) {
			out.Accepted = append(out.Accepted, base64.RawURLEncoding.EncodeToString(k.credential))
		}
	}
	return out, err
}

func (p *Passkey) shown(k passkey) Shown {
	s := Shown{k.id, k.name, provider(k.aaguid), k.eligible, p.works(k), k.added, nil, k.icon()}
	if !k.used.IsZero() {
		s.LastUsed = &k.used
	}
	return s
}

func (p *Passkey) form(ctx context.Context, _ web.None) (Form, error) {
	if p.Rules.AtSignIn {
		return Form{}, errClosed
	}
	if err := p.open(ctx, p.DB, visit.Of(ctx).Session.User); err != nil {
		return Form{}, err
	}
	first := p.Roster.First().(web.Prompter)
	return Form{p.Rules.AlsoPassword, first.Prompt().Fields(nil)}, nil
}

// begin asks for the password besides the step-up where policy wants both (P1).
func (p *Passkey) begin(ctx context.Context, in Invite) (web.Challenge, error) {
	if p.Rules.AtSignIn {
		return web.Challenge{}, errClosed
	}
	if err := p.open(ctx, p.DB, visit.Of(ctx).Session.User); err != nil { // before a guess is spent on it
		return web.Challenge{}, err
	}
	if p.Rules.AlsoPassword {
		now, first := visit.Of(ctx).Session, p.Roster.First().(web.Prompter)
		if in.Response == "" {
			return web.Challenge{}, auth.InvalidError{Field: first.Prompt().Field, Why: "is missing"}
		}
		attempt, claim, err := roster.Attempt(ctx, first, in.Response, func(ctx context.Context) (auth.Attempt, error) {
			return p.Throttle.Take(ctx, now.User, throttle.FirstInside.For(string(now.User.ID)))
		})
		if err != nil {
			return web.Challenge{}, p.Trail.Failed(ctx, auth.FactorFailed, now.User.ID, first.Kind(), err)
		}
		err = p.DB.Tx(ctx, func(tx auth.Tx) error {
			if _, err := claim(ctx, tx); err != nil {
				return err
			}
			return p.Throttle.Succeeded(ctx, tx, attempt)
		})
		if err != nil {
			return web.Challenge{}, err
		}
	}
	return p.options(ctx, creating)
}

func (p *Passkey) revoke(ctx context.Context, tx auth.Tx, _ auth.Proof) (web.Onward, error) {
	now := visit.Of(ctx).Session
	return web.Onward{}, p.Revoker.RevokeOthers(ctx, tx, now.User.ID, now.ID)
}

func (p *Passkey) named(ctx context.Context, _ web.None) (Named, error) {
	who := visit.Of(ctx).Person()
	return Named{who.Login}, p.open(ctx, p.DB, who)
}

func cleanName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if !auth.OneLine(name) {
		return "", auth.InvalidError{Field: "name", Why: "must stand on one line"}
	}
	return name, nil
}

var (
	_ web.Enroller = (*Passkey)(nil)
	_ web.Opener   = (*Passkey)(nil)
)
