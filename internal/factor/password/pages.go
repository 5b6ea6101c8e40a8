package password

import (
	"context"
	"embed"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/roster"
	"sallyport/internal/throttle"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html
var files embed.FS

var part = web.Parts(files, "parts.html")

// Prompt is how people are asked for their password once they are signed in.
func (p *Password) Prompt() *web.Prompt {
	return &web.Prompt{
		Reply: web.Reply{
			Field: "password", Max: Most, Doc: "as typed",
			Words: web.Words{auth.ErrWrong: {ID: "password.wrong", Field: "password", Text: "This password is not right."}},
		},
		Icon: "lock", Title: "Password", Hint: "The one you sign in with", Noun: "password",
		Ask:    "Enter your password",
		Lead:   func([]auth.Enrolment) web.Part { return part("lead", nil) },
		Fields: func([]auth.Enrolment) web.Part { return part("fields", nil) },
	}
}

// Card is the place of the password on the Security page.
func (p *Password) Card(ctx context.Context) (web.Part, error) {
	s, err := p.state(ctx, web.None{})
	return part("card", s), err
}

// Routes is everything a person can do with their password, on both faces.
func (p *Password) Routes() []web.Route {
	return []web.Route{
		web.On(visit.Fresh, "GET /account/password", p.state, web.About{
			Does: "Say when the password was changed and what a new one must be",
			Page: web.Shell(files, "change.html"),
			On:   "/account/security",
		}),
		web.On(visit.Fresh, "POST /account/password", p.change, web.About{
			Does:     "Change the password; all other sessions end",
			Then:     "/account/security",
			Throttle: "inside",
			Words:    web.Words{auth.ErrWrong: {ID: "password.wrong", Field: "current", Text: "This is not your current password."}},
		}),
	}
}

type (
	State struct {
		Changed time.Time `json:"changed_at"`
		Least   int       `json:"least" doc:"characters a new one must have"`
		Login   string    `json:"-"`
	}
	Change struct {
		Current  auth.Secret `json:"current" max:"256"`
		Password auth.Secret `json:"password" max:"256" doc:"the new one"`
		Login    string      `json:"login,omitempty" max:"254" doc:"for password managers; not read"`
	}
)

func (p *Password) state(ctx context.Context, _ web.None) (State, error) {
	u := visit.Of(ctx).Session.User
	s, err := p.stored(ctx, p.DB, u.ID)
	return State{s.changed, p.Rules.Least, u.Login}, err
}

func (p *Password) change(ctx context.Context, in Change) (web.None, error) {
	now := visit.Of(ctx).Session
	hashed, err := p.Prepare(ctx, now.User, in.Password) // before the count too: it may find the server busy
	if err != nil {
		return web.None{}, err
	}
	attempt, claim, err := roster.Attempt(ctx, p, in.Current, func(ctx context.Context) (auth.Attempt, error) {
		return p.Throttle.Take(ctx, now.User, throttle.FirstInside.For(string(now.User.ID)))
	})
	if err != nil {
		return web.None{}, p.Trail.Failed(ctx, auth.FactorFailed, now.User.ID, Kind, err)
	}
	return web.None{}, p.DB.Tx(ctx, func(tx auth.Tx) error {
		if _, err := claim(ctx, tx); err != nil {
			return err
		}
		if err := p.Throttle.Succeeded(ctx, tx, attempt); err != nil {
			return err
		}
		if err := p.Set(ctx, tx, now.User.ID, hashed); err != nil {
			return err
		}
		if err := p.Revoker.RevokeOthers(ctx, tx, now.User.ID, now.ID); err != nil {
			return err
		}
		return p.Trail.Record(ctx, tx, auth.Event{Kind: auth.PasswordChanged, User: now.User.ID})
	})
}

var _ web.Prompter = (*Password)(nil)
