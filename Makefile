# Everything runs in a virtual environment of the clone's own; the first target that needs it makes it.
PYTHON ?= python3
BIN := .venv/bin
STUDY ?= studies/kernel_sizes.yaml
PORT ?= 5000

KILLS ?= 100
EXAMPLES ?= 3000

.PHONY: study faults fuzz overhead test test-all check ui tensorboard bench bench-gpu gpu docs setup clean
.DEFAULT_GOAL := help

help:
	@echo "make setup    .venv with all that is needed; every other target does it first"
	@echo "make study    train, measure and report $(STUDY)"
	@echo "make ui       browse what was run in MLflow, on this machine only"
	@echo "make tensorboard   browse profiles (python -m harness.cost STUDY --profile) in TensorBoard"
	@echo "make bench    every operator and path as multiples of a plain copy, into reports/bench/; bench-gpu on a GPU"
	@echo "make gpu      on a GPU: checks, bench, costs, the ladder, traces, in 8 minutes (QUICK=1: 3)"
	@echo "make test     the tests; test-all adds the slow ones"
	@echo "make faults   kill the driver at random, ask again, compare; writes docs/reliability.md (KILLS=$(KILLS))"
	@echo "make fuzz     try $(EXAMPLES) wrong files of each kind, others every time, and count (EXAMPLES=...)"
	@echo "make overhead   what a run takes beside training: 16 and 200 trials of an epoch, serial and under Ray"
	@echo "make check    lint, format and types"
	@echo "make docs     the documents as a site: site/index.html"

study: setup
	$(BIN)/python -m harness.run $(STUDY)
	$(BIN)/python -m harness.report --out reports/

# A file's tests stay in one process, since they share what is dear to make.
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-all: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

faults: setup
	$(BIN)/python tests/faults.py --kills $(KILLS)

overhead: setup
	$(BIN)/python tests/overhead.py

fuzz: setup
	EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest tests/fuzz --hypothesis-profile=long --hypothesis-show-statistics --timeout=0

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m mypy

ui: setup
	$(BIN)/python -m harness.ui --port $(PORT)

# The variable switches off what Material for MkDocs says of its end, in 2027, with every build.
docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "site/index.html; its search works when it is served: python3 -m http.server --directory site"

.venv/.docs: .venv/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[docs]' --constraint constraints.txt
	touch $@

tensorboard: setup
	$(BIN)/python -m harness.ui --tensorboard --port 6006

bench: setup
	$(BIN)/python -m harness.bench --network --out reports/bench

bench-gpu: setup
	$(BIN)/python -m harness.bench --device cuda --network --out reports/bench

# No set-up: the machine's own Python with torch is enough (PYTHON=... names another).
gpu:
	$(PYTHON) -m harness.gpu $(if $(QUICK),--quick)

setup: .venv/.ready

# Written last, so that an interrupted installation is done again.
.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "mixtbench needs Python 3.10 or newer; try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	@echo "installing into .venv (about 2 minutes)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt
	touch $@

clean:
	rm -rf .venv site
