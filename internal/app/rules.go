package app

import (
	"cmp"
	"errors"
	"net/url"
	"runtime"
	"slices"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/factor/accesspass"
	"sallyport/internal/factor/backupcode"
	"sallyport/internal/factor/onetime"
	"sallyport/internal/factor/passkey"
	"sallyport/internal/factor/totp"
	"sallyport/internal/policy"
	"sallyport/internal/secret"
)

// Rules are the policy of a configuration.
func Rules(c config.Config) policy.Rules {
	p := c.Policy
	const day = 24 * time.Hour
	r := policy.Rules{
		MFA: policy.MFA(p.MFA), Closed: []auth.Kind{backupcode.Kind}, Given: []auth.Kind{accesspass.Kind},
		Grace: time.Duration(p.GraceDays) * day, LastFactor: policy.LastFactor(p.LastFactor), StepUp: time.Duration(p.StepUpMinutes) * time.Minute,
		Trust: time.Duration(p.TrustDays) * day, Recovery: time.Duration(p.RecoveryDays) * day,
	}
	if c.Passkeys.Use != string(passkey.Enabled) {
		r.Closed = append(r.Closed, passkey.Kind)
	}
	for _, f := range p.Factors {
		if auth.Kind(f) == passkey.Kind && c.Passkeys.Use == string(passkey.Disabled) {
			continue
		}
		r.Factors = append(r.Factors, auth.Kind(f))
	}
	for _, way := range p.Recovery {
		r.Given, r.Ways = append(r.Given, auth.Kind(way)), append(r.Ways, auth.Kind(way))
	}
	return r
}

// checkRules refuses a policy that nobody could satisfy, or that would let passwords alone open what had a second step.
func checkRules(c config.Config, rules policy.Rules) error {
	if err := rules.Check([]auth.Kind{passkey.Kind, totp.Kind, onetime.Email, onetime.SMS, backupcode.Kind}); err != nil {
		return err
	}
	own := slices.ContainsFunc(rules.Factors, func(k auth.Kind) bool { return k != backupcode.Kind })
	switch {
	case rules.MFA == policy.Off || own || len(c.Policy.Factors) == 0:
		return nil
	case slices.Contains(c.Policy.Factors, string(passkey.Kind)):
		return errors.New("passkeys.use is disabled and policy.factors names nothing else, so passwords alone would open the accounts of people with passkeys: name another factor, or set policy.mfa to off")
	}
	return errors.New("policy.factors names backupcode alone, which only stands in for another factor: name one")
}

// party is who we are to authenticators.
func party(c config.Config, site *url.URL) passkey.Party {
	return passkey.Party{ID: cmp.Or(c.Passkeys.RPID, site.Hostname()), Name: c.Site.Name, Origin: site.String(),
		Related: c.Passkeys.RelatedOrigins}
}

// passkeyRules are what a configuration says of passkeys. Where they do not count as a factor, there are none.
func passkeyRules(c config.Config) passkey.Rules {
	k := c.Passkeys
	r := passkey.Rules{Use: passkey.Use(k.Use), AtSignIn: k.AddAt == "signin", AlsoPassword: k.AlsoPassword, TurnsMFAOn: k.TurnsMFAOn, Offers: k.Offer,
		Allowed: k.AllowedAAGUIDs, Denied: k.DeniedAAGUIDs, Metadata: k.Metadata, Root: k.MetadataRoot}
	if !slices.Contains(c.Policy.Factors, string(passkey.Kind)) {
		r.Use = passkey.Disabled
	}
	return r
}

// least is how long a password must be. Source: security.md, "Passwords": longer where it alone signs in.
func least(m policy.MFA) int {
	switch m {
	case policy.Off:
		return 15
	case policy.Required:
		return 8
	}
	return 12
}

// hashWait is how long a sign-in may wait for its turn to be hashed.
const hashWait = time.Second

func hasher(c config.Password, served func() int64) *secret.Hasher {
	slots := c.AtOnce
	if slots == 0 {
		slots = runtime.NumCPU()
	}
	return secret.NewHasher(secret.Params{Memory: uint32(c.MemoryKiB), Passes: uint32(c.Iterations), Lanes: 1}, slots, hashWait, served)
}

func codeRules(c config.Config) onetime.Rules {
	return onetime.Rules{Delivery: onetime.Delivery(c.Codes.Delivery), Countries: c.SMS.Countries, Email: c.Mail.PerHour, SMS: c.SMS.PerHour}
}
