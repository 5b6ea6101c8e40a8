#!/bin/sh
# Runs a command with a private PostgreSQL server on a free port, in a folder that is gone afterwards.
#   test/postgres.sh go test ./...
# SALLYPORT_POSTGRES_OPTIONS goes to the server, say "-c fsync=off" where nothing has to survive a power cut.
# SALLYPORT_POSTGRES_FOLDER is where that folder is made, say in memory; /tmp unless set.
set -eu
initdb=$(ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n 1) # the client alone has a bin too
[ -n "$initdb" ] || initdb=$(command -v initdb) || { echo "test/postgres.sh: install the PostgreSQL server: apt-get install postgresql" >&2; exit 1; }
bin=$(dirname "$initdb")
dir=$(mktemp -d "${SALLYPORT_POSTGRES_FOLDER:-/tmp}/sallyport-pg.XXXXXX") # not TMPDIR, which may be closed to the server's user
as=''
if [ "$(id -u)" = 0 ]; then # the server refuses to run as root
    id -u postgres >/dev/null 2>&1 || useradd --system postgres
    chown postgres "$dir"
    as='setpriv --reuid=postgres --regid=postgres --clear-groups'
fi
cd / # the folder we came from may be closed to the server's user
stop() { $as "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$dir"; }
trap stop EXIT
trap 'exit 130' HUP INT TERM
port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen=>1, LocalAddr=>"127.0.0.1")->sockport')
$as "$bin/initdb" -D "$dir/data" -U sallyport -A trust -E UTF8 --locale=C >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
$as "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/data/log" -o "-h 127.0.0.1 -p $port -k '$dir' -c max_connections=400 -c shared_buffers=64MB ${SALLYPORT_POSTGRES_OPTIONS:-}" start >/dev/null || { cat "$dir/data/log" >&2; exit 1; }
export SALLYPORT_TEST_POSTGRES="postgres://sallyport@127.0.0.1:$port/postgres?sslmode=disable"
cd "$OLDPWD"
"$@"
