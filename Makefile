# The two commands: `make run` and `make test`. Both set up what they need on a fresh machine with Python >= 3.11.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV_VERSION := >=0.9,<1

.DEFAULT_GOAL := help
.PHONY: help setup run test check unit kills simulate fuzz performance journey docs lock clean

help:  ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## Make .venv with everything for work on the project

# The lock names versions and hashes and no index: packages come from the index that pip and uv are set up for.
$(STAMP): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "airscrew needs Python >= 3.11; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import uv' 2>/dev/null || $(BIN)/python -m pip install -q "uv$(UV_VERSION)"
	@$(BIN)/uv export --frozen --no-emit-project --group dev -q -o $(VENV)/requirements.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r $(VENV)/requirements.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

run: setup  ## Run real flytekit tasks, and a job of an HTTP service, to their outputs
	@$(BIN)/python examples/tour.py

test: setup  ## Check and test everything
	@$(BIN)/python -m tests.run

check: setup  ## The quick checks: format, lint, types, layers
	@$(BIN)/python -m tests.run --checks

unit: setup  ## The unit tests alone
	@$(BIN)/python -m tests.run --unit

simulate: setup  ## Simulate crashes and faults: SEEDS=20000 FROM=0, or SEED=1124 for the story of one
	@$(BIN)/python -m tests.simulation $(if $(SEED),$(SEED),--seeds $(or $(SEEDS),1000) --from $(or $(FROM),0))

kills: setup  ## Kill the engine N times (default 300) on sqlite and on etcd, and count what was lost
	@$(BIN)/python -m tests.integration.faults.kills $(or $(N),300) --store sqlite
	@$(BIN)/python -m tests.integration.faults.kills $(or $(N),300) --store etcd

fuzz: setup  ## Feed bad bytes to every way in for MINUTES (default 30), on all cores
	@$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),30)

performance: setup  ## Measure the engine on this machine, which should be idle, and make docs/performance.md
	@$(BIN)/python -m tests.performance

journey: setup  ## Deploy the chart, with a kill and an upgrade: FLYTEKIT=20 PLAIN=180 RUNNING=50
	@$(BIN)/python -m tests.chart.cluster.journey --flytekit $(or $(FLYTEKIT),20) --plain $(or $(PLAIN),180) \
		--running $(or $(RUNNING),50) --seconds 900

docs: setup  ## Build the documentation into site/
	@$(BIN)/mkdocs build --strict -q

lock: setup  ## Bring uv.lock up to date
	@$(BIN)/uv lock
	@sed -E -i 's#https://[^/"]+/simple#https://index.invalid/simple#; s#https://[^"]+/packages/#https://files.invalid/packages/#g' uv.lock

clean:  ## Remove what the commands made
	@rm -rf $(VENV) site build dist .mypy_cache .ruff_cache .hypothesis
