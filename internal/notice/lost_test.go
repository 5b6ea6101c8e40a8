package notice_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/notify"
)

var (
	mails = map[notify.Channel]notify.Carrier{notify.Email: notify.Nowhere{}}
	both  = map[notify.Channel]notify.Carrier{notify.Email: notify.Nowhere{}, notify.SMS: notify.Nowhere{}}
	texts = map[notify.Channel]notify.Carrier{notify.SMS: notify.Nowhere{}}
)

// proved is a destination that somebody proved to read.
func (k *desk) proved(u auth.UserID, kind, to string) {
	k.t.Helper()
	k.tx(func(ctx context.Context, tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO contacts (id, user_id, kind, destination, destination_key, preferred, added_at, last_used_at)
			VALUES ($1, $2, $3, $4, $5, TRUE, 0, 0)`, string(u)+to, u, kind, to, to)
		return err
	})
}

// L3: that somebody waits for what they lost goes to every place where they are reached, once, whatever stands in for whom.
func TestALossIsToldOnEveryChannel(t *testing.T) {
	for name, c := range map[string]struct {
		carriers     map[notify.Channel]notify.Carrier
		email, phone string
		proved       [][2]string
		want         string
	}{
		"one address for all":        {both, "ann@example.com", "", nil, "ann@example.com"},
		"in other case it is one":    {both, "ANN@Example.com", "", [][2]string{{"email", "ann@example.com"}}, "ANN@Example.com"},
		"profile, login and proved":  {both, "new@example.org", "", [][2]string{{"email", "old@example.org"}}, "ann@example.com new@example.org old@example.org"},
		"a phone of the profile":     {both, "ann@example.com", "+46701740605", nil, "+46701740605 ann@example.com"},
		"the same that was proved":   {both, "ann@example.com", "+46701740605", [][2]string{{"sms", "+46701740605"}}, "+46701740605 ann@example.com"},
		"another that was proved":    {both, "ann@example.com", "+46701740605", [][2]string{{"sms", "+46701740606"}}, "+46701740605 +46701740606 ann@example.com"},
		"a country we do not send":   {both, "ann@example.com", "+491701234567", [][2]string{{"sms", "+491701234568"}}, "ann@example.com"},
		"a phone that takes no SMS":  {both, "ann@example.com", "+46850000000", nil, "ann@example.com"},
		"what is no number":          {both, "ann@example.com", "ext. 12", nil, "ann@example.com"},
		"where there is no SMS":      {mails, "ann@example.com", "+46701740605", [][2]string{{"sms", "+46701740606"}}, "ann@example.com"},
		"where there is no mail":     {texts, "ann@example.com", "+46701740605", nil, "+46701740605"},
		"nowhere where neither is":   {nil, "ann@example.com", "+46701740605", nil, ""},
		"an address they replaced":   {both, "ann@example.com", "", [][2]string{{"gone", "gone@example.org"}}, "ann@example.com"},
		"without anything but login": {both, "", "", nil, "ann@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			eachWith(t, c.carriers, func(t *testing.T, k *desk) {
				u := k.person("ann", auth.Member)
				bob := k.person("bob", auth.Member)
				until := k.Now().AddDate(0, 0, 3)
				k.tx(func(ctx context.Context, tx auth.Tx) error {
					if _, err := tx.ExecContext(ctx, `UPDATE users SET recovers_at = $2 WHERE id = $1`, u.ID, db.Micros(until)); err != nil {
						return err
					}
					return k.Users.SetContact(ctx, tx, u.ID, c.email, c.phone, "")
				})
				k.proved(bob.ID, "email", "bobs@example.com")
				for _, p := range c.proved {
					k.proved(u.ID, map[string]string{"sms": "sms", "email": "email", "gone": "email"}[p[0]], p[1])
					if p[0] == "gone" {
						k.tx(func(ctx context.Context, tx auth.Tx) error {
							_, err := tx.ExecContext(ctx, `UPDATE contacts SET replaced_by = 'another' WHERE destination = $1`, p[1])
							return err
						})
					}
				}
				k.happens(k.at(""), auth.Event{Kind: auth.RecoveryBegan, User: u.ID, Detail: map[string]string{"until": "soon"}})
				var to []string
				for _, m := range k.mails() {
					to = append(to, m.To)
					said := strings.Join(strings.Fields(m.Mail.Text+m.Text), " ")
					if m.name != "notice-recovery-begun" || !strings.Contains(said, until.UTC().Format("2 January 2006")) || !link.MatchString(said) {
						t.Errorf("%s to %s: %s", m.name, m.To, said)
					}
					for _, other := range []string{"example.com", "example.org", "+46", "+49"} {
						if strings.Contains(strings.ReplaceAll(strings.ReplaceAll(said, m.To, ""), "id.example.com", ""), other) {
							t.Errorf("to %s it says %s: %s", m.To, other, said)
						}
					}
				}
				slices.Sort(to)
				if got := strings.Join(to, " "); got != c.want {
					t.Errorf("told %q, want %q", got, c.want)
				}
			})
		})
	}
}

// Neither other notices nor many of these leave one out.
func TestALossIsToldWhateverElseWas(t *testing.T) {
	each(t, func(t *testing.T, k *desk) {
		u := k.person("ann", auth.Member)
		for range 40 {
			k.happens(k.at(""), auth.Event{Kind: auth.PasswordChanged, User: u.ID})
		}
		for range 5 {
			k.happens(k.at(""), auth.Event{Kind: auth.RecoveryBegan, User: u.ID})
		}
		n := 0
		for _, m := range k.mails() {
			if m.name == "notice-recovery-begun" {
				n++
			}
		}
		if n != 5 {
			t.Error(n)
		}
	})
}
