# Everything starts here: `make help`. Works with GNU make 3.81 and newer, as macOS ships it.
.DEFAULT_GOAL := help
.PHONY: help setup lock demo demo-reset test lint lint-types lint-style lint-contracts lint-frontend test-with-servers gates bench

PYTHON ?= python3
PY := .venv/bin/python
RUNTIME := $(PY) -m scrm.runtime
NAME ?=
# Tests that make up inputs: ten times as many of them in `make gates`.
FUZZED := tests/wecom_bridge/test_callback_fuzz.py tests/wecom_bridge/test_payloads.py tests/wecom_bridge/test_shapes.py \
	tests/wecom_bridge/test_gateway_platform_parsing.py tests/wecom_bridge/test_gateway_codes_reading.py \
	tests/conditions/test_compiler.py tests/conditions/test_schema.py tests/tagging/test_segments_following.py tests/contacts/test_stage_rules.py
ARGS ?=

help: ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## environment from the hashed locks, front end, message catalogues (a second run is instant)
	@if [ -x $(PY) ]; then exec $(PY) scrm/runtime/bootstrap.py; fi; \
	for candidate in "$(PYTHON)" python3 python3.13 python3.12 python3.11 python3.14; do \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			exec "$$candidate" scrm/runtime/bootstrap.py; fi; done; \
	command -v "$(PYTHON)" >/dev/null 2>&1 || { echo "No Python was found: install Python 3.11 or newer." >&2; exit 2; }; \
	exec "$(PYTHON)" scrm/runtime/bootstrap.py

lock: ## resolve requirements/*.in into hashed locks for every platform
	@for name in base dev; do \
		extra=""; [ $$name = base ] || extra="--constraint requirements/base.txt"; \
		.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
			--no-emit-find-links --prerelease if-necessary-or-explicit --custom-compile-command "make lock" \
			$$extra $(ARGS) requirements/$$name.in --output-file requirements/$$name.txt || exit 1; done

demo: setup ## start everything and print URLs and log-ins; CHECK=1 runs the main job headless and exits
	@$(RUNTIME) demo $(if $(CHECK),--check)

demo-reset: setup ## forget the demo's data
	@$(RUNTIME) demo-reset

test: setup lint ## set-up, lint, types, contracts, templates, messages, tests, browser
	@$(RUNTIME) test-env -- $(MAKE) --no-print-directory test-with-servers

lint: setup ## what needs no servers: ruff, mypy, import contracts, templates, front end
	@$(MAKE) --no-print-directory --jobs 2 lint-types lint-style lint-contracts lint-frontend

lint-style:
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m djlint templates --lint --quiet

lint-types:
	$(RUNTIME) build-env -- $(PY) -m mypy

lint-contracts:
	$(RUNTIME) build-env -- .venv/bin/lint-imports --verbose

lint-frontend:
	$(RUNTIME) npm -- run --silent typecheck
	$(RUNTIME) npm -- run --silent lint
	$(RUNTIME) npm -- run --silent size

test-with-servers:
	$(PY) manage.py makemigrations --check --dry-run
	$(PY) manage.py messages --check
	$(PY) -m pytest $(if $(ARGS),$(ARGS),--numprocesses 3 --dist loadfile --no-loadscope-reorder --reuse-db)

gates: setup ## the long proofs: crash, chaos, a million rows, a virtual month
	@$(RUNTIME) test-env --durable -- $(PY) -m pytest -m gate $(ARGS)
	@$(if $(ARGS),true,FUZZ=10 $(RUNTIME) test-env -- $(PY) -m pytest $(FUZZED))

bench: setup ## every benchmark, or NAME=x; SCALE=quick is a smoke test that judges nothing
	@$(RUNTIME) test-env --durable -- $(PY) -m benchmarks $(NAME)
