# make demo    sets up everything it needs, runs the pipeline on real data, prints where the report is
# make test    sets up everything it needs, runs every test
# make check   format, lint, types, and what each room of the package imports
# make docs    the documentation's site
# make release VERSION=1.2.0   checks, builds, tries what was built and tags; nothing is pushed
# make cluster-up, make cluster-down   a Slurm cluster on this machine, for development (root on Debian)
#
# Everything that is installed goes to .venv. The second time nothing is downloaded.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SERVER ?= standin
STANDIN_PORT ?= 8765
# Tests at a time. Most wait for a server, a clock or a child, so two cores are busy with four.
WORKERS ?= 4

.PHONY: help demo test quick check format setup clean docs
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \(make .*\)/  \1/p' Makefile
	@echo "  make quick   the tests that take seconds and start no jobs"
	@echo "  make clean   removes .venv and what Snakemake keeps; results/ stays"
	@echo "  make demo SERVER=wandb   the demo, synced to your own W&B account (WANDB_API_KEY or ~/.netrc)"

# The virtual environment itself. Debian keeps the module that venv needs in a package of its own.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "found $$($(PYTHON) --version), expected Python 3.11 or newer; run: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(MAKE) --no-print-directory debian-venv
	$(PYTHON) -m venv $(VENV)
	@# The pip that comes with a Python of some years ago takes half an hour to choose versions that a new one finds at once.
	$(PIP) install --upgrade pip

.PHONY: debian-venv
debian-venv:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Debian's python3-venv"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-venv >/dev/null; \
	else \
	  echo "found no ensurepip, which python -m venv needs; on Debian type: sudo apt-get install python3-venv" >&2; exit 1; \
	fi

$(VENV)/.ready-demo: pyproject.toml | $(BIN)/python
	@echo "installing runferry and Snakemake into $(VENV)"
	$(PIP) install --editable '.[standin]'
	@touch $@

$(VENV)/.ready-test: pyproject.toml | $(BIN)/python
	@echo "installing runferry, Snakemake and the test tools into $(VENV)"
	$(PIP) install --editable '.[test]'
	@touch $@ $(VENV)/.ready-demo

# The oldest versions that are supported, beside the newest: the sites' wheelhouses have these.
$(VENV)/oldest/.ready: pyproject.toml tests/oldest.txt | $(BIN)/python
	@echo "installing the oldest supported versions into $(VENV)/oldest"
	@test -x $(VENV)/oldest/bin/python || $(PYTHON) -m venv $(VENV)/oldest
	$(VENV)/oldest/bin/python -m pip --disable-pip-version-check --quiet install --upgrade pip
	$(VENV)/oldest/bin/python -m pip --disable-pip-version-check --quiet install --constraint tests/oldest.txt \
	  --editable '.[optuna,progress,standin]' pytest pytest-timeout pytest-xdist hypothesis filelock psutil
	@touch $@

$(VENV)/wheels/.ready: tests/wheels.txt | $(BIN)/python
	@echo "downloading what the tests build environments from into $(VENV)/wheels"
	@mkdir -p $(VENV)/wheels
	@grep -v '^#' tests/wheels.txt | while read -r requirements; do \
	  $(PIP) download --dest $(VENV)/wheels $$requirements || exit 1; \
	done
	@touch $@

# For the example projects. PyTorch without CUDA, which is gigabytes: where pip is told of no place that has it, from
# PyTorch's own index; with CUDA only where that cannot be reached.
TORCH := torch==2.13.0
FRAMEWORKS_PIP := $(VENV)/frameworks/bin/python -m pip --disable-pip-version-check --quiet install
$(VENV)/frameworks/.ready: tests/frameworks.txt | $(BIN)/python
	@echo "installing PyTorch, Lightning and Transformers (1.5 GB) into $(VENV)/frameworks"
	@test -x $(VENV)/frameworks/bin/python || $(PYTHON) -m venv $(VENV)/frameworks
	@$(FRAMEWORKS_PIP) --upgrade pip
	@$(FRAMEWORKS_PIP) $(TORCH)+cpu 2>/dev/null || \
	  $(FRAMEWORKS_PIP) --retries 0 --extra-index-url https://download.pytorch.org/whl/cpu $(TORCH)+cpu 2>/dev/null || \
	  { echo "found no PyTorch without CUDA; installing the one with it (gigabytes)"; $(FRAMEWORKS_PIP) $(TORCH); }
	@$(FRAMEWORKS_PIP) --requirement tests/frameworks.txt
	@touch $@

# What only the system can have. Without it, the tests that need it are skipped and say so.
DAEMONS := slurm-wlm slurmdbd munge mariadb-server iproute2 nftables procps openssh-server
POLICY := /usr/sbin/policy-rc.d

