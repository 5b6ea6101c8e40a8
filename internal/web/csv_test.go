package web

import (
	"encoding/csv"
	"strings"
	"testing"
)

// A8
func TestNoSpreadsheetTakesACellForAFormula(t *testing.T) {
	for cell, want := range map[string]string{
		"":                            "",
		"Maya Lindqvist":              "Maya Lindqvist",
		"maya+list@example.com":       "maya+list@example.com",
		"Jean-Luc":                    "Jean-Luc",
		"a = b":                       "a = b",
		"'quoted'":                    "'quoted'",
		"=1+1":                        "'=1+1",
		"=cmd|' /C calc'!A0":          "'=cmd|' /C calc'!A0",
		"+46 8 555 012 34":            "'+46 8 555 012 34",
		"-2+3":                        "'-2+3",
		"@SUM(A1)":                    "'@SUM(A1)",
		"\t=1":                        "'\t'=1",
		"\r=1":                        "'\r'=1",
		"\n=1":                        "'\n'=1",
		"\tx":                         "'\tx",
		"   =1":                       "   '=1",
		"\u00a0=1":                    "\u00a0'=1",
		"\u200b=1":                    "\u200b'=1",
		"\ufeff=1":                    "\ufeff'=1",
		"\u202e=1":                    "\u202e'=1",
		"\x0b\x00=1":                  "\x0b\x00'=1",
		"\u3000＝1":                    "\u3000'＝1",
		"＝1":                          "'＝1",
		"＋1":                          "'＋1",
		"－1":                          "'－1",
		"＠SUM(A1)":                    "'＠SUM(A1)",
		"﹦1":                          "'﹦1",
		"−1":                          "'−1",
		"Bob;=1+1":                    "Bob;'=1+1",
		"Bob; @SUM(A1);-1":            "Bob; '@SUM(A1);'-1",
		"two\n=lines":                 "two\n'=lines",
		"two\r\n\t +lines":            "two\r\n\t '+lines",
		`=HYPERLINK("https://x","a")`: `'=HYPERLINK("https://x","a")`,
		`",=1`:                        `",=1`,
	} {
		if got := harmless(cell); got != want {
			t.Errorf("%q becomes %q, want %q", cell, got, want)
		}
	}
}

func TestATableIsReadAsItWasWritten(t *testing.T) {
	var b strings.Builder
	table := CSV(&b)
	rows := [][]string{{"Name", "Note"}, {`a "quoted", name`, "two\nlines"}, {"", "ü"}}
	for _, r := range rows {
		if err := table.Row(r...); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), "Name,Note\r\n") {
		t.Errorf("%q", b.String())
	}
	got, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil || len(got) != len(rows) || got[1][0] != rows[1][0] || got[1][1] != rows[1][1] || got[2][1] != "ü" {
		t.Error(got, err)
	}
}

func FuzzNoCellIsAFormula(f *testing.F) {
	f.Add("=1", "  ;=1")
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsRune(a+b, '\ufffd') {
			return
		}
		for _, cell := range []string{harmless(a), harmless(b)} {
			for _, part := range strings.FieldsFunc(cell, func(r rune) bool { return strings.ContainsRune(";\t\r\n", r) }) {
				if part = strings.TrimSpace(part); part != "" && strings.ContainsRune(formula, []rune(part)[0]) {
					t.Errorf("%q", cell)
				}
			}
		}
	})
}
