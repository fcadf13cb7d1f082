# Two commands from a fresh clone: `make demo` and `make test`. Everything lives in .venv.

PYTHON ?= python3.11
VENV := .venv
ORACLES := .venv-oracles
BIN := $(VENV)/bin
JOBS ?= auto

.DEFAULT_GOAL := help
.PHONY: help setup servers demo demo-crash demo-azure demo-fleet demo-llm demo-experiment test check format bench soak oracles lock clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "$(PYTHON) is not on the PATH. Install Python 3.11 or later, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.locked: $(VENV)/.python requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@# Start-up is a third of a second faster than with modules compiled anew each time.
	$(BIN)/python -m compileall -q src
	@touch $@

setup: $(VENV)/.installed  ## make .venv with everything, at the locked versions

demo: setup  ## run a pipeline over 20,190 real rows, then tell one row's story
	@# Exit code 1 says: done, and some rows were quarantined. Four are, on purpose.
	$(BIN)/elspeth run examples/claims/pipeline.yaml || [ $$? -eq 1 ]
	$(BIN)/elspeth explain latest --row 76

demo-crash: setup  ## kill a run in the middle, resume it, prove its record, find one changed byte
	$(BIN)/python examples/crash/demo.py

node_modules/.installed: package.json package-lock.json
	@command -v npm >/dev/null 2>&1 || { \
	  echo "npm is not on the PATH: the tests start Azurite, which runs on Node.js 20 or later" >&2; exit 1; }
	npm ci --silent --ignore-scripts
	@touch $@

servers: node_modules/.installed  ## install the servers that tests and demos start

demo-azure: setup servers  ## blobs in, blobs out: killed, resumed, and proved, on a storage emulator
	$(BIN)/python examples/azure/demo.py

demo-experiment: setup  ## two models on the same labelled rows, split and paired, compared
	$(BIN)/python examples/experiments/demo.py

demo-fleet: setup  ## machines planned, approved, made, healed, explained and destroyed, on a server for tests
	$(BIN)/python examples/fleet/demo.py

demo-llm: setup  ## rows through a model that fails one call in five; then replayed without it
	$(BIN)/python examples/llm/demo.py

test: setup servers  ## all tests but the soak
	$(BIN)/pytest -q -n $(JOBS)

check: setup  ## format, lint, types, import rules, shape
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q tests/test_shape.py tests/test_repository.py

format: setup  ## let ruff put files into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup servers  ## measure speed, memory and size; writes docs/performance.md
	$(BIN)/python benchmarks/bench_pipeline.py
	$(BIN)/python benchmarks/bench_proof.py
	$(BIN)/python benchmarks/bench_experiments.py
	$(BIN)/python benchmarks/bench_llm.py
	$(BIN)/python benchmarks/bench_azure.py
	$(BIN)/python benchmarks/bench_fabric.py

soak: setup servers oracles  ## the tests that take minutes
	$(BIN)/pytest -q -m soak

$(ORACLES)/.locked: requirements-oracles.lock
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "$(PYTHON) is not on the PATH" >&2; exit 1; }
	$(PYTHON) -m venv $(ORACLES)
	$(ORACLES)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

oracles: $(ORACLES)/.locked  ## statistics against gbstats and Inspect, which need an environment of their own
	PYTHONPATH=src $(ORACLES)/bin/python -m pytest -q -c tests/oracles/pytest.ini --confcutdir=tests/oracles tests/oracles

lock: $(VENV)/.python  ## write the lock files anew from pyproject.toml
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	build/lock/bin/uv pip compile pyproject.toml --quiet --no-config --universal --python-version 3.11 \
	  --all-extras --group dev --generate-hashes --no-header --no-annotate --upgrade -o requirements.lock
	build/lock/bin/uv pip compile --group apart --quiet --no-config --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --upgrade -o requirements-oracles.lock

clean:  ## remove everything that make made, .venv too
	rm -rf $(VENV) $(ORACLES) node_modules build dist benchmarks/.work examples/*/out .elspeth
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
