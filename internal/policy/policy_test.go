package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/policy"
)

const (
	app  auth.Kind = "totp"
	key  auth.Kind = "passkey"
	mail auth.Kind = "onetime"

	spare auth.Kind = "backupcode"
	given auth.Kind = "accesspass"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A fact changes what is true of somebody who is enrolled in nothing and proved nothing, where MFA is optional.
type fact func(*policy.Facts)

func facts(all ...fact) policy.Facts {
	f := policy.Facts{Now: now, User: auth.User{ID: "u", Epoch: 1},
		Rules: policy.Rules{MFA: policy.Optional, Factors: []auth.Kind{app}, LastFactor: policy.Refuse, StepUp: 10 * time.Minute}}
	for _, set := range all {
		set(&f)
	}
	return f
}

func mfa(m policy.MFA) fact          { return func(f *policy.Facts) { f.Rules.MFA = m } }
func counts(kinds ...auth.Kind) fact { return func(f *policy.Facts) { f.Rules.Factors = kinds } }
func closed(kinds ...auth.Kind) fact { return func(f *policy.Facts) { f.Rules.Closed = kinds } }
func grace(days int) fact {
	return func(f *policy.Facts) { f.Rules.Grace = time.Duration(days) * 24 * time.Hour }
}
func due(d time.Duration) fact            { return func(f *policy.Facts) { f.User.MFADue = now.Add(d) } }
func lastFactor(l policy.LastFactor) fact { return func(f *policy.Facts) { f.Rules.LastFactor = l } }
func proof(p auth.Proof) fact             { return func(f *policy.Facts) { f.Proofs = append(f.Proofs, p) } }
func nobody(f *policy.Facts)              { f.User = auth.User{} }
func disabled(f *policy.Facts)            { f.User.Disabled = true }
func switchedOff(f *policy.Facts)         { f.User.MFAOff = true }

func enrolled(k auth.Kind, id auth.EnrolmentID) fact {
	return func(f *policy.Facts) {
		f.Enrolled = append(f.Enrolled, auth.Enrolment{ID: id, Kind: k, Name: string(id)})
	}
}

func proved(k auth.Kind, id auth.EnrolmentID, l auth.Level) auth.Proof {
	amr := map[auth.Kind]string{"password": "pwd", app: "otp", key: "hwk", mail: "otp"}[k]
	return auth.Proof{Kind: k, Enrolment: id, AMR: amr, Level: l, At: now}
}

var (
	required = mfa(policy.Required)
	off      = mfa(policy.Off)
	unknown  = mfa("sometimes")
	password = proof(proved("password", "password", auth.OneFactor))
	code     = proof(proved(app, "phone", auth.OneFactor))
	unlocked = proof(proved(key, "laptop", auth.MultiFactor)) // a passkey with user verification
	touched  = proof(proved(key, "stick", auth.OneFactor))    // one without
	mailed   = proof(auth.Proof{Kind: mail, Enrolment: "inbox", AMR: "otp", Level: auth.OneFactor, Weak: true, At: now})
	worth0   = proof(proved(mail, "inbox", auth.None))
	quiet    = fact(func(f *policy.Facts) {
		f.Enrolled = append(f.Enrolled, auth.Enrolment{ID: "silent", Kind: app, Standing: auth.Quiet})
	})
	sheet = fact(func(f *policy.Facts) { // backup codes
		f.Enrolled = append(f.Enrolled, auth.Enrolment{ID: "sheet", Kind: spare, Name: "sheet", Standing: auth.Spare})
	})
	pass = fact(func(f *policy.Facts) { // for somebody who has factors
		f.Enrolled = append(f.Enrolled, auth.Enrolment{ID: "pass", Kind: given, Name: "pass", Standing: auth.Spare, Given: true})
	})
	resetPass = fact(func(f *policy.Facts) { // for somebody whose factors an administrator removed
		f.Enrolled = append(f.Enrolled, auth.Enrolment{ID: "pass", Kind: given, Name: "pass", Given: true})
	})
	mailedPass = fact(func(f *policy.Facts) {
		f.Enrolled = append(f.Enrolled, auth.Enrolment{ID: "pass", Kind: given, Name: "pass", Weak: true, Given: true})
	})
	tabletBlocked = fact(func(f *policy.Facts) {
		f.Enrolled = append(f.Enrolled, auth.Enrolment{ID: "tablet", Kind: app, Name: "tablet", State: auth.Blocked})
	})
	bare       = fact(func(f *policy.Facts) { f.Bare = true })
	voidTablet = fact(func(f *policy.Facts) {
		f.Enrolled = append(f.Enrolled, auth.Enrolment{ID: "tablet", Kind: app, Name: "tablet", State: auth.Void})
	})
	lapsed = fact(func(f *policy.Facts) {
		f.Enrolled = append(f.Enrolled, auth.Enrolment{ID: "pass", Kind: given, Name: "pass", Given: true, State: auth.Blocked})
	})
	address = fact(func(f *policy.Facts) { // of the account, by policy.recovery
		f.Enrolled = append(f.Enrolled, auth.Enrolment{ID: "address", Kind: mail, Name: "address", Standing: auth.Spare, Weak: true, Given: true})
	})
	scratched    = proof(proved(spare, "sheet", auth.OneFactor))
	passed       = proof(auth.Proof{Kind: given, Enrolment: "pass", AMR: "otp", Level: auth.OneFactor, Given: true, At: now})
	passedByMail = proof(auth.Proof{Kind: given, Enrolment: "pass", AMR: "otp", Level: auth.OneFactor, Weak: true, Given: true, At: now})
	reached      = proof(auth.Proof{Kind: mail, Enrolment: "address", AMR: "otp", Level: auth.OneFactor, Weak: true, Given: true, At: now})
	newPassword  = proof(auth.Proof{Kind: "password", Enrolment: "password", AMR: "pwd", Level: auth.OneFactor, Mailed: true, At: now})
	phone        = enrolled(app, "phone")
	tablet       = enrolled(app, "tablet")
	inbox        = fact(func(f *policy.Facts) {
		f.Enrolled = append(f.Enrolled, auth.Enrolment{ID: "inbox", Kind: mail, Name: "inbox", Weak: true})
	})
	blocked = fact(func(f *policy.Facts) { // somebody else reads it too
		f.Enrolled = append(f.Enrolled, auth.Enrolment{ID: "inbox", Kind: mail, Name: "inbox", Weak: true, State: auth.Blocked})
	})
	dear = fact(func(f *policy.Facts) {
		f.Enrolled = append(f.Enrolled, auth.Enrolment{ID: "phone", Kind: app, Name: "phone", Dear: true})
	})
	unproved    = proof(auth.Proof{Kind: mail, AMR: "otp", Level: auth.OneFactor, Weak: true, At: now}) // it went to the login
	hasPassword = fact(func(f *policy.Facts) { f.First = []auth.Enrolment{{ID: "password", Kind: "password"}} })
)

func mayGive(kinds ...auth.Kind) fact { return func(f *policy.Facts) { f.Rules.Given = kinds } }
func trust(days int) fact {
	return func(f *policy.Facts) { f.Rules.Trust, f.Trusted = time.Duration(days)*24*time.Hour, true }
}
func recovers(d time.Duration) fact { return func(f *policy.Facts) { f.User.Recovers = now.Add(d) } }

func assigned(m auth.Method) fact { return func(f *policy.Facts) { f.User.Method = m } }

// S2, P7, W1, W2, W4, R1, R6
func TestNextAsksForWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		facts policy.Facts
		want  policy.Need
	}{
		"nobody is denied, whatever they proved":                   {facts(nobody, password, code), policy.Denied},
		"a disabled person is denied, whatever they proved":        {facts(disabled, password, code, phone), policy.Denied},
		"a disabled person is denied where MFA is off":             {facts(disabled, off, password), policy.Denied},
		"without a proof nothing opens":                            {facts(), policy.Denied},
		"without a proof nothing opens, MFA off":                   {facts(off), policy.Denied},
		"a proof worth nothing opens nothing":                      {facts(off, worth0), policy.Denied},
		"a proof of negative worth opens nothing":                  {facts(off, proof(proved("password", "password", -1))), policy.Denied},
		"off: the password is enough":                              {facts(off, password), policy.Nothing},
		"off: the password is enough with an authenticator":        {facts(off, password, phone), policy.Nothing},
		"optional: the password is enough for who has no more":     {facts(password), policy.Nothing},
		"optional: who has an authenticator is asked":              {facts(password, phone), policy.Second},
		"optional: who switched MFA off is not asked":              {facts(password, phone, switchedOff), policy.Nothing},
		"optional: what counts no more leaves no password alone":   {facts(password, inbox), policy.Enrolling},
		"optional: nor does it shut out who can add nothing":       {facts(counts(key), closed(key), password, inbox), policy.Nothing},
		"optional: what nobody can add is asked of who has it":     {facts(closed(app), password, phone), policy.Second},
		"optional: where nothing counts nothing is asked":          {facts(counts(), password, inbox), policy.Nothing},
		"optional: password and code are enough":                   {facts(password, phone, code), policy.Nothing},
		"optional: the password twice is one factor":               {facts(password, password, phone), policy.Second},
		"optional: two codes are one factor":                       {facts(code, phone), policy.Second},
		"optional: a passkey with user verification is two":        {facts(counts(app, key), unlocked, phone), policy.Nothing},
		"optional: a passkey without it is one":                    {facts(counts(app, key), touched, phone), policy.Second},
		"optional: a passkey without it is a second one":           {facts(counts(app, key), password, touched, phone), policy.Nothing},
		"required: the password alone is not enough":               {facts(required, password), policy.Enrolling},
		"required: who has an authenticator is asked":              {facts(required, password, phone), policy.Second},
		"required: switching MFA off changes nothing":              {facts(required, password, phone, switchedOff), policy.Second},
		"required: switching off without a factor is no way out":   {facts(required, password, switchedOff), policy.Enrolling},
		"required: password and code are enough":                   {facts(required, password, phone, code), policy.Nothing},
		"required: what does not count here is no enrolment":       {facts(required, password, inbox), policy.Enrolling},
		"required: a mailed code is enough where it counts":        {facts(required, counts(app, mail), password, inbox, mailed), policy.Nothing},
		"required: a mailed code is not enough where it does not":  {facts(required, password, phone, inbox, mailed), policy.Second},
		"required: a passkey with user verification is enough":     {facts(required, counts(app, key), unlocked), policy.Nothing},
		"a mailed code opens where nothing more is asked":          {facts(mailed, hasPassword), policy.Nothing},
		"a mailed code is never both steps":                        {facts(counts(mail), mailed, inbox, hasPassword), policy.Second},
		"a mailed code and the password are two steps":             {facts(counts(mail), mailed, inbox, password), policy.Nothing},
		"a mailed code sets nothing up alone":                      {facts(required, mailed, hasPassword), policy.Second},
		"with the password, it does":                               {facts(required, mailed, password), policy.Enrolling},
		"an address that two people read is replaced by nothing":   {facts(counts(app, mail), password, blocked), policy.Blocked},
		"nor where a second step is required":                      {facts(required, counts(app, mail), password, blocked), policy.Blocked},
		"who has another is asked for that":                        {facts(counts(app, mail), password, blocked, phone), policy.Second},
		"what does not count blocks nobody":                        {facts(counts(app), password, blocked), policy.Enrolling},
		"who switched MFA off is not blocked":                      {facts(counts(app, mail), switchedOff, password, blocked), policy.Nothing},
		"a mailed code to the login is no second step":             {facts(required, counts(app, mail), unproved, password), policy.Enrolling},
		"a mailed code leads to nothing dear, but to the password": {facts(counts(app, mail), mailed, dear, hasPassword), policy.Second},
		"nor without a password":                                   {facts(counts(app, mail), mailed, dear), policy.Denied},
		"after the password, what is dear is asked for":            {facts(counts(app, mail), password, dear), policy.Second},
		"a mailed code alone sets nothing up":                      {facts(required, counts(app, mail), mailed), policy.Denied},
		"assigned: a method is required, whatever is optional":     {facts(assigned(auth.MustHaveOne), password), policy.Enrolling},
		"assigned: over their own choice":                          {facts(assigned(auth.ByEmail), counts(app, mail), switchedOff, password, inbox), policy.Second},
		"assigned: over rules that ask nothing":                    {facts(assigned(auth.ByEmail), off, counts(mail), password), policy.Enrolling},
		"assigned: any factor that counts will do":                 {facts(assigned(auth.ByEmail), counts(app, mail), password, code, phone), policy.Nothing},
		"grace: begins with the first sign-in that lacks one":      {facts(required, grace(7), password), policy.Nothing},
		"grace: runs":                                   {facts(required, grace(7), password, due(time.Second)), policy.Nothing},
		"grace: is over at its end":                     {facts(required, grace(7), password, due(0)), policy.Enrolling},
		"grace: does not begin again":                   {facts(required, grace(7), password, due(-time.Hour)), policy.Enrolling},
		"grace: is not for who has an authenticator":    {facts(required, grace(7), password, phone), policy.Second},
		"grace: is not for who has what counts no more": {facts(required, grace(7), password, inbox), policy.Enrolling},
		"grace: is not for who proved nothing":          {facts(required, grace(7)), policy.Denied},
		"grace: is for who has but an address":          {facts(required, grace(7), mayGive(mail), password, address), policy.Nothing},
	} {
		t.Run(name, func(t *testing.T) {
			if got := policy.Next(c.facts); got.Need != c.want {
				t.Errorf("needs %s, want %s", got.Need, c.want)
			}
		})
	}
}

