# `make` alone lists the targets. You need only Python 3.11 or newer and make. The targets install everything else into
# .venv, once, and again only if a requirements file has changed.

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
REQUIREMENTS := pyproject.toml requirements.txt

# Use only variables from make's own command line: some shells export a HOST of their own.
given = $(if $(filter command,$(origin $(1))),$(2) $($(1)))

# Most suites wait for timers and other processes, so more tests than cores run at once (tests/parallel.py).
PARALLEL := -n 4

# `make test` runs these apart: Chromium does not bear containers that start beside it (tests/web/__main__.py).
BROWSERS := tests/web

# The tests with the mark `each_topology` run again on each of these.
TOPOLOGIES := sentinel cluster

.DEFAULT_GOAL := help
.PHONY: help run test suites suites-in-browsers topologies coverage check audit sbom fmt pins setup pictures bench figures chaos siege stack clean

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

run: $(VENV)/.run $(VENV)/.page ## run everything on this machine, without Docker or a key (PORT=8000 HOST=127.0.0.1)
	@exec $(VENV)/bin/manycast up --started-with 'make run PORT=' $(call given,PORT,--port) $(call given,HOST,--host)

test: check suites $(if $(T),,suites-in-browsers $(TOPOLOGIES:%=suites-on-%)) ## check, then run every suite that this machine can run (T="tests/contract -k position" for a part)

# Without MAKEFLAGS, which would make a `make` that a test runs look for the jobs of this one (`make -j2 test`).
suites: $(VENV)/.test
	@MAKEFLAGS= $(PY) -m pytest $(or $(T),$(PARALLEL) --ignore $(BROWSERS))

suites-in-browsers: $(VENV)/.test
	@MAKEFLAGS= $(PY) -m tests.web

$(TOPOLOGIES:%=suites-on-%): suites-on-%: $(VENV)/.test
	@MAKEFLAGS= MANYCAST_TEST_TOPOLOGY=$* $(PY) -m pytest -m each_topology tests/system

topologies: $(VENV)/.test ## run the system's tests on a Sentinel group and on a cluster (TOPOLOGY=cluster for one of them)
	@for kind in $(or $(strip $(call given,TOPOLOGY)),$(TOPOLOGIES)); do \
	  MANYCAST_TEST_TOPOLOGY=$$kind $(PY) -m pytest $(PARALLEL) tests/system || exit 1; \
	done

coverage: $(VENV)/.test ## run the tests and report how much of each module they run (T="tests/contract" for a part)
	@mkdir -p test-results/coverage && $(PY) -m coverage erase
	@$(PY) -m coverage run -m pytest $(or $(T),$(PARALLEL))
	@$(PY) -m coverage combine --quiet
	@$(PY) -m coverage report

check: $(VENV)/.test ## check lint, format, types and import rules
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports --no-logo

audit: $(VENV)/.test ## check the pinned packages for known vulnerabilities (needs the internet)
	@$(PY) -m tests.house.audit

sbom: $(VENV)/.test ## list what the product is made of, in CycloneDX: test-results/sbom.cdx.json
	@$(PY) -m tests.house.sbom

fmt: $(VENV)/.test ## format the code
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

pins: $(VENV)/.test ## write every requirements.txt from the requirements.in files (T="redis fastapi" renews these)
	@$(PY) -m tests.house.pins $(T)

setup: $(VENV)/.test ## install everything for running and testing into .venv

pictures: $(VENV)/.test ## take a picture of every state of the page, in test-results/
	@$(PY) -m tests.web.screenshots

bench: $(VENV)/.test ## measure the cost of an event, and compare with other servers, in under five minutes (T="crowd late" for a part)
	@$(PY) -m bench $(T)

figures: $(VENV)/.test ## measure what README.md says about performance again, and write its table (T="late joins" for some rows)
	@$(PY) -m bench.figures $(T)

chaos: $(VENV)/.run ## kill, freeze and disconnect every part, and check that viewers lose nothing (SEED=1 MINUTES=1 TOPOLOGY=one)
	@exec $(VENV)/bin/manycast chaos $(call given,SEED,--seed) $(call given,MINUTES,--minutes) $(call given,TOPOLOGY,--topology)

siege: $(VENV)/.test ## attack servers of its own, and print their memory and what others wait (T="queue" TREE=../older)
	@$(PY) -m tests.siege $(T) $(if $(TREE),--tree $(TREE))

stack: ## run it in containers: three gateways and two workers behind Caddy
	@docker compose up --build --wait --scale gateway=3 --scale worker=2

clean: ## remove .venv and the caches (answers kept in .manycast stay)
	@rm -rf $(VENV) web/parts/vendor web/node_modules build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis test-results
	@find . -name __pycache__ -type d -not -path './node_modules/*' -prune -exec rm -rf {} +

$(VENV)/.run: $(VENV)/.made $(REQUIREMENTS)
	@echo "Setting up $(VENV) (the first time takes a minute)"
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --no-deps -e .
	@touch $@

# npm installs the page's packages: the npm of this machine, else the one from PyPI. Without them the page shows plain text.
$(VENV)/.page: $(VENV)/.made web/package-lock.json web/install.py web/requirements.txt
	@command -v npm >/dev/null || $(PIP) --require-hashes -r web/requirements.txt
	@$(PY) web/install.py
	@if [ -d web/parts/vendor ]; then touch $@; fi

$(VENV)/.test: $(VENV)/.run $(VENV)/.page tests/requirements.txt
	@echo "Adding what the tests need"
	@$(PIP) --require-hashes -r tests/requirements.txt
	@touch $@

# Made anew where it is incomplete: `python -m venv` mends a directory that it did not finish.
$(VENV)/.made:
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  $$python -c 'import venv, ensurepip' 2>/dev/null || { without=$$python; continue; }; \
	  $$python -m venv $(VENV) && touch $@; exit; \
	done; \
	if [ -n "$$without" ]; then \
	  echo "$$without has no venv module. On Debian and Ubuntu: apt install python3-venv" >&2; \
	else \
	  echo "Python 3.11 or newer is needed; here is $$(python3 --version 2>&1). Name another: make PYTHON=/path/to/python3" >&2; \
	fi; exit 1