.PHONY: system
system:
	@if ! command -v chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Debian's chromium for the tests of the pages"; \
	  apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; \
	fi
	@# The policy keeps Debian from starting these daemons: the test cluster starts its own, where nothing else sees them.
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    ! dpkg-query --show --showformat='$${db:Status-Status}\n' $(DAEMONS) 2>/dev/null | \
	      awk '$$0 == "installed" { n++ } END { exit n != $(words $(DAEMONS)) }'; then \
	  echo "installing Debian's Slurm and sshd for the tests on a real cluster and over a real ssh"; \
	  if [ ! -e $(POLICY) ]; then \
	    printf '#!/bin/sh\nexit 101\n' >$(POLICY) && chmod +x $(POLICY) && trap 'rm -f $(POLICY)' EXIT INT TERM; \
	  fi; \
	  apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(DAEMONS) >/dev/null; \
	fi

# A Slurm cluster of this machine's own, as root on Debian; see tests/cluster/README.md.
.PHONY: cluster-up cluster-down
cluster-up: system
	@$(PYTHON) tests/support/slurm/bring_up.py up

cluster-down:
	@$(PYTHON) tests/support/slurm/bring_up.py down

setup: system $(VENV)/.ready-test $(VENV)/oldest/.ready $(VENV)/wheels/.ready $(VENV)/frameworks/.ready

demo: $(VENV)/.ready-demo
	@if [ "$(SERVER)" = wandb ]; then \
	  $(BIN)/snakemake --profile profiles/local --forcerun sync; \
	else \
	  $(BIN)/python -m runferry_standin --port $(STANDIN_PORT) -- $(BIN)/snakemake --profile profiles/local; \
	fi
	@echo
	@echo "The report: file://$(CURDIR)/results/digits/report.html"
	@if [ "$(SERVER)" != wandb ]; then \
	  echo "The runs on the stand-in for W&B's server: type  $(BIN)/python -m runferry_standin --port $(STANDIN_PORT)"; \
	  echo "  and open http://127.0.0.1:$(STANDIN_PORT)/demo/digits"; \
	fi

# What runs with the oldest versions too: what Snakemake and its plugin have a part in. The launcher, the
# environments and the report use neither, and the oldest wandb of a controller is the newest, too.
OLDEST_TESTS := $(addprefix tests/,system runs config executor workflow cli end_to_end \
  sync/test_options.py sync/wandb/test_comparison.py docs/test_environment_yml.py test_api.py test_errors.py)
NEWEST_ONLY := $(addprefix tests/,config/sweep/test_definition_by_wandb.py \
  end_to_end/test_frameworks.py end_to_end/test_framework_scripts.py end_to_end/test_own_repository.py)

# The tests on the cluster wait for Slurm most of the time, and some need it alone: one process, beside the others.
CLUSTER_LOG := $(VENV)/cluster-tests.log
test: setup
	@echo "the tests on a Slurm cluster run beside the others; what they say comes last ($(CLUSTER_LOG))"
	@$(BIN)/python -m pytest --durations 15 tests/cluster >$(CLUSTER_LOG) 2>&1 & cluster=$$!; \
	trap 'kill $$cluster 2>/dev/null; wait $$cluster; exit 130' INT TERM; \
	$(BIN)/python -m pytest -n $(WORKERS) --durations 40 --ignore tests/cluster; newest=$$?; \
	$(VENV)/oldest/bin/python -m pytest -n $(WORKERS) $(OLDEST_TESTS) $(addprefix --ignore=,$(NEWEST_ONLY)); oldest=$$?; \
	wait $$cluster; cluster=$$?; cat $(CLUSTER_LOG); \
	exit $$((newest | oldest | cluster))

# What starts neither jobs nor real clients, but for a few: the others take several times as long, though each is quick.
QUICK_TESTS := $(addprefix tests/,cli config executor report runs system workflow test_*.py)
quick: setup
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(QUICK_TESTS)

check: $(VENV)/.ready-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	@# The names that tests and benchmarks import and call, which a move in src/ may have taken away.
	$(BIN)/pyright -p tests/pyrightconfig.json
	$(BIN)/lint-imports --no-cache
	$(BIN)/snakefmt --check workflow
	$(BIN)/snakemake --profile profiles/local --lint

# The variable silences what the theme's authors print about MkDocs 2, which is not used.
docs: $(VENV)/.ready-test
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation: file://$(CURDIR)/build/site/index.html"
	@echo "Its search needs a server: type  $(BIN)/mkdocs serve  and open http://127.0.0.1:8000"

.PHONY: release
release: $(VENV)/.ready-test
	@$(BIN)/python .ci/release.py $(VERSION)

format: $(VENV)/.ready-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt workflow

clean:
	rm -rf $(VENV) build .snakemake .standin .pytest_cache .ruff_cache .hypothesis
