# Everything runs in .venv, made on first use. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUDGET ?= 1.00
NOTEBOOKS ?= $(wildcard notebooks/*.ipynb)
PIP := $(BIN)/python -m pip --disable-pip-version-check
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PYTHONHASHSEED := 0
# Side environments and a built engine: beside .venv, so that a clone holds all it needs.
export LLMOPS_ENVS ?= $(CURDIR)/.envs
TRL := $(LLMOPS_ENVS)/trl/llmops-made
UNSLOTH := $(LLMOPS_ENVS)/unsloth/llmops-made
PEERS := $(LLMOPS_ENVS)/ragas/llmops-made $(LLMOPS_ENVS)/deepeval/llmops-made
LLAMA := $(LLMOPS_ENVS)/llama-server/bin/llama-server
# Three of the notebooks train and serve a model, and need more than the rest.
TRAINING := $(if $(filter %03_finetuning.ipynb %05_serving.ipynb %06_cache_cost.ipynb,$(NOTEBOOKS)),$(TRL))
# Tests that run side by side.
WORKERS ?= 2

.PHONY: help setup run test gpu lint lab notebooks bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: $(VENV)/.base ## make .venv with what `make run` needs

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install -q -e ".[finetune,judge,rag,routing]"
	@touch $@

$(VENV)/.lab: $(VENV)/.base
	$(PIP) install -q -e ".[finetune,judge,lab,rag,routing,widgets]"
	@touch $@

$(VENV)/.test: $(VENV)/.base
	$(PIP) install -q -e ".[test]"
	@touch $@

$(LLMOPS_ENVS)/%/llmops-made: $(VENV)/.base llmops_kernel/envs/recipes.py llmops_kernel/envs/locks/%.txt
	$(BIN)/llmops env create $*
	@touch $@

$(UNSLOTH): llmops_kernel/envs/locks/unsloth-cpu.txt

$(LLAMA): $(VENV)/.base
	@scripts/need_system.sh
	$(BIN)/llmops serve build llama-server

run: setup $(TRAINING) ## execute the notebooks under a budget, offline and free
	$(BIN)/llmops run $(NOTEBOOKS) --budget $(BUDGET)

test: $(VENV)/.test lint $(TRL) $(UNSLOTH) $(PEERS) $(LLAMA) ## lint, types, import floors, and all tests
	@scripts/need_system.sh
	LLMOPS_REQUIRE_TRL=1 LLMOPS_REQUIRE_UNSLOTH=1 LLMOPS_REQUIRE_PEERS=1 LLMOPS_REQUIRE_LLAMA=1 \
		$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

gpu: $(VENV)/.test $(TRL) ## train, merge and check on a GPU, and write down what was measured
	$(BIN)/python benchmarks/bench_gpu.py

lint: $(VENV)/.test ## lint, types and import floors only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lab: $(VENV)/.lab ## open JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir notebooks

notebooks: $(VENV)/.test $(TRL) ## rebuild notebooks/*.ipynb from notebooks/src
	$(BIN)/python scripts/build_notebooks.py

bench: $(VENV)/.test ## measure beside peers (makes side environments; takes minutes)
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

clean: ## remove .venv and what runs have left
	rm -rf $(VENV) .envs runs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
