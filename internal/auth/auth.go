// Package auth is the vocabulary all of Sallyport shares: who a person is, what they proved, and the few
// errors that callers tell apart. It does no I/O and imports the standard library only.
//
// A Pending sign-in and a Session are different types on purpose: no function that wants the one accepts the other.
package auth

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
)

type (
	UserID      string
	EnrolmentID string
	SessionID   string
	Kind        string // of a factor: "password", "totp", ...
	Role        string
	WorkgroupID string
	Method      string // of the second step, as an administrator sets it for one person
)

const (
	Owner          Role = "owner"
	Admin          Role = "admin"           // of the whole instance
	WorkgroupAdmin Role = "workgroup admin" // of the workgroup they are in
	Support        Role = "support"         // helps people who are locked out, and nothing else
	Member         Role = "member"
)

// Roles are all there are, the highest first.
var Roles = []Role{Owner, Admin, WorkgroupAdmin, Support, Member}

// Valid tells a role from a typing error.
func (r Role) Valid() bool { return slices.Contains(Roles, r) }

// Reaches is true of a role that is at least as high as another. One that nobody knows reaches nothing.
func (r Role) Reaches(other Role) bool {
	at := slices.Index(Roles, r)
	return at >= 0 && at <= slices.Index(Roles, other)
}

const (
	AnyMethod   Method = ""         // none is set: the rules and the person's own choice apply
	ByEmail     Method = "email"    // a second step is required, and to begin with it is a code by email
	BySMS       Method = "sms"      // or by SMS
	MustHaveOne Method = "required" // a second step is required, whichever the rules accept
)

// A User is a person as every part of the product sees them. Epoch is the security epoch: whatever was issued under
// an older one (session, pending sign-in, link) is void.
type User struct {
	ID       UserID
	Login    string // email, as the person writes it
	Name     string
	Role     Role
	Epoch    int64
	Disabled bool
	MFAOff   bool      // the person switched the second step off
	MFADue   time.Time // end of the grace period for a required second factor; zero: none began
	Method   Method
	Email    string    // where mail goes; at first the login
	Phone    string    // work phone, E.164; may be empty
	Language string    // of messages, BCP 47; empty: the one of the site
	Frozen   time.Time // until then nobody changes how the account is protected
	Recovers time.Time // from then on the password steps up, where what is stronger is lost; zero: none said so
	Added    time.Time

	Workgroup WorkgroupID // empty: none
	Joined    time.Time   // when they came into their workgroup
}

// A Level is how sure we are who it is.
type Level int

const (
	None        Level = 0
	OneFactor   Level = 1
	MultiFactor Level = 2
)

// A Proof says that a person showed one factor at one moment.
type Proof struct {
	Kind      Kind        `json:"kind"`
	Enrolment EnrolmentID `json:"enrolment,omitempty"` // empty: it was none, such as an address that was never proved
	AMR       string      `json:"amr"`                 // RFC 8176: "pwd", "otp", ...
	Level     Level       `json:"level"`               // of this proof alone; two different kinds make MultiFactor
	Weak      bool        `json:"weak,omitempty"`      // but not together with this one: a mailed code
	Given     bool        `json:"given,omitempty"`     // nor with this: it stood in for a factor that was not at hand
	Mailed    bool        `json:"mailed,omitempty"`    // it came by mail, so a code by mail beside it proves nothing more
	At        time.Time   `json:"at"`
}

// An Enrolment is a factor that a person set up: one authenticator, one passkey, their password.
type Enrolment struct {
	ID       EnrolmentID
	Kind     Kind
	Name     string
	Added    time.Time
	LastUsed time.Time // zero: never
	State    State
	Standing Standing
	Weak     bool // it finishes a sign-in, but proves too little for what step-up protects: a mailed code
	Given    bool // so does what others gave somebody who is locked out; it counts whatever factors the rules name
	Dear     bool // to ask for it costs money, so it is asked for only after something that is not weak
	Last     bool // it is offered after all others: a channel that somebody does not prefer
}

// A State says whether an enrolment can be used.
type State string

