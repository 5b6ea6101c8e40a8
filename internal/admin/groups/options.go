package groups

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/factor/backupcode"
	"sallyport/internal/factor/onetime"
	"sallyport/internal/factor/passkey"
	"sallyport/internal/factor/totp"
	"sallyport/internal/policy"
	"sallyport/internal/web"
)

// Options are what a level asks for, as the form and the command line say it. The zero value asks for nothing: what
// stands above decides.
type Options struct {
	Require  bool     `json:"require" doc:"everybody uses a second step"`
	When     string   `json:"when,omitempty" enum:"next,once" doc:"whom it meets: sign-ins from now on, or live sessions too"`
	Factors  string   `json:"factors,omitempty" enum:"strong,passkey,own" doc:"which count; empty: what the level above accepts"`
	Kinds    []string `json:"kinds,omitempty" doc:"with own: these"`
	Channels string   `json:"channels,omitempty" enum:"email,sms,none" doc:"that codes may go by; empty: as above"`
	Passkeys string   `json:"passkeys,omitempty" enum:"use only,disabled" doc:"empty: as above"`
	Grace    int      `json:"grace_days,omitempty" doc:"how long somebody without a factor may go on"`
	Trust    string   `json:"trust,omitempty" doc:"days that a browser may be trusted; none: it may not; empty: as above"`
}

// The words of Options.
const (
	next, once         = "next", "once"
	strong, alone, own = "strong", "passkey", "own"
	none               = "none"
	useOnly, disabled  = "use only", "disabled"
)

const day = 24 * time.Hour

// presets are the accepted factors that have a name. Backup codes stand in for an authenticator; for a passkey they would
// be what somebody can be talked out of.
var presets = map[string][]auth.Kind{
	strong: {passkey.Kind, totp.Kind, backupcode.Kind},
	alone:  {passkey.Kind},
}

// among are the kinds of a preset that count, in the order in which the rules name them.
func among(r policy.Rules, some []auth.Kind) []auth.Kind {
	return slices.DeleteFunc(slices.Clone(r.Factors), func(k auth.Kind) bool { return !slices.Contains(some, k) })
}

// level is what the options ask for beneath some rules. Since is kept as long as the same is required: it is set when it
// becomes required, and anew when what is accepted gets stricter with “At once”, so that whoever signed in by what counts
// no more is asked, too.
func (o Options) level(above policy.Rules, was policy.Level, now time.Time) (l policy.Level, err error) {
	l = policy.Level{Name: was.Name, Group: was.Group}
	switch o.When {
	case "", next, once:
	default:
		return l, auth.InvalidError{Field: "when", Why: "must be next or once"}
	}
	if o.Require {
		l.MFA, l.AtOnce, l.Grace, l.Since = policy.Required, o.When == once, time.Duration(o.Grace)*day, was.Since
	}
	switch o.Factors {
	case "":
	case strong, alone:
		l.Factors = among(above, presets[o.Factors])
	case own:
		for _, k := range o.Kinds {
			if !slices.Contains(l.Factors, auth.Kind(k)) {
				l.Factors = append(l.Factors, auth.Kind(k))
			}
		}
		if len(l.Factors) == 0 {
			return l, auth.InvalidError{Field: "kinds", Why: "has none: accept at least one"}
		}
	default:
		return l, auth.InvalidError{Field: "factors", Why: "must be strong, passkey or own"}
	}
	if err := o.refuse(&l); err != nil {
		return l, err
	}
	if o.Trust == none {
		l.Trust = policy.Trust{Set: true}
	} else if o.Trust != "" {
		days, err := strconv.Atoi(o.Trust)
		if err != nil || days < 1 || days > 365 {
			return l, auth.InvalidError{Field: "trust", Why: "must be 1 to 365 days, or none"}
		}
		l.Trust = policy.Trust{Set: true, For: time.Duration(days) * day}
	}
	if o.Require && (was.MFA != policy.Required || l.AtOnce && stricter(above, was, l)) {
		l.Since = now
	}
	return l, nil
}

