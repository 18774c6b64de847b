# The front door. `make help` lists every target.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STATE ?= build/cluster
JOBS ?= 2
LOCK := requirements/dev.lock
READY := $(VENV)/.ready

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: setup
setup: $(READY) ## Make the virtual environment from the hash-checked lock

.PHONY: demo
demo: setup ## Show scans of both beamlines go their whole way (KEEP=1 stays, MOVER=globus, PREFECT=1)
	$(BIN)/python -m tests.demo

.PHONY: test
test: setup ## Run all tests, JOBS=2 files at once, each job on a test cluster of its own
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(TESTS)

.PHONY: chaos
chaos: setup ## Run the fault tests with their full counts, the property tests with many new cases
	CHAOS=full $(BIN)/python -m pytest tests/fault tests/unit -m "fault or hypothesis" $(TESTS)

.PHONY: soak
soak: setup ## Everything at once for MINUTES=30, then account for every byte (SHORT=1, SEED=, PREFECT=0)
	$(BIN)/python -m tests.soak $(if $(SHORT),--short,--minutes $(or $(MINUTES),30)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(filter 0,$(PREFECT)),--no-prefect)

.PHONY: bench
bench: setup ## Measure and print figures, kept in build/bench.json (BENCH="name ..." for some, PAGE=1 writes the page)
	$(BIN)/python -m tests.bench $(if $(PAGE),--page,$(BENCH))

.PHONY: lint
lint: setup ## Check style, docstrings and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache

.PHONY: format
format: setup ## Put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: typecheck
typecheck: setup ## Check types, strictly
	$(BIN)/mypy

.PHONY: crds
crds: setup ## Write the CRDs from the models
	$(BIN)/python -m dichroism_crds.schema --write

.PHONY: docs
docs: setup ## Write the reference pages that come from the code
	$(BIN)/python -m tests.reference --write

.PHONY: site
site: setup ## Build the documentation as a site into build/site, which needs no network
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "open build/site/index.html, or, for the search: $(BIN)/python -m http.server -d build/site"

.PHONY: drift
drift: setup ## Check that everything generated is as committed
	$(BIN)/python -m dichroism_crds.schema --check
	$(BIN)/python -m tests.reference --check

.PHONY: chart
chart: setup ## Try the Helm chart: both Helms, every switch, alerts, a real API server and node (SNAPSHOTS=write)
	@mkdir -p build && $(BIN)/python -m tests.chart > build/chart.yaml && echo "rendered to build/chart.yaml"
	$(BIN)/python -m pytest tests/unit/test_chart*.py tests/unit/test_gitops_examples.py tests/unit/test_install_pages.py \
	  tests/integration/test_chart*.py
	@$(MAKE) node TESTS=

.PHONY: dashboard
dashboard: setup ## Draw the dashboard with real data into docs/images
	$(BIN)/python -m tests.dashboard

.PHONY: image
image: setup ## Build the image with docker, podman or buildah (IMAGE= BASE= WHEELS= ARCHIVE=, see image/build.sh)
	@PYTHON=$(BIN)/python image/build.sh

.PHONY: node
node: setup ## Install the chart on a real node, by the install pages too (root; says what is not covered elsewhere)
	CLUSTER=node $(BIN)/python -m pytest tests/integration/node $(TESTS)

.PHONY: cluster-up
cluster-up: setup ## Start a test cluster that stays (CLUSTER=auto|controlplane|kind|node|kubeconfig)
	$(BIN)/python -m tests.cluster up --state $(STATE)

.PHONY: cluster-down
cluster-down: setup ## Stop it
	$(BIN)/python -m tests.cluster down --state $(STATE)

.PHONY: lock
lock: setup ## Pin the newest fitting versions with their hashes
	@for part in watcher operator dev prefect-server; do \
	  case $$part in watcher) extras="--extra watcher";; operator) extras="--extra watcher --extra operator";; \
	    prefect-server) extras="--group prefect-server";; dev) extras="--extra watcher --extra operator --group dev --group build";; esac; \
	  $(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes --upgrade \
	    --no-emit-index-url --no-emit-find-links --no-header --no-annotate $$extras -o requirements/$$part.lock; \
	done

.PHONY: clean
clean: ## Remove everything that can be made again
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
