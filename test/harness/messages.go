package harness

import (
	"encoding/json"
	"regexp"
	"testing"
	"time"
)

// A Message is a mail or an SMS in the outbox that dev keeps.
type Message struct {
	ID, Channel, To, Message, Subject, Text, HTML, State string
	At                                                   time.Time
}

// Messages are those that were sent so far, the newest first.
func Messages(t testing.TB, s *Server) []Message {
	t.Helper()
	a := NewClient(t, s.URL).Via(s.Listen).Send("GET", "/dev/outbox.json", nil, nil)
	var all struct{ Messages []Message }
	if err := json.Unmarshal([]byte(a.Body), &all); a.Status != 200 || err != nil {
		t.Fatalf("%v %v", a, err)
	}
	return all.Messages
}

var inMessage = regexp.MustCompile(`(?m)^\s*([0-9A-Z]{4}-[0-9A-Z]{4})\s*$|#([0-9]{6})$`)

// Mailed is the code in the newest message to an address or number.
func Mailed(t testing.TB, s *Server, to string) string {
	t.Helper()
	for _, m := range Messages(t, s) {
		if code := inMessage.FindStringSubmatch(m.Text); m.To == to && code != nil {
			return code[1] + code[2]
		}
	}
	t.Fatal("no code was sent to ", to)
	return ""
}
