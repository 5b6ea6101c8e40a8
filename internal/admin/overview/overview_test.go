package overview

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
	"sallyport/internal/notify"
)

type adopted []Adopted

func (a adopted) Adoption(context.Context, time.Time) ([]Adopted, error) { return a, nil }

type sent []notify.Day

func (s sent) Days(context.Context, time.Time) ([]notify.Day, error) { return s, nil }

var (
	now   = time.Date(2026, 11, 21, 10, 15, 0, 0, time.UTC)
	today = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
)

func on(d *db.DB, a adopted, s sent) *Overview {
	return New(Parts{DB: d, Adoption: a, Messages: s, Password: "password", Clock: func() time.Time { return now },
		Factors: []Factor{{"passkey", "Passkey"}, {"totp", "Authenticator app"}, {"email", "Email"}, {"sms", "SMS"}}})
}

func event(kind auth.EventKind, at time.Time, detail ...string) audit.Entry {
	e := audit.Entry{Kind: kind, At: at, Detail: map[string]string{}}
	for i := 0; i < len(detail); i += 2 {
		e.Detail[detail[i]] = detail[i+1]
	}
	return e
}

// A8: the numbers are those of the record, on the day in UTC, and what was rolled back is not counted.
func TestEventsAreCountedByTheDay(t *testing.T) {
	dbtest.Each(t, []fs.FS{Schema}, func(t *testing.T, d *db.DB) {
		o := on(d, nil, sent{{Day: today, Channel: notify.Email, Result: notify.Delivered, N: 3}, {Day: today, Channel: notify.SMS, Result: notify.Delivered, N: 2}, {Day: today, Channel: notify.SMS, Result: notify.Failed, N: 9}, {Day: today.AddDate(0, 0, -1), Channel: notify.Email, Result: notify.Delivered, N: 5}})
		some := []audit.Entry{
			event(auth.SessionStarted, now, "factors", "passkey"),
			event(auth.SessionStarted, now, "factors", "password totp"),
			event(auth.SessionStarted, today.Add(-time.Microsecond), "factors", "password"),
			event(auth.SignInFailed, now, "factor", "password"),
			event(auth.SignInFailed, today, "factor", "totp"),
			event(auth.StepUpFailed, now, "factor", "password"),
			event(auth.FactorFailed, now, "factor", "totp"),
			event(auth.SessionEnded, now),
		}
		oops := errors.New("oops")
		for _, end := range []error{oops, nil, nil} {
			err := d.Tx(t.Context(), func(tx auth.Tx) error { return errors.Join(o.Follow(t.Context(), tx, some), end) })
			if !errors.Is(err, end) {
				t.Fatal(err)
			}
		}
		p, err := o.show(t.Context(), Span{})
		if err != nil {
			t.Fatal(err)
		}
		if want := (Today{SignIns: 4, Refused: 4, Mails: 3, SMS: 2}); p.Today != want {
			t.Errorf("%+v, want %+v", p.Today, want)
		}
		last := len(p.SignIns.From) - 1
		got := fmt.Sprint(p.SignIns.From[0], p.SignIns.From[last], p.SignIns.Series[0].Values[last-1:], p.SignIns.Series[1].Values[last-1:], p.Failures.Series[0].Values[last], p.Failures.Series[1].Values[last], p.Messages.Series[0].Values[last-1:], p.Messages.Series[3].Values[last])
		if want := "2026-10-232026-11-21[2 4] [0 2] 4 2 [5 3] 9"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		year, err := o.show(t.Context(), Span{Days: 365})
		if err != nil || len(year.SignIns.From) != 53 || year.SignIns.Series[0].Values[52] != 6 {
			t.Error("by the week:", len(year.SignIns.From), year.SignIns.Series[0].Values, err)
		}
	})
}

func TestAdoptionIsWhatHeldAtTheEndOfAPoint(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t, []fs.FS{Schema}))
	day := func(back int) time.Time { return today.AddDate(0, 0, -back) }
	o := on(d, adopted{
		{day(200), "passkey", 1000}, // before the period
		{day(100), "passkey", 6}, {day(100), "", 94},
		{day(3), "passkey", 30}, {day(3), "totp", 70},
		{day(1), "passkey", 41}, {day(1), "totp", 27}, {day(1), "email", 17}, {day(1), "sms", 8}, {day(1), "", 7}, {day(1), "odd", 5},
	}, nil)
	p, err := o.show(t.Context(), Span{Days: 182})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Today{People: 100, MFA: 93, Strongest: 41}); p.Today != want {
		t.Errorf("%+v, want %+v", p.Today, want)
	}
	if since := p.Since(); !strings.HasPrefix(since, "up from 6 % on ") {
		t.Error(since)
	}
	c := p.Shares()
	if len(c.Series) != 4 || !strings.HasPrefix(c.Cell(0, len(c.Labels)-1), "41") || c.Cell(0, 3) != "–" || !strings.Contains(c.Says, "Passkey from 6 to 41 percent; Authenticator app from 0 to 27 percent") {
		t.Error(c)
	}
}

// An instance where nothing has happened yet looks decent.
func TestNothingIsNoFault(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t, []fs.FS{Schema}))
	for _, a := range []adopted{nil, {{today, "", 1}}} {
		for _, days := range []int{0, 30, 182, 365} {
			p, err := on(d, a, nil).show(t.Context(), Span{days})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []interface{ Empty() bool }{p.Shares(), p.Logins(), p.Wrong(), p.Sent()} {
				if !c.Empty() {
					t.Error("a chart of nothing:", c)
				}
			}
			if p.Since() != "" {
				t.Error(p.Since())
			}
		}
	}
	if _, err := on(d, nil, nil).show(t.Context(), Span{31}); !errors.As(err, new(auth.InvalidError)) {
		t.Error(err)
	}
}
