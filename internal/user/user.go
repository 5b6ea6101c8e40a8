// Package user keeps the people: who they are, never how they prove it.
//
// Its table is the one every other table may point at. Whoever changes a credential bumps the security epoch here, in
// the same transaction, and thereby voids every session, pending sign-in and link issued before.
package user

import (
	"net/mail"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"sallyport/internal/auth"
)

const (
	maxLogin = 254 // RFC 5321 section 4.5.3.1.3
	maxName  = 100
)

// New checks what was typed and makes a user that is not stored yet. Its errors are auth.InvalidError.
func New(id auth.UserID, login, name string, role auth.Role, now time.Time) (auth.User, error) {
	login, name = strings.TrimSpace(login), strings.TrimSpace(name)
	if err := CheckEmail(login); err != nil {
		return auth.User{}, err
	}
	if err := CheckName(name); err != nil {
		return auth.User{}, err
	}
	if !role.Valid() {
		return auth.User{}, auth.InvalidError{Field: "role", Why: "must be owner, admin, workgroup admin, support or member"}
	}
	return auth.User{ID: id, Login: login, Name: name, Role: role, Epoch: 1, Email: login, Added: now}, nil
}

// CheckEmail refuses what is not one bare address.
func CheckEmail(text string) error {
	if a, err := mail.ParseAddress(text); err != nil || a.Address != text || len(text) > maxLogin {
		return auth.InvalidError{Field: "email", Why: "must be an email address"}
	}
	return nil
}

// CheckName refuses a name that a page or a mail could not show on one line.
func CheckName(name string) error {
	switch {
	case name == "":
		return auth.InvalidError{Field: "name", Why: "is missing"}
	case utf8.RuneCountInString(name) > maxName:
		return auth.InvalidError{Field: "name", Why: "is longer than 100 characters"}
	case !auth.OneLine(name):
		return auth.InvalidError{Field: "name", Why: "must stand on one line"}
	}
	return nil
}

// Key is a login as it is compared: two that differ only in case or composition are one person.
func Key(login string) string {
	return norm.NFC.String(cases.Fold().String(norm.NFC.String(strings.TrimSpace(login))))
}
