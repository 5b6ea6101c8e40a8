package auth

import (
	"errors"
	"fmt"
	"time"
)

// What a caller may have to tell apart. Everything else is a fault of ours.
var (
	ErrWrong       = errors.New("the proof does not match")
	ErrNotFound    = errors.New("no such thing, or not theirs")
	ErrNotSignedIn = errors.New("nobody is signed in")
	ErrExpired     = errors.New("the sign-in is over its time")
	ErrForbidden   = errors.New("not allowed")
	ErrRefused     = errors.New("the other side will never take this message")
	ErrLocked      = errors.New("too many wrong codes in a row: codes are off until recovery")
)

// A WrongError is ErrWrong, or what is more than that, with the number of guesses left in this sign-in.
type WrongError struct {
	Left int
	Err  error
}

func (e WrongError) Error() string        { return fmt.Sprintf("%v, %d tries left", ErrWrong, e.Left) }
func (e WrongError) Is(target error) bool { return target == ErrWrong }
func (e WrongError) Unwrap() error        { return e.Err }

// An InvalidError names one field that cannot be what was sent. Why ends a sentence that starts with the field.
type InvalidError struct{ Field, Why string }

func (e InvalidError) Error() string { return e.Field + " " + e.Why }

// A ConflictError is an act that the state of the account forbids. Code is for programs, Why a sentence for people.
type ConflictError struct{ Code, Why string }

func (e ConflictError) Error() string { return e.Why }

// ErrBlocked is a second step that cannot be used now, by no act of its person, and that nothing weaker may replace.
var ErrBlocked = ConflictError{Code: "factor-blocked", Why: "Your second step cannot be used now. Ask those who run this site for help."}

// Frozen is what is said of every change to an account that is locked against changes.
func Frozen(until time.Time) ConflictError {
	return ConflictError{Code: "frozen", Why: "Nothing that secures this account can be changed until " +
		until.UTC().Format("2 January 2006, 15:04 MST") + ", because somebody answered “This wasn’t me” to a notice."}
}

// A StepUpError asks for a fresh proof by one of the accepted factors.
type StepUpError struct{ Accepts []Offer }

func (StepUpError) Error() string { return "a fresh proof is needed" }

// A ThrottledError counts the guess and says when the next one is welcome.
type ThrottledError struct{ After time.Duration }

func (e ThrottledError) Error() string { return fmt.Sprintf("too many attempts, wait %s", e.After) }

// A BusyError means that we cannot do it now: no hashing slot, no database.
type BusyError struct{ After time.Duration }

func (e BusyError) Error() string { return fmt.Sprintf("busy, wait %s", e.After) }
