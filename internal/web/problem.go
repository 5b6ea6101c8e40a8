package web

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

// A Problem is an error in words for people and in a type for programs: RFC 9457. Both faces answer with it.
type Problem struct {
	Type    string       `json:"type" doc:"an address of this site that ends in /problems/ and one word"`
	Title   string       `json:"title"`
	Status  int          `json:"status"`
	Detail  string       `json:"detail,omitempty"`
	Message string       `json:"message,omitempty" doc:"id of the detail, the same in every language"`
	Left    *int         `json:"left,omitempty" doc:"guesses left in this sign-in"`
	Errors  []FieldError `json:"errors,omitempty"`
	Accepts []auth.Offer `json:"accepts,omitempty" doc:"with step-up: the factors that count"`
	Request string       `json:"request,omitempty" doc:"find it in the log by this"`

	more  string // a second sentence for people
	field string // the input the detail stands at, on a page
	retry time.Duration
}

// A FieldError is one wrong field. Detail ends a sentence that starts with the field.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// kinds are the problems there are. Clients branch on the word; this is what stands at its address.
var kinds = map[string]string{
	"wrong":               "A password or code did not match.",
	"invalid":             "Some fields cannot be what was sent; errors names them.",
	"unreadable":          "The body could not be read at all.",
	"step-up":             "The act needs a fresh proof by one of the factors in accepts; then send it again.",
	"throttled":           "Too many attempts; Retry-After says when to come back.",
	"locked":              "Too many wrong codes in a row: codes are off until the account is recovered.",
	"busy":                "The server cannot do it now; nothing was changed. Retry-After says when to come back.",
	"not-signed-in":       "There is no session.",
	"expired":             "The sign-in took too long or has ended; start again.",
	"forbidden":           "Not allowed.",
	"not-found":           "There is nothing here, or it is not yours.",
	"method":              "There is something here, but not by this method.",
	"cross-origin":        "The request came from a page of another site.",
	"misdirected":         "The Host is not the one this server answers to.",
	"frozen":              "Nothing that secures the account can be changed for a while.",
	"last-factor":         "The last second factor cannot be removed.",
	"mfa-required":        "The second step is required here.",
	"passkeys-closed":     "Passkeys cannot be added here.",
	"passkey-known":       "The credential is in use already.",
	"passkey-not-allowed": "This model of authenticator is not accepted here.",
	"contact-shared":      "Somebody else has the same address or number, so it takes no codes.",
	"contact-missing":     "The profile lacks the address or number that is needed.",
	"country":             "No SMS are sent to the country or kind of this number.",
	"factor-blocked":      "The second step cannot be used now: somebody else has the same address or number, or the time after a reset is over.",
	"person-disabled":     "The person is disabled.",
	"pass-useless":        "The person is asked for nothing that an access pass could stand in for.",
	"fault":               "Something went wrong on our side.",
}

// problemOf is the one place where errors get a status and words.
func (s *Site) problemOf(err error, words Words) Problem {
	var (
		fields   invalid
		field    auth.InvalidError
		bytes    unreadable
		stepUp   auth.StepUpError
		guesses  auth.ThrottledError
		busy     auth.BusyError
		wrong    auth.WrongError
		conflict auth.ConflictError
	)
	is := func(target error) bool { return errors.Is(err, target) }
	var p Problem
	switch {
	case errors.As(err, &fields):
		p = s.problem(422, "invalid", "Some fields need another look.")
		for _, f := range fields {
			p.Errors = append(p.Errors, FieldError{f.Field, f.Why})
		}
	case errors.As(err, &field):
		p = s.problem(422, "invalid", "Some fields need another look.")
		p.Errors = []FieldError{{field.Field, field.Why}}
	case errors.As(err, &bytes):
		p = s.problem(bytes.status, "unreadable", "We could not read that: "+bytes.why+".")
	case errors.As(err, &stepUp):
		p = s.problem(403, "step-up", "Please confirm that it is you.")
		p.Accepts = stepUp.Accepts
	case errors.As(err, &guesses):
		p = s.problem(429, "throttled", "Too many tries. Wait "+inWords(guesses.After)+".")
		p.more = "You can try again at " + s.Clock().Add(guesses.After).UTC().Format("15:04 MST") + "."
		p.retry = guesses.After
	case errors.As(err, &busy), db.Away(err), errors.Is(err, context.Canceled):
		p = s.problem(503, "busy", "We are busy. Nothing was changed; please try again.")
		p.retry = max(busy.After, time.Second)
	case errors.As(err, &conflict):
		p = s.problem(409, conflict.Code, conflict.Why)
	case is(auth.ErrWrong):
		p = s.problem(422, "wrong", "That did not match.")
	case is(auth.ErrLocked):
		p = s.problem(403, "locked", "Too many wrong codes in a row. Codes are switched off for this account until it is recovered.")
	case is(auth.ErrNotSignedIn):
		p = s.problem(401, "not-signed-in", "Please sign in.")
	case is(auth.ErrExpired):
		p = s.problem(401, "expired", "Your sign-in took too long. Please start again.")
	case is(auth.ErrForbidden):
		p = s.problem(403, "forbidden", "You may not do that.")
	case is(auth.ErrNotFound):
		p = s.problem(404, "not-found", "There is nothing here.")
	default:
		p = s.problem(500, "fault", "Something went wrong on our side. Nothing is known to be lost.")
	}
	if said, ok := words.of(err); ok {
		p.Message, p.Detail, p.more, p.field = said.ID, said.Text, said.More, said.Field
	}
	if errors.As(err, &wrong) {
		p.Left = &wrong.Left
		p.Detail += " " + triesLeft(wrong.Left)
	}
	return p
}

// of finds what is said of an error itself, before what is said of all of its kind.
func (w Words) of(err error) (found Said, ok bool) {
	var closest error
	for target, said := range w {
		if errors.Is(err, target) && (closest == nil || errors.Is(target, closest)) {
			closest, found = target, said
		}
	}
	return found, closest != nil
}

func (s *Site) problem(status int, kind, detail string) Problem {
	return Problem{Type: s.URL.String() + "/problems/" + kind, Title: http.StatusText(status), Status: status, Detail: detail, Message: kind}
}

// Kind is the last word of the type.
func (p Problem) Kind() string { return p.Type[strings.LastIndexByte(p.Type, '/')+1:] }

// More is a second sentence for people, or "".
func (p Problem) More() string { return p.more }

// Tone is how a page shows it: something to wait for or something wrong.
func (p Problem) Tone() string {
	if p.retry > 0 {
		return "warn"
	}
	return "bad"
}

// head sets what both faces say outside the body.
func (p Problem) head(h http.Header) {
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retry.Seconds()))))
	}
}

func triesLeft(n int) string {
	if n == 1 {
		return "1 try left."
	}
	return fmt.Sprintf("%d tries left.", n)
}

func inWords(d time.Duration) string {
	switch minutes := int(math.Ceil(d.Minutes())); {
	case d <= time.Minute:
		return fmt.Sprintf("%d seconds", int(math.Ceil(d.Seconds())))
	case minutes == 1:
		return "1 minute"
	default:
		return fmt.Sprintf("%d minutes", minutes)
	}
}

// explain stands at the address of a problem type.
func (s *Site) explain(rw http.ResponseWriter, req *http.Request) {
	w := rw.(*response)
	w.seen = s.stray[0]
	said, ok := kinds[req.PathValue("kind")]
	if !ok {
		pageFace{s}.refuse(w, req, &Route{path: "-"}, s.problem(404, "not-found", "There is nothing here."))
		return
	}
	w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	w.Write([]byte(said + "\n"))
}
