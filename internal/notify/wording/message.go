package wording

import (
	"slices"
	"strings"
	"time"
)

// A message is one thing we tell people: its name in the language files, and what its texts may speak of.
type message struct {
	name    string
	tags    []string // beside those that every message has
	account string   // tag that fills the row Account; empty: no such row
	own     bool     // only its person reads it, so that it may say where their codes are sent (A6)
	phone   bool     // it goes by SMS too
	when    string   // it is sent, for whoever edits it
}

var (
	// everywhere are the tags of every message. The agent is whoever it is sent to.
	everywhere   = []string{"site.name", "site.host", "site.support", "agent.name", "to", "time", "browser", "address", "link"}
	destinations = []string{"agent.email", "agent.workphone"}
	code         = []string{"code", "minutes", "until"}
)

// An address that is to be verified may be a stranger's, an old one may have a new owner, and a blocked one has two.
// What goes to all of somebody's is read by whoever has one of them.
var messages = []message{
	{name: "code-signin", tags: code, own: true, phone: true,
		when: "Somebody signs in, and their second step is a code."},
	{name: "code-first", tags: code, own: true, phone: true,
		when: "Somebody begins a sign-in with a code in place of the password."},
	{name: "code-verify", tags: code, phone: true,
		when: "Somebody entered an address or number that is to receive codes."},
	{name: "code-stepup", tags: code, own: true, phone: true,
		when: "Somebody confirms by a code that it is them."},
	{name: "password-link", tags: []string{"minutes", "until"}, own: true,
		when: "Somebody forgot their password."},
	{name: "invitation", tags: []string{"until"}, own: true,
		when: "An administrator made an account for somebody, who chooses a password by it."},
	{name: "notice-browser", account: "agent.email", own: true,
		when: "Somebody signed in with a browser that is new to them."},
	{name: "notice-factor-added", tags: []string{"kind", "name"}, account: "agent.email", own: true,
		when: "A way to sign in was added."},
	{name: "notice-factor-removed", tags: []string{"kind", "name"}, account: "agent.email", own: true,
		when: "A way to sign in was removed."},
	{name: "notice-factor-renamed", tags: []string{"kind", "old", "new"}, account: "agent.email", own: true,
		when: "A way to sign in has another name."},
	{name: "notice-password", account: "agent.email", own: true,
		when: "The password was changed."},
	{name: "notice-email", tags: []string{"old", "new"}, account: "agent.name",
		when: "The email address was changed. It goes to the old one too."},
	{name: "notice-phone", tags: []string{"old", "new"}, account: "agent.name",
		when: "The phone number was changed."},
	{name: "notice-mfa-off", account: "agent.email", own: true,
		when: "Somebody switched MFA off for themselves."},
	{name: "notice-mfa-on", account: "agent.email", own: true,
		when: "Somebody switched MFA on."},
	{name: "notice-mfa-reset", account: "agent.email", own: true,
		when: "An administrator reset somebody’s MFA."},
	{name: "notice-failures", account: "agent.email", own: true,
		when: "The password was right and the second step wrong, several times."},
	{name: "notice-method", tags: []string{"kind"}, account: "agent.email", own: true,
		when: "An administrator set how somebody signs in."},
	{name: "notice-codes-low", tags: []string{"left"}, account: "agent.email", own: true,
		when: "A backup code was used, and few are left."},
	{name: "notice-blocked", tags: []string{"kind"}, account: "agent.name",
		when: "Somebody else has the same address or number, so no codes go there."},
	{name: "notice-blocked-admin", tags: []string{"kind", "other.name"}, account: "other.name", own: true,
		when: "Two accounts share an address or number. It goes to administrators."},
	{name: "notice-recovery", tags: []string{"until"}, account: "agent.email", own: true,
		when: "Somebody answered that something was not them."},
	{name: "notice-pass", account: "agent.email", own: true,
		when: "An administrator gave out an access pass."},
	{name: "reset-link", tags: []string{"until"}, own: true,
		when: "An administrator reset somebody’s MFA: the way back in."},
	{name: "notice-recovery-begun", tags: []string{"until"}, account: "agent.name", phone: true,
		when: "Somebody reported their second step as lost. It goes to all their addresses and numbers."},
	{name: "notice-recovery-ended", account: "agent.name",
		when: "Somebody said that their second step is not lost after all."},
	{name: "enrol-by", tags: []string{"until", "workgroup"}, own: true,
		when: "A second step is required of somebody by a date, and they have none."},
	{name: "test", own: true, phone: true,
		when: "An administrator tries whether messages arrive."},
}

