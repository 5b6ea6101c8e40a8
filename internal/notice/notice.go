// Package notice tells people by mail, and by SMS what must not be missed, what happened to their account, and does what they ask for if it was not them.
//
// It promises: a notice is in the outbox exactly when what it tells of is on disk; a change of the address is told to the
// old one too (F4); and a link in a notice does nothing until somebody presses the button behind it, and then once.
// Whoever reads a mailbox that was not the account's for a while can lock the account by such a link, but not open it.
//
// Where there is no mail there are no notices, but for what goes by SMS.
package notice

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/factor/onetime"
	"sallyport/internal/notify"
	"sallyport/internal/notify/wording"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/web"
)

// Notices tells people.
type Notices struct {
	Parts
}

// Parts are what notices are made with.
type Parts struct {
	DB       *db.DB
	Users    *user.Store
	Outbox   *notify.Outbox
	Throttle *throttle.Throttle
	Trail    *audit.Trail
	Roster   *roster.Roster
	Contacts *onetime.Codes
	Revoker  auth.Revoker
	Recovery Recovery
	Site     string        // scheme and host, for links
	Freeze   time.Duration // how long nothing can be changed after “This wasn't me”
	Clock    func() time.Time
}

// Recovery leads whoever said “This wasn't me” to a new password.
type Recovery interface {
	// Begin voids every link to a new password before it, and says at which path of ours the new one is.
	Begin(ctx context.Context, tx auth.Tx, u auth.User) (path string, err error)
}

func New(p Parts) *Notices { return &Notices{p} }

// lifetime is how long a notice is worth sending.
const lifetime = 3 * 24 * time.Hour

// texts are the messages of events that are told in one way.
var texts = map[auth.EventKind]string{
	auth.FactorAdded:     "notice-factor-added",
	auth.FactorRemoved:   "notice-factor-removed",
	auth.FactorRenamed:   "notice-factor-renamed",
	auth.PasswordChanged: "notice-password",
	auth.MFADisabled:     "notice-mfa-off",
	auth.MFAEnabled:      "notice-mfa-on",
	auth.MFAReset:        "notice-mfa-reset",
	auth.MethodSet:       "notice-method",
	auth.BackupCodesLow:  "notice-codes-low",
	auth.PassGiven:       "notice-pass",
}

// tooMany is how many wrong second factors of an account make us think that somebody knows its password.
const tooMany = 5

// Happened is auth.Watcher.
func (n *Notices) Happened(ctx context.Context, tx auth.Tx, e auth.Event) error {
	if !n.Outbox.Has(notify.Email) && e.Kind != auth.RecoveryBegan || e.User == "" || e.Detail[auth.Undone] != "" {
		return nil
	}
	tell := n.changed
	switch e.Kind {
	case auth.ContactChanged:
		tell = n.contactChanged
	case auth.ContactBlocked:
		tell = n.blocked
	case auth.RecoveryBegan:
		tell = n.recoveryBegan
	case auth.RecoveryEnded:
		if tell = n.recoveryEnded; e.Detail["by"] != "cancelled" { // by the real thing: whoever has that needs no word of it
			return nil
		}
	case auth.SignInFailed, auth.StepUpFailed:
		if tell = n.failed; e.Failures < tooMany {
			return nil
		}
	default:
		if texts[e.Kind] == "" || e.Kind == auth.PasswordChanged && e.Detail[auth.First] != "" { // nothing was changed
			return nil
		}
	}
	if e.Failures == 0 { // a change takes the person's row before their budget, whatever it took before: a sign-in takes it not at all
		if err := n.Users.Lock(ctx, tx, e.User); err != nil {
			return err
		}
	}
	u, err := n.Users.Get(ctx, tx, e.User)
	if err != nil {
		return err
	}
	return tell(ctx, tx, u, e)
}

// The budgets of one person. What is done often and changes little leaves room for what matters; and what strangers can
// cause has budgets of its own, so that nobody can use up somebody else's.
var (
	perPerson  = throttle.PerHour("notice", 30)
	perMinor   = throttle.PerHour("notice-minor", 20) // of the same 30: names, browsers, MFA on
	perOld     = throttle.PerHour("notice-old", 30)   // to an address that the account had
	perBlocked = throttle.PerHour("notice-blocked", 30)
	perFailure = throttle.PerHour("notice-failures", 1)
)

func (n *Notices) changed(ctx context.Context, tx auth.Tx, u auth.User, e auth.Event) error {
	l := letter{name: texts[e.Kind], to: u, kind: e.Detail["factor"], tags: whence(ctx, e), link: about(e), purses: purses(u, perPerson)}
	l.tags["name"], l.tags["left"] = e.Detail["name"], e.Detail["left"]
	switch e.Kind {
	case auth.FactorRenamed:
		l.tags["old"], l.tags["new"], l.purses = e.Detail["old"], e.Detail["name"], purses(u, perPerson, perMinor)
	case auth.MFAEnabled: // no fresh proof is asked for
		l.purses = purses(u, perPerson, perMinor)
	}
	return n.send(ctx, tx, l)
}

// contactChanged tells both addresses of a change from one to the other, neither of them in full: whoever reads one need
// not know the other.
func (n *Notices) contactChanged(ctx context.Context, tx auth.Tx, u auth.User, e auth.Event) error {
	l := letter{name: "notice-phone", to: u, tags: whence(ctx, e), link: about(e), purses: purses(u, perPerson)}
	l.tags["old"], l.tags["new"] = user.MaskPhone(e.Before.Phone), user.MaskPhone(u.Phone)
	if e.Detail["field"] != "email" {
		return n.send(ctx, tx, l)
	}
	l.name, l.link.subject = "notice-email", e.Before.Email
	l.tags["old"], l.tags["new"] = user.MaskEmail(e.Before.Email), user.MaskEmail(u.Email)
	if user.Key(e.Before.Email) != user.Key(u.Email) {
		old := l
		old.to.Email, old.link.toOld, old.purses = e.Before.Email, true, purses(u, perOld)
		if err := n.send(ctx, tx, old); err != nil {
			return err
		}
	}
	return n.send(ctx, tx, l)
}

