# Everything is done by these targets; each makes what it needs. `make help` lists them.

PYTHON ?= python3
BIN := .venv/bin
comma := ,
INSTALL = PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable
# Without bytecode, each process takes 0.4 s longer to start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install serve demo test test-asgi test-versions test-slow test-full test-matrix test-alone test-citus test-ha coverage check check-python check-web check-prose bench bench-guard bench-scale format docs migration clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/.installed ## Make the virtual environment (EXTRAS=bench,ha for what bench and test-ha need)

# pip would compile every module of every package; what is used is compiled when it is imported.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Regulars needs Python 3.11 or newer; say which with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(INSTALL) '.[dev$(if $(EXTRAS),$(comma)$(EXTRAS))]'
	@rm -f .venv/.installed-* && touch $@ $(foreach extra,$(subst $(comma), ,$(EXTRAS)),.venv/.installed-$(extra))

.venv/.installed-%: .venv/.installed
	@$(INSTALL) '.[dev,$*]'
	@touch $@

serve: install ## Serve the API from a migrated SQLite database (or REGULARS_DATABASE_URL)
	@$(BIN)/regulars migrate
	@$(BIN)/regulars serve

demo: install ## Serve 1,000 sample customers from demo.db
	@REGULARS_DATABASE_URL=$${REGULARS_DATABASE_URL:-sqlite:///demo.db} sh -ec '\
		$(BIN)/regulars migrate; \
		$(BIN)/regulars account list --json | grep -q name || $(BIN)/regulars account create demo; \
		$(BIN)/regulars sample --customers 1000 --recent; \
		export REGULARS_TOKEN=$$($(BIN)/regulars token create --name demo); \
		echo "To use this demo, run these lines in another terminal:"; \
		echo "  export PATH=\"$$PWD/$(BIN):\$$PATH\""; \
		echo "  export REGULARS_DATABASE_URL=\"$$REGULARS_DATABASE_URL\""; \
		echo "  export REGULARS_TOKEN=$$REGULARS_TOKEN"; \
		echo "To sign in to the web interface, open this link within one hour. It works once:"; \
		echo "  $$($(BIN)/regulars token create --name "demo pages" --scope admin --link)"; \
		exec $(BIN)/regulars serve'

test: install ## Run the fast tests, on SQLite and partly on PostgreSQL (DSN=… for your server)
	@echo 'This takes about a minute on 2 cores. It leaves out slow tests (make test-slow), Citus'
	@echo '(make test-citus), failover (make test-ha), and most tests on PostgreSQL (make test-full).'
	REGULARS_TEST_DSN=$(DSN) $(BIN)/pytest -m '(not slow or smoke) and not citus and not ha'

test-asgi: install ## Run the suite on SQLite with the fast HTTP path switched off
	REGULARS_FAST_PATH=false $(BIN)/pytest -m 'not slow and not citus and not ha' -k 'not postgresql'

test-versions: ## Run the fast tests on SQLite with each other Python that this machine has
	@for version in 3.12 3.13 3.14; do \
		python=$$(command -v python$$version) && $$python -c '' 2>/dev/null || { echo "Python $$version is not installed."; continue; }; \
		folder=build/python$$version; \
		[ -x $$folder/bin/pytest ] || { $$python -m venv $$folder && \
			PIP_CONSTRAINT=constraints.txt $$folder/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'; } || exit 1; \
		echo "Python $$version:"; \
		$$folder/bin/pytest -m 'not slow and not citus and not ha' -k 'not postgresql' || exit 1; \
	done

test-slow: install ## Run what takes longer
	REGULARS_TEST_DSN=$(DSN) $(BIN)/pytest --full-matrix -m 'slow and not citus and not ha and not alone'
	REGULARS_TEST_DSN=$(DSN) $(BIN)/pytest --full-matrix -n 0 -m 'slow and alone'

test-full: test-matrix test-alone ## Run everything but the clusters, all of it on both databases

test-matrix: install # everything but test-alone
	REGULARS_TEST_DSN=$(DSN) $(BIN)/pytest --full-matrix --hypothesis-profile thorough -m 'not citus and not ha and not alone'

test-alone: install # what measures pauses; it waits for more than half of its time
	REGULARS_TEST_DSN=$(DSN) $(BIN)/pytest --full-matrix --hypothesis-profile thorough -n 0 -m 'alone'

test-citus: install ## Run the suite on a cluster with Citus: make test-citus DSN=postgresql://…
	@test -n '$(DSN)' || { echo 'Say where the coordinator is: make test-citus DSN=postgresql://…'; exit 1; }
	REGULARS_TEST_DSN=$(DSN) $(BIN)/pytest --full-matrix -m 'not slow and not ha and not one_server' -k 'not sqlite'

test-ha: .venv/.installed-ha ## Kill, cut off, pause and switch over the primary of a Patroni cluster (needs etcd)
	$(BIN)/pytest -n 0 -s -m ha

coverage: install ## Run the suite and show which lines of src no test runs (not a gate)
	rm -f .coverage .coverage.*
	REGULARS_TEST_COVERAGE=1 $(BIN)/coverage run -m pytest -m '(not slow or smoke) and not citus and not ha'
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered

check: check-python check-web check-prose ## Run all static checks: format, lint, types, imports, generated files, prose, spelling

check-python: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/schema.py --check
	$(BIN)/python tools/reference.py --check

check-web: install # the pages: Biome and TypeScript, if Node.js and build/node (tools/npm.txt) are there
	$(BIN)/python tools/web.py

check-prose: install # the texts: the word list of tools/prose.toml, and codespell
	$(BIN)/python tools/prose.py

bench-guard: .venv/.installed-bench ## Fail if a kind of request is 10 % slower than the baseline, in a minute
	@$(BIN)/python -m benchmarks.guard $(BENCH)

bench-scale: .venv/.installed-bench ## Measure how it scales, and check the model of it (BENCH=… for options)
	@$(BIN)/python -m benchmarks.scale $(BENCH)

bench: .venv/.installed-bench ## Compare Regulars with its peers and the floors, on this machine, in half an hour
	@$(BIN)/python -m benchmarks $(BENCH)

format: install ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python tools/web.py --fix

docs: install ## Write the generated types of the schema, and the generated pages of the reference
	$(BIN)/python tools/schema.py
	$(BIN)/python tools/reference.py

migration: install ## Write the migration to the tables of the code: make migration NAME=add_nickname
	@test -n '$(NAME)' || { echo 'Name it: make migration NAME=add_nickname'; exit 1; }
	$(BIN)/python tools/migration.py '$(NAME)'
	@$(BIN)/ruff format --quiet src/regulars/store/migrations/versions

clean: ## Remove what the targets made, but no database
	rm -rf .venv build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .import_linter_cache
