# Two commands set everything up: `make demo` and `make test`. The rest is for developers.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.10 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
OUT := out

.PHONY: demo test lint check bench clean

demo: $(VENV)/installed
	$(BIN)/python examples/digits/demo.py $(OUT)/digits

test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

# edgedense against the other int8 converters, on the digits example. BENCH="--latency-size 320" adds arguments.
bench: $(VENV)/bench
	$(BIN)/python benchmarks/peers.py --json $(OUT)/bench.json $(BENCH)

# Installed again when the dependencies change; editable, so not when the code does.
$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[convert,device,camera,preview,dev]'
	touch $@

$(VENV)/bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@

clean:
	rm -rf $(VENV) $(OUT) build dist *.egg-info
