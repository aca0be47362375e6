# The README's two commands are `make demo` and `make test`; both need nothing but Python 3.11 and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo test check bench soak clean

demo: $(INSTALLED)
	$(BIN)/qlstm backtest strategies/lstm_state.py --data sample --start 2019-01-01

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

soak: $(INSTALLED)
	$(BIN)/python -m pytest -m soak

bench: $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[bench]"
	for table in benchmarks/*.py; do echo "== $$table"; $(BIN)/python $$table; done

$(INSTALLED): setup.cfg constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[report,parquet,test]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
