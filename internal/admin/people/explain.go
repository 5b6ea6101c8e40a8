package people

import (
	"context"
	"errors"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/factor/passkey"
	"sallyport/internal/factor/password"
	"sallyport/internal/policy"
	"sallyport/internal/roster"
	"sallyport/internal/web"
)

// How somebody would sign in: with their password or a passkey, in a browser that they trust or a new one.
type How struct {
	Via     auth.Kind
	Trusted bool
}

// An Explanation is what a sign-in would ask for now, and who says so.
type Explanation struct {
	Via     auth.Kind    `json:"via" enum:"password,passkey"`
	Trusted bool         `json:"trusted_browser"`
	Need    policy.Need  `json:"need" enum:"nothing,second factor,enrolment,help,denied" doc:"what it asks for after that"`
	Factors []auth.Offer `json:"factors,omitempty" doc:"any of which would do: to use, or to enrol"`
	Says    string       `json:"says" doc:"in words"`
	Level   string       `json:"level,omitempty" doc:"of policy, that decides it"`
	Due     *time.Time   `json:"due_at,omitempty" doc:"until then nothing is asked for; then something must be set up"`
}

// byAdmin is the level of what an administrator chose for one person.
const byAdmin = "set by an administrator on this person"

// Explain asks policy itself, with the facts that a sign-in would give it.
func (p *People) Explain(ctx context.Context, from auth.Reader, u auth.User, how How) (Explanation, error) {
	e := Explanation{Via: how.Via, Trusted: how.Trusted}
	proof, err := p.proof(ctx, from, u, how.Via)
	if errors.Is(err, auth.ErrNotFound) {
		e.Need, e.Says = policy.Denied, "They have no "+p.called(how.Via)+" that works here."
		return e, nil
	}
	if err != nil {
		return e, err
	}
	f, err := p.facts(ctx, from, u, []auth.Proof{proof})
	if err != nil {
		return e, err
	}
	f.Trusted = how.Trusted
	e.say(f, policy.Next(f), web.Enrollers(p.Roster.Second(), u, f.Rules), web.Signs(p.Roster.Second()...))
	return e, nil
}

// proof is what the right response would prove, or auth.ErrNotFound if there is none.
func (p *People) proof(ctx context.Context, from auth.Reader, u auth.User, via auth.Kind) (auth.Proof, error) {
	if via == password.Kind {
		return p.Passwords.Proof(ctx, from, u.ID)
	}
	f, err := p.Roster.Facts(ctx, from, u, nil)
	if err != nil {
		return auth.Proof{}, err
	}
	for _, e := range roster.Of(passkey.Kind, f.Enrolled) {
		if e.State == auth.Usable && via == passkey.Kind {
			return auth.Proof{Kind: passkey.Kind, Enrolment: e.ID, Level: auth.MultiFactor, At: f.Now}, nil
		}
	}
	return auth.Proof{}, auth.ErrNotFound
}

// say puts the decision into words.
func (e *Explanation) say(f policy.Facts, step policy.Step, may []web.Enroller, signs map[auth.Kind]web.Sign) {
	e.Need, e.Factors, e.Level = step.Need, roster.Offers(step.Accepts), f.Rules.Source.MFA
	if f.User.Method != auth.AnyMethod {
		e.Level = byAdmin
	}
	if policy.MFAOf(f) == policy.Optional {
		e.Level = "their own choice"
	}
	switch step.Need {
	case policy.Nothing:
		e.nothing(f, step)
	case policy.Second:
		e.Says = "A second step: " + either(e.Factors, signs) + "."
	case policy.Enrolling:
		for _, one := range may {
			e.Factors = append(e.Factors, auth.Offer{Kind: one.Kind(), Name: one.Prompt().Title})
		}
		if e.Says = "To set up a second step before anything else: " + either(e.Factors, signs) + "."; len(may) == 0 {
			e.Says = "To set up a second step, and there is nothing that they could set up: they are locked out."
		}
	case policy.Blocked:
		e.Level, e.Says = "", "Nothing lets them in: their second step cannot be used now, and nothing weaker may take its place."
	case policy.Denied:
		e.Level, e.Says = "", "Nothing lets them in."
		if f.User.Disabled {
			e.Says = "Nothing lets them in: they are disabled."
		}
	}
}

// nothing says why no second step is asked for.
func (e *Explanation) nothing(f policy.Facts, step policy.Step) {
	switch mfa := policy.MFAOf(f); {
	case mfa == policy.Off:
		e.Level, e.Says = f.Rules.Source.MFA, "Nothing more: MFA is off here."
	case policy.LevelOf(f.Proofs) >= auth.MultiFactor:
		e.Level, e.Says = "", "Nothing more: a passkey is two factors by itself."
	case !step.Due.IsZero():
		e.Due = &step.Due
		e.Says = "Nothing more until " + step.Due.UTC().Format("2 January 2006, 15:04 MST") + ". From then on they must set up a second step."
	case mfa == policy.Optional && !policy.IsOn(f) && f.User.MFAOff:
		e.Says = "Nothing more: they switched MFA off."
	case mfa == policy.Optional && !policy.IsOn(f):
		e.Says = "Nothing more: they have set up no second step."
	case f.Trusted:
		e.Level, e.Says = f.Rules.Source.Trust, "Nothing more: a trusted browser is not asked for a second step, for "+days(f.Rules.Trust)+"."
	default:
		e.Says = "Nothing more."
	}
}

func either(some []auth.Offer, signs map[auth.Kind]web.Sign) string {
	var names []string
	for _, o := range some {
		name := signs[o.Kind].Title
		if o.Name != name {
			name = strings.TrimSpace(name + " " + o.Name)
		}
		names = append(names, name)
	}
	return strings.Join(names, " or ")
}
