# make run    the dashboard with its embedded database, on http://127.0.0.1:5000
# make test   all tests, the browser's included
# make bench  this engine beside its peers, training and search, in one run, printed as ratios (about 25 minutes)
# make bench-search  the search alone: what is found with equally many steps, and what suggestions cost (15 minutes)
# make bench-large  the large schedule of the 2017 program, and the time to its error (about 15 minutes)
# make bench-analysis  the time and size of what the charts of a sweep of 10,000 trials are sent (about three minutes)
# make bench-web  200 browsers on one sweep, and the page of 10,000 trials beside optuna-dashboard's (about five minutes)
# make faults N=1000 SEED=1  so many faults, one after the other, in a running installation; MINUTES=30 ends it earlier
# make bench-history  the list of 1,000 and 10,000 runs beside what Omniboard and SacredBoard ask (about 20 minutes)
# make check  everything that is not a test: style, types, import contracts, templates, known vulnerabilities

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FAST := tests/unit tests/contract tests/test_architecture.py
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test faults bench bench-search bench-large bench-analysis bench-web bench-history check browser clean
.DEFAULT_GOAL := run

run: $(VENV)/.runs
	@exec $(BIN)/gunicorn wsgi:app

# Fast tests beside each other; then those with real processes, two files at a time, once more where a noisy machine fails
# one: the summary names it.
test: $(VENV)/.tests browser
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 $(FAST)
	@$(BIN)/python -m pytest --numprocesses logical --maxprocesses 2 --dist loadfile --reruns 1 $(FAST:%=--ignore=%)
endif

N ?= 1000
SEED ?= 1
FIRST ?= 0
MINUTES ?= inf

faults: $(VENV)/.tests
	@$(BIN)/python -m tests.faults.harness --injections $(N) --seed $(SEED) --first $(FIRST) --minutes $(MINUTES) $(ARGS)

check: $(VENV)/.tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint templates --lint --quiet
	$(BIN)/pip-audit --requirement requirements.txt --disable-pip --no-deps --progress-spinner off --desc off

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "NHOP needs Python 3.11, 3.12 or 3.13; this is $$($(PYTHON) --version 2>&1). Name another one: make run PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "The virtual environment cannot be made; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.runs: requirements.txt | $(VENV)/bin/python
	@echo "Installing what NHOP runs on (a few minutes the first time)"
	@$(PIP) install --requirement requirements.txt
	@touch $@

$(VENV)/.tests: requirements-dev.txt $(VENV)/.runs
	@echo "Installing what its tests need"
	@$(PIP) install --requirement requirements-dev.txt
	@touch $@

bench: $(VENV)/.benches
	@$(BIN)/python -m bench.training $(ARGS)
	@$(BIN)/python -m bench.search

bench-search: $(VENV)/.benches
	@$(BIN)/python -m bench.search $(ARGS)

bench-large: $(VENV)/.tests
	@$(BIN)/python -m bench.large $(ARGS)

bench-analysis: $(VENV)/.tests
	@$(BIN)/python -m bench.analysis $(ARGS)

bench-history: $(VENV)/.tests
	@$(BIN)/python -m bench.history $(ARGS)

bench-web: $(VENV)/.benches $(VENV)/.tests
	@$(BIN)/python -m bench.web $(ARGS)

$(VENV)/.benches: requirements-bench.txt $(VENV)/.runs
	@$(PIP) install --requirement requirements-bench.txt
	@touch $@

# Debian's chromium where apt can install it, else the browser that Playwright brings.
browser: $(VENV)/.tests
	@command -v chromium >/dev/null || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null && \
		  chromium --version >/dev/null 2>&1; } || \
		$(BIN)/playwright install chromium

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
