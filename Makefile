# Two commands set everything up: `make demo` and `make test`. The rest is for developers.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.10 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
OUT := out
# With Node.js the tests of the page in the browser run too.
PAGES := $(if $(shell command -v npm),web/node_modules/.package-lock.json)

.PHONY: demo test test-slow lint check docs web bench test-arm64 bench-arm64 test-boot test-legacy test-sources clean

# DEMO="--pictures 1000" measures on all held-out pictures.
demo: $(VENV)/installed
	$(BIN)/python examples/digits/demo.py $(OUT)/digits $(DEMO)

test: $(VENV)/installed $(PAGES)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow"

# Those that run whole processes or DenseNet121 several times: what is marked @pytest.mark.slow.
test-slow: $(VENV)/installed $(PAGES)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup -m slow

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

# docs/api.md out of the docstrings.
docs: $(VENV)/installed
	$(BIN)/python docs/write_api.py

# The page that `edgedense web` puts into a site, edgedense/website/page/, out of the TypeScript in web/: needs Node.js and npm.
web: web/node_modules/.package-lock.json
	cd web && npm run check && npm run build

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --ignore-scripts --no-audit --no-fund --loglevel error

# edgedense against the other int8 converters, on the digits example. BENCH="--latency-size 320" adds arguments;
# BENCH="--rounds 2 --images 8 --calibration-images 8 --threads 1" only shows that everything runs.
bench: $(VENV)/bench
	$(BIN)/python benchmarks/peers.py --json $(OUT)/bench.json $(BENCH)

# What the boards are given. Made again when the converter changes: what is proved must be what it writes now.
DIGITS := $(OUT)/digits/digits.tflite $(OUT)/digits/digits-uint8.tflite
CORAL := $(OUT)/digits/digits-coral.tflite
$(OUT)/digits/digits-uint8.tflite: OPTIONS := --output-type uint8
$(CORAL): OPTIONS := --target coral
$(DIGITS) $(CORAL): $(VENV)/installed $(shell find edgedense converters -name "*.py")
	$(BIN)/python examples/digits/images.py $(OUT)/digits/images
	$(BIN)/edgedense convert examples/digits/digits.keras --calibration $(OUT)/digits/images/calibration \
		--labels $(OUT)/digits/images/labels.txt $(OPTIONS) --out $@

# The built wheel on emulated Raspberry Pis: needs root, for debootstrap and chroot, and Debian's or Ubuntu's packages.
# ARM64_PICTURES=N compares so many pictures instead of 200.
ARM64 := $(OUT)/arm64
CHECK_USERLAND := DIGITS=$(OUT)/digits ARM64_WORK=$(ARM64) $(BIN)/python -m pytest -v tests/arm64/check_userland.py
test-arm64: $(DIGITS)
	$(CHECK_USERLAND)
	cat $(ARM64)/report.txt

# Instructions and cache misses of one inference there, and those of other engines, whose accuracy stands beside (extra
# `bench-arm64`). PRUNED=FILE.tflite adds a file, PEERS="mnn ncnn" leaves engines out, COUNT=1 leaves all but one file out.
PEERS := $(shell sed -nE 's/^    "(.*)": Peer.*/\1/p' tests/arm64/peers.py)
COUNTED := "int8 of edgedense=$(firstword $(DIGITS))"
ifneq ($(COUNT),1)
COUNTED += "int8 of edgedense, uint8 output=$(word 2,$(DIGITS))" "int8 of edgedense for Coral=$(CORAL)" \
	$(if $(PRUNED),"int8 of edgedense after pruning=$(PRUNED)") --peers $(ARM64)/peers --images $(OUT)/digits/images/test
bench-arm64: $(CORAL) $(PEERS:%=$(ARM64)/peers/%/peer.json)
endif
bench-arm64: $(DIGITS) $(ARM64)/bookworm/root/work/venv
	$(BIN)/python tests/arm64/bench.py $(ARM64) --json $(OUT)/bench-arm64.json $(COUNTED)

$(ARM64)/peers/%/peer.json: examples/digits/digits.keras tests/arm64/peers.py | $(VENV)/bench-arm64 $(ARM64)/bookworm/root/work/venv
	$(BIN)/python tests/arm64/peers.py $* $(ARM64)/peers --images $(OUT)/digits/images

$(ARM64)/bookworm/root/work/venv: | $(DIGITS)
	$(CHECK_USERLAND) -k "golden and bookworm"

# A whole board in an emulator, from the kernel to the service: needs root as well. The first time takes some minutes
# more than later ones. BOOT='-k "not cuts"' leaves the ten power cuts out.
test-boot: $(VENV)/installed
	BOOT_WORK=$(OUT)/boot $(BIN)/python -m pytest -v -s tests/boot/check_boot.py $(BOOT)

# The built wheel with tflite-runtime 2.14: needs Python 3.11.
test-legacy: $(DIGITS)
	DIGITS=$(OUT)/digits LEGACY_WORK=$(OUT)/legacy $(BIN)/python -m pytest -v tests/legacy/check_legacy.py
	cat $(OUT)/legacy/report.txt

# What is read of others' files against the libraries that wrote them. PyTorch and its kind are some gigabytes.
test-sources: $(VENV)/sources
	$(BIN)/python -m pytest -n auto --maxprocesses 2 --dist loadgroup -o "python_files=check_*.py" tests/sources

# Installed again when the dependencies change; editable, so not when the code does.
$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[convert,device,camera,preview,web,dev]'
	touch $@

$(VENV)/sources: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[sources]'
	touch $@

$(VENV)/bench-arm64: $(VENV)/bench
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench-arm64]'
	touch $@

$(VENV)/bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@

clean:
	rm -rf $(VENV) $(OUT) build dist *.egg-info
