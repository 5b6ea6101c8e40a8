package notice

import (
	"context"
	"embed"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/secret"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html
var files embed.FS

// Routes are the page behind “This wasn't me”, on both faces. Only POST uses a link up: a mail
// scanner that follows it does no harm.
func (n *Notices) Routes() []web.Route {
	words := web.Words{auth.ErrNotFound: {ID: "notice.void", Text: "This link was used already, or it is too old.",
		More: "Sign in to see what happened in your account, or ask for help."}}
	return []web.Route{
		web.On(visit.Public, "GET /not-me", n.show, web.About{
			Does:  "Say what a notice told of, and what “This wasn't me” does",
			Page:  web.Gate(files, "notme.html"),
			Words: words,
		}),
		web.On(visit.Public, "POST /not-me", n.notMe, web.About{
			Does:  "Answer “This wasn't me” to a notice: all sessions end, the change is undone if it can be, nothing can be changed for a while",
			Then:  "{next}",
			Words: words,
		}),
		web.On(visit.Public, "GET /not-me/done", n.done, web.About{
			Does: "Say what “This wasn't me” did",
			Page: web.Gate(files, "done.html"),
		}),
	}
}

type (
	Link struct {
		Token string `json:"token,omitempty" max:"64"`
	}
	Shown struct {
		Token    string         `json:"-"`
		Kind     auth.EventKind `json:"kind" doc:"what happened"`
		At       time.Time      `json:"at"`
		Undoes   bool           `json:"undoes" doc:"what happened is taken back"`
		Recovers bool           `json:"recovers" doc:"a new password is chosen next"`
		Days     int            `json:"days" doc:"how long nothing can be changed then"`
		What     string         `json:"-"`
	}
	Answer struct {
		Token string `json:"token" max:"64" doc:"of the link"`
	}
	Answered struct {
		Next string `json:"next" doc:"where a browser goes from here: to a new password, if the link may lead there"`
	}
	Done struct {
		Days int `json:"days" doc:"how long nothing can be changed"`
	}
)

func digestOf(token string) digest { return secret.Digest(auth.Secret(token)) }

// happened says events in words, to somebody of whom we know nothing but that they have the link.
var happened = map[auth.EventKind]string{
	auth.SessionStarted:  "A new browser signed in to your account.",
	auth.FactorAdded:     "A way to sign in was added to your account.",
	auth.FactorRemoved:   "A way to sign in was removed from your account.",
	auth.FactorRenamed:   "A way to sign in to your account was renamed.",
	auth.PasswordChanged: "The password of your account was changed.",
	auth.ContactChanged:  "Where we reach you about your account was changed.",
	auth.MFADisabled:     "MFA was turned off for your account.",
	auth.MFAEnabled:      "MFA was turned on for your account.",
	auth.BackupCodesLow:  "One of the last backup codes of your account was used to sign in.",
	auth.MFAReset:        "An administrator reset MFA for your account.",
	auth.MethodSet:       "An administrator changed the second step of your account.",
	auth.PassGiven:       "An administrator gave out an access pass for your account.",
	auth.RecoveryBegan:   "Somebody said that the second step of your account is lost, to change it in a while.",
	auth.RecoveryEnded:   "Somebody said that the second step of your account is not lost after all.",
	auth.SignInFailed:    "The second step of your account was wrong several times.",
	auth.StepUpFailed:    "The second step of your account was wrong several times.",
}

func (n *Notices) days() int { return int(n.Freeze / (24 * time.Hour)) }

func (n *Notices) show(ctx context.Context, in Link) (Shown, error) {
	l, err := n.find(ctx, digestOf(in.Token))
	if err != nil {
		return Shown{}, err
	}
	u, err := n.Users.Get(ctx, n.DB, l.user)
	if err != nil {
		return Shown{}, err
	}
	recovers, err := n.recovers(ctx, n.DB, u, l)
	undoes := l.kind == auth.FactorAdded || l.kind == auth.ContactChanged && l.subject != "" ||
		l.kind == auth.RecoveryBegan && policy.Recovering(u, n.Clock()) // the new security epoch ends it
	return Shown{in.Token, l.kind, l.created, undoes, recovers, n.days(), happened[l.kind]}, err
}

func (n *Notices) notMe(ctx context.Context, in Answer) (Answered, error) {
	key := digestOf(in.Token)
	if _, err := n.find(ctx, key); err != nil { // before any write: nobody makes us work by guessing links
		return Answered{}, err
	}
	next, err := n.answer(ctx, key)
	return Answered{next}, err
}

func (n *Notices) done(context.Context, web.None) (Done, error) { return Done{n.days()}, nil }
