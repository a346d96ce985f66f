# Everything in two commands: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS ?= dev

.PHONY: demo test lint docs clean mutants

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	touch $@ $(VENV)/.installed

## Install into .venv, run the quickstart sweep, print the verdicts and where everything lies.
demo: $(VENV)/.installed
	$(BIN)/rl-transfer sweep quickstart

## Install with the dev extra; lint, types, tests.
test: lint
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

## Change the code in every small way and see whether a test notices: SAMPLE=300 SEED=0 draws, NAMED=1 takes
## only the changes that once slipped through, AT=rl_transfer/core/freeze.py:88 one module or line.
mutants: $(VENV)/.installed-dev
	PYTHONPATH=$(CURDIR):$(CURDIR)/envs:$(CURDIR)/tests $(BIN)/python -m mutants $(if $(NAMED),--named) \
		--sample $(or $(SAMPLE),0) --seed $(or $(SEED),0) $(if $(AT),--at $(AT))
