package reminder

import (
	"context"
	"embed"
	"net/url"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html
var files embed.FS

// Routes is the page between a sign-in and where it leads, for whoever lacks a factor that is required of them soon.
func (r *Reminders) Routes() []web.Route {
	return []web.Route{
		web.On(visit.SignedIn, "GET /signin/due", r.show, web.About{Does: "Say who asks for a second step, and until when it must be set up", Page: web.Gate(files, "due.html")}),
	}
}

// Due is what the page says.
type Due struct {
	By       string     `json:"asked_by" doc:"who asks"`
	Due      *time.Time `json:"due_at,omitempty" doc:"none: nothing is asked any more"`
	ReturnTo string     `json:"return_to"`
}

// Detour is signin.Detour.
func (r *Reminders) Detour(ctx context.Context, tx auth.Tx, began auth.Session, to string) (string, error) {
	due, _, err := r.due(ctx, tx, began.User, began.Proofs)
	if err != nil || due.IsZero() {
		return "", err
	}
	return "/signin/due?" + url.Values{"return_to": {to}}.Encode(), nil
}

// due is the zero time for somebody who is not asked, or has a factor already.
func (r *Reminders) due(ctx context.Context, from auth.Reader, u auth.User, proofs []auth.Proof) (due time.Time, by string, err error) {
	rules, err := r.Roster.RulesOf(ctx, from, u)
	f := policy.Facts{Now: r.Clock(), Rules: rules, User: u, Proofs: proofs}
	if err != nil || policy.MFAOf(f) != policy.Required || policy.Proved(f) {
		return due, "", err
	}
	if f.User, err = r.Users.Get(ctx, from, u.ID); err != nil { // the sign-in may have begun their period just now
		return due, "", err
	}
	if f, err = r.Roster.Gather(ctx, from, f); err != nil {
		return due, "", err
	}
	if due = policy.Due(f); !f.Now.Before(due) {
		due = time.Time{}
	}
	return due, policy.AskedBy(f), err
}

func (r *Reminders) show(ctx context.Context, in web.Leading) (Due, error) {
	s := visit.Of(ctx).Session
	due, by, err := r.due(ctx, r.DB, s.User, s.Proofs)
	out := Due{By: Asker(by, r.Name), ReturnTo: r.Sites.Safe(in.ReturnTo)}
	if !due.IsZero() {
		out.Due = &due
	}
	return out, err
}

// Asker is who asks, at the begin of a sentence.
func Asker(level, site string) string {
	if name, group := strings.CutPrefix(level, "workgroup "); group {
		return "Your workgroup " + name
	}
	return site
}
