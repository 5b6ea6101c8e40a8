package policy_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
)

const day = 24 * time.Hour

// under makes the rules of some facts stricter. The instance comes first, where there are two levels.
func under(levels ...policy.Level) fact {
	return func(f *policy.Facts) { f.Rules = f.Rules.Under(levels...) }
}

func trusts(days int) policy.Trust { return policy.Trust{Set: true, For: time.Duration(days) * day} }

// W1, W2: the strictest of configuration, instance and workgroup wins, each setting by itself, and it is known whose it is.
func TestTheStrictestLevelWins(t *testing.T) {
	both := []auth.Kind{key, app, mail}
	for name, c := range map[string]struct {
		file      policy.Rules
		levels    []policy.Level
		mfa, by   string
		factors   []auth.Kind
		trust     int
		addable   []auth.Kind
		sourceOfT string
	}{
		"nothing is said":                     {policy.Rules{MFA: policy.Optional, Factors: both, Trust: 30 * day}, []policy.Level{{}, {}}, "optional", policy.Configured, both, 30, both, policy.Configured},
		"a workgroup requires it":             {policy.Rules{MFA: policy.Optional, Factors: both}, []policy.Level{{}, {Name: "group", MFA: policy.Required}}, "required", "group", both, 0, both, policy.Configured},
		"a workgroup requires it where off":   {policy.Rules{MFA: policy.Off, Factors: both}, []policy.Level{{}, {Name: "group", MFA: policy.Required}}, "required", "group", both, 0, both, policy.Configured},
		"a workgroup cannot take that back":   {policy.Rules{MFA: policy.Required, Factors: both}, []policy.Level{{}, {Name: "group", MFA: policy.Optional}}, "required", policy.Configured, both, 0, both, policy.Configured},
		"nor what the instance asks":          {policy.Rules{MFA: policy.Off, Factors: both}, []policy.Level{{Name: "instance", MFA: policy.Required}, {Name: "group", MFA: policy.Off}}, "required", "instance", both, 0, both, policy.Configured},
		"a rule nobody knows is not softened": {policy.Rules{MFA: "sometimes", Factors: both}, []policy.Level{{Name: "group", MFA: policy.Optional}}, "sometimes", policy.Configured, both, 0, both, policy.Configured},
		"nor is one of a level":               {policy.Rules{MFA: policy.Optional, Factors: both}, []policy.Level{{Name: "instance", MFA: "perhaps"}, {Name: "group", MFA: policy.Off}}, "perhaps", "instance", both, 0, both, policy.Configured},
		"factors are those that all accept":   {policy.Rules{MFA: policy.Optional, Factors: both}, []policy.Level{{Factors: []auth.Kind{key, app}}, {Factors: []auth.Kind{app, mail}}}, "optional", policy.Configured, []auth.Kind{app}, 0, []auth.Kind{app}, policy.Configured},
		"no level accepts what is not there":  {policy.Rules{MFA: policy.Optional, Factors: []auth.Kind{app}}, []policy.Level{{Factors: both}}, "optional", policy.Configured, []auth.Kind{app}, 0, []auth.Kind{app}, policy.Configured},
		"a channel is refused":                {policy.Rules{MFA: policy.Optional, Factors: both}, []policy.Level{{}, {Refused: []auth.Kind{mail}}}, "optional", policy.Configured, []auth.Kind{key, app}, 0, []auth.Kind{key, app}, policy.Configured},
		"passkeys for use only":               {policy.Rules{MFA: policy.Optional, Factors: both}, []policy.Level{{Closed: []auth.Kind{key}}}, "optional", policy.Configured, both, 0, []auth.Kind{app, mail}, policy.Configured},
		"trust is shortened":                  {policy.Rules{MFA: policy.Optional, Factors: both, Trust: 30 * day}, []policy.Level{{Trust: trusts(60)}, {Name: "group", Trust: trusts(7)}}, "optional", policy.Configured, both, 7, both, "group"},
		"and forbidden":                       {policy.Rules{MFA: policy.Optional, Factors: both, Trust: 30 * day}, []policy.Level{{Name: "instance", Trust: trusts(0)}, {Trust: trusts(7)}}, "optional", policy.Configured, both, 0, both, "instance"},
		"what is forbidden stays so":          {policy.Rules{MFA: policy.Optional, Factors: both}, []policy.Level{{Trust: trusts(7)}}, "optional", policy.Configured, both, 0, both, policy.Configured},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.file.Under(c.levels...)
			if string(got.MFA) != c.mfa || got.Source.MFA != c.by {
				t.Errorf("mfa %s by %s", got.MFA, got.Source.MFA)
			}
			if !slices.Equal(got.Factors, c.factors) || !slices.Equal(got.Addable(), c.addable) {
				t.Errorf("factors %v, of which can be added %v", got.Factors, got.Addable())
			}
			if got.Trust != time.Duration(c.trust)*day || got.Source.Trust != c.sourceOfT {
				t.Errorf("trust %v by %s", got.Trust, got.Source.Trust)
			}
			again := c.file
			for _, l := range c.levels {
				again = again.Under(l)
			}
			if again.MFA != got.MFA || again.Source != got.Source || !slices.Equal(again.Factors, got.Factors) {
				t.Error("one by one they give something else")
			}
		})
	}
}

