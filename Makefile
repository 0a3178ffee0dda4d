# make demo: repair a real video.  make test: every test.  Both make .venv first and are quick the second time.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMPS := $(VENV)/stamps
WORKERS ?= 2

.PHONY: help demo test lint types bench docs clean

help:  ## what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: $(STAMPS)/demo  ## repair assets/demo with the default network, and look at demo-output/
	$(RUN) -m calib.demo

test: $(STAMPS)/test  ## every test
	$(RUN) -m pytest -n $(WORKERS) -q

lint: $(STAMPS)/test  ## style and the import law
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/lint-imports --no-cache

types: $(STAMPS)/test  ## pyright, strict
	$(VENV)/bin/pyright

bench: $(STAMPS)/test  ## frames a second on this machine, appended to bench/results.csv
	$(RUN) bench.py

docs: $(STAMPS)/test  ## check that what the documents name exists
	$(RUN) -m pytest -q tests/guard/test_docs.py

clean:  ## remove what make made
	rm -rf $(VENV) demo-output .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "vidmend needs Python 3.10 or later; name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "cannot make $(VENV); on Debian and Ubuntu: apt install python3-venv"; exit 2; }

$(STAMPS)/demo: pyproject.toml | $(VENV)/bin/pip
	$(VENV)/bin/pip install --quiet --disable-pip-version-check '.[cpu,demo]'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/test: pyproject.toml | $(VENV)/bin/pip
	$(VENV)/bin/pip install --quiet --disable-pip-version-check '.[test]'
	@mkdir -p $(STAMPS) && touch $@ $(STAMPS)/demo
