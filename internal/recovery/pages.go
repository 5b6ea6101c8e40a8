package recovery

import (
	"context"
	"embed"
	"errors"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/secret"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html
var files embed.FS

// Routes are all ways back, on both faces.
func (r *Recovery) Routes() []web.Route { return append(r.passwordRoutes(), r.waitRoutes()...) }

// passwordRoutes ask for a link to a new password and choose one. Only POST uses a link up: a mail scanner that follows it
// does no harm.
func (r *Recovery) passwordRoutes() []web.Route {
	words := web.Words{auth.ErrNotFound: {ID: "recovery.void", Text: "This link was used already, or it is too old.",
		More: "Ask for a new one where you sign in, or ask for help."}}
	routes := []web.Route{
		web.On(visit.Public, "GET "+forgotPath, r.before, web.About{
			Does: "Say how long a link to a new password works",
			Page: web.Gate(files, "forgot.html"),
		}),
		web.On(visit.Public, "POST "+forgotPath, r.ask, web.About{
			Does: "Mail a link to a new password; says the same for a name that nobody has",
			Then: forgotPath + "/sent",
		}),
		web.On(visit.Public, "GET "+forgotPath+"/sent", r.before, web.About{
			Does: "Say what happens after a link to a new password was asked for",
			Page: web.Gate(files, "sent.html"),
		}),
	}
	for i := range routes {
		routes[i] = routes[i].Before(r.reached)
	}
	return append(routes,
		web.On(visit.Public, "GET "+forgotPath+"/{token}", r.show, web.About{
			Does:  "Say what a new password must be, to who has a link to one",
			Page:  web.Gate(files, "password.html"),
			Words: words,
		}),
		web.On(visit.Public, "POST "+forgotPath+"/{token}", r.choose, web.About{
			Does:  "Choose a new password by a link, once; all sessions end, the second step stays as it is",
			Then:  "/signin",
			Words: words,
		}))
}

type (
	Help struct {
		Minutes int `json:"minutes" doc:"how long a link works"`
	}
	Forgetful struct {
		Login string `json:"login" max:"254"`
	}
	Holder struct {
		Token string `path:"token"`
	}
	Wanted struct {
		Least    int    `json:"least" doc:"characters a password must have"`
		Login    string `json:"-"`
		Token    string `json:"-"`
		Intruded bool   `json:"-"`
		Invited  bool   `json:"invited,omitempty" doc:"it is their first, by an invitation"`
	}
	Chosen struct {
		Token    string      `path:"token"`
		Password auth.Secret `json:"password" max:"256" doc:"the new one"`
		Login    string      `json:"login,omitempty" max:"254" doc:"for password managers; not read"`
	}
)

// reached is auth.ErrNotFound where no mail is sent.
func (r *Recovery) reached(context.Context) error {
	if r.Page() == "" {
		return auth.ErrNotFound
	}
	return nil
}

func (r *Recovery) before(context.Context, web.None) (Help, error) {
	return Help{int(forgotten.life() / time.Minute)}, nil
}

func (r *Recovery) ask(ctx context.Context, in Forgetful) (web.None, error) {
	who, err := r.Users.Find(ctx, in.Login)
	if err != nil && !errors.Is(err, auth.ErrNotFound) {
		return web.None{}, err
	}
	return web.None{}, r.DB.Tx(ctx, func(tx auth.Tx) error { return r.request(ctx, tx, in.Login, who.ID) })
}

func keyOf(token string) digest { return secret.Digest(auth.Secret(token)) }

func (r *Recovery) show(ctx context.Context, in Holder) (Wanted, error) {
	l, err := r.opens(ctx, keyOf(in.Token))
	return Wanted{Least: r.Passwords.Rules.Least, Login: l.user.Login, Token: in.Token, Intruded: l.purpose == intruded, Invited: l.purpose == invited}, err
}

func (r *Recovery) choose(ctx context.Context, in Chosen) (web.None, error) {
	key := keyOf(in.Token)
	l, err := r.opens(ctx, key) // before any hashing: nobody makes us work by guessing links
	if err != nil {
		return web.None{}, err
	}
	hashed, err := r.Passwords.Prepare(ctx, l.user, in.Password)
	if err != nil {
		return web.None{}, err
	}
	return web.None{}, r.DB.Tx(ctx, func(tx auth.Tx) error { return r.replace(ctx, tx, key, l, hashed) })
}
