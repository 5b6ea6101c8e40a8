#!/bin/sh
# Runs all tests, on both databases and in a real browser, nothing skipped. Flags are handed on to go test.
#   test/run.sh -run TestRFC6238
set -eu
cd "$(dirname "$0")/.."
axe=4.14.1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sallyport-test/axe-core-$axe
say() { echo "test/run.sh: $*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

# missing lists the Debian packages of what is not here.
missing() {
    has chromium || echo chromium
    has firefox-esr || has firefox || echo firefox-esr
    has oathtool || echo oathtool
    has zbarimg || echo zbar-tools
    has git || echo git
    [ -x /usr/lib/postfix/sbin/master ] || echo postfix
    perl -MNet::SMPP -MEncode::GSM0338 -e1 2>/dev/null || echo perl libnet-smpp-perl
    has initdb || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || echo postgresql
    [ -s "$cache/axe.min.js" ] || has npm || echo npm # it fetches axe, which looks at the pages; nothing else needs it
}

has go || { say "install Go, see https://go.dev/dl"; exit 1; }
need=$(missing | tr '\n' ' ')
if [ -n "$need" ] && [ "$(id -u)" = 0 ] && has apt-get; then
    say "installing $need"
    export DEBIAN_FRONTEND=noninteractive
    # or it would ask how this machine sends its own mail
    ! has debconf-set-selections || echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
    # shellcheck disable=SC2086 # a list of names
    { apt-get update && apt-get install -y --no-install-recommends $need; } >/tmp/sallyport-apt.$$ 2>&1 </dev/null || cat /tmp/sallyport-apt.$$ >&2
    rm -f /tmp/sallyport-apt.$$
    need=$(missing | tr '\n' ' ')
fi
[ -z "$need" ] || { say "install what the tests need: apt-get install $need"; exit 1; }

if [ ! -s "$cache/axe.min.js" ]; then
    say "fetching axe-core $axe"
    fetched=$(mktemp -d)
    (cd "$fetched" && npm pack --silent "axe-core@$axe" >/dev/null && tar -xzf "axe-core-$axe.tgz" package/axe.min.js) ||
        { rm -rf "$fetched"; say "axe-core could not be fetched: put its axe.min.js into $cache"; exit 1; }
    mkdir -p "$cache"
    mv "$fetched/package/axe.min.js" "$cache/"
    rm -rf "$fetched"
fi

# What tests write goes into memory, where there is plenty: they commit all the time, and wait for a disk more than for anything
# else. What go builds does not.
plenty() { [ "$(df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print $4 }')" -gt 3000000 ] && [ "$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)" -gt 5000000 ]; }
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] && plenty /dev/shm 2>/dev/null; then
    scratch=$(mktemp -d /dev/shm/sallyport-test.XXXXXX)
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 130' HUP INT TERM
    export GOTMPDIR="${GOTMPDIR:-/tmp}" TMPDIR="$scratch" SALLYPORT_POSTGRES_FOLDER=/dev/shm
fi

make --no-print-directory check
export SALLYPORT_POSTGRES_OPTIONS="${SALLYPORT_POSTGRES_OPTIONS:--c fsync=off -c full_page_writes=off}" # no test cuts the power
export SALLYPORT_TEST_ALL=1 SALLYPORT_TEST_AXE="$cache/axe.min.js"
# A checkout that belongs to somebody else is none of git's business here: the build only asks for its revision.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
# -count=1: what the tests start is built anew and unknown to go's cache of results. -vet=off: check has done that.
# The packages that take longest come first, so that none of them is left alone in the end.
test/postgres.sh go test -count=1 -p 2 -vet=off -timeout 19m "$@" ./test/browser ./test ./internal/app ./...
