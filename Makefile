# Soul Live. `make help` says what there is.
#
# Stamps under .venv/ remember what was installed, so that a second run starts at once.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip
TORCH   := torch==2.13.*
HOST    ?= 127.0.0.1
PORT    ?= 8080
export HOST PORT

# An extra package index that torch may come from, say PyTorch's own index of CPU builds, which are
# a tenth of the size of the usual one: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=

.DEFAULT_GOAL := help
.PHONY: help demo test lint system clean

help:  ## Say what there is
	@echo "make demo    install into .venv, serve the page at http://$(HOST):$(PORT)/  (PORT=, HOST=)"
	@echo "make test    install what the tests need, then lint, types and all tests"
	@echo "make lint    ruff and mypy only"
	@echo "make clean   remove .venv and caches"

demo: $(VENV)/.serving  ## Install and serve
	@exec $(BIN)/soul serve

# The system comes first: what only its owner can install is told at once, not after the downloads.
test: system $(VENV)/.testing lint  ## Everything
	$(BIN)/python -m pytest

lint: $(VENV)/.testing  ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Python 3.11 or newer is needed; there is no '$(PYTHON)' here. Name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "Python's venv is missing; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install -qq --upgrade pip
	@touch $@

# torch comes first and alone, so that whichever build is at hand is kept by all that follows.
$(VENV)/.torch: $(VENV)/.made
	@echo "Installing $(TORCH) (once, a minute or a few)"
	@$(PIP) install -qq $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) "$(TORCH)"
	@touch $@

$(VENV)/.serving: $(VENV)/.torch pyproject.toml
	@echo "Installing Soul Live"
	@$(PIP) install -qq "$(TORCH)" -e .
	@touch $@

$(VENV)/.testing: $(VENV)/.torch pyproject.toml
	@echo "Installing Soul Live and what its tests need"
	@$(PIP) install -qq "$(TORCH)" -e ".[test]"
	@touch $(VENV)/.serving $@

system:  ## What the tests need of the system: a browser, two voices, a software renderer
	@sh tests/system.sh

clean:  ## Remove what was made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
