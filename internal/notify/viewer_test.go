package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
)

// ask is a browser on this machine, unless change makes it another.
func (w *world) ask(o *Outbox, method, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	w.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:50000", "localhost:8080"
	for _, c := range change {
		c(r)
	}
	answer := httptest.NewRecorder()
	o.Viewer().ServeHTTP(answer, r)
	return answer
}

func keeping(p *Parts) { p.Keep = true }

func TestTheViewerAnswersToThisMachineAlone(t *testing.T) {
	each(t, func(w *world) {
		o := w.node(keeping)
		w.send(o, aMail("a"))
		for _, test := range []struct {
			peer, host, trace string
			status            int
		}{
			{"127.0.0.1:50000", "localhost:8080", "", 200},
			{"127.0.0.1:50000", "LOCALHOST", "", 200},
			{"127.9.9.9:50000", "127.0.0.1:8080", "", 200},
			{"[::1]:50000", "[::1]:8080", "", 200},
			{"[::1]:50000", "[::1]", "", 200},
			{"[::ffff:127.0.0.1]:50000", "localhost", "", 200},
			{"192.0.2.1:50000", "localhost:8080", "", 403},
			{"[2001:db8::1]:50000", "localhost:8080", "", 403},
			{"[fe80::1%lo]:50000", "localhost:8080", "", 403},
			{"", "localhost:8080", "", 403},
			{"@", "localhost:8080", "", 403},
			{"127.0.0.1:50000", "login.example.com", "", 403}, // its name points here
			{"127.0.0.1:50000", "login.example.com:8080", "", 403},
			{"127.0.0.1:50000", "localhost.example.com", "", 403},
			{"127.0.0.1:50000", "127.0.0.1.example.com", "", 403},
			{"127.0.0.1:50000", "localhost@example.com", "", 403},
			{"127.0.0.1:50000", "192.0.2.1:8080", "", 403},
			{"127.0.0.1:50000", "0.0.0.0:8080", "", 403},
			{"127.0.0.1:50000", "", "", 403},
			{"127.0.0.1:50000", "localhost:8080", "X-Forwarded-For", 403}, // a proxy, for whomever
			{"127.0.0.1:50000", "localhost:8080", "X-Real-Ip", 403},
			{"127.0.0.1:50000", "localhost:8080", "Forwarded", 403},
			{"127.0.0.1:50000", "localhost:8080", "Via", 403},
		} {
			for _, path := range []string{"/dev/outbox", "/dev/outbox.json", "/dev/outbox/a", "/dev/outbox/a.txt", "/dev/outbox/a.html", "/dev/outbox/viewer.css"} {
				a := w.ask(o, "GET", path, func(r *http.Request) {
					r.RemoteAddr, r.Host = test.peer, test.host
					if test.trace != "" {
						r.Header.Set(test.trace, "127.0.0.1")
					}
				})
				if a.Code != test.status || a.Code != 200 && strings.Contains(a.Body.String(), "K7MQ") {
					w.Errorf("%+v: %s answered %d", test, path, a.Code)
				}
			}
		}
	})
}

