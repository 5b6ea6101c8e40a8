// Package setup makes the first owner, by a link that works once, for half an hour, and only while there is nobody yet.
package setup

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/factor/password"
	"sallyport/internal/secret"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

var (
	//go:embed schema
	embedded embed.FS
	//go:embed *.html
	files embed.FS
)

// Schema is the table setup_links.
var Schema, _ = fs.Sub(embedded, "schema")

const lifetime = 30 * time.Minute

// Setup makes the first owner.
type Setup struct {
	Parts
}

// Parts are what setup is made with.
type Parts struct {
	DB        *db.DB
	Users     *user.Store
	Passwords *password.Password
	Trail     *audit.Trail
	Clock     func() time.Time
}

func New(p Parts) *Setup { return &Setup{p} }

// Link makes a new link, as path and query, and voids the ones before. It is "" once there is somebody.
func (s *Setup) Link(ctx context.Context) (string, error) {
	if empty, err := s.Users.Empty(ctx); err != nil || !empty {
		return "", err
	}
	token := secret.NewToken()
	key := secret.Digest(token)
	err := s.DB.Tx(ctx, func(tx auth.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM setup_links`); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO setup_links (token_hash, expires_at) VALUES ($1, $2)`, key[:], db.Micros(s.Clock().Add(lifetime)))
		return err
	})
	return "/setup?token=" + string(token), err
}

// Routes is the page behind the link. Only POST uses it up: a mail scanner that follows it does no harm.
func (s *Setup) Routes() []web.Route {
	words := web.Words{auth.ErrNotFound: {ID: "setup.void", Text: "This link was used or is too old, a newer one was made, or there is an owner already. Start the server again for a new one."}}
	return []web.Route{
		web.On(visit.Public, "GET /setup", s.show, web.About{
			Does:  "Show the page that makes the first owner",
			Page:  web.Gate(files, "setup.html"),
			Words: words,
		}),
		web.On(visit.Public, "POST /setup", s.create, web.About{
			Does:  "Make the first owner",
			Then:  "/signin",
			Words: words,
		}),
	}
}

type (
	Link struct {
		Token string `json:"token,omitempty" max:"64"`
	}
	Shown struct {
		Token string `json:"token"`
		Least int    `json:"least" doc:"characters a password must have"`
	}
	Owner struct {
		Token    string      `json:"token" max:"64" doc:"of the link"`
		Name     string      `json:"name" max:"100"`
		Email    string      `json:"email" max:"254"`
		Password auth.Secret `json:"password" max:"256"`
	}
	Created struct {
		ID auth.UserID `json:"id"`
	}
)

func (s *Setup) show(ctx context.Context, in Link) (Shown, error) {
	return Shown{in.Token, s.Passwords.Rules.Least}, s.good(ctx, in.Token)
}

// good is nil for a link that still works.
func (s *Setup) good(ctx context.Context, token string) error {
	key := secret.Digest(auth.Secret(token))
	var good bool
	err := s.DB.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM setup_links WHERE token_hash = $1 AND expires_at > $2)
		AND NOT EXISTS (SELECT 1 FROM users)`, key[:], db.Micros(s.Clock())).Scan(&good)
	if err == nil && !good {
		return auth.ErrNotFound
	}
	return err
}

func (s *Setup) create(ctx context.Context, in Owner) (Created, error) {
	if err := s.good(ctx, in.Token); err != nil { // before any hashing: nobody makes us work by guessing links
		return Created{}, err
	}
	key := secret.Digest(auth.Secret(in.Token))
	u, err := user.New(auth.UserID(secret.NewID()), in.Email, in.Name, auth.Owner, s.Clock())
	if err != nil {
		return Created{}, err
	}
	hashed, err := s.Passwords.Prepare(ctx, u, in.Password)
	if err != nil {
		return Created{}, err
	}
	return Created{u.ID}, s.DB.Tx(ctx, func(tx auth.Tx) error {
		err := db.One(tx.ExecContext(ctx, `DELETE FROM setup_links WHERE token_hash = $1 AND expires_at > $2 AND NOT EXISTS (SELECT 1 FROM users)`,
			key[:], db.Micros(s.Clock())))
		if err != nil {
			return err
		}
		if err := s.Users.Add(ctx, tx, u); err != nil {
			return err
		}
		if err := s.Passwords.Set(ctx, tx, u.ID, hashed); err != nil {
			return err
		}
		return s.Trail.Record(ctx, tx, auth.Event{Kind: auth.UserAdded, User: u.ID, Detail: map[string]string{"role": string(u.Role)}})
	})
}
