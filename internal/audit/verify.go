package audit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"fmt"
	"hash"
	"math"
	"time"
)

// A Finding is one thing in the record that we did not write so.
type Finding struct {
	Seal  int64  // 0: of no seal
	Event string // id; empty: the seal itself
	Why   string
}

func (f Finding) String() string {
	switch {
	case f.Event != "" && f.Seal != 0:
		return fmt.Sprintf("event %q in seal %d %s", f.Event, f.Seal, f.Why)
	case f.Event != "":
		return fmt.Sprintf("event %q %s", f.Event, f.Why)
	}
	return fmt.Sprintf("seal %d %s", f.Seal, f.Why)
}

// A Report is what Verify went through.
type Report struct {
	Rows     int64 // sealed or not
	Unsealed int64
	Seals    int64
	Findings int64
	Head     string // "seq:hexhash" of the newest seal, fit to be an anchor; empty: no seal
}

// Verify recomputes the whole record while it goes on growing, in constant memory, and calls each for what is wrong.
// Anchor is a head that was noted outside the database, as "seq:hexhash"; it must be in the chain. Without one ("")
// nothing tells that the newest seals were removed with their rows. An error means that it could not read on.
func (t *Trail) Verify(ctx context.Context, anchor string, each func(Finding)) (Report, error) {
	c := check{trail: t, keyed: t.keyed(), each: each, anchor: anchor, last: genesis()}
	after := int64(math.MinInt64)
	for {
		page, err := sealsAfter(ctx, t.db, after)
		if err != nil {
			return c.report, fmt.Errorf("verify events: %w", err)
		}
		upTo := after
		for _, s := range page {
			upTo = max(upTo, s.seq)
		}
		if err := c.seals(ctx, page, after, upTo); err != nil {
			return c.report, fmt.Errorf("verify events: %w", err)
		}
		if upTo == after {
			break
		}
		after = upTo
	}
	if err := c.rest(ctx, after); err != nil {
		return c.report, fmt.Errorf("verify events: %w", err)
	}
	if c.anchor != "" {
		c.find(Finding{Seal: c.last.seq, Why: "is the newest, but the anchor " + anchor + " is not in the chain: seals were removed or written anew"})
	}
	return c.report, nil
}

// A check is one walk along the chain.
type check struct {
	trail  *Trail
	keyed  hash.Hash // for the MACs of rows
	each   func(Finding)
	anchor string // empty: none, or seen
	last   seal
	newest int64 // Unix microseconds, of all sealed rows
	report Report
}

func (c *check) find(f Finding) {
	c.report.Findings++
	c.each(f)
}

// seals checks a few seals and all rows that name a seal after the one and up to the other.
func (c *check) seals(ctx context.Context, page []seal, after, upTo int64) error {
	rows, err := sealedRows(ctx, c.trail.db, after, upTo)
	if err != nil {
		return err
	}
	defer rows.Close()
	r, more := rows.next()
	for _, s := range page {
		h, n := c.trail.chain(c.last, s), int64(0)
		for ; more && r.seal <= s.seq; r, more = rows.next() {
			c.row(&r)
			if r.seal < s.seq {
				c.orphan(&r)
				continue
			}
			h.Write(r.mac)
			n++
			c.newest = max(c.newest, r.at)
		}
		c.seal(s, n, h.Sum(nil))
	}
	return rows.err()
}

func (c *check) seal(s seal, rows int64, hash []byte) {
	c.report.Seals++
	c.report.Head = s.String()
	if s.String() == c.anchor {
		c.anchor = ""
	}
	if s.seq != c.last.seq+1 {
		c.find(Finding{Seal: s.seq, Why: fmt.Sprintf("does not follow seal %d: seals were removed or added", c.last.seq)})
	}
	if s.rows != rows {
		c.find(Finding{Seal: s.seq, Why: fmt.Sprintf("closed %d rows, but has %d", s.rows, rows)})
	}
	if !bytes.Equal(s.hash, hash) {
		c.find(Finding{Seal: s.seq, Why: "does not match: it, the seal before it, or the set of its rows was changed"})
	}
	c.last = s // as it stands, so that one broken seal does not accuse all that follow
}

func (c *check) row(r *row) {
	c.report.Rows++
	if r.mistyped || !hmac.Equal(r.mac, r.sum(c.keyed)) {
		c.accuse(r, "was edited or forged")
	}
}

func (c *check) orphan(r *row) { c.accuse(r, "names a seal that is not there") }

func (c *check) accuse(r *row, why string) {
	c.find(Finding{Seal: r.seal, Event: cmp.Or(r.id, "?"), Why: why})
}

// lateness is far above what clocks of nodes and long transactions may differ.
const lateness = 10 * time.Minute

// rest checks the rows that no seal covers.
func (c *check) rest(ctx context.Context, after int64) error {
	lost, err := orphanedRows(ctx, c.trail.db, after)
	if err != nil {
		return err
	}
	defer lost.Close()
	for r, more := lost.next(); more; r, more = lost.next() {
		c.row(&r)
		c.orphan(&r)
	}
	if err := lost.err(); err != nil {
		return err
	}
	open, err := unsealedRows(ctx, c.trail.db)
	if err != nil {
		return err
	}
	defer open.Close()
	for r, more := open.next(); more; r, more = open.next() {
		c.row(&r)
		c.report.Unsealed++
		// The oldest are sealed first.
		if r.at < c.newest-lateness.Microseconds() {
			c.accuse(&r, "was passed over by the seals")
		}
	}
	return open.err()
}
