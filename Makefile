# make run              set up, make a demo inbox, and start the daemon on it
# make run CONFIG=path  set up, and start the daemon on your own configuration
# make test             set up, and run every check
# make bench            compare with another program that sorts photos
# make clean            remove what was set up and built; demo/ stays, since it may hold files of yours

SHELL := /bin/sh
.SHELLFLAGS := -euc
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := run

# Name a Python 3.11 or newer here to have it used instead of the first that is found.
PYTHON ?=
CONFIG ?=
BENCH ?=

VENV := .venv
BENCH_VENV := .venv-bench
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --use-pep517
# A virtual environment is kept while its Python still works; the old one goes when its Python went.
USABLE := import sys, pip; sys.exit(sys.version_info < (3, 11))

.PHONY: run test bench clean help

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

ifeq ($(strip $(CONFIG)),)
run: $(VENV)/installed
	@$(VENV)/bin/python -m tests.demo --mediad $(VENV)/bin/mediad demo
	exec $(VENV)/bin/mediad run --config demo/config.toml
else
run: $(VENV)/installed
	@exec $(VENV)/bin/mediad run --config "$(CONFIG)"
endif

# One test process more than there are processors, since many tests wait.
test: $(VENV)/installed-dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest -n $$(( $$(nproc) + 1 )) --dist worksteal --durations=40

# Its dependencies are another program's business, so that program gets an environment of its own.
bench: $(VENV)/installed $(BENCH_VENV)/installed
	@$(VENV)/bin/python -m tests.bench --organize $(BENCH_VENV)/bin/organize $(BENCH)

clean:
	rm -rf $(VENV) $(BENCH_VENV) build dist *.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find mediad tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed: pyproject.toml
	@$(call make_venv,$(VENV))
	echo "installing mediad into $(VENV)"
	$(VENV)/bin/python $(PIP_INSTALL) -e .
	$(VENV)/bin/python -m compileall -q mediad
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "installing the tools for the tests into $(VENV)"
	$(VENV)/bin/python $(PIP_INSTALL) -e '.[dev]'
	touch $@

$(BENCH_VENV)/installed: pyproject.toml
	@$(call make_venv,$(BENCH_VENV))
	echo "installing organize into $(BENCH_VENV)"
	$(BENCH_VENV)/bin/python $(PIP_INSTALL) 'organize-tool>=3.3'
	touch $@

define make_venv
if ! $(1)/bin/python -c '$(USABLE)' 2>/dev/null; then
	found=
	old=
	for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python); do
		version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
		if ! "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
			old="$$old $$python is $$version."
		elif "$$python" -c 'import venv, ensurepip' 2>/dev/null; then
			found=$$python
			break
		else
			without_venv=$$python
		fi
	done
	if [ -z "$$found" ]; then
		if [ -n "$${without_venv:-}" ]; then
			echo "$$without_venv has no venv module: apt install python3-venv" >&2
		else
			echo "Python 3.11 or newer is needed, and was not found.$$old" >&2
			echo "Install one, or name it: make PYTHON=/path/to/python3.11" >&2
		fi
		exit 1
	fi
	echo "making $(1) with $$found ($$version)"
	"$$found" -m venv --clear $(1)
fi
endef
