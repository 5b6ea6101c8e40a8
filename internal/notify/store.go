package notify

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

//go:embed schema
var embedded embed.FS

// Schema is the tables of this package.
var Schema, _ = fs.Sub(embedded, "schema")

// A row is one message.
type row struct {
	id                  string
	user                auth.UserID
	channel             Channel
	message             string
	sealed              []byte
	state               State
	why                 string
	tries               int
	due, expires, added time.Time
	hand                int // of this node that carries it
}

const columns = `id, user_id, channel, message, sealed, state, why, tries, due_at, expires_at, added_at`

func scan(r *sql.Rows) (m row, err error) {
	return m, r.Scan(&m.id, &m.user, &m.channel, &m.message, &m.sealed, &m.state, &m.why, &m.tries,
		db.Stamp(&m.due), db.Stamp(&m.expires), db.Stamp(&m.added))
}

func (o *Outbox) insert(ctx context.Context, tx auth.Tx, r row) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO outbox (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		r.id, r.user, r.channel, r.message, r.sealed, r.state, r.why, r.tries, db.Micros(r.due), db.Micros(r.expires), db.Micros(r.added))
	return err
}

// Cancel takes a message back that nobody has taken yet: the code in it is dead. A try that is under way may still
// succeed; there will be no other.
func (o *Outbox) Cancel(ctx context.Context, tx auth.Tx, id string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM outbox WHERE id = $1 AND due_at > 0`, id)
	return err
}

// State is how far a message has come.
func (o *Outbox) State(ctx context.Context, from auth.Reader, id string) (s State, err error) {
	err = from.QueryRowContext(ctx, `SELECT state FROM outbox WHERE id = $1`, id).Scan(&s)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return s, err
}

// Progress is how far a message has come, for the person it is for.
type Progress struct {
	Channel Channel
	State   State
	Why     string // of Failed: refused, expired, or fault
	Tries   int
	Added   time.Time
}

// Progress is how far one message to somebody has come, or auth.ErrNotFound. Name says which text it is of.
func (o *Outbox) Progress(ctx context.Context, id, name string, to auth.UserID) (p Progress, err error) {
	err = o.DB.QueryRowContext(ctx, `SELECT channel, state, why, tries, added_at FROM outbox WHERE id = $1 AND message = $2 AND user_id = $3`, id, name, to).
		Scan(&p.Channel, &p.State, &p.Why, &p.Tries, db.Stamp(&p.Added))
	return p, db.NoneMeans(auth.ErrNotFound, err)
}

// claim takes some messages that are due, until the lease is over. What a dead node had claimed is due again by then.
func (o *Outbox) claim(ctx context.Context, c Channel, most int) (mine []row, err error) {
	err = o.DB.Tx(ctx, func(tx auth.Tx) error {
		now := o.Clock()
		rows, err := tx.QueryContext(ctx, `UPDATE outbox SET state = $1, due_at = $2, tries = tries + 1
			WHERE id IN (SELECT id FROM outbox WHERE due_at > 0 AND due_at <= $3 AND channel = $4 ORDER BY due_at LIMIT $5`+o.DB.SkipLocked()+`)
			RETURNING `+columns, Sending, db.Micros(now.Add(lease)), db.Micros(now), c, most)
		mine, err = db.Collect(rows, err, scan)
		return err
	})
	return mine, err
}

// note stores what came of a try. Due zero means that it is over; then the content goes. Whoever was so slow that another
// node may have the message by now has nothing to say any more, but that it was delivered.
func (o *Outbox) note(ctx context.Context, r row, s State, why string, due time.Time) error {
	return o.DB.Tx(ctx, func(tx auth.Tx) error {
		if !due.IsZero() {
			_, err := tx.ExecContext(ctx, `UPDATE outbox SET state = $2, due_at = $3 WHERE id = $1 AND due_at = $4`,
				r.id, s, db.Micros(due), db.Micros(r.due))
			return err
		}
		sealed := []byte(nil)
		if o.Keep {
			sealed = r.sealed
		}
		err := db.One(tx.ExecContext(ctx, `UPDATE outbox SET state = $2, why = $3, due_at = 0, sealed = $4
			WHERE id = $1 AND (due_at = $5 OR $6 AND state <> $2)`, r.id, s, why, sealed, db.Micros(r.due), s == Delivered))
		if errors.Is(err, auth.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return o.tally(ctx, tx, r.hand, r.channel, s, 1)
	})
}

// tally counts what is over.
func (o *Outbox) tally(ctx context.Context, tx auth.Tx, hand int, c Channel, s State, n int) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO message_days (day, channel, result, shard, n) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (day, channel, result, shard) DO UPDATE SET n = message_days.n + excluded.n`, o.Clock().UTC().Format(time.DateOnly), c, s, hand, n)
	return err
}

