# Everything but `help` and `clean` makes what it needs by itself, with nothing but Python on the machine.
PYTHON ?= python3
VENV ?= .venv
# Further requirements for pip, such as PINS='Django~=5.2.0'
PINS ?=
# Further arguments of the suite, such as ARGS='-k router'
ARGS ?=
BIN = $(VENV)/bin
# Each worker has a server of its own, where none is named. Two a core: half of a test's time is waiting.
WORKERS = $(if $(TEST_DATABASE_URL),,--numprocesses 4)

.DEFAULT_GOAL := help
.PHONY: help demo site test tools-test lint types wagtail browser ledger plants soak bench matrix docker-test clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(VENV)/.test ## the whole story on an example site, on an embedded PostgreSQL or on DATABASE_URL
	@$(BIN)/python -m tests.demo

site: $(VENV)/.test ## the example site with its window, to be tried by hand
	@$(BIN)/python -m tests.live

test: $(VENV)/.test ## the suite, on an embedded PostgreSQL or on TEST_DATABASE_URL
	@$(BIN)/python -m pytest $(WORKERS) $(ARGS)

tools-test: $(VENV)/.test ## what the suite stands on: its own servers and pooler, the demo and the bench
	@$(BIN)/python -m pytest tests/tools $(WORKERS) $(ARGS)

lint: $(VENV)/.lint ## style
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports

types: $(VENV)/.lint ## types
	@$(BIN)/mypy

wagtail: .cache/venv/wagtail/.wagtail ## a Wagtail site through the main job
	@.cache/venv/wagtail/bin/python -m pytest --ds=tests.wagtail.settings --confcutdir=tests/wagtail tests/wagtail $(ARGS)

browser: .cache/venv/browser/.browser ## the example site and a Wagtail site in Chromium; pictures in .cache/screenshots
	@.cache/venv/browser/bin/python -m pytest --confcutdir=tests/browser tests/browser $(ARGS)

ledger: $(VENV)/.test ## writers of many kinds against the switch, thrown 20 times: every acknowledged row accounted for
	@$(BIN)/python -m pytest tests/ledger $(ARGS)

plants: $(VENV)/.test ## what a stolen login of the site may plant, each alone, against every command as the admin
	@$(BIN)/python -m pytest tests/plants $(WORKERS) $(ARGS)

soak: $(VENV)/.test ## the plants, then the ledger 500 times over PostgreSQL 14 to 18, with restarts, kills and network cuts
	@$(BIN)/python -m pytest tests/plants $(WORKERS)
	@$(BIN)/python -m tests.ledger --throws 500 $(ARGS)

bench: .cache/venv/bench/.bench ## cost per query, of provisioning, starting, switching and answering, with the alternatives beside
	@.cache/venv/bench/bin/python -m tests.bench $(ARGS)

matrix: .cache/venv/matrix/.matrix ## the suite on pairs of Python, Django and PostgreSQL
	@.cache/venv/matrix/bin/nox -f tests/noxfile.py $(ARGS)

docker-test: $(VENV)/.test ## the suite against each PostgreSQL of docker/
	@PYTEST_ARGS="$(ARGS)" exec sh docker/test.sh

clean: ## remove all that these commands made
	rm -rf .venv .cache .hypothesis .coverage build dist
	find readonly_router tests -name __pycache__ -prune -exec rm -rf {} +

# FOLDER/.EXTRA is touched when FOLDER holds the package with that extra, as pyproject.toml stands.
.SECONDARY:
$(VENV)/.test: pyproject.toml $(VENV)/pyvenv.cfg
	@$(call install,$(@D),test)

$(VENV)/.lint: pyproject.toml $(VENV)/.test
	@$(call install,$(@D),lint)

.cache/venv/wagtail/.wagtail: pyproject.toml .cache/venv/wagtail/pyvenv.cfg
	@$(call install,$(@D),test$(comma)wagtail)

.cache/venv/browser/.browser: pyproject.toml .cache/venv/browser/pyvenv.cfg
	@$(call install,$(@D),test$(comma)browser)

.cache/venv/bench/.bench: pyproject.toml .cache/venv/bench/pyvenv.cfg
	@$(call install,$(@D),test$(comma)bench)

.cache/venv/matrix/.matrix: pyproject.toml .cache/venv/matrix/pyvenv.cfg
	@$(call install,$(@D),matrix)

%/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=...")'
	@$(PYTHON) -m venv --clear $(@D)

comma := ,
pip = $(1)/bin/python -m pip --disable-pip-version-check
define install
echo "Installing django-readonly-router[$(2)] into $(1) ..."; \
$(call pip,$(1)) install --quiet --editable ".[$(2)]" $(PINS) && \
echo "Installed: `$(call pip,$(1)) list --format=freeze --exclude pip --exclude setuptools | tr '\n' ' '`" && \
touch $@
endef
