package sms

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/auth"
)

// aVonage checks what Vonage checks, and repeats in its errors more than ours may.
func aVonage(t *testing.T, taken *[]url.Values) string {
	secret := string(good["vonage"].Secret)
	return served(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		answer := func(status string) {
			fmt.Fprintf(w, `{"message-count":"1","messages":[{"status":%q,"error-text":"echoed %s","to":"46701234567"}]}`, status, body)
		}
		var pairs []string // as they stand in the body, decoded by hand
		form := url.Values{}
		for _, pair := range strings.Split(string(body), "&") {
			k, v, _ := strings.Cut(pair, "=")
			v, _ = url.QueryUnescape(v)
			form.Add(k, v)
			if k != "sig" {
				pairs = append(pairs, k+"="+strings.ReplaceAll(strings.ReplaceAll(v, "&", "_"), "=", "_"))
			}
		}
		sort.Strings(pairs)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte("&" + strings.Join(pairs, "&")))
		sent, _ := strconv.ParseInt(form.Get("timestamp"), 10, 64)
		switch {
		case r.Method != http.MethodPost || r.URL.Path != "/sms/json" || r.URL.RawQuery != "":
			w.WriteHeader(404)
		case r.Header.Get("Content-Type") != "application/x-www-form-urlencoded", form.Get("from") == "", form.Get("to") == "", form.Get("text") == "":
			answer("2")
		case form.Get("api_key") != good["vonage"].Account || form.Has("api_secret"):
			answer("4")
		case !strings.EqualFold(form.Get("sig"), fmt.Sprintf("%x", mac.Sum(nil))) || max(sent-noon().Unix(), noon().Unix()-sent) > 300:
			answer("14")
		case len(form.Get("to")) < 7 || strings.Contains(form.Get("to"), "+"):
			answer("3")
		default:
			*taken = append(*taken, form)
			answer("0")
		}
	})
}

func TestVonageTakesAMessage(t *testing.T) {
	var taken []url.Values
	p := opened(t, at("vonage", aVonage(t, &taken)))
	if err := p.Send(t.Context(), hello()); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"api_key": "abcd1234", "from": "Sallyport", "to": "46701234567", "text": hello().Text, "type": "text", "client-ref": "m-0001", "timestamp": "1772366400",
	} {
		if got := taken[0].Get(field); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
}

func TestVonageIsToldWhatGSMCannotWrite(t *testing.T) {
	var taken []url.Values
	p := opened(t, at("vonage", aVonage(t, &taken)))
	for text, want := range map[string]string{"Code 1": "text", "€ {1}": "text", "код 1": "unicode", "code “1”": "unicode", "ç": "unicode", "\t": "unicode"} {
		m := hello()
		m.Text = text
		if err := p.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if got := taken[len(taken)-1]; got.Get("type") != want || got.Get("text") != text {
			t.Errorf("%q is sent as %s", text, got.Get("type"))
		}
	}
}

// The value that the provider's own library tests itself against: Vonage/vonage-python-sdk, tests/test_signature.py.
func TestASignatureIsWhatVonageComputes(t *testing.T) {
	got := vonageSignature(url.Values{"a": {"1"}, "b": {"2"}, "timestamp": {"1461605396"}}, "secret")
	if want := "a321e824b9b816be7c3f28859a31749a098713d39f613c80d455bbaffae1cd24"; got != want {
		t.Error(got)
	}
}

func TestAValueCannotPassForAnotherFieldInASignature(t *testing.T) {
	one := vonageSignature(url.Values{"text": {"a"}, "to": {"1"}}, "s")
	two := vonageSignature(url.Values{"text": {"a&to=1"}}, "s")
	if one == two {
		t.Error("both have one signature")
	}
}

func TestAWrongSecretOfVonageIsForTheOperatorToMend(t *testing.T) {
	url := aVonage(t, nil)
	for _, change := range []func(*Config){func(c *Config) { c.Secret = auth.Secret("another") }, func(c *Config) { c.Account = "another" }} {
		c := at("vonage", url)
		change(&c)
		later(t, opened(t, c).Send(t.Context(), hello()))
	}
}

func TestEveryPartMustBeTakenByVonage(t *testing.T) {
	for statuses, judge := range map[string]func(*testing.T, error){
		"1": later, "4": later, "5": later, "8": later, "9": later, "10": later, "11": later, "14": later, "15": later, "29": later, "99": later, "": later, "echoed": later,
		"2": refused, "3": refused, "6": refused, "7": refused, "12": refused, "22": refused, "33": refused,
		"0 1": later, "1 0": later, "0 0 5": later, "0 7": refused, "1 6": refused, "6 1": refused, "0 echoed": later,
	} {
		var parts []string
		for _, status := range strings.Split(statuses, " ") {
			parts = append(parts, fmt.Sprintf(`{"status":%q,"error-text":"echoed"}`, status))
		}
		url := says(t, 200, fmt.Sprintf(`{"message-count":"%d","messages":[%s]}`, len(parts), strings.Join(parts, ",")))
		t.Log(statuses)
		judge(t, opened(t, at("vonage", url)).Send(t.Context(), hello()))
	}
	for _, body := range []string{
		`{"message-count":"2","messages":[{"status":"0"}]}`, `{"message-count":"1","messages":[{"status":"0"},{"status":"0"}]}`,
		`{"messages":[{"status":"0"}]}`, `{"message-count":"1","messages":[{"status":0}]}`, `{"message-count":"1","messages":[null]}`,
	} {
		later(t, opened(t, at("vonage", says(t, 200, body))).Send(t.Context(), hello()))
	}
	two := says(t, 200, `{"message-count":"2","messages":[{"status":"0"},{"status":"0"}]}`)
	if err := opened(t, at("vonage", two)).Send(t.Context(), hello()); err != nil {
		t.Error(err)
	}
}

func TestNoTextAddsAFieldToVonage(t *testing.T) {
	var taken []url.Values
	p := opened(t, at("vonage", aVonage(t, &taken)))
	for _, text := range weird {
		m := hello()
		m.Text = text
		if err := p.Send(t.Context(), m); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := taken[len(taken)-1]; got.Get("text") != text || len(got["to"]) != 1 || len(got) != 8 {
			t.Errorf("%q became %v", text, got)
		}
	}
}
