"""The documents say what is true: names exist, tests exist, code compiles, and the README's strategy runs."""

import importlib
import inspect
import re
from functools import cache

import golden_io
import numpy as np
import pytest
import xarray as xr
from conftest import ROOT

import qlstm

TOOLBOX = (ROOT / "docs" / "toolbox.md").read_text()
WITH_CODE = (
    "README.md",
    "docs/learning.md",
    "docs/portfolio.md",
    "docs/report.md",
    "docs/significance.md",
    "docs/strategies.md",
    "docs/synthetic.md",
    "docs/toolbox.md",
)
DOCUMENTED = ("ta", "stats", "output", "filter", "exposure", "exits", "neutralization")
# Called the same, but compared on real data only, which are not part of the project.
ELSEWHERE = {"stats.check_exposure", "output.calc_sharpe_ratio_for_check", "forward_looking.check_forward_looking"}
HEADER = ["theirs", "ours", "what differs"]
NAME = re.compile(r"(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\((?P<arguments>.*)\))?")


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def rows(text):
    """Return the rows of every table of the page that maps names."""
    found, inside = [], False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
        elif cells(line) == HEADER:
            inside = True
        elif inside and not line.startswith("|---"):
            found.append(cells(line))
    return found


ROWS = rows(TOOLBOX)
OURS = sorted({span for row in ROWS for span in re.findall(r"`([^`]+)`", row[1])})


def resolve(dotted):
    """Return what a name below the package stands for, importing its modules on the way."""
    value = qlstm
    for part in dotted.removeprefix("qlstm.").split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            if not inspect.ismodule(value):
                raise
            value = importlib.import_module(f"{value.__name__}.{part}")
    return value


def blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def as_code(block):
    """Return a block as it stands, or with bodies where it shows signatures alone: ``train(data) -> models``."""
    lines = [line.split("#")[0].strip() for line in block.splitlines() if line.strip()]
    if all(re.fullmatch(r"\w+\(.*\) -> .+", line) for line in lines):
        return "\n".join(f"def {line}: ..." for line in lines)
    return block


@cache
def names_of_all_tests():
    return {
        name
        for path in (ROOT / "tests").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), flags=re.MULTILINE)
    }


def test_the_tables_are_read_whole():
    assert {len(row) for row in ROWS} == {3}
    assert len(ROWS) == sum(line.startswith("|") for line in TOOLBOX.splitlines()) - 2 * TOOLBOX.count(
        "|---|---|---|\n"
    )
    assert all(re.search("`|—", row[1]) for row in ROWS)


@pytest.mark.parametrize("shown", OURS)
def test_a_name_in_the_column_of_ours_exists_and_takes_the_arguments_shown(shown):
    parts = NAME.fullmatch(shown)
    assert parts, f"{shown} is not a name"
    value = resolve(parts["name"])
    if parts["arguments"]:
        taken = inspect.signature(value).parameters
        for argument in parts["arguments"].split(","):
            name, is_named, _ = argument.partition("=")
            assert name.strip() in taken or not is_named, f"{parts['name']} takes no {name}"


def test_what_is_called_the_same_is_compared_with_the_toolbox():
    compared = {case["function"].removeprefix("qnt.") for case in golden_io.index()["cases"]}
    same = {
        span.split("(")[0] for row in ROWS if row[2].startswith("same") for span in re.findall(r"`([^`]+)`", row[1])
    }
    assert len(same) > 80
    assert same - compared == ELSEWHERE


def test_a_name_that_does_not_exist_is_noticed():
    with pytest.raises((AttributeError, ImportError)):
        resolve("ta.no_such_indicator")


def test_every_test_that_is_named_exists():
    named = set(re.findall(r"`(test_\w+)`", TOOLBOX))
    assert len(named) > 20
    assert named <= names_of_all_tests()


def test_every_test_file_that_is_named_exists():
    for document in ("README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))):
        for file in re.findall(r"`(tests/\w+\.py)`", (ROOT / document).read_text()):
            assert (ROOT / file).is_file(), f"{document} names {file}"


@pytest.mark.parametrize("module", DOCUMENTED)
def test_every_public_function_occurs_in_the_page(module):
    spans = set(re.findall(rf"`{module}\.(\w+)(?:\(.*?\))?`", TOOLBOX))
    assert set(resolve(module).__all__) - spans == set()


def test_lines_of_the_page_are_short():
    assert [line for line in TOOLBOX.splitlines() if len(line) > 130] == []


@pytest.mark.parametrize("document", WITH_CODE)
def test_the_python_of_a_document_compiles(document):
    found = blocks((ROOT / document).read_text())
    assert found
    for block in found:
        compile(as_code(block), document, "exec")


def last_days(count):
    cube = qlstm.data.load("sample")
    return cube, cube.time.values[-count:]


def test_the_readmes_strategy_runs_on_the_samples_last_thirty_days(tmp_path):
    (block,) = [block for block in blocks((ROOT / "README.md").read_text()) if "qlstm.Strategy(" in block]
    (tmp_path / "example.py").write_text(block)
    strategy = qlstm.load_strategy(tmp_path / "example.py")
    cube, days = last_days(30)
    result = qlstm.backtest(strategy=strategy, data=cube, start_date=days[0], progress=False)
    np.testing.assert_array_equal(result.weights.time.values, days)
    assert bool((result.raw > 0).any("asset").all())
    assert float(result.weights.sum("asset").max()) <= 1.0 + 1e-9


def test_the_pages_example_runs_on_the_samples_last_days(monkeypatch):
    (block,) = blocks(TOOLBOX)
    cube, days = last_days(5)
    monkeypatch.setattr(qlstm.data, "load", lambda name: cube)
    names = {}
    exec(block.replace("2016-01-04", str(days[0])[:10]), names)
    assert names["state"] == {"days": 5}
    assert isinstance(names["weights"], xr.DataArray)
    np.testing.assert_array_equal(names["weights"].time.values, days)
