// Package texts is the page of message templates: what mail and SMS say, in each language, and whether they arrive (A6).
//
// It promises: what is saved is what the next message says, on every node; a text that could not be sent is refused with
// the reason at its field; one that tells by one channel where codes go by the other is flagged, wherever it came from,
// and saved only by somebody who says so; no edit names another site or makes a code or link part of an address, and what
// the folder has of that is flagged; and a preview stores nothing. A test goes to whoever asks for it, where their
// own account says, and nowhere else (C8).
package texts

import (
	"context"
	"embed"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/notify"
	"sallyport/internal/notify/wording"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

//go:embed *.html
var files embed.FS

// Templates are the pages.
type Templates struct {
	Parts
}

// Parts are what the pages are made with.
type Parts struct {
	DB        *db.DB
	Outbox    *notify.Outbox
	Users     *user.Store
	Throttle  *throttle.Throttle
	Trail     *audit.Trail
	Countries []string // that SMS are sent to
	Clock     func() time.Time
}

func New(p Parts) *Templates { return &Templates{p} }

const (
	one   = "/admin/messages/{language}/{name}"
	tried = "/admin/messages/test/{id}"
)

// Routes is the page, on both faces.
func (t *Templates) Routes() []web.Route {
	template := web.Desk(files, "one.html").Letter()
	return []web.Route{
		web.On(visit.Administrator, "GET /admin/messages", t.list, web.About{
			Does: "List what mail and SMS say in a language: which texts were edited, and which give away where codes are sent",
			Page: web.Desk(files, "list.html"),
		}),
		web.On(visit.Administrator, "GET "+one, t.show, web.About{
			Does: "Show the texts of a message, what they may speak of, and how it looks",
			Page: template,
		}),
		web.On(visit.Administrator, "POST "+one+"/preview", t.preview, web.About{
			Does: "Show how a message would look, and save nothing",
			Page: template,
			On:   one,
		}),
		web.On(visit.AdministratorFresh, "POST "+one, t.save, web.About{
			Does: "Change the texts of a message, from the next one sent; what is left out is empty",
			Then: one,
		}),
		web.On(visit.AdministratorFresh, "DELETE "+one, t.restore, web.About{
			Does: "Go back to the original texts of a message",
			Then: one,
			On:   one,
		}),
		web.On(visit.AdministratorFresh, "POST /admin/messages/test", t.try, web.About{
			Does: "Send a test message to the address or number of one’s own account",
			Then: tried,
			On:   "/admin/messages",
		}),
		web.On(visit.Administrator, "GET "+tried, t.tried, web.About{
			Does: "Say how far a test message has come",
			Page: web.Desk(files, "tried.html"),
		}),
	}
}

type (
	Choice struct {
		Language string `json:"language,omitempty" max:"35" doc:"empty: the one of the site"`
	}
	List struct {
		Language  string   `json:"language"`
		Languages []string `json:"languages"`
		Groups    []Group  `json:"groups"`
		Flagged   int      `json:"flagged" doc:"messages that give away where codes are sent or lead to another site, or whose edited text cannot be used"`
		Email     bool     `json:"email" doc:"a test mail can be sent"`
		SMS       bool     `json:"sms" doc:"a test SMS can be sent"`
		Mine      Mine     `json:"-"`
	}
	Mine  struct{ Email, Phone string } // where a test goes, masked
	Group struct {
		Name     string    `json:"name"`
		Messages []Message `json:"messages"`
	}
	Message struct {
		Name    string     `json:"name"`
		When    string     `json:"when" doc:"it is sent"`
		Subject string     `json:"subject" doc:"for instance"`
		Edited  *time.Time `json:"edited_at,omitempty"`
		Folder  bool       `json:"folder" doc:"the folder messages.texts has some of its texts"`
		English bool       `json:"english" doc:"the language lacks it, so it is sent in English"`
		Flags   []Flag     `json:"flags" doc:"texts that give away where codes are sent"`
		Leads   []Flag     `json:"leads_away" doc:"texts of the folder that name another site, or put a code or link where programs may open it"`
		Broken  *Flag      `json:"broken,omitempty" doc:"the edited text that cannot be used, so the original is sent"`
	}
	Flag struct {
		Text string `json:"text" doc:"which: subject, lead, sms, ..."`
		Why  string `json:"why" doc:"ends a sentence that starts with the text"`
	}
)

// Called is how the page names the text.
func (f Flag) Called() string { return called(f.Text) }

func (t *Templates) list(ctx context.Context, in Choice) (List, error) {
	all, err := t.read(ctx)
	if err != nil {
		return List{}, err
	}
	if in.Language == "" {
		in.Language = t.Outbox.Language
	}
	if !slices.Contains(all.texts.Languages(), in.Language) {
		return List{}, auth.InvalidError{Field: "language", Why: "must be one of those there are texts in"}
	}
	changed, err := t.Outbox.Edits.Changed(ctx, in.Language)
	if err != nil {
		return List{}, err
	}
	me, err := t.me(ctx, t.DB)
	if err != nil {
		return List{}, err
	}
	out := List{Language: in.Language, Languages: all.texts.Languages(), Email: t.Outbox.Has(notify.Email), SMS: t.Outbox.Has(notify.SMS), Mine: masked(me)}
	for _, name := range []string{"Codes", "Links", "Notices", "Other"} {
		out.Groups = append(out.Groups, Group{Name: name})
	}
	for _, name := range all.texts.Names() {
		d, _ := wording.Describe(name)
		m := all.message(in.Language, d, changed)
		if len(m.Flags)+len(m.Leads) > 0 || m.Broken != nil {
			out.Flagged++
		}
		at := slices.IndexFunc(out.Groups, func(g Group) bool { return g.Name == d.Group })
		out.Groups[at].Messages = append(out.Groups[at].Messages, m)
	}
	return out, nil
}

// current are the texts as the database has them now, with the edits that cannot be used.
type current struct {
	texts  *wording.Texts
	faults []wording.Fault
}

func (t *Templates) read(ctx context.Context) (c current, err error) {
	c.texts, c.faults, err = t.Outbox.Edits.Read(ctx)
	return c, err
}

// message is one as the list tells of it.
func (c current) message(language string, d wording.Description, changed map[string]time.Time) Message {
	m := Message{Name: d.Name, When: d.When, Subject: c.texts.Mail(language, d.Name, wording.Sample(d.Name)).Subject,
		Folder: c.texts.FromFolder(language, d.Name), English: len(c.texts.Lines(language, d.Name)) == 0, Flags: flags(c.texts.Reveals(language, d.Name)), Leads: flags(c.texts.Carries(language, d.Name))}
	if at, ok := changed[d.Name]; ok {
		m.Edited = &at
	}
	for _, f := range c.faults {
		if f.Language == language && f.Message == d.Name {
			m.Broken = &Flag{f.Key, f.Why}
		}
	}
	return m
}

func flags(faults []wording.Fault) []Flag {
	some := []Flag{}
	for _, f := range faults {
		some = append(some, Flag{f.Key, f.Why})
	}
	return some
}

// me is whoever asks, as the database has them.
func (t *Templates) me(ctx context.Context, from auth.Reader) (auth.User, error) {
	return t.Users.Get(ctx, from, visit.Of(ctx).Session.User.ID)
}

// may says whether whoever asks may still change texts. Their row is locked until the transaction ends.
func (t *Templates) may(ctx context.Context, tx auth.Tx) error {
	_, err := t.Users.LockActs(ctx, tx, visit.Of(ctx).Session.User, auth.Admin, t.Clock())
	return err
}