// A Day is what became of messages on one.
type Day struct {
	Day     time.Time // UTC
	Channel Channel
	Result  State // Delivered or Failed
	N       int
}

// Days are the numbers from the day of a time on, the oldest first. A message counts on the day on which it was over.
func (o *Outbox) Days(ctx context.Context, since time.Time) ([]Day, error) {
	rows, err := o.DB.QueryContext(ctx, `SELECT day, channel, result, CAST(SUM(n) AS BIGINT) FROM message_days WHERE day >= $1
		GROUP BY day, channel, result ORDER BY day, channel, result`, since.UTC().Format(time.DateOnly))
	return db.Collect(rows, err, func(r *sql.Rows) (d Day, err error) {
		var day string
		if err := r.Scan(&day, &d.Channel, &d.Result, &d.N); err != nil {
			return d, err
		}
		d.Day, err = time.Parse(time.DateOnly, day)
		return d, err
	})
}

// recent lists the newest messages.
func (o *Outbox) recent(ctx context.Context, n int) ([]row, error) {
	rows, err := o.DB.QueryContext(ctx, `SELECT `+columns+` FROM outbox WHERE user_id <> '' ORDER BY added_at DESC, id DESC LIMIT $1`, n)
	return db.Collect(rows, err, scan)
}

// one is a single message, or auth.ErrNotFound.
func (o *Outbox) one(ctx context.Context, id string) (row, error) {
	rows, err := o.DB.QueryContext(ctx, `SELECT `+columns+` FROM outbox WHERE id = $1`, id)
	all, err := db.Collect(rows, err, scan)
	if err == nil && len(all) == 0 {
		err = auth.ErrNotFound
	}
	if err != nil {
		return row{}, err
	}
	return all[0], nil
}

func (o *Outbox) waiting() float64 {
	ctx, done := context.WithTimeout(context.Background(), time.Second)
	defer done()
	n := -1.0
	o.DB.QueryRowContext(ctx, `SELECT COUNT(*) FROM outbox WHERE due_at > 0`).Scan(&n)
	return n
}

// kept is how long the bare fact stays that a message was sent.
const kept = 30 * 24 * time.Hour

// Sweep removes what is long over, and gives up what no node carries any more because its channel is gone.
func (o *Outbox) Sweep(ctx context.Context) error {
	return o.DB.Tx(ctx, func(tx auth.Tx) error {
		now := o.Clock()
		rows, err := tx.QueryContext(ctx, `UPDATE outbox SET state = $1, why = 'expired', due_at = 0, sealed = NULL
			WHERE due_at > 0 AND expires_at < $2 RETURNING channel`, Failed, db.Micros(now.Add(-lease)))
		gone, err := db.Collect(rows, err, func(r *sql.Rows) (c Channel, err error) { return c, r.Scan(&c) })
		if err != nil {
			return err
		}
		lost := map[Channel]int{}
		for _, c := range gone {
			lost[c]++
		}
		for _, c := range slices.Sorted(maps.Keys(lost)) {
			if err := o.tally(ctx, tx, hands, c, Failed, lost[c]); err != nil { // a shard that no hand has
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM outbox WHERE due_at = 0 AND added_at < $1`, db.Micros(now.Add(-kept)))
		return err
	})
}
