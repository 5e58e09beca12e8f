# make demo    fine-tune a real model on a two-node cluster on this machine
# make test    lint, types and all tests
# make test-chaos   a run that is killed 50 times ends with the same bits; KILLS=8 for a short one
# make proof   all tests, each proof on every ZeRO stage (twice as long)
# make lint    lint and types only

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -q --durations=15
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

KILLS ?= 50

.PHONY: demo test test-chaos proof lint clean

demo: $(VENV)/.demo
	$(BIN)/thaw demo

# Tests on a cluster wait for processes most of the time, so the others run beside them.
test: lint
	@log=$$(mktemp); $(PYTEST) -m "not cluster" >$$log 2>&1 & others=$$!; \
	trap 'kill $$others 2>/dev/null; rm -f $$log' EXIT; \
	$(PYTEST) -m cluster; cluster=$$?; \
	wait $$others; rest=$$?; cat $$log; exit $$((cluster || rest))

test-chaos: $(VENV)/.dev
	$(BIN)/python -m benchmarks.chaos --kills $(KILLS)

proof: lint
	THAW_TESTS=full $(BIN)/python -m pytest -q

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[demo,dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache
