package recovery

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/factor/onetime"
	"sallyport/internal/factor/password"
	"sallyport/internal/notify"
	"sallyport/internal/notify/wording"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/web"
)

// A purpose is why somebody was given a link to a new password.
type purpose string

const (
	forgotten purpose = "forgotten" // they asked for it, as anybody could in their name
	intruded  purpose = "intruded"  // “This wasn't me” was answered, which locked the account against everything else
	invited   purpose = "invited"   // an administrator asked them in (A2)
)

// life is how long a link works.
func (p purpose) life() time.Duration {
	if p == invited {
		return 7 * 24 * time.Hour
	}
	return 30 * time.Minute // L2
}

// Page is where people go who forgot their password; empty: nothing could be sent to them.
func (r *Recovery) Page() string {
	if !r.Outbox.Has(notify.Email) {
		return ""
	}
	return forgotPath
}

const forgotPath = "/forgot"

// request sends a link to a new password to whoever has a login, while the account is locked, too: whoever answered “This
// wasn't me” out of an SMS got none, and the password that somebody may know opens it still. Not if its address changed of
// late, though: the mailbox may be one that the account has left. For somebody who does not exist, who may not have one now,
// or whose address is not theirs alone, it takes the same statements and nothing arrives (S10).
func (r *Recovery) request(ctx context.Context, tx auth.Tx, login string, id auth.UserID) error {
	if err := r.Users.Lock(ctx, tx, id); err != nil && !errors.Is(err, auth.ErrNotFound) {
		return err
	}
	u, err := r.Users.Get(ctx, tx, id)
	if err != nil && !errors.Is(err, auth.ErrNotFound) {
		return err
	}
	to, err := r.Contacts.Address(ctx, tx, u)
	if err != nil {
		return err
	}
	moved, err := r.Addresses.Moved(ctx, tx, u.ID)
	if err != nil {
		return err
	}
	why := forgotten
	if u.Frozen.After(r.Clock()) { // by then an intruder may have proved an address of theirs; the login is nothing they could change
		why, to = intruded, u.Login
	}
	shared, err := r.Contacts.Shared(ctx, tx, u.ID, onetime.Email, to)
	if err != nil {
		return err
	}
	last, err := r.newest(ctx, tx, u.ID)
	if err != nil {
		return err
	}
	if shared || u.Disabled || why == intruded && moved || r.underWay(u, why, last) {
		u, to = auth.User{}, ""
	}
	if err := r.Throttle.Spend(ctx, tx, r.asking(ctx, login)...); err != nil {
		return err
	}
	used := auth.ThrottledError{}
	if err := r.Throttle.Spend(ctx, tx, r.sending(u)); errors.As(err, &used) { // to say so would tell who exists
		u, to = auth.User{}, ""
	} else if err != nil {
		return err
	}
	if u.ID == "" {
		last = sent{}
	}
	return r.send(ctx, tx, u, to, why, last)
}

// atLeast is how long a link lives whoever asks for another: else a stranger who knows the login could keep its person from
// ever using one.
const atLeast = time.Minute

// underWay is true of a link that was made just now and works as another would. The one that “This wasn't me” led to stays
// for as long as it works: its person holds it already, and it may be the only one that reaches them. So does an invitation:
// nobody takes it back by asking for another in its person's name.
func (r *Recovery) underWay(u auth.User, why purpose, last sent) bool {
	until := last.expires.Add(atLeast - last.purpose.life())
	if last.purpose == intruded && last.message == "" || last.purpose == invited {
		until = last.expires
	}
	return last.epoch == u.Epoch && (last.purpose == why || last.purpose != forgotten) && r.Clock().Before(until)
}

// send puts a new link into the outbox. The one before is dead then, and not sent if it still waits.
func (r *Recovery) send(ctx context.Context, tx auth.Tx, u auth.User, to string, why purpose, last sent) error {
	token, message, now, from := secret.NewToken(), secret.NewID(), r.Clock(), auth.OriginOf(ctx)
	if err := r.keep(ctx, tx, u.ID, secret.Digest(token), why, message); err != nil {
		return err
	}
	if err := r.Outbox.Cancel(ctx, tx, last.message); err != nil {
		return err
	}
	text := "password-link"
	if why == invited {
		text = "invitation"
	}
	return r.Outbox.Send(ctx, tx, notify.Message{ID: message, User: u, Channel: notify.Email, To: to, Name: text, Lifetime: why.life(),
		Facts: wording.Facts{At: now, Until: now.Add(why.life()), Link: r.Site + linkPath(token), Tags: map[string]string{
			"agent.name": u.Name, "to": to, "browser": web.BrowserName(from.Browser), "address": from.Address.String()}}})
}

