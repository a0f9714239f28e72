# relance. `make` lists the targets.

PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup install demo test image bench chaos check format lock clean

help:  ## List the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "%-8s %s\n", $$1, $$2}'

setup: .venv/.ready  ## Install everything into .venv, as pinned in the lock files

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("relance needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv

.venv/.ready: requirements.lock tests/requirements.lock pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock --requirement tests/requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

install: .venv/bin/python  ## Install into .venv what runs, without what tests it
	sed -n '/^setuptools==/,/# via/p' tests/requirements.lock > .venv/build.lock
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock --requirement .venv/build.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .

demo: setup  ## Watch unpaid invoices being chased, on throw-away servers and sandbox providers
	@$(BIN)/relance demo

test: setup  ## Run the whole suite on the embedded server, and the small chaos run after it
	$(BIN)/python -m pytest --ignore tests/chaos/test_bounded.py
	$(BIN)/python -m pytest -n0 tests/chaos/test_bounded.py

image: setup  ## Run the Dockerfile's own steps in a folder, and send a job with what comes of them
	$(BIN)/python -m pytest -n0 tests/deploy/image.py

bench: setup  ## Measure speed and its price against plain dramatiq, the bare SDKs and Celery
	$(BIN)/python -m tests.bench

chaos: setup  ## Kill everything again and again while messages go out, and judge: none twice, none lost, none too late
	$(BIN)/python -m tests.chaos $(CHAOS)

check: setup  ## Lint, types, and who may import whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

PIP_COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe \
	--strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

lock: setup  ## Pin the newest versions that pyproject.toml allows: what runs, and beside it what tests
	$(BIN)/python -m pip install --quiet pip-tools
	$(PIP_COMPILE) --output-file requirements.lock pyproject.toml
	$(BIN)/python -c 'import tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
		print(*extras["dev"], sep="\n")' | $(PIP_COMPILE) --constraint requirements.lock --output-file tests/requirements.lock -

clean:  ## Remove what was installed and what the embedded servers keep
	rm -rf .venv var