const (
	Usable  State = ""
	Void    State = "void"    // never again: a passkey for a domain that we left
	Blocked State = "blocked" // not now, by no act of its person: an address that somebody else has too
)

// A Standing says what an enrolment is to its account.
type Standing string

const (
	Full  Standing = ""      // a factor of its own: who has one has MFA on
	Quiet Standing = "quiet" // it may be used, but alone it does not switch MFA on: nobody asked for it
	Spare Standing = "spare" // it only stands in for the others: without one it is nothing, and it never steps up
)

// An Offer is how a client hears of a factor it may use now.
type Offer struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
}

// An Invitation asks somebody in who has no password yet.
type Invitation struct {
	Link  Secret // behind which they choose one; empty: it was mailed
	To    string // where, masked
	Until time.Time
}

// A Session is a finished sign-in. It never changes once published; a change makes a new one.
type Session struct {
	ID         SessionID
	User       User
	Proofs     []Proof
	Started    time.Time
	Expires    time.Time // absolute; it ends earlier when idle
	FreshUntil time.Time // end of the step-up window
}

// A Pending is a sign-in that still lacks a proof.
type Pending struct {
	ID       string
	User     User
	Proofs   []Proof
	ReturnTo string
	Expires  time.Time
}

// A Reader reads the database: outside a transaction what is committed, or within one what it wrote too.
type Reader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Tx is a database transaction, as everything above db knows it.
type Tx interface {
	Reader
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	AfterCommit(func()) // runs once the transaction is on disk, and never otherwise
}

// An Attempt is a guess that has been counted and committed, so that nothing gives it back but success.
// Only package throttle makes one.
type Attempt struct {
	User     User
	Left     int      // guesses left after this one, before the sign-in is over
	Failures int      // of the account's second factors lately, with this one; 0: it is a guess at something else
	Keys     []string // what it was counted against: an account, an address, or both
}

// Factor is one way to prove identity. A response that succeeded once never succeeds again, but for a password.
type Factor interface {
	Kind() Kind
	// Enrolments lists what the person has set up, most recently used first. None is no error.
	Enrolments(context.Context, Reader, UserID) ([]Enrolment, error)
	// Verify checks a response without spending it: ErrWrong, an InvalidError, or a Claim.
	Verify(ctx context.Context, a Attempt, response Secret) (Claim, error)
}

// An Admitter is a factor whose check is so costly that callers wait for their turn. They do so before the guess is
// counted: one that nobody looked at must not lock anybody out. Verify with the context it returns, then leave.
type Admitter interface {
	Admit(context.Context) (admitted context.Context, leave func(), err error)
}

// A Finder is a factor whose response says whom it comes from, so that a sign-in can begin with it. It proves nothing
// yet: Verify with the context it returns, which knows what was found. ErrNotFound: it comes from nobody we know.
type Finder interface {
	Factor
	Find(ctx context.Context, response Secret) (found context.Context, who User, err error)
}

// A Claim is a response that matches and waits to be spent. It becomes a Proof in the transaction that rewards it,
// or ErrWrong if another request was faster.
type Claim func(context.Context, Tx) (Proof, error)

// A Resetter is a factor that can forget all a person enrolled, for an administrator who helps somebody locked out.
type Resetter interface {
	Reset(context.Context, Tx, UserID) error
}

// A Waker is a factor with quiet enrolments, which count once their person turns MFA on.
type Waker interface {
	Wake(context.Context, Tx, UserID) error
}

// A Watcher hears of every event in the transaction that records it, so that what follows from it cannot get lost.
type Watcher interface {
	Happened(context.Context, Tx, Event) error
}

// A Revoker voids everything issued to a user before a change of credentials, but for the session that made it.
type Revoker interface {
	RevokeOthers(ctx context.Context, tx Tx, u UserID, keep SessionID) error
}

// OneLine is true for text that a page, a mail and a terminal show on one line.
func OneLine(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) })
}

// A Secret is text that no log, error or page may repeat. Only string(s) reveals it.
type Secret string

func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[secret]") }
func (Secret) LogValue() slog.Value       { return slog.StringValue("[secret]") }
