# Two commands to begin with: `make demo` and `make test`. Everything makes its own .venv when that is missing or outdated.
# Variables: PYTHON (an interpreter), OUT (folder of the demo), ARGS (more options for demo, test, bench, ...).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
OUT ?= demo-output
ARGS ?=
# How many tests run beside each other; tests of one file always follow each other.
PROCESSES ?= 2
# Which torch `make interop` installs beside cdtools; say INTEROP_TORCH='torch --index-url ...' for a build of your choice.
INTEROP_TORCH ?= torch

export PYTHON
# No display, and no look for a newer pyright on the network.
export MPLBACKEND ?= Agg
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: help demo test test-long lint format types bench interop docs constraints venv venv-sim clean

help: ## show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 22

demo: venv-sim ## simulated beamline, service and a scan: a finished file in demo-output/ (OUT=, ARGS="--points 400")
	@mkdir -p '$(OUT)'; exec 9<'$(OUT)'; \
	flock --nonblock 9 || { echo "another demo writes to $(OUT): waiting for it"; flock 9; }; \
	exec $(BIN)/ptychostream demo --out '$(OUT)' $(ARGS)

test: venv ## all tests that every change must pass (ARGS="-k pairing"; PROCESSES=1 for one after the other)
	@$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile $(ARGS)

test-long: venv ## the full-size tests
	@$(BIN)/python -m pytest --long -m long --timeout 3600 $(ARGS)

lint: venv ## style, format and who may import whom
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports

format: venv ## put the code into the format that lint checks
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

types: venv ## type check
	@$(BIN)/pyright

bench: venv ## rates, losses and costs of the live and the offline path on this machine (ARGS="--only offline")
	@$(BIN)/python tests/benchmarks/bench.py $(ARGS)

docs: venv ## write the generated tables of docs/reference anew
	@$(BIN)/python docs/generate.py

interop: venv ## other programs read our file, from .venv-interop (torch: large)
	@.ci/venv-interop '$(INTEROP_TORCH)'
	@.venv-interop/bin/python -m pytest tests/interop $(ARGS)

constraints: venv ## write constraints.txt anew, as new as pyproject.toml allows
	@.ci/constraints

venv: ## make .venv ready for development; every target above does it by itself
	@.ci/venv test

venv-sim:
	@.ci/venv sim

clean: ## remove the environments, caches and what the demo wrote
	@rm -rf .venv .venv-interop .venv.lock demo-output build dist
	@rm -rf .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
