package wording

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"sallyport/internal/auth"
)

// An Edit is one text as somebody typed it, with its tags, in place of the one there is. Without words it takes that away.
type Edit struct{ Language, Message, Key, Words string }

// A Fault is what is wrong with a text, or what it gives away. Why ends a sentence that starts with the text.
type Fault struct{ Language, Message, Key, Why string }

// A Description is a message for whoever edits it.
type Description struct {
	Name  string
	Group string // Codes, Links, Notices or Other
	When  string // it is sent, a sentence
	Phone bool   // it goes by SMS too
	Link  bool   // it leads to a page, so that it may have a button
	Tags  []Tag
	need  []string // keys of texts that may not be empty
}

// A Tag is what a text may have in braces.
type Tag struct{ Name, Means string }

// meanings of all tags, in the order in which people look for them.
var meanings = []Tag{
	{"code", "the code"},
	{"minutes", "how many minutes it works"},
	{"until", "when it ends"},
	{"link", "the address behind the button"},
	{"kind", "which way to sign in: passkey, codes by SMS, ..."},
	{"name", "what its person calls it"},
	{"old", "what it was before; of an address or number, masked"},
	{"new", "what it is now; of an address or number, masked"},
	{"left", "how many backup codes are left"},
	{"workgroup", "who asks for a second step: their workgroup, or this site"},
	{"other.name", "name of the person it is about"},
	{"agent.name", "name of the person it is sent to"},
	{"agent.email", "their email address, whole"},
	{"agent.workphone", "their work phone, whole"},
	{"to", "where this message is sent"},
	{"time", "when it happened"},
	{"browser", "browser and system it came from"},
	{"address", "network address it came from"},
	{"site.name", "name of this site"},
	{"site.host", "its host name"},
	{"site.support", "where people get help"},
}

func (m message) group() string {
	switch {
	case m.isCode():
		return "Codes"
	case strings.HasSuffix(m.name, "-link"):
		return "Links"
	case m.isNotice():
		return "Notices"
	}
	return "Other"
}

// Describe tells of a message; false: there is none of that name.
func Describe(name string) (Description, bool) {
	m, ok := find(name)
	if !ok {
		return Description{}, false
	}
	d := Description{Name: m.name, Group: m.group(), When: m.when, Phone: m.phone, Link: Sample(name).Link != "", need: m.shape().need}
	for _, t := range meanings {
		if slices.Contains(m.shape().tags, t.Name) && (d.Link || t.Name != "link") {
			d.Tags = append(d.Tags, t)
		}
	}
	return d, true
}

// Needs says whether a text may not be empty.
func (d Description) Needs(key string) bool { return slices.Contains(d.need, key) }

func find(name string) (message, bool) {
	at := slices.IndexFunc(messages, func(m message) bool { return m.name == name })
	if at < 0 {
		return message{}, false
	}
	return messages[at], true
}

// Lines are the texts of a message by key, as they were written; none if the language lacks it.
func (t *Texts) Lines(language, name string) map[string]string {
	lines := map[string]string{}
	for key, one := range t.languages[language][name] {
		lines[key] = one.String()
	}
	return lines
}

// Speaks is true of a language that there are texts in, by its own tag.
func (t *Texts) Speaks(language string) bool { return t.languages[language] != nil }

// FromFolder is true if the deployment's folder has something of a message.
func (t *Texts) FromFolder(language, name string) bool { return t.folder[language][name] }

// With is the texts with edits over them. A message of which one edit cannot be used stays as it is as a whole, so that
// what is returned cannot fail any more than t.
func (t *Texts) With(edits []Edit) (*Texts, []Fault) {
	laid := &Texts{site: t.site, languages: maps.Clone(t.languages), folder: t.folder}
	typed := map[[2]string]map[string]string{}
	for _, e := range edits {
		of := [2]string{e.Language, e.Message}
		if typed[of] == nil {
			typed[of] = map[string]string{}
		}
		typed[of][e.Key] = e.Words
	}
	var faults []Fault
	for of, lines := range typed {
		texts, err := t.lay(of[0], of[1], lines)
		if err != nil {
			f := Fault{Language: of[0], Message: of[1], Why: err.Error()}
			if wrong := (auth.InvalidError{}); errors.As(err, &wrong) {
				f.Key, f.Why = wrong.Field, wrong.Why
			}
			faults = append(faults, f)
			continue
		}
		laid.languages[of[0]] = maps.Clone(laid.languages[of[0]])
		laid.languages[of[0]][of[1]] = texts
	}
	slices.SortFunc(faults, func(a, b Fault) int {
		return strings.Compare(a.Language+" "+a.Message, b.Language+" "+b.Message)
	})
	return laid, faults
}

// Check says whether lines may stand in place of those a message has: nil, an auth.InvalidError that names the key, or
// auth.ErrNotFound if there is no such language or message.
func (t *Texts) Check(language, name string, lines map[string]string) error {
	_, err := t.lay(language, name, lines)
	return err
}

// mostWords is how long a text may be. The longest of ours has a sixth of it.
const mostWords = 2000

// lay is a message with other lines in place of its own, checked as a file is.
func (t *Texts) lay(tag, name string, lines map[string]string) (map[string]text, error) {
	m, known := find(name)
	if !known || t.languages[tag] == nil {
		return nil, auth.ErrNotFound
	}
	laid := maps.Clone(t.languages[tag][name])
	if laid == nil {
		laid = map[string]text{}
	}
	shape := m.shape()
	for _, key := range slices.Sorted(maps.Keys(lines)) {
		if utf8.RuneCountInString(lines[key]) > mostWords {
			return nil, auth.InvalidError{Field: key, Why: "is too long"}
		}
		one, err := shape.read(key, lines[key])
		if err != nil {
			return nil, auth.InvalidError{Field: key, Why: err.Error()}
		}
		if below, there := laid[key]; !there || below.String() != lines[key] { // what is as it was is nobody's edit
			if err := one.carries(t.site.Host); err != nil {
				return nil, auth.InvalidError{Field: key, Why: err.Error()}
			}
		}
		laid[key] = one
	}
	for _, key := range shape.need {
		if len(laid[key]) == 0 {
			return nil, auth.InvalidError{Field: key, Why: "is missing"}
		}
	}
	if m.isCode() && !laid["sms"].has("code") {
		return nil, auth.InvalidError{Field: "sms", Why: "lacks {code}"}
	}
	l := maps.Clone(t.languages[tag])
	l[name] = laid
	if (&Texts{site: t.site, languages: map[string]language{tag: l}}).Mail(tag, name, Sample(name)).Subject == "" {
		return nil, auth.InvalidError{Field: "subject", Why: "is empty once its tags are filled"}
	}
	return laid, nil
}

// Reveals lists the texts of a message that say by one channel where codes are sent by the other: whoever reads the
// mailbox would know which phone to go for next (A6). What a stranger may read is no matter of this: such a text is
// refused.
func (t *Texts) Reveals(language, name string) (some []Fault) {
	m, _ := find(name)
	texts := t.languages[language][name]
	add := func(key, why string) { some = append(some, Fault{language, name, key, why}) }
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		if key != "sms" && texts[key].has("agent.workphone") {
			add(key, "says the phone number in a mail: whoever reads the mailbox learns where codes by SMS are sent")
		}
		said := key == "sms" || key == "subject" && len(texts["sms"]) == 0 // what is said by SMS
		if m.phone && said && texts[key].has("agent.email") {
			add(key, "says the email address in an SMS: whoever sees the phone learns where codes by email are sent")
		}
	}
	return some
}
