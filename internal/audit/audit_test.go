package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/db/dbtest"
)

var (
	schema = []fs.FS{Schema}
	key    = []byte("0123456789abcdef0123456789abcdef")
	noon   = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
)

// ticking is a clock that goes on by a second whenever somebody looks.
func ticking() func() time.Time {
	now := noon
	return func() time.Time { now = now.Add(time.Second); return now }
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

var request = auth.Origin{RequestID: "req-1", Face: "page", Address: netip.MustParseAddr("192.0.2.7"), Browser: "Mozilla/5.0"}

func from(t *testing.T, o auth.Origin) context.Context { return auth.WithOrigin(t.Context(), &o) }

func record(t *testing.T, d *db.DB, trail *Trail, o auth.Origin, events ...auth.Event) {
	t.Helper()
	err := d.Tx(t.Context(), func(tx auth.Tx) error {
		for _, e := range events {
			if err := trail.Record(from(t, o), tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, d *db.DB, query string, args ...any) (n int) {
	t.Helper()
	if err := d.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAnEventIsRolledBackWithItsChange(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail, oops := New(d, key, ticking()), errors.New("oops")
		err := d.Tx(t.Context(), func(tx auth.Tx) error {
			if err := trail.Record(t.Context(), tx, auth.Event{Kind: auth.FactorAdded, User: "u1"}); err != nil {
				t.Error(err)
			}
			return oops
		})
		if !errors.Is(err, oops) || count(t, d, `SELECT COUNT(*) FROM events`) != 0 {
			t.Error("the event stayed", err)
		}
	})
}

func TestAPersonSeesTheirOwnEventsNewestFirst(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail := New(d, key, ticking())
		record(t, d, trail, request,
			auth.Event{Kind: auth.SessionStarted, User: "u1"},
			auth.Event{Kind: auth.FactorAdded, User: "u1", Detail: map[string]string{"name": "iPhone", "kind": "passkey"}},
			auth.Event{Kind: auth.SignInFailed},
			auth.Event{Kind: auth.SessionStarted, User: "u2", Actor: "u1"})
		record(t, d, trail, auth.Origin{}, auth.Event{Kind: auth.SessionEnded, User: "u1"})
		got, err := trail.Recent(t.Context(), "u1", 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || got[0].Kind != auth.SessionEnded || got[1].Kind != auth.FactorAdded {
			t.Fatalf("%+v", got)
		}
		if e := got[0]; e.Address != "" || e.Browser != "" || len(e.Detail) != 0 || !e.At.Equal(noon.Add(5*time.Second)) {
			t.Errorf("%+v", e)
		}
		if e := got[1]; e.ID == "" || e.Address != "192.0.2.7" || e.Browser != "Mozilla/5.0" || e.Detail["name"] != "iPhone" || e.Detail["kind"] != "passkey" {
			t.Errorf("%+v", e)
		}
		older, err := trail.Before(t.Context(), "u1", got[1].ID, 9)
		if err != nil || len(older) != 1 || older[0].Kind != auth.SessionStarted {
			t.Errorf("before it: %+v %v", older, err)
		}
		for _, of := range []auth.UserID{"u2", ""} {
			if older, err := trail.Before(t.Context(), of, got[1].ID, 9); err != nil || len(older) != 0 {
				t.Errorf("before somebody else's: %+v %v", older, err)
			}
		}
		if got, err := trail.Recent(t.Context(), "", 9); err != nil || len(got) != 1 {
			t.Error("of nobody:", got, err)
		}
	})
}

var hostile = []string{
	"/%0d%0aSet-Cookie:crlf=injection", "a\r\nSet-Cookie: crlf=injection", "\n2026-11-21 session.started owner",
	"1'; DROP TABLE events-- 1", "' OR '1'='1", `\`, `\\`, `'"'`, `"}`, `{"kind":"x"}`, "\x00", "a\x00b",
	"\x01\x02\x03\x04\x05\x06\x07\x08\x0e\x0f\x10\x11\x7f", "\t\u000b\u000c \u0085\u00a0\u1680\u2002\u200b\u2028\u2029\u202f\u205f\u3000",
	"\u202a\u202atest\u202a", "\u2066test\u2067", "\ufeff", "\ufffe", "\xff\xfe", "\xc3\x28", "\xed\xa0\x80",
	"Roses are \x1b[0;31mred\x1b[0m", "<script>alert(123)</script>", "${jndi:ldap://x}", "%s%n%d", "表ポあA鷗ŒéＢ逍Üßªąñ丂㐀𠀀",
	"👨\u200d👩\u200d👦", strings.Repeat("a", 300), strings.Repeat("\U000e0001", 400), strings.Repeat("é\n", 500_000),
}

func TestForeignTextBreaksNeitherARowNorALine(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail := New(d, key, ticking())
		for i, s := range hostile {
			o := auth.Origin{RequestID: s, Browser: s, Address: netip.MustParseAddr("fe80::1").WithZone(s)}
			user := auth.UserID(fmt.Sprint("u", i))
			record(t, d, trail, o, auth.Event{Kind: auth.SignInFailed, User: user, Detail: map[string]string{"name": s, s: "x"}})
			var request, address, browser, detail string
			err := d.QueryRowContext(t.Context(), `SELECT request_id, address, browser, detail FROM events WHERE user_id = $1`, user).
				Scan(&request, &address, &browser, &detail)
			if err != nil {
				t.Fatal(err)
			}
			for text, most := range map[string]int{request: 64, address: 64, browser: 256, detail: 1024} {
				if !utf8.ValidString(text) || utf8.RuneCountInString(text) > most || strings.ContainsFunc(text, unprintable) {
					t.Errorf("%.99q is kept as %q", s, text)
				}
			}
			var names map[string]string
			if err := json.Unmarshal([]byte(detail), &names); err != nil || len(names) != 2 {
				t.Errorf("%.99q: %s %v", s, detail, err)
			}
		}
		if n := count(t, d, `SELECT COUNT(*) FROM events`); n != len(hostile) {
			t.Error(n, "rows, want", len(hostile))
		}
		if _, found := verify(t, trail, ""); len(found) > 0 {
			t.Error(found)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	d, err := db.Open(b.Context(), b.TempDir()+"/bench.db", 2)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	if err := d.Migrate(b.Context(), Schema); err != nil {
		b.Fatal(err)
	}
	trail, ctx := New(d, key, time.Now), auth.WithOrigin(b.Context(), &request)
	b.ReportAllocs()
	d.Tx(ctx, func(tx auth.Tx) error {
		for b.Loop() {
			if err := trail.Record(ctx, tx, auth.Event{Kind: auth.SessionStarted, User: "u1", Detail: map[string]string{"by": "passkey"}}); err != nil {
				b.Fatal(err)
			}
		}
		return nil
	})
}
