# make demo    fine-tune a real model on a two-node cluster on this machine
# make test    lint, types and all tests
# make proof   all tests, each proof on every ZeRO stage (twice as long)
# make lint    lint and types only

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: demo test proof lint clean

demo: $(VENV)/.demo
	$(BIN)/thaw demo

test: lint
	$(BIN)/python -m pytest -q --durations=25

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
