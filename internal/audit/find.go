package audit

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

// A Filter says which events to look for. All that it says must be true of one; the zero Filter is all of them.
type Filter struct {
	People   []auth.UserID    // about or by one of them; nil: whoever. At most [MostPeople]
	Kinds    []auth.EventKind // nil: any
	Address  string           // one, as it is stored; empty: any
	Range    netip.Prefix     // as [Searchable] takes it; zero: any
	From, To time.Time        // To is not included; zero: no end
	Within   *Scope           // nil: everybody

	// Before and After are ids, to go on from. Before begins with the newest older one, After with the oldest newer one.
	Before, After string
}

// MostPeople that a Filter may name.
const MostPeople = 25

// A Scope is what somebody may see who looks after one workgroup: events about people who are in it now, and what they did
// themselves. An empty Workgroup has nobody in it.
type Scope struct {
	Workgroup auth.WorkgroupID
	Viewer    auth.UserID
}

// Found are some events, the newest first whichever way the search went.
type Found struct {
	Entries []Entry
	Next    string // Before or After of what follows in the same direction; empty: that was the last
	Short   bool   // a search that had to stop: Next goes on where it did
}

// budget is how many rows a search may look at before it stops. So it takes no longer than a person waits, whatever the
// filter and however few it lets through.
const budget = 20_000

// Find looks for up to n events.
func (t *Trail) Find(ctx context.Context, f Filter, n int) (Found, error) {
	s := search{Filter: f, db: t.db, n: n + 1, newer: f.After != ""}
	if err := s.span(); err != nil {
		return Found{}, err
	}
	streams, err := s.streams(ctx)
	if err != nil {
		return Found{}, err
	}
	var all []Entry
	reached := "" // where the first stream had to stop
	for _, one := range streams {
		some, stopped, err := s.read(ctx, one, max(2000, budget/len(streams)))
		if err != nil {
			return Found{}, fmt.Errorf("find events: %w", err)
		}
		all = append(all, some...)
		if stopped != "" && (reached == "" || s.compare(stopped, reached) < 0) {
			reached = stopped
		}
	}
	return s.merge(all, reached, n), nil
}

// One is a single event, or auth.ErrNotFound where there is none within the scope.
func (t *Trail) One(ctx context.Context, id string, within *Scope) (Entry, error) {
	s := search{Filter: Filter{Within: within}, db: t.db, n: 1, lo: id, hi: id + "0"}
	if !isID(id) {
		return Entry{}, auth.ErrNotFound
	}
	some, _, err := s.read(ctx, stream{driver: everything, covers: covered{}}, 2)
	if err == nil && len(some) == 0 {
		err = auth.ErrNotFound
	}
	if err != nil {
		return Entry{}, err
	}
	return some[0], nil
}

// Searchable is an address or a range as the record can be searched for it: the text of stored addresses must begin
// with the text of the range, so it ends where a part of an address does.
func Searchable(text string) (address string, within netip.Prefix, err error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Unmap().String(), within, nil
	}
	if within, err = netip.ParsePrefix(text); err == nil && begin(within) != "" {
		return "", within.Masked(), nil
	}
	return "", netip.Prefix{}, auth.InvalidError{Field: "address", Why: "must be an address, or a range such as 192.0.2.0/24 or 2001:db8::/32"}
}

// begin is how the addresses of a range begin, and no others; "": there is no such text.
func begin(p netip.Prefix) string {
	bits, a := p.Bits(), p.Masked().Addr()
	if a.Is4() {
		if bits == 0 || bits%8 != 0 {
			return ""
		}
		return strings.Join(strings.Split(a.String(), ".")[:bits/8], ".") + map[bool]string{true: "", false: "."}[bits == 32]
	}
	if bits == 0 || bits%16 != 0 || bits == 128 {
		return ""
	}
	var text strings.Builder
	for b := a.As16(); bits > 0; bits -= 16 {
		at := p.Bits() - bits
		part := uint16(b[at/8])<<8 | uint16(b[at/8+1])
		if part == 0 { // which may be left out of an address
			return ""
		}
		text.WriteString(strconv.FormatUint(uint64(part), 16) + ":")
	}
	return text.String()
}

// A search is one Find.
type search struct {
	Filter
	db     *db.DB
	n      int
	newer  bool
	lo, hi string // of ids, without hi
}

const lastID = "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ"

// span makes bounds of ids from times and cursors: an id begins with its time.
func (s *search) span() error {
	s.lo, s.hi = "0", lastID
	if !s.From.IsZero() {
		s.lo = idTime(db.Micros(s.From))
	}
	if !s.To.IsZero() {
		s.hi = idTime(db.Micros(s.To))
	}
	for _, cursor := range []string{s.Before, s.After} {
		if cursor != "" && !isID(cursor) {
			return auth.InvalidError{Field: "before", Why: "is the id of no event"}
		}
	}
	if s.Before != "" {
		s.hi = min(s.hi, s.Before)
	}
	if s.After != "" {
		s.lo = max(s.lo, s.After+"0") // the least that is greater
	}
	return nil
}