// W1, W3: what a workgroup asks goes before a person's own choice, and is gone with it.
func TestAWorkgroupOverridesAPersonsChoice(t *testing.T) {
	requires := policy.Level{MFA: policy.Required}
	onlyKeys := policy.Level{MFA: policy.Required, Factors: []auth.Kind{key}}
	for name, c := range map[string]struct {
		facts policy.Facts
		need  policy.Need
	}{
		"who switched it off is asked":                   {facts(under(requires), switchedOff, password, phone), policy.Second},
		"and not any more once that is gone":             {facts(under(policy.Level{}), switchedOff, password, phone), policy.Nothing},
		"who has nothing sets one up":                    {facts(under(requires), password), policy.Enrolling},
		"what counts no more is shown once more":         {facts(counts(app, key), under(onlyKeys), password, phone), policy.Second},
		"also where it is optional":                      {facts(counts(app, key), under(policy.Level{Factors: []auth.Kind{key}}), password, phone), policy.Second},
		"and in a trusted browser":                       {facts(counts(app, key), trust(30), under(onlyKeys), password, phone), policy.Second},
		"within a grace period that will do":             {facts(counts(app, key), under(policy.Level{MFA: policy.Required, Factors: []auth.Kind{key}, Since: now, Grace: day}), password, code, phone), policy.Nothing},
		"but not the password alone":                     {facts(counts(app, key), under(policy.Level{MFA: policy.Required, Factors: []auth.Kind{key}, Since: now, Grace: day}), password, phone), policy.Second},
		"and then replaced":                              {facts(counts(app, key), under(onlyKeys), password, code, phone), policy.Enrolling},
		"what the configuration dropped is not":          {facts(counts(key), under(onlyKeys), password, phone), policy.Enrolling},
		"a code by mail that counts no more, too":        {facts(counts(mail, key), under(onlyKeys), password, inbox), policy.Second},
		"what is blocked is no way around it":            {facts(counts(mail, key), under(onlyKeys), password, blocked), policy.Blocked},
		"a browser that may not be trusted is asked":     {facts(trust(30), under(policy.Level{Trust: trusts(0)}), password, phone), policy.Second},
		"one that may be is not":                         {facts(trust(30), under(policy.Level{Trust: trusts(7)}), password, phone), policy.Nothing},
		"a passkey that does not count here is not both": {facts(counts(app, key), under(policy.Level{MFA: policy.Required, Refused: []auth.Kind{key}}), unlocked, phone), policy.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if got := policy.Next(c.facts); got.Need != c.need {
				t.Errorf("needs %s, want %s", got.Need, c.need)
			}
		})
	}
}

