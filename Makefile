# The machine needs python3 (3.11 or newer, with venv) and make. `make` alone lists what there is.
PYTHON ?= python3
BIN = .venv/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
CHECK_OLD = import sys; sys.version_info >= (3, 11) or sys.exit("LeadScore needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 ...")

.PHONY: help run demo install test check format clean-test

help:
	@echo "make run      start LeadScore on http://127.0.0.1:8000/ (PORT=, HOST=, LEADSCORE_DATA_DIR=)"
	@echo "make demo     the same with sample leads, on its own data in .data-demo"
	@echo "make test     every test, on servers of its own (ARGS= goes to pytest; -n 0 uses one process)"
	@echo "make check    lint, format, types, imports, migrations, deployment"
	@echo "make format   format the code and mend what ruff can mend"

run: install
	@exec $(BIN)/python -m leadscore.embedded.run

demo: export LEADSCORE_DATA_DIR = .data-demo
demo: install
	@exec $(BIN)/python -m leadscore.embedded.run --samples

test: .venv/.installed-dev
	@exec $(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

# Each line fails the target; the last two need no server.
check: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	@echo "manage.py check --deploy"
	@LEADSCORE_ENV=production ALLOWED_HOSTS=example.com \
	  SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(60))')" \
	  $(BIN)/python manage.py check --deploy --fail-level WARNING

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean-test:
	rm -rf .data-test .data-test-*

install: .venv/.installed

.venv/.python:
	@$(PYTHON) -c '$(CHECK_OLD)'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "Making .venv" >&2; $(PYTHON) -m venv --clear .venv; }
	@touch $@

# Stamps: pip runs again only when the requirements have changed.
.venv/.installed: requirements.txt | .venv/.python
	@echo "Installing requirements.txt into .venv" >&2
	@$(PIP) -r requirements.txt
	@touch $@

.venv/.installed-dev: requirements.txt requirements-dev.txt | .venv/.python
	@echo "Installing requirements-dev.txt into .venv" >&2
	@$(PIP) -r requirements-dev.txt
	@touch .venv/.installed $@