// isID is true for what newID makes.
func isID(text string) bool {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return len(text) == 30 && strings.Trim(text, alphabet) == "" && strings.Trim(text[:14], alphabet[:16]) == ""
}

// timeOf is the time in an id or in a bound of ids.
func timeOf(id string) int64 {
	at, err := strconv.ParseInt(id[:min(14, len(id))], 16, 64)
	if err != nil { // lastID
		return 1 << 62
	}
	if len(id) < 14 {
		return 0
	}
	return at
}

// A stream is events in order along one index.
type stream struct {
	driver string // what is true of all of them
	value  string // $1 in it
	covers covered
	few    bool // so many only that to sort them all is nothing
}

// covered is what a stream makes sure of by itself.
type covered struct{ people, kinds, address, scope bool }

// $1 is the value of a stream, $2 and $3 bounds of the id, $10 and $11 of the time. Pairs are compared where PostgreSQL
// would take an equal value for a reason to walk along all ids instead: only the index of the stream has their order.
const (
	everything = `$1 = ''`
	aboutOne   = `(user_id, at) >= ($1, $10) AND (user_id, at) <= ($1, $11)`
	byOne      = `(actor_id, id) >= ($1, $2) AND (actor_id, id) < ($1, $3) AND actor_id <> ''`
	ofKind     = `(kind, id) >= ($1, $2) AND (kind, id) < ($1, $3)`
	fromOne    = `(address, id) >= ($1, $2) AND (address, id) < ($1, $3) AND address <> ''`
	aboutGroup = `user_id IN (SELECT u.id FROM users u WHERE u.workgroup_id = $1 AND u.workgroup_id <> '') AND at BETWEEN $10 AND $11`
)

// along are the columns of the index of a stream, if it is not that of ids.
var along = map[string][]string{aboutOne: {"user_id", "at", "id"}, byOne: {"actor_id", "id"}, ofKind: {"kind", "id"}, fromOne: {"address", "id"}}

// few is how many events are sorted rather than walked.
const few = 3000

// streams are those in which everything is that the filter lets through.
func (s *search) streams(ctx context.Context) (all []stream, err error) {
	if s.People != nil {
		for _, u := range s.People[:min(len(s.People), MostPeople)] {
			all = append(all, stream{driver: aboutOne, value: string(u), covers: covered{people: true}},
				stream{driver: byOne, value: string(u), covers: covered{people: true}})
		}
		return all, nil
	}
	if s.Address != "" {
		return []stream{{driver: fromOne, value: s.Address, covers: covered{address: true}}}, nil
	}
	if s.Within != nil {
		of := stream{driver: aboutGroup, value: string(s.Within.Workgroup), covers: covered{scope: true}, few: true}
		own := stream{driver: byOne, value: string(s.Within.Viewer), covers: covered{scope: true}}
		if n, err := s.atMost(ctx, of, few+1); err != nil || n <= few {
			return []stream{of, own}, err
		}
	}
	for _, k := range s.Kinds {
		all = append(all, stream{driver: ofKind, value: string(k), covers: covered{kinds: true}})
	}
	if s.Kinds == nil {
		all = []stream{{driver: everything}}
	}
	return all, nil
}

// rest is true if a filter is left that the stream does not cover, so that few of its rows may pass.
func (s *search) rest(c covered) bool {
	return !c.people && s.People != nil || !c.kinds && s.Kinds != nil || !c.address && (s.Address != "" || s.Range.IsValid()) || !c.scope && s.Within != nil
}

// read is what passes of a stream. Where it stopped before its end it says at which id.
func (s *search) read(ctx context.Context, one stream, most int) (some []Entry, stopped string, err error) {
	part := *s
	if s.rest(one.covers) && !one.few {
		if stopped, err = s.after(ctx, one, most); err != nil {
			return nil, "", err
		}
		switch {
		case stopped == "":
		case s.newer:
			part.hi = stopped + "0"
		default:
			part.lo = stopped
		}
	}
	some, err = part.pass(ctx, one)
	if len(some) == s.n { // there is more than enough before it
		stopped = ""
	}
	return some, stopped, err
}

// compare puts ids in the order of the search.
func (s *search) compare(a, b string) int {
	if s.newer {
		return cmp.Compare(a, b)
	}
	return cmp.Compare(b, a)
}

// merge puts what came from all streams in order. Beyond where one of them stopped nothing is complete.
func (s *search) merge(all []Entry, reached string, n int) (found Found) {
	slices.SortFunc(all, func(a, b Entry) int { return s.compare(a.ID, b.ID) })
	all = slices.CompactFunc(all, func(a, b Entry) bool { return a.ID == b.ID }) // about somebody by themselves
	if reached != "" {
		all = slices.DeleteFunc(all, func(e Entry) bool { return s.compare(e.ID, reached) > 0 })
	}
	switch {
	case len(all) > n:
		all = all[:n]
		found.Next = all[n-1].ID
	case reached != "":
		found.Next, found.Short = reached, true
	}
	if s.newer {
		slices.Reverse(all)
	}
	found.Entries = all
	return found
}

// TimeOf is the time in the id of an event.
func TimeOf(id string) time.Time { return db.Time(timeOf(id)) }