// W2, W3: a workgroup's period begins with the administrator's act, or when somebody comes into it; the shortest holds.
func TestAGracePeriodOfAWorkgroupIsOneForAll(t *testing.T) {
	since := func(ago time.Duration, grace int) policy.Level {
		return policy.Level{MFA: policy.Required, Since: now.Add(-ago), Grace: time.Duration(grace) * day}
	}
	group := func(l policy.Level) policy.Level { l.Group = true; return l }
	joined := fact(func(f *policy.Facts) { f.User.Joined = now.Add(-time.Hour) })
	for name, c := range map[string]struct {
		facts policy.Facts
		due   time.Duration // from now; 0: it is over
	}{
		"it runs":                            {facts(under(since(day, 7)), password), 6 * day},
		"it is over":                         {facts(under(since(7*day, 7)), password), 0},
		"there is none":                      {facts(under(since(0, 0)), password), 0},
		"it is not a matter of first visits": {facts(under(since(day, 7)), due(time.Hour), password), 6 * day},
		"who came later has as long":         {facts(under(group(since(30*day, 7))), joined, password), 7*day - time.Hour},
		"who came to the instance before":    {facts(under(since(30*day, 7)), joined, password), 0},
		"the shorter of two":                 {facts(under(since(day, 7), group(since(day, 3))), password), 2 * day},
		"the configuration's is shorter":     {facts(required, grace(1), under(since(0, 7)), password), day},
		"the configuration has none":         {facts(required, under(since(0, 7)), password), 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := policy.Next(c.facts)
			if c.due == 0 {
				if got.Need != policy.Enrolling {
					t.Error("needs ", got.Need)
				}
				return
			}
			if got.Need != policy.Nothing || !got.Due.Equal(now.Add(c.due)) || !policy.Due(c.facts).Equal(got.Due) {
				t.Errorf("needs %s until %v, and page says %v", got.Need, got.Due.Sub(now), policy.Due(c.facts).Sub(now))
			}
		})
	}
}

// W4: a level under which people could not sign in is refused, and so is one that leaves the password alone.
func TestALevelThatNobodyCouldLiveByIsRefused(t *testing.T) {
	rules := policy.Rules{MFA: policy.Optional, Factors: []auth.Kind{key, app, spare}, Closed: []auth.Kind{spare}, LastFactor: policy.Refuse}
	for name, c := range map[string]struct {
		level policy.Level
		code  string
	}{
		"nothing":                               {policy.Level{}, ""},
		"required":                              {policy.Level{MFA: policy.Required}, ""},
		"a passkey alone":                       {policy.Level{MFA: policy.Required, Factors: []auth.Kind{key}}, ""},
		"no passkeys":                           {policy.Level{MFA: policy.Required, Refused: []auth.Kind{key}}, ""},
		"passkeys alone, and none can be added": {policy.Level{MFA: policy.Required, Factors: []auth.Kind{key}, Closed: []auth.Kind{key}}, "nothing-to-set-up"},
		"the same where it is optional":         {policy.Level{Factors: []auth.Kind{key}, Closed: []auth.Kind{key}}, "nothing-to-set-up"},
		"no factor is left":                     {policy.Level{Refused: []auth.Kind{key, app}}, "no-factor-counts"},
		"backup codes alone":                    {policy.Level{Factors: []auth.Kind{spare}}, "no-factor-counts"},
		"an empty list":                         {policy.Level{Factors: []auth.Kind{}}, "no-factor-counts"},
		"a factor that is not used here":        {policy.Level{Factors: []auth.Kind{mail}}, "factors"},
		"an unknown rule":                       {policy.Level{MFA: "always"}, "mfa"},
		"a grace period that is none":           {policy.Level{Grace: -1}, "grace_days"},
		"trust for ever":                        {policy.Level{Trust: trusts(366)}, "trust_days"},
	} {
		t.Run(name, func(t *testing.T) {
			err := rules.Bears(c.level, spare)
			var no auth.ConflictError
			var wrong auth.InvalidError
			switch {
			case c.code == "" && err != nil:
				t.Error(err)
			case c.code != "" && !(errors.As(err, &no) && no.Code == c.code || errors.As(err, &wrong) && wrong.Field == c.code):
				t.Errorf("%v, want %s", err, c.code)
			}
		})
	}
}

