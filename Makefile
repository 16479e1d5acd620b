# `make quickstart` and `make test` are all that a fresh machine with Python 3.11 or newer needs.
PYTHON ?= python3
BASE ?= minilm
BIN := .venv/bin

.PHONY: quickstart test check lint format docs clean

quickstart: .venv/installed
	$(BIN)/lrat quickstart --base $(BASE)

# All tests, the fast and the slow ones, on two processes with a Hub each.
test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# What one runs every few minutes: the checks and the fast tests.
check: lint
	$(BIN)/python -m pytest -m "not slow"

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

format: .venv/installed
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

.venv/installed: pyproject.toml constraints.txt requirements-quickstart.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@echo "Installing into .venv; the first time this takes a few minutes."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/pip install --quiet --no-deps --requirement requirements-quickstart.txt
	@touch $@

# The documentation as a site, in build/site; it needs no network. The site's search works where it is served.
docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo "Open build/site/index.html, or serve it: $(BIN)/python -m http.server --directory build/site"

clean:
	rm -rf .venv build dist *.egg-info quickstart
