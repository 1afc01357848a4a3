# Needs Python 3.11+, make and pip. `make demo` and `make test` do all the set-up themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
DEMO := demo

.PHONY: demo test lint viewer wheel-test bench clean

demo: $(VENV)/.run                ## the main job on embedded data, then how to look at it
	$(BIN)/medconsist demo --out $(DEMO)

test: lint                        ## lint, types, floors, tests: a process a core, of one thread each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

viewer: $(VENV)/.run              ## the page, on the results of make demo
	$(BIN)/medconsist view --results $(DEMO)/results

wheel-test: $(VENV)/.dev          ## the wheel alone, in an empty environment
	$(BIN)/python tests/wheel_check.py

bench: $(VENV)/.dev
	$(BIN)/medconsist bench mri --json

# Where Python has no ensurepip (Debian without python3-venv), its own pip puts one into .venv.
$(VENV)/.made: constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	$(PIP) install --constraint constraints.txt --upgrade pip
	touch $@

$(VENV)/.run: $(VENV)/.made pyproject.toml
	$(PIP) install --constraint constraints.txt --editable '.[mri,wsi,timeseries,viewer,dicom,train]'
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) install --constraint constraints.txt --editable '.[mri,wsi,timeseries,viewer,dicom,train,siemens,ray,slurm]' --group dev
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
