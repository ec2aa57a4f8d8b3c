# make test | demo | docs | clean. PYTHON=/path/to/python3.11 chooses the interpreter, VENV another environment folder.
VENV ?= .venv
EXTRAS ?= dev,diffusers,data
DEMO_OUT ?= runs/dit-digits
BIN := $(VENV)/bin
CANDIDATES := $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3 python
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.PHONY: venv lint test demo docs clean

venv: $(VENV)/.stamp

$(BIN)/python:
	@for python in $(CANDIDATES); do \
	  if $$python -c '$(SUITABLE)' >/dev/null 2>&1; then exec $$python -m venv $(VENV); fi; \
	done; \
	echo 'frisket needs Python 3.11 or newer with venv and ensurepip; set PYTHON=/path/to/it' >&2; exit 1

# A stamp is younger than the pins only when the last installation ran through. The demo needs no extra.
$(VENV)/.stamp-core: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@ $(VENV)/.stamp-core

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

demo: $(VENV)/.stamp-core
	$(BIN)/frisket run dit --out $(DEMO_OUT)

$(VENV)/.stamp-docs: $(VENV)/.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS),docs]'
	@touch $@

docs: $(VENV)/.stamp-docs
	$(BIN)/python docs/make_tables.py
	$(BIN)/python docs/make_measured.py
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) build dist docs/_build docs/generated .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +
