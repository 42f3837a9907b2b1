# make run    the main job: sets everything up in .venv, trains, and writes a report
# make test   sets everything up and runs the tests
# make check  style, types, import layers, and that the reference can be built
# make reference  the API reference from the docstrings, in build/reference; a warning is an error
# make bench  the benchmarks, whole; minutes to an hour
# make setup  what all of them do first; afterwards .venv/bin/plumbrule works from anywhere
# make docs   the documentation site, in build/site
# make dist   wheel, sdist, their bill of materials and sums, in dist
# make lock   writes requirements.lock from what is installed

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
OUT ?= runs/village

.PHONY: run test check reference docs bench dist setup lock

run: setup
	$(BIN)/plumbrule run --out $(OUT)

# One thread for each of the two workers: two each on two cores wait for one another, and take twice as long.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -q

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py
	$(BIN)/python docs/reference.py build/reference

reference: setup
	$(BIN)/python docs/reference.py build/reference

docs: setup
	$(BIN)/python -m docs.website build/site

bench: setup
	$(BIN)/python -m benchmarks.main_job --json benchmarks/results/main_job.json
	$(BIN)/python -m benchmarks.compare --json benchmarks/results/compare.json
	$(BIN)/python -m benchmarks.weights_memory --json benchmarks/results/weights_memory.json
	$(BIN)/python -m benchmarks.mechanism_circuits --json benchmarks/results/mechanism_circuits.json
	$(BIN)/python -m benchmarks.known_circuits --json benchmarks/results/known_circuits.json
	$(BIN)/python -m benchmarks.phase_change --json benchmarks/results/phase_change.json
	$(BIN)/python -m benchmarks.mechanism_recurrence --json benchmarks/results/mechanism_recurrence.json
	$(BIN)/python -m benchmarks.mechanism_peers --json benchmarks/results/mechanism_peers.json
	$(BIN)/python -m benchmarks.oversight --json benchmarks/results/oversight.json
	$(BIN)/python -m benchmarks.judges
	$(BIN)/python -m benchmarks.comply --folder benchmarks/results
	$(BIN)/python -m benchmarks.tutorials
	PYTHON=$(BIN)/python sh benchmarks/peers/scale.sh
	$(BIN)/python -m benchmarks.scale --json benchmarks/results/scale.json

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), f'plumbrule needs Python 3.11 or newer, this is {sys.version}; set PYTHON=python3.x'"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check "$$(grep '^torch==' requirements.lock)"
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	touch $(READY)

dist:
	PYTHON=$(PYTHON) sh packaging/dist.sh

lock: setup
	{ grep '^#' requirements.lock; $(BIN)/python -m pip freeze --exclude-editable | sed 's/^\(torch==[0-9.]*\)+.*/\1/'; } > requirements.lock.new
	mv requirements.lock.new requirements.lock
