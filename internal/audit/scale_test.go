package audit
import ("testing";"time";"runtime";"fmt";"sallyport/internal/auth";"sallyport/internal/db";"sallyport/internal/db/dbtest")
func TestScale(t *testing.T) {
	dbtest.Each(t, schema, func(t *testing.T, d *db.DB) {
		trail := New(d, key, time.Now)
		start := time.Now()
		for i := range 300 {
			d.Tx(t.Context(), func(tx auth.Tx) error { for range 1000 { if err := trail.Record(t.Context(), tx, auth.Event{Kind: auth.SessionStarted, User: auth.UserID(fmt.Sprint(i)), Detail: map[string]string{"by": "passkey"}}); err != nil { t.Fatal(err) } }; return nil })
		}
		fmt.Println("record", time.Since(start)/300000); start = time.Now()
		if err := trail.sealAll(t.Context()); err != nil { t.Fatal(err) }
		fmt.Println("seal per 1000", time.Since(start)/300); start = time.Now()
		var m runtime.MemStats
		runtime.GC(); runtime.ReadMemStats(&m); a := m.HeapAlloc
		top := uint64(0)
		done := make(chan bool)
		go func() { for { select { case <-done: return; default: var m runtime.MemStats; runtime.ReadMemStats(&m); top = max(top, m.HeapAlloc); time.Sleep(20*time.Millisecond) } } }()
		r, f := verify(t, trail, "")
		close(done)
		fmt.Println("verify", time.Since(start), r, len(f), "heap", a>>20, top>>20)
		start = time.Now(); trail.Recent(t.Context(), "7", 20); fmt.Println("recent", time.Since(start))
		start = time.Now(); trail.Seal(t.Context()); fmt.Println("idle seal", time.Since(start))
		for _, q := range []string{`SELECT EXISTS (SELECT 1 FROM events WHERE seal IS NULL)`, `SELECT id, mac FROM events WHERE seal IS NULL ORDER BY at, id LIMIT 1000`, `SELECT id FROM events WHERE seal > 1 AND seal <= 50 ORDER BY seal, at, id`, `SELECT id FROM events WHERE seal > 300 AND NOT EXISTS (SELECT 1 FROM event_seals WHERE seq = seal)`, `SELECT id FROM events WHERE user_id = '7' ORDER BY at DESC, id DESC LIMIT 20`} {
			ex := "EXPLAIN QUERY PLAN "; if runtime.GOOS != "" && d.QueryRowContext(t.Context(), "SELECT sqlite_version()").Scan(new(string)) != nil { ex = "EXPLAIN " }
			rows, err := d.QueryContext(t.Context(), ex+q); if err != nil { t.Fatal(err) }
			for rows.Next() { c, _ := rows.Columns(); v := make([]any, len(c)); for i := range v { v[i] = new(any) }; rows.Scan(v...); fmt.Println("  ", *(v[len(v)-1].(*any))) }
			rows.Close()
		}
	})
}
func BenchmarkOurs(b *testing.B) {
	trail := New(nil, key, time.Now); b.ReportAllocs()
	for b.Loop() { d, _ := encodeDetail(map[string]string{"by": "passkey"}); r := row{id: "x", detail: d}; r.mac = r.sum(trail.keyed()) }
}
