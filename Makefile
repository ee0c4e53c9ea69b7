# Everything a person or a machine does with this project. `make` lists the targets.
#
#   PYTHON=/path/to/python3.12 make setup   that interpreter for a new .venv; else python3.13, 3.12, 3.11, 3.14 or python3
#   make test ARGS="tests/unit -k caps"     a part of the tests, without the coverage bar
#   make test WORKERS=8                     more processes (default 2)

VENV := .venv
BIN := $(VENV)/bin
# Holds the folder the environment was made in: a copied or moved tree builds its own.
STAMP := $(VENV)/.ready
WORKERS ?= 2
ARGS ?=
UV := uv==0.13.9

ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

.PHONY: help setup check test test-long fuzz demo verifier bench docs lock clean
.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## Create .venv with the pinned packages and the carbon-ledger command (idempotent)

$(STAMP): .ci/setup requirements.lock pyproject.toml
	@sh .ci/setup $(VENV)

check: setup ## Style, types, import contracts, generated documents up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m interfaces.docs --check

# Only the unit tests are watched for coverage: they alone reach every branch of domain/, and watching takes time.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not long"

test: setup $(VENV)/.spark ## The tests, in about ten minutes on 2 cores, and full branch coverage of domain/
ifeq ($(strip $(ARGS)),)
	@failed=0; \
	$(PYTEST) tests/unit --cov --cov-report=term || failed=1; \
	$(PYTEST) --ignore=tests/unit || failed=1; \
	exit $$failed
else
	$(PYTEST) $(ARGS)
endif

test-long: setup $(VENV)/.spark ## All tests with big numbers: millions of rows, hundreds of kills (an hour or more)
	CARBON_LEDGER_LONG=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --timeout 7200 $(ARGS)

# CASES=100000 for more; SEED=n for others, else each run has its own and tells it.
CASES ?= 20000
SEED ?= $(shell date +%s)
fuzz: setup ## Twenty thousand requests made up from the OpenAPI document (some minutes)
	CARBON_LEDGER_FUZZ_CASES=$(CASES) CARBON_LEDGER_FUZZ_SECONDS=7200 CARBON_LEDGER_FUZZ_SEED=$(SEED) \
		$(BIN)/python -m pytest -n 0 -rP --timeout 7200 tests/e2e/test_http_schema.py

demo: setup ## The whole story on a generated town: credits, a revision, a replay
	@$(BIN)/carbon-ledger demo $(ARGS)

verifier: setup ## Build dist/carbon-ledger-verify.pyz: the offline verifier in one file, for a Python alone
	@$(BIN)/python -m interfaces.verifier.build

bench: setup $(VENV)/.bench $(VENV)/.spark ## Measure against COPY and rival stores; writes docs/BENCHMARKS.md
	$(BIN)/python -m benchmarks $(ARGS)

$(VENV)/.bench: $(STAMP) requirements-bench.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: -r requirements-bench.lock \
		&& touch $@ || echo "make bench: umadb could not be installed; the report will say so"

# Made only where there is Java, so that it is looked for again the next time.
$(VENV)/.spark: $(STAMP) .ci/spark requirements-spark.lock
	@sh .ci/spark $(VENV)

docs: setup ## Regenerate the documents that are made from code (events, command line, OpenAPI)
	$(BIN)/python -m interfaces.docs

lock: setup ## Pin every package again, newest versions that pyproject.toml admits (needs network)
	$(BIN)/python -m venv --clear build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check "$(UV)"
	@.ci/lock build/lock/bin/uv

clean: ## Remove .venv and everything else that was built here; ledgers are kept
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
