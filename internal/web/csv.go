package web

import (
	"encoding/csv"
	"io"
	"strings"
	"unicode"
)

// CSV is a table that people open in a spreadsheet, as RFC 4180 has it. Spreadsheets run what looks like a formula to
// them, so a cell that could gets an apostrophe before it: https://owasp.org/www-community/attacks/CSV_Injection.
func CSV(to io.Writer) *Table {
	w := csv.NewWriter(to)
	w.UseCRLF = true
	return &Table{w}
}

// A Table is written row by row.
type Table struct{ to *csv.Writer }

// Row writes the cells of one row.
func (t *Table) Row(cells ...string) error {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = harmless(c)
	}
	return t.to.Write(row)
}

// Flush hands on what is left, at the end.
func (t *Table) Flush() error {
	t.to.Flush()
	return t.to.Error()
}

// formula is what one begins with: full-width and small forms too, which some programs take for the same.
const formula = "=+-@＝＋－＠﹦﹢﹣﹫−"

// harmless puts apostrophes where a formula could begin: at the start, and after what a spreadsheet of another language
// takes for the end of a cell. Blanks and what nobody sees do not hide one.
func harmless(cell string) string {
	var b strings.Builder
	if cell != "" && strings.IndexByte("\t\r\n", cell[0]) >= 0 {
		b.WriteByte('\'')
	}
	begins := true
	for _, r := range cell {
		if begins && strings.ContainsRune(formula, r) {
			b.WriteByte('\'')
		}
		begins = strings.ContainsRune(";\t\r\n", r) || begins && (unicode.IsSpace(r) || !unicode.IsPrint(r))
		b.WriteRune(r)
	}
	return b.String()
}
