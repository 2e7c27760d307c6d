# Everything runs from .venv, which the first target makes; data goes to .tiffin. See `make help`.

.DEFAULT_GOAL := help
.PHONY: help demo web cluster server customer employee lab test test-all check format language lock soak faults bench profile pictures audit clean \
	run-env photos-env dev-env model azurite lab-report

PY := .venv/bin/python
# The tests start Python hundreds of times, and pytest rewrites each of their modules. They wait for
# processes, sockets and screens as long as they compute: eight at a time keep two cores busy.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(PY) -m pytest
# Those that may differ there: what touches the database, and processes that share it.
ON_POSTGRES := tests/server/features tests/server/core tests/server/realtime \
	$(wildcard tests/e2e/*two_processes.py tests/faults/*postgres*.py tests/faults/*two_processes*.py) \
	tests/e2e/test_poll_across_processes.py tests/faults/test_death_after_commit.py \
	tests/faults/test_hub_at_the_edges.py

export PYTHON

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1@\2/p' Makefile | awk -F@ '{printf "%-18s %s\n", $$1, $$2}'

demo: run-env ## a server with a small town, an autopilot for its kitchens, and the customer app
	@exec $(PY) -m tui.demo.run --with-parent --beside "tools.environment photos" $(ARGS)

cluster: dev-env model azurite ## PostgreSQL, Redis, Azurite, two masters and nginx (ARGS=--demo)
	@exec $(PY) -m tools.cluster --with-parent $(ARGS)

web: photos-env ## the server with the demo's town, and both apps in the browser (http://127.0.0.1:8080)
	@exec $(PY) -m server --demo --web $(ARGS)

server: photos-env ## the server alone, with the demo's town (ARGS= replaces --demo)
	@exec $(PY) -m server $(if $(filter undefined,$(origin ARGS)),--demo,$(ARGS))

customer: run-env ## the customer app (SERVER=http://host:port)
	@exec $(PY) -m tui.customer $(if $(SERVER),--server '$(SERVER)') $(ARGS)

employee: run-env ## the employee app (SERVER=http://host:port)
	@exec $(PY) -m tui.employee $(if $(SERVER),--server '$(SERVER)') $(ARGS)

lab: run-env ## the lab: the same events over every pattern, measured live (SERVER=http://host:port)
	@exec $(PY) -m tui.lab $(if $(SERVER),--server '$(SERVER)') $(ARGS)

test: dev-env model azurite ## run the tests, with a Redis of their own (ARGS="-k word")
	@# In a fresh clone every worker would rewrite all test modules, and list the characters of UTF-8
	@# for hypothesis: done once, they find them done.
	@test -d tests/__pycache__ || $(PYTEST) --collect-only -q >/dev/null || true
	@test -d .hypothesis/unicode_data || $(PY) -c \
		"from hypothesis import strategies; strategies.text().validate()"
	@$(PYTEST) -m "not soak and not others" -n 8 --dist loadfile --no-loadscope-reorder $(ARGS)

test-all: dev-env model azurite ## what the tests leave out: others' tools, the last version, faults, PostgreSQL
	@$(PYTEST) -m "(others or hypothesis) and not soak" -n 3 --dist loadfile --hypothesis-profile all $(ARGS)
	@LAB_SECONDS=$${LAB_SECONDS:-60} $(PYTEST) --timeout 300 tests/tui/lab/test_presets.py \
		tests/tui/lab/test_lessons.py \
		tests/tui/lab/test_experiments.py::test_the_labs_figures_are_what_the_network_makes_of_them $(ARGS)
	@FAULT_SECONDS=$${FAULT_SECONDS:-4} NEMESIS_SECONDS=$${NEMESIS_SECONDS:-60} \
		$(PYTEST) -m "fault and not soak" $(ARGS)
	@TIFFIN_TEST_DATABASE=postgresql $(PYTEST) -m "not soak and not others" -n 5 \
		--dist loadfile --no-loadscope-reorder $(ON_POSTGRES) $(ARGS)
	@TIFFIN_TEST_DATABASE=postgresql $(PYTEST) tests/e2e/test_versions_two_processes.py $(ARGS)

check: dev-env ## lint, format, types, and who may import whom
	@failed=; \
	run() { echo "--- $$1"; shift; "$$@" || failed=yes; }; \
	run "ruff check" $(PY) -m ruff check .; \
	run "ruff format --check" $(PY) -m ruff format --check .; \
	run "mypy" $(PY) -m mypy; \
	run "lint-imports" $(PY) -c "from importlinter.cli import lint_imports_command as main; main()"; \
	[ -z "$$failed" ]

format: dev-env ## format the code
	@$(PY) -m ruff check --fix --quiet . ; $(PY) -m ruff format .

language: dev-env ## the apps' words into tui/locale, and its translations into what they read
	@$(PY) tools/language.py

lock: dev-env ## renew the lock files from pyproject.toml (ARGS=--upgrade for newer releases)
	@$(PY) tools/lock.py $(ARGS)

soak: dev-env model ## long runs, at full size
	@$(PYTEST) -m soak --timeout 1800 $(ARGS)

faults: dev-env model azurite ## tests that kill processes and break brokers, ten minutes of them the nemesis
	@FAULT_SECONDS=$${FAULT_SECONDS:-20} NEMESIS_SECONDS=$${NEMESIS_SECONDS:-600} \
		$(PYTEST) -m fault --timeout 600 $(ARGS)
	@FAULT_SECONDS=$${FAULT_SECONDS:-20} TIFFIN_TEST_DATABASE=postgresql $(PYTEST) -m fault --timeout 600 \
		tests/faults/test_two_processes_in_trouble.py tests/faults/test_postgres_in_trouble.py $(ARGS)

bench: dev-env model ## measure the figures in README (ONLY=name for one, ONLY=peers for the comparison)
	@set -e; for file in $(if $(ONLY),benchmarks/$(ONLY).py,benchmarks/*.py); do \
		name=$$(basename "$$file" .py); \
		case "$$name" in _*) continue;; esac; \
		echo "--- $$name"; $(PY) -m benchmarks.$$name $(ARGS); \
	done

lab-report: dev-env ## test the decision report's claims in the lab, and write docs/decision-report.md
	@$(PY) -m tools.lab_report $(ARGS)

profile: dev-env ## where the server's CPU time goes (WORK=order, get, chat, poll or stream)
	@$(PY) -m benchmarks._profile $(or $(WORK),order) $(ARGS)

# pip-audit asks PyPI; `--strict` fails where it could not ask, instead of passing in silence.
audit: dev-env ## known vulnerabilities in the locked dependencies, and an SBOM in dist/sbom.json
	@mkdir -p dist
	@cat requirements.lock requirements-photos.lock | \
		$(PY) -m uv --quiet tool run --from "cyclonedx-bom>=7.5.0" cyclonedx-py requirements \
		- --output-format JSON --output-file dist/sbom.json
	@$(PY) -m uv --quiet tool run --from "pip-audit>=2.10.1" pip-audit --strict --disable-pip \
		--require-hashes -r requirements.lock -r requirements-photos.lock

pictures: dev-env model ## take the pictures in README from the running apps
	@$(PY) -m tools.pictures $(ARGS)

clean: ## remove .venv and caches; the data in .tiffin stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
		.schemathesis build dist *.egg-info
	@find server tui web tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +

run-env:
	@tools/setup run

photos-env:
	@tools/setup photos

dev-env:
	@tools/setup dev

# Without the model everything runs but photos, and the server says so; the tests need it.
model:
	@$(PY) -m server.features.uploads.fetch_model || true

azurite:
	@$(PY) tools/azurite.py