// blocked is what somebody else did, so whose browser it was is not for this person.
func (n *Notices) blocked(ctx context.Context, tx auth.Tx, u auth.User, e auth.Event) error {
	kind := e.Detail["factor"]
	if err := n.send(ctx, tx, letter{name: "notice-blocked", to: u, kind: kind, purses: purses(u, perBlocked)}); err != nil {
		return err
	}
	admins, err := n.Users.Admins(ctx, tx)
	if err != nil {
		return err
	}
	for _, a := range admins {
		l := letter{name: "notice-blocked-admin", to: a, kind: kind, tags: map[string]string{"other.name": u.Name}, purses: purses(a, perBlocked)}
		if err := n.send(ctx, tx, l); err != nil {
			return err
		}
	}
	return nil
}

func (n *Notices) failed(ctx context.Context, tx auth.Tx, u auth.User, e auth.Event) error {
	return n.send(ctx, tx, letter{name: "notice-failures", to: u, tags: whence(ctx, e), link: about(e), purses: purses(u, perFailure)})
}

// recoveryBegan goes to every place where the person is reached, whatever else was sent: whoever began it may read one of
// them (L3). Who begins one has a budget for that.
func (n *Notices) recoveryBegan(ctx context.Context, tx auth.Tx, u auth.User, e auth.Event) error {
	all, err := n.Contacts.Destinations(ctx, tx, u)
	if err != nil {
		return err
	}
	for _, d := range all {
		l := letter{name: "notice-recovery-begun", to: u, until: u.Recovers, tags: whence(ctx, e), link: about(e)}
		if d.Channel == notify.SMS {
			l.phone = d.To
		} else {
			l.to.Email = d.To
		}
		if err := n.send(ctx, tx, l); err != nil {
			return err
		}
	}
	return nil
}

// recoveryEnded goes to the address of the account and to the login: any session takes back what somebody waits for, one of a
// thief too. As often as a wait may begin, so often it ends.
func (n *Notices) recoveryEnded(ctx context.Context, tx auth.Tx, u auth.User, e auth.Event) error {
	to := []string{u.Email}
	if user.Key(u.Email) != user.Key(u.Login) {
		to = append(to, u.Login)
	}
	for _, address := range to {
		l := letter{name: "notice-recovery-ended", to: u, tags: whence(ctx, e), link: about(e)}
		if l.to.Email = address; address == "" {
			continue
		}
		if err := n.send(ctx, tx, l); err != nil {
			return err
		}
	}
	return nil
}

// A letter is one notice to one address.
type letter struct {
	name   string    // of the text
	to     auth.User // whom; Email is where it goes
	phone  string    // or it goes here, by SMS
	kind   string    // of a factor
	until  time.Time
	tags   map[string]string // beside those of whom it is to
	link   link              // none if its kind is empty
	purses []throttle.Purse  // none: it is sent whatever else was
}

// reached is where it goes.
func (l letter) reached() (notify.Channel, string) {
	if l.phone != "" {
		return notify.SMS, l.phone
	}
	return notify.Email, l.to.Email
}

// send puts a notice into the outbox, unless its budget is used up: then what happened stands and nothing is said. The link
// is kept even so.
func (n *Notices) send(ctx context.Context, tx auth.Tx, l letter) error {
	now := n.Clock()
	channel, to := l.reached()
	facts := wording.Facts{At: now, Until: l.until, Kind: l.kind, Tags: map[string]string{
		"agent.name": l.to.Name, "agent.email": l.to.Email, "agent.workphone": l.to.Phone, "to": to}}
	for tag, value := range l.tags {
		facts.Tags[tag] = value
	}
	if l.link.kind != "" {
		token := secret.NewToken()
		l.link.user, l.link.address, l.link.created = l.to.ID, user.Key(to), now
		if err := n.keep(ctx, tx, secret.Digest(token), l.link); err != nil {
			return err
		}
		facts.Link = n.Site + "/not-me?token=" + string(token)
	}
	var used auth.ThrottledError
	if err := n.Throttle.Spend(ctx, tx, l.purses...); errors.As(err, &used) {
		return nil
	} else if err != nil {
		return err
	}
	return n.Outbox.Send(ctx, tx, notify.Message{ID: secret.NewID(), User: l.to, Channel: channel, To: to, Name: l.name, Facts: facts, Lifetime: lifetime})
}

func purses(u auth.User, some ...throttle.Budget) (all []throttle.Purse) {
	for _, b := range some {
		all = append(all, b.For(string(u.ID)))
	}
	return all
}

// whence is where an act of the person came from. Of what others do for them it is empty.
func whence(ctx context.Context, e auth.Event) map[string]string {
	from := auth.OriginOf(ctx)
	if e.Actor != "" || from.Face != "page" && from.Face != "api" {
		return map[string]string{}
	}
	tags := map[string]string{"browser": web.BrowserName(from.Browser)}
	if from.Address.IsValid() {
		tags["address"] = from.Address.String()
	}
	return tags
}

// about is the link of an event, as far as the event says.
func about(e auth.Event) link {
	return link{kind: e.Kind, factor: auth.Kind(e.Detail["factor"]), subject: e.Detail["id"]}
}
