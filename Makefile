# Everything a newcomer needs, set up by itself: Python 3.11 or newer, pip and make are enough.
# uv is used where it is present. Everything lands in .venv; `make clean` takes it away.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start hundreds of processes. If none of them may keep what it has compiled, a third of
# the time goes into compiling it again.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
BIN := $(VENV)/bin
PINS := requirements/dev.txt
PYPROJECTS := $(wildcard aion_*/pyproject.toml plugins/*/pyproject.toml)
MEMBERS := $(patsubst %/pyproject.toml,./%,$(PYPROJECTS))
UV := $(shell command -v uv 2>/dev/null)
# One worker for each core. The tests of a file share fixtures, so they stay together; the files
# keep their order, in which long ones are not the last. A worker that dies is not replaced: the
# others might wait for its tests for ever.
PARALLEL := --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder \
	--max-worker-restart 0
ifdef UV
INSTALL := $(UV) pip install --quiet --python $(BIN)/python
else
INSTALL := $(BIN)/python -m pip install --quiet
endif

.PHONY: help demo test check bench versus soak clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'ARGS="…" is handed on by demo, test, bench, versus; PYTHON=… names the interpreter for .venv.'

demo: $(VENV)/.members ## Run 25 orders, kill the engine three times, check that nothing was lost
	@$(BIN)/aion demo $(ARGS)

test: $(VENV)/.dev $(VENV)/.wheelhouse ## Run the tests
	$(BIN)/python -m pytest $(or $(ARGS),$(PARALLEL))

check: $(VENV)/.dev $(VENV)/.wheelhouse ## Run all that CI runs: style, types, import rules, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(PARALLEL)

bench: $(VENV)/.dev ## Measure, against the raw limits of this machine
	$(BIN)/python -m benchmarks $(ARGS)

versus: $(VENV)/.dev ## Measure beside DBOS, which pip installs into .venv/versus
	$(BIN)/python -m benchmarks.versus $(ARGS)

soak: $(VENV)/.dev ## Two minutes of load, kills and failing stores: is anything lost? SEED=… replays
	$(BIN)/python -m tests.soak $(if $(SEED),--seed $(SEED)) $(ARGS)

clean: ## Remove .venv and all caches
	rm -rf $(VENV) .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find aion_* plugins tests benchmarks examples -name __pycache__ -type d -prune \
		-exec rm -rf {} + 2>/dev/null || true

# The first Python that is new enough; with PYTHON given, that one or none.
PYTHONS := $(or $(PYTHON),python3 python python3.13 python3.12 python3.11)
define FIND_PYTHON
for python in $(PYTHONS) ''; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
done; \
if [ -z "$$python" ]; then \
	echo "Aion needs Python 3.11 or newer and found none (tried: $(PYTHONS));" \
		"name one: make PYTHON=/path/to/python" >&2; \
	exit 1; \
fi
endef

# Where pip is at hand, .venv is made without a pip of its own, which is faster and works without
# ensurepip; the pinned pip follows. uv needs none to install.
$(BIN)/python:
	@$(FIND_PYTHON); \
	echo "Setting up $(VENV) ..."; \
	if [ -n "$(UV)" ]; then \
		"$(UV)" venv --quiet --clear --python "$$python" $(VENV); \
	elif "$$python" -m pip --version >/dev/null 2>&1; then \
		"$$python" -m venv --clear --without-pip $(VENV) && \
		"$$python" -m pip --python $@ install --quiet -c $(PINS) pip; \
	else \
		"$$python" -m venv --clear $(VENV); \
	fi

# The members, editable, and what they depend on: all that `make demo` needs.
$(VENV)/.members: $(PYPROJECTS) $(wildcard requirements/*.txt) | $(BIN)/python
	@echo "Installing the members ..."
	@$(INSTALL) -c $(PINS) pip hatchling editables
	@$(INSTALL) -c $(PINS) --no-build-isolation $(addprefix -e ,$(MEMBERS))
	@touch $@

$(VENV)/.dev: $(VENV)/.members
	@echo "Installing the tools for checks and tests ..."
	@$(INSTALL) -r $(PINS)
	@touch $@

# What the members depend on, as wheels, and what the tests of a store need that somebody else
# wrote: tests/repo installs from here and never asks the network.
$(VENV)/.wheelhouse: $(VENV)/.members
	@echo "Collecting wheels for the packaging tests ..."
	@rm -rf $(VENV)/wheelhouse
	@$(BIN)/python -m pip wheel --quiet --no-build-isolation -c $(PINS) \
		-w $(VENV)/wheelhouse $(MEMBERS) './aion_core[testing]'
	@rm $(VENV)/wheelhouse/aion_workflow_*.whl
	@touch $@
