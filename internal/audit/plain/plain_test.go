package plain

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/web"
)

// kinds are all that the vocabulary has, read from its source.
func kinds(t *testing.T) (all []auth.EventKind) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../../auth/event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := v.Type.(*ast.Ident); ok && name.Name == "EventKind" {
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, auth.EventKind(text))
		}
		return true
	})
	return all
}

// A7: whatever can happen has words, and is found under exactly one heading.
func TestEveryKindHasWordsAndAGroup(t *testing.T) {
	all := kinds(t)
	if len(all) < 40 {
		t.Fatal("only", len(all), "kinds were read")
	}
	groups := map[auth.EventKind]int{}
	for _, g := range Groups {
		for _, k := range g.Kinds {
			groups[k]++
		}
	}
	for _, k := range all {
		if titles[k].words == "" || titles[k].icon == "" {
			t.Errorf("%s has no words", k)
		}
		if groups[k] != 1 {
			t.Errorf("%s is in %d groups", k, groups[k])
		}
		if got := Kinds(string(k)); len(got) != 1 || got[0] != k {
			t.Errorf("%s is not found by its name: %v", k, got)
		}
	}
	if len(titles) != len(all) || len(groups) != len(all) {
		t.Error("there are words for what cannot happen")
	}
}

func TestAnEventIsSaidWithWhatItKnows(t *testing.T) {
	signs := map[auth.Kind]web.Sign{"totp": {Title: "Authenticator app"}, "password": {Title: "Password"}}
	for _, c := range []struct {
		e    audit.Entry
		want string
	}{
		{audit.Entry{Kind: auth.SessionStarted, Detail: map[string]string{"factors": "password totp"}}, "Signed in: Password and Authenticator app"},
		{audit.Entry{Kind: auth.SignInFailed, Detail: map[string]string{"factor": "totp"}}, "Sign-in failed: Authenticator app"},
		{audit.Entry{Kind: auth.MFAReset, Detail: map[string]string{"reason": "Phone lost"}}, "MFA reset: “Phone lost”"},
		{audit.Entry{Kind: auth.FactorRenamed, Detail: map[string]string{"name": "b", "old": "a", "factor": "odd"}}, "Factor renamed: odd · “b” · before: “a”"},
		{audit.Entry{Kind: "of.later"}, "of.later: "},
	} {
		s := Words(c.e, signs)
		if got := s.Title + ": " + s.More; got != c.want || strings.Contains(s.Icon, " ") || s.Icon == "" {
			t.Errorf("%q, want %q (icon %q)", got, c.want, s.Icon)
		}
	}
}
