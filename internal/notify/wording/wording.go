// Package wording turns a message into what people read: a mail, as text and as HTML, or an SMS, in their language.
//
// The texts stand in one file per language, which a deployment may overlay (A6). It promises: a value is plain text
// wherever it lands, never markup, a line break or another tag (ux.md 19, 20); the code stands alone on its line, and an
// SMS binds it to the site (C7); a message that can reach a stranger does not say where codes are sent; and once the
// texts are loaded nothing about them can fail. It refuses what it does not know, in any file.
package wording

import (
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Site is who sends the messages.
type Site struct {
	Name    string
	Host    string         // of the site, with its port if that is unusual
	Support string         // where people get help: https://, mailto:, or plain words
	Accent  string         // #rrggbb, or empty
	Zone    *time.Location // of the times in messages; nil: UTC
}

// Texts is what there is to say, in every language.
type Texts struct {
	site      Site
	languages map[string]language
	folder    map[string]map[string]bool // messages by language of which the deployment's folder has something
}

// Facts is what a message is about. Link is the page of its button, https:// or http://; a message without one has no
// button. A row of which the fact is empty is left out.
type Facts struct {
	// Tags are agent.name, agent.email, agent.workphone (of the recipient), to, code, browser, address, name (of a
	// factor), old, new and other.name. The rest follows from the site and the fields below.
	Tags  map[string]string
	At    time.Time // when it happened; of a code, when it was made
	Until time.Time // end of a code or of a state
	Kind  string    // of a factor: "passkey", "totp", ...
	Link  string
}

// A Mail is what it says; whom it goes to is not decided here. Subject is one line, Text has lines of "\n".
type Mail struct{ Subject, Text, HTML string }

// Languages are those there are texts in, by BCP 47 tag in lower case.
func (t *Texts) Languages() []string { return slices.Sorted(maps.Keys(t.languages)) }

// Names are the messages there are.
func (t *Texts) Names() []string {
	var names []string
	for _, m := range messages {
		names = append(names, m.name)
	}
	return names
}

// Has is true if people who read this language, or a variant of it, get messages in it.
func (t *Texts) Has(language string) bool { return t.match(language) != "" }

// match takes de for de-AT.
func (t *Texts) match(tag string) string {
	tag = strings.ToLower(strings.ReplaceAll(tag, "_", "-"))
	for tag != "" && t.languages[tag] == nil {
		tag = tag[:max(0, strings.LastIndexByte(tag, '-'))]
	}
	return tag
}

// A said message has its language and its values.
type said struct {
	message
	tag    string
	texts  language
	values map[string]string
}

func (s said) text(key string) string { return s.texts[s.name][key].fill(s.values) }
func (s said) word(key string) string { return s.texts["words"][key].fill(s.values) }

// say finds the words. A message that the language lacks is in English as a whole. A name that Names does not have is
// a mistake in a program.
func (t *Texts) say(language, name string, f Facts) said {
	m, ok := find(name)
	if !ok {
		panic("wording: there is no message " + strconv.Quote(name))
	}
	s := said{message: m, tag: t.match(language)}
	if t.languages[s.tag][name] == nil {
		s.tag = "en"
	}
	s.texts = t.languages[s.tag]
	until := "date"
	if s.ends() {
		until = "clock"
	}
	s.values = t.values(s.texts, f, until)
	return s
}

// values are the facts as the language puts them; until is how it puts the end: as a date, or as a time of the clock.
func (t *Texts) values(l language, f Facts, until string) map[string]string {
	v := maps.Clone(f.Tags)
	if v == nil {
		v = map[string]string{}
	}
	v["site.name"], v["site.host"], v["site.support"] = t.site.Name, t.site.Host, strings.TrimPrefix(t.site.Support, "mailto:")
	v["link"], v["time"] = f.Link, t.date(l, "date", f.At)
	v["until"] = t.date(l, until, f.Until)
	v["minutes"] = strconv.Itoa(int(math.Round(f.Until.Sub(f.At).Minutes())))
	v["kind"] = f.Kind
	if word := l["kinds"][f.Kind]; word != nil {
		v["kind"] = word.fill(nil)
	}
	if v["name"] == "" { // a sheet of backup codes has none
		v["name"] = capital(v["kind"])
	}
	for _, tag := range []string{"old", "new"} {
		if v[tag] == "" { // the first phone number replaces none
			v[tag] = "–"
		}
	}
	for tag := range v {
		v[tag] = plain(v[tag])
	}
	return v
}

func (t *Texts) local(at time.Time) time.Time {
	if t.site.Zone == nil {
		return at.UTC()
	}
	return at.In(t.site.Zone)
}

func (t *Texts) date(l language, key string, at time.Time) string {
	at = t.local(at)
	zone := at.Format("MST")
	if strings.ContainsAny(zone[:1], "+-") { // a zone without a name, as most of South America
		zone = "UTC" + zone
	}
	return l["dates"][key].fill(map[string]string{
		"day": strconv.Itoa(at.Day()), "month": strings.Fields(l["dates"]["months"].fill(nil))[at.Month()-1], "year": strconv.Itoa(at.Year()),
		"hour": at.Format("15"), "minute": at.Format("04"), "zone": zone,
	})
}

// Mail is a message as a mail.
func (t *Texts) Mail(language, message string, f Facts) Mail {
	s := t.say(language, message, f)
	l := newLetter(s, t.site.Accent)
	return Mail{l.Subject, l.text(), l.html()}
}

// SMS is a message as text of a phone; one that has no text for that is its subject. A code is bound to the site by the
// last line, which browsers read (origin-bound one-time codes, https://wicg.github.io/sms-one-time-codes).
func (t *Texts) SMS(language, message string, f Facts) string {
	s := t.say(language, message, f)
	words := s.text("sms")
	if words == "" {
		words = s.text("subject")
	}
	if !s.isCode() {
		return words
	}
	host := t.site.Host
	if bare, _, err := net.SplitHostPort(host); err == nil {
		host = bare
	}
	return fmt.Sprintf("%s\n\n@%s #%s", words, host, strings.Join(strings.Fields(s.values["code"]), ""))
}
