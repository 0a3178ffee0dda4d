# Every target but gpu makes .venv first, installs what it needs and no more, and is quick the second time.
# make demo needs neither PyTorch nor a compiler; make test installs PyTorch.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:  # two pip runs in one environment break it
SHELL := /bin/bash

PYTHON ?= python3
WORKERS ?= 2
SEEDS ?= 200
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

.PHONY: help demo test fuzz lint types bench gpu docs clean

help:  ## say what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.demo  ## repair a real video (assets/demo) with the default network; look into demo-output/
	@$(BIN)/python -m calib.demo

# The long tests first, and a worker that has none left takes some of the other's: else one was seen idle for minutes.
test: $(VENV)/.test  ## run every test; WORKERS=N processes
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal tests/contract tests/golden tests/gpu tests/guard tests/unit

fuzz: $(VENV)/.test  ## damage small videos in 200 ways and repair them; SEEDS=N
	$(BIN)/python -m tests.fuzz --seeds $(SEEDS)

lint: $(VENV)/.dev  ## check style and the import law
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(VENV)/.dev  ## check types, strictly
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/.test  ## measure frames a second on this machine; appends to bench/results.csv
	$(BIN)/python bench.py

gpu:  ## check and measure on an NVIDIA GPU (docs/gpu.md); ENGINE_PYTHON=, TORCH_PYTHON=, ARGS=; installs nothing
	@$(PYTHON) -m bench.gpu $(ARGS)

docs: $(VENV)/.test  ## check that every link, file, command and option that the documents name exists
	$(BIN)/python -m pytest -q tests/guard/test_docs.py

clean:  ## remove what was made here; bundles/ stays
	rm -rf $(VENV) demo-output build *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is an extra of pyproject.toml that is installed; those that contain others renew their stamps too.
$(VENV)/.demo: pyproject.toml | $(BIN)/pip
	@echo "installing what the demo needs into $(VENV)"
	@$(INSTALL) '.[cpu]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/pip
	@echo "installing what the tests need into $(VENV), PyTorch among it"
	@$(INSTALL) '.[test]'
	@touch $@ $(VENV)/.demo

$(VENV)/.dev: pyproject.toml | $(BIN)/pip
	@echo "installing what tests, style and types need into $(VENV), PyTorch among it"
	@$(INSTALL) '.[dev]'
	@touch $@ $(VENV)/.test $(VENV)/.demo

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
	  || { echo "'$(PYTHON)' is not Python 3.10 or later; name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv $(VENV) >/dev/null \
	  || { rm -rf $(VENV); echo "'$(PYTHON)' cannot make $(VENV); on Debian or Ubuntu: apt install python3-venv"; exit 2; }
