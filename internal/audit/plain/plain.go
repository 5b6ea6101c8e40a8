// Package plain says events of the record in plain words to those who look after others.
//
// It promises words for every kind there is. It never invents: what an event does not say is left out.
package plain

import (
	"maps"
	"slices"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/policy"
	"sallyport/internal/web"
)

// A Group is the kinds that people look for together.
type Group struct {
	Key, Name string
	Kinds     []auth.EventKind
}

// Groups have every kind once.
var Groups = []Group{
	{"sign-ins", "Sign-ins", []auth.EventKind{auth.SessionStarted, auth.SessionEnded, auth.SessionsEnded, auth.StepUpDone, auth.BrowserTrusted, auth.BrowserForgotten}},
	{"failures", "Failures", []auth.EventKind{auth.SignInFailed, auth.StepUpFailed, auth.FactorFailed}},
	{"factors", "Factor changes", []auth.EventKind{auth.FactorAdded, auth.FactorRenamed, auth.FactorRemoved, auth.PasswordChanged, auth.MFADisabled, auth.MFAEnabled, auth.BackupCodesLow}},
	{"accounts", "Account and recovery", []auth.EventKind{auth.UserRenamed, auth.ContactChanged, auth.ContactBlocked, auth.AccountFrozen, auth.AccountUnfrozen, auth.RecoveryBegan, auth.RecoveryEnded}},
	{"admin", "Admin acts", []auth.EventKind{auth.UserAdded, auth.UserInvited, auth.UserDisabled, auth.UserEnabled, auth.UserRemoved, auth.UserMoved, auth.RoleSet, auth.MethodSet,
		auth.MFAReset, auth.PassGiven, auth.WorkgroupAdded, auth.WorkgroupRenamed, auth.WorkgroupRemoved, auth.PolicyChanged, auth.TextChanged, auth.MessageTested, auth.RecordChecked}},
	{"exports", "Exports", []auth.EventKind{auth.PeopleExported, auth.EventsExported}},
}

// Kinds are those of a group or a single one, by its key or its name in the record; nil: there is none such.
func Kinds(key string) []auth.EventKind {
	for _, g := range Groups {
		if g.Key == key {
			return g.Kinds
		}
	}
	if _, known := titles[auth.EventKind(key)]; known {
		return []auth.EventKind{auth.EventKind(key)}
	}
	return nil
}

// Title is what a kind is called.
func Title(k auth.EventKind) string {
	if t, known := titles[k]; known {
		return t.words
	}
	return string(k) // of a newer version
}

type title struct{ words, icon, tone string }

var titles = map[auth.EventKind]title{
	auth.SessionStarted:   {"Signed in", "check-circle", ""},
	auth.SessionEnded:     {"Signed out", "logout", ""},
	auth.SessionsEnded:    {"Signed out everywhere else", "logout", ""},
	auth.StepUpDone:       {"Confirmed it’s them", "check", ""},
	auth.BrowserTrusted:   {"Browser trusted", "laptop", ""},
	auth.BrowserForgotten: {"Trusted browser removed", "laptop", ""},
	auth.SignInFailed:     {"Sign-in failed", "alert", "warn"},
	auth.StepUpFailed:     {"Confirmation failed", "alert", "warn"},
	auth.FactorFailed:     {"Wrong answer while changing a factor", "alert", "warn"},
	auth.FactorAdded:      {"Factor added", "plus", ""},
	auth.FactorRenamed:    {"Factor renamed", "pencil", ""},
	auth.FactorRemoved:    {"Factor removed", "trash", ""},
	auth.PasswordChanged:  {"Password changed", "key", ""},
	auth.MFADisabled:      {"MFA disabled", "shield", "warn"},
	auth.MFAEnabled:       {"MFA turned on", "shield-check", ""},
	auth.BackupCodesLow:   {"Few backup codes left", "codes", "warn"},
	auth.UserRenamed:      {"Name changed", "user", ""},
	auth.ContactChanged:   {"Contact changed", "mail", ""},
	auth.ContactBlocked:   {"Codes blocked: shared destination", "mail", "warn"},
	auth.AccountFrozen:    {"Account frozen: “This wasn’t me”", "lock", "bad"},
	auth.AccountUnfrozen:  {"Account no longer frozen", "lock", ""},
	auth.RecoveryBegan:    {"Second step reported lost", "refresh", "warn"},
	auth.RecoveryEnded:    {"Second step no longer reported lost", "refresh", ""},
	auth.UserAdded:        {"User added", "user", ""},
	auth.UserInvited:      {"User invited", "user", ""},
	auth.UserDisabled:     {"User disabled", "user", "warn"},
	auth.UserEnabled:      {"User enabled", "user", ""},
	auth.UserRemoved:      {"User removed", "trash", "warn"},
	auth.UserMoved:        {"Moved to another workgroup", "group", ""},
	auth.RoleSet:          {"Role changed", "users", "warn"},
	auth.MethodSet:        {"MFA set by an administrator", "sliders", ""},
	auth.MFAReset:         {"MFA reset", "refresh", "warn"},
	auth.PassGiven:        {"Access pass given", "key", "warn"},
	auth.WorkgroupAdded:   {"Workgroup added", "group", ""},
	auth.WorkgroupRenamed: {"Workgroup renamed", "group", ""},
	auth.WorkgroupRemoved: {"Workgroup removed", "group", "warn"},
	auth.PolicyChanged:    {"Policy changed", "sliders", "warn"},
	auth.TextChanged:      {"Message template changed", "mail", ""},
	auth.MessageTested:    {"Test message sent", "mail", ""},
	auth.PeopleExported:   {"People exported", "download", "warn"},
	auth.EventsExported:   {"Events exported", "download", "warn"},
	auth.RecordChecked:    {"Check of the record asked for", "shield-check", ""},
}

