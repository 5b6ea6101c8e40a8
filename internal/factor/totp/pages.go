package totp

import (
	"context"
	"embed"
	"html/template"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html
var files embed.FS

var part = web.Parts(files, "parts.html")

// wrongCode is said at every place that takes a code.
var wrongCode = web.Words{auth.ErrWrong: {ID: "totp.wrong", Field: "code",
	Text: "This code is not right. If codes keep failing, check your device’s clock: it must set itself automatically."}}

// Prompt is how people are asked for a code.
func (t *TOTP) Prompt() *web.Prompt {
	return &web.Prompt{
		Reply: web.Reply{
			Field: "code", Max: 16, Doc: "6 digits; spaces and hyphens are ignored",
			Words: wrongCode,
			Check: func(s auth.Secret) error { _, err := parseCode(s); return err },
		},
		Icon: "app", Title: "Authenticator app", Hint: "A code from an app on your phone", Noun: "code",
		Ask:    "Enter the code from your app",
		Lead:   func(some []auth.Enrolment) web.Part { return part("lead", some) },
		Fields: func([]auth.Enrolment) web.Part { return part("fields", nil) },
	}
}

// Card is the place of authenticators on the Security page (T1, T4).
func (t *TOTP) Card(ctx context.Context) (web.Part, error) {
	all, err := t.list(ctx, web.None{})
	return part("card", all), err
}

// Holding is how pages speak of authenticators. To rename and remove them is the same for all factors: package account.
func (t *TOTP) Holding() web.Holding {
	return web.Holding{Path: "/account/totp", Noun: "authenticator",
		Advice: "Also delete the entry in your app, or it keeps showing codes that no longer work."}
}

// Routes is what else a person can do with authenticators, on both faces.
func (t *TOTP) Routes() []web.Route {
	routes := []web.Route{
		web.On(visit.SignedIn, "GET /account/totp", t.list, web.About{Does: "List authenticators"}),
	}
	return append(routes, t.enrol("/account", visit.Fresh, web.Shell(files, "add.html", "setup.html"), "/account/security", "/account/security",
		func(ctx context.Context, tx auth.Tx, _ auth.Proof) (web.Onward, error) {
			now := visit.Of(ctx).Session
			return web.Onward{}, t.Revoker.RevokeOthers(ctx, tx, now.User.ID, now.ID)
		})...)
}

// Enrol is web.Enroller: the same three routes in the middle of a sign-in.
func (t *TOTP) Enrol(at string, guard visit.Guard, done web.EnrolDone) []web.Route {
	return t.enrol(at, guard, web.Gate(files, "enrol.html", "setup.html"), at, "{next}", done)
}

func (t *TOTP) enrol(at string, guard visit.Guard, page *web.Page, from, then string, done web.EnrolDone) []web.Route {
	confirm := func(ctx context.Context, in Confirmation) (Confirmed, error) { return t.finish(ctx, in, done) }
	return []web.Route{
		web.On(guard, "POST "+at+"/totp", t.start, web.About{
			Does: "Start to add an authenticator, or go on with the one that waits",
			Then: at + "/totp/{id}",
			On:   from,
		}),
		web.On(guard, "GET "+at+"/totp/{id}", t.resume, web.About{
			Does: "Show an authenticator that waits for its first code",
			Page: page,
			On:   from,
		}),
		web.On(guard, "POST "+at+"/totp/{id}", confirm, web.About{
			Does:     "Confirm an authenticator with its current code; all other sessions end",
			Then:     then,
			Throttle: "setup",
			Words:    wrongCode,
		}),
	}
}

type (
	List struct {
		Authenticators []Authenticator `json:"authenticators"`
		Counts         bool            `json:"-"` // else what there is can be removed, and nothing added
	}
	Authenticator struct {
		ID       auth.EnrolmentID `json:"id"`
		Name     string           `json:"name"`
		Added    time.Time        `json:"added_at"`
		LastUsed time.Time        `json:"last_used_at"`
	}
	// Waiting is shown as often as asked until it is confirmed, then never again.
	Waiting struct {
		ID     auth.EnrolmentID `json:"id"`
		Secret string           `json:"secret" doc:"base32"`
		URI    string           `json:"uri" doc:"otpauth://"`
		QR     string           `json:"qr_svg"`
	}
	Which struct {
		ID auth.EnrolmentID `path:"id"`
	}
	Confirmation struct {
		ID   auth.EnrolmentID `path:"id"`
		Code auth.Secret      `json:"code" max:"16" doc:"6 digits; spaces and hyphens are ignored"`
		Name string           `json:"name,omitempty" max:"60" doc:"so that the person recognises it later"`
	}
	Confirmed struct {
		Authenticator
		web.Onward
	}
)

func (t *TOTP) list(ctx context.Context, _ web.None) (List, error) {
	u := visit.Of(ctx).Session.User
	all, err := t.all(ctx, t.DB, u.ID)
	if err != nil {
		return List{}, err
	}
	open, err := t.Roster.MayAdd(ctx, t.DB, u, Kind)
	shown := List{make([]Authenticator, len(all)), open}
	for i, a := range all {
		shown.Authenticators[i] = Authenticator{a.id, a.name, a.added, a.lastUsed}
	}
	return shown, err
}

// errClosed is for an authenticator that would sign nobody in, and could ask its person for another factor instead.
var errClosed = auth.ConflictError{Code: "totp-closed", Why: "Authenticator apps are not used here."}

// mayAdd is nil where a person may set one up.
func (t *TOTP) mayAdd(ctx context.Context, who auth.User) error {
	may, err := t.Roster.MayAdd(ctx, t.DB, who, Kind)
	if err == nil && !may {
		err = errClosed
	}
	return err
}

func (t *TOTP) start(ctx context.Context, _ web.None) (Waiting, error) {
	v := visit.Of(ctx)
	who := v.Person()
	if err := t.mayAdd(ctx, who); err != nil {
		return Waiting{}, err
	}
	id := auth.EnrolmentID(secret.NewID())
	var a authenticator
	err := t.DB.Tx(ctx, func(tx auth.Tx) (err error) {
		a, err = t.begin(ctx, tx, who.ID, v.Thread(), id)
		return err
	})
	if err != nil {
		return Waiting{}, err
	}
	return t.setup(a, who)
}

func (t *TOTP) resume(ctx context.Context, in Which) (Waiting, error) {
	v := visit.Of(ctx)
	a, err := t.begun(ctx, v.Person().ID, v.Thread(), in.ID)
	if err != nil {
		return Waiting{}, err
	}
	return t.setup(a, v.Person())
}

func (t *TOTP) setup(a authenticator, who auth.User) (Waiting, error) {
	secret, err := t.open(a)
	if err != nil {
		return Waiting{}, err
	}
	address := uri(t.Issuer, who.Login, base32Of(secret))
	picture, err := svg(address, "QR code for an authenticator app. The same secret stands beside it as text.")
	return Waiting{a.id, base32Of(secret), address, picture}, err
}

func (t *TOTP) finish(ctx context.Context, in Confirmation, done web.EnrolDone) (Confirmed, error) {
	if err := t.mayAdd(ctx, visit.Of(ctx).Person()); err != nil { // no more
		return Confirmed{}, err
	}
	code, err := parseCode(in.Code)
	if err != nil {
		return Confirmed{}, err
	}
	name, err := cleanName(in.Name)
	if err != nil {
		return Confirmed{}, err
	}
	v := visit.Of(ctx)
	who := v.Person()
	a, err := t.begun(ctx, who.ID, v.Thread(), in.ID)
	if err != nil {
		return Confirmed{}, err
	}
	attempt, err := t.Throttle.Take(ctx, who, throttle.SetupByAccount.For(string(who.ID)))
	if err != nil {
		return Confirmed{}, err
	}
	secret, err := t.open(a)
	if err != nil {
		return Confirmed{}, err
	}
	now := t.Clock()
	step := match(secret, code, now, 0)
	if step == 0 {
		return Confirmed{}, t.Trail.Failed(ctx, auth.FactorFailed, who.ID, Kind, auth.ErrWrong)
	}
	shown := Confirmed{Authenticator: Authenticator{a.id, name, now, now}}
	err = t.DB.Tx(ctx, func(tx auth.Tx) (err error) {
		if err = t.confirm(ctx, tx, a.id, name, step, now); err != nil {
			return err
		}
		if err = t.Throttle.Succeeded(ctx, tx, attempt); err != nil {
			return err
		}
		if err = t.Trail.Record(ctx, tx, auth.Event{Kind: auth.FactorAdded, User: who.ID,
			Detail: map[string]string{"factor": string(Kind), "name": name, "id": string(a.id)}}); err != nil {
			return err
		}
		shown.Onward, err = done(ctx, tx, prove(a.id, now))
		return err
	})
	return shown, err
}

// cleanName is a name as it is stored. Whoever gives none has one authenticator and needs no name.
func cleanName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if !auth.OneLine(name) {
		return "", auth.InvalidError{Field: "name", Why: "must stand on one line"}
	}
	if name == "" {
		name = "Authenticator"
	}
	return name, nil
}

// Grouped is the secret in fours, as people type it.
func (w Waiting) Grouped() string {
	var b strings.Builder
	for i, r := range w.Secret {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Picture is the QR code as a page shows it. It is drawn here and holds nothing a person typed.
func (w Waiting) Picture() template.HTML { return template.HTML(w.QR) }

// Link opens an app on the same phone.
func (w Waiting) Link() template.URL { return template.URL(w.URI) }

var _ web.Enroller = (*TOTP)(nil)
