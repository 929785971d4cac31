# The one entry for people and for CI.
#
#   make demo    a three-node cluster in one process, a read from a follower, and the proof
#   make test    every check of the project
#   make bench   the load generator, each number beside its limit
#   make sim     whole clusters under a seeded network, disk and clock
#   make mutants planted bugs, each of which the simulator must find
#   make chaos   three server processes under kill -9, pauses, cuts and full disks; every answer goes to the checker
#   make fuzz    the fuzz targets, guided by coverage; needs nightly Rust
#   make compat  every client, and the suites that some bring themselves; writes target/compat.md
#
# Everything is made under this folder: .venv (Python) and target (Rust). Needs a C compiler, Rust and Python 3.10 or
# newer, no root; clients in Java, Go and JavaScript are tested where these are installed. `make help` lists the smaller
# pieces.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
PYTEST_WORKERS ?= 4
VENV := .venv
BIN := $(VENV)/bin
CARGO := cargo
WHEELS := target/wheels

# The extension must not be linked against libpython, which many systems lack; maturin sets the same, and an equal
# environment keeps cargo from building pyo3 twice.
export PYO3_BUILD_EXTENSION_MODULE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Property tests draw the same cases in every run, so that a failure is the change's; set another seed, and
# PROPTEST_CASES, to look for more.
export PROPTEST_RNG_SEED ?= 1

# The clients that tests run in a process of their own, because only one version fits into one environment.
OLD_CLIENTS := 2.0.2 2.2.21

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: demo
demo: install ## produce to a leader, read from a follower, see the proof
	$(BIN)/python -m chronik demo

.PHONY: test
test: check-tools ## every check: format, lints, stubs, Rust tests, the wheel, Python tests with real clients
	@$(MAKE) --no-print-directory fmt-check
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test-rust
	@$(MAKE) --no-print-directory install
	@$(MAKE) --no-print-directory stubs
	@$(MAKE) --no-print-directory test-python
	@echo "make test: all passed"

.PHONY: bench
bench: install ## the load generator in a release build, and clients of the installed wheel; BENCH_ARGS="groups --rounds 3"
	$(CARGO) run --locked --release -p chronik-bench -- $(BENCH_ARGS)

# As fast as a release build nearly, with every assertion, and built in a fraction of the time.
SIM := $(CARGO) run --locked --quiet --profile sim -p chronik-sim
REGRESSIONS := rust/chronik-sim/regressions
SIM_ARGS ?= --seeds 2000 --coverage 1

.PHONY: sim
sim: check-tools ## 2,000 simulated schedules of a minute each, and every rare path taken; SIM_ARGS="--seeds 100 --from 7"
	$(SIM) -- run --regressions $(REGRESSIONS) $(SIM_ARGS)
	$(SIM) -- meta --seeds 100

.PHONY: mutants
mutants: check-tools ## every planted bug is found, and the broker without one is not accused
	$(CARGO) test --locked --quiet --target-dir target/mutants -p chronik-log -p chronik-replica -p chronik-coord \
	  -p chronik-broker --features chronik-log/mutants,chronik-replica/mutants,chronik-coord/mutants,chronik-broker/mutants \
	  the_scenarios_above_kill_their_bugs
	$(SIM) --features mutants --target-dir target/mutants -- mutants $(MUTANTS_ARGS)

.PHONY: fuzz
fuzz: check-tools ## every fuzz target for FUZZ_SECONDS (25); FUZZ_ARGS names some of them
	@bash .ci/fuzz

.PHONY: chaos
chaos: install ## five runs of two minutes of chaos on three server processes; CHAOS_ARGS="--runs 1 --seconds 30 --seed 7"
	cd tests && ../$(BIN)/python -m chaos $(CHAOS_ARGS)

.PHONY: compat
compat: install clients ## every client and the suites of three of them, against chronik; COMPAT_ARGS="--only rskafka"
	cd tests && ../$(BIN)/python -m compat $(COMPAT_ARGS)

.PHONY: check-tools
check-tools: ## what is needed and what is missing
	@PYTHON="$(PYTHON)" bash .ci/check-tools

.PHONY: venv
venv: $(VENV)/.ready ## the Python environment with pinned test requirements

$(VENV)/.ready: tests/requirements.txt
	@PYTHON="$(PYTHON)" bash .ci/check-tools
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement tests/requirements.txt
	for version in $(OLD_CLIENTS); do \
	  $(BIN)/python -m pip install --quiet --no-deps --upgrade --target "$(VENV)/clients/kafka-python-$$version" \
	    "kafka-python==$$version"; \
	done
	touch $@

.PHONY: wheel
wheel: venv ## the wheel, as it is shipped, into target/wheels
	rm -rf $(WHEELS)
	$(BIN)/maturin build --quiet --locked --interpreter $(BIN)/python --out $(WHEELS)

.PHONY: install
install: wheel ## the wheel into .venv
	$(BIN)/python -m pip install --quiet --no-deps --force-reinstall $(WHEELS)/*.whl

.PHONY: fmt
fmt: venv ## format all sources
	$(CARGO) fmt --all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --quiet .

.PHONY: fmt-check
fmt-check: venv
	$(CARGO) fmt --all --check
	$(BIN)/ruff format --check --quiet .

.PHONY: lint
lint: venv ## clippy and ruff, warnings are errors
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	@if [ -f deny.toml ] && $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --log-level error check; \
	else echo "skipped: cargo deny is not installed (optional)"; fi

.PHONY: stubs
stubs: ## the stubs against the module as it is installed
	$(BIN)/python -m mypy.stubtest chronik --mypy-config-file pyproject.toml --ignore-disjoint-bases

.PHONY: test-rust
test-rust: ## the Rust tests
	$(CARGO) test --locked --workspace --quiet

.PHONY: clients
clients: venv ## the programs of clients in other languages, each where its language is installed
	cd tests && ../$(BIN)/python -m clients.builds

.PHONY: test-python
test-python: clients ## the Python tests against the installed wheel
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) $(PYTEST_ARGS)

.PHONY: clean
clean: ## remove what was made
	rm -rf $(VENV) target
