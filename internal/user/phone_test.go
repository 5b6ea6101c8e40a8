package user_test

import (
	"testing"

	"sallyport/internal/user"
)

func TestANumberIsStoredAsOnePlanHasIt(t *testing.T) {
	for _, c := range []struct{ typed, region, want string }{
		{"+46 70 174 06 05", "", "+46701740605"}, {"070-174 06 05", "SE", "+46701740605"}, {"0046701740605", "SE", "+46701740605"},
		{"070-174 06 05", "", ""}, {"+46 70 174 06 05 ext. 4", "", ""}, {"+46", "", ""}, {"", "SE", ""}, {"+999123456789", "", ""},
		{"+46701740605\r\nRCPT TO", "SE", ""}, {"call me", "SE", ""}, {"+4670174060500000000000", "", ""},
	} {
		got, err := user.Phone(c.typed, c.region)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q in %q: %q %v", c.typed, c.region, got, err)
		}
	}
}

// C10: SMS go where they cost what SMS cost.
func TestPremiumAndFixedNumbersAreNoMobiles(t *testing.T) {
	for number, mobile := range map[string]bool{"+46701740605": true, "+12025550123": true, "+46900123456": false, "+46939123456": false, "+4684001234": false, "+46771234567": false, "": false} {
		if user.Mobile(number) != mobile {
			t.Errorf("%s: %v", number, !mobile)
		}
	}
	for number, country := range map[string]string{"+46701740605": "SE", "+12025550123": "US", "": ""} {
		if got := user.Country(number); got != country {
			t.Errorf("%s lies in %q", number, got)
		}
	}
}
