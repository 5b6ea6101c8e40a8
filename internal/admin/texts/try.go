package texts

import (
	"context"
	"slices"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/notify"
	"sallyport/internal/notify/wording"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

type (
	Channel struct {
		Channel string `json:"channel" max:"5" doc:"email or sms"`
	}
	Begun struct {
		ID string `json:"id"`
	}
	ID struct {
		ID string `path:"id" max:"64"`
	}
	Tried struct {
		ID      string    `json:"id"`
		Channel string    `json:"channel" enum:"email,sms"`
		Added   time.Time `json:"sent_at"`
		Sent    Progress  `json:"sent"`
	}
	Progress struct {
		State string `json:"state" enum:"waiting,delivered,failed" doc:"delivered: the other side took it"`
		Why   string `json:"why,omitempty" enum:"refused,expired,fault" doc:"of failed"`
		Tries int    `json:"tries"`
	}
)

// trial is how long a test message is tried. Whoever sent it waits for it.
const trial = 10 * time.Minute

func masked(u auth.User) Mine {
	mine := Mine{Email: user.MaskEmail(u.Email)}
	if u.Phone != "" {
		mine.Phone = user.MaskPhone(u.Phone)
	}
	return mine
}

// try sends a test to whoever asks for it. The way is that of every message, so what arrives says that codes do.
func (t *Templates) try(ctx context.Context, in Channel) (Begun, error) {
	channel := notify.Channel(in.Channel)
	if channel != notify.Email && channel != notify.SMS || !t.Outbox.Has(channel) {
		return Begun{}, auth.InvalidError{Field: "channel", Why: "must be one that messages are sent by here"}
	}
	begun := Begun{secret.NewID()}
	return begun, t.DB.Tx(ctx, func(tx auth.Tx) error {
		me, err := t.me(ctx, tx)
		if err != nil {
			return err
		}
		to, err := t.destination(me, channel)
		if err != nil {
			return err
		}
		if err := t.Throttle.Spend(ctx, tx, throttle.PerHour("message-test", 10).For(string(me.ID)), throttle.PerHour("message-tests", 60).For("")); err != nil {
			return err
		}
		from, now := auth.OriginOf(ctx), t.Clock()
		if err := t.Outbox.Send(ctx, tx, notify.Message{ID: begun.ID, User: me, Channel: channel, To: to, Name: "test", Lifetime: trial,
			Facts: wording.Facts{At: now, Tags: map[string]string{"agent.name": me.Name, "agent.email": me.Email, "agent.workphone": me.Phone, "to": to,
				"browser": web.BrowserName(from.Browser), "address": from.Address.String()}}}); err != nil {
			return err
		}
		return t.Trail.Record(ctx, tx, auth.Event{Kind: auth.MessageTested, User: me.ID, Detail: map[string]string{"channel": in.Channel}})
	})
}

// destination is where the account of somebody says that messages go (C8), and SMS to no country but those named (C10).
func (t *Templates) destination(me auth.User, channel notify.Channel) (string, error) {
	switch {
	case channel == notify.Email && me.Email != "":
		return me.Email, nil
	case channel == notify.Email || me.Phone == "":
		return "", auth.ConflictError{Code: "contact-missing", Why: "Your profile has nothing to send it to. Add it there first."}
	case !user.Mobile(me.Phone) || !slices.Contains(t.Countries, user.Country(me.Phone)):
		return "", auth.ConflictError{Code: "country", Why: "No SMS are sent to the country or kind of your number: sms.countries names those that are."}
	}
	return me.Phone, nil
}

func (t *Templates) tried(ctx context.Context, in ID) (Tried, error) {
	p, err := t.Outbox.Progress(ctx, in.ID, "test", visit.Of(ctx).Session.User.ID)
	if err != nil {
		return Tried{}, err
	}
	state := p.State
	if state == notify.Sending {
		state = notify.Waiting
	}
	return Tried{in.ID, string(p.Channel), p.Added, Progress{string(state), p.Why, p.Tries}}, nil
}
