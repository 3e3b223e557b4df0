# Everything that is done often; `make` alone explains.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help quickstart train test test-slow mutations lint setup clean
.DELETE_ON_ERROR:

# Python: the first one that is new enough and can make virtual environments.
SUITABLE := import sys, ensurepip; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c '$(SUITABLE)' >/dev/null 2>&1 && echo $$p && break; done)
else ifneq ($(shell $(PYTHON) -c '' >/dev/null 2>&1 || command -v pyenv),)
# pyenv has a command for each of its versions, but runs only those it is told to.
override PYTHON := $(or $(shell PYENV_VERSION=$$(pyenv versions --bare | paste -sd:) \
	pyenv which $(PYTHON) 2>/dev/null),$(PYTHON))
endif
PYTHON_VERSION := $(shell $(PYTHON) -c \
	'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null </dev/null)

NO_PYTHON = $(or $(PYTHON),python3) is not Python 3.11 or newer with the venv module; \
	install one, or name one: make PYTHON=/path/to/python3
PYTHON := $(or $(PYTHON),python3)

# Every Python has its own environment, so that several can be used side by side.
VENV ?= .venv-$(PYTHON_VERSION)
EXTRAS ?= dev
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready-$(EXTRAS)

CONFIG ?= configs/emoji.py
WORKDIR ?= runs/$(subst :,-,$(subst .py,,$(notdir $(CONFIG))))
ARGS ?=
# A process of tests for each processor, up to eight; a file of tests stays in one.
SIDE_BY_SIDE ?= -n auto --maxprocesses=8 --dist=loadfile
# Programs that run once are compiled in a hurry; XLA_FLAGS= make test takes its time.
QUICK_TO_COMPILE = $$($(RUN) tests/quick_to_compile.py)

help:
	@echo 'make quickstart   train on the built-in emoji and draw with the result'
	@echo 'make train        train CONFIG in WORKDIR; again: resume. For example'
	@echo '                  make train CONFIG=configs/ffhq.py WORKDIR=runs/ffhq \'
	@echo '                    ARGS="--config.data.path=/data/ffhq" EXTRAS=dev,gpu'
	@echo 'make test         the tests;  make test-slow  the heavy ones'
	@echo 'make mutations    wrong changes that the tests must notice, one at a time'
	@echo 'make lint         style of the code and of the shell scripts'
	@echo 'make clean        delete environments and caches; runs/ stays'
	@echo 'Variables: PYTHON=$(PYTHON) VENV=$(VENV) EXTRAS=$(EXTRAS) (dev, gpu, gpu12, tpu)'

quickstart: $(READY)
	$(RUN) -m stylegan_jax.train --config=configs/emoji.py --workdir=runs/emoji $(ARGS)
	$(RUN) -m stylegan_jax.generate --workdir=runs/emoji --seeds=0-63 \
		--out=runs/emoji/generated
	@echo
	@echo 'New emoji:          runs/emoji/generated/grid.png'
	@echo 'Growing up to them: runs/emoji/images/'
	@echo 'Curves:             tensorboard --logdir runs/emoji/tensorboard'

train: $(READY)
	$(RUN) -m stylegan_jax.train --config=$(CONFIG) --workdir=$(WORKDIR) $(ARGS)

test: $(READY)
	XLA_FLAGS="$${XLA_FLAGS-$(QUICK_TO_COMPILE)}" \
		$(RUN) -m pytest -m "not slow" $(SIDE_BY_SIDE) $(ARGS)

test-slow: $(READY)
	$(RUN) -m pytest -m slow $(ARGS)

mutations: $(READY)
	XLA_FLAGS="$${XLA_FLAGS-$(QUICK_TO_COMPILE)}" $(RUN) -m tests.mutations $(ARGS)

lint: $(READY)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/shellcheck launch/*.sh launch/*.sbatch

setup: $(READY)

# Once for every change of setup.py.
$(READY): setup.py
	@$(PYTHON) -c '$(SUITABLE)' || { echo "$(NO_PYTHON)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS)]'
	@touch $@

clean:
	rm -rf .venv-*/ build/ dist/ *.egg-info/ .pytest_cache/ .ruff_cache/
	find stylegan_jax tests configs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
