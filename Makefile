# Common tasks; `make` without a target lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help quickstart train demo test test-slow aot test-aot soak mutations lint docs setup clean
.DELETE_ON_ERROR:

# Python: the first that is new enough and can create virtual environments.
SUITABLE := import sys, ensurepip; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c '$(SUITABLE)' >/dev/null 2>&1 && echo $$p && break; done)
else ifneq ($(shell $(PYTHON) -c '' >/dev/null 2>&1 || command -v pyenv),)
# pyenv has a command for each installed version, but runs only the selected ones.
override PYTHON := $(or $(shell PYENV_VERSION=$$(pyenv versions --bare | paste -sd:) \
	pyenv which $(PYTHON) 2>/dev/null),$(PYTHON))
endif
PYTHON_VERSION := $(shell $(PYTHON) -c \
	'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null </dev/null)

NO_PYTHON = $(or $(PYTHON),python3) is not Python 3.11 or newer with the venv module; \
	install one, or name one: make PYTHON=/path/to/python3
PYTHON := $(or $(PYTHON),python3)

# Each Python version has its own environment, so that several can coexist.
VENV ?= .venv-$(PYTHON_VERSION)
EXTRAS ?= dev
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready-$(EXTRAS)
# With compilers for TPUs and GPUs, which fit one version of jax only.
AOT_VENV := .venv-aot
AOT_READY := $(AOT_VENV)/.ready

CONFIG ?= configs/smileys.py
WORKDIR ?= runs/$(subst :,-,$(subst .py,,$(notdir $(CONFIG))))
NETWORK ?= smileys64
ARGS ?=
# One test process per core, up to eight; all tests of a file run in one process, in the
# order of tests/conftest.py.
SIDE_BY_SIDE ?= -n auto --maxprocesses=8 --dist=loadfile --no-loadscope-reorder
# Compile with few optimizations, because most programs run once; `XLA_FLAGS= make test`
# uses XLA's defaults.
QUICK_TO_COMPILE = $$($(RUN) tests/quick_to_compile.py)

help:
	@echo 'make quickstart   draw smileys with the network of the package, then train one'
	@echo 'make train        train CONFIG in WORKDIR, or resume. For example'
	@echo '                  make train CONFIG=configs/ffhq.py WORKDIR=runs/ffhq \'
	@echo '                    ARGS="--config.data.path=/data/ffhq" EXTRAS=dev,gpu'
	@echo 'make demo         make a web page in docs/demo in which NETWORK runs'
	@echo 'make test         run the tests'
	@echo 'make test-slow    run the slow tests'
	@echo 'make aot          make an environment that compiles for absent TPUs and GPUs'
	@echo 'make test-aot     run the tests that compile programs ahead of time, in it'
	@echo 'make soak         kill and restart training runs for minutes'
	@echo 'make mutations    check that the tests detect wrong changes to the mathematics'
	@echo 'make lint         check the code and the shell scripts'
	@echo 'make docs         build the documentation in docs/_build/html'
	@echo 'make clean        delete environments and caches, but not runs/'
	@echo 'Variables: PYTHON=$(PYTHON) VENV=$(VENV) EXTRAS=$(EXTRAS) (browser, dev, docs,'
	@echo '           explore, gpu, gpu12, hub, onnx, tpu, video)'

quickstart: $(READY)
	$(RUN) -m stylegan_jax.generate --network=smileys64 --seeds=0-31 --out=runs/samples
	@echo 'Smileys of the network in the package: runs/samples/grid.png'
	@echo 'Now one is trained from scratch.'
	$(RUN) -m stylegan_jax.train --config=configs/smileys.py --workdir=runs/smileys $(ARGS)
	$(RUN) -m stylegan_jax.generate --network=runs/smileys --seeds=0-59 --columns=10 \
		--truncation_psi=1 --out=runs/smileys/generated
	$(RUN) -m stylegan_jax.mix --network=runs/smileys --out=runs/smileys/mixing.png
	@echo
	@echo 'New smileys:        runs/smileys/generated/grid.png'
	@echo 'Style mixing:       runs/smileys/mixing.png'
	@echo 'Training progress:  runs/smileys/images/'
	@echo 'Curves:             runs/smileys/report.html'

train: $(READY)
	$(RUN) -m stylegan_jax.train --config=$(CONFIG) --workdir=$(WORKDIR) $(ARGS)

demo: $(READY)
	$(RUN) -m stylegan_jax.export --network=$(NETWORK) --format=page --out=docs/demo $(ARGS)

test: $(READY)
	XLA_FLAGS="$${XLA_FLAGS-$(QUICK_TO_COMPILE)}" \
		$(RUN) -m pytest -m "not (slow or aot or soak)" $(SIDE_BY_SIDE) $(ARGS)

test-slow: $(READY)
	$(RUN) -m pytest -m slow $(SIDE_BY_SIDE) $(ARGS)

aot: $(AOT_READY)

test-aot: $(AOT_READY)
	$(AOT_VENV)/bin/python -m pytest -m aot $(SIDE_BY_SIDE) $(ARGS)

soak: $(READY)
	$(RUN) -m pytest -m soak -rP $(ARGS)

mutations: $(READY)
	XLA_FLAGS="$${XLA_FLAGS-$(QUICK_TO_COMPILE)}" $(RUN) -m tests.mutations $(ARGS)

lint: $(READY)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/shellcheck launch/*.sh launch/*.sbatch

docs: $(VENV)/.ready-docs
	$(RUN) -m sphinx -W --keep-going -b html docs docs/_build/html

setup: $(READY)

# Runs again whenever setup.py changes.
$(VENV)/.ready-%: setup.py
	@$(PYTHON) -c '$(SUITABLE)' || { echo "$(NO_PYTHON)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	@touch $@

$(AOT_READY): setup.py benchmarks/ahead_of_time.txt
	@$(PYTHON) -c '$(SUITABLE)' || { echo "$(NO_PYTHON)" >&2; exit 1; }
	$(PYTHON) -m venv $(AOT_VENV)
	$(AOT_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		-r benchmarks/ahead_of_time.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv-*/ build/ dist/ docs/_build/ docs/_generated/ *.egg-info/ .pytest_cache/ .ruff_cache/
	find stylegan_jax tests configs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
