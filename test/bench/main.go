// Bench measures what the product promises about speed and memory, each as a ratio within one run.
//
// It builds the real binary and starts it as a process of its own, with real databases in a folder that is gone
// afterwards. Next to it runs the limit: the least that could do the same work, also in a process of its own, asked by
// the same client. Slices of both alternate, and what counts is the median of the ratios of neighbours, because the
// machine is rarely ours alone. It is no test: a goal that is missed is printed, and the exit code is 0.
//
//	go run ./test/bench [-quick] [-run check,step] [-json FILE]
//
// PostgreSQL is measured too where SALLYPORT_TEST_POSTGRES names a server; `make bench` starts one.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// groups are the lines of the table, by what -run calls them. Each starts servers of its own.
var groups = []struct {
	name string
	does string
	run  func(*bench) error
}{
	{"check", "session checks against a bare handler", checks},
	{"revoke", "how soon a sign-out counts", revocation},
	{"password", "password sign-in against bare argon2id", passwords},
	{"crowd", "64 password sign-ins at once", crowd},
	{"step", "the authenticator step against bare commits", steps},
	{"passkey", "passkey sign-in against bare verifications and commits", passkeys},
	{"outbox", "messages handed over against bare commits", outboxes},
	{"start", "start-up and idle memory", starts},
	{"people", "lists of very many people against rows by their key", listed},
	{"growth", "1 000 users against 200 000", growth},
	{"enforce", "a second step required of a large workgroup", enforcement},
}

// A bench is one run of the driver.
type bench struct {
	ctx    context.Context
	dir    string // gone afterwards
	binary string
	size   size
	table  table
	worlds map[string]*world
	closes []func()
}

// size is how much is measured.
type size struct {
	many, few       int           // users
	sessions        int           // in the store, with many users
	codes           int           // authenticator steps that may be taken
	passkeys        int           // people who sign in with one, again and again
	messages        int           // that wait in the outbox
	pairs           int           // slices of ours and the limit
	slice           time.Duration // of something quick
	hashing         time.Duration // a slice of something slow
	starts          int
	revoked, rounds int
	listed          int // people that are searched
}

var (
	full  = size{many: 200_000, few: 1_000, sessions: 100_000, codes: 30_000, passkeys: 5_000, messages: 60_000, pairs: 9, slice: 500 * time.Millisecond, hashing: 2 * time.Second, starts: 5, revoked: 200, rounds: 3, listed: 1_000_000}
	quick = size{many: 20_000, few: 1_000, sessions: 10_000, codes: 6_000, passkeys: 1_000, messages: 12_000, pairs: 3, slice: 250 * time.Millisecond, hashing: time.Second, starts: 3, revoked: 40, rounds: 1, listed: 50_000}
)

func main() {
	var (
		short  = flag.Bool("quick", false, "small sizes: seconds instead of minutes, and rough numbers")
		json   = flag.String("json", "", "write the table to this `file` too")
		picked = flag.String("run", "", "measure these `lines` only: "+names())
		limit  = flag.String("limit", "", "be a limit (the driver starts itself with this)")
	)
	flag.Parse()
	if *limit != "" {
		if err := beLimit(*limit, flag.Args()); err != nil {
			fail(err)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{ctx: ctx, size: full, worlds: map[string]*world{}}
	if *short {
		b.size = quick
	}
	err := b.run(*picked)
	b.table.print(os.Stdout)
	if err == nil && *json != "" {
		err = b.table.save(*json)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

func names() string {
	var all []string
	for _, g := range groups {
		all = append(all, g.name)
	}
	return strings.Join(all, ",")
}

func (b *bench) run(picked string) (err error) {
	want := map[string]bool{}
	for _, name := range strings.FieldsFunc(picked, func(r rune) bool { return r == ',' }) {
		if !strings.Contains(","+names()+",", ","+name+",") {
			return fmt.Errorf("-run: there is no %q, only %s", name, names())
		}
		want[name] = true
	}
	if b.dir, err = os.MkdirTemp("", "sallyport-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	defer func() {
		for _, f := range b.closes {
			f()
		}
	}()
	b.binary = filepath.Join(b.dir, "sallyport")
	build := exec.CommandContext(b.ctx, "go", "build", "-o", b.binary, "sallyport/cmd/sallyport")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	began := time.Now()
	for _, g := range groups {
		if len(want) > 0 && !want[g.name] {
			continue
		}
		b.say("%s: %s", g.name, g.does)
		if err := g.run(b); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	b.say("done in %v", time.Since(began).Round(time.Second))
	return nil
}

// say tells whoever waits how far it is.
func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// postgres is the address of a server that may be used, or "".
func postgres() string { return os.Getenv("SALLYPORT_TEST_POSTGRES") }
