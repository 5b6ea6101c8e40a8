package texts

import (
	"context"
	"strings"

	"sallyport/internal/auth"
	"sallyport/internal/notify/sms"
	"sallyport/internal/notify/wording"
	"sallyport/internal/web"
)

type (
	Named struct {
		Language string `path:"language" max:"35"`
		Name     string `path:"name" max:"64"`
	}
	// Typed are the texts of a message, by the names they have in the files.
	Typed struct {
		Language string `path:"language" max:"35"`
		Name     string `path:"name" max:"64"`
		Subject  string `json:"subject" max:"300"`
		Preview  string `json:"preview" max:"300" doc:"what a mailbox shows beside the subject"`
		Title    string `json:"title" max:"300"`
		Lead     string `json:"lead" max:"2000"`
		Act      string `json:"act,omitempty" max:"100" doc:"the button; empty: there is none"`
		After    string `json:"after,omitempty" max:"1000" doc:"what the button does"`
		Note     string `json:"note,omitempty" max:"2000" doc:"small print"`
		SMS      string `json:"sms,omitempty" max:"500" doc:"empty: the subject; codes need one"`
		Reveal   bool   `json:"reveal,omitempty" doc:"save it although it gives away where codes are sent"`
	}
	One struct {
		Message
		Language string  `json:"language"`
		Phone    bool    `json:"phone" doc:"it goes by SMS too"`
		Texts    []Text  `json:"texts"`
		Tags     []Tag   `json:"tags"`
		Looks    Preview `json:"preview"`
		Unsaved  bool    `json:"unsaved" doc:"the texts are those that were sent to be looked at"`
	}
	Text struct {
		Key      string `json:"key"`
		Words    string `json:"words"`
		Original string `json:"original"`
		Needed   bool   `json:"needed" doc:"it may not be empty"`
		Label    string `json:"-"`
		Hint     string `json:"-"`
		Long     bool   `json:"-"`
	}
	Tag struct {
		Name  string `json:"name"`
		Means string `json:"means"`
	}
	// Preview is a message with facts as they might be.
	Preview struct {
		Subject  string `json:"subject"`
		Text     string `json:"text"`
		HTML     string `json:"html"`
		SMS      string `json:"sms"`
		Segments int    `json:"segments" doc:"SMS that it takes"`
	}
)

// fields are the texts of a message in the order in which people read them, the one of an SMS last.
var fields = []Text{
	{Key: "subject", Label: "Subject"},
	{Key: "preview", Label: "Preview", Hint: "What a mailbox shows beside the subject."},
	{Key: "title", Label: "Title"},
	{Key: "lead", Label: "Text", Long: true},
	{Key: "act", Label: "Button", Hint: "Empty: there is none."},
	{Key: "after", Label: "Under the button", Hint: "What it does.", Long: true},
	{Key: "note", Label: "Small print", Long: true},
	{Key: "sms", Label: "SMS", Long: true},
}

func called(key string) string {
	for _, f := range fields {
		if f.Key == key {
			return f.Label
		}
	}
	return key
}

// placed says whether a message has a place for a text.
func placed(key string, d wording.Description) bool {
	switch key {
	case "sms":
		return d.Phone
	case "act", "after":
		return d.Link
	}
	return true
}

// lines are the texts by key. What has no place in the message must be empty.
func (in Typed) lines() (map[string]string, error) {
	lines := map[string]string{"subject": in.Subject, "preview": in.Preview, "title": in.Title, "lead": in.Lead,
		"act": in.Act, "after": in.After, "note": in.Note, "sms": in.SMS}
	d, ok := wording.Describe(in.Name)
	if !ok {
		return nil, auth.ErrNotFound
	}
	for _, f := range fields {
		if placed(f.Key, d) {
			continue
		}
		if lines[f.Key] != "" {
			return nil, auth.InvalidError{Field: f.Key, Why: "has no place in this message"}
		}
		delete(lines, f.Key)
	}
	return lines, nil
}

func (t *Templates) show(ctx context.Context, in Named) (One, error) {
	all, err := t.read(ctx)
	if err != nil {
		return One{}, err
	}
	return t.one(ctx, all, in.Language, in.Name)
}

