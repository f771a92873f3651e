# bigan: `make demo`, `make test`, `make lint`. All that is needed is Python >= 3.11, git and make.

VENV   ?= .venv
# The first Python that is new enough; `make demo PYTHON=/path/to/python3.12` chooses another.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; \
	done)

BIN    := $(VENV)/bin

# The packages beside bigan itself; the demo does without them and what they need.
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))

# Installs into $(VENV): uv in a fraction of pip's time; where it cannot be had, pip does the work.
pip_install = if $(BIN)/uv --version >/dev/null 2>&1; then \
		$(BIN)/uv pip install --python $(BIN)/python $(1); \
	else \
		$(BIN)/python -m pip install $(1); \
	fi
# A file in $(VENV) says that a part is installed.
installed = $(1:%=$(VENV)/.bigan-%-installed)

# What `make demo` learns as normal; the other digits are anomalies. It scores images of the
# test split, which it has not seen.
DEMO_NORMAL := $(addprefix --inlier ,0 1 2 3 4)
# Where it writes its run, and the images it scores.
DEMO_RUN    ?= results
DEMO_IMAGES ?= build/demo-images
DEMO_FIGURES := $(DEMO_IMAGES).tsv

# How many processes run the tests, one thread each: one more than there are cores, since many
# tests wait for other processes. A process that has none left takes half of another's.
TEST_PROCESSES ?= $(shell $(BIN)/python -c 'import os; print((os.cpu_count() or 1) + 1)')
PYTEST = $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --maxprocesses 4 --dist worksteal

# Bytecode is written even where the environment forbids it: without, importing torch takes
# three times as long in every process of the demo and the tests.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help install demo test test-all lint docs options benchmark clean

help:
	@echo "make demo     train, evaluate, score and animate on real digits, about a minute after the install"
	@echo "make test     run the quick tests, about four minutes on two cores"
	@echo "make test-all run all tests, those marked slow included, about eighteen minutes on two cores"
	@echo "make lint     run ruff, mypy and import-linter"
	@echo "make docs     build the documentation site, site/index.html"
	@echo "make options  write the options of bigan train anew from config/schema.py"
	@echo "make install  only make $(VENV)"
	@echo "make benchmark NAME=startup  run one of benchmarks/"
	@echo "make clean    remove what was built, not what was trained"

install: $(VENV)/.bigan-installed

$(VENV)/.bigan-installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python >= 3.11 found" >&2; \
		echo "hint: install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip --version >/dev/null 2>&1 || \
		$(PYTHON) -m venv $(VENV) || { \
		echo "error: $(PYTHON) cannot make a virtual environment" >&2; \
		echo "hint: on Debian and Ubuntu, install python3-venv" >&2; exit 1; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: the Python in $(VENV) is older than 3.11" >&2; \
		echo "hint: remove $(VENV), or name another: make $(MAKECMDGOALS) VENV=folder" >&2; exit 1; }
	@$(BIN)/uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet uv || true
	@echo "installing into $(VENV)"
	@$(call pip_install,--editable '.[dev]')
	@touch $@

$(call installed,plugins): $(VENV)/.bigan-installed $(PLUGINS:%=%/pyproject.toml)
	@echo "installing $(PLUGINS)"
	@$(call pip_install,--editable . $(PLUGINS:%=--editable %))
	@touch $@

# The extras in pyproject.toml that the tests and the documentation site need.
$(call installed,browser s3-tests code-blocks-tests docs): $(VENV)/.bigan-%-installed: $(VENV)/.bigan-installed
	@echo "installing what the extra $* needs"
	@$(call pip_install,--editable '.[$*]')
	@touch $@

# What runs the notebook in the tests; in a folder of its own, since bigan must do without it.
$(call installed,notebook): $(VENV)/.bigan-installed
	@echo "installing nbclient and ipykernel"
	@$(call pip_install,--target $(VENV)/notebook nbclient ipykernel)
	@touch $@

# The headers of ONNX Runtime, which compile the sample in C++; 1 MB of a download of 150 MB.
$(call installed,headers): $(VENV)/.bigan-installed
	@echo "installing the headers of ONNX Runtime"
	@.ci/install-onnxruntime-headers $(VENV)/onnxruntime/include
	@touch $@

demo: install
	$(BIN)/bigan train --dataset digits $(DEMO_NORMAL) --save-dir $(DEMO_RUN) --overwrite
	$(BIN)/python examples/digits_to_png.py $(DEMO_IMAGES) --split test
	$(BIN)/bigan score $(DEMO_IMAGES) --run $(DEMO_RUN) --output $(DEMO_RUN)/stats/demo-scores.csv
	$(BIN)/bigan reconstruct --run $(DEMO_RUN)
	$(BIN)/bigan animate --mode single --run $(DEMO_RUN)
	$(BIN)/bigan animate --mode multi --run $(DEMO_RUN)
	$(BIN)/bigan evaluate --run $(DEMO_RUN) --report > $(DEMO_FIGURES)
	@cat $(DEMO_FIGURES)
	@echo; echo "made:"
	@for made in $(DEMO_IMAGES) $(DEMO_RUN)/models $(DEMO_RUN)/reconstruction/* \
		$(DEMO_RUN)/stats/* $(DEMO_RUN)/*.gif; do echo "  $$made"; done
	@echo; sed -n 2p $(DEMO_FIGURES)
	@echo; echo "report, for any browser: $(DEMO_RUN)/report.html"

test: $(call installed,plugins)
	$(PYTEST) -m "not slow"

test-all: $(call installed,plugins browser s3-tests code-blocks-tests docs notebook headers)
	$(PYTEST) --hypothesis-profile thorough

lint: $(call installed,plugins)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Material for MkDocs announces its successor at every start.
docs: $(call installed,docs)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

options: install
	@$(BIN)/python -m bigan_cli.cli.generate_options

NAME ?= startup
benchmark: install
	$(BIN)/python benchmarks/$(NAME).py

clean:
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
