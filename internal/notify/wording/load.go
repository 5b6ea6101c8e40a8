package wording

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

//go:embed *.toml
var builtIn embed.FS

// A language is a language file: its texts by table and key.
type language map[string]map[string]text

// Load reads our texts and, unless dir is empty, dir/<language>.toml over them key by key; a language of which we have
// none needs all of [words], [kinds], [lines] and [dates]. What it returns has rendered every message once, so that
// nothing is left to fail when one is sent. Errors name file, table and key.
func Load(dir string, s Site) (*Texts, error) {
	t := &Texts{site: s, languages: map[string]language{}, folder: map[string]map[string]bool{}}
	if err := t.read(builtIn, "built-in "); err != nil {
		return nil, err
	}
	clear(t.folder)
	if dir != "" {
		if err := t.read(os.DirFS(dir), dir+string(filepath.Separator)); err != nil {
			return nil, err
		}
	}
	for tag := range t.languages {
		for _, name := range t.Names() {
			if t.Mail(tag, name, Sample(name)).Subject == "" {
				return nil, fmt.Errorf("%s.toml: [%s] subject: is empty once its tags are filled", tag, name)
			}
		}
	}
	return t, nil
}

var languageTag = regexp.MustCompile(`^[a-z]{2,3}(-[a-z0-9]{2,8})*$`)

// read lays all files of a folder over the texts there are; at stands before their names in errors.
func (t *Texts) read(folder fs.FS, at string) error {
	files, err := fs.ReadDir(folder, ".")
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	for _, file := range files {
		tag, isTOML := strings.CutSuffix(file.Name(), ".toml")
		if !isTOML {
			continue
		}
		if !languageTag.MatchString(tag) {
			return fmt.Errorf("%s%s: name the file after a language, in lower case: de.toml, pt-br.toml", at, file.Name())
		}
		b, err := fs.ReadFile(folder, file.Name())
		if err != nil {
			return fmt.Errorf("%s%w", at, err)
		}
		if t.languages[tag] == nil {
			t.languages[tag] = language{}
		}
		named, err := t.languages[tag].add(b)
		if err != nil {
			return fmt.Errorf("%s%s: %w", at, file.Name(), err)
		}
		t.folder[tag] = named
	}
	return nil
}

// add lays a file over the language, and checks the whole. Named are the tables of the file.
func (l language) add(file []byte) (named map[string]bool, err error) {
	var tables map[string]any
	if err := toml.Unmarshal(file, &tables); err != nil {
		var where *toml.DecodeError
		if errors.As(err, &where) {
			row, _ := where.Position()
			return nil, fmt.Errorf("line %d: %w", row, err)
		}
		return nil, err
	}
	named = map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		shape, known := shapes[name]
		lines, isTable := tables[name].(map[string]any)
		if !known || !isTable {
			return nil, fmt.Errorf("[%s]: there is no such message or table", name)
		}
		named[name] = true
		if l[name] == nil {
			l[name] = map[string]text{}
		}
		for _, key := range slices.Sorted(maps.Keys(lines)) {
			one, err := shape.read(key, lines[key])
			if err != nil {
				return nil, fmt.Errorf("[%s] %s: %w", name, key, err)
			}
			l[name][key] = one
		}
	}
	return named, l.check()
}

func (s shape) read(key string, line any) (text, error) {
	if !slices.Contains(s.need, key) && !slices.Contains(s.may, key) {
		return nil, errors.New("there is no such key")
	}
	words, isText := line.(string)
	if !isText {
		return nil, errors.New("must be text in quotes")
	}
	one, err := parse(words, s.tags)
	if u := unknownTag(""); errors.As(err, &u) && slices.Contains(destinations, string(u)) {
		err = fmt.Errorf("%w: somebody else may read it, and would learn where codes are sent", err)
	}
	return one, err
}

// check wants all of a message or nothing of it: people read one language, not two in one mail.
func (l language) check() error {
	for _, name := range []string{"words", "kinds", "lines", "dates"} {
		if l[name] == nil {
			return fmt.Errorf("[%s]: is missing", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l)) {
		for _, key := range shapes[name].need {
			if len(l[name][key]) == 0 {
				return fmt.Errorf("[%s] %s: is missing or empty", name, key)
			}
		}
		if slices.Contains(shapes[name].tags, "code") && !l[name]["sms"].has("code") {
			return fmt.Errorf("[%s] sms: lacks {code}", name)
		}
	}
	if n := len(strings.Fields(l["dates"]["months"].fill(nil))); n != 12 {
		return fmt.Errorf("[dates] months: has %d words, not 12", n)
	}
	return nil
}
