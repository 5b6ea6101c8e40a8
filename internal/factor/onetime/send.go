package onetime

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/notify"
	"sallyport/internal/notify/wording"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/web"
)

// texts are the messages of each purpose.
var texts = map[web.Purpose]string{web.ToSignIn: "code-signin", web.ToStepUp: "code-stepup", toEnrol: "code-verify", toOpen: "code-first"}

const (
	toEnrol web.Purpose = "enrol" // to prove that somebody reads a new destination
	toOpen  web.Purpose = "open"  // to begin a sign-in with
)

// Unasked is web.Sender.
func (f *Factor) Unasked() bool { return f.Rules.Delivery != Choose }

// Send is web.Sender: to the destination of this channel, or of all of them where the rules say so.
func (f *Factor) Send(ctx context.Context, tx auth.Tx, in web.Thread) error {
	to, err := f.reached(ctx, tx, in)
	if err != nil {
		return err
	}
	if len(to) == 0 {
		return auth.ErrNotFound
	}
	var refused error
	sent := 0
	for _, c := range to {
		var wait auth.ThrottledError
		switch err := f.send(ctx, tx, in, c.kind, c.destination); {
		case errors.As(err, &wait):
			refused = err
		case err != nil:
			return err
		default:
			sent++
		}
	}
	if sent > 0 { // one of two channels is out of budget: the other still helps
		return nil
	}
	return refused
}

// reached are the contacts that a code of this factor goes to.
func (f *Factor) reached(ctx context.Context, from auth.Reader, in web.Thread) (some []contact, err error) {
	if f.kind == Email && in.Purpose == web.ToSignIn {
		if to, err := f.given(ctx, from, in.User.ID); err != nil || to != "" {
			return []contact{{kind: Email, destination: to}}, err
		}
	}
	all, err := f.contacts(ctx, from, in.User.ID)
	if err != nil {
		return nil, err
	}
	rules, err := f.Roster.RulesOf(ctx, from, in.User)
	for _, c := range all {
		beside := c.kind != f.kind
		if beside && (f.Rules.Delivery != All || in.Purpose != web.ToSignIn || !slices.Contains(rules.Factors, c.kind)) || !f.Outbox.Has(notify.Channel(c.kind)) ||
			!slices.Contains(f.Roster.Rules().Factors, c.kind) { // a channel that their workgroup took away still proves who they are
			continue
		}
		state, err := f.stands(ctx, from, in.User.ID, c)
		if err != nil {
			return nil, err
		}
		if state == auth.Usable {
			some = append(some, c)
		}
	}
	return some, err
}

// send makes a new code and puts it into the outbox. The code before, if any, is dead then, and not sent if it still waits.
func (c *Codes) send(ctx context.Context, tx auth.Tx, in web.Thread, kind auth.Kind, to string) error {
	now := c.Clock()
	before, err := c.under(ctx, tx, in, kind)
	if err != nil && !errors.Is(err, auth.ErrNotFound) {
		return err
	}
	if wait := before.again().Sub(now); wait > 0 {
		return auth.ThrottledError{After: wait}
	}
	if err := c.Throttle.Spend(ctx, tx, c.purses(ctx, in, kind, to)...); err != nil {
		return err
	}
	if in.Purpose == toOpen {
		var used auth.ThrottledError
		if err := c.Throttle.Spend(ctx, tx, c.opening(in)); errors.As(err, &used) { // to say so would tell who exists
			in.User, to = auth.User{}, ""
		} else if err != nil {
			return err
		}
	}
	code := newCode(kind)
	s := sent{id: secret.NewID(), user: in.User.ID, epoch: in.User.Epoch, thread: in.ID, purpose: in.Purpose, kind: kind, destination: to, key: key(kind, to),
		message: secret.NewID(), sends: before.sends + 1, at: now, expires: earlier(now.Add(lifetime[kind]), in.Until)}
	s.mac = c.mac(s.id, code)
	if err := c.put(ctx, tx, s, before.id); err != nil {
		return err
	}
	if err := c.Outbox.Cancel(ctx, tx, before.message); err != nil {
		return err
	}
	from := auth.OriginOf(ctx)
	return c.Outbox.Send(ctx, tx, notify.Message{ID: s.message, User: in.User, Channel: notify.Channel(kind), To: to, Name: texts[in.Purpose],
		Lifetime: s.expires.Sub(now),
		Facts: wording.Facts{At: now, Until: s.expires, Kind: string(kind), Tags: map[string]string{"code": shown(kind, code),
			"agent.name": in.User.Name, "agent.email": in.User.Email, "agent.workphone": in.User.Phone, "to": to,
			"browser": web.BrowserName(from.Browser), "address": from.Address.String()}}})
}

