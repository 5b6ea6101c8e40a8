package user

import (
	"github.com/nyaruka/phonenumbers"

	"sallyport/internal/auth"
)

// Phone is a number as it is stored, E.164, from what was typed: with + and country, or as people dial it in a region
// (ISO 3166-1, "SE"). Its error is an auth.InvalidError.
func Phone(typed, region string) (string, error) {
	n, err := phonenumbers.Parse(typed, region)
	if err != nil || !phonenumbers.IsValidNumber(n) || n.GetExtension() != "" {
		return "", auth.InvalidError{Field: "phone", Why: "must be a phone number, with + and country code"}
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}

// Mobile says whether SMS to a stored number cost what SMS cost: it is no premium, shared-cost or fixed line.
func Mobile(phone string) bool {
	n, err := phonenumbers.Parse(phone, "")
	if err != nil {
		return false
	}
	kind := phonenumbers.GetNumberType(n)
	return kind == phonenumbers.MOBILE || kind == phonenumbers.FIXED_LINE_OR_MOBILE
}

// Country is the region of a stored number, "SE"; empty for a number of no country.
func Country(phone string) string {
	n, err := phonenumbers.Parse(phone, "")
	if err != nil {
		return ""
	}
	return phonenumbers.GetRegionCodeForNumber(n)
}
