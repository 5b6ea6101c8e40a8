package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"time"
	_ "time/tzdata" // the zones, on machines that have none

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/db"
	"sallyport/internal/notify"
	"sallyport/internal/notify/mail"
	"sallyport/internal/notify/sms"
	"sallyport/internal/notify/wording"
	"sallyport/internal/secret"
)

// newOutbox joins texts, mail server and SMS provider.
func newOutbox(c config.Config, d *db.DB, keys *secret.Keys, clock func() time.Time, log *slog.Logger, metrics prometheus.Registerer) (*notify.Outbox, error) {
	texts, err := Texts(c)
	if err != nil {
		return nil, err
	}
	carriers, kept, err := Carriers(c, clock)
	if err != nil {
		return nil, err
	}
	p := notify.Parts{DB: d, Keys: keys, Texts: texts, Language: c.Messages.Language, Carriers: carriers, Keep: kept,
		Clock: clock, Log: log, Metrics: metrics}
	return notify.New(p), nil
}

// Carriers are the configured ways to reach people; kept says that a message of one of them goes nowhere but to the viewer.
func Carriers(c config.Config, clock func() time.Time) (all map[notify.Channel]notify.Carrier, kept bool, err error) {
	all = map[notify.Channel]notify.Carrier{}
	switch c.Mail.Host {
	case "":
	case config.Outbox:
		all[notify.Email], kept = notify.Nowhere{}, true
	default:
		server, err := mail.Open(mail.Config{Host: c.Mail.Host, TLS: c.Mail.TLS, User: c.Mail.User, Password: auth.Secret(c.Mail.Password),
			From: c.Mail.From, ReplyTo: c.Mail.ReplyTo, Hello: c.Mail.Hello})
		if err != nil {
			return nil, false, err
		}
		all[notify.Email] = notify.ByMail{Server: server}
	}
	switch c.SMS.Provider {
	case "":
	case config.Outbox:
		all[notify.SMS], kept = notify.Nowhere{}, true
	default:
		provider, err := sms.Open(sms.Config{Provider: c.SMS.Provider, URL: c.SMS.URL, Account: c.SMS.Account, Secret: auth.Secret(c.SMS.Secret),
			From: c.SMS.From, Region: c.SMS.Region, Token: auth.Secret(c.SMS.Token)}, clock)
		if err != nil {
			return nil, false, err
		}
		all[notify.SMS] = notify.BySMS{Provider: provider}
	}
	return all, kept, nil
}

// Texts are what messages say, as configured.
func Texts(c config.Config) (*wording.Texts, error) {
	address, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(c.Messages.TimeZone)
	if err != nil {
		return nil, err
	}
	texts, err := wording.Load(c.Messages.Texts, wording.Site{Name: c.Site.Name, Host: address.Host, Support: c.Site.Support, Accent: c.Site.Accent, Zone: zone})
	if err != nil {
		return nil, fmt.Errorf("messages.texts: %w", err)
	}
	if !texts.Has(c.Messages.Language) {
		return nil, fmt.Errorf("messages.language is %q: use one of %v", c.Messages.Language, texts.Languages())
	}
	return texts, nil
}

// Edited are texts with what was edited in the database over them, and the edits that cannot be used. No database file:
// nothing was. It must not make one by being pointed at nothing.
func Edited(ctx context.Context, c config.Config, texts *wording.Texts) (*wording.Texts, []wording.Fault, error) {
	address := c.DatabaseAddress()
	if !db.IsPostgres(address) {
		if _, err := os.Stat(address); errors.Is(err, fs.ErrNotExist) {
			return texts, nil, nil
		}
	}
	d, err := db.Open(ctx, address, 1)
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	return notify.NewEdits(d, texts, time.Now, slog.New(slog.DiscardHandler)).Read(ctx)
}
