package web

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/auth"
)

// initials stand in a round for a person: of the first name and the last.
func initials(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) && r != '-' && r != '\'' && r != '’'
	})
	var first []rune
	for _, w := range words {
		if r, _ := utf8.DecodeRuneInString(strings.TrimLeft(w, "-'’")); r != utf8.RuneError {
			first = append(first, unicode.ToUpper(r))
		}
	}
	switch len(first) {
	case 0:
		return "?"
	case 1:
		return string(first)
	}
	return string([]rune{first[0], first[len(first)-1]})
}

// roleName is what people call a role: "Workgroup admin".
func roleName(r auth.Role) string {
	if r == "" {
		return ""
	}
	return strings.ToUpper(string(r[:1])) + string(r[1:])
}

// count is a number as people read it: 1,284.
func count(n int) string {
	digits := strconv.Itoa(n)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// share is a part of a whole: "92.5 %", and a dash where there is no whole. Only all of it is 100 %, and only none is 0.
func share(part, whole int) string {
	if whole == 0 {
		return "–"
	}
	tenths := (part*2000 + whole) / (whole * 2)
	switch {
	case tenths == 0 && part > 0:
		return "< 0.1 %"
	case tenths == 1000 && part < whole:
		return "> 99.9 %"
	case tenths%10 == 0:
		return fmt.Sprintf("%d %%", tenths/10)
	}
	return fmt.Sprintf("%d.%d %%", tenths/10, tenths%10)
}

// moment is a time to the second that stays in UTC: a record is read by people in several places.
func moment(t time.Time) template.HTML {
	t = t.UTC()
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) + `" data-utc>` + t.Format("2 Jan 2006, 15:04:05") + `</time>`)
}

// sign is an icon that says something alone. The name is a constant of ours.
func sign(name, title string) template.HTML {
	said := template.HTMLEscapeString(title)
	return template.HTML(`<svg class="icon" role="img" aria-label="` + said + `"><title>` + said + `</title><use href="` + ours["icons.svg"].path + `#i-` + template.HTMLEscapeString(name) + `"/></svg>`)
}
