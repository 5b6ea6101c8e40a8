package session

import (
	"context"
	"embed"
	"slices"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/secret"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html
var files embed.FS

var part = web.Parts(files, "card.html")

// Routes is the session itself, and the list of all a person has (rule S8).
func (s *Store) Routes() []web.Route {
	return []web.Route{
		web.On(visit.SignedIn, "GET /session", s.show, web.About{Does: "Say who is signed in, how surely, and for how long", Swift: true}),
		web.On(visit.SignedIn, "DELETE /session", s.end, web.About{Does: "Sign out", Then: "/signin"}),
		web.On(visit.SignedIn, "GET /account/sessions", s.mine, web.About{Does: "List sessions"}),
		web.On(visit.SignedIn, "DELETE /account/sessions", s.endOthers, web.About{
			Does: "Sign out everywhere else",
			Then: "/account/security",
			On:   "/account/security",
		}),
		web.On(visit.SignedIn, "DELETE /account/sessions/{id}", s.endOne, web.About{
			Does: "Sign out one session",
			Then: "/account/security",
			On:   "/account/security",
		}),
	}
}

type (
	Shown struct {
		User     Who        `json:"user"`
		Level    auth.Level `json:"level" doc:"1: one factor, 2: several"`
		AMR      []string   `json:"amr" doc:"RFC 8176"`
		AuthTime int64      `json:"auth_time" doc:"latest proof, seconds since 1970"`
		Expires  time.Time  `json:"expires_at" doc:"at the latest; sooner when idle"`
	}
	Who struct {
		ID    auth.UserID `json:"id"`
		Login string      `json:"login"`
		Name  string      `json:"name"`
		Role  auth.Role   `json:"role"`
	}
	List struct {
		Sessions []Listed `json:"sessions"`
	}
	Listed struct {
		ID      auth.SessionID `json:"id"`
		Browser string         `json:"browser" doc:"User-Agent as sent"`
		Address string         `json:"address"`
		Started time.Time      `json:"started_at"`
		Seen    time.Time      `json:"last_seen_at"`
		Current bool           `json:"current"`
	}
	Which struct {
		ID auth.SessionID `path:"id"`
	}
	Ended struct {
		visit.Cookies `json:"-"`
	}
)

func shown(n auth.Session) Shown {
	var last time.Time
	for _, p := range n.Proofs {
		if p.At.After(last) {
			last = p.At
		}
	}
	return Shown{
		User:  Who{n.User.ID, n.User.Login, n.User.Name, n.User.Role},
		Level: policy.LevelOf(n.Proofs), AMR: policy.AMR(n.Proofs), AuthTime: last.Unix(), Expires: n.Expires,
	}
}

func (s *Store) show(ctx context.Context, _ web.None) (Shown, error) {
	return shown(visit.Of(ctx).Session), nil
}

func (s *Store) end(ctx context.Context, _ web.None) (Ended, error) {
	v := visit.Of(ctx)
	err := s.db.Tx(ctx, func(tx auth.Tx) error {
		if err := s.remove(ctx, tx, secret.Digest(v.Token)); err != nil {
			return err
		}
		return s.trail.Record(ctx, tx, auth.Event{Kind: auth.SessionEnded, User: v.Session.User.ID})
	})
	return Ended{visit.Cookies{visit.Clear(visit.SessionCookie)}}, err
}

// Of lists the sessions of a person, the latest used first, and which of them is one.
func (s *Store) Of(ctx context.Context, u auth.User, one auth.SessionID) ([]Listed, error) {
	rows, err := s.list(ctx, u)
	all := make([]Listed, len(rows))
	for i, r := range rows {
		all[i] = Listed{r.id, r.agent, r.address, r.started, r.seen, r.id == one}
	}
	return all, err
}

func (s *Store) mine(ctx context.Context, _ web.None) (List, error) {
	now := visit.Of(ctx).Session
	all, err := s.Of(ctx, now.User, now.ID)
	slices.SortStableFunc(all, func(a, b Listed) int { // the one at hand first
		switch {
		case a.Current == b.Current:
			return 0
		case a.Current:
			return -1
		}
		return 1
	})
	return List{all}, err
}

func (s *Store) endOne(ctx context.Context, in Which) (web.None, error) {
	u := visit.Of(ctx).Session.User.ID
	return web.None{}, s.db.Tx(ctx, func(tx auth.Tx) error { return s.End(ctx, tx, u, in.ID) })
}

// End ends one session of a person, or is auth.ErrNotFound.
func (s *Store) End(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.SessionID) error {
	if err := s.removeOne(ctx, tx, u, id); err != nil {
		return err
	}
	return s.trail.Record(ctx, tx, auth.Event{Kind: auth.SessionEnded, User: u})
}

func (s *Store) endOthers(ctx context.Context, _ web.None) (web.None, error) {
	now := visit.Of(ctx).Session
	return web.None{}, s.db.Tx(ctx, func(tx auth.Tx) error {
		if err := s.removeOthers(ctx, tx, now.User.ID, now.ID); err != nil {
			return err
		}
		return s.trail.Record(ctx, tx, auth.Event{Kind: auth.SessionsEnded, User: now.User.ID})
	})
}

// Card is the place of sessions on the Security page.
func (s *Store) Card(ctx context.Context) (web.Part, error) {
	all, err := s.mine(ctx, web.None{})
	return part("card", all.Sessions), err
}
