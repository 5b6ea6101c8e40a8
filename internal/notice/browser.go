package notice

import (
	"context"
	"errors"
	"net/http"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/notify"
	"sallyport/internal/secret"
	"sallyport/internal/visit"
)

const (
	// memory is how long a browser is known without being used. Browsers keep no cookie longer.
	memory = 400 * 24 * time.Hour
	// mostBrowsers of one person are known. Beyond it the one that was used least lately is forgotten.
	mostBrowsers = 50
)

// Arrived is signin.Arriver: a browser that the person has not signed in with before is told, but for their first.
func (n *Notices) Arrived(ctx context.Context, tx auth.Tx, began auth.Session) (visit.Cookies, error) {
	if !n.Outbox.Has(notify.Email) {
		return nil, nil
	}
	token, now := visit.Of(ctx).Cookie(visit.BrowserCookie), n.Clock()
	switch err := n.seen(ctx, tx, began.User.ID, secret.Digest(token), now); {
	case err == nil:
		return visit.Cookies{remember(token)}, nil
	case !errors.Is(err, auth.ErrNotFound):
		return nil, err
	}
	// A browser that others use keeps its token. One that we did not make is worth nothing: somebody may have put it there.
	shared, first, err := n.strange(ctx, tx, began.User.ID, secret.Digest(token))
	if err != nil {
		return nil, err
	}
	if !shared {
		token = secret.NewToken()
	}
	id := secret.NewID()
	if err := n.know(ctx, tx, id, began.User.ID, secret.Digest(token), now); err != nil || first {
		return visit.Cookies{remember(token)}, err
	}
	u, err := n.Users.Get(ctx, tx, began.User.ID)
	if err != nil {
		return nil, err
	}
	e := auth.Event{Kind: auth.SessionStarted, Detail: map[string]string{"id": id}}
	return visit.Cookies{remember(token)}, n.send(ctx, tx, letter{name: "notice-browser", to: u, tags: whence(ctx, e), link: about(e),
		purses: purses(u, perPerson, perMinor)})
}

func remember(token auth.Secret) http.Cookie {
	c := visit.Issue(visit.BrowserCookie, token)
	c.MaxAge = int(memory.Seconds())
	return c
}
