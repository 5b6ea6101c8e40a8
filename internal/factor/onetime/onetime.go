// Package onetime is codes by email and SMS: two factors of one make, and the card to keep them.
//
// A code works for one person, one purpose, one sign-in or session, and one destination; it dies with the fifth wrong
// try, with the next one that is sent, and after minutes. It goes only where its person has proved to read (C5), never to
// a destination out of a request (C8), and never where somebody else would read it too (C4).
//
// A code by email satisfies a policy that accepts it, and no more: it is weak, so the session stays at one factor.
package onetime

import (
	"context"
	"crypto/hmac"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/notify"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

// How the rest of the product calls these factors.
const (
	Email auth.Kind = "email"
	SMS   auth.Kind = "sms"
)

// A Delivery says which of a person's channels a sign-in uses (C3).
type Delivery string

const (
	Preferred Delivery = "preferred" // the one they prefer gets a code at once; the other stands under the other ways
	Choose    Delivery = "choose"    // nothing is sent until they pick one
	All       Delivery = "all"       // both get one, and either will do
)

// Rules are what an instance wants of codes.
type Rules struct {
	Delivery  Delivery
	Countries []string // where SMS may go
	Email     int      // mails with codes in an hour, at most
	SMS       int      // SMS in an hour, at most
}

// Codes is what both factors have in common.
type Codes struct {
	Parts
	email, sms *Factor
}

// Parts are what the factors are made with.
type Parts struct {
	DB       *db.DB
	Keys     *secret.Keys
	Users    *user.Store
	Outbox   *notify.Outbox
	Trail    *audit.Trail
	Throttle *throttle.Throttle
	Roster   *roster.Roster
	Revoker  auth.Revoker
	Rules    Rules
	Clock    func() time.Time
}

func New(p Parts) *Codes {
	c := &Codes{Parts: p}
	c.email, c.sms = &Factor{c, Email}, &Factor{c, SMS}
	return c
}

// Factors are those whose channel exists or did, the stronger first: what somebody has of one that is gone must still be
// known, or their password alone would open the account.
func (c *Codes) Factors(ctx context.Context) (some []auth.Factor, err error) {
	for _, f := range []*Factor{c.sms, c.email} {
		has := c.Outbox.Has(notify.Channel(f.kind))
		if !has {
			if has, err = c.anybody(ctx, f.kind); err != nil {
				return nil, err
			}
		}
		if has {
			some = append(some, f)
		}
	}
	return some, nil
}

// offered are those that people can set up.
func (c *Codes) offered() (some []*Factor) {
	for _, f := range []*Factor{c.sms, c.email} {
		if c.Outbox.Has(notify.Channel(f.kind)) && slices.Contains(c.Roster.Rules().Factors, f.kind) {
			some = append(some, f)
		}
	}
	return some
}

// Offered says whether there are any.
func (c *Codes) Offered() bool { return len(c.offered()) > 0 }

// ByMail is the factor that a sign-in may begin with.
func (c *Codes) ByMail() *Factor { return c.email }

// A Factor is codes by one channel.
type Factor struct {
	*Codes
	kind auth.Kind
}

func (f *Factor) Kind() auth.Kind { return f.kind }

// Enrolments is the destination the person proved to read, if any, and the address that stands in for what they lost.
func (f *Factor) Enrolments(ctx context.Context, from auth.Reader, u auth.UserID) ([]auth.Enrolment, error) {
	all, err := f.contacts(ctx, from, u)
	if err != nil {
		return nil, err
	}
	var some []auth.Enrolment
	for _, c := range all {
		if c.kind != f.kind {
			continue
		}
		state, err := f.stands(ctx, from, u, c)
		if err != nil {
			return nil, err
		}
		some = append(some, auth.Enrolment{ID: c.id, Kind: c.kind, Name: mask(c.kind, c.destination), Added: c.added, LastUsed: c.lastUsed,
			State: state, Weak: c.kind == Email, Dear: c.kind == SMS, Last: !c.preferred})
	}
	if f.kind != Email {
		return some, nil
	}
	to, err := f.given(ctx, from, u)
	if to != "" {
		some = append(some, auth.Enrolment{ID: address, Kind: Email, Name: mask(Email, to), Standing: auth.Spare, Weak: true, Given: true, Last: true})
	}
	return some, err
}

// Verify takes a code that was sent in this sign-in or session. The try is counted before the code is looked at.
func (f *Factor) Verify(ctx context.Context, a auth.Attempt, response auth.Secret) (auth.Claim, error) {
	kind, code, err := parse(response)
	if err != nil {
		return nil, err
	}
	in := threadOf(ctx)
	c, err := f.try(ctx, in, a.User.ID, kind, code)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, tx auth.Tx) (auth.Proof, error) {
		now := f.Clock()
		if err := f.spend(ctx, tx, c, now); err != nil {
			return auth.Proof{}, err
		}
		if shared, err := f.shared(ctx, tx, c.user, c.kind, c.destination); err != nil || shared {
			return auth.Proof{}, wrongIf(shared, err)
		}
		id, err := f.used(ctx, tx, c, in, now)
		return prove(c.kind, id, now), err
	}, nil
}

