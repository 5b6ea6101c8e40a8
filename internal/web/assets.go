package web

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mileusna/useragent"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

//go:embed *.html *.css *.js *.svg
var files embed.FS

// base is what every page and part is parsed into: layouts, small pieces and functions.
var base = template.Must(template.New("").Funcs(template.FuncMap{
	"asset": func(name string) string { return ours[name].path },
	"brand": func(b Brand) string { return hashed("brand.css", accent(b)) },
	"icon": func(name string) template.HTML { // name is a constant of ours
		return template.HTML(`<svg class="icon" aria-hidden="true"><use href="` + ours["icons.svg"].path + `#i-` + name + `"/></svg>`)
	},
	"day":      func(t time.Time) template.HTML { return stamp(t, "2 Jan 2006") },
	"time":     func(t time.Time) template.HTML { return stamp(t, "2 Jan 2006, 15:04 MST") },
	"clock":    func(t time.Time) template.HTML { return stamp(t, "15:04 MST") },
	"sending":  func(v View, s Sent, action, watch string) sending { return sending{v, s, action, watch} },
	"language": languageName,
	"browser":  BrowserName,
	"device":   deviceIcon,
	"link":     func(s string) bool { return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "mailto:") },
	"moment":   moment,
	"sign":     sign,
	"initials": initials,
	"role":     roleName,
	"count":    count,
	"share":    share,
	"choose":   choose,
	"field":    func(name, wrong, hint string) inputState { return inputState{name, wrong, hint} },
}).ParseFS(files, "layout.html", "desk.html"))

// BrowserName is what a person calls it: "Chrome on macOS".
func BrowserName(agent string) string {
	ua := useragent.Parse(agent)
	switch {
	case ua.Name == "":
		return "Unknown browser"
	case ua.OS == "":
		return ua.Name
	}
	return ua.Name + " on " + ua.OS
}

// languageName is what a language is called by who speaks it.
func languageName(tag string) string { return display.Self.Name(language.Make(tag)) }

func deviceIcon(agent string) string {
	if ua := useragent.Parse(agent); ua.Mobile || ua.Tablet {
		return "mobile"
	}
	return "laptop"
}

// stamp shows a time in UTC; where there is JavaScript, page.js turns it into the reader's own zone.
func stamp(t time.Time, layout string) template.HTML {
	t = t.UTC()
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) + `">` + t.Format(layout) + `</time>`)
}

// inputState is what the pieces around an input need: its name, what is wrong with it, and a hint.
type inputState struct{ Name, Wrong, Hint string }

// An asset is a file browsers may keep for good.
type asset struct {
	path, mime string
	body       []byte
}

var ours = func() map[string]asset {
	all := map[string]asset{}
	for name, mime := range map[string]string{
		"style.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8",
		"icons.svg": "image/svg+xml", "logo.svg": "image/svg+xml",
	} {
		body := mustRead(name)
		all[name] = asset{hashed(name, body), mime, body}
	}
	return all
}()

// assetsOf is ours and the deployment's.
func assetsOf(b Brand) []asset {
	all := slices.Collect(maps.Values(ours))
	if b.Accent != "" {
		all = append(all, asset{hashed("brand.css", accent(b)), "text/css; charset=utf-8", accent(b)})
	}
	return all
}

// hashed is the address of an asset. It changes with the content, so browsers may keep it for good.
func hashed(name string, body []byte) string {
	sum := sha256.Sum256(body)
	stem, ext, _ := strings.Cut(name, ".")
	return "/assets/" + stem + "." + base64.RawURLEncoding.EncodeToString(sum[:6]) + "." + ext
}

// forGood is said with what is hashed.
const forGood = "public, max-age=31536000, immutable"

// A Script is a feature's own JavaScript. It comes after page.js and may call what stands there.
type Script struct {
	Name string // "passkey.js"
	Body []byte
}

func (s Script) asset() asset {
	return asset{hashed(s.Name, s.Body), "text/javascript; charset=utf-8", s.Body}
}

// accent is the one rule a deployment adds to our sheet.
func accent(b Brand) []byte { return []byte(":root{--accent:" + b.Accent + "}\n") }

func mustRead(name string) []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	return b
}
