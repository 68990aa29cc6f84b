# ffgrid. `make` alone lists what there is to do.
#
#   PYTHON=python3.12   the interpreter that makes the virtual environment (3.11 or newer)
#   VENV=.venv          where that environment is
#   ARGS=...            handed on to the command: make demo ARGS=--once, make test ARGS='-k signing -n0'

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=

BIN := $(VENV)/bin
UV  := .cache/uv/bin/uv
# What a host sets in PIP_* holds (mirrors, certificates), except two settings that cannot work in a venv of our own.
PIP := PIP_USER=0 PIP_REQUIRE_HASHES=0 $(BIN)/python -m pip --disable-pip-version-check install --quiet
SAY := printf '%s\n'
# Two processes, for much of the tests' time is waiting; what belongs together is in one (tests/spread.py).
SPREAD := --numprocesses 2

# An installed environment is a stamp file in it: a second call is instant, a changed lock or pyproject installs again.
MADE   := $(VENV)/made.stamp
DEMO   := $(VENV)/demo.stamp
DEV    := $(VENV)/dev.stamp
FFMPEG := $(VENV)/ffmpeg.stamp

.PHONY: help demo test conformance screenshots bench chaos lint lock clean system
.DEFAULT_GOAL := help

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: $(DEMO) $(if $(shell command -v ffmpeg 2>/dev/null),,$(FFMPEG)) ## install, then run ffgrid with all its parts on this machine
	@$(BIN)/ffgrid demo $(ARGS)

test: $(DEV) system ## install, then run the whole test suite
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pytest $(SPREAD) $(ARGS)

conformance: $(DEV) system ## run each case of docs/conformance.md by the real ffmpeg and through a farm; print a table
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m tests.whole.conformance $(ARGS)

screenshots: $(DEV) system ## write pictures of every page of the dashboard into screenshots/, for people to look at
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m tests.whole.browser.screenshots $(ARGS)

bench: $(DEV) system ## measure: latencies, throughput, recovery
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m tests.bench $(ARGS)

chaos: $(DEV) system ## the scoreboard: faults of every kind, a line a figure (SECONDS=120 SEED=7 ROWS=R1,R5)
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m tests.chaos $(if $(SECONDS),--seconds $(SECONDS)) \
	    $(if $(SEED),--seed $(SEED)) $(if $(ROWS),--rows $(ROWS)) $(ARGS)

lint: $(DEV) ## check style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

lock: $(UV) ## write requirements/*.txt anew after pyproject.toml changed (ARGS=--upgrade: newest versions)
	@$(LOCK) --extra dev --no-emit-package imageio-ffmpeg --output-file requirements/dev.txt \
	    pyproject.toml requirements/build.in
	@$(LOCK) --extra demo --no-emit-package imageio-ffmpeg --output-file requirements/demo.txt \
	    --constraints requirements/dev.txt pyproject.toml requirements/build.in
	@$(LOCK) --output-file requirements/ffmpeg.txt requirements/ffmpeg.in

clean: ## remove the virtual environment and all caches
	@if [ -f $(VENV)/pyvenv.cfg ]; then rm -rf $(VENV); fi
	@rm -rf .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The programs that the tests need (ffmpeg, redis-server, proxies, a browser), with apt where they are missing.
system: $(MADE)
	@sh requirements/system.sh $(BIN)

$(MADE):
	@$(PYTHON) -c '' 2>/dev/null || { $(SAY) >&2 \
	    'ffgrid needs Python 3.11 or newer, and "$(PYTHON)" does not run. Name one that does: make $(MAKECMDGOALS) PYTHON=python3.12'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { $(SAY) >&2 \
	    "ffgrid needs Python 3.11 or newer, and \"$(PYTHON)\" is $$($(PYTHON) -V 2>&1). Name a newer one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(SAY) >&2 \
	    '"$(PYTHON)" cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv'; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# --no-build-isolation: the build backend comes from the lock too.
$(DEMO): requirements/demo.txt pyproject.toml $(MADE)
	@$(SAY) 'Installing ffgrid into $(VENV)'
	@$(PIP) --require-hashes -r $<
	@$(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

# The development lock holds everything of the demo's, so it counts for both.
$(DEV): requirements/dev.txt pyproject.toml $(MADE)
	@$(SAY) 'Installing ffgrid and its tests into $(VENV)'
	@$(PIP) --require-hashes -r $<
	@$(PIP) --no-build-isolation --no-deps --editable .
	@touch $(DEMO) $@

$(FFMPEG): requirements/ffmpeg.txt $(DEMO)
	@$(SAY) 'No ffmpeg on the PATH: installing one into $(VENV)'
	@$(PIP) --require-hashes -r $<
	@touch $@

# One resolution for every Python and system we serve; no index, no host and no path gets into the files.
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --custom-compile-command 'make lock' $(ARGS)

$(UV):
	@$(PYTHON) -m venv .cache/uv
	@.cache/uv/bin/python -m pip --disable-pip-version-check install --quiet uv==0.13.9
