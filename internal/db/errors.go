package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	lite "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

func busy(err error) bool {
	var file *lite.Error
	return errors.As(err, &file) && file.Code()&0xff == lib.SQLITE_BUSY
}

// Away is true for an error that says the database cannot do its work now: gone, full, read-only, too slow.
// The same request may succeed later. A mistake in our SQL is not away.
func Away(err error) bool {
	var (
		file    *lite.Error
		pg      *pgconn.PgError
		connect *pgconn.ConnectError
		network net.Error
	)
	switch {
	case err == nil:
		return false
	case errors.As(err, &file):
		switch file.Code() & 0xff {
		case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_READONLY, lib.SQLITE_BUSY, lib.SQLITE_LOCKED,
			lib.SQLITE_CANTOPEN, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB, lib.SQLITE_INTERRUPT, lib.SQLITE_NOMEM:
			return true
		}
		return false
	case errors.As(err, &pg):
		// 08 connection, 25006 read-only, 28 authorization, 3D no such database, 53 resources, 55P03 and 57 cancelled or shut down, 58 system
		for _, class := range []string{"08", "25006", "28", "3D", "40", "53", "55P03", "57", "58"} {
			if strings.HasPrefix(pg.Code, class) {
				return true
			}
		}
		return false
	case errors.As(err, &connect), errors.As(err, &network):
		return true
	}
	return errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, sql.ErrTxDone) || pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "unexpected EOF")
}
