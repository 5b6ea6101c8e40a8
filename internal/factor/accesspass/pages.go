package accesspass

import (
	"context"
	"crypto/hmac"
	"embed"
	"slices"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html
var files embed.FS

var part = web.Parts(files, "parts.html")

// Prompt is how people are asked for a pass.
func (p *Passes) Prompt() *web.Prompt {
	return &web.Prompt{
		Reply: web.Reply{
			Field: "code", Max: 64, Doc: "16 letters and digits; case, spaces and hyphens are ignored",
			Words: web.Words{auth.ErrWrong: {ID: "accesspass.wrong", Field: "code",
				Text: "This access pass is not right, or it does not work any more.", More: "If you brought it a moment ago, go on there, or bring it again in ten minutes. Else ask for another one."}},
			Check: func(s auth.Secret) error { _, err := parse(s); return err },
		},
		Icon: "key", Title: "Access pass", Hint: "From an administrator", Noun: "access pass", SignInOnly: true,
		Ask:    "Enter your access pass",
		Lead:   func([]auth.Enrolment) web.Part { return part("lead", nil) },
		Fields: func([]auth.Enrolment) web.Part { return part("fields", "") },
	}
}

// Filled is web.Filler: the browser may have come by a link, with the pass of the person who signs in.
func (p *Passes) Filled(ctx context.Context, _ []auth.Enrolment) web.Part {
	v := visit.Of(ctx)
	code, err := parse(v.Cookie(visit.PassCookie))
	if err != nil {
		return part("fields", "")
	}
	if r, err := p.of(ctx, p.DB, v.Person().ID); err != nil || !hmac.Equal(r.mac, p.mac(code)) {
		return part("fields", "")
	}
	return part("fields", string(group(code)))
}

// Arrived is signin.Arriver: the pass has served, and so has what a link left in the browser.
func (p *Passes) Arrived(ctx context.Context, tx auth.Tx, began auth.Session) (visit.Cookies, error) {
	if slices.ContainsFunc(began.Proofs, func(proof auth.Proof) bool { return proof.Kind == Kind }) {
		if err := p.remove(ctx, tx, began.User.ID); err != nil { // and one that replaced it meanwhile
			return nil, err
		}
	}
	if visit.Of(ctx).Cookie(visit.PassCookie) == "" {
		return nil, nil
	}
	return visit.Cookies{visit.Clear(visit.PassCookie)}, nil
}

// Routes are the page behind the link of a reset. Nothing on it uses the pass up: a mail scanner that follows it does no
// harm, and neither does one that presses its button.
func (p *Passes) Routes() []web.Route {
	words := web.Words{auth.ErrNotFound: {ID: "accesspass.void", Text: "This link does not work, or not any more.",
		More: "Perhaps it was used already, or a newer one was sent. If you cannot sign in, ask those who run this site for another."}}
	return []web.Route{
		web.On(visit.Public, "GET /pass", p.show, web.About{
			Does:  "Say what the link of a reset is for, and until when it works",
			Page:  web.Gate(files, "pass.html"),
			Words: words,
		}),
		web.On(visit.Public, "POST /pass", p.bring, web.About{
			Does:  "Take the access pass of a link along to the sign-in",
			Then:  "/signin",
			Words: words,
		}),
	}
}

type (
	Link struct {
		Token auth.Secret `json:"token,omitempty" max:"64"`
	}
	Shown struct {
		Token auth.Secret `json:"-"`
		Until time.Time   `json:"until"`
	}
	Brought struct {
		visit.Cookies `json:"-"`
		Until         time.Time `json:"until"`
	}
)

// Typed is the token for the form that sends it on.
func (s Shown) Typed() string { return string(s.Token) }

func (p *Passes) show(ctx context.Context, in Link) (Shown, error) {
	_, until, err := p.linked(ctx, in.Token)
	return Shown{in.Token, until}, err
}

// broughtFor is how long a browser may take from the link to the second step.
const broughtFor = 15 * time.Minute

func (p *Passes) bring(ctx context.Context, in Link) (Brought, error) {
	code, until, err := p.linked(ctx, in.Token)
	if err != nil {
		return Brought{}, err
	}
	c := visit.Issue(visit.PassCookie, group(code))
	c.MaxAge = int(broughtFor.Seconds())
	return Brought{visit.Cookies{c}, until}, nil
}

// linked reads the token of a link, or is auth.ErrNotFound, whatever is wrong with it.
func (p *Passes) linked(ctx context.Context, token auth.Secret) (code string, until time.Time, err error) {
	if code, err = parse(token); err != nil {
		return "", time.Time{}, auth.ErrNotFound
	}
	until, err = p.until(ctx, p.mac(code))
	return code, until, err
}

var (
	_ web.Filler    = (*Passes)(nil)
	_ auth.Resetter = (*Passes)(nil)
)
