# Two commands on a fresh machine: `make demo` and `make test`. Python 3.11 or later and make; nothing else.
PYTHON ?= python3
BIN := .venv/bin

OLDEST := .venv-oldest/bin
PEERS := .venv-peers/bin

.PHONY: demo dev test check format bench peers prove oldest clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Octo needs Python 3.11 or later")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	touch $@

demo: .venv/ready   ## real orders in, true columns in two tools, one new order followed through; then it stops
	$(BIN)/octo demo

dev: .venv/ready    ## the same, and everything stays up: Dagster UI, sandbox with its page
	$(BIN)/octo demo --stay

test: .venv/ready   ## what CI runs; three at a time, for some wait for a browser or a database
	$(BIN)/python -m pytest -n 3 --dist worksteal

check: .venv/ready  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/ready  ## ratios against a peer or a limit, measured in one run; `make peers` first for all peers
	$(BIN)/octo bench

peers:              ## other people's packages the scores are measured beside, apart from ours
	test -x $(PEERS)/python || $(PYTHON) -m venv .venv-peers
	$(PEERS)/python -m pip install --quiet --disable-pip-version-check -r octo_dagster/bench/peers/requirements.txt
	$(PEERS)/python -m pip install --quiet --disable-pip-version-check --no-deps lifetimes==0.11.3

prove: .venv/ready  ## the slow proofs, whole: every crash, every fault
	OCTO_PROVE=all $(BIN)/python -m pytest -n 2 --dist worksteal -m "prove or whole" tests

oldest:             ## the suite on the oldest DuckDB we promise to run on
	test -x $(OLDEST)/python || $(PYTHON) -m venv .venv-oldest
	sed 's/^duckdb==.*/duckdb==1.5.6/' constraints.txt > .venv-oldest/constraints.txt
	$(OLDEST)/python -m pip install --quiet --disable-pip-version-check -c .venv-oldest/constraints.txt -e '.[demo,dev]'
	$(OLDEST)/python -m pytest -n 2 --dist worksteal tests/unit tests/stories tests/contract

clean:
	rm -rf .venv .venv-oldest .venv-peers .octo
