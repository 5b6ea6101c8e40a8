// Package backupcode is a sheet of ten codes on paper, each good for one second step when nothing else is at hand.
//
// It promises: each code works once (B2); a sheet is shown once, when it is made, and never again (B3); and a new sheet
// takes the place of the old one in one transaction, so that there are never both and never neither (B5). It refuses to
// make one for somebody who has nothing strong that it could stand in for (B1), and it never steps up.
package backupcode

import (
	"context"
	"errors"
	"strconv"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/user"
	"sallyport/internal/visit"
)

// Kind is how the rest of the product calls this factor.
const Kind auth.Kind = "backupcode"

const (
	inSheet = 10
	few     = 3 // left: then the person is told (B4)
)

// Codes verifies backup codes and keeps their sheets.
type Codes struct {
	Parts
}

// Parts are what the factor is made with.
type Parts struct {
	DB      *db.DB
	Keys    *secret.Keys
	Users   *user.Store
	Trail   *audit.Trail
	Roster  *roster.Roster
	Revoker auth.Revoker
	Name    string      // of the site, on the sheet
	Site    string      // its scheme and host
	Sites   visit.Sites // where a sign-in may lead
	Clock   func() time.Time
}

func New(p Parts) *Codes { return &Codes{p} }

func (c *Codes) Kind() auth.Kind { return Kind }

// name is what a sheet is called among a person's factors.
const name = "Backup codes"

// Enrolments is the sheet, as long as a code is left.
func (c *Codes) Enrolments(ctx context.Context, from auth.Reader, u auth.UserID) ([]auth.Enrolment, error) {
	s, err := c.sheet(ctx, from, u)
	if errors.Is(err, auth.ErrNotFound) || err == nil && s.left == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []auth.Enrolment{{ID: s.id, Kind: Kind, Name: name, Added: s.created, LastUsed: s.lastUsed, Standing: auth.Spare, Last: true}}, nil
}

// Verify takes a code that is left on the person's sheet. The claim crosses it out.
func (c *Codes) Verify(ctx context.Context, a auth.Attempt, response auth.Secret) (auth.Claim, error) {
	code, err := parse(response)
	if err != nil {
		return nil, err
	}
	s, err := c.sheet(ctx, c.DB, a.User.ID)
	if errors.Is(err, auth.ErrNotFound) {
		return nil, auth.ErrWrong
	}
	if err != nil {
		return nil, err
	}
	mac := c.mac(a.User.ID, s.id, code)
	if left, err := c.isLeft(ctx, s.id, mac); err != nil {
		return nil, err
	} else if !left {
		return nil, auth.ErrWrong
	}
	return func(ctx context.Context, tx auth.Tx) (auth.Proof, error) { return c.use(ctx, tx, a.User.ID, s.id, mac) }, nil
}

// use spends a code. The person's row comes first: whoever makes a new sheet holds it, so the code is of the sheet that
// is valid now or of none.
func (c *Codes) use(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.EnrolmentID, mac []byte) (auth.Proof, error) {
	now := c.Clock()
	if err := c.Users.Lock(ctx, tx, u); err != nil {
		return auth.Proof{}, err
	}
	left, err := c.spend(ctx, tx, id, mac, now)
	if err != nil {
		return auth.Proof{}, err
	}
	if left <= few {
		err = c.Trail.Record(ctx, tx, auth.Event{Kind: auth.BackupCodesLow, User: u,
			Detail: map[string]string{"factor": string(Kind), "id": string(id), "left": strconv.Itoa(left)}})
	}
	return auth.Proof{Kind: Kind, Enrolment: id, AMR: "otp", Level: auth.OneFactor, At: now}, err
}

// Reset is auth.Resetter.
func (c *Codes) Reset(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	return c.remove(ctx, tx, u)
}

// mac is how a code is stored: whoever reads the table cannot even try, and a row moved to another sheet is worth nothing.
func (c *Codes) mac(u auth.UserID, sheet auth.EnrolmentID, code string) []byte {
	return c.Keys.MAC("backup code", []byte(strconv.Quote(string(u))+strconv.Quote(string(sheet))+code))
}

// size of a code: 65 bits.
const size = 13

// draw makes the codes of a sheet.
func draw() (codes []string) {
	for range inSheet {
		codes = append(codes, secret.NewLetters(size))
	}
	return codes
}

// grouped is a code as it is printed: XXXX-XXXX-XXXXX.
func grouped(code string) string { return code[:4] + "-" + code[4:8] + "-" + code[8:] }

// parse reads a code as people type it.
func parse(s auth.Secret) (string, error) {
	code := secret.ReadLetters(s, size)
	if code == "" {
		return "", auth.InvalidError{Field: "code", Why: "must have 13 letters and digits, as on your sheet"}
	}
	return code, nil
}