// B1, R1, R2, A3, A4, L1, L3: what stands in for a factor stands in for one, and is none.
func TestNextKnowsWhatStandsIn(t *testing.T) {
	sheets, gives := counts(app, spare), mayGive(given)
	mails := mayGive(mail)
	for name, c := range map[string]struct {
		facts policy.Facts
		want  policy.Need
		by    string
	}{
		"a backup code stands in for an authenticator":          {facts(sheets, password, phone, sheet), policy.Second, "phone sheet"},
		"and is a second step":                                  {facts(sheets, password, phone, sheet, scratched), policy.Nothing, ""},
		"a sheet alone asks nothing":                            {facts(sheets, password, sheet), policy.Nothing, ""},
		"a sheet alone is no second step where one is required": {facts(sheets, required, password, sheet), policy.Enrolling, ""},
		"a sheet stands in for what counts no more":             {facts(sheets, password, inbox, sheet), policy.Second, "sheet"},
		"a sheet does not count where it is not named":          {facts(password, phone, sheet), policy.Second, "phone"},
		"nor does one of its codes":                             {facts(password, phone, sheet, scratched), policy.Second, "phone"},
		"a pass stands in, though no rule names it":             {facts(gives, password, phone, pass), policy.Second, "phone pass"},
		"and opens":                                                 {facts(gives, password, phone, passed), policy.Nothing, ""},
		"even where a second step is required":                      {facts(gives, required, password, phone, passed), policy.Nothing, ""},
		"not where passes are not given":                            {facts(password, phone, pass, passed), policy.Second, "phone"},
		"not after a mailed code alone":                             {facts(gives, counts(app, mail), mailed, phone, pass), policy.Second, "phone"},
		"nor with one":                                              {facts(gives, passed, phone), policy.Second, "phone"},
		"nor beside one":                                            {facts(gives, counts(app, mail), mailed, passed, phone), policy.Second, "phone"},
		"nor beside another that was given":                         {facts(gives, passed, reached, phone), policy.Second, "phone"},
		"a pass for somebody without factors asks nothing":          {facts(gives, password, pass), policy.Nothing, ""},
		"after a reset, the password alone opens nothing":           {facts(gives, password, resetPass), policy.Second, "pass"},
		"nor sets anything up where that is required":               {facts(gives, required, password, resetPass), policy.Second, "pass"},
		"with the pass another second step is set up":               {facts(gives, password, passed), policy.Enrolling, ""},
		"where one is required, too":                                {facts(gives, required, password, passed), policy.Enrolling, ""},
		"whatever is there of a grace period":                       {facts(gives, required, grace(7), password, passed), policy.Enrolling, ""},
		"where nothing can be set up it opens":                      {facts(gives, counts(key), closed(key), password, passed), policy.Nothing, ""},
		"and does so where MFA is off":                              {facts(gives, off, password, passed), policy.Nothing, ""},
		"a pass that lapsed keeps shut where nothing can be set up": {facts(gives, counts(key), closed(key), password, lapsed), policy.Blocked, ""},
		"a pass by mail is nothing beside a password by mail":       {facts(gives, newPassword, mailedPass), policy.Blocked, ""},
		"in either order":                                           {facts(gives, newPassword, mailedPass, passedByMail), policy.Blocked, ""},
		"beside another password it leads on":                       {facts(gives, password, passedByMail), policy.Enrolling, ""},
		"a pass by hand is one beside a password by mail":           {facts(gives, newPassword, resetPass), policy.Second, "pass"},
		"a password by mail sets nothing up past a mailed code":     {facts(counts(app, mail), newPassword, inbox, tabletBlocked), policy.Blocked, ""},
		"but what is void is nothing better":                        {facts(counts(app, mail), newPassword, inbox, voidTablet), policy.Second, "inbox"},
		"a mailed code first and the password are as before":        {facts(mayGive(mail), unproved, password, phone, address), policy.Second, "phone"},
		"where the person can set up nothing it opens, too":         {facts(gives, bare, password, passed), policy.Nothing, ""},
		"but not where one is required":                             {facts(gives, required, bare, password, passed), policy.Enrolling, ""},
		"but what counts no more is nothing better":                 {facts(counts(mail), newPassword, inbox, phone), policy.Second, "inbox"},
		"a mailed code stands in for no pass of a reset":            {facts(mayGive(given, mail), password, resetPass, address), policy.Second, "pass"},
		"nor for one that lapsed":                                   {facts(mayGive(given, mail), password, lapsed, address), policy.Blocked, ""},
		"a pass that lapsed is replaced by nothing":                 {facts(gives, password, lapsed), policy.Blocked, ""},
		"nor where a second step is required":                       {facts(gives, required, password, lapsed), policy.Blocked, ""},
		"a code to the address of the account stands in":            {facts(mails, password, phone, address), policy.Second, "phone address"},
		"and opens, by its own":                                     {facts(mails, password, phone, address, reached), policy.Nothing, ""},
		"but is none where one is required":                         {facts(mails, required, password, address), policy.Enrolling, ""},
		"not after a mailed code alone, as the same mailbox":        {facts(mails, counts(app, mail), mailed, hasPassword, phone, address), policy.Second, "phone"},
		"nor after a password that came by the same mailbox":        {facts(mails, newPassword, phone, address), policy.Second, "phone"},
		"nor with a code that came there all the same":              {facts(mails, newPassword, phone, address, reached), policy.Second, "phone"},
		"nor with one to an address that was proved":                {facts(counts(app, mail), newPassword, phone, inbox, mailed), policy.Second, "phone"},
		"a password that came by mail is one to everything else":    {facts(newPassword, phone, code), policy.Nothing, ""},
		"and to a mailed code, for who has nothing better":          {facts(counts(mail), newPassword, inbox, mailed), policy.Nothing, ""},
		"a trusted browser skips the second step":                   {facts(trust(30), password, phone), policy.Nothing, ""},
		"where it is required, too":                                 {facts(trust(30), required, password, phone), policy.Nothing, ""},
		"not where browsers are not trusted":                        {facts(trust(0), password, phone), policy.Second, "phone"},
		"nor after a mailed code alone":                             {facts(trust(30), counts(app, mail), mailed, phone), policy.Second, "phone"},
		"nor in place of what must be set up":                       {facts(trust(30), required, password), policy.Enrolling, ""},
		"nor of what is blocked":                                    {facts(trust(30), counts(app, mail), password, blocked), policy.Blocked, ""},
		"nor for somebody disabled":                                 {facts(trust(30), disabled, password, phone), policy.Denied, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := policy.Next(c.facts)
			if got.Need != c.want || idsOf(got.Accepts) != c.by {
				t.Errorf("needs %s by %q, want %s by %q", got.Need, idsOf(got.Accepts), c.want, c.by)
			}
			if policy.Proved(c.facts) && got.Need != policy.Nothing {
				t.Error("Proved says that it is enough")
			}
		})
	}
}