func (m message) isCode() bool   { return slices.Contains(m.tags, "code") }
func (m message) ends() bool     { return slices.Contains(m.tags, "minutes") } // today, so that the hour says when
func (m message) isNotice() bool { return m.account != "" }

// A shape is what a table of a language file has to hold and may hold, and the tags of its texts.
type shape struct{ need, may, tags []string }

func (m message) shape() shape {
	s := shape{
		need: []string{"subject", "preview", "title", "lead"},
		may:  []string{"note", "act", "after", "sms"},
		tags: slices.Concat(everywhere, m.tags),
	}
	if m.own {
		s.tags = append(s.tags, destinations...)
	}
	if m.isCode() {
		s.need = append(s.need, "sms")
	}
	return s
}

// shapes are the tables of a language file by name: the messages, and what a language needs besides.
var shapes = func() map[string]shape {
	all := map[string]shape{
		"words": {need: []string{"account", "browser", "address", "time", "footer", "always"}, tags: everywhere},
		"kinds": {need: []string{"passkey", "totp", "email", "sms", "password", "backupcode", "accesspass", "off", "required"}},
		"lines": {need: []string{"row"}, tags: []string{"label", "value"}},
		"dates": {need: []string{"months", "date", "clock"}, tags: []string{"day", "month", "year", "hour", "minute", "zone"}},
	}
	for _, m := range messages {
		all[m.name] = m.shape()
	}
	return all
}()

// Sample is facts as they might be, for previews and tests.
func Sample(message string) Facts {
	at := time.Date(2026, 11, 21, 14, 28, 0, 0, time.UTC)
	f := Facts{
		Tags: map[string]string{
			"agent.name": "Maya Lind", "agent.email": "maya@example.com", "agent.workphone": "+46 70 555 12 34", "to": "maya@example.com",
			"code": "K7MQ-3XTP", "browser": "Chrome on macOS", "address": "203.0.113.24",
			"name": "MacBook Pro", "old": "Key 1", "new": "MacBook Pro", "other.name": "Tom Berg", "left": "3", "workgroup": "Field sales",
		},
		At: at, Until: at.Add(10 * time.Minute), Kind: "passkey",
	}
	switch message {
	case "password-link":
		f.Until, f.Link = at.Add(30*time.Minute), "https://id.example.com/forgot/5f1c"
	case "invitation":
		f.Until, f.Link = at.AddDate(0, 0, 7), "https://id.example.com/forgot/5f1c"
	case "notice-email":
		f.Tags["old"], f.Tags["new"] = "m•••@example.com", "l•••@example.org"
	case "notice-phone":
		f.Tags["old"], f.Tags["new"] = "•••• 1234", "•••• 9876"
	case "notice-method":
		f.Kind = "email"
	case "notice-blocked", "notice-blocked-admin":
		f.Kind = "sms"
		return f // they ask for nothing to be undone
	case "notice-recovery":
		f.Until = at.AddDate(0, 0, 3)
		return f
	case "reset-link":
		f.Until, f.Link = at.AddDate(0, 0, 3), "https://id.example.com/pass?token=7KQM-3XTP-04VZ-H9WD"
		return f
	case "enrol-by":
		f.Until, f.Link = at.AddDate(0, 0, 7), "https://id.example.com/account/security"
		return f
	case "notice-recovery-begun":
		f.Until = at.AddDate(0, 0, 3)
	}
	if strings.HasPrefix(message, "notice-") {
		f.Link = "https://id.example.com/not-me/5f1c"
	}
	return f
}
