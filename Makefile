# Two commands do everything: `make demo` and `make test`. The first use makes a virtual environment in .venv.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo docs test test-all bench experiment sbom format clean

help:
	@echo "make demo      train on real digits for a few minutes and write a gallery of translations"
	@echo "make test      formatter, linter, types, directions of imports, fast tests"
	@echo "make test-all  the slow tests too, with the coverage of drit/"
	@echo "make docs      the documents as a site, in build/site; a warning or dead link ends it"
	@echo "make bench     speed and memory against the reference formulation"
	@echo "make experiment NAME=adaptation  one of experiments/; ARGS='...' are its flags"
	@echo "make sbom      sbom.json: the bill of materials (CycloneDX) of the versions in constraints.txt"
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
	$(BIN)/python docs/site/build.py

bench: .venv/.installed
	$(BIN)/python -m benchmarks.run

experiment: .venv/.installed
	$(BIN)/python -m experiments.$(NAME) $(ARGS)

sbom: .venv/.installed
	$(BIN)/cyclonedx-py requirements constraints.txt --pyproject pyproject.toml --output-reproducible -o sbom.json

format: .venv/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache
