package signin

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
	"sallyport/internal/user"
)

//go:embed schema
var embedded embed.FS

// Schema is the table signins.
var Schema, _ = fs.Sub(embedded, "schema")

// find reads a pending sign-in of a living user in the same security epoch, or auth.ErrExpired.
func (s *SignIn) find(ctx context.Context, key [32]byte) (p auth.Pending, err error) {
	var proofs []byte
	into := append(user.Fields(&p.User), &p.ID, &proofs, &p.ReturnTo, db.Stamp(&p.Expires))
	err = s.DB.QueryRowContext(ctx, `SELECT `+user.Columns+`, s.id, s.proofs, s.return_to, s.expires_at
		FROM signins s JOIN users u ON u.id = s.user_id AND u.security_epoch = s.security_epoch AND NOT u.disabled
		WHERE s.token_hash = $1`, key[:]).Scan(into...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return auth.Pending{}, auth.ErrExpired
	case err != nil:
		return auth.Pending{}, err
	case !s.Clock().Before(p.Expires):
		return auth.Pending{ReturnTo: p.ReturnTo}, auth.ErrExpired
	}
	p.Proofs, err = decode(proofs)
	return p, err
}

func (s *SignIn) insert(ctx context.Context, tx auth.Tx, key [32]byte, p auth.Pending) error {
	proofs, err := json.Marshal(p.Proofs)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO signins (id, token_hash, user_id, security_epoch, proofs, return_to, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, p.ID, key[:], p.User.ID, p.User.Epoch, string(proofs), p.ReturnTo, db.Micros(p.Expires))
	return err
}

// spend ends a pending sign-in, once, if nothing voided it since it was read.
func (s *SignIn) spend(ctx context.Context, tx auth.Tx, key [32]byte) error {
	err := db.One(tx.ExecContext(ctx, `DELETE FROM signins WHERE token_hash = $1 AND expires_at > $2
		AND security_epoch = (SELECT u.security_epoch FROM users u WHERE u.id = signins.user_id AND NOT u.disabled)`,
		key[:], db.Micros(s.Clock())))
	if errors.Is(err, auth.ErrNotFound) {
		return auth.ErrExpired
	}
	return err
}

// Sweep removes what expired a day ago. Until then it still knows where the person was going.
func (s *SignIn) Sweep(ctx context.Context) error {
	return s.DB.Tx(ctx, func(tx auth.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM signins WHERE expires_at < $1`, db.Micros(s.Clock().Add(-24*time.Hour)))
		return err
	})
}
