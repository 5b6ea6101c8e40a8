// Package overview shows administrators how people sign in and what goes wrong, over time (A8).
//
// It promises that a look at it costs the same however long the record is: it follows the record, counts by the day, and
// reads those numbers. Each event counts once, on whichever node. Days are in UTC.
package overview

import (
	"context"
	"embed"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/notify"
)

//go:embed schema
var embedded embed.FS

// Schema is the table days.
var Schema, _ = fs.Sub(embedded, "schema")

// An Adopted is how many people had something as their strongest factor on a day.
type Adopted struct {
	Day       time.Time // UTC
	Strongest auth.Kind // empty: their sign-in asked for no second step
	People    int
}

// An Adopter knows the strongest factors of all people, day by day, the oldest first.
type Adopter interface {
	Adoption(ctx context.Context, since time.Time) ([]Adopted, error)
}

// A Sender knows what became of messages.
type Sender interface {
	Days(ctx context.Context, since time.Time) ([]notify.Day, error)
}

// A Factor is a kind with what it is called.
type Factor struct {
	Kind auth.Kind
	Name string
}

// Parts are what an Overview stands on.
type Parts struct {
	DB       *db.DB
	Adoption Adopter
	Messages Sender
	Factors  []Factor  // that people can have, strongest first
	Password auth.Kind // what a sign-in begins with
	Clock    func() time.Time
}

// An Overview is the page and its numbers. It is an audit.Follower.
type Overview struct{ Parts }

func New(p Parts) *Overview { return &Overview{p} }

// What is counted.
const (
	signIns        = "sign-in"
	byStrong       = "sign-in, strongest" // with the strongest factor there is
	wrongPassword  = "wrong password"
	wrongSecond    = "wrong second factor"
	refusedSignIns = "sign-in refused" // of the wrong ones, those that kept somebody out
)

// Name is of our place in the record. There is no row of it at first, so older events are counted too.
func (o *Overview) Name() string { return "overview" }

// Follow counts some events.
func (o *Overview) Follow(ctx context.Context, tx auth.Tx, entries []audit.Entry) error {
	type key struct{ day, what string }
	n := map[key]int{}
	for _, e := range entries {
		for _, what := range o.counts(e) {
			n[key{e.At.UTC().Format(time.DateOnly), what}]++
		}
	}
	keys := slices.SortedFunc(maps.Keys(n), func(a, b key) int { return strings.Compare(a.day+a.what, b.day+b.what) })
	for _, k := range keys {
		if err := count(ctx, tx, k.day, k.what, n[k]); err != nil {
			return err
		}
	}
	return nil
}

// counts are what an event is counted as.
func (o *Overview) counts(e audit.Entry) (as []string) {
	switch e.Kind {
	case auth.SessionStarted:
		as = append(as, signIns)
		if slices.Contains(strings.Fields(e.Detail["factors"]), string(o.Factors[0].Kind)) {
			as = append(as, byStrong)
		}
	case auth.SignInFailed, auth.StepUpFailed:
		what := wrongSecond
		if e.Detail["factor"] == string(o.Password) {
			what = wrongPassword
		}
		as = append(as, what)
		if e.Kind == auth.SignInFailed {
			as = append(as, refusedSignIns)
		}
	}
	return as
}
