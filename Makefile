# Everything runs in .venv, made on first use. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUDGET ?= 1.00
NOTEBOOKS ?= $(wildcard notebooks/*.ipynb)
PIP := $(BIN)/python -m pip --disable-pip-version-check
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PYTHONHASHSEED := 0

.PHONY: help setup run test lint lab notebooks bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: $(VENV)/.base ## make .venv with what `make run` needs

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install -q -e ".[rag]"
	@touch $@

$(VENV)/.lab: $(VENV)/.base
	$(PIP) install -q -e ".[lab,rag]"
	@touch $@

$(VENV)/.test: $(VENV)/.base
	$(PIP) install -q -e ".[test]"
	@touch $@

run: setup ## execute the notebooks under a budget, offline and free
	$(BIN)/llmops run $(NOTEBOOKS) --budget $(BUDGET)

test: $(VENV)/.test lint ## lint, types, import floors, and all tests
	@scripts/need_redis.sh
	$(BIN)/python -m pytest

lint: $(VENV)/.test ## lint, types and import floors only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lab: $(VENV)/.lab ## open JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir notebooks

notebooks: $(VENV)/.test ## rebuild notebooks/*.ipynb from notebooks/src
	$(BIN)/python scripts/build_notebooks.py

bench: $(VENV)/.test ## measure beside peers (makes side environments; takes minutes)
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

clean: ## remove .venv and what runs have left
	rm -rf $(VENV) runs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
