package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

// person is what asPerson scans, of a directory d and its class c.
const person = `d.n, d.user_id, d.name, d.login, d.workgroup_id, c.role, c.status, c.factors, d.shape, d.added_at, d.last_sign_in_at
	FROM directory d JOIN directory_classes c ON c.class = d.class`

func asPerson(r *sql.Rows) (n int64, p Person, err error) {
	var factors, shape string
	if err := r.Scan(&n, &p.ID, &p.Name, &p.Login, &p.Workgroup, &p.Role, &p.Status, &factors, &shape, db.Stamp(&p.Added), db.Stamp(&p.LastSignIn)); err != nil {
		return n, p, err
	}
	p.Factors = kinds(factors)
	p.Shape, err = parseShape(shape)
	return n, p, err
}

func shapes(ctx context.Context, from auth.Reader, w auth.WorkgroupID) ([]Shape, error) {
	rows, err := from.QueryContext(ctx, `SELECT t.shape, CAST(SUM(t.n) AS BIGINT) FROM directory_tallies t JOIN directory_classes c ON c.class = t.class
		WHERE ($1 = '' OR t.workgroup_id = $1) AND c.status <> $2 AND t.n > 0 GROUP BY t.shape ORDER BY 2 DESC, 1`, w, Disabled)
	return db.Collect(rows, err, func(r *sql.Rows) (s Shape, err error) {
		var (
			text string
			n    int
		)
		if err := r.Scan(&text, &n); err != nil {
			return s, err
		}
		s, err = parseShape(text)
		s.N = n
		return s, err
	})
}

func some(ctx context.Context, from auth.Reader, w auth.WorkgroupID, shape string, n int) ([]Person, error) {
	within, args := ``, []any{shape, Disabled, n}
	if w != "" {
		within, args = ` AND d.workgroup_id = $4`, append(args, w)
	}
	rows, err := from.QueryContext(ctx, `SELECT `+person+` WHERE d.shape = $1 AND c.status <> $2`+within+` LIMIT $3`, args...)
	return db.Collect(rows, err, func(r *sql.Rows) (p Person, err error) {
		_, p, err = asPerson(r)
		return p, err
	})
}

// A class is people who are alike to filters.
type class struct {
	id      int64
	role    auth.Role
	status  Status
	factors []auth.Kind
	n       int
}

// classes are those that have anybody in a workgroup (empty: at all).
func classes(ctx context.Context, from auth.Reader, w auth.WorkgroupID) ([]class, error) {
	query, args := `SELECT class, role, status, factors, n FROM directory_classes WHERE n > 0`, []any{}
	if w != "" {
		query, args = `SELECT c.class, c.role, c.status, c.factors, CAST(SUM(t.n) AS BIGINT) FROM directory_tallies t JOIN directory_classes c ON c.class = t.class
			WHERE t.workgroup_id = $1 AND t.n > 0 GROUP BY c.class, c.role, c.status, c.factors`, []any{w}
	}
	rows, err := from.QueryContext(ctx, query, args...)
	return db.Collect(rows, err, func(r *sql.Rows) (c class, err error) {
		var text string
		err = r.Scan(&c.id, &c.role, &c.status, &text, &c.n)
		c.factors = kinds(text)
		return c, err
	})
}

// A key is where a person stands in a list.
type key struct {
	n     int64
	at    []byte
	words []byte // where they are asked for
	out   bool   // the filters do not let them through
}

func scanKey(r *sql.Rows) (k key, err error) { return k, r.Scan(&k.n, &k.at, &k.words) }

// streamed reads on in a class.
func streamed(ctx context.Context, from auth.Reader, p plan, s *stream) ([]key, error) {
	args := []any{s.class, s.after, s.piece}
	if p.workgroup != "" {
		args = append(args, p.workgroup)
	}
	rows, err := from.QueryContext(ctx, streamText(p.order, p.workgroup != "", p.searching), args...)
	return db.Collect(rows, err, scanKey)
}

