package onetime

import (
	"context"
	"embed"
	"errors"
	"slices"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/throttle"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html
var files embed.FS

var part = web.Parts(files, "parts.html")

// words are said at every place that takes a code.
var words = web.Words{
	auth.ErrWrong: {ID: "onetime.wrong", Field: "code", Text: "This code is not right. Only the newest one works."},
	errLate:       {ID: "onetime.late", Field: "code", Text: "This code has expired. Ask for another one."},
	errSpent:      {ID: "onetime.spent", Field: "code", Text: "This code was tried too often. Ask for another one."},
}

// Prompt is how people are asked for a code.
func (f *Factor) Prompt() *web.Prompt {
	p := &web.Prompt{
		Reply: web.Reply{
			Field: "code", Max: 16, Doc: "as it was sent; case, spaces and hyphens are ignored", Words: words,
			Check: func(s auth.Secret) error { _, _, err := parse(s); return err },
		},
		Icon: "mail", Title: "Email", Hint: "A code by email", Noun: "code by email", SignInOnly: true,
		Ask:    "Check your email",
		Lead:   func(some []auth.Enrolment) web.Part { return part("lead", some) },
		Fields: func([]auth.Enrolment) web.Part { return part("fields", f.field()) },
	}
	if f.kind == SMS {
		p.SignInOnly = false
		p.Icon, p.Title, p.Hint, p.Noun, p.Ask = "sms", "Text message", "A code to your phone", "code by SMS", "Check your phone"
	}
	return p
}

// A field is the input for a code.
type field struct {
	Label string
	Short bool // digits alone
}

func (f *Factor) field() field {
	if f.Rules.Delivery == All && len(f.offered()) > 1 {
		return field{Label: "Code from either message"}
	}
	return f.own()
}

// own is the input for a code that came by this channel.
func (f *Factor) own() field {
	if f.kind == SMS {
		return field{Label: "6-digit code", Short: true}
	}
	return field{Label: "8-character code"}
}

// Holding is how pages speak of a destination that goes.
func (f *Factor) Holding() web.Holding {
	return web.Holding{Path: "/account/" + string(f.kind), Noun: f.Prompt().Noun, Advice: "No codes go there any more."}
}

// Enrol is web.Enroller: the destination in the profile is proved in the middle of a sign-in.
func (f *Factor) Enrol(at string, guard visit.Guard, done web.EnrolDone) []web.Route {
	return f.enrol(at, guard, web.Gate(files, "enrol.html", "parts.html"), at, "{next}", done)
}

// Enrols says whether somebody has an address or number that could be proved.
func (f *Factor) Enrols(u auth.User) bool { return f.profile(u) != "" }

// Routes is what people do with codes on the Security page besides removing them.
func (c *Codes) Routes() []web.Route {
	if !c.Offered() {
		return nil
	}
	routes := []web.Route{
		web.On(visit.SignedIn, "GET /account/codes", c.state, web.About{Does: "Say whether codes are sent at sign-in, and where to"}),
		web.On(visit.Fresh, "POST /account/codes", c.set, web.About{
			Does: "Switch codes at sign-in on or off, and choose the channel; a new destination is proved first",
			Then: "{next}",
			On:   "/account/security",
		}),
	}
	for _, f := range c.offered() {
		routes = append(routes, f.enrol("/account", visit.Fresh, web.Shell(files, "add.html", "parts.html"), "/account/security", "/account/security",
			func(ctx context.Context, tx auth.Tx, _ auth.Proof) (web.Onward, error) {
				now := visit.Of(ctx).Session
				return web.Onward{}, c.Revoker.RevokeOthers(ctx, tx, now.User.ID, now.ID)
			})...)
	}
	return routes
}

func (f *Factor) enrol(at string, guard visit.Guard, page *web.Page, from, then string, done web.EnrolDone) []web.Route {
	path, noun := at+"/"+string(f.kind), f.Prompt().Noun
	confirm := func(ctx context.Context, in Confirmation) (Confirmed, error) { return f.confirm(ctx, in, done) }
	return []web.Route{
		web.On(guard, "POST "+path, f.begin, web.About{
			Does: "Send a code to the destination in the profile, to prove it: " + noun,
			Then: path + "/code",
			On:   from,
		}),
		web.On(guard, "GET "+path+"/code", f.waiting, web.About{
			Does: "Say where the code went that proves a destination: " + noun,
			Page: page,
			On:   from,
		}),
		web.On(guard, "POST "+path+"/code", confirm, web.About{
			Does:     "Prove a destination with the code that went there; all other sessions end: " + noun,
			Then:     then,
			Throttle: "setup",
			Words:    words,
		}),
	}
}

type (
	State struct {
		On       bool      `json:"on"`
		Channels []Channel `json:"channels"`
	}
	// A Channel is one way a code can go.
	Channel struct {
		Kind      auth.Kind        `json:"kind" enum:"email,sms"`
		Offered   bool             `json:"offered" doc:"it can be chosen; else what was proved counts no more"`
		ID        auth.EnrolmentID `json:"id,omitempty" doc:"of the destination that was proved, to remove it"`
		To        string           `json:"to,omitempty" doc:"where codes go, masked; empty: nowhere yet"`
		Profile   string           `json:"profile,omitempty" doc:"the address or number in the profile, masked, if no codes go there yet"`
		Preferred bool             `json:"preferred"`
		Blocked   bool             `json:"blocked" doc:"somebody else has the same address or number"`
		Added     time.Time        `json:"added_at"`
		LastUsed  time.Time        `json:"last_used_at"`
		Title     string           `json:"-"`
		Icon      string           `json:"-"`
	}
	Choice struct {
		On      bool   `json:"on"`
		Channel string `json:"channel,omitempty" max:"16" doc:"email or sms"`
	}
	Chosen struct {
		Next string `json:"next" doc:"where a browser goes from here; below /account/email or /account/sms a code is asked for"`
	}
	Confirmation struct {
		Code auth.Secret `json:"code" max:"16" doc:"as it was sent; case, spaces and hyphens are ignored"`
	}
	Confirmed struct {
		ID auth.EnrolmentID `json:"id"`
		web.Onward
	}
	Waiting struct {
		Sent  web.Sent `json:"sent"`
		What  string   `json:"-"` // "email"
		Form  web.Part `json:"-"`
		Again string   `json:"-"` // where another one is asked for
		Back  string   `json:"-"`
	}
)

// Card is the place of codes on the Security page.
func (c *Codes) Card(ctx context.Context) (web.Part, error) {
	s, err := c.state(ctx, web.None{})
	return part("card", s), err
}

func (c *Codes) state(ctx context.Context, _ web.None) (State, error) {
	u, err := c.person(ctx)
	if err != nil {
		return State{}, err
	}
	has, err := c.contacts(ctx, c.DB, u.ID)
	if err != nil {
		return State{}, err
	}
	rules, err := c.Roster.RulesOf(ctx, c.DB, u)
	if err != nil {
		return State{}, err
	}
	s := State{On: len(has) > 0, Channels: []Channel{}}
	for _, f := range []*Factor{c.email, c.sms} {
		p := f.Prompt()
		one := Channel{Kind: f.kind, Offered: slices.Contains(c.offered(), f) && slices.Contains(rules.Addable(), f.kind), Title: p.Title, Icon: p.Icon}
		for _, k := range has {
			if k.kind != f.kind {
				continue
			}
			one.ID, one.To, one.Preferred, one.Added, one.LastUsed = k.id, mask(k.kind, k.destination), k.preferred, k.added, k.lastUsed
			if one.Blocked, err = c.shared(ctx, c.DB, u.ID, k.kind, k.destination); err != nil {
				return State{}, err
			}
			if key(k.kind, k.destination) == key(k.kind, f.profile(u)) {
				u = without(u, k.kind)
			}
		}
		if to := f.profile(u); to != "" {
			one.Profile = mask(f.kind, to)
		}
		if one.Offered || one.ID != "" {
			s.Channels = append(s.Channels, one)
		}
	}
	return s, nil
}

// enrolling is what a code belongs to that proves a new destination.
func enrolling(ctx context.Context) web.Thread {
	in := web.ThreadOf(visit.Of(ctx))
	in.Purpose = toEnrol
	return in
}

// begin sends a code to the destination in the profile.
func (f *Factor) begin(ctx context.Context, _ web.None) (Waiting, error) {
	u, err := f.person(ctx)
	if err != nil {
		return Waiting{}, err
	}
	in := enrolling(ctx)
	err = f.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := f.mayUse(ctx, tx, u); err != nil {
			return err
		}
		return f.send(ctx, tx, in, f.kind, f.profile(u))
	})
	if err != nil {
		return Waiting{}, err
	}
	return f.waiting(ctx, web.None{})
}