// refuse notes the channels and passkeys that do not count.
func (o Options) refuse(l *policy.Level) error {
	switch o.Channels {
	case "":
	case "email":
		l.Refused = []auth.Kind{onetime.SMS}
	case "sms":
		l.Refused = []auth.Kind{onetime.Email}
	case none:
		l.Refused = []auth.Kind{onetime.Email, onetime.SMS}
	default:
		return auth.InvalidError{Field: "channels", Why: "must be email, sms or none"}
	}
	switch o.Passkeys {
	case "":
	case useOnly:
		l.Closed = []auth.Kind{passkey.Kind}
	case disabled:
		l.Refused = append(l.Refused, passkey.Kind)
	default:
		return auth.InvalidError{Field: "passkeys", Why: "must be use only or disabled"}
	}
	l.Factors = slices.DeleteFunc(l.Factors, func(k auth.Kind) bool { return slices.Contains(l.Refused, k) })
	if l.Factors != nil && len(l.Factors) == 0 {
		return auth.InvalidError{Field: "factors", Why: "has only what is switched off below it: accept at least one"}
	}
	return nil
}

// stricter is true if something counted before that does not now.
func stricter(above policy.Rules, was, now policy.Level) bool {
	before, after := above.Under(was), above.Under(now)
	lost := func(k auth.Kind) bool { return !slices.Contains(after.Factors, k) }
	return slices.ContainsFunc(before.Factors, lost) || after.Trust < before.Trust
}

// optionsOf is the way back.
func optionsOf(above policy.Rules, l policy.Level) Options {
	o := Options{Require: l.MFA == policy.Required, When: next, Grace: int(l.Grace / day)}
	if l.AtOnce {
		o.When = once
	}
	has := func(some []auth.Kind, k auth.Kind) bool { return slices.Contains(some, k) }
	for _, name := range []string{alone, strong} {
		if o.Factors == "" && l.Factors != nil && slices.Equal(l.Factors, among(above, presets[name])) {
			o.Factors = name
		}
	}
	if o.Factors == "" && l.Factors != nil {
		o.Factors = own
	}
	for _, k := range l.Factors {
		o.Kinds = append(o.Kinds, string(k))
	}
	switch {
	case has(l.Refused, onetime.Email) && has(l.Refused, onetime.SMS):
		o.Channels = none
	case has(l.Refused, onetime.Email):
		o.Channels = "sms"
	case has(l.Refused, onetime.SMS):
		o.Channels = "email"
	}
	switch {
	case has(l.Refused, passkey.Kind):
		o.Passkeys = disabled
	case has(l.Closed, passkey.Kind):
		o.Passkeys = useOnly
	}
	if l.Trust.Set {
		if o.Trust = none; l.Trust.For > 0 {
			o.Trust = strconv.Itoa(int(l.Trust.For / day))
		}
	}
	return o
}

// A Form is what can be chosen: nothing but what is stricter than what stands above.
type Form struct {
	Required                                  string // the level above that requires a second step already
	Factors, Channels, Passkeys, Grace, Trust []web.Option
	Kinds                                     []Kind
}

// A Kind is a factor to tick.
type Kind struct {
	Kind  auth.Kind
	Title string
	Hint  string
}

// formOf offers what the rules above leave open. Chosen is offered in any case: it stands there.
func (g *Groups) formOf(above policy.Rules, chosen Options, group bool) Form {
	byDefault := " (configured)"
	if group {
		byDefault = " (instance default)"
	}
	has := func(k auth.Kind) bool { return slices.Contains(above.Factors, k) }
	var f Form
	if above.MFA == policy.Required {
		f.Required = cmp.Or(above.Source.MFA, policy.Configured)
	}
	own1 := slices.DeleteFunc(slices.Clone(above.Factors), func(k auth.Kind) bool { return k == backupcode.Kind })
	weaker := func(some []auth.Kind) bool {
		return slices.ContainsFunc(own1, func(k auth.Kind) bool { return !slices.Contains(some, k) })
	}
	f.Factors = []web.Option{{Text: "Any" + byDefault}}
	if (has(passkey.Kind) && has(totp.Kind)) && weaker(presets[strong]) || chosen.Factors == strong {
		f.Factors = append(f.Factors, web.Option{Value: strong, Text: "Passkey or authenticator"})
	}
	if has(passkey.Kind) && weaker(presets[alone]) || chosen.Factors == alone {
		f.Factors = append(f.Factors, web.Option{Value: alone, Text: "A passkey"})
	}
	f.Factors = append(f.Factors, web.Option{Value: own, Text: "My own choice"})
	for _, k := range above.Factors {
		one := Kind{Kind: k, Title: g.title(k)}
		if k == backupcode.Kind {
			one.Hint = "They stand in for the others, once each."
		}
		f.Kinds = append(f.Kinds, one)
	}
	f.Channels = channels(has(onetime.Email), has(onetime.SMS), byDefault, chosen.Channels)
	switch {
	case !has(passkey.Kind):
	case slices.Contains(above.Closed, passkey.Kind):
		f.Passkeys = []web.Option{{Text: "Use only" + byDefault}, {Value: disabled, Text: "Disabled"}}
	default:
		f.Passkeys = []web.Option{{Text: "Enabled" + byDefault}, {Value: useOnly, Text: "Use only"}, {Value: disabled, Text: "Disabled"}}
	}
	longest := 365
	for _, l := range above.Levels {
		if l.MFA == policy.Required {
			longest = min(longest, int(l.Grace/day))
		}
	}
	f.Grace = []web.Option{{Value: "0", Text: "None"}}
	for _, n := range withOne([]int{1, 3, 7, 14, 30, 60, 90}, chosen.Grace) {
		if n <= longest || n == chosen.Grace {
			f.Grace = append(f.Grace, web.Option{Value: strconv.Itoa(n), Text: days(n)})
		}
	}
	most := int(above.Trust / day)
	f.Trust = []web.Option{{Text: trustWords(above.Trust) + byDefault}}
	set, _ := strconv.Atoi(chosen.Trust)
	for _, n := range withOne([]int{1, 7, 14, 30, 90}, set) {
		if n < most || n == set {
			f.Trust = append(f.Trust, web.Option{Value: strconv.Itoa(n), Text: days(n)})
		}
	}
	if most > 0 || chosen.Trust == none {
		f.Trust = append(f.Trust, web.Option{Value: none, Text: "Not allowed"})
	}
	return f
}

