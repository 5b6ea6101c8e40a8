# The few things there are to do. None of them needs anything but Go, apart from test, which says what it needs.
.PHONY: run test bench check radius screenshots

run: # a server on this machine, with nothing to configure
	go run ./cmd/sallyport dev

test: # everything, nothing skipped
	test/run.sh

bench: # the table of speed and memory, with PostgreSQL where it is installed
	@if command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then test/postgres.sh go run ./test/bench; else go run ./test/bench; fi

check: # what must hold before anything is read
	@files=$$(gofmt -l .); test -z "$$files" || { echo "not formatted, run gofmt -w on them:"; echo "$$files"; exit 1; }
	go vet ./...

radius: # in how many places each factor is known
	@test/radius.sh

screenshots: # every page at 320 and 1280 px, light and dark, into build/screenshots
	@mkdir -p build/screenshots
	@SALLYPORT_TEST_SHOTS=$(CURDIR)/build/screenshots go test -count=1 ./test/browser -run TestEveryPageInEveryLook
	@echo "$$(ls build/screenshots | wc -l) pictures in build/screenshots"