// preview shows what would be saved.
func (t *Templates) preview(ctx context.Context, in Typed) (One, error) {
	laid, _, err := t.lay(in)
	if err != nil {
		return One{}, err
	}
	out, err := t.one(ctx, current{texts: laid}, in.Language, in.Name)
	out.Unsaved = true
	return out, err
}

// lay is the original texts with the lines that were typed over them, if they can stand.
func (t *Templates) lay(in Typed) (laid *wording.Texts, lines map[string]string, err error) {
	original := t.Outbox.Edits.Original()
	if lines, err = in.lines(); err == nil {
		err = original.Check(in.Language, in.Name, lines)
	}
	if err != nil {
		return nil, nil, err
	}
	var edits []wording.Edit
	for key, words := range lines {
		edits = append(edits, wording.Edit{Language: in.Language, Message: in.Name, Key: key, Words: words})
	}
	laid, _ = original.With(edits)
	return laid, lines, nil
}

func (t *Templates) one(ctx context.Context, all current, language, name string) (One, error) {
	original := t.Outbox.Edits.Original()
	d, ok := wording.Describe(name)
	if !ok || !original.Speaks(language) {
		return One{}, auth.ErrNotFound
	}
	changed, err := t.Outbox.Edits.Changed(ctx, language)
	if err != nil {
		return One{}, err
	}
	out := One{Message: all.message(language, d, changed), Language: language, Phone: d.Phone, Looks: looks(all.texts, language, d)}
	now, before := all.texts.Lines(language, name), original.Lines(language, name)
	for _, f := range fields {
		if !placed(f.Key, d) {
			continue
		}
		f.Words, f.Original, f.Needed = now[f.Key], before[f.Key], d.Needs(f.Key)
		out.Texts = append(out.Texts, f)
	}
	for _, tag := range d.Tags {
		out.Tags = append(out.Tags, Tag(tag))
	}
	return out, nil
}

// Lines are those of the SMS.
func (p Preview) Lines() []string { return strings.Split(p.SMS, "\n") }

// looks is a message with facts as they might be.
func looks(texts *wording.Texts, language string, d wording.Description) Preview {
	facts := wording.Sample(d.Name)
	mail := texts.Mail(language, d.Name, facts)
	p := Preview{Subject: mail.Subject, Text: mail.Text, HTML: mail.HTML}
	if d.Phone {
		facts.Tags["code"] = "012345" // as codes by SMS look
		p.SMS = texts.SMS(language, d.Name, facts)
		p.Segments = sms.Segments(p.SMS)
	}
	return p
}

func (t *Templates) save(ctx context.Context, in Typed) (web.None, error) {
	laid, lines, err := t.lay(in)
	if err != nil {
		return web.None{}, err
	}
	flagged := laid.Reveals(in.Language, in.Name)
	if len(flagged) > 0 && !in.Reveal {
		return web.None{}, auth.InvalidError{Field: flagged[0].Key, Why: flagged[0].Why + ". Take the tag out, or tick below that it is meant so"}
	}
	detail := map[string]string{"name": in.Name, "language": in.Language}
	if len(flagged) > 0 {
		detail["reveals"] = flagged[0].Key
	}
	return web.None{}, t.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := t.may(ctx, tx); err != nil {
			return err
		}
		if err := t.Outbox.Edits.Save(ctx, tx, in.Language, in.Name, lines); err != nil {
			return err
		}
		return t.Trail.Record(ctx, tx, auth.Event{Kind: auth.TextChanged, Detail: detail})
	})
}

func (t *Templates) restore(ctx context.Context, in Named) (web.None, error) {
	if _, ok := wording.Describe(in.Name); !ok || !t.Outbox.Edits.Original().Speaks(in.Language) {
		return web.None{}, auth.ErrNotFound
	}
	return web.None{}, t.DB.Tx(ctx, func(tx auth.Tx) error {
		if err := t.may(ctx, tx); err != nil {
			return err
		}
		changed, err := t.Outbox.Edits.Restore(ctx, tx, in.Language, in.Name)
		if err != nil || !changed {
			return err
		}
		return t.Trail.Record(ctx, tx, auth.Event{Kind: auth.TextChanged,
			Detail: map[string]string{"name": in.Name, "language": in.Language, "back": "original"}})
	})
}
