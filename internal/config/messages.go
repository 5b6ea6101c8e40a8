package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

var country = regexp.MustCompile(`^[A-Z]{2}$`)

// checkMessages says what of codes, mail and SMS cannot work.
func (c Config) checkMessages() error {
	sends := map[string]string{"email": c.Mail.Host, "sms": c.SMS.Provider}
	setting := map[string]string{"email": "mail.host", "sms": "sms.provider"}
	for _, f := range c.Policy.Factors {
		if where, ok := sends[f]; ok && where == "" {
			return fmt.Errorf("policy.factors names %q but %s is empty, so no code could be sent: set it, or take %q out", f, setting[f], f)
		}
	}
	for _, way := range c.Policy.Recovery {
		if way != "email" {
			return fmt.Errorf("policy.recovery has %q: name email, or nothing", way)
		}
		if c.Mail.Host == "" {
			return errors.New("policy.recovery names email but mail.host is empty, so no code could be sent: set it, or take email out")
		}
	}
	switch {
	case !slices.Contains([]string{"preferred", "choose", "all"}, c.Codes.Delivery):
		return fmt.Errorf("codes.delivery is %q: set it to preferred, choose or all", c.Codes.Delivery)
	case c.Codes.SignIn && c.Mail.Host == "":
		return errors.New("codes.sign_in is on but mail.host is empty: set it, or sign_in to false")
	case c.Mail.PerHour < 1 || c.SMS.PerHour < 1:
		return errors.New("mail.per_hour and sms.per_hour must be 1 or more")
	case c.SMS.Provider != "" && len(c.SMS.Countries) == 0:
		return errors.New("sms.countries is empty, so no SMS could be sent: name the countries of your people, [\"SE\", \"FI\"]")
	case c.SMS.Country != "" && !slices.Contains(c.SMS.Countries, c.SMS.Country):
		return fmt.Errorf("sms.country is %q, which sms.countries lacks: add it there", c.SMS.Country)
	}
	for _, one := range c.SMS.Countries {
		if !country.MatchString(one) {
			return fmt.Errorf("sms.countries has %q: name countries by two capital letters, SE", one)
		}
	}
	if _, err := time.LoadLocation(c.Messages.TimeZone); err != nil {
		return fmt.Errorf("messages.time_zone is %q: set it to a name like Europe/Helsinki, or UTC", c.Messages.TimeZone)
	}
	return nil
}
