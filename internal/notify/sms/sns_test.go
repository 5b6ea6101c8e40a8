package sms

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
)

const published = `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult>` +
	`<MessageId>567910cd-659e-55d4-8ccb-5aaf14679dc0</MessageId></PublishResult>` +
	`<ResponseMetadata><RequestId>d74b8436-ae13-5ab4-a9ff-ce54dfea72a0</RequestId></ResponseMetadata></PublishResponse>`

func snsError(code string) string {
	return `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>` + code + `</Code>` +
		`<Message>Invalid parameter: PhoneNumber Reason: +46701234567 echoed</Message></Error><RequestId>9dd01905-5012-5f99-8663-4b3ecd0dfaef</RequestId></ErrorResponse>`
}

var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$`)

// signedAs is the signature that a request should have, computed from what arrived.
func signedAs(r *http.Request, body []byte, secret string) string {
	m := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		return ""
	}
	hash := func(b string) string { s := sha256.Sum256([]byte(b)); return hex.EncodeToString(s[:]) }
	canonical := r.Method + "\n" + r.URL.Path + "\n" + r.URL.RawQuery + "\n"
	for _, name := range strings.Split(m[5], ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		canonical += name + ":" + value + "\n"
	}
	canonical += "\n" + m[5] + "\n" + hash(string(body))
	key := "AWS4" + secret
	for _, step := range []string{m[2], m[3], m[4], "aws4_request",
		"AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + m[2] + "/" + m[3] + "/" + m[4] + "/aws4_request\n" + hash(canonical)} {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(step))
		key = string(mac.Sum(nil))
	}
	return hex.EncodeToString([]byte(key))
}

// anSNS checks what SNS checks.
func anSNS(t *testing.T, token string, taken *[]url.Values) string {
	return served(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fail := func(status int, code string) {
			w.WriteHeader(status)
			io.WriteString(w, snsError(code))
		}
		m := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
		sent, _ := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		form, _ := url.ParseQuery(string(body))
		switch {
		case m == nil:
			fail(400, "IncompleteSignature")
		case m[1] != good["sns"].Account || r.Header.Get("X-Amz-Security-Token") != token:
			fail(403, "InvalidClientTokenId")
		case m[2] != sent.Format("20060102") || m[3] != "eu-north-1" || m[4] != "sns" || !slices.Contains(strings.Split(m[5], ";"), "host"),
			token != "" && !strings.Contains(m[5], "x-amz-security-token"), signedAs(r, body, string(good["sns"].Secret)) != m[6]:
			fail(403, "SignatureDoesNotMatch")
		case sent.Sub(noon()).Abs() > 5*time.Minute:
			fail(403, "RequestExpired")
		case r.Method != http.MethodPost || r.URL.Path != "/" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" ||
			form.Get("Action") != "Publish" || form.Get("Version") != "2010-03-31":
			fail(400, "InvalidAction")
		case !e164.MatchString(form.Get("PhoneNumber")) || form.Get("Message") == "" || form.Get("PhoneNumber") == "+15005550001":
			fail(400, "InvalidParameter")
		default:
			*taken = append(*taken, form)
			io.WriteString(w, published)
		}
	})
}

func TestSNSTakesAMessage(t *testing.T) {
	for from, attribute := range map[string]string{"Sally-1": "AWS.SNS.SMS.SenderID", "+15005550006": "AWS.MM.SMS.OriginationNumber", "": ""} {
		for _, token := range []auth.Secret{"", "a//token+of/AWS=="} {
			var taken []url.Values
			c := at("sns", anSNS(t, string(token), &taken))
			c.From, c.Token = from, token
			if err := opened(t, c).Send(t.Context(), hello()); err != nil {
				t.Fatal(err)
			}
			got := taken[0]
			attributes := map[string]string{}
			for i := 1; got.Has(fmt.Sprintf("MessageAttributes.entry.%d.Name", i)); i++ {
				entry := fmt.Sprintf("MessageAttributes.entry.%d.", i)
				attributes[got.Get(entry+"Name")] = got.Get(entry+"Value.DataType") + " " + got.Get(entry+"Value.StringValue")
			}
			if got.Get("PhoneNumber") != hello().To || got.Get("Message") != hello().Text || attributes["AWS.SNS.SMS.SMSType"] != "String Transactional" {
				t.Error(got)
			}
			if from != "" && attributes[attribute] != "String "+from || from == "" && len(attributes) != 1 {
				t.Error(attributes)
			}
		}
	}
}

func TestAKeyThatAWSDoesNotKnowIsForTheOperatorToMend(t *testing.T) {
	url := anSNS(t, "", nil)
	for what, change := range map[string]func(*Config){
		"another secret": func(c *Config) { c.Secret = "another" }, "another id": func(c *Config) { c.Account = "AKIDOTHER" },
		"another region": func(c *Config) { c.Region = "eu-west-1" }, "a token": func(c *Config) { c.Token = "token" },
	} {
		c := at("sns", url)
		change(&c)
		t.Log(what)
		later(t, opened(t, c).Send(t.Context(), hello()))
	}
}

func TestSNSRefusesANumberForGood(t *testing.T) {
	m := hello()
	m.To = "+15005550001"
	refused(t, opened(t, at("sns", anSNS(t, "", nil))).Send(t.Context(), m))
	for _, code := range []string{"InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid", "OptedOut"} {
		refused(t, opened(t, at("sns", says(t, 400, snsError(code)))).Send(t.Context(), hello()))
	}
}

func TestSNSIsTriedAgainUnlessItIsAboutTheMessage(t *testing.T) {
	for code, status := range map[string]int{
		"Throttling": 400, "ThrottlingException": 400, "Throttled": 429, "ThrottledException": 429, "InternalError": 500, "InternalFailure": 500,
		"ServiceUnavailable": 503, "AuthorizationError": 403, "ExpiredToken": 403, "KMSThrottling": 400, "InvalidParameter": 500, "": 400,
		"+46701234567 echoed": 400, "echoed": 200,
	} {
		err := opened(t, at("sns", says(t, status, snsError(code)))).Send(t.Context(), hello())
		if code != "echoed" { // one word could be a code
			later(t, err)
		}
	}
	later(t, opened(t, at("sns", says(t, 400, published))).Send(t.Context(), hello()))
}

// post-vanilla, post-x-www-form-urlencoded and post-sts-header-before of the Signature Version 4 Test Suite that AWS published.
func TestSignatureVersion4(t *testing.T) {
	const token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct{ contentType, token, body, signed, signature string }{
		{"", "", "", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{form, "", "Param1=value1", "content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
		{"", token, "", "host;x-amz-date;x-amz-security-token", "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
	} {
		r, err := http.NewRequest(http.MethodPost, "https://example.amazonaws.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.contentType != "" {
			r.Header.Set("Content-Type", c.contentType)
		}
		key := awsKey{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", auth.Secret(c.token), "us-east-1", "service"}
		key.sign(r, c.body, time.Date(2015, 8, 30, 14, 36, 0, 0, time.FixedZone("", 2*60*60)))
		want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" + c.signed + ", Signature=" + c.signature
		if got := r.Header.Get("Authorization"); got != want || r.Header.Get("X-Amz-Date") != "20150830T123600Z" {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

func TestNoTextAddsAFieldToSNS(t *testing.T) {
	var taken []url.Values
	p := opened(t, at("sns", anSNS(t, "", &taken)))
	for _, text := range weird {
		m := hello()
		m.Text = text
		if err := p.Send(t.Context(), m); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := taken[len(taken)-1]; got.Get("Message") != text || len(got) != 10 {
			t.Errorf("%q became %v", text, got)
		}
	}
}

func TestARegionHasItsOwnAddress(t *testing.T) {
	p, err := Open(good["sns"], noon)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.(checked).provider.(*sns).url.String(); got != "https://sns.eu-north-1.amazonaws.com/" {
		t.Error(got)
	}
}
