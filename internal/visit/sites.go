package visit

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// Sites are where a browser may be sent on.
type Sites struct {
	Home   string   // a path here, where one goes without a wish
	Others []string // registered origins beside this site: "https://app.example.com"
}

const maxAddress = 2048

// Safe lets an address through if it is a path here or a registered site (S7), and is Home otherwise. Browsers read
// "//host" and "/\host" as another site and drop tabs and newlines, so such an address is none of ours.
func (s Sites) Safe(to string) string {
	u, err := url.Parse(to)
	if err == nil && len(u.String()) > maxAddress { // escaped it may be longer than what pages take
		return s.Home
	}
	strange := func(r rune) bool { return r == '\\' || unicode.IsControl(r) || unicode.IsSpace(r) }
	switch {
	case err != nil || u.User != nil || u.Opaque != "" || strings.ContainsFunc(to, strange):
		return s.Home
	case u.Scheme == "" && u.Host == "" && strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") && !strings.HasPrefix(u.Path, "//"):
		return u.String()
	case u.Host != "" && slices.Contains(s.Others, u.Scheme+"://"+u.Host):
		return u.String()
	}
	return s.Home
}