// R6: what cannot be made sense of is refused, and so is every proof that does not count here (W2).
func TestNextRefusesWhatItCannotMakeSenseOf(t *testing.T) {
	for name, f := range map[string]policy.Facts{
		"an unknown rule, with the password":                  facts(unknown, password),
		"an unknown rule, in a grace period":                  facts(unknown, grace(7), password),
		"an unknown rule, in a grace period that runs":        facts(unknown, password, due(time.Hour)),
		"no rule at all":                                      facts(mfa(""), grace(7), password),
		"a level that does not exist":                         facts(required, proof(proved("password", "password", 3))),
		"a code of a kind that does not count here":           facts(required, counts(key), password, phone, code),
		"a passkey where passkeys do not count":               facts(required, unlocked),
		"a code of a kind that does not count, none enrolled": facts(required, counts(key), password, code),
	} {
		t.Run(name, func(t *testing.T) {
			if got := policy.Next(f); got.Need == policy.Nothing {
				t.Error("lets it through")
			}
		})
	}
}

// W4: somebody whose grace period begins or runs hears when it ends.
func TestTheEndOfAGracePeriodIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		facts policy.Facts
		want  time.Time
	}{
		"it begins now":                {facts(required, grace(7), password), now.Add(7 * 24 * time.Hour)},
		"it began before":              {facts(required, grace(7), password, due(time.Hour)), now.Add(time.Hour)},
		"shortened, the promise holds": {facts(required, grace(1), password, due(72*time.Hour)), now.Add(72 * time.Hour)},
		"it is over":                   {facts(required, grace(7), password, due(-1)), time.Time{}},
		"nothing is required":          {facts(grace(7), password), time.Time{}},
		"a factor is enrolled":         {facts(required, grace(7), password, phone), time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := policy.Next(c.facts); !got.Due.Equal(c.want) {
				t.Errorf("due %v, want %v", got.Due, c.want)
			}
		})
	}
}

