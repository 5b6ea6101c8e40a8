package audit

import (
	"encoding/binary"
	"hash"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A row is an event as it is stored.
type row struct {
	id                                                         string
	at                                                         int64 // Unix microseconds
	kind, user, actor, face, request, address, browser, detail string
	mac                                                        []byte
	seal                                                       int64 // 0: not yet
	mistyped                                                   bool  // not stored as it was written
}

// texts is in the order of the constant columns.
func (r *row) texts() [9]*string {
	return [...]*string{&r.id, &r.kind, &r.user, &r.actor, &r.face, &r.request, &r.address, &r.browser, &r.detail}
}

// encode is what the MAC covers: all but the MAC and the seal, which comes later and has a hash of its own. Lengths
// stand first, so that text moved from one column to the next is another encoding; the leading word keeps a row from
// ever being taken for a seal.
func (r *row) encode() []byte {
	b := append(make([]byte, 0, 512), "event"...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.at))
	for _, s := range r.texts() {
		b = binary.AppendUvarint(b, uint64(len(*s)))
		b = append(b, *s...)
	}
	return b
}

func (r *row) sum(keyed hash.Hash) []byte {
	keyed.Reset()
	keyed.Write(r.encode())
	return keyed.Sum(nil)
}

// printable is s on one line, in at most most code points: what has no shape of its own or turns the writing direction
// is escaped as in Go, and so is the backslash; bytes that are no UTF-8 become U+FFFD.
func printable(s string, most int) string {
	if len(s) <= most && plain(s) {
		return s
	}
	var b strings.Builder
	left := most
	for _, r := range s {
		piece := string(r)
		if r == '\\' || !strconv.IsPrint(r) {
			quoted := strconv.QuoteRune(r)
			piece = quoted[1 : len(quoted)-1]
		}
		if left -= utf8.RuneCountInString(piece); left < 0 {
			break
		}
		b.WriteString(piece)
	}
	return b.String()
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '\\' {
			return false
		}
	}
	return true
}
