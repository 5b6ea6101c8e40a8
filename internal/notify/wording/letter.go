package wording

import (
	_ "embed"
	"html/template"
	"slices"
	"strings"
)

//go:embed mail.html
var frameFile string

var frame = template.Must(template.New("mail").Parse(frameFile))

// A letter is a mail before it is text or HTML. What is empty is left out.
type letter struct {
	Language, Site, Accent  string
	Subject, Preview, Title string
	Lead                    []span
	Code                    string
	Rows                    []row
	Act, Link               string
	Small                   []string
	Footer                  string

	lead string
	row  text // how the text puts a row
}

type row struct{ Label, Value string }

func newLetter(s said, accent string) letter {
	l := letter{
		Language: s.tag, Site: s.values["site.name"], Accent: accent,
		Subject: s.text("subject"), Preview: s.text("preview"), Title: s.text("title"),
		Lead: s.texts[s.name]["lead"].spans(s.values), lead: s.text("lead"),
		Footer: s.word("footer"), row: s.texts["lines"]["row"],
	}
	if s.isCode() {
		l.Code = s.values["code"]
	}
	if s.isNotice() {
		l.Footer += " " + s.word("always")
	}
	for _, r := range []row{
		{s.word("account"), s.values[s.account]},
		{s.word("browser"), s.values["browser"]},
		{s.word("address"), s.values["address"]},
		{s.word("time"), s.values["time"]},
	} {
		if r.Value != "" {
			l.Rows = append(l.Rows, r)
		}
	}
	small := []string{s.text("note")}
	if act := s.text("act"); act != "" && s.values["link"] != "" {
		l.Act, l.Link = act, s.values["link"]
		small = []string{s.text("after"), s.text("note")}
	}
	l.Small = slices.DeleteFunc(small, func(words string) bool { return words == "" })
	return l
}

func (l letter) html() string {
	var b strings.Builder
	if err := frame.Execute(&b, l); err != nil {
		panic(err) // Load has seen it work, and nothing in it depends on a value
	}
	return b.String()
}

// text has a paragraph for each part of the HTML.
func (l letter) text() string {
	paragraphs := []string{wrap(l.Title), wrap(l.lead), l.Code}
	var rows []string
	for _, r := range l.Rows {
		rows = append(rows, l.row.fill(map[string]string{"label": r.Label, "value": r.Value}))
	}
	paragraphs = append(paragraphs, strings.Join(rows, "\n"))
	if l.Act != "" {
		paragraphs = append(paragraphs, l.Act+"\n"+l.Link)
	}
	for _, s := range l.Small {
		paragraphs = append(paragraphs, wrap(s))
	}
	var b strings.Builder
	for _, p := range paragraphs {
		if p != "" {
			b.WriteString(p + "\n\n")
		}
	}
	return b.String() + wrap(l.Footer) + "\n"
}