// S3, W2: only what counts here is offered, in the order it came.
func TestOnlyWhatCountsIsOffered(t *testing.T) {
	got := policy.Next(facts(required, password, tablet, inbox, phone)).Accepts
	if ids := idsOf(got); ids != "tablet phone" {
		t.Error(ids)
	}
}

// U1, U2, U3, R7
func TestStepUpAsksForTheStrongestThereIs(t *testing.T) {
	first := []auth.Enrolment{{ID: "password", Kind: "password"}}
	for name, c := range map[string]struct {
		facts policy.Facts
		fresh time.Duration // from now on
		first []auth.Enrolment
		need  policy.Need
		by    string
	}{
		"the password is enough for who has nothing stronger":           {facts(password), 0, first, policy.Second, "password"},
		"the password is not enough for who has an authenticator":       {facts(password, phone), 0, first, policy.Second, "phone"},
		"unless this session proved it":                                 {facts(password, phone, code), 0, first, policy.Second, "phone password"},
		"switching MFA off leaves step-up as it is":                     {facts(password, phone, switchedOff), 0, first, policy.Second, "phone"},
		"MFA off for all leaves step-up as it is":                       {facts(off, password, phone), 0, first, policy.Second, "phone"},
		"the password twice is no second factor":                        {facts(password, password, phone), 0, first, policy.Second, "phone"},
		"what does not count here is nothing stronger":                  {facts(password, inbox), 0, first, policy.Second, "password"},
		"within the window nothing is asked":                            {facts(password, phone), time.Microsecond, first, policy.Nothing, ""},
		"at the end of the window it is":                                {facts(password), 0, first, policy.Second, "password"},
		"after it, too":                                                 {facts(password), -time.Hour, first, policy.Second, "password"},
		"nobody is denied within the window":                            {facts(nobody, password), time.Hour, first, policy.Denied, ""},
		"a disabled person is denied within the window":                 {facts(disabled, password, code), time.Hour, first, policy.Denied, ""},
		"without a proof there is no window":                            {facts(phone), time.Hour, first, policy.Denied, ""},
		"a mailed code is no fresh proof":                               {facts(counts(app, mail), password, inbox, phone), 0, first, policy.Second, "phone"},
		"who gets mailed codes alone proves the password":               {facts(counts(mail), password, inbox, mailed), 0, first, policy.Second, "password"},
		"a mailed code does not let the password do":                    {facts(counts(app, mail), password, mailed, inbox, phone), 0, first, policy.Second, "phone"},
		"what is blocked is no reason for the password":                 {facts(counts(app, mail), password, blocked), 0, first, policy.Blocked, ""},
		"who has nothing at all can prove nothing, and passes not":      {facts(unlocked), 0, nil, policy.Second, ""},
		"a trusted browser is no proof":                                 {facts(trust(30), password, phone), 0, first, policy.Second, "phone"},
		"a backup code is no fresh proof":                               {facts(counts(app, spare), password, phone, sheet), 0, first, policy.Second, "phone"},
		"but it let the person in as a second factor":                   {facts(counts(app, spare), password, scratched, phone, sheet), 0, first, policy.Second, "phone password"},
		"a pass is no fresh proof, and does not let the password do":    {facts(mayGive(given), password, passed, phone, pass), 0, first, policy.Second, "phone"},
		"nor does a code to the address of the account":                 {facts(mayGive(mail), password, reached, phone, address), 0, first, policy.Second, "phone"},
		"who was reset and has nothing proves the password":             {facts(mayGive(given), password, passed), 0, first, policy.Second, "password"},
		"who lost it and waits, waits":                                  {facts(mayGive(given), recovers(time.Second), password, passed, phone), 0, first, policy.Second, "phone"},
		"who lost it and waited proves the password":                    {facts(mayGive(given), recovers(0), password, passed, phone), 0, first, policy.Second, "phone password"},
		"after a code by mail, too":                                     {facts(counts(app, mail), recovers(-time.Hour), password, mailed, inbox, phone), 0, first, policy.Second, "phone password"},
		"not who came by the password alone":                            {facts(recovers(-time.Hour), password, phone), 0, first, policy.Second, "phone"},
		"nor by mailed codes alone":                                     {facts(counts(app, mail), recovers(-time.Hour), mailed, phone), 0, first, policy.Second, "phone"},
		"nor who let a week go by":                                      {facts(mayGive(given), recovers(-7*24*time.Hour), password, passed, phone), 0, first, policy.Second, "phone"},
		"a grace period is no window":                                   {facts(required, grace(7), password), 0, first, policy.Second, "password"},
		"a passkey session may use the password only besides a passkey": {facts(counts(app, key), unlocked, enrolled(key, "laptop")), 0, first, policy.Second, "laptop password"},
	} {
		t.Run(name, func(t *testing.T) {
			got := policy.StepUp(c.facts, now.Add(c.fresh), c.first)
			if got.Need != c.need || idsOf(got.Accepts) != c.by {
				t.Errorf("needs %s by %q, want %s by %q", got.Need, idsOf(got.Accepts), c.need, c.by)
			}
		})
	}
}

