# Each target works alone on a fresh checkout; python3 and gcc are all it needs. With FASTMLP_DATA,
# a folder with mnist.npz, benchmarks and tests run on MNIST.
PYTHON ?= python3
BIN = .venv/bin
SOURCES = CMakeLists.txt pyproject.toml setup.py $(wildcard src/*) $(wildcard fastmlp/engine/*.p[yx]*)
# What installing compiles is kept for the tests, which link their own programs with it.
KERNELS = $(CURDIR)/build/kernels/libkernels.a
KEEP_KERNELS = CMAKE_ARGS="$$CMAKE_ARGS -DCMAKE_ARCHIVE_OUTPUT_DIRECTORY=$(dir $(KERNELS))"

.PHONY: train test soak sanitize mutants test-arm64 test-windows lint docs wheel benchmark guard study-cnn clean

train: .venv/train-ready  ## train 784-70-30-10 on MNIST (or the embedded digits)
	$(BIN)/fastmlp train

test: .venv/test-ready  ## run all tests, on up to four processors, and lint
	@echo "Running all tests, which takes many minutes; make lint, which takes seconds, comes last."
	FASTMLP_NATIVE_BUILD=$(CURDIR)/build/native FASTMLP_KERNELS=$(KERNELS) \
		$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal
	$(MAKE) --no-print-directory lint

soak: .venv/soak-ready  ## the tests that take minutes, fuzzing among them; about an hour
	$(BIN)/python -m pytest -m soak

sanitize: .venv/test-ready  ## ASan, UBSan, TSan and valgrind over extension, kernels and team
	$(BIN)/python tests/long/sanitize.py

mutants: .venv/test-ready  ## do the tests notice mistakes in kernels and engine? about an hour
	$(BIN)/python tests/long/mutants/run.py

test-arm64: .venv/test-ready  ## kernels and engine on an emulated arm64 processor; about an hour
	$(BIN)/python tests/long/arm64.py

test-windows: .venv/test-ready  ## kernels and thread team for Windows, under wine; two minutes
	$(BIN)/python tests/long/windows.py

lint: .venv/test-ready  ## style, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo

docs: .venv/docs-ready  ## the site, in build/docs/html; examples are run, every warning is an error
	$(BIN)/python -m sphinx -E -W -n --keep-going -q -b html docs build/docs/html
	@echo "The site is in build/docs/html/index.html"

wheel: .venv/test-ready  ## sdist and wheel in dist/, the wheel tagged by auditwheel
	rm -rf dist
	$(BIN)/python -m build --outdir dist/built
	mv dist/built/*.tar.gz dist/
	if [ "$$(uname)" = Linux ]; then PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist dist/built/*.whl; \
	else mv dist/built/*.whl dist/; fi
	rm -rf dist/built

benchmark: .venv/train-ready  ## the headline table for this machine
	$(BIN)/python benchmarks/headline.py

guard: .venv/train-ready  ## instructions and relative time of a step against benchmarks/guard.json
	$(BIN)/python benchmarks/guard.py
	$(BIN)/python benchmarks/guard.py --method ratio

study-cnn: .venv/cnn-ready  ## the articles' CNN on MNIST, two trainings; history, pictures in docs/cnn
	$(BIN)/fastmlp cnn train --article C2 --out docs/cnn
	$(BIN)/fastmlp cnn train --article C2 --seed 43 --out out/cnn-second
	$(BIN)/fastmlp cnn show docs/cnn/model.keras --match out/cnn-second/model.keras --refine strongest \
		--out docs/cnn

.venv/cnn-ready: .venv/train-ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[plots,cli,cnn-cpu]"
	touch $@

.venv/train-ready: $(SOURCES)
	@echo "Installing fastmlp and what it needs into .venv (about 400 MB), and compiling it:"
	@echo "a minute or two, in which nothing is printed."
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[plots,cli]"
	touch $@

.venv/test-ready: $(SOURCES)
	@echo "Installing fastmlp and what its tests need into .venv (about 2.5 GB, half of it TensorFlow),"
	@echo "and compiling it: several minutes, in which nothing is printed."
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(KEEP_KERNELS) $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	touch $@ .venv/train-ready

.venv/docs-ready: .venv/train-ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[docs]"
	touch $@

.venv/soak-ready: .venv/test-ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test,fuzz]"
	touch $@

clean:
	rm -rf .venv build dist *.egg-info fastmlp/engine/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis
