package test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/test/harness"
)

// Phones is the SMS service of a company that checks who calls it, and the phones behind it.
type phones struct {
	*httptest.Server
	t      *testing.T
	mu     sync.Mutex
	texts  map[string]string // the newest, by number
	ids    map[string]int
	broken bool
}

const shared = "a secret of thirty-two characters"

func startPhones(t *testing.T) *phones {
	p := &phones{t: t, texts: map[string]string{}, ids: map[string]int{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *phones) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	mac := hmac.New(sha256.New, []byte(shared))
	io.WriteString(mac, r.Header.Get("Sallyport-Timestamp")+"."+string(body))
	var m struct{ ID, To, Text string }
	if err != nil || json.Unmarshal(body, &m) != nil || r.Header.Get("Sallyport-Signature") != "v1="+hex.EncodeToString(mac.Sum(nil)) {
		p.t.Error("a call that is not signed as it should be")
		w.WriteHeader(http.StatusForbidden)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	p.ids[m.ID]++
	p.texts[m.To] = m.Text
	w.WriteHeader(http.StatusAccepted)
}

func (p *phones) breakDown(so bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = so
}

// code waits for a text to a number and takes the code in it away.
func (p *phones) code(number string) string {
	p.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		text := p.texts[number]
		delete(p.texts, number)
		p.mu.Unlock()
		if text != "" {
			last := text[strings.LastIndexByte(text, '\n')+1:] // C7: "@host #code"
			at, code, ok := strings.Cut(last, " #")
			if !ok || at != "@localhost" {
				p.t.Fatalf("the last line is %q", last)
			}
			return code
		}
	}
	p.t.Fatal("no text came")
	return ""
}

func (p *phones) env() []string {
	return append(slices.Clone(cheap), "SALLYPORT_SMS_PROVIDER=webhook", "SALLYPORT_SMS_URL="+p.URL, "SALLYPORT_SMS_SECRET="+shared,
		"SALLYPORT_SMS_COUNTRIES=SE", "SALLYPORT_POLICY_FACTORS=totp,sms")
}

const number = "+46701740605" // for fiction

// withPhone is a person who gets codes by SMS.
func (s site) withPhone(p *phones, who, number string) {
	s.t.Helper()
	harness.AddUser(s.t, s.Server, who, password)
	if out, code := s.Run("", "user", "contact", who, "--phone", number); code != 0 {
		s.t.Fatal(out)
	}
	c := s.as(who)
	expect(s.t, "step-up", c.Call("POST", "/stepup/password", m{"password": password}), "200")
	expect(s.t, "the tick", c.Call("POST", "/account/codes", m{"on": true, "channel": "sms"}), "200")
	expect(s.t, "the proof", c.Call("POST", "/account/sms/code", m{"code": p.code(number)}), "200")
}

// C2, C7, C9: a code that one node sends finishes the sign-in on the other, once, whoever sends it how often.
func TestACodeSentByOneNodeIsEnteredOnTheOther(t *testing.T) {
	t.Parallel()
	p := startPhones(t)
	address, data := onPostgres(t), t.TempDir()
	a := with(t, harness.Options{Database: address, Env: p.env(), Data: data}, address)
	b := with(t, harness.Options{Database: address, Env: p.env(), Data: data, URL: a.URL}, address)
	a.withPhone(p, anna, number)
	for range rounds {
		a.forgetFailures()
		a.forgetSending()
		c := a.begun(anna)
		code := p.code(number)
		same := append(clones(b.at(c), 25), clones(c, 25)...)
		n := tally(atOnce(50, func(i int) harness.Answer { return same[i].Call("POST", "/signin/sms", m{"code": code}) }))
		noFault(t, n)
		if n["200"] != 1 {
			t.Error(n)
		}
	}
	for id, times := range p.ids {
		if times != 1 {
			t.Errorf("message %s came %d times", id, times)
		}
	}
}

// Of parallel sign-ins and resends none gets another's code, and each thread has one that works.
func TestCodesOfParallelSignInsStayApart(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		p := startPhones(t)
		s := with(t, harness.Options{Database: address, Env: p.env()}, address)
		s.withPhone(p, anna, number)
		s.withPhone(p, berta, "+46701740699")
		for range rounds {
			s.forgetFailures()
			s.forgetSending()
			one, other := s.begun(anna), s.begun(berta)
			annas, bertas := p.code(number), p.code("+46701740699")
			if annas == bertas {
				continue
			}
			expect(t, "Berta's code at Anna's sign-in", one.Call("POST", "/signin/sms", m{"code": bertas}), "422 wrong")
			expect(t, "Anna's at Berta's", other.Call("POST", "/signin/sms", m{"code": annas}), "422 wrong")
			expect(t, "her own", one.Call("POST", "/signin/sms", m{"code": annas}), "200")
			expect(t, "her own", other.Call("POST", "/signin/sms", m{"code": bertas}), "200")
		}
	})
}

