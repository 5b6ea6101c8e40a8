package people

import (
	"context"
	"io"
	"strings"
	"time"
	"unicode"

	"sallyport/internal/auth"
	"sallyport/internal/directory"
	"sallyport/internal/user"
	"sallyport/internal/web"
)

// rowsBetween is how many rows of an export go out until it is asked again whether whoever reads them still may.
const rowsBetween = 1000

// export is the list as a file. That it was asked for stands in the record before a row goes out, even if nobody reads
// it to the end.
func (l *Users) export(ctx context.Context, in Exported) (web.Download, error) {
	a, err := l.asking(ctx, auth.WorkgroupAdmin)
	if err != nil {
		return web.Download{}, err
	}
	f := in.filter()
	q, err := l.query(a, f, in.Sort)
	if err != nil {
		return web.Download{}, err
	}
	groups, err := l.groups(ctx, a)
	if err != nil {
		return web.Download{}, err
	}
	write := func(ctx context.Context, to io.Writer) error {
		err := l.DB.Tx(ctx, func(tx auth.Tx) error {
			return l.Trail.Record(ctx, tx, auth.Event{Kind: auth.PeopleExported, Detail: recorded(f)})
		})
		if err != nil {
			return err
		}
		names, n := named(groups), 0
		table := web.CSV(to)
		if err := table.Row("ID", "Name", "Email", "Role", "Workgroup", "Status", "MFA", "Added", "Last sign-in"); err != nil {
			return err
		}
		err = l.Directory.Each(ctx, q, func(p directory.Person) error {
			if n++; n%rowsBetween == 0 {
				if now, err := l.asking(ctx, auth.WorkgroupAdmin); err != nil || now.Epoch != a.Epoch || now.Role != a.Role || now.Workgroup != a.Workgroup {
					return auth.ErrForbidden
				}
			}
			return table.Row(string(p.ID), p.Name, p.Login, string(p.Role), names[p.Workgroup], string(p.Status), l.has(p.Factors), at3339(p.Added), at3339(p.LastSignIn))
		})
		if err != nil {
			return err
		}
		return table.Flush()
	}
	return web.Download{Name: "people-" + l.Clock().UTC().Format(time.DateOnly) + ".csv", Type: "text/csv; charset=utf-8", Write: write}, nil
}

// has names factors.
func (l *Users) has(kinds []auth.Kind) string {
	signs, names := web.Signs(l.Roster.Second()...), []string{}
	for _, k := range kinds {
		if s, known := signs[k]; known {
			names = append(names, s.Title)
		} else {
			names = append(names, string(k))
		}
	}
	return strings.Join(names, ", ")
}

// at3339 is empty of a time that never was.
func at3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// recorded is a filter as the record keeps it: a whole address or number that was looked for stands there masked.
func recorded(f Filter) map[string]string {
	detail, digits := f.fields(), 0
	for _, r := range f.Search {
		if unicode.IsDigit(r) {
			digits++
		}
	}
	if strings.Contains(f.Search, "@") {
		detail["q"] = user.MaskEmail(f.Search)
	} else if digits > 5 {
		detail["q"] = "•••"
	}
	return detail
}
