# Everything a newcomer needs: Python 3.11+ and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help simulate test check format docs lock clean

help:  ## Show what there is to run
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 22

$(VENV)/.runtime: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=python3.x"; exit 1; }
	@echo "Setting up $(VENV) (once)..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@echo "Adding what the tests and checks need (once)..."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

# The stand-in Service Bus of the tests is built on a C library. Where it cannot be built, its tests say so and are skipped.
$(VENV)/.broker: $(VENV)/.dev requirements-broker.lock
	@$(PIP) install --require-hashes -r requirements-broker.lock >$(VENV)/broker.log 2>&1 \
	  || echo "Without a C compiler the Service Bus tests are skipped; see $(VENV)/broker.log"
	@touch $@

simulate: $(VENV)/.runtime  ## Watch a payment go all the way round
	@$(BIN)/runner simulate --entity payment

test: $(VENV)/.broker  ## Run the whole test suite
	@$(BIN)/python -m pytest -n auto -q

check: $(VENV)/.dev  ## Lint, format, types and the doors between packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev  ## Let the formatter and the safe lint fixes run
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(VENV)/.dev  ## Write the compatibility table from the tests
	@$(BIN)/python tests/compatibility/table.py

lock: $(VENV)/.dev  ## Pin dependencies again, with hashes and without registry addresses
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra build pyproject.toml -o requirements.lock $(LOCK_OPTIONS)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --all-extras pyproject.toml -c requirements.lock -o requirements-dev.lock $(LOCK_OPTIONS)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra azure pyproject.toml -c requirements-dev.lock -o requirements-azure.lock $(LOCK_OPTIONS)
	@echo "python-qpid-proton>=0.40" | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header - -c requirements-dev.lock -o requirements-broker.lock $(LOCK_OPTIONS)

clean:  ## Remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
