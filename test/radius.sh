#!/bin/sh
# How far each factor reaches: in how many directories its name occurs outside tests and comments, and what share of the
# lines that name it are at home. The goal is 3 directories and 90 %.
set -eu
cd "$(dirname "$0")/.."
printf '%-10s %11s %8s %10s %6s   %s\n' factor directories 'at home' elsewhere share '(goal: 3 directories, 90 %)'
for home in internal/factor/*/; do
    home=${home%/}
    name=${home##*/}
    [ "$name" != factortest ] || continue
    at_home=$(grep -riwh --include='*.go' --include='*.html' --include='*.sql' --exclude='*_test.go' --exclude-dir=testdata -- "$name" "$home" | wc -l)
    # Elsewhere it is named by its package or as a kind. A word of people, or of OpenAPI, is not the factor.
    grep -r '' --include='*.go' --exclude='*_test.go' --exclude-dir="$name" --exclude-dir=factortest internal cmd |
        sed 's|[[:space:]]*//.*||' |
        grep -E "factor/$name\"|[^A-Za-z0-9_.]$name\.[A-Z]|\"$name\"" | grep -v '"format"' | sort |
        awk -F: -v name="$name" -v at_home="$at_home" '
            { sub("/[^/]*$", "", $1); n++ }
            $1 != last { last = $1; dirs++; where = where (dirs > 1 ? ", " : "") $1 }
            END { printf "%-10s %11d %8d %10d %4d %%   %s\n", name, dirs + 1, at_home, n, 100 * at_home / (at_home + n), where }'
done
