# make run        environment, dependencies, the lab on http://localhost:8501
# make test       everything, with a real browser (installs Debian's chromium if there is none)
# make test-fast  the daily set, about two minutes on two cores
# make lint fmt bench
# make test-parity                  the lab's arithmetic beside fastai's own, in .venv-bench
# make bench-fastai DATA=photos     speeds beside fastai's, on a folder of class folders

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PORT ?= 8501
BENCH := .venv-bench
DATA ?= clothing-dataset-small

.PHONY: run test test-fast test-parity lint fmt bench bench-fastai browser clean

run: $(VENV)/.run
	$(PY) -m lab serve --port $(PORT)

test: $(VENV)/.dev browser
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(PY) -m pytest

test-fast: $(VENV)/.dev
	$(PY) -m pytest -m "not slow"

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/lint-imports

fmt: $(VENV)/.dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/.dev browser
	$(PY) -m benchmarks.leaves_by_size
	$(PY) -m benchmarks.demo

test-parity: $(BENCH)/.bench
	$(BENCH)/bin/python -m pytest -p no:warnings tests/parity

bench-fastai: $(BENCH)/.bench
	$(BENCH)/bin/python -m benchmarks.against_fastai --data $(DATA)

$(PY):
	$(PYTHON) -m venv $(VENV)

$(BENCH)/.bench: requirements-bench.txt requirements.txt
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	touch $@

$(VENV)/.run: requirements.txt | $(PY)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt requirements.txt | $(PY)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@ $(VENV)/.run

# Browser tests drive Debian's chromium; anything called chromium, chromium-browser or google-chrome does.
browser:
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
	|| { apt-get update -q && apt-get install -y -q chromium; } \
	|| { sudo apt-get update -q && sudo apt-get install -y -q chromium; }

clean:
	rm -rf $(VENV) $(BENCH) .pytest_cache .ruff_cache
