package policy_test

import (
	"testing"

	"sallyport/internal/policy"
)

// R1, R5
func TestMayTrustFollowsASecondStep(t *testing.T) {
	for name, c := range map[string]struct {
		facts policy.Facts
		want  bool
	}{
		"nothing":                                   {facts(trust(30)), false},
		"the password alone":                        {facts(trust(30), password), false},
		"the password twice":                        {facts(trust(30), password, password), false},
		"a code alone":                              {facts(trust(30), code), false},
		"password and code":                         {facts(trust(30), password, code), true},
		"where no browser is trusted":               {facts(trust(0), password, code), false},
		"a code of a kind that does not count":      {facts(trust(30), counts(key), password, code), false},
		"where nothing counts":                      {facts(trust(30), counts(), password, code), false},
		"a passkey that is two by itself":           {facts(trust(30), counts(key), unlocked), false},
		"password and passkey":                      {facts(trust(30), counts(key), password, unlocked), true},
		"password and a touch":                      {facts(trust(30), counts(key), password, touched), true},
		"a touch and a code":                        {facts(trust(30), counts(key, app), touched, code), true},
		"password and a code by mail":               {facts(trust(30), counts(mail), password, mailed), true},
		"a code by mail and the password":           {facts(trust(30), counts(mail), mailed, password), true},
		"the same where mail is no factor":          {facts(trust(30), mailed, password), false},
		"mail to an address that was never proved":  {facts(trust(30), counts(mail), unproved, password), false},
		"a backup code":                             {facts(trust(30), counts(app, spare), password, scratched), true},
		"what others gave":                          {facts(trust(30), mayGive(given), password, passed), false},
		"what others gave, though it is a factor":   {facts(trust(30), counts(app, given), password, passed), false},
		"what stands in, sent by mail":              {facts(trust(30), mayGive(mail), password, reached), false},
		"a code beside nothing but what was given":  {facts(trust(30), mayGive(given), passed, code), false},
		"password and code beside what was given":   {facts(trust(30), mayGive(given), password, passed, code), true},
		"a proof worth nothing beside the password": {facts(trust(30), counts(mail), password, worth0), false},
	} {
		if got := policy.MayTrust(c.facts); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
