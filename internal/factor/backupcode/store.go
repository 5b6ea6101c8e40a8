package backupcode

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/db"
)

//go:embed schema
var embedded embed.FS

// Schema is the tables backup_sheets and backup_codes.
var Schema, _ = fs.Sub(embedded, "schema")

type sheet struct {
	id                auth.EnrolmentID
	left              int
	created, lastUsed time.Time
}

// sheet is the one of a person, used up or not, or auth.ErrNotFound.
func (c *Codes) sheet(ctx context.Context, from auth.Reader, u auth.UserID) (s sheet, err error) {
	return s, db.NoneMeans(auth.ErrNotFound, from.QueryRowContext(ctx, `SELECT s.id, s.created_at, s.last_used_at, (SELECT COUNT(*) FROM backup_codes b WHERE b.sheet_id = s.id)
		FROM backup_sheets s WHERE s.user_id = $1`, u).Scan(&s.id, db.Stamp(&s.created), db.Stamp(&s.lastUsed), &s.left))
}

func (c *Codes) isLeft(ctx context.Context, id auth.EnrolmentID, mac []byte) (yes bool, err error) {
	return yes, c.DB.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM backup_codes WHERE sheet_id = $1 AND mac = $2)`, id, mac).Scan(&yes)
}

// spend crosses a code out, once, and says how many are left: whoever comes second finds none, nor does who comes after a
// new sheet.
func (c *Codes) spend(ctx context.Context, tx auth.Tx, id auth.EnrolmentID, mac []byte, now time.Time) (left int, err error) {
	err = db.One(tx.ExecContext(ctx, `DELETE FROM backup_codes WHERE sheet_id = $1 AND mac = $2`, id, mac))
	if err != nil {
		return 0, db.NoneMeans(auth.ErrWrong, err)
	}
	if err = db.One(tx.ExecContext(ctx, `UPDATE backup_sheets SET last_used_at = $2 WHERE id = $1`, id, db.Micros(now))); err != nil {
		return 0, err
	}
	return left, tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM backup_codes WHERE sheet_id = $1`, id).Scan(&left)
}

// replace puts a sheet in the place of the one before. Whoever calls it holds the person's row.
func (c *Codes) replace(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.EnrolmentID, macs [][]byte, now time.Time) error {
	if err := c.remove(ctx, tx, u); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO backup_sheets (id, user_id, created_at) VALUES ($1, $2, $3)`, id, u, db.Micros(now)); err != nil {
		return err
	}
	for _, mac := range macs {
		if _, err := tx.ExecContext(ctx, `INSERT INTO backup_codes (sheet_id, mac) VALUES ($1, $2)`, id, mac); err != nil {
			return err
		}
	}
	return nil
}

// Remove takes the sheet of a person away, or is auth.ErrNotFound.
func (c *Codes) Remove(ctx context.Context, tx auth.Tx, u auth.UserID, id auth.EnrolmentID) error {
	return db.One(tx.ExecContext(ctx, `DELETE FROM backup_sheets WHERE id = $1 AND user_id = $2`, id, u))
}

func (c *Codes) remove(ctx context.Context, tx auth.Tx, u auth.UserID) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM backup_sheets WHERE user_id = $1`, u)
	return err
}
