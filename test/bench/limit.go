package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/crypto/argon2"
	_ "modernc.org/sqlite"

	"sallyport/internal/config"
	"sallyport/internal/secret"
)

// price is what a password costs to hash: the server's default.
var price = secret.Params{
	Memory: uint32(config.Default().Password.MemoryKiB), Passes: uint32(config.Default().Password.Iterations), Lanes: 1,
}

// beLimit does the least that could do the work, in a process of its own. It writes one line once it is ready. A
// handler serves until its input ends; the others read "callers milliseconds" and answer with a rate.
func beLimit(kind string, args []string) error {
	switch kind {
	case "handler":
		return bareHandler([]byte(args[0]))
	case "hashes":
		return answerRates(func(int) error {
			argon2.IDKey([]byte(thePassword), []byte("sixteen bytes..."), price.Passes, price.Memory, price.Lanes, 32)
			return nil
		})
	case "verifications":
		return bareVerifications()
	case "sqlite":
		return bareSQLite(args[0])
	case "postgres":
		return barePostgres(args[0])
	}
	return fmt.Errorf("no limit is called %q", kind)
}

// bareHandler is net/http and nothing else.
func bareHandler(body []byte) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"application/json"}
		w.Write(body)
	}))
	fmt.Println(l.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func answerRates(piece func(worker int) error) error {
	fmt.Println("ready")
	for {
		var callers, ms int
		if _, err := fmt.Scanln(&callers, &ms); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		perSecond, err := rate(callers, time.Duration(ms)*time.Millisecond, func(i int) (bool, error) { return true, piece(i) })
		if err != nil {
			return err
		}
		fmt.Println(perSecond)
	}
}

// bareVerifications checks one signature, over and over: ES256 is what passkeys sign with.
func bareVerifications() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte("what an authenticator signs"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return err
	}
	return answerRates(func(int) error {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			return errors.New("our own signature does not fit")
		}
		return nil
	})
}

// bareSQLite inserts one row in each transaction, by way of the same driver with the same durability. SQLite has one
// writer, so all callers share a connection, as they would without us.
func bareSQLite(path string) error {
	d, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return err
	}
	defer d.Close()
	d.SetMaxOpenConns(1)
	return bareInserts(d, "BLOB")
}

// barePostgres does the same with a connection for each caller.
func barePostgres(address string) error {
	d, err := sql.Open("pgx", address)
	if err != nil {
		return err
	}
	defer d.Close()
	d.SetMaxIdleConns(64)
	return bareInserts(d, "BYTEA")
}

func bareInserts(d *sql.DB, bytes string) error {
	if _, err := d.Exec(`CREATE TABLE limit_of_commits (at BIGINT NOT NULL, data ` + bytes + ` NOT NULL)`); err != nil {
		return err
	}
	data := make([]byte, 64)
	return answerRates(func(int) error {
		tx, err := d.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback() // after a commit it does nothing
		if _, err := tx.Exec(`INSERT INTO limit_of_commits (at, data) VALUES ($1, $2)`, time.Now().UnixMicro(), data); err != nil {
			return err
		}
		return tx.Commit()
	})
}
