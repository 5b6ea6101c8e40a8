package onetime

import (
	"context"
	"errors"
	"slices"

	"sallyport/internal/auth"
	"sallyport/internal/notify"
	"sallyport/internal/user"
)

// address is the address of the account, which stands in for a second step that is lost where policy.recovery says so (L1).
// Nobody set it up, so no table has it.
const address auth.EnrolmentID = "address"

// given is where a code goes that stands in, or "": where those go that begin a sign-in, but nowhere that somebody else
// reads too (C4). Who gets codes by mail as a factor of their own has that, and nothing beside it.
func (c *Codes) given(ctx context.Context, from auth.Reader, id auth.UserID) (string, error) {
	if !slices.Contains(c.Roster.Rules().Given, Email) || !c.Outbox.Has(notify.Email) {
		return "", nil
	}
	u, err := c.Users.Get(ctx, from, id)
	if errors.Is(err, auth.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	rules, err := c.Roster.RulesOf(ctx, from, u)
	if err != nil || !slices.Contains(rules.Given, Email) {
		return "", err
	}
	if slices.Contains(rules.Factors, Email) {
		has, err := c.contacts(ctx, from, id)
		if err != nil || slices.ContainsFunc(has, func(k contact) bool { return k.kind == Email }) {
			return "", err
		}
	}
	to, err := c.Address(ctx, from, u)
	if err != nil {
		return "", err
	}
	shared, err := c.shared(ctx, from, id, Email, to)
	if err != nil || shared {
		return "", err
	}
	return to, nil
}

// A Destination is where a person is reached.
type Destination struct {
	Channel notify.Channel
	To      string
}

// Masked is how pages show it (C6).
func (d Destination) Masked() string { return mask(auth.Kind(d.Channel), d.To) }

// Destinations are all places where a person is reached, each once: what must not be missed goes to all of them. A thief
// who reads one of them does not keep the others quiet.
func (c *Codes) Destinations(ctx context.Context, from auth.Reader, u auth.User) (all []Destination, err error) {
	proved, err := c.contacts(ctx, from, u.ID)
	if err != nil {
		return nil, err
	}
	some := []contact{{kind: Email, destination: u.Email}, {kind: Email, destination: u.Login}}
	if user.Mobile(u.Phone) {
		some = append(some, contact{kind: SMS, destination: u.Phone})
	}
	seen := map[string]bool{}
	for _, k := range append(some, proved...) {
		at := key(k.kind, k.destination)
		if k.destination == "" || seen[at] || !c.Outbox.Has(notify.Channel(k.kind)) || !c.served(k) {
			continue
		}
		seen[at] = true
		all = append(all, Destination{notify.Channel(k.kind), k.destination})
	}
	return all, nil
}
