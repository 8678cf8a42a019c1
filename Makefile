# Two commands on a fresh machine: `make run` and `make test`. Both install what they need into .venv.
PYTHON ?= python3
BIN := .venv/bin
# setuptools warns of a folder that is named like the package it installs; here it is that package.
PIP := PYTHONWARNINGS='ignore:Editable installation' $(BIN)/python -m pip install --quiet
# Neither mypy nor import-linter follows an editable install of mapped folders: they read a copy, in build/typed.
FOLDERS := pipeline transforms generators filters catalogs trainers pocket recipes
# A module's tests stay in one of two processes, in the order of tests/conftest.py.
TWO := -n 2 --dist loadfile --no-loadscope-reorder

# Another processor's arithmetic: torch, oneDNN and MKL as on a machine without AVX. MKL counts most: on a processor of
# another maker it takes other kernels whatever torch itself uses.
OTHER_PROCESSOR := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE

.PHONY: run run-aspire test test-numeric test-full test-minimum test-lowest wheel-test check install clean

run: .venv/installed
	$(BIN)/fairshards run pocket-waterbirds

run-aspire: .venv/installed
	$(PIP) --constraint constraints.txt --editable '.[discovery]'
	$(BIN)/fairshards run pocket-aspire

test: .venv/installed-dev
	$(BIN)/python -m pytest -m "not slow" --durations=10 $(TWO)

test-numeric: .venv/installed-dev
	$(OTHER_PROCESSOR) $(BIN)/python -m pytest -m "numeric and not slow" $(TWO)

test-full: .venv/installed-dev
	$(BIN)/python -m pytest --record docs/results/test-full.md

wheel-test: .venv/installed-dev
	$(BIN)/python -m pytest -m "slow or not slow" tests/test_packaging.py

# In fresh environments: the least that a run needs, and the oldest versions that pyproject.toml allows.
test-minimum:
	$(PYTHON) -m venv --clear build/minimum
	build/minimum/bin/python -m pip install --quiet --constraint constraints.txt --editable . pytest
	build/minimum/bin/python -m pytest -m slow tests/test_minimum.py

test-lowest:
	$(PYTHON) -m venv --clear build/lowest
	build/lowest/bin/python -m pip install --quiet uv pytest
	build/lowest/bin/uv pip install --quiet --python build/lowest/bin/python --resolution lowest-direct --editable '.[all]'
	build/lowest/bin/python -m pytest -m slow tests/test_minimum.py

# Random one-line changes of a room that its own tests must notice: `make mutants ROOM=catalogs/manifests N=20 SEED=1`.
ROOM ?= catalogs
N ?= 20
SEED ?= 1
mutants: .venv/installed-dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt 'mutmut>=3.8,<3.9'
	$(BIN)/python -m tests.mutants.run $(ROOM) --number $(N) --seed $(SEED)

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/typed && mkdir -p build/typed
	cp -R fairshards build/typed/ && cp -R $(FOLDERS) build/typed/fairshards/
	$(BIN)/mypy
	cd build/typed && ../../$(BIN)/lint-imports ../../pyproject.toml

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(PIP) --constraint constraints.txt --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(PIP) --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv runs build dist *.egg-info