// Seen is an event as far as a viewer may know it (A5). Somebody else did it, by: as they are now, the zero User if they are
// gone. Whom the viewer may not see does not come out by an id, an address, a browser or a request; then hidden is true. The
// name of a workgroup stays if it is group, the viewer's own.
func Seen(viewer auth.User, group string, e audit.Entry, by auth.User) (seen audit.Entry, hidden bool) {
	if e.Actor != "" && e.Actor != viewer.ID && policy.MaySee(viewer, by) != nil {
		e.Actor, e.Address, e.Browser, e.Request, hidden = "", "", "", "", true
	}
	if viewer.Role != auth.WorkgroupAdmin {
		return e, hidden
	}
	e.Detail = maps.Clone(e.Detail)
	for _, name := range naming[e.Kind] {
		if text := e.Detail[name]; text != "" && text != group && text != string(viewer.Workgroup) {
			e.Detail[name] = "another workgroup"
		}
	}
	return e, hidden
}

// naming are the details that name a workgroup, of events about a person.
var naming = map[auth.EventKind][]string{auth.UserAdded: {"workgroup"}, auth.UserMoved: {"old", "new", "workgroup", "name"}}

// Somebody is what a viewer hears of who is hidden.
const Somebody = "An administrator"

// Said is one event in words.
type Said struct {
	Title, Icon string
	Tone        string // ok, warn, bad or empty
	More        string // what it says besides; may be empty
}

// Words says an event. Signs are how factors are called.
func Words(e audit.Entry, signs map[auth.Kind]web.Sign) Said {
	t := titles[e.Kind]
	if t.icon == "" {
		t.icon = "info"
	}
	return Said{Title: Title(e.Kind), Icon: t.icon, Tone: t.tone, More: more(e, signs)}
}

// more is the details that people ask for first; the page of the event has all.
func more(e audit.Entry, signs map[auth.Kind]web.Sign) string {
	var said []string
	say := func(text string) {
		if text != "" {
			said = append(said, text)
		}
	}
	var with []string
	for _, k := range strings.Fields(e.Detail["factors"] + " " + e.Detail["factor"]) {
		with = append(with, called(auth.Kind(k), signs))
	}
	say(strings.Join(with, " and "))
	if name := e.Detail["name"]; name != "" {
		say("“" + name + "”")
	}
	if old := e.Detail["old"]; old != "" && e.Kind == auth.FactorRenamed {
		say("before: “" + old + "”")
	}
	if old, now := e.Detail["old"], e.Detail["new"]; now != "" && old != "" {
		say("from " + old + " to " + now)
	} else if now != "" {
		say("to " + now)
	} else if old != "" && e.Kind == auth.UserMoved {
		say("out of " + old)
	}
	say(e.Detail["changed"])
	if e.Detail["trusted"] != "" {
		say("trusted browser")
	}
	for _, plainly := range []string{"field", "role", "why", "left", "by"} {
		if text := e.Detail[plainly]; text != "" {
			say(plainly + ": " + text)
		}
	}
	if reason := e.Detail["reason"]; reason != "" {
		say("“" + reason + "”")
	}
	if e.Detail[auth.Undone] != "" {
		say("taken back")
	}
	return strings.Join(said, " · ")
}

func called(k auth.Kind, signs map[auth.Kind]web.Sign) string {
	if s, known := signs[k]; known {
		return s.Title
	}
	return string(k)
}

// Options are all groups and kinds for a select, with "" for all.
func Options() []web.Option {
	all := []web.Option{{Value: "", Text: "All kinds"}}
	for _, g := range Groups {
		all = append(all, web.Option{Value: g.Key, Text: g.Name})
	}
	var single []web.Option
	for k := range titles {
		single = append(single, web.Option{Value: string(k), Text: "– " + Title(k)})
	}
	slices.SortFunc(single, func(a, b web.Option) int { return strings.Compare(a.Text, b.Text) })
	return append(all, single...)
}