// F2
func TestTheLastFactorStaysWhereItIsNeeded(t *testing.T) {
	for name, c := range map[string]struct {
		facts policy.Facts
		gone  auth.EnrolmentID
		may   bool
	}{
		"one of two may go":                                   {facts(phone, tablet), "phone", true},
		"one of two may go where MFA is required":             {facts(required, phone, tablet), "phone", true},
		"the last stays beside backup codes":                  {facts(counts(app, spare), phone, sheet), "phone", false},
		"and where one is required":                           {facts(required, counts(app, spare), phone, sheet), "phone", false},
		"and beside a pass":                                   {facts(required, mayGive(given), phone, pass), "phone", false},
		"backup codes may always go":                          {facts(required, counts(app, spare), phone, sheet), "sheet", true},
		"the last stays":                                      {facts(phone), "phone", false},
		"the last goes with a warning, policy warn":           {facts(phone, lastFactor(policy.Warn)), "phone", true},
		"the last stays where MFA is required, whatever":      {facts(required, phone, lastFactor(policy.Warn)), "phone", false},
		"the last stays where MFA is required, switched off":  {facts(required, phone, switchedOff), "phone", false},
		"the last stays in a grace period":                    {facts(required, phone, grace(7), due(time.Hour)), "phone", false},
		"the last goes once MFA is switched off":              {facts(phone, switchedOff), "phone", true},
		"the last goes where MFA is off":                      {facts(off, phone), "phone", true},
		"another that does not count here is no other":        {facts(phone, inbox), "phone", false},
		"one that does not count may go beside one that does": {facts(phone, inbox), "inbox", true},
		"somebody else's id takes nothing away":               {facts(phone), "theirs", true},
		"the last stays for who was assigned a method":        {facts(assigned(auth.BySMS), phone, lastFactor(policy.Warn)), "phone", false},
		"an unknown rule keeps the last":                      {facts(unknown, phone), "phone", false},
		"an unknown last_factor keeps the last":               {facts(phone, lastFactor("perhaps")), "phone", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := policy.MayRemove(c.facts, c.gone)
			var conflict auth.ConflictError
			switch {
			case c.may && err != nil:
				t.Error("refused: ", err)
			case !c.may && err == nil:
				t.Error("allowed")
			case !c.may && !errors.As(err, &conflict):
				t.Errorf("%T, want a conflict with a reason", err)
			}
		})
	}
}

