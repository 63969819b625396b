SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The toolchain that go.mod names is fetched where the installed one is older.
export GOTOOLCHAIN := auto

STATICCHECK := go tool -modfile=tools/go.mod staticcheck

# The packages whose tests compare with golden files, which are those that know the flag -update.
GOLDEN = { grep -rlE --include='*_test.go' '"update"|\bgolden\.|\.Golden\(' . || true; } | \
	xargs -r -n 1 dirname | sort -u

.PHONY: help test check test-kafka demo golden bench fmt

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## run every test that needs no server; integration tests run on an embedded broker
	go test ./...

check: ## check the format, vet, staticcheck, the rules of the house, and all tests with the race detector
	@scripts/ensure cc
	@files=$$("$$(go env GOROOT)/bin/gofmt" -l .); \
	if [ -n "$$files" ]; then echo "not formatted (make fmt):"; echo "$$files"; exit 1; fi
	go vet ./...
	$(STATICCHECK) ./...
	go test ./internal/lint
	go test -race -shuffle=on -tags invariants ./...

test-kafka: ## run the integration tests on a real Kafka, started for them and stopped after them
	@scripts/ensure java mvn
	@dir=$$(mktemp -d); \
	trap 'scripts/kafka down "$$dir"; rm -rf "$$dir"' EXIT; \
	trap 'exit 130' INT TERM; \
	addr=$$(scripts/kafka up "$$dir"); \
	echo "Kafka at $$addr"; \
	KAFKA_BROKERS=$$addr go test -count=1 -timeout 30m ./runtime/... ./examples/... || \
		{ echo "the end of the broker's log:"; tail -n 40 "$$dir/broker.log"; exit 1; }

demo: ## run the example application on an embedded broker
	go run ./examples/medication-pipeline

golden: ## write the golden files anew: read their diff before committing it
	@packages=$$($(GOLDEN)); \
	if [ -z "$$packages" ]; then echo "no package has golden files"; exit 0; fi; \
	echo go test $$packages -update; go test $$packages -update

bench: ## measure Weir beside a franz-go loop on a real Kafka, started for it and stopped after it
	@scripts/ensure java mvn
	@dir=$$(mktemp -d); \
	trap 'scripts/kafka down "$$dir"; rm -rf "$$dir"' EXIT; \
	trap 'exit 130' INT TERM; \
	addr=$$(scripts/kafka up "$$dir"); \
	go build -o "$$dir/benchmarks" ./benchmarks; \
	"$$dir/benchmarks" -brokers "$$addr" compare

fmt: ## format the code
	"$$(go env GOROOT)/bin/gofmt" -w .
