// Package notify is the outbox: every mail and SMS the product sends.
//
// A message is a row in the transaction of the event it tells of (C9), so it exists exactly when the event does. Every node
// carries what waits, and claims a message before it does, so that no two carry the same. A message is tried until the
// other side takes it, refuses it for good, or its time is over; a code does not arrive after its end.
//
// A node that is killed between the other side's acknowledgement and the row that notes it leaves a message that is sent
// again once the lease is over: neither SMTP nor SMS providers have a way to ask. The repetition has the same Message-ID
// or idempotency key, by which a receiver can tell. Contents are sealed while they wait and gone afterwards.
package notify

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/notify/wording"
	"sallyport/internal/secret"
)

// A Channel is a way to reach people.
type Channel string

const (
	Email Channel = "email"
	SMS   Channel = "sms"
)

// A Message is one text for one destination.
type Message struct {
	ID       string    // of the caller's making, 128 random bits
	User     auth.User // whom it is for. Empty: nobody, and the row costs as much but is never sent
	Channel  Channel
	To       string        // an address or a number, always ours, never of the request (C8)
	Name     string        // which text: "code-signin"
	Facts    wording.Facts // what it says
	Lifetime time.Duration // after which nobody wants it any more
}

// A State is how far a message has come.
type State string

const (
	Waiting   State = "waiting"
	Sending   State = "sending"
	Delivered State = "delivered" // the other side took it
	Failed    State = "failed"
	Unknown   State = "" // there is no such message
)

// A Letter is a message as it is carried: rendered in the language of its recipient.
type Letter struct {
	ID   string
	To   string
	Name string // of the recipient
	At   time.Time
	Mail wording.Mail // of a mail
	Text string       // of an SMS
}

// A Carrier hands letters to the other side. nil: it took the letter. auth.ErrRefused: it never will. Any other error
// means to try again later. No error holds the destination or the text.
type Carrier interface {
	Carry(context.Context, Letter) error
}

// An Outbox holds what is to be sent.
type Outbox struct {
	Parts
	Edits *Edits // of Texts
	wake  map[Channel]chan struct{}
	count *prometheus.CounterVec
}

// Parts are what an outbox is made with.
type Parts struct {
	DB       *db.DB
	Keys     *secret.Keys
	Texts    *wording.Texts      // of the configuration
	Language string              // of people who chose none
	Carriers map[Channel]Carrier // a channel without one does not exist
	Keep     bool                // contents stay readable afterwards: for a machine to develop on
	Clock    func() time.Time
	Log      *slog.Logger
	Metrics  prometheus.Registerer
}

func New(p Parts) *Outbox {
	o := &Outbox{Parts: p, Edits: NewEdits(p.DB, p.Texts, p.Clock, p.Log), wake: map[Channel]chan struct{}{}, count: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sallyport_messages_total", Help: "Attempts to hand over a message, by channel and what came of it."}, []string{"channel", "result"})}
	for c := range p.Carriers {
		o.wake[c] = make(chan struct{}, 1)
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sallyport_outbox_waiting",
		Help: "Messages that nobody has taken yet; -1: the database cannot be asked."}, o.waiting)
	p.Metrics.MustRegister(o.count, waiting)
	return o
}

// Has says whether a channel exists.
func (o *Outbox) Has(c Channel) bool { return o.Carriers[c] != nil }

// Send puts a message into the outbox, in the caller's transaction.
func (o *Outbox) Send(ctx context.Context, tx auth.Tx, m Message) error {
	now := o.Clock()
	body, err := json.Marshal(content{m.To, m.User.Name, m.User.Language, m.Facts})
	if err != nil {
		return err
	}
	if m.User.ID == "" { // as long, and empty
		clear(body)
	}
	r := row{id: m.ID, user: m.User.ID, channel: m.Channel, message: m.Name, sealed: o.Keys.Seal(body, "outbox", m.ID, "sealed"),
		state: Waiting, due: now, added: now, expires: now.Add(m.Lifetime)}
	if m.User.ID == "" {
		r.state, r.why, r.due = Failed, "nobody", time.Time{}
	}
	tx.AfterCommit(func() { o.hurry(m.Channel) })
	return o.insert(ctx, tx, r)
}

// content is what of a message is sealed.
type content struct {
	To       string        `json:"to"`
	Name     string        `json:"name"`
	Language string        `json:"language"`
	Facts    wording.Facts `json:"facts"`
}

// errUnknown is a message that a newer version of this program has written.
var errUnknown = errors.New("there is no such message")

// letter opens a row and renders it, as texts are now.
func (o *Outbox) letter(ctx context.Context, r row) (Letter, error) {
	if !slices.Contains(o.Texts.Names(), r.message) {
		return Letter{}, errUnknown
	}
	body, err := o.Keys.Open(r.sealed, "outbox", r.id, "sealed")
	if err != nil {
		return Letter{}, err
	}
	var c content
	if err := json.Unmarshal(body, &c); err != nil {
		return Letter{}, err
	}
	if !o.Texts.Has(c.Language) {
		c.Language = o.Language
	}
	texts := o.Edits.Texts(ctx)
	l := Letter{ID: r.id, To: c.To, Name: c.Name, At: r.added}
	if r.channel == SMS {
		l.Text = texts.SMS(c.Language, r.message, c.Facts)
	} else {
		l.Mail = texts.Mail(c.Language, r.message, c.Facts)
	}
	return l, nil
}

// Kept are the newest messages whose content is still there, the newest first: those that wait, and with Keep the others.
func (o *Outbox) Kept(ctx context.Context, most int) ([]Letter, error) {
	rows, err := o.recent(ctx, most)
	if err != nil {
		return nil, err
	}
	var letters []Letter
	for _, r := range rows {
		if r.sealed == nil {
			continue
		}
		l, err := o.letter(ctx, r)
		if err != nil {
			return nil, err
		}
		letters = append(letters, l)
	}
	return letters, nil
}

// hurry wakes this node's worker. Others look once a second.
func (o *Outbox) hurry(c Channel) {
	select {
	case o.wake[c] <- struct{}{}:
	default:
	}
}