// F3
func TestMFAIsSwitchedOffOnlyWhereItIsNotRequired(t *testing.T) {
	for rule, may := range map[policy.MFA]bool{policy.Off: true, policy.Optional: true, policy.Required: false, "sometimes": false, "": false} {
		err := policy.MayDisable(facts(mfa(rule), phone))
		if (err == nil) != may {
			t.Errorf("%q: %v", rule, err)
		}
	}
}

func TestMFAIsOnWhereTheNextSignInAsks(t *testing.T) {
	for name, c := range map[string]struct {
		facts policy.Facts
		on    bool
	}{
		"off":                                 {facts(off, phone), false},
		"optional with nothing":               {facts(), false},
		"optional with an authenticator":      {facts(phone), true},
		"optional, switched off":              {facts(phone, switchedOff), false},
		"optional with what nobody asked for": {facts(quiet), false},
		"optional with that and more":         {facts(quiet, phone), true},
		"required with what nobody asked for": {facts(required, quiet), true},
		"optional with what does not count":   {facts(inbox), true},
		"optional where nothing counts":       {facts(counts(), inbox), false},
		"required with nothing":               {facts(required), true},
		"required, switched off":              {facts(required, phone, switchedOff), true},
	} {
		t.Run(name, func(t *testing.T) {
			if policy.IsOn(c.facts) != c.on {
				t.Error("want ", c.on)
			}
		})
	}
}

