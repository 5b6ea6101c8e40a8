package passkey

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/user"
)

//go:embed schema
var embedded embed.FS

// Schema is the tables of passkeys.
var Schema, _ = fs.Sub(embedded, "schema")

// A passkey is one row, with the handle of its person.
type passkey struct {
	id                  auth.EnrolmentID
	owner               auth.User
	handle              []byte
	credential, key     []byte
	party               string // relying party id
	name                string
	aaguid              []byte
	format, attestation string
	transports          string
	count               int64
	eligible, backedUp  bool
	quiet               bool // it does not make the password ask for more
	added, used         time.Time
}

const columns = `k.id, k.user_id, p.handle, k.credential_id, k.public_key, k.rp_id, k.name, k.aaguid, k.format, k.attestation, k.transports,
	k.sign_count, k.backup_eligible, k.backed_up, k.quiet, k.added_at, k.last_used_at`

const tables = ` FROM passkeys k JOIN passkey_people p ON p.user_id = k.user_id `

func (k *passkey) fields() []any {
	return []any{&k.id, &k.owner.ID, &k.handle, &k.credential, &k.key, &k.party, &k.name, &k.aaguid, &k.format, &k.attestation, &k.transports,
		&k.count, &k.eligible, &k.backedUp, &k.quiet, db.Stamp(&k.added), db.Stamp(&k.used)}
}

// record is the row as the library keeps it.
func (k passkey) record() webauthn.Credential {
	return webauthn.Credential{ID: k.credential, PublicKey: k.key, AttestationType: k.attestation, AttestationFormat: k.format,
		Flags:         webauthn.CredentialFlags{BackupEligible: k.eligible, BackupState: k.backedUp},
		Authenticator: webauthn.Authenticator{AAGUID: k.aaguid, SignCount: uint32(k.count)}}
}

func (k passkey) descriptor() protocol.CredentialDescriptor {
	d := protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: k.credential}
	for t := range strings.SplitSeq(k.transports, ",") {
		if t != "" {
			d.Transport = append(d.Transport, protocol.AuthenticatorTransport(t))
		}
	}
	return d
}

// all lists the passkeys of a person, those too that work no more.
func (p *Passkey) all(ctx context.Context, from auth.Reader, u auth.UserID) ([]passkey, error) {
	rows, err := from.QueryContext(ctx, `SELECT `+columns+tables+`WHERE k.user_id = $1 ORDER BY k.added_at, k.id`, u)
	return db.Collect(rows, err, func(r *sql.Rows) (k passkey, err error) { return k, r.Scan(k.fields()...) })
}

// byCredential is the passkey with an id that its authenticator chose, with its whole owner, or auth.ErrNotFound.
func (p *Passkey) byCredential(ctx context.Context, id []byte) (k passkey, err error) {
	err = p.DB.QueryRowContext(ctx, `SELECT `+columns+`, `+user.Columns+tables+`JOIN users u ON u.id = k.user_id WHERE k.credential_id = $1`, id).
		Scan(append(k.fields(), user.Fields(&k.owner)...)...)
	return k, db.NoneMeans(auth.ErrNotFound, err)
}

