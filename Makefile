# From Jacobians to Adam. `make` alone lists what there is; `make book` and `make test` need nothing before them.

VENV    := .venv
READY   := $(VENV)/.ready
PYTHON  := $(VENV)/bin/python
BIN     := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check
PAGES   := $(filter-out tests/book/test_chapters.py tests/book/test_notebooks.py,$(wildcard tests/book/test_*.py))

.DEFAULT_GOAL := help
.PHONY: help book test lint unit site site-report pdf epub nbval serve lab notebooks experiments bench oracles peers lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

book: $(READY)  ## build the site into _build/html
	@$(PYTHON) tools/build.py

test: lint unit book site nbval  ## everything that must hold: code, chapters, notebooks, site

lint: $(READY)  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

unit: $(READY)  ## the package's tests and doctests, with coverage, and the chapter checks
	@$(PYTHON) -m pytest mathdl tests $(addprefix --ignore ,$(PAGES)) --doctest-modules -n 2 --dist loadfile --cov --cov-report term-missing:skip-covered

site: book  ## the built pages in a real browser (skipped by name without Chromium)
	@$(PYTHON) -m pytest $(PAGES) -rs

site-report: book  ## Lighthouse, axe and weights of every page (needs Chromium; the first run fetches Lighthouse)
	@ONLY="$(ONLY)" RUNS="$(RUNS)" $(PYTHON) tools/site_report.py

nbval: $(READY)  ## run the notebooks and compare every stored output
	@$(PYTHON) -m pytest --nbval --nbval-current-env notebooks -n 2 --dist loadfile -p no:cacheprovider

serve: book  ## show the site at http://localhost:8000
	@echo "http://localhost:8000 (Ctrl-C ends it)"; $(PYTHON) -m http.server 8000 --bind 127.0.0.1 --directory _build/html

pdf: book  ## the book as one PDF (needs Chromium)
	@$(PYTHON) tools/book_pdf.py

epub: book  ## the book as an EPUB
	@$(PYTHON) tools/book_epub.py

lab: $(READY)  ## open the notebooks in JupyterLab, as copies in work/ that are never overwritten
	@$(PYTHON) tools/lab.py

notebooks: $(READY)  ## write notebooks/ anew from book/
	@$(PYTHON) tools/notebooks.py

experiments: $(READY)  ## run what takes longer than a chapter may, and keep the results (ONLY="name" for one)
	@$(PYTHON) tools/experiments.py $(ONLY)

bench: $(READY)  ## measure mathdl beside the peers that are installed (BENCH="quick" for a short run)
	@$(PYTHON) -m benchmarks $(BENCH)

peers: $(READY)  ## install all peers, for `make bench` and the tests (PyTorch and JAX: large)
	@$(INSTALL) -c requirements.txt -r requirements-peers.txt

oracles: $(READY)  ## install autograd and JAX only, with which the tests then compare derivatives
	@$(INSTALL) -c requirements.txt -c requirements-peers.txt autograd jax

lock: $(READY)  ## write requirements.txt anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-header --no-annotate --upgrade \
	    --output-file requirements.txt pyproject.toml

clean:  ## remove the environment and everything built
	rm -rf $(VENV) _build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

# The environment: made when missing, and anew when the text of the lock or of the package's metadata has changed.
$(READY): requirements.txt pyproject.toml
	@if cmp -s requirements.txt $(VENV)/requirements.txt && cmp -s pyproject.toml $(VENV)/pyproject.toml; then \
	    touch $@; exit 0; fi; \
	python=$$(for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	    $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done); \
	if [ -z "$$python" ]; then echo "Python 3.11 or newer is needed, and none was found on PATH."; exit 1; fi; \
	echo "Setting up $(VENV) with $$($$python --version) (a minute or two) ..."; \
	rm -rf $(VENV); \
	$$python -m venv $(VENV) || { echo "Python's venv module is not complete here (Debian: apt install python3-venv)."; exit 1; }; \
	$(INSTALL) -r requirements.txt && \
	$(INSTALL) --no-deps --no-build-isolation -e . && \
	cp requirements.txt pyproject.toml $(VENV)/ && touch $@