// S2: two of different kinds are two factors, and nothing else is.
func TestTwoProofsOfDifferentKindsAreTwoFactors(t *testing.T) {
	for name, c := range map[string]struct {
		facts policy.Facts
		level auth.Level
		amr   string
	}{
		"nothing":                             {facts(), auth.None, ""},
		"a password":                          {facts(password), auth.OneFactor, "pwd"},
		"a password twice":                    {facts(password, password), auth.OneFactor, "pwd"},
		"two codes":                           {facts(code, proof(proved(app, "tablet", auth.OneFactor))), auth.OneFactor, "otp"},
		"password and code":                   {facts(password, code), auth.MultiFactor, "pwd otp mfa"},
		"code and password":                   {facts(code, password), auth.MultiFactor, "otp pwd mfa"},
		"password, code, password":            {facts(password, code, password), auth.MultiFactor, "pwd otp mfa"},
		"a passkey with user verification":    {facts(unlocked), auth.MultiFactor, "hwk mfa"},
		"password and a code that was mailed": {facts(password, mailed), auth.OneFactor, "pwd otp"},
		"a code that was mailed":              {facts(mailed), auth.OneFactor, "otp"},
		"that and an authenticator":           {facts(mailed, code), auth.OneFactor, "otp"},
		"that, an authenticator and password": {facts(mailed, code, password), auth.MultiFactor, "otp pwd mfa"},
	} {
		t.Run(name, func(t *testing.T) {
			if l := policy.LevelOf(c.facts.Proofs); l != c.level {
				t.Errorf("level %d, want %d", l, c.level)
			}
			amr := policy.AMR(c.facts.Proofs)
			if amr == nil || strings.Join(amr, " ") != c.amr {
				t.Errorf("amr %#v, want %s", amr, c.amr)
			}
		})
	}
}