func TestTheViewerShowsMessagesAsTheyAre(t *testing.T) {
	each(t, func(w *world) {
		o := w.node(keeping)
		w.send(o, aMail("mail"))
		w.pass(time.Second)
		w.send(o, anSMS("sms"))
		w.pass(time.Second)
		w.answer = func(l Letter) error {
			return map[string]error{"refused": auth.ErrRefused, "waits": errors.New("busy")}[l.ID]
		}
		w.send(o, aMail("refused"))
		w.pass(time.Second)
		w.send(o, aMail("waits"))
		nobody := aMail("nobody")
		nobody.User = auth.User{}
		w.send(o, nobody)
		w.step(o)
		w.pass(time.Second)
		w.send(o, aMail("sending"))
		if _, err := o.claim(w.Context(), Email, batch); err != nil {
			w.Fatal(err)
		}

		a := w.ask(o, "GET", "/dev/outbox.json")
		var all struct{ Messages []map[string]any }
		if err := json.Unmarshal(a.Body.Bytes(), &all); err != nil {
			w.Fatal(err, a.Body)
		}
		got := []string{}
		for _, m := range all.Messages {
			got = append(got, fmt.Sprintf("%s %s %s %s %s", m["id"], m["channel"], m["to"], m["message"], m["state"]))
		}
		want := []string{
			"sending email ann@example.com code-signin waiting", "waits email ann@example.com code-signin waiting",
			"refused email ann@example.com code-signin failed",
			"sms sms +46701234567 code-signin delivered", "mail email ann@example.com code-signin delivered",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			w.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		first := all.Messages[4]
		if first["subject"] != "K7MQ-3XTP is your Example code" || !strings.Contains(first["text"].(string), "K7MQ-3XTP") ||
			!strings.Contains(first["html"].(string), "<!doctype html>") || first["at"] != "2026-11-21T12:00:00Z" {
			w.Error(first)
		}
		sms := all.Messages[3]["text"].(string)
		if !strings.HasSuffix(sms, "\n\n@login.example.com #K7MQ-3XTP") || all.Messages[3]["html"] != "" {
			w.Error(all.Messages[3])
		}

		list := w.ask(o, "GET", "/dev/outbox").Body.String()
		for _, part := range []string{`href="/dev/outbox/mail">K7MQ-3XTP is your Example code</a>`, "<b>@login.example.com #K7MQ-3XTP</b>", "46701234567",
			"failed: refused", `http-equiv="refresh"`} {
			if !strings.Contains(list, part) {
				w.Errorf("the list lacks %s:\n%s", part, list)
			}
		}
		if strings.Contains(list, "nobody") {
			w.Error("the list has what is for nobody")
		}
		if one := w.ask(o, "GET", "/dev/outbox/mail").Body.String(); !strings.Contains(one, `src="/dev/outbox/mail.html" sandbox="allow-popups`) ||
			strings.Contains(one, "http-equiv") {
			w.Error(one)
		}
		if a := w.ask(o, "GET", "/dev/outbox/sms.txt"); a.Body.String() != sms || a.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
			w.Error(a)
		}
		html := w.ask(o, "GET", "/dev/outbox/mail.html")
		if strings.Replace(html.Body.String(), `<base target="_blank">`, "", 1) != first["html"] {
			w.Error(html.Body)
		}
		if csp := html.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "; sandbox") || strings.Contains(csp, "script") {
			w.Error(csp)
		}
		for path, status := range map[string]int{"/dev/outbox/nobody": 404, "/dev/outbox/nobody.txt": 404, "/dev/outbox/x": 404, "/dev/outbox/sms.html": 404,
			"/dev/outbox/mail.pdf": 404, "/dev/outbox/mail/x": 404, "/dev/outboxes": 404, "/dev/outbox/viewer.html": 404} {
			if a := w.ask(o, "GET", path); a.Code != status {
				w.Errorf("%s answered %d", path, a.Code)
			}
		}
	})
}

func TestTheViewerTakesNothingAndIsNotKept(t *testing.T) {
	each(t, func(w *world) {
		o := w.node(keeping)
		w.send(o, aMail("a"))
		for _, path := range []string{"/dev/outbox", "/dev/outbox.json", "/dev/outbox/a", "/dev/outbox/a.txt", "/dev/outbox/a.html", "/dev/outbox/viewer.js"} {
			for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				if a := w.ask(o, method, path); a.Code != 405 {
					w.Errorf("%s %s answered %d", method, path, a.Code)
				}
			}
			a := w.ask(o, "HEAD", path)
			h := a.Header()
			if a.Code != 200 || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" ||
				!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("Cross-Origin-Resource-Policy") != "same-origin" {
				w.Errorf("HEAD %s: %d %v", path, a.Code, h)
			}
		}
	})
}

func TestWhatAMessageSaysIsNoMarkupInTheViewer(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>`
	each(t, func(w *world) {
		o := w.node(keeping)
		mail, sms := aMail("a"), anSMS("b")
		mail.To = evil
		mail.Facts.Tags = map[string]string{"code": evil, "browser": evil, "to": evil}
		sms.Facts = mail.Facts
		w.send(o, mail, sms)
		for _, path := range []string{"/dev/outbox", "/dev/outbox/a", "/dev/outbox/a.html", "/dev/outbox/b", "/dev/outbox.json"} {
			body := w.ask(o, "GET", path).Body.String()
			if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img") {
				w.Errorf("%s: %s", path, body)
			}
			if !strings.Contains(body, "alert(1)") {
				w.Errorf("%s does not show it: %s", path, body)
			}
		}
	})
}

func TestTheViewerListsTheLastFiftyWhateverTheyAre(t *testing.T) {
	each(t, func(w *world) {
		o := w.node(keeping)
		for i := range shownAtMost + 5 {
			w.send(o, aMail(fmt.Sprint("m", i)))
			w.pass(time.Second)
		}
		w.do(o, func(tx auth.Tx) error {
			_, err := tx.ExecContext(w.Context(), `UPDATE outbox SET sealed = NULL, message = 'of tomorrow' WHERE id = 'm50'`)
			return err
		})
		list := w.ask(o, "GET", "/dev/outbox").Body.String()
		if n := strings.Count(list, "<li "); n != shownAtMost || strings.Contains(list, `"m-m4"`) || !strings.Contains(list, `"m-m5"`) {
			w.Error(n, "are listed")
		}
		if !strings.Contains(list, "of tomorrow: its content is not there any more.") {
			w.Error(list)
		}
		if a := w.ask(o, "GET", "/dev/outbox/m50"); a.Code != 200 || !strings.Contains(a.Body.String(), "not there any more") {
			w.Error(a)
		}
		if a := w.ask(o, "GET", "/dev/outbox/m50.txt"); a.Code != 404 {
			w.Error(a)
		}
	})
}