// C9: a code waits out an outage of the provider, and a restart of ours.
func TestACodeSurvivesAnOutageAndARestart(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		p := startPhones(t)
		s := with(t, harness.Options{Database: address, Env: p.env()}, address)
		s.withPhone(p, anna, number)
		s.forgetSending()
		p.breakDown(true)
		c := s.begun(anna)
		time.Sleep(200 * time.Millisecond) // it has tried
		s.Kill()
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		a := c.Call("GET", "/signin/sms", nil)
		expect(t, "the second step", a, "200")
		if !strings.Contains(a.Body, `"state":"waiting"`) {
			t.Error(a.Body)
		}
		p.breakDown(false)
		expect(t, "the code", c.Call("POST", "/signin/sms", m{"code": p.code(number)}), "200")
	})
}

// forgetSending makes the budgets full again.
func (s site) forgetSending() {
	s.t.Helper()
	s.do(`DELETE FROM budgets`)
}

const wrongOne = "314159"

// No code stands in the log or the database, and no number in the log or the record, whatever became of it.
func TestNoCodeIsWrittenDown(t *testing.T) {
	harness.EachDatabase(t, func(t *testing.T, address string) {
		p, all, numbers := startPhones(t), markers{}, markers{number: "a number", strings.TrimPrefix(number, "+46"): "a number"}
		s := with(t, harness.Options{Database: address, Env: p.env()[len(cheap):], Command: "serve", Config: "log_level = \"debug\"\n"}, address)
		harness.AddUser(t, s.Server, anna, password)
		if out, code := s.Run("", "user", "contact", anna, "--phone", number); code != 0 {
			t.Fatal(out)
		}
		c := s.as(anna)
		expect(t, "step-up", c.Call("POST", "/stepup/password", m{"password": password}), "200")
		expect(t, "the tick", c.Call("POST", "/account/codes", m{"on": true, "channel": "sms"}), "200")
		proof := p.code(number)
		all[proof] = "the code that proved a number"
		all[wrongOne] = "a wrong code"
		c.Call("POST", "/account/sms/code", m{"code": wrongOne})
		expect(t, "the proof", c.Call("POST", "/account/sms/code", m{"code": proof}), "200")
		p.breakDown(true)
		b := s.begun(anna) // this one waits, sealed
		time.Sleep(300 * time.Millisecond)
		for _, row := range s.rows() {
			all.search(t, "the database", row)
			if strings.HasPrefix(row, "outbox") || strings.HasPrefix(row, "events") || strings.HasPrefix(row, "budgets") || strings.HasPrefix(row, "throttle") {
				numbers.search(t, "the database", row)
			}
		}
		p.breakDown(false)
		code := p.code(number)
		all[code] = "the code of a sign-in"
		b.Call("POST", "/signin/sms", m{"code": wrongOne})
		expect(t, "the code", b.Call("POST", "/signin/sms", m{"code": code}), "200")
		if !strings.Contains(s.Log(), "not taken yet") {
			t.Error("the log says nothing of the outage")
		}
		s.Stop()
		all.search(t, "the log", s.Log())
		numbers.search(t, "the log", s.Log())
		for _, row := range s.rows() {
			all.search(t, "the database", row)
		}
	})
}
