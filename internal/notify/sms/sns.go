package sms

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/auth"
)

// sns publishes to a phone number, without a topic. Source: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
type sns struct {
	url   *url.URL
	key   awsKey
	from  string
	clock func() time.Time
}

var (
	region   = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
	senderID = regexp.MustCompile(`^[A-Za-z0-9-]{1,11}$`)
	awsCode  = regexp.MustCompile(`^[A-Za-z.]{1,50}$`)
)

func openSNS(c Config, clock func() time.Time) (Provider, error) {
	err := need(
		setting{"account", c.Account, "the access key id of AWS"},
		setting{"secret", string(c.Secret), "the secret access key of AWS"},
		setting{"region", c.Region, "a region of AWS, like eu-north-1"},
	)
	switch {
	case err != nil:
		return nil, err
	case !region.MatchString(c.Region):
		return nil, fmt.Errorf("sms.region is %q: set it to a region of AWS, like eu-north-1", c.Region)
	case c.From != "" && !e164.MatchString(c.From) && !(senderID.MatchString(c.From) && letter.MatchString(c.From)):
		return nil, errors.New("sms.from is no sender for SNS: set it to a number (+4670...), or up to 11 letters, digits and hyphens")
	case c.Token != "":
		if err := need(setting{"token", string(c.Token), "the session token of AWS"}); err != nil {
			return nil, err
		}
	}
	u, err := endpoint(c.URL, "https://sns."+c.Region+".amazonaws.com")
	if err != nil {
		return nil, err
	}
	u.Path, u.RawPath, u.RawQuery = "/", "", ""
	return &sns{u, awsKey{c.Account, c.Secret, c.Token, c.Region, "sns"}, c.From, clock}, nil
}

func (s *sns) Send(ctx context.Context, m Message) error {
	fields := url.Values{"Action": {"Publish"}, "Version": {"2010-03-31"}, "PhoneNumber": {m.To}, "Message": {m.Text}}
	attributes := map[string]string{"AWS.SNS.SMS.SMSType": "Transactional"}
	switch {
	case s.from == "":
	case e164.MatchString(s.from):
		attributes["AWS.MM.SMS.OriginationNumber"] = s.from
	default:
		attributes["AWS.SNS.SMS.SenderID"] = s.from
	}
	for i, name := range slices.Sorted(maps.Keys(attributes)) {
		entry := "MessageAttributes.entry." + strconv.Itoa(i+1)
		fields.Set(entry+".Name", name)
		fields.Set(entry+".Value.DataType", "String")
		fields.Set(entry+".Value.StringValue", attributes[name])
	}
	r, err := form(ctx, s.url, fields)
	if err != nil {
		return fmt.Errorf("sns: %w", err)
	}
	s.key.sign(r, fields.Encode(), s.clock())
	status, body, err := exchange(r)
	if err != nil {
		return fmt.Errorf("sns: %w", err)
	}
	return snsVerdict(status, body)
}

// snsVerdict knows the errors that are about this message; throttling, keys and permissions are for another try.
func snsVerdict(status int, body []byte) error {
	var said struct {
		XMLName xml.Name
		ID      string `xml:"PublishResult>MessageId"`
		Code    string `xml:"Error>Code"`
	}
	err := xml.Unmarshal(body, &said)
	switch {
	case err == nil && status == http.StatusOK && said.XMLName.Local == "PublishResponse" && said.ID != "":
		return nil
	case !awsCode.MatchString(said.Code):
		said.Code = "unknown" // an error repeats no free text
	case status/100 == 4:
		switch said.Code {
		case "InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid", "OptedOut":
			return fmt.Errorf("sns answered %d, %s: %w", status, said.Code, auth.ErrRefused)
		}
	}
	return fmt.Errorf("sns answered %d, %s", status, said.Code)
}

// An awsKey signs for one service in one region.
type awsKey struct {
	id              string
	secret, token   auth.Secret
	region, service string
}

// sign adds Signature Version 4 to a request without a query. The host and every header that is there are signed.
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
func (k awsKey) sign(r *http.Request, body string, now time.Time) {
	at := now.UTC().Format("20060102T150405Z")
	r.Header.Set("X-Amz-Date", at)
	if k.token != "" {
		r.Header.Set("X-Amz-Security-Token", string(k.token))
	}
	lines := map[string]string{"host": r.URL.Host}
	for name := range r.Header {
		lines[strings.ToLower(name)] = strings.TrimSpace(r.Header.Get(name))
	}
	names := slices.Sorted(maps.Keys(lines))
	signed := strings.Join(names, ";")

	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n\n", r.Method, r.URL.EscapedPath())
	for _, name := range names {
		fmt.Fprintf(&canonical, "%s:%s\n", name, lines[name])
	}
	fmt.Fprintf(&canonical, "\n%s\n%s", signed, hexSHA256(body))

	scope := strings.Join([]string{at[:8], k.region, k.service, "aws4_request"}, "/")
	key := []byte("AWS4" + string(k.secret))
	for _, step := range strings.Split(scope, "/") {
		key = hmacSHA256(key, step)
	}
	signature := hmacSHA256(key, "AWS4-HMAC-SHA256\n"+at+"\n"+scope+"\n"+hexSHA256(canonical.String()))
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", k.id, scope, signed, signature))
}

func hexSHA256(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func hmacSHA256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
