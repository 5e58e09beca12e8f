# make demo    fine-tune a real model on a two-node cluster on this machine
# make test    lint, types and the tests
# make proof   the slow proofs; THAW_TESTS=full for those of each ZeRO stage
# make test-chaos   kill what carries a run 50 times and compare its bits; KILLS=8 for a short one
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
define BOTH_HALVES
@log=$$(mktemp); $(PYTEST) -m "$(1) and not cluster" >$$log 2>&1 & others=$$!; \
trap 'kill $$others 2>/dev/null; rm -f $$log' EXIT; \
$(PYTEST) -m "$(1) and cluster"; cluster=$$?; \
wait $$others; rest=$$?; cat $$log; exit $$((cluster || rest))
endef

test: lint
	$(call BOTH_HALVES,not proof)

proof: $(VENV)/.dev
	$(call BOTH_HALVES,proof)

test-chaos: $(VENV)/.dev
	$(BIN)/python -m benchmarks.chaos --kills $(KILLS)

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
