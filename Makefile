# The whole project from a machine with Python 3.11 or newer and make: `make demo` and `make test` install what they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CLIENTS := $(VENV)-clients
RAY := $(VENV)-ray
NODE_CLIENT := tests/integration/clients/foreign/node
ARGS ?=
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# A package index that carries CPU builds of PyTorch, where the usual one has none.
TORCH_INDEX_URL ?=
export TORCH_INDEX_URL

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: install
install: $(VENV)/.installed ## Make .venv with everything but the engine, every download checked against its hash

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Smallforge needs Python 3.11 or newer; $(PYTHON) is not. Name another one: make PYTHON=python3.12" >&2; exit 2; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) can't make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@echo "Installing into $(VENV) (about 1 GB; a minute or two after downloads) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: torch
torch: install ## Add PyTorch to .venv, for training the student and for its tests
	@$(BIN)/python -m pip install -qq --disable-pip-version-check $(if $(TORCH_INDEX_URL),--extra-index-url "$$TORCH_INDEX_URL") -r requirements/torch.txt

.PHONY: engine
engine: install ## Install the local engine (vLLM where it can be had) in your data directory
	@$(BIN)/engine install $(ARGS)

.PHONY: clients
clients: $(CLIENTS)/.installed ## Add other people's clients of OpenAI's protocol, in an environment of their own

$(CLIENTS)/.installed: requirements/clients.txt $(NODE_CLIENT)/package-lock.json
	@[ -x $(CLIENTS)/bin/python ] || $(PYTHON) -m venv $(CLIENTS)
	@echo "Installing clients to test with into $(CLIENTS) (about 500 MB, Node among it) ..."
	@$(CLIENTS)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/clients.txt
	@$(CLIENTS)/bin/npm ci --prefix $(NODE_CLIENT) --ignore-scripts --silent
	@touch $@

.PHONY: ray
ray: $(RAY)/.installed ## Add Ray, on which a test runs builds, in an environment of its own

$(RAY)/.installed: requirements/ray.txt
	@[ -x $(RAY)/bin/python ] || $(PYTHON) -m venv $(RAY)
	@echo "Installing Ray into $(RAY) (about 400 MB) ..."
	@$(RAY)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/ray.txt
	@touch $@

.PHONY: demo
demo: install engine-ready ## Build a release, serve it, ask it; ARGS=--exit stops there
	@$(BIN)/python deploy/demo/demo.py $(ARGS)

.PHONY: serve
serve: install engine-ready ## Serve ./releases as OpenAI models; ARGS go to `gateway serve`
	@$(BIN)/gateway serve $(ARGS)

.PHONY: engine-ready
engine-ready: install
	@$(BIN)/engine install

# More workers than cores, because tests wait for processes and for time to pass; files in a row share what they import.
WORKERS ?= $(shell expr 2 + $$(getconf _NPROCESSORS_ONLN))
UNIT = -n $(WORKERS) --dist worksteal --ignore tests/integration --ignore tests/live --ignore tests/soak

.PHONY: test
test: install engine-ready clients ray ## Run the unit and the integration tier, the latter on the real engine
	@for program in chromium curl nginx pg_ctlcluster prometheus redis-server; do command -v $$program >/dev/null || \
		echo "Left out: tests that need $$program, which is not installed" >&2; done
	@$(BIN)/python -m pytest $(UNIT) $(ARGS)
	@$(BIN)/python -m pytest -m integration tests/integration $(ARGS)

.PHONY: unit
unit: install ## Run the tests that need no engine
	@$(BIN)/python -m pytest $(UNIT) $(ARGS)

.PHONY: integration
integration: install engine-ready clients ray ## Run the tests on real vLLM with the bundled student
	@$(BIN)/python -m pytest -m integration tests/integration $(ARGS)

.PHONY: check
check: install ## Format, lint and types, tests included; audit the locks, write the bill of materials
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python deploy/audit.py
	@$(MAKE) --no-print-directory sbom

.PHONY: format
format: install ## Let ruff format and sort what it can
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

.PHONY: wheel
wheel: install ## Build the wheel, the bundled student in it
	@$(BIN)/python -m hatchling build -t wheel

.PHONY: sbom
sbom: install ## Write what the gateway's image is made of to build/gateway.cdx.json (CycloneDX)
	@mkdir -p build
	@$(BIN)/python -W ignore -m cyclonedx_py requirements requirements/gateway.txt --pyproject pyproject.toml \
		--output-reproducible --of JSON -o build/gateway.cdx.json

.PHONY: image
image: sbom ## Build the gateway's image, its bill of materials in it (needs docker)
	@docker build -t smallforge-gateway $(ARGS) .

.PHONY: lock
lock: ## Resolve requirements/*.txt anew (needs `uv` on the PATH)
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 2; }
	@$(COMPILE) --extra dev -o requirements/dev.txt
	@$(COMPILE) -c requirements/dev.txt --extra compiler -o requirements/compiler.txt
	@$(COMPILE) -c requirements/dev.txt --extra hosted -o requirements/hosted.txt
	@$(COMPILE) -c requirements/dev.txt -o requirements/base.txt
	@$(COMPILE) -c requirements/dev.txt --extra stores --extra telemetry -o requirements/gateway.txt
	@$(RESOLVE) --group clients -o requirements/clients.txt
	@$(RESOLVE) --group ray -o requirements/ray.txt

RESOLVE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --no-emit-index-url --no-emit-find-links
COMPILE = $(RESOLVE) pyproject.toml

.PHONY: clean
clean: ## Remove the environment and caches; releases and builds stay
	@rm -rf $(VENV) $(CLIENTS) $(RAY) $(NODE_CLIENT)/node_modules build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
