package audit

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"sallyport/internal/db"
)

// passes is what of a filter no stream covers, in one text for all filters: $2 and $3 are the bounds of ids, $4 the
// kinds with a blank around each, $5 an address, $6 how addresses begin, $7 whether all may be seen, or else only who
// is in the workgroup $8, and what $9 did.
const passes = ` AND id >= $2 AND id < $3
	AND ($4 = '' OR $4 LIKE '% ' || kind || ' %') AND ($5 = '' OR address = $5) AND ($6 = '' OR address LIKE $6 || '%')
	AND ($7 OR actor_id = $9 AND actor_id <> '' OR EXISTS (SELECT 1 FROM users m WHERE m.id = user_id AND m.workgroup_id = $8 AND m.workgroup_id <> ''))
	AND CAST($10 AS BIGINT) <= CAST($11 AS BIGINT)`

func (s *search) args(one stream) []any {
	kinds, begins, scope := "", "", Scope{}
	if s.Kinds != nil {
		var b strings.Builder
		for _, k := range s.Kinds {
			b.WriteString(" " + string(k))
		}
		kinds = b.String() + " "
	}
	if s.Range.IsValid() {
		begins = begin(s.Range)
	}
	if s.Within != nil {
		scope = *s.Within
	}
	return []any{one.value, s.lo, s.hi, kinds, s.Address, begins, s.Within == nil, scope.Workgroup, scope.Viewer, timeOf(s.lo), timeOf(s.hi)}
}

// order is that of the index of a stream.
func (s *search) order(one stream) string {
	by := along[one.driver]
	if by == nil {
		by = []string{"id"}
	}
	if s.newer {
		return ` ORDER BY ` + strings.Join(by, ", ")
	}
	return ` ORDER BY ` + strings.Join(by, " DESC, ") + ` DESC`
}

func (s *search) pass(ctx context.Context, one stream) ([]Entry, error) {
	query := `SELECT ` + entry + ` FROM events WHERE ` + one.driver
	if one.few { // PostgreSQL would rather walk along all ids until it has enough
		query = `WITH few AS MATERIALIZED (SELECT * FROM events WHERE ` + one.driver + `) SELECT ` + entry + ` FROM few WHERE TRUE`
	}
	rows, err := s.db.QueryContext(ctx, query+passes+s.order(one)+` LIMIT $12`, append(s.args(one), s.n)...)
	return db.Collect(rows, err, asEntry)
}

const within = ` AND id >= $2 AND id < $3`

// after is the id after so many rows of a stream, whether they pass or not; "": it has not as many.
func (s *search) after(ctx context.Context, one stream, most int) (id string, err error) {
	query, args := driven(`SELECT id FROM events WHERE `+one.driver+within+s.order(one)+` LIMIT 1 OFFSET $4`, one, s, most-1)
	err = s.db.QueryRowContext(ctx, query, args...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
}

// atMost counts the rows of a stream, up to a bound.
func (s *search) atMost(ctx context.Context, one stream, most int) (n int, err error) {
	query, args := driven(`SELECT COUNT(*) FROM (SELECT 1 FROM events WHERE `+one.driver+within+` LIMIT $4) part`, one, s, most)
	err = s.db.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, err
}

// driven gives a statement without a filter its arguments: PostgreSQL takes none that it does not use.
func driven(query string, one stream, s *search, bound int) (string, []any) {
	args := []any{one.value, s.lo, s.hi, bound}
	if strings.Contains(one.driver, "$10") {
		query = strings.NewReplacer("$10", "$5", "$11", "$6").Replace(query)
		args = append(args, timeOf(s.lo), timeOf(s.hi))
	}
	return query, args
}
