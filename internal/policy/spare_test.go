package policy_test

import (
	"errors"
	"testing"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
)

// B1: what is spare, weak, given or dear, or cannot be used here, is nothing to stand in for.
func TestASpareNeedsSomethingStrongToStandInFor(t *testing.T) {
	stick := enrolled(key, "stick")
	void := fact(func(f *policy.Facts) {
		f.Enrolled = append(f.Enrolled, auth.Enrolment{ID: "old", Kind: app, State: auth.Void})
	})
	all := counts(app, key, mail, spare)
	for name, c := range map[string]struct {
		facts policy.Facts
		may   bool
	}{
		"an authenticator":                     {facts(all, phone), true},
		"a passkey":                            {facts(all, stick), true},
		"one among others":                     {facts(all, void, inbox, sheet, phone), true},
		"MFA is off for all":                   {facts(all, off, phone), true},
		"they switched it off":                 {facts(all, switchedOff, phone), true},
		"nothing":                              {facts(all), false},
		"codes by mail":                        {facts(all, inbox), false},
		"codes by mail that are blocked":       {facts(all, blocked), false},
		"codes by SMS":                         {facts(all, dear), false},
		"codes by mail and SMS":                {facts(all, inbox, dear), false},
		"another sheet":                        {facts(all, sheet), false},
		"an access pass":                       {facts(all, mayGive(given), pass), false},
		"one after a reset":                    {facts(all, mayGive(given), resetPass), false},
		"the address of the account":           {facts(all, mayGive(mail), address), false},
		"a passkey that nobody asked for":      {facts(all, quiet), false},
		"a passkey for a domain of old":        {facts(all, void), false},
		"an authenticator that counts no more": {facts(counts(key, spare), phone), false},
		"no factor counts":                     {facts(counts(), phone, stick), false},
	} {
		err := policy.MayHaveSpare(c.facts)
		var no auth.ConflictError
		if (err == nil) != c.may || err != nil && (!errors.As(err, &no) || no.Code != "no-factor" || no.Why == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
