package backupcode

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/secret"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html
var files embed.FS

var part = web.Parts(files, "parts.html")

// Prompt is how people are asked for a code.
func (c *Codes) Prompt() *web.Prompt {
	return &web.Prompt{
		Reply: web.Reply{
			Field: "code", Max: 64, Doc: "13 letters and digits; case, spaces and hyphens are ignored",
			Words: web.Words{auth.ErrWrong: {ID: "backupcode.wrong", Field: "code",
				Text: "This code is not right, or it was used before. Each works once, and those of an older sheet do not work."}},
			Check: func(s auth.Secret) error { _, err := parse(s); return err },
		},
		Icon: "codes", Title: "Backup code", Hint: "One of the codes you saved", Noun: "backup code", SignInOnly: true,
		Ask:    "Use a backup code",
		Lead:   func([]auth.Enrolment) web.Part { return part("lead", nil) },
		Fields: func([]auth.Enrolment) web.Part { return part("fields", nil) },
	}
}

// Offered says whether backup codes count here.
func (c *Codes) Offered() bool { return slices.Contains(c.Roster.Rules().Factors, Kind) }

// Card is the place of backup codes on the Security page (B1, B4).
func (c *Codes) Card(ctx context.Context) (web.Part, error) {
	s, err := c.state(ctx, web.None{})
	return part("card", s), err
}

// Holding is how pages speak of a sheet. To remove it is the same as for all factors: package account.
func (c *Codes) Holding() web.Holding {
	return web.Holding{Path: "/account/backupcode", Noun: "backup codes", Advice: "Throw the sheet away: none of its codes works any more."}
}

// Routes is what else a person can do with backup codes, on both faces.
func (c *Codes) Routes() []web.Route {
	if !c.Offered() {
		return nil
	}
	return []web.Route{
		web.On(visit.SignedIn, "GET /account/backupcode", c.state, web.About{Does: "Say how many backup codes are left"}),
		web.On(visit.Fresh, "POST /account/backupcode", c.generate, web.About{
			Does: "Generate backup codes and show them, this once; older ones are void and all other sessions end",
			Page: web.Shell(files, "sheet.html"),
			On:   "/account/security",
		}),
		web.On(visit.SignedIn, "GET /account/backupcode/low", c.low, web.About{
			Does: "Tell somebody who just used a backup code how many are left",
			Page: web.Gate(files, "low.html"),
		}),
	}
}

type (
	// State says all about a sheet but its codes.
	State struct {
		ID        auth.EnrolmentID `json:"id,omitempty" doc:"of the sheet; missing: there is none"`
		Remaining int              `json:"remaining"`
		Generated *time.Time       `json:"generated_at,omitempty"`
		LastUsed  *time.Time       `json:"last_used_at,omitempty"`
		May       bool             `json:"may_generate"`
		Why       string           `json:"reason,omitempty" doc:"why not"`
		Closed    bool             `json:"-"` // what there is can be removed, and no more
	}
	// Sheet is shown once.
	Sheet struct {
		ID        auth.EnrolmentID `json:"id"`
		Codes     []string         `json:"codes" doc:"each works once; they are never shown again"`
		Generated time.Time        `json:"generated_at"`
		Replaced  bool             `json:"replaced" doc:"there was an older sheet, which is void now"`
		Login     string           `json:"-"`
		Name      string           `json:"-"`
		Site      string           `json:"-"`
	}
	Low struct {
		Remaining int    `json:"remaining"`
		ReturnTo  string `json:"return_to"`
	}
)

func (c *Codes) state(ctx context.Context, _ web.None) (State, error) {
	now := visit.Of(ctx).Session
	var out State
	var no auth.ConflictError
	switch err := c.may(ctx, c.DB, now); {
	case err == nil:
		out.May = true
	case errors.As(err, &no):
		out.Why, out.Closed = no.Why, no == errClosed
	default:
		return State{}, err
	}
	s, err := c.sheet(ctx, c.DB, now.User.ID)
	if errors.Is(err, auth.ErrNotFound) {
		return out, nil
	}
	out.ID, out.Remaining, out.Generated = s.id, s.left, &s.created
	if !s.lastUsed.IsZero() {
		out.LastUsed = &s.lastUsed
	}
	return out, err
}

