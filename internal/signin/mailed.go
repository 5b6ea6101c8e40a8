package signin

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/roster"
	"sallyport/internal/secret"
	"sallyport/internal/throttle"
	"sallyport/internal/user"
	"sallyport/internal/visit"
	"sallyport/internal/web"
)

// A Mailed factor begins a sign-in with a code that it sends to the address of an account (S5). What it sends belongs to
// a thread that one browser holds, whether anybody has the name or not, and costs the same.
type Mailed interface {
	web.Prompter
	Open(ctx context.Context, tx auth.Tx, in web.Thread) error
	// Opened is auth.ErrExpired if nothing is under way.
	Opened(ctx context.Context, in web.Thread) (web.Sent, error)
	// Find is whom the code of a thread belongs to, who may be nobody. Verify with the context it returns.
	Find(ctx context.Context, in web.Thread) (context.Context, auth.User, error)
}

// mailedFor is how long a browser may take to bring the code.
const mailedFor = 10 * time.Minute

func (s *SignIn) mailedRoutes() []web.Route {
	prompt := s.Mailed.Prompt()
	return []web.Route{
		web.On(visit.Public, "POST /signin/mailed", s.mail, web.About{
			Does: "Send a code by mail that a sign-in begins with; says the same for a name that nobody has",
			Then: "/signin/mailed",
			On:   "/signin",
		}),
		web.On(visit.Public, "GET /signin/mailed", s.mailed, web.About{
			Does: "Say until when the code by mail works, or ask whom to send one",
			Page: web.Gate(files, "mailed.html"),
		}),
		web.On(visit.Public, "POST /signin/mailed/code", s.byMail, web.About{
			Does:     "Begin a sign-in with the code by mail",
			Then:     "{next}",
			On:       "/signin/mailed",
			Throttle: "first",
			Asks:     &prompt.Reply,
			Words:    prompt.Words,
		}),
	}
}

type (
	Addressee struct {
		Login    string `json:"login" max:"254"`
		ReturnTo string `json:"return_to,omitempty" max:"2048" doc:"on this site, or registered"`
	}
	Awaited struct {
		visit.Cookies `json:"-"`
		Sent          *web.Sent `json:"sent,omitempty" doc:"whether anybody has that name is not said"`
		Login         string    `json:"-"`
		ReturnTo      string    `json:"-"`
		Form          web.Part  `json:"-"`
	}
)

// mail sends the code. Who asks again in the same browser goes on in the same thread, so that a resend has to wait.
func (s *SignIn) mail(ctx context.Context, in Addressee) (Awaited, error) {
	who, err := s.Users.Find(ctx, in.Login)
	if errors.Is(err, auth.ErrNotFound) {
		who, err = auth.User{}, nil
	}
	if err != nil {
		return Awaited{}, err
	}
	held := heldBy(ctx)
	if held.token == "" || held.login != in.Login {
		held = holder{token: secret.NewToken(), login: in.Login}
	}
	held.to = in.ReturnTo
	thread := s.threadOf(held)
	thread.User, thread.Name = who, user.Key(in.Login)
	if err := s.DB.Tx(ctx, func(tx auth.Tx) error { return s.Mailed.Open(ctx, tx, thread) }); err != nil {
		return Awaited{}, err
	}
	sent, err := s.Mailed.Opened(ctx, thread)
	return Awaited{Cookies: visit.Cookies{visit.Issue(visit.MailedCookie, held.cookie())}, Sent: &sent}, err
}

func (s *SignIn) mailed(ctx context.Context, in web.Leading) (Awaited, error) {
	held := heldBy(ctx)
	sent, err := s.Mailed.Opened(ctx, s.threadOf(held))
	if errors.Is(err, auth.ErrExpired) {
		return Awaited{Login: held.login, ReturnTo: in.ReturnTo}, nil
	}
	return Awaited{Sent: &sent, Login: held.login, ReturnTo: held.to, Form: s.Mailed.Prompt().Fields(nil)}, err
}

// byMail is a first step by mail. The code itself allows few tries; strangers count by their address.
func (s *SignIn) byMail(ctx context.Context, in Response) (Answer, error) {
	held := heldBy(ctx)
	found, who, err := s.Mailed.Find(ctx, s.threadOf(held))
	if err != nil {
		return Answer{}, err
	}
	attempt, claim, err := roster.Attempt(found, s.Mailed, in.Response, func(ctx context.Context) (auth.Attempt, error) {
		return s.Throttle.Take(ctx, who, throttle.FirstByAddress.ForAddress(visit.Of(ctx).Address))
	})
	if err != nil {
		return Answer{}, s.failed(ctx, attempt, s.Mailed.Kind(), err)
	}
	answer, err := s.begin(found, attempt, claim, s.Sites.Safe(held.to))
	if err == nil {
		answer.Cookies = append(answer.Cookies, visit.Clear(visit.MailedCookie))
	}
	return answer, s.failed(ctx, attempt, s.Mailed.Kind(), err)
}

// A holder is what a browser keeps while a code is on its way: its secret, and what the person typed, for the page.
type holder struct {
	token     auth.Secret
	login, to string
}

func (h holder) cookie() auth.Secret {
	enc := base64.RawURLEncoding.EncodeToString
	return h.token + auth.Secret("."+enc([]byte(h.login))+"."+enc([]byte(h.to)))
}

func heldBy(ctx context.Context) (h holder) {
	parts := strings.Split(string(visit.Of(ctx).Cookie(visit.MailedCookie)), ".")
	if len(parts) != 3 {
		return h
	}
	login, err := base64.RawURLEncoding.DecodeString(parts[1])
	to, err2 := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || err2 != nil {
		return h
	}
	return holder{auth.Secret(parts[0]), string(login), string(to)}
}

// threadOf names the thread of a browser by a hash: who reads the database cannot take its place.
func (s *SignIn) threadOf(h holder) web.Thread {
	key := secret.Digest(h.token)
	return web.Thread{ID: hex.EncodeToString(key[:]), Until: s.Clock().Add(mailedFor)}
}
