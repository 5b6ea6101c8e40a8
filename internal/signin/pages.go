package signin

import (
	"context"
	"embed"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html
var files embed.FS

// Routes is the way in, on both faces: the first page, a step for every second factor, and a place to set one up.
func (s *SignIn) Routes() []web.Route {
	routes := []web.Route{
		web.On(visit.Public, "GET /signin", s.ways, web.About{
			Does: "List the ways to sign in",
			Page: web.Gate(files, "signin.html"),
		}),
		web.On(visit.Public, "POST /signin", s.first, web.About{
			Does:     "Sign in with name and password",
			Then:     "{next}",
			Throttle: "first",
			Asks:     &s.Roster.First().(web.Prompter).Prompt().Reply,
			Words: web.Words{auth.ErrWrong: {ID: "signin.wrong",
				Text: "Email or password is not right.", More: "Check both and try again. Passwords are case-sensitive."}},
		}),
		web.On(visit.Pending, "DELETE /signin", s.leave, web.About{Does: "Give up a sign-in that is under way", Then: "/signin"}),
		web.On(visit.Enrolling, "GET /signin/enrol", s.choices, web.About{
			Does: "List the factors that can be set up, one of which is required",
			Page: web.Gate(files, "enrol.html"),
		}),
	}
	for _, f := range s.counting() {
		routes = append(routes, s.step(f)...)
	}
	if s.Mailed != nil { // then the password may come second
		routes = append(routes, s.step(s.Roster.First())...)
		routes = append(routes, s.mailedRoutes()...)
	}
	return routes
}

// counting are the second factors that policy may ask for here.
func (s *SignIn) counting() []auth.Factor {
	return slices.DeleteFunc(slices.Clone(s.Roster.Second()), func(f auth.Factor) bool {
		return !s.Roster.Rules().Asks(f.Kind())
	})
}

// step is one factor as second step (S3), and its set-up for somebody who must have one (W4).
func (s *SignIn) step(f auth.Factor) (routes []web.Route) {
	if p, ok := f.(web.Prompter); ok {
		prompt := p.Prompt()
		words := web.Words{
			errUsedUp: {ID: "signin.used-up", Text: "Too many wrong tries. Please sign in again."},
			errOver:   {ID: "signin.over", Text: "This sign-in is over. Please sign in again."},
		}
		maps.Copy(words, prompt.Words)
		show := func(ctx context.Context, _ web.None) (Step, error) { return s.show(ctx, f.Kind()) }
		check := func(ctx context.Context, in Response) (Answer, error) { return s.second(ctx, f, in.Response) }
		about := web.About{Does: "Finish a sign-in: " + prompt.Title, Then: "{next}", Throttle: "code", Asks: &prompt.Reply, Words: words}
		routes = append(routes, web.On(visit.Pending, "GET /signin/"+string(f.Kind()), show, web.About{
			Does: "Say which factors finish this sign-in: " + prompt.Title + " first",
			Page: web.Gate(files, "second.html"),
		}))
		if o, ok := f.(web.Opener); ok {
			routes = append(routes, s.open(o, prompt.Title, about)...)
		} else {
			routes = append(routes, web.On(visit.Pending, "POST /signin/"+string(f.Kind()), check, about))
		}
		if sender, ok := f.(web.Sender); ok {
			routes = append(routes, s.send(sender, prompt.Title))
		}
	}
	if e, ok := f.(web.Enroller); ok && slices.Contains(s.Roster.Rules().Factors, f.Kind()) { // what is given is not set up
		for _, r := range e.Enrol("/signin/enrol", visit.Enrolling, s.enrolled) {
			routes = append(routes, r.Before(func(ctx context.Context) error { return s.mayEnrol(ctx, e) }))
		}
	}
	return routes
}

type (
	Ways struct {
		Kinds    []auth.Kind `json:"kinds" doc:"what a sign-in may begin with"`
		ReturnTo string      `json:"return_to,omitempty"`
		Openings []Way       `json:"-"`
		Mailed   bool        `json:"-"`
		Forgot   string      `json:"-"`
	}
	Credentials struct {
		Login    string      `json:"login" max:"254"`
		Response auth.Secret `json:"*"`
		ReturnTo string      `json:"return_to,omitempty" max:"2048" doc:"on this site, or registered"`
	}
	Response struct {
		Response auth.Secret `json:"*"`
	}
	Step struct {
		State   string       `json:"state" enum:"second_factor"`
		Factors []auth.Offer `json:"factors" doc:"any of them will do; the strongest, most recently used first"`
		Login   string       `json:"login"`
		Sent    *web.Sent    `json:"sent,omitempty" doc:"of a factor whose response is sent to the person"`
		Kind    auth.Kind    `json:"-"`
		Asks    *web.Prompt  `json:"-"`
		Lead    web.Part     `json:"-"`
		Fields  web.Part     `json:"-"`
		Others  []Way        `json:"-"`
		Forgot  string       `json:"-"`
	}
	Choices struct {
		State   string       `json:"state" enum:"enrolment"`
		Factors []auth.Offer `json:"factors"`
		Login   string       `json:"login"`
		AskedBy string       `json:"asked_by,omitempty" doc:"the level that requires it; empty: an administrator does, for them alone"`
		Ways    []Way        `json:"-"`
	}
	// A Way is a factor in a list to choose from.
	Way struct {
		Kind auth.Kind
		*web.Prompt
	}
	Left struct {
		visit.Cookies `json:"-"`
	}
)

// An Answer says where a sign-in stands.
type Answer = web.Onward

func (s *SignIn) ways(_ context.Context, in web.Leading) (Ways, error) {
	out := Ways{Kinds: []auth.Kind{s.Roster.First().Kind()}, ReturnTo: in.ReturnTo, Mailed: s.Mailed != nil, Forgot: s.Forgot}
	for _, f := range s.counting() {
		if o, ok := f.(web.Opener); ok {
			out.Kinds, out.Openings = append(out.Kinds, o.Kind()), append(out.Openings, Way{o.Kind(), o.Prompt()})
		}
	}
	if out.Mailed {
		out.Kinds = append(out.Kinds, s.Mailed.Kind())
	}
	return out, nil
}

// first is the first step (S1). Name and password are read and counted alike whether somebody has that name or not.
func (s *SignIn) first(ctx context.Context, in Credentials) (Answer, error) {
	who, err := s.Users.Find(ctx, in.Login)
	subject := string(who.ID)
	if errors.Is(err, auth.ErrNotFound) {
		who, subject, err = auth.User{}, s.nobody(in.Login), nil
	}
	if err != nil {
		return Answer{}, err
	}
	// A browser that the person trusts has guesses of its own, so that strangers who use up the account's do not shut its
	// owner out. A name that nobody has is looked up alike.
	if id, err := s.Trust.Of(ctx, s.DB, who); err != nil {
		return Answer{}, err
	} else if id != "" {
		subject += " " + id
	}
	first := s.Roster.First()
	attempt, claim, err := roster.Attempt(ctx, first, in.Response, func(ctx context.Context) (auth.Attempt, error) {
		return s.Throttle.Take(ctx, who, throttle.FirstByAccount.For(subject), throttle.FirstByAddress.ForAddress(visit.Of(ctx).Address))
	})
	if err != nil {
		return Answer{}, s.failed(ctx, attempt, first.Kind(), err)
	}
	return s.begin(ctx, attempt, claim, s.Sites.Safe(in.ReturnTo))
}

// second is any other step.
func (s *SignIn) second(ctx context.Context, f auth.Factor, response auth.Secret) (Answer, error) {
	p := visit.Of(ctx).Pending
	rule := throttle.CodeByAccount
	if _, ok := f.(web.Challenger); ok {
		rule = rule.Lockless()
	}
	if f == s.Roster.First() { // it finishes only what a mailed code began
		if _, err := s.show(ctx, f.Kind()); err != nil {
			return Answer{}, err
		}
		rule = throttle.FirstInside
	}
	attempt, claim, err := roster.Attempt(ctx, f, response, func(ctx context.Context) (auth.Attempt, error) {
		return s.Throttle.Take(ctx, p.User, throttle.CodeByStep.For(p.ID), rule.For(string(p.User.ID)))
	})
	if errors.Is(err, auth.ErrExpired) {
		err = errOver
	}
	if err == nil {
		err = s.standsIn(ctx, f.Kind())
	}
	if err != nil {
		return Answer{}, s.failed(ctx, attempt, f.Kind(), err)
	}
	answer, err := s.prove(ctx, f.Kind(), attempt, claim)
	return answer, s.failed(ctx, attempt, f.Kind(), err)
}

// standsIn is auth.ErrWrong for what somebody was given where nobody asks for it, as after a mailed code alone. It must not
// be used up: the account would ask for nothing then.
func (s *SignIn) standsIn(ctx context.Context, kind auth.Kind) error {
	if !slices.Contains(s.Roster.Rules().Given, kind) {
		return nil
	}
	_, err := s.show(ctx, kind)
	if errors.Is(err, auth.ErrNotFound) || errors.Is(err, auth.ErrForbidden) {
		return auth.ErrWrong
	}
	return err
}

// nobody is what guesses at a name that nobody has are counted as. It tells nothing of the name: people type their
// password there.
func (s *SignIn) nobody(login string) string {
	return "nobody:" + hex.EncodeToString(s.Keys.MAC("name", []byte(user.Key(login))))
}

func (s *SignIn) show(ctx context.Context, kind auth.Kind) (Step, error) {
	p := visit.Of(ctx).Pending
	f, err := s.Roster.Facts(ctx, s.DB, p.User, p.Proofs)
	if err != nil {
		return Step{}, err
	}
	next := policy.Next(f)
	if next.Need != policy.Second {
		return Step{}, auth.ErrForbidden
	}
	out := Step{State: "second_factor", Kind: kind, Factors: roster.Offers(next.Accepts), Login: p.User.Login}
	for _, factor := range append(slices.Clone(s.Roster.Second()), s.Roster.First()) {
		some := roster.Of(factor.Kind(), next.Accepts)
		prompter, ok := factor.(web.Prompter)
		if !ok || len(some) == 0 {
			continue
		}
		prompt := prompter.Prompt()
		if factor.Kind() == kind {
			out.Asks, out.Lead, out.Fields = prompt, prompt.Lead(some), prompt.Fields(some)
			if f, ok := factor.(web.Filler); ok {
				out.Fields = f.Filled(ctx, some)
			}
			if out.Sent, err = s.sent(ctx, factor); err != nil {
				return Step{}, err
			}
		} else {
			out.Others = append(out.Others, Way{factor.Kind(), prompt})
		}
	}
	if kind == s.Roster.First().Kind() {
		out.Forgot = s.Forgot
	}
	if out.Asks == nil {
		return Step{}, auth.ErrNotFound
	}
	return out, nil
}

func (s *SignIn) choices(ctx context.Context, _ web.None) (Choices, error) {
	u := visit.Of(ctx).Pending.User
	rules, err := s.Roster.RulesOf(ctx, s.DB, u)
	if err != nil {
		return Choices{}, err
	}
	out := Choices{State: "enrolment", Factors: s.enrollable(u, rules), Login: u.Login, AskedBy: policy.AskedBy(policy.Facts{Rules: rules, User: u})}
	for _, e := range s.enrollers(u, rules) {
		out.Ways = append(out.Ways, Way{e.Kind(), e.Prompt()})
	}
	return out, nil
}

// Group is the workgroup that asks, by its name; empty: another level does.
func (c Choices) Group() string {
	name, ok := strings.CutPrefix(c.AskedBy, "workgroup ")
	if !ok {
		return ""
	}
	return name
}

func (s *SignIn) leave(ctx context.Context, _ web.None) (Left, error) {
	err := s.DB.Tx(ctx, func(tx auth.Tx) error { return s.spend(ctx, tx, secret.Digest(visit.Of(ctx).Token)) })
	return Left{visit.Cookies{visit.Clear(visit.PendingCookie)}}, err
}

// enrollers are the factors that somebody can set up on the way in.
func (s *SignIn) enrollers(u auth.User, rules policy.Rules) []web.Enroller {
	return web.Enrollers(s.Roster.Second(), u, rules)
}

// mayEnrol is auth.ErrForbidden for another factor than an administrator chose. Whether any can be added, each knows itself.
func (s *SignIn) mayEnrol(ctx context.Context, e web.Enroller) error {
	u := visit.Of(ctx).Pending.User
	rules, err := s.Roster.RulesOf(ctx, s.DB, u)
	if err != nil {
		return err
	}
	may := s.enrollers(u, rules)
	same := func(other web.Enroller) bool { return other.Kind() == e.Kind() }
	chosen := len(may) == 1 && string(may[0].Kind()) == string(u.Method)
	if chosen && !slices.ContainsFunc(may, same) {
		return auth.ErrForbidden
	}
	return nil
}

func (s *SignIn) enrollable(u auth.User, rules policy.Rules) (offers []auth.Offer) {
	for _, e := range s.enrollers(u, rules) {
		offers = append(offers, auth.Offer{Kind: e.Kind(), Name: e.Prompt().Title})
	}
	return offers
}
