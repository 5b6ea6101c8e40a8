package sms

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// aTwilio checks what Twilio checks, and refuses its magic numbers.
// Source: https://www.twilio.com/docs/iam/test-credentials
func aTwilio(t *testing.T, taken *[]url.Values) string {
	magic := map[string]int{"+15005550001": 21211, "+15005550002": 21612, "+15005550003": 21408, "+15005550004": 21610, "+15005550009": 21614}
	return served(t, func(w http.ResponseWriter, r *http.Request) {
		fail := func(status, code int) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"code": %d, "message": "The 'To' number %s is echoed", "more_info": "https://www.twilio.com/docs/errors/%d", "status": %d}`,
				code, r.FormValue("To"), code, status)
		}
		account := good["twilio"].Account
		user, password, _ := r.BasicAuth()
		from, service := r.FormValue("From"), r.FormValue("MessagingServiceSid")
		switch {
		case user != account || password != string(good["twilio"].Secret):
			fail(401, 20003)
		case r.Method != http.MethodPost || r.URL.Path != "/2010-04-01/Accounts/"+account+"/Messages.json" || r.URL.RawQuery != "":
			fail(404, 20404)
		case r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || len(r.PostForm) != 3:
			fail(400, 20001)
		case r.FormValue("To") == "":
			fail(400, 21604)
		case from == "" && !strings.HasPrefix(service, "MG"):
			fail(400, 21603)
		case r.FormValue("Body") == "":
			fail(400, 21602)
		case magic[r.FormValue("To")] != 0:
			fail(400, magic[r.FormValue("To")])
		default:
			*taken = append(*taken, r.PostForm)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(201)
			text, _ := json.Marshal(r.FormValue("Body"))
			fmt.Fprintf(w, `{"account_sid": "%s", "api_version": "2010-04-01", "body": %s, "error_code": null, "error_message": null,
				"num_segments": "1", "sid": "SM%032x", "status": "queued", "to": %q}`, account, text, len(*taken), r.FormValue("To"))
		}
	})
}

func TestTwilioTakesAMessage(t *testing.T) {
	var taken []url.Values
	url := aTwilio(t, &taken)
	for _, from := range []string{"+15005550006", "12345", "Sallyport", "MG" + strings.Repeat("0b", 16)} {
		c := at("twilio", url)
		c.From = from
		if err := opened(t, c).Send(t.Context(), hello()); err != nil {
			t.Fatal(err)
		}
		got := taken[len(taken)-1]
		field, other := "From", "MessagingServiceSid"
		if strings.HasPrefix(from, "MG") {
			field, other = other, field
		}
		if got.Get("To") != hello().To || got.Get("Body") != hello().Text || got.Get(field) != from || got.Has(other) {
			t.Error(got)
		}
	}
}

func TestTwilioRefusesANumberForGood(t *testing.T) {
	p := opened(t, at("twilio", aTwilio(t, nil)))
	for _, to := range []string{"+15005550001", "+15005550002", "+15005550003", "+15005550004", "+15005550009"} {
		m := hello()
		m.To = to
		refused(t, p.Send(t.Context(), m))
	}
}

func TestAWrongTokenOfTwilioIsForTheOperatorToMend(t *testing.T) {
	c := at("twilio", aTwilio(t, nil))
	c.Secret = "another"
	later(t, opened(t, c).Send(t.Context(), hello()))
}

func TestTwilioIsTriedAgainUnlessItIsAboutTheMessage(t *testing.T) {
	for status, codes := range map[int][]int{
		400: {0, 20001, 21603, 21606, 21608, 21659, 30001, 99999}, // about the account or its sender, or unknown
		401: {20003, 21211},
		403: {20005, 21408}, // suspended
		404: {20404, 21211},
		429: {20429, 21611, 21211},
		500: {20500, 21614},
		503: {21610},
	} {
		for _, code := range codes {
			url := says(t, status, fmt.Sprintf(`{"code":%d,"message":"echoed","status":%d}`, code, status))
			later(t, opened(t, at("twilio", url)).Send(t.Context(), hello()))
		}
	}
}

// 201 is how Twilio says that it made one; any other answer comes from elsewhere.
func TestTwilioAcknowledgesByCreating(t *testing.T) {
	sid := "SM" + strings.Repeat("0", 32)
	for _, status := range []int{200, 202, 400, 500} {
		later(t, opened(t, at("twilio", says(t, status, `{"sid":"`+sid+`"}`))).Send(t.Context(), hello()))
	}
}

func TestNoTextAddsAFieldToTwilio(t *testing.T) {
	var taken []url.Values
	p := opened(t, at("twilio", aTwilio(t, &taken)))
	for _, text := range weird {
		m := hello()
		m.Text = text
		if err := p.Send(t.Context(), m); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := taken[len(taken)-1]; got.Get("Body") != text || got.Get("To") != m.To {
			t.Errorf("%q became %v", text, got)
		}
	}
}

// weird are texts that mean something to one protocol or another.
var weird = []string{
	"a&To=%2B15005550001&Body=b", "a=b;c", "a+b %20 %00", "a\r\nTo: +15005550001\r\n\r\nb", "\n", "a\n", "\r", "a\x00b", "\x00", "\x1b", "a\x1be", "\f",
	`"},{"to":"+15005550001`, `\u0000\"`, "</Message><Error><Code>x</Code></Error>", "]]>", "\u2028\u2029", "\u0085", "\ufeffa", "\u202ea", "\u200ba",
	"\x05\x00\x03\x01\x02\x01", "{}[]~^|\\€", "ж\x00ж", "👩‍👩‍👧‍👦", "\x7f\x01\x02\x1a", "ꯍ\U0010ffff",
}