// handle is what authenticators call a person: 64 random bytes, made with their first ceremony.
func (p *Passkey) handle(ctx context.Context, u auth.UserID) ([]byte, error) {
	if handle, err := p.known(ctx, u); err != nil || handle != nil {
		return handle, err
	}
	fresh := make([]byte, 64)
	rand.Read(fresh) // never fails
	err := p.DB.Tx(ctx, func(tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO passkey_people (user_id, handle) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING`, u, fresh)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p.known(ctx, u) // another request may have been faster
}

// known is the handle of a person, or nil before their first ceremony.
func (p *Passkey) known(ctx context.Context, u auth.UserID) (handle []byte, err error) {
	err = p.DB.QueryRowContext(ctx, `SELECT handle FROM passkey_people WHERE user_id = $1`, u).Scan(&handle)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return handle, err
}

// insert stores a new passkey. An id that anybody has already is a conflict.
func (p *Passkey) insert(ctx context.Context, tx auth.Tx, k passkey) error {
	err := db.One(tx.ExecContext(ctx, `INSERT INTO passkeys (id, user_id, credential_id, public_key, rp_id, name, aaguid, format, attestation,
		transports, sign_count, backup_eligible, backed_up, added_at, quiet)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (credential_id) DO NOTHING`,
		k.id, k.owner.ID, k.credential, k.key, k.party, k.name, k.aaguid, k.format, k.attestation,
		k.transports, k.count, k.eligible, k.backedUp, db.Micros(k.added), k.quiet))
	if errors.Is(err, auth.ErrNotFound) {
		return errKnown
	}
	return err
}

// use writes down a use, unless the counter did not grow since: of two authenticators with one key the second loses.
func (p *Passkey) use(ctx context.Context, tx auth.Tx, id auth.EnrolmentID, shown protocol.AuthenticatorData, now time.Time) error {
	err := db.One(tx.ExecContext(ctx, `UPDATE passkeys SET sign_count = $2, backed_up = $3, last_used_at = $4
		WHERE id = $1 AND (sign_count < $2 OR sign_count = 0 AND CAST($2 AS BIGINT) = 0)`,
		id, int64(shown.Counter), shown.Flags.HasBackupState(), db.Micros(now)))
	if errors.Is(err, auth.ErrNotFound) {
		return cloned
	}
	return err
}

// Rename gives a passkey of a person a new name, or is auth.ErrNotFound.
func (p *Passkey) Rename(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.EnrolmentID, name string) error {
	return db.One(tx.ExecContext(ctx, `UPDATE passkeys SET name = $3 WHERE id = $1 AND user_id = $2`, id, u, name))
}

// Remove takes a passkey of a person away, or is auth.ErrNotFound.
func (p *Passkey) Remove(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.EnrolmentID) error {
	return db.One(tx.ExecContext(ctx, `DELETE FROM passkeys WHERE id = $1 AND user_id = $2`, id, u))
}

func (p *Passkey) removeAll(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM passkeys WHERE user_id = $1`, u)
	return err
}

// Wake is auth.Waker: the person wants their passkeys to count.
func (p *Passkey) Wake(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	_, err := tx.ExecContext(ctx, `UPDATE passkeys SET quiet = FALSE WHERE user_id = $1 AND quiet`, u)
	return err
}

// answer notes a challenge as answered, once.
func (p *Passkey) answer(ctx context.Context, tx auth.Tx, challenge []byte) error {
	err := db.One(tx.ExecContext(ctx, `INSERT INTO passkey_answers (challenge, ends_at) VALUES ($1, $2) ON CONFLICT (challenge) DO NOTHING`,
		challenge, db.Micros(p.Clock().Add(2*challengeLife)))) // nodes may disagree on the time
	if errors.Is(err, auth.ErrNotFound) {
		return answered
	}
	return err
}

// burn uses up the challenge of a wrong response, and returns what was wrong with it.
func (p *Passkey) burn(ctx context.Context, challenge []byte, wrong error) error {
	err := p.DB.Tx(ctx, func(tx auth.Tx) error { return p.answer(ctx, tx, challenge) })
	if err != nil && !errors.Is(err, auth.ErrWrong) {
		return err
	}
	return wrong
}

// offer opens an offer to a session, unless the person is to be left alone still.
func (p *Passkey) offer(ctx context.Context, tx auth.Tx, began auth.Session, open, quiet time.Time) error {
	return db.One(tx.ExecContext(ctx, `INSERT INTO passkey_offers (user_id, session_id, open_until, quiet_until) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id) DO UPDATE SET session_id = excluded.session_id, open_until = excluded.open_until, quiet_until = excluded.quiet_until
		WHERE passkey_offers.quiet_until <= $5`,
		began.User.ID, began.ID, db.Micros(open), db.Micros(quiet), db.Micros(began.Started)))
}

// offered is nil if a session may take up an offer, or auth.ErrForbidden.
func (p *Passkey) offered(ctx context.Context, now auth.Session) error {
	var one int
	err := p.DB.QueryRowContext(ctx, `SELECT 1 FROM passkey_offers WHERE user_id = $1 AND session_id = $2 AND open_until > $3`,
		now.User.ID, now.ID, db.Micros(p.Clock())).Scan(&one)
	return db.NoneMeans(auth.ErrForbidden, err)
}

// take takes an offer up, once, and says until when to be quiet now.
func (p *Passkey) take(ctx context.Context, tx auth.Tx, now auth.Session, quiet time.Time) error {
	return db.NoneMeans(auth.ErrForbidden, db.One(tx.ExecContext(ctx, `UPDATE passkey_offers SET session_id = '', quiet_until = $4
		WHERE user_id = $1 AND session_id = $2 AND open_until > $3`, now.User.ID, now.ID, db.Micros(p.Clock()), db.Micros(quiet))))
}

// refuse ends an offer, also one that is over its time: that somebody wants no other holds.
func (p *Passkey) refuse(ctx context.Context, tx auth.Tx, now auth.Session, quiet time.Time) error {
	return db.NoneMeans(auth.ErrForbidden, db.One(tx.ExecContext(ctx, `UPDATE passkey_offers SET session_id = '', quiet_until = $3
		WHERE user_id = $1 AND session_id = $2`, now.User.ID, now.ID, db.Micros(quiet))))
}

// astray lists the people, but for the disabled, who have passkeys, but none for this relying party, and for which one theirs are.
func (p *Passkey) astray(ctx context.Context) (people []auth.UserID, party string, err error) {
	rows, err := p.DB.QueryContext(ctx, `SELECT DISTINCT k.user_id, k.rp_id FROM passkeys k JOIN users u ON u.id = k.user_id
		WHERE k.rp_id <> $1 AND NOT u.disabled AND NOT EXISTS (SELECT 1 FROM passkeys o WHERE o.user_id = k.user_id AND o.rp_id = $1) ORDER BY k.user_id`, p.Party.ID)
	people, err = db.Collect(rows, err, func(r *sql.Rows) (u auth.UserID, err error) { return u, r.Scan(&u, &party) })
	return people, party, err
}

// Sweep removes challenges that are too old to be answered, by any node's clock.
func (p *Passkey) Sweep(ctx context.Context) error {
	return p.DB.Tx(ctx, func(tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM passkey_answers WHERE ends_at <= $1`, db.Micros(p.Clock().Add(-time.Minute)))
		return err
	})
}
