package harness

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// token is what proves an account to it.
const token = "the auth token of an account"

// A Twilio takes SMS on this machine as the real one does, and is the phones behind it.
type Twilio struct {
	url string

	mu    sync.Mutex
	texts map[string][]string // by number, the oldest first
	wrong []string            // what it refused
}

// StartTwilio starts one, for sms.provider twilio.
func StartTwilio(t testing.TB) *Twilio {
	t.Helper()
	w := &Twilio{texts: map[string][]string{}}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// Env is the settings of a server that sends its SMS there; account and sender are its own.
func (w *Twilio) Env() []string {
	return []string{"SALLYPORT_SMS_URL=" + w.url, "SALLYPORT_SMS_SECRET=" + token}
}

// ServeHTTP creates a Message resource. Source: https://www.twilio.com/docs/messaging/api/message-resource
func (w *Twilio) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	account, secret, _ := r.BasicAuth()
	to, text := r.PostFormValue("To"), r.PostFormValue("Body")
	if r.Method != "POST" || r.URL.Path != "/2010-04-01/Accounts/"+account+"/Messages.json" || secret != token || r.PostFormValue("From") == "" || to == "" || text == "" {
		w.wrong = append(w.wrong, r.Method+" "+r.URL.Path)
		out.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.texts[to] = append(w.texts[to], text)
	out.WriteHeader(http.StatusCreated)
	fmt.Fprintf(out, `{"sid":"SM%032x"}`, len(w.texts[to]))
}

// Take waits for a text with a code to a number, and takes away what came before it too.
func (w *Twilio) Take(t testing.TB, number string) string {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if code := w.take(number); code != "" {
			return code
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Fatalf("no code came to %s; refused were %q", number, w.wrong)
	return ""
}

func (w *Twilio) take(number string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, text := range w.texts[number] {
		if code := inMessage.FindStringSubmatch(strings.TrimSpace(text)); code != nil {
			w.texts[number] = w.texts[number][i+1:]
			return code[1] + code[2]
		}
	}
	return ""
}
