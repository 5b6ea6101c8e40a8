package notify

import (
	"context"

	"sallyport/internal/notify/mail"
	"sallyport/internal/notify/sms"
)

// ByMail carries letters to an SMTP server.
type ByMail struct{ *mail.Server }

// Carry is Carrier.
func (b ByMail) Carry(ctx context.Context, l Letter) error {
	return b.Send(ctx, mail.Mail{ID: l.ID, To: l.To, ToName: l.Name, Subject: l.Mail.Subject, Text: l.Mail.Text, HTML: l.Mail.HTML, At: l.At})
}

// BySMS carries letters to an SMS provider.
type BySMS struct{ sms.Provider }

// Carry is Carrier.
func (b BySMS) Carry(ctx context.Context, l Letter) error {
	return b.Send(ctx, sms.Message{ID: l.ID, To: l.To, Text: l.Text})
}

// Nowhere takes every letter and keeps it, to be looked at (Viewer).
type Nowhere struct{}

// Carry is Carrier.
func (Nowhere) Carry(context.Context, Letter) error { return nil }
