# The project's commands, for people and for CI.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PEERS ?= .venv-peers
COMPILE := $(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url \
           --no-emit-find-links --no-emit-trusted-host

.PHONY: run test faults images containers lint bench install lock vendor

run: install        ## the whole pipeline on this machine, with demo traffic
	$(BIN)/clickmill up --demo

test: install       ## every test that this machine can run
	$(BIN)/pytest --numprocesses 2 --dist loadscope

faults: install     ## crashes, zombies, full disks and broken protections; FAULTS=long for ten times as many
	$(BIN)/pytest tests/faults --timeout $(if $(FAULTS),6000,600) --numprocesses 2 --dist loadscope

images: install     ## the images that docker-compose.yml names: pulled, else built from packages
	$(BIN)/python -m tests.containers.make_images

containers: images  ## the pipeline in containers
	$(BIN)/pytest tests/containers

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install $(PEERS)/.installed ## the benchmarks in ten minutes; tables, JSON and a chart in bench/results
	$(BIN)/pip install --quiet --require-hashes -r requirements-bench.lock
	BENCH_PEERS=$(PEERS) $(BIN)/python -m bench all

# The peers need older libraries than Clickmill, so they have an environment of their own.
$(PEERS)/.installed: requirements-peers.lock
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --require-hashes -r requirements-peers.lock
	touch $@

install: $(BIN)/.installed

$(BIN)/.installed: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

lock:               ## pin the newest versions that fit, without naming a registry
	$(COMPILE) pyproject.toml --extra embedded --output-file requirements.lock
	$(COMPILE) pyproject.toml --constraint requirements.lock --output-file requirements-services.lock
	$(COMPILE) deploy/image/requirements.in --output-file requirements-image.lock
	$(COMPILE) pyproject.toml --extra embedded --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	$(COMPILE) pyproject.toml --extra embedded --extra dev --extra bench --constraint requirements-dev.lock \
		--output-file requirements-bench.lock
	$(COMPILE) pyproject.toml --extra embedded --extra peers --output-file requirements-peers.lock

vendor:             ## fetch the browser libraries again and check them
	$(PYTHON) api/web/vendor/fetch.py
