// Package people is what administrators do to one person: their page, and every act on it.
//
// It promises: nobody acts on somebody above them, and whoever looks after a workgroup acts on its people alone (A3, A5);
// both rows, of who acts and of whom it is done to, are locked and read anew in the transaction of the act, so that a page
// which was opened before a demotion or a move does nothing after it; there is always an owner left who can sign in; and
// nobody but its person sees or chooses a password or a code. It does to nobody what would lock them out for good (W4).
package people

import (
	"context"
	"embed"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/directory"
	"sallyport/internal/factor/accesspass"
	"sallyport/internal/factor/onetime"
	"sallyport/internal/factor/password"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/session"
	"sallyport/internal/throttle"
	"sallyport/internal/trust"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/workgroup"
)

//go:embed *.html
var files embed.FS

// People is the page of a person, and what is done there.
type People struct {
	Parts
}

// Parts are what it is made with.
type Parts struct {
	DB        *db.DB
	Users     *user.Store
	Groups    *workgroup.Store
	Roster    *roster.Roster
	Passwords *password.Password
	Contacts  *onetime.Codes
	Sessions  *session.Store
	Trust     *trust.Trust
	Trail     *audit.Trail
	Revoker   auth.Revoker
	Throttle  *throttle.Throttle
	Directory *directory.Directory
	Settings  Settings
	Recovery  Recovery
	Mails     bool   // there is mail, so that links go by it
	Region    string // of phone numbers without a country: "SE"
	Clock     func() time.Time
}

// Settings stores what people change on their own page, too.
type Settings interface {
	// SetContact stores the contact of a person, ends their sessions but for keep if it changed, and leaves a row for each field.
	SetContact(ctx context.Context, tx auth.Tx, before, after auth.User, keep auth.SessionID) error
}

// Recovery helps people who lost something, or who have nothing yet.
type Recovery interface {
	// ResetMFA removes what somebody has and leaves a pass, by mail if there is any.
	ResetMFA(ctx context.Context, tx auth.Tx, u auth.User, reason string) (accesspass.Issued, error)
	// GivePass is a conflict where nobody would ask for the pass.
	GivePass(ctx context.Context, tx auth.Tx, u auth.User, reason string, life time.Duration) (accesspass.Pass, error)
	// Invite leads somebody to a password that they choose, by mail if there is any.
	Invite(ctx context.Context, tx auth.Tx, u auth.UserID) (auth.Invitation, error)
	// Uninvite ends what Invite led to, if it is open still.
	Uninvite(ctx context.Context, tx auth.Tx, u auth.UserID) error
	// Invited says whether somebody has an invitation that works.
	Invited(ctx context.Context, from auth.Reader, u auth.User) (bool, error)
}

func New(p Parts) *People { return &People{p} }

// An Actor is whoever does something to others: somebody who is signed in or, without an id, whoever runs the server.
type Actor struct {
	auth.User
	Session auth.SessionID
}

// Operator runs the server: the command line.
var Operator = Actor{User: auth.User{Role: auth.Owner}}

// Acting is who answers for a request.
func Acting(ctx context.Context) Actor {
	s := visit.Of(ctx).Session
	return Actor{s.User, s.ID}
}

// may locks whoever acts and whom it is done to, and reads them anew: nil, or why it is not done. Least is the lowest role
// that does such a thing. Whoever is not there is auth.ErrNotFound.
func (p *People) may(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID, least auth.Role) (now Actor, target auth.User, err error) {
	if err := p.lock(ctx, tx, a, id); err != nil {
		return a, target, err
	}
	if now, err = p.anew(ctx, tx, a, least); err != nil {
		return a, target, err
	}
	if target, err = p.Users.Get(ctx, tx, id); err != nil {
		return now, target, err
	}
	return now, target, policy.MayManage(now.User, target)
}

// anew is an actor as they are in this transaction.
func (p *People) anew(ctx context.Context, from auth.Reader, a Actor, least auth.Role) (Actor, error) {
	if a.ID == "" {
		return a, nil
	}
	u, err := p.Users.Acts(ctx, from, a.User, least, p.Clock())
	return Actor{u, a.Session}, err
}

// lock takes both rows in one order whoever acts on whom, so that two who act on each other do so one after the other. For
// whoever runs the server the owners take the place of the actor: one of them must be left.
func (p *People) lock(ctx context.Context, tx auth.Tx, a Actor, id auth.UserID) error {
	ids := []auth.UserID{id, a.ID}
	if a.ID == "" {
		owners, err := p.owners(ctx, tx)
		if err != nil {
			return err
		}
		ids = append(owners, id)
	}
	slices.Sort(ids)
	for _, one := range slices.Compact(ids) {
		err := p.Users.Lock(ctx, tx, one)
		if err != nil && one == a.ID {
			err = db.NoneMeans(auth.ErrNotSignedIn, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// owners are those who can sign in.
func (p *People) owners(ctx context.Context, from auth.Reader) (ids []auth.UserID, err error) {
	all, err := p.Users.Admins(ctx, from)
	for _, u := range all {
		if u.Role == auth.Owner {
			ids = append(ids, u.ID)
		}
	}
	return ids, err
}

// staysOwned refuses to take the last owner who can sign in.
func (p *People) staysOwned(ctx context.Context, from auth.Reader, target auth.User) error {
	if target.Role != auth.Owner || target.Disabled {
		return nil
	}
	owners, err := p.owners(ctx, from)
	if err == nil && !slices.ContainsFunc(owners, func(id auth.UserID) bool { return id != target.ID }) {
		err = auth.ConflictError{Code: "last-owner", Why: "This is the last owner who can sign in. Make somebody else an owner first."}
	}
	return err
}

// notSelf refuses what nobody does to themselves on these pages: whoever got hold of a session must not gain by it.
func notSelf(a Actor, target auth.User) error {
	if a.ID == target.ID {
		return auth.ConflictError{Code: "yourself", Why: "This is your own account. What secures it you change under Settings; the rest somebody else does for you."}
	}
	return nil
}