// A3, A5: nobody acts upward, and whoever looks after a workgroup knows nobody else.
func TestNobodyActsUpward(t *testing.T) {
	person := func(r auth.Role, w auth.WorkgroupID) auth.User { return auth.User{Role: r, Workgroup: w} }
	for _, actor := range append(slices.Clone(auth.Roles), "", "root") {
		for _, target := range append(slices.Clone(auth.Roles), "", "root") {
			for _, group := range []auth.WorkgroupID{"", "ours", "theirs"} {
				for _, in := range []auth.WorkgroupID{"", "ours"} {
					a, b := person(actor, in), person(target, group)
					at, to := slices.Index(auth.Roles, actor), slices.Index(auth.Roles, target)
					staff := at >= 0 && actor != auth.Member
					near := actor != auth.WorkgroupAdmin || in != "" && in == group
					wider := actor == auth.WorkgroupAdmin && target == auth.Support // they help people of all workgroups
					if may := policy.MayManage(a, b) == nil; may != (staff && near && to >= 0 && at <= to && !wider) {
						t.Errorf("%q of %q manages %q of %q: %v", actor, in, target, group, may)
					}
					if may := policy.MaySee(a, b) == nil; may != (staff && near) {
						t.Errorf("%q of %q sees %q of %q: %v", actor, in, target, group, may)
					}
				}
			}
		}
	}
}

// security R7: what a level took away is still the strongest that somebody has. It steps up, and the password does not.
func TestWhatALevelTookAwayStillStepsUp(t *testing.T) {
	first := []auth.Enrolment{{ID: "password"}}
	onlyKeys := under(policy.Level{Factors: []auth.Kind{key}})
	for name, c := range map[string]struct {
		facts policy.Facts
		by    string
	}{
		"an authenticator":                {facts(counts(app, key), onlyKeys, password, phone), "phone"},
		"that and a passkey":              {facts(counts(app, key), onlyKeys, password, phone, enrolled(key, "stick")), "stick phone"},
		"one the configuration dropped":   {facts(counts(key), onlyKeys, password, phone), "password"},
		"codes by mail are no proof":      {facts(counts(mail, key), onlyKeys, password, inbox), "password"},
		"who showed it may use the other": {facts(counts(app, key), onlyKeys, password, code, phone), "phone password"},
	} {
		if got := policy.StepUp(c.facts, now, first); idsOf(got.Accepts) != c.by {
			t.Errorf("%s: by %q, want %q", name, idsOf(got.Accepts), c.by)
		}
	}
}

// R2: where a mailed code is all that somebody has who looks after others, no browser skips it.
func TestNoBrowserSkipsTheOnlyStepOfAnAdministrator(t *testing.T) {
	for _, r := range auth.Roles {
		as := fact(func(f *policy.Facts) { f.User.Role = r })
		for name, c := range map[string]struct {
			facts policy.Facts
			skips bool
		}{
			"codes by mail":         {facts(counts(app, mail), trust(30), as, password, inbox), r == auth.Member},
			"an authenticator":      {facts(counts(app, mail), trust(30), as, password, phone), true},
			"an authenticator, too": {facts(counts(app, mail), trust(30), as, password, phone, inbox), true},
		} {
			if skips := policy.Next(c.facts).Need == policy.Nothing; skips != c.skips {
				t.Errorf("%s: %s: skips %v", r, name, skips)
			}
		}
		if may := policy.MayTrust(facts(counts(app, mail), trust(30), as, password, mailed)); may != (r == auth.Member) {
			t.Errorf("%s: may trust %v", r, may)
		}
	}
}