// W4: rules that nobody could satisfy, or that make no sense, are refused with the setting that is wrong.
func TestRulesThatCannotWorkAreRefused(t *testing.T) {
	exists := []auth.Kind{app}
	for name, c := range map[string]struct {
		facts policy.Facts
		about string // of the refusal; empty: they are fine
	}{
		"what stands in the default configuration": {facts(), ""},
		"required":                                 {facts(required), ""},
		"required with a grace period":             {facts(required, grace(30)), ""},
		"off without factors":                      {facts(off, counts()), ""},
		"optional without factors":                 {facts(counts()), ""},
		"required without factors":                 {facts(required, counts()), "policy.factors"},
		"required without factors, but with grace": {facts(required, counts(), grace(7)), "policy.factors"},
		"required, but nobody can add one":         {facts(required, closed(app)), "policy.factors"},
		"required, and one can be added":           {facts(required, counts(app), closed(key)), ""},
		"optional, and nobody can add one":         {facts(closed(app)), ""},
		"a factor that does not exist":             {facts(counts(app, key)), "policy.factors"},
		"a factor that does not exist, MFA off":    {facts(off, counts(key)), "policy.factors"},
		"the password as second factor":            {facts(required, counts("password")), "policy.factors"},
		"an empty kind":                            {facts(counts("")), "policy.factors"},
		"another case":                             {facts(counts("TOTP")), "policy.factors"},
		"an unknown mfa":                           {facts(unknown), "policy.mfa"},
		"no mfa":                                   {facts(mfa("")), "policy.mfa"},
		"mfa in another case":                      {facts(mfa("Required")), "policy.mfa"},
		"an unknown last_factor":                   {facts(lastFactor("perhaps")), "policy.last_factor"},
		"a negative grace period":                  {facts(grace(-1)), "policy.grace_days"},
		"no step-up window":                        {facts(func(f *policy.Facts) { f.Rules.StepUp = 0 }), "policy.step_up_minutes"},
		"a step-up window of a day":                {facts(func(f *policy.Facts) { f.Rules.StepUp = 24 * time.Hour }), "policy.step_up_minutes"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.facts.Rules.Check(exists)
			if c.about == "" && err != nil {
				t.Error(err)
			}
			if c.about != "" && (err == nil || !strings.Contains(err.Error(), c.about)) {
				t.Errorf("%v, want a word about %s", err, c.about)
			}
		})
	}
}

func idsOf(some []auth.Enrolment) string {
	ids := make([]string, len(some))
	for i, e := range some {
		ids[i] = string(e.ID)
	}
	return strings.Join(ids, " ")
}

// Deciding changes nothing of the facts: the same ones give the same answer, in any order of asking.
func TestDecidingLeavesTheFactsAlone(t *testing.T) {
	f := facts(required, password, phone, tablet, inbox)
	before := fmt.Sprintf("%+v", f)
	first := slices.Grow([]auth.Enrolment{{ID: "password"}}, 8)
	for range 2 {
		policy.Next(f)
		policy.StepUp(f, now, first)
		policy.MayRemove(f, "phone")
	}
	if after := fmt.Sprintf("%+v", f); after != before {
		t.Errorf("before %s\nafter  %s", before, after)
	}
}
