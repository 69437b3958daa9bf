# Two commands do all the set-up: `make quickstart` and `make test`. Both create .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two processes of one thread each; the tests of a file run in one of them. TESTFLAGS= runs one after the other.
TESTFLAGS ?= -n 2 --dist loadfile

.PHONY: quickstart test test-slow fuzz lint format docs release audit bench bench-peers embedded-model embedded-sae score-embedded clean

quickstart: $(STAMP)
	$(BIN)/steerlab quickstart

test: $(STAMP)
	$(BIN)/python -m pytest $(TESTFLAGS)

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow $(TESTFLAGS)

# The readers of vector files under random and half-right input, 75 seconds in all; guided by coverage where atheris installs.
fuzz: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[fuzz]' || true
	$(BIN)/python tools/fuzz_readers.py --seconds 75

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/readme_tree.py --check
	$(BIN)/python tools/command_page.py --check

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python tools/readme_tree.py
	$(BIN)/python tools/command_page.py

bench: $(STAMP)
	$(BIN)/python benchmarks/spine.py
	$(BIN)/python benchmarks/readout_sweep.py --small
	$(BIN)/python benchmarks/generation_sweep.py --small
	$(BIN)/python benchmarks/extraction.py --texts 32 --repeats 3
	$(BIN)/python benchmarks/driver_scale.py --cells 250000
	$(BIN)/python benchmarks/coefficient_sweep.py
	$(BIN)/python benchmarks/ray_overhead.py --repeats 3

# Beside nnsight, steering-vectors, repeng, pyvene, nnterp and TransformerLens, each in an environment of its own (made on first use,
# 8.9 GB in all).
bench-peers: $(STAMP)
	$(BIN)/python benchmarks/peers.py --write

# The embedded model from its sources, as its three versions came about: make embedded-model SVEN=PATH/data_train_val/train (about four
# hours on one core). HELD_OUT=PATH is a folder of data sets that the training text must not overlap. A killed run goes on where it was.
MAKE_MODEL = OMP_NUM_THREADS=1 $(BIN)/python -m training.make --sven $(SVEN) $(if $(HELD_OUT),--held-out $(HELD_OUT))
embedded-model: $(STAMP)
	@test -n "$(SVEN)" || { echo "say where SVEN's training split is: make embedded-model SVEN=PATH (steerlab data fetch sven --out DIR)"; exit 1; }
	$(BIN)/python -m training.c_sources training/work/archives
	$(MAKE_MODEL) corpus tokenizer items train export --work training/work/first --model training/work/version-1
	$(MAKE_MODEL) corpus tokenizer items train export --work training/work/second --start training/work/version-1 --model training/work/version-2 \
	  --shards 3:8 --seconds 1850 --rate 6e-4 --hold 0.3
	$(MAKE_MODEL) corpus tokenizer items train export evaluate --work training/work/third --start training/work/version-2 --mixture writing \
	  --c-sources training/work/archives --shards 3:7 --seconds 5400 --rate 7e-4 --hold 0.45

# Its autoencoders, again after each new model: make embedded-sae TOKENS=400000 (about 20 minutes on one core).
embedded-sae: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -u -m training.sae $(if $(TOKENS),--tokens $(TOKENS))

score-embedded: $(STAMP)
	$(BIN)/python -m training.evaluate --model src/steerlab/embedded/model

# The documentation as pages to open from disk: site/index.html. Any warning is an error.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# What a release consists of, below dist/: wheel, source distribution, and the documentation of this very version.
release: $(STAMP)
	rm -rf dist build
	$(BIN)/python -m build --outdir dist
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python tools/pack_docs.py
	ls -l dist

# Known vulnerabilities in the pinned versions. Without the advisory service one line says so, and that is no failure.
audit: $(STAMP)
	$(BIN)/python tools/audit.py

# torch first and alone: its pinned CPU build must not be replaced by one with CUDA packages.
$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null 2>&1 || command -v python3 >/dev/null 2>&1 || { echo "Python 3.11 is needed."; exit 1; }
	test -x $(BIN)/python || $$(command -v $(PYTHON) || command -v python3) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist site src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