func channels(mail, sms bool, byDefault, chosen string) []web.Option {
	var some []web.Option
	switch {
	case mail && sms:
		some = []web.Option{{Text: "Both" + byDefault}, {Value: "email", Text: "Email only"}, {Value: "sms", Text: "SMS only"}}
	case mail:
		some = []web.Option{{Text: "Email" + byDefault}}
	case sms:
		some = []web.Option{{Text: "SMS" + byDefault}}
	default:
		return nil
	}
	return append(some, web.Option{Value: none, Text: "No codes"})
}

// withOne is a list of numbers with another at its place.
func withOne(some []int, one int) []int {
	if one > 0 && !slices.Contains(some, one) {
		some = append(some, one)
	}
	slices.Sort(some)
	return some
}

func days(n int) string {
	if n == 1 {
		return "1 day"
	}
	return strconv.Itoa(n) + " days"
}

func trustWords(d time.Duration) string {
	if d <= 0 {
		return "Not allowed"
	}
	return days(int(d / day))
}

// words say what a level asks for, one for each thing that it decides, for the record and the command line.
func (g *Groups) words(l policy.Level) map[string]string {
	w := map[string]string{"second step": "as above", "accepted": "as above", "trusted browsers": "as above", "passkeys": "as above", "codes": "as above"}
	if l.MFA != "" {
		w["second step"] = string(l.MFA) + " from the next sign-in"
		if l.AtOnce {
			w["second step"] = string(l.MFA) + " at once"
		}
		if l.Grace > 0 {
			w["second step"] += ", with " + days(int(l.Grace/day)) + " to set it up"
		}
	}
	if l.Factors != nil {
		var titles []string
		for _, k := range l.Factors {
			titles = append(titles, g.title(k))
		}
		w["accepted"] = strings.Join(titles, ", ")
	}
	o := optionsOf(policy.Rules{}, l)
	if o.Channels != "" {
		w["codes"] = map[string]string{"email": "by email only", "sms": "by SMS only", none: "not accepted"}[o.Channels]
	}
	w["passkeys"] = cmp.Or(o.Passkeys, w["passkeys"])
	if l.Trust.Set {
		w["trusted browsers"] = strings.ToLower(trustWords(l.Trust.For))
	}
	return w
}

// Words say all that a level asks for.
func (g *Groups) Words(l policy.Level) string {
	return cmp.Or(g.changed(policy.Level{}, l), "nothing of its own")
}

// changed is what is different between two levels, in plain words.
func (g *Groups) changed(was, now policy.Level) string {
	var some []string
	before, after := g.words(was), g.words(now)
	for _, what := range []string{"second step", "accepted", "codes", "passkeys", "trusted browsers"} {
		if before[what] != after[what] {
			some = append(some, fmt.Sprintf("%s: %s", what, after[what]))
		}
	}
	return strings.Join(some, "; ")
}
