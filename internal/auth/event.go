package auth

import (
	"context"
	"net/netip"
	"strings"
)

// An Origin is where a request came from, for the record.
type Origin struct {
	RequestID string
	Face      string // "page", "api", or "cli"
	Address   netip.Addr
	Browser   string // User-Agent as sent
	Actor     UserID // who is signed in there; empty: nobody, or it is not known yet
}

// Agent is the browser as it is stored: text, and not longer than browsers say.
func (o Origin) Agent() string {
	return strings.ToValidUTF8(o.Browser[:min(len(o.Browser), 256)], "\uFFFD")
}

type originKey struct{}

// WithOrigin lets whoever records an event further down know its origin.
func WithOrigin(ctx context.Context, o *Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginOf is the zero Origin where nobody said.
func OriginOf(ctx context.Context) Origin {
	if o, ok := ctx.Value(originKey{}).(*Origin); ok {
		return *o
	}
	return Origin{}
}

// An EventKind names what happened, noun first: "session.started".
type EventKind string

const (
	UserAdded       EventKind = "user.added"
	UserDisabled    EventKind = "user.disabled"
	UserRenamed     EventKind = "user.renamed"
	SignInFailed    EventKind = "signin.failed"
	SessionStarted  EventKind = "session.started"
	SessionEnded    EventKind = "session.ended"
	SessionsEnded   EventKind = "sessions.ended"
	StepUpDone      EventKind = "stepup.done"
	StepUpFailed    EventKind = "stepup.failed"
	FactorAdded     EventKind = "factor.added"
	FactorFailed    EventKind = "factor.failed" // a wrong response while a factor was added or changed
	FactorRenamed   EventKind = "factor.renamed"
	FactorRemoved   EventKind = "factor.removed"
	PasswordChanged EventKind = "password.changed"
	MFADisabled     EventKind = "mfa.disabled"
	MFAEnabled      EventKind = "mfa.enabled"
	MFAReset        EventKind = "mfa.reset"
	MethodSet       EventKind = "mfa.method"
	PassGiven       EventKind = "pass.given"
	ContactChanged  EventKind = "contact.changed" // the address or number where messages go
	ContactBlocked  EventKind = "contact.blocked" // somebody else has the same, so no code goes there any more
	BackupCodesLow  EventKind = "backupcodes.low" // one was used, and few are left
	AccountFrozen   EventKind = "account.frozen"
	AccountUnfrozen EventKind = "account.unfrozen"
	RecoveryBegan   EventKind = "recovery.began" // somebody waits until their password may change what they lost
	RecoveryEnded   EventKind = "recovery.ended"

	BrowserTrusted   EventKind = "browser.trusted" // no second step is asked for on it any more
	BrowserForgotten EventKind = "browser.forgotten"

	UserInvited      EventKind = "user.invited"
	UserEnabled      EventKind = "user.enabled"
	UserRemoved      EventKind = "user.removed"
	UserMoved        EventKind = "user.moved" // to another workgroup
	RoleSet          EventKind = "user.role"
	WorkgroupAdded   EventKind = "workgroup.added"
	WorkgroupRenamed EventKind = "workgroup.renamed"
	WorkgroupRemoved EventKind = "workgroup.removed"
	PolicyChanged    EventKind = "policy.changed" // of the instance or of a workgroup
	TextChanged      EventKind = "text.changed"   // of a message
	MessageTested    EventKind = "message.tested"
	PeopleExported   EventKind = "people.exported"
	EventsExported   EventKind = "events.exported"
	RecordChecked    EventKind = "record.checked" // somebody had its chain verified
)

// First, in an event's detail, says that nothing of its kind was there before.
const First = "first"

// Undone, in an event's detail, says that it takes back another.
const Undone = "undone"

// An Event is one thing worth a row in the record. Detail holds plain words, never a secret or a full destination.
type Event struct {
	Kind   EventKind
	User   UserID // whom it is about; empty for an unknown name
	Actor  UserID // who did it; empty: the person themselves, or nobody yet
	Detail map[string]string

	// For whoever follows from it; they do not stand in the record.
	Before   *User // the person before a change
	Failures int   // of the account's second factors lately, with this one
}
