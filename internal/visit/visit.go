// Package visit is one request as the rest of the server knows it: who stands at the door, and at which guard.
//
// A handler may trust that what its guard promises is there. Only a [Keeper] puts it there.
package visit

import (
	"context"
	"net/http"
	"strings"

	"sallyport/internal/auth"
)

// A Guard names what a request must bring before a handler runs.
type Guard string

const (
	Public    Guard = "public"
	Arriving  Guard = "arriving"  // nothing; a sign-in under way is noted if there is one
	Pending   Guard = "pending"   // a sign-in under way
	Enrolling Guard = "enrolling" // a sign-in that lacks nothing but a second factor nobody has set up yet
	SignedIn  Guard = "signed in" // a session
	Offered   Guard = "offered"   // a session that has just begun and was offered a factor
	Fresh     Guard = "fresh"     // a session with a recent step-up

	// Sessions of people who look after others, never by a trusted browser alone; fresh ones to change something.
	Staff              Guard = "staff" // support and above
	StaffFresh         Guard = "staff, fresh"
	Steward            Guard = "steward" // workgroup admin and above
	StewardFresh       Guard = "steward, fresh"
	Administrator      Guard = "administrator" // admin and owner
	AdministratorFresh Guard = "administrator, fresh"
)

// A Keeper stands at a guard. It notes on the visit whom the request belongs to, or refuses with an error of auth.
type Keeper func(r *http.Request, v *Visit) error

// A Visit is what is known about one request.
type Visit struct {
	auth.Origin
	Session auth.Session // behind SignedIn and Fresh
	Pending auth.Pending // behind Pending and Enrolling; behind Arriving, if there is one
	Token   auth.Secret  // of the cookie that the guard accepted, to replace or end what it opens
	Former  auth.Secret  // the session cookie that came along, whatever it is worth
	Sent    []string     // the Cookie header
	Answer  []byte       // what a swift route says, made once per session
}

// Person is whose visit this is: signed in, or on the way.
func (v *Visit) Person() auth.User {
	if v.Session.ID != "" {
		return v.Session.User
	}
	return v.Pending.User
}

// Thread names the session or the sign-in under way. What is begun in one is finished in it.
func (v *Visit) Thread() string {
	if v.Session.ID != "" {
		return string(v.Session.ID)
	}
	return v.Pending.ID
}

// Cookie is the value of a cookie that came along, whatever it is worth; "" if there is none.
func (v *Visit) Cookie(name string) auth.Secret { return cookie(v.Sent, name) }

type key struct{}

// With puts a visit into a context: the shell for a request, a test for a handler.
func With(ctx context.Context, v *Visit) context.Context {
	return auth.WithOrigin(context.WithValue(ctx, key{}, v), &v.Origin)
}

// Of is the visit a handler answers.
func Of(ctx context.Context) *Visit { return ctx.Value(key{}).(*Visit) }

// The cookies. The prefix binds them to host, path and TLS; browsers keep them on http://localhost too.
const (
	SessionCookie = "__Host-session"
	PendingCookie = "__Host-signin"
	MailedCookie  = "__Host-mailed"  // of a browser that waits for a code by mail, to begin a sign-in with
	BrowserCookie = "__Host-browser" // of a browser that somebody signed in with, so that it is not new to them again
	TrustCookie   = "__Host-trust"   // of a browser on which somebody is not asked for a second step
	PassCookie    = "__Host-pass"    // of a browser that came by the link of a reset: the access pass
)

// Cookies, embedded in an Out as `json:"-"`, are set on both faces.
type Cookies []http.Cookie

// Issued is how the shell finds them.
func (c Cookies) Issued() Cookies { return c }

// Issue makes a cookie that lives as long as the browser; what it opens has its own end on the server.
func Issue(name string, value auth.Secret) http.Cookie {
	return http.Cookie{Name: name, Value: string(value), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// Clear takes a cookie back.
func Clear(name string) http.Cookie {
	c := Issue(name, "")
	c.MaxAge = -1
	return c
}

// Cookie reads one, "" if there is none.
func Cookie(r *http.Request, name string) auth.Secret { return cookie(r.Header["Cookie"], name) }

// cookie reads one value. Request.Cookie would build every cookie of the request first.
func cookie(lines []string, name string) auth.Secret {
	for _, line := range lines {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			if n, value, _ := strings.Cut(strings.TrimSpace(pair), "="); n == name {
				return auth.Secret(value)
			}
		}
	}
	return ""
}
