package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/notify"
	"sallyport/internal/notify/wording"
	"sallyport/internal/secret"
	"sallyport/internal/user"
)

type messageCommands struct {
	List    messageList    `cmd:"" help:"List messages and languages."`
	Preview messagePreview `cmd:"" help:"Print a message, with facts as they might be."`
	Test    messageTest    `cmd:"" help:"Send a test message now, past the outbox."`
}

// texts are what messages say now: those of the configuration, with what was edited over them. None of these commands
// needs a database: without one there are no edits.
func (p place) texts(e *env) (config.Config, *wording.Texts, error) {
	c, err := p.load()
	if err != nil {
		return c, nil, err
	}
	if err := c.Check(); err != nil {
		return c, nil, err
	}
	texts, err := app.Texts(c)
	if err != nil {
		return c, nil, err
	}
	edited, faults, err := app.Edited(e.ctx, c, texts)
	if err != nil {
		fmt.Fprintf(e.stderr, "sallyport: texts that were edited are not looked at: %v\n", err)
		return c, texts, nil
	}
	for _, f := range faults {
		fmt.Fprintf(e.stderr, "sallyport: the edited %s of %s in %q is not used: it %s\n", f.Key, f.Message, f.Language, f.Why)
	}
	return c, edited, nil
}

// language is the one that was asked for, or else the one of the site.
func language(texts *wording.Texts, asked, usual string) (string, error) {
	if asked == "" {
		return usual, nil
	}
	if !texts.Has(asked) {
		return "", fmt.Errorf("--language is %q: use one of %s, or put %s.toml into the folder messages.texts", asked, strings.Join(texts.Languages(), ", "), asked)
	}
	return asked, nil
}

type messageList struct{ place }

func (m messageList) Run(e *env) error {
	c, texts, err := m.texts(e)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MESSAGE\tSUBJECT, FOR INSTANCE")
	for _, name := range texts.Names() {
		fmt.Fprintf(w, "%s\t%s\n", name, texts.Mail(c.Messages.Language, name, wording.Sample(name)).Subject)
	}
	fmt.Fprintf(w, "\nLanguages: %s\n", strings.Join(texts.Languages(), ", "))
	for _, tag := range texts.Languages() {
		for _, name := range texts.Names() {
			for _, f := range texts.Reveals(tag, name) {
				fmt.Fprintf(w, "Flagged: %s of %s in %q %s.\n", f.Key, name, tag, f.Why)
			}
		}
	}
	return w.Flush()
}

type messagePreview struct {
	place
	Name     string `arg:"" help:"Which message, of those that messages list names."`
	Language string `help:"In which language." placeholder:"LANG"`
	Format   string `default:"text" enum:"text,html,sms,subject" help:"text, html, sms or subject."`
}

func (m messagePreview) Run(e *env) error {
	c, texts, err := m.texts(e)
	if err != nil {
		return err
	}
	if !slices.Contains(texts.Names(), m.Name) {
		return fmt.Errorf("there is no message %q: use one of %s", m.Name, strings.Join(texts.Names(), ", "))
	}
	in, err := language(texts, m.Language, c.Messages.Language)
	if err != nil {
		return err
	}
	facts := wording.Sample(m.Name)
	if m.Format == "sms" && facts.Tags["code"] != "" {
		facts.Tags["code"] = "012345" // as codes by SMS look
	}
	mail := texts.Mail(in, m.Name, facts)
	said := map[string]string{"text": mail.Text, "html": mail.HTML, "subject": mail.Subject, "sms": texts.SMS(in, m.Name, facts)}[m.Format]
	_, err = fmt.Fprintln(e.stdout, strings.TrimSuffix(said, "\n"))
	return err
}

type messageTest struct {
	place
	To       string `arg:"" help:"An email address, or a phone number with + and country."`
	Language string `help:"In which language." placeholder:"LANG"`
}

func (m messageTest) Run(e *env) error {
	c, texts, err := m.texts(e)
	if err != nil {
		return err
	}
	in, err := language(texts, m.Language, c.Messages.Language)
	if err != nil {
		return err
	}
	channel, to, err := destination(c, m.To)
	if err != nil {
		return err
	}
	carriers, _, err := app.Carriers(c, time.Now)
	if err != nil {
		return err
	}
	now := time.Now()
	facts := wording.Facts{At: now, Tags: map[string]string{"to": to}}
	l := notify.Letter{ID: secret.NewID(), To: to, At: now, Mail: texts.Mail(in, "test", facts), Text: texts.SMS(in, "test", facts)}
	other := c.Mail.Host
	if channel == notify.SMS {
		other = c.SMS.Provider
	}
	ctx, done := context.WithTimeout(e.ctx, 30*time.Second)
	defer done()
	err = carriers[channel].Carry(ctx, l)
	if closer, ok := carriers[channel].(io.Closer); ok {
		closer.Close()
	}
	switch {
	case errors.Is(err, auth.ErrRefused):
		return fmt.Errorf("%s refused it for good: %w", other, err)
	case err != nil:
		return fmt.Errorf("%s did not take it; a message of the server would be tried again: %w", other, err)
	}
	_, err = fmt.Fprintf(e.stdout, "%s took the message %s for %s. Whether it arrives is for them to say.\n", other, l.ID, to)
	return err
}

// destination tells the channel from the look of an address or number, and says which setting stands in the way.
func destination(c config.Config, typed string) (channel notify.Channel, to string, err error) {
	if strings.Contains(typed, "@") {
		switch c.Mail.Host {
		case "":
			return "", "", errors.New("mail.host is empty, so there is no mail: set it to your SMTP server, host:port")
		case config.Outbox:
			return "", "", errors.New("mail.host is outbox, so mail goes nowhere: set it to your SMTP server, host:port")
		}
		return notify.Email, typed, user.CheckEmail(typed)
	}
	to, err = user.Phone(typed, c.SMS.Country)
	if err != nil {
		return "", "", fmt.Errorf("%q is no email address and no phone number: write a number with + and country, or set sms.country", typed)
	}
	switch {
	case c.SMS.Provider == "":
		return "", "", errors.New("sms.provider is empty, so there is no SMS: set it to twilio, vonage, sns, webhook or smpp")
	case c.SMS.Provider == config.Outbox:
		return "", "", errors.New("sms.provider is outbox, so SMS go nowhere: set it to twilio, vonage, sns, webhook or smpp")
	case !slices.Contains(c.SMS.Countries, user.Country(to)):
		return "", "", fmt.Errorf("the number is of %s, which sms.countries lacks: add it there", user.Country(to))
	}
	return notify.SMS, to, nil
}
