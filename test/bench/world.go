package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/factor/password"
	"sallyport/internal/factor/softkey"
	"sallyport/internal/factor/totp"
	"sallyport/internal/secret"
	"sallyport/internal/visit"
)

// A world is a database with people in it, and a key ring.
type world struct {
	database, keys string
	users          int
	sessions       []auth.Secret // tokens
	pending        []auth.Secret // tokens of sign-ins that lack a code only, each of another person
	used           atomic.Int64  // of pending
	passkeys       int
	key            *ecdsa.PrivateKey // of every passkey; the ids differ
}

// people are what a world is filled with. The first have a passkey each, the last an authenticator, and whoever is
// between a password alone.
type people struct {
	postgres                         bool
	users, sessions, codes, passkeys int
}

const thePassword = "correct horse battery staple"

// world makes a world, or returns the one that was made under this name.
func (b *bench) world(name string, p people) (*world, error) {
	if w := b.worlds[name]; w != nil {
		return w, nil
	}
	b.say("  filling a database: %d users, %d sessions, %d sign-ins under way, %d passkeys", p.users, p.sessions, p.codes, p.passkeys)
	w := &world{users: p.users, passkeys: p.passkeys, keys: filepath.Join(b.dir, name+".keys"), database: filepath.Join(b.dir, name+".db")}
	if p.postgres {
		if err := b.createDatabase(w, name); err != nil {
			return nil, err
		}
	}
	if err := secret.CreateRing(w.keys, time.Now()); err != nil {
		return nil, err
	}
	if err := w.fill(b.ctx, p); err != nil {
		return nil, fmt.Errorf("fill %s: %w", name, err)
	}
	b.worlds[name] = w
	return w, nil
}

func (b *bench) createDatabase(w *world, name string) error {
	admin, err := sql.Open("pgx", postgres())
	if err != nil {
		return err
	}
	b.closes = append(b.closes, func() { admin.Close() })
	unique := fmt.Sprintf("bench_%s_%d", name, os.Getpid())
	if _, err := admin.ExecContext(b.ctx, `CREATE DATABASE `+unique); err != nil {
		return err
	}
	b.closes = append([]func(){func() { admin.Exec(`DROP DATABASE ` + unique + ` WITH (FORCE)`) }}, b.closes...)
	u, err := url.Parse(postgres())
	if err != nil {
		return err
	}
	u.Path = "/" + unique
	w.database = u.String()
	return nil
}

// makeKey makes the key pair of all passkeys and returns its public half in COSE.
func (w *world) makeKey() (public []byte, err error) {
	if w.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	point, err := w.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	// RFC 9053 section 7.1: an EC2 key for ES256 on P-256.
	return softkey.CBOR(softkey.Map{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}), nil
}

// credential is the id of a passkey, as random as those of authenticators, and handle what they call its person.
func credential(i int) []byte { id := sha256.Sum256(fmt.Append(nil, "passkey ", i)); return id[:] }
func handle(i int) []byte     { id := sha512.Sum512(fmt.Append(nil, "person ", i)); return id[:] }

