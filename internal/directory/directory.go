// Package directory is what administrators see of all people: lists that are quick however many there are, how many
// people are of which kind, and what a change of the rules would meet.
//
// It promises: no sign-in waits for it. It keeps a row for each person, which follows the record by about a second, or
// is made anew at once by whoever asks (Refresh). The counts are those of the rows, exactly. Every page of every list
// costs about the same: it is merged from streams in order, or sorted out of a few people, and never counted off.
//
// It refuses to be the truth: nobody may decide by it what a person may do. A row may be behind, and what it shows of
// factors is what would count at the person's next sign-in.
package directory

import (
	"embed"
	"io/fs"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/roster"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
)

//go:embed schema
var embedded embed.FS

// Schema is the tables of this package.
var Schema, _ = fs.Sub(embedded, "schema")

// Parts are what a Directory stands on.
type Parts struct {
	DB       *db.DB
	Users    *user.Store
	Roster   *roster.Roster
	Throttle *throttle.Throttle
	Trail    *audit.Trail
	Clock    func() time.Time
}

// A Directory is the rows and the counts of all people. It is an audit.Follower.
type Directory struct {
	Parts
	reach reach
}

func New(p Parts) *Directory {
	return &Directory{p, reach{gathered: 10_000, exact: 5000, walked: 8000}}
}

// A reach is how far a search goes in one way, before another is quicker.
type reach struct {
	gathered int // people with a word who are looked at one by one, to sort a page out of them
	exact    int // people whom the filters leave, to count those who match
	walked   int // people who are passed on the way to a page
}

// A Status says how a person stands with us. The first that is true holds.
type Status string

const (
	Disabled Status = "disabled"
	Locked   Status = "locked"  // frozen by its person, or too many codes were wrong
	Invited  Status = "invited" // never had a password nor signed in
	Active   Status = "active"
)

// Statuses are all there are.
var Statuses = []Status{Active, Invited, Locked, Disabled}

// A Person is one row.
type Person struct {
	ID         auth.UserID
	Name       string
	Login      string
	Workgroup  auth.WorkgroupID // empty: none
	Role       auth.Role
	Status     Status
	Factors    []auth.Kind // that the next sign-in asks for, strongest first; empty: it asks for none
	Shape      Shape
	Added      time.Time
	LastSignIn time.Time // zero: never
}
