package account

import (
	"context"
	"slices"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

const (
	recently = 6  // events on the Security page
	perPage  = 30 // on the page of their own
)

type (
	Since struct {
		Before string `json:"before,omitempty" max:"64" doc:"an id: what came before that"`
	}
	Activity struct {
		Events []Happening `json:"events"`
		Older  string      `json:"older,omitempty" doc:"before= of the next page; empty: this is the last"`
		First  bool        `json:"-"`
	}
	Happening struct {
		ID      string         `json:"id"`
		At      time.Time      `json:"at"`
		Kind    auth.EventKind `json:"kind"`
		What    string         `json:"what"`
		Bad     bool           `json:"bad" doc:"it may be somebody else's doing"`
		Address string         `json:"address"`
		Browser string         `json:"browser"`
	}
)

func (a *Account) activity(ctx context.Context, in Since) (Activity, error) {
	events, err := a.happened(a.Trail.Before(ctx, visit.Of(ctx).Session.User.ID, in.Before, perPage+1))
	out := Activity{Events: events, First: in.Before == ""}
	if len(events) > perPage {
		out.Events = events[:perPage]
		out.Older = events[perPage-1].ID
	}
	return out, err
}

// happened says events to the person they are about.
func (a *Account) happened(some []audit.Entry, err error) ([]Happening, error) {
	all := make([]Happening, len(some))
	for i, e := range some {
		what, bad := a.inWords(e)
		all[i] = Happening{e.ID, e.At, e.Kind, what, bad, e.Address, e.Browser}
	}
	return all, err
}

// called is what people call a factor in a sentence: "password".
func (a *Account) called(k auth.Kind) string {
	return web.Noun(k, append(slices.Clone(a.Roster.Second()), a.Roster.First())...)
}

// inWords says an event to the person it is about, and whether it may be somebody else's doing.
func (a *Account) inWords(e audit.Entry) (what string, bad bool) {
	name := e.Detail["name"]
	switch e.Kind {
	case auth.SessionStarted:
		var with []string
		for _, kind := range strings.Fields(e.Detail["factors"]) {
			with = append(with, a.called(auth.Kind(kind)))
		}
		if with == nil {
			return "Signed in", false
		}
		where := ""
		if e.Detail["trusted"] != "" {
			where = " on a trusted browser"
		}
		return "Signed in with " + strings.Join(with, " and ") + where, false
	case auth.SessionEnded:
		return "Signed out", false
	case auth.SessionsEnded:
		return "Signed out everywhere else", false
	case auth.SignInFailed, auth.StepUpFailed, auth.FactorFailed:
		return "Wrong " + a.called(auth.Kind(e.Detail["factor"])), true
	case auth.StepUpDone:
		return "Confirmed it’s you", false
	case auth.RecoveryBegan:
		return "Second step reported lost", true
	case auth.RecoveryEnded:
		return "Second step no longer counts as lost", false
	case auth.PassGiven:
		return "An administrator gave you an access pass", true
	case auth.BackupCodesLow:
		return "Backup codes left: " + e.Detail["left"], e.Detail["left"] == "0"
	case auth.FactorAdded:
		if name == "" { // a sheet of them
			return "Generated " + a.called(auth.Kind(e.Detail["factor"])) + "s", false
		}
		return "Added “" + name + "”", false
	case auth.FactorRenamed:
		return "Renamed to “" + name + "”", false
	case auth.FactorRemoved:
		return "Removed “" + name + "”", false
	case auth.PasswordChanged:
		return "Changed the password", false
	case auth.MFADisabled:
		return "Disabled MFA", true
	case auth.MFAEnabled:
		return "Turned MFA on", false
	case auth.MFAReset:
		return "MFA was reset for you", true
	case auth.UserAdded:
		return "Account created", false
	case auth.UserInvited:
		return "You were invited", false
	case auth.UserDisabled:
		return "An administrator disabled your account", true
	case auth.UserEnabled:
		return "An administrator enabled your account", false
	case auth.UserMoved:
		return "An administrator changed your workgroup", false
	case auth.RoleSet:
		return "An administrator changed your role", true
	case auth.UserRenamed:
		return "Changed your name", false
	case auth.ContactChanged:
		return "Changed your " + e.Detail["field"], false
	case auth.ContactBlocked:
		return "No " + a.called(auth.Kind(e.Detail["factor"])) + " any more: somebody else has the same", true
	case auth.MethodSet:
		return "An administrator chose how you sign in", true
	case auth.AccountFrozen:
		return "Said “This wasn’t me”", true
	case auth.AccountUnfrozen:
		return "Changes were allowed again", false
	case auth.BrowserTrusted:
		return "Trusted a browser: " + name, false
	case auth.BrowserForgotten:
		if name == "" {
			return "Removed all trusted browsers", false
		}
		return "Removed a trusted browser: " + name, false
	}
	return string(e.Kind), false
}