func streamText(w order, grouped, worded bool) string {
	words, within := `NULL`, ``
	if worded {
		words = `words`
	}
	if grouped {
		within = ` AND workgroup_id = $4 AND workgroup_id <> ''`
	}
	return fmt.Sprintf(`SELECT n, %[1]s, %[2]s FROM directory WHERE class = $1 AND %[1]s %[3]s $2%[4]s ORDER BY %[1]s%[5]s LIMIT $3`,
		w.column, words, w.beyond(), within, w.direction())
}

// withLogin is the key of whoever has a login, or nil.
func (d *Directory) withLogin(ctx context.Context, p plan, login string) (*key, error) {
	u, err := d.Users.Find(ctx, login)
	if errors.Is(err, auth.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var (
		k     key
		class int64
		g     auth.WorkgroupID
	)
	err = d.DB.QueryRowContext(ctx, `SELECT n, `+p.column+`, class, workgroup_id FROM directory WHERE user_id = $1`, u.ID).Scan(&k.n, &k.at, &class, &g)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}
	k.out = !p.class(class) || p.workgroup != "" && p.workgroup != g
	return &k, nil
}

// beginning picks words that begin with some text: $1 and $2 are its bounds. Without those that a sort key begins with
// (sort 0 or 1) if that is one; -1 means all.
func beginning(without int) string {
	return ` w.leads IN (` + map[int]string{-1: "0, 1, 2, 3", 0: "0, 2", 1: "0, 1"}[without] + `) AND w.word >= $1 AND w.word < $2`
}

// holding is how many times a word begins with some text, up to a bound.
func holding(ctx context.Context, from auth.Reader, prefix string, without, most int) (n int, err error) {
	err = from.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM directory_words w WHERE`+beginning(without)+` LIMIT $3) found`,
		[]byte(prefix), []byte(prefix+"\xff"), most).Scan(&n)
	return n, err
}

// eachHolding calls f for who has a word that begins with some text, for some twice: with all their words, where more than
// one was typed.
func eachHolding(ctx context.Context, from auth.Reader, p plan, prefix string, without int, f func(k key, class int64)) error {
	words, within, args := `NULL`, ``, []any{[]byte(prefix), []byte(prefix + "\xff")}
	if len(p.typed) > 1 {
		words = `d.words`
	}
	if p.workgroup != "" {
		within, args = ` AND d.workgroup_id = $3`, append(args, p.workgroup)
	}
	rows, err := from.QueryContext(ctx, `SELECT d.n, d.`+p.column+`, `+words+`, d.class FROM directory_words w JOIN directory d ON d.n = w.n
		WHERE`+beginning(without)+within, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			k     key
			class int64
		)
		if err := rows.Scan(&k.n, &k.at, &k.words, &class); err != nil {
			return err
		}
		f(k, class)
	}
	return rows.Err()
}

// people are the rows of some keys, in their order. Whoever is gone meanwhile is left out.
func people(ctx context.Context, from auth.Reader, keys []key) ([]Person, error) {
	all := make([]Person, 0, len(keys))
	for few := range slices.Chunk(keys, few) {
		page, err := fewPeople(ctx, from, few)
		if err != nil {
			return nil, err
		}
		for _, k := range few {
			if p, ok := page[k.n]; ok {
				all = append(all, p)
			}
		}
	}
	return all, nil
}

// fewPeople asks for the same number each time, the last one again and again, so that it is always the same statement.
func fewPeople(ctx context.Context, from auth.Reader, keys []key) (map[int64]Person, error) {
	args := make([]any, few)
	for i := range args {
		args[i] = keys[min(i, len(keys)-1)].n
	}
	rows, err := from.QueryContext(ctx, fewText, args...)
	page := make(map[int64]Person, len(keys))
	_, err = db.Collect(rows, err, func(r *sql.Rows) (none struct{}, err error) {
		n, p, err := asPerson(r)
		page[n] = p
		return none, err
	})
	return page, err
}

var fewText = func() string {
	in := make([]string, few)
	for i := range in {
		in[i] = fmt.Sprintf("$%d", i+1)
	}
	return `SELECT ` + person + ` WHERE d.n IN (` + strings.Join(in, ", ") + `)`
}()