// Invite asks somebody in: a link behind which they choose a password, by mail or, where none is sent, to be handed over.
// The one before is dead then.
func (r *Recovery) Invite(ctx context.Context, tx auth.Tx, id auth.UserID) (i auth.Invitation, err error) {
	if err := r.Users.Lock(ctx, tx, id); err != nil {
		return i, err
	}
	u, err := r.Users.Get(ctx, tx, id)
	if err != nil {
		return i, err
	}
	i.Until = r.Clock().Add(invited.life())
	if !r.Outbox.Has(notify.Email) {
		token := secret.NewToken()
		i.Link = auth.Secret(r.Site + linkPath(token))
		return i, r.keep(ctx, tx, u.ID, secret.Digest(token), invited, "")
	}
	to, err := r.Contacts.Address(ctx, tx, u)
	if err != nil {
		return i, err
	}
	last, err := r.newest(ctx, tx, u.ID)
	if err != nil {
		return i, err
	}
	i.To = user.MaskEmail(to)
	return i, r.send(ctx, tx, u, to, invited, last)
}

// Uninvite ends the invitation of a person, if one is open: they are to be invited anew by whoever looks after them now.
func (r *Recovery) Uninvite(ctx context.Context, tx auth.Tx, id auth.UserID) error {
	message, err := r.void(ctx, tx, id, invited)
	if err != nil || message == "" {
		return err
	}
	return r.Outbox.Cancel(ctx, tx, message)
}

// Invited says whether a person has an invitation that works.
func (r *Recovery) Invited(ctx context.Context, from auth.Reader, u auth.User) (bool, error) {
	l, err := r.newest(ctx, from, u.ID)
	return l.purpose == invited && l.epoch == u.Epoch && l.expires.After(r.Clock()) && !u.Disabled, err
}

func linkPath(token auth.Secret) string { return forgotPath + "/" + string(token) }

// asking are the budgets of who asks, by the name that was given, whether somebody has it or not (C10).
func (r *Recovery) asking(ctx context.Context, login string) []throttle.Purse {
	some := []throttle.Purse{throttle.PerHour("forgot-to", 10).For(hex.EncodeToString(r.Keys.MAC("name", []byte(user.Key(login)))))}
	if from := auth.OriginOf(ctx).Address; from.IsValid() {
		some = append(some, throttle.PerHour("forgot-from", 30).For(throttle.Client(from)))
	}
	return some
}

// sending is the budget of all links that go out. Nobody's costs nothing but as much time.
func (r *Recovery) sending(u auth.User) throttle.Purse {
	if u.ID == "" {
		return throttle.PerHour("forgot-nobody", 1e6).For("")
	}
	return throttle.PerHour("forgot-all", r.Contacts.Rules.Email).For("")
}

// Begin is notice.Recovery.
func (r *Recovery) Begin(ctx context.Context, tx auth.Tx, u auth.User) (string, error) {
	token := secret.NewToken()
	return linkPath(token), r.keep(ctx, tx, u.ID, secret.Digest(token), intruded, "")
}

// opens is whom a link lets choose a password now.
func (r *Recovery) opens(ctx context.Context, key digest) (link, error) {
	l, err := r.find(ctx, key)
	switch {
	case err != nil:
		return l, err
	case l.purpose != intruded && l.user.Frozen.After(r.Clock()): // before the epoch, which locking the account has ended
		return l, auth.Frozen(l.user.Frozen)
	case l.epoch != l.user.Epoch:
		return l, auth.ErrNotFound
	}
	return l, nil
}

// replace stores a new password and ends all that was begun with the one before. The second step stays as it is.
func (r *Recovery) replace(ctx context.Context, tx auth.Tx, key digest, l link, h password.Hashed) error {
	if err := r.Users.Lock(ctx, tx, l.user.ID); err != nil {
		return err
	}
	if err := r.spend(ctx, tx, key); err != nil {
		return err
	}
	had, err := r.Passwords.Enrolments(ctx, tx, l.user.ID)
	if err != nil {
		return err
	}
	if err := r.Passwords.SetByMail(ctx, tx, l.user.ID, h); err != nil {
		return err
	}
	if err := r.Revoker.RevokeOthers(ctx, tx, l.user.ID, ""); err != nil {
		return err
	}
	if err := r.Passes.Carry(ctx, tx, l.user.ID); err != nil {
		return err
	}
	detail := map[string]string{"by": "link"}
	switch l.purpose {
	case intruded:
		detail["by"] = "recovery"
	case invited:
		detail["by"] = "invitation"
		if len(had) == 0 {
			detail[auth.First] = "yes"
		}
	}
	return r.Trail.Record(ctx, tx, auth.Event{Kind: auth.PasswordChanged, User: l.user.ID, Detail: detail})
}
