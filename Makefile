# Two commands do everything: `make demo` and `make test`. The first use makes a virtual environment in .venv.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo docs test test-all bench experiment sbom web-runtime format clean

help:
	@echo "make demo      train on real digits for a few minutes and write a gallery of translations"
	@echo "make test      formatter, linter, types, directions of imports, fast tests"
	@echo "make test-all  the slow tests too, with the coverage of drit/"
	@echo "make docs      the documents as a site, in build/site; a warning or dead link ends it"
	@echo "make bench     speed and memory against the reference formulation"
	@echo "make experiment NAME=adaptation  one of experiments/; ARGS='...' are its flags"
	@echo "make sbom      sbom.json: the bill of materials (CycloneDX) of the versions in constraints.txt"
	@echo "make web-runtime  fetch what drit export --format web ships (needs npm)"
	@echo "make format    format the code"
	@echo "make clean     remove the virtual environment and caches"

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "drit needs Python 3.11 or newer; '$(PYTHON)' is older. Use: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: .venv/.installed
	$(BIN)/python -m drit.cli.demo

# Two test processes share the cores: each keeps to one thread.
test test-all: export OMP_NUM_THREADS = 1
test: .venv/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

test-all: .venv/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -n 2 --dist worksteal --cov=drit --cov-report=term-missing:skip-covered

docs: .venv/.installed
	$(BIN)/python docs/site/build.py $(if $(TRANSLATOR),--translator $(TRANSLATOR)) $(if $(LICENCE),--licence $(LICENCE)) $(if $(EXAMPLES),--examples $(EXAMPLES))

bench: .venv/.installed
	$(BIN)/python -m benchmarks.run

experiment: .venv/.installed
	$(BIN)/python -m experiments.$(NAME) $(ARGS)

sbom: .venv/.installed
	$(BIN)/cyclonedx-py requirements constraints.txt --pyproject pyproject.toml --output-reproducible -o sbom.json

# The runtime of the in-browser page, for drit/exporting/page.py; a wheel that is built afterwards carries it.
WEB_RUNTIME := drit/exporting/web/runtime
ORT_WEB := 1.30.0
ORT_WEB_SHA256 := d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71
ORT_WEB_FILES := ort.wasm.bundle.min.mjs ort-wasm-simd-threaded.wasm \
	ort.webgpu.bundle.min.mjs ort-wasm-simd-threaded.asyncify.wasm

web-runtime:
	rm -rf $(WEB_RUNTIME) $(WEB_RUNTIME).tmp && mkdir -p $(WEB_RUNTIME).tmp
	npm pack --silent --ignore-scripts --pack-destination $(WEB_RUNTIME).tmp onnxruntime-web@$(ORT_WEB)
	echo "$(ORT_WEB_SHA256)  $(WEB_RUNTIME).tmp/onnxruntime-web-$(ORT_WEB).tgz" | sha256sum --check --quiet
	cd $(WEB_RUNTIME).tmp && tar -xzf onnxruntime-web-$(ORT_WEB).tgz --strip-components=2 \
		$(ORT_WEB_FILES:%=package/dist/%) && rm onnxruntime-web-$(ORT_WEB).tgz
	mv $(WEB_RUNTIME).tmp $(WEB_RUNTIME)

format: .venv/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache
