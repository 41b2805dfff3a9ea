# Asclepion: `make run` starts it, `make test` tests it. Both set up what they need under .venv and clients/web.
SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DELETE_ON_ERROR:
.ONESHELL:
.PHONY: run test bench bench-peers check ci clean locks help

PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip install -qq --disable-pip-version-check --no-input

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
		echo "asclepion needs Python 3.11 or newer as $(PYTHON): name one with make PYTHON=..."; exit 1; }
	echo "setting up: .venv"
	$(PYTHON) -m venv .venv || { echo "python3 -m venv does not work here: on Debian, apt-get install python3-venv"; exit 1; }
	touch $@

.venv/installed: .venv/made requirements.lock
	@echo "setting up: packages of requirements.lock, about a minute"
	$(PIP) --require-hashes --no-deps -r requirements.lock
	touch $@

.venv/installed-test: .venv/made requirements-test.lock
	@echo "setting up: packages of requirements-test.lock, about a minute"
	$(PIP) --require-hashes --no-deps -r requirements-test.lock
	touch $@

# Installs the command; the client is built by the lines of `run` and `test`, where its progress can be seen.
.venv/package: pyproject.toml hatch_build.py
	@echo "setting up: the asclepion command"
	ASCLEPION_SKIP_WEB=1 $(PIP) --no-deps --no-build-isolation -e .
	touch $@

run: .venv/installed ## set up, start, and print the links to open; ARGS="--edge-port 9000" adds flags
	@$(MAKE) -s --no-print-directory .venv/package
	$(PY) hatch_build.py
	# On a terminal the server gets a process group of its own, so that Ctrl-C reaches it alone and make sees it end well.
	if [ -t 0 ]; then set -m; $(PY) -m server serve $(ARGS); else exec $(PY) -m server serve $(ARGS); fi

test: .venv/installed-test ## set up and run every test; ARGS="tests/edge -k tls" picks some
	@$(MAKE) -s --no-print-directory .venv/package
	$(PY) hatch_build.py
	$(PY) tests/chromium.py
	$(PY) -m server prime
	$(PY) -m pytest $(ARGS)

check: .venv/installed-test ## format, lint, types, house rules, the web client's types
	@$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_tidy.py
	$(PY) hatch_build.py check

bench: .venv/installed-test ## measure tick, codec, fan-out, twins and ledger, as tables
	@$(MAKE) -s --no-print-directory .venv/package
	$(PY) -m tools.bench $(ARGS)

bench-peers: .venv/installed-test ## beside Colyseus, picows and others on the same work; ARGS="--quick" takes three minutes
	@$(MAKE) -s --no-print-directory .venv/package
	$(PY) hatch_build.py
	$(PY) -m tools.peers $(ARGS)

ci: check test ## what has to hold before a change goes in

locks: .venv/installed-test ## pin again: writes the lock files from pyproject.toml, needs uv
	@uv pip compile pyproject.toml --extra feed --extra build --extra tools $(LOCK_FLAGS) -o requirements.lock
	uv pip compile pyproject.toml --extra test $(LOCK_FLAGS) -c requirements.lock -o requirements-test.lock

LOCK_FLAGS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet

clean: ## forget what set-up and building made; keeps ./data
	@rm -rf .venv clients/web/node_modules clients/web/dist build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find server tools tests -name __pycache__ -type d -prune -exec rm -rf {} +
