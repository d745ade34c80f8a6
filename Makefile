# Acumen: everything a checkout needs, from any Python 3.11 or newer.
#
# No target needs root, a compiler or Node. Dependencies come from the lock files with their hashes, from wherever
# your pip is configured to look. `make serve` hands every ACUMEN_* variable on to the server:
#
#     ACUMEN_PORT=9000 make serve        or        make serve ACUMEN_PORT=9000

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin

# Set PYTHON to insist on one interpreter; otherwise the first that runs and can make an environment is taken.
PYTHON ?=
TESTS ?=
ARGS ?=
# How long the property, crash and soak tests go on: a part of their full length. Of the long tests (browsers,
# killed servers) the whole suite runs one in eight then; those that TESTS names are all run.
SCALE ?= $(or $(ACUMEN_TEST_SCALE),0.1)
# Three test processes keep two cores busy: many tests wait for servers. Each takes a stretch of the tests, so
# that those which share a server mostly stay together, and then what the other has left. The tests start hundreds
# of interpreters: all but the first take compiled modules, whatever the shell is told about writing them.
TEST_PROCESSES ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup serve demo test lint bench lock clean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv with the server and the development tools
	@sh scripts/setup.sh "$(PYTHON)" dev

serve: ## Run the server here (settings: ACUMEN_*; options: make serve ARGS="--port 9000")
	@sh scripts/setup.sh "$(PYTHON)"
	@exec $(BIN)/acumen serve $(ARGS)

demo: ## Fill a project with a shop's events, queries and dashboards (ARGS="--name 'Another shop'")
	@sh scripts/setup.sh "$(PYTHON)"
	@exec $(BIN)/acumen demo $(ARGS)

test: ## Run the tests (some of them: make test TESTS=tests/query)
	@sh scripts/setup.sh "$(PYTHON)" dev
	@unset PYTHONDONTWRITEBYTECODE; ACUMEN_TEST_SCALE=$(SCALE) ACUMEN_TEST_SAMPLE=$(if $(TESTS),,1) \
		$(BIN)/python -P -m pytest -n $(TEST_PROCESSES) --dist worksteal -q $(TESTS)

lint: ## Check style, formatting and types
	@sh scripts/setup.sh "$(PYTHON)" dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy scripts/setup_environment.py scripts/smoke_wheel.py

bench: ## Measure speed and memory as ratios (minutes; BENCH_ARGS="--help" for parts)
	@sh scripts/setup.sh "$(PYTHON)" dev
	@$(BIN)/python -P -m bench $(BENCH_ARGS)

lock: ## Renew the lock files from pyproject.toml (needs uv)
	@sh scripts/lock.sh

clean: ## Remove the environment and caches, never data
	rm -rf $(VENV) .airflow .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
