package notify

import (
	"context"
	"database/sql"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/notify/wording"
)

// Edits are the texts that were changed while the server runs (A6). They lie over those of the folder messages.texts,
// and those over ours. Every node has them within a second. A text that cannot be used, or a database that cannot be
// read, never keeps a message from being sent: it is sent as the layer below has it.
type Edits struct {
	below *wording.Texts
	db    *db.DB
	clock func() time.Time
	log   *slog.Logger

	mu      sync.Mutex
	known   *wording.Texts // nil: to be read
	forgets int            // what was read before the latest may be out of date
}

// NewEdits is the edits in a database over the texts of the configuration.
func NewEdits(d *db.DB, below *wording.Texts, clock func() time.Time, log *slog.Logger) *Edits {
	e := &Edits{below: below, db: d, clock: clock, log: log}
	d.OnSignal(textTopic, func(string) { e.forget() }, e.forget)
	return e
}

const textTopic = "text"

// Original is what there is below the edits.
func (e *Edits) Original() *wording.Texts { return e.below }

// Texts are what messages say now.
func (e *Edits) Texts(ctx context.Context) *wording.Texts {
	e.mu.Lock()
	known, age := e.known, e.forgets
	e.mu.Unlock()
	if known != nil && e.db.Hears() {
		return known
	}
	texts, faults, err := e.Read(ctx)
	if err != nil {
		e.log.Error("edited texts cannot be read: messages are sent without them", "error", err)
		return e.below
	}
	for _, f := range faults {
		e.log.Error("edited text cannot be used: the message is sent as it was", "language", f.Language, "message", f.Message, "text", f.Key, "error", f.Why)
	}
	e.keep(texts, age)
	return texts
}

// keep remembers what was read since that age, unless something was forgotten meanwhile.
func (e *Edits) keep(texts *wording.Texts, age int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.forgets == age {
		e.known = texts
	}
}

func (e *Edits) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known, e.forgets = nil, e.forgets+1
}

// Read is Texts out of the database, with the edits that cannot be used.
func (e *Edits) Read(ctx context.Context) (*wording.Texts, []wording.Fault, error) {
	all, err := e.list(ctx)
	if err != nil {
		return nil, nil, err
	}
	texts, faults := e.below.With(all)
	return texts, faults, nil
}

// Save stores the texts of a message by key. What is as below is not kept, so that it follows when that changes. An
// auth.InvalidError names the key that cannot stand; auth.ErrNotFound: there is no such language or message.
func (e *Edits) Save(ctx context.Context, tx auth.Tx, language, message string, lines map[string]string) error {
	if err := e.below.Check(language, message, lines); err != nil {
		return err
	}
	original := e.below.Lines(language, message)
	for _, part := range slices.Sorted(maps.Keys(lines)) {
		if err := e.put(ctx, tx, language, message, part, lines[part], lines[part] == original[part]); err != nil {
			return err
		}
	}
	return e.db.Signal(ctx, tx, textTopic, message)
}

func (e *Edits) put(ctx context.Context, tx auth.Tx, language, message, part, words string, same bool) error {
	if same {
		_, err := tx.ExecContext(ctx, `DELETE FROM texts WHERE language = $1 AND message = $2 AND part = $3`, language, message, part)
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO texts (language, message, part, words, changed_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (language, message, part) DO UPDATE SET words = $4, changed_at = $5 WHERE texts.words <> $4`,
		language, message, part, words, db.Micros(e.clock()))
	return err
}

// Restore takes back what was edited of a message. False: nothing was.
func (e *Edits) Restore(ctx context.Context, tx auth.Tx, language, message string) (bool, error) {
	r, err := tx.ExecContext(ctx, `DELETE FROM texts WHERE language = $1 AND message = $2`, language, message)
	if err != nil {
		return false, err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	return true, e.db.Signal(ctx, tx, textTopic, message)
}

// Changed says when which message of a language was edited last.
func (e *Edits) Changed(ctx context.Context, language string) (map[string]time.Time, error) {
	rows, err := e.db.QueryContext(ctx, `SELECT message, MAX(changed_at) FROM texts WHERE language = $1 GROUP BY message`, language)
	type last struct {
		message string
		at      time.Time
	}
	all, err := db.Collect(rows, err, func(r *sql.Rows) (l last, err error) { return l, r.Scan(&l.message, db.Stamp(&l.at)) })
	changed := map[string]time.Time{}
	for _, l := range all {
		changed[l.message] = l.at
	}
	return changed, err
}

// list reads all edits: some for each message and language at most, of which Save lets nobody invent any.
func (e *Edits) list(ctx context.Context) ([]wording.Edit, error) {
	rows, err := e.db.QueryContext(ctx, `SELECT language, message, part, words FROM texts`)
	return db.Collect(rows, err, func(r *sql.Rows) (one wording.Edit, err error) {
		return one, r.Scan(&one.Language, &one.Message, &one.Key, &one.Words)
	})
}
