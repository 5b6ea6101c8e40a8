// Package recovery is the ways back in that are no back doors.
//
// It promises: a link that was mailed chooses a password, and neither signs in nor touches the second step (L2); whoever
// came in by what stands in for their second step changes no factor until a while has passed in which everybody who can be
// told was told (L3). Nobody learns from it who has an account.
package recovery

import (
	"context"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/factor/accesspass"
	"sallyport/internal/factor/onetime"
	"sallyport/internal/factor/password"
	"sallyport/internal/notify"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
)

// Recovery helps people who lost something.
type Recovery struct {
	Parts
}

// Parts are what recovery is made with.
type Parts struct {
	DB        *db.DB
	Keys      *secret.Keys
	Users     *user.Store
	Roster    *roster.Roster
	Passwords *password.Password
	Contacts  *onetime.Codes
	Passes    *accesspass.Passes
	Outbox    *notify.Outbox
	Throttle  *throttle.Throttle
	Trail     *audit.Trail
	Revoker   auth.Revoker
	Sessions  Sessions
	Addresses Addresses
	Site      string // scheme and host, for links
	Clock     func() time.Time
}

// Sessions may hold what a wait led to.
type Sessions interface {
	// Cool ends every fresh proof of a person.
	Cool(ctx context.Context, tx auth.Tx, u auth.UserID) error
}

// Addresses knows what became of where people are told.
type Addresses interface {
	// Moved says whether the address of an account changed of late.
	Moved(ctx context.Context, from auth.Reader, u auth.UserID) (bool, error)
}

func New(p Parts) *Recovery { return &Recovery{p} }
