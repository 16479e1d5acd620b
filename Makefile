# Two commands for a fresh machine with Python 3.11 or newer: `make quickstart` and `make test`.
PYTHON ?= python3
BASE ?= minilm
BIN := .venv/bin

.PHONY: quickstart test lint format clean

quickstart: .venv/installed
	$(BIN)/lrat quickstart --base $(BASE)

test: .venv/installed
	$(BIN)/python -m pytest

lint: .venv/installed
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: .venv/installed
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

.venv/installed: pyproject.toml constraints.txt requirements-quickstart.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@echo "Installing into .venv; the first time this takes a few minutes."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/pip install --quiet --no-deps --requirement requirements-quickstart.txt
	@touch $@

clean:
	rm -rf .venv build dist *.egg-info quickstart