// purses are the budgets a message is paid from (C10). Codes cost us money, and others sleep. What anybody can ask for
// without a password is paid from purses of its own, and by the name that was given, whether somebody has it or not.
func (c *Codes) purses(ctx context.Context, in web.Thread, kind auth.Kind, to string) []throttle.Purse {
	from := auth.OriginOf(ctx).Address
	if in.Purpose == toOpen {
		some := []throttle.Purse{throttle.PerHour("open-to", 10).For(c.subject(in.Name))}
		if from.IsValid() {
			some = append(some, throttle.PerHour("open-from", 30).For(throttle.Client(from)))
		}
		return some
	}
	of := "send-" + string(kind)
	some := []throttle.Purse{
		throttle.PerHour(of+"-to", 10).For(c.subject(key(kind, to))),
		throttle.PerHour(of+"-person", 10).For(string(in.User.ID)),
		c.breaker(kind),
	}
	if from.IsValid() { // many share one
		some = append(some, throttle.PerHour(of+"-from", 300).For(throttle.Client(from)))
	}
	if kind == SMS {
		some = append(some, throttle.PerHour(of+"-country", max(1, c.Rules.SMS/2)).For(user.Country(to)))
	}
	if kind == SMS && in.Purpose == toEnrol { // whoever earns from SMS proves number after number, in a row
		some = append(some, throttle.PerHour(of+"-prefix", 20).For(c.subject(to[:max(0, len(to)-4)])))
	}
	return some
}

// opening is the budget of all codes that begin a sign-in. Nobody's costs nothing but as much time.
func (c *Codes) opening(in web.Thread) throttle.Purse {
	if in.User.ID == "" {
		return throttle.PerHour("open-nobody", 1e6).For("")
	}
	return throttle.PerHour("open-all", c.Rules.Email).For("")
}

// breaker is the budget of all codes by one channel, but for those that anybody can ask for.
func (c *Codes) breaker(kind auth.Kind) throttle.Purse {
	most := c.Rules.Email
	if kind == SMS {
		most = c.Rules.SMS
	}
	return throttle.PerHour("send-"+string(kind)+"-all", most).For("")
}

// subject is a destination as a counter knows it: nobody reads addresses there.
func (c *Codes) subject(key string) string { return encode(c.Keys.MAC("destination", []byte(key))) }

// again is when another code may be asked for: after half a minute, and each time half a minute later.
func (s sent) again() time.Time {
	if s.id == "" {
		return time.Time{}
	}
	return s.at.Add(min(time.Duration(s.sends)*30*time.Second, 5*time.Minute))
}

// Sent is web.Sender.
func (f *Factor) Sent(ctx context.Context, in web.Thread) (web.Sent, error) {
	to, err := f.reached(ctx, f.DB, in)
	if err != nil {
		return web.Sent{}, err
	}
	masked := []string{}
	for _, c := range to {
		masked = append(masked, mask(c.kind, c.destination))
	}
	kinds := []auth.Kind{f.kind}
	if f.Rules.Delivery == All && in.Purpose == web.ToSignIn {
		kinds = []auth.Kind{SMS, Email}
	}
	return f.told(ctx, in, kinds, masked)
}

// told says how far the codes of some channels have come, together: the best of them counts.
func (c *Codes) told(ctx context.Context, in web.Thread, kinds []auth.Kind, masked []string) (web.Sent, error) {
	now := c.Clock()
	best := web.NewSent(masked, "none", time.Time{}, time.Time{}, now)
	for _, kind := range kinds {
		s, err := c.under(ctx, c.DB, in, kind)
		if errors.Is(err, auth.ErrNotFound) {
			continue
		}
		if err != nil {
			return best, err
		}
		state, err := c.Outbox.State(ctx, c.DB, s.message)
		if err != nil {
			return best, err
		}
		if one := inWords(state); rank[one] >= rank[best.State] {
			best = web.NewSent(masked, one, s.expires, s.again(), now)
		}
	}
	return best, nil
}

var rank = map[string]int{"none": 0, "failed": 1, "waiting": 2, "delivered": 3}

func inWords(s notify.State) string {
	switch s {
	case notify.Waiting, notify.Sending:
		return "waiting"
	case notify.Delivered:
		return "delivered"
	}
	return "failed"
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
