package trust

import (
	"context"
	"embed"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html
var files embed.FS

var part = web.Parts(files, "card.html")

// Routes is the page where a sign-in by two steps ends, and the list of all browsers a person trusts (R3).
func (t *Trust) Routes() []web.Route {
	const at, security = "/account/trusted", "/account/security"
	return []web.Route{
		web.On(visit.SignedIn, "GET /signin/done", t.done, web.About{
			Does: "Say whether this browser can be trusted now, and until when it would be",
			Page: web.Gate(files, "done.html"),
		}),
		web.On(visit.SignedIn, "POST /signin/done", t.goOn, web.About{
			Does: "Go on from a sign-in by two steps, and trust this browser if asked to: once, within ten minutes",
			Then: "{next}",
		}),
		web.On(visit.SignedIn, "GET "+at, t.mine, web.About{Does: "List the browsers on which no second step is asked for"}),
		web.On(visit.SignedIn, "DELETE "+at, t.forgetAll, web.About{Does: "Trust no browser any more", Then: security, On: security}),
		web.On(visit.SignedIn, "DELETE "+at+"/{id}", t.forget, web.About{Does: "Trust one browser no more", Then: security, On: security}),
	}
}

type (
	Done struct {
		Offered  bool      `json:"offered" doc:"this session may trust its browser now"`
		Days     int       `json:"days" doc:"how long a browser is trusted"`
		Ends     time.Time `json:"ends_at" doc:"until when it would be"`
		ReturnTo string    `json:"return_to"`
		First    string    `json:"-"`
		Stop     string    `json:"-"`
	}
	Choice struct {
		Trust    bool   `json:"trust,omitempty" doc:"ask for no second step in this browser"`
		ReturnTo string `json:"return_to,omitempty" max:"2048" doc:"on this site, or registered"`
	}
	List struct {
		Browsers []Listed `json:"browsers"`
		Days     int      `json:"days" doc:"how long a browser is trusted; 0: none may be"`
		By       string   `json:"-"` // who says so
	}
	Listed struct {
		ID      string    `json:"id"`
		Browser string    `json:"browser" doc:"User-Agent as sent"`
		Address string    `json:"address" doc:"when it was trusted"`
		Added   time.Time `json:"added_at"`
		Used    time.Time `json:"last_used_at"`
		Ends    time.Time `json:"ends_at"`
		Current bool      `json:"current"`
	}
	Which struct {
		ID string `path:"id"`
	}
)

func (t *Trust) done(ctx context.Context, in web.Leading) (Done, error) {
	now := visit.Of(ctx).Session
	life, err := t.life(ctx, t.DB, now.User)
	out := Done{Days: int(life / (24 * time.Hour)), Ends: t.Clock().Add(life), ReturnTo: t.Sites.Safe(in.ReturnTo)}
	out.First, _, _ = strings.Cut(now.User.Name, " ")
	out.Stop = stop(out.ReturnTo)
	if life <= 0 || err != nil {
		return out, err
	}
	out.Offered, err = t.offered(ctx, now)
	return out, err
}

// stop is what people call an address: that of another site, or of theirs here.
func stop(to string) string {
	u, err := url.Parse(to)
	switch {
	case err != nil || u.Host != "":
		return u.Host
	case strings.HasPrefix(u.Path, "/account"):
		return "your account"
	}
	return u.Path
}

func (t *Trust) goOn(ctx context.Context, in Choice) (web.Onward, error) {
	out := web.Onward{Next: t.Sites.Safe(in.ReturnTo)}
	err := t.DB.Tx(ctx, func(tx auth.Tx) (err error) {
		if !in.Trust {
			return t.decline(ctx, tx, visit.Of(ctx).Session)
		}
		out.Cookies, err = t.remember(ctx, tx)
		return err
	})
	return out, err
}

func (t *Trust) mine(ctx context.Context, _ web.None) (List, error) {
	u := visit.Of(ctx).Session.User
	rules, err := t.Roster.RulesOf(ctx, t.DB, u)
	if err != nil {
		return List{}, err
	}
	all, err := t.List(ctx, u)
	return List{all, int(rules.Trust / (24 * time.Hour)), rules.Source.Trust}, err
}

// List is the browsers that a person trusts, the latest used first, and which of them is that of this visit.
func (t *Trust) List(ctx context.Context, u auth.User) ([]Listed, error) {
	all, err := t.list(ctx, u, held(visit.Of(ctx).Cookie(visit.TrustCookie)).keys())
	if all == nil {
		all = []Listed{}
	}
	return all, err
}

func (t *Trust) forget(ctx context.Context, in Which) (web.None, error) {
	u := visit.Of(ctx).Session.User
	return web.None{}, t.DB.Tx(ctx, func(tx auth.Tx) error { return t.Forget(ctx, tx, u, in.ID) })
}

// Forget trusts one browser of a person no more, or is auth.ErrNotFound.
func (t *Trust) Forget(ctx context.Context, tx auth.Tx, u auth.User, id string) error {
	agent, err := t.remove(ctx, tx, u, id)
	if err != nil {
		return err
	}
	return t.Trail.Record(ctx, tx, auth.Event{Kind: auth.BrowserForgotten, User: u.ID, Detail: map[string]string{"name": web.BrowserName(agent), "id": id}})
}

func (t *Trust) forgetAll(ctx context.Context, _ web.None) (web.None, error) {
	u := visit.Of(ctx).Session.User.ID
	return web.None{}, t.DB.Tx(ctx, func(tx auth.Tx) error {
		n, err := t.removeAll(ctx, tx, u)
		if err != nil || n == 0 {
			return err
		}
		return t.Trail.Record(ctx, tx, auth.Event{Kind: auth.BrowserForgotten, User: u, Detail: map[string]string{"count": strconv.FormatInt(n, 10)}})
	})
}

// Offered says whether the rules let any browser be trusted.
func (t *Trust) Offered() bool { return t.Roster.Rules().Trust > 0 }

// Card is the place of trusted browsers on the Security page.
func (t *Trust) Card(ctx context.Context) (web.Part, error) {
	all, err := t.mine(ctx, web.None{})
	return part("card", all), err
}