// errClosed is for a sheet that would sign nobody in.
var errClosed = auth.ConflictError{Code: "backupcodes-closed", Why: "Backup codes are not used here."}

// may is nil if the person may have a sheet, or why not (B1).
func (c *Codes) may(ctx context.Context, from auth.Reader, now auth.Session) error {
	f, err := c.Roster.Facts(ctx, from, now.User, now.Proofs)
	if err == nil && !f.Rules.Asks(Kind) { // not in their workgroup
		err = errClosed
	}
	if err != nil {
		return err
	}
	return policy.MayHaveSpare(f)
}

// generate puts a new sheet in the place of the old one (B5). The new security epoch comes first: it locks the person's
// row, so that nobody uses a code or takes the last factor away meanwhile.
func (c *Codes) generate(ctx context.Context, _ web.None) (Sheet, error) {
	now := visit.Of(ctx).Session
	u := now.User.ID
	out := Sheet{ID: auth.EnrolmentID(secret.NewID()), Generated: c.Clock(), Login: now.User.Login, Name: c.Name, Site: c.Site}
	var macs [][]byte
	for _, code := range draw() {
		out.Codes = append(out.Codes, grouped(code))
		macs = append(macs, c.mac(u, out.ID, code))
	}
	err := c.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := c.Revoker.RevokeOthers(ctx, tx, u, now.ID); err != nil {
			return err
		}
		if err := c.may(ctx, tx, now); err != nil {
			return err
		}
		_, err := c.sheet(ctx, tx, u)
		if out.Replaced = err == nil; err != nil && !errors.Is(err, auth.ErrNotFound) {
			return err
		}
		if err := c.replace(ctx, tx, u, out.ID, macs, out.Generated); err != nil {
			return err
		}
		return c.Trail.Record(ctx, tx, auth.Event{Kind: auth.FactorAdded, User: u,
			Detail: map[string]string{"factor": string(Kind), "name": "", "id": string(out.ID)}})
	})
	if err != nil {
		return Sheet{}, err
	}
	return out, nil
}

// Detour is signin.Detour: whoever came in by one of their last codes is told (B4).
func (c *Codes) Detour(ctx context.Context, tx auth.Tx, began auth.Session, to string) (string, error) {
	if !slices.ContainsFunc(began.Proofs, func(p auth.Proof) bool { return p.Kind == Kind }) {
		return "", nil
	}
	s, err := c.sheet(ctx, tx, began.User.ID)
	if errors.Is(err, auth.ErrNotFound) || err == nil && s.left > few {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return "/account/backupcode/low?" + url.Values{"return_to": {to}}.Encode(), nil
}

func (c *Codes) low(ctx context.Context, in web.Leading) (Low, error) {
	s, err := c.sheet(ctx, c.DB, visit.Of(ctx).Session.User.ID)
	if errors.Is(err, auth.ErrNotFound) {
		err = nil
	}
	return Low{s.left, c.Sites.Safe(in.ReturnTo)}, err
}

// Of is how many codes a full sheet has.
func (State) Of() int { return inSheet }

// Few says that it is time for new ones.
func (s State) Few() bool { return s.Remaining <= few }

// Few says that it is time for new ones.
func (l Low) Few() bool { return l.Remaining <= few }

// Day is when the sheet was made, in words that stay true on paper.
func (s Sheet) Day() string { return s.Generated.UTC().Format("2 January 2006") }

// File is the sheet as a text to download. It travels in the page: nothing that could be asked for again is kept.
func (s Sheet) File() template.URL {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: backup codes of %s, %s\n\n", s.Name, s.Login, s.Day())
	for i, code := range s.Codes {
		fmt.Fprintf(&b, "%2d. %s\n", i+1, code)
	}
	fmt.Fprintf(&b, "\nEach works once, in place of the second step at %s. Cross out what you have used.\n"+
		"Keep this offline; do not mail it to yourself. Generating new codes makes these invalid.\n", s.Site)
	return template.URL("data:text/plain;charset=utf-8," + url.PathEscape(b.String()))
}

var _ web.Prompter = (*Codes)(nil)