func (f *Factor) waiting(ctx context.Context, _ web.None) (Waiting, error) {
	in := enrolling(ctx)
	s, err := f.under(ctx, f.DB, in, f.kind)
	if err != nil {
		return Waiting{}, err
	}
	told, err := f.told(ctx, in, []auth.Kind{f.kind}, []string{mask(f.kind, s.destination)})
	at, back := "/account/", "/account/security"
	if visit.Of(ctx).Session.ID == "" {
		at, back = "/signin/enrol/", "/signin/enrol"
	}
	return Waiting{told, map[auth.Kind]string{Email: "email", SMS: "work phone"}[f.kind], part("fields", f.own()), at + string(f.kind), back}, err
}

// confirm takes the code that went to a new destination, which becomes a factor by that.
func (f *Factor) confirm(ctx context.Context, in Confirmation, done web.EnrolDone) (Confirmed, error) {
	kind, code, err := parse(in.Code)
	if err != nil {
		return Confirmed{}, err
	}
	u, err := f.person(ctx)
	if err != nil {
		return Confirmed{}, err
	}
	attempt, err := f.Throttle.Take(ctx, u, throttle.SetupByAccount.For(string(u.ID)))
	if err != nil {
		return Confirmed{}, err
	}
	s, err := f.try(ctx, enrolling(ctx), u.ID, kind, code)
	if err != nil {
		return Confirmed{}, f.Trail.Failed(ctx, auth.FactorFailed, u.ID, f.kind, err)
	}
	now := f.Clock()
	shown := Confirmed{}
	err = f.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := f.Users.Lock(ctx, tx, u.ID); err != nil {
			return err
		}
		if err := f.spend(ctx, tx, s, now); err != nil {
			return err
		}
		u, err := f.Users.Get(ctx, tx, u.ID)
		if err != nil {
			return err
		}
		if key(kind, f.profile(u)) != s.key { // it was changed meanwhile
			return auth.ErrWrong
		}
		if err := f.mayUse(ctx, tx, u); err != nil {
			return err
		}
		if err := f.Throttle.Succeeded(ctx, tx, attempt); err != nil {
			return err
		}
		if shown.ID, err = f.keep(ctx, tx, u.ID, kind, s.destination, now); err != nil {
			return err
		}
		if err := f.Trail.Record(ctx, tx, auth.Event{Kind: auth.FactorAdded, User: u.ID, Detail: map[string]string{
			"factor": string(kind), "name": mask(kind, s.destination), "id": string(shown.ID)}}); err != nil {
			return err
		}
		shown.Onward, err = done(ctx, tx, prove(kind, shown.ID, now))
		return err
	})
	return shown, err
}

