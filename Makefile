# Two commands to begin with: `make demo` and `make test`. Everything makes its own .venv when that is missing or outdated.
# Variables: PYTHON (an interpreter), VENV (folder of the environment), OUT (folder of the demo, or of the
# benchmark), ARGS (more options for demo, test, bench, ...).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The checkout (`.`), or a folder of the user's where that cannot be written; nothing where there is neither.
PLACE := $(shell .ci/place 2>/dev/null)
ifeq ($(PLACE),.)
VENV ?= .venv
OUT ?= demo-output
else
VENV ?= $(if $(PLACE),$(PLACE)/.venv)
OUT ?= $(if $(PLACE),$(PLACE)/demo-output)
CACHES := $(VENV)/caches
export RUFF_CACHE_DIR := $(CACHES)/ruff
export HYPOTHESIS_STORAGE_DIRECTORY := $(CACHES)/hypothesis
export NUMBA_CACHE_DIR := $(CACHES)/numba
export MPLCONFIGDIR := $(CACHES)/matplotlib
PYTEST_CACHE := -o cache_dir='$(CACHES)/pytest'
IMPORTS_CACHE := --cache-dir '$(CACHES)/imports'
endif
BIN := $(VENV)/bin
ARGS ?=
# How many tests run beside each other: one more than there are cores, since many wait for a beamline; at most 8, each of
# which takes up to 1 GB with its beamline and service. Tests of one file always follow each other.
PROCESSES ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 8 ? cores + 1 : 8)))
# Which torch `make interop` installs beside cdtools; say INTEROP_TORCH='torch --index-url ...' for a build of your choice.
INTEROP_TORCH ?= torch

export PYTHON VENV
# What Python compiles is kept: tests start hundreds of processes, and pytest rewrites its tests in each of its own.
unexport PYTHONDONTWRITEBYTECODE
# No display, and no look for a newer pyright on the network.
export MPLBACKEND ?= Agg
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: help demo test test-long lint format types bench interop docs constraints venv venv-sim clean

help: ## show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 22

demo: venv-sim ## simulated beamline, service and a scan: a finished file in demo-output/ (OUT=, ARGS="--points 400")
	@mkdir -p '$(OUT)' 2>/dev/null && [ -w '$(OUT)' ] || \
	{ echo "the demo's folder '$(OUT)' cannot be written by $$(id -un): say another, make demo OUT=/some/folder" >&2; exit 1; }; \
	exec 9<'$(OUT)'; flock --nonblock 9 || { echo "another demo writes to $(OUT): waiting for it"; flock 9; }; \
	exec '$(BIN)'/ptychostream demo --output '$(OUT)' $(ARGS)

test: venv ## what every change must pass (ARGS="-k pairing", ARGS=--further for all cases; PROCESSES=1 for one by one)
	@'$(BIN)'/python -m pytest $(PYTEST_CACHE) --numprocesses $(PROCESSES) \
	--dist loadfile --no-loadscope-reorder --durations 10 $(ARGS)

test-long: venv ## the full-size tests, and the further cases of those of `make test`
	@'$(BIN)'/python -m pytest $(PYTEST_CACHE) --long -m 'long or further' --timeout 3600 $(ARGS)

lint: venv ## style, format and who may import whom
	@'$(BIN)'/ruff check
	@'$(BIN)'/ruff format --check
	@'$(BIN)'/lint-imports $(IMPORTS_CACHE)

format: venv ## put the code into the format that lint checks
	@'$(BIN)'/ruff check --fix
	@'$(BIN)'/ruff format

types: venv ## type check
	@'$(BIN)'/pyright --pythonpath '$(BIN)/python'

bench: OUT = $(PLACE)/bench-output
bench: venv ## what this service carries here beside others: tables, JSON, figure (OUT=, ARGS="--only live --long")
	@'$(BIN)'/python tests/benchmarks/bench.py --out '$(OUT)' $(ARGS)

docs: venv ## write the generated tables of docs/reference, and the screens, anew
	@'$(BIN)'/python docs/generate.py
	@'$(BIN)'/python screens/generate.py

interop: venv ## other programs read our file, from .venv-interop (torch: large)
	@.ci/venv-interop '$(INTEROP_TORCH)'
	@PTYCHOSTREAM_PYTHON="$$(realpath -s '$(BIN)/python')" '$(VENV)-interop'/bin/python -m pytest $(PYTEST_CACHE) tests/interop $(ARGS)

constraints: venv ## write constraints.txt anew, as new as pyproject.toml allows
	@.ci/constraints

venv: ## make the environment ready for development; every target above does it by itself
	@.ci/venv test

venv-sim:
	@.ci/venv sim

clean: ## remove the environments, caches and what demo and benchmark wrote, as far as they are in the checkout
	@rm -rf .venv .venv-* .venv.lock demo-output bench-output build dist
	@rm -rf .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
