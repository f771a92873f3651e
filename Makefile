# bigan: `make demo`, `make test`, `make lint`. All that is needed is Python >= 3.11, git and make.

VENV   ?= .venv
# The first Python that is new enough; `make demo PYTHON=/path/to/python3.12` chooses another.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; \
	done)

BIN    := $(VENV)/bin
STAMP  := $(VENV)/.bigan-installed

# The packages beside bigan itself; the demo does without them and what they need.
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
PLUGINS_STAMP := $(VENV)/.bigan-plugins-installed
# What drives a browser in the tests of HTML reports, 50 MB.
BROWSER_STAMP := $(VENV)/.bigan-browser-installed
# What serves S3 in the tests of object stores, 120 MB.
S3_STAMP := $(VENV)/.bigan-s3-installed
# What runs the code blocks in the documentation: Spark, Dask, images of solar cells; 600 MB.
CODE_BLOCKS_STAMP := $(VENV)/.bigan-code-blocks-installed
# The headers of ONNX Runtime, which compile the sample in C++; 1 MB of a download of 150 MB.
HEADERS_STAMP := $(VENV)/.bigan-headers-installed
# What builds the documentation site, 30 MB.
DOCS_STAMP := $(VENV)/.bigan-docs-installed
# What runs the notebook in the tests; in a folder of its own, since bigan must do without it.
NOTEBOOK_STAMP := $(VENV)/.bigan-notebook-installed

# What `make demo` learns as normal; the other digits are anomalies. It scores images of the
# test split, which it has not seen.
DEMO_NORMAL := $(addprefix --inlier ,0 1 2 3 4)
# Where it writes its run, and the images it scores.
DEMO_RUN    ?= results
DEMO_IMAGES ?= build/demo-images
DEMO_FIGURES := $(DEMO_IMAGES).tsv

# How many processes run the tests, one thread each. A process that has none left takes half of
# another's.
TEST_PROCESSES ?= auto
PYTEST := $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --maxprocesses 4 --dist worksteal

# Bytecode is written even where the environment forbids it: without, importing torch takes
# three times as long in every process of the demo and the tests.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help install demo test test-all lint docs options benchmark clean

help:
	@echo "make demo     train, evaluate, score and animate on real digits, about a minute after the install"
	@echo "make test     run the quick tests, about three minutes on two cores"
	@echo "make test-all run all tests, those marked slow included, about twenty minutes on two cores on two cores"
	@echo "make lint     run ruff, mypy and import-linter"
	@echo "make docs     build the documentation site, site/index.html"
	@echo "make options  write the options of bigan train anew from config/schema.py"
	@echo "make install  only make $(VENV)"
	@echo "make benchmark NAME=startup  run one of benchmarks/"
	@echo "make clean    remove what was built, not what was trained"

install: $(STAMP)

# uv installs torch in a fraction of pip's time; where it cannot be had, pip does the work.
$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python >= 3.11 found" >&2; \
		echo "hint: install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip --version >/dev/null 2>&1 || \
		$(PYTHON) -m venv $(VENV) || { \
		echo "error: $(PYTHON) cannot make a virtual environment" >&2; \
		echo "hint: on Debian and Ubuntu, install python3-venv" >&2; exit 1; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: the Python in $(VENV) is older than 3.11" >&2; \
		echo "hint: remove $(VENV), or name another: make $(MAKECMDGOALS) VENV=folder" >&2; exit 1; }
	@if $(BIN)/uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet uv; then \
		echo "installing into $(VENV) with uv"; \
		$(BIN)/uv pip install --python $(BIN)/python --editable '.[dev]'; \
	else \
		echo "installing into $(VENV) with pip"; \
		$(BIN)/python -m pip install --editable '.[dev]'; \
	fi
	@touch $@

$(PLUGINS_STAMP): $(STAMP) $(PLUGINS:%=%/pyproject.toml)
	@echo "installing $(PLUGINS)"
	@if $(BIN)/uv --version >/dev/null 2>&1; then \
		$(BIN)/uv pip install --python $(BIN)/python --editable . $(PLUGINS:%=--editable %); \
	else \
		$(BIN)/python -m pip install --editable . $(PLUGINS:%=--editable %); \
	fi
	@touch $@

$(BROWSER_STAMP): $(STAMP)
	@echo "installing playwright"
	@if $(BIN)/uv --version >/dev/null 2>&1; then \
		$(BIN)/uv pip install --python $(BIN)/python --editable '.[browser]'; \
	else \
		$(BIN)/python -m pip install --editable '.[browser]'; \
	fi
	@touch $@

$(S3_STAMP): $(STAMP)
	@echo "installing moto"
	@if $(BIN)/uv --version >/dev/null 2>&1; then \
		$(BIN)/uv pip install --python $(BIN)/python --editable '.[s3-tests]'; \
	else \
		$(BIN)/python -m pip install --editable '.[s3-tests]'; \
	fi
	@touch $@

$(CODE_BLOCKS_STAMP): $(STAMP)
	@echo "installing dask and elpv-dataset"
	@if $(BIN)/uv --version >/dev/null 2>&1; then \
		$(BIN)/uv pip install --python $(BIN)/python --editable '.[code-blocks-tests]'; \
	else \
		$(BIN)/python -m pip install --editable '.[code-blocks-tests]'; \
	fi
	@touch $@

$(HEADERS_STAMP): $(STAMP)
	@echo "installing the headers of ONNX Runtime"
	@.ci/install-onnxruntime-headers $(VENV)/onnxruntime/include
	@touch $@

$(NOTEBOOK_STAMP): $(STAMP)
	@echo "installing nbclient and ipykernel"
	@if $(BIN)/uv --version >/dev/null 2>&1; then \
		$(BIN)/uv pip install --python $(BIN)/python --target $(VENV)/notebook nbclient ipykernel; \
	else \
		$(BIN)/python -m pip install --target $(VENV)/notebook nbclient ipykernel; \
	fi
	@touch $@

$(DOCS_STAMP): $(STAMP)
	@echo "installing mkdocs"
	@if $(BIN)/uv --version >/dev/null 2>&1; then \
		$(BIN)/uv pip install --python $(BIN)/python --editable '.[docs]'; \
	else \
		$(BIN)/python -m pip install --editable '.[docs]'; \
	fi
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

test: $(PLUGINS_STAMP)
	$(PYTEST) -m "not slow"

test-all: $(PLUGINS_STAMP) $(BROWSER_STAMP) $(DOCS_STAMP) $(NOTEBOOK_STAMP) $(S3_STAMP) \
	$(CODE_BLOCKS_STAMP) $(HEADERS_STAMP)
	$(PYTEST) --hypothesis-profile thorough

lint: $(PLUGINS_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Material for MkDocs announces its successor at every start.
docs: $(DOCS_STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

NAME ?= startup
options: $(STAMP)
	@$(BIN)/python -m bigan_cli.cli.generate_options

benchmark: install
	$(BIN)/python benchmarks/$(NAME).py

clean:
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