var (
	_ web.Enroller = (*Factor)(nil)
	_ web.Sender   = (*Factor)(nil)
)

// set is the tick and the choice on the card (C1).
func (c *Codes) set(ctx context.Context, in Choice) (Chosen, error) {
	if !in.On {
		return Chosen{"/account/security"}, c.switchOff(ctx)
	}
	for _, f := range c.offered() {
		if string(f.kind) == in.Channel {
			return f.choose(ctx)
		}
	}
	return Chosen{}, auth.InvalidError{Field: "channel", Why: "must be one of those listed"}
}

// choose prefers a channel, or begins to prove its destination.
func (f *Factor) choose(ctx context.Context) (Chosen, error) {
	u, err := f.person(ctx)
	if err != nil {
		return Chosen{}, err
	}
	has, err := f.contacts(ctx, f.DB, u.ID)
	if err != nil {
		return Chosen{}, err
	}
	for _, c := range has {
		if c.kind == f.kind && (f.profile(u) == "" || key(c.kind, c.destination) == key(f.kind, f.profile(u))) {
			return Chosen{"/account/security"}, f.DB.Tx(ctx, func(tx auth.Tx) error { return f.prefer(ctx, tx, u.ID, f.kind) })
		}
	}
	_, err = f.begin(ctx, web.None{})
	var wait auth.ThrottledError
	if errors.As(err, &wait) { // one is on its way already, perhaps: the page says so
		if _, none := f.waiting(ctx, web.None{}); none == nil {
			err = nil
		}
	}
	return Chosen{"/account/" + string(f.kind) + "/code"}, err
}