func (w *world) fill(ctx context.Context, p people) error {
	d, err := db.Open(ctx, w.database, 4)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Migrate(ctx, app.Schemas...); err != nil {
		return err
	}
	ring, err := secret.LoadRing(w.keys)
	if err != nil {
		return err
	}
	hash, err := secret.NewHasher(price, 1, time.Minute, func() int64 { return 0 }).Hash(ctx, thePassword)
	if err != nil {
		return err
	}
	now := time.Now()
	at, later := db.Micros(now), db.Micros(now.Add(12*time.Hour))
	proofs, err := json.Marshal([]auth.Proof{{Kind: password.Kind, Enrolment: auth.EnrolmentID(password.Kind), AMR: "pwd", Level: auth.OneFactor, At: now}})
	if err != nil {
		return err
	}
	for range p.sessions {
		w.sessions = append(w.sessions, secret.NewToken())
	}
	for range p.codes {
		w.pending = append(w.pending, secret.NewToken())
	}
	public, err := w.makeKey()
	if err != nil {
		return err
	}
	last := p.users - p.codes // the first with an authenticator
	for _, t := range []struct {
		into string
		n    int
		row  func(i int) []any
	}{
		{`users (id, login, login_key, email, email_key, name, role, added_at)`, p.users, func(i int) []any {
			return []any{id(i), login(i), login(i), login(i), login(i), fmt.Sprintf("Person %d", i), "member", at}
		}},
		{`passwords (user_id, hash, changed_at)`, p.users, func(i int) []any { return []any{id(i), hash, at} }},
		{`totp (id, user_id, secret, name, confirmed, last_step, added_at)`, p.codes, func(i int) []any {
			row := fmt.Sprintf("totp%022d", i)
			return []any{row, id(last + i), ring.Seal(seed, string(totp.Kind), row, "secret"), "Phone", true, 0, at}
		}},
		{`passkey_people (user_id, handle)`, p.passkeys, func(i int) []any { return []any{id(i), handle(i)} }},
		{`passkeys (id, user_id, credential_id, public_key, rp_id, name, aaguid, format, attestation, transports, sign_count, backup_eligible, backed_up, added_at)`,
			p.passkeys, func(i int) []any {
				return []any{fmt.Sprintf("passkey%019d", i), id(i), credential(i), public, "localhost", "Phone", make([]byte, 16), "none", "none", "internal", 0, true, true, at}
			}},
		{`sessions (id, token_hash, user_id, security_epoch, proofs, started_at, last_seen_at, expires_at, fresh_until, address, browser)`, p.sessions, func(i int) []any {
			key := secret.Digest(w.sessions[i])
			return []any{fmt.Sprintf("session%019d", i), key[:], id(i % max(1, last)), 1, string(proofs), at, at, later, 0, "192.0.2.1", "bench"}
		}},
		{`signins (id, token_hash, user_id, security_epoch, proofs, return_to, expires_at)`, p.codes, func(i int) []any {
			key := secret.Digest(w.pending[i])
			return []any{fmt.Sprintf("signin%020d", i), key[:], id(last + i), 1, string(proofs), "/account", later}
		}},
	} {
		if err := insert(ctx, d, t.into, t.n, t.row); err != nil {
			return err
		}
	}
	return enter(ctx, d, p.users, func(i int) bearer {
		return bearer{id: string(id(i)), name: fmt.Sprintf("Person %d", i), login: login(i), role: "member", status: "active", added: at}
	})
}

// insert writes n rows, many in a statement and many statements in a transaction.
func insert(ctx context.Context, d *db.DB, into string, n int, row func(i int) []any) error {
	const perStatement, perTx = 200, 20_000
	for from := 0; from < n; from += perTx {
		err := d.Tx(ctx, func(tx auth.Tx) error {
			for i := from; i < min(from+perTx, n); i += perStatement {
				var (
					values strings.Builder
					args   []any
				)
				for j := i; j < min(i+perStatement, from+perTx, n); j++ {
					sep := "("
					if j > i {
						sep = "), ("
					}
					for _, v := range row(j) {
						args = append(args, v)
						fmt.Fprintf(&values, "%s$%d", sep, len(args))
						sep = ", "
					}
				}
				if _, err := tx.ExecContext(ctx, `INSERT INTO `+into+` VALUES `+values.String()+`)`, args...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func id(i int) auth.UserID                         { return auth.UserID(fmt.Sprintf("user%022d", i)) }
func login(i int) string                           { return fmt.Sprintf("person%d@example.com", i) }
func cookie(name string, token auth.Secret) string { return name + "=" + string(token) }

// checks are requests for the first n sessions.
func (w *world) checks(host string, n int) [][]byte {
	all := make([][]byte, min(n, len(w.sessions)))
	for i := range all {
		all[i] = get(host, "/api/v1/session", cookie(visit.SessionCookie, w.sessions[i]))
	}
	return all
}
