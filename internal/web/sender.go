package web

import (
	"context"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/visit"
)

// A Sender is a factor whose response we send to the person first, by mail or by phone. What is sent belongs to one
// person and one thread: a sign-in under way, or a session.
type Sender interface {
	Prompter
	// Send sends a new response in the transaction that it belongs to; the one before is dead then. An
	// auth.ThrottledError says when there may be another.
	Send(ctx context.Context, tx auth.Tx, to Thread) error
	// Sent says what is under way.
	Sent(ctx context.Context, to Thread) (Sent, error)
	// Unasked is true if a sign-in that opens on this factor sends at once.
	Unasked() bool
}

// A Thread is what a response that was sent belongs to.
type Thread struct {
	User    auth.User
	ID      string // of the session, or of the sign-in under way
	Purpose Purpose
	Until   time.Time // its end; nothing that was sent works longer
	Name    string    // whom somebody asked for who has proved nothing yet, as it is compared
}

// A Purpose is what a response that was sent may do, and nothing else.
type Purpose string

const (
	ToSignIn Purpose = "signin" // the second step of a sign-in
	ToStepUp Purpose = "stepup" // a fresh proof in a session
)

// ThreadOf is what a response belongs to that is asked for in this visit.
func ThreadOf(v *visit.Visit) Thread {
	if v.Session.ID != "" {
		return Thread{User: v.Session.User, ID: string(v.Session.ID), Purpose: ToStepUp, Until: v.Session.Expires}
	}
	return Thread{User: v.Pending.User, ID: v.Pending.ID, Purpose: ToSignIn, Until: v.Pending.Expires}
}

// Sent is a response that was sent, or could be.
type Sent struct {
	To    []string  `json:"to" doc:"where to, masked"`
	State string    `json:"state" enum:"none,waiting,delivered,failed" doc:"none: nothing was sent yet; failed: it will not arrive"`
	Until time.Time `json:"expires_at"`
	Again time.Time `json:"resend_at" doc:"from then on another one may be asked for; the one before is dead then"`
	now   time.Time
}

// NewSent is what was sent, as of now.
func NewSent(to []string, state string, until, again, now time.Time) Sent {
	return Sent{to, state, until, again, now}
}

// Early is true while it is too early for another one.
func (s Sent) Early() bool { return s.now.Before(s.Again) }

// sending is what the piece of a page about a response that was sent is made from.
type sending struct {
	View
	Sent
	Action string // where another one is asked for
	Watch  string // address whose JSON says sent.state; empty: none does
}