// try counts a try of the code under way and compares it.
func (c *Codes) try(ctx context.Context, in web.Thread, u auth.UserID, kind auth.Kind, typed string) (sent, error) {
	s, err := c.count(ctx, in, u, kind)
	switch {
	case err != nil:
		return sent{}, err
	case s.tries > mostTries:
		return sent{}, errSpent
	case !c.Clock().Before(s.expires):
		return sent{}, errLate
	case !hmac.Equal(s.mac, c.mac(s.id, typed)):
		return sent{}, auth.ErrWrong
	}
	return s, nil
}

// mac is how a code is stored: six digits are soon tried out by whoever steals a plain hash.
func (c *Codes) mac(id, code string) []byte { return c.Keys.MAC("code", []byte(id+" "+code)) }

// mostTries is how often somebody may mistype one code. Source: security.md, "Codes".
const mostTries = 5

// A refusal is auth.ErrWrong with a reason that people are told, because something else than typing again helps.
type refusal string

const (
	errLate  refusal = "late"
	errSpent refusal = "spent"
)

func (r refusal) Error() string        { return "the code does not count any more: " + string(r) }
func (r refusal) Is(target error) bool { return target == auth.ErrWrong }

// Why is for the record.
func (r refusal) Why() string { return string(r) }

// Reset is auth.Resetter.
func (f *Factor) Reset(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	return f.removeAll(ctx, tx, u, f.kind)
}

// prove is what a code is worth. RFC 8176 has no word for mail; "otp" says what it was.
func prove(kind auth.Kind, id auth.EnrolmentID, now time.Time) auth.Proof {
	if kind == Email {
		return auth.Proof{Kind: Email, Enrolment: id, AMR: "otp", Level: auth.OneFactor, Weak: true, Given: id == address, At: now}
	}
	return auth.Proof{Kind: SMS, Enrolment: id, AMR: "sms", Level: auth.OneFactor, At: now}
}

func wrongIf(so bool, err error) error {
	if err == nil && so {
		err = auth.ErrWrong
	}
	return err
}

// stands says whether a code may go to a contact: to none in a country that we send to no more, nor where somebody else
// would read it too.
func (c *Codes) stands(ctx context.Context, from auth.Reader, u auth.UserID, k contact) (auth.State, error) {
	if !c.served(k) {
		return auth.Void, nil
	}
	shared, err := c.shared(ctx, from, u, k.kind, k.destination)
	if shared {
		return auth.Blocked, err
	}
	return auth.Usable, err
}

// served is true of what lies in a country that we send to.
func (c *Codes) served(k contact) bool {
	return k.kind != SMS || slices.Contains(c.Rules.Countries, user.Country(k.destination))
}

// shared says whether somebody else reads a destination too (C4).
func (c *Codes) shared(ctx context.Context, from auth.Reader, u auth.UserID, kind auth.Kind, to string) (bool, error) {
	has := c.Users.HasPhone
	if kind == Email {
		has = c.Users.HasAddress
	}
	if yes, err := has(ctx, from, u, to); err != nil || yes {
		return yes, err
	}
	return c.hasContact(ctx, from, u, kind, to)
}

// errTaken is said to who would share what somebody else gets codes at (C4). They cannot block it by typing it in.
var errTaken = auth.ConflictError{Code: "contact-shared", Why: "Somebody else signs in with codes to this address or number. Use one that is yours alone."}

// Happened is auth.Watcher. Nobody takes for their own profile what somebody else proved to read; if the command
// line gives it to a second person, the first hears that it is blocked now, and so does the record.
func (c *Codes) Happened(ctx context.Context, tx auth.Tx, e auth.Event) error {
	if e.Kind != auth.UserAdded && e.Kind != auth.UserEnabled && e.Kind != auth.ContactChanged {
		return nil
	}
	field := map[auth.Kind]string{Email: "email", SMS: "phone"}
	u, err := c.Users.Get(ctx, tx, e.User)
	if err != nil {
		return err
	}
	for kind, to := range map[auth.Kind]string{Email: u.Email, SMS: u.Phone} {
		if e.Kind == auth.ContactChanged && e.Detail["field"] != field[kind] {
			continue
		}
		owners, err := c.owners(ctx, tx, u.ID, kind, to)
		if err != nil {
			return err
		}
		if face := auth.OriginOf(ctx).Face; (face == "page" || face == "api") && e.Detail[auth.Undone] == "" {
			taken, err := c.Taken(ctx, tx, u.ID, kind, to)
			if err != nil {
				return err
			}
			if taken {
				return errTaken
			}
		}
		for _, owner := range owners {
			blocked := auth.Event{Kind: auth.ContactBlocked, User: owner, Actor: e.User, Detail: map[string]string{"factor": string(kind)}}
			if err := c.Trail.Record(ctx, tx, blocked); err != nil {
				return err
			}
		}
	}
	return nil
}

// Taken says whether somebody else signs in by a destination, or gets codes there: pages give it to nobody else then.
func (c *Codes) Taken(ctx context.Context, tx auth.Tx, but auth.UserID, kind auth.Kind, to string) (bool, error) {
	owners, err := c.owners(ctx, tx, but, kind, to)
	if err != nil || len(owners) > 0 || kind != Email {
		return len(owners) > 0, err
	}
	return c.Users.HasLogin(ctx, tx, but, to)
}

type threadKey struct{}

// threadOf is what a code belongs to: what a finder put into ctx, or the sign-in or session of the visit.
func threadOf(ctx context.Context) web.Thread {
	if t, ok := ctx.Value(threadKey{}).(web.Thread); ok {
		return t
	}
	return web.ThreadOf(visit.Of(ctx))
}
