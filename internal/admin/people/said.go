package people

import (
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
)

// said puts an event about a person into words for whoever looks after them, and says whether it may be somebody else's
// doing.
func said(e audit.Entry, called func(auth.Kind) string) (what string, bad bool) {
	name, factor := e.Detail["name"], called(auth.Kind(e.Detail["factor"]))
	switch e.Kind {
	case auth.SessionStarted:
		var with []string
		for kind := range strings.FieldsSeq(e.Detail["factors"]) {
			with = append(with, called(auth.Kind(kind)))
		}
		if with == nil {
			return "Signed in", false
		}
		return "Signed in with " + strings.Join(with, " and "), false
	case auth.SignInFailed, auth.StepUpFailed, auth.FactorFailed:
		return "Wrong " + factor, true
	case auth.FactorAdded:
		if name == "" {
			return "New " + factor + "s", false
		}
		return "Added “" + name + "”", false
	case auth.FactorRenamed:
		return "Renamed to “" + name + "”", false
	case auth.FactorRemoved:
		return "Removed “" + name + "”", false
	case auth.ContactChanged:
		return "Changed the " + e.Detail["field"], false
	case auth.ContactBlocked:
		return "No " + factor + " any more: somebody else has the same", true
	case auth.RoleSet:
		return "Role changed from " + e.Detail["old"] + " to " + e.Detail["new"], true
	case auth.UserMoved:
		if e.Detail["new"] == "" {
			return "Taken out of " + e.Detail["old"], false
		}
		return "Moved to " + e.Detail["new"], false
	case auth.MethodSet:
		return "MFA set to " + e.Detail["factor"], true
	case auth.BrowserTrusted:
		return "Trusted a browser: " + name, false
	case auth.BackupCodesLow:
		return "Backup codes left: " + e.Detail["left"], false
	}
	s, known := plain[e.Kind]
	if !known {
		return string(e.Kind), false
	}
	return strings.TrimPrefix(s, "!"), strings.HasPrefix(s, "!")
}

// plain are events that are said in one way; with "!" those that may be somebody else's doing.
var plain = map[auth.EventKind]string{
	auth.UserAdded: "Account created", auth.UserInvited: "Invited", auth.UserDisabled: "!Disabled", auth.UserEnabled: "Enabled", auth.UserRenamed: "Name changed",
	auth.SessionEnded: "Signed out", auth.SessionsEnded: "Signed out everywhere", auth.StepUpDone: "Confirmed it’s them",
	auth.PasswordChanged: "Password changed", auth.MFADisabled: "!Switched MFA off", auth.MFAEnabled: "Turned MFA on", auth.MFAReset: "!MFA reset",
	auth.PassGiven: "!Access pass given", auth.AccountFrozen: "!Said “This wasn’t me”", auth.AccountUnfrozen: "Changes allowed again",
	auth.RecoveryBegan: "!Second step reported lost", auth.RecoveryEnded: "Second step no longer counts as lost", auth.BrowserForgotten: "Removed trusted browsers",
}
