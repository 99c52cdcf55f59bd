# Every target does its own set-up: `make demo` and `make test` are all that a fresh machine needs.
PYTHON ?= python3
METHOD ?= tagclip

VENV := .venv
PY   := $(VENV)/bin/python
# Changes whenever what is to be installed changes, so that repeating a command reuses what is there.
STAMP := $(VENV)/.installed-$(shell cat requirements.txt setup.py | cksum | cut -d ' ' -f 1)

.PHONY: help setup demo test lint clean
.DEFAULT_GOAL := help

help:
	@echo "make demo [METHOD=ldvc]   train a method on the mini benchmark, test it, show what it sees"
	@echo "                          (METHOD: tagclip, ldvc or zegclip; here $(METHOD))"
	@echo "make test                 ruff, mypy and the tests"
	@echo "make setup                only create $(VENV) and install requirements.txt"
	@echo "make lint                 ruff and mypy"
	@echo "make clean                remove $(VENV) and caches (results in work_dirs stay)"
	@echo "PYTHON=python3.12 make …  another interpreter (>= 3.10) for $(VENV)"

setup: $(STAMP)

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "Python >= 3.10 is needed, but '$(PYTHON)' is" \
	         "$$($(PYTHON) --version 2>&1 || true): say PYTHON=/path/to/python3 make setup"; exit 1; }
	@test -x $(PY) && $(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || { \
	    echo "'$(PYTHON) -m venv' failed: on Debian and Ubuntu, apt-get install python3-venv"; exit 1; }
	$(PY) -m pip install --disable-pip-version-check -r requirements.txt
	$(PY) -m pip install --disable-pip-version-check --no-deps --no-build-isolation --quiet -e .
	@rm -f $(VENV)/.installed-* && touch $@
	@echo "Installed into $(VENV): source $(VENV)/bin/activate"

demo: $(STAMP)
	$(PY) tools/demo.py --method $(METHOD)

lint: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m mypy

test: lint
	HF_HUB_OFFLINE=1 $(PY) -m pytest

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
