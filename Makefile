# Everything a fresh machine needs: Python 3.11, pip, make and a C compiler.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check format bench clean help

help:             ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

demo: $(STAMP)    ## install, then train and draw on the embedded base; ends with pictures in outputs/demo
	$(BIN)/graphcond demo

test: $(STAMP)    ## run the tests
	$(BIN)/python -m pytest -n auto

check: $(STAMP)   ## ruff, types, import directions, the measures of scripts/house.py
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_import_directions.py
	$(BIN)/python scripts/house.py

format: $(STAMP)  ## let ruff format and mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)   ## the measured comparisons (most of an hour)
	$(BIN)/graphcond bench samplers --base tiny --out outputs/bench/samplers
	$(BIN)/python -m pip install --quiet -c constraints.txt -r benchmarks/requirements.txt
	$(BIN)/python benchmarks/bench_ppr.py --out outputs/bench/ppr.md

clean:            ## remove the environment and all outputs
	rm -rf $(VENV) outputs

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --progress-bar on -c constraints.txt -e ".[dev]"
	touch $@
